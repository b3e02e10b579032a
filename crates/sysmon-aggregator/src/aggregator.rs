//! The aggregator from outside: a handle that serves streams, and the task behind it.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use sysmon_api::{
    ApiError, Backend, CAPABILITY_ALERTS, CAPABILITY_BURST, CAPABILITY_FILTER, CAPABILITY_HISTORY,
    CAPABILITY_PAST, CAPABILITY_PROCESSES, CAPABILITY_WINDOWS, Inbound, Outbound, Outgoing, Principal,
    hello_with, wire,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::alerts::{self, Alerts};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::counters::{Counters, Figures};
use crate::durable::{Durable, StatusBoard, Work};
use crate::fleet::Fleet;
use crate::message::Message;
use crate::mirror::{self, Sharing};
use crate::recall;
use crate::sessions::{self, Archive};
use crate::stores::Stores;
use crate::task::Owner;

/// A running aggregator. Serve it with `sysmon_api`; every stream becomes a session that talks to the one task that
/// owns the fleet.
#[derive(Debug)]
pub struct Aggregator {
    pub(crate) owner: mpsc::Sender<Message>,
    pub(crate) clock: Clock,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: StatusBoard,
    /// The way into history, and the way to ask it; none where none is kept.
    pub(crate) durable: Option<Durable>,
    pub(crate) archive: Option<Arc<Archive>>,
    /// There may be other aggregators, which are told what happens here.
    pub(crate) is_shared: bool,
    /// The way to rules and alerts; none where none are kept.
    pub(crate) alerts: Option<Arc<Alerts>>,
    counters: Arc<Counters>,
    /// Ends what would otherwise go on without the aggregator.
    _over: DropGuard,
}

impl Aggregator {
    /// An aggregator and the future that does its work, for whoever wants to decide where that runs. The future ends
    /// when `shutdown` is cancelled or the aggregator is dropped; streams then end with `UNAVAILABLE`, so that
    /// collectors and clients come back by themselves. What waits to be stored then is stored first, for up to a second.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong with the configuration.
    pub fn new(
        config: Config,
        clock: Clock,
        stores: Stores,
        shutdown: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), ConfigError> {
        config.validate()?;
        let counters = Arc::new(Counters::default());
        let (owner, inbox) = mpsc::channel(config.queue_capacity);
        let status = StatusBoard::new(clock);
        let (sharing, telling) = Sharing::new(&stores, &status, &counters, shutdown.clone()).unzip();
        let recall = stores
            .history
            .clone()
            .map(|history| recall::run(history, clock, owner.downgrade(), shutdown.clone()));
        let archive = stores.history.clone().map(Archive::new).map(Arc::new);
        let over = shutdown.child_token();
        let (alerts, keeping) = alerts::start(&stores, clock, owner.downgrade(), over.clone()).unzip();
        let (durable, writing) = stores
            .history
            .map(|history| {
                let board = alerts.as_ref().map(|alerts| alerts.watch());
                Durable::new(
                    &config,
                    clock,
                    history,
                    &status,
                    &counters,
                    board,
                    shutdown.clone(),
                )
            })
            .unzip();
        let fleet = Fleet::new(config, Arc::clone(&counters));
        let is_shared = sharing.is_some();
        let task = Owner::new(
            fleet,
            Arc::clone(&counters),
            clock,
            inbox,
            sharing,
            durable
                .as_ref()
                .map(|durable: &Durable| durable.snapshots.clone()),
            shutdown.clone(),
        );
        let aggregator = Self {
            owner,
            clock,
            shutdown,
            status,
            durable,
            archive,
            is_shared,
            alerts,
            counters,
            _over: over.drop_guard(),
        };
        let work = async move {
            // As tasks of their own: a store's work is not to hold up the fleet's.
            let mut tasks = writing.map(Work::spawn).unwrap_or_default();
            recall.map(|recall| tasks.spawn(recall));
            keeping.map(|keeper| tasks.spawn(keeper.run()));
            let shared = telling.map(mirror::Work::spawn).unwrap_or_default();
            tokio::join!(task.run(), ended(tasks), ended(shared));
        };
        Ok((aggregator, work))
    }

