//! A console without an aggregator: it runs one itself, or shares the one of another console of the same user.
//!
//! Who holds the lock in the data folder runs the roles and serves a socket. Whoever comes later connects to that
//! socket, and takes over when the holder leaves: the lock is free as soon as its roles have ended.

mod lock;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eyre::Report;
use sysmon_aggregator::Stores;
use sysmon_api::{Access, ApiError, Client, ClientConfig, Code, Endpoint, Server, local_socket_path};
use sysmon_tui::Connect;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::paths::Paths;
use crate::roles::{self, AlertsRole, CollectorRole};
use crate::storage::Storage;
use lock::{Attempt, Lock};

/// How long to look for either the lock or somebody behind the socket: as long as a holder needs between the two.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(50);
/// How long the holder may take to answer before it counts as hung.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// How an embedded console relates to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Holds the lock and serves the socket, so that others can join.
    Shared,
    /// Joins whoever is there, but lets nobody join: for a run of a second or two.
    Private,
}

/// Where consoles of one user find each other.
#[derive(Clone, Debug)]
pub struct Places {
    /// Held by the console that runs the roles; `None` where there is no place for it.
    pub lock_file: Option<PathBuf>,
    /// Served by that console.
    pub socket: PathBuf,
}

impl Places {
    /// Those of the present user.
    #[must_use]
    pub fn of_user(paths: &Paths) -> Self {
        Self {
            lock_file: paths.data_folder().map(|folder| folder.join("embedded.lock")),
            // Beside the sockets of servers, in the folder that belongs to this user.
            socket: local_socket_path(0).with_file_name("embedded.sock"),
        }
    }
}

/// Connects to the roles of this machine, starting them where nobody has.
#[derive(Debug)]
pub struct Embedded {
    collector: CollectorRole,
    alerts: AlertsRole,
    storage: Storage,
    sharing: Sharing,
    places: Places,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    held: Option<Held>,
}

/// Roles that run in this process.
#[derive(Debug)]
struct Held {
    client: Client,
    /// Cancelled when one of them ends, and then so do the others.
    ended: CancellationToken,
}

/// The handle by which whoever started it ends what runs in this process.
#[derive(Clone, Debug)]
pub struct EmbeddedRoles {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl EmbeddedRoles {
    /// Ends the roles, waiting until they have.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Embedded {
    /// Nothing is started before the first connection.
    #[must_use]
    pub fn new(
        collector: CollectorRole,
        alerts: AlertsRole,
        storage: Storage,
        places: Places,
        sharing: Sharing,
    ) -> Self {
        Self {
            collector,
            alerts,
            storage,
            sharing,
            places,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            held: None,
        }
    }

    /// By which to end the roles.
    #[must_use]
    pub fn roles(&self) -> EmbeddedRoles {
        EmbeddedRoles {
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        }
    }

