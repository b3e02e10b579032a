//! Any program that takes JSON over HTTP.

use serde::Serialize;

use super::HttpClient;
use crate::failure::Failure;
use crate::message::Message;

#[derive(Debug)]
pub(crate) struct Webhook(pub(crate) HttpClient);

/// A message with its name and its text, as it leaves.
#[derive(Serialize)]
struct Sent<'a> {
    delivery_id: &'a str,
    #[serde(flatten)]
    message: &'a Message,
    text: String,
}

/// The body that webhooks and programs get.
pub(super) fn body(delivery: &str, message: &Message) -> String {
    let sent = Sent {
        delivery_id: delivery,
        message,
        text: message.text(),
    };
    // Strings, numbers and lists of them: there is nothing that JSON could not hold.
    serde_json::to_string(&sent).unwrap_or_default()
}

impl Webhook {
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        self.0
            .post(delivery, "application/json", body(delivery, message))
            .await
    }
}
