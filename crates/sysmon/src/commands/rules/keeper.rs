//! Who has the rules: an aggregator, or the store itself.

use std::sync::Arc;

use sysmon_api::{ApiError, Client, Code, Endpoint, rule_from_wire, rule_to_wire, wire};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Rule, RuleId};
use sysmon_store::{Author, Put, RuleStore, StoredRule, open_rule_store};

use crate::commands::history::{Source, failure, now};
use crate::exit::Failure;
use crate::paths::Paths;
use crate::settings::Loaded;

/// Whoever has the rules.
pub(super) enum Keeper {
    Aggregator(Client),
    Store(Arc<dyn RuleStore>),
}

/// Where rules are, before anything is opened.
pub(super) struct Place(Source);

impl Place {
    pub(super) async fn open(self) -> Result<Keeper, Failure> {
        match self.0 {
            Source::Aggregator(client) => Ok(Keeper::Aggregator(client)),
            source @ Source::Database { .. } => {
                let url = source.url()?;
                open_rule_store(url).await.map(Keeper::Store).map_err(failure)
            }
        }
    }
}

impl Keeper {
    /// The aggregator when one is given, else the database of the settings.
    pub(super) fn choose(
        aggregator: Option<&Endpoint>,
        loaded: Loaded,
        paths: &Paths,
    ) -> Result<Place, Failure> {
        Source::choose(aggregator, loaded, paths).map(Place)
    }

    pub(super) async fn rules(&self) -> Result<Vec<StoredRule>, Failure> {
        match self {
            Self::Store(store) => store.rules().await.map_err(failure),
            Self::Aggregator(client) => {
                let reply = client.list_rules().await.map_err(Failure::runtime)?;
                reply
                    .rules
                    .iter()
                    .map(stored)
                    .collect::<Result<_, _>>()
                    .map_err(Failure::runtime)
            }
        }
    }

    pub(super) async fn put(&self, rule: &Rule, expected: u64) -> Result<Put, Failure> {
        match self {
            Self::Store(store) => store.put_rule(rule, expected, &author()).await.map_err(failure),
            Self::Aggregator(client) => {
                let request = wire::PutRuleRequest {
                    rule: Some(rule_to_wire(rule)),
                    expected_version: expected,
                };
                put(&client.put_rule(request).await.map_err(Failure::runtime)?)
            }
        }
    }

    pub(super) async fn delete(&self, id: &RuleId, expected: u64) -> Result<Put, Failure> {
        match self {
            Self::Store(store) => store.delete_rule(id, expected, &author()).await.map_err(failure),
            Self::Aggregator(client) => {
                let request = wire::DeleteRuleRequest {
                    rule_id: id.to_string(),
                    expected_version: expected,
                };
                put(&client.delete_rule(request).await.map_err(Failure::runtime)?)
            }
        }
    }
}

/// Whoever runs the program, as far as the system says.
fn author() -> Author {
    let name = std::env::var("USER").unwrap_or_default();
    Author {
        name: if name.is_empty() {
            "sysmon rules".into()
        } else {
            name
        },
        at: now(),
    }
}

fn put(reply: &wire::ChangeReply) -> Result<Put, Failure> {
    let rule = reply
        .stored
        .as_ref()
        .map(stored)
        .transpose()
        .map_err(Failure::runtime)?;
    match (reply.conflict, rule) {
        (true, rule) => Ok(Put::Conflict(rule)),
        (false, Some(rule)) => Ok(Put::Done(rule)),
        (false, None) => Err(Failure::runtime(ApiError::new(
            Code::Internal,
            "the aggregator does not say what became of the rule; report this",
        ))),
    }
}

fn stored(stored: &wire::StoredRule) -> Result<StoredRule, ApiError> {
    let rule = stored.rule.as_ref().ok_or_else(|| {
        ApiError::new(
            Code::Internal,
            "the aggregator sent a rule without content; report this",
        )
    })?;
    Ok(StoredRule {
        rule: rule_from_wire(rule)?,
        version: stored.version,
        changed: Author {
            name: stored.changed_by.clone(),
            at: UnixMillis(stored.changed_unix_ms),
        },
    })
}
