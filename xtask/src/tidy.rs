//! The repository's own rules, all of them checked at once, each violation with what to do about it.

mod arrows;
mod clippy_bans;
mod confinement;
mod habits;
mod manifests;
mod sizes;
mod source;

use std::fmt;
use std::fs;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand};
use eyre::{Result, WrapErr};

/// A rule that is broken at one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// File, file and line, or crate.
    at: String,
    problem: String,
    remedy: String,
}

impl Violation {
    fn new(at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}\n    {}", self.at, self.problem, self.remedy)
    }
}

/// Checks the workspace and prints what it finds; `true` when there is nothing.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run() -> Result<bool> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .wrap_err("failed to ask cargo for the workspace")?;
    let violations = check(&metadata)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy: nothing to do"),
        1 => println!("tidy: 1 violation"),
        count => println!("tidy: {count} violations"),
    }
    Ok(violations.is_empty())
}

fn check(metadata: &Metadata) -> Result<Vec<Violation>> {
    let root = metadata.workspace_root.as_std_path();
    let packages = arrows::packages(metadata);
    let mut violations = arrows::check(&packages);
    violations.extend(confinement::check(&packages));
    for package in metadata.workspace_packages() {
        let manifest = package.manifest_path.as_std_path();
        violations.extend(manifests::check(&relative(root, manifest), &read(manifest)?)?);
    }
    violations.extend(clippy_bans::check(&clippy_files(root)?)?);
    for path in rust_files(root)? {
        let text = read(&root.join(&path))?;
        violations.extend(habits::check(&path, &text));
        if is_production(&path) {
            violations.extend(sizes::check(&path, &text));
        }
    }
    Ok(violations)
}

/// Whether the size limits apply: sources of a crate, not its tests, benches and build script.
fn is_production(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_test = parts
        .iter()
        .any(|part| matches!(*part, "tests" | "benches" | "tests.rs"));
    parts.contains(&"src") && !is_test
}

/// The clippy configurations: that of the workspace first, then every crate's own, with their paths.
fn clippy_files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut paths = vec![root.join("clippy.toml")];
    paths.extend(
        entries(&root.join("crates"))?
            .into_iter()
            .map(|folder| folder.join("clippy.toml")),
    );
    let existing = paths.into_iter().filter(|path| path.is_file());
    existing
        .map(|path| Ok((relative(root, &path), read(&path)?)))
        .collect()
}

/// Every Rust source of the workspace, by its path from the root.
fn rust_files(root: &Path) -> Result<Vec<String>> {
    let mut pending = vec![root.join("crates"), root.join("xtask")];
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for path in entries(&folder)? {
            if path.is_dir() && !path.ends_with("target") {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(relative(root, &path));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let read =
        || -> std::io::Result<Vec<_>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = read().wrap_err_with(|| format!("failed to list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).wrap_err_with(|| format!("failed to read {}", path.display()))
}

/// The path from the root, with slashes on every platform.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_limits_apply_to_production_sources_only() {
        for path in [
            "crates/a/src/lib.rs",
            "xtask/src/tidy/sizes.rs",
            "crates/a/src/contests.rs",
        ] {
            assert!(is_production(path), "{path}");
        }
        for path in [
            "crates/a/build.rs",
            "crates/a/tests/it/main.rs",
            "crates/a/benches/x.rs",
            "crates/a/src/tests.rs",
            "crates/a/src/view/tests/fleet.rs",
        ] {
            assert!(!is_production(path), "{path}");
        }
    }

    #[test]
    fn every_source_is_found_and_target_folders_are_not_entered() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "crates/a/src/b/c.rs",
            "crates/a/build.rs",
            "crates/a/target/x.rs",
            "xtask/src/main.rs",
            "xtask/x.txt",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(
            rust_files(root.path()).unwrap(),
            ["crates/a/build.rs", "crates/a/src/b/c.rs", "xtask/src/main.rs"]
        );
    }

    #[test]
    fn a_violation_says_where_what_and_what_to_do() {
        let violation = Violation::new("a.rs:1", "too long", "split it");
        assert_eq!(violation.to_string(), "a.rs:1: too long\n    split it");
    }
}
