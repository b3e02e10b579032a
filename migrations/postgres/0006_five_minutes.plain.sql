-- Version 6, on PostgreSQL without TimescaleDB: roll-ups of five minutes beside those of one. A day at 300 points has 288
-- of them, so that it is read from a fifth of the rows. The aggregator fills them from the minutes, the old ones too, and
-- keeps them as long.

CREATE TABLE machine_five_minutes (LIKE machine_minute INCLUDING ALL);
COMMENT ON TABLE machine_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE core_five_minutes (LIKE core_minute INCLUDING ALL);
COMMENT ON TABLE core_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE disk_five_minutes (LIKE disk_minute INCLUDING ALL);
COMMENT ON TABLE disk_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE mount_five_minutes (LIKE mount_minute INCLUDING ALL);
COMMENT ON TABLE mount_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE interface_five_minutes (LIKE interface_minute INCLUDING ALL);
COMMENT ON TABLE interface_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE sensor_five_minutes (LIKE sensor_minute INCLUDING ALL);
COMMENT ON TABLE sensor_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE battery_five_minutes (LIKE battery_minute INCLUDING ALL);
COMMENT ON TABLE battery_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE container_five_minutes (LIKE container_minute INCLUDING ALL);
COMMENT ON TABLE container_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE unit_five_minutes (LIKE unit_minute INCLUDING ALL);
COMMENT ON TABLE unit_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE probe_five_minutes (LIKE probe_minute INCLUDING ALL);
COMMENT ON TABLE probe_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';

CREATE TABLE custom_five_minutes (LIKE custom_minute INCLUDING ALL);
COMMENT ON TABLE custom_five_minutes IS 'Smallest, largest and mean value and number of samples, per five minutes.';
