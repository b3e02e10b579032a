//! Commands of the past.

use super::{char, plain, row};
use crate::command::{Command, CommandDefinition, Context};
use crate::key::{Key, KeyCode};

const fn control(code: KeyCode) -> Key {
    Key { code, control: true }
}

pub(super) const ROWS: &[CommandDefinition] = &[
    row(
        Command::StepBack,
        Context::Past,
        keys!([char(',')]),
        "back",
        "a step back: a column of the charts, 10 s in the fleet",
    ),
    row(
        Command::StepForward,
        Context::Past,
        keys!([char('.')]),
        "on",
        "a step forward",
    ),
    row(
        Command::PreviousMark,
        Context::Past,
        keys!([char('<')]),
        "event",
        "to the alert, reboot or gap before",
    ),
    row(
        Command::NextMark,
        Context::Past,
        keys!([char('>')]),
        "",
        "to the alert, reboot or gap after",
    ),
    row(
        Command::Play,
        Context::Past,
        keys!([char('p')]),
        "play",
        "play, and pause",
    ),
    row(
        Command::Speed,
        Context::Past,
        keys!([char('P')]),
        "speed",
        "play at 1, 10 or 60 times the speed",
    ),
    row(
        Command::Now,
        Context::Past,
        keys!([plain(KeyCode::Escape)]),
        "now",
        "back to now, exactly where you were",
    ),
    row(
        Command::LeapBack,
        Context::Past,
        keys!([control(KeyCode::Left)]),
        "",
        "ten steps back (Shift-Left too)",
    ),
    row(
        Command::LeapForward,
        Context::Past,
        keys!([control(KeyCode::Right)]),
        "",
        "ten steps forward (Shift-Right too)",
    ),
    row(
        Command::Past,
        Context::Fleet,
        keys!([char('t')]),
        "past",
        "show the past: a minute ago; again to name a moment",
    ),
    row(
        Command::Past,
        Context::HeatMap,
        keys!([char('t')]),
        "past",
        "show the past: a minute ago; again to name a moment",
    ),
    row(
        Command::Past,
        Context::Alerts,
        keys!([char('t')]),
        "",
        "show the past: a minute ago; again to name a moment",
    ),
    row(
        Command::Compare,
        Context::Machine,
        keys!([char('C')]),
        "compare",
        "compare the charts with yesterday, last week, or not",
    ),
    row(
        Command::GoToMoment,
        Context::Anywhere,
        keys!([char('g'), char('t')]),
        "",
        "go to a moment: 3m ago, 14:05, yesterday 14:00",
    ),
];
