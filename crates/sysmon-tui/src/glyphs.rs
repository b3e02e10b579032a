//! What shapes are drawn with: braille where the terminal has it, blocks or ASCII where not.

use sysmon_core::alert::Severity;
use sysmon_core::{Health, Liveness};

use crate::state::alerts::board::Standing;

/// Which characters the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Two points and four levels per cell.
    #[default]
    Braille,
    /// One point and eight levels per cell, for consoles whose font lacks braille.
    Block,
    /// Printable ASCII only.
    Ascii,
}

/// What stands in one column of a cell, in levels from its bottom; 0 for nothing in this cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    /// Filled up to here: every sample was at least so large.
    pub(crate) solid: u16,
    /// The level of the mean, when it is in this cell and above what is solid.
    pub(crate) mean: u16,
    /// Samples were found up to here.
    pub(crate) band: u16,
}

/// Dots of a braille cell, bottom up, left and right column (Unicode, block U+2800).
const BRAILLE: [[u8; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
// Full is no `#`: that is the mark of what is critical, which stands among these.
const ASCII: [char; 9] = [' ', '_', '.', ':', '-', '=', '+', '*', '%'];

impl Glyphs {
    /// What a terminal of this environment can show.
    #[must_use]
    pub fn detect(locale: &str, term: &str) -> Self {
        let locale = locale.to_ascii_lowercase();
        if !(locale.contains("utf-8") || locale.contains("utf8")) || term == "dumb" {
            Self::Ascii
        } else if term == "linux" {
            Self::Block
        } else {
            Self::Braille
        }
    }

    /// How many points stand side by side in a cell.
    #[must_use]
    pub fn points_per_cell(self) -> usize {
        if self == Self::Braille { 2 } else { 1 }
    }

    /// How many levels a cell has.
    #[must_use]
    pub fn levels_per_cell(self) -> u16 {
        if self == Self::Braille { 4 } else { 8 }
    }

    /// A cell whose points are filled from the bottom to these levels; a level of 0 leaves its column empty.
    #[must_use]
    pub fn cell(self, left: u16, right: u16) -> char {
        match self {
            Self::Braille => {
                let dots = |side: usize, level: u16| {
                    BRAILLE[side]
                        .iter()
                        .take(level.into())
                        .fold(0, |all, dot| all | dot)
                };
                match u32::from(dots(0, left) | dots(1, right)) {
                    0 => ' ',
                    dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
                }
            }
            Self::Block => BLOCKS[usize::from(left.min(8))],
            Self::Ascii => ASCII[usize::from(left.min(8))],
        }
    }

    /// A cell of a banded chart. The form alone tells solid ground, band and mean apart.
    #[must_use]
    pub(crate) fn layered(self, left: Layers, right: Layers) -> char {
        match self {
            Self::Braille => {
                let dots = |side: u16, layers: Layers| {
                    let is_set = |level: u16| {
                        // The band is a chequerboard, so that it is lighter than what is solid; around the mean it
                        // is left out, so that the line stands out.
                        let is_band =
                            layers.mean == 0 && level <= layers.band && (level + side).is_multiple_of(2);
                        level <= layers.solid || level == layers.mean || is_band
                    };
                    let column = BRAILLE[usize::from(side)].iter().zip(1u16..);
                    column
                        .filter(|(_, level)| is_set(*level))
                        .fold(0, |all, (dot, _)| all | dot)
                };
                match u32::from(dots(0, left) | dots(1, right)) {
                    0 => ' ',
                    dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
                }
            }
            Self::Block | Self::Ascii => {
                let (mean, band) = if self == Self::Ascii {
                    ('o', '/')
                } else {
                    ('─', '░')
                };
                match left {
                    Layers { mean: at, solid, .. } if at > solid => mean,
                    Layers {
                        solid: 0, band: 1.., ..
                    } => band,
                    Layers { solid, .. } => self.cell(solid, solid),
                }
            }
        }
    }

    /// A cell with a thin line at these levels of its two columns; 0 where it is elsewhere.
    #[must_use]
    pub(crate) fn dots(self, left: u16, right: u16) -> char {
        match self {
            Self::Braille => {
                let dot = |side: usize, level: u16| {
                    let index = usize::from(level).checked_sub(1);
                    index
                        .and_then(|index| BRAILLE[side].get(index))
                        .copied()
                        .unwrap_or(0)
                };
                char::from_u32(0x2800 + u32::from(dot(0, left) | dot(1, right))).unwrap_or(' ')
            }
            Self::Block => ['⎽', '─', '⎺'][usize::from(left.clamp(1, 8) - 1) / 3],
            Self::Ascii => ['_', '~', '\''][usize::from(left.clamp(1, 8) - 1) / 3],
        }
    }

    /// Whether a character is part of a chart's ground, and not one of its lines.
    #[must_use]
    pub(crate) fn is_filled(self, cell: char) -> bool {
        match self {
            Self::Braille => ('\u{2801}'..='\u{28ff}').contains(&cell),
            Self::Block => cell == '░' || BLOCKS[1..].contains(&cell),
            Self::Ascii => cell == 'o' || cell == '/' || ASCII[1..].contains(&cell),
        }
    }

    /// A filled cell with a thin line through it: left out where the ground goes on above, added where it ends below.
    /// `None` where the line is the edge of the ground, or is not to be told from it. `is_covered`: the cell above is
    /// filled too.
    #[must_use]
    pub(crate) fn lined(self, cell: char, left: u16, right: u16, is_covered: bool) -> Option<char> {
        if self != Self::Braille {
            return is_covered.then(|| self.dots(left, right));
        }
        let mut dots = u8::try_from(u32::from(cell).checked_sub(0x2800)?).ok()?;
        for (column, level) in BRAILLE.iter().zip([left, right]) {
            let dot_of = |level: u16| {
                usize::from(level)
                    .checked_sub(1)
                    .and_then(|index| column.get(index))
            };
            let Some(dot) = dot_of(level) else { continue };
            let goes_on = dot_of(level + 1).map_or(is_covered, |above| dots & above != 0);
            if dots & dot == 0 {
                dots |= dot;
            } else if goes_on {
                dots &= !dot;
            }
        }
        char::from_u32(0x2800 + u32::from(dots))
    }

    /// A vertical bar of one cell for a share of 0 to 1, as for a core.
    #[must_use]
    pub fn bar(self, share: f64) -> char {
        let level = (share.clamp(0.0, 1.0) * 8.0).round() as usize;
        // An idle core still shows that it is there.
        if self == Self::Ascii {
            ASCII[level.clamp(1, 8)]
        } else {
            BLOCKS[level.clamp(1, 8)]
        }
    }

    /// The mark of a machine: its shape tells the state without colour.
    #[must_use]
    pub fn mark(self, liveness: Liveness, health: Health) -> &'static str {
        let unicode = self != Self::Ascii;
        match (liveness, health) {
            (Liveness::Lost, _) => {
                if unicode {
                    "✕"
                } else {
                    "x"
                }
            }
            (Liveness::Stale, _) => {
                if unicode {
                    "◌"
                } else {
                    "?"
                }
            }
            (_, Health::Critical) => {
                if unicode {
                    "■"
                } else {
                    "#"
                }
            }
            (_, Health::Warning) => {
                if unicode {
                    "▲"
                } else {
                    "^"
                }
            }
            (_, Health::Unknown) => {
                if unicode {
                    "○"
                } else {
                    "o"
                }
            }
            (_, Health::Healthy) => {
                if unicode {
                    "●"
                } else {
                    "*"
                }
            }
        }
    }

    /// The mark of an alert: its shape tells how it stands and how bad it is without colour.
    #[must_use]
    pub(crate) fn alert_mark(self, standing: Standing, severity: Severity) -> &'static str {
        let (unicode, ascii) = match (standing, severity) {
            (Standing::Firing, Severity::Critical) => ("■", "#"),
            (Standing::Firing, Severity::Warning) => ("▲", "^"),
            (Standing::Firing, Severity::Info) => ("●", "o"),
            (Standing::Pending, _) => ("◌", "?"),
            (Standing::Acknowledged, _) => ("✓", "a"),
            (Standing::Silenced, _) => ("~", "s"),
            (Standing::Resolved, _) => ("·", "."),
        };
        self.pick(unicode, ascii)
    }

    /// Full and empty part of a horizontal bar.
    #[must_use]
    pub fn gauge(self) -> (&'static str, &'static str) {
        if self == Self::Ascii {
            ("=", "-")
        } else {
            ("▓", "░")
        }
    }

    /// Picks the second text where only ASCII is drawn.
    #[must_use]
    pub fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self == Self::Ascii { ascii } else { unicode }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_seen_in_the_ground_and_above_it_and_never_hides_its_edge() {
        let lined = |cell, level, is_covered| Glyphs::Braille.lined(cell, level, level, is_covered);
        assert_eq!(lined('⣿', 2, true), Some('⣛'), "a hole in the ground");
        assert_eq!(lined('⣿', 4, true), Some('⣶'));
        assert_eq!(lined('⣿', 4, false), Some('⣿'), "the edge itself");
        assert_eq!(lined('⣀', 3, false), Some('⣒'), "a line above");
        assert_eq!(Glyphs::Ascii.lined('%', 8, 8, false), None);
        assert_eq!(Glyphs::Ascii.lined('%', 8, 8, true), Some('\''));
    }

    #[test]
    fn braille_fills_from_the_bottom_and_a_gap_is_empty() {
        let cells: String = [(0, 0), (1, 1), (2, 1), (4, 4), (0, 3)]
            .map(|(l, r)| Glyphs::Braille.cell(l, r))
            .iter()
            .collect();
        assert_eq!(cells, " ⣀⣄⣿⢰");
    }

    #[test]
    fn a_band_looks_unlike_what_is_solid_in_every_set() {
        let all = |glyphs: Glyphs| {
            let full = glyphs.levels_per_cell();
            let layers = |solid, mean, band| Layers { solid, mean, band };
            [layers(full, 0, full), layers(0, 0, full), layers(0, 2, full)]
                .map(|layers| glyphs.layered(layers, layers))
        };
        assert_eq!(all(Glyphs::Braille), ['⣿', '⢕', '⠤']);
        assert_eq!(all(Glyphs::Block), ['█', '░', '─']);
        assert_eq!(all(Glyphs::Ascii), ['%', '/', 'o']);
        assert_eq!(Glyphs::Braille.layered(Layers::default(), Layers::default()), ' ');
    }

    #[test]
    fn ascii_draws_nothing_else() {
        for level in 0..=20 {
            assert!(
                Glyphs::Ascii.cell(level, level).is_ascii()
                    && Glyphs::Ascii.bar(f64::from(level) / 8.0).is_ascii()
            );
        }
    }

    #[test]
    fn in_ascii_no_mark_of_an_alert_looks_like_a_bar_a_band_or_another_mark() {
        let marks = [
            (Standing::Firing, Severity::Critical),
            (Standing::Firing, Severity::Warning),
            (Standing::Pending, Severity::Info),
            (Standing::Acknowledged, Severity::Info),
            (Standing::Silenced, Severity::Info),
        ]
        .map(|(standing, severity)| Glyphs::Ascii.alert_mark(standing, severity));
        let (full, empty) = Glyphs::Ascii.gauge();
        for (index, mark) in marks.iter().enumerate() {
            let character = mark.chars().next().unwrap();
            assert!(!marks[..index].contains(mark), "{mark}");
            assert!(!Glyphs::Ascii.is_filled(character), "{mark}");
            assert!(![full, empty, "!", "v"].contains(mark), "{mark}");
        }
        assert_ne!(
            Glyphs::Braille.gauge().0,
            Glyphs::Braille.alert_mark(Standing::Firing, Severity::Critical)
        );
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(Glyphs::detect("en_US.UTF-8", "xterm-256color"), Glyphs::Braille);
        assert_eq!(Glyphs::detect("C.utf8", "linux"), Glyphs::Block);
        assert_eq!(Glyphs::detect("C", "xterm"), Glyphs::Ascii);
    }
}
