-- Version 1: who reports, what was measured, and what was lost.
--
-- Samples are wide rows, one table per kind of thing, one column per metric of the catalogue:
--   bytes and bytes per second          double precision  whole numbers, exact to 2^53
--   other metrics without decimals      bigint
--   metrics with decimals               real              exact to seven digits; larger values are custom samples
-- What is not in the catalogue, or carries other labels or decimals than it says, is in custom_sample.
-- Numbers are surrogate keys; names are one join away, and the views of version 3 have them joined.

CREATE TABLE machine (
    machine_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id text NOT NULL UNIQUE,
    hostname text NOT NULL DEFAULT '',
    os text NOT NULL DEFAULT '',
    kernel text NOT NULL DEFAULT '',
    architecture text NOT NULL DEFAULT '',
    cpu_model text NOT NULL DEFAULT '',
    cpu_count bigint NOT NULL DEFAULT 0,
    memory_bytes bigint NOT NULL DEFAULT 0,
    boot_unix_ms bigint NOT NULL DEFAULT 0,
    collector_version text NOT NULL DEFAULT '',
    labels jsonb NOT NULL DEFAULT '{}',
    first_sample timestamptz,
    last_sample timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE machine IS 'Every machine that ever reported, with what it last said of itself.';
COMMENT ON COLUMN machine.machine_id IS 'Its stable name, as the collector was given or found it.';
COMMENT ON COLUMN machine.first_sample IS 'Time of its first stored sample, on its own clock.';
COMMENT ON COLUMN machine.last_sample IS 'Time of its newest stored sample, on its own clock.';
CREATE INDEX machine_hostname ON machine (hostname);

CREATE TABLE entity (
    entity_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    UNIQUE (kind, name)
);
COMMENT ON TABLE entity IS 'Names of cores, disks, mounts, interfaces and so on; one row for a name, however many machines have it.';

CREATE TABLE series (
    series_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric text NOT NULL,
    unit text NOT NULL,
    decimals smallint NOT NULL,
    labels text NOT NULL,
    UNIQUE (metric, unit, decimals, labels)
);
COMMENT ON TABLE series IS 'What is in custom_sample: series that have no column of their own.';
COMMENT ON COLUMN series.labels IS 'A JSON list of [name, value] pairs in the order announced; cast it to jsonb to look inside.';

CREATE TABLE ingest_cursor (
    machine_key integer NOT NULL REFERENCES machine ON DELETE CASCADE,
    epoch bytea NOT NULL,
    sequence bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (machine_key, epoch)
) WITH (fillfactor = 50);
COMMENT ON TABLE ingest_cursor IS 'The highest stored sequence of each epoch: what makes a repeated batch harmless.';

CREATE TABLE gap (
    gap_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_key integer NOT NULL REFERENCES machine ON DELETE CASCADE,
    epoch bytea NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    samples bigint NOT NULL,
    reason text NOT NULL
);
COMMENT ON TABLE gap IS 'Stretches whose samples were taken and are lost for good, with the reason.';
CREATE INDEX gap_machine ON gap (machine_key, to_at);

CREATE TABLE dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_key integer NOT NULL REFERENCES machine ON DELETE CASCADE,
    epoch bytea NOT NULL,
    sequence bigint NOT NULL,
    received_at timestamptz NOT NULL,
    reason text NOT NULL,
    tick text
);
COMMENT ON TABLE dead_letter IS 'Batches that could not be stored; see sysmon dead-letters.';
COMMENT ON COLUMN dead_letter.tick IS 'The samples as JSON, as far as they could be read.';
CREATE INDEX dead_letter_received ON dead_letter (received_at);

