//! Who may do what.

mod access;
mod gate;
mod secret;
pub mod tokens;

use sysmon_core::MachineId;

pub use access::Access;
pub(crate) use access::Grant;
pub(crate) use gate::Gate;
pub use secret::Secret;

/// What a token entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reports for its own machine, and nothing else.
    Agent,
    /// Looks.
    Viewer,
    /// Looks and acts: intervals, acknowledgements, silences and rules.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role with its word in configuration and on the command line.
    pub const WORDS: [(Self, &'static str); 4] = [
        (Self::Agent, "agent"),
        (Self::Viewer, "viewer"),
        (Self::Operator, "operator"),
        (Self::Admin, "admin"),
    ];

    /// The word for this role.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(role, _)| *role == self)
            .map_or("viewer", |(_, word)| word)
    }

    /// The role of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(role, _)| *role)
    }
}

/// Who is on the other side of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Name for logs and the audit trail: the token's name, or `local:UID`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one machine that an agent reports for.
    pub machine: Option<MachineId>,
}

impl Principal {
    /// Whether this principal may do what asks for `needed`: admin above operator above viewer; only an agent or an
    /// admin does what asks for an agent.
    #[must_use]
    pub fn allows(&self, needed: Role) -> bool {
        match needed {
            Role::Agent => matches!(self.role, Role::Agent | Role::Admin),
            Role::Viewer => matches!(self.role, Role::Viewer | Role::Operator | Role::Admin),
            Role::Operator => matches!(self.role, Role::Operator | Role::Admin),
            Role::Admin => self.role == Role::Admin,
        }
    }

    /// Whether this principal may report as `machine`: an agent bound to it, or an admin.
    #[must_use]
    pub fn may_report(&self, machine: &MachineId) -> bool {
        match self.role {
            Role::Agent => self.machine.as_ref() == Some(machine),
            Role::Admin => true,
            Role::Viewer | Role::Operator => false,
        }
    }
}
