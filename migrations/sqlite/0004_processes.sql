-- Processes of the past: the busiest and largest of a machine every minute, and every ten seconds while somebody looks or
-- something is wrong. The formats of `identity` and `processes` are in crates/sysmon-core/src/process/snapshot.rs.

-- What the numbers in snapshots stand for: process, parent, user, name, command line.
CREATE TABLE process_identity (
    id INTEGER PRIMARY KEY,
    machine INTEGER NOT NULL REFERENCES machine (id),
    digest INTEGER NOT NULL,                    -- 64-bit FNV-1a of `identity`
    used_unix_ms INTEGER NOT NULL,              -- of the newest snapshot that has it, or up to an hour before that
    identity BLOB NOT NULL,
    UNIQUE (machine, digest)
) STRICT;
CREATE INDEX process_identity_by_age ON process_identity (used_unix_ms);

CREATE TABLE process_snapshot (
    machine INTEGER NOT NULL REFERENCES machine (id),
    at_unix_ms INTEGER NOT NULL,                -- on the same clock as the machine's samples
    processes BLOB NOT NULL,
    PRIMARY KEY (machine, at_unix_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX process_snapshot_by_age ON process_snapshot (at_unix_ms);

-- How many bytes were written for the snapshots of an hour, so that the oldest can go when there are too many.
CREATE TABLE process_usage (
    hour_unix_ms INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;
