//! A collector's stream.

use sysmon_api::{ApiError, Code, Inbound, Outbound, Principal, hello, wire};
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

use super::{Leaving, Who, first};
use crate::aggregator::{Aggregator, stopping};
use crate::fleet::{Batch, Hello, StreamId};
use crate::message::Message;

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
    let mut ticket = aggregator
        .ask(|reply| Message::OpenStream {
            hello: checked,
            reply,
        })
        .await?;
    let _leaving = Leaving {
        owner: &aggregator.owner,
        who: Who::Stream(ticket.stream),
    };
    // What waits to be sent never keeps a collector that reads nothing from reporting, or a stream from ending.
    let mut greeting = Some(hello(aggregator.clock.now().unix));
    let mut is_redirected = true;
    loop {
        let response = match &greeting {
            Some(hello) => Some(Response::Hello(hello.clone())),
            None => is_redirected.then(|| Response::Directive(*ticket.directives.borrow())),
        };
        let is_waiting = response.is_some();
        tokio::select! {
            request = requests.next() => match request? {
                Some(request) => report(aggregator, ticket.stream, request).await?,
                None => return Ok(()),
            },
            // Also how the session learns that the aggregator stops: the owner lets go of all streams.
            changed = ticket.directives.changed() => {
                changed.map_err(|_| ended(aggregator))?;
                is_redirected = true;
            }
            sent = responses.send(wire::PushResponse { body: response }), if is_waiting => {
                if sent.is_err() {
                    return Ok(());
                }
                is_redirected &= greeting.take().is_some();
            }
        }
    }
}

async fn report(
    aggregator: &Aggregator,
    stream: StreamId,
    request: wire::PushRequest,
) -> Result<(), ApiError> {
    let message = match request.body {
        Some(Request::Batch(batch)) => Message::Batch {
            stream,
            batch: Box::new(Batch::check(batch)?),
        },
        Some(Request::Heartbeat(_)) => Message::Heartbeat { stream },
        Some(Request::Hello(_)) => {
            return Err(ApiError::invalid(
                "a second hello on one stream; open another stream",
            ));
        }
        Some(Request::NewEpoch(_) | Request::Backlog(_) | Request::BacklogWaiting(_)) => {
            Message::Heartbeat { stream }
        }
        // From a newer collector, which knows from our hello that it may be ignored; at least it is alive.
        None => Message::Heartbeat { stream },
    };
    aggregator.tell(message).await
}

/// Why the owner let go of the stream.
fn ended(aggregator: &Aggregator) -> ApiError {
    if aggregator.shutdown.is_cancelled() || aggregator.owner.is_closed() {
        stopping()
    } else {
        ApiError::new(
            Code::Aborted,
            "another stream of this machine has taken over; close this one",
        )
    }
}
