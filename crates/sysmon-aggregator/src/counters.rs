//! The aggregator's figures about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows; read and written without order between several.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: usize) {
        // usize has at most 64 bits on every platform of ours.
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($name:ident $help:literal;)*) => {
        /// What happened since the start, counted where it happens and readable from anywhere.
        #[derive(Debug, Default)]
        pub struct Counters { $(pub(crate) $name: Count,)* }

        /// The state of [`Counters`] at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures { $(#[doc = $help] pub $name: u64,)* }

        impl Counters {
            /// All counters now.
            #[must_use]
            pub fn read(&self) -> Figures {
                Figures { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    ticks "Ticks taken from collectors.";
    values "Values taken from collectors.";
    unknown_values "Values of series that were never announced, and therefore left out.";
    refused_series "Announced series that were left out: badly named, or beyond the limit of their machine.";
    refused_streams "Streams of collectors that were refused: the machine is claimed by another, or there are too many.";
    refused_clients "Streams of clients that were refused because there are too many.";
    sequence_jumps "Batches whose number did not follow the one before.";
    corrected_times "Ticks stamped with our clock because the collector's is more than an hour off.";
    forgotten_pasts "Machines whose past was dropped because their clock was set back.";
    updates "Updates sent to subscriptions.";
    machine_updates "Parts of those updates, each about one machine.";
    shared_updates "Those of the parts that were encoded for another subscription.";
    coalesced_ticks "Ticks that reached a subscription together with a later one.";
    resyncs "Times that a subscription had fallen so far behind on a machine that it was sent anew.";
    history_offered "Batches that came to be stored, live or kept.";
    history_stored "Batches that are stored, or were before.";
    history_buried "Batches that the store refuses for what they contain, and that went to the dead letters.";
    commits "Commits that succeeded.";
    failed_commits "Commits that failed, were refused or took too long.";
    broken_epochs "Times that a stream's batches stopped being taken, because the queue was full or the store down.";
    resends "Times that a collector was asked to send again.";
    acknowledgements "Acknowledgements sent.";
    failed_maintenance "Pieces of maintenance that failed.";
    queries "Questions about the past.";
    refused_queries "Questions about the past that were refused because too many were running.";
    snapshots "Snapshots of processes that were stored.";
    dropped_snapshots "Snapshots of processes that were dropped, because the store was down or too slow.";
    passed_offers "Times that no snapshots of processes were taken, because the last ones were still being stored.";
    pasts "Subscriptions to the past that were begun.";
    remote_ticks "Ticks of machines that are connected to other aggregators.";
    unshared_events "Things that other aggregators were not told in time, because the queue to them was full.";
    remote_gaps "Times that something another aggregator said was missing, and the machine was loaded anew.";
    overflows "Client streams that were closed because their queue was full.";
}
