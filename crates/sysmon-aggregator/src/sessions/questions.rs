//! Questions of clients that only a machine's collector can answer, and signals that only it can send: passed on to the
//! collector's session, and back.

use std::collections::HashMap;
use std::time::Duration;

use sysmon_api::{ApiError, Code, Principal, Role, wire};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::collector_answer::Body as Answer;
use wire::collector_question::Body as Question;
use wire::response::Body;

use super::answers::{Answers, Kind};
use crate::aggregator::{Aggregator, stopping};
use crate::message::{Asked, Message};

/// How long a collector may take.
const LIMIT: Duration = Duration::from_secs(3);
/// The most questions of one collector that wait for their answer.
pub(crate) const WAITING_MAX: usize = 16;
/// The longest text of an answer, in bytes; longer ones are cut.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// The longest reason for no answer.
const REASON_BYTES_MAX: usize = 400;

/// Asks a machine's collector about a process.
///
/// # Errors
/// That the client asks too much at a time.
pub(super) fn begin_details(
    aggregator: &Aggregator,
    answers: &mut Answers,
    request_id: u64,
    asked: wire::ProcessQuestion,
) -> Result<(), ApiError> {
    let owner = aggregator.owner.clone();
    let question = Question::ProcessDetails(asked.process.unwrap_or_default());
    answers.begin(request_id, Kind::Process, |parts| async move {
        let answer = match ask(&owner, asked.machine_id, question).await {
            Ok(Answer::Details(details)) => Ok(Body::ProcessDetails(details)),
            other => Err(other.map_or_else(|error| error, |_| beside_the_point())),
        };
        parts.last(answer).await;
    })
}

/// Has a machine's collector signal a process. It is in the audit log before it is sent: what cannot be written down is not
/// done.
///
/// # Errors
/// That the client may not, or asks too much at a time.
pub(super) fn begin_signal(
    (aggregator, principal): (&Aggregator, &Principal),
    answers: &mut Answers,
    request_id: u64,
    wanted: wire::SignalProcess,
) -> Result<(), ApiError> {
    if !principal.allows(Role::Operator) {
        return Err(ApiError::new(
            Code::PermissionDenied,
            format!(
                "{} may not signal processes; use a token with the role operator",
                principal.name
            ),
        ));
    }
    let owner = aggregator.owner.clone();
    let alerts = aggregator.alerts.clone();
    let principal = principal.clone();
    answers.begin(request_id, Kind::Command, |parts| async move {
        let done = async {
            let machine: String = sysmon_core::sanitize(&wanted.machine_id).chars().take(128).collect();
            let process = wanted.process.unwrap_or_default();
            let signal = wanted.signal().as_str_name().trim_start_matches("PROCESS_SIGNAL_");
            let object = format!("{machine}/{}", process.pid);
            let told = |outcome: &str| {
                format!(
                    r#"{{"signal":"{signal}","pid":{},"start_ms":{},"outcome":"{outcome}"}}"#,
                    process.pid, process.start_ms
                )
            };
            tracing::info!(by = %principal.name, %machine, pid = process.pid, signal, "a signal is asked for");
            if let Some(alerts) = &alerts {
                alerts.note(&principal, "process.signal", &object, &told("asked")).await?;
            }
            let order = Question::Signal(wire::SignalOrder {
                process: wanted.process,
                signal: wanted.signal,
            });
            let answer = match ask(&owner, wanted.machine_id.clone(), order).await {
                Ok(Answer::Done(_)) => Ok(Body::Accepted(wire::Accepted {})),
                other => Err(other.map_or_else(|error| error, |_| beside_the_point())),
            };
            let outcome = match &answer {
                Ok(_) => "sent",
                Err(error) => word_of(error.code),
            };
            tracing::info!(by = %principal.name, %machine, pid = process.pid, signal, outcome, "a signal was asked for");
            if let Some(alerts) = &alerts
                && let Err(error) = alerts
                    .note(&principal, "process.signal", &object, &told(outcome))
                    .await
            {
                // That it was asked for is written down.
                tracing::warn!(%error, "what became of a signal is not in the audit log");
            }
            answer
        };
        parts.last(done.await).await;
    })
}

/// What became of a signal, in a word for the audit log.
fn word_of(code: Code) -> &'static str {
    match code {
        Code::PermissionDenied => "not allowed",
        Code::NotFound => "gone",
        Code::InvalidArgument => "refused",
        Code::DeadlineExceeded => "not answered",
        _ => "failed",
    }
}

fn beside_the_point() -> ApiError {
    ApiError::unavailable("the collector answered something else; upgrade it")
}

async fn ask(
    owner: &tokio::sync::mpsc::Sender<Message>,
    machine_id: String,
    question: Question,
) -> Result<Answer, ApiError> {
    let (reply, answer) = oneshot::channel();
    let asked = Asked { question, reply };
    let message = Message::Ask { machine_id, asked };
    let answered = async {
        owner.send(message).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| {
            ApiError::unavailable("the machine's connection ended before it answered; try again")
        })?
    };
    timeout(LIMIT, answered).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            Code::DeadlineExceeded,
            format!("the machine did not answer within {} s", LIMIT.as_secs()),
        ))
    })
}

