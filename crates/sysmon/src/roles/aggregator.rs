//! The server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use eyre::Result;
use sysmon_aggregator::{Aggregator, Clock, Stores};
use sysmon_api::{Access, ApiError, Backend, Code, Server, TlsIdentity, local_socket_path};
use tokio_util::sync::CancellationToken;

use crate::paths::Paths;
use crate::settings::{Problem, Settings, table};

/// A server whose settings are valid and whose files could be read; nothing is bound yet.
#[derive(Debug)]
pub struct AggregatorRole {
    listen: SocketAddr,
    tls: Option<TlsIdentity>,
    access: Arc<Access>,
    is_exposed: bool,
}

impl AggregatorRole {
    /// Takes the settings over and reads the files that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_settings(settings: &Settings, paths: &Paths) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let listen = settings.get(&table::AGGREGATOR_LISTEN);
        let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 50_051)));
        let tls = tls(settings).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let has_tls_setting = settings.origin(&table::AGGREGATOR_TLS_CERT).is_some();
        let is_exposed = !listen.ip().to_canonical().is_loopback() && !has_tls_setting;
        if is_exposed && settings.get(&table::AGGREGATOR_INSECURE) != Some(true) {
            problems.push(settings.problem(
                &table::AGGREGATOR_LISTEN,
                format!(
                    "{listen} can be reached from other machines, and without TLS everyone on the way could read the \
                     tokens; give --tls-cert and --tls-key, or --insecure if you know that nobody listens"
                ),
            ));
        }
        let access = access(settings, paths).unwrap_or_else(|problem| {
            problems.push(problem);
            Access::local_only()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            listen,
            tls,
            access: Arc::new(access),
            is_exposed,
        })
    }

    /// Listens on the address, and on the socket that lets the own user in without a token.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(self, backend: Arc<dyn Backend>) -> Result<Server> {
        let has_tls = self.tls.is_some();
        let mut server = Server::new(backend, self.access);
        // The socket first: whoever waits for this address to open, such as a collector of this user without a token, would
        // be refused there.
        let bind_socket = |server: &mut Server, address: SocketAddr| {
            // Where another machine's address is given, that port on this machine may be somebody else's.
            let is_here = address.ip().is_unspecified() || address.ip().to_canonical().is_loopback();
            if is_here && cfg!(unix) {
                bind_local(server, &local_socket_path(address.port()));
            }
        };
        let address = server.bind_tcp_after(self.listen, self.tls, bind_socket).await?;
        tracing::info!(%address, tls = has_tls, "listening");
        if self.is_exposed {
            tracing::warn!(
                %address,
                "listening beyond this machine WITHOUT TLS: everyone on the way can read the tokens and all that is sent"
            );
        }
        Ok(server)
    }
}

/// Without the socket everything works but the access without a token.
fn bind_local(server: &mut Server, path: &Path) {
    match server.bind_unix(path) {
        Ok(()) => tracing::info!(path = %path.display(), "listening for this user without a token"),
        Err(error) => tracing::warn!(path = %path.display(), "this user needs a token too: {error}"),
    }
}

/// Of one machine that reports every second a commit holds one tick: collecting for longer halves what is forced to disk, and
/// with it what a laptop's battery pays. What is not committed is not acknowledged; a past that is played counts on
/// everything older than two seconds being stored.
const EMBEDDED_COMMIT_GROUP_MS: u64 = 1_500;

/// The state of the fleet behind the server, and the work that keeps it.
///
/// # Errors
/// None that is known: its own defaults are valid.
pub(crate) fn aggregator(
    stores: Stores,
    shutdown: CancellationToken,
) -> Result<(Aggregator, impl Future<Output = ()> + Send + 'static), ApiError> {
    aggregator_with(sysmon_aggregator::Config::default(), stores, shutdown)
}

/// The same for a console that runs everything itself.
///
/// # Errors
/// The same.
pub(crate) fn embedded_aggregator(
    stores: Stores,
    shutdown: CancellationToken,
) -> Result<(Aggregator, impl Future<Output = ()> + Send + 'static), ApiError> {
    let config = sysmon_aggregator::Config {
        commit_group_ms: EMBEDDED_COMMIT_GROUP_MS,
        ..sysmon_aggregator::Config::default()
    };
    aggregator_with(config, stores, shutdown)
}

fn aggregator_with(
    config: sysmon_aggregator::Config,
    stores: Stores,
    shutdown: CancellationToken,
) -> Result<(Aggregator, impl Future<Output = ()> + Send + 'static), ApiError> {
    Aggregator::new(config, Clock::system(), stores, shutdown)
        .map_err(|error| ApiError::new(Code::Internal, error.to_string()))
}

fn tls(settings: &Settings) -> Result<Option<TlsIdentity>, Problem> {
    let (cert, key) = (&table::AGGREGATOR_TLS_CERT, &table::AGGREGATOR_TLS_KEY);
    match (settings.get(cert), settings.get(key)) {
        (Some(cert_path), Some(key_path)) => TlsIdentity::read(&cert_path, &key_path)
            .map(Some)
            .map_err(|error| settings.problem(cert, error.message)),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(settings.problem(cert, "there is no key to this certificate; give --tls-key too"))
        }
        (None, Some(_)) => {
            Err(settings.problem(key, "there is no certificate to this key; give --tls-cert too"))
        }
    }
}

fn access(settings: &Settings, paths: &Paths) -> Result<Access, Problem> {
    match paths.tokens_file(settings) {
        Some(file) => Access::with_tokens_file(file)
            .map_err(|error| settings.problem(&table::AUTH_TOKENS_FILE, error.to_string())),
        None => Ok(Access::local_only()),
    }
}
