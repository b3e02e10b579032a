//! The back ends that need no server.

use std::sync::Arc;

use async_trait::async_trait;
use sysmon_store::{History, HistoryOptions, open_history};

use crate::fixture::Backend;

struct Memory(Arc<dyn History>);

#[async_trait]
impl Backend for Memory {
    async fn open(&self, _: HistoryOptions) -> Arc<dyn History> {
        self.0.clone()
    }

    fn keeps_everything(&self) -> bool {
        false
    }
}

struct Sqlite(tempfile::TempDir);

#[async_trait]
impl Backend for Sqlite {
    async fn open(&self, options: HistoryOptions) -> Arc<dyn History> {
        let url = format!("sqlite:{}", self.0.path().join("deep/history.db").display());
        open_history(&url, options).await.unwrap()
    }

    fn keeps_everything(&self) -> bool {
        true
    }
}

mod memory {
    async fn backend() -> super::Memory {
        super::Memory(
            super::open_history("memory:", super::HistoryOptions::default())
                .await
                .unwrap(),
        )
    }

    history_contract!();
}

mod sqlite {
    async fn backend() -> super::Sqlite {
        super::Sqlite(tempfile::tempdir().unwrap())
    }

    history_contract!();
}
