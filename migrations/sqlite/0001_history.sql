-- History in SQLite. Times are Unix milliseconds in UTC.
--
-- Samples arrive in `recent`, one row per machine and tick, in the transaction that moves the cursor. Maintenance packs
-- them into blocks of a few minutes (level 1), an hour later into hours (level 2) with their roll-ups, and these into
-- longer ones (level 3). A sample is in exactly one place, so whoever reads adds up `recent` and blocks. The formats of
-- the packed columns are in crates/sysmon-store/src/history/sqlite/{tick,block,lane}.rs.

CREATE TABLE machine (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hostname TEXT NOT NULL DEFAULT '',
    os TEXT NOT NULL DEFAULT '',
    kernel TEXT NOT NULL DEFAULT '',
    architecture TEXT NOT NULL DEFAULT '',
    cpu_model TEXT NOT NULL DEFAULT '',
    cpu_count INTEGER NOT NULL DEFAULT 0,
    memory_bytes INTEGER NOT NULL DEFAULT 0,
    boot_unix_ms INTEGER NOT NULL DEFAULT 0,
    collector_version TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '[]',          -- JSON: pairs of name and value
    first_unix_ms INTEGER,                      -- of samples that have left `recent`
    last_unix_ms INTEGER,                       -- of samples that have left `recent`
    interval_ms INTEGER                         -- between samples, as last said by those that have left `recent`
) STRICT;

-- What is measured; shared by all machines. A value v is kept as round(v * 10^decimals).
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    labels TEXT NOT NULL,                       -- JSON: pairs of name and value
    UNIQUE (metric, labels, unit, decimals)
) STRICT;

-- How far each epoch of each collector is stored.
CREATE TABLE cursor (
    machine INTEGER NOT NULL REFERENCES machine (id),
    epoch BLOB NOT NULL,
    through INTEGER NOT NULL,
    touched_unix_ms INTEGER NOT NULL,           -- on the aggregator's clock
    PRIMARY KEY (machine, epoch)
) STRICT, WITHOUT ROWID;

-- Ids are never used again (AUTOINCREMENT): two programs that maintain at once tell by them what is still the same.
CREATE TABLE recent (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine INTEGER NOT NULL REFERENCES machine (id),
    at_unix_ms INTEGER NOT NULL,
    clock_offset_ms INTEGER NOT NULL,           -- aggregator's clock less the collector's; series 0 of blocks
    samples BLOB NOT NULL
) STRICT;
CREATE INDEX recent_by_machine ON recent (machine, at_unix_ms);

CREATE TABLE block (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine INTEGER NOT NULL REFERENCES machine (id),
    tier INTEGER NOT NULL,                      -- 0 samples, 1 minutes, 2 hours
    level INTEGER NOT NULL,                     -- 1 not rolled up yet, 2 an hour, 3 longer
    from_unix_ms INTEGER NOT NULL,              -- of the first row
    to_unix_ms INTEGER NOT NULL,                -- of the last row
    rows INTEGER NOT NULL,
    samples INTEGER NOT NULL,                   -- values in it: rows times series, less what is absent
    written_unix_ms INTEGER NOT NULL,           -- on the aggregator's clock
    head BLOB NOT NULL
) STRICT;
CREATE INDEX block_by_machine ON block (machine, tier, from_unix_ms, to_unix_ms, level);
CREATE INDEX block_by_age ON block (tier, level, to_unix_ms);

CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    block INTEGER NOT NULL REFERENCES block (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    columns BLOB NOT NULL,
    UNIQUE (block, number)
) STRICT;

CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    machine INTEGER NOT NULL REFERENCES machine (id),
    epoch BLOB NOT NULL,
    from_unix_ms INTEGER NOT NULL,
    to_unix_ms INTEGER NOT NULL,
    samples INTEGER NOT NULL,                   -- 0 when not known
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX gap_by_machine ON gap (machine, from_unix_ms);
CREATE INDEX gap_by_age ON gap (to_unix_ms);

CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine TEXT NOT NULL,
    epoch BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    received_unix_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tick TEXT                                   -- JSON, as far as it could be read
) STRICT;
CREATE INDEX dead_letter_by_age ON dead_letter (received_unix_ms);
