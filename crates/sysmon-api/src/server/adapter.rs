//! The generated services in terms of a [`Backend`].

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::Backend;
use super::call::Call;
use crate::auth::Principal;
use crate::conflict;
use crate::error::{ApiError, Code};
use crate::generated::config_service_server::ConfigService;
use crate::generated::ingest_service_server::IngestService;
use crate::generated::metrics_service_server::MetricsService;
use crate::streams::Inbound;
use crate::wire;

#[derive(Clone)]
pub(super) struct Adapter {
    pub(super) backend: Arc<dyn Backend>,
    /// All streaming calls that are under way.
    pub(super) calls: TaskTracker,
}

/// Whom the gate has let in.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, ApiError> {
    let principal = request.extensions().get::<Principal>().cloned();
    principal.ok_or_else(|| ApiError::new(Code::Internal, "the call was not authorised; report this"))
}

#[async_trait]
impl IngestService for Adapter {
    type PushStream = Call<wire::PushResponse>;

    async fn push(
        &self,
        request: Request<Streaming<wire::PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        let principal = principal(&request)?;
        let gone = CancellationToken::new();
        let requests = Inbound::served(request.into_inner(), gone.clone());
        let backend = Arc::clone(&self.backend);
        Ok(Response::new(Call::start(
            &self.calls,
            gone,
            |responses| async move { backend.push(principal, requests, responses).await },
        )))
    }
}

#[async_trait]
impl MetricsService for Adapter {
    type StreamMetricsStream = Call<wire::Metric>;

    async fn stream_metrics(
        &self,
        request: Request<wire::MetricsRequest>,
    ) -> Result<Response<Self::StreamMetricsStream>, Status> {
        let principal = principal(&request)?;
        let backend = Arc::clone(&self.backend);
        Ok(Response::new(Call::start(
            &self.calls,
            CancellationToken::new(),
            |metrics| async move {
                backend
                    .stream_metrics(principal, request.into_inner(), metrics)
                    .await
            },
        )))
    }

    async fn get_current_state(
        &self,
        request: Request<wire::StateRequest>,
    ) -> Result<Response<wire::MachineState>, Status> {
        let principal = principal(&request)?;
        let state = self
            .backend
            .current_state(principal, request.into_inner())
            .await?;
        Ok(Response::new(state))
    }

    async fn get_history(
        &self,
        request: Request<wire::HistoryRequest>,
    ) -> Result<Response<wire::HistoryReply>, Status> {
        let principal = principal(&request)?;
        let reply = self.backend.history(principal, request.into_inner()).await?;
        Ok(Response::new(reply))
    }
}

#[async_trait]
impl ConfigService for Adapter {
    async fn list_rules(
        &self,
        request: Request<wire::ListRulesRequest>,
    ) -> Result<Response<wire::ListRulesReply>, Status> {
        let principal = principal(&request)?;
        let reply = self.backend.list_rules(principal).await?;
        Ok(Response::new(reply))
    }

    async fn put_rule(
        &self,
        request: Request<wire::PutRuleRequest>,
    ) -> Result<Response<wire::ChangeReply>, Status> {
        let principal = principal(&request)?;
        changed(self.backend.put_rule(principal, request.into_inner()).await?)
    }

    async fn delete_rule(
        &self,
        request: Request<wire::DeleteRuleRequest>,
    ) -> Result<Response<wire::ChangeReply>, Status> {
        let principal = principal(&request)?;
        changed(self.backend.delete_rule(principal, request.into_inner()).await?)
    }

    async fn list_audit(
        &self,
        request: Request<wire::ListAuditRequest>,
    ) -> Result<Response<wire::ListAuditReply>, Status> {
        let principal = principal(&request)?;
        let reply = self.backend.list_audit(principal, request.into_inner()).await?;
        Ok(Response::new(reply))
    }
}

/// A change that was not made is a failure for whoever made a single call.
fn changed(reply: wire::ChangeReply) -> Result<Response<wire::ChangeReply>, Status> {
    if reply.conflict {
        Err(conflict::to_status(reply))
    } else {
        Ok(Response::new(reply))
    }
}
