-- Version 6, with TimescaleDB: roll-ups of five minutes on top of those of one. A day at 300 points has 288 of them, so
-- that it is read from a fifth of the rows. They are kept as long as minutes.

CREATE MATERIALIZED VIEW machine_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(collector_interval_ms_min) AS collector_interval_ms_min,
    max(collector_interval_ms_max) AS collector_interval_ms_max,
    sum(collector_interval_ms_avg * collector_interval_ms_count) / NULLIF(sum(collector_interval_ms_count), 0)::double precision AS collector_interval_ms_avg,
    sum(collector_interval_ms_count)::bigint AS collector_interval_ms_count,
    min(cpu_busy_percent_min) AS cpu_busy_percent_min,
    max(cpu_busy_percent_max) AS cpu_busy_percent_max,
    sum(cpu_busy_percent_avg * cpu_busy_percent_count) / NULLIF(sum(cpu_busy_percent_count), 0)::double precision AS cpu_busy_percent_avg,
    sum(cpu_busy_percent_count)::bigint AS cpu_busy_percent_count,
    min(cpu_user_percent_min) AS cpu_user_percent_min,
    max(cpu_user_percent_max) AS cpu_user_percent_max,
    sum(cpu_user_percent_avg * cpu_user_percent_count) / NULLIF(sum(cpu_user_percent_count), 0)::double precision AS cpu_user_percent_avg,
    sum(cpu_user_percent_count)::bigint AS cpu_user_percent_count,
    min(cpu_system_percent_min) AS cpu_system_percent_min,
    max(cpu_system_percent_max) AS cpu_system_percent_max,
    sum(cpu_system_percent_avg * cpu_system_percent_count) / NULLIF(sum(cpu_system_percent_count), 0)::double precision AS cpu_system_percent_avg,
    sum(cpu_system_percent_count)::bigint AS cpu_system_percent_count,
    min(cpu_iowait_percent_min) AS cpu_iowait_percent_min,
    max(cpu_iowait_percent_max) AS cpu_iowait_percent_max,
    sum(cpu_iowait_percent_avg * cpu_iowait_percent_count) / NULLIF(sum(cpu_iowait_percent_count), 0)::double precision AS cpu_iowait_percent_avg,
    sum(cpu_iowait_percent_count)::bigint AS cpu_iowait_percent_count,
    min(cpu_steal_percent_min) AS cpu_steal_percent_min,
    max(cpu_steal_percent_max) AS cpu_steal_percent_max,
    sum(cpu_steal_percent_avg * cpu_steal_percent_count) / NULLIF(sum(cpu_steal_percent_count), 0)::double precision AS cpu_steal_percent_avg,
    sum(cpu_steal_percent_count)::bigint AS cpu_steal_percent_count,
    min(cpu_irq_percent_min) AS cpu_irq_percent_min,
    max(cpu_irq_percent_max) AS cpu_irq_percent_max,
    sum(cpu_irq_percent_avg * cpu_irq_percent_count) / NULLIF(sum(cpu_irq_percent_count), 0)::double precision AS cpu_irq_percent_avg,
    sum(cpu_irq_percent_count)::bigint AS cpu_irq_percent_count,
    min(cpu_context_switches_per_second_min) AS cpu_context_switches_per_second_min,
    max(cpu_context_switches_per_second_max) AS cpu_context_switches_per_second_max,
    sum(cpu_context_switches_per_second_avg * cpu_context_switches_per_second_count) / NULLIF(sum(cpu_context_switches_per_second_count), 0)::double precision AS cpu_context_switches_per_second_avg,
    sum(cpu_context_switches_per_second_count)::bigint AS cpu_context_switches_per_second_count,
    min(cpu_interrupts_per_second_min) AS cpu_interrupts_per_second_min,
    max(cpu_interrupts_per_second_max) AS cpu_interrupts_per_second_max,
    sum(cpu_interrupts_per_second_avg * cpu_interrupts_per_second_count) / NULLIF(sum(cpu_interrupts_per_second_count), 0)::double precision AS cpu_interrupts_per_second_avg,
    sum(cpu_interrupts_per_second_count)::bigint AS cpu_interrupts_per_second_count,
    min(load_1m_min) AS load_1m_min,
    max(load_1m_max) AS load_1m_max,
    sum(load_1m_avg * load_1m_count) / NULLIF(sum(load_1m_count), 0)::double precision AS load_1m_avg,
    sum(load_1m_count)::bigint AS load_1m_count,
    min(load_5m_min) AS load_5m_min,
    max(load_5m_max) AS load_5m_max,
    sum(load_5m_avg * load_5m_count) / NULLIF(sum(load_5m_count), 0)::double precision AS load_5m_avg,
    sum(load_5m_count)::bigint AS load_5m_count,
    min(load_15m_min) AS load_15m_min,
    max(load_15m_max) AS load_15m_max,
    sum(load_15m_avg * load_15m_count) / NULLIF(sum(load_15m_count), 0)::double precision AS load_15m_avg,
    sum(load_15m_count)::bigint AS load_15m_count,
    min(host_uptime_seconds_min) AS host_uptime_seconds_min,
    max(host_uptime_seconds_max) AS host_uptime_seconds_max,
    sum(host_uptime_seconds_avg * host_uptime_seconds_count) / NULLIF(sum(host_uptime_seconds_count), 0)::double precision AS host_uptime_seconds_avg,
    sum(host_uptime_seconds_count)::bigint AS host_uptime_seconds_count,
    min(host_users_min) AS host_users_min,
    max(host_users_max) AS host_users_max,
    sum(host_users_avg * host_users_count) / NULLIF(sum(host_users_count), 0)::double precision AS host_users_avg,
    sum(host_users_count)::bigint AS host_users_count,
    min(memory_total_bytes_min) AS memory_total_bytes_min,
    max(memory_total_bytes_max) AS memory_total_bytes_max,
    sum(memory_total_bytes_avg * memory_total_bytes_count) / NULLIF(sum(memory_total_bytes_count), 0)::double precision AS memory_total_bytes_avg,
    sum(memory_total_bytes_count)::bigint AS memory_total_bytes_count,
    min(memory_used_bytes_min) AS memory_used_bytes_min,
    max(memory_used_bytes_max) AS memory_used_bytes_max,
    sum(memory_used_bytes_avg * memory_used_bytes_count) / NULLIF(sum(memory_used_bytes_count), 0)::double precision AS memory_used_bytes_avg,
    sum(memory_used_bytes_count)::bigint AS memory_used_bytes_count,
    min(memory_used_percent_min) AS memory_used_percent_min,
    max(memory_used_percent_max) AS memory_used_percent_max,
    sum(memory_used_percent_avg * memory_used_percent_count) / NULLIF(sum(memory_used_percent_count), 0)::double precision AS memory_used_percent_avg,
    sum(memory_used_percent_count)::bigint AS memory_used_percent_count,
    min(memory_available_bytes_min) AS memory_available_bytes_min,
    max(memory_available_bytes_max) AS memory_available_bytes_max,
    sum(memory_available_bytes_avg * memory_available_bytes_count) / NULLIF(sum(memory_available_bytes_count), 0)::double precision AS memory_available_bytes_avg,
    sum(memory_available_bytes_count)::bigint AS memory_available_bytes_count,
    min(memory_free_bytes_min) AS memory_free_bytes_min,
    max(memory_free_bytes_max) AS memory_free_bytes_max,
    sum(memory_free_bytes_avg * memory_free_bytes_count) / NULLIF(sum(memory_free_bytes_count), 0)::double precision AS memory_free_bytes_avg,
    sum(memory_free_bytes_count)::bigint AS memory_free_bytes_count,
    min(memory_buffers_bytes_min) AS memory_buffers_bytes_min,
    max(memory_buffers_bytes_max) AS memory_buffers_bytes_max,
    sum(memory_buffers_bytes_avg * memory_buffers_bytes_count) / NULLIF(sum(memory_buffers_bytes_count), 0)::double precision AS memory_buffers_bytes_avg,
    sum(memory_buffers_bytes_count)::bigint AS memory_buffers_bytes_count,
    min(memory_cached_bytes_min) AS memory_cached_bytes_min,
    max(memory_cached_bytes_max) AS memory_cached_bytes_max,
    sum(memory_cached_bytes_avg * memory_cached_bytes_count) / NULLIF(sum(memory_cached_bytes_count), 0)::double precision AS memory_cached_bytes_avg,
    sum(memory_cached_bytes_count)::bigint AS memory_cached_bytes_count,
    min(swap_total_bytes_min) AS swap_total_bytes_min,
    max(swap_total_bytes_max) AS swap_total_bytes_max,
    sum(swap_total_bytes_avg * swap_total_bytes_count) / NULLIF(sum(swap_total_bytes_count), 0)::double precision AS swap_total_bytes_avg,
    sum(swap_total_bytes_count)::bigint AS swap_total_bytes_count,
    min(swap_used_bytes_min) AS swap_used_bytes_min,
    max(swap_used_bytes_max) AS swap_used_bytes_max,
    sum(swap_used_bytes_avg * swap_used_bytes_count) / NULLIF(sum(swap_used_bytes_count), 0)::double precision AS swap_used_bytes_avg,
    sum(swap_used_bytes_count)::bigint AS swap_used_bytes_count,
    min(swap_used_percent_min) AS swap_used_percent_min,
    max(swap_used_percent_max) AS swap_used_percent_max,
    sum(swap_used_percent_avg * swap_used_percent_count) / NULLIF(sum(swap_used_percent_count), 0)::double precision AS swap_used_percent_avg,
    sum(swap_used_percent_count)::bigint AS swap_used_percent_count,
    min(swap_in_bytes_per_second_min) AS swap_in_bytes_per_second_min,
    max(swap_in_bytes_per_second_max) AS swap_in_bytes_per_second_max,
    sum(swap_in_bytes_per_second_avg * swap_in_bytes_per_second_count) / NULLIF(sum(swap_in_bytes_per_second_count), 0)::double precision AS swap_in_bytes_per_second_avg,
    sum(swap_in_bytes_per_second_count)::bigint AS swap_in_bytes_per_second_count,
    min(swap_out_bytes_per_second_min) AS swap_out_bytes_per_second_min,
    max(swap_out_bytes_per_second_max) AS swap_out_bytes_per_second_max,
    sum(swap_out_bytes_per_second_avg * swap_out_bytes_per_second_count) / NULLIF(sum(swap_out_bytes_per_second_count), 0)::double precision AS swap_out_bytes_per_second_avg,
    sum(swap_out_bytes_per_second_count)::bigint AS swap_out_bytes_per_second_count,
    min(memory_oom_kills_total_min) AS memory_oom_kills_total_min,
    max(memory_oom_kills_total_max) AS memory_oom_kills_total_max,
    sum(memory_oom_kills_total_avg * memory_oom_kills_total_count) / NULLIF(sum(memory_oom_kills_total_count), 0)::double precision AS memory_oom_kills_total_avg,
    sum(memory_oom_kills_total_count)::bigint AS memory_oom_kills_total_count,
    min(pressure_cpu_some_percent_min) AS pressure_cpu_some_percent_min,
    max(pressure_cpu_some_percent_max) AS pressure_cpu_some_percent_max,
    sum(pressure_cpu_some_percent_avg * pressure_cpu_some_percent_count) / NULLIF(sum(pressure_cpu_some_percent_count), 0)::double precision AS pressure_cpu_some_percent_avg,
    sum(pressure_cpu_some_percent_count)::bigint AS pressure_cpu_some_percent_count,
    min(pressure_cpu_full_percent_min) AS pressure_cpu_full_percent_min,
    max(pressure_cpu_full_percent_max) AS pressure_cpu_full_percent_max,
    sum(pressure_cpu_full_percent_avg * pressure_cpu_full_percent_count) / NULLIF(sum(pressure_cpu_full_percent_count), 0)::double precision AS pressure_cpu_full_percent_avg,
    sum(pressure_cpu_full_percent_count)::bigint AS pressure_cpu_full_percent_count,
    min(pressure_memory_some_percent_min) AS pressure_memory_some_percent_min,
    max(pressure_memory_some_percent_max) AS pressure_memory_some_percent_max,
    sum(pressure_memory_some_percent_avg * pressure_memory_some_percent_count) / NULLIF(sum(pressure_memory_some_percent_count), 0)::double precision AS pressure_memory_some_percent_avg,
    sum(pressure_memory_some_percent_count)::bigint AS pressure_memory_some_percent_count,
    min(pressure_memory_full_percent_min) AS pressure_memory_full_percent_min,
    max(pressure_memory_full_percent_max) AS pressure_memory_full_percent_max,
    sum(pressure_memory_full_percent_avg * pressure_memory_full_percent_count) / NULLIF(sum(pressure_memory_full_percent_count), 0)::double precision AS pressure_memory_full_percent_avg,
    sum(pressure_memory_full_percent_count)::bigint AS pressure_memory_full_percent_count,
    min(pressure_io_some_percent_min) AS pressure_io_some_percent_min,
    max(pressure_io_some_percent_max) AS pressure_io_some_percent_max,
    sum(pressure_io_some_percent_avg * pressure_io_some_percent_count) / NULLIF(sum(pressure_io_some_percent_count), 0)::double precision AS pressure_io_some_percent_avg,
    sum(pressure_io_some_percent_count)::bigint AS pressure_io_some_percent_count,
    min(pressure_io_full_percent_min) AS pressure_io_full_percent_min,
    max(pressure_io_full_percent_max) AS pressure_io_full_percent_max,
    sum(pressure_io_full_percent_avg * pressure_io_full_percent_count) / NULLIF(sum(pressure_io_full_percent_count), 0)::double precision AS pressure_io_full_percent_avg,
    sum(pressure_io_full_percent_count)::bigint AS pressure_io_full_percent_count,
    min(network_total_receive_bytes_per_second_min) AS network_total_receive_bytes_per_second_min,
    max(network_total_receive_bytes_per_second_max) AS network_total_receive_bytes_per_second_max,
    sum(network_total_receive_bytes_per_second_avg * network_total_receive_bytes_per_second_count) / NULLIF(sum(network_total_receive_bytes_per_second_count), 0)::double precision AS network_total_receive_bytes_per_second_avg,
    sum(network_total_receive_bytes_per_second_count)::bigint AS network_total_receive_bytes_per_second_count,
    min(network_total_transmit_bytes_per_second_min) AS network_total_transmit_bytes_per_second_min,
    max(network_total_transmit_bytes_per_second_max) AS network_total_transmit_bytes_per_second_max,
    sum(network_total_transmit_bytes_per_second_avg * network_total_transmit_bytes_per_second_count) / NULLIF(sum(network_total_transmit_bytes_per_second_count), 0)::double precision AS network_total_transmit_bytes_per_second_avg,
    sum(network_total_transmit_bytes_per_second_count)::bigint AS network_total_transmit_bytes_per_second_count,
    min(disk_total_read_bytes_per_second_min) AS disk_total_read_bytes_per_second_min,
    max(disk_total_read_bytes_per_second_max) AS disk_total_read_bytes_per_second_max,
    sum(disk_total_read_bytes_per_second_avg * disk_total_read_bytes_per_second_count) / NULLIF(sum(disk_total_read_bytes_per_second_count), 0)::double precision AS disk_total_read_bytes_per_second_avg,
    sum(disk_total_read_bytes_per_second_count)::bigint AS disk_total_read_bytes_per_second_count,
    min(disk_total_write_bytes_per_second_min) AS disk_total_write_bytes_per_second_min,
    max(disk_total_write_bytes_per_second_max) AS disk_total_write_bytes_per_second_max,
    sum(disk_total_write_bytes_per_second_avg * disk_total_write_bytes_per_second_count) / NULLIF(sum(disk_total_write_bytes_per_second_count), 0)::double precision AS disk_total_write_bytes_per_second_avg,
    sum(disk_total_write_bytes_per_second_count)::bigint AS disk_total_write_bytes_per_second_count,
    min(mount_worst_used_percent_min) AS mount_worst_used_percent_min,
    max(mount_worst_used_percent_max) AS mount_worst_used_percent_max,
    sum(mount_worst_used_percent_avg * mount_worst_used_percent_count) / NULLIF(sum(mount_worst_used_percent_count), 0)::double precision AS mount_worst_used_percent_avg,
    sum(mount_worst_used_percent_count)::bigint AS mount_worst_used_percent_count,
    min(process_count_min) AS process_count_min,
    max(process_count_max) AS process_count_max,
    sum(process_count_avg * process_count_count) / NULLIF(sum(process_count_count), 0)::double precision AS process_count_avg,
    sum(process_count_count)::bigint AS process_count_count,
    min(process_running_min) AS process_running_min,
    max(process_running_max) AS process_running_max,
    sum(process_running_avg * process_running_count) / NULLIF(sum(process_running_count), 0)::double precision AS process_running_avg,
    sum(process_running_count)::bigint AS process_running_count,
    min(process_blocked_min) AS process_blocked_min,
    max(process_blocked_max) AS process_blocked_max,
    sum(process_blocked_avg * process_blocked_count) / NULLIF(sum(process_blocked_count), 0)::double precision AS process_blocked_avg,
    sum(process_blocked_count)::bigint AS process_blocked_count,
    min(process_zombies_min) AS process_zombies_min,
    max(process_zombies_max) AS process_zombies_max,
    sum(process_zombies_avg * process_zombies_count) / NULLIF(sum(process_zombies_count), 0)::double precision AS process_zombies_avg,
    sum(process_zombies_count)::bigint AS process_zombies_count,
    min(process_threads_min) AS process_threads_min,
    max(process_threads_max) AS process_threads_max,
    sum(process_threads_avg * process_threads_count) / NULLIF(sum(process_threads_count), 0)::double precision AS process_threads_avg,
    sum(process_threads_count)::bigint AS process_threads_count,
    min(process_forks_per_second_min) AS process_forks_per_second_min,
    max(process_forks_per_second_max) AS process_forks_per_second_max,
    sum(process_forks_per_second_avg * process_forks_per_second_count) / NULLIF(sum(process_forks_per_second_count), 0)::double precision AS process_forks_per_second_avg,
    sum(process_forks_per_second_count)::bigint AS process_forks_per_second_count,
    min(file_open_min) AS file_open_min,
    max(file_open_max) AS file_open_max,
    sum(file_open_avg * file_open_count) / NULLIF(sum(file_open_count), 0)::double precision AS file_open_avg,
    sum(file_open_count)::bigint AS file_open_count,
    min(file_open_percent_min) AS file_open_percent_min,
    max(file_open_percent_max) AS file_open_percent_max,
    sum(file_open_percent_avg * file_open_percent_count) / NULLIF(sum(file_open_percent_count), 0)::double precision AS file_open_percent_avg,
    sum(file_open_percent_count)::bigint AS file_open_percent_count,
    min(systemd_failed_units_min) AS systemd_failed_units_min,
    max(systemd_failed_units_max) AS systemd_failed_units_max,
    sum(systemd_failed_units_avg * systemd_failed_units_count) / NULLIF(sum(systemd_failed_units_count), 0)::double precision AS systemd_failed_units_avg,
    sum(systemd_failed_units_count)::bigint AS systemd_failed_units_count,
    min(collector_cpu_percent_min) AS collector_cpu_percent_min,
    max(collector_cpu_percent_max) AS collector_cpu_percent_max,
    sum(collector_cpu_percent_avg * collector_cpu_percent_count) / NULLIF(sum(collector_cpu_percent_count), 0)::double precision AS collector_cpu_percent_avg,
    sum(collector_cpu_percent_count)::bigint AS collector_cpu_percent_count,
    min(collector_memory_bytes_min) AS collector_memory_bytes_min,
    max(collector_memory_bytes_max) AS collector_memory_bytes_max,
    sum(collector_memory_bytes_avg * collector_memory_bytes_count) / NULLIF(sum(collector_memory_bytes_count), 0)::double precision AS collector_memory_bytes_avg,
    sum(collector_memory_bytes_count)::bigint AS collector_memory_bytes_count,
    min(collector_ticks_dropped_total_min) AS collector_ticks_dropped_total_min,
    max(collector_ticks_dropped_total_max) AS collector_ticks_dropped_total_max,
    sum(collector_ticks_dropped_total_avg * collector_ticks_dropped_total_count) / NULLIF(sum(collector_ticks_dropped_total_count), 0)::double precision AS collector_ticks_dropped_total_avg,
    sum(collector_ticks_dropped_total_count)::bigint AS collector_ticks_dropped_total_count
