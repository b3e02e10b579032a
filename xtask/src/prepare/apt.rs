//! Debian's packages, for those who may install them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::run;

/// Installs packages.
///
/// # Errors
/// The reason, to follow the word "because", when they cannot be installed; the commands' own output is passed on.
pub(super) fn install(packages: &[&str]) -> Result<(), String> {
    let names = packages.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        return Err(format!(
            "this is no Debian; install by hand what Debian calls {names}"
        ));
    }
    if !is_root() {
        return Err(format!("`apt-get install {names}` as root brings it"));
    }
    println!("installing {names}");
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-o", "Acquire::Retries=2"]);
        command
    };
    let installed = runs(apt().arg("update"))
        && runs(
            apt()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages),
        );
    if installed {
        Ok(())
    } else {
        Err(format!("apt-get could not install {names}; its output is above"))
    }
}

/// Runs an installation step, its output passed on.
pub(super) fn runs(command: &mut Command) -> bool {
    command.stdin(Stdio::null());
    run(command, None).is_ok_and(|(status, _)| status.success())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