CREATE TABLE store_setting (
    name text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE store_setting IS 'What the program remembers about this database; not for editing.';

CREATE TABLE rollup_late (
    machine_key integer NOT NULL,
    hour timestamptz NOT NULL,
    taken boolean NOT NULL DEFAULT false,
    PRIMARY KEY (machine_key, hour)
);
COMMENT ON TABLE rollup_late IS 'Hours that got samples after they were rolled up: answered from samples until they are rolled up again.';

CREATE TABLE machine_sample (
    machine_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    clock_offset_ms bigint NOT NULL,
    collector_interval_ms bigint,
    cpu_busy_percent real,
    cpu_user_percent real,
    cpu_system_percent real,
    cpu_iowait_percent real,
    cpu_steal_percent real,
    cpu_irq_percent real,
    cpu_context_switches_per_second bigint,
    cpu_interrupts_per_second bigint,
    load_1m real,
    load_5m real,
    load_15m real,
    host_uptime_seconds bigint,
    host_users bigint,
    memory_total_bytes double precision,
    memory_used_bytes double precision,
    memory_used_percent real,
    memory_available_bytes double precision,
    memory_free_bytes double precision,
    memory_buffers_bytes double precision,
    memory_cached_bytes double precision,
    swap_total_bytes double precision,
    swap_used_bytes double precision,
    swap_used_percent real,
    swap_in_bytes_per_second double precision,
    swap_out_bytes_per_second double precision,
    memory_oom_kills_total bigint,
    pressure_cpu_some_percent real,
    pressure_cpu_full_percent real,
    pressure_memory_some_percent real,
    pressure_memory_full_percent real,
    pressure_io_some_percent real,
    pressure_io_full_percent real,
    network_total_receive_bytes_per_second double precision,
    network_total_transmit_bytes_per_second double precision,
    disk_total_read_bytes_per_second double precision,
    disk_total_write_bytes_per_second double precision,
    mount_worst_used_percent real,
    process_count bigint,
    process_running bigint,
    process_blocked bigint,
    process_zombies bigint,
    process_threads bigint,
    process_forks_per_second real,
    file_open bigint,
    file_open_percent real,
    systemd_failed_units bigint,
    collector_cpu_percent real,
    collector_memory_bytes double precision,
    collector_ticks_dropped_total bigint
);
COMMENT ON TABLE machine_sample IS 'What a machine has once; every stored tick has one row here.';
COMMENT ON COLUMN machine_sample.clock_offset_ms IS 'The clock of the aggregator less that of the machine when the stream began.';
COMMENT ON COLUMN machine_sample.collector_interval_ms IS 'Time between two samples as the collector was told';
COMMENT ON COLUMN machine_sample.cpu_busy_percent IS 'Time not idle and not waiting for I/O, all cores together';
COMMENT ON COLUMN machine_sample.cpu_user_percent IS 'Time in user code, niced code included';
COMMENT ON COLUMN machine_sample.cpu_system_percent IS 'Time in the kernel';
COMMENT ON COLUMN machine_sample.cpu_iowait_percent IS 'Idle time while a request to a disk was pending';
COMMENT ON COLUMN machine_sample.cpu_steal_percent IS 'Time that the hypervisor gave to others';
COMMENT ON COLUMN machine_sample.cpu_irq_percent IS 'Time in hardware and software interrupts';
COMMENT ON COLUMN machine_sample.cpu_context_switches_per_second IS 'Context switches, all cores together';
COMMENT ON COLUMN machine_sample.cpu_interrupts_per_second IS 'Interrupts serviced, all cores together';
COMMENT ON COLUMN machine_sample.load_1m IS 'Load average over one minute';
COMMENT ON COLUMN machine_sample.load_5m IS 'Load average over five minutes';
COMMENT ON COLUMN machine_sample.load_15m IS 'Load average over fifteen minutes';
COMMENT ON COLUMN machine_sample.host_uptime_seconds IS 'Time since boot';
COMMENT ON COLUMN machine_sample.host_users IS 'Login sessions';
COMMENT ON COLUMN machine_sample.memory_total_bytes IS 'Physical memory that the kernel can use';
COMMENT ON COLUMN machine_sample.memory_used_bytes IS 'Total less available';
COMMENT ON COLUMN machine_sample.memory_used_percent IS 'Share of memory that is not available';
COMMENT ON COLUMN machine_sample.memory_available_bytes IS 'What programs could still get without swapping';
COMMENT ON COLUMN machine_sample.memory_free_bytes IS 'Memory that nothing uses';
COMMENT ON COLUMN machine_sample.memory_buffers_bytes IS 'Block device buffers';
COMMENT ON COLUMN machine_sample.memory_cached_bytes IS 'Page cache and reclaimable slab, as free counts it';
COMMENT ON COLUMN machine_sample.swap_total_bytes IS 'Swap space';
COMMENT ON COLUMN machine_sample.swap_used_bytes IS 'Swap space in use';
COMMENT ON COLUMN machine_sample.swap_used_percent IS 'Share of swap in use; absent without swap';
COMMENT ON COLUMN machine_sample.swap_in_bytes_per_second IS 'Read back from swap';
COMMENT ON COLUMN machine_sample.swap_out_bytes_per_second IS 'Written to swap';
COMMENT ON COLUMN machine_sample.memory_oom_kills_total IS 'Processes killed for want of memory since boot';
COMMENT ON COLUMN machine_sample.pressure_cpu_some_percent IS 'Time that some task waited for a processor';
COMMENT ON COLUMN machine_sample.pressure_cpu_full_percent IS 'Time that every task waited for a processor';
COMMENT ON COLUMN machine_sample.pressure_memory_some_percent IS 'Time that some task waited for memory';
COMMENT ON COLUMN machine_sample.pressure_memory_full_percent IS 'Time that every task waited for memory';
COMMENT ON COLUMN machine_sample.pressure_io_some_percent IS 'Time that some task waited for I/O';
COMMENT ON COLUMN machine_sample.pressure_io_full_percent IS 'Time that every task waited for I/O';
COMMENT ON COLUMN machine_sample.network_total_receive_bytes_per_second IS 'Received on all interfaces that lead out of the machine';
COMMENT ON COLUMN machine_sample.network_total_transmit_bytes_per_second IS 'Sent on all interfaces that lead out of the machine';
COMMENT ON COLUMN machine_sample.disk_total_read_bytes_per_second IS 'Read from all whole disks';
COMMENT ON COLUMN machine_sample.disk_total_write_bytes_per_second IS 'Written to all whole disks';
COMMENT ON COLUMN machine_sample.mount_worst_used_percent IS 'Used share of the fullest file system';
COMMENT ON COLUMN machine_sample.process_count IS 'Processes';
COMMENT ON COLUMN machine_sample.process_running IS 'Tasks running or ready to run';
COMMENT ON COLUMN machine_sample.process_blocked IS 'Tasks blocked in uninterruptible I/O';
COMMENT ON COLUMN machine_sample.process_zombies IS 'Processes that ended and were not reaped';
COMMENT ON COLUMN machine_sample.process_threads IS 'Threads of all processes';
COMMENT ON COLUMN machine_sample.process_forks_per_second IS 'Processes and threads created';
COMMENT ON COLUMN machine_sample.file_open IS 'File handles in use';
COMMENT ON COLUMN machine_sample.file_open_percent IS 'Share of the kernel''s file handle limit in use';
COMMENT ON COLUMN machine_sample.systemd_failed_units IS 'Units in the failed state';
COMMENT ON COLUMN machine_sample.collector_cpu_percent IS 'Processor time of the collector itself, 100 per core';
COMMENT ON COLUMN machine_sample.collector_memory_bytes IS 'Resident memory of the collector itself';
COMMENT ON COLUMN machine_sample.collector_ticks_dropped_total IS 'Ticks that were lost because the aggregator was away or too slow';
CREATE INDEX machine_sample_machine ON machine_sample (machine_key, sampled_at);

CREATE TABLE core_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    cpu_core_busy_percent real
);
COMMENT ON TABLE core_sample IS 'One row per core and tick.';
COMMENT ON COLUMN core_sample.cpu_core_busy_percent IS 'Time not idle and not waiting for I/O, one core';
CREATE INDEX core_sample_machine ON core_sample (machine_key, sampled_at);