FROM machine_minute
GROUP BY machine_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW machine_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW machine_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW core_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(cpu_core_busy_percent_min) AS cpu_core_busy_percent_min,
    max(cpu_core_busy_percent_max) AS cpu_core_busy_percent_max,
    sum(cpu_core_busy_percent_avg * cpu_core_busy_percent_count) / NULLIF(sum(cpu_core_busy_percent_count), 0)::double precision AS cpu_core_busy_percent_avg,
    sum(cpu_core_busy_percent_count)::bigint AS cpu_core_busy_percent_count
FROM core_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW core_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW core_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW disk_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(disk_read_bytes_per_second_min) AS disk_read_bytes_per_second_min,
    max(disk_read_bytes_per_second_max) AS disk_read_bytes_per_second_max,
    sum(disk_read_bytes_per_second_avg * disk_read_bytes_per_second_count) / NULLIF(sum(disk_read_bytes_per_second_count), 0)::double precision AS disk_read_bytes_per_second_avg,
    sum(disk_read_bytes_per_second_count)::bigint AS disk_read_bytes_per_second_count,
    min(disk_write_bytes_per_second_min) AS disk_write_bytes_per_second_min,
    max(disk_write_bytes_per_second_max) AS disk_write_bytes_per_second_max,
    sum(disk_write_bytes_per_second_avg * disk_write_bytes_per_second_count) / NULLIF(sum(disk_write_bytes_per_second_count), 0)::double precision AS disk_write_bytes_per_second_avg,
    sum(disk_write_bytes_per_second_count)::bigint AS disk_write_bytes_per_second_count,
    min(disk_reads_per_second_min) AS disk_reads_per_second_min,
    max(disk_reads_per_second_max) AS disk_reads_per_second_max,
    sum(disk_reads_per_second_avg * disk_reads_per_second_count) / NULLIF(sum(disk_reads_per_second_count), 0)::double precision AS disk_reads_per_second_avg,
    sum(disk_reads_per_second_count)::bigint AS disk_reads_per_second_count,
    min(disk_writes_per_second_min) AS disk_writes_per_second_min,
    max(disk_writes_per_second_max) AS disk_writes_per_second_max,
    sum(disk_writes_per_second_avg * disk_writes_per_second_count) / NULLIF(sum(disk_writes_per_second_count), 0)::double precision AS disk_writes_per_second_avg,
    sum(disk_writes_per_second_count)::bigint AS disk_writes_per_second_count,
    min(disk_utilisation_percent_min) AS disk_utilisation_percent_min,
    max(disk_utilisation_percent_max) AS disk_utilisation_percent_max,
    sum(disk_utilisation_percent_avg * disk_utilisation_percent_count) / NULLIF(sum(disk_utilisation_percent_count), 0)::double precision AS disk_utilisation_percent_avg,
    sum(disk_utilisation_percent_count)::bigint AS disk_utilisation_percent_count,
    min(disk_await_ms_min) AS disk_await_ms_min,
    max(disk_await_ms_max) AS disk_await_ms_max,
    sum(disk_await_ms_avg * disk_await_ms_count) / NULLIF(sum(disk_await_ms_count), 0)::double precision AS disk_await_ms_avg,
    sum(disk_await_ms_count)::bigint AS disk_await_ms_count,
    min(disk_queue_depth_min) AS disk_queue_depth_min,
    max(disk_queue_depth_max) AS disk_queue_depth_max,
    sum(disk_queue_depth_avg * disk_queue_depth_count) / NULLIF(sum(disk_queue_depth_count), 0)::double precision AS disk_queue_depth_avg,
    sum(disk_queue_depth_count)::bigint AS disk_queue_depth_count
