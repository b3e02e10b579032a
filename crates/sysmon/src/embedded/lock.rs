//! The lock that tells which console of a user runs the roles.

use std::fs::{File, TryLockError};
use std::path::Path;

/// Held until it is dropped or the process ends, however that happens.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What came of trying to get it.
#[derive(Debug)]
pub(super) enum Attempt {
    Taken(Lock),
    HeldByOther,
    /// There is no place for it; without it everything works but sharing.
    Impossible(String),
}

impl Lock {
    /// Tries once, making the file and its folder when they are missing.
    pub(super) fn attempt(path: Option<&Path>) -> Attempt {
        let Some(path) = path else {
            return Attempt::Impossible("this user has no home".into());
        };
        let file = match open(path) {
            Ok(file) => file,
            Err(error) => return Attempt::Impossible(format!("cannot open {}: {error}", path.display())),
        };
        match file.try_lock() {
            Ok(()) => Attempt::Taken(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Attempt::HeldByOther,
            Err(TryLockError::Error(error)) => {
                Attempt::Impossible(format!("cannot lock {}: {error}", path.display()))
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_the_next_gets_it_when_that_one_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/embedded.lock");
        let Attempt::Taken(first) = Lock::attempt(Some(&path)) else {
            panic!("it is free")
        };
        assert!(matches!(Lock::attempt(Some(&path)), Attempt::HeldByOther));
        drop(first);
        assert!(matches!(Lock::attempt(Some(&path)), Attempt::Taken(_)));
    }

    #[test]
    fn without_a_place_for_it_there_is_a_reason() {
        assert!(matches!(Lock::attempt(None), Attempt::Impossible(_)));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            Lock::attempt(Some(&file.join("embedded.lock"))),
            Attempt::Impossible(_)
        ));
    }
}
