//! The one table of commands: key bindings, hints and help all come from here.

use crate::key::Key;

mod table;

pub use table::COMMANDS;

/// Everything that a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Leave the client.
    Quit,
    /// Stop the process until the shell brings it back.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Show or hide the help.
    Help,
    /// Close what is on top: help, prompt, filter, view.
    Back,
    /// Open what is selected.
    Open,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Type a filter.
    Filter,
    /// The next key chooses the sort column.
    Sort,
    /// Turn the sort order around.
    Invert,
    /// Charts show more time.
    LongerRange,
    /// Charts show less time.
    ShorterRange,
    /// Show a moment of the past.
    Past,
    /// Type a moment to show.
    GoToMoment,
    /// A step back in time.
    StepBack,
    /// A step forward in time.
    StepForward,
    /// Ten steps back in time.
    LeapBack,
    /// Ten steps forward in time.
    LeapForward,
    /// To the event before the moment.
    PreviousMark,
    /// To the event after the moment.
    NextMark,
    /// Let the past play, or stop it.
    Play,
    /// How fast the past plays.
    Speed,
    /// Leave the past.
    Now,
    /// Compare the charts with another day, or no longer.
    Compare,
    /// Show or hide how the stores are and what the charts show.
    Details,
    /// The machine after this one, in the order of the fleet.
    NextMachine,
    /// The machine before this one.
    PreviousMachine,
    /// Show all machines.
    ViewFleet,
    /// Show the alerts.
    ViewAlerts,
    /// Show the rules.
    ViewRules,
    /// Edit the levels of what is selected; where several metrics are, the next key names one.
    Threshold,
    /// Say that somebody knows of an alert, or take it back.
    Acknowledge,
    /// Mute alerts for a time.
    Silence,
    /// List the silences.
    Silences,
    /// List receivers and what did not reach them.
    Deliveries,
    /// Gather rows by machine or rule, machines by a label.
    Group,
    /// Fold the group under the cursor.
    Fold,
    /// One cell per machine instead of a row.
    HeatMap,
    /// Choose columns.
    Columns,
    /// The column one place to the left.
    ShiftLeft,
    /// The column one place to the right.
    ShiftRight,
    /// Back to what it was at first.
    Reset,
    /// Mark the machine, or take the mark back.
    Mark,
    /// Mark all machines that match.
    MarkAll,
    /// How often machines measure.
    Interval,
    /// One cell to the left.
    Left,
    /// One cell to the right.
    Right,
    /// Show what has happened, or more of it.
    History,
    /// Go to the rule of an alert.
    GoToRule,
    /// Make a rule.
    New,
    /// Make a rule like this one.
    Copy,
    /// Remove the rule, or end the silence.
    Delete,
    /// Put back what was removed.
    Undo,
    /// Turn the rule or the level on or off.
    Toggle,
    /// Send a notification again.
    Resend,
    /// Send a test to a receiver.
    Test,
    /// The next field.
    NextField,
    /// The field before.
    PreviousField,
    /// The value a step up.
    StepUp,
    /// The value a step down.
    StepDown,
    /// The value ten steps up.
    LeapUp,
    /// The value ten steps down.
    LeapDown,
    /// Save what was edited.
    Save,
    /// Leave what was edited unsaved.
    Discard,
    /// Of two edits take the other one.
    TakeTheirs,
    /// Of two edits save this one over the other.
    KeepMine,
    /// Take the other edit's changes where this one has none.
    Merge,
}

/// Where a command makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere.
    Anywhere,
    /// In every list.
    List,
    /// In the fleet.
    Fleet,
    /// In the fleet, one cell per machine.
    HeatMap,
    /// Over the list of columns.
    Columns,
    /// In the view of one machine.
    Machine,
    /// While a moment of the past is shown.
    Past,
    /// In the view of alerts.
    Alerts,
    /// In the view of rules.
    Rules,
    /// Over a list of silences.
    Silences,
    /// Over the list of receivers and failed deliveries.
    Deliveries,
    /// While a rule or a silence is edited; letters and digits are typed into the field.
    Form,
    /// While asked whether to leave a changed rule.
    Leaving,
    /// While two edits of one rule are compared.
    Conflict,
}

