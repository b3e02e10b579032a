//! What is remembered from one run to the next, for each aggregator by itself. It helps and never harms: whatever cannot
//! be read or written is left, and said in the log only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::axis::Range;
use crate::keep::{self, file_name};
use crate::state::alerts::list::{AlertColumn, RuleColumn};
use crate::state::console::History;
use crate::state::fleet::columns::FleetLayout;
use crate::state::processes::ProcessColumn;
use crate::state::{State, View};

/// No file of ours is larger.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The longest line that is taken from a file.
const LINE_BYTES_MAX: usize = 256;

/// A table's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Order {
    column: String,
    inverted: bool,
}

/// What a console was like when it was left. Names that another release does not know are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Preferences {
    theme: String,
    /// `fleet`, `machine`, `alerts` or `rules`.
    view: String,
    machine: String,
    range: String,
    /// The newest last.
    commands: Vec<String>,
    filters: Vec<String>,
    order: BTreeMap<String, Order>,
    fleet: FleetLayout,
}

fn order<C: Copy + PartialEq>(sorts: &[(C, char, &str)], column: C, inverted: bool) -> Order {
    let mut sorts = sorts.iter();
    let name = sorts
        .find(|(known, _, _)| *known == column)
        .map(|(_, _, name)| *name);
    Order {
        column: name.unwrap_or_default().to_owned(),
        inverted,
    }
}

impl Preferences {
    /// Those of a console as it is.
    pub(crate) fn of(state: &State) -> Self {
        let processes = &state.process_table;
        let (alerts, rules) = (&state.alerts.list, &state.alerts.rules);
        let (view, machine) = match &state.view {
            View::Fleet => ("fleet", ""),
            View::Machine(id) => ("machine", &**id),
            View::Alerts => ("alerts", ""),
            View::Rules => ("rules", ""),
        };
        let lines = |history: &History| {
            let mut lines: Vec<String> = history.newest_first().map(str::to_owned).collect();
            lines.reverse();
            lines
        };
        Self {
            theme: state.console.theme.clone(),
            view: view.into(),
            machine: machine.into(),
            range: state.past.chosen.map(Range::name).unwrap_or_default().into(),
            commands: lines(&state.console.history),
            filters: lines(&state.console.filters),
            order: [
                (
                    "processes",
                    order(&ProcessColumn::SORTS, processes.sort, processes.inverted),
                ),
                ("alerts", order(&AlertColumn::SORTS, alerts.sort, alerts.inverted)),
                ("rules", order(&RuleColumn::SORTS, rules.sort, rules.inverted)),
            ]
            .map(|(name, order)| (name.to_owned(), order))
            .into(),
            fleet: state.fleet_table.layout(),
        }
    }

    /// The theme that was kept; empty for none.
    pub(crate) fn theme(&self) -> &str {
        &self.theme
    }

    /// Makes a console as it was left. What it can show is known only when it is connected, so nothing here waits.
    pub(crate) fn restore(&self, state: &mut State) {
        fn sort<C: Copy>(order: Option<&Order>, sorts: &[(C, char, &str)], mut set: impl FnMut(C, bool)) {
            let Some(order) = order else { return };
            if let Some((column, _, _)) = sorts.iter().find(|(_, _, name)| *name == order.column) {
                set(*column, order.inverted);
            }
        }
        let of = |name: &str| self.order.get(name);
        state.fleet_table.restore(&harmless(&self.fleet));
        sort(of("processes"), &ProcessColumn::SORTS, |column, inverted| {
            state.process_table.sort_by(column);
            state.process_table.inverted = inverted;
        });
        sort(of("alerts"), &AlertColumn::SORTS, |column, inverted| {
            state.alerts.list.sort_by(column);
            state.alerts.list.inverted = inverted;
        });
        sort(of("rules"), &RuleColumn::SORTS, |column, inverted| {
            state.alerts.rules.sort_by(column);
            state.alerts.rules.inverted = inverted;
        });
        let lines = |lines: &[String], history: &mut History| {
            for line in lines.iter().filter(|line| line.len() <= LINE_BYTES_MAX) {
                history.push(&sysmon_core::sanitize(line));
            }
        };
        lines(&self.commands, &mut state.console.history);
        lines(&self.filters, &mut state.console.filters);
        state.past.chosen = Range::ALL.into_iter().find(|range| range.name() == self.range);
        let view = match self.view.as_str() {
            "machine" if !self.machine.is_empty() && self.machine.len() <= LINE_BYTES_MAX => {
                let id: Arc<str> = Arc::from(&*sysmon_core::sanitize(&self.machine));
                state.fleet_table.select(&id);
                state.is_machine_remembered = true;
                View::Machine(id)
            }
            "alerts" => View::Alerts,
            "rules" => View::Rules,
            _ => return,
        };
        state.view = view;
        state.trail = vec![View::Fleet];
    }
}

