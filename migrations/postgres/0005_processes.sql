-- Version 5: processes of the past.
--
-- The busiest and largest processes of a machine every minute, and every ten seconds while somebody looks or something is
-- wrong, for two days. Rows are small and soon gone, so these are ordinary tables with TimescaleDB as well. The formats of
-- the packed columns are in crates/sysmon-core/src/process/snapshot.rs.

CREATE TABLE process_identity (
    identity_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_key integer NOT NULL,
    digest bigint NOT NULL,
    used_at timestamptz NOT NULL,
    identity bytea NOT NULL,
    UNIQUE (machine_key, digest)
);
COMMENT ON TABLE process_identity IS 'What the numbers in snapshots stand for: process, parent, user, name, command line.';
COMMENT ON COLUMN process_identity.digest IS '64-bit FNV-1a of identity.';
COMMENT ON COLUMN process_identity.used_at IS 'Of the newest snapshot that has it, or up to an hour before that.';
CREATE INDEX process_identity_used_at ON process_identity (used_at);

CREATE TABLE process_snapshot (
    machine_key integer NOT NULL,
    taken_at timestamptz NOT NULL,
    processes bytea NOT NULL,
    PRIMARY KEY (machine_key, taken_at)
);
COMMENT ON TABLE process_snapshot IS 'The busiest and largest processes of a machine at a moment, packed.';
COMMENT ON COLUMN process_snapshot.taken_at IS 'On the same clock as the machine''s samples.';
CREATE INDEX process_snapshot_taken_at ON process_snapshot (taken_at);

CREATE TABLE process_usage (
    hour timestamptz PRIMARY KEY,
    bytes bigint NOT NULL
);
COMMENT ON TABLE process_usage IS 'How many bytes were written for the snapshots of an hour, so that the oldest can go when there are too many.';
