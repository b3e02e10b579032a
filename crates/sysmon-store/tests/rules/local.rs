//! The back ends that need no server.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Connection as _;
use sysmon_store::{RuleStore, open_rule_store};

use crate::fixture::{self, Backend};

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

#[tokio::test]
async fn views_of_the_file_answer_common_questions() {
    let backend = Sqlite(tempfile::tempdir().unwrap());
    let store = backend.open().await;
    fixture::busy_day(&store).await;
    let url = format!("sqlite:{}", backend.0.path().join("deep/history.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for (question, answer) in [
        ("SELECT count(*) FROM alerts_firing", 2),
        (
            "SELECT count(*) FROM alerts_firing WHERE acknowledged_by = 'ann' AND entity = '/var'",
            1,
        ),
        (
            "SELECT count(*) FROM alerts_firing WHERE title = 'Something of disk-full' AND firing_since > '2020'",
            2,
        ),
        ("SELECT fired FROM alerts_by_rule_this_week WHERE machines = 1", 2),
        (
            "SELECT count(*) FROM notifications_failed WHERE problem = 'no route'",
            1,
        ),
        ("SELECT count(*) FROM notifications_failed", 1),
    ] {
        let found: i64 = sqlx::query_scalar(question)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, answer, "{question}");
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
