//! `sysmon rules`: alert rules in files, for version control.

mod file;
mod keeper;

use std::collections::BTreeMap;
use std::process::ExitCode;

use eyre::eyre;
use serde_json::json;
use sysmon_core::alert::{Check, Comparison, MetricCheck, Rule, RuleId};
use sysmon_core::{Metric, Unit, format_value};
use sysmon_store::{Put, StoredRule};

use super::history::{aligned, json_line, local, say};
use super::single_threaded;
use crate::command_line::{ImportArguments, ListFormat, RulesCommand};
use crate::exit::Failure;
use crate::output;
use crate::paths::Paths;
use crate::settings::Loaded;
use keeper::Keeper;

pub(super) fn run(command: &RulesCommand, loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let source = match command {
        RulesCommand::Check { file } => {
            let rules = file::read(file)?;
            output::print(&format!(
                "{} {} in order\n",
                rules.len(),
                if rules.len() == 1 { "rule is" } else { "rules are" }
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        RulesCommand::List { source, .. } | RulesCommand::Export { source } => source,
        RulesCommand::Import(import) => &import.source,
    };
    let place = Keeper::choose(source.aggregator.as_ref(), loaded, paths)?;
    single_threaded()?.block_on(async {
        let keeper = place.open().await?;
        match command {
            RulesCommand::List { format, .. } => list(&keeper, *format).await,
            RulesCommand::Export { .. } => export(&keeper).await,
            RulesCommand::Import(arguments) => import(&keeper, arguments).await,
            RulesCommand::Check { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn list(keeper: &Keeper, format: ListFormat) -> Result<ExitCode, Failure> {
    let rules = keeper.rules().await?;
    output::print(&match format {
        ListFormat::Json => json_line(&rules.iter().map(value).collect::<Vec<_>>())?,
        ListFormat::Table if rules.is_empty() => "there are no rules\n".into(),
        ListFormat::Table => aligned(
            &[
                "RULE", "STATE", "WARNING", "CRITICAL", "FOR", "CHANGED", "BY", "TITLE",
            ],
            &rules.iter().map(row).collect::<Vec<_>>(),
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn value(stored: &StoredRule) -> serde_json::Value {
    json!({
        "version": stored.version,
        "changed_by": stored.changed.name,
        "changed_unix_ms": stored.changed.at.0,
        "rule": stored.rule,
    })
}

fn row(stored: &StoredRule) -> Vec<String> {
    let rule = &stored.rule;
    let (warning, critical) = match &rule.check {
        Check::MachineDown { severity } => match severity.word() {
            "critical" => ("–".into(), "down".into()),
            _ => ("down".into(), "–".into()),
        },
        Check::Metric(check) => (
            level(check, check.warning.as_ref().map(|level| level.trigger)),
            level(check, check.critical.as_ref().map(|level| level.trigger)),
        ),
    };
    vec![
        rule.id.to_string(),
        if rule.enabled { "on" } else { "off" }.into(),
        warning,
        critical,
        sysmon_core::format_duration(rule.hold_ms / 1_000),
        local(stored.changed.at),
        sysmon_core::sanitize(&stored.changed.name).into_owned(),
        sysmon_core::sanitize(&rule.title).into_owned(),
    ]
}

fn level(check: &MetricCheck, trigger: Option<f64>) -> String {
    let Some(trigger) = trigger else {
        return "–".into();
    };
    let is_ratio = check.quantity.per.is_some();
    let unit = match check.quantity.function.word() {
        "time_to_full" => Unit::Seconds,
        "last" | "average" | "minimum" | "maximum" if !is_ratio => {
            Metric::named(&check.quantity.metric, Unit::Count).unit()
        }
        _ => Unit::Count,
    };
    let sign = match check.comparison {
        Comparison::Above => "≥",
        Comparison::Below => "≤",
    };
    format!("{sign} {}", format_value(trigger, unit))
}

async fn export(keeper: &Keeper) -> Result<ExitCode, Failure> {
    let rules: Vec<Rule> = keeper
        .rules()
        .await?
        .into_iter()
        .map(|stored| stored.rule)
        .collect();
    output::print(&file::write(&rules)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What an import does to one rule.
enum Change {
    Make(Rule),
    Replace(Rule, u64),
    Remove(RuleId, u64),
}

async fn import(keeper: &Keeper, arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let wanted = file::read(&arguments.file)?;
    let present = keeper.rules().await?;
    let changes = changes(wanted, &present, arguments.prune);
    for change in &changes {
        let (verb, id) = match change {
            Change::Make(rule) => ("make", &rule.id),
            Change::Replace(rule, _) => ("change", &rule.id),
            Change::Remove(id, _) => ("remove", id),
        };
        if arguments.what_if {
            say(&format!("would {verb} {id}"));
            continue;
        }
        let put = match change {
            Change::Make(rule) => keeper.put(rule, 0).await?,
            Change::Replace(rule, version) => keeper.put(rule, *version).await?,
            Change::Remove(id, version) => keeper.delete(id, *version).await?,
        };
        if let Put::Conflict(_) = put {
            return Err(Failure::runtime(eyre!(
                "somebody changed {id} meanwhile: it and what follows it in the file are left as they are; look at \
                 sysmon rules export and import again"
            )));
        }
        say(&format!("{verb}d {id}").replace("maked", "made"));
    }
    if changes.is_empty() {
        say("all rules are as the file says");
    }
    Ok(ExitCode::SUCCESS)
}

fn changes(wanted: Vec<Rule>, present: &[StoredRule], prune: bool) -> Vec<Change> {
    let mut known: BTreeMap<&RuleId, &StoredRule> =
        present.iter().map(|stored| (&stored.rule.id, stored)).collect();
    let mut changes = Vec::new();
    for rule in wanted {
        match known.remove(&rule.id) {
            None => changes.push(Change::Make(rule)),
            Some(stored) if stored.rule != rule => changes.push(Change::Replace(rule, stored.version)),
            Some(_) => {}
        }
    }
    if prune {
        let rest = known.into_values();
        changes.extend(rest.map(|stored| Change::Remove(stored.rule.id.clone(), stored.version)));
    }
    changes
}
