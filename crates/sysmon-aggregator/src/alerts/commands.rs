//! What clients ask of rules and alerts, and change about them.

use std::sync::Arc;

use prost::Message as _;
use sysmon_api::{
    ApiError, Code, Principal, Role, alert_key_from_wire, rule_from_wire, rule_id_from_wire,
    silence_from_wire, silence_to_wire, transition_to_wire, wire,
};
use sysmon_core::alert::{Acknowledgement, Rule, SilenceId};
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{Author, Delivery, DeliveryState, NewSilence, Put, TransitionQuery};

use super::messages::{audit_to_wire, put_to_wire, stored_to_wire};
use super::{Alerts, CHANGES_MAX, Parts, failure};

/// The most rules; further ones are refused.
const RULES_MAX: usize = 1_000;
/// The longest rule as it travels, so that it fits a message to those who watch.
const RULE_BYTES_MAX: usize = 32 * 1024;
/// All silences that are not over fit one message to those who watch.
const SILENCES_BYTES_MAX: usize = 48 * 1024;
/// The most of a whole answer; 4 MiB with what surrounds it.
const WHOLE_BYTES: usize = 4 * 1024 * 1024 - 16 * 1024;
/// Entries of a log when nobody says how many, and the most.
const ENTRIES: u32 = 100;
const ENTRIES_MAX: u32 = 1_000;
/// The most machines or rules that a question about the log names.
const NAMED_MAX: usize = 1_000;
/// The longest name of a receiver, in bytes.
const RECEIVER_BYTES_MAX: usize = 64;

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

    /// The log of alerts, newest first.
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
        };
        let steps = self.ask(self.store.transitions(&query)).await?;
        Ok(wire::AlertLog {
            transitions: steps
                .iter()
                .map(|step| transition_to_wire(step.id, &step.transition))
                .collect(),
        })
    }

    /// Says, or takes back, that somebody knows of an alert.
    ///
    /// # Errors
    /// That there is no such alert; that the principal may not; that the store does not answer.
    pub(crate) async fn acknowledge(
        self: &Arc<Self>,
        principal: &Principal,
        request: wire::Acknowledge,
    ) -> Result<(), ApiError> {
        operator(principal, "acknowledge alerts")?;
        let key = alert_key_from_wire(request.key.as_ref())?;
        let author = self.author(principal);
        let until = request.until_unix_ms.map(UnixMillis);
        if !request.clear && until.is_some_and(|until| until <= author.at) {
            return Err(ApiError::invalid(
                "the acknowledgement would be over already; let it end later, or give it no end",
            ));
        }
        let acknowledgement = if request.clear {
            None
        } else {
            Some(Acknowledgement {
                by: author.name.clone(),
                comment: comment(&request.comment),
                at: author.at,
                until,
                severity: self.severity_of(&key)?,
            })
        };
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let acknowledge = alerts.store.acknowledge(&key, acknowledgement.as_ref(), &author);
            alerts.ask(acknowledge).await?;
            alerts.mutes_changed().await;
            Ok(())
        })
        .await
    }

    /// How bad an alert is at present.
    fn severity_of(
        &self,
        key: &sysmon_core::alert::AlertKey,
    ) -> Result<sysmon_core::alert::Severity, ApiError> {
        let board = self.board.borrow();
        if !board.is_loaded() {
            return Err(ApiError::unavailable(
                "alerts are not known yet, because the store cannot be read; try again when it is well",
            ));
        }
        let alert = board.alert(key).ok_or_else(|| {
            ApiError::new(
                Code::NotFound,
                "there is no such alert any more; it was resolved, or its rule was changed",
            )
        })?;
        Ok(alert.severity)
    }

    /// Begins a silence.
    ///
    /// # Errors
    /// What is wrong with it; that the principal may not; that the store does not answer.
    pub(crate) async fn add_silence(
        self: &Arc<Self>,
        principal: &Principal,
        mut request: wire::Silence,
    ) -> Result<wire::Silence, ApiError> {
        operator(principal, "silence alerts")?;
        let author = self.author(principal);
        if request.from_unix_ms == 0 {
            request.from_unix_ms = author.at.0;
        }
        request.by.clone_from(&author.name);
        let silence = silence_from_wire(&request)?;
        if silence.until <= author.at {
            return Err(ApiError::invalid(
                "the silence would be over already; let it end later",
            ));
        }
        if let Some(label) = silence.matcher.labels.iter().find(|label| !label.contains('=')) {
            return Err(ApiError::invalid(format!(
                "{label:?} is no label; write it as name=value"
            )));
        }
        self.check_room(&request)?;
        let silence = NewSilence {
            matcher: silence.matcher,
            from: silence.from,
            until: silence.until,
            comment: silence.comment,
        };
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let added = alerts.ask(alerts.store.add_silence(&silence, &author)).await?;
            alerts.mutes_changed().await;
            Ok(silence_to_wire(&added))
        })
        .await
    }

    /// Whether one more silence can be shown with those that there are.
    fn check_room(&self, silence: &wire::Silence) -> Result<(), ApiError> {
        let board = self.board.borrow();
        let others = board.silences().iter().map(silence_to_wire);
        let size: usize = others.map(|other| other.encoded_len()).sum();
        if size + silence.encoded_len() <= SILENCES_BYTES_MAX {
            return Ok(());
        }
        Err(ApiError::new(
            Code::ResourceExhausted,
            "all silences together would be too long to be shown; end some, or name labels instead of many machines",
        ))
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// That it is over; that the principal may not; that the store does not answer.
    pub(crate) async fn end_silence(
        self: &Arc<Self>,
        principal: &Principal,
        silence_id: i64,
    ) -> Result<(), ApiError> {
        operator(principal, "end silences")?;
        let author = self.author(principal);
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let end = alerts.store.end_silence(SilenceId(silence_id), &author);
            let is_ended = alerts.ask(end).await?;
            alerts.mutes_changed().await;
            found(
                is_ended,
                "there is no such silence; it is over, or somebody else ended it",
            )
        })
        .await
    }

    async fn mutes_changed(&self) {
        self.wanted.ask(Parts::SILENCES);
        let news = wire::AlertNews {
            mutes_changed: true,
            ..Default::default()
        };
        self.publish(news).await;
    }

    /// Sends a dead delivery again.
    ///
    /// # Errors
    /// That there is no dead one of this id; that the principal may not; that the store does not answer.
    pub(crate) async fn resend(
        self: &Arc<Self>,
        principal: &Principal,
        delivery_id: String,
    ) -> Result<(), ApiError> {
        operator(principal, "send notifications again")?;
        let author = self.author(principal);
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let is_due = alerts.ask(alerts.store.resend(&delivery_id, &author)).await?;
            alerts.deliveries_changed().await;
            found(
                is_due,
                "no delivery of this id has failed for good; it was sent, or is on its way already",
            )
        })
        .await
    }

    /// Has the alert service send a test to a receiver.
    ///
    /// # Errors
    /// That there is no such receiver, or nobody who would send; that the principal may not; that the store does not answer.
    pub(crate) async fn test_receiver(
        self: &Arc<Self>,
        principal: &Principal,
        receiver: String,
    ) -> Result<(), ApiError> {
        operator(principal, "test receivers")?;
        self.check_receiver(&receiver)?;
        let author = self.author(principal);
        let random: u128 = rand::random();
        let delivery = Delivery {
            id: format!("{random:032x}"),
            receiver,
            content: r#"{"kind":"test"}"#.to_owned(),
            created: author.at,
            state: DeliveryState::Pending,
            attempts: 0,
            due: author.at,
            problem: String::new(),
        };
        let alerts = Arc::clone(self);
        self.change_to_the_end(async move {
            let request = alerts.store.request_delivery(&delivery, &author);
            alerts.ask(request).await?;
            alerts.deliveries_changed().await;
            Ok(())
        })
        .await
    }

    /// Whether somebody would send to a receiver. Without a bus nobody says so: then it is tried.
    fn check_receiver(&self, receiver: &str) -> Result<(), ApiError> {
        if receiver.is_empty() || receiver.len() > RECEIVER_BYTES_MAX || !sysmon_core::is_clean(receiver) {
            return Err(ApiError::invalid(format!(
                "a receiver has a name of 1 to {RECEIVER_BYTES_MAX} bytes; name one of those that are configured"
            )));
        }
        if self.bus.is_none() {
            return Ok(());
        }
        let board = self.board.borrow();
        match board.receivers() {
            None => Err(ApiError::new(
                Code::FailedPrecondition,
                "no alert service has been heard of, so nothing would be sent; start `sysmon alerts`, then test again",
            )),
            Some([]) => Err(ApiError::new(
                Code::NotFound,
                "the alert service has no receivers; configure some first",
            )),
            Some(known) if known.iter().any(|name| name == receiver) => Ok(()),
            Some(known) => Err(ApiError::new(
                Code::NotFound,
                format!("there is no receiver {receiver}; there are {}", known.join(", ")),
            )),
        }
    }

    async fn deliveries_changed(&self) {
        self.wanted.ask(Parts::DELIVERIES);
        let news = wire::AlertNews {
            deliveries_changed: true,
            ..Default::default()
        };
        self.publish(news).await;
    }

    fn author(&self, principal: &Principal) -> Author {
        Author {
            name: principal.name.clone(),
            at: self.clock.now().unix,
        }
    }

    /// Does a change to its end, even when whoever asked for it leaves meanwhile: what is stored is also said.
    async fn change_to_the_end<T: Send + 'static>(
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

fn operator(principal: &Principal, what: &str) -> Result<(), ApiError> {
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

fn found(is_there: bool, otherwise: &str) -> Result<(), ApiError> {
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

/// The longest comment, in bytes; what is longer is cut.
const COMMENT_BYTES_MAX: usize = 1_024;

fn comment(text: &str) -> String {
    sysmon_core::sanitize(&text[..text.floor_char_boundary(COMMENT_BYTES_MAX)]).into_owned()
}
