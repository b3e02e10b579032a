//! Streams of clients, and what they command.

use sysmon_api::{ApiError, Code};
use sysmon_core::MachineId;

use super::machine::INTERVAL_MS;
use super::{ClientId, Fleet, Moment, StreamId};

/// The most subscriptions of one stream.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 8;

/// One client's stream.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The client's number of each subscription with our index.
    pub(super) subscriptions: Vec<(u32, usize)>,
}

impl Fleet {
    /// Lets a client in.
    ///
    /// # Errors
    /// [`Code::ResourceExhausted`] when there are too many.
    pub fn open_client(&mut self) -> Result<ClientId, ApiError> {
        if self.clients.len() >= self.config.clients_max {
            self.counters.refused_clients.add(1);
            return Err(ApiError::new(
                Code::ResourceExhausted,
                format!(
                    "{} clients are connected already; close one or raise the limit",
                    self.clients.len()
                ),
            ));
        }
        self.next_serial += 1;
        let client = ClientId(self.next_serial);
        self.clients.insert(client, Client::default());
        Ok(client)
    }

    /// Lets a client go with all its subscriptions; nothing happens when it is gone already.
    pub fn close_client(&mut self, client: ClientId) {
        while let Some((number, _)) = self
            .clients
            .get(&client)
            .and_then(|client| client.subscriptions.first().copied())
        {
            self.remove_subscription(client, number);
        }
        self.clients.remove(&client);
        self.end_leases_of(client);
    }

    /// Asks a machine's collector for another interval, until its stream ends; 0 for its own setting.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] beyond 100 ms to 1 h, [`Code::NotFound`] for an unknown machine,
    /// [`Code::FailedPrecondition`] when it is not connected.
    pub fn set_interval(&mut self, machine_id: &str, interval_ms: u32, now: Moment) -> Result<(), ApiError> {
        if interval_ms != 0 && !INTERVAL_MS.contains(&interval_ms) {
            return Err(ApiError::invalid(format!(
                "an interval of {interval_ms} ms; give 100 to 3600000, or 0 for the collector's own"
            )));
        }
        let number = self.find(machine_id)?;
        let Some(collector) = &mut self.machines[number as usize].collector else {
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{machine_id} is not connected; try again when it is"),
            ));
        };
        collector.wanted_interval_ms = interval_ms;
        collector.wanted_unix_ms = now.unix.0;
        self.redirect(number);
        Ok(())
    }

    /// The number of a machine.
    ///
    /// # Errors
    /// [`Code::NotFound`] with what to do.
    /// The stream of ours that reports for a machine, to ask its collector something.
    ///
    /// # Errors
    /// [`Code::NotFound`] for an unknown machine, [`Code::Unavailable`] when it is not connected,
    /// [`Code::FailedPrecondition`] when it is connected to another aggregator.
    pub(crate) fn asked_stream(&self, machine_id: &str) -> Result<StreamId, ApiError> {
        let number = self.find(machine_id)?;
        let machine = &self.machines[number as usize];
        let Some(collector) = &machine.collector else {
            return Err(ApiError::unavailable(format!(
                "{} is not connected; try again when it is",
                machine.id
            )));
        };
        if collector.is_remote {
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "{} reports to another aggregator; connect to that one",
                    machine.id
                ),
            ));
        }
        Ok(StreamId {
            machine: number,
            serial: collector.serial,
        })
    }

    pub(super) fn find(&self, machine_id: &str) -> Result<u32, ApiError> {
        let known = MachineId::parse(machine_id)
            .ok()
            .and_then(|id| self.by_id.get(&id).copied());
        known.ok_or_else(|| {
            let shown: String = sysmon_core::sanitize(machine_id).chars().take(128).collect();
            ApiError::new(
                Code::NotFound,
                format!("no machine {shown:?} has reported; check the id and whether its collector runs"),
            )
        })
    }
}