FROM disk_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW disk_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW disk_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW mount_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(mount_total_bytes_min) AS mount_total_bytes_min,
    max(mount_total_bytes_max) AS mount_total_bytes_max,
    sum(mount_total_bytes_avg * mount_total_bytes_count) / NULLIF(sum(mount_total_bytes_count), 0)::double precision AS mount_total_bytes_avg,
    sum(mount_total_bytes_count)::bigint AS mount_total_bytes_count,
    min(mount_used_bytes_min) AS mount_used_bytes_min,
    max(mount_used_bytes_max) AS mount_used_bytes_max,
    sum(mount_used_bytes_avg * mount_used_bytes_count) / NULLIF(sum(mount_used_bytes_count), 0)::double precision AS mount_used_bytes_avg,
    sum(mount_used_bytes_count)::bigint AS mount_used_bytes_count,
    min(mount_available_bytes_min) AS mount_available_bytes_min,
    max(mount_available_bytes_max) AS mount_available_bytes_max,
    sum(mount_available_bytes_avg * mount_available_bytes_count) / NULLIF(sum(mount_available_bytes_count), 0)::double precision AS mount_available_bytes_avg,
    sum(mount_available_bytes_count)::bigint AS mount_available_bytes_count,
    min(mount_used_percent_min) AS mount_used_percent_min,
    max(mount_used_percent_max) AS mount_used_percent_max,
    sum(mount_used_percent_avg * mount_used_percent_count) / NULLIF(sum(mount_used_percent_count), 0)::double precision AS mount_used_percent_avg,
    sum(mount_used_percent_count)::bigint AS mount_used_percent_count,
    min(mount_inodes_min) AS mount_inodes_min,
    max(mount_inodes_max) AS mount_inodes_max,
    sum(mount_inodes_avg * mount_inodes_count) / NULLIF(sum(mount_inodes_count), 0)::double precision AS mount_inodes_avg,
    sum(mount_inodes_count)::bigint AS mount_inodes_count,
    min(mount_inodes_used_percent_min) AS mount_inodes_used_percent_min,
    max(mount_inodes_used_percent_max) AS mount_inodes_used_percent_max,
    sum(mount_inodes_used_percent_avg * mount_inodes_used_percent_count) / NULLIF(sum(mount_inodes_used_percent_count), 0)::double precision AS mount_inodes_used_percent_avg,
    sum(mount_inodes_used_percent_count)::bigint AS mount_inodes_used_percent_count
