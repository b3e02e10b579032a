use super::*;
use sysmon_api::series_to_wire;
use sysmon_core::SeriesKey;

const BUSY: u32 = 1;
const LOAD: u32 = 2;

fn machine(number: u32, values: &[(u32, i64)], liveness: wire::Liveness) -> wire::MachineUpdate {
    wire::MachineUpdate {
        machine: number,
        header: Some(wire::MachineHeader {
            machine_id: format!("web-{number}"),
            ..Default::default()
        }),
        replace: true,
        liveness: liveness.into(),
        announced: vec![
            series_to_wire(BUSY, &SeriesKey::plain(MetricId::CpuBusy), 1),
            series_to_wire(LOAD, &SeriesKey::plain(MetricId::Load1), 2),
        ],
        ticks: vec![sysmon_api::tick_to_wire(sysmon_core::UnixMillis(1_000), values)],
        sequence: 1,
        ..Default::default()
    }
}

fn response(number: u64, snapshot: bool, machines: Vec<wire::MachineUpdate>) -> wire::Response {
    let update = wire::Update {
        subscription: SUBSCRIPTION,
        number,
        snapshot,
        machines,
        ..Default::default()
    };
    wire::Response {
        request_id: 0,
        body: Some(wire::response::Body::Update(update)),
    }
}

/// Follows what a server sends; the server's end stays open, as that of one that waits for news.
async fn follow_all(
    responses: Vec<wire::Response>,
    is_own_machine: bool,
) -> (Result<Snapshot, ApiError>, Vec<wire::command::Body>) {
    follow_with(responses, is_own_machine, false).await
}

/// The same of a server that tells of alerts, or does not.
async fn follow_with(
    responses: Vec<wire::Response>,
    is_own_machine: bool,
    tells_alerts: bool,
) -> (Result<Snapshot, ApiError>, Vec<wire::command::Body>) {
    let (sender, receiver) = mpsc::channel(16);
    for response in responses {
        sender.send(response).await.unwrap();
    }
    let (outgoing, mut commands) = mpsc::channel(16);
    let mut inbound = Inbound::from_receiver(receiver);
    let wanted = Wanted {
        is_own_machine,
        tells_alerts,
        filter: "role = web".into(),
    };
    let fleet = follow(&outgoing, &mut inbound, &wanted).await;
    drop((outgoing, sender));
    let mut sent = Vec::new();
    while let Some(command) = commands.recv().await {
        sent.extend(command.body);
    }
    (fleet, sent)
}

