//! The ledger against the database: every tick is accounted for, or the run has failed.

use std::collections::BTreeSet;
use std::fmt;

use super::ledger::{Ledger, Produced};
use super::stored::{Kept, Stored};

/// How many offending samples are named per machine.
const NAMED_MAX: usize = 8;

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) machine: String,
    pub(super) produced: usize,
    pub(super) kept: usize,
    /// Produced, not in history, and in a gap that was reported.
    pub(super) lost: usize,
    /// The process died between the intention and the note; it is in history.
    pub(super) unnoted: usize,
    pub(super) duplicates: u64,
    /// Produced, and neither in history nor in a gap.
    pub(super) missing: Vec<i64>,
    /// The same, and acknowledged: the promise is broken.
    pub(super) acknowledged_missing: Vec<i64>,
    /// In history and never intended.
    pub(super) invented: Vec<i64>,
    /// Gaps claim another number of samples than are missing.
    pub(super) miscounted: Option<(u64, usize)>,
}

impl Account {
    fn of(machine: &str, produced: &Produced, kept: &Kept) -> Self {
        let mut account = Self {
            machine: machine.to_owned(),
            produced: produced.appended.len(),
            kept: kept.samples.len(),
            duplicates: kept.surplus + kept.samples.values().map(|count| count - 1).sum::<u64>(),
            ..Self::default()
        };
        let mut claimed: BTreeSet<i64> = BTreeSet::new();
        for (at, (epoch, sequence)) in &produced.appended {
            if kept.samples.contains_key(at) {
                continue;
            }
            if kept.gaps.iter().any(|(from, to, _)| (from..=to).contains(&at)) {
                claimed.insert(*at);
                continue;
            }
            account.missing.push(*at);
            if kept.cursors.get(epoch).is_some_and(|cursor| cursor >= sequence) {
                account.acknowledged_missing.push(*at);
            }
        }
        account.lost = claimed.len();
        for at in kept
            .samples
            .keys()
            .filter(|at| !produced.appended.contains_key(at))
        {
            if produced.intended.contains(at) {
                account.unnoted += 1;
            } else {
                account.invented.push(*at);
            }
        }
        // A gap may also count what was intended and not noted.
        let most = claimed.len() + produced.intended.len() - produced.appended.len();
        let reported = kept.gaps.iter().map(|(_, _, samples)| samples).sum::<u64>();
        if !(claimed.len() as u64..=most as u64).contains(&reported) {
            account.miscounted = Some((reported, claimed.len()));
        }
        account
    }

    fn is_good(&self) -> bool {
        self.duplicates == 0
            && self.missing.is_empty()
            && self.invented.is_empty()
            && self.miscounted.is_none()
    }

