//! What the rule would have done.

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::render::alerts::write;
use crate::render::pen::Pen;
use crate::state::State;
use crate::state::editor::{Editor, Report, TRIAL_MS, Trial};
use crate::state::past::Keeping;
use crate::words;

/// Draws one line or two.
pub(super) fn report(pen: &mut Pen<'_>, area: Rect, editor: &Editor, state: &State) {
    let (text, quiet, warning) = (pen.theme.text(), pen.theme.quiet(), pen.theme.warning());
    let range = words::duration(TRIAL_MS);
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    match (&editor.trial, &editor.report) {
        (Trial::Failed(reason), _) => {
            lines.push(vec![(format!("not to be played on the past: {reason}"), warning)]);
        }
        (Trial::None, _) if state.past.keeping == Keeping::NotKept => {
            let why = "no history is kept here: the rule cannot be played on the past";
            lines.push(vec![(why.into(), quiet)]);
        }
        (Trial::None, None) => {
            lines.push(vec![("not played on the past: no connection".into(), quiet)]);
        }
        (_, None) => lines.push(vec![(format!("playing it on the last {range}…"), quiet)]),
        (trial, Some(report)) => {
            // Numbers of the draft before stay while the next ones are awaited, and say so.
            let is_current = *trial == Trial::Done;
            let style = if is_current { text } else { quiet };
            let suffix = match trial {
                Trial::Done => "",
                Trial::None => " (before the change)",
                _ => " (counting…)",
            };
            let room = area.width.saturating_sub(2 + pen.cells(suffix));
            let mut here = here(pen, editor, report, (&range, room), style);
            here.push((suffix.into(), quiet));
            lines.push(here);
            lines.push(vec![(everywhere(editor, report, &range), quiet)]);
        }
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        write(pen, area.x + 1, y, area.width.saturating_sub(2), &line);
    }
}

fn times(count: u64) -> String {
    match count {
        0 => "not at all".into(),
        1 => "once".into(),
        _ => format!("{count} times"),
    }
}

/// On the machine of the chart.
fn here(
    pen: &Pen<'_>,
    editor: &Editor,
    report: &Report,
    (range, room): (&str, u16),
    style: Style,
) -> Vec<(String, Style)> {
    let Some(machine) = editor.machine.as_deref() else {
        return vec![(everywhere(editor, report, range), style)];
    };
    let (count, longest_ms, lasting) = report.summary_of(machine);
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    // Only the first thousand are listed: there may be more of this machine.
    let at_least = if usize::try_from(report.count).is_ok_and(|all| all > report.episodes.len()) {
        "at least "
    } else {
        ""
    };
    let short = format!("{at_least}{} in {range}", times(count));
    let longest = if count > 0 {
        format!(", longest {}", words::duration(longest_ms))
    } else {
        String::new()
    };
    let full = format!("would have fired {short} on {machine}");
    let now = lasting.map(|severity| (format!("  now: {}", severity.word()), severity));
    let taken = now.as_ref().map_or(0, |(now, _)| pen.cells(now));
    let wordings = [
        format!("{full}{longest}"),
        full,
        format!("{short}{longest}"),
        short.clone(),
    ];
    let fits = |text: &String| pen.cells(text).saturating_add(taken) <= room;
    let text = wordings.into_iter().find(fits).unwrap_or(short);
    let mut pieces = vec![(text, style)];
    pieces.extend(now.map(|(now, severity)| (now, pen.theme.severity(severity))));
    pieces
}

/// On all machines that the rule applies to.
fn everywhere(editor: &Editor, report: &Report, range: &str) -> String {
    let machines = match report.machine_count {
        0 => return format!("no machine that it applies to has a past in the last {range}"),
        1 => "one machine".to_owned(),
        count => format!("all {count} machines"),
    };
    let mut text = format!("{} on {machines}", times(report.count.into()));
    if report.count > 0 {
        text.push_str(&format!(", longest {}", words::duration(report.longest_ms)));
    }
    if report.step_ms > 0 && report.step_ms > editor.draft.hold_ms.max(1) {
        let step = words::duration(report.step_ms);
        text.push_str(&format!(
            "; played on roll-ups of {step}, so shorter peaks are not seen"
        ));
    }
    text
}
