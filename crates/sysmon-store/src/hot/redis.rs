//! Hot state in Redis.
//!
//! | key | type | what |
//! |---|---|---|
//! | `sysmon:hot:head:<machine>` | string | the head |
//! | `sysmon:hot:ticks:<machine>` | list | ticks, oldest first: 8 bytes of Unix milliseconds, then the tick |
//! | `sysmon:hot:machines` | sorted set | which machines, by when they were last kept alive, in Unix milliseconds |
//!
//! Usually a tick costs one command. Now and then ([`Kept::is_due`]) a machine is kept alive: its keys live on for an hour,
//! its list is trimmed, its place in the index is renewed. Whether keys were flushed meanwhile shows in the length that
//! `RPUSH` replies.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::{Pipeline, Value};
use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::{MachineId, UnixMillis};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::hot::{FORGET_AFTER_S, HOT_TICKS_MAX, HotMachine, HotState, HotUpdate, check_updates, is_recent};
use crate::redis::{PREFIX, RedisServer};

/// A machine is kept alive after so many ticks.
const TICKS_PER_RENEWAL: u64 = 64;
/// A machine is kept alive at its next update after so long.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(1);
/// What is known of machines that were not put for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(FORGET_AFTER_S as u64);
/// Machines whose heads are looked for in one pipeline.
const MACHINES_PER_CALL: usize = 1_024;

/// Keeps heads and ticks under keys that Redis forgets by itself.
pub(super) struct RedisHotState {
    server: RedisServer,
    /// At most the machines put within the last hour or two.
    known: Mutex<Known>,
}

struct Known {
    machines: HashMap<MachineId, Kept>,
    swept_at: Instant,
}

/// What this process knows of the keys of one machine.
#[derive(Default)]
struct Kept {
    /// Ticks put in all, by this process.
    put: u64,
    /// The list is at least so long, when nobody flushed it.
    length: u64,
    /// Up to 64 or so points of the last five minutes: time of a tick, and how many had been put up to it.
    marks: VecDeque<(UnixMillis, u64)>,
    renewed_at: Option<Instant>,
    renewed_put: u64,
}

impl Kept {
    fn is_due(&self, now: Instant) -> bool {
        self.put.saturating_sub(self.renewed_put) >= TICKS_PER_RENEWAL
            || self
                .renewed_at
                .is_none_or(|at| now.saturating_duration_since(at) >= RENEWAL_INTERVAL)
    }

    fn restart(&mut self) {
        self.length = 0;
        self.marks.clear();
    }

    fn push(&mut self) {
        self.put += 1;
        self.length += 1;
    }

    /// Notes that the machine is kept alive now, its newest tick being of the given time, and tells how many ticks at
    /// the end of the list are worth keeping: those since the newest mark beyond the window, which is a few too many.
    fn renew(&mut self, now: Instant, newest: Option<UnixMillis>) -> usize {
        self.renewed_at = Some(now);
        self.renewed_put = self.put;
        let Some(newest) = newest else {
            return HOT_TICKS_MAX;
        };
        if self.marks.back().is_some_and(|mark| mark.0 > newest) {
            // The machine's clock was set back: these marks would look young for ever.
            self.marks.clear();
        }
        while self.marks.len() > 1 && !is_recent(self.marks[1].0, newest) {
            self.marks.pop_front();
        }
        let kept = self
            .marks
            .front()
            .filter(|mark| !is_recent(mark.0, newest))
            .map_or(HOT_TICKS_MAX, |mark| {
                usize::try_from(self.put.saturating_sub(mark.1)).unwrap_or(HOT_TICKS_MAX)
            })
            .clamp(1, HOT_TICKS_MAX);
        if self.marks.len() >= HOT_TICKS_MAX / TICKS_PER_RENEWAL as usize + 8 {
            self.marks.pop_front();
        }
        self.marks.push_back((newest, self.put));
        self.length = self.length.min(kept as u64);
        kept
    }
}

/// What the reply to a command of [`RedisHotState::put`] tells.
enum Reply {
    Nothing,
    /// The length of the list, and the shortest that it can be when nobody flushed it.
    Length(usize, u64),
    /// Whether the machine of this update has a head.
    HasHead(usize),
}

