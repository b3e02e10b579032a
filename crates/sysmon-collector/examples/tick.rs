//! Prints one tick of this machine, one series a line: name, label, digits after the point, scaled value.
//!
//! `cargo run -p sysmon-collector --example tick` shows what the sampler reads here; its output under load is how
//! `tests/fixtures/recorded_tick.tsv` was made.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sysmon_collector::{Clock, Config, Plan, ProcessDetail, Sampler, default_machine_id};

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() {
    let config = Config::new(default_machine_id(&sysmon_collector::Roots::default()));
    let plan = Plan {
        interval_ms: 1_000,
        burst_interval_ms: 0,
        processes: ProcessDetail::Top,
    };
    let (clock, mut sampler) = (Clock::default(), Sampler::new(&config));
    sampler.prime(clock.now(), plan);
    let (_keep, nobody) = sync_channel::<()>(0);
    // Nobody ever sends, so this only lets a second pass.
    let _ = nobody.recv_timeout(Duration::from_secs(1));
    let sample = sampler.sample(clock.now(), plan);
    let values: BTreeMap<u32, i64> = sample.values.iter().copied().collect();
    for series in &sample.announced {
        if let Some(value) = values.get(&series.number) {
            let label = series
                .key
                .labels
                .first()
                .map_or(String::new(), |label| format!("{}={}", label.name, label.value));
            println!(
                "{}\t{label}\t{}\t{value}",
                series.key.metric.name(),
                series.decimals
            );
        }
    }
}