FROM mount_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW mount_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW mount_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW interface_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(network_receive_bytes_per_second_min) AS network_receive_bytes_per_second_min,
    max(network_receive_bytes_per_second_max) AS network_receive_bytes_per_second_max,
    sum(network_receive_bytes_per_second_avg * network_receive_bytes_per_second_count) / NULLIF(sum(network_receive_bytes_per_second_count), 0)::double precision AS network_receive_bytes_per_second_avg,
    sum(network_receive_bytes_per_second_count)::bigint AS network_receive_bytes_per_second_count,
    min(network_transmit_bytes_per_second_min) AS network_transmit_bytes_per_second_min,
    max(network_transmit_bytes_per_second_max) AS network_transmit_bytes_per_second_max,
    sum(network_transmit_bytes_per_second_avg * network_transmit_bytes_per_second_count) / NULLIF(sum(network_transmit_bytes_per_second_count), 0)::double precision AS network_transmit_bytes_per_second_avg,
    sum(network_transmit_bytes_per_second_count)::bigint AS network_transmit_bytes_per_second_count,
    min(network_receive_packets_per_second_min) AS network_receive_packets_per_second_min,
    max(network_receive_packets_per_second_max) AS network_receive_packets_per_second_max,
    sum(network_receive_packets_per_second_avg * network_receive_packets_per_second_count) / NULLIF(sum(network_receive_packets_per_second_count), 0)::double precision AS network_receive_packets_per_second_avg,
    sum(network_receive_packets_per_second_count)::bigint AS network_receive_packets_per_second_count,
    min(network_transmit_packets_per_second_min) AS network_transmit_packets_per_second_min,
    max(network_transmit_packets_per_second_max) AS network_transmit_packets_per_second_max,
    sum(network_transmit_packets_per_second_avg * network_transmit_packets_per_second_count) / NULLIF(sum(network_transmit_packets_per_second_count), 0)::double precision AS network_transmit_packets_per_second_avg,
    sum(network_transmit_packets_per_second_count)::bigint AS network_transmit_packets_per_second_count,
    min(network_receive_errors_per_second_min) AS network_receive_errors_per_second_min,
    max(network_receive_errors_per_second_max) AS network_receive_errors_per_second_max,
    sum(network_receive_errors_per_second_avg * network_receive_errors_per_second_count) / NULLIF(sum(network_receive_errors_per_second_count), 0)::double precision AS network_receive_errors_per_second_avg,
    sum(network_receive_errors_per_second_count)::bigint AS network_receive_errors_per_second_count,
    min(network_transmit_errors_per_second_min) AS network_transmit_errors_per_second_min,
    max(network_transmit_errors_per_second_max) AS network_transmit_errors_per_second_max,
    sum(network_transmit_errors_per_second_avg * network_transmit_errors_per_second_count) / NULLIF(sum(network_transmit_errors_per_second_count), 0)::double precision AS network_transmit_errors_per_second_avg,
    sum(network_transmit_errors_per_second_count)::bigint AS network_transmit_errors_per_second_count,
    min(network_receive_drops_per_second_min) AS network_receive_drops_per_second_min,
    max(network_receive_drops_per_second_max) AS network_receive_drops_per_second_max,
    sum(network_receive_drops_per_second_avg * network_receive_drops_per_second_count) / NULLIF(sum(network_receive_drops_per_second_count), 0)::double precision AS network_receive_drops_per_second_avg,
    sum(network_receive_drops_per_second_count)::bigint AS network_receive_drops_per_second_count,
    min(network_transmit_drops_per_second_min) AS network_transmit_drops_per_second_min,
    max(network_transmit_drops_per_second_max) AS network_transmit_drops_per_second_max,
    sum(network_transmit_drops_per_second_avg * network_transmit_drops_per_second_count) / NULLIF(sum(network_transmit_drops_per_second_count), 0)::double precision AS network_transmit_drops_per_second_avg,
    sum(network_transmit_drops_per_second_count)::bigint AS network_transmit_drops_per_second_count,
    min(network_link_up_min) AS network_link_up_min,
    max(network_link_up_max) AS network_link_up_max,
    sum(network_link_up_avg * network_link_up_count) / NULLIF(sum(network_link_up_count), 0)::double precision AS network_link_up_avg,
    sum(network_link_up_count)::bigint AS network_link_up_count
