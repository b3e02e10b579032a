//! Alert rules and what becomes of them: what is watched, when that is wrong, who was told.
//!
//! A [`Rule`] is what people write. An [`Alert`] is one rule on one entity of one machine; it goes through the phases of
//! [`Phase`], and every step is a [`Transition`]. A [`Silence`] mutes, an [`Acknowledgement`] says that somebody knows.

mod bits;
mod dry_run;
mod grouping;
mod lasting;
mod machine;
mod mute;
mod pattern;
mod rule;
mod rule_set;
mod stage;
mod starter;
mod state;
mod validate;
mod window;

pub use dry_run::{DryRun, Episode, dry_run};
pub use grouping::{Audience, Change, Due, Group, Grouping, Item, Notification, NotificationKind, Timing};
pub use machine::{
    FLAPPING_COUNT, FLAPPING_WINDOW_MS, GONE_KEPT_MS, GONE_MAX, LATE_MS, MISSING_MS, MachineAlerts,
    RESOLVED_KEPT_MS, SavedMachine, WATCHES_MAX,
};
pub use mute::{Acknowledgement, Matcher, Silence, SilenceId};
pub use rule::{
    Check, Comparison, Function, Guard, Level, MetricCheck, Quantity, Rule, RuleId, RuleIdError, Scope,
    Severity,
};
pub use rule_set::RuleSet;
pub use starter::starter_pack;
pub use state::{Alert, AlertKey, Cause, Culprit, Phase, Transition};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_people_would_write_it() {
        let text = r#"
id = "disk-full"
title = "File system nearly full"
for = "1m"
scope = { labels = ["role=db"], except_entities = ["/snap/*"] }

[check]
kind = "metric"
comparison = "above"
quantity = { metric = "mount.used_percent" }
warning = { trigger = 90.0, clear = 80.0 }

[check.critical]
trigger = 98.0
and = { quantity = { metric = "mount.available_bytes" }, comparison = "below", value = 5e9 }
"#;
        let rule: Rule = toml::from_str(text).unwrap();
        assert_eq!(
            (rule.hold_ms, rule.clear_hold_ms, rule.enabled),
            (60_000, 0, true)
        );
        let Check::Metric(check) = &rule.check else {
            panic!("{:?}", rule.check);
        };
        assert_eq!(check.quantity.function, Function::Last);
        let critical = check.critical.as_ref().unwrap();
        assert_eq!(critical.and.as_ref().unwrap().value, 5e9);
        let again: Rule = toml::from_str(&toml::to_string(&rule).unwrap()).unwrap();
        assert_eq!(again, rule);
        let json: Rule = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
        assert_eq!(json, rule);
        let wrong = text.replace("except_entities", "excepted");
        assert!(
            toml::from_str::<Rule>(&wrong)
                .unwrap_err()
                .to_string()
                .contains("excepted")
        );
    }

    #[test]
    fn a_rule_id_goes_into_paths_and_urls_unescaped() {
        for bad in [
            "",
            "Cpu",
            "1cpu",
            "cpu busy",
            "cpu/busy",
            "cpu_busy",
            &"x".repeat(65),
        ] {
            assert!(RuleId::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RuleId::parse("cpu-busy-2").unwrap().as_str(), "cpu-busy-2");
    }
}