/// A layout of the fleet without what no person can have typed: the file may come from anywhere.
fn harmless(layout: &FleetLayout) -> FleetLayout {
    let line = |text: &String| sysmon_core::sanitize(text).into_owned();
    let lines = |texts: &[String]| -> Vec<String> {
        let short = texts.iter().filter(|text| text.len() <= LINE_BYTES_MAX);
        short.map(line).collect()
    };
    FleetLayout {
        columns: lines(&layout.columns),
        sort: line(&layout.sort),
        group: line(&layout.group),
        history: lines(&layout.history),
        saved: layout
            .saved
            .iter()
            .filter(|(name, text)| name.len().max(text.len()) <= LINE_BYTES_MAX)
            .map(|(name, text)| (line(name), line(text)))
            .collect(),
        ..*layout
    }
}

/// The file of one aggregator.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// As it is in the file.
    saved: Option<Preferences>,
}

impl Store {
    /// The file in `folder` for what is called `source_name`.
    pub(crate) fn new(folder: &Path, source_name: &str) -> Self {
        Self {
            path: folder.join(file_name(source_name, "toml")),
            saved: None,
        }
    }

    /// What is in the file; the default when there is none, or none that can be read.
    pub(crate) fn load(&mut self) -> Preferences {
        let read = || -> io::Result<Preferences> {
            if std::fs::metadata(&self.path)?.len() > FILE_BYTES_MAX {
                return Err(io::Error::other("it is too large"));
            }
            let text = std::fs::read_to_string(&self.path)?;
            toml::from_str(&text).map_err(io::Error::other)
        };
        match read() {
            Ok(preferences) => {
                self.saved = Some(preferences.clone());
                preferences
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Preferences::default(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "what was remembered cannot be read");
                Preferences::default()
            }
        }
    }

    /// Whether the file says something else.
    pub(crate) fn is_stale(&self, preferences: &Preferences) -> bool {
        self.saved.as_ref() != Some(preferences)
    }

    /// Writes the file if it says something else: a reader finds the old or the new one, never half of it.
    pub(crate) fn save(&mut self, preferences: Preferences) {
        if !self.is_stale(&preferences) {
            return;
        }
        if let Err(error) = self.write(&preferences) {
            tracing::warn!(path = %self.path.display(), %error, "what is to be remembered cannot be written");
        }
        // Not tried again and again when it fails: the next change is.
        self.saved = Some(preferences);
    }

