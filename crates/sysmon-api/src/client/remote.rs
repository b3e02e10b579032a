//! The other side, for texts of what went wrong with it.

use std::error::Error;
use std::io;

use crate::error::{ApiError, Code, causes};

/// A server by its name.
#[derive(Debug)]
pub(crate) struct Remote {
    name: String,
    tls: bool,
}

impl Remote {
    pub(super) fn new(name: String, tls: bool) -> Self {
        Self { name, tls }
    }

    /// What a failed call means for the one who made it: what the server says is passed on, and what happened on the
    /// way there is said together with the server's name and what to do.
    pub(crate) fn explain(&self, status: &tonic::Status) -> ApiError {
        let Some(source) = status.source() else {
            return ApiError::from(status.clone());
        };
        let name = &self.name;
        let causes = sysmon_core::sanitize(&causes(source)).into_owned();
        if find::<tonic::TimeoutExpired>(source).is_some() {
            return ApiError::new(
                Code::DeadlineExceeded,
                format!("{name} did not answer in time; is it overloaded?"),
            );
        }
        if find::<tonic::ConnectError>(source).is_none() {
            return ApiError::unavailable(self.describe_loss(&causes));
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

    fn describe_loss(&self, causes: &str) -> String {
        let Self { name, tls } = self;
        // A server that expects TLS hangs up on whoever speaks without, before the first answer.
        if !tls && causes.contains("http2 error") && !causes.contains("keep-alive") {
            return format!("lost the connection to {name} ({causes}); if it uses TLS, write https://");
        }
        format!("lost the connection to {name} ({causes})")
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
