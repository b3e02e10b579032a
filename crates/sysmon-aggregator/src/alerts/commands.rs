//! What clients ask of rules and of the logs, and how they change rules.

use std::sync::Arc;

use prost::Message as _;
use sysmon_api::{
    ApiError, Code, Principal, Role, rule_from_wire, rule_id_from_wire, transition_to_wire, wire,
};
use sysmon_core::alert::Rule;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{Author, Put, TransitionQuery};

use super::messages::{audit_to_wire, put_to_wire, stored_to_wire};
use super::{Alerts, CHANGES_MAX, Parts, failure};

/// The most rules; further ones are refused.
const RULES_MAX: usize = 1_000;
/// The longest rule as it travels, so that it fits a message to those who watch.
const RULE_BYTES_MAX: usize = 32 * 1024;
/// The most of a whole answer; 4 MiB with what surrounds it.
const WHOLE_BYTES: usize = 4 * 1024 * 1024 - 16 * 1024;
/// Entries of a log when nobody says how many, and the most.
const ENTRIES: u32 = 100;
const ENTRIES_MAX: u32 = 1_000;
/// The most machines or rules that a question about the log names.
const NAMED_MAX: usize = 1_000;

impl Alerts {
    /// All rules, as they are stored now.
    ///
    /// # Errors
    /// That the store does not answer.
    pub(crate) async fn list_rules(&self) -> Result<wire::ListRulesReply, ApiError> {
        let rules = self.ask(self.store.rules()).await?;
        let reply = wire::ListRulesReply {
            rules: rules.iter().map(stored_to_wire).collect(),
        };
        if reply.encoded_len() > WHOLE_BYTES {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "the rules have more than 4 MiB; watch the board of alerts on the interactive stream, which comes in parts",
            ));
        }
        Ok(reply)
    }

    /// Makes or replaces a rule.
    ///
    /// # Errors
    /// Everything that is wrong with it, one problem per line; that the principal may not; that the store does not answer.
    pub(crate) async fn put_rule(
        self: &Arc<Self>,
        principal: &Principal,
        request: wire::PutRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        operator(principal, "change rules")?;
        let rule = checked_rule(request.rule.as_ref())?;
        let size = request.rule.map_or(0, |rule| rule.encoded_len());
        if size > RULE_BYTES_MAX {
            return Err(ApiError::invalid(format!(
                "the rule has {size} bytes, {RULE_BYTES_MAX} are the most; name labels instead of many machines"
            )));
        }
        if request.expected_version == 0 && self.board.borrow().rule_count() >= RULES_MAX {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                format!("there are {RULES_MAX} rules, more are not kept; remove one first"),
            ));
        }
        let author = self.author(principal);
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let put = alerts.store.put_rule(&rule, request.expected_version, &author);
            let put = alerts.ask(put).await?;
            Ok(alerts.rule_changed(rule.id.as_str(), &put).await)
        })
        .await
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// As [`Alerts::put_rule`].
    pub(crate) async fn delete_rule(
        self: &Arc<Self>,
        principal: &Principal,
        request: wire::DeleteRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        operator(principal, "remove rules")?;
        let id = rule_id_from_wire(&request.rule_id)?;
        let author = self.author(principal);
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let put = alerts.store.delete_rule(&id, request.expected_version, &author);
            let put = alerts.ask(put).await?;
            Ok(alerts.rule_changed(id.as_str(), &put).await)
        })
        .await
    }

    /// Tells everybody of a change to a rule; after a conflict only our own board is behind.
    async fn rule_changed(&self, id: &str, put: &Put) -> wire::ChangeReply {
        self.wanted.ask(Parts::RULES);
        if let Put::Done(_) = put {
            let news = wire::AlertNews {
                changed_rule_ids: vec![id.to_owned()],
                ..Default::default()
            };
            self.publish(news).await;
        }
        put_to_wire(put)
    }

    /// Who changed what, newest first: at most what was asked for, and as much of it as fits a message.
    ///
    /// # Errors
    /// That the store does not answer.
    pub(crate) async fn list_audit(
        &self,
        request: wire::ListAuditRequest,
    ) -> Result<wire::ListAuditReply, ApiError> {
        let before = (request.before != 0).then_some(request.before);
        let entries = self
            .ask(self.store.audit(before, entries(request.limit)?))
            .await?;
        let mut room = WHOLE_BYTES;
        let fits = |entry: &wire::AuditEntry| {
            let size = entry.encoded_len() + 8;
            room = room.saturating_sub(size);
            room > 0
        };
        Ok(wire::ListAuditReply {
            entries: entries.into_iter().map(audit_to_wire).take_while(fits).collect(),
        })
    }

    /// The log of alerts, newest first unless asked for otherwise.
    ///
    /// # Errors
    /// What is wrong with the question, or that the store does not answer.
    pub(crate) async fn log(&self, request: wire::AlertLogRequest) -> Result<wire::AlertLog, ApiError> {
        if request.machine_ids.len() > NAMED_MAX || request.rule_ids.len() > NAMED_MAX {
            return Err(ApiError::invalid(format!(
                "more than {NAMED_MAX} machines or rules are named; name fewer, or none for all"
            )));
        }
        let machine =
            |id: &String| MachineId::parse(id).map_err(|error| ApiError::invalid(error.to_string()));
        let bound = |at: i64| (at != 0).then_some(UnixMillis(at));
        let query = TransitionQuery {
            machines: request
                .machine_ids
                .iter()
                .map(machine)
                .collect::<Result<_, _>>()?,
            rules: request
                .rule_ids
                .iter()
                .map(|id| rule_id_from_wire(id))
                .collect::<Result<_, _>>()?,
            from: bound(request.from_unix_ms),
            to: bound(request.to_unix_ms),
            before: (request.before != 0).then_some(request.before),
            limit: entries(request.limit)?,
            oldest_first: request.oldest_first,
        };
        let steps = self.ask(self.store.transitions(&query)).await?;
        Ok(wire::AlertLog {
            transitions: steps
                .iter()
                .map(|step| transition_to_wire(step.id, &step.transition))
                .collect(),
        })
    }

    /// Writes something into the audit log that is not a change of what is stored here.
    ///
    /// # Errors
    /// That the store does not answer.
    pub(crate) async fn note(
        &self,
        principal: &Principal,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), ApiError> {
        let author = self.author(principal);
        self.ask(self.store.note(&author, action, object, after)).await
    }

    pub(super) fn author(&self, principal: &Principal) -> Author {
        Author {
            name: principal.name.clone(),
            at: self.clock.now().unix,
        }
    }

    /// Does a change to its end, even when whoever asked for it leaves meanwhile: what is stored is also said.
    pub(super) async fn change_to_the_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.changes).try_acquire_owned().map_err(|_| {
            ApiError::new(
                Code::ResourceExhausted,
                format!("{CHANGES_MAX} changes are under way already; try again in a moment"),
            )
        })?;
        let change = tokio::spawn(async move {
            let changed = change.await;
            drop(permit);
            changed
        });
        change.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a change to rules or alerts failed; report this");
            Err(failure(&sysmon_store::StoreError::unavailable(
                "it was interrupted",
            )))
        })
    }
}

