//! A collector's stream.

use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Code, Inbound, Outbound, Principal, wire};
use tokio::time::timeout;
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

use super::questions::Waiting;
use super::{Leaving, Who, first};
use crate::aggregator::{Aggregator, stopping};
use crate::durable::Stream;
use crate::fleet::{Batch, Hello};
use crate::message::{Message, StreamTicket};

/// How long a session stays when the aggregator stops, to pass on what is stored last.
const LAST_LIMIT: Duration = Duration::from_millis(1_500);

/// The whole life of one collector's stream.
///
/// # Errors
/// Why the stream ended, unless the collector ended it.
pub(crate) async fn push(
    aggregator: &Aggregator,
    principal: &Principal,
    mut requests: Inbound<wire::PushRequest>,
    responses: Outbound<wire::PushResponse>,
) -> Result<(), ApiError> {
    let Some(request) = first(&mut requests).await? else {
        return Ok(());
    };
    let Some(Request::Hello(collector)) = request.body else {
        return Err(ApiError::invalid(
            "the first message must be a hello; send it first",
        ));
    };
    let checked = Box::new(Hello::check(&collector, principal)?);
    let durable = aggregator.durable.as_ref();
    let durable = durable.map(|durable| Box::new(Stream::new(durable, &collector, &checked)));
    drop(collector);
    let ticket = aggregator
        .ask(|reply| Message::OpenStream {
            hello: checked,
            reply,
        })
        .await?;
    let _leaving = Leaving {
        owner: &aggregator.owner,
        who: Who::Stream(ticket.stream),
    };
    let session = Session {
        aggregator,
        ticket,
        durable,
        responses,
        waiting: Waiting::default(),
    };
    session.run(requests).await
}

struct Session<'a> {
    aggregator: &'a Aggregator,
    ticket: StreamTicket,
    /// None where no history is kept.
    durable: Option<Box<Stream<'a>>>,
    responses: Outbound<wire::PushResponse>,
    waiting: Waiting,
}

/// What is being sent to a collector.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Hello,
    Directive,
    Question,
    News,
}

impl Session<'_> {
    async fn run(mut self, mut requests: Inbound<wire::PushRequest>) -> Result<(), ApiError> {
        // What waits to be sent never keeps a collector that reads nothing from reporting, or a stream from ending.
        let mut is_greeted = false;
        let mut is_redirected = true;
        let mut question = None;
        let mut news = None;
        loop {
            if news.is_none()
                && let Some(durable) = &mut self.durable
            {
                news = durable.next()?;
            }
            let (sending, response) = match (&question, &news) {
                _ if !is_greeted => (Sending::Hello, Some(Response::Hello(self.aggregator.hello()))),
                _ if is_redirected => {
                    let directive = *self.ticket.directives.borrow();
                    (Sending::Directive, Some(Response::Directive(directive)))
                }
                (Some(question), _) => (Sending::Question, Some(Response::Question(*question))),
                (None, news) => (Sending::News, news.clone()),
            };
            let is_waiting = response.is_some();
            tokio::select! {
                request = requests.next() => match request? {
                    Some(request) => self.report(request).await?,
                    None => return Ok(()),
                },
                // Also how the session learns that the aggregator stops: the owner lets go of all streams.
                changed = self.ticket.directives.changed() => match changed {
                    Ok(()) => is_redirected = true,
                    Err(_) => return Err(self.end().await),
                },
                Some(asked) = self.ticket.questions.recv(), if question.is_none() => {
                    question = self.waiting.take(asked);
                }
                sent = self.responses.send(wire::PushResponse { body: response }), if is_waiting => {
                    if sent.is_err() {
                        return Ok(());
                    }
                    match sending {
                        Sending::Hello => is_greeted = true,
                        Sending::Directive => is_redirected = false,
                        Sending::Question => question = None,
                        Sending::News => news = None,
                    }
                }
                () = changed(&mut self.durable) => {}
            }
        }
    }

    /// Takes what a collector says: for the live view, and, without waiting, for history.
    async fn report(&mut self, request: wire::PushRequest) -> Result<(), ApiError> {
        let stream = self.ticket.stream;
        let durable = self.durable.as_mut();
        let message = match request.body {
            Some(Request::Batch(batch)) => self.batch(batch)?,
            Some(Request::Heartbeat(_)) => {
                if let Some(durable) = durable {
                    durable.heard();
                }
                Message::Heartbeat { stream }
            }
            Some(Request::Answer(answer)) => {
                self.waiting.answered(answer);
                return Ok(());
            }
            Some(Request::Hello(_)) => {
                return Err(ApiError::invalid(
                    "a second hello on one stream; open another stream",
                ));
            }
            Some(Request::NewEpoch(new)) => match durable {
                Some(durable) => Message::NewEpoch {
                    stream,
                    epoch: durable.new_epoch(&new.epoch)?,
                },
                None => Message::Heartbeat { stream },
            },
            // Beside it the stream has its live batches and heartbeats: the owner need not be told.
            Some(Request::Backlog(backlog)) => {
                return durable.map_or(Ok(()), |durable| durable.backlog(backlog));
            }
            Some(Request::BacklogWaiting(waiting)) => {
                if let Some(durable) = durable {
                    durable.waiting(waiting.batches);
                }
                return Ok(());
            }
            // From a newer collector, which knows from our hello that it may be ignored; at least it is alive.
            None => Message::Heartbeat { stream },
        };
        self.aggregator.tell(message).await
    }

    fn batch(&mut self, mut batch: wire::Batch) -> Result<Message, ApiError> {
        let stream = self.ticket.stream;
        if Batch::is_of_burst(&batch) {
            // For the live view here, and for nothing else.
            let batch = Box::new(Batch::check(batch)?);
            return Ok(Message::Batch { stream, batch });
        }
        let malformed = self.durable.as_ref().and_then(|durable| durable.sift(&mut batch));
        let source = self.aggregator.is_shared.then(|| Arc::new(batch.clone()));
        let mut batch = Box::new(Batch::check(batch)?);
        batch.source = source;
        if let Some(durable) = &mut self.durable {
            durable.live(&batch, malformed)?;
            durable.heard();
        }
        Ok(Message::Batch { stream, batch })
    }

    /// Why the owner let go of the stream. When it is because the aggregator stops, what is stored last is passed on
    /// first.
    async fn end(&mut self) -> ApiError {
        let aggregator = self.aggregator;
        if !aggregator.shutdown.is_cancelled() && !aggregator.owner.is_closed() {
            return ApiError::new(
                Code::Aborted,
                "another stream of this machine has taken over; close this one",
            );
        }
        if let Some(durable) = &mut self.durable {
            let last = async {
                durable.finished().await;
                while let Ok(Some(news)) = durable.next() {
                    if self
                        .responses
                        .send(wire::PushResponse { body: Some(news) })
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = timeout(LAST_LIMIT, last) => {}
                () = self.responses.closed() => {}
            }
        }
        stopping()
    }
}

/// Waits for news of history, forever where none is kept.
async fn changed(durable: &mut Option<Box<Stream<'_>>>) {
    match durable {
        Some(durable) => durable.changed().await,
        None => std::future::pending().await,
    }
}
