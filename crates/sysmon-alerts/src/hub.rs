//! What alert services and aggregators tell each other, and what the parts of this service tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sysmon_api::{alert_to_wire, transition_to_wire, wire};
use sysmon_core::alert::{Alert, Transition};
use sysmon_store::{BusEvent, EventBus};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// The channel of the bus.
pub(crate) const CHANNEL: &str = "alerts";
/// The most alerts or transitions in one message.
const PIECE: usize = 200;
/// The most pieces of news that wait for the notifier; when there are more it looks at everything anew.
const HEARD_MAX: usize = 1_024;
/// How often others are told that this service works.
const PULSE: Duration = Duration::from_secs(5);

/// What the notifier is told.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// Alerts changed. They are in the store, unless that is down.
    Alerts(Vec<Alert>),
    /// Somebody asked for a delivery, or for one to be sent again.
    Deliveries,
}

/// Tells others, and hears them.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Option<Bus>,
    sender_id: String,
    notifier: mpsc::Sender<Heard>,
    /// The notifier's queue was full.
    missed: AtomicBool,
    /// Rules, silences or acknowledgements may have changed.
    pub(crate) reload: Notify,
}

struct Bus(Arc<dyn EventBus>);

impl std::fmt::Debug for Bus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.info().engine)
    }
}

impl Hub {
    pub(crate) fn new(
        bus: Option<Arc<dyn EventBus>>,
        sender_id: String,
    ) -> (Arc<Self>, mpsc::Receiver<Heard>) {
        let (notifier, heard) = mpsc::channel(HEARD_MAX);
        let hub = Self {
            bus: bus.map(Bus),
            sender_id,
            notifier,
            missed: AtomicBool::new(false),
            reload: Notify::new(),
        };
        (Arc::new(hub), heard)
    }

    /// Whether others say what they change, so that the store need not be asked often.
    pub(crate) fn has_bus(&self) -> bool {
        self.bus.is_some()
    }

    /// Whether something was missed since this was asked last.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    fn tell_notifier(&self, heard: Heard) {
        if self.notifier.try_send(heard).is_err() {
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    /// Says how alerts stand, those that are gone as inactive, and what steps they took. Best effort: whoever misses it
    /// loads it.
    pub(crate) async fn alerts(&self, alerts: &[Alert], transitions: &[Transition]) {
        if !alerts.is_empty() || !transitions.is_empty() {
            self.tell_notifier(Heard::Alerts(alerts.to_vec()));
        }
        for piece in alerts.chunks(PIECE) {
            self.publish(wire::AlertNews {
                alerts: piece.iter().map(alert_to_wire).collect(),
                ..Default::default()
            })
            .await;
        }
        for piece in transitions.chunks(PIECE) {
            self.publish(wire::AlertNews {
                transitions: piece.iter().map(|step| transition_to_wire(0, step)).collect(),
                ..Default::default()
            })
            .await;
        }
    }

    /// Says that deliveries were made, or finished, or failed.
    pub(crate) async fn deliveries(&self) {
        self.publish(wire::AlertNews {
            deliveries_changed: true,
            ..Default::default()
        })
        .await;
    }

    async fn publish(&self, news: wire::AlertNews) {
        let Some(Bus(bus)) = &self.bus else {
            return;
        };
        let news = wire::AlertNews {
            sender_id: self.sender_id.clone(),
            ..news
        };
        let payload = Bytes::from(news.encode_to_vec());
        if let Err(error) = bus.publish(&[(CHANNEL.to_owned(), payload)]).await {
            tracing::debug!(%error, "alerts were not told to the others");
        }
    }

    /// Listens to the others, and tells them every five seconds that this service works and whom it can tell.
    pub(crate) async fn run(&self, receivers: Vec<String>, shutdown: CancellationToken) {
        let Some(Bus(bus)) = &self.bus else {
            return shutdown.cancelled().await;
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.listen(&**bus) => {}
            () = self.pulse(receivers) => {}
        }
    }

    async fn pulse(&self, receivers: Vec<String>) {
        loop {
            self.publish(wire::AlertNews {
                pulse: Some(wire::AlertPulse {
                    receivers: receivers.clone(),
                }),
                ..Default::default()
            })
            .await;
            tokio::time::sleep(PULSE).await;
        }
    }

    async fn listen(&self, bus: &dyn EventBus) {
        loop {
            match bus.subscribe(&[CHANNEL.to_owned()]).await {
                Ok(mut subscription) => {
                    while let Some(event) = subscription.next().await {
                        self.hear(event);
                    }
                }
                Err(error) => tracing::error!(%error, "cannot listen to other alert services"),
            }
            tokio::time::sleep(PULSE).await;
        }
    }

    fn hear(&self, event: BusEvent) {
        let payload = match event {
            BusEvent::Message { payload, .. } => payload,
            BusEvent::Missed => {
                self.missed.store(true, Ordering::Relaxed);
                self.reload.notify_one();
                return self.tell_notifier(Heard::Deliveries);
            }
        };
        let Ok(news) = wire::AlertNews::decode(payload) else {
            return tracing::warn!("somebody told something about alerts that cannot be read; upgrade all");
        };
        if news.sender_id == self.sender_id {
            return;
        }
        if !news.changed_rule_ids.is_empty() || news.mutes_changed {
            self.reload.notify_one();
        }
        if news.deliveries_changed {
            self.tell_notifier(Heard::Deliveries);
        }
        if !news.alerts.is_empty() || !news.transitions.is_empty() {
            let alerts = news
                .alerts
                .iter()
                .filter_map(|alert| sysmon_api::alert_from_wire(alert).ok());
            self.tell_notifier(Heard::Alerts(alerts.collect()));
        }
    }
}
