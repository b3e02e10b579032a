//! How a program that runs until it is told to stop comes to its end.

use std::process::ExitCode;
use std::time::Duration;

use eyre::{Report, eyre};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::exit::{FAILURE, Failure};

/// How long roles may take to finish what they have begun.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// What runs, and how it is told to stop.
#[derive(Debug, Default)]
pub struct Running {
    /// Cancelled when everything is to come to an end.
    pub shutdown: CancellationToken,
    tasks: JoinSet<(&'static str, Result<(), Report>)>,
}

impl Running {
    /// Runs a role until it ends by itself, which counts as a failure, or is told to stop.
    pub fn spawn<F, E>(&mut self, role: &'static str, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Report>,
    {
        self.tasks
            .spawn(async move { (role, work.await.map_err(Into::into)) });
    }

    /// Waits for a signal, then lets the roles finish within the deadline; a second signal ends the wait.
    ///
    /// # Errors
    /// A role that failed.
    pub async fn until_signal(self, mut signals: Signals) -> Result<ExitCode, Failure> {
        self.until(async move || signals.next().await).await
    }

    async fn until(mut self, mut signal: impl AsyncFnMut() -> &'static str) -> Result<ExitCode, Failure> {
        tokio::select! {
            signal = signal() => tracing::info!(signal, "stopping; a second signal stops at once"),
            Some(ended) = self.tasks.join_next() => return Err(Failure::runtime(unexpected_end(ended))),
        }
        self.shutdown.cancel();
        tokio::select! {
            drained = timeout(DRAIN_DEADLINE, self.drain()) => match drained {
                Ok(Ok(())) => {
                    tracing::info!("stopped");
                    Ok(ExitCode::SUCCESS)
                }
                Ok(Err(report)) => Err(Failure::runtime(report)),
                Err(_) => {
                    let deadline_seconds = DRAIN_DEADLINE.as_secs();
                    tracing::warn!(deadline_seconds, "not everything finished in time");
                    Ok(ExitCode::from(FAILURE))
                }
            },
            signal = signal() => {
                tracing::warn!(signal, "stopped at once");
                Ok(ExitCode::from(FAILURE))
            }
        }
    }

    /// Waits until every role has ended. Does not tell them to.
    async fn drain(&mut self) -> Result<(), Report> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let result = match ended {
                Ok((role, result)) => result.map_err(|report| report.wrap_err(format!("{role} failed"))),
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(result);
        }
        outcome
    }
}

fn unexpected_end(ended: Result<(&'static str, Result<(), Report>), JoinError>) -> Report {
    match ended {
        Ok((role, Ok(()))) => eyre!("{role} ended by itself; its log says why"),
        Ok((role, Err(report))) => report.wrap_err(format!("{role} failed")),
        Err(error) => Report::new(error).wrap_err("a role broke down; the log has the details"),
    }
}

/// The signals that ask a program to stop.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Takes over interrupt and terminate, so that from now on they no longer end the process. A hang-up of the
    /// terminal is left alone, so that `nohup` works.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn of_server() -> std::io::Result<Self> {
        Self::listen(false)
    }

    /// Takes over interrupt, terminate and hang-up: without its terminal a client has nothing left to do.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn of_terminal() -> std::io::Result<Self> {
        Self::listen(true)
    }

    #[cfg(unix)]
    fn listen(takes_hang_up: bool) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = takes_hang_up.then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hang_up.transpose()?,
        })
    }

    #[cfg(not(unix))]
    fn listen(_takes_hang_up: bool) -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// The name of the next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminate",
            _ = hang_up => "hang-up",
        }
    }

    /// The name of the next signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // No signal can come: wait for ever, as if there were none.
            std::future::pending::<()>().await;
        }
        "interrupt"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::{Instant, sleep};

    /// One signal now, and the next after a while, if ever.
    fn signals(second: Option<Duration>) -> impl AsyncFnMut() -> &'static str {
        let mut count = 0;
        async move || {
            count += 1;
            match second {
                _ if count == 1 => "first",
                Some(wait) => {
                    sleep(wait).await;
                    "second"
                }
                None => pending().await,
            }
        }
    }

    fn running(drain: Duration) -> Running {
        let mut running = Running::default();
        let shutdown = running.shutdown.clone();
        running.spawn("a role", async move {
            shutdown.cancelled().await;
            sleep(drain).await;
            Ok::<_, Report>(())
        });
        running
    }

    #[tokio::test(start_paused = true)]
    async fn roles_are_given_five_seconds_to_finish() {
        let started = Instant::now();
        let code = running(Duration::from_secs(4))
            .until(signals(None))
            .await
            .unwrap();
        assert_eq!((code, started.elapsed().as_secs()), (ExitCode::SUCCESS, 4));
        let started = Instant::now();
        let code = running(Duration::from_secs(60))
            .until(signals(None))
            .await
            .unwrap();
        assert_eq!((code, started.elapsed().as_secs()), (ExitCode::from(FAILURE), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_the_wait() {
        let started = Instant::now();
        let signals = signals(Some(Duration::from_secs(1)));
        let code = running(Duration::from_secs(60)).until(signals).await.unwrap();
        assert_eq!((code, started.elapsed().as_secs()), (ExitCode::from(FAILURE), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_ends_before_it_is_told_to_is_a_failure_that_names_it() {
        for (outcome, part) in [
            (Ok(()), "ended by itself"),
            (Err(eyre!("disk full")), "disk full"),
        ] {
            let mut running = running(Duration::ZERO);
            running.spawn("the server", async { outcome });
            let failure = running.until(async || pending().await).await.unwrap_err();
            let text = format!("{:#}", failure.report);
            assert_eq!(failure.code, FAILURE);
            assert!(text.contains("the server") && text.contains(part), "{text}");
        }
    }
}
