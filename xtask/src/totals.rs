//! Counts of tests, read from what the test runners print.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The one line by which CI knows how many tests ran; its form is a contract.
impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The program whose summary lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// cargo-nextest: one summary for the whole run.
    Nextest,
    /// The standard library's harness, which `cargo test` starts once per test binary.
    Libtest,
}

/// Follows the output of one runner, line by line, and keeps its totals.
#[derive(Debug)]
pub(crate) struct Tally {
    runner: Runner,
    totals: Option<Totals>,
}

impl Tally {
    pub(crate) fn new(runner: Runner) -> Self {
        Self { runner, totals: None }
    }

    /// Takes one line as the runner printed it, with or without colours.
    pub(crate) fn observe(&mut self, line: &str) {
        let line = without_escapes(line);
        match self.runner {
            Runner::Nextest => {
                // The last summary is that of the run; an earlier one would be a test's own output.
                self.totals = nextest_summary(&line).or(self.totals);
            }
            Runner::Libtest => {
                if let Some(totals) = libtest_result(&line) {
                    *self.totals.get_or_insert_default() += totals;
                }
            }
        }
    }

    /// The totals so far; `None` when the runner has printed no summary at all.
    pub(crate) fn totals(&self) -> Option<Totals> {
        self.totals
    }
}

/// `     Summary [   1.203s] 12 tests run: 11 passed (1 slow), 1 failed, 3 skipped`
fn nextest_summary(line: &str) -> Option<Totals> {
    let (_, counts) = line
        .trim_start()
        .strip_prefix("Summary [")?
        .split_once(" run: ")?;
    count(&without_parentheses(counts), ',')
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn libtest_result(line: &str) -> Option<Totals> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    count(counts, ';')
}

/// Reads `N label` pieces. An unknown label (measured, finished in …) counts nothing; no `passed` is no summary.
fn count(counts: &str, separator: char) -> Option<Totals> {
    let mut totals = Totals::default();
    let mut seen_passed = false;
    for piece in counts.split(separator) {
        let Some((number, label)) = piece.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<usize>() else {
            continue;
        };
        match label.trim() {
            "passed" => {
                totals.passed += number;
                seen_passed = true;
            }
            "failed" | "exec failed" | "timed out" => totals.failed += number,
            "skipped" | "ignored" | "filtered out" => totals.skipped += number,
            _ => {}
        }
    }
    seen_passed.then_some(totals)
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|&character| match character {
            '(' => {
                depth += 1;
                false
            }
            ')' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect()
}

/// Drops the colour sequences (`ESC [ … letter`) that a runner writes for a terminal.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(runner: Runner, lines: &[&str]) -> Option<Totals> {
        let mut tally = Tally::new(runner);
        lines.iter().for_each(|line| tally.observe(line));
        tally.totals()
    }

    fn totals(passed: usize, failed: usize, skipped: usize) -> Option<Totals> {
        Some(Totals {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn nextest_summary_counts_every_way_to_fail() {
        let line = "     Summary [  12.203s] 20/21 tests run: 15 passed (2 slow, 1 flaky, 1 leaky), 2 failed \
                    (1 due to being leaky), 1 exec failed, 2 timed out, 3 skipped";
        assert_eq!(tally(Runner::Nextest, &[line]), totals(15, 5, 3));
    }

    #[test]
    fn nextest_summary_of_a_single_test_is_read() {
        assert_eq!(
            tally(
                Runner::Nextest,
                &["     Summary [   0.01s] 1 test run: 1 passed, 0 skipped"]
            ),
            totals(1, 0, 0)
        );
    }

    #[test]
    fn nextest_colours_do_not_hide_the_summary() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.013s] \u{1b}[1m4\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \
                    \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m1\u{1b}[0m \u{1b}[31;1mfailed\u{1b}[0m, \u{1b}[1m2\u{1b}[0m \
                    \u{1b}[33;1mskipped\u{1b}[0m";
        assert_eq!(tally(Runner::Nextest, &[line]), totals(3, 1, 2));
    }

    #[test]
    fn nextest_keeps_the_last_summary_and_libtest_adds_them_up() {
        let nextest = [
            "Summary [ 1s] 9 tests run: 9 passed, 9 skipped",
            "Summary [ 2s] 1 test run: 1 passed, 2 skipped",
        ];
        assert_eq!(tally(Runner::Nextest, &nextest), totals(1, 0, 2));
        let libtest = [
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ];
        assert_eq!(tally(Runner::Libtest, &libtest), totals(8, 2, 3));
    }

    #[test]
    fn output_that_is_no_summary_counts_nothing() {
        let lines = [
            "running 3 tests",
            "    test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "3 passed, 1 failed",
            "Summary of the day: 3 passed",
            "test result: ok",
        ];
        assert_eq!(tally(Runner::Libtest, &lines), None);
        assert_eq!(tally(Runner::Nextest, &lines), None);
    }

    #[test]
    fn the_closing_line_has_the_form_that_ci_reads() {
        let mut sum = Totals {
            passed: 10,
            failed: 0,
            skipped: 1,
        };
        sum += Totals {
            passed: 2,
            failed: 1,
            skipped: 3,
        };
        assert_eq!(sum.to_string(), "12 passed, 1 failed, 4 skipped");
    }
}
