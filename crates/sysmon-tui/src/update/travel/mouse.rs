//! The mouse on a chart: a click shows that moment, dragging moves it.

use ratatui::layout::{Position, Rect};

use super::{go_to, set_goal};
use crate::axis::Axis;
use crate::event::Effect;
use crate::layout::{Body, Regions, SCALE_WIDTH, charts_axis, layout};
use crate::state::State;

/// The plot of a chart, with what its columns stand for.
struct Plot {
    area: Rect,
    axis: Axis,
}

/// The plots on screen, each with its line of times.
fn plots(state: &State) -> Vec<Plot> {
    let regions: Regions = layout(Rect::new(0, 0, state.width, state.height), state);
    let Some(axis) = charts_axis(&regions, state, state.points_per_cell) else {
        return Vec::new();
    };
    let Body::Machine(machine) = &regions.body else {
        return Vec::new();
    };
    [machine.cpu, machine.memory]
        .into_iter()
        .filter(|chart| chart.chart.height > 0 && chart.chart.width > SCALE_WIDTH)
        .map(|chart| {
            let width = chart.chart.width - SCALE_WIDTH;
            Plot {
                area: Rect {
                    x: chart.chart.x + SCALE_WIDTH,
                    width,
                    height: chart.chart.height + chart.axis.height,
                    ..chart.chart
                },
                axis: axis.last(usize::from(width) * state.points_per_cell),
            }
        })
        .collect()
}

/// The moment under a column of a plot.
fn moment_at(plot: &Plot, x: u16, points_per_cell: usize) -> sysmon_core::UnixMillis {
    let last = plot.area.right().saturating_sub(1);
    let cell = usize::from(x.clamp(plot.area.x, last) - plot.area.x);
    plot.axis
        .end_of(cell * points_per_cell + points_per_cell - 1)
        .plus_ms(-1)
}

/// A press on a chart shows that moment; `None` beside all charts.
pub(in crate::update) fn press(state: &mut State, at: Position) -> Option<Vec<Effect>> {
    let plot = plots(state).into_iter().find(|plot| plot.area.contains(at))?;
    let moment = moment_at(&plot, at.x, state.points_per_cell).min(state.live_now());
    let effects = go_to(state, moment);
    if let Some(trip) = &mut state.travel.trip {
        trip.is_dragging = true;
    }
    Some(effects)
}

/// The mouse moved with its button down.
pub(in crate::update) fn drag(state: &mut State, at: Position) -> Vec<Effect> {
    let is_dragging = state.travel.trip.as_ref().is_some_and(|trip| trip.is_dragging);
    let plots = plots(state);
    let is_beside = |plot: &&Plot| at.x >= plot.area.x && at.x < plot.area.right();
    let plot = plots.iter().find(is_beside).or(plots.first());
    match plot.filter(|_| is_dragging) {
        Some(plot) => {
            // While the button is down, the end of the chart is not the end of the past.
            let last = state.live_now().plus_ms(-5_000);
            let moment = moment_at(plot, at.x, state.points_per_cell).min(last);
            set_goal(state, moment)
        }
        None => Vec::new(),
    }
}

/// The button is up again.
pub(in crate::update) fn release(state: &mut State) {
    let (range, live_now) = (state.past.range(), state.live_now());
    if let Some(trip) = state.travel.trip.as_mut().filter(|trip| trip.is_dragging) {
        trip.is_dragging = false;
        trip.centre(range, live_now, false);
    }
}
