//! ntfy, to telephones (docs.ntfy.sh/publish, "Publish as JSON": a header could not hold every text).

use serde_json::json;

use super::HttpClient;
use crate::failure::Failure;
use crate::message::Message;

/// What is longer becomes an attachment.
const TEXT_BYTES_MAX: usize = 3_800;

#[derive(Debug)]
pub(crate) struct Ntfy {
    /// Posts to the root of the server.
    pub(crate) client: HttpClient,
    pub(crate) topic: String,
}

impl Ntfy {
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        self.client
            .post(delivery, "application/json", self.body(message))
            .await
    }

    fn body(&self, message: &Message) -> String {
        let (priority, tag) = match (message.kind.as_str(), message.severity.as_str()) {
            ("recovered", _) => (3, "white_check_mark"),
            (_, "critical") => (5, "rotating_light"),
            (_, "warning") => (4, "warning"),
            _ => (3, "information_source"),
        };
        let text = message.text();
        let rest = text.strip_prefix(&message.summary).unwrap_or(&text).trim_start();
        let rest = if rest.is_empty() { &message.summary } else { rest };
        json!({
            "topic": self.topic,
            "title": message.summary,
            "message": cut(rest, TEXT_BYTES_MAX),
            "priority": priority,
            "tags": [tag],
        })
        .to_string()
    }
}

/// The text cut to at most so many bytes, between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 9), "aé");
        assert_eq!(cut("é", 0), "");
    }
}
