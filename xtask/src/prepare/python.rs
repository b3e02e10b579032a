//! A private Python with grpcio and grpcio-tools for the test that speaks to us as a foreign client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::runs;
use crate::process::succeeds;

/// The environment variable by which a test finds the interpreter; unset means that there is none.
pub(crate) const VARIABLE: &str = "SYSMON_TEST_PYTHON";

/// The two come from one repository and in step; the generator of one major version fits its library.
const REQUIREMENTS: &[&str] = &["grpcio>=1.60,<2", "grpcio-tools>=1.60,<2"];

/// The interpreter to use: `given` if someone chose one, else one below `target_directory`, made when it is missing.
///
/// # Errors
/// The reason, to follow the word "because", when there is none and none can be made.
pub(crate) fn ensure(given: Option<OsString>, target_directory: &Path) -> Result<PathBuf, String> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        let python = PathBuf::from(given);
        return if has_grpc(&python) {
            Ok(python)
        } else {
            Err(format!(
                "{VARIABLE} is set to {}, which cannot import grpc and grpc_tools",
                python.display()
            ))
        };
    }
    let folder = target_directory.join("test-python");
    let python = if cfg!(windows) {
        folder.join("Scripts/python.exe")
    } else {
        folder.join("bin/python")
    };
    if has_grpc(&python) {
        return Ok(python);
    }
    let base = base_python()?;
    println!("making a Python environment with grpcio in {}", folder.display());
    if !runs(Command::new(base).args(["-m", "venv", "--clear"]).arg(&folder)) {
        return Err(format!("`{base} -m venv` failed; its output is above"));
    }
    // Only wheels: building grpcio from source takes longer than the whole run.
    let options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--only-binary=:all:",
    ];
    let patience = ["--timeout", "20", "--retries", "2"];
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install"])
        .args(options)
        .args(patience)
        .args(REQUIREMENTS);
    if !runs(&mut install) {
        return Err("pip could not install grpcio and grpcio-tools; its output is above".to_owned());
    }
    if has_grpc(&python) {
        Ok(python)
    } else {
        Err("grpcio was installed but cannot be imported".to_owned())
    }
}

/// A Python that can make virtual environments; on Debian that is a package of its own.
fn base_python() -> Result<&'static str, String> {
    let find = || {
        let candidates = ["python3", "/usr/bin/python3", "python"];
        candidates
            .into_iter()
            .find(|python| succeeds(Command::new(python).args(["-c", "import ensurepip, venv"])))
    };
    if let Some(python) = find() {
        return Ok(python);
    }
    super::apt::install(&["python3", "python3-venv"])?;
    find().ok_or_else(|| "apt-get installed python3-venv, but no python3 makes environments".to_owned())
}

fn has_grpc(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-c", "import grpc, grpc_tools.protoc"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_interpreter_that_does_not_work_is_not_replaced_silently() {
        let target = tempfile::tempdir().unwrap();
        let why = ensure(Some("/no/such/python".into()), target.path()).unwrap_err();
        assert!(why.contains(VARIABLE) && why.contains("/no/such/python"), "{why}");
        assert_eq!(
            std::fs::read_dir(target.path()).unwrap().count(),
            0,
            "nothing must be made"
        );
    }
}
