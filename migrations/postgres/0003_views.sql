-- Version 3: names joined, and a view for each common question (docs/storage.md has examples).

CREATE VIEW machine_by_name AS
SELECT machine.machine_id, machine.hostname, s.*
FROM machine_sample s
JOIN machine USING (machine_key);
COMMENT ON VIEW machine_by_name IS 'Every sample of what a machine has once, with the names of the machine.';

CREATE VIEW core_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS core, s.*
FROM core_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW core_by_name IS 'Every sample of every core, with the names of the core and the machine.';

CREATE VIEW disk_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS disk, s.*
FROM disk_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW disk_by_name IS 'Every sample of every disk, with the names of the disk and the machine.';

CREATE VIEW mount_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS mount, s.*
FROM mount_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW mount_by_name IS 'Every sample of every mount, with the names of the mount and the machine.';

CREATE VIEW interface_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS interface, s.*
FROM interface_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW interface_by_name IS 'Every sample of every interface, with the names of the interface and the machine.';

CREATE VIEW sensor_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS sensor, s.*
FROM sensor_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW sensor_by_name IS 'Every sample of every sensor, with the names of the sensor and the machine.';

CREATE VIEW battery_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS battery, s.*
FROM battery_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW battery_by_name IS 'Every sample of every battery, with the names of the battery and the machine.';

CREATE VIEW container_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS container, s.*
FROM container_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW container_by_name IS 'Every sample of every container, with the names of the container and the machine.';

CREATE VIEW unit_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS unit, s.*
FROM unit_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW unit_by_name IS 'Every sample of every unit, with the names of the unit and the machine.';

CREATE VIEW probe_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS probe, s.*
FROM probe_sample s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW probe_by_name IS 'Every sample of every probe, with the names of the probe and the machine.';

CREATE VIEW custom_by_name AS
SELECT machine.machine_id, machine.hostname, series.metric, series.unit, series.labels::jsonb AS labels, s.*
FROM custom_sample s
JOIN machine USING (machine_key)
JOIN series USING (series_key);
COMMENT ON VIEW custom_by_name IS 'Every sample of series without a column of their own, with names.';

CREATE VIEW machine_minute_by_name AS
SELECT machine.machine_id, machine.hostname, s.*
FROM machine_minute s
JOIN machine USING (machine_key);
COMMENT ON VIEW machine_minute_by_name IS 'Roll-ups of a minute of what a machine has once, with the names of the machine.';

CREATE VIEW core_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS core, s.*
FROM core_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW core_minute_by_name IS 'Roll-ups of a minute of every core, with the names of the core and the machine.';

CREATE VIEW disk_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS disk, s.*
FROM disk_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW disk_minute_by_name IS 'Roll-ups of a minute of every disk, with the names of the disk and the machine.';

CREATE VIEW mount_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS mount, s.*
FROM mount_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW mount_minute_by_name IS 'Roll-ups of a minute of every mount, with the names of the mount and the machine.';

CREATE VIEW interface_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS interface, s.*
FROM interface_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW interface_minute_by_name IS 'Roll-ups of a minute of every interface, with the names of the interface and the machine.';

CREATE VIEW sensor_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS sensor, s.*
FROM sensor_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW sensor_minute_by_name IS 'Roll-ups of a minute of every sensor, with the names of the sensor and the machine.';

CREATE VIEW battery_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS battery, s.*
FROM battery_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW battery_minute_by_name IS 'Roll-ups of a minute of every battery, with the names of the battery and the machine.';

CREATE VIEW container_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS container, s.*
FROM container_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW container_minute_by_name IS 'Roll-ups of a minute of every container, with the names of the container and the machine.';

CREATE VIEW unit_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS unit, s.*
FROM unit_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW unit_minute_by_name IS 'Roll-ups of a minute of every unit, with the names of the unit and the machine.';

CREATE VIEW probe_minute_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS probe, s.*
FROM probe_minute s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW probe_minute_by_name IS 'Roll-ups of a minute of every probe, with the names of the probe and the machine.';

CREATE VIEW custom_minute_by_name AS
SELECT machine.machine_id, machine.hostname, series.metric, series.unit, series.labels::jsonb AS labels, s.*
FROM custom_minute s
JOIN machine USING (machine_key)
JOIN series USING (series_key);
COMMENT ON VIEW custom_minute_by_name IS 'Roll-ups of a minute of series without a column of their own, with names.';

CREATE VIEW machine_hour_by_name AS
SELECT machine.machine_id, machine.hostname, s.*
FROM machine_hour s
JOIN machine USING (machine_key);
COMMENT ON VIEW machine_hour_by_name IS 'Roll-ups of an hour of what a machine has once, with the names of the machine.';

CREATE VIEW core_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS core, s.*
FROM core_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW core_hour_by_name IS 'Roll-ups of an hour of every core, with the names of the core and the machine.';

CREATE VIEW disk_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS disk, s.*
FROM disk_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW disk_hour_by_name IS 'Roll-ups of an hour of every disk, with the names of the disk and the machine.';

CREATE VIEW mount_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS mount, s.*
FROM mount_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW mount_hour_by_name IS 'Roll-ups of an hour of every mount, with the names of the mount and the machine.';

CREATE VIEW interface_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS interface, s.*
FROM interface_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW interface_hour_by_name IS 'Roll-ups of an hour of every interface, with the names of the interface and the machine.';

CREATE VIEW sensor_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS sensor, s.*
FROM sensor_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW sensor_hour_by_name IS 'Roll-ups of an hour of every sensor, with the names of the sensor and the machine.';

