//! What every hot state and every bus promises, on memory and on a real Redis; and what only Redis can do wrong.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics fails, which is what it is for"
)]

mod bus;
mod faults;
mod hot;
#[path = "../support/redis_server.rs"]
mod redis_server;

use std::future::Future;
use std::time::Duration;

/// Runs a contract's cases, each as a test of its own, on a new store of every back end.
macro_rules! contract {
    ($open:ident, $($case:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(super::$open("memory:").unwrap()).await;
                }
            )+
        }

        mod redis {
            $(
                #[tokio::test]
                async fn $case() {
                    let server = crate::redis_server::RedisServer::start().await;
                    super::$case(super::$open(&server.url()).unwrap()).await;
                }
            )+
        }
    };
}
pub(crate) use contract;

/// What comes within the time that anything here may take.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("it comes in time")
}
