//! Who is let in.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

use super::tokens::{self, Token, TokensError};
use super::{Principal, Role};
use crate::error::{ApiError, Code};
use crate::private_path;
use crate::throttle::Throttle;
use crate::transport::Peer;

/// How soon a changed file of tokens is noticed.
const REFRESH: Duration = Duration::from_secs(1);
/// Failed attempts are logged once per this.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// Decides who is on the other side of a call.
///
/// Whoever presents a token is who the token says, wherever the call comes from; a wrong token is refused even
/// where none is needed. Without one, a caller in the same process is an admin, and so is a caller on the Unix socket
/// who is the server's own user or root. Nobody else is let in.
pub struct Access {
    tokens: Option<TokensFile>,
    failures: Throttle,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("tokens_file", &self.tokens.as_ref().map(|file| &file.path))
            .finish_non_exhaustive()
    }
}

/// Who a caller is, for as long as `revoked` has not fired.
pub(crate) struct Grant {
    pub(crate) principal: Principal,
    pub(crate) revoked: Option<CancellationToken>,
}

impl Access {
    /// Lets in the own user of this machine and nobody else: there are no tokens.
    #[must_use]
    pub fn local_only() -> Self {
        Self {
            tokens: None,
            failures: Throttle::new(LOG_PERIOD),
        }
    }

    /// Lets in the holders of tokens too. A file that does not exist holds none yet.
    ///
    /// The file is read again whenever it changes; a token that is gone then ends its streams within two seconds. When
    /// it is broken after a change the old tokens stay valid, with a warning; when it is deleted no token is valid.
    ///
    /// # Errors
    /// [`TokensError`] when the file is there but cannot be read, is broken, or others may write to it.
    pub fn with_tokens_file(path: impl Into<PathBuf>) -> Result<Self, TokensError> {
        let file = TokensFile {
            path: path.into(),
            loaded: RwLock::default(),
        };
        file.reload()?;
        Ok(Self {
            tokens: Some(file),
            failures: Throttle::new(LOG_PERIOD),
        })
    }

    /// Who calls from `peer` with the value of an `authorization` header.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] with a text that says how to get a token.
    pub(crate) fn identify(&self, peer: &Peer, authorization: Option<&[u8]>) -> Result<Grant, ApiError> {
        if let Some(value) = authorization {
            return self.identify_token(value);
        }
        let name = match *peer {
            Peer::InProcess => "local".to_owned(),
            Peer::Unix { uid } if uid == 0 || uid == private_path::own_uid() => format!("local:{uid}"),
            Peer::Unix { uid } => {
                return Err(unauthenticated(format!(
                    "the socket lets in user {} and root without a token, not user {uid}; {}",
                    private_path::own_uid(),
                    self.remedy()
                )));
            }
            Peer::Tcp(_) => return Err(unauthenticated(format!("no token was given; {}", self.remedy()))),
        };
        Ok(Grant {
            principal: Principal {
                name,
                role: Role::Admin,
                machine: None,
            },
            revoked: None,
        })
    }

    fn identify_token(&self, authorization: &[u8]) -> Result<Grant, ApiError> {
        let Some(secret) = bearer(authorization) else {
            return Err(unauthenticated(
                "the authorization header is not of the form `Bearer TOKEN`; send a token that way",
            ));
        };
        let grant = self.tokens.as_ref().and_then(|file| {
            let hash = tokens::hash(secret);
            // A token that has just been created is good at once.
            file.find(&hash).or_else(|| {
                file.reload_or_warn();
                file.find(&hash)
            })
        });
        grant.ok_or_else(|| {
            unauthenticated(format!(
                "the token is not valid here, or was revoked; {}",
                self.remedy()
            ))
        })
    }

    fn remedy(&self) -> &'static str {
        if self.tokens.is_some() {
            "where the aggregator runs, create a token with `sysmon tokens create` and give it to this client"
        } else {
            "this server has no tokens and serves its own user on its own machine only; start it with a tokens file"
        }
    }

    /// Notices changes of the file of tokens for as long as it is polled.
    pub(crate) async fn watch(&self) -> Infallible {
        if self.tokens.is_none() {
            return std::future::pending().await;
        }
        let mut interval = tokio::time::interval(REFRESH);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Some(file) = &self.tokens {
                file.reload_or_warn();
            }
        }
    }

    /// Logs a refused call, but no flood of them.
    pub(crate) fn log_refusal(&self, peer: &Peer, method: &str, error: &ApiError) {
        if let Some(held_back) = self.failures.admit(Instant::now()) {
            let method = sysmon_core::sanitize(method);
            tracing::warn!(%peer, %method, held_back, reason = %error, "refused a call");
        }
    }
}

fn unauthenticated(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unauthenticated, message)
}

/// The token of an `authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

struct TokensFile {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Default)]
struct Loaded {
    tokens: Vec<Valid>,
    stamp: Stamp,
}

/// A token and what its streams wait for.
struct Valid {
    token: Token,
    revoked: CancellationToken,
}

/// What tells one state of a file from the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stamp {
    #[default]
    Missing,
    Unreadable,
    There {
        modified: Option<SystemTime>,
        length: u64,
        inode: u64,
    },
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self::There {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode,
        }
    }

    fn of_path(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) => Self::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(_) => Self::Unreadable,
        }
    }
}

