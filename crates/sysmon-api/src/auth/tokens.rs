//! The file of tokens, and what the command line does with it.
//!
//! ```toml
//! [[token]]
//! name = "web-1"
//! role = "agent"
//! machine = "web-1"
//! sha256 = "…"
//! created = "2026-11-23T10:00:00Z"
//! ```
//! A token is 32 random bytes, so a fast hash protects it as well as a slow one would.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sysmon_core::MachineId;
use thiserror::Error;

use super::Role;
use crate::private_path;

/// Every token starts with this, so that scanners for leaked secrets can find it.
const PREFIX: &str = "sysmon_";
const NAME_LENGTH_MAX: usize = 64;
/// Some fifty thousand tokens.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const HEADING: &str =
    "# Tokens of sysmon. Only their hashes are kept; `sysmon tokens` writes this file anew.\n\n";

/// What went wrong with the file of tokens.
#[derive(Debug, Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("cannot read the tokens file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the tokens file {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error(
        "the tokens file {path} is broken: {reason}; correct it, or move it away and create the tokens again"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Anybody on the machine could let himself in.
    #[error(
        "the tokens file {path} can be written by others; run `chmod 600 {path}` after checking what is in it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot be used.
    #[error(
        "{name:?} is no name for a token; give 1 to 64 letters, digits, '-', '_' or '.', but not \"local\""
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// A name that is taken.
    #[error("there is a token called {name} already; revoke it first, or choose another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// An agent's token without its machine.
    #[error("a token for an agent is bound to one machine; name it with --machine-id")]
    MachineMissing,
    /// A machine that means nothing.
    #[error("only a token for an agent is bound to a machine; leave --machine-id out")]
    MachineUnused,
    /// A name that is not there.
    #[error("there is no token called {name}; `sysmon tokens list` shows all")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes for a token: {reason}; try again")]
    Random {
        /// What it said.
        reason: String,
    },
}

/// A token as it is listed; the token itself is not known to anybody but its holder.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token {
    /// Its name in logs.
    pub name: String,
    /// What it entitles to.
    pub role: Role,
    /// The one machine that an agent reports for.
    pub machine: Option<MachineId>,
    /// When it was created, in UTC as RFC 3339; empty when the file does not say.
    pub created: String,
    pub(super) hash: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("machine", &self.machine)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default)]
    token: Vec<Record>,
}

// A field that this release does not know may be a restriction; so it is refused rather than passed over.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    sha256: String,
    #[serde(default)]
    created: String,
}

/// Creates a token and returns it; it cannot be shown a second time. The file and its folder are created when they
/// are missing, readable by their owner only.
///
/// # Errors
/// [`TokensError`] when the name is taken or no name, the machine does not go with the role, or the file cannot be
/// read or written.
pub fn create(
    path: &Path,
    name: &str,
    role: Role,
    machine: Option<&MachineId>,
) -> Result<String, TokensError> {
    if !is_name(name) {
        return Err(TokensError::Name { name: name.into() });
    }
    match (role, machine) {
        (Role::Agent, None) => return Err(TokensError::MachineMissing),
        (Role::Viewer | Role::Operator | Role::Admin, Some(_)) => return Err(TokensError::MachineUnused),
        _ => {}
    }
    let folder = folder_of(path);
    let failed = |source| TokensError::Write {
        path: path.into(),
        source,
    };
    private_path::create_folder(folder).map_err(failed)?;
    let _lock = private_path::lock_folder(folder).map_err(failed)?;
    let mut tokens = list_if_any(path)?;
    if tokens.iter().any(|token| token.name == name) {
        return Err(TokensError::Taken { name: name.into() });
    }
    let secret = generate()?;
    tokens.push(Token {
        name: name.into(),
        role,
        machine: machine.cloned(),
        created: rfc3339(SystemTime::now()),
        hash: hash(secret.as_bytes()),
    });
    write(path, &tokens)?;
    Ok(secret)
}

/// The tokens of a file, in its order.
///
/// # Errors
/// [`TokensError`] when the file cannot be read or is broken.
pub fn list(path: &Path) -> Result<Vec<Token>, TokensError> {
    let file = File::open(path).map_err(|source| TokensError::Read {
        path: path.into(),
        source,
    })?;
    read(path, file)
}

/// Revokes a token: a server that uses the file ends its streams within two seconds.
///
/// # Errors
/// [`TokensError`] when there is no such token or the file cannot be read or written.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokensError> {
    let folder = folder_of(path);
    let _lock = private_path::lock_folder(folder).map_err(|source| TokensError::Write {
        path: path.into(),
        source,
    })?;
    let mut tokens = list(path)?;
    let count = tokens.len();
    tokens.retain(|token| token.name != name);
    if tokens.len() == count {
        return Err(TokensError::Unknown { name: name.into() });
    }
    write(path, &tokens)
}

