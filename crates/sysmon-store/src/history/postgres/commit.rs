//! Batches into the database: one transaction, in which the cursors decide what is new.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{Connection as _, PgConnection, Row as _};
use sysmon_core::{Epoch, GapReason, HostInfo, MachineId, UnixMillis};

use super::failure::Failure;
use super::migrate::Flavour;
use super::names::{Names, clean};
use super::rows::Sheet;
use super::timestamp::Timestamp;
use super::{late, letters};
use crate::error::StoreError;
use crate::history::{Content, IngestBatch, Outcome};

/// What is known of a machine while its batches are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) key: i32,
    /// Times of its first and newest stored samples, those of this transaction included.
    pub(super) span: Option<(UnixMillis, UnixMillis)>,
    /// Whether the span grew in this transaction.
    pub(super) grown: bool,
}

impl Machine {
    /// Notes a sample of this time.
    pub(super) fn saw(&mut self, at: UnixMillis) {
        let (first, last) = self.span.unwrap_or((at, at));
        let span = (first.min(at), last.max(at));
        self.grown |= self.span != Some(span);
        self.span = Some(span);
    }
}

#[derive(Debug, Default)]
struct Gaps {
    machine_keys: Vec<i32>,
    epochs: Vec<Vec<u8>>,
    from: Vec<Timestamp>,
    to: Vec<Timestamp>,
    samples: Vec<i64>,
    reasons: Vec<&'static str>,
}

/// What the cursors let through, on its way into the tables.
#[derive(Debug)]
struct Work<'batches> {
    machines: BTreeMap<MachineId, Machine>,
    cursors: BTreeMap<(i32, Epoch), u64>,
    moved: BTreeSet<(i32, Epoch)>,
    sheet: Sheet,
    gaps: Gaps,
    letters: letters::Letters,
    hosts: BTreeMap<i32, &'batches HostInfo>,
    /// Times of what was stored, for the roll-ups that have gone past them.
    stored: Vec<(i32, UnixMillis)>,
}

