//! The back ends that are servers.

use std::sync::Arc;

use async_trait::async_trait;
use sysmon_store::{RuleStore, open_rule_store};

use crate::fixture::Backend;
use crate::postgres_server::PostgresServer;
use crate::timescale_server::TimescaleServer;

/// A server for one test, with an empty database.
struct Served<S> {
    url: String,
    _server: S,
}

#[async_trait]
impl<S: Send + Sync> Backend for Served<S> {
    async fn open(&self) -> Arc<dyn RuleStore> {
        open_rule_store(&self.url).await.unwrap()
    }
}

/// What stands in for a server that this machine was said not to have: handles share it.
struct Skipped(Arc<dyn RuleStore>);

#[async_trait]
impl Backend for Skipped {
    async fn open(&self) -> Arc<dyn RuleStore> {
        self.0.clone()
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

    rules_contract!();
}

mod timescale {
    use crate::fixture::Backend;

    async fn backend() -> Box<dyn Backend> {
        let Some(server) = super::TimescaleServer::start().await else {
            return Box::new(super::Skipped(super::open_rule_store("memory:").await.unwrap()));
        };
        let served = super::Served {
            url: server.url(),
            _server: server,
        };
        // It serves one at a time, slowly: who makes the tables keeps others waiting longer than they do for a connection,
        // and on a busy machine waits for too long itself.
        let mut tries = 0;
        while let Err(error) = served.open().await.rules().await {
            tries += 1;
            assert!(
                error.kind == sysmon_store::ErrorKind::Unavailable && tries < 5,
                "{error}"
            );
        }
        Box::new(served)
    }

    rules_contract!();
}
