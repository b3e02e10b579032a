//! One aggregator, three collectors, two clients: whichever is killed, the others go on, and all is well again within
//! five seconds of its restart without anybody doing anything.

use std::time::{Duration, Instant};

use sysmon_api::{Client, ClientConfig, Endpoint};
use sysmon_core::{Liveness, UnixMillis};

use crate::support::{Home, Role, finish};
use crate::watcher::{Watcher, are_live};

const MACHINES: [&str; 3] = ["alpha", "beta", "gamma"];
/// What the product promises.
const RECOVERY: Duration = Duration::from_secs(5);

struct Cluster {
    home: Home,
    port: u16,
    aggregator: Role,
    collectors: Vec<Role>,
}

impl Cluster {
    async fn start() -> Self {
        let home = Home::new();
        let (aggregator, port) = home.start_aggregator(&[]).await;
        let collectors = MACHINES.map(|id| collector(&home, port, id)).into();
        Self {
            home,
            port,
            aggregator,
            collectors,
        }
    }

    /// A client on the socket of the user, so that it needs no token.
    fn watch(&self) -> Watcher {
        let endpoint = Endpoint::unix(self.home.socket(self.port));
        Watcher::start(Client::new(ClientConfig::new(endpoint)).unwrap())
    }
}

fn collector(home: &Home, port: u16, id: &str) -> Role {
    let url = format!("http://127.0.0.1:{port}");
    home.start(&[
        "collector",
        "--aggregator",
        &url,
        "--machine-id",
        id,
        "--interval",
        "500ms",
    ])
}

/// Waits until both clients show all machines with something newer than they show now.
async fn all_is_well(what: &str, watchers: &mut [Watcher]) -> Duration {
    let started = Instant::now();
    for watcher in watchers {
        let since = watcher.now();
        watcher
            .wait_for(what, |fleet| are_live(fleet, &MACHINES, since))
            .await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_killed_collector_is_stale_alone_and_back_within_five_seconds() {
    let mut cluster = Cluster::start().await;
    let mut watchers = [cluster.watch(), cluster.watch()];
    all_is_well("at the start", &mut watchers).await;

    cluster.collectors.remove(0).kill().await;
    for watcher in &mut watchers {
        let since = watcher.now();
        watcher
            .wait_for("alpha is stale and the others go on", |fleet| {
                let is_stale = |id| {
                    fleet
                        .find(id)
                        .is_some_and(|machine| machine.liveness == Liveness::Stale)
                };
                let goes_on = |id| {
                    fleet.find(id).is_some_and(|machine| {
                        machine.liveness == Liveness::Live && machine.last_seen > since.plus_ms(2_000)
                    })
                };
                is_stale("alpha") && goes_on("beta") && goes_on("gamma")
            })
            .await;
    }

    cluster
        .collectors
        .push(collector(&cluster.home, cluster.port, "alpha"));
    let took = all_is_well("alpha is back", &mut watchers).await;
    assert!(took <= RECOVERY, "{took:?}");
}

#[tokio::test]
async fn a_killed_aggregator_is_found_again_by_collectors_and_clients_within_five_seconds() {
    let mut cluster = Cluster::start().await;
    let mut watchers = [cluster.watch(), cluster.watch()];
    all_is_well("at the start", &mut watchers).await;

    let listen = format!("127.0.0.1:{}", cluster.port);
    let Cluster {
        home,
        port,
        aggregator,
        collectors,
    } = cluster;
    aggregator.kill().await;
    // Long enough for everybody to have noticed and to wait as long as they ever do between two attempts.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut aggregator = home.start(&["aggregator", "--listen", &listen]);
    assert_eq!(aggregator.port().await, port);
    cluster = Cluster {
        home,
        port,
        aggregator,
        collectors,
    };

    let took = all_is_well("everybody is back", &mut watchers).await;
    assert!(took <= RECOVERY, "{took:?}");
    // The stream of a client that comes only now shows the same.
    let mut late = cluster.watch();
    late.wait_for("a new client", |fleet| are_live(fleet, &MACHINES, UnixMillis(0)))
        .await;
}

#[tokio::test]
async fn a_client_that_goes_disturbs_nobody_and_the_next_sees_everything() {
    let cluster = Cluster::start().await;
    let mut watchers = vec![cluster.watch(), cluster.watch()];
    all_is_well("at the start", &mut watchers).await;
    drop(watchers.remove(0));
    all_is_well("without the first client", &mut watchers).await;

    let url = format!("http://127.0.0.1:{}", cluster.port);
    let arguments = ["--once", "--format", "json", "--connect", &url];
    let finished = finish(&mut cluster.home.sysmon_tui(&arguments)).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let printed: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let states: Vec<_> = printed["machines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|machine| &machine["state"])
        .collect();
    assert_eq!(states, ["live"; 3]);

    watchers.push(cluster.watch());
    all_is_well("with a new client", &mut watchers).await;
    drop((cluster.aggregator, cluster.collectors));
}

#[tokio::test]
async fn a_second_collector_that_claims_a_machine_is_refused_and_the_first_goes_on() {
    let mut cluster = Cluster::start().await;
    let mut watchers = [cluster.watch()];
    all_is_well("at the start", &mut watchers).await;
    // As if on another machine: on the same one its spool is taken.
    let elsewhere = Home::new();
    let url = format!("unix:{}", cluster.home.socket(cluster.port).display());
    let mut second = elsewhere.start(&["collector", "--aggregator", &url, "--machine-id", "alpha"]);
    second
        .wait_for_log("it is told why", |line| {
            line.to_string().contains("alpha") && line["level"] != "INFO"
        })
        .await;
    all_is_well("the first goes on", &mut watchers).await;
    cluster.collectors.push(second);
}