CREATE TABLE disk_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    disk_read_bytes_per_second double precision,
    disk_write_bytes_per_second double precision,
    disk_reads_per_second real,
    disk_writes_per_second real,
    disk_utilisation_percent real,
    disk_await_ms real,
    disk_queue_depth real
);
COMMENT ON TABLE disk_sample IS 'One row per disk and tick.';
COMMENT ON COLUMN disk_sample.disk_read_bytes_per_second IS 'Read from the device';
COMMENT ON COLUMN disk_sample.disk_write_bytes_per_second IS 'Written to the device';
COMMENT ON COLUMN disk_sample.disk_reads_per_second IS 'Read requests completed';
COMMENT ON COLUMN disk_sample.disk_writes_per_second IS 'Write requests completed';
COMMENT ON COLUMN disk_sample.disk_utilisation_percent IS 'Time with at least one request in flight';
COMMENT ON COLUMN disk_sample.disk_await_ms IS 'Mean time of a request, queueing included; absent when there was none';
COMMENT ON COLUMN disk_sample.disk_queue_depth IS 'Mean number of requests in flight';
CREATE INDEX disk_sample_machine ON disk_sample (machine_key, sampled_at);

CREATE TABLE mount_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    mount_total_bytes double precision,
    mount_used_bytes double precision,
    mount_available_bytes double precision,
    mount_used_percent real,
    mount_inodes bigint,
    mount_inodes_used_percent real
);
COMMENT ON TABLE mount_sample IS 'One row per mount and tick.';
COMMENT ON COLUMN mount_sample.mount_total_bytes IS 'Size of the file system';
COMMENT ON COLUMN mount_sample.mount_used_bytes IS 'Used space';
COMMENT ON COLUMN mount_sample.mount_available_bytes IS 'Space that an ordinary user can still fill';
COMMENT ON COLUMN mount_sample.mount_used_percent IS 'Used share of what an ordinary user can have, as df counts it';
COMMENT ON COLUMN mount_sample.mount_inodes IS 'Inodes; absent where the file system makes them on demand';
COMMENT ON COLUMN mount_sample.mount_inodes_used_percent IS 'Share of inodes in use';
CREATE INDEX mount_sample_machine ON mount_sample (machine_key, sampled_at);