/// What the file keeps of a token.
pub(super) fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Reads and checks an open file of tokens; `path` is for the texts.
pub(super) fn read(path: &Path, file: File) -> Result<Vec<Token>, TokensError> {
    let failed = |source| TokensError::Read {
        path: path.into(),
        source,
    };
    if private_path::is_writable_by_others(&file).map_err(failed)? {
        return Err(TokensError::Exposed { path: path.into() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(TokensError::Broken {
            path: path.into(),
            reason: format!("it is longer than {FILE_BYTES_MAX} bytes"),
        });
    }
    parse(&text).map_err(|reason| TokensError::Broken {
        path: path.into(),
        reason,
    })
}

fn parse(text: &str) -> Result<Vec<Token>, String> {
    // The default text of a TOML error quotes the line, which may hold a hash; its message alone does not.
    let contents: Contents = toml::from_str(text).map_err(|error| match error.span() {
        Some(span) => {
            let line = text[..span.start].matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        }
        None => error.message().to_owned(),
    })?;
    let mut names = HashSet::new();
    let mut hashes = HashSet::new();
    let mut tokens = Vec::with_capacity(contents.token.len());
    for (index, record) in contents.token.into_iter().enumerate() {
        let token = check(record).map_err(|reason| format!("token {}: {reason}", index + 1))?;
        if !names.insert(token.name.clone()) {
            return Err(format!("two tokens are called {}", token.name));
        }
        if !hashes.insert(token.hash) {
            return Err(format!("the token {} has the hash of another", token.name));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn check(record: Record) -> Result<Token, String> {
    if !is_name(&record.name) {
        return Err(TokensError::Name { name: record.name }.to_string());
    }
    let role = Role::from_word(&record.role).ok_or_else(|| {
        let words: Vec<_> = Role::WORDS.iter().map(|(_, word)| *word).collect();
        format!("the role {:?} is none of {}", record.role, words.join(", "))
    })?;
    let machine = match (role, record.machine) {
        (Role::Agent, None) => return Err("an agent needs a machine".into()),
        (Role::Agent, Some(machine)) => Some(MachineId::parse(&machine).map_err(|error| error.to_string())?),
        (_, None) => None,
        (_, Some(_)) => return Err(format!("the role {} has no machine", role.word())),
    };
    let hash = from_hex(&record.sha256).ok_or("sha256 must be 64 hexadecimal digits")?;
    Ok(Token {
        name: record.name,
        role,
        machine,
        created: record.created,
        hash,
    })
}

fn list_if_any(path: &Path) -> Result<Vec<Token>, TokensError> {
    match list(path) {
        Err(TokensError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

/// Replaces the file at once, so that nobody ever reads half of it.
fn write(path: &Path, tokens: &[Token]) -> Result<(), TokensError> {
    let contents = Contents {
        token: tokens.iter().map(record).collect(),
    };
    let failed = |source| TokensError::Write {
        path: path.into(),
        source,
    };
    let text = toml::to_string(&contents).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(name);
    let result = private_path::create_file_like(&temporary, path).and_then(|mut file| {
        file.write_all(HEADING.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    result.map_err(|source| {
        // What is left of it would only be in the way; that the write failed is what is reported.
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

fn record(token: &Token) -> Record {
    Record {
        name: token.name.clone(),
        role: token.role.word().into(),
        machine: token.machine.as_ref().map(ToString::to_string),
        sha256: to_hex(&token.hash),
        created: token.created.clone(),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn generate() -> Result<String, TokensError> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| TokensError::Random {
            reason: error.to_string(),
        })?;
    Ok(format!("{PREFIX}{}", to_hex(&bytes)))
}

fn is_name(name: &str) -> bool {
    // Callers without a token are called that.
    name != "local"
        && (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// A moment in UTC, to the second.
fn rfc3339(at: SystemTime) -> String {
    let seconds = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years counted from March, so that the leap day is the last of its year: Hinnant, "chrono-compatible low-level
    // date algorithms", civil_from_days; eras of 146097 days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/tokens.toml");
        (folder, path)
    }

    fn machine() -> MachineId {
        MachineId::parse("web-1").unwrap()
    }

    #[test]
    fn tokens_are_created_listed_and_revoked_and_only_their_hashes_are_kept() {
        let (_folder, path) = file();
        let agent = create(&path, "web-1", Role::Agent, Some(&machine())).unwrap();
        let viewer = create(&path, "eve", Role::Viewer, None).unwrap();
        assert_ne!(agent, viewer);
        assert_eq!(agent.len(), PREFIX.len() + 64);
        assert!(agent.starts_with(PREFIX));

        let tokens = list(&path).unwrap();
        let shown: Vec<_> = tokens
            .iter()
            .map(|token| (token.name.as_str(), token.role))
            .collect();
        assert_eq!(shown, [("web-1", Role::Agent), ("eve", Role::Viewer)]);
        assert_eq!(tokens[0].machine, Some(machine()));
        assert_eq!(tokens[0].hash, hash(agent.as_bytes()));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&agent) && !text.contains(&agent[PREFIX.len()..]));
        assert!(!format!("{tokens:?}").contains(&to_hex(&tokens[0].hash)));

        revoke(&path, "web-1").unwrap();
        assert_eq!(list(&path).unwrap(), tokens[1..]);
        assert!(matches!(revoke(&path, "web-1"), Err(TokensError::Unknown { .. })));
        let folder = path.parent().unwrap();
        let names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            !names.iter().any(|name| name.to_string_lossy().ends_with(".new")),
            "{names:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_file_and_its_folder_are_for_their_owner_only_and_an_exposed_file_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let (_folder, path) = file();
        create(&path, "eve", Role::Viewer, None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        for result in [
            list(&path).map(drop),
            create(&path, "bob", Role::Viewer, None).map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, TokensError::Exposed { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_changed_file_can_be_read_by_whoever_could_read_it_before() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

        let (_folder, path) = file();
        create(&path, "eve", Role::Viewer, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Only root can give a file away; for others the owner stays the same anyway.
        let is_root = private_path::own_uid() == 0;
        if is_root {
            chown(&path, Some(4_711), Some(4_712)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        create(&path, "bob", Role::Viewer, None).unwrap();
        let after = fs::metadata(&path).unwrap();
        let rights = |metadata: &fs::Metadata| (metadata.uid(), metadata.gid(), metadata.mode() & 0o777);
        assert_eq!(rights(&after), rights(&before));
        assert_ne!(before.ino(), after.ino(), "it is replaced, not written into");
    }

    #[test]
    fn names_machines_and_roles_must_go_together() {
        let (_folder, path) = file();
        create(&path, "eve", Role::Viewer, None).unwrap();
        for name in ["", "local", "with space", "ä", "x\ny", &"x".repeat(65)] {
            assert!(
                matches!(
                    create(&path, name, Role::Viewer, None),
                    Err(TokensError::Name { .. })
                ),
                "{name:?}"
            );
        }
        assert!(matches!(
            create(&path, "eve", Role::Admin, None),
            Err(TokensError::Taken { .. })
        ));
        assert!(matches!(
            create(&path, "a", Role::Agent, None),
            Err(TokensError::MachineMissing)
        ));
        let result = create(&path, "a", Role::Admin, Some(&machine()));
        assert!(matches!(result, Err(TokensError::MachineUnused)));
        assert_eq!(list(&path).unwrap().len(), 1);
    }

    #[test]
    fn tokens_created_at_the_same_time_are_all_kept() {
        let (_folder, path) = file();
        std::thread::scope(|scope| {
            for index in 0..8 {
                let path = &path;
                scope.spawn(move || create(path, &format!("eve-{index}"), Role::Viewer, None).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().len(), 8);
    }

    #[test]
    fn a_broken_file_is_refused_with_the_place_and_without_its_contents() {
        let good = format!(
            "name = \"a\"\nrole = \"viewer\"\nsha256 = \"{}\"\n",
            "ab".repeat(32)
        );
        assert_eq!(parse(&format!("[[token]]\n{good}")).unwrap().len(), 1);
        for (text, reason) in [
            (
                format!("[[token]]\n{good}[[token]]\n{good}"),
                "two tokens are called a",
            ),
            (
                format!("[[token]]\n{good}[[token]]\n{}", good.replace("\"a\"", "\"b\"")),
                "has the hash of another",
            ),
            (
                format!("[[token]]\n{}", good.replace("viewer", "king")),
                "token 1: the role \"king\" is none of",
            ),
            (
                format!("[[token]]\n{}", good.replace("viewer", "agent")),
                "token 1: an agent needs a machine",
            ),
            (
                format!("[[token]]\n{good}machine = \"x\""),
                "the role viewer has no machine",
            ),
            (
                format!("[[token]]\n{}", good.replace("abab", "abxb")),
                "64 hexadecimal digits",
            ),
            (
                format!("[[token]]\n{}", good.replace("abab", "ab")),
                "64 hexadecimal digits",
            ),
            (
                format!("[[token]]\n{}", good.replace("\"a\"", "\"a b\"")),
                "is no name for a token",
            ),
            (
                format!("[[token]]\n{good}expires = \"soon\""),
                "unknown field `expires`",
            ),
            (format!("[[token]]\n{good}oops"), "line 5: "),
            ("[[user]]".to_owned(), "unknown field `user`"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("abababab"), "{error}");
        }
    }

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
