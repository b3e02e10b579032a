//! Where the fleet's columns are, and the cells of its heat map.

use ratatui::layout::{Position, Rect};

use super::{ColumnRegion, TableRegions, split, table};
use crate::state::State;
use crate::state::fleet::FleetColumn;
use crate::state::fleet::heat::{self, HeatGrid, HeatLine};

/// Cells of the number in front of a line of its past, and between both.
const SPARK_GAP: u16 = 1;
/// Cells of the shortest line of the past that tells something, and of the longest.
const SPARK_MIN: u16 = 7;
const SPARK_MAX: u16 = 24;
/// What is wrong needs this much room to be read at all, and this much to be read well.
const STATUS_MIN: u16 = 12;
const STATUS_GOOD: u16 = 34;
/// Names get no more than this before everything else has its room.
const NAME_MIN: u16 = 12;

/// The table of the fleet.
pub(super) fn fleet_table(area: Rect, state: &State) -> TableRegions<FleetColumn> {
    table(area, columns(area, state))
}

/// A column while room is shared out.
struct Share {
    column: FleetColumn,
    width: u16,
    spark: u16,
}

fn columns(area: Rect, state: &State) -> Vec<ColumnRegion<FleetColumn>> {
    let chosen = &state.fleet_table.columns;
    let has_alerts = state.alerts.is_ready();
    let mut shares: Vec<Share> = chosen
        .on(area.width)
        .into_iter()
        .filter(|column| *column != FleetColumn::Alerts || has_alerts)
        .map(|column| Share {
            column,
            width: column.width(),
            spark: 0,
        })
        .collect();
    let gap = if area.width < 120 { 1 } else { 2 };
    let name = state.fleet_table.name_width().clamp(8, 40);
    let has_status = shares.iter().any(|share| share.column == FleetColumn::Status);
    shares.retain(|share| share.column != FleetColumn::Status);
    for share in &mut shares {
        if share.column == FleetColumn::Name {
            share.width = name.min(NAME_MIN);
        }
    }
    // One cell at the left edge, one behind the mark instead of the gap.
    let room = area.width.saturating_sub(1);
    let taken = |shares: &[Share]| -> u16 {
        shares.iter().fold(0, |sum: u16, share| {
            let behind = if share.column == FleetColumn::Worst {
                1
            } else {
                gap
            };
            sum.saturating_add(share.width + share.spark)
                .saturating_add(behind)
        })
    };
    while taken(&shares) > room.saturating_add(gap) && shares.len() > 2 {
        // The last of those that the person has put in order; mark and name stay.
        shares.pop();
    }
    let left = room.saturating_sub(taken(&shares).saturating_sub(gap));
    let mut room = Room {
        shares,
        left,
        gap,
        name,
        status: has_status.then_some(0),
    };
    room.share_out();
    place(area, &room.shares, gap, room.status.unwrap_or(0))
}

/// Room that is shared out.
struct Room {
    shares: Vec<Share>,
    left: u16,
    gap: u16,
    /// Cells of the longest name.
    name: u16,
    /// What is wrong in words, if that is wanted at all.
    status: Option<u16>,
}

impl Room {
    fn grow_name(&mut self, most: u16) {
        let share = self
            .shares
            .iter_mut()
            .find(|share| share.column == FleetColumn::Name);
        if let Some(share) = share {
            let more = self.name.min(most).saturating_sub(share.width).min(self.left);
            share.width += more;
            self.left -= more;
        }
    }

    /// Lines of the past up to this length, for the columns that are meant.
    fn grow_sparks(&mut self, most: u16, is_meant: impl Fn(&Share) -> bool) {
        for share in &mut self.shares {
            if !share.column.has_spark() || !is_meant(share) {
                continue;
            }
            let gap = if share.spark == 0 { SPARK_GAP } else { 0 };
            let missing = most.saturating_sub(share.spark.saturating_sub(SPARK_GAP));
            let more = missing.min(self.left.saturating_sub(gap));
            if share.spark > 0 || more >= SPARK_MIN {
                share.spark += more + gap;
                self.left -= more + gap;
            }
        }
    }