impl Context {
    /// The headings of the help, in its order.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Fleet, "Fleet"),
        (Self::HeatMap, "Heat map"),
        (Self::Columns, "Columns"),
        (Self::Machine, "Machine"),
        (Self::Past, "The past"),
        (Self::Alerts, "Alerts"),
        (Self::Rules, "Rules"),
        (Self::Silences, "Silences"),
        (Self::Deliveries, "Notifications"),
        (Self::Form, "Editing"),
        (Self::Leaving, "Leaving the editor"),
        (Self::Conflict, "Two edits of one rule"),
        (Self::List, "Lists"),
        (Self::Anywhere, "Anywhere"),
    ];
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandDefinition {
    /// Which command.
    pub command: Command,
    /// Where it makes sense.
    pub context: Context,
    /// Keys, the first of which is shown.
    pub keys: &'static [&'static [Key]],
    /// One or two words for the hints at the bottom; empty to leave it out there.
    pub hint: &'static str,
    /// A line for the help.
    pub help: &'static str,
}

/// What a sequence of keys means where `contexts` apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// A command.
    Command(Command),
    /// The beginning of a longer sequence.
    Prefix,
    /// Nothing.
    None,
}

/// Looks a key sequence up; earlier contexts win.
#[must_use]
pub(crate) fn lookup(sequence: &[Key], contexts: &[Context]) -> Binding {
    for context in contexts {
        let here = COMMANDS
            .iter()
            .filter(|definition| definition.context == *context);
        for (definition, keys) in
            here.flat_map(|definition| definition.keys.iter().map(move |keys| (definition, *keys)))
        {
            if keys == sequence {
                return Binding::Command(definition.command);
            }
            if keys.starts_with(sequence) {
                return Binding::Prefix;
            }
        }
    }
    Binding::None
}

/// A key sequence as it is shown.
#[must_use]
pub(crate) fn show_keys(sequence: &[Key]) -> String {
    sequence.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyCode;
    use std::collections::HashSet;

    const VIEWS: [&[Context]; 15] = [
        &[Context::Fleet, Context::List, Context::Anywhere],
        &[Context::HeatMap, Context::List, Context::Anywhere],
        &[Context::Columns, Context::List, Context::Anywhere],
        &[Context::Machine, Context::List, Context::Anywhere],
        &[Context::Alerts, Context::List, Context::Anywhere],
        &[Context::Rules, Context::List, Context::Anywhere],
        &[Context::Silences, Context::List, Context::Anywhere],
        &[Context::Deliveries, Context::List, Context::Anywhere],
        &[Context::Form],
        &[Context::Leaving],
        &[Context::Conflict],
        &[Context::Past, Context::Fleet, Context::List, Context::Anywhere],
        &[Context::Past, Context::Machine, Context::List, Context::Anywhere],
        &[Context::Past, Context::Alerts, Context::List, Context::Anywhere],
        &[Context::Past, Context::Rules, Context::List, Context::Anywhere],
    ];

    #[test]
    fn no_view_has_a_key_for_two_commands() {
        for contexts in VIEWS {
            let mut seen = HashSet::new();
            for definition in COMMANDS
                .iter()
                .filter(|definition| contexts.contains(&definition.context))
            {
                for keys in definition.keys {
                    let first = seen.insert(*keys);
                    assert!(
                        first || matches!(definition.command, Command::Back | Command::Now),
                        "{} is bound twice",
                        show_keys(keys)
                    );
                }
            }
        }
    }

    #[test]
    fn every_context_is_in_some_view_and_in_the_help() {
        for (context, _) in Context::ALL {
            assert!(VIEWS.iter().any(|view| view.contains(&context)), "{context:?}");
            assert!(COMMANDS.iter().any(|definition| definition.context == context));
        }
        for definition in COMMANDS {
            assert!(
                Context::ALL
                    .iter()
                    .any(|(context, _)| *context == definition.context)
            );
        }
    }

    #[test]
    fn a_split_arrow_key_can_never_trigger_a_command() {
        for definition in COMMANDS {
            assert!(
                definition
                    .keys
                    .iter()
                    .flat_map(|keys| keys.iter())
                    .all(|key| key.code != KeyCode::Char('['))
            );
        }
    }

    #[test]
    fn every_command_has_a_key_and_a_help_line() {
        for definition in COMMANDS {
            assert!(
                !definition.keys.is_empty() && !definition.help.is_empty(),
                "{:?}",
                definition.command
            );
        }
    }

    #[test]
    fn the_view_decides_before_the_general_table() {
        assert_eq!(lookup(&[Key::char('g')], VIEWS[0]), Binding::Prefix);
        assert_eq!(
            lookup(&[Key::char('g'), Key::char('g')], VIEWS[0]),
            Binding::Command(Command::Top)
        );
        assert_eq!(
            lookup(&[Key::char('l')], VIEWS[0]),
            Binding::Command(Command::Open)
        );
        assert_eq!(lookup(&[Key::char('l')], VIEWS[3]), Binding::None);
    }
}