/// Takes a rule over that makes sense.
///
/// # Errors
/// Everything that is wrong with it, one problem per line.
pub(crate) fn checked_rule(rule: Option<&wire::Rule>) -> Result<Rule, ApiError> {
    let rule = rule.ok_or_else(|| ApiError::invalid("there is no rule in it; send one"))?;
    let rule = rule_from_wire(rule)?;
    let problems = rule.problems();
    if problems.is_empty() {
        Ok(rule)
    } else {
        Err(ApiError::invalid(problems.join("\n")))
    }
}

pub(super) fn operator(principal: &Principal, what: &str) -> Result<(), ApiError> {
    if principal.allows(Role::Operator) {
        return Ok(());
    }
    Err(ApiError::new(
        Code::PermissionDenied,
        format!(
            "{} may not {what}; use a token with the role operator",
            principal.name
        ),
    ))
}

pub(super) fn found(is_there: bool, otherwise: &str) -> Result<(), ApiError> {
    if is_there {
        Ok(())
    } else {
        Err(ApiError::new(Code::NotFound, otherwise))
    }
}

fn entries(limit: u32) -> Result<u32, ApiError> {
    match limit {
        0 => Ok(ENTRIES),
        1..=ENTRIES_MAX => Ok(limit),
        _ => Err(ApiError::invalid(format!(
            "{limit} entries are asked for; ask for at most {ENTRIES_MAX}, and for older ones with `before`"
        ))),
    }
}
