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
    let failed = |receiver: &str| {
        let of_it = board.deliveries().iter();
        of_it
            .filter(|delivery| delivery.receiver == receiver && delivery.has_failed())
            .count()
    };
    let mut lines: Vec<Line> = board
        .receivers()
        .iter()
        .map(|receiver| match failed(receiver) {
            0 => Line::new(receiver, "nothing undelivered"),
            count => Line::new(receiver, &format!("{count} not delivered")),
        })
        .collect();
    let between = pen.pick(" · ", "; ");
    lines.extend(board.deliveries().iter().map(|delivery| {
        let due = words::moment(state, delivery.due, now);
        let how = match delivery.state {
            DeliveryState::Dead if delivery.attempts == 1 => "given up at once".into(),
            DeliveryState::Dead => format!("given up after {} tries", delivery.attempts),
            DeliveryState::Waiting if delivery.attempts == 0 => format!("sent at {due}"),
            DeliveryState::Waiting => {
                format!("tries again {due} ({})", nth(delivery.attempts.saturating_add(1)))
            }
        };
        let since = format!("since {}", words::moment(state, delivery.created, now));
        let parts = [how.as_str(), &since, &delivery.problem, &delivery.summary];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Line::new(&format!("  {}", delivery.receiver), &parts.join(between))
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

/// `1st`, `2nd`, `3rd`, `4th`, … `11th`, … `21st`.
fn nth(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, last) if last != 11 => "st",
        (2, last) if last != 12 => "nd",
        (3, last) if last != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::nth;

    #[test]
    fn tries_are_counted_as_people_count() {
        let counted = [1, 2, 3, 7, 11, 12, 13, 21, 102, 111].map(nth);
        let wanted = [
            "1st", "2nd", "3rd", "7th", "11th", "12th", "13th", "21st", "102nd", "111th",
        ];
        assert_eq!(counted, wanted);
    }
}
