//! An answer on its way to the standard output, in one of its shapes.

use sysmon_core::{HistoryQuery, MachineHistory};

use super::{csv, json, table};
use crate::command_line::AnswerFormat;
use crate::exit::Failure;
use crate::output;

/// Prints as it comes.
pub(super) struct Answer {
    format: AnswerFormat,
    machines: usize,
    is_empty: bool,
}

impl Answer {
    pub(super) fn begin(format: AnswerFormat, query: &HistoryQuery) -> Result<Self, Failure> {
        output::print(&match format {
            AnswerFormat::Table => String::new(),
            AnswerFormat::Csv => csv::heading(),
            AnswerFormat::Json => json::begin(query),
        })?;
        Ok(Self {
            format,
            machines: 0,
            is_empty: true,
        })
    }

    /// No sample so far, at most gaps.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(super) fn machine(&mut self, machine: &MachineHistory) -> Result<(), Failure> {
        let has_something = !machine.series.is_empty() || !machine.gaps.is_empty();
        self.is_empty &= machine.series.is_empty();
        let text = match self.format {
            AnswerFormat::Table if !has_something => String::new(),
            AnswerFormat::Table => {
                let separator = if self.machines > 0 { "\n" } else { "" };
                format!("{separator}{}", table::machine(machine))
            }
            AnswerFormat::Csv => csv::machine(machine),
            AnswerFormat::Json => {
                let separator = if self.machines > 0 { "," } else { "" };
                format!("{separator}{}", json::machine(machine)?)
            }
        };
        if !text.is_empty() {
            self.machines += 1;
        }
        Ok(output::print(&text)?)
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        match self.format {
            AnswerFormat::Table | AnswerFormat::Csv => Ok(()),
            AnswerFormat::Json => Ok(output::print(json::END)?),
        }
    }
}