    async fn find_or_start(&mut self) -> Result<Client, ApiError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Lock::attempt(self.places.lock_file.as_deref()) {
                Attempt::Taken(lock) => return self.start(Some(lock)),
                Attempt::Impossible(reason) => {
                    tracing::warn!(%reason, "other consoles of this user cannot join");
                    return self.start(None);
                }
                Attempt::HeldByOther => {}
            }
            let reason = match attach(&self.places).await {
                Ok(client) => {
                    tracing::info!(socket = %self.places.socket.display(), "joined another console of this user");
                    return Ok(client);
                }
                Err(reason) => reason,
            };
            if Instant::now() >= deadline {
                // It hangs, or was suspended in a shell and forgotten: no reason to show nothing here.
                tracing::warn!(%reason, "another console of this user does not answer; running without it");
                return self.start(None);
            }
            sleep(RETRY).await;
        }
    }

    fn start(&mut self, lock: Option<Lock>) -> Result<Client, ApiError> {
        let ended = self.shutdown.child_token();
        let stores = self.open_stores(lock.is_some(), &ended)?;
        let (aggregator, owner) = roles::embedded_aggregator(stores.clone(), ended.clone())?;
        let mut server = Server::new(Arc::new(aggregator), Access::local_only().into());
        let client = Client::new(ClientConfig::new(Endpoint::in_process(server.in_process())))?;
        // A private one only wanted to know that nobody holds the lock.
        let lock = lock.filter(|_| self.sharing == Sharing::Shared);
        if lock.is_some()
            && cfg!(unix)
            && let Err(error) = server.bind_unix(&self.places.socket)
        {
            tracing::warn!(socket = %self.places.socket.display(), "other consoles of this user cannot join: {error}");
        }
        let serving = server.serve(ended.clone());
        self.spawn("the server", &ended, async move {
            let result = serving.await;
            // Not before the socket is gone: whoever takes over makes it anew.
            drop(lock);
            result.map_err(Report::new)
        });
        self.spawn("the aggregator", &ended, async {
            owner.await;
            Ok(())
        });
        let collecting = self.collector.clone().run(client.clone(), ended.clone());
        self.spawn("the collector", &ended, collecting);
        let evaluating = self.alerts.clone().run(stores, client.clone(), ended.clone());
        self.spawn("the alert service", &ended, evaluating);
        self.held = Some(Held {
            client: client.clone(),
            ended,
        });
        Ok(client)
    }

    /// What history is kept in, opened while the first picture is already drawn. Only the holder of the lock may write to
    /// the file; whoever could not get it remembers an hour. A run of a second or two needs none.
    fn open_stores(&self, holds_lock: bool, ended: &CancellationToken) -> Result<Stores, ApiError> {
        let storage = match (self.sharing, holds_lock) {
            (Sharing::Private, _) => return Ok(Stores::default()),
            (Sharing::Shared, true) => self.storage.clone(),
            (Sharing::Shared, false) => self.storage.clone().in_memory(),
        };
        storage
            .open_in_background(ended)
            .map_err(|error| ApiError::new(Code::FailedPrecondition, error.message))
    }

    /// Runs a role; when it ends, whyever, the others end too, and the next connection starts them all anew.
    fn spawn(
        &self,
        role: &'static str,
        ended: &CancellationToken,
        work: impl Future<Output = Result<(), Report>> + Send + 'static,
    ) {
        let others = ended.clone().drop_guard();
        self.tasks.spawn(async move {
            let result = work.await;
            if let Err(report) = result {
                tracing::error!("{role} failed: {report:#}");
            }
            drop(others);
        });
    }
}

/// A connection to the console that serves the socket, if it answers.
async fn attach(places: &Places) -> Result<Client, ApiError> {
    if !is_of_this_user(places) {
        return Err(ApiError::unavailable(
            "its socket is not there, or not of this user",
        ));
    }
    let client = Client::new(ClientConfig::new(Endpoint::unix(&places.socket)))?;
    match timeout(ANSWER_TIMEOUT, client.health("")).await {
        Ok(Ok(true)) => Ok(client),
        Ok(Ok(false)) => Err(ApiError::unavailable("it is about to end")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ApiError::unavailable("no answer in time")),
    }
}

/// Whether nobody but the owner of the lock, which is this user, can have put the socket where it is: where a system
/// has no runtime folders, it is below one that everybody may write to.
#[cfg(unix)]
fn is_of_this_user(places: &Places) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path: &std::path::Path| {
        std::fs::symlink_metadata(path)
            .ok()
            .map(|metadata| (metadata.uid(), metadata.mode()))
    };
    let lock = places.lock_file.as_deref().and_then(owner);
    let folder = places.socket.parent().and_then(owner);
    match (lock, folder, owner(&places.socket)) {
        (Some((uid, _)), Some((folder_uid, folder_mode)), Some((socket_uid, _))) => {
            folder_uid == uid && socket_uid == uid && folder_mode & 0o022 == 0
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_of_this_user(_places: &Places) -> bool {
    false
}

#[async_trait]
impl Connect for Embedded {
    async fn connect(&mut self) -> Result<Client, ApiError> {
        match &self.held {
            Some(held) if !held.ended.is_cancelled() => Ok(held.client.clone()),
            _ => self.find_or_start().await,
        }
    }
}
