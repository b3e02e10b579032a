//! The first words of every stream.

use sysmon_core::UnixMillis;

use crate::error::{ApiError, Code};
use crate::wire;

/// The protocol that this release speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Said by an aggregator that keeps history: it acknowledges what is durable, takes backlog and answers questions about
/// the past. Without it a collector that keeps what is not acknowledged would keep it for nothing.
pub const CAPABILITY_HISTORY: &str = "history";
/// Said by an aggregator that keeps rules: it answers commands about alerts.
pub const CAPABILITY_ALERTS: &str = "alerts";
/// Said by an aggregator that keeps history: a subscription may be about a moment of the past.
pub const CAPABILITY_PAST: &str = "past";
/// Machines can be measured more often while somebody looks.
pub const CAPABILITY_BURST: &str = "burst";

/// Said by an aggregator that reads filters as the language of `sysmon_core::filter`; an older one takes every word for one
/// that must occur.
pub const CAPABILITY_FILTER: &str = "filter-language";
/// Said by an aggregator that sends only the rows of a window; an older one sends every machine that matches.
pub const CAPABILITY_WINDOWS: &str = "windows";

/// Said by a collector that answers questions about one process and takes signals for it, if it is told to; and by an
/// aggregator that passes them on.
pub const CAPABILITY_PROCESSES: &str = "processes";

/// What this release says of itself at `now`.
#[must_use]
pub fn hello(now: UnixMillis) -> wire::PeerHello {
    hello_with(now, &[])
}

/// The same with what the sender understands beyond the base protocol.
#[must_use]
pub fn hello_with(now: UnixMillis, capabilities: &[&str]) -> wire::PeerHello {
    wire::PeerHello {
        protocol_version: PROTOCOL_VERSION,
        capabilities: capabilities.iter().map(ToString::to_string).collect(),
        software_version: env!("CARGO_PKG_VERSION").into(),
        now_unix_ms: now.0,
    }
}

/// Checks that the other side speaks our protocol.
///
/// # Errors
/// [`Code::FailedPrecondition`] with a text that names the side to upgrade.
pub fn check_peer(peer: Option<&wire::PeerHello>) -> Result<(), ApiError> {
    let Some(peer) = peer else {
        return Err(ApiError::invalid(
            "the first message must be a hello with the protocol version",
        ));
    };
    let (theirs, ours) = (peer.protocol_version, PROTOCOL_VERSION);
    // Version text comes from afar and may end up on a terminal.
    let release = sysmon_core::sanitize(&peer.software_version).into_owned();
    let other = if release.is_empty() {
        "the other side".into()
    } else {
        format!("the other side (release {release})")
    };
    if theirs < ours {
        Err(ApiError::new(
            Code::FailedPrecondition,
            format!("{other} speaks protocol {theirs}, this side needs {ours}: upgrade the other side"),
        ))
    } else if theirs > ours {
        Err(ApiError::new(
            Code::FailedPrecondition,
            format!("{other} speaks protocol {theirs}, this side only {ours}: upgrade this side"),
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_another_version_is_told_which_side_to_upgrade() {
        let mut peer = hello(UnixMillis(0));
        assert_eq!(check_peer(Some(&peer)), Ok(()));
        peer.protocol_version = 0;
        assert!(
            check_peer(Some(&peer))
                .unwrap_err()
                .message
                .ends_with("upgrade the other side")
        );
        peer.protocol_version = 9;
        assert!(
            check_peer(Some(&peer))
                .unwrap_err()
                .message
                .ends_with("upgrade this side")
        );
        assert!(check_peer(None).is_err());
    }
}
