//! Where each tab is in the line at the top.

use ratatui::layout::Rect;
use sysmon_core::{clip, display_width, format_age};

use super::{Condition, Heading};
use crate::words;

/// A tab in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which tab, from 0.
    pub(crate) index: usize,
    pub(crate) area: Rect,
    /// Its name, as much of it as there is room for.
    pub(crate) name: String,
    /// What is said after the mark: how many, or for how long.
    pub(crate) note: String,
}

/// No name is cut shorter than this; where that is not short enough, none is told at all.
const NAME_LEAST: usize = 3;
/// So much is told of the name of the tab on screen as long as there is room for all tabs.
const OWN_NAME: usize = 16;

/// What is said after the mark.
fn note(condition: Condition) -> String {
    match condition {
        Condition::Unknown | Condition::Well => String::new(),
        Condition::Down { is_refused: true, .. } => "refused".to_owned(),
        Condition::Down { seconds, .. } => format!("lost {}", format_age(seconds.saturating_mul(1_000))),
        Condition::Machines { count, .. } | Condition::Alerts(count) => words::count(count),
    }
}

/// Cells of a tab whose name takes so many: a blank, its number, the name, the mark with its note, a blank.
fn width(number: usize, name: usize, note: &str) -> usize {
    let name = if name == 0 { 0 } else { name + 1 };
    1 + number.to_string().len() + 1 + name + 1 + display_width(note) + 1
}

/// The tabs that have room. Names are cut, the longest first, before any tab is left out; the one on screen is never.
pub(crate) fn places(area: Rect, headings: &[Heading], shown: usize) -> Vec<Place> {
    let notes: Vec<String> = headings.iter().map(|heading| note(heading.condition)).collect();
    let room = usize::from(area.width);
    // The longest that a name may be when those of other tabs may be so long.
    let most = |index: usize, (longest, own): (usize, usize)| {
        if index == shown { longest.max(own) } else { longest }
    };
    let widths = |longest: (usize, usize)| -> Vec<usize> {
        let tabs = headings.iter().zip(&notes).enumerate();
        tabs.map(|(index, (heading, note))| {
            let name = display_width(&heading.name).min(most(index, longest));
            width(index + 1, name, note)
        })
        .collect()
    };
    let longest = headings.iter().map(|heading| display_width(&heading.name)).max();
    let longest = (NAME_LEAST..=longest.unwrap_or(0).max(NAME_LEAST)).rev();
    let longest = longest
        .map(|longest| (longest, OWN_NAME))
        .chain([(0, OWN_NAME), (0, NAME_LEAST)])
        .find(|longest| widths(*longest).iter().sum::<usize>() <= room)
        .unwrap_or_default();
    let widths = widths(longest);
    // Where not even the numbers fit, those before the one on screen go first.
    let mut first = 0;
    while first < shown && widths[first..=shown.min(widths.len() - 1)].iter().sum::<usize>() > room {
        first += 1;
    }
    let mut x = area.x;
    let mut places = Vec::new();
    for (index, width) in widths.into_iter().enumerate().skip(first) {
        let width = u16::try_from(width)
            .unwrap_or(u16::MAX)
            .min(area.right().saturating_sub(x));
        if width == 0 {
            break;
        }
        places.push(Place {
            index,
            area: Rect { x, width, ..area },
            name: clip(&headings[index].name, most(index, longest)).into_owned(),
            note: notes[index].clone(),
        });
        x += width;
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heading(name: &str, condition: Condition) -> Heading {
        Heading {
            name: name.to_owned(),
            condition,
        }
    }

    fn names(width: u16, names: &[&str]) -> Vec<String> {
        let headings: Vec<Heading> = names.iter().map(|name| heading(name, Condition::Well)).collect();
        let places = places(Rect::new(0, 0, width, 1), &headings, 0);
        places.into_iter().map(|place| place.name).collect()
    }

    #[test]
    fn long_names_give_way_before_short_ones() {
        assert_eq!(
            names(80, &["prod", "a-very-long-name"]),
            ["prod", "a-very-long-name"]
        );
        assert_eq!(names(24, &["prod", "a-very-long-name"]), ["prod", "a-very-…"]);
        assert_eq!(names(15, &["prod", "a-very-long-name"]), ["prod", ""]);
        assert_eq!(names(11, &["prod", "a-very-long-name"]), ["", ""]);
    }

    #[test]
    fn the_tab_on_screen_is_always_in_the_line() {
        let headings: Vec<Heading> = (0..9)
            .map(|_| heading("a-name", Condition::Alerts(1_234_567)))
            .collect();
        for width in 1..100 {
            for shown in 0..9 {
                let places = places(Rect::new(0, 0, width, 1), &headings, shown);
                assert!(places.iter().any(|place| place.index == shown), "{width} {shown}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_tab_lies_over_another_or_beyond_the_screen(
            names in prop::collection::vec("\\PC{0,24}", 1..10), width in 0u16..220, shown in 0usize..9,
        ) {
            let headings: Vec<Heading> = names.iter().map(|name| heading(name, Condition::Unknown)).collect();
            let shown = shown.min(headings.len() - 1);
            let mut x = 0;
            for place in places(Rect::new(0, 0, width, 1), &headings, shown) {
                prop_assert_eq!(place.area.x, x);
                x = place.area.right();
                prop_assert!(x <= width);
            }
        }
    }
}
