//! What SQLite's failures mean.

use std::path::Path;

use sqlx::Error;

use crate::error::StoreError;
use crate::history::bytes::Corrupt;

// Primary result codes, <https://www.sqlite.org/rescode.html>.
const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NOMEM: u32 = 7;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const TOOBIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;
const AUTH: u32 = 23;
const RANGE: u32 = 25;
const NOTADB: u32 = 26;

/// The failure in our words: what kind it is and what to do.
pub(crate) fn store_error(path: &Path, error: &Error) -> StoreError {
    let file = path.display();
    if let Error::PoolTimedOut = error {
        return StoreError::unavailable(format!(
            "every connection to {file} is busy; try again, or raise the number of connections"
        ));
    }
    let Error::Database(database) = error else {
        return match error {
            Error::Io(_) | Error::PoolClosed | Error::WorkerCrashed => {
                StoreError::unavailable(format!("{file} cannot be used: {error}; look at its disk"))
            }
            _ => StoreError::misconfigured(format!(
                "{file} does not have what is expected: {error}; is it a history of sysmon?"
            )),
        };
    };
    let code = database
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .unwrap_or(0);
    let text = database.message();
    match code & 0xff {
        BUSY | LOCKED => StoreError::unavailable(format!(
            "{file} is locked by another program; end that program if it does not let go of it"
        )),
        FULL => StoreError::unavailable(format!("no space is left for {file}; free some on its disk")),
        READONLY => StoreError::unavailable(format!(
            "{file} cannot be written: {text}; check that its disk is not read-only and that this user may write it"
        )),
        IOERR | NOMEM => StoreError::unavailable(format!(
            "{file} cannot be read or written: {text}; look at its disk and at the system's log"
        )),
        CANTOPEN | PERM | AUTH => StoreError::misconfigured(format!(
            "{file} cannot be opened: {text}; check that this user may read and write it and its folder"
        )),
        CORRUPT | NOTADB => StoreError::misconfigured(format!(
            "{file} is damaged or no SQLite database: {text}; move it away to begin a new history, or restore a copy"
        )),
        CONSTRAINT | MISMATCH | TOOBIG | RANGE => {
            StoreError::rejected(format!("{file} refuses the content: {text}"))
        }
        _ => StoreError::misconfigured(format!(
            "{file} answers with an error: {text}; is it a history of sysmon?"
        )),
    }
}

/// A stored block that cannot be read.
pub(crate) fn damaged(path: &Path, error: Corrupt) -> StoreError {
    StoreError::misconfigured(format!(
        "{} is damaged: {error}; restore a copy, or move it away to begin a new history",
        path.display()
    ))
}
