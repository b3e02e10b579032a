//! What people see meanwhile: a console asks every aggregator for the fleet, again and again, as long as a run lasts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, eyre};
use serde_json::Value;

use super::pause;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// A machine that reports ten times a second is shown no later than this after it was heard, or the view stands still.
const FRESH_LIMIT: Duration = Duration::from_secs(5);

/// Looks on a thread of its own until it is told to end.
#[derive(Debug)]
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    /// Asks the aggregators at these sockets by this program; every one of so many machines is to be seen.
    pub(super) fn begin(program: PathBuf, home: PathBuf, sockets: Vec<PathBuf>, machines: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut newest = BTreeMap::new();
            let mut last = Instant::now();
            while !ended.load(Ordering::Relaxed) {
                let started = Instant::now();
                match look(&program, &home, &sockets) {
                    Ok(fleet) if fleet.len() >= machines => {
                        seen.take(&mut newest, fleet);
                        seen.blind = seen.blind.max(last.elapsed());
                        last = Instant::now();
                    }
                    Ok(fleet) => seen.fail(format!("{} of {machines} machines were shown", fleet.len())),
                    Err(error) => seen.fail(format!("{error:#}")),
                }
                pause(EVERY.saturating_sub(started.elapsed()));
            }
            seen.blind = seen.blind.max(last.elapsed());
            seen
        });
        Self { is_over, thread }
    }

    /// What was seen until now.
    ///
    /// # Errors
    /// When the thread has panicked.
    pub(super) fn end(self) -> Result<Seen> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| eyre!("the watch ended by itself"))
    }
}

/// What was seen of the fleet.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    looks: usize,
    failed: usize,
    why: String,
    /// The longest stretch without a look that showed every machine.
    blind: Duration,
    /// How long after it was heard the stalest machine was shown.
    stalest: (Duration, String),
}

impl Seen {
    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.why = why;
    }

    /// Takes over how long ago each machine was heard, in milliseconds, with the time of that.
    fn take(&mut self, newest: &mut BTreeMap<String, i64>, fleet: BTreeMap<String, (i64, i64)>) {
        self.looks += 1;
        for (machine, (at_ms, heard_ms)) in fleet {
            let known = newest.entry(machine.clone()).or_insert(heard_ms);
            *known = heard_ms.max(*known);
            let age = Duration::from_millis(u64::try_from(at_ms - *known).unwrap_or(0));
            if age > self.stalest.0 {
                self.stalest = (age, machine);
            }
        }
    }

    /// Whether the view went on all the time.
    pub(super) fn is_good(&self) -> bool {
        self.looks > 0 && self.blind <= 2 * FRESH_LIMIT && self.stalest.0 <= FRESH_LIMIT
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "live view: {} looks at every machine, never more than {:.1} s apart; the stalest machine was {} with {:.1} s",
            self.looks,
            self.blind.as_secs_f64(),
            self.stalest.1,
            self.stalest.0.as_secs_f64()
        )?;
        if self.failed > 0 {
            write!(
                formatter,
                "; {} looks failed, the last because {}",
                self.failed, self.why
            )?;
        }
        Ok(())
    }
}

/// Each machine, as the aggregator shows it that knows it best: the time there, and when the machine was heard last.
fn look(program: &Path, home: &Path, sockets: &[PathBuf]) -> Result<BTreeMap<String, (i64, i64)>> {
    let mut fleet: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for socket in sockets {
        let mut command = Command::new(program);
        command
            .args(["--once", "--format", "json", "--connect"])
            .arg(format!("unix:{}", socket.display()))
            .stdin(Stdio::null());
        for variable in [
            "HOME",
            "XDG_RUNTIME_DIR",
            "XDG_DATA_HOME",
            "XDG_STATE_HOME",
            "XDG_CONFIG_HOME",
        ] {
            command.env(variable, home);
        }
        // Its exit code tells of critical alerts.
        let output = command.output().wrap_err("failed to start the console")?;
        let document: Value = serde_json::from_slice(&output.stdout)
            .wrap_err_with(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
        for (machine, shown) in machines(&document) {
            let known = fleet.entry(machine).or_insert(shown);
            if shown.0 - shown.1 < known.0 - known.1 {
                *known = shown;
            }
        }
    }
    Ok(fleet)
}

fn machines(document: &Value) -> impl Iterator<Item = (String, (i64, i64))> {
    let at_ms = document["at_unix_ms"].as_i64().unwrap_or(i64::MAX);
    let rows = document["machines"].as_array().into_iter().flatten();
    rows.filter_map(move |row| {
        let machine = row["machine_id"].as_str()?.to_owned();
        Some((machine, (at_ms, row["last_seen_unix_ms"].as_i64()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ages_ms: &[i64], blind: Duration) -> Seen {
        let mut seen = Seen {
            blind,
            ..Seen::default()
        };
        for (look, age) in (1..).zip(ages_ms) {
            let at = look * 1_000;
            let fleet = BTreeMap::from([("m".to_owned(), (at, at - age))]);
            seen.take(&mut BTreeMap::new(), fleet);
        }
        seen
    }

    #[test]
    fn a_view_that_stands_still_is_told_from_one_that_goes_on() {
        assert!(seen(&[100, 900, 100], Duration::from_secs(2)).is_good());
        assert!(!seen(&[100, 6_000, 100], Duration::from_secs(2)).is_good());
        assert!(!seen(&[100], Duration::from_secs(11)).is_good());
        assert!(!Seen::default().is_good(), "nothing seen shows nothing");
    }

    #[test]
    fn machines_are_read_from_what_the_console_prints() {
        let document = serde_json::json!({
            "at_unix_ms": 5_000,
            "machines": [{"machine_id": "a", "last_seen_unix_ms": 4_900}, {"machine_id": "b"}],
        });
        let found: Vec<_> = machines(&document).collect();
        assert_eq!(found, [("a".to_owned(), (5_000, 4_900))]);
    }
}
