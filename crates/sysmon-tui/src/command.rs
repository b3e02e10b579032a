//! The one table of commands: key bindings, hints, help and palette all come from here.

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
    /// Let the panel with the focus fill the screen, or no longer.
    Expand,
    /// The focus goes to the next panel.
    NextPanel,
    /// The focus goes to the panel before.
    PreviousPanel,
    /// Processes below their parents, or as a list.
    Tree,
    /// The cursor stays on its process, or no longer.
    Follow,
    /// To the next process that was searched for.
    NextMatch,
    /// To the one before.
    PreviousMatch,
    /// Send a signal to a process.
    Signal,
    /// Do what was asked for once more.
    Confirm,
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
    /// Type the name of a command.
    Palette,
    /// Pick the colours.
    Theme,
    /// Show or hide what the client costs.
    Diagnostics,
    /// Put something of the selected row on the clipboard.
    CopyText,
    /// Write what is shown into a file.
    Export,
    /// Choose one of several tabs, or open another.
    Tab,
    /// The tab behind this one.
    TabNext,
    /// The tab before this one.
    TabPrevious,
    /// Close this tab.
    TabClose,
}

impl Command {
    /// Its name in the palette and in files of keys: that of the variant in small letters, `heat-map` for `HeatMap`.
    #[must_use]
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }

    /// The command of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut commands = COMMANDS.iter().map(|definition| definition.command);
        commands.find(|command| command.name() == name)
    }

    /// Whether it changes, or leads to a change of, anything beyond this client.
    #[must_use]
    pub fn changes_something(self) -> bool {
        matches!(
            self,
            Self::Threshold
                | Self::Acknowledge
                | Self::Silence
                | Self::New
                | Self::Copy
                | Self::Delete
                | Self::Undo
                | Self::Toggle
                | Self::Resend
                | Self::Test
                | Self::Save
                | Self::TakeTheirs
                | Self::KeepMine
                | Self::Merge
                | Self::Signal
                | Self::Confirm
        )
    }
}

/// `LongerRange` as `longer-range`.
fn kebab(variant: &str) -> String {
    let mut name = String::with_capacity(variant.len() + 4);
    for character in variant.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
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
    /// Over the details of a process.
    Process,
    /// Over the signals that can be sent.
    Signals,
    /// Asked whether a signal is to be sent.
    Confirming,
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
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::Fleet, "Fleet"),
        (Self::HeatMap, "Heat map"),
        (Self::Columns, "Columns"),
        (Self::Machine, "Machine"),
        (Self::Process, "Process"),
        (Self::Signals, "Signals"),
        (Self::Confirming, "Sending a signal"),
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

    /// Its name as a section of a file of keys.
    #[must_use]
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }

    /// Where a key of this context is looked for after it is not found here.
    #[must_use]
    pub(crate) fn then(self) -> &'static [Self] {
        match self {
            Self::Form | Self::Leaving | Self::Conflict | Self::Anywhere => &[],
            Self::Confirming => &[Self::Anywhere],
            Self::List => &[Self::Anywhere],
            _ => &[Self::List, Self::Anywhere],
        }
    }

    /// Its heading.
    #[must_use]
    pub(crate) fn heading(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(context, _)| *context == self)
            .map_or("", |(_, heading)| heading)
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandDefinition {
    /// Which command.
    pub command: Command,
    /// Where it makes sense.
    pub context: Context,
    /// Keys unless a file of keys says otherwise, the first of which is shown; none for what only the palette offers.
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

    const VIEWS: [&[Context]; 18] = [
        &[Context::Fleet, Context::List, Context::Anywhere],
        &[Context::HeatMap, Context::List, Context::Anywhere],
        &[Context::Columns, Context::List, Context::Anywhere],
        &[Context::Machine, Context::List, Context::Anywhere],
        &[Context::Alerts, Context::List, Context::Anywhere],
        &[Context::Rules, Context::List, Context::Anywhere],
        &[Context::Process, Context::List, Context::Anywhere],
        &[Context::Signals, Context::List, Context::Anywhere],
        &[Context::Confirming, Context::Anywhere],
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
    fn every_command_has_a_name_of_its_own_and_a_help_line() {
        for definition in COMMANDS {
            let name = definition.command.name();
            assert!(!definition.help.is_empty(), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert_eq!(Command::from_name(&name), Some(definition.command));
            // While something is edited every letter is text: there a key is the only way.
            let has_palette = definition.context.then().contains(&Context::Anywhere)
                || definition.context == Context::Anywhere;
            assert!(has_palette || !definition.keys.is_empty(), "{name}");
        }
    }

    /// A command that nobody wrote a row for could be carried out by nobody.
    #[test]
    fn every_command_is_in_the_table() {
        let source = include_str!("command.rs");
        let (_, variants) = source.split_once("pub enum Command {").unwrap();
        let (variants, _) = variants.split_once("\n}").unwrap();
        let is_variant = |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase());
        let names = variants.lines().map(str::trim).filter(is_variant);
        let names: Vec<String> = names.map(|name| kebab(name.trim_end_matches(','))).collect();
        assert!(names.len() > 70, "{}", names.len());
        for name in names {
            assert!(Command::from_name(&name).is_some(), "{name} has no row");
        }
    }

    /// Files of keys name commands: a name that was given once is kept.
    #[test]
    fn names_that_files_of_keys_may_hold_are_still_there() {
        const GIVEN: &str = "quit suspend redraw help back open up down half-page-up half-page-down page-up page-down \
            top bottom filter sort invert longer-range shorter-range details next-machine previous-machine view-fleet \
            view-alerts view-rules threshold acknowledge silence silences deliveries group history go-to-rule new copy \
            delete undo toggle resend test next-field previous-field step-up step-down leap-up leap-down save discard \
            take-theirs keep-mine merge palette theme diagnostics copy-text export";
        for name in GIVEN.split_whitespace() {
            assert!(Command::from_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_view_decides_before_the_general_table() {
        let keymap = crate::keymap::Keymap::default();
        let lookup = |keys: &str, view: usize| {
            let keys: Vec<Key> = keys.chars().map(Key::char).collect();
            keymap.lookup(&keys, VIEWS[view])
        };
        assert_eq!(lookup("g", 0), Binding::Prefix);
        assert_eq!(lookup("gg", 0), Binding::Command(Command::Top));
        assert_eq!(lookup("l", 0), Binding::Command(Command::Open));
        assert_eq!(lookup("l", 3), Binding::None);
    }
}
