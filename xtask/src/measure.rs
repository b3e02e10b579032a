//! What the product costs beside its peers, in one run on one machine: processor time from the kernel's own accounting.
//!
//! Needs release binaries (it builds them) and tmux; peers that are not installed are named and left out.

mod accounting;
mod subjects;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eyre::{Result, WrapErr, bail};

use accounting::Usage;
use subjects::{Bench, Subject};

/// Time for everything to start and settle before the first window.
const WARM_UP: Duration = Duration::from_secs(15);

/// Runs the comparison: `measure [--windows N] [--seconds S] [--processes P] [--burst TIME] [--binaries FOLDER]`.
pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    let options = Options::parse(arguments)?;
    if options.binaries.is_none() {
        build_release()?;
    }
    let folder = std::env::temp_dir().join(format!("sysmon-measure-{}", std::process::id()));
    std::fs::create_dir_all(&folder).wrap_err("failed to create a folder for the measurement")?;
    let outcome = measure(&options, &folder);
    std::fs::remove_dir_all(&folder).wrap_err("failed to remove the folder of the measurement")?;
    outcome.map(|()| true)
}

struct Options {
    windows: u32,
    seconds: u64,
    processes: usize,
    /// How often the machine on screen is asked to measure; everything else does so every second.
    burst: String,
    /// Where our programs are, when they are not to be built.
    binaries: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            windows: 3,
            seconds: 60,
            processes: 150,
            burst: "1s".into(),
            binaries: None,
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                bail!("{} needs a value", pair.join(" "))
            };
            match *name {
                "--windows" => options.windows = value.parse().wrap_err("--windows takes a number")?,
                "--seconds" => options.seconds = value.parse().wrap_err("--seconds takes a number")?,
                "--processes" => options.processes = value.parse().wrap_err("--processes takes a number")?,
                "--burst" => options.burst = (*value).into(),
                "--binaries" => options.binaries = Some(value.into()),
                _ => bail!(
                    "{name} is unknown; there are --windows, --seconds, --processes, --burst and --binaries"
                ),
            }
        }
        Ok(options)
    }
}

fn build_release() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "sysmon"])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("the release build failed")
    }
}

fn release_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(target).join("release")
}

fn measure(options: &Options, folder: &Path) -> Result<()> {
    let binaries = options.binaries.clone().unwrap_or_else(release_folder);
    let mut bench = Bench::new(folder, binaries, &options.burst)?;
    bench.start_all()?;
    // Counted when everything runs, so that the number is what each subject really sees.
    bench.add_sleepers(options.processes.saturating_sub(accounting::process_count()))?;
    println!(
        "warming up for {} s with {} processes",
        WARM_UP.as_secs(),
        accounting::process_count()
    );
    pause(WARM_UP);
    let mut windows: Vec<Vec<Usage>> = Vec::new();
    for window in 1..=options.windows {
        let before: Vec<Usage> = bench
            .subjects()
            .iter()
            .map(Subject::usage)
            .collect::<Result<_>>()?;
        pause(Duration::from_secs(options.seconds));
        let after: Vec<Usage> = bench
            .subjects()
            .iter()
            .map(Subject::usage)
            .collect::<Result<_>>()?;
        println!("window {window} of {} done", options.windows);
        windows.push(
            before
                .iter()
                .zip(&after)
                .map(|(before, after)| after.since(before))
                .collect(),
        );
    }
    report(&bench, options, &windows);
    Ok(())
}

fn report(bench: &Bench, options: &Options, windows: &[Vec<Usage>]) {
    let processes = accounting::process_count();
    println!(
        "\n{processes} processes, {} windows of {} s, median (min–max)\n",
        options.windows, options.seconds
    );
    println!("| process | CPU s/h | RSS MiB | terminal bytes/s |\n|---|---|---|---|");
    let hours = options.seconds as f64 / 3_600.0;
    for (index, subject) in bench.subjects().iter().enumerate() {
        let of = |value: &dyn Fn(&Usage) -> f64| {
            spread(windows.iter().map(|window| value(&window[index])).collect())
        };
        let cpu = of(&|usage| usage.cpu_seconds / hours);
        let memory = of(&|usage| usage.resident_mib);
        let bytes = if subject.has_terminal() {
            of(&|usage| usage.terminal_bytes / options.seconds as f64)
        } else {
            "–".into()
        };
        println!("| {} | {cpu} | {memory} | {bytes} |", subject.name());
    }
    for missing in bench.missing() {
        println!("skipped: {missing} because it is not installed");
    }
}

/// Waits while others are measured.
fn pause(duration: Duration) {
    #[expect(clippy::disallowed_methods, reason = "nothing else runs in this process")]
    std::thread::sleep(duration);
}

/// Median with minimum and maximum.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return "–".into();
    };
    let digits = |value: f64| {
        if value >= 100.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.1}")
        }
    };
    format!(
        "{} ({}–{})",
        digits(values[values.len() / 2]),
        digits(*first),
        digits(*last)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_median_minimum_and_maximum() {
        assert_eq!(spread(vec![3.0, 1.0, 200.0]), "3.0 (1.0–200)");
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(Options::parse(&["--window", "3"]).is_err());
        assert!(Options::parse(&["--windows"]).is_err());
        assert_eq!(Options::parse(&["--windows", "5"]).unwrap().windows, 5);
    }
}
