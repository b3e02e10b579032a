use super::*;

fn rule(text: &str) -> Rule {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_good_rule_has_no_problems_and_no_warnings() {
    let good = rule(
        r#"
        id = "cpu"
        title = "CPU"
        note = "line one\nline two"
        for = "7d"
        scope = { labels = ["role=db"], entities = ["*"] }
        [check]
        kind = "metric"
        comparison = "above"
        quantity = { metric = "load.15m", per = "cpu.count", function = "average", window = "24h" }
        info = { trigger = 1.0 }
        warning = { trigger = 2.0, clear = 2.0 }
        critical = { trigger = 2.0, clear = 1.75, and = { quantity = { metric = "cpu.busy_percent" }, comparison = "above", value = 50.0 } }
        "#,
    );
    assert_eq!(good.problems(), Vec::<String>::new());
    assert_eq!(good.warnings(), Vec::<String>::new());
}

#[test]
fn every_problem_is_told_at_once_and_says_where() {
    let long = "x".repeat(300);
    let bad = Rule {
        title: "a\u{1b}[2J".into(),
        note: "\u{202e}".into(),
        ..rule(&format!(
            r#"
            id = "bad"
            title = ""
            for = "8d"
            clear_for = "8d"
            scope = {{ labels = ["role", "=x"], entities = ["{long}"], except_entities = [""] }}
            [check]
            kind = "metric"
            comparison = "above"
            quantity = {{ metric = "cpu.bussy_percent", per = "nodot", function = "increase" }}
            warning = {{ trigger = 90.0, clear = 95.0 }}
            critical = {{ trigger = 80.0, clear = nan, and = {{ quantity = {{ metric = "load.1m", window = "25h" }}, comparison = "above", value = inf }} }}
            "#
        ))
    };
    let problems = bad.problems();
    for start in [
        "title: has control",
        "note: has control",
        "for: longer",
        "clear_for: longer",
        "scope.labels: write \"role\"",
        "scope.labels: write \"=x\"",
        "scope.entities: every entry",
        "scope.except_entities: every entry",
        "quantity.metric: no metric is called \"cpu.bussy_percent\"; did you mean cpu.busy_percent?",
        "quantity.per: no metric is called \"nodot\"",
        "quantity.window: increase is made",
        "quantity.per: a ratio has no increase",
        "warning.clear: 95 is above the trigger 90",
        "critical.clear: not a finite",
        "critical.and.quantity.window: the newest",
        "critical.and.quantity.window: longer",
        "critical.and.value: not a finite",
        "critical.trigger: 80 is not as far as the warning at 90",
    ] {
        let found = problems
            .iter()
            .filter(|problem| problem.starts_with(start))
            .count();
        assert_eq!(found, 1, "{start}\n{problems:#?}");
    }
    assert_eq!(problems.len(), 18, "{problems:#?}");
}

#[test]
fn a_metric_of_a_foreign_group_is_only_a_warning() {
    let foreign = rule(
        r#"
        id = "nginx"
        title = "nginx"
        [check]
        kind = "metric"
        comparison = "below"
        quantity = { metric = "nginx.requests_per_second" }
        warning = { trigger = 1.0 }
        critical = { trigger = 0.0, and = { quantity = { metric = "nginx.up" }, comparison = "above", value = 1.0 } }
        "#,
    );
    assert_eq!(foreign.problems(), Vec::<String>::new());
    let warnings = foreign.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].starts_with("critical.and.quantity.metric: \"nginx.up\""));
}

#[test]
fn machine_down_has_no_entities_and_a_metric_rule_has_a_level() {
    let down = rule(
        "id = \"d\"\ntitle = \"d\"\nscope = { entities = [\"x\"] }\n[check]\nkind = \"machine_down\"\nseverity = \"critical\"",
    );
    assert_eq!(down.problems().len(), 1);
    let empty = rule(
        "id = \"d\"\ntitle = \"d\"\n[check]\nkind = \"metric\"\ncomparison = \"above\"\n\
         quantity = { metric = \"mount.available_bytes\", function = \"time_to_full\", window = \"1h\" }",
    );
    let problems = empty.problems();
    assert!(
        problems.len() == 2
            && problems[0].starts_with("comparison:")
            && problems[1].starts_with("check: no level"),
        "{problems:?}"
    );
}

#[test]
fn a_clear_value_that_is_not_given_can_always_be_reached() {
    let level = |trigger| Level {
        trigger,
        clear: None,
        and: None,
    };
    for (comparison, trigger, is_percent, expected) in [
        (Comparison::Above, 90.0, true, 80.0),
        (Comparison::Above, 5.0, true, 2.5),
        (Comparison::Below, 10.0, true, 20.0),
        (Comparison::Below, 95.0, true, 97.5),
        (Comparison::Above, 7.0, false, 7.0),
        (Comparison::Above, -5.0, true, -5.0),
    ] {
        assert_eq!(
            level(trigger).clear_or_default(comparison, is_percent),
            expected,
            "{comparison:?} {trigger}"
        );
    }
    let explicit = Level {
        clear: Some(1.0),
        ..level(90.0)
    };
    assert_eq!(explicit.clear_or_default(Comparison::Above, true), 1.0);
}
