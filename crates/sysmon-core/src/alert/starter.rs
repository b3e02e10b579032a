//! The rules that ship switched on: what is wrong on any machine, at levels that do not cry wolf.

use super::rule::{
    Check, Comparison, Function, Guard, Level, MetricCheck, Quantity, Rule, RuleId, Scope, Severity,
};
use crate::catalogue::MetricId;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The rules that a new installation begins with. The table in `docs/alerts.md` lists them.
#[must_use]
pub fn starter_pack() -> Vec<Rule> {
    let mut rules = processor();
    rules.extend(memory());
    rules.extend(storage());
    rules.extend(network());
    rules.extend(host());
    rules
}

fn processor() -> Vec<Rule> {
    use MetricId as M;
    vec![
        rule("cpu-busy", "Processors busy")
            .note("Find the busiest processes in the machine view. If the work is wanted, spread it or add processors; if not, stop it.")
            .above(average(M::CpuBusy, 10 * MINUTE_MS))
            .warning(85.0, 75.0)
            .critical(95.0, 85.0)
            .done(),
        rule("cpu-iowait", "Processors wait for disks")
            .note("Look for the disk with the highest utilisation and the processes that read or write most. A failing or full disk does this too.")
            .above(average(M::CpuIoWait, 10 * MINUTE_MS))
            .warning(40.0, 20.0)
            .done(),
        rule("cpu-steal", "The hypervisor gives processor time to others")
            .note("Nothing inside the machine helps. Move it to another host, or ask the provider; a burstable instance may have used up its credit.")
            .above(average(M::CpuSteal, 20 * MINUTE_MS))
            .warning(10.0, 5.0)
            .done(),
        rule("load-high", "More tasks than processors")
            .note("Compare with processor time: if that is low, tasks wait for disks or network file systems. Look for blocked processes.")
            .above(Quantity { per: Some(M::CpuCount.name().into()), ..last(M::Load15) })
            .warning(2.0, 1.75)
            .done(),
    ]
}

fn memory() -> Vec<Rule> {
    use MetricId as M;
    vec![
        rule("memory-used", "Memory nearly used up")
            .note("Sort processes by memory. Restart what leaks, lower cache sizes, or add memory, before the kernel has to kill something.")
            .hold(MINUTE_MS)
            .above(last(M::MemoryUsedPercent))
            .warning(90.0, 80.0)
            .critical(98.0, 90.0)
            .done(),
        rule("swap-used", "Swap nearly used up")
            .note("What was swapped out may stay there harmlessly; look at swap in and out. If both are busy, memory is too small.")
            .hold(MINUTE_MS)
            .above(last(M::SwapUsedPercent))
            .warning(90.0, 80.0)
            .critical(98.0, 90.0)
            .done(),
        rule("oom-kill", "A process was killed for want of memory")
            .note("The kernel's log names it (journalctl -k, \"Out of memory\"). Check that it runs again, and why memory ran out.")
            .above(Quantity { function: Function::Increase, window_ms: HOUR_MS, ..last(M::OomKills) })
            .warning(1.0, 1.0)
            .done(),
    ]
}

fn storage() -> Vec<Rule> {
    use MetricId as M;
    let nearly_nothing_left = Guard {
        quantity: last(M::MountAvailable),
        comparison: Comparison::Below,
        value: 5e9,
    };
    vec![
        rule("mount-full", "File system nearly full")
            .note("Find what grew: du -xh --max-depth=1 on the mount point; old logs, images, core dumps, deleted files that are still open (lsof +L1).")
            .hold(MINUTE_MS)
            .except(&["/snap/*", "/var/lib/snapd/snap/*"])
            .above(last(M::MountUsedPercent))
            .warning(90.0, 80.0)
            .critical(98.0, 90.0)
            .critical_and(nearly_nothing_left)
            .done(),
        rule("mount-filling", "File system fills up soon")
            .note("At the pace of the last hour it is full within a day (critical: within four hours). Find what writes, before it has to stop.")
            .hold(HOUR_MS)
            .below(Quantity { function: Function::TimeToFull, window_ms: HOUR_MS, ..last(M::MountAvailable) })
            .warning(86_400.0, 108_000.0)
            .critical(14_400.0, 21_600.0)
            .done(),
        rule("inodes-used", "File system runs out of inodes")
            .note("No more files can be made, however much space is free. Look for directories with very many small files: caches, sessions, mail queues.")
            .hold(MINUTE_MS)
            .above(last(M::MountInodesUsedPercent))
            .warning(90.0, 80.0)
            .critical(98.0, 90.0)
            .done(),
        rule("disk-slow", "Disk answers slowly")
            .note("Mean time of a request over 15 minutes. Look for who reads and writes, then at the disk itself (smartctl -a); a rebuilding array is slow too.")
            .above(average(M::DiskAwait, 15 * MINUTE_MS))
            .warning(20.0, 10.0)
            .done(),
    ]
}

fn network() -> Vec<Rule> {
    use MetricId as M;
    let ratio = |errors: MetricId, packets: MetricId| Quantity {
        per: Some(packets.name().into()),
        ..average(errors, HOUR_MS)
    };
    vec![
        rule("interface-receive-errors", "Interface receives broken packets")
            .note("More than one packet in a hundred, over an hour. Suspect cable, plug, optics or a duplex mismatch; ethtool -S tells which kind.")
            .above(ratio(M::NetworkReceiveErrors, M::NetworkReceivePackets))
            .warning(0.01, 0.005)
            .done(),
        rule("interface-transmit-errors", "Interface cannot send packets")
            .note("More than one packet in a hundred, over an hour. Suspect the link (carrier lost), the driver or the adapter; ethtool -S tells which kind.")
            .above(ratio(M::NetworkTransmitErrors, M::NetworkTransmitPackets))
            .warning(0.01, 0.005)
            .done(),
    ]
}

