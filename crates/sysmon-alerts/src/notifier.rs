//! The task that tells people: it reads the log of alerts, decides who is told what, keeps that, and sends it.

mod sending;
mod term;
mod unsaved;

use std::sync::Arc;

use sysmon_store::{Lease, RuleStore, Work};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::config::Config;
use crate::directory::Directory;
use crate::figures::Counters;
use crate::hub::{Heard, Hub};
use crate::leases::Held;
use term::Term;

/// What the notifier is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn RuleStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) book: watch::Receiver<Arc<Book>>,
    pub(crate) directory: watch::Receiver<Directory>,
    pub(crate) held: watch::Receiver<Held>,
    pub(crate) heard: mpsc::Receiver<Heard>,
}

/// Tells people whenever that is ours to do.
pub(crate) async fn run(mut parts: Parts, shutdown: CancellationToken) {
    loop {
        let Some(lease) = parts.lease() else {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = parts.held.changed() => if changed.is_err() { return },
                // Others look after it.
                heard = parts.heard.recv() => if heard.is_none() { return },
            }
            continue;
        };
        let mut held = parts.held.clone();
        let is_refused = tokio::select! {
            () = shutdown.cancelled() => return,
            () = lost(&mut held, &lease) => false,
            // Ends only when the store says that another has taken over.
            () = Term::run(&mut parts, lease.clone()) => true,
        };
        tracing::info!("another alert service tells people now");
        if is_refused {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = lost(&mut held, &lease) => {}
            }
        }
    }
}

/// Waits until a lease is not ours any more.
async fn lost(held: &mut watch::Receiver<Held>, lease: &Lease) {
    // When nobody says any more what is ours, the service ends.
    let _ = held.wait_for(|held| held.get(&lease.work) != Some(lease)).await;
}

impl Parts {
    fn lease(&mut self) -> Option<Lease> {
        self.held.borrow_and_update().get(&Work::Notifier).cloned()
    }
}
