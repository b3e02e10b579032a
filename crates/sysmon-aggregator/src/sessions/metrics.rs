//! A simple client's stream of values, made of a subscription like any other.

use std::collections::HashMap;
use std::sync::Arc;

use sysmon_api::{ApiError, Outbound, Outgoing, series_from_wire, tick_at, tick_values, wire};
use sysmon_core::{SeriesKey, UnixMillis, from_scaled, series};
use tokio::sync::mpsc;

use super::{Leaving, Who};
use crate::aggregator::{Aggregator, stopping};
use crate::fleet::{ClientId, metric_to_wire};
use crate::message::{Command, Message, RESPONSES};

/// The only subscription of the stream.
const SUBSCRIPTION: u32 = 1;
const REQUEST: u64 = 1;

/// Streams values until the client goes. A client that is slow to read gets several values of a series at once, and
/// skips some when it is slower than the window that is kept.
///
/// # Errors
/// What is wrong with the request, or that the aggregator stops.
pub(crate) async fn stream_metrics(
    aggregator: &Aggregator,
    request: wire::MetricsRequest,
    metrics: Outbound<wire::Metric>,
) -> Result<(), ApiError> {
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
    let subscribe = wire::Subscribe {
        subscription: SUBSCRIPTION,
        machine_ids: request.machine_ids,
        metrics: request.types,
        ..wire::Subscribe::default()
    };
    aggregator
        .tell(Message::Command {
            client,
            request_id: REQUEST,
            command: Command::Subscribe(subscribe),
        })
        .await?;
    tokio::select! {
        ended = forward(aggregator, client, outgoing, &metrics) => ended,
        () = metrics.closed() => Ok(()),
        () = aggregator.shutdown.cancelled() => Err(stopping()),
    }
}

async fn forward(
    aggregator: &Aggregator,
    client: ClientId,
    mut outgoing: mpsc::Receiver<Outgoing>,
    metrics: &Outbound<wire::Metric>,
) -> Result<(), ApiError> {
    let mut known = Known::default();
    let mut values = Vec::new();
    while let Some(response) = outgoing.recv().await {
        let update = match response.into_response()?.body {
            Some(wire::response::Body::Update(update)) => update,
            Some(wire::response::Body::Failure(failure)) => {
                return Err(ApiError::invalid(failure.message));
            }
            _ => continue,
        };
        for machine in &update.machines {
            known.take(machine, &mut values)?;
            for value in values.drain(..) {
                if metrics.send(value).await.is_err() {
                    return Ok(());
                }
            }
        }
        let received = wire::UpdateReceived {
            subscription: update.subscription,
            number: update.number,
        };
        aggregator.tell(Message::Received { client, received }).await?;
    }
    Err(stopping())
}

/// What the numbers of the subscription stand for.
#[derive(Debug, Default)]
struct Known {
    machines: HashMap<u32, Machine>,
}

#[derive(Debug)]
struct Machine {
    id: Arc<str>,
    series: HashMap<u32, Series>,
    /// Whether the machine is being told anew. Its history then holds single values that may have been sent already.
    is_told_anew: bool,
}

#[derive(Debug)]
struct Series {
    key: SeriesKey,
    decimals: u8,
    /// Time and scaled value of what was sent last.
    last: Option<(UnixMillis, i64)>,
}

impl Known {
    /// Takes an update of one machine over, and puts the values that are new into `values`, oldest first per series.
    fn take(&mut self, update: &wire::MachineUpdate, values: &mut Vec<wire::Metric>) -> Result<(), ApiError> {
        if update.left {
            self.machines.remove(&update.machine);
            return Ok(());
        }
        if let Some(header) = &update.header {
            self.machines.entry(update.machine).or_insert_with(|| Machine {
                id: header.machine_id.as_str().into(),
                series: HashMap::new(),
                is_told_anew: true,
            });
        }
        let Some(machine) = self.machines.get_mut(&update.machine) else {
            return Ok(());
        };
        // What is too large for one part goes on in others, which follow from themselves.
        machine.is_told_anew &= update.sequence == update.follows_sequence;
        machine.is_told_anew |= update.replace;
        for number in &update.retired {
            machine.series.remove(number);
        }
        for definition in &update.announced {
            machine.announce(series_from_wire(definition)?);
        }
        if let Some(history) = &update.history {
            machine.take_history(history, values);
        }
        for tick in &update.ticks {
            for (number, scaled) in tick_values(tick)? {
                values.extend(machine.value(number, tick_at(tick), scaled));
            }
        }
        Ok(())
    }
}

impl Machine {
    /// Takes a series over. One that is told again, because the stream had fallen behind, keeps its last value, so
    /// that this is not sent again.
    fn announce(&mut self, (number, key, decimals): (u32, SeriesKey, u8)) {
        let before = self.series.remove(&number).filter(|before| before.key == key);
        let series = Series {
            key,
            decimals,
            last: before.and_then(|before| before.last),
        };
        self.series.insert(number, series);
    }

    fn take_history(&mut self, history: &wire::History, values: &mut Vec<wire::Metric>) {
        for column in &history.series {
            let (mut at, mut before) = (0i64, 0i64);
            for (step, code) in history.at_unix_ms_steps.iter().zip(&column.codes) {
                at = at.wrapping_add(*step);
                if let Some(scaled) = series::decode(before, *code) {
                    before = scaled;
                    // A value that is older than all that is kept comes with no time of its own.
                    let known = self.series.get(&column.series).and_then(|series| series.last);
                    if self.is_told_anew && known.is_some_and(|(_, last)| last == scaled) {
                        continue;
                    }
                    values.extend(self.value(column.series, UnixMillis(at), scaled));
                }
            }
        }
    }

    /// A value as it travels, unless it has been sent.
    fn value(&mut self, number: u32, at: UnixMillis, scaled: i64) -> Option<wire::Metric> {
        let series = self.series.get_mut(&number)?;
        if series.last.is_some_and(|(last, _)| last >= at) {
            return None;
        }
        series.last = Some((at, scaled));
        let metric = &series.key.metric;
        Some(metric_to_wire(
            &self.id,
            at,
            metric.name(),
            from_scaled(scaled, series.decimals),
            &series.key.labels,
            metric.unit().word(),
        ))
    }
}
