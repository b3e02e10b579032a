//! Rows of the tables, whichever database they are in: only its moments differ.

use sqlx::FromRow;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, Silence, SilenceId, Transition};

use super::words::{self, Detail, from_json, impossible};
use super::{AuditEntry, Author, Delivery, LoggedTransition, StoredRule};
use crate::error::StoreError;

#[derive(Debug, FromRow)]
pub(super) struct RuleRow<At> {
    rule: String,
    version: i64,
    changed_by: String,
    changed: At,
}

impl<At: Into<UnixMillis>> RuleRow<At> {
    pub(super) fn stored(self) -> Result<StoredRule, StoreError> {
        Ok(StoredRule {
            rule: from_json("alert_rule", "rule", &self.rule)?,
            version: u64::try_from(self.version).map_err(|_| impossible("alert_rule", "version"))?,
            changed: Author {
                name: self.changed_by,
                at: self.changed.into(),
            },
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct SilenceRow<At> {
    id: i64,
    matcher: String,
    starts: At,
    ends: At,
    made_by: String,
    comment: String,
}

impl<At: Into<UnixMillis>> SilenceRow<At> {
    pub(super) fn silence(self) -> Result<Silence, StoreError> {
        Ok(Silence {
            id: SilenceId(self.id),
            matcher: from_json("silence", "matcher", &self.matcher)?,
            from: self.starts.into(),
            until: self.ends.into(),
            by: self.made_by,
            comment: self.comment,
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct AcknowledgementRow<At> {
    rule: String,
    machine: String,
    entity: String,
    made_by: String,
    comment: String,
    said: At,
    ends: Option<At>,
    severity: String,
}

impl<At: Into<UnixMillis>> AcknowledgementRow<At> {
    pub(super) fn of_alert(self) -> Result<(AlertKey, Acknowledgement), StoreError> {
        const TABLE: &str = "acknowledgement";
        let said = Acknowledgement {
            by: self.made_by,
            comment: self.comment,
            at: self.said.into(),
            until: self.ends.map(Into::into),
            severity: words::severity(TABLE, &self.severity)?,
        };
        Ok((words::key(TABLE, &self.rule, &self.machine, &self.entity)?, said))
    }
}

#[derive(Debug, FromRow)]
pub(super) struct AuditRow<At> {
    id: i64,
    changed: At,
    author: String,
    action: String,
    object: String,
    before: Option<String>,
    after: Option<String>,
}

impl<At: Into<UnixMillis>> AuditRow<At> {
    pub(super) fn entry(self) -> AuditEntry {
        AuditEntry {
            id: self.id,
            author: Author {
                name: self.author,
                at: self.changed.into(),
            },
            action: self.action,
            object: self.object,
            before: self.before,
            after: self.after,
        }
    }
}

#[derive(Debug, FromRow)]
pub(super) struct AlertRow<At> {
    rule: String,
    machine: String,
    entity: String,
    phase: String,
    severity: String,
    since: At,
    fired: Option<At>,
    value: Option<f64>,
    threshold: Option<f64>,
    peak: Option<f64>,
    flapping: bool,
    inhibited: bool,
    silence: Option<i64>,
    detail: String,
}

impl<At: Into<UnixMillis>> AlertRow<At> {
    pub(super) fn alert(self) -> Result<Alert, StoreError> {
        const TABLE: &str = "alert";
        let detail: Detail = from_json(TABLE, "detail", &self.detail)?;
        Ok(Alert {
            key: words::key(TABLE, &self.rule, &self.machine, &self.entity)?,
            phase: words::phase(TABLE, &self.phase)?,
            severity: words::severity(TABLE, &self.severity)?,
            since: self.since.into(),
            fired: self.fired.map(Into::into),
            value: self.value,
            threshold: self.threshold,
            peak: self.peak,
            flapping: self.flapping,
            inhibited: self.inhibited,
            silenced: self.silence.map(SilenceId),
            acknowledged: detail.acknowledged,
            culprits: detail.culprits,
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct StepRow<At> {
    id: i64,
    rule: String,
    machine: String,
    entity: String,
    happened: At,
    from_phase: String,
    to_phase: String,
    severity_before: String,
    severity: String,
    cause: String,
    value: Option<f64>,
    threshold: Option<f64>,
    fired: Option<At>,
    detail: String,
}

impl<At: Into<UnixMillis>> StepRow<At> {
    pub(super) fn logged(self) -> Result<LoggedTransition, StoreError> {
        const TABLE: &str = "alert_log";
        let detail: Detail = from_json(TABLE, "detail", &self.detail)?;
        let transition = Transition {
            key: words::key(TABLE, &self.rule, &self.machine, &self.entity)?,
            at: self.happened.into(),
            from: words::phase(TABLE, &self.from_phase)?,
            to: words::phase(TABLE, &self.to_phase)?,
            severity_before: words::severity(TABLE, &self.severity_before)?,
            severity: words::severity(TABLE, &self.severity)?,
            cause: words::cause(TABLE, &self.cause)?,
            value: self.value,
            threshold: self.threshold,
            fired: self.fired.map(Into::into),
            culprits: detail.culprits,
        };
        Ok(LoggedTransition {
            id: self.id,
            transition,
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct DeliveryRow<At> {
    id: String,
    receiver: String,
    content: String,
    created: At,
    state: String,
    attempts: i64,
    due: At,
    problem: String,
}

impl<At: Into<UnixMillis>> DeliveryRow<At> {
    pub(super) fn delivery(self) -> Result<Delivery, StoreError> {
        Ok(Delivery {
            id: self.id,
            receiver: self.receiver,
            content: self.content,
            created: self.created.into(),
            state: words::delivery_state(&self.state)?,
            attempts: u32::try_from(self.attempts)
                .map_err(|_| impossible("delivery", "number of attempts"))?,
            due: self.due.into(),
            problem: self.problem,
        })
    }
}
