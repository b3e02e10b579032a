//! Against aggregators that keep history.

use super::*;
use crate::config::SpoolConfig;
use proptest::prelude::*;
use std::collections::BTreeMap;
use sysmon_api::{CAPABILITY_HISTORY, hello_with, tick_values};
use sysmon_core::Epoch;
use tokio::time::timeout_at;
use wire::backlog::Body as Kept;

impl Running {
    /// The next stream, greeted by one that keeps history, with its hello.
    async fn accept_durably(&mut self) -> (Accepted, wire::CollectorHello) {
        loop {
            let mut stream = self.streams.recv().await.unwrap();
            let Some(Request::Hello(hello)) = stream.request().await else {
                panic!("a stream begins with a hello")
            };
            let peer = hello_with(unix_now(), &[CAPABILITY_HISTORY]);
            let body = Some(Response::Hello(peer));
            // One that nobody answered for too long was given up.
            if stream.responses.send(wire::PushResponse { body }).await.is_ok() {
                return (stream, hello);
            }
        }
    }
}

impl Accepted {
    async fn acknowledge(&self, epoch: &[u8], through_sequence: u64) {
        self.respond(Response::Acknowledged(wire::Acknowledged {
            epoch: epoch.to_vec(),
            through_sequence,
        }))
        .await;
    }

    async fn resend(&self, epoch: &[u8], expected_sequence: u64) {
        self.respond(Response::Resend(wire::Resend {
            epoch: epoch.to_vec(),
            expected_sequence,
        }))
        .await;
    }

    async fn grant(&self, batches: u32) {
        self.respond(Response::Grant(wire::Grant { batches })).await;
    }

    /// Everything until something fits; heartbeats aside.
    async fn until(&mut self, fits: impl Fn(&Request) -> bool) -> Vec<Request> {
        let mut requests = Vec::new();
        loop {
            let request = self.request().await.expect("the stream goes on");
            let is_last = fits(&request);
            if !matches!(request, Request::Heartbeat(_)) {
                requests.push(request);
            }
            if is_last {
                return requests;
            }
        }
    }
}

fn value_of(batch: &wire::Batch) -> i64 {
    let values = tick_values(batch.tick.as_ref().unwrap()).unwrap();
    values.iter().find(|(number, _)| *number == 1).unwrap().1
}

fn backlog_batch(request: &Request) -> Option<(Vec<u8>, &wire::Batch)> {
    match request {
        Request::Backlog(wire::Backlog {
            epoch,
            body: Some(Kept::Batch(batch)),
        }) => Some((epoch.clone(), batch)),
        _ => None,
    }
}

