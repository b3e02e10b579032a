//! The back ends that need no server.

use std::sync::Arc;

use async_trait::async_trait;
use sysmon_store::{RuleStore, open_rule_store};

use crate::fixture::Backend;

struct Memory(Arc<dyn RuleStore>);

#[async_trait]
impl Backend for Memory {
    async fn open(&self) -> Arc<dyn RuleStore> {
        self.0.clone()
    }
}

struct Sqlite(tempfile::TempDir);

#[async_trait]
impl Backend for Sqlite {
    async fn open(&self) -> Arc<dyn RuleStore> {
        let url = format!("sqlite:{}", self.0.path().join("deep/history.db").display());
        open_rule_store(&url).await.unwrap()
    }
}

mod memory {
    async fn backend() -> super::Memory {
        super::Memory(super::open_rule_store("memory:").await.unwrap())
    }

    rules_contract!();
}

mod sqlite {
    async fn backend() -> super::Sqlite {
        super::Sqlite(tempfile::tempdir().unwrap())
    }

    rules_contract!();
}
