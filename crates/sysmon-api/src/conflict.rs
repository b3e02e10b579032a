//! A change that was not made because somebody else was first, as the end of a call.
//!
//! A unary call that fails has no reply; what is there instead travels in a trailer. Trailers are headers, of which both
//! sides take 16 KiB: a rule that is longer is left out, and whoever wants it asks for it.

use prost::Message as _;
use tonic::metadata::MetadataValue;

use crate::wire;

/// Where the reply is.
const TRAILER: &str = "conflict-bin";
/// The longest reply that is sent; a third more as text, and other headers want room too.
const REPLY_BYTES_MAX: usize = 8 * 1024;

/// The status for a change that was not made.
pub(crate) fn to_status(mut reply: wire::ChangeReply) -> tonic::Status {
    let text = match &mut reply.stored {
        None => "the rule is not there any more; read the rules again".to_owned(),
        Some(stored) => format!(
            "{} changed the rule meanwhile, it has version {} now; read it again and make the change there",
            stored.changed_by, stored.version
        ),
    };
    if reply.encoded_len() > REPLY_BYTES_MAX
        && let Some(stored) = &mut reply.stored
    {
        stored.rule = None;
    }
    let mut status = tonic::Status::aborted(text);
    let value = MetadataValue::from_bytes(&reply.encode_to_vec());
    status.metadata_mut().insert_bin(TRAILER, value);
    status
}

/// The reply in a status; `None` when it is about something else. A rule that was too long for it is missing.
pub(crate) fn from_status(status: &tonic::Status) -> Option<wire::ChangeReply> {
    if status.code() != tonic::Code::Aborted {
        return None;
    }
    let bytes = status.metadata().get_bin(TRAILER)?.to_bytes().ok()?;
    wire::ChangeReply::decode(bytes)
        .ok()
        .filter(|reply| reply.conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(note: String) -> wire::ChangeReply {
        wire::ChangeReply {
            conflict: true,
            stored: Some(wire::StoredRule {
                rule: Some(wire::Rule {
                    rule_id: "cpu-busy".into(),
                    note,
                    ..Default::default()
                }),
                version: 7,
                changed_by: "ann".into(),
                changed_unix_ms: 5,
            }),
        }
    }

    #[test]
    fn a_conflict_survives_the_trailer_and_only_a_long_rule_is_left_out() {
        let reply = conflict("look".into());
        assert_eq!(from_status(&to_status(reply.clone())), Some(reply));
        let gone = wire::ChangeReply {
            conflict: true,
            stored: None,
        };
        assert_eq!(from_status(&to_status(gone.clone())), Some(gone));
        let long = from_status(&to_status(conflict("x".repeat(9_000)))).unwrap();
        let stored = long.stored.unwrap();
        assert_eq!((stored.rule, stored.version), (None, 7));
        assert_eq!(from_status(&tonic::Status::aborted("something else")), None);
    }
}
