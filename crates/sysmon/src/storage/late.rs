//! Stores that may not be there yet: nothing waits for a database that is slow to open, or down.

mod history;
mod rules;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::Backoff;
use sysmon_store::{
    ErrorKind, History, HistoryOptions, RuleStore, StoreError, StoreInfo, open_history, open_rule_store,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a call waits for the first attempt to open.
const CALL_PATIENCE: Duration = Duration::from_secs(2);
/// The longest wait between two attempts.
const RETRY_CAP: Duration = Duration::from_secs(5);
/// The wait after an attempt that somebody has to do something about: it may be done, but not soon.
const RETRY_MISCONFIGURED: Duration = Duration::from_secs(30);

/// Opens a store in the background, again and again until it is open. Until then every call fails with the reason why
/// it is not; only during the first attempt calls wait a moment.
pub struct Late<T: ?Sized> {
    state: watch::Receiver<State<T>>,
    /// What it will be, as far as its URL says.
    engine: &'static str,
}

enum State<T: ?Sized> {
    Opening,
    Failed(StoreError),
    Open(Arc<T>),
}

impl Late<dyn History> {
    /// Starts to open the history of a URL, until that is done or `shutdown` is cancelled.
    #[must_use]
    pub fn history(url: &str, options: HistoryOptions, shutdown: CancellationToken) -> Arc<Self> {
        let owned = url.to_owned();
        Self::start(url, "history", shutdown, move || {
            let url = owned.clone();
            async move { open_history(&url, options).await }
        })
    }
}

impl Late<dyn RuleStore> {
    /// Starts to open the rule store of a URL once `history` is open, whose schema it shares, until that is done or
    /// `shutdown` is cancelled.
    #[must_use]
    pub fn rules(url: &str, history: &Arc<Late<dyn History>>, shutdown: CancellationToken) -> Arc<Self> {
        let (owned, history) = (url.to_owned(), Arc::clone(history));
        Self::start(url, "the rule store", shutdown, move || {
            let (url, history) = (owned.clone(), Arc::clone(&history));
            async move {
                history.opened().await?;
                open_rule_store(&url).await
            }
        })
    }
}

impl<T: ?Sized + Send + Sync + 'static> Late<T> {
    fn start<F>(
        url: &str,
        what: &'static str,
        shutdown: CancellationToken,
        attempt: impl FnMut() -> F + Send + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = Result<Arc<T>, StoreError>> + Send,
    {
        let engine = match url.split(':').next() {
            Some("sqlite") => "SQLite",
            Some("postgres" | "postgresql") => "PostgreSQL",
            _ => "memory",
        };
        let (sender, state) = watch::channel(State::Opening);
        tokio::spawn(async move {
            let opening = open(what, attempt, &sender);
            shutdown.run_until_cancelled(opening).await;
        });
        Arc::new(Self { state, engine })
    }

    /// The store, waiting at most so long for an attempt that is under way for the first time.
    ///
    /// # Errors
    /// Why it is not open.
    pub async fn ready(&self, patience: Duration) -> Result<Arc<T>, StoreError> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Opening));
        // Whether it came in time or not, and whether anybody still opens it: the state says what is to be said.
        drop(timeout(patience, known).await);
        match &*self.state.borrow() {
            State::Open(store) => Ok(Arc::clone(store)),
            State::Failed(error) => Err(error.clone()),
            State::Opening => Err(StoreError::unavailable(format!(
                "{} is still being opened; it is tried again",
                self.engine
            ))),
        }
    }

    /// The store, if it is open.
    fn now(&self) -> Option<Arc<T>> {
        match &*self.state.borrow() {
            State::Open(store) => Some(Arc::clone(store)),
            State::Opening | State::Failed(_) => None,
        }
    }

    /// What it will be.
    fn not_yet(&self) -> StoreInfo {
        StoreInfo {
            engine: self.engine.into(),
            notices: Vec::new(),
        }
    }

    async fn opened(&self) -> Result<Arc<T>, StoreError> {
        self.ready(CALL_PATIENCE).await
    }
}

async fn open<T: ?Sized, F>(
    what: &'static str,
    mut attempt: impl FnMut() -> F,
    state: &watch::Sender<State<T>>,
) where
    F: Future<Output = Result<Arc<T>, StoreError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(250), RETRY_CAP);
    let mut said = String::new();
    loop {
        match attempt().await {
            Ok(store) => {
                // Whether it can also be used now is for whoever uses it to find out and to say.
                tracing::debug!("{what} is open");
                state.send_replace(State::Open(store));
                return;
            }
            Err(error) => {
                // Once, not with every attempt.
                if said != error.message {
                    tracing::warn!("{what} cannot be opened, trying again: {error}");
                    said.clone_from(&error.message);
                }
                let wait = match error.kind {
                    ErrorKind::Misconfigured => RETRY_MISCONFIGURED,
                    ErrorKind::Unavailable | ErrorKind::Rejected => backoff.next(),
                };
                state.send_replace(State::Failed(error));
                sleep(wait).await;
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for Late<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Late")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::Instant;

    async fn memory() -> Arc<dyn History> {
        open_history("memory:", HistoryOptions::default()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_comes_up_later_is_found_without_a_restart() {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let late =
            Late::<dyn History>::start("postgres://", "history", CancellationToken::new(), move || {
                let count = counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    if count < 3 {
                        return Err(StoreError::unavailable("nobody listens"));
                    }
                    Ok(memory().await)
                }
            });
        let error = late.probe().await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Unavailable, "nobody listens")
        );
        assert_eq!(late.info().engine, "PostgreSQL");
        let started = Instant::now();
        while late.probe().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(attempts.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_for_the_first_attempt_but_not_for_ever() {
        let slow = Late::<dyn History>::start("sqlite:x", "history", CancellationToken::new(), || async {
            sleep(Duration::from_millis(300)).await;
            Ok(memory().await)
        });
        assert!(slow.probe().await.is_ok());
        let hangs = Late::start(
            "postgres://",
            "history",
            CancellationToken::new(),
            std::future::pending,
        );
        let started = Instant::now();
        let error = hangs.probe().await.unwrap_err();
        assert!(error.message.contains("still being opened"), "{error}");
        assert_eq!(started.elapsed(), CALL_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_misconfigured_is_said_as_it_is_and_tried_seldom() {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let late =
            Late::<dyn History>::start("postgres://", "history", CancellationToken::new(), move || {
                counted.fetch_add(1, Ordering::Relaxed);
                async { Err(StoreError::misconfigured("the password is wrong")) }
            });
        let error = late.ready(Duration::from_secs(1)).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(attempts.load(Ordering::Relaxed), 4);
    }
}