FROM interface_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW interface_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW interface_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW sensor_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(sensor_temperature_celsius_min) AS sensor_temperature_celsius_min,
    max(sensor_temperature_celsius_max) AS sensor_temperature_celsius_max,
    sum(sensor_temperature_celsius_avg * sensor_temperature_celsius_count) / NULLIF(sum(sensor_temperature_celsius_count), 0)::double precision AS sensor_temperature_celsius_avg,
    sum(sensor_temperature_celsius_count)::bigint AS sensor_temperature_celsius_count,
    min(sensor_fan_rpm_min) AS sensor_fan_rpm_min,
    max(sensor_fan_rpm_max) AS sensor_fan_rpm_max,
    sum(sensor_fan_rpm_avg * sensor_fan_rpm_count) / NULLIF(sum(sensor_fan_rpm_count), 0)::double precision AS sensor_fan_rpm_avg,
    sum(sensor_fan_rpm_count)::bigint AS sensor_fan_rpm_count
FROM sensor_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW sensor_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW sensor_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW battery_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(battery_charge_percent_min) AS battery_charge_percent_min,
    max(battery_charge_percent_max) AS battery_charge_percent_max,
    sum(battery_charge_percent_avg * battery_charge_percent_count) / NULLIF(sum(battery_charge_percent_count), 0)::double precision AS battery_charge_percent_avg,
    sum(battery_charge_percent_count)::bigint AS battery_charge_percent_count
