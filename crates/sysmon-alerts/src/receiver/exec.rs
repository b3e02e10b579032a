//! A program on this machine: arguments as they are configured, never a shell.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::webhook::body;
use crate::failure::Failure;
use crate::message::Message;

/// How much of what the program complains about is shown.
const COMPLAINT_BYTES_MAX: usize = 1_024;
/// How long its last words are waited for.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// What the program gets of our environment; anything else may be a secret.
const INHERITED: [&str; 5] = ["HOME", "LANG", "PATH", "TMPDIR", "TZ"];

/// A program that is run for every notification, with the message as JSON on its input.
#[derive(Debug)]
pub(crate) struct Exec {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    pub(crate) timeout: Duration,
}

/// Kills the program and whatever it started when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be over already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Exec {
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::lasting("no command is configured"));
        };
        let mut child = command(program, arguments, delivery, message)
            .spawn()
            .map_err(|error| Failure::passing(format!("cannot start {program}: {error}")))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let mut group = Group(pid.and_then(Pid::from_raw));
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let input = body(delivery, message);
        let talk = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A program that does not care closes its input.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            };
            let mut complaint = Vec::new();
            let read = async {
                if let Some(stderr) = stderr {
                    read_some(stderr, &mut complaint).await;
                }
            };
            let status = {
                let talk = async { tokio::join!(write, read) };
                tokio::pin!(talk);
                let mut is_over = false;
                let status = loop {
                    tokio::select! {
                        biased;
                        // Its streams may be closed long before it ends, or be held open by what it leaves behind.
                        _ = &mut talk, if !is_over => is_over = true,
                        status = child.wait() => break status,
                    }
                };
                if !is_over {
                    let _ = tokio::time::timeout(LAST_WORDS, talk).await;
                }
                status
            };
            (status, complaint)
        };
        let Ok((status, complaint)) = tokio::time::timeout(self.timeout, talk).await else {
            return Err(Failure::passing(format!(
                "{program} took longer than {} s and was killed",
                self.timeout.as_secs()
            )));
        };
        // What it left behind on purpose may go on.
        group.0 = None;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let complaint = String::from_utf8_lossy(&complaint);
                Err(Failure::passing(format!(
                    "{program}: {status}: {}",
                    complaint.trim()
                )))
            }
            Err(error) => Err(Failure::passing(format!("{program}: {error}"))),
        }
    }
}

/// The program with little more than its message in its environment, in a process group of its own.
fn command(program: &str, arguments: &[String], delivery: &str, message: &Message) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(environment(delivery, message))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Keeps the first of what comes and reads the rest, so that nobody waits for us.
async fn read_some(mut from: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut buffer = [0; 1_024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = COMPLAINT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

/// The message in variables. Nothing in them has a control character, so also no NUL.
fn environment(delivery: &str, message: &Message) -> Vec<(&'static str, String)> {
    let first = message.alerts.first();
    let of_first =
        |text: fn(&crate::message::AlertText) -> &String| first.map(text).cloned().unwrap_or_default();
    vec![
        ("SYSMON_DELIVERY", delivery.to_owned()),
        ("SYSMON_KIND", message.kind.clone()),
        ("SYSMON_SUMMARY", message.summary.clone()),
        ("SYSMON_SEVERITY", message.severity.clone()),
        ("SYSMON_RECEIVER", message.receiver.clone()),
        ("SYSMON_RULE", message.rule.id.clone()),
        ("SYSMON_TITLE", message.rule.title.clone()),
        ("SYSMON_FIRING", message.counts.firing.to_string()),
        ("SYSMON_RECOVERED", message.counts.recovered.to_string()),
        ("SYSMON_MACHINE", of_first(|alert| &alert.machine_id)),
        ("SYSMON_HOSTNAME", of_first(|alert| &alert.hostname)),
        ("SYSMON_ENTITY", of_first(|alert| &alert.entity)),
        ("SYSMON_VALUE", of_first(|alert| &alert.value_text)),
        ("SYSMON_TEXT", message.text()),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.replace('\0', "\u{fffd}")))
    .collect()
}