    /// Starts an aggregator on the present runtime, with the system's clock.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong with the configuration.
    pub fn spawn(
        config: Config,
        stores: Stores,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, ConfigError> {
        let (aggregator, task) = Self::new(config, Clock::system(), stores, shutdown)?;
        tokio::spawn(task);
        Ok(Arc::new(aggregator))
    }

    /// What this aggregator says of itself at the beginning of a stream.
    pub(crate) fn hello(&self) -> wire::PeerHello {
        let history = self.durable.as_ref().map(|_| CAPABILITY_HISTORY);
        let alerts = self.alerts.as_ref().map(|_| CAPABILITY_ALERTS);
        let past = self.archive.as_ref().map(|_| CAPABILITY_PAST);
        let kept = history.into_iter().chain(past).chain(alerts);
        let always = [
            CAPABILITY_BURST,
            CAPABILITY_FILTER,
            CAPABILITY_WINDOWS,
            CAPABILITY_PROCESSES,
        ];
        let capabilities: Vec<_> = always.into_iter().chain(kept).collect();
        hello_with(self.clock.now().unix, &capabilities)
    }

    /// The way to rules.
    fn rules(&self) -> Result<&Arc<Alerts>, ApiError> {
        self.alerts.as_ref().ok_or_else(alerts::nothing_kept)
    }

    /// For what sessions count.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What happened since the start.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.counters.read()
    }

    /// Sends the owner a message, waiting while its queue is full.
    ///
    /// # Errors
    /// [`sysmon_api::Code::Unavailable`] when the aggregator stops.
    pub(crate) async fn tell(&self, message: Message) -> Result<(), ApiError> {
        self.owner.send(message).await.map_err(|_| stopping())
    }

    /// Asks the owner something.
    ///
    /// # Errors
    /// What the owner says, or [`sysmon_api::Code::Unavailable`] when the aggregator stops.
    pub(crate) async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, ApiError>>) -> Message,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(reply)).await?;
        answer.await.map_err(|_| stopping())?
    }
}

/// Waits for the tasks behind the aggregator, which end by themselves when it does.
async fn ended(mut tasks: JoinSet<()>) {
    while let Some(result) = tasks.join_next().await {
        if let Err(error) = result {
            tracing::error!(%error, "a task of the aggregator failed; report this");
        }
    }
}

/// Why streams end when the aggregator does.
pub(crate) fn stopping() -> ApiError {
    ApiError::unavailable("the aggregator is stopping; connect again")
}

#[async_trait]
impl Backend for Aggregator {
    async fn push(
        &self,
        principal: Principal,
        requests: Inbound<wire::PushRequest>,
        responses: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError> {
        sessions::push(self, &principal, requests, responses).await
    }

    async fn manage(
        &self,
        principal: Principal,
        commands: Inbound<wire::Command>,
        responses: Outbound<Outgoing>,
    ) -> Result<(), ApiError> {
        sessions::manage(self, &principal, commands, responses).await
    }

    async fn stream_metrics(
        &self,
        _principal: Principal,
        request: wire::MetricsRequest,
        metrics: Outbound<wire::Metric>,
    ) -> Result<(), ApiError> {
        sessions::stream_metrics(self, request, metrics).await
    }

    async fn current_state(
        &self,
        _principal: Principal,
        request: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError> {
        self.ask(|reply| Message::State {
            machine_id: request.machine_id,
            reply,
        })
        .await
    }

    async fn history(
        &self,
        _principal: Principal,
        request: wire::HistoryRequest,
    ) -> Result<wire::HistoryReply, ApiError> {
        sessions::history(self, &request).await
    }

    async fn list_rules(&self, _principal: Principal) -> Result<wire::ListRulesReply, ApiError> {
        self.rules()?.list_rules().await
    }

    async fn put_rule(
        &self,
        principal: Principal,
        request: wire::PutRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        self.rules()?.put_rule(&principal, request).await
    }

    async fn delete_rule(
        &self,
        principal: Principal,
        request: wire::DeleteRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        self.rules()?.delete_rule(&principal, request).await
    }

    async fn list_audit(
        &self,
        _principal: Principal,
        request: wire::ListAuditRequest,
    ) -> Result<wire::ListAuditReply, ApiError> {
        self.rules()?.list_audit(request).await
    }
}