    fn grow_status(&mut self, most: u16) {
        let Some(status) = &mut self.status else { return };
        let behind = if *status == 0 { self.gap } else { 0 };
        let more = most.saturating_sub(*status).min(self.left.saturating_sub(behind));
        if *status > 0 || more >= STATUS_MIN {
            *status += more;
            self.left -= more + behind;
        }
    }

    /// The number of alerts is told by their words as well: where only one of both has room, the words stay.
    fn words_for_numbers(&mut self) {
        let needed = STATUS_MIN + self.gap;
        let at = self
            .shares
            .iter()
            .position(|share| share.column == FleetColumn::Alerts);
        if let Some(at) = at.filter(|_| self.status.is_some() && self.left < needed) {
            let freed = self.shares[at].width + self.gap;
            if self.left + freed >= needed {
                self.shares.remove(at);
                self.left += freed;
            }
        }
    }

    /// Gives what is left to names, lines of the past and words about what is wrong, the most telling first.
    fn share_out(&mut self) {
        self.grow_name(16);
        self.grow_sparks(8, |share| share.column == FleetColumn::CPU);
        self.words_for_numbers();
        self.grow_status(16);
        self.grow_sparks(8, |share| share.column == FleetColumn::MEMORY);
        self.grow_status(STATUS_GOOD);
        self.grow_name(40);
        // Shorter than the first ones: these are glances.
        self.grow_sparks(SPARK_MIN, |share| share.spark == 0);
        for most in [12, SPARK_MAX] {
            for column in [FleetColumn::CPU, FleetColumn::MEMORY] {
                self.grow_sparks(most, |share| share.column == column && share.spark > 0);
            }
        }
        self.grow_status(u16::MAX);
        if self.status.unwrap_or(0) == 0 {
            self.grow_name(u16::MAX);
        }
    }
}

fn place(area: Rect, shares: &[Share], gap: u16, status: u16) -> Vec<ColumnRegion<FleetColumn>> {
    let mut x = area.x + 1;
    let mut columns = Vec::new();
    for share in shares {
        let width = (share.width + share.spark).min(area.right().saturating_sub(x));
        if width > 0 {
            columns.push(ColumnRegion {
                column: share.column,
                x,
                width,
            });
        }
        let behind = if share.column == FleetColumn::Worst {
            1
        } else {
            gap
        };
        x = x.saturating_add(share.width + share.spark + behind);
    }
    if status > 0 && x < area.right() {
        columns.push(ColumnRegion {
            column: FleetColumn::Status,
            x,
            width: status.min(area.right() - x),
        });
    }
    columns
}

/// The heat map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeatRegions {
    /// The line that names the machine under the cursor.
    pub(crate) name: Rect,
    pub(crate) map: Rect,
    pub(crate) legend: Rect,
    pub(crate) grid: HeatGrid,
    pub(crate) lines: Vec<HeatLine>,
}

/// Divides the screen for the heat map.
pub(super) fn heat_map(area: Rect, state: &State) -> HeatRegions {
    let (name, rest) = split(area, 1);
    let (map, legend) = split(rest, rest.height.saturating_sub(u16::from(rest.height >= 6)));
    let map = Rect {
        x: map.x + 1,
        width: map.width.saturating_sub(2),
        ..map
    };
    let groups = state.fleet_table.grouping.groups();
    let grid = HeatGrid::fitting(groups, map.width.max(1), map.height, state.can_halve_cells);
    HeatRegions {
        name,
        map,
        legend,
        grid,
        lines: heat::lines(groups, grid),
    }
}

impl HeatRegions {
    /// The place of the machine at a cell of the screen.
    pub(crate) fn place_at(&self, at: Position, offset: usize) -> Option<usize> {
        if !self.map.contains(at) {
            return None;
        }
        let line = offset + usize::from(at.y - self.map.y);
        let column = usize::from((at.x - self.map.x) / self.grid.cell_width);
        heat::place_at(&self.lines, line, column, false)
    }
}