/// Stores batches; see [`crate::History::commit`].
pub(super) async fn commit(
    connection: &mut PgConnection,
    names: &Names,
    flavour: Flavour,
    batches: &[IngestBatch],
) -> Result<Vec<Outcome>, Failure> {
    check(batches)?;
    let resolved = names.resolve(connection, batches).await?;
    let mut transaction = connection.begin().await?;
    let machines = lock_machines(
        &mut transaction,
        batches.iter().map(|batch| &batch.machine).collect(),
    )
    .await?;
    let cursors = lock_cursors(&mut transaction, &machines, batches).await?;
    let mut work = Work {
        machines,
        cursors,
        moved: BTreeSet::new(),
        sheet: Sheet::new(),
        gaps: Gaps::default(),
        letters: letters::Letters::default(),
        hosts: BTreeMap::new(),
        stored: Vec::new(),
    };
    let outcomes: Vec<Outcome> = batches.iter().map(|batch| work.take(batch, &resolved)).collect();
    if work.moved.is_empty() {
        // Nothing is new: not even the machines that were added are kept.
        transaction.rollback().await?;
        return Ok(outcomes);
    }
    late::note(&mut transaction, flavour, &work.stored).await?;
    work.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// PostgreSQL's times begin in 4714 BC, later than ours.
fn check(batches: &[IngestBatch]) -> Result<(), StoreError> {
    let is_too_old = |batch: &&IngestBatch| match &batch.content {
        Content::Tick { at, .. } => at.0 < Timestamp::MINIMUM_UNIX_MS,
        Content::Lost { from, .. } => from.0 < Timestamp::MINIMUM_UNIX_MS,
        Content::Dead { .. } => false,
    };
    match batches.iter().find(is_too_old) {
        None => Ok(()),
        Some(batch) => Err(StoreError::rejected(format!(
            "batch {} of {} is older than PostgreSQL has times for; set the machine's clock",
            batch.sequence, batch.machine
        ))),
    }
}

impl<'batches> Work<'batches> {
    fn take(&mut self, batch: &'batches IngestBatch, resolved: &super::names::Resolved) -> Outcome {
        let Some(machine) = self.machines.get_mut(&batch.machine) else {
            // Every machine was locked.
            return Outcome::Expected { sequence: 1 };
        };
        let place = (machine.key, batch.epoch);
        let through = self.cursors.get(&place).copied().unwrap_or(0);
        if batch.last_sequence() <= through {
            return Outcome::Stored { through };
        }
        if batch.sequence > through + 1 {
            return Outcome::Expected {
                sequence: through + 1,
            };
        }
        match &batch.content {
            Content::Tick { at, series, values } => {
                if batch.spool_was_lost
                    && batch.sequence == 1
                    && let Some((_, last)) = machine.span.filter(|(_, last)| last < at)
                {
                    self.gaps.push(place, last, *at, 0, GapReason::SpoolLost);
                }
                machine.saw(*at);
                self.stored.push((machine.key, *at));
                if let Some(layout) = resolved.layout(series) {
                    let overflow = |number| resolved.overflow(series, number);
                    self.sheet
                        .add(machine.key, *at, batch.clock_offset_ms, layout, values, overflow);
                }
            }
            Content::Lost {
                last_sequence,
                from,
                to,
                reason,
            } => self
                .gaps
                .push(place, *from, *to, last_sequence - through, *reason),
            Content::Dead {
                received,
                reason,
                tick,
            } => self
                .letters
                .push(place, batch.sequence, *received, reason, tick.as_ref()),
        }
        if let Some(host) = &batch.host {
            self.hosts.insert(machine.key, host);
        }
        self.cursors.insert(place, batch.last_sequence());
        self.moved.insert(place);
        Outcome::Stored {
            through: batch.last_sequence(),
        }
    }

    async fn write(self, connection: &mut PgConnection) -> Result<(), Failure> {
        self.sheet.insert(connection).await?;
        self.gaps.insert(connection).await?;
        self.letters.insert(connection).await?;
        describe(connection, &self.hosts).await?;
        grow(connection, self.machines.values()).await?;
        let machine_keys: Vec<i32> = self.moved.iter().map(|(machine, _)| *machine).collect();
        let epochs: Vec<&[u8]> = self.moved.iter().map(|(_, epoch)| epoch.0.as_slice()).collect();
        let sequences: Vec<i64> = self
            .moved
            .iter()
            .filter_map(|place| self.cursors.get(place))
            .map(|sequence| sequence.cast_signed())
            .collect();
        sqlx::query(
            "INSERT INTO ingest_cursor (machine_key, epoch, sequence, updated_at)
             SELECT machine_key, epoch, sequence, clock_timestamp()
             FROM unnest($1::integer[], $2::bytea[], $3::bigint[]) AS new(machine_key, epoch, sequence)
             ON CONFLICT (machine_key, epoch)
             DO UPDATE SET sequence = excluded.sequence, updated_at = excluded.updated_at",
        )
        .bind(machine_keys)
        .bind(epochs)
        .bind(sequences)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Locks the rows of these machines, in the order of their keys, after adding those that are new. The lock of a machine
/// covers all its cursors: who else has batches of it waits here, and so sees where they got to.
pub(super) async fn lock_machines(
    connection: &mut PgConnection,
    wanted: BTreeSet<&MachineId>,
) -> Result<BTreeMap<MachineId, Machine>, Failure> {
    let ids: Vec<&str> = wanted.iter().map(|machine| machine.as_str()).collect();
    let mut machines = BTreeMap::new();
    for _ in 0..2 {
        let rows = sqlx::query(
            "SELECT machine_key, machine_id, first_sample, last_sample FROM machine
             WHERE machine_id = ANY($1) ORDER BY machine_key FOR NO KEY UPDATE",
        )
        .bind(&ids)
        .fetch_all(&mut *connection)
        .await?;
        machines.clear();
        for row in rows {
            let first: Option<Timestamp> = row.try_get(2)?;
            let last: Option<Timestamp> = row.try_get(3)?;
            let machine = Machine {
                key: row.try_get(0)?,
                span: first.zip(last).map(|(first, last)| (first.into(), last.into())),
                grown: false,
            };
            if let Ok(id) = MachineId::parse(row.try_get(1)?) {
                machines.insert(id, machine);
            }
        }
        if machines.len() == wanted.len() {
            break;
        }
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|machine| !machines.contains_key(**machine))
            .map(|machine| machine.as_str())
            .collect();
        sqlx::query(
            "INSERT INTO machine (machine_id) SELECT unnest($1::text[]) ON CONFLICT (machine_id) DO NOTHING",
        )
        .bind(missing)
        .execute(&mut *connection)
        .await?;
    }
    Ok(machines)
}

async fn lock_cursors(
    connection: &mut PgConnection,
    machines: &BTreeMap<MachineId, Machine>,
    batches: &[IngestBatch],
) -> Result<BTreeMap<(i32, Epoch), u64>, Failure> {
    let places: BTreeSet<(i32, Epoch)> = batches
        .iter()
        .filter_map(|batch| Some((machines.get(&batch.machine)?.key, batch.epoch)))
        .collect();
    let machine_keys: Vec<i32> = places.iter().map(|(machine, _)| *machine).collect();
    let epochs: Vec<&[u8]> = places.iter().map(|(_, epoch)| epoch.0.as_slice()).collect();
    let rows = sqlx::query(
        "SELECT c.machine_key, c.epoch, c.sequence
         FROM unnest($1::integer[], $2::bytea[]) AS wanted(machine_key, epoch)
         JOIN ingest_cursor c USING (machine_key, epoch)
         ORDER BY c.machine_key, c.epoch FOR UPDATE OF c",
    )
    .bind(machine_keys)
    .bind(epochs)
    .fetch_all(connection)
    .await?;
    let mut cursors = HashMap::new();
    for row in rows {
        if let Ok(epoch) = Epoch::parse(row.try_get(1)?) {
            let sequence: i64 = row.try_get(2)?;
            cursors.insert((row.try_get(0)?, epoch), sequence.cast_unsigned());
        }
    }
    Ok(cursors.into_iter().collect())
}

/// Writes down first and newest sample where they changed.
pub(super) async fn grow(
    connection: &mut PgConnection,
    machines: impl Iterator<Item = &Machine>,
) -> Result<(), Failure> {
    let (mut keys, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for machine in machines.filter(|machine| machine.grown) {
        if let Some(span) = machine.span {
            keys.push(machine.key);
            first.push(Timestamp::from(span.0));
            last.push(Timestamp::from(span.1));
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE machine SET first_sample = new.first_sample, last_sample = new.last_sample
         FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[])
             AS new(machine_key, first_sample, last_sample)
         WHERE machine.machine_key = new.machine_key",
    )
    .bind(keys)
    .bind(first)
    .bind(last)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down what machines say of themselves. Seldom: with the first batch of a stream and after a change.
async fn describe(connection: &mut PgConnection, hosts: &BTreeMap<i32, &HostInfo>) -> Result<(), Failure> {
    if hosts.is_empty() {
        return Ok(());
    }
    let keys: Vec<i32> = hosts.keys().copied().collect();
    let texts = |text: fn(&HostInfo) -> &str| -> Vec<String> {
        hosts.values().map(|host| clean(text(host))).collect()
    };
    let labels = hosts.values().map(|host| {
        let labels: BTreeMap<String, String> = host
            .labels
            .iter()
            .map(|(name, value)| (clean(name), clean(value)))
            .collect();
        // A map of texts is always representable.
        serde_json::to_string(&labels).unwrap_or_else(|_| "{}".to_owned())
    });
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE machine SET hostname = new.hostname, os = new.os, kernel = new.kernel,
             architecture = new.architecture, cpu_model = new.cpu_model, cpu_count = new.cpu_count,
             memory_bytes = new.memory_bytes, boot_unix_ms = new.boot_unix_ms,
             collector_version = new.collector_version, labels = new.labels::jsonb
         FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                 $8::bigint[], $9::bigint[], $10::text[], $11::text[])
             AS new(machine_key, hostname, os, kernel, architecture, cpu_model, cpu_count, memory_bytes,
                 boot_unix_ms, collector_version, labels)
         WHERE machine.machine_key = new.machine_key",
    )
    .bind(keys)
    .bind(texts(|host| &host.hostname))
    .bind(texts(|host| &host.os))
    .bind(texts(|host| &host.kernel))
    .bind(texts(|host| &host.architecture))
    .bind(texts(|host| &host.cpu_model))
    .bind(
        hosts
            .values()
            .map(|host| i64::from(host.cpu_count))
            .collect::<Vec<_>>(),
    )
    .bind(
        hosts
            .values()
            .map(|host| whole(host.memory_bytes))
            .collect::<Vec<_>>(),
    )
    .bind(hosts.values().map(|host| host.boot_unix_ms).collect::<Vec<_>>())
    .bind(texts(|host| &host.collector_version))
    .bind(labels.collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

impl Gaps {
    fn push(
        &mut self,
        (machine_key, epoch): (i32, Epoch),
        from: UnixMillis,
        to: UnixMillis,
        samples: u64,
        reason: GapReason,
    ) {
        self.machine_keys.push(machine_key);
        self.epochs.push(epoch.0.to_vec());
        self.from.push(from.into());
        self.to.push(to.into());
        self.samples.push(samples.cast_signed());
        self.reasons.push(reason.name());
    }

    async fn insert(self, connection: &mut PgConnection) -> Result<(), Failure> {
        if self.machine_keys.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO gap (machine_key, epoch, from_at, to_at, samples, reason)
             SELECT * FROM unnest($1::integer[], $2::bytea[], $3::timestamptz[], $4::timestamptz[],
                 $5::bigint[], $6::text[])",
        )
        .bind(self.machine_keys)
        .bind(self.epochs)
        .bind(self.from)
        .bind(self.to)
        .bind(self.samples)
        .bind(self.reasons)
        .execute(connection)
        .await?;
        Ok(())
    }
}
