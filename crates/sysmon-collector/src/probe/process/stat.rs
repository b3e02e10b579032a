//! One line of `/proc/PID/stat` (proc_pid_stat(5)).

use sysmon_core::ProcessState;

use crate::parse::words;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What is used of the line.
#[derive(Debug, PartialEq)]
pub(crate) struct Stat<'a> {
    /// The program's short name: any bytes, parentheses, blanks and line ends included.
    pub(crate) name: &'a [u8],
    pub(crate) state: ProcessState,
    pub(crate) parent_pid: u32,
    pub(crate) kernel_thread: bool,
    /// User and system time together, in clock ticks.
    pub(crate) processor_ticks: u64,
    pub(crate) threads: u32,
    /// Start after boot, in clock ticks.
    pub(crate) start_ticks: u64,
    pub(crate) resident_pages: u64,
}

impl<'a> Stat<'a> {
    /// `None` for a line that is not of this form.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'(')?;
        // The name may contain anything, but nothing behind it has a parenthesis.
        let close = line
            .iter()
            .rposition(|byte| *byte == b')')
            .filter(|close| *close > open)?;
        let mut words = words(line[close + 1..].trim_ascii_end());
        let state = words.next()?.first().copied().map(char::from)?;
        let parent_pid = words.number()?;
        let flags = words.by_ref().nth(4).and_then(crate::parse::number)?;
        let user_ticks = words.by_ref().nth(4).and_then(crate::parse::number)?;
        let system_ticks = words.number()?;
        let threads = words.by_ref().nth(4).and_then(crate::parse::number)?;
        let start_ticks = words.by_ref().nth(1).and_then(crate::parse::number)?;
        // Absent in no kernel; a process that is going away may show a negative number.
        let resident_pages = words.by_ref().nth(1).and_then(crate::parse::number).unwrap_or(0);
        Some(Self {
            name: &line[open + 1..close],
            state: ProcessState::from_letter(state),
            parent_pid: u32::try_from(parent_pid).ok()?,
            kernel_thread: flags & KERNEL_THREAD != 0,
            processor_ticks: user_ticks.saturating_add(system_ticks),
            threads: u32::try_from(threads).ok()?,
            start_ticks,
            resident_pages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAIL: &str =
        "S 1 77 77 0 -1 4194560 1050 0 3 0 120 30 4 5 20 0 7 0 4242 10000000 321 18446744073709551615 1 1 0";

    #[test]
    fn a_name_may_hold_parentheses_blanks_and_line_ends() {
        for name in ["bash", "a b", ") (", ") S 9 (", "\n) R 1\n", "", "((", "))"] {
            let line = format!("77 ({name}) {TAIL}\n");
            let stat = Stat::parse(line.as_bytes()).unwrap();
            assert_eq!(stat.name, name.as_bytes());
            assert_eq!(
                (stat.state, stat.parent_pid, stat.threads),
                (ProcessState::Sleeping, 1, 7),
                "{name:?}"
            );
            assert_eq!(
                (stat.processor_ticks, stat.start_ticks, stat.resident_pages),
                (150, 4_242, 321),
                "{name:?}"
            );
            assert!(!stat.kernel_thread);
        }
    }

    #[test]
    fn kernel_threads_are_told_by_their_flag() {
        let line =
            b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 2 0 0 18446744073709551615 0 0";
        let stat = Stat::parse(line).unwrap();
        assert!(stat.kernel_thread);
        assert_eq!((stat.parent_pid, stat.resident_pages), (0, 0));
    }

    #[test]
    fn short_lines_are_refused() {
        let line = format!("77 (x) {TAIL}");
        for length in 0..line.find("4242").unwrap() {
            assert_eq!(Stat::parse(&line.as_bytes()[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Stat::parse(&line);
        }

        #[test]
        fn any_words_are_survived(line in "[0-9]{1,9} \\([a-z() ]{0,9}\\)( (-?[0-9]{1,22}|[A-Z])){0,30}") {
            let _ = Stat::parse(line.as_bytes());
        }
    }
}
