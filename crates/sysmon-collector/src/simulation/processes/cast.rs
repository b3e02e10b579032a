//! Who runs what on which kind of machine.

use std::sync::Arc;

use crate::simulation::hardware::Kind;

/// One program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    pub(super) user: &'static str,
    pub(super) name: &'static str,
    /// Empty for a kernel thread.
    pub(super) command: &'static str,
    /// Its part of the machine's work; 0 for one that only waits.
    pub(super) work: f32,
    pub(super) memory_mib: f32,
    pub(super) threads: u32,
    /// How long it runs; 0 for as long as the machine.
    pub(super) life_ms: i64,
}

/// The texts of a role, made once for all machines.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) user: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) command: Arc<str>,
}

impl From<&Role> for Texts {
    fn from(role: &Role) -> Self {
        Self {
            user: role.user.into(),
            name: role.name.into(),
            command: role.command.into(),
        }
    }
}

/// The places of special roles in [`ROLES`].
pub(super) const RUNAWAY: usize = 0;
pub(super) const BACKUP: usize = 1;
pub(super) const ZOMBIE: usize = 2;
/// Threads of the kernel: the first stands for all others' parent, the rest are there once per core.
pub(super) const KERNEL: std::ops::Range<usize> = 3..9;
/// Daemons that every machine has.
pub(super) const COMMON: std::ops::Range<usize> = 9..20;

const fn kernel(name: &'static str) -> Role {
    Role {
        user: "root",
        name,
        command: "",
        work: 0.0,
        memory_mib: 0.0,
        threads: 1,
        life_ms: 0,
    }
}

const fn daemon(user: &'static str, name: &'static str, command: &'static str, memory_mib: f32) -> Role {
    Role {
        user,
        name,
        command,
        work: 0.0,
        memory_mib,
        threads: 1,
        life_ms: 0,
    }
}

const fn worker(
    user: &'static str,
    name: &'static str,
    command: &'static str,
    (work, memory_mib, threads): (f32, f32, u32),
) -> Role {
    Role {
        user,
        name,
        command,
        work,
        memory_mib,
        threads,
        life_ms: 0,
    }
}

const fn brief(role: Role, life_ms: i64) -> Role {
    Role { life_ms, ..role }
}

/// Every program there is.
pub(super) const ROLES: &[Role] = &[
    worker(
        "deploy",
        "python3",
        "python3 /opt/jobs/reindex.py --all --retry-forever",
        (0.0, 310.0, 4),
    ),
    worker(
        "root",
        "rsync",
        "rsync -a --delete / backup.internal::nightly/",
        (0.0, 38.0, 1),
    ),
    kernel("sh"),
    kernel("kthreadd"),
    kernel("rcu_preempt"),
    kernel("kswapd0"),
    kernel("ksoftirqd"),
    kernel("migration"),
    kernel("kworker/u17:2-events_unbound"),
    daemon("root", "systemd", "/sbin/init", 11.8),
    daemon("root", "systemd-journal", "/lib/systemd/systemd-journald", 38.0),
    daemon("root", "systemd-udevd", "/lib/systemd/systemd-udevd", 6.2),
    daemon(
        "messagebus",
        "dbus-daemon",
        "/usr/bin/dbus-daemon --system --address=systemd: --nofork",
        4.1,
    ),
    daemon(
        "root",
        "sshd",
        "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
        8.9,
    ),
    daemon("root", "cron", "/usr/sbin/cron -f", 2.6),
    daemon("syslog", "rsyslogd", "/usr/sbin/rsyslogd -n -iNONE", 5.6),
    daemon("_chrony", "chronyd", "/usr/sbin/chronyd -F 1", 3.7),
    daemon(
        "root",
        "agetty",
        "/sbin/agetty -o -p -- \\u --noclear tty1 linux",
        1.9,
    ),
    daemon("root", "systemd-logind", "/lib/systemd/systemd-logind", 7.4),
    daemon(
        "sysmon",
        "sysmon",
        "/usr/bin/sysmon collector --aggregator https://monitor.internal:50051",
        6.6,
    ),
    // From here on: what machines are there for.
    daemon(
        "root",
        "nginx",
        "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
        12.0,
    ),
    worker("www-data", "nginx", "nginx: worker process", (1.0, 46.0, 1)),
    worker("www-data", "php-fpm8.2", "php-fpm: pool www", (0.7, 78.0, 1)),
    worker(
        "postgres",
        "postgres",
        "/usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/17/main",
        (0.1, 900.0, 1),
    ),
    worker(
        "postgres",
        "postgres",
        "postgres: 17/main: checkpointer",
        (0.3, 640.0, 1),
    ),
    worker(
        "postgres",
        "postgres",
        "postgres: 17/main: walwriter",
        (0.4, 24.0, 1),
    ),
    worker(
        "postgres",
        "postgres",
        "postgres: 17/main: shop shop 10.20.3.17(40122) SELECT",
        (1.0, 190.0, 1),
    ),
    worker(
        "postgres",
        "postgres",
        "postgres: 17/main: billing billing 10.20.3.44(51630) idle",
        (0.05, 120.0, 1),
    ),
    worker(
        "redis",
        "redis-server",
        "/usr/bin/redis-server 0.0.0.0:6379",
        (4.0, 9_000.0, 6),
    ),
    worker("root", "dockerd", "/usr/bin/dockerd -H fd://", (0.2, 92.0, 18)),
    worker("root", "containerd", "/usr/bin/containerd", (0.1, 54.0, 16)),
    daemon(
        "root",
        "containerd-shim",
        "/usr/bin/containerd-shim-runc-v2 -namespace moby",
        12.0,
    ),
    worker(
        "app",
        "java",
        "java -Xmx6g -XX:+UseZGC -jar /app/api.jar --spring.profiles.active=prod",
        (3.0, 5_200.0, 64),
    ),
    worker(
        "app",
        "node",
        "node /srv/app/worker.js --queue default",
        (0.9, 240.0, 11),
    ),
    worker(
        "app",
        "gunicorn",
        "gunicorn: worker [scheduler.wsgi]",
        (0.5, 160.0, 2),
    ),
    worker(
        "builder",
        "gitlab-runner",
        "/usr/bin/gitlab-runner run --working-directory /srv/build",
        (0.1, 60.0, 14),
    ),
    brief(
        worker(
            "builder",
            "rustc",
            "rustc --crate-name core_engine --edition=2024 src/lib.rs -C opt-level=3",
            (1.6, 820.0, 9),
        ),
        24_000,
    ),
    brief(
        worker(
            "builder",
            "cc1plus",
            "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus -quiet -O2 src/render/scene.cpp",
            (1.0, 310.0, 1),
        ),
        9_000,
    ),
    brief(
        worker(
            "builder",
            "ld",
            "/usr/bin/ld -plugin liblto_plugin.so -o target/app",
            (0.8, 420.0, 1),
        ),
        6_000,
    ),
    worker(
        "builder",
        "cargo",
        "cargo build --release --workspace",
        (0.1, 130.0, 6),
    ),
    worker(
        "root",
        "smbd",
        "/usr/sbin/smbd --foreground --no-process-group",
        (0.6, 32.0, 2),
    ),
    worker(
        "minio",
        "minio",
        "minio server /srv/pool0 /srv/pool1 --console-address :9001",
        (2.5, 2_600.0, 28),
    ),
    kernel("nfsd"),
    worker(
        "haproxy",
        "haproxy",
        "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg",
        (3.0, 210.0, 4),
    ),
    worker(
        "root",
        "keepalived",
        "/usr/sbin/keepalived --dont-fork",
        (0.05, 14.0, 1),
    ),
    worker("unbound", "unbound", "/usr/sbin/unbound -d -p", (0.5, 64.0, 4)),
    worker("ana", "gnome-shell", "/usr/bin/gnome-shell", (0.8, 420.0, 22)),
    worker("ana", "firefox", "/usr/lib/firefox/firefox", (1.2, 640.0, 96)),
    worker(
        "ana",
        "Isolated Web Co",
        "/usr/lib/firefox/firefox -contentproc -isForBrowser",
        (0.5, 180.0, 28),
    ),
    worker(
        "ana",
        "code",
        "/usr/share/code/code --type=renderer",
        (0.7, 310.0, 24),
    ),
    worker("ana", "pipewire", "/usr/bin/pipewire", (0.1, 18.0, 3)),
    daemon("ana", "bash", "-bash", 6.0),
];

