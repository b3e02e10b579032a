//! A rule played on a day of a hundred machines at 5 s, from the command on a client's stream to the reply, with history
//! in SQLite: reading it, judging and all. `cargo bench -p sysmon-aggregator --bench dry_run`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sysmon_aggregator::{Aggregator, Clock, Config, Stores};
use sysmon_api::{Access, Client, ClientConfig, Endpoint, Inbound, Server, hello, rule_to_wire, wire};
use sysmon_core::alert::{Check, Function, MetricCheck, Rule, starter_pack};
use sysmon_core::{Epoch, MachineId, MetricId, SeriesKey, UnixMillis};
use sysmon_store::{
    Content, History, HistoryOptions, IngestBatch, SeriesEntry, SeriesTable, open_history, open_rule_store,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::command::Body;
use wire::response::Body as Reply;

const MACHINES: u64 = 100;
const PACE_MS: i64 = 5_000;
const TICKS: u64 = 17_280;
/// The hour in which machines are told of what they miss begins a day before; midnight, so that blocks are whole.
const START: UnixMillis = UnixMillis(1_700_000_000_000 / 86_400_000 * 86_400_000);
const METRICS: [MetricId; 12] = [
    MetricId::CpuBusy,
    MetricId::CpuUser,
    MetricId::CpuSystem,
    MetricId::CpuIoWait,
    MetricId::CpuSteal,
    MetricId::Load1,
    MetricId::Load15,
    MetricId::CpuCount,
    MetricId::MemoryUsedPercent,
    MetricId::SwapUsedPercent,
    MetricId::Uptime,
    MetricId::CollectorInterval,
];

fn table() -> Arc<SeriesTable> {
    let entries = (0..).zip(METRICS).map(|(number, metric)| {
        let entry = SeriesEntry {
            key: Arc::new(SeriesKey::plain(metric)),
            decimals: 1,
        };
        (number, entry)
    });
    Arc::new(SeriesTable::new(entries.collect::<BTreeMap<_, _>>()))
}

/// A processor that is busy for half an hour every three hours, with noise; everything else hardly moves.
fn value(machine: u64, tick: u64, series: usize) -> i64 {
    let mut noise = (machine << 40) ^ (tick << 10) ^ series as u64;
    noise = (noise ^ (noise >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    noise = (noise ^ (noise >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let noise = i64::from((noise >> 57) as u8);
    match METRICS[series] {
        MetricId::CollectorInterval => 50_000,
        MetricId::CpuBusy if (tick + machine * 20) % 2_160 < 360 => 860 + noise,
        MetricId::CpuCount => 160,
        _ => 100 + noise,
    }
}

async fn fill(history: &dyn History) {
    let table = table();
    let machines: Vec<MachineId> = (0..MACHINES)
        .map(|number| MachineId::parse(&format!("machine-{number}")).expect("a good name"))
        .collect();
    for round in 0..TICKS / 120 {
        let ticks = (1..=120).map(|tick| round * 120 + tick);
        let batches: Vec<IngestBatch> = ticks
            .flat_map(|tick| {
                let table = &table;
                (0..).zip(&machines).map(move |(number, machine)| IngestBatch {
                    machine: machine.clone(),
                    epoch: Epoch([3; 16]),
                    sequence: tick,
                    content: Content::Tick {
                        at: START.plus_ms(tick.cast_signed() * PACE_MS),
                        series: Arc::clone(table),
                        values: (0..METRICS.len())
                            .map(|series| (u32::try_from(series).unwrap_or(0), value(number, tick, series)))
                            .collect(),
                    },
                    clock_offset_ms: 5,
                    host: None,
                    spool_was_lost: false,
                })
            })
            .collect();
        history.commit(&batches).await.expect("it is stored");
        let now = START.plus_ms((round + 1).cast_signed() * 120 * PACE_MS);
        while history.maintain(now).await.expect("it is kept up").more {}
    }
}

struct Console {
    commands: mpsc::Sender<wire::Command>,
    responses: Inbound<wire::Response>,
    request_id: u64,
}

impl Console {
    async fn join(client: &Client) -> Self {
        let (commands, outgoing) = mpsc::channel(16);
        let responses = client.manage(outgoing).await.expect("it answers");
        let mut console = Self {
            commands,
            responses,
            request_id: 0,
        };
        console.ask(Body::Hello(hello(START))).await;
        console
    }

    async fn ask(&mut self, body: Body) -> Reply {
        self.request_id += 1;
        let command = wire::Command {
            request_id: self.request_id,
            body: Some(body),
        };
        assert!(self.commands.send(command).await.is_ok(), "the stream is open");
        loop {
            let response = self
                .responses
                .next()
                .await
                .expect("it answers")
                .expect("it goes on");
            if response.request_id == self.request_id {
                return response.body.expect("a reply");
            }
        }
    }

    async fn play(&mut self, rule: &Rule) -> wire::DryRunReply {
        let request = wire::DryRunRequest {
            rule: Some(rule_to_wire(rule)),
            from_unix_ms: START.0,
            to_unix_ms: START.plus_ms(86_400_000).0 + 1,
            ..Default::default()
        };
        match self.ask(Body::DryRun(request)).await {
            Reply::DryRun(reply) => reply,
            other => panic!("{other:?}"),
        }
    }
}

fn rules() -> [(&'static str, Rule); 3] {
    let find = |id: &str| {
        let mut pack = starter_pack().into_iter();
        pack.find(|rule| rule.id.as_str() == id)
            .expect("it is in the pack")
    };
    let mut newest = find("cpu-busy");
    newest.hold_ms = 60_000;
    if let Check::Metric(MetricCheck { quantity, .. }) = &mut newest.check {
        quantity.function = Function::Last;
        quantity.window_ms = 0;
    }
    [
        ("the newest value", newest),
        ("a mean of ten minutes", find("cpu-busy")),
        ("a ratio", find("load-high")),
    ]
}

fn dry_run(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let mut console = runtime.block_on(async {
        let history = open_history(&url, HistoryOptions::default())
            .await
            .expect("it opens");
        fill(&*history).await;
        let stores = Stores {
            history: Some(history),
            rules: Some(open_rule_store("memory:").await.expect("it opens")),
            ..Stores::default()
        };
        let clock = Clock::starting_at(START.plus_ms(86_400_000));
        let over = CancellationToken::new();
        let (aggregator, work) =
            Aggregator::new(Config::default(), clock, stores, over.clone()).expect("good settings");
        tokio::spawn(work);
        let mut server = Server::new(Arc::new(aggregator), Arc::new(Access::local_only()));
        let endpoint = Endpoint::in_process(server.in_process());
        tokio::spawn(server.serve(over));
        let client = Client::new(ClientConfig::new(endpoint)).expect("good settings");
        Console::join(&client).await
    });
    let mut group = criterion.benchmark_group("dry run of a day of 100 machines");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    for (name, rule) in rules() {
        let reply = runtime.block_on(console.play(&rule));
        assert_eq!((u64::from(reply.machine_count), reply.step_ms), (MACHINES, 0));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(console.play(&rule)));
        });
    }
    group.finish();
}

criterion_group!(benches, dry_run);
criterion_main!(benches);
