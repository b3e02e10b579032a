//! What a tick costs on its way into hot state and onto the bus, against a real redis-server on the loopback, beside bare
//! `HSET` and `PUBLISH` pipelines of the same sizes in the same run. Without redis-server only the memory back ends.

#[path = "../tests/support/redis_server.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod redis_server;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use redis::Pipeline;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{Channel, HotState, HotUpdate, open_bus, open_hot_state};
use tokio::runtime::Runtime;

use redis_server::RedisServer;

const PIPELINE: usize = 32;
const MACHINES: usize = 1_000;
const TICK_BYTES: usize = 1_024;

fn updates(round: &mut i64) -> Vec<HotUpdate> {
    *round += 1;
    let part = usize::try_from(*round).unwrap_or(0) * PIPELINE;
    (0..PIPELINE)
        .map(|number| HotUpdate {
            machine: MachineId::parse(&format!("machine-{}", (part + number) % MACHINES)).expect("an id"),
            head: None,
            restart: false,
            tick: Some((
                UnixMillis(i64::try_from((part + number) / MACHINES).unwrap_or(0) * 1_000),
                Bytes::from(vec![7; TICK_BYTES]),
            )),
        })
        .collect()
}

/// Time of `rounds` puts, without that of making what is put.
fn time_puts(runtime: &Runtime, hot: &Arc<dyn HotState>, round: &mut i64, rounds: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        let updates = updates(round);
        let started = Instant::now();
        black_box(runtime.block_on(hot.put(&updates)).expect("a put"));
        spent += started.elapsed();
    }
    spent
}

fn put(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(RedisServer::start());
    let mut group = criterion.benchmark_group("hot");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, url) in [("memory", "memory:".to_owned()), ("redis", server.url())] {
        let _guard = runtime.enter();
        let hot = open_hot_state(&url).expect("a hot state");
        let mut round = 0;
        // The first ones carry more than a tick.
        time_puts(&runtime, &hot, &mut round, (2 * MACHINES / PIPELINE) as u64);
        group.bench_function(BenchmarkId::new("put_32_ticks_of_1_kib", name), |bencher| {
            bencher.iter_custom(|rounds| time_puts(&runtime, &hot, &mut round, rounds));
        });
    }
    group.finish();
}

fn publish(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(RedisServer::start());
    let mut group = criterion.benchmark_group("bus");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, url, subscribers) in [
        ("memory, 1 subscriber", "memory:".to_owned(), 1),
        ("redis, 0 subscribers", server.url(), 0),
        ("redis, 1 subscriber", server.url(), 1),
    ] {
        let bus = open_bus(&url).expect("a bus");
        let channel: Channel = "fleet.0".to_owned();
        for _ in 0..subscribers {
            let mut subscription = runtime
                .block_on(bus.subscribe(std::slice::from_ref(&channel)))
                .expect("a subscription");
            runtime.spawn(async move { while subscription.next().await.is_some() {} });
        }
        let messages: Vec<(Channel, Bytes)> = (0..PIPELINE)
            .map(|_| (channel.clone(), Bytes::from(vec![7; TICK_BYTES])))
            .collect();
        group.bench_function(BenchmarkId::new("publish_32_of_1_kib", name), |bencher| {
            bencher.iter(|| runtime.block_on(bus.publish(&messages)).expect("a publication"));
        });
    }
    group.finish();
}

/// The limit: bare commands on one connection.
fn limit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(RedisServer::start());
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connection = runtime
        .block_on(client.get_multiplexed_async_connection())
        .expect("a connection");
    let mut group = criterion.benchmark_group("limit");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, command, bytes) in [
        ("HSET of 2 KiB", "HSET", 2_048),
        ("RPUSH of 1 KiB", "RPUSH", 1_024),
        ("PUBLISH of 1 KiB", "PUBLISH", 1_024),
    ] {
        let payload = vec![7_u8; bytes];
        let mut round = 0_usize;
        group.bench_function(BenchmarkId::new("pipeline_of_32", name), |bencher| {
            bencher.iter(|| {
                let mut pipeline = Pipeline::with_capacity(PIPELINE);
                for number in 0..PIPELINE {
                    round += 1;
                    let command = pipeline
                        .cmd(command)
                        .arg(format!("limit:{command}:{}", round % MACHINES));
                    if bytes == 2_048 {
                        command.arg(number);
                    }
                    command.arg(&payload);
                }
                runtime
                    .block_on(pipeline.exec_async(&mut connection))
                    .expect("replies");
            });
            // Lists would grow for ever.
            server.command("FLUSHALL");
        });
    }
    group.finish();
}

criterion_group!(benches, put, publish, limit);
criterion_main!(benches);
