//! The back ends that are servers.

use std::sync::Arc;

use async_trait::async_trait;
use sysmon_store::{History, HistoryOptions, open_history};

use crate::fixture::Backend;
use crate::postgres_server::PostgresServer;
use crate::timescale_server::TimescaleServer;

/// A server for one test, with an empty database.
struct Served<S> {
    url: String,
    _server: S,
}

/// What stands in for a server that this machine was said not to have.
const SKIPPED: &str = "memory:";

#[async_trait]
impl<S: Send + Sync> Backend for Served<S> {
    async fn open(&self, options: HistoryOptions) -> Arc<dyn History> {
        open_history(&self.url, options).await.unwrap()
    }

    fn keeps_everything(&self) -> bool {
        self.url != SKIPPED
    }
}

mod postgres {
    async fn backend() -> super::Served<super::PostgresServer> {
        let server = super::PostgresServer::start().await;
        super::Served {
            url: server.url(),
            _server: server,
        }
    }

    history_contract!();
}

mod timescale {
    async fn backend() -> super::Served<Option<super::TimescaleServer>> {
        let server = super::TimescaleServer::start().await;
        let url = server.as_ref().map(super::TimescaleServer::url);
        let url = url.unwrap_or_else(|| super::SKIPPED.to_owned());
        // It serves one at a time: who makes the tables keeps others waiting longer than they do for a connection.
        let history = super::open_history(&url, super::HistoryOptions::default()).await;
        history.unwrap().probe().await.unwrap();
        super::Served { url, _server: server }
    }

    history_contract!();
}
