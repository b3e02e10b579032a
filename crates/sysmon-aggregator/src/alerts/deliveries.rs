//! How clients have notifications sent again, and receivers tested.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sysmon_api::{ApiError, Code, Principal, wire};
use sysmon_store::{Delivery, DeliveryState};
use tokio::time::sleep;

use super::commands::{found, operator};
use super::{Alerts, Parts};

/// How often, and how many times, it is looked whether a test has arrived: for less time than a client waits.
const OUTCOME_LOOK: Duration = Duration::from_millis(250);
const OUTCOME_LOOKS: u32 = 24;
/// Among so many of the newest deliveries.
const OUTCOME_AMONG: u32 = 200;
/// The longest name of a receiver, in bytes.
const RECEIVER_BYTES_MAX: usize = 64;

impl Alerts {
    /// Sends a dead delivery again.
    ///
    /// # Errors
    /// That there is no dead one of this id; that the principal may not; that the store does not answer.
    pub(crate) async fn resend(
        self: &Arc<Self>,
        principal: &Principal,
        delivery_id: String,
    ) -> Result<(), ApiError> {
        operator(principal, "send notifications again")?;
        let author = self.author(principal);
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let is_due = alerts.ask(alerts.store.resend(&delivery_id, &author)).await?;
            alerts.deliveries_changed().await;
            found(
                is_due,
                "no delivery of this id has failed for good; it was sent, or is on its way already",
            )
        })
        .await
    }

    /// Has the alert service send a test to a receiver, and waits for what becomes of it.
    ///
    /// # Errors
    /// Why it was not taken, or that it is still on its way; that there is no such receiver, or nobody who would send; that
    /// the principal may not; that the store does not answer.
    pub(crate) async fn test_receiver(
        self: &Arc<Self>,
        principal: &Principal,
        receiver: String,
    ) -> Result<(), ApiError> {
        operator(principal, "test receivers")?;
        self.check_receiver(&receiver)?;
        let author = self.author(principal);
        let random: u128 = rand::random();
        let content = json!({"kind": "test", "receiver": receiver, "at_unix_ms": author.at.0});
        let id = format!("{random:032x}");
        let delivery = Delivery {
            id: id.clone(),
            receiver,
            content: content.to_string(),
            created: author.at,
            state: DeliveryState::Pending,
            attempts: 0,
            due: author.at,
            problem: String::new(),
        };
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let request = alerts.store.request_delivery(&delivery, &author);
            alerts.ask(request).await?;
            alerts.deliveries_changed().await;
            Ok(())
        })
        .await?;
        self.outcome(&id).await
    }

    /// What becomes of a delivery that is on its way, if that is soon.
    async fn outcome(&self, id: &str) -> Result<(), ApiError> {
        for _ in 0..OUTCOME_LOOKS {
            sleep(OUTCOME_LOOK).await;
            let recent = self.ask(self.store.deliveries(None, OUTCOME_AMONG)).await?;
            let Some(delivery) = recent.into_iter().find(|delivery| delivery.id == id) else {
                continue;
            };
            let then = match delivery.state {
                DeliveryState::Sent => return Ok(()),
                DeliveryState::Pending if delivery.attempts == 0 => continue,
                DeliveryState::Pending => "; it is tried again",
                DeliveryState::Dead | DeliveryState::Dropped => "",
            };
            let problem = sysmon_core::sanitize(&delivery.problem);
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{} did not take the test: {problem}{then}", delivery.receiver),
            ));
        }
        Err(ApiError::unavailable(
            "the test is on its way; what fails is among the failed notifications",
        ))
    }

    /// Whether somebody would send to a receiver. Without a bus nobody says so: then it is tried.
    fn check_receiver(&self, receiver: &str) -> Result<(), ApiError> {
        if receiver.is_empty() || receiver.len() > RECEIVER_BYTES_MAX || !sysmon_core::is_clean(receiver) {
            return Err(ApiError::invalid(format!(
                "a receiver has a name of 1 to {RECEIVER_BYTES_MAX} bytes; name one of those that are configured"
            )));
        }
        if self.bus.is_none() {
            return Ok(());
        }
        let board = self.board.borrow();
        match board.receivers() {
            None => Err(ApiError::new(
                Code::FailedPrecondition,
                "no alert service has been heard of, so nothing would be sent; start `sysmon alerts`, then test again",
            )),
            Some([]) => Err(ApiError::new(
                Code::NotFound,
                "the alert service has no receivers; configure some first",
            )),
            Some(known) if known.iter().any(|name| name == receiver) => Ok(()),
            Some(known) => Err(ApiError::new(
                Code::NotFound,
                format!("there is no receiver {receiver}; there are {}", known.join(", ")),
            )),
        }
    }

    async fn deliveries_changed(&self) {
        self.wanted.ask(Parts::DELIVERIES);
        let news = wire::AlertNews {
            deliveries_changed: true,
            ..Default::default()
        };
        self.publish(news).await;
    }
}
