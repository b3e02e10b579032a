//! A Redis server: its address, and one connection that is made when it is needed and made again after it was lost.
//!
//! Not the redis crate's `ConnectionManager`: that keeps the failure of its last attempt for the next caller, so the first
//! call after a server came back fails once more; and it keeps a refused password until the process is started again.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError,
    ServerError, Value,
};
use sysmon_core::sanitize;
use tokio::time::timeout;

use crate::error::StoreError;

/// All keys and channels begin with this.
pub(crate) const PREFIX: &str = "sysmon:";
/// How long a call may take, connecting included.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of one value or message.
pub(crate) const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Checks the address of a Redis server without connecting: `redis://[[user]:password@]host[:port][/database]`, the same
/// with `rediss://` for TLS, or `redis+unix:///path[?db=…&user=…&pass=…]`.
///
/// # Errors
/// [`crate::ErrorKind::Misconfigured`], without any part of the address, since that may have a password in it.
pub fn check_redis_url(url: &str) -> Result<(), StoreError> {
    RedisServer::parse(url).map(|_| ())
}

/// A Redis server. Errors and `Debug` name its address, never its user or password.
pub(crate) struct RedisServer {
    client: Client,
    /// The address as shown to people.
    address: String,
    /// Name and version, as soon as it was reached once.
    engine: Mutex<Option<String>>,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl RedisServer {
    /// Takes an address.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misconfigured`] when it is none.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let known = ["redis://", "rediss://", "redis+unix://"];
        if !known.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(StoreError::misconfigured(
                "this is no address of a Redis server; write redis://HOST:6379, rediss://HOST:6379 or redis+unix:///PATH",
            ));
        }
        // The crate's texts about addresses are fixed; the details it adds to some may be part of a password.
        let bad = |error: &RedisError| {
            StoreError::misconfigured(format!(
                "the address of the Redis server cannot be read ({}); write redis://:PASSWORD@HOST:6379/0, with %2F for / and \
                 %40 for @ in the password",
                error.category()
            ))
        };
        let info: ConnectionInfo = url.into_connection_info().map_err(|error| bad(&error))?;
        let address = shown_address(&info);
        let client = Client::open(info).map_err(|error| bad(&error))?;
        Ok(Self {
            client,
            address,
            engine: Mutex::new(None),
            connection: tokio::sync::Mutex::new(None),
        })
    }

    /// What it is, such as `Redis 7.0.15`; without the version before it was reached.
    pub(crate) fn engine(&self) -> String {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().unwrap_or_else(|| "Redis".to_owned())
    }

    /// Sends commands in one go and returns their replies, one per command, within [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// Of whatever kind the first refused command or the connection has; any of the commands may have been carried out.
    pub(crate) async fn run(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StoreError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        match timeout(CALL_TIMEOUT, self.attempt(pipeline)).await {
            Ok(Ok(replies)) => self.checked(replies),
            Ok(Err(error)) => {
                if error.is_unrecoverable_error() || error.is_io_error() || error.is_timeout() {
                    self.disconnect();
                }
                Err(self.explain(&error))
            }
            Err(_elapsed) => {
                self.disconnect();
                Err(self.silent())
            }
        }
    }

    /// Lets go of the connection. Whoever holds the lock is making a new one, and then there is none to let go.
    fn disconnect(&self) {
        if let Ok(mut connection) = self.connection.try_lock() {
            *connection = None;
        }
    }

    async fn attempt(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let mut connection = self.connected().await?;
        connection.send_packed_commands(pipeline, 0, pipeline.len()).await
    }

    /// The connection there is, or a new one; only one caller makes it, the others wait.
    async fn connected(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        // Time limits are those of the whole call.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut fresh = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        // A user who may not ask this may still do the rest.
        let about: Result<String, RedisError> =
            ::redis::cmd("INFO").arg("server").query_async(&mut fresh).await;
        if let Some(engine) = about.ok().and_then(|about| engine_name(&about)) {
            *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
        }
        *connection = Some(fresh.clone());
        Ok(fresh)
    }

    /// A connection that only receives, subscribed to channels, within [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// As [`RedisServer::run`].
    pub(crate) async fn subscribed(&self, channels: &[String]) -> Result<PubSub, StoreError> {
        let attempt = async {
            let mut receiver = self.client.get_async_pubsub().await?;
            receiver.subscribe(channels).await?;
            Ok(receiver)
        };
        match timeout(CALL_TIMEOUT, attempt).await {
            Ok(outcome) => outcome.map_err(|error: RedisError| self.explain(&error)),
            Err(_elapsed) => Err(self.silent()),
        }
    }

    fn checked(&self, replies: Vec<Value>) -> Result<Vec<Value>, StoreError> {
        for reply in &replies {
            if let Value::ServerError(error) = reply {
                return Err(self.refused(error));
            }
        }
        Ok(replies)
    }

    fn silent(&self) -> StoreError {
        StoreError::unavailable(format!(
            "{} does not answer within {} s; see whether it hangs or is overloaded",
            self.address,
            CALL_TIMEOUT.as_secs()
        ))
    }

    fn refused(&self, error: &ServerError) -> StoreError {
        self.refusal(error.code(), error.details().unwrap_or_default())
    }

    fn refusal(&self, code: &str, detail: &str) -> StoreError {
        let (address, detail) = (&self.address, sanitize(detail));
        match code {
            "NOAUTH" | "WRONGPASS" => StoreError::misconfigured(format!(
                "{address} refuses the user or the password; set the right ones"
            )),
            "NOPERM" => StoreError::misconfigured(format!(
                "{address} does not let this user do what it must ({detail}); allow it all commands on keys and channels \
                 that begin with {PREFIX}"
            )),
            "WRONGTYPE" => StoreError::misconfigured(format!(
                "{address} has keys of somebody else that begin with {PREFIX}; give sysmon a database number of its own"
            )),
            "MOVED" | "ASK" | "CROSSSLOT" => StoreError::misconfigured(format!(
                "{address} is a cluster, which is not supported; name a single server"
            )),
            "LOADING" => StoreError::unavailable(format!("{address} is starting")),
            "READONLY" => StoreError::unavailable(format!(
                "{address} is a replica and only lets read; name its master"
            )),
            "OOM" => StoreError::unavailable(format!("{address} is full; raise its maxmemory")),
            _ => StoreError::unavailable(format!("{address} refuses: {} {detail}", sanitize(code))),
        }
    }

    fn explain(&self, error: &RedisError) -> StoreError {
        if error.kind() == ::redis::ErrorKind::AuthenticationFailed {
            return self.refusal("WRONGPASS", "");
        }
        if let Some(code) = error.code() {
            return self.refusal(code, error.detail().unwrap_or_default());
        }
        StoreError::unavailable(format!(
            "{} cannot be reached ({}); see whether it runs",
            self.address,
            sanitize(&error.to_string())
        ))
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn shown_address(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Unix(path) => format!("Redis at {}", sanitize(&path.display().to_string())),
        address => format!("Redis at {}", sanitize(&address.to_string())),
    }
}

