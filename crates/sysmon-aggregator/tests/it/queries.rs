//! Questions about the past.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message as _;
use sysmon_aggregator::{Aggregator, Config};
use sysmon_api::{Backend, Code, Role, history_from_wire, wire};
use sysmon_core::{Epoch, MachineHistory, MachineId, MetricId, SeriesKey};
use sysmon_store::{Content, History, IngestBatch, MACHINES_PER_QUERY, SeriesEntry, SeriesTable};
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::faulty::{Faulty, Mode};
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const CANCELLED: u32 = 1;

/// Something that does not compress.
fn noise(second: i64, number: u32) -> i64 {
    let seed = second * 7_919 + i64::from(number) * 104_729;
    (seed * seed * 31 + seed) % 100_003 * 10_000_000
}

/// Machines with `series` series each, every second for `seconds`.
async fn past(machines: usize, series: u32, seconds: i64) -> Arc<Faulty> {
    let history = Faulty::new().await;
    let entry = |number: u32| SeriesEntry {
        key: Arc::new(SeriesKey::of(MetricId::CpuCoreBusy, &number.to_string())),
        decimals: 1,
    };
    let table = Arc::new(SeriesTable::new(
        (0..series).map(|number| (number, entry(number))).collect(),
    ));
    for machine in 0..machines {
        let batch = |second: i64| IngestBatch {
            machine: MachineId::parse(&format!("m{machine:04}")).unwrap(),
            epoch: Epoch([1; 16]),
            sequence: second.cast_unsigned() + 1,
            content: Content::Tick {
                at: START.plus_ms(second * 1_000),
                series: Arc::clone(&table),
                values: (0..series)
                    .map(|number| (number, noise(second, number)))
                    .collect(),
            },
            clock_offset_ms: 0,
            host: None,
            spool_was_lost: false,
        };
        let batches: Vec<_> = (0..seconds).map(batch).collect();
        history.commit(&batches).await.unwrap();
    }
    history
}

fn request(machine_ids: &[&str], points: u32) -> wire::HistoryRequest {
    wire::HistoryRequest {
        machine_ids: machine_ids.iter().map(ToString::to_string).collect(),
        from_unix_ms: START.0,
        to_unix_ms: START.0 + 3_600_000,
        points,
        ..Default::default()
    }
}

async fn join(aggregator: &Arc<Aggregator>) -> Console {
    let mut console = Console::join(aggregator, Role::Viewer).await;
    console.storage().await;
    console
}