fn host() -> Vec<Rule> {
    use MetricId as M;
    vec![
        rule("unit-failed", "systemd unit failed")
            .note("systemctl status UNIT and journalctl -u UNIT tell why. Mend it, then systemctl restart UNIT; or systemctl reset-failed UNIT if it is not wanted.")
            .hold(5 * MINUTE_MS)
            .above(last(M::SystemdUnitFailed))
            .warning(1.0, 1.0)
            .done(),
        rule("rebooted", "Machine was booted less than ten minutes ago")
            .note("If nobody meant it: last -x and journalctl -b -1 -e tell how the life before ended.")
            .below(last(M::Uptime))
            .info(600.0, 600.0)
            .done(),
        rule("clock-ahead", "Clock is ahead")
            .note("By more than five seconds. Check time synchronisation: timedatectl, chronyc tracking. Certificates, logs and databases suffer.")
            .hold(MINUTE_MS)
            .above(last(M::ClockSkew))
            .warning(5_000.0, 2_000.0)
            .done(),
        rule("clock-behind", "Clock is behind")
            .note("By more than five seconds. Check time synchronisation: timedatectl, chronyc tracking. Certificates, logs and databases suffer.")
            .hold(MINUTE_MS)
            .below(last(M::ClockSkew))
            .warning(-5_000.0, -2_000.0)
            .done(),
        rule("machine-down", "Machine is not heard of")
            .note("Is it off, is the network cut, or has only the collector stopped? Ping it, look at its console, then systemctl status sysmon-collector.")
            .hold(MINUTE_MS)
            .down(Severity::Critical),
    ]
}

fn last(metric: MetricId) -> Quantity {
    Quantity {
        metric: metric.name().into(),
        per: None,
        function: Function::Last,
        window_ms: 0,
    }
}

fn average(metric: MetricId, window_ms: u64) -> Quantity {
    Quantity {
        function: Function::Average,
        window_ms,
        ..last(metric)
    }
}

/// A rule that is being put together.
struct Draft {
    rule: Rule,
    check: MetricCheck,
}

fn rule(id: &str, title: &str) -> Draft {
    let check = MetricCheck {
        quantity: last(MetricId::CpuBusy),
        comparison: Comparison::Above,
        info: None,
        warning: None,
        critical: None,
    };
    Draft {
        rule: Rule {
            id: RuleId::parse(id).expect("the ids above are letters and dashes"),
            title: title.into(),
            note: String::new(),
            enabled: true,
            hold_ms: 0,
            clear_hold_ms: 0,
            scope: Scope::default(),
            check: Check::MachineDown {
                severity: Severity::Critical,
            },
        },
        check,
    }
}

impl Draft {
    fn note(mut self, note: &str) -> Self {
        self.rule.note = note.into();
        self
    }

    fn hold(mut self, hold_ms: u64) -> Self {
        self.rule.hold_ms = hold_ms;
        self
    }

    fn except(mut self, entities: &[&str]) -> Self {
        self.rule.scope.except_entities = entities.iter().map(|entity| (*entity).to_owned()).collect();
        self
    }

    fn above(mut self, quantity: Quantity) -> Self {
        self.check.quantity = quantity;
        self
    }

    fn below(mut self, quantity: Quantity) -> Self {
        self.check.quantity = quantity;
        self.check.comparison = Comparison::Below;
        self
    }

    fn info(mut self, trigger: f64, clear: f64) -> Self {
        self.check.info = Some(level(trigger, clear));
        self
    }

    fn warning(mut self, trigger: f64, clear: f64) -> Self {
        self.check.warning = Some(level(trigger, clear));
        self
    }

    fn critical(mut self, trigger: f64, clear: f64) -> Self {
        self.check.critical = Some(level(trigger, clear));
        self
    }

    fn critical_and(mut self, guard: Guard) -> Self {
        if let Some(critical) = &mut self.check.critical {
            critical.and = Some(guard);
        }
        self
    }

    fn done(self) -> Rule {
        Rule {
            check: Check::Metric(self.check),
            ..self.rule
        }
    }

    fn down(self, severity: Severity) -> Rule {
        Rule {
            check: Check::MachineDown { severity },
            ..self.rule
        }
    }
}

fn level(trigger: f64, clear: f64) -> Level {
    Level {
        trigger,
        clear: Some(clear),
        and: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::RuleSet;
    use std::collections::HashSet;

    #[test]
    fn every_rule_is_good_unique_and_says_what_to_do() {
        let rules = starter_pack();
        let ids: HashSet<&RuleId> = rules.iter().map(|rule| &rule.id).collect();
        assert_eq!(ids.len(), rules.len());
        for rule in &rules {
            assert_eq!(rule.problems(), Vec::<String>::new(), "{}", rule.id);
            assert_eq!(rule.warnings(), Vec::<String>::new(), "{}", rule.id);
            assert!(rule.enabled && rule.note.len() > 40, "{}", rule.id);
            let text = toml::to_string(rule).unwrap();
            assert_eq!(&toml::from_str::<Rule>(&text).unwrap(), rule, "{text}");
        }
        let count = rules.len();
        let set = RuleSet::new(rules);
        assert_eq!((set.rules().count(), set.refused().len()), (count, 0));
    }
}
