//! What can be typed. Options that are settings take their help from the table of settings, and their text goes
//! through it, so that a mistake in a flag is reported together with those in files and variables.

mod collect;
mod history;
mod moment;
mod reference;
mod rules;
mod server;
mod simulate;
mod terminal;

pub use collect::Flags;
pub use history::{
    AnswerFormat, DeadLettersCommand, LetterArguments, ListFormat, MachinesCommand, QueryArguments,
    SourceArguments,
};
pub use moment::Moment;
pub use reference::cli_reference;
pub use rules::{ImportArguments, RulesCommand};
pub use server::{
    AggregatorArguments, AlertsArguments, CollectorArguments, CollectorCommandLine, ConfigCommand,
    HealthArguments, ServerCommand, ServerCommandLine, TokensCommand, UpArguments,
};
pub use simulate::SimulateArguments;
pub use terminal::{OnceFormat, TerminalCommandLine};
