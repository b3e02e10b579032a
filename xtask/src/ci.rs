//! The steps of CI, in order. A failing step does not keep the later ones from reporting too.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use eyre::Result;

#[cfg(unix)]
use crate::faults;
use crate::prepare::{self, Deny, PYTHON_VARIABLE, SKIP_VARIABLE, Skip, TIMESCALE, Tools};
use crate::process::{cargo, run as run_streaming};
use crate::stack;
use crate::tidy;
use crate::totals::{Runner, Tally, Totals};

#[derive(Debug)]
struct Step {
    name: &'static str,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Tidy,
    /// The short run: our own programs and SQLite alone.
    #[cfg(unix)]
    Faults,
    Stack,
    Cargo {
        /// Separated by single spaces; none of them holds one.
        arguments: &'static str,
        runner: Option<Runner>,
    },
}

#[derive(Debug)]
struct Report {
    name: &'static str,
    /// Why the step failed, if it did.
    failure: Option<String>,
    duration: Duration,
    totals: Totals,
}

/// The command `ci`: `true` when every step that can run here passed. Its last line are the totals of all tests.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run() -> Result<bool> {
    println!("== prepare");
    let started = Instant::now();
    let tools = prepare::prepare()?;
    println!("== prepare: done in {}", display(started.elapsed()));
    let mut reports = Vec::new();
    for step in steps(&tools) {
        reports.push(perform(&step, &tools));
    }
    println!("\n{}", summary(&reports, &tools.skips));
    Ok(reports.iter().all(|report| report.failure.is_none()))
}

/// What can be checked with these tools.
fn steps(tools: &Tools) -> Vec<Step> {
    let step = |name, arguments| Step {
        name,
        work: Work::Cargo {
            arguments,
            runner: None,
        },
    };
    let tests = |name, arguments, runner| Step {
        name,
        work: Work::Cargo {
            arguments,
            runner: Some(runner),
        },
    };
    let mut steps = Vec::new();
    if tools.rustfmt {
        steps.push(step("fmt", "fmt --all --check"));
    }
    steps.push(Step {
        name: "tidy",
        work: Work::Tidy,
    });
    if tools.clippy {
        steps.push(step(
            "clippy",
            "clippy --workspace --all-targets --keep-going -- -D warnings",
        ));
    }
    steps.push(step("doc", "doc --workspace --no-deps"));
    match tools.deny {
        Deny::Missing => {}
        Deny::WithoutAdvisories => steps.push(step(
            "deny",
            "deny check --hide-inclusion-graph bans licenses sources",
        )),
        Deny::Ready => steps.push(step("deny", "deny check --hide-inclusion-graph")),
    }
    steps.push(if tools.nextest {
        let arguments = "nextest run --workspace --profile ci --no-fail-fast";
        tests("tests", arguments, Runner::Nextest)
    } else {
        tests(
            "tests",
            "test --workspace --tests --no-fail-fast",
            Runner::Libtest,
        )
    });
    steps.push(tests(
        "doc tests",
        "test --workspace --doc --no-fail-fast",
        Runner::Libtest,
    ));
    #[cfg(unix)]
    steps.push(Step {
        name: "faults",
        work: Work::Faults,
    });
    if tools.stack {
        steps.push(Step {
            name: "stack",
            work: Work::Stack,
        });
    }
    steps
}

fn perform(step: &Step, tools: &Tools) -> Report {
    let started = Instant::now();
    let (failure, totals) = match step.work {
        Work::Tidy => {
            println!("\n== {}", step.name);
            let failure = match tidy::run() {
                Ok(true) => None,
                Ok(false) => Some("the violations are above".to_owned()),
                Err(error) => Some(format!("{error:#}")),
            };
            (failure, Totals::default())
        }
        #[cfg(unix)]
        Work::Faults => {
            println!("\n== {}", step.name);
            let failure = match faults::run_with(&faults::Options::short()) {
                Ok(true) => None,
                Ok(false) => Some("not every sample is accounted for; see above".to_owned()),
                Err(error) => Some(format!("{error:#}")),
            };
            (failure, Totals::default())
        }
        Work::Stack => {
            println!("\n== {}", step.name);
            let failure = stack::run_in_ci().err().map(|error| format!("{error:#}"));
            (failure, Totals::default())
        }
        Work::Cargo { arguments, runner } => {
            println!("\n== {}: cargo {arguments}", step.name);
            run_cargo(arguments, runner, tools)
        }
    };
    let report = Report {
        name: step.name,
        failure,
        duration: started.elapsed(),
        totals,
    };
    println!("== {report}");
    report
}

/// Runs one cargo command; gives why it failed, if it did, and the tests that it counted in either case.
fn run_cargo(arguments: &str, runner: Option<Runner>, tools: &Tools) -> (Option<String>, Totals) {
    let mut command = cargo();
    command
        .args(arguments.split(' '))
        .env("RUSTDOCFLAGS", "-D warnings");
    if !tools.timescale {
        command.env(SKIP_VARIABLE, TIMESCALE);
    }
    match &tools.python {
        Some(python) => command.env(PYTHON_VARIABLE, python),
        None => command.env_remove(PYTHON_VARIABLE),
    };
    // The program writes into our pipe and so would never colour by itself.
    let wants_colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    if wants_colour && env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    match run_streaming(&mut command, runner.map(Tally::new)) {
        Ok((status, totals)) => (
            failure(status.success(), &status, runner, totals),
            totals.unwrap_or_default(),
        ),
        Err(error) => (Some(format!("{error:#}")), Totals::default()),
    }
}

