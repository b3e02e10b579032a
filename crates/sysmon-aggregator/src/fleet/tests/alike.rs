//! Subscribers that are told alike: what is encoded once for several is what each would get if it were alone.

use super::followed::{Happening, Scene, happening};
use super::*;
use proptest::prelude::*;

/// Two that want the same of all machines, two that want the same of some, with a pause of their own, and one like nobody.
fn wishes() -> Vec<wire::Subscribe> {
    let web = |period_ms| wire::Subscribe {
        filter: "role=web".into(),
        metrics: vec!["cpu.busy_percent".into(), "mount.used_percent".into()],
        processes: wire::ProcessDetail::Top.into(),
        period_ms,
        ..wire::Subscribe::default()
    };
    let plain = wire::Subscribe {
        metrics: vec!["memory.used_percent".into()],
        ..wire::Subscribe::default()
    };
    vec![everything(), everything(), web(0), web(700), plain]
}

/// A scene with some followers in it.
struct Stand {
    scene: Scene,
    /// With how many of the moments at which they may acknowledge go by for each time that they do.
    followers: Vec<(Follower, usize)>,
    moments: usize,
}

impl Stand {
    fn new(wishes: impl IntoIterator<Item = (usize, wire::Subscribe)>) -> Self {
        let mut scene = Scene::new();
        let followers = wishes
            .into_iter()
            .map(|(index, wish)| (Follower::new(&mut scene.lab, wish), 1 + 5 * (index % 2)))
            .collect();
        Self {
            scene,
            followers,
            moments: 0,
        }
    }

    /// What every follower is told meanwhile.
    fn happen(&mut self, happening: Happening) -> Vec<Vec<wire::Update>> {
        match happening {
            Happening::Flush => {
                let flushed = self.scene.lab.flush();
                let taken = self.followers.iter_mut();
                return taken
                    .map(|(follower, _)| in_order(follower.take(flushed.clone())))
                    .collect();
            }
            Happening::Acknowledge => {
                self.moments += 1;
                for (follower, every) in &mut self.followers {
                    if self.moments.is_multiple_of(*every) {
                        follower.acknowledge(&mut self.scene.lab);
                    }
                }
            }
            other => self.scene.happen(other),
        }
        vec![Vec::new(); self.followers.len()]
    }
}

/// With the machines of each update in one order, which says nothing.
fn in_order(mut updates: Vec<wire::Update>) -> Vec<wire::Update> {
    for update in &mut updates {
        update.machines.sort_by_key(|machine| machine.machine);
    }
    updates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_subscriber_is_told_the_same_whether_others_want_it_too_or_not(
        happenings in prop::collection::vec(happening(), 1..160),
    ) {
        let mut together = Stand::new(wishes().into_iter().enumerate());
        let mut alone: Vec<_> = wishes().into_iter().enumerate().map(|wish| Stand::new([wish])).collect();
        for happening in happenings {
            let told = together.happen(happening.clone());
            for (stand, told) in alone.iter_mut().zip(told) {
                prop_assert_eq!(&stand.happen(happening.clone())[0], &told);
            }
        }
        prop_assert!(alone.iter().all(|stand| stand.scene.lab.figures().shared_updates == 0));
    }
}

#[test]
fn what_two_are_told_alike_is_encoded_once_and_a_third_gets_its_own() {
    let mut lab = Lab::new(Config::default());
    let streams: Vec<_> = (0..50).map(|number| lab.join(&format!("m{number}"))).collect();
    let mut followers: Vec<_> = (0..2).map(|_| Follower::new(&mut lab, everything())).collect();
    let other = wire::Subscribe {
        metrics: vec!["cpu.busy_percent".into()],
        ..wire::Subscribe::default()
    };
    followers.push(Follower::new(&mut lab, other));
    let mut all: Vec<_> = followers.iter_mut().collect();
    drain_all(&mut lab, &mut all);
    for second in 0..10 {
        for stream in &streams {
            lab.tick(*stream, &[(1, second), (2, second)]);
        }
        drain_all(&mut lab, &mut all);
        lab.wait(1_000);
    }
    assert_eq!(lab.figures().shared_updates, 500, "of 1,500");
    for follower in &followers {
        let values = |machine: &sysmon_api::Machine| machine.recent.value(MetricId::CpuBusy);
        let newest: Vec<_> = follower
            .replica
            .machines()
            .map(|(_, machine)| values(machine))
            .collect();
        assert_eq!(newest, vec![Some(0.9); 50]);
    }
}

#[test]
fn one_that_falls_behind_is_sent_anew_and_the_others_go_on() {
    let mut lab = Lab::new(Config {
        window_ms: 12_000,
        ..Config::default()
    });
    let stream = lab.join("a");
    let mut quick: Vec<_> = (0..2).map(|_| Follower::new(&mut lab, everything())).collect();
    let mut slow = Follower::new(&mut lab, everything());
    for second in 0..60 {
        lab.tick(stream, &[(1, second)]);
        lab.wait(1_000);
        let flushed = lab.flush();
        slow.take(flushed.clone());
        for follower in &mut quick {
            follower.take(flushed.clone());
            follower.acknowledge(&mut lab);
        }
    }
    assert_eq!(lab.figures().resyncs, 0);
    let mut all: Vec<_> = quick.iter_mut().chain([&mut slow]).collect();
    drain_all(&mut lab, &mut all);
    assert_eq!(lab.figures().resyncs, 1, "the slow one, at its turn");
    lab.tick(stream, &[(1, 77)]);
    drain_all(&mut lab, &mut all);
    let points = |follower: &Follower| {
        let recent = &follower.replica.find("a").unwrap().recent;
        recent.value(MetricId::CpuBusy)
    };
    assert_eq!(
        all.iter().map(|follower| points(follower)).collect::<Vec<_>>(),
        [Some(7.7); 3]
    );
    assert!(lab.figures().shared_updates >= 60, "{:?}", lab.figures());
}
