//! Which of the mounts are file systems that somebody could fill.

use std::collections::BTreeMap;

use crate::parse::{lines, words};

/// File systems without a store of their own, and images that are always full.
const PSEUDO: [&str; 40] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "none",
    "nsfs",
    "overlay",
    "aufs",
    "fuse.fuse-overlayfs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];
/// Layers of a container; as its root they are the file system that it can fill.
const LAYERS: [&str; 3] = ["overlay", "aufs", "fuse.fuse-overlayfs"];

/// One file system and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: String,
    pub(super) read_only: bool,
}

/// The file systems of a list of mounts by mount point. One that is mounted several times stands once, under its
/// shortest mount point.
pub(super) fn parse(text: &[u8]) -> Vec<Mount> {
    let mut by_point: BTreeMap<String, (String, Mount)> = BTreeMap::new();
    for line in lines(text) {
        let mut words = words(line);
        let (Some(source), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let read_only = words
            .next()
            .is_some_and(|options| options.split(|byte| *byte == b',').any(|word| word == b"ro"));
        let (source, point) = (unescape(source), unescape(point));
        let kind = String::from_utf8_lossy(kind);
        // What is mounted later at the same point hides what was there.
        by_point.remove(&point);
        if !point.starts_with('/')
            || (PSEUDO.contains(&&*kind) && !(point == "/" && LAYERS.contains(&&*kind)))
        {
            continue;
        }
        // A source that is no device or server is only a word; such file systems are told apart by their place.
        let is_identity = source.contains(['/', ':']);
        let identity = if is_identity {
            format!("{kind} {source}")
        } else {
            point.clone()
        };
        by_point.insert(point.clone(), (identity, Mount { point, read_only }));
    }
    let mut by_identity: BTreeMap<String, Mount> = BTreeMap::new();
    for (identity, mount) in by_point.into_values() {
        let known = by_identity.get(&identity);
        if known.is_none_or(|known| mount.point.len() < known.point.len()) {
            by_identity.insert(identity, mount);
        }
    }
    let mut mounts: Vec<Mount> = by_identity.into_values().collect();
    mounts.sort_by(|left, right| left.point.cmp(&right.point));
    mounts
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let code = digits.map(|digits| {
            digits
                .iter()
                .fold(0u16, |code, digit| code * 8 + u16::from(digit - b'0'))
        });
        match code
            .and_then(|code| u8::try_from(code).ok())
            .filter(|_| *first == b'\\')
        {
            Some(code) => {
                bytes.push(code);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(text: &str) -> Vec<String> {
        parse(text.as_bytes())
            .into_iter()
            .map(|mount| mount.point)
            .collect()
    }

    #[test]
    fn only_what_can_be_filled_is_listed() {
        let text = "proc /proc proc rw 0 0\n/dev/sda1 / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw 0 0\n\
            /dev/loop3 /snap/core/1 squashfs ro 0 0\noverlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n\
            /dev/sda1 /var/lib/x ext4 rw 0 0\n/dev/sda1 /b ext4 rw 0 0\nserver:/export /nfs\\040share nfs4 rw 0 0\n\
            tank/home /home zfs rw 0 0\ntank /tank zfs rw 0 0\nsystemd-1 /efi autofs rw 0 0\n/dev/sdc1 /usb ext4 ro 0 0\n";
        assert_eq!(points(text), ["/", "/home", "/nfs share", "/tank", "/usb"]);
        assert!(
            parse(text.as_bytes())
                .iter()
                .any(|mount| mount.point == "/usb" && mount.read_only)
        );
    }

    #[test]
    fn the_layers_of_a_container_are_its_root() {
        assert_eq!(
            points("overlay / overlay rw 0 0\n/dev/sda1 /data ext4 rw 0 0\n"),
            ["/", "/data"]
        );
    }

    #[test]
    fn what_is_mounted_over_another_hides_it() {
        assert_eq!(
            points("/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /mnt ext4 rw 0 0\ntmpfs /mnt tmpfs rw 0 0\n"),
            ["/"]
        );
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_left() {
        for (field, expected) in [
            ("/a\\040b", "/a b"),
            ("/a\\134", "/a\\"),
            ("/a\\9", "/a\\9"),
            ("\\04", "\\04"),
            ("/\\777", "/\\777"),
        ] {
            assert_eq!(unescape(field.as_bytes()), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_every_point_stands_once(text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "((/dev/sd[ab]|x|s:/y) (/|/[ab]|/a/b|[ab]) (ext4|tmpfs|overlay|xfs)( r[ow])?\n){0,8}".prop_map(String::into_bytes),
        ]) {
            let mounts = parse(&text);
            let mut points: Vec<_> = mounts.iter().map(|mount| &mount.point).collect();
            points.dedup();
            prop_assert_eq!(points.len(), mounts.len());
        }
    }
}
