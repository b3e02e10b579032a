//! An interactive client's stream.

use sysmon_api::{ApiError, Code, Inbound, Outbound, Principal, Role, check_peer, hello, wire};
use tokio::sync::mpsc;
use wire::command::Body;

use super::{Leaving, Who, first};
use crate::aggregator::{Aggregator, stopping};
use crate::fleet::ClientId;
use crate::message::{COMMANDS_MAX, Command, Message, RESPONSES};
use crate::task::reply;

/// The whole life of one interactive client's stream.
///
/// # Errors
/// Why the stream ended, unless the client ended it.
pub(crate) async fn manage(
    aggregator: &Aggregator,
    principal: &Principal,
    mut commands: Inbound<wire::Command>,
    responses: Outbound<wire::Response>,
) -> Result<(), ApiError> {
    let Some(command) = first(&mut commands).await? else {
        return Ok(());
    };
    let Some(Body::Hello(peer)) = &command.body else {
        return Err(ApiError::invalid(
            "the first command must be a hello; send it first",
        ));
    };
    check_peer(Some(peer))?;
    let (sender, outgoing) = mpsc::channel(RESPONSES);
    let client = aggregator
        .ask(|reply| Message::OpenClient {
            responses: sender,
            reply,
        })
        .await?;
    let _leaving = Leaving {
        owner: &aggregator.owner,
        who: Who::Client(client),
    };
    let ours = wire::Response {
        request_id: command.request_id,
        body: Some(wire::response::Body::Hello(hello(aggregator.clock.now().unix))),
    };
    let session = Session {
        aggregator,
        principal,
        client,
        responses,
    };
    tokio::select! {
        ended = session.run(ours, commands, outgoing) => ended,
        () = aggregator.shutdown.cancelled() => Err(stopping()),
    }
}

struct Session<'a> {
    aggregator: &'a Aggregator,
    principal: &'a Principal,
    client: ClientId,
    responses: Outbound<wire::Response>,
}

impl Session<'_> {
    async fn run(
        &self,
        ours: wire::Response,
        mut commands: Inbound<wire::Command>,
        mut outgoing: mpsc::Receiver<wire::Response>,
    ) -> Result<(), ApiError> {
        // While a response waits for a slow client nothing else is read, so the client's commands wait too.
        if self.responses.send(ours).await.is_err() {
            return Ok(());
        }
        let mut open_commands = 0;
        loop {
            let response = tokio::select! {
                biased;
                response = outgoing.recv() => {
                    let Some(response) = response else {
                        return Err(self.dropped());
                    };
                    open_commands -= usize::from(response.request_id != 0);
                    response
                }
                command = commands.next(), if open_commands < COMMANDS_MAX => {
                    let Some(command) = command? else {
                        return Ok(());
                    };
                    let request_id = command.request_id;
                    match self.check(command) {
                        Ok(message) => {
                            open_commands += usize::from(matches!(message, Message::Command { .. }));
                            self.aggregator.tell(message).await?;
                            continue;
                        }
                        Err(error) => reply(request_id, Err(error)),
                    }
                }
            };
            if self.responses.send(response).await.is_err() {
                return Ok(());
            }
        }
    }

    /// What a command means for the owner.
    fn check(&self, command: wire::Command) -> Result<Message, ApiError> {
        let client = self.client;
        let ours = match command.body {
            Some(Body::UpdateReceived(received)) => {
                return Ok(Message::Received { client, received });
            }
            _ if command.request_id == 0 => {
                return Err(ApiError::invalid(
                    "a command has no request id; give it one above 0",
                ));
            }
            Some(Body::Subscribe(subscribe)) => Command::Subscribe(subscribe),
            Some(Body::Unsubscribe(unsubscribe)) => Command::Unsubscribe(unsubscribe),
            Some(Body::SetInterval(set)) => {
                if !self.principal.allows(Role::Operator) {
                    return Err(ApiError::new(
                        Code::PermissionDenied,
                        format!(
                            "{} may not set intervals; use a token with the role operator",
                            self.principal.name
                        ),
                    ));
                }
                Command::SetInterval(set)
            }
            Some(Body::QueryHistory(_) | Body::Cancel(_)) => {
                return Err(ApiError::new(
                    Code::FailedPrecondition,
                    "no history is kept here; start the aggregator with --database",
                ));
            }
            Some(Body::Hello(_)) => {
                return Err(ApiError::invalid("a second hello on one stream; leave it out"));
            }
            None => {
                return Err(ApiError::new(
                    Code::Unimplemented,
                    "this aggregator does not know the command; upgrade it",
                ));
            }
        };
        Ok(Message::Command {
            client,
            request_id: command.request_id,
            command: ours,
        })
    }

    /// Why the owner let go of the stream.
    fn dropped(&self) -> ApiError {
        if self.aggregator.shutdown.is_cancelled() || self.aggregator.owner.is_closed() {
            stopping()
        } else {
            ApiError::new(
                Code::ResourceExhausted,
                "too many responses are waiting to be read; connect again and read them",
            )
        }
    }
}
