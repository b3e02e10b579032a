//! Slack, and what takes the same: incoming webhooks (api.slack.com/messaging/webhooks).

use serde_json::json;

use super::HttpClient;
use crate::failure::Failure;
use crate::message::Message;

/// Slack cuts what is longer than 40,000 characters; nobody reads a tenth of it.
const TEXT_CHARACTERS_MAX: usize = 4_000;

#[derive(Debug)]
pub(crate) struct Slack(pub(crate) HttpClient);

impl Slack {
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        let body = json!({ "text": text(message) }).to_string();
        self.0.post(delivery, "application/json", body).await
    }
}

/// The message with its summary in bold, and without what Slack would take for links, mentions or marks.
fn text(message: &Message) -> String {
    let text: String = message.text().chars().take(TEXT_CHARACTERS_MAX).collect();
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    match text.split_once('\n') {
        Some((summary, rest)) => format!("*{}*\n{rest}", summary.replace('*', "∗")),
        None => format!("*{}*", text.replace('*', "∗")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_mentions_nobody() {
        let message = Message {
            summary: "CRITICAL: <!channel> & *more*".into(),
            ..Message::default()
        };
        assert_eq!(text(&message), "*CRITICAL: &lt;!channel&gt; &amp; ∗more∗*");
    }
}
