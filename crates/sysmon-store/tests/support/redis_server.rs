//! A real redis-server for one test: on a free port of the loopback, in a temporary folder, gone when it is dropped.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server under the test's control.
pub(crate) struct RedisServer {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    password: Option<&'static str>,
    child: Option<Child>,
}

impl RedisServer {
    /// A server that anybody on this host may use.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], None).await
    }

    /// A server with more arguments, and with a password.
    pub(crate) async fn start_with(arguments: &[&str], password: Option<&'static str>) -> Self {
        // Somebody may take the port between the look and the start: then another one.
        for _ in 0..5 {
            let port = free_port();
            let mut server = Self {
                folder: tempfile::tempdir().expect("a temporary folder"),
                port,
                arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
                password,
                child: None,
            };
            server.launch();
            if server.is_ready().await {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// The address of this server.
    pub(crate) fn url(&self) -> String {
        match self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// The port of this server.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of this server's Unix socket.
    pub(crate) fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket())
    }

    /// Ends the server like a power cut; nothing was saved.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again, empty, on the same port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.launch();
        assert!(
            self.is_ready().await,
            "redis-server does not start again on its port"
        );
    }

    /// Lets the server hang: it accepts connections and answers nothing.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a hanging server go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Has the server carry out a command of plain words, and returns the first line of its reply.
    pub(crate) fn command(&self, words: &str) -> String {
        self.try_command(words).expect("a reply of redis-server")
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("a running server").id();
        let pid = Pid::from_raw(id.cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("a signal to the own child");
    }

    fn launch(&mut self) {
        let program = "redis-server";
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--unixsocket", &self.socket(), "--unixsocketperm", "700"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--dir", &self.folder.path().display().to_string()])
            .args(
                self.password
                    .iter()
                    .flat_map(|password| ["--requirepass", password]),
            )
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "redis-server is to be installed and in PATH (Debian, Ubuntu: apt-get install redis-server)",
            );
        self.child = Some(child);
    }

    async fn is_ready(&mut self) -> bool {
        for _ in 0..500 {
            let child = self.child.as_mut().expect("a launched server");
            if child.try_wait().expect("the state of the own child").is_some() {
                return false;
            }
            if self.try_command("PING").is_ok_and(|reply| reply == "+PONG") {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn try_command(&self, words: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut replies = BufReader::new(stream.try_clone()?).lines();
        if let Some(password) = self.password {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes())?;
            replies.next().transpose()?;
        }
        stream.write_all(format!("{words}\r\n").as_bytes())?;
        Ok(replies.next().transpose()?.unwrap_or_default())
    }

    fn socket(&self) -> String {
        self.folder.path().join("redis.sock").display().to_string()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the port's address").port()
}
