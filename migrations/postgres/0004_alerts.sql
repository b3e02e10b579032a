-- Version 4: alert rules, alerts and notifications.
--
-- What people decide has an entry in audit_log, made in the same transaction. What alert services write is checked against
-- the fence of their lease in the same transaction. Machines go by their ids here, not by keys: a rule may name a machine
-- that never reported.

CREATE TABLE alert_rule (
    id text PRIMARY KEY,
    title text NOT NULL,
    enabled boolean NOT NULL,
    version bigint NOT NULL,
    rule jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE alert_rule IS 'What is watched, and when it is wrong; change rules with the program, which checks them.';
COMMENT ON COLUMN alert_rule.version IS 'Grows with every change, and goes on when a removed rule is made again.';
COMMENT ON COLUMN alert_rule.rule IS 'All of it, as in files of rules.';

CREATE TABLE alert_rule_removed (
    id text PRIMARY KEY,
    version bigint NOT NULL
);
COMMENT ON TABLE alert_rule_removed IS 'The versions of rules that are gone: one that is made again goes on from there.';

CREATE TABLE silence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    matcher jsonb NOT NULL,
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    made_by text NOT NULL,
    comment text NOT NULL
);
COMMENT ON TABLE silence IS 'Who is not to be told of what, and until when; alerts are judged all the same.';
COMMENT ON COLUMN silence.matcher IS 'Lists of rules, machines, labels and entities; an empty one means any.';
CREATE INDEX silence_until ON silence (until_at);

CREATE TABLE acknowledgement (
    rule text NOT NULL,
    machine text NOT NULL,
    entity text NOT NULL,
    made_by text NOT NULL,
    comment text NOT NULL,
    at timestamptz NOT NULL,
    until_at timestamptz,
    severity text NOT NULL,
    PRIMARY KEY (rule, machine, entity)
);
COMMENT ON TABLE acknowledgement IS 'Who knows of which alert; it goes with the alert.';
COMMENT ON COLUMN acknowledgement.until_at IS 'Until when it holds; none for as long as the alert lasts.';
COMMENT ON COLUMN acknowledgement.severity IS 'How bad the alert was: a worse one is not muted.';

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    author text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    before json,
    after json
);
COMMENT ON TABLE audit_log IS 'Who changed what about alerts, and when.';
COMMENT ON COLUMN audit_log.before IS 'How it was; none when it was not there.';
COMMENT ON COLUMN audit_log.after IS 'How it is; none when it is gone.';
CREATE INDEX audit_log_at ON audit_log (at);

CREATE TABLE alert_lease (
    work text PRIMARY KEY,
    holder text,
    fence bigint NOT NULL DEFAULT 0,
    until_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE alert_lease IS 'Which alert service does what, and until when it may; whoever lost a lease writes nothing any more.';
COMMENT ON COLUMN alert_lease.work IS 'shard-N for a shard of machines, or notifier.';
COMMENT ON COLUMN alert_lease.fence IS 'Grows with every new holder.';

CREATE TABLE alert (
    rule text NOT NULL,
    machine text NOT NULL,
    entity text NOT NULL,
    shard integer NOT NULL,
    phase text NOT NULL,
    severity text NOT NULL,
    since_at timestamptz NOT NULL,
    fired_at timestamptz,
    value double precision,
    threshold double precision,
    peak double precision,
    flapping boolean NOT NULL,
    inhibited boolean NOT NULL,
    silence_id bigint,
    detail jsonb NOT NULL,
    PRIMARY KEY (rule, machine, entity)
) WITH (fillfactor = 70);
COMMENT ON TABLE alert IS 'Alerts as they stand: pending, firing, recovering, resolved or without data; those that are inactive are not here.';
COMMENT ON COLUMN alert.entity IS 'Mount, disk, interface, …; empty where the metric has none.';
COMMENT ON COLUMN alert.since_at IS 'When phase or severity last changed.';
COMMENT ON COLUMN alert.fired_at IS 'When it began to fire; none before.';
COMMENT ON COLUMN alert.peak IS 'The worst value since it became pending.';
COMMENT ON COLUMN alert.inhibited IS 'The machine is down, which is an alert of its own.';
COMMENT ON COLUMN alert.silence_id IS 'The silence that mutes it.';
COMMENT ON COLUMN alert.detail IS 'acknowledged, and culprits: the busiest processes of the moment it last got worse.';
CREATE INDEX alert_shard ON alert (shard);
CREATE INDEX alert_machine ON alert (machine);

CREATE TABLE alert_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text NOT NULL,
    machine text NOT NULL,
    entity text NOT NULL,
    at timestamptz NOT NULL,
    from_phase text NOT NULL,
    to_phase text NOT NULL,
    severity_before text NOT NULL,
    severity text NOT NULL,
    cause text NOT NULL,
    value double precision,
    threshold double precision,
    fired_at timestamptz,
    detail jsonb NOT NULL,
    UNIQUE (rule, machine, entity, at, to_phase, severity)
);
COMMENT ON TABLE alert_log IS 'Every step of every alert, numbered in the order in which it was stored.';
COMMENT ON COLUMN alert_log.at IS 'Time of the sample, or the receiver''s clock for missing data.';
COMMENT ON COLUMN alert_log.value IS 'What was judged.';
COMMENT ON COLUMN alert_log.threshold IS 'By what it was judged; none for a machine that is down.';
COMMENT ON COLUMN alert_log.detail IS 'culprits: the busiest processes of that moment.';
CREATE INDEX alert_log_at ON alert_log (at);
CREATE INDEX alert_log_machine ON alert_log (machine, id);

