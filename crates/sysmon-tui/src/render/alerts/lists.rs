//! Lists over the view: silences, receivers, and notifications that did not reach them.

use ratatui::layout::Rect;

use crate::render::overlay::{Line, selectable};
use crate::render::pen::Pen;
use crate::state::alerts::Watching;
use crate::state::alerts::board::DeliveryState;
use crate::state::{Link, State};
use crate::words;

/// Why nothing is known of silences and receivers, when nothing is: an empty list is not that.
fn unknown(pen: &Pen<'_>, state: &State) -> Option<String> {
    let loading = pen.pick("loading…", "loading...");
    match &state.alerts.watching {
        Watching::Ready => None,
        Watching::Unknown if state.link != Link::Live => Some("no connection: nothing is known yet".into()),
        Watching::Unknown | Watching::Loading => Some(loading.into()),
        Watching::NotKept => Some("this aggregator keeps no rules and no alerts".into()),
        Watching::Refused(reason) => Some(format!("the aggregator does not tell of alerts: {reason}")),
    }
}

/// Draws the silences; line `at` is selected.
pub(in crate::render) fn silences(pen: &mut Pen<'_>, screen: Rect, state: &State, at: u16) {
    let now = state.aggregator_now();
    let board = &state.alerts.board;
    let lines: Vec<Line> = board
        .silences()
        .iter()
        .map(|silence| {
            let left = words::duration(silence.until.since_ms(now));
            let what = words::alerts::silence(board, silence);
            let until = words::moment(state, silence.until, now);
            let why = if silence.comment.is_empty() {
                String::new()
            } else {
                format!(": {}", silence.comment)
            };
            Line::new(
                &format!("{left} left"),
                &format!("{what}, until {until}, {}{why}", silence.by),
            )
        })
        .collect();
    let empty = unknown(pen, state);
    let empty = empty.unwrap_or_else(|| "nothing is silenced; S on an alert makes a silence".into());
    selectable(
        pen,
        screen,
        " Silences ",
        &lines,
        at,
        &empty,
        " d ends one, Esc closes ",
    );
}

/// Draws receivers, then deliveries; line `at` is selected.
pub(in crate::render) fn deliveries(pen: &mut Pen<'_>, screen: Rect, state: &State, at: u16) {
    let now = state.aggregator_now();
    let board = &state.alerts.board;
    let waiting = |receiver: &str| {
        let of_it = board.deliveries().iter();
        of_it.filter(|delivery| delivery.receiver == receiver).count()
    };
    let mut lines: Vec<Line> = board
        .receivers()
        .iter()
        .map(|receiver| match waiting(receiver) {
            0 => Line::new(receiver, "receiver, nothing failed"),
            count => Line::new(receiver, &format!("receiver, {count} not delivered")),
        })
        .collect();
    lines.extend(board.deliveries().iter().map(|delivery| {
        let state_words = match delivery.state {
            DeliveryState::Dead if delivery.attempts == 1 => "given up at once".into(),
            DeliveryState::Dead => format!("given up, {} attempts", delivery.attempts),
            DeliveryState::Waiting if delivery.attempts == 0 => "waits".into(),
            DeliveryState::Waiting => {
                let due = words::moment(state, delivery.due, now);
                format!("attempt {} at {due}", delivery.attempts.saturating_add(1))
            }
        };
        let created = words::moment(state, delivery.created, now);
        let problem = if delivery.problem.is_empty() {
            String::new()
        } else {
            format!(": {}", delivery.problem)
        };
        let text = format!("{state_words}{problem}; {created} {}", delivery.summary);
        Line::new(&format!("  {}", delivery.receiver), &text)
    }));
    let empty = unknown(pen, state).unwrap_or_else(|| {
        "no receiver is set up: nobody is told; see [alerts] in the settings of the alert service".into()
    });
    selectable(
        pen,
        screen,
        " Notifications ",
        &lines,
        at,
        &empty,
        " R resends, T tests, Esc closes ",
    );
}