/// Commands, and what their replies tell.
struct Plan {
    pipeline: Pipeline,
    replies: Vec<Reply>,
    now_unix_ms: u64,
}

impl Plan {
    fn new(commands: usize) -> Self {
        Self {
            pipeline: Pipeline::with_capacity(commands),
            replies: Vec::with_capacity(commands),
            now_unix_ms: now_unix_ms(),
        }
    }

    fn command(&mut self, name: &str, reply: Reply) -> &mut Pipeline {
        self.replies.push(reply);
        self.pipeline.cmd(name)
    }

    fn set_head(&mut self, machine: &MachineId, head: &Bytes) {
        self.command("SET", Reply::Nothing)
            .arg(head_key(machine))
            .arg(&head[..])
            .arg("EX")
            .arg(FORGET_AFTER_S);
    }

    fn push_tick(&mut self, index: usize, update: &HotUpdate, kept: &mut Kept) {
        let Some((at, tick)) = &update.tick else {
            return;
        };
        kept.push();
        let mut item = Vec::with_capacity(8 + tick.len());
        item.extend_from_slice(&at.0.to_be_bytes());
        item.extend_from_slice(tick);
        self.command("RPUSH", Reply::Length(index, kept.length))
            .arg(ticks_key(&update.machine))
            .arg(item);
    }

    /// Keeps a machine alive.
    fn renew(&mut self, index: usize, machine: &MachineId, kept: usize) {
        let ticks = ticks_key(machine);
        if kept > 0 {
            self.command("LTRIM", Reply::Nothing)
                .arg(&ticks)
                .arg(-(kept as isize))
                .arg(-1);
        }
        self.command("EXPIRE", Reply::Nothing)
            .arg(ticks)
            .arg(FORGET_AFTER_S);
        self.command("EXPIRE", Reply::HasHead(index))
            .arg(head_key(machine))
            .arg(FORGET_AFTER_S);
        let now_unix_ms = self.now_unix_ms;
        self.command("ZADD", Reply::Nothing)
            .arg(INDEX_KEY)
            .arg(now_unix_ms)
            .arg(machine.as_str());
    }

    fn keep_index(&mut self) {
        self.command("EXPIRE", Reply::Nothing)
            .arg(INDEX_KEY)
            .arg(FORGET_AFTER_S * 2);
    }
}

impl RedisHotState {
    pub(super) fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            server: RedisServer::parse(url)?,
            known: Mutex::new(Known {
                machines: HashMap::new(),
                swept_at: Instant::now(),
            }),
        })
    }

    fn plan(&self, updates: &[HotUpdate]) -> Plan {
        let mut plan = Plan::new(updates.len() + 8);
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.sweep(now);
        let mut renewed = false;
        for (index, update) in updates.iter().enumerate() {
            let kept = known.machines.entry(update.machine.clone()).or_default();
            if let Some(head) = &update.head {
                plan.set_head(&update.machine, head);
            }
            if update.restart {
                plan.command("DEL", Reply::Nothing)
                    .arg(ticks_key(&update.machine));
                kept.restart();
            }
            // A list that begins has no time to live yet.
            let begins = kept.length == 0 && update.tick.is_some();
            plan.push_tick(index, update, kept);
            if begins || kept.is_due(now) || update.head.is_some() {
                let worth = kept.renew(now, update.tick.as_ref().map(|(at, _)| *at));
                plan.renew(index, &update.machine, worth);
                renewed = true;
            }
        }
        if renewed {
            plan.keep_index();
        }
        plan
    }

    /// Lists that are shorter than they could be were begun anew, and live on for ever unless something is done.
    fn plan_after_flush(&self, updates: &[HotUpdate], flushed: &[(usize, u64)]) -> Plan {
        let mut plan = Plan::new(flushed.len() * 3 + 1);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, length) in flushed {
            let machine = &updates[*index].machine;
            if let Some(kept) = known.machines.get_mut(machine) {
                kept.length = *length;
            }
            plan.renew(*index, machine, 0);
        }
        plan.keep_index();
        plan
    }

    /// What is known of these machines may not be so any more: keep them alive anew at their next update.
    fn doubt<'a>(&self, machines: impl Iterator<Item = &'a MachineId>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for machine in machines {
            known.machines.remove(machine);
        }
    }
}