/// A test run that ends well without a summary is a failure too: then the runner's output is not what we read.
fn failure(
    success: bool,
    status: &impl fmt::Display,
    runner: Option<Runner>,
    totals: Option<Totals>,
) -> Option<String> {
    match (success, runner, totals) {
        (false, _, _) => Some(status.to_string()),
        (true, Some(_), None) => Some("no totals of tests in its output".to_owned()),
        (true, Some(_), Some(Totals { failed, .. })) if failed > 0 => Some(format!("{failed} tests failed")),
        _ => None,
    }
}

/// Everything at a glance; the totals are alone on the last line, where CI reads them.
fn summary(reports: &[Report], skips: &[Skip]) -> String {
    let mut lines = vec!["== summary".to_owned()];
    lines.extend(reports.iter().map(ToString::to_string));
    lines.extend(skips.iter().map(ToString::to_string));
    let mut totals = Totals {
        skipped: skips.len(),
        ..Totals::default()
    };
    for report in reports {
        totals += report.totals;
    }
    lines.push(totals.to_string());
    lines.join("\n")
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.name)?;
        match &self.failure {
            None => write!(formatter, "ok")?,
            Some(why) => write!(formatter, "FAILED, {why}")?,
        }
        write!(formatter, ", {}", display(self.duration))
    }
}

/// Minutes and seconds; a step that takes minutes needs no tenths.
fn display(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Tools {
        Tools {
            rustfmt: true,
            clippy: true,
            deny: Deny::Ready,
            nextest: true,
            python: None,
            stack: true,
            timescale: true,
            skips: Vec::new(),
        }
    }

    fn names(tools: &Tools) -> Vec<&'static str> {
        steps(tools).iter().map(|step| step.name).collect()
    }

    fn arguments(tools: &Tools, name: &str) -> &'static str {
        let work = steps(tools)
            .into_iter()
            .find(|step| step.name == name)
            .unwrap()
            .work;
        match work {
            Work::Cargo { arguments, .. } => arguments,
            Work::Tidy | Work::Faults | Work::Stack => "no command",
        }
    }

    fn report(name: &'static str, failure: Option<&str>, totals: Totals) -> Report {
        let failure = failure.map(str::to_owned);
        Report {
            name,
            failure,
            duration: Duration::from_millis(1_250),
            totals,
        }
    }

    #[test]
    fn a_complete_machine_runs_every_step() {
        assert_eq!(
            names(&tools()),
            [
                "fmt",
                "tidy",
                "clippy",
                "doc",
                "deny",
                "tests",
                "doc tests",
                "faults",
                "stack"
            ]
        );
    }

    #[test]
    fn a_bare_machine_still_runs_every_test() {
        let bare = Tools {
            rustfmt: false,
            clippy: false,
            deny: Deny::Missing,
            nextest: false,
            stack: false,
            ..tools()
        };
        assert_eq!(names(&bare), ["tidy", "doc", "tests", "doc tests", "faults"]);
        assert_eq!(
            arguments(&bare, "tests"),
            "test --workspace --tests --no-fail-fast"
        );
    }

    #[test]
    fn without_the_advisory_database_the_rest_of_deny_is_checked() {
        let offline = Tools {
            deny: Deny::WithoutAdvisories,
            ..tools()
        };
        assert_eq!(
            arguments(&offline, "deny"),
            "deny check --hide-inclusion-graph bans licenses sources"
        );
    }

    #[test]
    fn a_step_fails_by_its_exit_by_its_tests_or_by_silence() {
        let counted = |failed| {
            Some(Totals {
                passed: 1,
                failed,
                skipped: 0,
            })
        };
        let runner = Some(Runner::Nextest);
        assert_eq!(failure(true, &"exit 0", runner, counted(0)), None);
        assert_eq!(failure(true, &"exit 0", None, None), None);
        assert_eq!(failure(false, &"exit 1", None, None).as_deref(), Some("exit 1"));
        assert_eq!(
            failure(true, &"exit 0", runner, counted(2)).as_deref(),
            Some("2 tests failed")
        );
        assert!(failure(true, &"exit 0", runner, None).is_some());
    }

    #[test]
    fn the_summary_ends_with_the_totals_of_all_steps_and_skips() {
        let reports = [
            report("clippy", Some("exit status: 101"), Totals::default()),
            report(
                "tests",
                None,
                Totals {
                    passed: 40,
                    failed: 0,
                    skipped: 2,
                },
            ),
            report(
                "doc tests",
                None,
                Totals {
                    passed: 3,
                    failed: 1,
                    skipped: 0,
                },
            ),
        ];
        let skips = [Skip {
            what: "a check",
            why: "it is not there".to_owned(),
        }];
        let text = summary(&reports, &skips);
        let expected = [
            "== summary",
            "clippy: FAILED, exit status: 101, 1.2 s",
            "tests: ok, 1.2 s",
            "doc tests: ok, 1.2 s",
            "skipped: a check because it is not there",
            "43 passed, 1 failed, 3 skipped",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn durations_are_short_to_read() {
        assert_eq!(display(Duration::from_millis(940)), "0.9 s");
        assert_eq!(display(Duration::from_secs(125)), "2 min 5 s");
    }
}
