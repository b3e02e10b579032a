//! `/proc/net/dev` (proc_pid_net(5)): traffic, errors and drops of interfaces.

use std::path::{Path, PathBuf};

use sysmon_core::{CounterWidth, MetricId, RateTracker};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{lines, words};
use crate::recorder::Entity;
use crate::roster::Roster;

/// Interfaces that connect parts of this machine with each other.
const INTERNAL: [&str; 10] = [
    "docker", "veth", "br-", "virbr", "vnet", "cni", "flannel", "cali", "podman", "ifb",
];
/// The machine's ends of its containers' interfaces: they come and go by the hundred, and what they carry shows with
/// the containers.
const NOT_REPORTED: &str = "veth";

/// Metrics of one interface in the order of [`Interface::read`]'s columns.
const METRICS: [MetricId; 8] = [
    MetricId::NetworkReceive,
    MetricId::NetworkReceivePackets,
    MetricId::NetworkReceiveErrors,
    MetricId::NetworkReceiveDrops,
    MetricId::NetworkTransmit,
    MetricId::NetworkTransmitPackets,
    MetricId::NetworkTransmitErrors,
    MetricId::NetworkTransmitDrops,
];
const RECEIVED: usize = 0;
const SENT: usize = 4;

/// How surely an interface leads out of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Only to itself.
    Loopback,
    /// Between parts of the machine.
    Internal,
    /// Nothing speaks against it: a container's own interface, a tunnel.
    Unknown,
    /// There is a device behind it.
    Physical,
}

/// Reads `/proc/net/dev`.
#[derive(Debug)]
pub(crate) struct NetworkProbe {
    file: KeptFile,
    class: PathBuf,
    rows: Roster<Option<Interface>>,
}

#[derive(Debug)]
struct Interface {
    entity: Entity,
    reach: Reach,
    tracker: RateTracker<8>,
    state: State,
}

/// What the last reading yielded for the totals.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It was not read yet.
    Unread,
    /// Read once: it has no rate yet, which must not silence the totals of the others.
    Fresh,
    /// Its counters were reset or there was a gap.
    Broken,
    /// Bytes per second received and sent.
    Known(f64, f64),
}

impl NetworkProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        // The network of /proc/net is that of whoever asks; in a container the one of process 1 of the watched machine is
        // meant.
        let of_the_machine =
            Some(roots.proc.join("1/net/dev")).filter(|file| !roots.is_native() && file.exists());
        Self {
            file: KeptFile::new(of_the_machine.unwrap_or_else(|| roots.proc.join("net/dev"))),
            class: roots.sys.join("class/net"),
            rows: Roster::default(),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        let Some(text) = self.file.read(context.buffer) else {
            return;
        };
        let recorder = &mut *context.recorder;
        self.rows.begin();
        for line in lines(text) {
            // Two lines of headings have no colon. A name may have one itself (an alias), so the last one counts.
            let Some(colon) = line.iter().rposition(|byte| *byte == b':') else {
                continue;
            };
            let Some(columns) = columns(&line[colon + 1..]) else {
                continue;
            };
            let name = line[..colon].trim_ascii();
            let class = &self.class;
            let Some(Some(interface)) = self.rows.row(name, || Interface::identify(class, name)) else {
                continue;
            };
            let Some(derived) = interface.tracker.read(columns, context.now_ns, context.gap_ns) else {
                let unread = matches!(interface.state, State::Unread);
                interface.state = if unread { State::Fresh } else { State::Broken };
                continue;
            };
            let rates = derived.map(|derivation| derivation.per_second().unwrap_or(0.0));
            for (metric, rate) in METRICS.into_iter().zip(rates) {
                recorder.entity(&mut interface.entity, metric, rate);
            }
            interface.state = State::Known(rates[RECEIVED], rates[SENT]);
        }
        self.rows.end(|interface| {
            if let Some(interface) = interface {
                recorder.retire(interface.entity);
            }
        });
        if let Some((received, sent)) = self.totals() {
            recorder.plain(MetricId::NetworkReceiveTotal, received);
            recorder.plain(MetricId::NetworkTransmitTotal, sent);
        }
    }

    /// Over the interfaces that most surely lead out: those with a device where there is any, else those that nothing
    /// speaks against, else all but the loopback. So a bridge or a tunnel over a device counts once.
    fn totals(&mut self) -> Option<(f64, f64)> {
        let reach = self
            .rows
            .values()
            .flatten()
            .map(|interface| interface.reach)
            .max()?;
        if reach == Reach::Loopback {
            return None;
        }
        let mut sums = None;
        for interface in self
            .rows
            .values()
            .flatten()
            .filter(|interface| interface.reach == reach)
        {
            match interface.state {
                State::Unread | State::Fresh => {}
                State::Broken => return None,
                State::Known(received, sent) => {
                    let (all_received, all_sent) = sums.unwrap_or((0.0, 0.0));
                    sums = Some((all_received + received, all_sent + sent));
                }
            }
        }
        sums
    }
}

