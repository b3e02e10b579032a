//! A source that is read on one thread of its own.
//!
//! Threads that may block are handed work as it comes, so that the readings of a machine go round among them, and the
//! allocator keeps room for a whole list of processes on each. On one thread the room of the list before is taken again.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::clock::Moment;
use crate::sample::{Plan, Sample, Source};

#[derive(Clone, Copy)]
enum Question {
    Prime,
    Sample,
    Burst,
}

/// The way to a source on its thread, which ends with this.
pub(crate) struct OwnThread {
    /// One question at a time: whoever asks waits for the answer.
    questions: SyncSender<(Question, Moment, Plan)>,
    answers: Receiver<Option<Sample>>,
}

impl OwnThread {
    /// Moves a source to a new thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start<S: Source>(mut source: S) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<(Question, Moment, Plan)>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            while let Ok((question, now, plan)) = asked.recv() {
                let sample = match question {
                    Question::Prime => {
                        source.prime(now, plan);
                        None
                    }
                    Question::Sample => Some(source.sample(now, plan)),
                    Question::Burst => source.burst(now, plan),
                };
                if answer.send(sample).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("sampler".into()).spawn(work)?;
        Ok(Self { questions, answers })
    }

    fn ask(&mut self, question: Question, now: Moment, plan: Plan) -> Option<Sample> {
        let asked = self.questions.send((question, now, plan)).is_ok();
        match self.answers.recv() {
            Ok(answer) if asked => answer,
            // It panicked, and has said so; whoever asks breaks off in the same way.
            _ => std::panic::resume_unwind(Box::new("the thread of the sampler has ended")),
        }
    }
}

impl Source for OwnThread {
    fn prime(&mut self, now: Moment, plan: Plan) {
        self.ask(Question::Prime, now, plan);
    }

    fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        self.ask(Question::Sample, now, plan).unwrap_or_default()
    }

    fn burst(&mut self, now: Moment, plan: Plan) -> Option<Sample> {
        self.ask(Question::Burst, now, plan)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread::ThreadId;

    use super::*;
    use crate::clock::Clock;
    use crate::config::ProcessDetail;

    const PLAN: Plan = Plan {
        interval_ms: 1_000,
        burst_interval_ms: 0,
        processes: ProcessDetail::None,
    };

    #[derive(Default)]
    struct Noting {
        primed_on: Option<ThreadId>,
        samples: i64,
    }

    impl Source for Noting {
        fn prime(&mut self, _: Moment, _: Plan) {
            self.primed_on = Some(std::thread::current().id());
        }

        fn sample(&mut self, _: Moment, _: Plan) -> Sample {
            assert_eq!(self.primed_on, Some(std::thread::current().id()));
            assert!(self.samples < 3, "broken");
            self.samples += 1;
            Sample {
                values: vec![(1, self.samples)],
                ..Sample::default()
            }
        }

        fn burst(&mut self, _: Moment, _: Plan) -> Option<Sample> {
            (self.samples > 1).then(Sample::default)
        }
    }

    #[test]
    fn everything_is_read_on_one_thread_and_a_panic_there_is_one_here() {
        let now = Clock::default().now();
        let mut source = OwnThread::start(Noting::default()).unwrap();
        source.prime(now, PLAN);
        assert_eq!(source.sample(now, PLAN).values, [(1, 1)]);
        assert!(source.burst(now, PLAN).is_none());
        assert_eq!(source.sample(now, PLAN).values, [(1, 2)]);
        assert!(source.burst(now, PLAN).is_some());
        assert_eq!(source.sample(now, PLAN).values, [(1, 3)]);
        for _ in 0..2 {
            let asked = catch_unwind(AssertUnwindSafe(|| source.sample(now, PLAN)));
            assert!(
                asked.is_err(),
                "whoever asks must not wait for ever, nor take an empty answer"
            );
        }
    }
}
