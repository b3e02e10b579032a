//! The other side, for texts of what went wrong with it.

use std::error::Error;
use std::io;

use crate::error::{ApiError, Code, causes};

const LOSS: &str = "lost the connection to";

/// A server by its name.
#[derive(Debug)]
pub(crate) struct Remote {
    name: String,
    /// Whether it is spoken to over TCP without TLS.
    is_plain: bool,
}

impl Remote {
    pub(super) fn new(name: String, is_plain: bool) -> Self {
        Self { name, is_plain }
    }

    /// What it means that a call could not even begin.
    pub(super) fn explain_call(&self, status: &tonic::Status) -> ApiError {
        let mut error = self.explain(status);
        // A server that expects TLS hangs up on whoever speaks without.
        if self.is_plain && error.message.starts_with(LOSS) {
            error.message.push_str("; if it uses TLS, write https://");
        }
        error
    }

    /// What a failed call means for the one who made it: what the server says is passed on, and what happened on the
    /// way there is said together with the server's name and what to do.
    pub(crate) fn explain(&self, status: &tonic::Status) -> ApiError {
        let Some(source) = status.source() else {
            return ApiError::from(status.clone());
        };
        let name = &self.name;
        let causes = causes(source);
        // That is what tonic calls every error; the reason follows.
        let causes = sysmon_core::sanitize(causes.trim_start_matches("transport error: ")).into_owned();
        if find::<tonic::TimeoutExpired>(source).is_some() {
            return ApiError::new(
                Code::DeadlineExceeded,
                format!("{name} did not answer in time; is it overloaded?"),
            );
        }
        if find::<tonic::ConnectError>(source).is_none() {
            return ApiError::unavailable(format!("{LOSS} {name} ({causes})"));
        }
        let error = find::<io::Error>(source).map(io::Error::kind);
        let reason = match error {
            Some(io::ErrorKind::ConnectionRefused) => {
                "connection refused; is `sysmon aggregator` running there?".to_owned()
            }
            Some(io::ErrorKind::NotFound) => "there is no such socket; is `sysmon aggregator` running?".to_owned(),
            Some(io::ErrorKind::PermissionDenied) => {
                "permission denied; only the server's own user may use its socket, others use http:// and a token"
                    .to_owned()
            }
            Some(io::ErrorKind::TimedOut) => "no answer in time; check the address and the firewall".to_owned(),
            Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
                "no way to that host; check the address and the network".to_owned()
            }
            Some(io::ErrorKind::NotConnected) => "the server of this process has stopped; start again".to_owned(),
            _ => describe_connect(&causes),
        };
        ApiError::unavailable(format!("cannot reach {name}: {reason}"))
    }
}

/// Texts of rustls and the resolver, which have no types here.
fn describe_connect(causes: &str) -> String {
    let remedy = if causes.contains("UnknownIssuer") {
        "its certificate comes from an unknown authority; name that authority's certificate with --tls-ca"
    } else if causes.contains("not valid for name") || causes.contains("NotValidForName") {
        "its certificate is for another name; use that name in the address"
    } else if causes.contains("expired") || causes.contains("Expired") {
        "its certificate has expired; renew it, or check the clock of this machine"
    } else if causes.contains("certificate") {
        "its certificate is not accepted; check it, and --tls-ca"
    } else if causes.contains("InvalidContentType") || causes.contains("corrupt message") {
        "it does not speak TLS; write http://, or turn TLS on there"
    } else if causes.contains("dns error") {
        "the name cannot be resolved; check how it is written"
    } else {
        "check the address, and whether `sysmon aggregator` is running there"
    };
    format!("{remedy} ({causes})")
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
