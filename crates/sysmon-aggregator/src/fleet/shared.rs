//! What several subscribers are told alike of a machine, put together and encoded once for all of them.
//!
//! Subscribers are told at moments of their own, of whatever machines have changed by then. So what they share is not the
//! update but what it says of one machine. That depends on the machine, on the metrics and the detail that are wanted, and on
//! how far the client has been told, and on nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use sysmon_api::{encode_machine, wire};
use sysmon_core::{Health, Liveness, ProcessTable, UnixMillis};

use super::machine::Machine;
use super::subscription::{Cursor, Detail};

/// So many of what is said of one state of a machine are kept; what more there are, each subscriber gets for itself.
const KEPT_MAX: usize = 16;
/// All that is kept may have so many bytes; then it begins anew.
const KEPT_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// About what something kept costs beside its bytes.
const KEPT_BASE_BYTES: usize = 512;

/// Subscriptions of one class want the same metrics and detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Class(u32);

/// One piece of an update, ready to be sent.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "with one subscriber all are own and soon moved on: a box would be an allocation each"
)]
pub(super) enum Piece {
    Own(wire::MachineUpdate),
    /// What [`sysmon_api::encode_machine`] made.
    Shared(Arc<[u8]>),
}

impl Piece {
    /// What others were told as well, with its size.
    pub(super) fn shared(bytes: Arc<[u8]>) -> (Self, usize) {
        let size = bytes.len();
        (Self::Shared(bytes), size)
    }

    pub(super) fn into_bytes(self) -> Arc<[u8]> {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Own(update) => {
                let mut encoded = Vec::new();
                encode_machine(&update, &mut encoded);
                encoded.into()
            }
        }
    }
}

/// What all subscribers of a class that stand at the same place are told.
#[derive(Debug)]
struct Kept {
    class: Class,
    before: Cursor,
    after: Cursor,
    /// The machine's list of processes, for a class that wants any. While it is held nobody changes the list in place, so that
    /// the same place means the same list.
    processes: Option<Arc<ProcessTable>>,
    /// None when it is not worth an update.
    told: Option<Arc<[u8]>>,
}

/// How a machine is, as far as subscribers can be told: the same as what cursors are compared with, so what is not in here
/// would not be told to anybody.
#[derive(Clone, Debug, PartialEq)]
struct State {
    next_tick: u64,
    next_burst: u64,
    next_series: u32,
    retired_count: u64,
    header_version: u64,
    life: u64,
    status: (Liveness, Health),
    heard_ms: u64,
    last_seen: UnixMillis,
}

impl State {
    fn of(machine: &Machine) -> Self {
        Self {
            next_tick: machine.recent.next_tick(),
            next_burst: machine.burst.count(),
            next_series: machine.next_series,
            retired_count: machine.retired_count,
            header_version: machine.header_version,
            life: machine.life,
            status: (machine.liveness, machine.health),
            heard_ms: machine.heard_ms,
            last_seen: machine.last_seen,
        }
    }
}

/// One machine, and the class of a subscriber that is told of it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) number: u32,
    pub(super) machine: &'a Machine,
    pub(super) class: Class,
    pub(super) detail: Detail,
}

impl Reader<'_> {
    /// The list of processes that there is something to be told of.
    fn processes(&self) -> Option<&Arc<ProcessTable>> {
        self.machine
            .processes
            .as_ref()
            .filter(|_| self.detail != Detail::None)
    }
}

/// What is kept of one machine, in one state of it.
#[derive(Debug, Default)]
struct Slot {
    state: Option<State>,
    kept: Vec<Kept>,
}

/// What subscribers share, of all machines.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How many subscriptions there are of each class.
    sizes: HashMap<Class, usize>,
    next_class: u32,
    /// By the number of the machine.
    slots: Vec<Slot>,
    bytes: usize,
}

impl Shared {
    /// A class that nobody is in yet.
    pub(super) fn new_class(&mut self) -> Class {
        self.next_class = self.next_class.wrapping_add(1);
        Class(self.next_class)
    }

    /// A subscription of this class begins.
    pub(super) fn join(&mut self, class: Class) {
        *self.sizes.entry(class).or_default() += 1;
    }

    /// A subscription of this class ends.
    pub(super) fn leave(&mut self, class: Class) {
        if let Some(size) = self.sizes.get_mut(&class) {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&class);
            }
        }
        if self.sizes.values().all(|size| *size < 2) {
            self.clear();
        }
    }

    /// Whether there is anybody to share with.
    pub(super) fn is_shared(&self, class: Class) -> bool {
        self.sizes.get(&class).is_some_and(|size| *size > 1)
    }

    /// Brings a cursor forward by what is kept, if there is something for it; then what is told, `None` in it when that is
    /// nothing.
    pub(super) fn recall(&self, reader: &Reader<'_>, cursor: &mut Cursor) -> Option<Option<Arc<[u8]>>> {
        let slot = self.slots.get(reader.number as usize)?;
        if slot.state.as_ref() != Some(&State::of(reader.machine)) {
            return None;
        }
        let kept = slot.kept.iter().find(|kept| {
            kept.class == reader.class
                && kept.before.is_at(cursor)
                && is_same(kept.processes.as_ref(), reader.processes())
        })?;
        let is_queued = cursor.is_queued;
        *cursor = kept.after.clone();
        cursor.is_queued = is_queued;
        Some(kept.told.clone())
    }

    /// Keeps what a subscriber was told, with where it stood before and after it.
    pub(super) fn keep(
        &mut self,
        reader: &Reader<'_>,
        before: Cursor,
        after: Cursor,
        told: Option<Arc<[u8]>>,
    ) {
        let index = reader.number as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        let state = State::of(reader.machine);
        if slot.state.as_ref() != Some(&state) {
            self.bytes -= slot
                .kept
                .drain(..)
                .map(|kept| bytes_of(&kept.told))
                .sum::<usize>();
            slot.state = Some(state);
        }
        if slot.kept.len() == KEPT_MAX {
            return;
        }
        self.bytes += bytes_of(&told);
        slot.kept.push(Kept {
            class: reader.class,
            before,
            after,
            processes: reader.processes().cloned(),
            told,
        });
        if self.bytes > KEPT_BYTES_MAX {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.slots = Vec::new();
        self.bytes = 0;
    }
}

fn bytes_of(told: &Option<Arc<[u8]>>) -> usize {
    KEPT_BASE_BYTES + told.as_ref().map_or(0, |bytes| bytes.len())
}

/// Whether two lists of processes are one.
fn is_same(one: Option<&Arc<ProcessTable>>, other: Option<&Arc<ProcessTable>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Cursor {
    /// Whether two clients have been told the same of a machine.
    fn is_at(&self, other: &Self) -> bool {
        // All fields by name, so that one that comes later is not forgotten here.
        let Self {
            is_queued: _,
            is_introduced,
            is_leaving,
            next_tick,
            next_burst,
            sequence,
            next_series,
            retired_count,
            header_version,
            life,
            status,
            heard_ms,
            processes,
        } = self;
        *next_tick == other.next_tick
            && *sequence == other.sequence
            && *heard_ms == other.heard_ms
            && *next_burst == other.next_burst
            && *next_series == other.next_series
            && *retired_count == other.retired_count
            && *header_version == other.header_version
            && *life == other.life
            && *status == other.status
            && (*is_introduced, *is_leaving) == (other.is_introduced, other.is_leaving)
            && is_same(processes.as_ref(), other.processes.as_ref())
    }
}
