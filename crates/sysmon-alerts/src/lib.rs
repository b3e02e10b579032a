//! The alert service: evaluates rules over what a fleet reports, keeps what becomes of them, and tells people.

mod failure;
mod message;
mod receiver;
mod receivers;

pub use message::{AlertText, Counts, Message, ProcessText, RuleText};
pub use receivers::Receivers;
