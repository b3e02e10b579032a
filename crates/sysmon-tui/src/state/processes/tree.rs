//! Processes as a tree: who started whom.

use std::collections::HashMap;

use sysmon_core::{Process, ProcessKey};

/// Deeper generations are drawn no further to the right.
pub(crate) const DEPTH_MAX: usize = 16;

/// Where a process is in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch {
    /// For each generation from the root on, whether a sibling follows further down; the last one is the process itself.
    /// Empty for a root.
    pub(crate) goes_on: Vec<bool>,
}

/// Puts processes, which are in the order of siblings, under their parents. Who has no parent among them hangs on the
/// nearest ancestor that `parent_of` leads to, or is a root.
pub(super) fn arranged(
    rows: &[&Process],
    parent_of: impl Fn(u32) -> Option<u32>,
) -> (Vec<ProcessKey>, Vec<Branch>) {
    let places: HashMap<u32, usize> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| (row.key.pid, at))
        .collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    let mut roots = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match ancestor(row, &places, &parent_of).filter(|parent| *parent != at) {
            Some(parent) => children[parent].push(at),
            None => roots.push(at),
        }
    }
    let mut tree = Tree {
        rows,
        children: &children,
        is_placed: vec![false; rows.len()],
        keys: Vec::with_capacity(rows.len()),
        branches: Vec::with_capacity(rows.len()),
    };
    for root in roots {
        tree.place(root);
    }
    // Parents that go round in a circle have no root: a machine may say what it likes.
    for at in 0..rows.len() {
        tree.place(at);
    }
    (tree.keys, tree.branches)
}

/// The nearest ancestor among the rows.
fn ancestor(
    row: &Process,
    places: &HashMap<u32, usize>,
    parent_of: &impl Fn(u32) -> Option<u32>,
) -> Option<usize> {
    let mut pid = row.parent_pid;
    for _ in 0..64 {
        if pid == 0 || pid == row.key.pid {
            return None;
        }
        if let Some(place) = places.get(&pid) {
            return Some(*place);
        }
        pid = parent_of(pid)?;
    }
    None
}

struct Tree<'a> {
    rows: &'a [&'a Process],
    children: &'a [Vec<usize>],
    is_placed: Vec<bool>,
    keys: Vec<ProcessKey>,
    branches: Vec<Branch>,
}

impl Tree<'_> {
    /// Places a process and everything below it, without recursion: a line of ancestors may be long.
    fn place(&mut self, root: usize) {
        let mut waiting = vec![(root, Branch::default())];
        while let Some((at, branch)) = waiting.pop() {
            if std::mem::replace(&mut self.is_placed[at], true) {
                continue;
            }
            let children = &self.children[at];
            // The last one waits longest.
            for (index, child) in children.iter().enumerate().rev() {
                let mut goes_on = branch.goes_on.clone();
                if goes_on.len() == DEPTH_MAX {
                    goes_on.pop();
                }
                goes_on.push(index + 1 < children.len());
                waiting.push((*child, Branch { goes_on }));
            }
            self.keys.push(self.rows[at].key);
            self.branches.push(branch);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sysmon_core::ProcessState;

    use super::*;

    fn process(pid: u32, parent_pid: u32) -> Process {
        Process {
            key: ProcessKey { pid, start_ms: 1 },
            parent_pid,
            user: "u".into(),
            name: "n".into(),
            command: "c".into(),
            state: ProcessState::Sleeping,
            cpu_percent: None,
            memory_bytes: 0,
            threads: 1,
            read_bytes_per_second: None,
            write_bytes_per_second: None,
        }
    }

    fn drawn(pairs: &[(u32, u32)], parents: &[(u32, u32)]) -> Vec<(u32, Vec<bool>)> {
        let processes: Vec<Process> = pairs.iter().map(|(pid, parent)| process(*pid, *parent)).collect();
        let rows: Vec<&Process> = processes.iter().collect();
        let parents: HashMap<u32, u32> = parents.iter().copied().collect();
        let (keys, branches) = arranged(&rows, |pid| parents.get(&pid).copied());
        let pids = keys.into_iter().map(|key| key.pid);
        pids.zip(branches.into_iter().map(|branch| branch.goes_on))
            .collect()
    }

    #[test]
    fn children_follow_their_parent_in_the_order_of_siblings() {
        let tree = drawn(&[(9, 5), (5, 1), (7, 5), (1, 0), (3, 1)], &[]);
        let expected = vec![
            (1, vec![]),
            (5, vec![true]),
            (9, vec![true, true]),
            (7, vec![true, false]),
            (3, vec![false]),
        ];
        assert_eq!(tree, expected);
    }

    #[test]
    fn who_has_no_parent_in_the_list_hangs_on_the_nearest_ancestor_or_is_a_root() {
        let tree = drawn(&[(9, 5), (1, 0), (8, 4)], &[(5, 3), (3, 1)]);
        assert_eq!(tree, vec![(1, vec![]), (9, vec![false]), (8, vec![])]);
    }

    #[test]
    fn parents_in_a_circle_are_all_listed() {
        let tree = drawn(&[(2, 3), (3, 2), (4, 4)], &[]);
        let mut pids: Vec<u32> = tree.into_iter().map(|(pid, _)| pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [2, 3, 4]);
    }

    proptest! {
        #[test]
        fn every_process_is_listed_once(pairs in prop::collection::vec((1u32..60, 0u32..60), 0..60)) {
            let mut pairs = pairs;
            pairs.sort_unstable_by_key(|(pid, _)| *pid);
            pairs.dedup_by_key(|(pid, _)| *pid);
            let tree = drawn(&pairs, &[(61, 62), (62, 61)]);
            let mut pids: Vec<u32> = tree.iter().map(|(pid, _)| *pid).collect();
            pids.sort_unstable();
            prop_assert_eq!(pids, pairs.iter().map(|(pid, _)| *pid).collect::<Vec<_>>());
            prop_assert!(tree.iter().all(|(_, goes_on)| goes_on.len() <= DEPTH_MAX));
        }
    }
}
