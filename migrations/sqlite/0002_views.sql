-- For people with a SQLite shell; packed columns are read with `sysmon query --database sqlite:PATH`.

-- Which machines there are, and when they were first and last heard.
CREATE VIEW machines AS
SELECT name, hostname, os,
       datetime(min(coalesce(first_unix_ms, first_recent), coalesce(first_recent, first_unix_ms)) / 1000, 'unixepoch')
           AS first_sample,
       datetime(max(coalesce(last_unix_ms, last_recent), coalesce(last_recent, last_unix_ms)) / 1000, 'unixepoch')
           AS last_sample
FROM (SELECT machine.*,
             (SELECT min(at_unix_ms) FROM recent WHERE recent.machine = machine.id) AS first_recent,
             (SELECT max(at_unix_ms) FROM recent WHERE recent.machine = machine.id) AS last_recent
      FROM machine);

-- What is missing, why, and how much.
CREATE VIEW gaps AS
SELECT machine.name AS machine,
       datetime(gap.from_unix_ms / 1000, 'unixepoch') AS missing_from,
       datetime(gap.to_unix_ms / 1000, 'unixepoch') AS missing_to,
       gap.samples,
       gap.reason
FROM gap JOIN machine ON machine.id = gap.machine;

-- How much is kept of what, and what it costs.
CREATE VIEW sizes AS
SELECT machine.name AS machine,
       CASE block.tier WHEN 0 THEN 'samples' WHEN 1 THEN 'minutes' ELSE 'hours' END AS tier,
       count(*) AS blocks,
       sum(block.samples) AS kept,
       sum(length(block.head)
           + (SELECT sum(length(segment.columns)) FROM segment WHERE segment.block = block.id)) AS bytes,
       datetime(min(block.from_unix_ms) / 1000, 'unixepoch') AS from_time,
       datetime(max(block.to_unix_ms) / 1000, 'unixepoch') AS to_time
FROM block JOIN machine ON machine.id = block.machine
GROUP BY machine.name, block.tier;
