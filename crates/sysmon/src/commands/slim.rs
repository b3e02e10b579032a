//! Hands `sysmon collector` over to the program that is nothing but the collector, where it lies beside this one: it takes
//! the same options and half of the memory, most of which is mapped program text.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How much older than this program the other one may be: left behind by an earlier installation, it is not what was asked
/// for.
const OLDER_MAX: Duration = Duration::from_secs(3_600);
const PROGRAM: &str = "sysmon-collector";
const COMMAND: &str = "collector";

/// Becomes the slim program; returns when there is none, or it cannot be run: then this one does it.
#[cfg(unix)]
pub(super) fn hand_over() {
    use std::os::unix::process::CommandExt as _;
    let Some(program) = beside_us() else { return };
    let arguments = without_command(std::env::args_os().skip(1));
    // Nothing was started, opened or locked yet. It comes back only when that did not work, which does not matter.
    let _ = std::process::Command::new(program).args(arguments).exec();
}

/// A process cannot become another one here.
#[cfg(not(unix))]
pub(super) fn hand_over() {}

/// The slim program in the folder of this one, unless it is from long before.
#[cfg_attr(not(unix), expect(dead_code, reason = "nothing is handed over there"))]
fn beside_us() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let other = own.with_file_name(PROGRAM);
    let own_at = own.metadata().ok()?.modified().ok()?;
    let other_at = other.metadata().ok()?.modified().ok()?;
    (other_at + OLDER_MAX >= own_at).then_some(other)
}

/// The arguments but for the command, which is the first that is no option or the value of one.
#[cfg_attr(not(unix), expect(dead_code, reason = "nothing is handed over there"))]
fn without_command(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut is_found = false;
    let mut is_value = false;
    let mut kept = Vec::new();
    for argument in arguments {
        let is_command = !is_found && !is_value && argument == COMMAND;
        is_found |= is_command;
        // Before the command there is only one option with a value.
        is_value = !is_found && argument == "--config";
        if !is_command {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_itself_is_left_out() {
        for (given, expected) in [
            ("collector", ""),
            ("collector --label role=collector", "--label role=collector"),
            (
                "--config collector collector --machine-id collector",
                "--config collector --machine-id collector",
            ),
            ("--config=a collector --interval 1s", "--config=a --interval 1s"),
            ("collector --config collector", "--config collector"),
        ] {
            let split = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
            assert_eq!(
                without_command(split(given).into_iter()),
                split(expected),
                "{given}"
            );
        }
    }
}
