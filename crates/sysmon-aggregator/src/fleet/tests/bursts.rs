//! Machines that are measured more often while somebody looks.

use sysmon_api::{Code, wire};
use sysmon_core::MetricId;

use super::{Batch, Config, Follower, Lab, StreamId, everything};

fn lease(machine_id: &str, interval_ms: u32, duration_ms: u32) -> wire::BurstLease {
    wire::BurstLease {
        machine_id: machine_id.into(),
        interval_ms,
        duration_ms,
    }
}

impl Lab {
    fn burst(&mut self, stream: StreamId, values: &[(u32, i64)]) {
        let batch = Batch {
            is_burst: true,
            tick: Some((self.now.unix, values.to_vec())),
            ..Batch::default()
        };
        self.fleet.batch(stream, batch, self.now);
    }

    /// What collectors were told since the last look.
    fn told(&mut self) -> Vec<u32> {
        let directives = self.fleet.take_directives();
        directives
            .iter()
            .map(|(_, directive)| directive.burst_interval_ms)
            .collect()
    }
}

fn cpu(follower: &Follower) -> Option<f64> {
    follower.replica.find("web-1")?.recent.value(MetricId::CpuBusy)
}

#[test]
fn several_share_one_lease_and_it_ends_with_the_last_of_them() {
    let mut lab = Lab::new(Config::default());
    lab.join("web-1");
    lab.told();
    let clients = [lab.fleet.open_client().unwrap(), lab.fleet.open_client().unwrap()];
    let now = lab.now;
    lab.fleet
        .lease_burst(clients[0], &lease("web-1", 250, 30_000), now)
        .unwrap();
    assert_eq!(lab.told(), [250]);
    lab.fleet
        .lease_burst(clients[1], &lease("web-1", 500, 30_000), now)
        .unwrap();
    assert!(lab.told().is_empty(), "the shorter one goes on");
    lab.fleet
        .lease_burst(clients[0], &lease("web-1", 250, 0), now)
        .unwrap();
    assert_eq!(lab.told(), [500]);
    lab.fleet.close_client(clients[1]);
    assert_eq!(lab.told(), [0]);
}

#[test]
fn a_lease_that_is_not_asked_for_again_ends_by_itself() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    lab.told();
    let client = lab.fleet.open_client().unwrap();
    let now = lab.now;
    lab.fleet
        .lease_burst(client, &lease("web-1", 250, 30_000), now)
        .unwrap();
    for _ in 0..29 {
        lab.wait(1_000);
        lab.tick(stream, &[(1, 10)]);
    }
    assert_eq!(lab.told(), [250]);
    let now = lab.now;
    lab.fleet
        .lease_burst(client, &lease("web-1", 250, 30_000), now)
        .unwrap();
    lab.wait(29_000);
    assert!(lab.told().is_empty(), "it was asked for again");
    lab.wait(1_000);
    assert_eq!(lab.told(), [0]);
}

/// Gives both what there is for them; returns how many updates each got.
fn both(lab: &mut Lab, close: &mut Follower, table: &mut Follower) -> (usize, usize) {
    let mut told = (0, 0);
    loop {
        lab.wait(2);
        close.acknowledge(lab);
        table.acknowledge(lab);
        let flushed = lab.flush();
        if flushed.is_empty() {
            return told;
        }
        told.0 += close.take(flushed.clone()).len();
        told.1 += table.take(flushed).len();
    }
}

#[test]
fn what_comes_in_between_is_for_those_who_look_and_leaves_the_past_alone() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    let mut close = Follower::new(&mut lab, everything());
    let mut table = Follower::new(
        &mut lab,
        wire::Subscribe {
            history_ms: 300_000,
            ..wire::Subscribe::default()
        },
    );
    let now = lab.now;
    lab.fleet
        .lease_burst(close.client, &lease("web-1", 250, 30_000), now)
        .unwrap();
    lab.tick(stream, &[(1, 100)]);
    both(&mut lab, &mut close, &mut table);
    for value in [300, 500, 700] {
        lab.wait(250);
        lab.burst(stream, &[(1, value), (99, 1)]);
        let told = both(&mut lab, &mut close, &mut table);
        assert_eq!(told, (1, 0), "nothing of it for the table");
        assert_eq!(cpu(&close), Some(value as f64 / 10.0));
    }
    assert_eq!(cpu(&table), Some(10.0));
    lab.wait(250);
    lab.tick(stream, &[(1, 200)]);
    both(&mut lab, &mut close, &mut table);
    assert_eq!((cpu(&close), cpu(&table)), (Some(20.0), Some(20.0)));
    assert_eq!(lab.fleet.machines[0].recent.times().len(), 2, "the base ticks");
    let machine = close.replica.find("web-1").unwrap();
    assert_eq!(machine.recent.times().len(), 5);
    let times: Vec<_> = machine.recent.times().iter().copied().collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_slow_client_never_sees_time_run_backwards() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    let mut close = Follower::new(&mut lab, everything());
    let now = lab.now;
    lab.fleet
        .lease_burst(close.client, &lease("web-1", 250, 60_000), now)
        .unwrap();
    lab.tick(stream, &[(1, 1)]);
    close.drain(&mut lab);
    for step in 1..100 {
        lab.wait(250);
        if step % 4 == 0 {
            lab.tick(stream, &[(1, step)]);
        } else {
            lab.burst(stream, &[(1, step)]);
        }
    }
    close.drain(&mut lab);
    let machine = close.replica.find("web-1").unwrap();
    let times: Vec<_> = machine.recent.times().iter().copied().collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(cpu(&close), Some(9.9), "the newest is there");
}

#[test]
fn what_cannot_be_leased_is_refused_with_a_reason() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    let client = lab.fleet.open_client().unwrap();
    let now = lab.now;
    let mut refused =
        |wanted: wire::BurstLease| lab.fleet.lease_burst(client, &wanted, now).unwrap_err().code;
    assert_eq!(refused(lease("web-2", 250, 1_000)), Code::NotFound);
    assert_eq!(refused(lease("web-1", 99, 1_000)), Code::InvalidArgument);
    assert_eq!(refused(lease("web-1", 250, 60_001)), Code::InvalidArgument);
    lab.fleet.close_stream(stream);
    assert_eq!(
        lab.fleet
            .lease_burst(client, &lease("web-1", 250, 1_000), now)
            .unwrap_err()
            .code,
        Code::FailedPrecondition
    );
}

#[test]
fn nobody_looks_and_nothing_is_kept() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    lab.tick(stream, &[(1, 1)]);
    for _ in 0..1_000 {
        lab.wait(100);
        lab.burst(stream, &[(1, 5)]);
    }
    assert_eq!(lab.fleet.machines[0].recent.value(MetricId::CpuBusy), Some(0.1));
    assert_eq!(lab.fleet.machines[0].burst.count(), 0);
}