impl Known {
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept_at) < FORGET_AFTER {
            return;
        }
        self.swept_at = now;
        self.machines.retain(|_, kept| {
            kept.renewed_at
                .is_some_and(|at| now.saturating_duration_since(at) < FORGET_AFTER)
        });
    }
}

#[async_trait]
impl HotState for RedisHotState {
    async fn put(&self, updates: &[HotUpdate]) -> Result<Vec<MachineId>, StoreError> {
        check_updates(updates)?;
        let plan = self.plan(updates);
        let replies = self.server.run(&plan.pipeline).await.inspect_err(|_| {
            self.doubt(updates.iter().map(|update| &update.machine));
        })?;
        let (flushed, mut headless) = read_replies(&plan.replies, &replies);
        if !flushed.is_empty() {
            let plan = self.plan_after_flush(updates, &flushed);
            let replies = self.server.run(&plan.pipeline).await.inspect_err(|_| {
                self.doubt(updates.iter().map(|update| &update.machine));
            })?;
            headless.extend(read_replies(&plan.replies, &replies).1);
        }
        let mut headless: Vec<MachineId> = headless
            .into_iter()
            // Its head may come further down in the same pipeline.
            .filter(|index| {
                let machine = &updates[*index].machine;
                !updates[index + 1..]
                    .iter()
                    .any(|later| later.machine == *machine && later.head.is_some())
            })
            .map(|index| updates[index].machine.clone())
            .collect();
        headless.sort_unstable();
        headless.dedup();
        Ok(headless)
    }

    async fn load(&self, machine: &MachineId) -> Result<Option<HotMachine>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("GET").arg(head_key(machine));
        pipeline
            .cmd("LRANGE")
            .arg(ticks_key(machine))
            .arg(-(HOT_TICKS_MAX as isize))
            .arg(-1);
        let mut replies = self.server.run(&pipeline).await?.into_iter();
        let (Some(Value::BulkString(head)), ticks) = (replies.next(), replies.next()) else {
            return Ok(None);
        };
        let items = match ticks {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let mut ticks: Vec<(UnixMillis, Bytes)> = items.into_iter().filter_map(read_tick).collect();
        if let Some(newest) = ticks.last().map(|(at, _)| *at) {
            ticks.retain(|(at, _)| is_recent(*at, newest));
        }
        Ok(Some(HotMachine {
            head: Bytes::from(head),
            ticks,
        }))
    }

    async fn machines(&self) -> Result<Vec<MachineId>, StoreError> {
        // Twice the time that keys live: clocks of aggregators may differ by the rest.
        let oldest = now_unix_ms().saturating_sub(u64::from(FORGET_AFTER_S) * 2_000);
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline
            .cmd("ZREMRANGEBYSCORE")
            .arg(INDEX_KEY)
            .arg("-inf")
            .arg(oldest);
        pipeline.cmd("ZRANGE").arg(INDEX_KEY).arg(0).arg(-1);
        let listed = match self.server.run(&pipeline).await?.pop() {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let listed: Vec<MachineId> = listed.into_iter().filter_map(read_machine).collect();
        let mut machines = Vec::with_capacity(listed.len());
        for part in listed.chunks(MACHINES_PER_CALL) {
            let mut pipeline = Pipeline::with_capacity(part.len());
            for machine in part {
                pipeline.cmd("EXISTS").arg(head_key(machine));
            }
            let there = self.server.run(&pipeline).await?;
            machines.extend(
                part.iter()
                    .zip(there)
                    .filter(|(_, there)| *there == Value::Int(1))
                    .map(|(machine, _)| machine.clone()),
            );
        }
        machines.sort_unstable();
        Ok(machines)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline
            .cmd("SET")
            .arg(format!("{PREFIX}hot:probe"))
            .arg(1)
            .arg("EX")
            .arg(60);
        self.server.run(&pipeline).await.map(|_| ())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: self.server.engine(),
            notices: Vec::new(),
        }
    }
}

const INDEX_KEY: &str = "sysmon:hot:machines";

fn head_key(machine: &MachineId) -> String {
    format!("{PREFIX}hot:head:{machine}")
}

fn ticks_key(machine: &MachineId) -> String {
    format!("{PREFIX}hot:ticks:{machine}")
}

