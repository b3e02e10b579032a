//! What holds of every filter.

use proptest::prelude::*;

use super::super::complete::{Vocabulary, complete};
use super::*;

fn term() -> impl Strategy<Value = String> {
    let number = prop::sample::select(&["0", "50", "72.5", "91", "7", "0.1", "123456"][..]);
    let operator = prop::sample::select(&["=", "!=", "<", "<=", ">", ">="][..]);
    let text = prop::sample::select(&["db", "web", "\"a b\"", "'and'", "Köln", "\"\"", "m-17"][..]);
    let name = prop::sample::select(
        &[
            "host",
            "id",
            "os",
            "role",
            "label.Site",
            "label.cpu",
            "\"odd name\"",
            "kernel",
        ][..],
    );
    let is_text = prop::sample::select(&["=", "!=", "~", "!~"][..]);
    let metric = prop::sample::select(
        &[
            "cpu",
            "mem",
            "swap",
            "disk{/home}",
            "mount.used_percent",
            "cores",
            "load.1m",
            "disk{\"a}b\"}",
            "psi.io",
        ][..],
    );
    let alert = prop::sample::select(&["any", "none", "warning", "disk-full", "pending"][..]);
    let ordered =
        prop::sample::select(&["state = live", "health >= warning", "state != lost", "age < 5m"][..]);
    prop_oneof![
        text.clone().prop_map(Into::into),
        "[a-z=\"()]{1,4}".prop_map(|word| format!("'{word}'")),
        (name, is_text.clone(), text).prop_map(|(name, sign, text)| format!("{name} {sign} {text}")),
        (metric, operator, number).prop_map(|(name, sign, number)| format!("{name} {sign} {number}")),
        (is_text, alert).prop_map(|(sign, alert)| format!("alert {sign} {alert}")),
        ordered.prop_map(Into::into),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    term().prop_recursive(5, 24, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many.clone().prop_map(|parts| parts.join(" and ")),
            many.clone().prop_map(|parts| parts.join(" ")),
            many.prop_map(|parts| parts.join(" or ")),
            inner.clone().prop_map(|part| format!("({part})")),
            inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back_as_the_same(text in filter()) {
        let filter = Filter::parse(&text).unwrap();
        let printed = filter.to_string();
        let again = Filter::parse(&printed);
        prop_assert_eq!(again.as_ref().ok(), Some(&filter), "{}", printed);
        prop_assert_eq!(again.unwrap().to_string(), printed);
    }

    #[test]
    fn the_laws_of_de_morgan_hold(left in filter(), right in filter()) {
        prop_assert_eq!(matches(&format!("not (({left}) and ({right}))")), matches(&format!("not ({left}) or not ({right})")));
        prop_assert_eq!(matches(&format!("not (({left}) or ({right}))")), matches(&format!("not ({left}) and not ({right})")));
        prop_assert_eq!(matches(&format!("({left}) ({right})")), matches(&left) && matches(&right));
        prop_assert_eq!(matches(&format!("not ({left})")), !matches(&left));
    }

    #[test]
    fn no_text_does_harm(text in "\\PC*|(\\s|[a-z\"'=<>!~(){}&|\\\\0-9.%]|and|or|not|cpu|disk|\\PC|\u{1b}|\u{202e}){0,40}", cursor in 0usize..60) {
        let parsed = Filter::parse(&text);
        match &parsed {
            Ok(filter) => {
                let _ = filter.matches(&machine());
                let printed = filter.to_string();
                prop_assert!(crate::is_clean(&printed));
                let again = Filter::parse(&printed);
                prop_assert_eq!(again.as_ref().ok(), Some(filter), "{} of {}", printed, text);
            }
            Err(error) => {
                let lines = error.marked(&text);
                prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}");
                prop_assert!(crate::is_clean(&lines[0]) && lines[1].contains('^'));
                prop_assert!(crate::is_clean(&error.to_string()), "{error}");
            }
        }
        let mut vocabulary = Vocabulary::default();
        vocabulary.add_machine("m-17", &machine().host);
        let completion = complete(&text, cursor, &vocabulary);
        prop_assert!(text.get(completion.span).is_some());
    }
}
