//! Folders, files and sockets that belong to one user.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where an aggregator that listens on `port` can be reached by its own user without a token:
/// `$XDG_RUNTIME_DIR/sysmon/PORT.sock`, or `/tmp/sysmon-UID/PORT.sock` where there is no such folder.
///
/// Whoever serves there or connects there checks that the folder belongs to the user and to nobody else.
#[must_use]
pub fn local_socket_path(port: u16) -> PathBuf {
    socket_path(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), port)
}

fn socket_path(runtime: Option<PathBuf>, port: u16) -> PathBuf {
    let folder = match runtime {
        Some(folder) if folder.is_absolute() => folder.join("sysmon"),
        // Not the temporary folder of the environment: server and client may differ in that.
        _ => PathBuf::from(format!("/tmp/sysmon-{}", own_uid())),
    };
    folder.join(format!("{port}.sock"))
}

#[cfg(unix)]
pub(crate) use unix::{
    check_folder, create_file_like, create_folder, is_readable_by_others, is_writable_by_others, lock_folder,
    own_uid, owner_of_socket,
};

#[cfg(not(unix))]
pub(crate) use elsewhere::{
    create_file_like, create_folder, is_readable_by_others, is_writable_by_others, lock_folder, own_uid,
};

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{
        DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
        fchown,
    };

    use super::*;

    pub(crate) fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Creates a folder and those above it, for the owner only; one that is there stays as it is.
    pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    /// Creates a file at `path`, in place of one that is there, to replace `like` with: for the same owner and group,
    /// who may read it if they could before. Without a `like` it is for the owner of the folder alone. So a file that
    /// root writes for a service can be read by the service.
    pub(crate) fn create_file_like(path: &Path, like: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let (model, mode) = match fs::metadata(like) {
            Ok(model) => {
                let mode = model.mode() & 0o640 | 0o600;
                (Some(model), mode)
            }
            Err(_) => (path.parent().and_then(|folder| fs::metadata(folder).ok()), 0o600),
        };
        let own = file.metadata()?;
        if let Some(model) = model
            && own_uid() == 0
            && (model.uid(), model.gid()) != (own.uid(), own.gid())
        {
            fchown(&file, Some(model.uid()), Some(model.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Whether a user other than the owner and root may write to a file.
    pub(crate) fn is_writable_by_others(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.mode() & 0o022 != 0)
    }

    /// Whether a user other than the owner and root may read a file.
    pub(crate) fn is_readable_by_others(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.mode() & 0o044 != 0)
    }

    /// Keeps other processes that do the same out of a folder until the result is dropped.
    pub(crate) fn lock_folder(folder: &Path) -> io::Result<File> {
        let handle = File::open(folder)?;
        handle.lock()?;
        Ok(handle)
    }

    /// Checks that nobody but its owner, who is us or root, can put something into a folder.
    pub(crate) fn check_folder(folder: &Path) -> Result<(), String> {
        // Not following a link: somebody else could point it to another place later.
        let metadata = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
        if !metadata.is_dir() {
            return Err("it is not a folder; a link is not followed here".into());
        }
        if metadata.uid() != own_uid() && metadata.uid() != 0 {
            return Err(format!("it belongs to user {}", metadata.uid()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err("others may write to it".into());
        }
        Ok(())
    }

    /// Who owns a socket; `None` when there is none at this path.
    pub(crate) fn owner_of_socket(path: &Path) -> Option<u32> {
        let metadata = fs::symlink_metadata(path).ok()?;
        metadata.file_type().is_socket().then(|| metadata.uid())
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    // What belongs to whom is inherited from the folder here; a user's own folders are closed to others.

    pub(crate) fn own_uid() -> u32 {
        0
    }

    pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    pub(crate) fn create_file_like(path: &Path, _like: &Path) -> io::Result<File> {
        File::create(path)
    }

    pub(crate) fn is_writable_by_others(_file: &File) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn is_readable_by_others(_file: &File) -> io::Result<bool> {
        Ok(false)
    }

    /// A file that only one process can have open for locking at a time.
    pub(crate) fn lock_folder(folder: &Path) -> io::Result<File> {
        let file = File::create(folder.join("sysmon.lock"))?;
        file.lock()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_socket_is_in_a_folder_of_the_user() {
        let path = |runtime: Option<&str>| socket_path(runtime.map(PathBuf::from), 50_051);
        assert_eq!(
            path(Some("/run/user/7")),
            Path::new("/run/user/7/sysmon/50051.sock")
        );
        let fallback = PathBuf::from(format!("/tmp/sysmon-{}/50051.sock", own_uid()));
        for runtime in [None, Some(""), Some("relative")] {
            assert_eq!(path(runtime), fallback);
        }
    }
}