/// Positions of the updates whose machine lost its ticks, with the length of what it has now, and positions of those whose
/// machine has no head.
fn read_replies(expected: &[Reply], replies: &[Value]) -> (Vec<(usize, u64)>, Vec<usize>) {
    let (mut flushed, mut headless) = (Vec::new(), Vec::new());
    for (expected, reply) in expected.iter().zip(replies) {
        match (expected, reply) {
            (Reply::Length(index, shortest), Value::Int(length)) if (*length).cast_unsigned() < *shortest => {
                flushed.push((*index, (*length).cast_unsigned()));
            }
            (Reply::HasHead(index), Value::Int(0)) => headless.push(*index),
            _ => {}
        }
    }
    (flushed, headless)
}

/// A tick out of its list; `None` when somebody else put something there.
fn read_tick(item: Value) -> Option<(UnixMillis, Bytes)> {
    let Value::BulkString(item) = item else {
        return None;
    };
    let at = i64::from_be_bytes(item.first_chunk().copied()?);
    Some((UnixMillis(at), Bytes::from(item).slice(8..)))
}

fn read_machine(item: Value) -> Option<MachineId> {
    match item {
        Value::BulkString(name) => MachineId::parse(std::str::from_utf8(&name).ok()?).ok(),
        _ => None,
    }
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes ticks of one pace, and returns the most that a renewal kept after `settle` ticks.
    fn kept_at_pace(kept: &mut Kept, from_ms: i64, pace_ms: i64, ticks: i64, settle: i64) -> usize {
        let mut most = 0;
        for number in 0..ticks {
            kept.push();
            let now = Instant::now();
            if kept.put.saturating_sub(kept.renewed_put) >= TICKS_PER_RENEWAL {
                let worth = kept.renew(now, Some(UnixMillis(from_ms + number * pace_ms)));
                if number >= settle {
                    most = most.max(worth);
                }
            }
        }
        most
    }

    #[tokio::test]
    async fn trimming_keeps_the_window_and_little_more() {
        for (pace_ms, window) in [(1_000, 300), (250, 1_200), (100, 3_000)] {
            let mut kept = Kept::default();
            let most = kept_at_pace(&mut kept, 0, pace_ms, 20_000, 10_000);
            assert!(most >= window, "{pace_ms} ms: {most}");
            assert!(
                most <= window + 2 * TICKS_PER_RENEWAL as usize,
                "{pace_ms} ms: {most}"
            );
        }
    }

    #[tokio::test]
    async fn a_burst_within_the_window_is_not_cut_when_the_pace_falls_back() {
        let mut kept = Kept::default();
        kept_at_pace(&mut kept, 0, 1_000, 1_000, 0);
        kept_at_pace(&mut kept, 1_000_000, 100, 1_280, 0);
        // A minute later at the slow pace.
        let mut least = usize::MAX;
        for number in 0..128 {
            kept.push();
            if kept.put - kept.renewed_put >= TICKS_PER_RENEWAL {
                least = least.min(kept.renew(Instant::now(), Some(UnixMillis(1_128_000 + number * 1_000))));
            }
        }
        assert!(least >= 1_280, "{least}");
    }

    #[tokio::test]
    async fn a_clock_set_back_and_hostile_times_leave_the_bounds() {
        let mut kept = Kept::default();
        for at in [0, i64::MAX, i64::MIN, 5, i64::MAX, 5] {
            kept.push();
            let worth = kept.renew(Instant::now(), Some(UnixMillis(at)));
            assert!((1..=HOT_TICKS_MAX).contains(&worth), "{at}: {worth}");
        }
        kept_at_pace(&mut kept, 10, 1, 1_000_000, 0);
        assert!(kept.marks.len() < 64, "{}", kept.marks.len());
    }

    #[test]
    fn what_somebody_else_put_into_a_list_is_passed_over() {
        assert_eq!(read_tick(Value::BulkString(b"short".to_vec())), None);
        assert_eq!(read_tick(Value::Int(3)), None);
        assert_eq!(read_machine(Value::BulkString(vec![0xff, 0xfe])), None);
        assert_eq!(read_machine(Value::BulkString(b"../etc".to_vec())), None);
    }
}
