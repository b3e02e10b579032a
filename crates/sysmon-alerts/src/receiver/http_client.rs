//! One HTTP request at a time: made anew, bounded in time and size, never redirected.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sysmon_api::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::failure::Failure;

/// How long a request may take, name, connection and answer together.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer that says what is wrong is read.
const ANSWER_BYTES_MAX: usize = 2_048;
/// The longest time that a server may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// The name of the header with the delivery's id.
const DELIVERY: &str = "x-sysmon-delivery";

/// Where requests go. All of the address but its host may be a secret.
#[derive(Clone)]
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.shown())
    }
}

impl Target {
    /// Checks an address.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| "it is no URL; write https://HOST/PATH".to_owned())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it begins with neither https:// nor http://".to_owned()),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| "there is no host in it".to_owned())?;
        if authority.as_str().contains('@') {
            return Err("it has a user or password; give a token with token_file".to_owned());
        }
        let host = authority.host();
        if host.is_empty() {
            return Err("there is no host in it".to_owned());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self {
            host,
            port,
            is_tls,
            uri,
        })
    }

    /// The same server with another path.
    pub(crate) fn with_path(&self, path: &str) -> Option<Self> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        Some(Self {
            uri: Uri::from_parts(parts).ok()?,
            ..self.clone()
        })
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Whether nobody on the way can read what is sent.
    pub(crate) fn is_confidential(&self) -> bool {
        self.is_tls || is_loopback(&self.host)
    }

    /// What may be shown.
    fn shown(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Posts to one server.
#[derive(Clone)]
pub(crate) struct HttpClient {
    target: Target,
    token: Option<Secret>,
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpClient")
            .field("target", &self.target)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// # Errors
    /// What is wrong with the authorities.
    pub(crate) fn new(
        target: Target,
        token: Option<Secret>,
        authorities: Option<&str>,
    ) -> Result<Self, String> {
        Ok(Self {
            target,
            token,
            tls: tls::client(authorities)?,
        })
    }

    /// Posts a body. Whatever begins with 2 is success, whatever the answer's body says.
    pub(crate) async fn post(
        &self,
        delivery: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<(), Failure> {
        let request = self.request(delivery, content_type, body)?;
        match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::passing(format!(
                "{} did not answer within {} s; is it overloaded?",
                self.target.shown(),
                TIMEOUT.as_secs()
            ))),
        }
    }

    fn request(
        &self,
        delivery: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let failed = |_| Failure::lasting("the request cannot be made; check url and token");
        let path = self.target.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self
            .target
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("sysmon/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, content_type)
            .header(DELIVERY, delivery);
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.reveal());
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| Failure::lasting("the token has characters that no token has; copy it again"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Full::new(Bytes::from(body))).map_err(failed)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(), Failure> {
        let Target { host, port, .. } = &self.target;
        let shown = self.target.shown();
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream =
            stream.map_err(|error| Failure::passing(format!("cannot connect to {shown}: {error}")))?;
        if !self.target.is_tls {
            return self.talk(stream, request).await;
        }
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Failure::lasting(format!("{shown} has a name that no certificate can have")))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.map_err(|error| {
            Failure::passing(format!(
                "{shown} cannot be trusted or does not speak TLS: {error}; ca_file names an authority of your own"
            ))
        })?;
        self.talk(stream, request).await
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<(), Failure> {
        let lost =
            |error: hyper::Error| Failure::passing(format!("{} broke off: {error}", self.target.shown()));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(lost)?;
            judge(&self.target.shown(), response).await
        };
        tokio::pin!(exchange, connection);
        let mut is_open = true;
        loop {
            tokio::select! {
                biased;
                result = &mut exchange => return result,
                // What it ended with comes out of the exchange too.
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }
}

/// What an answer means.
async fn judge(shown: &str, response: Response<Incoming>) -> Result<(), Failure> {
    let (head, body) = response.into_parts();
    let status = head.status;
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let place = head.headers.get(LOCATION).and_then(|place| place.to_str().ok());
        // The path there may be as secret as ours.
        let place = place
            .and_then(|place| Target::parse(place).ok())
            .map_or_else(|| "another address".to_owned(), |target| target.shown());
        return Err(Failure::lasting(format!(
            "{shown} answers {status} and points to {place}; redirects are not followed, configure the address it moved to"
        )));
    }
    let says = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let says = says.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let says = String::from_utf8_lossy(&says);
    let says = says.trim();
    let mut problem = format!("{shown} answers {status}");
    if !says.is_empty() {
        problem.push_str(&format!(": {says}"));
    }
    let is_passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    if !is_passing {
        return Err(Failure::lasting(problem));
    }
    let mut failure = Failure::passing(problem);
    failure.retry_after = retry_after(&head.headers, SystemTime::now());
    Err(failure)
}

/// How long a server wants to be left alone: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_shows_has_no_secret() {
        let target = Target::parse("https://hooks.example.org/services/T0/B0/geheim?x=y").unwrap();
        assert_eq!(format!("{target:?}"), "https://hooks.example.org:443");
        for bad in [
            "",
            "hooks.example.org/geheim",
            "ftp://geheim",
            "https://user:geheim@host/",
            "http://",
        ] {
            let problem = Target::parse(bad).unwrap_err();
            assert!(!problem.contains("geheim"), "{problem}");
        }
        assert!(Target::parse("http://[::1]:80/x").unwrap().is_confidential());
        assert!(!Target::parse("http://web-1/x").unwrap().is_confidential());
    }

    #[test]
    fn a_server_may_ask_for_peace_in_seconds_or_until_a_date_but_not_for_ever() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(of("17"), Some(Duration::from_secs(17)));
        assert_eq!(of("Thu, 01 Jan 1970 00:17:40 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(of("soon"), None);
    }
}
