//! Who is logged in: logind's session files where systemd runs, else utmp(5).

use std::path::PathBuf;

use sysmon_core::MetricId;

use super::{ProbeError, Reading, SlowProbe};
use crate::config::Roots;
use crate::file::{Buffer, KeptFile, read_text};

/// Size of a record of utmp on every Linux of today, 32 bits or 64.
const RECORD_BYTES: usize = 384;
/// `USER_PROCESS`.
const USER_PROCESS: i16 = 7;

/// Counts login sessions.
#[derive(Debug)]
pub(crate) struct SessionProbe {
    systemd: PathBuf,
    sessions: PathBuf,
    records: [PathBuf; 2],
    proc: PathBuf,
}

impl SessionProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            systemd: roots.path("/run/systemd/system"),
            sessions: roots.path("/run/systemd/sessions"),
            records: [roots.path("/run/utmp"), roots.path("/var/run/utmp")],
            proc: roots.proc.clone(),
        }
    }

    fn of_logind(&self) -> Option<usize> {
        // Without systemd the directory may be left over, and nobody keeps it.
        let entries = self
            .systemd
            .exists()
            .then(|| std::fs::read_dir(&self.sessions).ok())
            .flatten()?;
        let is_login = |path: PathBuf| {
            let text = read_text(&path).unwrap_or_default();
            let has = |line: &str| text.lines().any(|known| known == line);
            has("CLASS=user") && !has("STATE=closing")
        };
        Some(entries.flatten().filter(|entry| is_login(entry.path())).count())
    }

    fn of_utmp(&self) -> Option<usize> {
        let mut buffer = Buffer::default();
        let mut read = |path: &PathBuf| KeptFile::new(path).read(&mut buffer).map(<[u8]>::to_vec);
        let bytes = self.records.iter().find_map(&mut read)?;
        let is_login = |record: &[u8; RECORD_BYTES]| {
            let kind = i16::from_ne_bytes([record[0], record[1]]);
            let pid = i32::from_ne_bytes([record[4], record[5], record[6], record[7]]);
            // A session that broke off may leave its record behind.
            kind == USER_PROCESS && record[44] != 0 && self.proc.join(pid.to_string()).exists()
        };
        Some(
            bytes
                .as_chunks::<RECORD_BYTES>()
                .0
                .iter()
                .filter(|record| is_login(record))
                .count(),
        )
    }
}

impl SlowProbe for SessionProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let users = self.of_logind().or_else(|| self.of_utmp());
        Ok(users
            .map(|users| Reading::plain(MetricId::UsersLoggedIn, users as f64))
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    fn record(kind: i16, pid: i32, user: &str) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&pid.to_ne_bytes());
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record
    }

    fn users(bench: &Bench) -> Option<f64> {
        SessionProbe::new(&bench.roots()).run().unwrap().first()?.value
    }

    #[test]
    fn sessions_of_people_count_where_systemd_runs() {
        let bench = Bench::new();
        bench.write("run/systemd/system/x", "");
        bench.write("run/systemd/sessions/1", "UID=0\nCLASS=user\nSTATE=active\n");
        bench.write("run/systemd/sessions/2", "UID=0\nCLASS=user\nSTATE=closing\n");
        bench.write("run/systemd/sessions/c1", "UID=0\nCLASS=greeter\nSTATE=online\n");
        assert_eq!(users(&bench), Some(1.0));
    }

    #[test]
    fn elsewhere_the_living_records_of_utmp_count() {
        let bench = Bench::new();
        bench.write("run/systemd/sessions/1", "CLASS=user\nSTATE=active\n");
        assert_eq!(users(&bench), None, "absent without anything that says it");
        bench.write("proc/10/stat", "");
        let mut bytes = [
            record(7, 10, "a"),
            record(7, 11, "gone"),
            record(8, 10, "dead"),
            record(2, 0, "reboot"),
        ]
        .concat();
        bytes.extend([7; 100]);
        bench.write("var/run/utmp", bytes);
        assert_eq!(users(&bench), Some(1.0));
    }
}
