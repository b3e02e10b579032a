//! The socket for the own user.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tokio::net::{UnixListener, UnixStream};

use crate::error::{ApiError, Code};
use crate::private_path;

/// A socket in a folder of the own user; it is removed when this is dropped.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl UnixSocket {
    pub(super) fn bind(path: &Path) -> Result<Self, ApiError> {
        if tokio::runtime::Handle::try_current().is_err() {
            let message = "a socket can only be listened on inside of a tokio runtime; report this";
            return Err(ApiError::new(Code::Internal, message));
        }
        let failed = |error: io::Error| {
            ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "cannot listen on the socket {}: {error}; choose a shorter path in a folder of your own",
                    path.display()
                ),
            )
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        private_path::create_folder(folder).map_err(failed)?;
        private_path::check_folder(folder).map_err(|reason| {
            ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "the folder {} is no safe place for a socket: {reason}; choose one that only you can write to",
                    folder.display()
                ),
            )
        })?;
        // Of two servers that start at once, one would remove the socket of the other.
        let _lock = private_path::lock_folder(folder).map_err(failed)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
        Ok(Self {
            listener,
            path: path.into(),
            inode,
        })
    }

    /// The next connection and the user at its other end.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, uid))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another server may have its socket there by now.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}

/// Removes a socket that nothing answers on, such as one left over after a crash.
fn remove_stale(path: &Path) -> Result<(), ApiError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    if private_path::owner_of_socket(path).is_none() {
        return Err(ApiError::new(
            Code::AlreadyExists,
            format!(
                "{} is there and is no socket; move it away, or choose another path",
                path.display()
            ),
        ));
    }
    match connect(path) {
        Err(rustix::io::Errno::CONNREFUSED) => fs::remove_file(path).map_err(|error| {
            ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "cannot remove the left-over socket {}: {error}; remove it",
                    path.display()
                ),
            )
        }),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        // A full backlog is an answer too.
        _ => Err(ApiError::new(
            Code::AlreadyExists,
            format!(
                "another server answers on {}; stop it, or connect to it",
                path.display()
            ),
        )),
    }
}

/// Connects without waiting, for whoever is at the other end may be stuck.
fn connect(path: &Path) -> rustix::io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}