FROM battery_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW battery_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW battery_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW container_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(container_cpu_percent_min) AS container_cpu_percent_min,
    max(container_cpu_percent_max) AS container_cpu_percent_max,
    sum(container_cpu_percent_avg * container_cpu_percent_count) / NULLIF(sum(container_cpu_percent_count), 0)::double precision AS container_cpu_percent_avg,
    sum(container_cpu_percent_count)::bigint AS container_cpu_percent_count,
    min(container_memory_bytes_min) AS container_memory_bytes_min,
    max(container_memory_bytes_max) AS container_memory_bytes_max,
    sum(container_memory_bytes_avg * container_memory_bytes_count) / NULLIF(sum(container_memory_bytes_count), 0)::double precision AS container_memory_bytes_avg,
    sum(container_memory_bytes_count)::bigint AS container_memory_bytes_count,
    min(container_memory_limit_bytes_min) AS container_memory_limit_bytes_min,
    max(container_memory_limit_bytes_max) AS container_memory_limit_bytes_max,
    sum(container_memory_limit_bytes_avg * container_memory_limit_bytes_count) / NULLIF(sum(container_memory_limit_bytes_count), 0)::double precision AS container_memory_limit_bytes_avg,
    sum(container_memory_limit_bytes_count)::bigint AS container_memory_limit_bytes_count,
    min(container_receive_bytes_per_second_min) AS container_receive_bytes_per_second_min,
    max(container_receive_bytes_per_second_max) AS container_receive_bytes_per_second_max,
    sum(container_receive_bytes_per_second_avg * container_receive_bytes_per_second_count) / NULLIF(sum(container_receive_bytes_per_second_count), 0)::double precision AS container_receive_bytes_per_second_avg,
    sum(container_receive_bytes_per_second_count)::bigint AS container_receive_bytes_per_second_count,
    min(container_transmit_bytes_per_second_min) AS container_transmit_bytes_per_second_min,
    max(container_transmit_bytes_per_second_max) AS container_transmit_bytes_per_second_max,
    sum(container_transmit_bytes_per_second_avg * container_transmit_bytes_per_second_count) / NULLIF(sum(container_transmit_bytes_per_second_count), 0)::double precision AS container_transmit_bytes_per_second_avg,
    sum(container_transmit_bytes_per_second_count)::bigint AS container_transmit_bytes_per_second_count,
    min(container_running_min) AS container_running_min,
    max(container_running_max) AS container_running_max,
    sum(container_running_avg * container_running_count) / NULLIF(sum(container_running_count), 0)::double precision AS container_running_avg,
    sum(container_running_count)::bigint AS container_running_count,
    min(container_healthy_min) AS container_healthy_min,
    max(container_healthy_max) AS container_healthy_max,
    sum(container_healthy_avg * container_healthy_count) / NULLIF(sum(container_healthy_count), 0)::double precision AS container_healthy_avg,
    sum(container_healthy_count)::bigint AS container_healthy_count,
    min(container_restarts_total_min) AS container_restarts_total_min,
    max(container_restarts_total_max) AS container_restarts_total_max,
    sum(container_restarts_total_avg * container_restarts_total_count) / NULLIF(sum(container_restarts_total_count), 0)::double precision AS container_restarts_total_avg,
    sum(container_restarts_total_count)::bigint AS container_restarts_total_count
