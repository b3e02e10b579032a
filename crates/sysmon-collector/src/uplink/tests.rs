mod durable;

use super::*;
use crate::clock::{Moment, unix_now};
use crate::recorder::Announcement;
use crate::sample::Source;
use crate::spool::Spool;
use std::collections::VecDeque;
use std::sync::Mutex;
use sysmon_api::hello;
use sysmon_core::{MetricId, SeriesKey, UnixMillis};
use tokio::time::Instant;
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

const OWN: Plan = Plan {
    interval_ms: 1_000,
    burst_interval_ms: 0,
    processes: ProcessDetail::Top,
};

/// One stream as the aggregator sees it.
struct Accepted {
    requests: mpsc::Receiver<wire::PushRequest>,
    responses: mpsc::Sender<wire::PushResponse>,
    at: Instant,
}

/// Hands every stream to the test, or refuses it.
struct FakeAggregator {
    streams: mpsc::Sender<Accepted>,
    refusals: Mutex<VecDeque<ApiError>>,
}

impl Connect for Arc<FakeAggregator> {
    async fn push(
        &self,
        requests: mpsc::Receiver<wire::PushRequest>,
    ) -> Result<Inbound<wire::PushResponse>, ApiError> {
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        let (responses, inbound) = mpsc::channel(4);
        let accepted = Accepted {
            requests,
            responses,
            at: Instant::now(),
        };
        self.streams
            .send(accepted)
            .await
            .map_err(|_| ApiError::unavailable("the test is over"))?;
        Ok(Inbound::from_receiver(inbound))
    }
}

/// A machine with one series that counts its ticks.
#[derive(Default)]
struct Counting {
    ticks: i64,
}

impl Source for Counting {
    fn prime(&mut self, _: Moment, _: Plan) {}

    fn sample(&mut self, _: Moment, _: Plan) -> Sample {
        self.ticks += 1;
        let key = Arc::new(SeriesKey::plain(MetricId::CpuBusy));
        let announced = (self.ticks == 1).then_some(Announcement {
            number: 1,
            key,
            decimals: 1,
        });
        Sample {
            at: UnixMillis(self.ticks),
            announced: announced.into_iter().collect(),
            values: vec![(1, self.ticks)],
            ..Sample::default()
        }
    }

    fn burst(&mut self, _: Moment, _: Plan) -> Option<Sample> {
        Some(Sample {
            at: UnixMillis(self.ticks),
            values: vec![(1, -1), (2, 5)],
            is_burst: true,
            ..Sample::default()
        })
    }
}

struct Running {
    aggregator: Arc<FakeAggregator>,
    streams: mpsc::Receiver<Accepted>,
    wish: watch::Receiver<Wish>,
    board: Arc<Board>,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<Ended>,
}

fn start(plan: Plan) -> Running {
    start_with(plan, Spool::in_memory())
}

fn start_with(plan: Plan, spool: Spool) -> Running {
    let (streams_sender, streams) = mpsc::channel(1);
    let aggregator = Arc::new(FakeAggregator {
        streams: streams_sender,
        refusals: Mutex::default(),
    });
    let (wish_sender, wish) = watch::channel(Wish { plan, streams: 0 });
    let (sample_sender, samples) = mpsc::channel(1);
    let (interval_ms, _) = watch::channel(plan.interval_ms);
    tokio::spawn(crate::ticker::run(
        Counting::default(),
        wish.clone(),
        interval_ms,
        sample_sender,
    ));
    let identity = Identity {
        burst_interval_ms_min: 250,
        machine_id: MachineId::parse("web-01").unwrap(),
        instance: [7; 16],
        plan,
    };
    let (board, shutdown) = (Arc::new(Board::default()), CancellationToken::new());
    let uplink = Uplink::new(
        Arc::clone(&aggregator),
        identity,
        HostInfo::default(),
        (samples, wish_sender),
        Keeper::new(spool, Arc::clone(&board)),
        Arc::clone(&board),
        shutdown.clone(),
    );
    let ended = tokio::spawn(uplink.run());
    Running {
        aggregator,
        streams,
        wish,
        board,
        shutdown,
        ended,
    }
}