/// Name and version, of what `INFO server` says.
fn engine_name(about: &str) -> Option<String> {
    let field = |name: &str| {
        about
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| sanitize(value.trim()).into_owned())
    };
    field("valkey_version")
        .map(|version| format!("Valkey {version}"))
        .or_else(|| field("redis_version").map(|version| format!("Redis {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn neither_errors_nor_debug_show_a_password() {
        for url in [
            "redis://admin:hunter2@localhost:6379/0",
            "redis://:hunter2@localhost",
            "rediss://:hunter2@localhost:6380",
            "redis+unix:///run/redis.sock?pass=hunter2",
        ] {
            let server = RedisServer::parse(url).unwrap();
            assert!(!format!("{server:?}").contains("hunter2"), "{server:?}");
            let errors = [
                server.silent(),
                server.refusal("WRONGPASS", "WRONGPASS invalid username-password pair"),
                server.refusal("ERR", "what is this"),
                server.explain(&RedisError::from(std::io::Error::other("refused"))),
            ];
            for error in errors {
                assert!(!error.to_string().contains("hunter2"), "{error}");
                assert!(!error.to_string().contains("admin"), "{error}");
            }
        }
        for url in [
            "redis://user:hunter2",
            "redis://user:hunter2/3@localhost",
            "redis://:1/hunter2@localhost/",
            "redis://:a@localhost/hunter2",
            "redis://localhost/?protocol=hunter2",
            "hunter2",
        ] {
            let error = check_redis_url(url).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Misconfigured);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_addresses_of_redis_servers_are_taken() {
        for url in [
            "redis://localhost",
            "redis://localhost:6380/3",
            "redis://[::1]:6380",
            "rediss://cache.example.com",
            "redis+unix:///run/redis.sock?db=2",
        ] {
            assert!(check_redis_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "redis:",
            "redis://",
            "redis://localhost:port",
            "http://localhost",
            "localhost:6379",
            "redis://0.0.0.0",
        ] {
            assert!(check_redis_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_engine_is_named_after_what_the_server_says() {
        let name = |about| engine_name(about);
        assert_eq!(
            name("# Server\r\nredis_version:7.0.15\r\n"),
            Some("Redis 7.0.15".to_owned())
        );
        assert_eq!(
            name("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n"),
            Some("Valkey 8.1.0".to_owned())
        );
        assert_eq!(name("something else"), None);
    }
}
