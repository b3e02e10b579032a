//! Processor time and memory of process trees, as the kernel accounts for them (proc(5)).

use std::collections::HashMap;
use std::fs;

use eyre::{Result, WrapErr};

/// The unit of times in `/proc/PID/stat` on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4_096.0;

/// What a process and its children have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mib: f64,
    pub(crate) terminal_bytes: f64,
}

impl Usage {
    /// What was used since `before`; memory as it is now.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            resident_mib: self.resident_mib,
            terminal_bytes: self.terminal_bytes - before.terminal_bytes,
        }
    }
}

struct Stat {
    parent: u32,
    cpu_ticks: u64,
    reaped_ticks: u64,
    resident_pages: u64,
}

/// Usage of a process with everything it started, the ended children included.
pub(crate) fn tree(root: u32) -> Result<Usage> {
    let all = all_processes();
    let own = all
        .get(&root)
        .ok_or_else(|| eyre::eyre!("process {root} has ended"))?;
    let mut usage = Usage {
        cpu_seconds: own.reaped_ticks as f64 / TICKS_PER_SECOND,
        ..Usage::default()
    };
    for (pid, stat) in &all {
        if descends(*pid, root, &all) {
            usage.cpu_seconds += stat.cpu_ticks as f64 / TICKS_PER_SECOND;
            usage.resident_mib += stat.resident_pages as f64 * PAGE_BYTES / 1_048_576.0;
        }
    }
    Ok(usage)
}

fn descends(mut pid: u32, root: u32, all: &HashMap<u32, Stat>) -> bool {
    // Bounded, because the table was not read at one instant and could hold a circle.
    for _ in 0..64 {
        if pid == root {
            return true;
        }
        match all.get(&pid) {
            Some(stat) if stat.parent != 0 => pid = stat.parent,
            _ => return false,
        }
    }
    false
}

/// How many processes there are.
pub(crate) fn process_count() -> usize {
    pids().count()
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn all_processes() -> HashMap<u32, Stat> {
    pids()
        .filter_map(|pid| {
            Some((
                pid,
                parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
            ))
        })
        .collect()
}

fn parse(stat: &str) -> Option<Stat> {
    // The name may hold anything, so fields are counted from its closing bracket on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        cpu_ticks: number(11)? + number(12)?,
        reaped_ticks: number(13)? + number(14)?,
        resident_pages: number(21)?,
    })
}

/// Length of a file.
pub(crate) fn file_length(path: &std::path::Path) -> Result<f64> {
    Ok(fs::metadata(path)
        .wrap_err("failed to read what the terminal wrote")?
        .len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = parse("7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 5 6 77 8").unwrap();
        assert_eq!(
            (
                stat.parent,
                stat.cpu_ticks,
                stat.reaped_ticks,
                stat.resident_pages
            ),
            (3, 33, 77, 77)
        );
    }

    #[test]
    fn our_own_process_is_accounted_for() {
        let usage = tree(std::process::id()).unwrap();
        assert!(usage.resident_mib > 0.5);
        assert!(tree(u32::MAX).is_err());
    }
}