impl Interface {
    /// Finds out what an interface is; `None` for one that is not reported.
    fn identify(class: &Path, name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty() && !name.contains('/'))?;
        if name.starts_with(NOT_REPORTED) {
            return None;
        }
        let reach = if name == "lo" {
            Reach::Loopback
        } else if class.join(name).join("device").exists() {
            Reach::Physical
        } else if INTERNAL.iter().any(|prefix| name.starts_with(prefix)) {
            Reach::Internal
        } else {
            Reach::Unknown
        };
        Some(Self {
            entity: Entity::new(name),
            reach,
            tracker: RateTracker::new(CounterWidth::Bits64),
            state: State::Unread,
        })
    }
}

/// Bytes, packets, errors and drops, received and then sent.
fn columns(text: &[u8]) -> Option<[u64; 8]> {
    let mut numbers = [0; 12];
    let mut words = words(text);
    for number in &mut numbers {
        *number = words.number()?;
    }
    let [
        bytes,
        packets,
        errors,
        drops,
        _,
        _,
        _,
        _,
        sent_bytes,
        sent_packets,
        sent_errors,
        sent_drops,
    ] = numbers;
    Some([
        bytes,
        packets,
        errors,
        drops,
        sent_bytes,
        sent_packets,
        sent_errors,
        sent_drops,
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    const HEADING: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    fn line(name: &str, received: u64, sent: u64) -> String {
        format!(
            "  {name}: {received} {} 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n",
            received / 100
        )
    }

    fn file(lines: &[String]) -> String {
        format!("{HEADING}{}", lines.concat())
    }

    #[test]
    fn an_interface_has_its_eight_rates() {
        let mut bench = Bench::new();
        let mut network = NetworkProbe::new(&bench.roots());
        bench.write("proc/net/dev", "eth0:1000 10 1 2 0 0 0 5 2000 20 3 4 0 0 0 0\n");
        assert!(bench.tick(0.0, |context| network.sample(context)).is_empty());
        bench.write("proc/net/dev", "eth0:3000 30 3 6 0 0 0 9 6000 60 9 12 0 0 0 0\n");
        let values = bench.tick(2.0, |context| network.sample(context));
        for (name, expected) in [
            ("network.receive_bytes_per_second", 1_000.0),
            ("network.receive_packets_per_second", 10.0),
            ("network.receive_errors_per_second", 1.0),
            ("network.receive_drops_per_second", 2.0),
            ("network.transmit_bytes_per_second", 2_000.0),
            ("network.transmit_packets_per_second", 20.0),
            ("network.transmit_errors_per_second", 3.0),
            ("network.transmit_drops_per_second", 4.0),
        ] {
            assert_eq!(
                values.get(&format!("{name}{{interface=\"eth0\"}}")),
                Some(&expected),
                "{name}"
            );
        }
    }

    #[test]
    fn in_a_container_the_network_of_the_host_is_read_not_its_own() {
        let mut bench = Bench::new();
        bench.write("proc/net/dev", line("eth0", 1_000, 0));
        bench.write("proc/1/net/dev", line("enp3s0", 1_000, 0));
        let mut network = NetworkProbe::new(&bench.roots());
        bench.tick(0.0, |context| network.sample(context));
        bench.write("proc/1/net/dev", line("enp3s0", 3_000, 0));
        let values = bench.tick(1.0, |context| network.sample(context));
        let has = |name: &str| values.keys().any(|key| key.contains(name));
        assert!(has("enp3s0") && !has("eth0"), "{values:?}");
    }

    /// Totals of a machine whose interfaces each received `100 × (position + 1)` in a second.
    fn total_of(names: &[&str], with_device: &[&str]) -> Option<f64> {
        let mut bench = Bench::new();
        for name in with_device {
            bench.write(&format!("sys/class/net/{name}/device/uevent"), "");
        }
        let mut network = NetworkProbe::new(&bench.roots());
        let lines = |factor| -> Vec<String> {
            names
                .iter()
                .enumerate()
                .map(|(index, name)| line(name, factor * (index as u64 + 1), 0))
                .collect()
        };
        bench.write("proc/net/dev", file(&lines(0)));
        bench.tick(0.0, |context| network.sample(context));
        bench.write("proc/net/dev", file(&lines(100)));
        let values = bench.tick(1.0, |context| network.sample(context));
        values.get("network.total_receive_bytes_per_second").copied()
    }

    #[test]
    fn totals_count_what_leads_out_of_the_machine_once() {
        let names = ["lo", "eth0", "wlan0", "docker0", "veth12ab", "bond0", "wg0"];
        assert_eq!(total_of(&names, &["eth0", "wlan0"]), Some(500.0), "devices only");
        assert_eq!(
            total_of(&["lo", "eth0", "docker0", "tun0"], &[]),
            Some(600.0),
            "no device: what is not internal"
        );
        assert_eq!(
            total_of(&["lo", "docker0", "br-5f"], &[]),
            Some(500.0),
            "only internal ones: all but the loopback"
        );
        assert_eq!(total_of(&["lo"], &[]), None);
    }

    #[test]
    fn a_new_interface_does_not_silence_the_totals_but_a_reset_does() {
        let mut bench = Bench::new();
        let mut network = NetworkProbe::new(&bench.roots());
        let mut totals = Vec::new();
        for (second, interfaces) in [
            vec![line("eth0", 1_000, 0)],
            vec![line("eth0", 1_100, 0), line("eth1", 7_000, 0)],
            vec![line("eth0", 10, 0), line("eth1", 7_100, 0)],
            vec![line("eth0", 110, 0), line("eth1", 7_200, 0)],
            vec![line("eth1", 7_300, 0)],
        ]
        .into_iter()
        .enumerate()
        {
            bench.write("proc/net/dev", file(&interfaces));
            let values = bench.tick(second as f64, |context| network.sample(context));
            totals.push(values.get("network.total_receive_bytes_per_second").copied());
        }
        assert_eq!(totals, [None, Some(100.0), None, Some(200.0), Some(100.0)]);
        assert_eq!(bench.retired.len(), 8, "{:?}", bench.retired);
    }

    #[test]
    fn interfaces_of_containers_are_not_listed_and_odd_names_are_taken() {
        let mut bench = Bench::new();
        let mut network = NetworkProbe::new(&bench.roots());
        let text = file(&[
            line("veth1", 1, 1),
            line("eth0:1", 1, 1),
            line("../x", 1, 1),
            line("", 1, 1),
        ]);
        bench.write("proc/net/dev", &text);
        bench.tick(0.0, |context| network.sample(context));
        let values = bench.tick(1.0, |context| network.sample(context));
        let listed: Vec<&String> = values
            .keys()
            .filter(|name| name.starts_with("network.receive_bytes"))
            .collect();
        assert_eq!(listed, ["network.receive_bytes_per_second{interface=\"eth0:1\"}"]);
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic_or_go_below_zero(
            files in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..300),
                    "((lo|eth0|veth1):( {0,2}[0-9]{1,20}){0,17}\n){0,4}".prop_map(String::into_bytes),
                ],
                1..4,
            ),
        ) {
            let mut bench = Bench::new();
            let mut network = NetworkProbe::new(&bench.roots());
            for (second, file) in files.iter().enumerate() {
                bench.write("proc/net/dev", file);
                for value in bench.tick(second as f64, |context| network.sample(context)).into_values() {
                    prop_assert!(value >= 0.0);
                }
            }
        }
    }
}
