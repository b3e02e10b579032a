-- Alert rules, alerts and notifications. Times are Unix milliseconds in UTC. The names are those of PostgreSQL.
--
-- What people decide has an entry in audit_log, made in the same transaction. What alert services write is checked against
-- the fence of their lease in the same transaction.

CREATE TABLE alert_rule (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    version INTEGER NOT NULL,                   -- grows with every change
    rule TEXT NOT NULL,                         -- JSON
    changed_by TEXT NOT NULL,
    changed_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The versions of rules that are gone: one that is made again goes on from there.
CREATE TABLE alert_rule_removed (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: what this store remembers about itself.
CREATE TABLE alert_setting (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    has_starter INTEGER NOT NULL                -- the starter pack was stored once
) STRICT;
INSERT INTO alert_setting (id, has_starter) VALUES (1, 0);

CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    matcher TEXT NOT NULL,                      -- JSON: rules, machines, labels, entities
    from_unix_ms INTEGER NOT NULL,
    until_unix_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT;
CREATE INDEX silence_by_end ON silence (until_unix_ms);

CREATE TABLE acknowledgement (
    rule TEXT NOT NULL,
    machine TEXT NOT NULL,
    entity TEXT NOT NULL,
    made_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    at_unix_ms INTEGER NOT NULL,
    until_unix_ms INTEGER,                      -- none for as long as the alert lasts
    severity TEXT NOT NULL,                     -- of the alert: a worse one is not muted
    PRIMARY KEY (rule, machine, entity)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_unix_ms INTEGER NOT NULL,
    author TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,                                -- JSON; none when it was not there
    after TEXT                                  -- JSON; none when it is gone
) STRICT;
CREATE INDEX audit_log_by_age ON audit_log (at_unix_ms);

CREATE TABLE alert_lease (
    work TEXT PRIMARY KEY,                      -- shard-N, or notifier
    holder TEXT,                                -- none once it was given back
    fence INTEGER NOT NULL,                     -- grows with every new holder
    until_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Alerts that are not inactive.
CREATE TABLE alert (
    rule TEXT NOT NULL,
    machine TEXT NOT NULL,
    entity TEXT NOT NULL,                       -- mount, disk, interface, …; empty where the metric has none
    shard INTEGER NOT NULL,
    phase TEXT NOT NULL,
    severity TEXT NOT NULL,
    since_unix_ms INTEGER NOT NULL,
    fired_unix_ms INTEGER,                      -- when it began to fire; none before
    value REAL,
    threshold REAL,
    peak REAL,
    flapping INTEGER NOT NULL,
    inhibited INTEGER NOT NULL,
    silence INTEGER,                            -- the one that mutes it
    detail TEXT NOT NULL,                       -- JSON: acknowledged, culprits
    PRIMARY KEY (rule, machine, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_by_shard ON alert (shard);
CREATE INDEX alert_by_machine ON alert (machine);

-- Every step of every alert, in the order in which it was stored.
CREATE TABLE alert_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL,
    machine TEXT NOT NULL,
    entity TEXT NOT NULL,
    at_unix_ms INTEGER NOT NULL,
    from_phase TEXT NOT NULL,
    to_phase TEXT NOT NULL,
    severity_before TEXT NOT NULL,
    severity TEXT NOT NULL,
    cause TEXT NOT NULL,
    value REAL,
    threshold REAL,
    fired_unix_ms INTEGER,
    detail TEXT NOT NULL,                       -- JSON: culprits
    UNIQUE (rule, machine, entity, at_unix_ms, to_phase, severity)
) STRICT;
CREATE INDEX alert_log_by_age ON alert_log (at_unix_ms);
CREATE INDEX alert_log_by_machine ON alert_log (machine, id);

-- What the engine knows of a machine, in its own format.
CREATE TABLE alert_state (
    machine TEXT PRIMARY KEY,
    shard INTEGER NOT NULL,
    state BLOB NOT NULL,
    saved_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_state_by_shard ON alert_state (shard);
CREATE INDEX alert_state_by_age ON alert_state (saved_unix_ms);

-- One row, once a notifier ran: how far it has read the log.
CREATE TABLE notifier (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    read INTEGER NOT NULL
) STRICT;

CREATE TABLE notifier_group (
    key TEXT PRIMARY KEY,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE delivery (
    id TEXT PRIMARY KEY,
    receiver TEXT NOT NULL,
    content TEXT NOT NULL,                      -- JSON
    created_unix_ms INTEGER NOT NULL,
    state TEXT NOT NULL,                        -- pending, sent, dead or dropped
    attempts INTEGER NOT NULL,
    due_unix_ms INTEGER NOT NULL,               -- next attempt while pending, else when it was finished
    problem TEXT NOT NULL                       -- why the last attempt failed
) STRICT;
CREATE INDEX delivery_by_state ON delivery (state, due_unix_ms);
CREATE INDEX delivery_by_age ON delivery (created_unix_ms);

-- What fires now, worst and oldest first.
CREATE VIEW alerts_firing AS
SELECT alert.severity, alert.rule, alert_rule.title, alert.machine, alert.entity, alert.phase, alert.value,
       alert.threshold, alert.peak,
       datetime(alert.fired_unix_ms / 1000, 'unixepoch') AS firing_since,
       acknowledgement.made_by AS acknowledged_by,
       alert.silence, alert.inhibited, alert.flapping
FROM alert
LEFT JOIN alert_rule ON alert_rule.id = alert.rule
LEFT JOIN acknowledgement ON acknowledgement.rule = alert.rule AND acknowledgement.machine = alert.machine
    AND acknowledgement.entity = alert.entity
WHERE alert.phase IN ('firing', 'recovering') OR (alert.phase = 'no_data' AND alert.fired_unix_ms IS NOT NULL)
ORDER BY CASE alert.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, alert.fired_unix_ms;

-- How often each rule fired in the last seven days, and on how many machines.
CREATE VIEW alerts_by_rule_this_week AS
SELECT alert_log.rule, alert_rule.title,
       count(*) AS fired,
       count(DISTINCT alert_log.machine) AS machines,
       datetime(max(alert_log.at_unix_ms) / 1000, 'unixepoch') AS last_fired
FROM alert_log LEFT JOIN alert_rule ON alert_rule.id = alert_log.rule
WHERE alert_log.to_phase = 'firing' AND alert_log.from_phase IN ('inactive', 'pending', 'resolved')
  AND alert_log.at_unix_ms >= unixepoch('now', '-7 days') * 1000
GROUP BY alert_log.rule ORDER BY fired DESC;

-- Notifications that failed: given up, or to be tried again.
CREATE VIEW notifications_failed AS
SELECT id, receiver, state, attempts, problem,
       datetime(created_unix_ms / 1000, 'unixepoch') AS created,
       datetime(due_unix_ms / 1000, 'unixepoch') AS due
FROM delivery
WHERE state = 'dead' OR (state = 'pending' AND attempts > 0)
ORDER BY created_unix_ms DESC;