CREATE TABLE alert_state (
    machine text PRIMARY KEY,
    shard integer NOT NULL,
    state bytea NOT NULL,
    saved_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE alert_state IS 'What the alert engine knows of each machine, in its own format: timers survive a restart with it.';
CREATE INDEX alert_state_shard ON alert_state (shard);

CREATE TABLE notifier (
    id integer PRIMARY KEY CHECK (id = 1),
    read bigint NOT NULL
);
COMMENT ON TABLE notifier IS 'How far the notifier has read alert_log; no row before it first ran.';

CREATE TABLE notifier_group (
    key text PRIMARY KEY,
    state bytea NOT NULL
);
COMMENT ON TABLE notifier_group IS 'What the notifier knows of each group of alerts, in its own format.';

CREATE TABLE delivery (
    id text PRIMARY KEY,
    receiver text NOT NULL,
    content json NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL,
    attempts bigint NOT NULL,
    due_at timestamptz NOT NULL,
    problem text NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE delivery IS 'Notifications: one message to one receiver each, kept for 30 days after they are finished.';
COMMENT ON COLUMN delivery.state IS 'pending, sent, dead (tried often enough; somebody has to look) or dropped (not needed any more).';
COMMENT ON COLUMN delivery.due_at IS 'When it is tried next; when it was finished.';
COMMENT ON COLUMN delivery.problem IS 'Why the last attempt failed.';
CREATE INDEX delivery_state ON delivery (state, due_at);
CREATE INDEX delivery_created ON delivery (created_at);

CREATE VIEW alert_firing AS
SELECT alert.severity, alert.rule, alert_rule.title, alert.machine, machine.hostname, alert.entity, alert.phase,
    alert.value, alert.threshold, alert.peak, alert.fired_at, now() - alert.fired_at AS firing_for,
    acknowledgement.made_by AS acknowledged_by, silence.comment AS silenced, alert.inhibited, alert.flapping,
    alert.detail->'culprits' AS culprits
FROM alert
LEFT JOIN alert_rule ON alert_rule.id = alert.rule
LEFT JOIN machine ON machine.machine_id = alert.machine
LEFT JOIN acknowledgement ON acknowledgement.rule = alert.rule AND acknowledgement.machine = alert.machine
    AND acknowledgement.entity = alert.entity
LEFT JOIN silence ON silence.id = alert.silence_id
WHERE alert.phase IN ('firing', 'recovering') OR (alert.phase = 'no_data' AND alert.fired_at IS NOT NULL)
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], alert.severity), alert.fired_at;
COMMENT ON VIEW alert_firing IS 'What fires now? Worst first, then longest.';

CREATE VIEW alert_recent AS
SELECT alert_log.id, alert_log.at, alert_log.rule, alert_log.machine, machine.hostname, alert_log.entity,
    alert_log.from_phase, alert_log.to_phase, alert_log.severity, alert_log.cause, alert_log.value, alert_log.threshold
FROM alert_log
LEFT JOIN machine ON machine.machine_id = alert_log.machine
WHERE alert_log.at > now() - INTERVAL '1 day'
ORDER BY alert_log.id DESC;
COMMENT ON VIEW alert_recent IS 'What happened in the last day? Steps of alerts, newest first.';

CREATE VIEW alert_rule_week AS
SELECT alert_rule.id AS rule, alert_rule.title, alert_rule.enabled, count(alert_log.id) AS fired,
    count(DISTINCT alert_log.machine) AS machines, max(alert_log.at) AS last_fired
FROM alert_rule
LEFT JOIN alert_log ON alert_log.rule = alert_rule.id AND alert_log.to_phase = 'firing'
    AND alert_log.from_phase IN ('inactive', 'pending', 'resolved') AND alert_log.at > now() - INTERVAL '7 days'
GROUP BY alert_rule.id, alert_rule.title, alert_rule.enabled
ORDER BY fired DESC, alert_rule.id;
COMMENT ON VIEW alert_rule_week IS 'How often did each rule fire in the last seven days, and on how many machines? Those that never did as well.';

CREATE VIEW alert_machine_week AS
SELECT alert_log.machine, machine.hostname, count(*) AS fired, count(DISTINCT alert_log.rule) AS rules,
    max(alert_log.at) AS last_fired
FROM alert_log
LEFT JOIN machine ON machine.machine_id = alert_log.machine
WHERE alert_log.to_phase = 'firing' AND alert_log.from_phase IN ('inactive', 'pending', 'resolved')
    AND alert_log.at > now() - INTERVAL '7 days'
GROUP BY alert_log.machine, machine.hostname
ORDER BY fired DESC, alert_log.machine;
COMMENT ON VIEW alert_machine_week IS 'Which machines had most alerts in the last seven days?';

CREATE VIEW delivery_failed AS
SELECT id, receiver, state, attempts, problem, created_at, due_at, content
FROM delivery
WHERE state = 'dead' OR (state = 'pending' AND attempts > 0)
ORDER BY created_at DESC;
COMMENT ON VIEW delivery_failed IS 'Which notifications failed? Those given up, and those to be tried again.';

CREATE VIEW silence_current AS
SELECT id, made_by, comment, from_at, until_at, until_at - now() AS remaining, matcher
FROM silence
WHERE from_at <= now() AND until_at > now()
ORDER BY until_at;
COMMENT ON VIEW silence_current IS 'What is muted now, by whom, and for how long?';
