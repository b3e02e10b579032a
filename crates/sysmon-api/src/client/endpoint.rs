//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::ApiError;
use crate::transport::InProcess;

const PORT_DEFAULT: u16 = 50_051;
const FORMS: &str = "write http://HOST:PORT, https://HOST:PORT or unix:/PATH";

/// The address of a server: `http://HOST:PORT`, `https://HOST:PORT`, `unix:/PATH`, or a server in the same process. A
/// port that is left out is 50051.
#[derive(Clone, Debug)]
pub struct Endpoint(pub(super) Target);

#[derive(Clone, Debug)]
pub(super) enum Target {
    Tcp {
        tls: bool,
        /// A name or address; one of IPv6 without brackets.
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    InProcess(InProcess),
}

impl Endpoint {
    /// A server in the same process.
    #[must_use]
    pub fn in_process(server: InProcess) -> Self {
        Self(Target::InProcess(server))
    }

    /// A server on a Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self(Target::Unix(path.into()))
    }

    /// Whether nothing that is sent there leaves this machine, or is encrypted before it does.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.is_local() || matches!(self.0, Target::Tcp { tls: true, .. })
    }

    /// Whether the server is on this machine: in the same process, on a socket, or on a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.0 {
            Target::Tcp { host, .. } => is_loopback(host),
            Target::Unix(_) | Target::InProcess(_) => true,
        }
    }
}

/// Names below `localhost` are loopback too: RFC 6761, section 6.3.
fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => address.to_canonical().is_loopback(),
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

impl FromStr for Endpoint {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        // Credentials must not come back in an error text, so that is looked at first.
        let shown = sysmon_core::sanitize(text);
        if let Some(path) = text.strip_prefix("unix:") {
            // Both unix:/path and unix:///path are common.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(ApiError::invalid(format!(
                    "{shown} is no endpoint: the path of a socket starts with '/'"
                )));
            }
            return Ok(Self::unix(path));
        }
        if text.contains('@') {
            return Err(ApiError::invalid(
                "an endpoint has no user and no password; give the token with its own option",
            ));
        }
        let wrong = |reason: &str| ApiError::invalid(format!("{shown} is no endpoint: {reason}; {FORMS}"));
        let uri: http::Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it starts with neither http:// nor https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("there is something behind the port"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        let host = authority.host();
        // What the URL's own parser takes for a port has at most five digits, and it passes over any other.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => Some(PORT_DEFAULT),
            // A number may begin with a sign, but a port may not.
            Some(port) => port
                .strip_prefix(':')
                .filter(|port| !port.starts_with('+'))
                .and_then(|port| port.parse().ok()),
            None => None,
        };
        let port = port.filter(|port| *port != 0);
        let port = port.ok_or_else(|| wrong("the port is not between 1 and 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        Ok(Self(Target::Tcp {
            tls,
            host: host.to_owned(),
            port,
        }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Tcp { tls, host, port } => {
                let scheme = if *tls { "https" } else { "http" };
                if host.contains(':') {
                    write!(formatter, "{scheme}://[{host}]:{port}")
                } else {
                    write!(formatter, "{scheme}://{host}:{port}")
                }
            }
            Target::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Target::InProcess(_) => formatter.write_str("this process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_form_are_understood_and_shown_in_full() {
        for (text, shown, is_local, is_confidential) in [
            ("http://web-1:4000", "http://web-1:4000", false, false),
            ("http://web-1", "http://web-1:50051", false, false),
            ("https://web-1/", "https://web-1:50051", false, true),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", true, true),
            ("http://[::1]:50051", "http://[::1]:50051", true, true),
            (
                "http://[::ffff:127.0.0.1]",
                "http://[::ffff:127.0.0.1]:50051",
                true,
                true,
            ),
            ("http://LOCALHOST", "http://LOCALHOST:50051", true, true),
            (
                "http://localhost.example.org",
                "http://localhost.example.org:50051",
                false,
                false,
            ),
            (
                "http://127.0.0.1.example.org",
                "http://127.0.0.1.example.org:50051",
                false,
                false,
            ),
            ("unix:/run/sysmon.sock", "unix:/run/sysmon.sock", true, true),
            ("unix:///run/sysmon.sock", "unix:/run/sysmon.sock", true, true),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.is_local(), is_local, "{text}");
            assert_eq!(endpoint.is_confidential(), is_confidential, "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_forms_there_are() {
        for text in [
            "",
            "web-1:50051",
            "ftp://web-1",
            "http://",
            "http://web-1:0",
            "http://web-1:65536",
            "http://web-1:",
            "http://web-1:+80",
            "http://web-1/path",
            "http://web-1?x=1",
            "http://[::1",
            "unix:relative",
            "http://web 1",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.message.contains("is no endpoint"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
        let error = "http://user:geheim@web-1".parse::<Endpoint>().unwrap_err();
        assert!(!error.message.contains("geheim"), "{error}");
    }
}
