//! Serving: whoever has something to serve implements [`Backend`].

use async_trait::async_trait;

use crate::auth::Principal;
use crate::error::ApiError;
use crate::streams::{Inbound, Outbound};
use crate::wire;

/// What an aggregator does behind the wire. Every method has been authorised for its principal before it is called;
/// returning ends the call, an error with that status.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The whole life of one collector's stream. Whether the principal may report for the machine that the hello
    /// names is checked here: [`Principal::may_report`].
    async fn push(
        &self,
        principal: Principal,
        requests: Inbound<wire::PushRequest>,
        responses: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError>;

    /// The whole life of one interactive client's stream. Single commands may ask for more than a viewer:
    /// [`Principal::allows`].
    async fn manage(
        &self,
        principal: Principal,
        commands: Inbound<wire::Command>,
        responses: Outbound<wire::Response>,
    ) -> Result<(), ApiError>;

    /// Streams values until the client goes.
    async fn stream_metrics(
        &self,
        principal: Principal,
        request: wire::MetricsRequest,
        metrics: Outbound<wire::Metric>,
    ) -> Result<(), ApiError>;

    /// What is known of one machine now.
    async fn current_state(
        &self,
        principal: Principal,
        request: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError>;
}
