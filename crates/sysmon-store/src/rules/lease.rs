//! Who may do what: the decision, for stores that see all leases at once.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Lease, Work};

/// A lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// None once it was given back.
    pub(super) holder: Option<String>,
    pub(super) fence: i64,
    /// On the store's clock.
    pub(super) until_ms: i64,
}

/// What a holder asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) holder: &'a str,
    /// In the order in which they are taken.
    pub(super) wanted: &'a [Work],
    pub(super) most: usize,
    pub(super) lease_ms: u64,
}

/// Now, on this machine's clock, in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Renews what the holder has and takes what it may; returns all that it holds, sorted by work.
pub(super) fn lease(leases: &mut BTreeMap<Work, Held>, request: Request<'_>, now_ms: i64) -> Vec<Lease> {
    let until_ms = now_ms.saturating_add_unsigned(request.lease_ms);
    let is_own = |held: &Held| held.holder.as_deref() == Some(request.holder);
    for held in leases.values_mut().filter(|held| is_own(held)) {
        held.until_ms = until_ms;
    }
    let mut count = leases.values().filter(|held| is_own(held)).count();
    for work in request.wanted {
        let held = leases.get(work);
        let is_free = held.is_none_or(|held| held.holder.is_none() || held.until_ms <= now_ms);
        if count >= request.most || !is_free {
            continue;
        }
        let fence = held.map_or(0, |held| held.fence) + 1;
        leases.insert(
            *work,
            Held {
                holder: Some(request.holder.to_owned()),
                fence,
                until_ms,
            },
        );
        count += 1;
    }
    let own = leases.iter().filter(|(_, held)| is_own(held));
    own.map(|(work, held)| Lease {
        work: *work,
        fence: held.fence,
    })
    .collect()
}

/// Who holds what.
pub(super) fn holders(leases: &BTreeMap<Work, Held>, now_ms: i64) -> Vec<(Work, String)> {
    let current = leases.iter().filter(|(_, held)| held.until_ms > now_ms);
    current
        .filter_map(|(work, held)| Some((*work, held.holder.clone()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Work; 3] = [Work::Shard(2), Work::Shard(0), Work::Notifier];

    fn request<'a>(holder: &'a str, most: usize) -> Request<'a> {
        Request {
            holder,
            wanted: &ALL,
            most,
            lease_ms: 100,
        }
    }

    #[test]
    fn a_lease_changes_hands_only_after_it_lapsed_and_its_fence_grows_then() {
        let mut leases = BTreeMap::new();
        let of = |work, fence| Lease { work, fence };
        assert_eq!(lease(&mut leases, request("a", 1), 0), [of(Work::Shard(2), 1)]);
        assert_eq!(
            lease(&mut leases, request("b", 9), 50),
            [of(Work::Shard(0), 1), of(Work::Notifier, 1)]
        );
        // Lapsed at 100, but nobody has taken it.
        assert_eq!(lease(&mut leases, request("a", 1), 100), [of(Work::Shard(2), 1)]);
        assert_eq!(holders(&leases, 150), [(Work::Shard(2), "a".to_owned())]);
        assert_eq!(
            lease(&mut leases, request("a", 9), 150),
            [
                of(Work::Shard(0), 2),
                of(Work::Shard(2), 1),
                of(Work::Notifier, 2)
            ]
        );
        assert_eq!(lease(&mut leases, request("b", 9), 249), []);
        // More than it would take now is kept.
        assert_eq!(lease(&mut leases, request("a", 0), 249).len(), 3);
    }
}
