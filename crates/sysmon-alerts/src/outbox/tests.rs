use super::*;
use crate::message::RuleText;

fn delivery(name: &str, receiver: &str, rule: &str, created: i64) -> Delivery {
    let message = Message {
        summary: name.into(),
        rule: RuleText {
            id: rule.into(),
            ..RuleText::default()
        },
        ..Message::default()
    };
    Delivery {
        id: id_of(name),
        receiver: receiver.into(),
        content: message.to_json(),
        created: UnixMillis(created),
        state: DeliveryState::Pending,
        attempts: 0,
        due: UnixMillis(created),
        problem: String::new(),
    }
}

fn due(outbox: &mut Outbox, now: i64) -> Vec<String> {
    let due = outbox.take_due(UnixMillis(now));
    due.into_iter().map(|pending| pending.message.summary).collect()
}

fn fail(outbox: &mut Outbox, name: &str, now: i64) -> (Delivery, Verdict) {
    let failure = Failure::passing("no");
    outbox
        .finish(&id_of(name), Err(failure), UnixMillis(now), 1.0)
        .unwrap()
}

#[test]
fn an_id_is_always_the_same() {
    assert_eq!(id_of("cpu\nx"), id_of("cpu\nx"));
    assert_ne!(id_of("cpu\nx"), id_of("cpu\ny"));
    assert_eq!(id_of("").len(), 32);
}

#[test]
fn one_message_at_a_time_goes_to_a_receiver_and_the_oldest_of_a_rule_first() {
    let mut outbox = Outbox::default();
    for (name, receiver, rule, created) in [
        ("a1", "a", "cpu", 0),
        ("a2", "a", "cpu", 1),
        ("a3", "a", "disk", 2),
        ("b1", "b", "cpu", 3),
    ] {
        assert!(outbox.insert(delivery(name, receiver, rule, created)));
    }
    assert_eq!(due(&mut outbox, 10), ["a1", "b1"]);
    assert_eq!(due(&mut outbox, 10), Vec::<String>::new(), "both are busy");
    let (failed, verdict) = fail(&mut outbox, "a1", 10);
    assert_eq!((failed.due, verdict), (UnixMillis(5_010), Verdict::Again));
    assert_eq!(due(&mut outbox, 11), ["a3"], "not a2, before which a1 comes");
    let sent = outbox.finish(&id_of("a3"), Ok(()), UnixMillis(12), 0.0).unwrap();
    assert_eq!(
        (sent.0.state, sent.0.attempts, sent.1),
        (DeliveryState::Sent, 1, Verdict::Sent)
    );
    assert_eq!(due(&mut outbox, 5_009), Vec::<String>::new());
    assert_eq!(outbox.next_due(), Some(UnixMillis(5_010)));
    assert_eq!(due(&mut outbox, 5_010), ["a1"]);
}

#[test]
fn waits_double_up_to_a_quarter_of_an_hour_until_the_delivery_is_given_up() {
    let mut outbox = Outbox::default();
    outbox.insert(delivery("a", "a", "cpu", 0));
    let (mut now, mut waits) = (0, Vec::new());
    loop {
        assert_eq!(due(&mut outbox, now), ["a"]);
        let (failed, verdict) = fail(&mut outbox, "a", now);
        if verdict == Verdict::Dead {
            assert_eq!(failed.attempts, 24);
            assert_eq!(
                (failed.state, failed.problem.as_str()),
                (DeliveryState::Dead, "no")
            );
            break;
        }
        waits.push((failed.due.0 - now) / 1_000);
        now = outbox.next_due().unwrap().0;
    }
    assert_eq!(waits[..9], [5, 10, 20, 40, 80, 160, 320, 640, 900]);
    assert!(waits[9..].iter().all(|wait| *wait == 900));
}

#[test]
fn what_is_a_day_old_gets_no_further_attempt() {
    let mut outbox = Outbox::default();
    outbox.insert(delivery("a", "a", "cpu", 0));
    assert_eq!(due(&mut outbox, 86_400_000), ["a"], "but it gets one");
    assert_eq!(fail(&mut outbox, "a", 86_400_000).1, Verdict::Dead);
}