CREATE VIEW battery_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS battery, s.*
FROM battery_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW battery_hour_by_name IS 'Roll-ups of an hour of every battery, with the names of the battery and the machine.';

CREATE VIEW container_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS container, s.*
FROM container_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW container_hour_by_name IS 'Roll-ups of an hour of every container, with the names of the container and the machine.';

CREATE VIEW unit_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS unit, s.*
FROM unit_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW unit_hour_by_name IS 'Roll-ups of an hour of every unit, with the names of the unit and the machine.';

CREATE VIEW probe_hour_by_name AS
SELECT machine.machine_id, machine.hostname, entity.name AS probe, s.*
FROM probe_hour s
JOIN machine USING (machine_key)
JOIN entity USING (entity_key);
COMMENT ON VIEW probe_hour_by_name IS 'Roll-ups of an hour of every probe, with the names of the probe and the machine.';

CREATE VIEW custom_hour_by_name AS
SELECT machine.machine_id, machine.hostname, series.metric, series.unit, series.labels::jsonb AS labels, s.*
FROM custom_hour s
JOIN machine USING (machine_key)
JOIN series USING (series_key);
COMMENT ON VIEW custom_hour_by_name IS 'Roll-ups of an hour of series without a column of their own, with names.';

CREATE VIEW machine_latest AS
SELECT machine.machine_id, machine.hostname, s.*
FROM machine
CROSS JOIN LATERAL (
    SELECT * FROM machine_sample
    WHERE machine_sample.machine_key = machine.machine_key
      AND machine_sample.sampled_at = machine.last_sample
    LIMIT 1
) s;
COMMENT ON VIEW machine_latest IS 'How is every machine now? Its newest sample.';

CREATE VIEW fullest_mounts AS
SELECT machine.machine_id, machine.hostname, entity.name AS mount, s.sampled_at, s.mount_used_percent, s.mount_available_bytes, s.mount_total_bytes, s.mount_inodes_used_percent
FROM machine
JOIN mount_sample s ON s.machine_key = machine.machine_key AND s.sampled_at = machine.last_sample
JOIN entity USING (entity_key)
ORDER BY s.mount_used_percent DESC NULLS LAST;
COMMENT ON VIEW fullest_mounts IS 'Which file systems are nearly full? The newest sample of each, fullest first.';

CREATE VIEW hottest_sensors AS
SELECT machine.machine_id, machine.hostname, entity.name AS sensor, s.sampled_at, s.sensor_temperature_celsius, s.sensor_fan_rpm
FROM machine
JOIN sensor_sample s ON s.machine_key = machine.machine_key AND s.sampled_at = machine.last_sample
JOIN entity USING (entity_key)
ORDER BY s.sensor_temperature_celsius DESC NULLS LAST;
COMMENT ON VIEW hottest_sensors IS 'What runs hot? The newest sample of each sensor, hottest first.';

CREATE VIEW container_latest AS
SELECT machine.machine_id, machine.hostname, entity.name AS container, s.sampled_at, s.container_cpu_percent, s.container_memory_bytes, s.container_memory_limit_bytes, s.container_running, s.container_healthy, s.container_restarts_total
FROM machine
JOIN container_sample s ON s.machine_key = machine.machine_key AND s.sampled_at = machine.last_sample
JOIN entity USING (entity_key)
ORDER BY s.container_cpu_percent DESC NULLS LAST;
COMMENT ON VIEW container_latest IS 'How are the containers now? The newest sample of each, busiest first.';

CREATE VIEW busiest_machines AS
SELECT machine.machine_id, machine.hostname,
    max(m.cpu_busy_percent_max) AS cpu_busy_percent_max,
    sum(m.cpu_busy_percent_avg * m.cpu_busy_percent_count) / NULLIF(sum(m.cpu_busy_percent_count), 0)::double precision AS cpu_busy_percent_avg,
    max(m.memory_used_percent_max) AS memory_used_percent_max
FROM machine_minute m
JOIN machine USING (machine_key)
WHERE m.bucket >= now() - INTERVAL '1 hour'
GROUP BY machine.machine_id, machine.hostname
ORDER BY cpu_busy_percent_avg DESC NULLS LAST;
COMMENT ON VIEW busiest_machines IS 'Which machines were busy in the last hour? Busiest first.';

CREATE VIEW silent_machines AS
SELECT machine_id, hostname, last_sample, now() - last_sample AS silent_for
FROM machine
WHERE last_sample < now() - INTERVAL '5 minutes'
ORDER BY last_sample;
COMMENT ON VIEW silent_machines IS 'Which machines stopped reporting? Those without a sample in the last five minutes, longest first.';

CREATE VIEW gap_by_name AS
SELECT machine.machine_id, machine.hostname, gap.from_at, gap.to_at, gap.to_at - gap.from_at AS length, gap.samples, gap.reason
FROM gap
JOIN machine USING (machine_key);
COMMENT ON VIEW gap_by_name IS 'What was lost, and why? Recorded gaps with the names of the machine.';

CREATE VIEW dead_letter_by_name AS
SELECT dead_letter.dead_letter_id, machine.machine_id, machine.hostname, encode(dead_letter.epoch, 'hex') AS epoch,
    dead_letter.sequence, dead_letter.received_at, dead_letter.reason, dead_letter.tick
FROM dead_letter
JOIN machine USING (machine_key);
COMMENT ON VIEW dead_letter_by_name IS 'What could not be stored, and why? Dead letters with the names of the machine.';