/// What one collector has been asked and has not answered.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    askers: HashMap<u64, oneshot::Sender<Result<Answer, ApiError>>>,
    last: u64,
}

impl Waiting {
    /// Takes a question on; returns it as the collector gets it, unless too many wait.
    pub(super) fn take(&mut self, asked: Asked) -> Option<wire::CollectorQuestion> {
        // Whoever gave up waits no longer.
        self.askers.retain(|_, asker| !asker.is_closed());
        if self.askers.len() >= WAITING_MAX {
            let _ = asked.reply.send(Err(too_many()));
            return None;
        }
        self.last += 1;
        self.askers.insert(self.last, asked.reply);
        Some(wire::CollectorQuestion {
            number: self.last,
            body: Some(asked.question),
        })
    }

    /// Gives an answer to whoever asked, if they still wait.
    pub(super) fn answered(&mut self, answer: wire::CollectorAnswer) {
        if let Some(asker) = self.askers.remove(&answer.number) {
            // They may have given up in this moment.
            let _ = asker.send(checked(answer.body));
        }
    }
}

/// Why a question is not passed on.
pub(crate) fn too_many() -> ApiError {
    ApiError::new(
        Code::ResourceExhausted,
        "too many questions wait for this machine; try again",
    )
}

/// What a collector said, bounded and harmless.
fn checked(answer: Option<Answer>) -> Result<Answer, ApiError> {
    match answer {
        Some(Answer::Refusal(refusal)) => Err(ApiError::new(
            code_of(refusal.code),
            text(&refusal.message, REASON_BYTES_MAX),
        )),
        Some(Answer::Details(mut details)) => {
            for field in [&mut details.command, &mut details.executable, &mut details.cgroup] {
                *field = text(field, TEXT_BYTES_MAX);
            }
            Ok(Answer::Details(details))
        }
        Some(Answer::Done(done)) => Ok(Answer::Done(done)),
        None => Err(beside_the_point()),
    }
}

/// Of the codes those that a collector can mean; anything else is a failure of its own.
fn code_of(code: u32) -> Code {
    let known = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Unimplemented,
    ];
    let known = known.into_iter().find(|known| *known as u32 == code);
    known.unwrap_or(Code::Unavailable)
}

fn text(text: &str, most: usize) -> String {
    let mut text = sysmon_core::sanitize(text).into_owned();
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Asked, oneshot::Receiver<Result<Answer, ApiError>>) {
        let (reply, answer) = oneshot::channel();
        let question = Question::ProcessDetails(wire::ProcessKey::default());
        (Asked { question, reply }, answer)
    }

    #[test]
    fn an_answer_reaches_who_asked_and_nobody_else() {
        let mut waiting = Waiting::default();
        let (first, mut first_answer) = asked();
        let (second, mut second_answer) = asked();
        let first = waiting.take(first).unwrap();
        let second = waiting.take(second).unwrap();
        for number in [second.number, second.number, 99] {
            waiting.answered(wire::CollectorAnswer {
                number,
                body: Some(Answer::Done(wire::SignalSent {})),
            });
        }
        assert!(matches!(second_answer.try_recv(), Ok(Ok(Answer::Done(_)))));
        assert!(first_answer.try_recv().is_err(), "{} waits", first.number);
    }

    #[test]
    fn so_many_wait_and_no_more_but_who_gave_up_does_not_count() {
        let mut waiting = Waiting::default();
        let mut receivers = Vec::new();
        for _ in 0..WAITING_MAX {
            let (asked, answer) = asked();
            assert!(waiting.take(asked).is_some());
            receivers.push(answer);
        }
        let (one_more, mut answer) = asked();
        assert!(waiting.take(one_more).is_none());
        assert_eq!(
            answer.try_recv().unwrap().unwrap_err().code,
            Code::ResourceExhausted
        );
        receivers.pop();
        assert!(waiting.take(asked().0).is_some());
    }

    #[test]
    fn what_a_collector_says_is_bounded_and_harmless() {
        let refused = checked(Some(Answer::Refusal(wire::Refusal {
            code: 16,
            message: "ü\u{1b}[31m".repeat(1_000),
        })));
        let error = refused.unwrap_err();
        assert_eq!(
            error.code,
            Code::Unavailable,
            "whether somebody is known is not for it to say"
        );
        assert!(error.message.len() <= REASON_BYTES_MAX && !error.message.contains('\u{1b}'));
        let details = wire::ProcessDetails {
            command: "x".repeat(1 << 20),
            ..Default::default()
        };
        let Ok(Answer::Details(details)) = checked(Some(Answer::Details(details))) else {
            panic!("it is an answer")
        };
        assert_eq!(details.command.len(), TEXT_BYTES_MAX);
    }
}