#[test]
fn what_a_receiver_refuses_for_good_is_dead_at_once_and_keeps_nothing_else_waiting() {
    let mut outbox = Outbox::default();
    for (name, rule) in [("a", "x"), ("b", "y"), ("c", "z"), ("d", "w")] {
        outbox.insert(delivery(name, "a", rule, 0));
    }
    for name in ["a", "b", "c", "d"] {
        let all = due(&mut outbox, 0);
        assert_eq!(all.len(), 1, "{name}");
        let failure = Failure::lasting("400");
        let id = id_of(&all[0]);
        assert_eq!(
            outbox.finish(&id, Err(failure), UnixMillis(0), 0.5).unwrap().1,
            Verdict::Dead
        );
    }
}

#[test]
fn a_receiver_that_fails_is_left_alone_and_then_tried_with_one_message() {
    let mut outbox = Outbox::default();
    for number in 0..6 {
        outbox.insert(delivery(
            &number.to_string(),
            "a",
            &format!("rule{number}"),
            number,
        ));
    }
    for expected in ["0", "1", "2"] {
        assert_eq!(due(&mut outbox, 100), [expected]);
        fail(&mut outbox, expected, 100);
    }
    assert_eq!(due(&mut outbox, 100), Vec::<String>::new(), "three in a row");
    assert_eq!(outbox.next_due(), Some(UnixMillis(5_100)));
    assert_eq!(due(&mut outbox, 5_100), ["3"]);
    outbox.finish(&id_of("3"), Ok(()), UnixMillis(5_100), 0.0);
    assert_eq!(due(&mut outbox, 5_100), ["4"], "it is back");
}

#[test]
fn a_receiver_that_asks_for_peace_gets_it() {
    let mut outbox = Outbox::default();
    outbox.insert(delivery("a", "a", "x", 0));
    outbox.insert(delivery("b", "a", "y", 0));
    let first = due(&mut outbox, 0);
    let failure = Failure {
        retry_after: Some(Duration::from_secs(60)),
        ..Failure::passing("429")
    };
    let (failed, _) = outbox
        .finish(&id_of(&first[0]), Err(failure), UnixMillis(0), 0.0)
        .unwrap();
    assert_eq!(failed.due, UnixMillis(60_000));
    assert_eq!(due(&mut outbox, 59_999), Vec::<String>::new());
    assert_eq!(due(&mut outbox, 60_000).len(), 1);
}

#[test]
fn the_fallback_gets_what_waits_once_the_receiver_has_failed_for_five_minutes() {
    let mut outbox = Outbox::default();
    outbox.insert(delivery("a", "a", "x", 0));
    outbox.insert(delivery("b", "b", "x", 0));
    due(&mut outbox, 0);
    fail(&mut outbox, "a", 0);
    let fallback = |receiver: &str| (receiver == "a").then(|| "f".to_owned());
    assert!(outbox.hand_over(UnixMillis(299_999), fallback).is_empty());
    let changed = outbox.hand_over(UnixMillis(300_000), fallback);
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[0].receiver, "f");
    let copy = Message::from_json(&changed[0].content);
    assert_eq!((copy.summary.as_str(), copy.instead_of.as_str()), ("a", "a"));
    assert!(outbox.hand_over(UnixMillis(300_001), fallback).is_empty(), "once");
    // After a restart neither: it is marked.
    let mut next = Outbox::default();
    next.insert(changed[1].clone());
    assert!(next.hand_over(UnixMillis(300_002), fallback).is_empty());
}

#[test]
fn there_is_an_end_to_what_is_kept_in_memory() {
    let mut outbox = Outbox::default();
    for number in 0..Outbox::MAX {
        assert!(outbox.insert(delivery(&number.to_string(), "a", "x", 0)));
    }
    assert!(!outbox.insert(delivery("one more", "a", "x", 0)) && !outbox.has_room());
    assert!(outbox.insert(delivery("0", "a", "x", 0)), "it is there");
}
