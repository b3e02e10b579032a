//! What is wrong, line by line.

use sysmon_core::alert::Severity;
use sysmon_core::{Health, format_age};

use super::TextStyle;
use super::table::{Cell, Table};
use crate::once::Snapshot;
use crate::state::alerts::board::Standing;
use crate::words;

/// The alerts as a table below a line of how many fire; empty when nobody tells of alerts or nothing is wrong.
pub(super) fn describe(snapshot: &Snapshot, style: TextStyle) -> String {
    let alerts = snapshot.alerts();
    let (Some(board), false) = (&snapshot.board, alerts.is_empty()) else {
        return String::new();
    };
    let now = snapshot.fleet.now();
    let mut table = Table::new(
        &["ALERT", "SEVERITY", "STATE", "MACHINE", "WHERE", "VALUE", "SINCE"],
        5,
    );
    for alert in &alerts {
        let standing = Standing::of(alert);
        let health = match (standing, alert.severity) {
            (Standing::Firing, Severity::Critical) => Health::Critical,
            (Standing::Firing, Severity::Warning) => Health::Warning,
            _ => Health::Unknown,
        };
        let state = match standing {
            Standing::Acknowledged => "acknowledged",
            Standing::Silenced if alert.silenced.is_none() => "inhibited",
            Standing::Silenced => "silenced",
            Standing::Firing | Standing::Pending | Standing::Resolved => alert.phase.word(),
        };
        table.row(vec![
            Cell::judged(board.title(&alert.key.rule), health),
            Cell::judged(alert.severity.word(), health),
            state.into(),
            alert.key.machine.as_str().into(),
            (&*alert.key.entity).into(),
            words::alerts::comparison(board, alert).into(),
            format_age(now.since_ms(alert.since)).into(),
        ]);
    }
    let firing = board.counts().firing();
    let noun = if firing == 1 { "alert fires" } else { "alerts fire" };
    format!("\n{firing} {noun}\n\n{}", table.render(style))
}
