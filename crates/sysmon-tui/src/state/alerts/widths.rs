//! How wide the table of rules would like its columns to be. Measured when rules change, not with every frame.

use sysmon_core::display_width;

use super::board::StoredRule;
use crate::words;

/// Cells of the longest text in each column of the table of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleWidths {
    pub(crate) title: u16,
    pub(crate) watches: u16,
    pub(crate) scope: u16,
    pub(crate) changed: u16,
}

impl RuleWidths {
    /// Of these rules.
    pub(super) fn of<'a>(rules: impl IntoIterator<Item = &'a StoredRule>) -> Self {
        let cells = |text: &str| u16::try_from(display_width(text)).unwrap_or(u16::MAX);
        rules.into_iter().fold(Self::default(), |widest, stored| {
            let changed = format!("v{} {} 999d ago", stored.version, stored.changed_by);
            Self {
                title: widest.title.max(cells(&stored.rule.title)),
                watches: widest.watches.max(cells(&words::alerts::watches(&stored.rule))),
                scope: widest.scope.max(cells(&words::alerts::scope(&stored.rule))),
                changed: widest.changed.max(cells(&changed)),
            }
        })
    }
}
