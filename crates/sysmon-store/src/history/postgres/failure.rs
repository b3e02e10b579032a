//! What sqlx and the server say went wrong, in words that say what to do.

use sqlx::Error;

use crate::error::{ErrorKind, StoreError};

/// Why something failed, and what that means for the connection and for trying again.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    /// The server or the way to it is gone: no connection can be trusted any more.
    pub(crate) lost: bool,
    /// Two transactions were in each other's way: the same at once again may work.
    pub(crate) again: bool,
    /// A table is missing that was there: the schema has to be looked at again.
    pub(crate) schema: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            lost: false,
            again: false,
            schema: false,
        }
    }
}

impl Failure {
    /// The server did not answer in time.
    pub(crate) fn slow(what: &str, seconds: u64) -> Self {
        Self {
            lost: true,
            ..StoreError::unavailable(format!(
                "the database did not {what} within {seconds} s; look at its load and its disk"
            ))
            .into()
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                Self {
                    lost: code.starts_with("57P") || code.starts_with("08"),
                    again: matches!(code.as_str(), "40001" | "40P01"),
                    schema: matches!(code.as_str(), "42P01" | "42703" | "3F000"),
                    ..answered(&code, error.message()).into()
                }
            }
            Error::Io(error) => unreachable_server(&error.to_string()),
            Error::Tls(error) => unreachable_server(&format!("no encryption could be agreed on: {error}")),
            Error::Configuration(_) => {
                StoreError::misconfigured("the options of the database URL do not fit; check it").into()
            }
            Error::Encode(error) => StoreError::rejected(format!(
                "a value cannot be written to the database ({error}); report this"
            ))
            .into(),
            Error::ColumnNotFound(_)
            | Error::ColumnDecode { .. }
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::TypeNotFound { .. }
            | Error::RowNotFound
            | Error::Decode(_) => Self {
                schema: true,
                ..StoreError::misconfigured(
                    "the tables of the database are not as this program made them; restore them, or give it an empty database",
                )
                .into()
            },
            error => unreachable_server(&error.to_string()),
        }
    }
}

fn unreachable_server(why: &str) -> Failure {
    Failure {
        lost: true,
        ..StoreError::unavailable(format!(
            "the database cannot be reached ({why}); start it, or check the address"
        ))
        .into()
    }
}

/// What an error code of the server means: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn answered(code: &str, message: &str) -> StoreError {
    let (kind, advice) = match (&code[..code.len().min(2)], code) {
        (_, "25006") => (
            ErrorKind::Unavailable,
            "it is read-only: connect to the primary, or make it writable",
        ),
        (_, "53100") => (ErrorKind::Unavailable, "its disk is full: make room"),
        (_, "53200") => (ErrorKind::Unavailable, "it is out of memory: give it more"),
        (_, "53300") => (
            ErrorKind::Unavailable,
            "it has too many connections: raise max_connections, or lower ours",
        ),
        ("53", _) => (ErrorKind::Unavailable, "it lacks something: look at its log"),
        (_, "57014") => (
            ErrorKind::Unavailable,
            "it took too long: look at its load and its disk",
        ),
        ("57" | "08", _) => (
            ErrorKind::Unavailable,
            "it is starting or stopping: wait, or look at its log",
        ),
        ("40", _) | (_, "55P03") => (ErrorKind::Unavailable, "others held it up: try again"),
        ("22" | "23" | "54", _) => (ErrorKind::Rejected, "it refuses this content"),
        (_, "28P01") => (ErrorKind::Misconfigured, "check user and password in the URL"),
        ("28", _) => (
            ErrorKind::Misconfigured,
            "check the user in the URL and the server's pg_hba.conf",
        ),
        ("3D", _) => (
            ErrorKind::Misconfigured,
            "create the database, or name another one in the URL",
        ),
        (_, "42501") => (
            ErrorKind::Misconfigured,
            "give the user of the URL the right to it: it is to own the database or its schema",
        ),
        ("42" | "3F" | "0A", _) => (
            ErrorKind::Misconfigured,
            "the schema or the server's version does not fit: PostgreSQL 14 or newer, and tables as this program made them",
        ),
        _ => (ErrorKind::Unavailable, "look at its log"),
    };
    StoreError {
        kind,
        message: format!("the database says {message:?} ({code}); {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_never_will() {
        for (code, kind) in [
            ("53100", ErrorKind::Unavailable),
            ("53300", ErrorKind::Unavailable),
            ("25006", ErrorKind::Unavailable),
            ("57P01", ErrorKind::Unavailable),
            ("57P03", ErrorKind::Unavailable),
            ("57014", ErrorKind::Unavailable),
            ("40P01", ErrorKind::Unavailable),
            ("XX000", ErrorKind::Unavailable),
            ("", ErrorKind::Unavailable),
            ("22021", ErrorKind::Rejected),
            ("23505", ErrorKind::Rejected),
            ("28P01", ErrorKind::Misconfigured),
            ("3D000", ErrorKind::Misconfigured),
            ("42P01", ErrorKind::Misconfigured),
            ("42501", ErrorKind::Misconfigured),
        ] {
            assert_eq!(answered(code, "no").kind, kind, "{code}");
        }
    }
}
