//! What people decide, in maps, with its audit log.

use sysmon_core::alert::{Acknowledgement, AlertKey, Rule, RuleId, Silence, SilenceId};

use super::{AUDIT_MAX, State};
use crate::error::StoreError;
use crate::rules::words::Change;
use crate::rules::{AuditEntry, Author, Delivery, DeliveryState, Put, StoredRule, check};

impl State {
    pub(super) fn note(&mut self, author: &Author, change: Change) {
        self.last_audit += 1;
        self.audit.insert(
            self.last_audit,
            AuditEntry {
                id: self.last_audit,
                author: author.clone(),
                action: change.action.to_owned(),
                object: change.object,
                before: change.before,
                after: change.after,
            },
        );
        while self.audit.len() > AUDIT_MAX {
            self.audit.pop_first();
        }
    }

    pub(super) fn put_rule(
        &mut self,
        rule: &Rule,
        expected: u64,
        author: &Author,
    ) -> Result<Put, StoreError> {
        let present = self.rules.get(&rule.id);
        if present.map_or(0, |present| present.version) != expected {
            return Ok(Put::Conflict(present.cloned()));
        }
        let change = Change::of_rule(
            "rule.put",
            &rule.id,
            present.map(|present| &present.rule),
            Some(rule),
        )?;
        Ok(Put::Done(self.store_rule(rule, author, change)))
    }

    fn store_rule(&mut self, rule: &Rule, author: &Author, change: Change) -> StoredRule {
        let present = self.rules.get(&rule.id).map(|present| present.version);
        let last = present.or_else(|| self.removed.get(&rule.id).copied());
        let stored = StoredRule {
            rule: rule.clone(),
            version: last.unwrap_or(0) + 1,
            changed: author.clone(),
        };
        self.rules.insert(rule.id.clone(), stored.clone());
        self.removed.remove(&rule.id);
        self.note(author, change);
        stored
    }

    pub(super) fn delete_rule(
        &mut self,
        id: &RuleId,
        expected: u64,
        author: &Author,
    ) -> Result<Put, StoreError> {
        let Some(present) = self.rules.get(id).filter(|present| present.version == expected) else {
            return Ok(Put::Conflict(self.rules.get(id).cloned()));
        };
        let present = present.clone();
        let change = Change::of_rule("rule.delete", id, Some(&present.rule), None)?;
        self.rules.remove(id);
        self.removed.insert(id.clone(), present.version);
        self.note(author, change);
        Ok(Put::Done(present))
    }

    pub(super) fn install_starter(&mut self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        if self.has_starter {
            return Ok(0);
        }
        let mut stored = 0;
        for rule in rules {
            if self.rules.contains_key(&rule.id) || self.removed.contains_key(&rule.id) {
                continue;
            }
            let change = Change::of_rule("rule.starter", &rule.id, None, Some(rule))?;
            self.store_rule(rule, author, change);
            stored += 1;
        }
        self.has_starter = true;
        Ok(stored)
    }

    pub(super) fn add_silence(
        &mut self,
        mut silence: Silence,
        author: &Author,
    ) -> Result<Silence, StoreError> {
        silence.id = SilenceId(self.last_silence + 1);
        let change = Change::of_silence(None, &silence)?;
        self.last_silence += 1;
        self.silences.insert(silence.id, silence.clone());
        self.note(author, change);
        Ok(silence)
    }

    pub(super) fn end_silence(&mut self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        let current = self.silences.get(&id);
        let Some(before) = current.filter(|silence| silence.until > author.at).cloned() else {
            return Ok(false);
        };
        let after = Silence {
            until: author.at,
            ..before.clone()
        };
        let change = Change::of_silence(Some(&before), &after)?;
        self.silences.insert(id, after);
        self.note(author, change);
        Ok(true)
    }

    pub(super) fn acknowledge(
        &mut self,
        key: &AlertKey,
        said: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        let before = self.acknowledgements.get(key);
        if before.is_none() && said.is_none() {
            return Ok(());
        }
        let change = Change::of_acknowledgement(key, before, said)?;
        match said {
            Some(said) => self.acknowledgements.insert(key.clone(), said.clone()),
            None => self.acknowledgements.remove(key),
        };
        self.note(author, change);
        Ok(())
    }

    pub(super) fn resend(&mut self, id: &str, author: &Author) -> Result<bool, StoreError> {
        let known = self.deliveries.get(id);
        let Some(before) = known
            .filter(|delivery| delivery.state == DeliveryState::Dead)
            .cloned()
        else {
            return Ok(false);
        };
        let after = before.again(author.at);
        let change = Change::of_delivery(Some(&before), &after)?;
        self.deliveries.insert(id.to_owned(), after);
        self.note(author, change);
        Ok(true)
    }

    pub(super) fn request_delivery(&mut self, delivery: Delivery, author: &Author) -> Result<(), StoreError> {
        if self.deliveries.contains_key(&delivery.id) {
            return Err(check::taken_id(&delivery.id));
        }
        let change = Change::of_delivery(None, &delivery)?;
        self.deliveries.insert(delivery.id.clone(), delivery);
        self.note(author, change);
        Ok(())
    }
}
