//! A fleet that does not exist: virtual machines whose values follow from a seed and the time, reported over real
//! streams by the same uplink as a real machine's.

mod behaviour;
mod condition;
mod emit;
mod hardware;
mod layout;
mod ledger;
mod machine;
mod meter;
mod noise;
mod pace;
mod processes;
mod replay;
mod run;
mod vitals;

pub(crate) use ledger::Witness;

pub use condition::{Condition, Event, Scenario};
pub use machine::{Fleet, Machine};
pub use replay::{Recording, RecordingError};
pub use run::{Simulation, SimulationError, simulate};

#[cfg(test)]
mod tests;
