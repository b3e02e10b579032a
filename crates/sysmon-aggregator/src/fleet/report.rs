//! What collectors say, checked and bounded, in the form that the fleet takes over.

use std::sync::Arc;

use sysmon_api::{
    ApiError, CAPABILITY_PROCESSES, Code, Principal, check_peer, host_from_wire, series_from_wire,
    tick_values, wire,
};
use sysmon_core::{Epoch, HostInfo, MachineId, ProcessTable, Recent, SeriesKey, UnixMillis};

/// The most values of one tick; no machine has more series than a sixteenth of that.
pub(crate) const VALUES_MAX: usize = 65_536;

/// How a collector introduces itself.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Which machine it reports for.
    pub machine: MachineId,
    /// 16 random bytes of the running process.
    pub instance: [u8; 16],
    /// One life of its batch numbers.
    pub epoch: Epoch,
    /// The machine.
    pub host: HostInfo,
    /// Time between base ticks.
    pub interval_ms: u32,
    /// Whether it answers questions about its processes.
    pub answers_questions: bool,
}

impl Hello {
    /// Checks an introduction.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] for a peer of another version, [`Code::PermissionDenied`] when `principal` may not
    /// report for the machine, [`Code::InvalidArgument`] for anything malformed.
    pub fn check(hello: &wire::CollectorHello, principal: &Principal) -> Result<Self, ApiError> {
        check_peer(hello.peer.as_ref())?;
        let machine =
            MachineId::parse(&hello.machine_id).map_err(|error| ApiError::invalid(error.to_string()))?;
        if !principal.may_report(&machine) {
            return Err(ApiError::new(
                Code::PermissionDenied,
                format!(
                    "{} may not report for {machine}; use a token with the role agent that is bound to it",
                    principal.name
                ),
            ));
        }
        let instance = hello.instance.as_slice().try_into().map_err(|_| {
            ApiError::invalid(format!(
                "instance has {} bytes; send exactly 16 random bytes",
                hello.instance.len()
            ))
        })?;
        Ok(Self {
            machine,
            instance,
            epoch: Epoch::parse(&hello.epoch).map_err(|error| ApiError::invalid(error.to_string()))?,
            host: hello.host.as_ref().map(host_from_wire).unwrap_or_default(),
            interval_ms: hello.interval_ms,
            answers_questions: hello
                .peer
                .as_ref()
                .is_some_and(|peer| peer.capabilities.iter().any(|word| word == CAPABILITY_PROCESSES)),
        })
    }
}

/// One tick of one machine.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Its number within the epoch.
    pub sequence: u64,
    /// Whether it is of a burst: values for those who look just now, under no number.
    pub is_burst: bool,
    /// Series that are no more, by the stream's numbers.
    pub retired: Vec<u32>,
    /// New series: the stream's number, key and decimals.
    pub announced: Vec<(u32, SeriesKey, u8)>,
    /// How many announced series were left out because they are malformed.
    pub refused_series: usize,
    /// When it was measured, and scaled values by the stream's numbers, ascending.
    pub tick: Option<(UnixMillis, Vec<(u32, i64)>)>,
    /// How the process list changed.
    pub processes: Option<wire::ProcessUpdate>,
    /// The machine, when something about it changed.
    pub host: Option<HostInfo>,
    /// Time between base ticks, when it changed.
    pub interval_ms: Option<u32>,
    /// The same as it came, for other aggregators; none where there are none.
    pub source: Option<Arc<wire::Batch>>,
}

impl Batch {
    /// Whether a batch is of a burst: values under no number, and nothing that lasts.
    #[must_use]
    pub fn is_of_burst(batch: &wire::Batch) -> bool {
        batch.sequence == 0 && batch.tick.is_some() && batch.host.is_none() && batch.announced.is_empty()
    }

    /// Checks a batch. A malformed series is left out and counted; everything else goes on without it.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when the batch contradicts itself or is larger than any machine's.
    pub fn check(batch: wire::Batch) -> Result<Self, ApiError> {
        let bound = |what: &str, count: usize, most: usize| {
            if count > most {
                Err(ApiError::invalid(format!(
                    "a batch has {count} {what}; at most {most} are taken, split it"
                )))
            } else {
                Ok(())
            }
        };
        bound("new series", batch.announced.len(), Recent::SERIES_LIMIT)?;
        bound("retired series", batch.retired.len(), Recent::SERIES_LIMIT)?;
        if let Some(processes) = &batch.processes {
            bound("processes", processes.changed.len(), ProcessTable::LIMIT)?;
            bound("ended processes", processes.removed.len(), ProcessTable::LIMIT)?;
        }
        let tick = match &batch.tick {
            None => None,
            Some(tick) => {
                bound("values", tick.values.len(), VALUES_MAX)?;
                Some((sysmon_api::tick_at(tick), tick_values(tick)?))
            }
        };
        let announced: Vec<_> = batch
            .announced
            .iter()
            .filter_map(|definition| series_from_wire(definition).ok())
            .collect();
        Ok(Self {
            sequence: batch.sequence,
            is_burst: Self::is_of_burst(&batch),
            refused_series: batch.announced.len() - announced.len(),
            retired: batch.retired,
            announced,
            tick,
            processes: batch.processes,
            host: batch.host.as_ref().map(host_from_wire),
            interval_ms: Some(batch.interval_ms).filter(|interval_ms| *interval_ms != 0),
            source: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_api::Role;

    fn agent(machine: &str) -> Principal {
        Principal {
            name: "token a".into(),
            role: Role::Agent,
            machine: Some(MachineId::parse(machine).unwrap()),
        }
    }

    fn hello() -> wire::CollectorHello {
        wire::CollectorHello {
            peer: Some(sysmon_api::hello(UnixMillis(0))),
            machine_id: "web-1".into(),
            instance: vec![1; 16],
            epoch: vec![2; 16],
            host: None,
            interval_ms: 1_000,
            spool_is_new: false,
        }
    }

    #[test]
    fn an_agent_speaks_for_its_own_machine_only() {
        assert!(Hello::check(&hello(), &agent("web-1")).is_ok());
        let error = Hello::check(&hello(), &agent("web-2")).unwrap_err();
        assert_eq!(error.code, Code::PermissionDenied);
    }

    #[test]
    fn a_malformed_introduction_is_refused_with_a_reason() {
        let break_it: [fn(&mut wire::CollectorHello); 4] = [
            |hello| hello.peer = None,
            |hello| hello.machine_id = "a/../b".into(),
            |hello| hello.instance.truncate(15),
            |hello| hello.epoch.clear(),
        ];
        for broken in break_it {
            let mut hello = hello();
            broken(&mut hello);
            let error = Hello::check(&hello, &agent("web-1")).unwrap_err();
            assert_eq!(error.code, Code::InvalidArgument, "{error}");
        }
    }

    #[test]
    fn an_oversized_batch_is_refused_and_a_bad_series_only_left_out() {
        let huge = wire::Batch {
            retired: vec![1; 5_000],
            ..Default::default()
        };
        assert!(Batch::check(huge).is_err());
        let uneven = wire::Batch {
            tick: Some(wire::Tick {
                series_steps: vec![1, 2],
                values: vec![1],
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(Batch::check(uneven).is_err());
        let bad_name = wire::Batch {
            announced: vec![wire::SeriesDefinition {
                metric: "a b".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(Batch::check(bad_name).unwrap().refused_series, 1);
    }
}