/// All parts of an answer and what they say together.
async fn answer(console: &mut Console, id: u64) -> Result<(usize, Vec<MachineHistory>), wire::Failure> {
    let (mut parts, mut machines) = (0, Vec::new());
    loop {
        let response = console.response().await;
        assert_eq!(response.request_id, id);
        match response.body.unwrap() {
            Answer::History(chunk) => {
                assert!(chunk.encoded_len() < 96 * 1024, "{} bytes", chunk.encoded_len());
                parts += 1;
                for part in &chunk.machines {
                    history_from_wire(part, &mut machines).unwrap();
                }
                if !chunk.more {
                    return Ok((parts, machines));
                }
            }
            Answer::Failure(failure) => return Err(failure),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_parts_that_make_up_what_is_stored() {
    let history = past(20, 30, 300).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = join(&aggregator).await;
    let id = console.ask(Ask::QueryHistory(request(&[], 10_000))).await;
    let (parts, machines) = answer(&mut console, id).await.unwrap();
    assert!(parts > 10, "{parts} parts");
    assert_eq!(machines.len(), 20);
    for machine in &machines {
        assert_eq!((machine.times.len(), machine.series.len()), (300, 30));
    }
    let query = sysmon_api::query_from_wire(&request(&["m0007"], 10_000)).unwrap();
    assert_eq!(machines[7], history.query(&query).await.unwrap()[0]);
    let unknown = console.ask(Ask::QueryHistory(request(&["nobody"], 10))).await;
    assert_eq!(answer(&mut console, unknown).await.unwrap(), (1, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn machines_are_asked_for_a_few_at_a_time_in_order() {
    let history = past(300, 1, 10).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = join(&aggregator).await;
    let few = wire::HistoryRequest {
        metrics: vec!["cpu.core.busy_percent".into()],
        ..request(&[], 300)
    };
    let id = console.ask(Ask::QueryHistory(few)).await;
    let (_, machines) = answer(&mut console, id).await.unwrap();
    assert_eq!(machines.len(), 300);
    assert!(machines.is_sorted_by(|one, other| one.machine < other.machine));
    let asked = |history: &Faulty| -> Vec<_> {
        history
            .asked
            .lock()
            .unwrap()
            .drain(..)
            .map(|some| some.len())
            .collect()
    };
    assert_eq!(asked(&history), [MACHINES_PER_QUERY, MACHINES_PER_QUERY, 44]);
    let id = console
        .ask(Ask::QueryHistory(request(&["m0001", "m0000", "m0002"], 10_000)))
        .await;
    let (_, machines) = answer(&mut console, id).await.unwrap();
    assert_eq!(
        asked(&history),
        [1, 1, 1],
        "with so many points one is enough at a time"
    );
    let order: Vec<_> = machines.iter().map(|machine| machine.machine.as_str()).collect();
    assert_eq!(order, ["m0001", "m0000", "m0002"]);
}

#[tokio::test(start_paused = true)]
async fn updates_come_between_the_parts_of_a_long_answer() {
    let history = past(25, 30, 300).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = join(&aggregator).await;
    console.command(everything(&["a"])).await.unwrap();
    let id = console.ask(Ask::QueryHistory(request(&[], 10_000))).await;
    let (mut parts, mut updates, mut is_over) = (0, 0, false);
    while !is_over {
        if parts % 10 == 0 {
            collector.tick(START.plus_ms(i64::from(parts) * 100), 5).await;
        }
        let response = console.response().await;
        match response.body.unwrap() {
            Answer::Update(update) => {
                updates += 1;
                console.take(update).await;
            }
            Answer::History(chunk) => {
                parts += 1;
                is_over = !chunk.more;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Answer::Accepted(_) => {}
            other => panic!("{other:?}"),
        }
        assert!(response.request_id == id || response.request_id == 0);
    }
    assert!(
        parts > 20 && updates >= parts / 20,
        "{updates} updates between {parts} parts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_can_be_cancelled_and_a_third_one_waits_its_turn() {
    let history = past(20, 30, 300).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = join(&aggregator).await;
    history.set(Mode::Slow(10 * SECOND));
    let one = console.ask(Ask::QueryHistory(request(&["m0001"], 10))).await;
    let two = console.ask(Ask::QueryHistory(request(&["m0002"], 10))).await;
    let three = console.ask(Ask::QueryHistory(request(&["m0003"], 10))).await;
    let Err(refused) = answer(&mut console, three).await else {
        panic!("there are two already");
    };
    assert_eq!(refused.code, Code::ResourceExhausted as u32);
    let cancel = console.ask(Ask::Cancel(wire::Cancel { request_id: one })).await;
    assert_eq!(answer(&mut console, one).await.unwrap_err().code, CANCELLED);
    let accepted = console.response().await;
    assert!(accepted.request_id == cancel && matches!(accepted.body, Some(Answer::Accepted(_))));
    assert_eq!(answer(&mut console, two).await.unwrap().1.len(), 1);
    // In the middle of an answer: nothing of it comes any more.
    history.set(Mode::Well);
    let long = console.ask(Ask::QueryHistory(request(&[], 10_000))).await;
    assert!(matches!(console.response().await.body, Some(Answer::History(chunk)) if chunk.more));
    console.ask(Ask::Cancel(wire::Cancel { request_id: long })).await;
    let late = console.ask(Ask::Cancel(wire::Cancel { request_id: two })).await;
    loop {
        let response = console.response().await;
        if response.request_id == late {
            break;
        }
    }
    tokio::time::sleep(SECOND).await;
    assert!(console.responses.try_recv().is_err());
    assert_eq!(aggregator.figures().refused_queries, 1);
}

#[tokio::test(start_paused = true)]
async fn the_store_is_asked_few_things_at_a_time_and_a_client_that_leaves_frees_its_place() {
    let history = past(1, 1, 10).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    history.set(Mode::Slow(SECOND));
    let mut consoles = Vec::new();
    for _ in 0..6 {
        let mut console = join(&aggregator).await;
        let ids = [
            console.ask(Ask::QueryHistory(request(&["m0000"], 10))).await,
            console.ask(Ask::QueryHistory(request(&["m0000"], 10))).await,
        ];
        consoles.push((console, ids));
    }
    for (console, ids) in &mut consoles {
        for _ in 0..2 {
            let response = console.response().await;
            assert!(ids.contains(&response.request_id));
            assert!(matches!(response.body, Some(Answer::History(_))));
        }
    }
    assert_eq!(history.asking_max.load(Ordering::Relaxed), 4);
    // Four that hang, and go.
    history.set(Mode::Hangs);
    for (console, _) in &mut consoles[..2] {
        console.ask(Ask::QueryHistory(request(&["m0000"], 10))).await;
        console.ask(Ask::QueryHistory(request(&["m0000"], 10))).await;
    }
    tokio::time::sleep(SECOND).await;
    consoles.drain(..2);
    tokio::time::sleep(SECOND).await;
    history.set(Mode::Well);
    let (console, _) = &mut consoles[0];
    let id = console.ask(Ask::QueryHistory(request(&["m0000"], 10))).await;
    assert_eq!(answer(console, id).await.unwrap().1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_unary_twin_answers_at_once_and_not_more_than_fits_a_message() {
    let history = past(40, 30, 600).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let ask = async |request| aggregator.history(who(Role::Viewer), request).await;
    let reply = ask(request(&["m0001"], 100)).await.unwrap();
    let mut machines = Vec::new();
    history_from_wire(&reply.machines[0], &mut machines).unwrap();
    assert_eq!((reply.machines.len(), machines[0].series.len()), (1, 30));
    let too_much = ask(request(&[], 10_000)).await.err().unwrap();
    assert_eq!(too_much.code, Code::ResourceExhausted);
    assert!(too_much.message.contains("fewer machines"), "{too_much}");
    assert_eq!(
        ask(request(&["a b"], 10)).await.unwrap_err().code,
        Code::InvalidArgument
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_a_store_that_is_down_or_not_there_hears_what_to_do() {
    let (aggregator, _shutdown) = start(Config::default());
    let none = aggregator
        .history(who(Role::Viewer), request(&[], 10))
        .await
        .unwrap_err();
    assert_eq!(none.code, Code::FailedPrecondition);
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let id = console.ask(Ask::QueryHistory(request(&[], 10))).await;
    assert_eq!(
        answer(&mut console, id).await.unwrap_err().code,
        Code::FailedPrecondition as u32
    );

    let history = past(1, 1, 10).await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = join(&aggregator).await;
    history.fail();
    let id = console.ask(Ask::QueryHistory(request(&[], 10))).await;
    let failure = answer(&mut console, id).await.unwrap_err();
    assert_eq!(failure.code, Code::Unavailable as u32);
    assert!(
        failure.message.contains("connection refused"),
        "{}",
        failure.message
    );
    history.set(Mode::Hangs);
    let begin = tokio::time::Instant::now();
    let id = console.ask(Ask::QueryHistory(request(&[], 10))).await;
    assert_eq!(
        answer(&mut console, id).await.unwrap_err().code,
        Code::DeadlineExceeded as u32
    );
    assert_eq!(begin.elapsed().as_secs(), 30);
    history.set(Mode::Well);
    let id = console.ask(Ask::QueryHistory(request(&[], 10))).await;
    assert_eq!(answer(&mut console, id).await.unwrap().1.len(), 1);
}