impl TokensFile {
    fn find(&self, hash: &[u8; 32]) -> Option<Grant> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        // All are looked at, each in constant time, so that the time tells nothing about where a hash nearly fits.
        let mut found = None;
        for valid in &loaded.tokens {
            if bool::from(valid.token.hash.ct_eq(hash)) {
                found = Some(valid);
            }
        }
        found.map(|valid| Grant {
            principal: Principal {
                name: valid.token.name.clone(),
                role: valid.token.role,
                machine: valid.token.machine.clone(),
            },
            revoked: Some(valid.revoked.clone()),
        })
    }

    fn reload_or_warn(&self) {
        if let Err(error) = self.reload() {
            tracing::warn!("{error}; until then the tokens that were read before stay valid");
        }
    }

    /// Reads the file if it has changed. When that fails its state is remembered nevertheless, so that each broken
    /// state is reported once.
    fn reload(&self) -> Result<(), TokensError> {
        let stamp = Stamp::of_path(&self.path);
        if stamp == self.loaded.read().unwrap_or_else(PoisonError::into_inner).stamp {
            return Ok(());
        }
        let (stamp, result) = match File::open(&self.path) {
            // What was opened may be newer than what was looked at.
            Ok(file) => (file.metadata().as_ref().map_or(stamp, Stamp::of), self.read(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Stamp::Missing, Ok(Vec::new())),
            Err(source) => {
                let path = self.path.clone();
                (stamp, Err(TokensError::Read { path, source }))
            }
        };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.stamp = stamp;
        loaded.replace(result?);
        Ok(())
    }

    fn read(&self, file: File) -> Result<Vec<Token>, TokensError> {
        if private_path::is_readable_by_others(&file).unwrap_or(false) {
            tracing::warn!(path = %self.path.display(), "the tokens file can be read by others; run `chmod 600` on it");
        }
        tokens::read(&self.path, file)
    }
}

impl Loaded {
    /// Takes over a new set; whatever of the old one is not in it exactly as it was, is revoked.
    fn replace(&mut self, tokens: Vec<Token>) {
        let mut before: HashMap<Token, CancellationToken> = self
            .tokens
            .drain(..)
            .map(|valid| (valid.token, valid.revoked))
            .collect();
        self.tokens = tokens
            .into_iter()
            .map(|token| Valid {
                revoked: before.remove(&token).unwrap_or_default(),
                token,
            })
            .collect();
        for (token, revoked) in before {
            tracing::info!(token = %token.name, "a token is no longer valid; its streams end");
            revoked.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Peer {
        Peer::Tcp(([127, 0, 0, 1], 1).into())
    }

    #[test]
    fn only_the_own_user_root_and_the_own_process_need_no_token() {
        let own_uid = private_path::own_uid();
        let access = Access::local_only();
        for (peer, name) in [
            (Peer::InProcess, "local".to_owned()),
            (Peer::Unix { uid: own_uid }, format!("local:{own_uid}")),
            (Peer::Unix { uid: 0 }, "local:0".to_owned()),
        ] {
            let grant = access.identify(&peer, None).ok().unwrap();
            assert_eq!((grant.principal.name, grant.principal.role), (name, Role::Admin));
        }
        // Loopback is not the own user: everybody on the machine can connect to it.
        for peer in [Peer::Unix { uid: own_uid + 1 }, remote()] {
            let error = access.identify(&peer, None).err().unwrap();
            assert_eq!(error.code, Code::Unauthenticated);
        }
    }

    #[test]
    fn a_token_counts_wherever_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let access = Access::with_tokens_file(&path).unwrap();
        let secret = tokens::create(&path, "eve", Role::Viewer, None).unwrap();
        let header = format!("Bearer {secret}");
        let foreign = Peer::Unix {
            uid: private_path::own_uid() + 1,
        };
        for peer in [remote(), foreign, Peer::InProcess] {
            let grant = access.identify(&peer, Some(header.as_bytes())).ok().unwrap();
            assert_eq!(
                (grant.principal.name.as_str(), grant.principal.role),
                ("eve", Role::Viewer)
            );
            assert!(access.identify(&peer, Some(&header.as_bytes()[..20])).is_err());
        }
    }

    #[test]
    fn a_change_revokes_what_is_gone_or_different_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let access = Access::with_tokens_file(&path).unwrap();
        let revoked = |secret: &str| {
            let header = format!("Bearer {secret}");
            let grant = access.identify(&remote(), Some(header.as_bytes()));
            grant.ok().unwrap().revoked.unwrap()
        };
        let secrets =
            ["kept", "changed", "gone"].map(|name| tokens::create(&path, name, Role::Viewer, None).unwrap());
        let [kept, changed, gone] = secrets.each_ref().map(|secret| revoked(secret));
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "name = \"changed\"\nrole = \"viewer\"",
            "name = \"changed\"\nrole = \"admin\"",
        );
        std::fs::write(&path, text).unwrap();
        tokens::revoke(&path, "gone").unwrap();
        access.tokens.as_ref().unwrap().reload().unwrap();
        assert_eq!(
            [kept, changed, gone].map(|token| token.is_cancelled()),
            [false, true, true]
        );
        assert!(
            !revoked(&secrets[1]).is_cancelled(),
            "with its new role it is valid again"
        );
    }

    #[test]
    fn a_file_that_is_broken_from_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        std::fs::write(&path, "oops").unwrap();
        let error = Access::with_tokens_file(&path).unwrap_err();
        assert!(
            error.to_string().contains("tokens.toml is broken: line 1"),
            "{error}"
        );
        let error = Access::with_tokens_file(folder.path()).unwrap_err();
        assert!(matches!(error, TokensError::Read { .. }), "{error}");
    }
}
