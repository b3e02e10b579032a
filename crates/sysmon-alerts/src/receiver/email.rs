//! Mail, by SMTP.

use std::fmt;
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use sysmon_api::Secret;

use crate::failure::Failure;
use crate::message::Message;

/// How long a mail may take, from the connection to the last answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long one command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmailTls {
    /// In the open; port 25.
    None,
    /// Begins in the open and must turn to TLS; port 587.
    StartTls,
    /// TLS from the first byte; port 465.
    Tls,
}

impl EmailTls {
    pub(crate) const WORDS: [(Self, &'static str); 3] = [
        (Self::None, "none"),
        (Self::StartTls, "starttls"),
        (Self::Tls, "tls"),
    ];

    pub(crate) fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// A mail server and who gets mail from it.
pub(crate) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    server: String,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Email")
            .field("server", &self.server)
            .field("from", &self.from.to_string())
            .field("to", &self.to.len())
            .finish_non_exhaustive()
    }
}

/// What an [`Email`] is made of.
#[derive(Debug)]
pub(crate) struct EmailParts {
    pub(crate) server: String,
    pub(crate) port: u16,
    pub(crate) tls: EmailTls,
    pub(crate) login: Option<(String, Secret)>,
    pub(crate) authorities: Option<String>,
    pub(crate) from: Mailbox,
    pub(crate) to: Vec<Mailbox>,
}

impl Email {
    /// # Errors
    /// What is wrong with the authorities or the server's name.
    pub(crate) fn new(parts: EmailParts) -> Result<Self, String> {
        let EmailParts {
            server,
            port,
            tls,
            login,
            authorities,
            from,
            to,
        } = parts;
        let tls = match tls {
            EmailTls::None => Tls::None,
            EmailTls::StartTls => Tls::Required(parameters(&server, authorities.as_deref())?),
            EmailTls::Tls => Tls::Wrapper(parameters(&server, authorities.as_deref())?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server)
            .port(port)
            .tls(tls)
            .timeout(Some(COMMAND_TIMEOUT));
        if let Some((user, password)) = login {
            builder = builder.credentials(Credentials::new(user, password.reveal().to_owned()));
        }
        Ok(Self {
            transport: builder.build(),
            server: format!("{server}:{port}"),
            from,
            to,
        })
    }

    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        let mail = self.mail(delivery, message)?;
        match tokio::time::timeout(TIMEOUT, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let problem = format!("{}: {}", self.server, causes(&error));
                Err(if error.is_permanent() {
                    Failure::lasting(problem)
                } else {
                    Failure::passing(problem)
                })
            }
            Err(_) => Err(Failure::passing(format!(
                "{} did not take the mail within {} s",
                self.server,
                TIMEOUT.as_secs()
            ))),
        }
    }

    fn mail(&self, delivery: &str, message: &Message) -> Result<lettre::Message, Failure> {
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            // The same for every attempt, so that mail programs can tell a repeat.
            .message_id(Some(format!("<{delivery}@sysmon>")))
            .subject(message.summary.clone())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mut text = message.text();
        text.push('\n');
        mail.body(text)
            .map_err(|error| Failure::lasting(format!("the mail cannot be written: {error}")))
    }
}

fn parameters(server: &str, authorities: Option<&str>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.to_owned());
    if let Some(pem) = authorities {
        builder = builder.certificate_store(CertificateStore::None);
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| causes(&error))
}

/// What went wrong, from the outside to the inside.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let inner = source.to_string();
        if !text.contains(&inner) {
            text.push_str(&format!(": {inner}"));
        }
        next = source.source();
    }
    text
}
