//! What is asked of the aggregator for the fleet, and when.

use sysmon_api::{CAPABILITY_WINDOWS, wire};
use sysmon_core::UnixMillis;

use crate::event::Effect;
use crate::state::fleet::FleetColumn;
use crate::state::fleet::window::Wanted;
use crate::state::{Link, PromptKind, State};
use crate::update::notify;

/// No two subscriptions of the fleet are closer than this, however fast somebody scrolls.
const ASK_EVERY_MS: u64 = 100;
/// A filter that is being typed is asked for when the typing rests.
const TYPING_MS: u64 = 200;
/// So is what another size of the terminal needs.
const RESIZING_MS: u64 = 250;
/// How much of what was before it a moment of the past brings.
const WHOLE_PAST_MS: u32 = 300_000;

/// A connection stands: what the aggregator can, and the first subscription.
pub(in crate::update) fn connected(state: &mut State, capabilities: &[String]) -> Effect {
    let feed = &mut state.fleet_table.feed;
    feed.has_windows = capabilities.iter().any(|word| word == CAPABILITY_WINDOWS);
    feed.sent = None;
    subscribe(state)
}

/// The connection is gone.
pub(in crate::update) fn disconnected(state: &mut State) {
    let table = &mut state.fleet_table;
    table.marks.is_asking = false;
    let open = table.marks.bulk.abandon();
    table.feed.pending = None;
    if open > 0 {
        notify(
            state,
            format!("the connection broke: {open} intervals may not have been changed"),
        );
    }
}

/// Every machine with what the table shows at least: for the past, which is asked for as a whole.
pub(in crate::update) fn whole_fleet() -> wire::command::Body {
    let metrics = FleetColumn::SORTS
        .iter()
        .filter_map(|(column, ..)| column.metric());
    let wanted = Wanted {
        filter: String::new(),
        rows: None,
        metrics: metrics.collect(),
        past: [FleetColumn::CPU, FleetColumn::MEMORY]
            .into_iter()
            .filter_map(FleetColumn::metric)
            .collect(),
        period_ms: 1_000,
    };
    wire::command::Body::Subscribe(wire::Subscribe {
        history_ms: WHOLE_PAST_MS,
        ..wanted.subscribe()
    })
}

/// The subscription for what is on screen now.
pub(in crate::update) fn subscribe(state: &mut State) -> Effect {
    let wanted = wanted(state);
    let feed = &mut state.fleet_table.feed;
    let body = wanted.subscribe();
    feed.sent = Some(wanted);
    feed.sent_at = state.now;
    feed.pending = None;
    Effect::Send(wire::command::Body::Subscribe(body))
}

fn wanted(state: &State) -> Wanted {
    // The rows of the table, whatever view is on screen now; headings, two bars.
    let rows = usize::from(state.height.saturating_sub(3));
    let is_slow = state.console.is_slow;
    state.fleet_table.wanted(&state.fleet, rows, state.width, is_slow)
}

/// Asks anew when something else is on screen than what was asked for.
pub(in crate::update) fn poll(state: &mut State) -> Vec<Effect> {
    if state.link != Link::Live || state.fleet_table.feed.sent.is_none() {
        return Vec::new();
    }
    let wanted = wanted(state);
    let now = state.now;
    let is_typing = matches!(
        state.prompt.as_ref().map(|prompt| &prompt.kind),
        Some(PromptKind::Machines)
    );
    let feed = &mut state.fleet_table.feed;
    if feed.sent.as_ref() == Some(&wanted) {
        feed.pending = None;
        return Vec::new();
    }
    let since = match &feed.pending {
        Some((pending, since)) if *pending == wanted => *since,
        // Rows that move on as somebody scrolls do not begin to wait anew each time.
        Some((pending, since)) if wanted.is_scroll_of(pending) => *since,
        _ => now,
    };
    let delay_ms = delay_ms(feed.sent.as_ref(), &wanted, is_typing);
    let due = since
        .plus_ms(i64::try_from(delay_ms).unwrap_or(0))
        .max(feed.sent_at.plus_ms(i64::try_from(ASK_EVERY_MS).unwrap_or(0)));
    if now < due {
        feed.pending = Some((wanted, since));
        return Vec::new();
    }
    vec![subscribe(state)]
}

fn delay_ms(sent: Option<&Wanted>, wanted: &Wanted, is_typing: bool) -> u64 {
    match sent {
        Some(sent) if wanted.is_scroll_of(sent) => 0,
        Some(sent) if sent.filter != wanted.filter && is_typing => TYPING_MS,
        // All machines instead of some rows is the person's wish; other columns may be another size of the screen.
        Some(sent) if sent.rows.is_some() != wanted.rows.is_some() => 0,
        Some(sent) if sent.metrics != wanted.metrics || sent.past != wanted.past => RESIZING_MS,
        _ => 0,
    }
}

/// When the next subscription is due.
pub(in crate::update) fn wakes_at(state: &State) -> Option<UnixMillis> {
    let feed = &state.fleet_table.feed;
    let (wanted, since) = feed.pending.as_ref()?;
    if state.link != Link::Live {
        return None;
    }
    let is_typing = state.prompt.is_some();
    let delay_ms = delay_ms(feed.sent.as_ref(), wanted, is_typing);
    let due = since.plus_ms(i64::try_from(delay_ms).unwrap_or(0));
    Some(due.max(feed.sent_at.plus_ms(i64::try_from(ASK_EVERY_MS).unwrap_or(0))))
}
