//! An interactive client's stream.

use std::collections::VecDeque;

use sysmon_api::{ApiError, Code, Inbound, Outbound, Outgoing, Principal, Role, check_peer, wire};
use tokio::sync::{mpsc, watch};
use wire::command::Body;
use wire::response::Body as Response;

use super::alerts::Watching;
use super::answers::Answers;
use super::past::Past;
use super::{Leaving, Who, alerts, first, history, questions};
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
    responses: Outbound<Outgoing>,
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
        body: Some(wire::response::Body::Hello(aggregator.hello())),
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

/// What a session does about a command.
enum Step {
    /// The owner answers it.
    Tell(Message),
    AnswerLater,
    /// It is done.
    Done,
    /// It ended an answer, whose asker is told so first.
    Cancelled(Option<Box<wire::Response>>),
}

struct Session<'a> {
    aggregator: &'a Aggregator,
    principal: &'a Principal,
    client: ClientId,
    responses: Outbound<Outgoing>,
}

impl Session<'_> {
    async fn run(
        &self,
        ours: wire::Response,
        mut commands: Inbound<wire::Command>,
        mut outgoing: mpsc::Receiver<Outgoing>,
    ) -> Result<(), ApiError> {
        // While a response waits for a slow client nothing else is read, so the client's commands wait too.
        if self.responses.send(ours).await.is_err() {
            return Ok(());
        }
        let mut open_commands = 0;
        let mut answers = Answers::new();
        let mut watching = Watching::default();
        let mut past = Past::new();
        // Live subscriptions that the past takes the place of, and that the owner is yet to end.
        let mut ending = VecDeque::new();
        let mut status = self.aggregator.status.watch();
        // Said at first too, if there is anything to say.
        if !status.borrow().components.is_empty() {
            status.mark_changed();
        }
        loop {
            // In any order: neither a long answer nor many updates keep the other, or the client's commands, waiting.
            let response = tokio::select! {
                response = outgoing.recv() => {
                    let Some(response) = response else {
                        return Err(self.dropped());
                    };
                    open_commands -= usize::from(is_reply(&response));
                    if is_of_the_past(&response, &past, &mut ending) {
                        continue;
                    }
                    response
                }
                response = answers.next() => response.into(),
                response = watching.next() => response.into(),
                step = past.next(), if open_commands < COMMANDS_MAX => {
                    if let Some(subscription) = step.replaces {
                        open_commands += 1;
                        ending.push_back(subscription);
                        self.end_live(subscription).await?;
                    }
                    step.response.into()
                }
                // The aggregator has the other end for as long as there is a session.
                _ = status.changed() => storage(&mut status).into(),
                command = commands.next(), if open_commands < COMMANDS_MAX && past.is_quiet() => {
                    let Some(command) = command? else {
                        return Ok(());
                    };
                    let request_id = command.request_id;
                    let step = self.check(command, &mut answers, &mut watching, &mut past);
                    match self.take(request_id, step, &mut open_commands).await? {
                        Some(response) => response.into(),
                        None => continue,
                    }
                }
            };
            if self.responses.send(response).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Does what a command means; returns what the client is told at once.
    async fn take(
        &self,
        request_id: u64,
        step: Result<Step, ApiError>,
        open_commands: &mut usize,
    ) -> Result<Option<wire::Response>, ApiError> {
        let done = match step {
            Ok(Step::Tell(message)) => {
                *open_commands += usize::from(matches!(message, Message::Command { .. }));
                self.aggregator.tell(message).await?;
                return Ok(None);
            }
            Ok(Step::AnswerLater) => return Ok(None),
            Ok(Step::Done) => Ok(()),
            Ok(Step::Cancelled(told)) => {
                if let Some(told) = told {
                    // A client that is gone is found out with what follows.
                    let _ = self.responses.send(*told).await;
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        Ok(Some(reply(request_id, done)))
    }

    /// What a command means.
    fn check(
        &self,
        command: wire::Command,
        answers: &mut Answers,
        watching: &mut Watching,
        past: &mut Past,
    ) -> Result<Step, ApiError> {
        let (client, who) = (self.client, (self.aggregator, self.principal));
        let ours = match command.body {
            Some(Body::UpdateReceived(received)) if past.received(received) => return Ok(Step::AnswerLater),
            Some(Body::UpdateReceived(received)) => {
                return Ok(Step::Tell(Message::Received { client, received }));
            }
            _ if command.request_id == 0 => {
                return Err(ApiError::invalid(
                    "a command has no request id; give it one above 0",
                ));
            }
            Some(Body::Subscribe(subscribe)) if subscribe.at_unix_ms.is_some() => {
                past.begin(self.aggregator, command.request_id, subscribe)?;
                return Ok(Step::AnswerLater);
            }
            Some(Body::Subscribe(subscribe)) => {
                past.end(subscribe.subscription);
                Command::Subscribe(subscribe)
            }
            Some(Body::Unsubscribe(unsubscribe)) if past.end(unsubscribe.subscription) => {
                return Ok(Step::Done);
            }
            Some(Body::Unsubscribe(unsubscribe)) => Command::Unsubscribe(unsubscribe),
            Some(Body::BurstLease(lease)) => Command::LeaseBurst(lease),
            Some(Body::SetInterval(set)) => {
                self.may_set_intervals()?;
                Command::SetInterval(set)
            }
            Some(Body::QueryHistory(request)) => {
                history::begin(self.aggregator, answers, command.request_id, &request)?;
                return Ok(Step::AnswerLater);
            }
            Some(Body::Cancel(cancel)) => {
                past.cancel(cancel.request_id);
                return Ok(Step::Cancelled(answers.cancel(cancel.request_id)));
            }
            Some(Body::ProcessQuestion(question)) => {
                questions::begin_details(self.aggregator, answers, command.request_id, question)?;
                return Ok(Step::AnswerLater);
            }
            Some(Body::SignalProcess(wanted)) => {
                questions::begin_signal(who, answers, command.request_id, wanted)?;
                return Ok(Step::AnswerLater);
            }
            Some(Body::WatchAlerts(_)) => {
                watching.begin(self.aggregator)?;
                return Ok(Step::Done);
            }
            Some(body) if alerts::is_about_alerts(&body) => {
                alerts::begin(who, answers, command.request_id, body)?;
                return Ok(Step::AnswerLater);
            }
            Some(Body::Hello(_)) => {
                return Err(ApiError::invalid("a second hello on one stream; leave it out"));
            }
            _ => return Err(alerts::unknown()),
        };
        Ok(Step::Tell(Message::Command {
            client,
            request_id: command.request_id,
            command: ours,
        }))
    }

    fn may_set_intervals(&self) -> Result<(), ApiError> {
        if self.principal.allows(Role::Operator) {
            return Ok(());
        }
        Err(ApiError::new(
            Code::PermissionDenied,
            format!(
                "{} may not set intervals; use a token with the role operator",
                self.principal.name
            ),
        ))
    }

    /// Has the owner end a live subscription, if there is one; what it says to that is for us alone.
    async fn end_live(&self, subscription: u32) -> Result<(), ApiError> {
        let message = Message::Command {
            client: self.client,
            request_id: 0,
            command: Command::Unsubscribe(wire::Unsubscribe { subscription }),
        };
        self.aggregator.tell(message).await
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

/// Whether the owner answers a command, of the client's or of ours.
fn is_reply(outgoing: &Outgoing) -> bool {
    let Outgoing::Response(response) = outgoing else {
        return false;
    };
    response.request_id != 0 || matches!(response.body, Some(Response::Accepted(_) | Response::Failure(_)))
}

/// Whether the client is not to see something of the owner's: a live update of what now shows the past, or the answer to our
/// own wish that it ends.
fn is_of_the_past(outgoing: &Outgoing, past: &Past, ending: &mut VecDeque<u32>) -> bool {
    if let Some(subscription) = outgoing.subscription() {
        return ending.contains(&subscription) || past.shows(subscription);
    }
    let is_ours = matches!(outgoing, Outgoing::Response(response) if response.request_id == 0);
    if is_ours && is_reply(outgoing) {
        ending.pop_front();
        return true;
    }
    false
}

/// How the stores are now.
fn storage(status: &mut watch::Receiver<wire::StorageStatus>) -> wire::Response {
    wire::Response {
        request_id: 0,
        body: Some(wire::response::Body::Storage(status.borrow_and_update().clone())),
    }
}
