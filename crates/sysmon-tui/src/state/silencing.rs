//! A silence while it is made.

use sysmon_core::alert::{AlertKey, Matcher, RuleId, Silence, SilenceId};
use sysmon_core::{MachineId, UnixMillis};

use crate::entry::{duration_text, parse_duration};
use crate::text_field::TextField;

/// How long a silence may be chosen to be.
const LENGTHS_MS: [u64; 5] = [1_800_000, 3_600_000, 14_400_000, 86_400_000, 604_800_000];
/// The longest that can be typed.
const LENGTH_MAX_MS: u64 = 366 * 86_400_000;

/// A field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SilenceField {
    Length,
    Scope,
    Comment,
}

/// What is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SilenceScope {
    /// The rule on this machine.
    Alert,
    /// The rule on every machine.
    Rule,
    /// Every rule on this machine.
    Machine,
}

/// A silence that is not made yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SilenceForm {
    /// The alert that it is made for.
    pub(crate) key: AlertKey,
    /// The machines that it is made for instead, with every rule; empty when it is made for an alert.
    pub(crate) machines: Vec<MachineId>,
    pub(crate) field: SilenceField,
    pub(crate) length_ms: u64,
    pub(crate) scope: SilenceScope,
    pub(crate) comment: TextField,
    /// A length that is being typed.
    pub(crate) typing: Option<TextField>,
    pub(crate) problem: Option<String>,
}

impl SilenceForm {
    /// The fields in order.
    pub(crate) const FIELDS: [SilenceField; 3] =
        [SilenceField::Length, SilenceField::Scope, SilenceField::Comment];

    /// A form for an alert: an hour, its rule on its machine.
    pub(crate) fn new(key: AlertKey) -> Self {
        Self {
            key,
            machines: Vec::new(),
            field: SilenceField::Length,
            length_ms: 3_600_000,
            scope: SilenceScope::Alert,
            comment: TextField::default(),
            typing: None,
            problem: None,
        }
    }

    /// A form for some machines: an hour, every rule. `None` without a machine.
    pub(crate) fn of_machines(machines: Vec<MachineId>) -> Option<Self> {
        let key = AlertKey {
            rule: RuleId::parse("every-rule").ok()?,
            machine: machines.first()?.clone(),
            entity: "".into(),
        };
        Some(Self {
            machines,
            scope: SilenceScope::Machine,
            ..Self::new(key)
        })
    }

    /// Goes to another field; a typed length is taken first.
    pub(crate) fn go(&mut self, is_forward: bool) {
        if !self.commit() {
            return;
        }
        let at = Self::FIELDS
            .iter()
            .position(|field| *field == self.field)
            .unwrap_or(0);
        let count = Self::FIELDS.len();
        self.field = Self::FIELDS[if is_forward { at + 1 } else { at + count - 1 } % count];
    }

    /// The next choice of a field, or the one before.
    pub(crate) fn step(&mut self, is_up: bool) {
        if !self.commit() {
            return;
        }
        match self.field {
            SilenceField::Length => {
                let next = if is_up {
                    LENGTHS_MS.into_iter().find(|length| *length > self.length_ms)
                } else {
                    LENGTHS_MS
                        .into_iter()
                        .rev()
                        .find(|length| *length < self.length_ms)
                };
                self.length_ms = next.unwrap_or(self.length_ms);
            }
            // Machines were chosen before: there is nothing else to choose.
            SilenceField::Scope if !self.machines.is_empty() => {}
            SilenceField::Scope => {
                self.scope = match (self.scope, is_up) {
                    (SilenceScope::Alert, false) | (SilenceScope::Machine, true) => SilenceScope::Rule,
                    (SilenceScope::Rule, false) | (SilenceScope::Alert, true) => SilenceScope::Machine,
                    (SilenceScope::Machine, false) | (SilenceScope::Rule, true) => SilenceScope::Alert,
                };
            }
            SilenceField::Comment => {}
        }
    }

    /// Takes a typed length; says whether that could be done.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(typing) = &self.typing else {
            return true;
        };
        match parse_duration(typing.text()) {
            Ok(length_ms) if (1..=LENGTH_MAX_MS).contains(&length_ms) => {
                self.length_ms = length_ms;
                self.typing = None;
                self.problem = None;
                true
            }
            Ok(_) => {
                self.problem = Some("a silence lasts up to 366 days; write it like 30m, 4h or 7d".into());
                false
            }
            Err(problem) => {
                self.problem = Some(problem);
                false
            }
        }
    }

    /// The length as it is shown.
    pub(crate) fn length_text(&self) -> String {
        duration_text(self.length_ms)
    }

    /// The silence, from `now` on; the server names it and whoever makes it.
    pub(crate) fn silence(&self, now: UnixMillis) -> Silence {
        let rule = vec![self.key.rule.clone()];
        let machine = vec![self.key.machine.clone()];
        let (rules, machines) = match self.scope {
            SilenceScope::Alert => (rule, machine),
            SilenceScope::Rule => (rule, Vec::new()),
            SilenceScope::Machine if !self.machines.is_empty() => (Vec::new(), self.machines.clone()),
            SilenceScope::Machine => (Vec::new(), machine),
        };
        Silence {
            id: SilenceId(0),
            matcher: Matcher {
                rules,
                machines,
                ..Matcher::default()
            },
            from: now,
            until: now.plus_ms(i64::try_from(self.length_ms).unwrap_or(i64::MAX)),
            by: String::new(),
            comment: self.comment.text().trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, KeyCode};

    #[test]
    fn every_choice_can_be_reached_and_no_other() {
        let key = AlertKey {
            rule: sysmon_core::alert::RuleId::parse("cpu").unwrap(),
            machine: sysmon_core::MachineId::parse("a").unwrap(),
            entity: "".into(),
        };
        let mut form = SilenceForm::new(key);
        let mut lengths = Vec::new();
        (0..9).for_each(|_| form.step(false));
        for _ in 0..7 {
            lengths.push(form.length_text());
            form.step(true);
        }
        assert_eq!(lengths, ["30m", "1h", "4h", "1d", "7d", "7d", "7d"]);
        form.typing = Some(TextField::new("9x"));
        assert!(!form.commit() && form.problem.is_some());
        form.typing = Some(TextField::new("90m"));
        form.go(true);
        assert_eq!((form.length_ms, form.field), (5_400_000, SilenceField::Scope));
        let scopes = [(); 4].map(|()| {
            form.step(false);
            let silence = form.silence(UnixMillis(5));
            (silence.matcher.rules.len(), silence.matcher.machines.len())
        });
        assert_eq!(scopes, [(1, 0), (0, 1), (1, 1), (1, 0)]);
        assert!(form.comment.press(Key::char('x')) && !form.comment.press(Key::plain(KeyCode::Tab)));
    }
}
