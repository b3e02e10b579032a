//! What is read at every tick, one module per source.

pub(crate) mod cpu;
pub(crate) mod disks;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod own;
pub(crate) mod pressure;
pub(crate) mod process;
pub(crate) mod system;

use crate::file::Buffer;
use crate::recorder::Recorder;

/// What a probe gets to work with for one tick.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// Monotonic time of the tick.
    pub(crate) now_ns: u64,
    /// The longest pause between two readings that still gives a rate.
    pub(crate) gap_ns: u64,
    /// Where files are read into.
    pub(crate) buffer: &'a mut Buffer,
    /// Where values go.
    pub(crate) recorder: &'a mut Recorder,
}

#[cfg(test)]
pub(crate) mod testing {
    //! Drives one probe over a made-up file tree and shows what it records by name.

    use std::collections::BTreeMap;

    use super::Context;
    use crate::config::Roots;
    use crate::file::Buffer;
    use crate::recorder::Recorder;
    use sysmon_core::from_scaled;

    pub(crate) const SECOND_NS: u64 = 1_000_000_000;

    pub(crate) struct Bench {
        pub(crate) directory: tempfile::TempDir,
        pub(crate) retired: Vec<String>,
        recorder: Recorder,
        buffer: Buffer,
        names: BTreeMap<u32, (String, u8)>,
    }

    impl Bench {
        pub(crate) fn new() -> Self {
            Self {
                directory: tempfile::tempdir().unwrap(),
                retired: Vec::new(),
                recorder: Recorder::default(),
                buffer: Buffer::default(),
                names: BTreeMap::new(),
            }
        }

        pub(crate) fn roots(&self) -> Roots {
            let root = self.directory.path();
            Roots {
                proc: root.join("proc"),
                sys: root.join("sys"),
                rootfs: root.to_path_buf(),
            }
        }

        pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }

        pub(crate) fn remove(&self, path: &str) {
            let path = self.directory.path().join(path);
            match path.is_dir() {
                true => std::fs::remove_dir_all(path),
                false => std::fs::remove_file(path),
            }
            .unwrap();
        }

        /// One tick at `seconds`; values by series as `name{label="x"}`.
        pub(crate) fn tick(
            &mut self,
            seconds: f64,
            probe: impl FnOnce(&mut Context<'_>),
        ) -> BTreeMap<String, f64> {
            let mut context = Context {
                now_ns: (seconds * 1e9) as u64,
                gap_ns: 15 * SECOND_NS,
                buffer: &mut self.buffer,
                recorder: &mut self.recorder,
            };
            probe(&mut context);
            let recorded = self.recorder.finish();
            for series in recorded.announced {
                self.names
                    .insert(series.number, (series.key.to_string(), series.decimals));
            }
            self.retired.extend(
                recorded
                    .retired
                    .iter()
                    .map(|number| self.names.remove(number).unwrap().0),
            );
            let name = |(number, scaled): (u32, i64)| {
                let (name, decimals) = &self.names[&number];
                (name.clone(), from_scaled(scaled, *decimals))
            };
            recorded.values.into_iter().map(name).collect()
        }
    }
}
