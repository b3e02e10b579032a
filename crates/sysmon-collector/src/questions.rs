//! What is asked of this machine alone and only when somebody wants to know it, and what is done to its processes.
//!
//! Each question is answered on a thread of its own, beside the ticks: a process that hangs in the kernel can hold up
//! whoever reads its files. So many at a time, and no more.

#[cfg(target_os = "linux")]
mod details;
#[cfg(target_os = "linux")]
mod signal;

use std::sync::Arc;

use sysmon_api::{Code, wire};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::collector_answer::Body as Answer;
use wire::collector_question::Body as Question;

use crate::config::{Config, ProcessArguments, Roots};

/// The most questions that are being answered; one that comes on top is refused.
const UNDER_WAY_MAX: usize = 4;
/// The most answers that wait to be sent, refusals included; a question on top is dropped, and its asker gives up in time.
const WAITING_MAX: usize = 16;

/// What answers depend on.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "read on Linux alone"))]
pub(crate) struct Settings {
    roots: Roots,
    arguments: ProcessArguments,
    allow_signals: bool,
}

/// Why there is no other answer, as a gRPC status code with words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// The questions under way.
#[derive(Debug)]
pub(crate) struct Questions {
    /// None where nothing is answered.
    settings: Option<Settings>,
    tasks: JoinSet<wire::CollectorAnswer>,
    places: Arc<Semaphore>,
}

impl Questions {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            settings: Some(Settings {
                roots: config.roots.clone(),
                arguments: config.process_arguments,
                allow_signals: config.allow_signals,
            }),
            ..Self::none()
        }
    }

    /// Answers none.
    pub(crate) fn none() -> Self {
        Self {
            settings: None,
            tasks: JoinSet::new(),
            places: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        }
    }

    /// Whether questions are answered at all.
    pub(crate) fn are_answered(&self) -> bool {
        self.settings.is_some()
    }

    /// Begins to answer a question.
    pub(crate) fn ask(&mut self, question: wire::CollectorQuestion) {
        if self.tasks.len() >= WAITING_MAX {
            tracing::warn!("too many questions wait for an answer; one was dropped");
            return;
        }
        let Some(settings) = self.settings.clone() else {
            return;
        };
        let number = question.number;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let refusal = Refusal::new(
                Code::ResourceExhausted,
                "this machine is being asked too much at a time; try again",
            );
            self.tasks.spawn(async move { answer_of(number, Err(refusal)) });
            return;
        };
        self.tasks.spawn_blocking(move || {
            let answer = answer_of(number, answer(&settings, question.body));
            drop(place);
            answer
        });
    }

    /// Lets go of what was asked before: nobody waits for it any more. What is being answered keeps its place until then.
    pub(crate) fn forget(&mut self) {
        self.tasks = JoinSet::new();
    }

    /// The next answer; for ever while nothing is asked. Safe to cancel.
    pub(crate) async fn next(&mut self) -> wire::CollectorAnswer {
        loop {
            match self.tasks.join_next().await {
                None => return std::future::pending().await,
                Some(Ok(answer)) => return answer,
                Some(Err(error)) => {
                    tracing::error!(%error, "a question could not be answered; report this");
                }
            }
        }
    }
}

fn answer_of(number: u64, result: Result<Answer, Refusal>) -> wire::CollectorAnswer {
    let body = result.unwrap_or_else(|refusal| {
        Answer::Refusal(wire::Refusal {
            code: refusal.code as u32,
            message: refusal.message,
        })
    });
    wire::CollectorAnswer {
        number,
        body: Some(body),
    }
}

#[cfg(target_os = "linux")]
fn answer(settings: &Settings, question: Option<Question>) -> Result<Answer, Refusal> {
    match question {
        Some(Question::ProcessDetails(key)) => details::read(settings, key).map(Answer::Details),
        Some(Question::Signal(order)) => signal::send(settings, &order).map(Answer::Done),
        None => Err(unknown()),
    }
}

#[cfg(not(target_os = "linux"))]
fn answer(_: &Settings, question: Option<Question>) -> Result<Answer, Refusal> {
    match question {
        Some(_) => Err(Refusal::new(
            Code::Unimplemented,
            "collectors of this operating system answer no questions about processes",
        )),
        None => Err(unknown()),
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::Unimplemented,
        "this machine's collector does not know the question; upgrade it",
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
