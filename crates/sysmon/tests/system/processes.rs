//! One process of a machine looked into, and signalled, through an aggregator.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sysmon_api::{Client, ClientConfig, Code, Endpoint, Inbound, Secret, hello, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::support::{Home, PATIENCE, Role, finish};

/// A process of the test's own that does nothing; it ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        let mut sleep = Command::new("sleep");
        Self(sleep.args(["600", "--"]).stdin(Stdio::null()).spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Its identity, from the machine's own files: start in ticks of a hundredth of a second.
    fn key(&self) -> wire::ProcessKey {
        let pid = self.0.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let ticks: u64 = after_name.split_whitespace().nth(19).unwrap().parse().unwrap();
        let start_ms = ticks * 1_000 / rustix::param::clock_ticks_per_second();
        wire::ProcessKey { pid, start_ms }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A console's stream.
struct Console {
    commands: mpsc::Sender<wire::Command>,
    responses: Inbound<wire::Response>,
    asked: u64,
}

impl Console {
    async fn open(client: &Client) -> Self {
        let (commands, outgoing) = mpsc::channel(8);
        let body = Some(Ask::Hello(hello(UnixMillis(0))));
        commands
            .send(wire::Command { request_id: 1, body })
            .await
            .unwrap();
        Self {
            commands,
            responses: client.manage(outgoing).await.unwrap(),
            asked: 1,
        }
    }

    async fn ask(&mut self, body: Ask) -> Result<Answer, (u32, String)> {
        self.asked += 1;
        let request_id = self.asked;
        let body = Some(body);
        self.commands
            .send(wire::Command { request_id, body })
            .await
            .unwrap();
        loop {
            let response = timeout(PATIENCE, self.responses.next())
                .await
                .expect("it answers");
            let response = response.unwrap().unwrap();
            if response.request_id == request_id {
                return match response.body.unwrap() {
                    Answer::Failure(failure) => Err((failure.code, failure.message)),
                    body => Ok(body),
                };
            }
        }
    }

    async fn details(&mut self, machine: &str, key: wire::ProcessKey) -> Result<Answer, (u32, String)> {
        self.ask(Ask::ProcessQuestion(wire::ProcessQuestion {
            machine_id: machine.into(),
            process: Some(key),
        }))
        .await
    }

    async fn signal(
        &mut self,
        machine: &str,
        key: wire::ProcessKey,
        signal: wire::ProcessSignal,
    ) -> Result<Answer, (u32, String)> {
        self.ask(Ask::SignalProcess(wire::SignalProcess {
            machine_id: machine.into(),
            process: Some(key),
            signal: signal.into(),
        }))
        .await
    }

    /// Waits until a machine's collector is connected.
    async fn wait_for(&mut self, machine: &str, key: wire::ProcessKey) {
        let connected = async {
            while self.details(machine, key).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, connected)
            .await
            .expect("the collector connects");
    }
}

fn collector(home: &Home, port: u16, machine: &str, further: &[&str]) -> Role {
    let url = format!("http://127.0.0.1:{port}");
    let arguments = [
        "collector",
        "--aggregator",
        &url,
        "--machine-id",
        machine,
        "--interval",
        "1s",
    ];
    home.start(&[&arguments, further].concat())
}

async fn local(home: &Home, port: u16) -> Client {
    // It is there a moment after the port.
    let listens = async {
        while !home.socket(port).exists() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, listens).await.expect("the socket appears");
    Client::new(ClientConfig::new(Endpoint::unix(home.socket(port)))).unwrap()
}

#[tokio::test]
async fn a_process_is_looked_into_and_signalled_where_that_is_allowed_and_nowhere_else() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let other_home = Home::new();
    // Each with a folder of its own for what it keeps; both reach the aggregator as its user.
    let spool = other_home.path().join("spool");
    let _quiet = collector(&home, port, "quiet", &[]);
    let open = ["--allow-signals", "--spool-dir", spool.to_str().unwrap()];
    let _open = collector(&home, port, "open", &open);
    let mut sleeper = Sleeper::new();
    let key = sleeper.key();
    let client = local(&home, port).await;
    let mut console = Console::open(&client).await;
    console.wait_for("quiet", key).await;
    console.wait_for("open", key).await;

    let Ok(Answer::ProcessDetails(details)) = console.details("quiet", key).await else {
        panic!("it is there")
    };
    assert_eq!(details.command, "sleep 600 --");
    assert!(details.open_files.is_some(), "{details:?}");

    let (code, message) = console.details("nobody", key).await.unwrap_err();
    assert_eq!(code, Code::NotFound as u32, "{message}");
    let (code, message) = console
        .signal("quiet", key, wire::ProcessSignal::Kill)
        .await
        .unwrap_err();
    assert_eq!(code, Code::PermissionDenied as u32);
    assert!(message.contains("signals are off"), "{message}");

    let reused = wire::ProcessKey {
        start_ms: key.start_ms + 10,
        ..key
    };
    let (code, message) = console
        .signal("open", reused, wire::ProcessSignal::Kill)
        .await
        .unwrap_err();
    assert_eq!(code, Code::NotFound as u32, "{message}");
    assert!(message.contains("another process"), "{message}");
    for pid in [0, 1, u32::MAX] {
        let first = wire::ProcessKey { pid, start_ms: 0 };
        let refused = console.signal("open", first, wire::ProcessSignal::Kill).await;
        assert_eq!(refused.unwrap_err().0, Code::InvalidArgument as u32, "{pid}");
    }
    assert!(!sleeper.has_ended(), "nothing has reached it yet");

    let sent = console.signal("open", key, wire::ProcessSignal::Term).await;
    assert!(matches!(sent, Ok(Answer::Accepted(_))), "{sent:?}");
    let status = tokio::task::spawn_blocking(move || sleeper.0.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    let (code, message) = console.details("open", key).await.unwrap_err();
    assert_eq!(code, Code::NotFound as u32, "{message}");

    let audit = client
        .list_audit(wire::ListAuditRequest { before: 0, limit: 0 })
        .await
        .unwrap();
    let told: Vec<String> = audit
        .entries
        .iter()
        .filter(|entry| entry.action == "process.signal")
        .map(|entry| format!("{} {entry:?}", entry.object))
        .collect();
    let sent = told.iter().filter(|entry| entry.contains("sent")).count();
    assert_eq!(sent, 1, "{told:?}");
    assert!(told.iter().any(|entry| entry.contains("not allowed")), "{told:?}");
    let asked = told.iter().filter(|entry| entry.contains("asked")).count();
    assert_eq!(asked, 6, "each is written down before it is sent: {told:?}");
}

#[tokio::test]
async fn a_viewer_looks_into_processes_but_signals_none() {
    let home = Home::new();
    let created = finish(&mut home.sysmon(&["tokens", "create", "--role", "viewer", "--name", "ana"])).await;
    let token = created.stdout.trim().to_owned();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let _open = collector(&home, port, "open", &["--allow-signals"]);
    let mut sleeper = Sleeper::new();
    let key = sleeper.key();
    let endpoint: Endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
    let client = Client::new(ClientConfig {
        token: Some(Secret::new(&token)),
        ..ClientConfig::new(endpoint)
    })
    .unwrap();
    let mut console = Console::open(&client).await;
    console.wait_for("open", key).await;
    let (code, message) = console
        .signal("open", key, wire::ProcessSignal::Term)
        .await
        .unwrap_err();
    assert_eq!(code, Code::PermissionDenied as u32);
    assert!(message.contains("operator"), "{message}");
    assert!(!sleeper.has_ended());
}