/// Names of what a kind of machine runs, each with how often among a hundred. The first is the one that leaks.
pub(super) fn programs(kind: Kind) -> &'static [(&'static str, u32)] {
    match kind {
        Kind::Web => &[("php-fpm8.2", 70), ("nginx", 30)],
        Kind::Database => &[("postgres", 100)],
        Kind::Cache => &[("redis-server", 20), ("bash", 80)],
        Kind::Application => &[
            ("java", 6),
            ("node", 44),
            ("gunicorn", 34),
            ("containerd-shim", 10),
            ("dockerd", 2),
            ("containerd", 4),
        ],
        Kind::Build => &[
            ("rustc", 30),
            ("cc1plus", 50),
            ("ld", 8),
            ("cargo", 8),
            ("gitlab-runner", 4),
        ],
        Kind::Storage => &[("minio", 8), ("smbd", 62), ("nfsd", 30)],
        Kind::Gateway => &[("haproxy", 40), ("keepalived", 30), ("unbound", 30)],
        Kind::Laptop => &[
            ("Isolated Web Co", 38),
            ("firefox", 4),
            ("gnome-shell", 3),
            ("code", 22),
            ("pipewire", 6),
            ("bash", 27),
        ],
    }
}

/// The places of all roles of a name.
pub(super) fn places(name: &str) -> impl Iterator<Item = usize> + Clone {
    let roles = ROLES.iter().enumerate().skip(COMMON.end);
    roles
        .filter(move |(_, role)| role.name == name)
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::hardware::KINDS;

    #[test]
    fn special_places_and_names_are_what_they_say() {
        assert_eq!(ROLES[RUNAWAY].name, "python3");
        assert_eq!(ROLES[BACKUP].name, "rsync");
        assert_eq!(ROLES[KERNEL.start].name, "kthreadd");
        assert_eq!(ROLES[COMMON.start].command, "/sbin/init");
        assert_eq!(ROLES[COMMON.end - 1].name, "sysmon");
        for habits in KINDS {
            let programs = programs(habits.kind);
            assert_eq!(programs.iter().map(|(_, often)| often).sum::<u32>(), 100);
            for (name, _) in programs {
                assert!(places(name).next().is_some(), "{name}");
            }
        }
    }
}
