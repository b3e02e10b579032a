//! What one client's stream has to do with alerts.

use std::sync::Arc;

use sysmon_api::{ApiError, Principal, wire};
use tokio::sync::watch;
use wire::command::Body as Ask;
use wire::response::Body;

use super::answers::{Answers, Kind};
use super::dry_run;
use crate::aggregator::Aggregator;
use crate::alerts::{Alerts, Board, Cursor, nothing_kept};

/// The board of alerts as one client sees it: never more than the client reads.
#[derive(Debug, Default)]
pub(super) struct Watching {
    /// None before the client has asked for it.
    board: Option<watch::Receiver<Board>>,
    cursor: Cursor,
}

impl Watching {
    /// Begins, or begins anew with everything.
    ///
    /// # Errors
    /// That there are no alerts here.
    pub(super) fn begin(&mut self, aggregator: &Aggregator) -> Result<(), ApiError> {
        let alerts = aggregator.alerts.as_ref().ok_or_else(nothing_kept)?;
        self.board = Some(alerts.watch());
        self.cursor = Cursor::default();
        Ok(())
    }

    /// The next message; for ever when the client has not asked for any. Safe to cancel.
    pub(super) async fn next(&mut self) -> wire::Response {
        loop {
            let Some(board) = &mut self.board else {
                return std::future::pending().await;
            };
            if let Some(message) = board.borrow_and_update().next(&mut self.cursor) {
                return wire::Response {
                    request_id: 0,
                    body: Some(Body::Alerts(message)),
                };
            }
            if board.changed().await.is_err() {
                // Nothing will change any more.
                self.board = None;
            }
        }
    }
}

/// Begins to do what a command about alerts asks.
///
/// # Errors
/// That there are no alerts here, or that the client asks too much at a time.
pub(super) fn begin(
    (aggregator, principal): (&Aggregator, &Principal),
    answers: &mut Answers,
    request_id: u64,
    ask: Ask,
) -> Result<(), ApiError> {
    let alerts = Arc::clone(aggregator.alerts.as_ref().ok_or_else(nothing_kept)?);
    if let Ask::DryRun(request) = &ask {
        return dry_run::begin(aggregator, alerts, answers, request_id, request);
    }
    let principal = principal.clone();
    answers.begin(request_id, Kind::Command, |parts| async move {
        let done = perform(&alerts, &principal, ask).await;
        parts.last(done).await;
    })
}

/// Whether a command is about alerts, but for the watching.
pub(super) fn is_about_alerts(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::PutRule(_)
            | Ask::DeleteRule(_)
            | Ask::DryRun(_)
            | Ask::Acknowledge(_)
            | Ask::AddSilence(_)
            | Ask::EndSilence(_)
            | Ask::AlertLog(_)
            | Ask::ResendDelivery(_)
            | Ask::TestReceiver(_)
    )
}

async fn perform(alerts: &Arc<Alerts>, principal: &Principal, ask: Ask) -> Result<Body, ApiError> {
    let done = |()| Body::Accepted(wire::Accepted {});
    match ask {
        Ask::PutRule(request) => alerts.put_rule(principal, request).await.map(Body::Change),
        Ask::DeleteRule(request) => alerts.delete_rule(principal, request).await.map(Body::Change),
        Ask::Acknowledge(request) => alerts.acknowledge(principal, request).await.map(done),
        Ask::AddSilence(silence) => alerts.add_silence(principal, silence).await.map(Body::Silence),
        Ask::EndSilence(end) => alerts.end_silence(principal, end.silence_id).await.map(done),
        Ask::AlertLog(request) => alerts.log(request).await.map(Body::AlertLog),
        Ask::ResendDelivery(resend) => alerts.resend(principal, resend.delivery_id).await.map(done),
        Ask::TestReceiver(test) => alerts.test_receiver(principal, test.receiver).await.map(done),
        _ => Err(unknown()),
    }
}

/// Why a command is not done.
pub(super) fn unknown() -> ApiError {
    ApiError::new(
        sysmon_api::Code::Unimplemented,
        "this aggregator does not know the command; upgrade it",
    )
}