impl Running {
    /// The next stream, greeted, with its hello.
    async fn accept(&mut self) -> (Accepted, wire::CollectorHello) {
        let mut stream = self.streams.recv().await.unwrap();
        let Some(Request::Hello(request)) = stream.request().await else {
            panic!("a stream begins with a hello")
        };
        stream.respond(Response::Hello(hello(unix_now()))).await;
        (stream, request)
    }
}

impl Accepted {
    async fn request(&mut self) -> Option<Request> {
        self.requests.recv().await?.body
    }

    async fn batch(&mut self) -> wire::Batch {
        match self.request().await {
            Some(Request::Batch(batch)) => batch,
            other => panic!("expected a batch, not {other:?}"),
        }
    }

    async fn respond(&self, body: Response) {
        self.responses
            .send(wire::PushResponse { body: Some(body) })
            .await
            .unwrap();
    }

    async fn direct(&self, interval_ms: u32, processes: wire::ProcessDetail) {
        self.respond(Response::Directive(wire::Directive {
            burst_interval_ms: 0,
            interval_ms,
            processes: processes.into(),
        }))
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_directive_changes_the_pace_of_the_running_stream() {
    let mut running = start(OWN);
    let (mut stream, hello) = running.accept().await;
    assert_eq!(
        (hello.interval_ms, hello.machine_id.as_str(), hello.instance.len()),
        (1_000, "web-01", 16)
    );
    let first = stream.batch().await;
    assert_eq!(
        (first.sequence, first.announced.len(), first.interval_ms),
        (1, 1, 0)
    );
    stream.batch().await;
    stream.direct(100, wire::ProcessDetail::All).await;
    let faster = stream.batch().await;
    assert_eq!(faster.interval_ms, 100, "the new interval is said");
    let before = Instant::now();
    for sequence in 4..14 {
        let batch = stream.batch().await;
        assert_eq!(
            (batch.sequence, batch.interval_ms, batch.announced.len()),
            (sequence, 0, 0)
        );
    }
    assert_eq!(before.elapsed().as_millis(), 1_000);
    assert_eq!(running.wish.borrow().plan.processes, ProcessDetail::All);
    // Out of bounds is taken as the bound; 0 and unspecified are the own settings.
    stream.direct(1, wire::ProcessDetail::None).await;
    stream.batch().await;
    assert_eq!(
        running.wish.borrow().plan,
        Plan {
            interval_ms: 100,
            burst_interval_ms: 0,
            processes: ProcessDetail::None
        }
    );
    stream.direct(0, wire::ProcessDetail::Unspecified).await;
    running.wish.wait_for(|wish| wish.plan == OWN).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_burst_travels_between_the_ticks_under_no_number() {
    let mut running = start(OWN);
    let (mut stream, _) = running.accept().await;
    assert_eq!(stream.batch().await.sequence, 1);
    let burst = |burst_interval_ms| {
        Response::Directive(wire::Directive {
            burst_interval_ms,
            ..wire::Directive::default()
        })
    };
    // Shorter than this collector allows.
    stream.respond(burst(100)).await;
    let mut sequences = Vec::new();
    for _ in 0..8 {
        let batch = stream.batch().await;
        let tick = batch.tick.unwrap();
        if batch.sequence == 0 {
            assert_eq!(tick.values, [-1], "only what was announced");
            assert!(batch.processes.is_none() && batch.announced.is_empty());
        }
        sequences.push(batch.sequence);
    }
    assert_eq!(sequences, [0, 0, 0, 2, 0, 0, 0, 3]);
    assert_eq!(running.wish.borrow().plan.burst_interval_ms, 250);
    stream.respond(burst(0)).await;
    let next = [stream.batch().await.sequence, stream.batch().await.sequence];
    assert_eq!(next, [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_was_restarted_is_found_within_five_seconds_and_learns_everything_again() {
    let mut running = start(OWN);
    let (mut stream, first) = running.accept().await;
    stream.batch().await;
    stream.direct(100, wire::ProcessDetail::All).await;
    running
        .wish
        .wait_for(|wish| wish.plan.interval_ms == 100)
        .await
        .unwrap();
    running
        .aggregator
        .refusals
        .lock()
        .unwrap()
        .extend(vec![ApiError::unavailable("down"); 3]);
    drop(stream);
    let lost = Instant::now();
    let (mut stream, second) = running.accept().await;
    let batch = stream.batch().await;
    assert!(lost.elapsed() < Duration::from_secs(5), "{:?}", lost.elapsed());
    assert_ne!(
        first.epoch, second.epoch,
        "what was lost leaves no hole in the sequence"
    );
    assert_eq!(first.instance, second.instance);
    assert_eq!((batch.sequence, batch.announced.len()), (1, 1));
    assert_eq!(
        running.wish.borrow().plan,
        OWN,
        "what the one before wanted is over"
    );
    assert!(running.board.dropped_ticks() > 0, "what was lost is counted");
}

#[tokio::test(start_paused = true)]
async fn with_a_long_interval_a_new_stream_gets_a_tick_at_once_and_then_heartbeats() {
    let mut running = start(Plan {
        interval_ms: 3_600_000,
        ..OWN
    });
    let (mut stream, _) = running.accept().await;
    stream.batch().await;
    for beat in 1..5 {
        assert!(matches!(stream.request().await, Some(Request::Heartbeat(_))));
        let expected = Duration::from_millis(250 + beat * 10_000);
        assert!(
            stream.at.elapsed() <= expected + Duration::from_millis(10),
            "{:?}",
            stream.at.elapsed()
        );
    }
    drop(stream);
    let (mut stream, _) = running.accept().await;
    stream.batch().await;
    assert!(
        stream.at.elapsed() < Duration::from_secs(1),
        "it does not wait for the hour to end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_aggregator_loses_the_oldest_ticks_and_sequences_stay_dense() {
    let mut running = start(OWN);
    let (mut stream, _) = running.accept().await;
    stream.batch().await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(
        running.board.dropped_ticks() >= 100,
        "{}",
        running.board.dropped_ticks()
    );
    let mut last = stream.batch().await;
    let mut jumps = 0;
    for _ in 0..80 {
        let batch = stream.batch().await;
        assert_eq!(batch.sequence, last.sequence + 1);
        let step = batch.tick.as_ref().unwrap().values[0] - last.tick.as_ref().unwrap().values[0];
        jumps += i64::from(step > 1);
        last = batch;
    }
    assert_eq!(jumps, 1, "one gap, where the oldest were dropped");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_sent_and_the_stream_is_ended() {
    let mut running = start(OWN);
    let (mut stream, _) = running.accept().await;
    let first = stream.batch().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    running.shutdown.cancel();
    let mut last = first.sequence;
    while let Some(request) = stream.request().await {
        if let Request::Batch(batch) = request {
            assert_eq!(batch.sequence, last + 1);
            last = batch.sequence;
        }
    }
    assert!(last >= 20, "{last}");
    drop(stream);
    assert_eq!(running.ended.await.unwrap(), Ended::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_never_lets_go_does_not_hold_up_the_end() {
    let mut running = start(OWN);
    let (stream, _) = running.accept().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = Instant::now();
    running.shutdown.cancel();
    assert_eq!(running.ended.await.unwrap(), Ended::Shutdown);
    assert!(before.elapsed() <= Duration::from_secs(1));
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn an_incompatible_or_refusing_aggregator_gets_no_data_and_is_not_hammered() {
    let mut running = start(OWN);
    let mut attempts = Vec::new();
    for _ in 0..6 {
        let mut stream = running.streams.recv().await.unwrap();
        attempts.push(stream.at);
        stream.request().await;
        let peer = wire::PeerHello {
            protocol_version: 99,
            ..hello(unix_now())
        };
        stream.respond(Response::Hello(peer)).await;
        assert_eq!(stream.requests.recv().await, None);
    }
    let last = attempts[5] - attempts[4];
    assert!(last >= Duration::from_secs(8), "{last:?}");
    assert_eq!(running.wish.borrow().streams, 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_connection_attempt_and_a_wait() {
    let running = start(OWN);
    running
        .aggregator
        .refusals
        .lock()
        .unwrap()
        .extend(vec![ApiError::unavailable("down"); 1_000]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    running.shutdown.cancel();
    assert_eq!(running.ended.await.unwrap(), Ended::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let mut running = start(OWN);
    let stream = running.streams.recv().await.unwrap();
    let second = running.streams.recv().await.unwrap();
    assert!(second.at - stream.at >= CONNECT_LIMIT);
    assert!(second.at - stream.at < CONNECT_LIMIT + Duration::from_secs(1));
}
