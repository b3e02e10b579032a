//! A receiver of tests: keeps what it is sent, and answers as it is told.

use std::sync::{Arc, Mutex};

use crate::failure::Failure;
use crate::message::Message;

/// Counts a call; when it does not come back, neither does whoever made it.
pub(crate) type Gate = Arc<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) taken: Arc<Mutex<Vec<(String, Message)>>>,
    pub(crate) failure: Arc<Mutex<Option<Failure>>>,
    /// Passed after a message was taken, before the sender knows.
    pub(crate) gate: Arc<Mutex<Option<Gate>>>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Probe")
    }
}

impl Probe {
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        let failure = self.failure.lock().unwrap().clone();
        let result = match failure {
            Some(failure) => Err(failure),
            None => {
                let taken = (delivery.to_owned(), message.clone());
                self.taken.lock().unwrap().push(taken);
                Ok(())
            }
        };
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate().await;
        }
        result
    }

    /// What came, each by its kind and its alerts, as `kind machine:change …`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let line = |(_, message): &(String, Message)| {
            let alerts: Vec<_> = message
                .alerts
                .iter()
                .map(|alert| format!("{}:{}", alert.machine_id, alert.change))
                .collect();
            format!("{} {}", message.kind, alerts.join(" "))
        };
        taken.iter().map(line).collect()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|(id, _)| id.clone()).collect()
    }
}
