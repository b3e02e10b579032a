use bytes::Bytes;
use prost::Message as _;
use sysmon_api::{alert_from_wire, transition_from_wire, wire};
use sysmon_core::alert::{Phase, Rule};
use sysmon_store::{BusEvent, BusSubscription, Delivery, DeliveryState, open_bus};

use super::*;
use crate::message::Message;

fn author() -> Author {
    Author {
        name: "ann".into(),
        at: START,
    }
}

/// The next news that is not a pulse.
async fn news(subscription: &mut BusSubscription) -> wire::AlertNews {
    loop {
        let Some(BusEvent::Message { payload, .. }) = subscription.next().await else {
            panic!("the bus is gone");
        };
        let news = wire::AlertNews::decode(payload).unwrap();
        if news.pulse.is_none() {
            return news;
        }
    }
}

async fn say(stage: &Stage, news: wire::AlertNews) {
    let news = wire::AlertNews {
        sender_id: "an aggregator".into(),
        ..news
    };
    let payload = Bytes::from(news.encode_to_vec());
    let bus = stage.bus.as_ref().unwrap();
    bus.publish(&[("alerts".to_owned(), payload)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn others_hear_of_alerts_after_the_store_has_them_and_that_the_service_works() {
    let mut stage = Stage::new(World::new(&[("a", &[(0, Some(100)), (7, Some(990))])]), &[CPU]).await;
    stage.bus = Some(open_bus("memory:").unwrap());
    let bus = Arc::clone(stage.bus.as_ref().unwrap());
    let mut all = bus.subscribe(&["alerts".to_owned()]).await.unwrap();
    let mut pulses = bus.subscribe(&["alerts".to_owned()]).await.unwrap();
    let mut running = stage.start();
    let listen = async {
        let alerts = news(&mut all).await.alerts;
        let alert = alert_from_wire(&alerts[0]).unwrap();
        assert_eq!(alert.phase, Phase::Firing);
        assert_eq!(stage.store.alerts().await.unwrap(), [alert]);
        let steps = news(&mut all).await.transitions;
        let step = transition_from_wire(&steps[0]).unwrap();
        assert_eq!(step.culprits[0].name, "stress");
        assert_eq!(
            stage.store.transitions_after(0, 10).await.unwrap()[0].transition,
            step
        );
        assert!(news(&mut all).await.deliveries_changed);
    };
    tokio::select! {
        () = listen => {}
        () = stage.run_until(&mut running, 10) => panic!("nothing was heard"),
    }
    let Some(BusEvent::Message { payload, .. }) = pulses.next().await else {
        panic!("no pulse");
    };
    let pulse = wire::AlertNews::decode(payload).unwrap().pulse.unwrap();
    assert_eq!(pulse.receivers, ["probe"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_change_counts_at_once() {
    let mut stage = Stage::new(World::new(&[("a", &[(0, Some(850))])]), &[]).await;
    stage.bus = Some(open_bus("memory:").unwrap());
    let mut running = stage.start();
    stage.run_until(&mut running, 3).await;
    let rule: Rule = toml::from_str(CPU).unwrap();
    stage.store.put_rule(&rule, 0, &author()).await.unwrap();
    stage.run_until(&mut running, 5).await;
    assert!(
        stage.store.alerts().await.unwrap().is_empty(),
        "nobody said anything"
    );
    let changed = wire::AlertNews {
        changed_rule_ids: vec!["cpu".into()],
        ..Default::default()
    };
    say(&stage, changed).await;
    stage.run_until(&mut running, 7).await;
    assert_eq!(stage.store.alerts().await.unwrap().len(), 1);
    let delivery = Delivery {
        id: format!("{:032x}", 7),
        receiver: "probe".into(),
        content: Message::test("probe", "ann", START).to_json(),
        created: START,
        state: DeliveryState::Pending,
        attempts: 0,
        due: START,
        problem: String::new(),
    };
    stage.store.request_delivery(&delivery, &author()).await.unwrap();
    let requested = wire::AlertNews {
        deliveries_changed: true,
        ..Default::default()
    };
    say(&stage, requested).await;
    stage.run_until(&mut running, 8).await;
    assert_eq!(stage.probe.ids()[0], delivery.id);
}

#[tokio::test(start_paused = true)]
async fn whoever_read_that_there_are_no_rules_hears_of_the_starter_pack() {
    let mut stage = Stage::new(World::new(&[]), &[]).await;
    stage.bus = Some(open_bus("memory:").unwrap());
    let bus = Arc::clone(stage.bus.as_ref().unwrap());
    let mut all = bus.subscribe(&["alerts".to_owned()]).await.unwrap();
    let stores = Stores {
        rules: Arc::clone(&stage.store) as Arc<dyn RuleStore>,
        bus: Some(bus),
    };
    let count = install_starter(&stores, START).await.unwrap();
    let heard = news(&mut all).await.changed_rule_ids;
    assert_eq!((heard.len(), count), (count, 18));
    assert_eq!(install_starter(&stores, START).await.unwrap(), 0, "once only");
}