FROM container_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW container_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW container_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW unit_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(systemd_unit_failed_min) AS systemd_unit_failed_min,
    max(systemd_unit_failed_max) AS systemd_unit_failed_max,
    sum(systemd_unit_failed_avg * systemd_unit_failed_count) / NULLIF(sum(systemd_unit_failed_count), 0)::double precision AS systemd_unit_failed_avg,
    sum(systemd_unit_failed_count)::bigint AS systemd_unit_failed_count
FROM unit_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW unit_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW unit_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW probe_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    entity_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(collector_probe_ms_min) AS collector_probe_ms_min,
    max(collector_probe_ms_max) AS collector_probe_ms_max,
    sum(collector_probe_ms_avg * collector_probe_ms_count) / NULLIF(sum(collector_probe_ms_count), 0)::double precision AS collector_probe_ms_avg,
    sum(collector_probe_ms_count)::bigint AS collector_probe_ms_count,
    min(collector_probe_failures_total_min) AS collector_probe_failures_total_min,
    max(collector_probe_failures_total_max) AS collector_probe_failures_total_max,
    sum(collector_probe_failures_total_avg * collector_probe_failures_total_count) / NULLIF(sum(collector_probe_failures_total_count), 0)::double precision AS collector_probe_failures_total_avg,
    sum(collector_probe_failures_total_count)::bigint AS collector_probe_failures_total_count
FROM probe_minute
GROUP BY machine_key, entity_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW probe_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, entity_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW probe_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE MATERIALIZED VIEW custom_five_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '5 days') AS
SELECT
    machine_key,
    series_key,
    time_bucket(INTERVAL '5 minutes', bucket) AS bucket,
    min(value_min) AS value_min,
    max(value_max) AS value_max,
    sum(value_avg * value_count) / NULLIF(sum(value_count), 0)::double precision AS value_avg,
    sum(value_count)::bigint AS value_count
FROM custom_minute
GROUP BY machine_key, series_key, time_bucket(INTERVAL '5 minutes', bucket)
WITH NO DATA;
ALTER MATERIALIZED VIEW custom_five_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine_key, series_key', timescaledb.compress_orderby = 'bucket');
COMMENT ON VIEW custom_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';
