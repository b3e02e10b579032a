//! What can go wrong between two peers, without naming the transport.

use thiserror::Error;

/// A longer text of another side is cut.
const MESSAGE_CELLS_MAX: usize = 1_000;

/// The kind of a failure; the names and numbers are those of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Code {
    /// The request makes no sense.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// What was asked for does not exist.
    NotFound = 5,
    /// Somebody else has it.
    AlreadyExists = 6,
    /// Known, but not allowed.
    PermissionDenied = 7,
    /// A bound was reached.
    ResourceExhausted = 8,
    /// Not possible in this state; for example a peer of another protocol version.
    FailedPrecondition = 9,
    /// A newer write came first.
    Aborted = 10,
    /// The peer does not know this call.
    Unimplemented = 12,
    /// A mistake of ours.
    Internal = 13,
    /// Not reachable now; try again.
    Unavailable = 14,
    /// Not known.
    Unauthenticated = 16,
}

/// A failure with a text for people that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of failure.
    pub code: Code,
    /// What went wrong and what to do.
    pub message: String,
}

impl ApiError {
    /// A failure of the given kind.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A request that makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// A peer that cannot be reached now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Internal
        )
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code as Theirs;
        let code = match status.code() {
            Theirs::InvalidArgument | Theirs::OutOfRange => Code::InvalidArgument,
            Theirs::DeadlineExceeded => Code::DeadlineExceeded,
            Theirs::NotFound => Code::NotFound,
            Theirs::AlreadyExists => Code::AlreadyExists,
            Theirs::PermissionDenied => Code::PermissionDenied,
            Theirs::ResourceExhausted => Code::ResourceExhausted,
            Theirs::FailedPrecondition => Code::FailedPrecondition,
            Theirs::Aborted => Code::Aborted,
            Theirs::Unimplemented => Code::Unimplemented,
            Theirs::Unauthenticated => Code::Unauthenticated,
            // A broken connection surfaces as any of these, depending on where it broke.
            Theirs::Unavailable | Theirs::Unknown | Theirs::Cancelled | Theirs::Ok => Code::Unavailable,
            Theirs::Internal | Theirs::DataLoss => Code::Internal,
        };
        // It comes from afar and ends up in logs and on terminals.
        let message = sysmon_core::sanitize(status.message());
        Self::new(code, sysmon_core::clip(&message, MESSAGE_CELLS_MAX))
    }
}

impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        Self::new(tonic::Code::from_i32(error.code as i32), error.message)
    }
}

/// An error and everything that caused it, each text once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = error.source();
    }
    text
}
