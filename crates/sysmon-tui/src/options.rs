//! What the command line and the configuration say about the client.

use std::path::PathBuf;
use std::sync::Arc;

use crate::connect::{Connections, Opened};
use crate::keymap::Keymap;

use crate::record::Recorder;

/// How a person who is looking elsewhere is told that something critical has begun to fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Not at all: the screen shows it. The default, because a terminal that makes itself heard unasked is a nuisance.
    #[default]
    None,
    /// The terminal's bell, which most terminals can also show.
    Bell,
    /// A desktop notification as iTerm2, kitty, WezTerm, foot and Windows Terminal know it (OSC 9).
    Osc9,
    /// A desktop notification as urxvt, foot, WezTerm and VTE know it (OSC 777).
    Osc777,
}

impl Notify {
    /// All of them with the word for the command line.
    pub const WORDS: [(Self, &'static str); 4] = [
        (Self::None, "none"),
        (Self::Bell, "bell"),
        (Self::Osc9, "osc9"),
        (Self::Osc777, "osc777"),
    ];

    /// The one of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(notify, _)| *notify)
    }

    /// What is written to the terminal for a line of text; `None` for nothing.
    #[must_use]
    pub(crate) fn sequence(self, text: &str) -> Option<String> {
        // Nothing in the text may end the sequence or begin another.
        let text = sysmon_core::sanitize(text);
        let text = sysmon_core::clip(&text, 200);
        match self {
            Self::None => None,
            Self::Bell => Some("\u{7}".into()),
            Self::Osc9 => Some(format!("\u{1b}]9;{text}\u{7}")),
            // The parts are told apart by semicolons.
            Self::Osc777 => Some(format!(
                "\u{1b}]777;notify;sysmon;{}\u{7}",
                text.replace(';', ",")
            )),
        }
    }
}

/// Settings of one run of the client.
#[derive(Debug, Default)]
pub struct Options {
    /// Name of a built-in theme, or of a `NAME.toml` in one of the folders; empty for the default.
    pub theme: String,
    /// Folders with themes, first match wins.
    pub theme_dirs: Vec<PathBuf>,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Use no colour, whatever the terminal can do (`NO_COLOR`).
    pub no_color: bool,
    /// What is watched, for the title: `this machine`, or host and port.
    pub source_name: String,
    /// Whether the collector of this machine runs in this process: then its machine is opened at once.
    pub is_local: bool,
    /// Time between ticks to ask of the machine on screen, in milliseconds; 0 for its own pace.
    pub burst_interval_ms: u32,
    /// Where everything that happens is taken down, if it is.
    pub recorder: Option<Recorder>,
    /// A filter to start with.
    pub filter: Option<String>,
    /// How a person is told of what becomes critical.
    pub notify: Notify,
    /// Which keys mean what.
    pub keymap: Keymap,
    /// The most frames a second, 1 to 60; 0 for the default.
    pub frames_per_second: u32,
    /// Draw as for a slow link, whatever it is like.
    pub is_low_bandwidth: bool,
    /// Change nothing beyond this client.
    pub is_readonly: bool,
    /// Where is remembered what a console was like; `None` to remember nothing.
    pub state_dir: Option<PathBuf>,
    /// Aggregators that are watched beside the first, each in a tab of its own.
    pub further: Vec<Opened>,
    /// Other aggregators to go to.
    pub connections: Option<Arc<dyn Connections>>,
}

impl Options {
    /// Frames a second unless told otherwise.
    const FRAMES_PER_SECOND: u32 = 30;

    /// The most frames a second.
    pub(crate) fn frames_per_second(&self) -> u32 {
        match self.frames_per_second {
            0 => Self::FRAMES_PER_SECOND,
            asked => asked.clamp(1, 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_one_sequence_whatever_it_says() {
        let hostile = "cpu \u{1b}]0;title\u{7} on web; now\u{9c}";
        assert_eq!(Notify::None.sequence(hostile), None);
        assert_eq!(Notify::Bell.sequence(hostile).unwrap(), "\u{7}");
        for notify in [Notify::Osc9, Notify::Osc777] {
            let sequence = notify.sequence(hostile).unwrap();
            let inner = &sequence[1..sequence.len() - 1];
            assert!(sequence.starts_with("\u{1b}]") && sequence.ends_with('\u{7}'));
            assert!(!inner.chars().any(char::is_control), "{inner:?}");
        }
        for (notify, word) in Notify::WORDS {
            assert_eq!(Notify::from_word(word), Some(notify));
        }
        assert_eq!(Notify::from_word("loud"), None);
    }
}
