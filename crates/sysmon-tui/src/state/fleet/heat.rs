//! The heat map: where each machine's cell is, as a pure function of the groups and the room.

use super::groups::Group;
use crate::state::Movement;

/// A line of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeatLine {
    /// The heading of a group.
    Heading(usize),
    /// Cells, by the place of the first among all machines; the same again for a lower half when there is one.
    Cells {
        first: usize,
        count: usize,
        lower: usize,
    },
}

/// How machines are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeatGrid {
    /// Columns that one machine takes: two with a gap while there is room.
    pub(crate) cell_width: u16,
    /// Whether a cell shows two machines, one over the other.
    pub(crate) is_halved: bool,
    /// Machines side by side.
    pub(crate) across: usize,
}

impl HeatGrid {
    /// The largest cells with which all groups fit; what fits with none of them is scrolled.
    pub(crate) fn fitting(groups: &[Group], width: u16, height: u16, may_halve: bool) -> Self {
        let grids = [(3, false), (2, false), (1, false), (1, true)];
        let grids = grids.map(|(cell_width, is_halved)| Self {
            cell_width,
            is_halved,
            across: usize::from(width / cell_width).max(1),
        });
        let fits = |grid: &&Self| {
            (may_halve || !grid.is_halved) && lines(groups, **grid).len() <= usize::from(height)
        };
        let smallest = grids[if may_halve { 3 } else { 2 }];
        grids.iter().find(fits).copied().unwrap_or(smallest)
    }
}

/// All lines of the map.
pub(crate) fn lines(groups: &[Group], grid: HeatGrid) -> Vec<HeatLine> {
    let mut lines = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        if groups.len() > 1 || !group.name.is_empty() {
            lines.push(HeatLine::Heading(index));
        }
        let mut done = 0;
        while done < group.count {
            let count = grid.across.min(group.count - done);
            let first = group.first + done;
            done += count;
            let lower = if grid.is_halved {
                grid.across.min(group.count - done)
            } else {
                0
            };
            done += lower;
            lines.push(HeatLine::Cells { first, count, lower });
        }
    }
    lines
}

/// Line and column of a machine's place.
pub(crate) fn position(lines: &[HeatLine], place: usize) -> Option<(usize, usize, bool)> {
    lines.iter().enumerate().find_map(|(line, cells)| match *cells {
        HeatLine::Cells { first, count, lower } if place >= first && place < first + count + lower => {
            let offset = place - first;
            Some(if offset < count {
                (line, offset, false)
            } else {
                (line, offset - count, true)
            })
        }
        _ => None,
    })
}

/// The machine of a cell; the nearest one in its line when the column is beyond its end.
pub(crate) fn place_at(lines: &[HeatLine], line: usize, column: usize, is_lower: bool) -> Option<usize> {
    match *lines.get(line)? {
        HeatLine::Heading(_) => None,
        HeatLine::Cells { first, count, lower } if is_lower && lower > 0 => {
            Some(first + count + column.min(lower - 1))
        }
        HeatLine::Cells { first, count, .. } => Some(first + column.min(count.checked_sub(1)?)),
    }
}

/// Where the cursor goes by rows of machines.
pub(crate) fn moved_vertically(lines: &[HeatLine], place: usize, movement: Movement) -> Option<usize> {
    // Half lines count as lines of their own.
    let rows: Vec<(usize, bool)> = lines
        .iter()
        .enumerate()
        .flat_map(|(line, cells)| match cells {
            HeatLine::Cells { lower: 1.., .. } => vec![(line, false), (line, true)],
            HeatLine::Cells { .. } => vec![(line, false)],
            HeatLine::Heading(_) => Vec::new(),
        })
        .collect();
    let (line, column, is_lower) = position(lines, place)?;
    let at = rows.iter().position(|row| *row == (line, is_lower))?;
    let (line, is_lower) = *rows.get(crate::state::moved(Some(at), rows.len(), movement)?)?;
    place_at(lines, line, column, is_lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn groups(counts: &[usize]) -> Vec<Group> {
        let mut first = 0;
        let mut groups = Vec::new();
        for count in counts {
            groups.push(Group {
                name: format!("g{first}").into(),
                first,
                count: *count,
                bad: Vec::new(),
                mean: None,
                maximum: None,
                is_collapsed: false,
            });
            first += count;
        }
        groups
    }

    proptest! {
        #[test]
        fn every_machine_has_one_cell_and_the_cell_leads_back_to_it(
            counts in prop::collection::vec(1usize..300, 1..8), width in 1u16..210, height in 1u16..60, may_halve in any::<bool>(),
        ) {
            let groups = groups(&counts);
            let grid = HeatGrid::fitting(&groups, width, height, may_halve);
            let lines = lines(&groups, grid);
            let total: usize = counts.iter().sum();
            for place in 0..total {
                let (line, column, is_lower) = position(&lines, place).unwrap();
                prop_assert!(column < grid.across && (grid.is_halved || !is_lower));
                prop_assert_eq!(place_at(&lines, line, column, is_lower), Some(place));
                let down = moved_vertically(&lines, place, Movement::By(1)).unwrap();
                prop_assert!(down >= place || total == 1);
            }
        }
    }

    #[test]
    fn ten_thousand_machines_fit_on_a_large_screen() {
        let mut one = groups(&[10_000]);
        one[0].name = "".into();
        for groups in [one, groups(&[2_500; 4])] {
            let grid = HeatGrid::fitting(&groups, 198, 46, true);
            assert!(lines(&groups, grid).len() <= 46, "{grid:?}");
        }
    }
}
