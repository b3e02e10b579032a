#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::process::{Child, Command};
use std::time::Duration;

use sysmon_core::MachineId;

use super::*;

fn questions(allow_signals: bool) -> Questions {
    let mut config = Config::new(MachineId::parse("here").unwrap());
    config.allow_signals = allow_signals;
    Questions::new(&config)
}

/// A process of ours that does nothing; it ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").args(["300", "--"]).spawn().unwrap())
    }

    fn key(&self) -> wire::ProcessKey {
        key_of(self.0.id())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key_of(pid: u32) -> wire::ProcessKey {
    let settings = questions(false).settings.unwrap();
    let folder = details::Folder::open(&settings, pid).unwrap();
    let (start_ms, _) = folder.times_ms().unwrap();
    wire::ProcessKey { pid, start_ms }
}

async fn answered(questions: &mut Questions, body: Question) -> Result<Answer, (u32, String)> {
    questions.ask(wire::CollectorQuestion {
        number: 7,
        body: Some(body),
    });
    let answer = tokio::time::timeout(Duration::from_secs(10), questions.next())
        .await
        .unwrap();
    assert_eq!(answer.number, 7);
    match answer.body.unwrap() {
        Answer::Refusal(refusal) => Err((refusal.code, refusal.message)),
        body => Ok(body),
    }
}

fn order(process: wire::ProcessKey, signal: wire::ProcessSignal) -> Question {
    Question::Signal(wire::SignalOrder {
        process: Some(process),
        signal: signal.into(),
    })
}

#[tokio::test]
async fn a_process_is_described_as_it_is() {
    let sleeper = Sleeper::new();
    let key = sleeper.key();
    let answer = answered(&mut questions(false), Question::ProcessDetails(key)).await;
    let Ok(Answer::Details(details)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(details.process, Some(key));
    assert_eq!(details.command, "sleep 300 --");
    assert!(details.executable.contains('/'), "{}", details.executable);
    assert!(
        details.open_files.is_some_and(|count| count < 1_000),
        "{details:?}"
    );
    assert!(details.open_files_max.is_some() && details.memory_peak_bytes.is_some());
}

#[tokio::test]
async fn a_process_of_another_start_is_not_described_and_not_signalled() {
    let mut sleeper = Sleeper::new();
    let mut key = sleeper.key();
    key.start_ms += 10;
    let mut questions = questions(true);
    for question in [
        Question::ProcessDetails(key),
        order(key, wire::ProcessSignal::Kill),
    ] {
        let (code, message) = answered(&mut questions, question).await.unwrap_err();
        assert_eq!(code, Code::NotFound as u32, "{message}");
        assert!(message.contains("another process"), "{message}");
    }
    assert!(sleeper.0.try_wait().unwrap().is_none(), "it lives");
}

#[tokio::test]
async fn signals_are_off_unless_they_are_allowed() {
    let mut sleeper = Sleeper::new();
    let kill = || order(sleeper.key(), wire::ProcessSignal::Kill);
    let (code, message) = answered(&mut questions(false), kill()).await.unwrap_err();
    assert_eq!(code, Code::PermissionDenied as u32);
    assert!(message.contains("signals are off"), "{message}");
    let term = order(sleeper.key(), wire::ProcessSignal::Term);
    assert!(sleeper.0.try_wait().unwrap().is_none(), "it lives");
    answered(&mut questions(true), term).await.unwrap();
    let status = sleeper.0.wait().unwrap();
    assert!(!status.success());
    let key = wire::ProcessKey {
        pid: sleeper.0.id(),
        start_ms: 1,
    };
    let gone = answered(&mut questions(true), order(key, wire::ProcessSignal::Term)).await;
    assert_eq!(gone.unwrap_err().0, Code::NotFound as u32, "it has ended");
}

#[tokio::test]
async fn nobody_can_signal_everybody_the_first_process_or_the_collector() {
    let mut questions = questions(true);
    let own = key_of(std::process::id());
    for pid in [0, 1, own.pid, 1 << 31, u32::MAX] {
        let key = wire::ProcessKey { pid, ..own };
        let refused = answered(&mut questions, order(key, wire::ProcessSignal::Kill)).await;
        assert_eq!(refused.unwrap_err().0, Code::InvalidArgument as u32, "{pid}");
    }
    let unknown = wire::SignalOrder {
        process: Some(own),
        signal: 999,
    };
    let refused = answered(&mut questions, Question::Signal(unknown)).await;
    assert_eq!(refused.unwrap_err().0, Code::InvalidArgument as u32);
}

#[tokio::test]
async fn no_more_than_a_few_are_under_way() {
    let mut questions = questions(false);
    let ask = |questions: &mut Questions| {
        questions.ask(wire::CollectorQuestion {
            number: 1,
            body: Some(Question::ProcessDetails(wire::ProcessKey { pid: 1, start_ms: 0 })),
        });
    };
    let places = Arc::clone(&questions.places);
    let taken = places
        .try_acquire_many(u32::try_from(UNDER_WAY_MAX).unwrap())
        .unwrap();
    for _ in 0..100 {
        ask(&mut questions);
    }
    assert_eq!(questions.tasks.len(), WAITING_MAX, "what is on top is dropped");
    for _ in 0..WAITING_MAX {
        let Some(Answer::Refusal(refusal)) = questions.next().await.body else {
            panic!("it is busy")
        };
        assert_eq!(refusal.code, Code::ResourceExhausted as u32);
    }
    drop(taken);
    ask(&mut questions);
    let Some(Answer::Refusal(refusal)) = questions.next().await.body else {
        panic!("the first process began another time")
    };
    assert_eq!(refusal.code, Code::NotFound as u32);
}

#[tokio::test]
async fn an_answer_to_an_earlier_stream_is_never_given_on_a_later_one() {
    let mut questions = questions(false);
    let first = Question::ProcessDetails(wire::ProcessKey { pid: 1, start_ms: 0 });
    questions.ask(wire::CollectorQuestion {
        number: 7,
        body: Some(first),
    });
    questions.forget();
    let key = key_of(std::process::id());
    let answer = answered(&mut questions, Question::ProcessDetails(key)).await;
    let Ok(Answer::Details(details)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(details.process, Some(key));
}
