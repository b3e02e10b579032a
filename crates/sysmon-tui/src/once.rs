//! One snapshot of the fleet, printed and done: `--once`.
//!
//! Of an aggregator, or of a recording ([`replayed`]). [`gather`] waits until every live machine has reported rates, then [`to_json`] or [`to_text`] makes the output of
//! it. The JSON is a contract for scripts; the text is for people and may change.

mod gather;
mod json;
mod replayed;
mod snapshot;
mod text;

pub use gather::{OnceError, gather};
pub use json::to_json;
pub use replayed::replayed;
pub use snapshot::Snapshot;
pub use text::{TextStyle, terminal_width, to_text};
