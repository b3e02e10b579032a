use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::{ID, send};
use crate::failure::Failure;

async fn run(script: &str, argument: &str, timeout: u32) -> Result<(), Failure> {
    let command = toml::Value::from(vec!["/bin/sh", "-c", script, "name", argument]);
    send(&format!(
        "[[receiver]]\nname = \"a\"\nkind = \"exec\"\ncommand = {command}\ntimeout_seconds = {timeout}"
    ))
    .await
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn a_program_gets_arguments_environment_and_input_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let script = format!("cd '{path}' && cat > input && env > environment && printf %s \"$1\" > argument");
    run(&script, "$(id) ; `x`", 20).await.unwrap();
    let input: serde_json::Value = serde_json::from_str(&read(folder.path(), "input")).unwrap();
    assert_eq!(input["delivery_id"], ID);
    assert_eq!(input["alerts"][0]["hostname"], "wéb-1 $(reboot)");
    assert_eq!(read(folder.path(), "argument"), "$(id) ; `x`");
    let environment = read(folder.path(), "environment");
    for wanted in [
        &format!("SYSMON_DELIVERY={ID}"),
        "SYSMON_KIND=firing",
        "SYSMON_RULE=disk-full",
        "SYSMON_HOSTNAME=wéb-1 $(reboot)",
        "SYSMON_ENTITY=/;`id`",
    ] {
        assert!(environment.lines().any(|line| line == wanted), "{environment}");
    }
    // What we were started with may hold secrets; the test's runner sets this one.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!environment.contains("CARGO_MANIFEST_DIR"), "{environment}");
}

#[tokio::test]
async fn a_program_that_fails_says_why_and_one_that_does_not_listen_is_no_failure() {
    let failure = run("echo 'no\x1b[2J such pager' >&2; exit 3", "", 20)
        .await
        .unwrap_err();
    assert!(
        failure
            .problem
            .contains("exit status: 3: no\u{fffd}[2J such pager"),
        "{failure:?}"
    );
    assert!(!failure.is_final);
    run("exec <&-; exit 0", "", 20).await.unwrap();
    let missing = send("[[receiver]]\nname = \"a\"\nkind = \"exec\"\ncommand = [\"/no/such/program\"]").await;
    assert!(
        missing
            .unwrap_err()
            .problem
            .contains("cannot start /no/such/program")
    );
}

#[tokio::test]
async fn a_program_that_leaves_something_running_is_over_when_it_is() {
    let started = Instant::now();
    run("sleep 30 & exit 0", "", 20).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let script = format!("sleep 1000 & echo $! > '{path}/pid'; wait");
    let failure = run(&script, "", 1).await.unwrap_err();
    assert!(failure.problem.contains("longer than 1 s"), "{failure:?}");
    let pid: i32 = read(folder.path(), "pid").trim().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    for _ in 0..500 {
        let is_zombie = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
            .is_ok_and(|stat| stat.contains(") Z "));
        if test_kill_process(pid).is_err() || is_zombie {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what the program started still runs");
}