fn live_sequences(requests: &[Request]) -> Vec<u64> {
    let sequence = |request: &Request| match request {
        Request::Batch(batch) => Some(batch.sequence),
        _ => None,
    };
    requests.iter().filter_map(sequence).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_could_not_deliver_follows_beside_live_data_within_what_is_granted() {
    let mut running = start(OWN);
    let (mut stream, first) = running.accept_durably().await;
    for sequence in 1..=5 {
        assert_eq!(stream.batch().await.sequence, sequence);
    }
    stream.acknowledge(&first.epoch, 2).await;
    stream.batch().await;
    drop(stream);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (mut stream, second) = running.accept_durably().await;
    assert_ne!(first.epoch, second.epoch);
    let requests = stream
        .until(|request| matches!(request, Request::BacklogWaiting(_)))
        .await;
    let Some(Request::BacklogWaiting(waiting)) = requests.last() else {
        panic!("{requests:?}")
    };
    assert!(waiting.batches >= 10, "{waiting:?}");
    // Nothing is sent that was not granted, and what is live goes on.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stream.grant(3).await;
    let requests = stream
        .until(|request| matches!(request, Request::BacklogWaiting(_)))
        .await;
    let kept: Vec<_> = requests.iter().filter_map(backlog_batch).collect();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|(epoch, _)| *epoch == first.epoch));
    assert_eq!(
        kept.iter().map(|(_, batch)| batch.sequence).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert_eq!(kept[0].1.announced.len(), 1, "the dictionary begins anew");
    assert_eq!(value_of(kept[2].1), 5);
    stream.grant(u32::MAX).await;
    let requests = stream
        .until(|request| live_sequences(std::slice::from_ref(request)) == [12])
        .await;
    let kept: Vec<u64> = requests
        .iter()
        .filter_map(backlog_batch)
        .map(|(_, batch)| batch.sequence)
        .collect();
    let last = *kept.last().unwrap();
    assert_eq!(kept, (6..=last).collect::<Vec<u64>>());
    assert!(last >= 14, "also what was taken without a stream: {last}");
    let live = live_sequences(&requests);
    assert!(live.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{live:?}");
    assert_eq!(running.board.dropped_ticks(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_missed_live_batches_gets_them_as_backlog_of_a_closed_epoch() {
    let mut running = start(OWN);
    let (mut stream, hello) = running.accept_durably().await;
    stream
        .until(|request| live_sequences(std::slice::from_ref(request)) == [6])
        .await;
    stream.acknowledge(&hello.epoch, 3).await;
    stream.resend(&hello.epoch, 4).await;
    stream.grant(100).await;
    let requests = stream
        .until(|request| backlog_batch(request).is_some_and(|(_, batch)| batch.sequence >= 6))
        .await;
    let position = requests
        .iter()
        .position(|request| matches!(request, Request::NewEpoch(_)))
        .unwrap();
    assert!(
        live_sequences(&requests[..position])
            .iter()
            .all(|sequence| *sequence > 6)
    );
    assert!(
        !live_sequences(&requests[position..]).contains(&7),
        "counted from 1 again"
    );
    let kept: Vec<_> = requests.iter().filter_map(backlog_batch).collect();
    assert_eq!(kept[0].0, hello.epoch);
    assert_eq!(
        kept.iter().map(|(_, batch)| batch.sequence).collect::<Vec<_>>()[..3],
        [4, 5, 6]
    );
    // Again from 5 on, and what was acknowledged and forgotten as lost at most.
    stream.resend(&hello.epoch, 5).await;
    let requests = stream
        .until(|request| backlog_batch(request).is_some_and(|(_, batch)| batch.sequence == 5))
        .await;
    assert!(!requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_aggregator_that_keeps_history_gets_in_a_new_epoch_what_is_live_and_loses_nothing() {
    let mut running = start(OWN);
    let (mut stream, hello) = running.accept_durably().await;
    stream.batch().await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    stream.grant(1_000).await;
    let mut values = BTreeMap::new();
    let requests = stream
        .until(|request| live_sequences(std::slice::from_ref(request)) == [100])
        .await;
    let epochs = requests
        .iter()
        .filter(|request| matches!(request, Request::NewEpoch(_)))
        .count();
    assert!(epochs >= 1, "{epochs}");
    for request in &requests {
        let batch = match request {
            Request::Batch(batch) => batch,
            other => match backlog_batch(other) {
                Some((_, batch)) => batch,
                None => continue,
            },
        };
        values.entry(value_of(batch)).or_insert(0);
    }
    let (first, last) = (*values.keys().next().unwrap(), *values.keys().last().unwrap());
    assert_eq!(values.len() as i64, last + 1 - first, "none is missing");
    assert_eq!((first, hello.epoch.len()), (1, 16));
    assert_eq!(running.board.dropped_ticks(), 0);
}

fn on_disk(directory: &tempfile::TempDir) -> Spool {
    let settings = SpoolConfig::new(directory.path());
    Spool::open(Some(&settings), &MachineId::parse("web-01").unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_at_the_end_waits_on_disk_for_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = start_with(OWN, on_disk(&directory));
    let (mut stream, first) = running.accept_durably().await;
    assert!(first.spool_is_new);
    stream
        .until(|request| live_sequences(std::slice::from_ref(request)) == [9])
        .await;
    running.shutdown.cancel();
    stream.acknowledge(&first.epoch, 4).await;
    while stream.request().await.is_some() {}
    drop(stream);
    assert_eq!(running.ended.await.unwrap(), Ended::Shutdown);

    let mut running = start_with(OWN, on_disk(&directory));
    let (mut stream, second) = running.accept_durably().await;
    assert!(!second.spool_is_new);
    stream.grant(5).await;
    let requests = stream
        .until(|request| backlog_batch(request).is_some_and(|(_, batch)| batch.sequence == 9))
        .await;
    let kept: Vec<_> = requests.iter().filter_map(backlog_batch).collect();
    assert_eq!(kept[0].0, first.epoch);
    assert_eq!(
        kept[0].1.sequence, 5,
        "what was acknowledged while it ended does not come again"
    );
}

/// What an aggregator and its store make of a collector, by the rules of the cursor.
#[derive(Default)]
struct Model {
    cursors: BTreeMap<Epoch, u64>,
    /// How often each value was stored.
    stored: BTreeMap<i64, u32>,
    is_down: bool,
}

/// One stream of the model.
struct Served {
    stream: Accepted,
    live: Epoch,
    live_sequence: u64,
    granted: u64,
    wants_grant: bool,
    /// Per epoch, the first sequence that was not taken.
    missed: Vec<(Epoch, u64)>,
}

impl Model {
    async fn serve(&mut self, served: &mut Served, until: Instant) {
        if !self.is_down {
            for (epoch, expected) in std::mem::take(&mut served.missed) {
                served.stream.resend(&epoch.0, expected).await;
            }
            if std::mem::take(&mut served.wants_grant) {
                served.granted += 7;
                served.stream.grant(7).await;
            }
        }
        while let Ok(Some(request)) = timeout_at(until, served.stream.request()).await {
            match request {
                Request::NewEpoch(new) => {
                    served.live = Epoch::parse(&new.epoch).unwrap();
                    served.live_sequence = 0;
                }
                Request::Batch(batch) => {
                    served.live_sequence += 1;
                    assert_eq!(batch.sequence, served.live_sequence, "live batches are dense");
                    self.take(served, served.live, batch.sequence, Some(value_of(&batch)))
                        .await;
                }
                Request::Backlog(kept) => {
                    served.granted = served.granted.checked_sub(1).expect("only what was granted");
                    let epoch = Epoch::parse(&kept.epoch).unwrap();
                    assert_ne!(epoch, served.live);
                    match kept.body.unwrap() {
                        Kept::Batch(batch) => {
                            self.take(served, epoch, batch.sequence, Some(value_of(&batch)))
                                .await
                        }
                        Kept::Lost(lost) => panic!("nothing is ever lost here: {lost:?}"),
                    }
                }
                Request::BacklogWaiting(_) if self.is_down => served.wants_grant = true,
                Request::BacklogWaiting(_) => {
                    served.granted += 7;
                    served.stream.grant(7).await;
                }
                Request::Hello(_) | Request::Heartbeat(_) | Request::Answer(_) => {}
            }
        }
    }

    async fn take(&mut self, served: &mut Served, epoch: Epoch, sequence: u64, value: Option<i64>) {
        let is_missed = served.missed.iter().any(|(missed, _)| *missed == epoch);
        if self.is_down || is_missed {
            if !is_missed {
                served.missed.push((epoch, sequence));
            }
            return;
        }
        let cursor = self.cursors.entry(epoch).or_default();
        if sequence > *cursor + 1 {
            let expected = *cursor + 1;
            served.stream.resend(&epoch.0, expected).await;
        } else if sequence == *cursor + 1 {
            *cursor = sequence;
            if let Some(value) = value {
                *self.stored.entry(value).or_default() += 1;
            }
            // Not each one is acknowledged by itself.
            if sequence.is_multiple_of(3) {
                served.stream.acknowledge(&epoch.0, sequence).await;
            }
        }
    }
}

async fn serve_stream(running: &mut Running) -> Served {
    let (stream, hello) = running.accept_durably().await;
    Served {
        stream,
        live: Epoch::parse(&hello.epoch).unwrap(),
        live_sequence: 0,
        granted: 0,
        wants_grant: false,
        missed: Vec::new(),
    }
}

/// Runs a collector against a model that does what the schedule says, and returns what it stored.
async fn run_schedule(spool: Spool, schedule: &[(u8, u64)]) -> (Model, u64) {
    let mut running = start_with(OWN, spool);
    let mut model = Model::default();
    let mut served = None;
    for (action, seconds) in schedule {
        let until = Instant::now() + Duration::from_secs(*seconds);
        if *action == 0 {
            // Away: whoever connects is not answered.
            served = None;
            tokio::time::sleep_until(until).await;
            continue;
        }
        model.is_down = *action == 1;
        if served.is_none() {
            served = Some(serve_stream(&mut running).await);
        }
        if let Some(served) = &mut served {
            model.serve(served, until).await;
        }
    }
    model.is_down = false;
    let mut served = match served {
        Some(served) => served,
        None => serve_stream(&mut running).await,
    };
    for _ in 0..100 {
        model
            .serve(&mut served, Instant::now() + Duration::from_secs(3))
            .await;
    }
    let dropped = running.board.dropped_ticks();
    running.shutdown.cancel();
    model
        .serve(&mut served, Instant::now() + Duration::from_secs(2))
        .await;
    drop(served);
    running.ended.await.unwrap();
    (model, dropped)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn exactly_what_was_produced_is_stored_whatever_the_streams_and_the_store_do(
        schedule in prop::collection::vec((0u8..4, 1u64..40), 1..12),
        is_on_disk in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (model, dropped) = runtime.block_on(async {
            let spool = if is_on_disk { on_disk(&directory) } else { Spool::in_memory() };
            run_schedule(spool, &schedule).await
        });
        let newest = *model.stored.keys().last().unwrap();
        prop_assert!(newest > 290, "{newest}");
        prop_assert_eq!(model.stored.len() as i64, newest, "each one");
        prop_assert!(model.stored.values().all(|count| *count == 1), "and each once");
        prop_assert_eq!(dropped, 0);
    }
}