    fn write(&self, preferences: &Preferences) -> io::Result<()> {
        let text = toml::to_string(preferences).map_err(io::Error::other)?;
        keep::replace(&self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use sysmon_core::MetricId;

    use crate::state::fleet::FleetColumn;

    use super::*;
    use crate::event::{Event, LinkEvent};
    use crate::key::{Key, KeyCode};
    use crate::state::{FLEET_SUBSCRIPTION, MACHINE_SUBSCRIPTION};
    use crate::update::update;
    use sysmon_api::wire;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sysmon-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn press(state: &mut State, keys: &str) {
        for key in keys.chars() {
            let code = if key == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(key)
            };
            update(state, Event::Key(Key::plain(code)));
        }
    }

    #[test]
    fn a_console_is_found_as_it_was_left() {
        let mut state = State::new("prod:50051", None);
        update(
            &mut state,
            Event::Resize {
                width: 80,
                height: 24,
            },
        );
        state.console.themes = vec!["nord".into()];
        press(&mut state, "smI:filter web\n:theme nord\n:machine web-1\n+sp");
        let left = Preferences::of(&state);
        let folder = folder("preferences");
        let mut store = Store::new(&folder, "prod:50051");
        store.save(left.clone());
        assert!(!store.is_stale(&left));
        let mut again = State::new("prod:50051", None);
        let mut store = Store::new(&folder, "prod:50051");
        let found = store.load();
        found.restore(&mut again);
        again.console.theme = found.theme().to_owned();
        let names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Preferences::of(&again), left);
        assert_eq!(again.view, View::Machine("web-1".into()));
        assert_eq!(
            (again.fleet_table.sort, again.fleet_table.inverted),
            (FleetColumn::Metric(MetricId::MemoryUsedPercent), true)
        );
        assert_eq!(names.len(), 1, "nothing half written is left: {names:?}");
    }

    #[test]
    fn a_machine_that_is_gone_since_gives_way_to_the_fleet() {
        let opened = |known: &str| {
            let mut state = State::new("prod:50051", None);
            let left = Preferences {
                view: "machine".into(),
                machine: "web-1".into(),
                ..Preferences::default()
            };
            left.restore(&mut state);
            let capabilities = Vec::new();
            update(&mut state, Event::Link(LinkEvent::Connected { capabilities }));
            for (subscription, machines) in [(MACHINE_SUBSCRIPTION, 0), (FLEET_SUBSCRIPTION, 1)] {
                let header = wire::MachineHeader {
                    machine_id: known.into(),
                    ..wire::MachineHeader::default()
                };
                let machine = wire::MachineUpdate {
                    machine: 1,
                    header: Some(header),
                    ..wire::MachineUpdate::default()
                };
                let snapshot = wire::Update {
                    subscription,
                    number: 1,
                    snapshot: true,
                    totals: Some(wire::FleetTotals {
                        live: 1,
                        ..wire::FleetTotals::default()
                    }),
                    machines: vec![machine; machines],
                    ..wire::Update::default()
                };
                update(&mut state, Event::Link(LinkEvent::Update(Box::new(snapshot))));
            }
            (state.view.clone(), state.notice.map(|notice| notice.text))
        };
        let (view, notice) = opened("web-2");
        assert_eq!(view, View::Fleet);
        assert!(notice.is_some_and(|text| text.contains("web-1")));
        assert_eq!(opened("web-1"), (View::Machine("web-1".into()), None));
    }

    #[test]
    fn what_cannot_be_read_or_written_harms_nothing() {
        let folder = folder("broken");
        std::fs::create_dir_all(&folder).unwrap();
        let mut store = Store::new(&folder, "x");
        for text in [
            "view = 5",
            "\u{0}",
            "[order.fleet]\ncolumn = \"flux\"\n",
            "view = \"attic\"",
        ] {
            std::fs::write(&store.path, text).unwrap();
            let mut state = State::new("x", None);
            store.load().restore(&mut state);
            assert_eq!(state.view, View::Fleet, "{text}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "a file where the folder should be").unwrap();
        let mut store = Store::new(&folder, "x");
        store.save(Preferences::default());
        std::fs::remove_file(&folder).unwrap();
    }

    #[test]
    fn every_aggregator_has_a_file_of_its_own_in_the_folder() {
        let folder = Path::new("/state");
        let names = ["prod:50051", "prod_50051", "../../etc/passwd", "this machine"];
        let mut paths: Vec<_> = names.map(|name| Store::new(folder, name).path).into();
        assert!(paths.iter().all(|path| path.parent() == Some(folder)));
        paths.dedup();
        assert_eq!(paths.len(), names.len());
    }
}
