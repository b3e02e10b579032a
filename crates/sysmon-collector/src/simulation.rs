//! A fleet that does not exist: virtual machines whose values follow from a seed and the time, reported over real
//! streams by the same uplink as a real machine's.

mod behaviour;
mod condition;
mod emit;
mod hardware;
mod layout;
mod machine;
mod noise;
mod processes;
mod replay;
mod vitals;

pub use condition::{Condition, Event, Scenario};
pub use machine::{Fleet, Machine};
pub use replay::{Recording, RecordingError};

#[cfg(test)]
mod tests;