#[tokio::test(start_paused = true)]
async fn a_live_machine_is_waited_for_until_it_has_rates_and_every_update_is_acknowledged() {
    let mut second = machine(1, &[(BUSY, 125), (LOAD, 40)], wire::Liveness::Live);
    (
        second.header,
        second.replace,
        second.sequence,
        second.follows_sequence,
    ) = (None, false, 2, 1);
    let responses = vec![
        response(1, true, vec![machine(1, &[(LOAD, 30)], wire::Liveness::Live)]),
        response(2, false, vec![second]),
    ];
    let started = Instant::now();
    let (fleet, sent) = follow_all(responses, false).await;
    assert_eq!(
        fleet
            .unwrap()
            .fleet
            .find("web-1")
            .unwrap()
            .recent
            .value(MetricId::CpuBusy),
        Some(12.5)
    );
    assert!(started.elapsed() < SETTLE_TIMEOUT);
    let acknowledged: Vec<_> = sent
        .iter()
        .filter_map(|body| match body {
            wire::command::Body::UpdateReceived(received) => Some(received.number),
            _ => None,
        })
        .collect();
    assert_eq!(acknowledged, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_machine_is_not_waited_for() {
    let responses = vec![response(
        1,
        true,
        vec![machine(1, &[(LOAD, 30)], wire::Liveness::Lost)],
    )];
    let started = Instant::now();
    let (fleet, _) = follow_all(responses, false).await;
    assert_eq!(fleet.unwrap().machines().count(), 1);
    assert!(started.elapsed() < SETTLE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_gives_rates_is_shown_with_what_there_is_after_three_seconds() {
    let responses = vec![response(
        1,
        true,
        vec![machine(1, &[(LOAD, 30)], wire::Liveness::Live)],
    )];
    let started = Instant::now();
    let (fleet, _) = follow_all(responses, false).await;
    assert_eq!(
        fleet
            .unwrap()
            .fleet
            .find("web-1")
            .unwrap()
            .recent
            .value(MetricId::Load1),
        Some(0.3)
    );
    assert_eq!(started.elapsed(), SETTLE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_empty_fleet_is_an_answer_but_an_error_for_the_own_machine() {
    let (fleet, _) = follow_all(vec![response(1, true, vec![])], false).await;
    assert_eq!(fleet.unwrap().machines().count(), 0);
    let started = Instant::now();
    let (fleet, sent) = follow_all(vec![response(1, true, vec![])], true).await;
    assert!(fleet.unwrap_err().message.contains("did not report"));
    assert_eq!(started.elapsed(), SETTLE_TIMEOUT);
    let Some(wire::command::Body::Subscribe(subscribe)) = sent.first() else {
        panic!("{sent:?}")
    };
    assert_eq!(subscribe.processes(), wire::ProcessDetail::All);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_and_a_closed_one_are_errors_that_say_so() {
    let (silent, _) = follow_all(vec![], false).await;
    assert!(silent.unwrap_err().message.contains("sends nothing"));
    let (outbound, receiver) = mpsc::channel(1);
    drop(outbound);
    let (outgoing, _commands) = mpsc::channel(4);
    let wanted = Wanted {
        is_own_machine: false,
        tells_alerts: false,
        filter: String::new(),
    };
    let closed = follow(&outgoing, &mut Inbound::from_receiver(receiver), &wanted).await;
    assert!(closed.unwrap_err().message.contains("closed the connection"));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_does_not_follow_makes_it_subscribe_again() {
    let mut unknown = machine(7, &[(BUSY, 125)], wire::Liveness::Live);
    unknown.header = None;
    let responses = vec![
        response(1, true, vec![unknown]),
        response(1, true, vec![machine(1, &[(BUSY, 125)], wire::Liveness::Live)]),
    ];
    let (fleet, sent) = follow_all(responses, false).await;
    assert!(fleet.unwrap().fleet.find("web-1").is_some());
    let subscriptions = sent
        .iter()
        .filter(|body| matches!(body, wire::command::Body::Subscribe(_)))
        .count();
    assert_eq!(subscriptions, 2);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn the_own_machine_is_waited_for_until_every_probe_has_reported() {
    let complete = || {
        let mut complete = machine(1, &[(BUSY, 125)], wire::Liveness::Live);
        let mut values = vec![(BUSY, 125)];
        for (probe, number) in SLOW_PROBES.iter().zip(10..) {
            let key = SeriesKey::of(MetricId::ProbeDuration, probe);
            complete.announced.push(series_to_wire(number, &key, 2));
            values.push((number, 1));
        }
        complete.ticks = vec![sysmon_api::tick_to_wire(sysmon_core::UnixMillis(1_000), &values)];
        let process = wire::Process {
            pid: 7,
            cpu_centipercent_plus_one: 1,
            ..Default::default()
        };
        complete.processes = Some(wire::ProcessUpdate {
            changed: vec![process],
            ..Default::default()
        });
        complete
    };
    let started = Instant::now();
    follow_all(vec![response(1, true, vec![complete()])], true)
        .await
        .0
        .unwrap();
    assert!(started.elapsed() < SETTLE_TIMEOUT);
    let mut without_one = complete();
    without_one.announced.pop();
    let started = Instant::now();
    follow_all(vec![response(1, true, vec![without_one])], true)
        .await
        .0
        .unwrap();
    assert_eq!(started.elapsed(), SETTLE_TIMEOUT);
}

fn board(more: bool) -> wire::Response {
    let alert = wire::Alert {
        key: Some(wire::AlertKey {
            rule_id: "cpu".into(),
            machine_id: "web-1".into(),
            entity: String::new(),
        }),
        phase: wire::AlertPhase::Firing.into(),
        severity: wire::Severity::Critical.into(),
        ..Default::default()
    };
    let board = wire::AlertBoard {
        snapshot: !more,
        more,
        alerts: vec![alert],
        ..Default::default()
    };
    wire::Response {
        request_id: 0,
        body: Some(wire::response::Body::Alerts(board)),
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_are_waited_for_where_they_are_told_and_a_fleet_is_shown_without_them() {
    let live = || response(1, true, vec![machine(1, &[(BUSY, 125)], wire::Liveness::Live)]);
    let started = Instant::now();
    let (told, sent) = follow_with(vec![live(), board(false)], false, true).await;
    assert!(told.unwrap().has_critical());
    assert!(started.elapsed() < SETTLE_TIMEOUT);
    let asks = |body: &wire::command::Body| matches!(body, wire::command::Body::WatchAlerts(_));
    assert!(sent.iter().any(asks));
    let (partly, _) = follow_with(vec![live(), board(true)], false, true).await;
    assert!(partly.unwrap().board.is_none(), "half a board is none");
    assert_eq!(started.elapsed(), SETTLE_TIMEOUT);
    let refused = wire::Response {
        request_id: WATCH_REQUEST,
        body: Some(wire::response::Body::Failure(wire::Failure::default())),
    };
    let (refused, _) = follow_with(vec![refused, live()], false, true).await;
    assert_eq!(refused.unwrap().machines().count(), 1);
    let (_, sent) = follow_with(vec![live()], false, false).await;
    assert!(!sent.iter().any(asks));
}

#[tokio::test(start_paused = true)]
async fn the_aggregator_leaves_out_what_does_not_match_and_the_own_machine_is_judged_when_it_has_reported() {
    let busy = response(
        1,
        true,
        vec![machine(1, &[(BUSY, 900), (LOAD, 40)], wire::Liveness::Live)],
    );
    let (fleet, sent) = follow_all(vec![busy], false).await;
    let Some(wire::command::Body::Subscribe(subscribe)) = sent.first() else {
        panic!("{sent:?}")
    };
    assert_eq!(subscribe.filter, "role = web");
    let fleet = fleet.unwrap();
    for (filter, count) in [("cpu > 50", 1), ("load1 > 1", 0), ("alert = none", 1), ("web", 1)] {
        let snapshot = Snapshot::of_fleet(fleet.fleet.clone());
        let filtered = snapshot.filtered(&Filter::parse(filter).unwrap());
        assert_eq!(filtered.machines().count(), count, "{filter}");
    }
}
