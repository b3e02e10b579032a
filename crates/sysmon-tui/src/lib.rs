//! The terminal client: a pure state machine, a pure renderer, and a thin runtime around both.
//!
//! [`update`] takes one [`Event`] and returns what is to be done outside; [`render`] draws the state and changes
//! nothing. Neither does I/O or reads a clock, so every screen can be rebuilt from the events that led to it.

mod axis;
mod clipboard;
mod command;
mod connect;
mod entry;
mod event;
mod export;
mod fuzzy;
mod glance;
mod glyphs;
mod keep;
mod key;
mod keymap;
mod layout;
mod link;
mod marks;
mod moment;
pub mod once;
mod options;
mod panel;
mod preferences;
mod record;
mod render;
mod replay;
mod runtime;
mod state;
mod tabs;
mod terminal;
mod text_field;
mod theme;
mod track;
mod update;
mod words;

pub use command::{COMMANDS, Command, CommandDefinition, Context};
pub use connect::{Connect, Connections, Opened};
pub use event::{Effect, Event, FrameReport, LinkEvent, Mouse, MouseAction, TabRequest};
pub use glyphs::Glyphs;
pub use key::{Key, KeyCode, UnknownKey};
pub use keymap::{Keymap, KeymapProblem};
pub use layout::{Regions, layout};
pub use options::{Notify, Options};
pub use record::{Recorder, RecordingError};
pub use render::render;
pub use runtime::{TuiError, replay, run};
pub use state::State;
pub use tabs::{Routed, TabId, Tabs, render_tabs};
pub use theme::{ColourDepth, Theme, ThemeError};
pub use update::update;
