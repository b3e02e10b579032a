//! Answers that take their time, each given by a task of its own while the client's stream goes on.

use std::collections::HashMap;

use sysmon_api::{ApiError, Code, wire};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use wire::response::Body;

use crate::task::reply;

/// Parts of answers that wait for one client to take them; with more, those who answer wait.
const PARTS_WAITING: usize = 2;
/// The status of an answer that was cancelled, in gRPC.
const CANCELLED: u32 = 1;

/// What is answered: so many of each at a time, for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A question about the past.
    Question,
    /// A rule that is played on the past.
    DryRun,
    /// A question about a process, which its machine answers.
    Process,
    /// Anything else, which is quick as long as the store is; it cannot be cancelled, because it changes something.
    Command,
}

impl Kind {
    fn most(self) -> usize {
        match self {
            Self::Question => 2,
            Self::DryRun => 1,
            Self::Process => 4,
            Self::Command => 8,
        }
    }

    fn too_many(self) -> String {
        let most = self.most();
        match self {
            Self::Question => format!("{most} questions are being answered; wait for one, or cancel it"),
            Self::DryRun => "a rule is being played on the past; wait for it, or cancel it".to_owned(),
            Self::Process => format!("{most} processes are being asked about; wait for one"),
            Self::Command => format!("{most} commands are being done; wait for one"),
        }
    }
}

/// The answers that one client's stream is waiting for. They end with it.
#[derive(Debug)]
pub(super) struct Answers {
    running: HashMap<u64, Running>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Part>,
    parts: mpsc::Receiver<Part>,
    next_serial: u64,
}

#[derive(Debug)]
struct Running {
    kind: Kind,
    /// Tells it from an earlier one of the same request id.
    serial: u64,
    task: AbortHandle,
}

/// Part of an answer, or the reason that there is none.
#[derive(Debug)]
struct Part {
    request_id: u64,
    serial: u64,
    is_last: bool,
    body: Result<Body, ApiError>,
}

/// Where the parts of one answer go.
#[derive(Debug)]
pub(super) struct Parts {
    request_id: u64,
    serial: u64,
    sender: mpsc::Sender<Part>,
}

impl Parts {
    /// Sends a part of which there are more; waits until the client has taken what came before.
    pub(super) async fn next(&self, body: Body) {
        self.send(Ok(body), false).await;
    }

    /// Sends the last part, or why there is none.
    pub(super) async fn last(&self, body: Result<Body, ApiError>) {
        self.send(body, true).await;
    }

    async fn send(&self, body: Result<Body, ApiError>, is_last: bool) {
        let part = Part {
            request_id: self.request_id,
            serial: self.serial,
            is_last,
            body,
        };
        // The client is gone: so is this task, in a moment.
        let _ = self.sender.send(part).await;
    }
}

impl Answers {
    pub(super) fn new() -> Self {
        let (sender, parts) = mpsc::channel(PARTS_WAITING);
        Self {
            running: HashMap::new(),
            tasks: JoinSet::new(),
            sender,
            parts,
            next_serial: 0,
        }
    }

    /// Begins to answer a command.
    ///
    /// # Errors
    /// That the client asks too much at a time, or twice under one request id.
    pub(super) fn begin<F>(
        &mut self,
        request_id: u64,
        kind: Kind,
        answer: impl FnOnce(Parts) -> F,
    ) -> Result<(), ApiError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.running.contains_key(&request_id) {
            return Err(ApiError::invalid(
                "a command with this request id is still being answered; give it another",
            ));
        }
        let count = self
            .running
            .values()
            .filter(|running| running.kind == kind)
            .count();
        if count >= kind.most() {
            return Err(ApiError::new(Code::ResourceExhausted, kind.too_many()));
        }
        // Those that have ended need not be kept.
        while self.tasks.try_join_next().is_some() {}
        self.next_serial += 1;
        let serial = self.next_serial;
        let parts = Parts {
            request_id,
            serial,
            sender: self.sender.clone(),
        };
        let task = self.tasks.spawn(answer(parts));
        self.running.insert(request_id, Running { kind, serial, task });
        Ok(())
    }

    /// Ends an answer; returns what its asker is told, unless it has its answer or will have it in any case.
    pub(super) fn cancel(&mut self, request_id: u64) -> Option<Box<wire::Response>> {
        if self.running.get(&request_id)?.kind == Kind::Command {
            return None;
        }
        let running = self.running.remove(&request_id)?;
        running.task.abort();
        Some(Box::new(wire::Response {
            request_id,
            body: Some(Body::Failure(wire::Failure {
                code: CANCELLED,
                message: "cancelled".into(),
            })),
        }))
    }

    /// The next part of any of the answers. Safe to cancel.
    pub(super) async fn next(&mut self) -> wire::Response {
        loop {
            let Some(part) = self.parts.recv().await else {
                // There is a sender in here.
                return std::future::pending().await;
            };
            let running = self.running.get(&part.request_id);
            if running.is_none_or(|running| running.serial != part.serial) {
                continue;
            }
            if part.is_last {
                self.running.remove(&part.request_id);
            }
            return match part.body {
                Ok(body) => wire::Response {
                    request_id: part.request_id,
                    body: Some(body),
                },
                Err(error) => reply(part.request_id, Err(error)),
            };
        }
    }
}