CREATE TABLE interface_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    network_receive_bytes_per_second double precision,
    network_transmit_bytes_per_second double precision,
    network_receive_packets_per_second real,
    network_transmit_packets_per_second real,
    network_receive_errors_per_second real,
    network_transmit_errors_per_second real,
    network_receive_drops_per_second real,
    network_transmit_drops_per_second real,
    network_link_up bigint
);
COMMENT ON TABLE interface_sample IS 'One row per interface and tick.';
COMMENT ON COLUMN interface_sample.network_receive_bytes_per_second IS 'Received';
COMMENT ON COLUMN interface_sample.network_transmit_bytes_per_second IS 'Sent';
COMMENT ON COLUMN interface_sample.network_receive_packets_per_second IS 'Packets received';
COMMENT ON COLUMN interface_sample.network_transmit_packets_per_second IS 'Packets sent';
COMMENT ON COLUMN interface_sample.network_receive_errors_per_second IS 'Packets received broken';
COMMENT ON COLUMN interface_sample.network_transmit_errors_per_second IS 'Packets that could not be sent';
COMMENT ON COLUMN interface_sample.network_receive_drops_per_second IS 'Packets dropped on arrival';
COMMENT ON COLUMN interface_sample.network_transmit_drops_per_second IS 'Packets dropped before sending';
COMMENT ON COLUMN interface_sample.network_link_up IS 'Whether the link has a carrier';
CREATE INDEX interface_sample_machine ON interface_sample (machine_key, sampled_at);

CREATE TABLE sensor_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    sensor_temperature_celsius real,
    sensor_fan_rpm bigint
);
COMMENT ON TABLE sensor_sample IS 'One row per sensor and tick.';
COMMENT ON COLUMN sensor_sample.sensor_temperature_celsius IS 'Temperature of a sensor';
COMMENT ON COLUMN sensor_sample.sensor_fan_rpm IS 'Speed of a fan';
CREATE INDEX sensor_sample_machine ON sensor_sample (machine_key, sampled_at);

CREATE TABLE battery_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    battery_charge_percent real
);
COMMENT ON TABLE battery_sample IS 'One row per battery and tick.';
COMMENT ON COLUMN battery_sample.battery_charge_percent IS 'Charge of a battery';
CREATE INDEX battery_sample_machine ON battery_sample (machine_key, sampled_at);

CREATE TABLE container_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    container_cpu_percent real,
    container_memory_bytes double precision,
    container_memory_limit_bytes double precision,
    container_receive_bytes_per_second double precision,
    container_transmit_bytes_per_second double precision,
    container_running bigint,
    container_healthy bigint,
    container_restarts_total bigint
);
COMMENT ON TABLE container_sample IS 'One row per container and tick.';
COMMENT ON COLUMN container_sample.container_cpu_percent IS 'Processor time of a container, 100 per core';
COMMENT ON COLUMN container_sample.container_memory_bytes IS 'Memory of a container without its page cache';
COMMENT ON COLUMN container_sample.container_memory_limit_bytes IS 'Memory limit of a container; absent without one';
COMMENT ON COLUMN container_sample.container_receive_bytes_per_second IS 'Received by a container';
COMMENT ON COLUMN container_sample.container_transmit_bytes_per_second IS 'Sent by a container';
COMMENT ON COLUMN container_sample.container_running IS 'Whether the container runs';
COMMENT ON COLUMN container_sample.container_healthy IS 'Result of the container''s health check; absent without one';
COMMENT ON COLUMN container_sample.container_restarts_total IS 'Restarts of a container by its engine';
CREATE INDEX container_sample_machine ON container_sample (machine_key, sampled_at);

CREATE TABLE unit_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    systemd_unit_failed bigint
);
COMMENT ON TABLE unit_sample IS 'One row per unit and tick.';
COMMENT ON COLUMN unit_sample.systemd_unit_failed IS 'A unit that is in the failed state';
CREATE INDEX unit_sample_machine ON unit_sample (machine_key, sampled_at);

CREATE TABLE probe_sample (
    machine_key integer NOT NULL,
    entity_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    collector_probe_ms real,
    collector_probe_failures_total bigint
);
COMMENT ON TABLE probe_sample IS 'One row per probe and tick.';
COMMENT ON COLUMN probe_sample.collector_probe_ms IS 'How long a probe took';
COMMENT ON COLUMN probe_sample.collector_probe_failures_total IS 'How often a probe failed or ran into its time limit';
CREATE INDEX probe_sample_machine ON probe_sample (machine_key, sampled_at);

CREATE TABLE custom_sample (
    machine_key integer NOT NULL,
    series_key integer NOT NULL,
    sampled_at timestamptz NOT NULL,
    value double precision NOT NULL
);
COMMENT ON TABLE custom_sample IS 'Values of series that have no column of their own.';
COMMENT ON COLUMN custom_sample.value IS 'The value, in the unit of its series';
CREATE INDEX custom_sample_machine ON custom_sample (machine_key, sampled_at);
