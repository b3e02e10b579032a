//! How clients silence and acknowledge alerts.

use std::sync::Arc;

use prost::Message as _;
use sysmon_api::{ApiError, Code, Principal, alert_key_from_wire, silence_from_wire, silence_to_wire, wire};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, AlertKey, Severity, SilenceId};
use sysmon_store::NewSilence;

use super::commands::{found, operator};
use super::{Alerts, Parts};

/// All silences that are not over fit one message to those who watch.
const SILENCES_BYTES_MAX: usize = 48 * 1024;
/// The longest comment, in bytes; what is longer is cut.
const COMMENT_BYTES_MAX: usize = 1_024;

impl Alerts {
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
    fn severity_of(&self, key: &AlertKey) -> Result<Severity, ApiError> {
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
}

fn comment(text: &str) -> String {
    sysmon_core::sanitize(&text[..text.floor_char_boundary(COMMENT_BYTES_MAX)]).into_owned()
}
