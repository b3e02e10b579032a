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
    pub async fn until_signal(mut self, mut signals: Signals) -> Result<ExitCode, Failure> {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping; a second signal stops at once"),
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
                    tracing::warn!(deadline_seconds = DRAIN_DEADLINE.as_secs(), "not everything finished in time");
                    Ok(ExitCode::from(FAILURE))
                }
            },
            signal = signals.next() => {
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