    /// What is wrong, with the samples.
    fn offences(&self) -> Vec<String> {
        let named = |what: &str, times: &[i64]| {
            let first: Vec<String> = times.iter().take(NAMED_MAX).map(i64::to_string).collect();
            let more = if times.len() > NAMED_MAX { ", …" } else { "" };
            (!times.is_empty())
                .then(|| format!("{what}: {} samples, at {}{more}", times.len(), first.join(", ")))
        };
        let duplicates = (self.duplicates > 0).then(|| format!("there twice: {} samples", self.duplicates));
        let miscounted = self
            .miscounted
            .map(|(reported, found)| format!("gaps claim {reported} samples, {found} are missing in them"));
        [
            duplicates,
            named("missing", &self.missing),
            named("acknowledged and missing", &self.acknowledged_missing),
            named("in history and never produced", &self.invented),
            miscounted,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// All machines.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) accounts: Vec<Account>,
    ambiguous: usize,
    dead_letters: u64,
}

impl Verdict {
    pub(super) fn of(ledger: &Ledger, stored: &Stored) -> Self {
        let nothing = Kept::default();
        let nobody = Produced::default();
        let machines: BTreeSet<&String> = ledger.machines.keys().chain(stored.machines.keys()).collect();
        let account = |machine: &&String| {
            let produced = ledger.machines.get(*machine).unwrap_or(&nobody);
            let kept = stored.machines.get(*machine).unwrap_or(&nothing);
            Account::of(machine, produced, kept)
        };
        Self {
            accounts: machines.iter().map(account).collect(),
            ambiguous: ledger.machines.values().map(|produced| produced.ambiguous).sum(),
            dead_letters: stored.dead_letters,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        let is_good = self.accounts.iter().all(Account::is_good);
        is_good && !self.accounts.is_empty() && self.ambiguous == 0 && self.dead_letters == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:12} {:>9} {:>9} {:>8} {:>8} {:>11} {:>8}",
            "machine", "produced", "history", "in gaps", "unnoted", "duplicates", "missing"
        )?;
        for account in &self.accounts {
            writeln!(
                formatter,
                "{:12} {:>9} {:>9} {:>8} {:>8} {:>11} {:>8}",
                account.machine,
                account.produced,
                account.kept,
                account.lost,
                account.unnoted,
                account.duplicates,
                account.missing.len()
            )?;
            for offence in account.offences() {
                writeln!(formatter, "    {offence}")?;
            }
        }
        let sum = |of: fn(&Account) -> usize| self.accounts.iter().map(of).sum::<usize>();
        let duplicates: u64 = self.accounts.iter().map(|account| account.duplicates).sum();
        write!(
            formatter,
            "total: {} produced and noted = {} in history − {} unnoted + {} in gaps + {} missing; duplicates {}, \
             acknowledged but missing {}, dead letters {}",
            sum(|account| account.produced),
            sum(|account| account.kept),
            sum(|account| account.unnoted),
            sum(|account| account.lost),
            sum(|account| account.missing.len()),
            duplicates,
            sum(|account| account.acknowledged_missing.len()),
            self.dead_letters
        )?;
        if self.ambiguous > 0 {
            write!(
                formatter,
                "\n{} times were noted twice, so nothing is proven",
                self.ambiguous
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::of_lines;
    use super::*;

    fn stored(samples: &[(i64, u64)], gaps: &[(i64, i64, u64)], cursor: u64) -> Stored {
        let kept = Kept {
            samples: samples.iter().copied().collect(),
            gaps: gaps.to_vec(),
            cursors: [("e".to_owned(), cursor)].into(),
            ..Kept::default()
        };
        Stored {
            machines: [("m".to_owned(), kept)].into(),
            ..Stored::default()
        }
    }

    const THREE: [&str; 6] = ["i m 1", "a m 1 e 1", "i m 2", "a m 2 e 2", "i m 3", "a m 3 e 3"];

    #[test]
    fn all_in_history_or_in_a_gap_is_good() {
        let ledger = of_lines(&THREE);
        assert!(Verdict::of(&ledger, &stored(&[(1, 1), (2, 1), (3, 1)], &[], 3)).is_good());
        let verdict = Verdict::of(&ledger, &stored(&[(3, 1)], &[(1, 2, 2)], 3));
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!(verdict.accounts[0].lost, 2);
    }

    #[test]
    fn a_tick_whose_note_died_with_the_process_may_be_there_or_not() {
        let ledger = of_lines(&["i m 1", "a m 1 e 1", "i m 2"]);
        assert!(Verdict::of(&ledger, &stored(&[(1, 1)], &[], 1)).is_good());
        let verdict = Verdict::of(&ledger, &stored(&[(1, 1), (2, 1)], &[], 2));
        assert!(verdict.is_good() && verdict.accounts[0].unnoted == 1, "{verdict}");
    }

    #[test]
    fn whatever_is_lost_doubled_invented_or_miscounted_is_an_offence_that_names_it() {
        let ledger = of_lines(&THREE);
        for (found, part) in [
            (stored(&[(1, 1), (3, 1)], &[], 1), "missing: 1 samples, at 2"),
            (
                stored(&[(1, 1), (3, 1)], &[], 3),
                "acknowledged and missing: 1 samples, at 2",
            ),
            (stored(&[(1, 1), (2, 2), (3, 1)], &[], 3), "there twice: 1"),
            (
                stored(&[(1, 1), (2, 1), (3, 1), (9, 1)], &[], 3),
                "never produced: 1 samples, at 9",
            ),
            (
                stored(&[(1, 1), (3, 1)], &[(2, 2, 5)], 3),
                "gaps claim 5 samples, 1 are missing",
            ),
            (
                stored(&[(1, 1), (2, 1), (3, 1)], &[(2, 2, 1)], 3),
                "gaps claim 1 samples, 0 are missing",
            ),
        ] {
            let verdict = Verdict::of(&ledger, &found);
            assert!(
                !verdict.is_good() && verdict.to_string().contains(part),
                "{part}: {verdict}"
            );
        }
        assert!(
            !Verdict::of(&of_lines(&[]), &Stored::default()).is_good(),
            "nothing proves nothing"
        );
        let twice = of_lines(&["i m 1", "a m 1 e 1", "i m 1", "a m 1 f 1"]);
        assert!(!Verdict::of(&twice, &stored(&[(1, 1)], &[], 1)).is_good());
    }
}
