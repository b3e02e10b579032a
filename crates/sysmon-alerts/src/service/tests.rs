//! The whole service, against a fleet, a store and receivers of tests, on a paused clock.

mod bus;
mod kill;
mod life;
mod replicas;
mod store;
mod world;

use std::sync::Arc;
use std::time::Duration;

use sysmon_core::alert::{Rule, Timing};
use sysmon_store::{Author, RuleStore};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::receiver::probe::Probe;
use crate::receivers::Receivers;
use store::Watched;
use world::{START, World};

/// Everything that outlives a service.
struct Stage {
    world: Arc<World>,
    store: Arc<Watched>,
    probe: Probe,
    config: Config,
    bus: Option<Arc<dyn EventBus>>,
}

impl Stage {
    /// A fleet, a store with the rules of a file, one receiver. Times are a tenth of the usual, or less.
    async fn new(world: World, rules: &[&str]) -> Self {
        // Shown with a test that fails.
        let shown = tracing_subscriber::fmt().with_test_writer().without_time();
        let _ = shown.with_max_level(tracing::Level::INFO).try_init();
        let probe = Probe::default();
        let store = Arc::new(Watched::new().await);
        let author = Author {
            name: "ann".into(),
            at: START,
        };
        for rule in rules {
            let rule: Rule = toml::from_str(rule).unwrap();
            assert_eq!(rule.problems(), Vec::<String>::new());
            store.put_rule(&rule, 0, &author).await.unwrap();
        }
        let config = Config {
            receivers: Receivers::of_probes(&[("probe", probe.clone(), None)]),
            timing: Timing {
                wait_ms: 2_000,
                interval_ms: 5_000,
                interval_ms_max: 60_000,
                repeat_ms: 1_000_000,
            },
            lease_ms: 600,
            batch_ms: 50,
            state_ms: 3_000,
            clock: Clock::starting_at(START),
            ..Config::default()
        };
        Self {
            world: world.serve(),
            store,
            probe,
            config,
            bus: None,
        }
    }

    /// A service that runs until it is stopped; dropped, it ends at once.
    fn start(&self) -> Running {
        let shutdown = CancellationToken::new();
        let stores = Stores {
            rules: Arc::clone(&self.store) as Arc<dyn RuleStore>,
            bus: self.bus.clone(),
        };
        let (service, work) =
            AlertService::new(self.config.clone(), stores, self.world.client(), shutdown.clone());
        Running {
            service,
            shutdown,
            work: Box::pin(work),
        }
    }

    /// Runs a service until so many seconds after the start.
    async fn run_until(&self, running: &mut Running, second: i64) {
        let left = START.plus_ms(second * 1_000).since_ms(self.config.clock.now());
        tokio::select! {
            ended = &mut running.work => panic!("the service ended: {ended:?}"),
            () = tokio::time::sleep(Duration::from_millis(left)) => {}
        }
    }
}

struct Running {
    service: AlertService,
    shutdown: CancellationToken,
    work: std::pin::Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>,
}

const CPU: &str = "id = \"cpu\"\ntitle = \"CPU busy\"\n[check]\nkind = \"metric\"\ncomparison = \"above\"\nquantity = { metric = \"cpu.busy_percent\" }\nwarning = { trigger = 80.0, clear = 70.0 }\ncritical = { trigger = 95.0, clear = 85.0 }";
const DOWN: &str = "id = \"down\"\ntitle = \"Machine down\"\nfor = \"10s\"\n[check]\nkind = \"machine_down\"\nseverity = \"critical\"";
