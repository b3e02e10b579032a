//! Small files that one run leaves to the next.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// The name of the file for what is called `source_name`, which may hold anything: letters, digits and what tells two of
/// them apart.
pub(crate) fn file_name(source_name: &str, extension: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    let plain: String = source_name
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' })
        .take(80)
        .collect();
    let hash = source_name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let suffix = if plain == source_name {
        String::new()
    } else {
        format!("-{:08x}", hash >> 32)
    };
    format!("console-{plain}{suffix}.{extension}")
}

/// Writes a file that only its owner reads, and its folder if need be. Whoever reads it finds the old or the new one, never half
/// of it.
///
/// # Errors
/// When it cannot be written; the old one is still there then.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two consoles of one person may leave at once.
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        // The reason is the first failure.
        let _ = std::fs::remove_file(&beside);
    }
    moved
}
