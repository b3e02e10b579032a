//! Lists of a machine's parts: interfaces, disks, file systems, pressure, sensors, containers, failed units.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_api::Machine;
use sysmon_core::{
    Health, Label, MetricId, Series, SeriesKey, Unit, display_width, format_rate, format_value, thresholds,
};

use super::chart::{points_in, round_up, sparkline};
use super::pen::Pen;
use crate::axis::Axis;
use crate::layout::Section;
use crate::state::fleet::natural;
use crate::track::Track;

/// Sparklines beside a line show at least this much.
const WINDOW_MS: u64 = 120_000;

/// Draws as many lines of a section as its area has.
pub(super) fn section(pen: &mut Pen<'_>, section: Section, area: Rect, machine: &Machine, age_ms: u64) {
    let list = List { machine, age_ms };
    match section {
        Section::Network => list.network(pen, area),
        Section::Disks => list.disks(pen, area),
        Section::Mounts => list.mounts(pen, area),
        Section::Pressure => list.pressure(pen, area),
        Section::Units => list.units(pen, area),
        Section::Sensors => list.sensors(pen, area),
        Section::Containers => list.containers(pen, area),
    }
}

/// Cells for the word at the left of each line.
const LABEL_WIDTH: u16 = 6;

struct List<'a> {
    machine: &'a Machine,
    age_ms: u64,
}

impl<'a> List<'a> {
    fn of(&self, metric: MetricId, entity: &str) -> Option<f64> {
        self.series(metric, entity).and_then(Series::current)
    }

    fn series(&self, metric: MetricId, entity: &str) -> Option<&'a Series> {
        let name = metric.definition().label?;
        let key = SeriesKey {
            metric: metric.into(),
            labels: vec![Label {
                name: name.into(),
                value: entity.into(),
            }],
        };
        self.machine
            .recent
            .number_of(&key)
            .and_then(|number| self.machine.recent.get(number))
    }

    /// Entities of a metric, the one with the largest weight first.
    fn entities(&self, metric: MetricId, weight: impl Fn(&str) -> f64) -> Vec<&'a str> {
        let mut entities: Vec<(&str, f64)> = self
            .machine
            .recent
            .of_metric(metric)
            .map(|(entity, _)| (entity, weight(entity)))
            .collect();
        entities.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| natural(a.0, b.0)));
        entities.into_iter().map(|(entity, _)| entity).collect()
    }

    /// The word at the left of a line; returns the column behind it.
    fn label(&self, pen: &mut Pen<'_>, area: Rect, y: u16, word: &str) -> u16 {
        let style = if y == area.y {
            pen.theme.title()
        } else {
            pen.theme.quiet()
        };
        let word = if y == area.y { word } else { "" };
        pen.text(area.x + 1, y, LABEL_WIDTH, word, style);
        area.x + 1 + LABEL_WIDTH
    }

    fn spark(&self, pen: &mut Pen<'_>, x: u16, y: u16, width: u16, series: Option<&Series>, least: f64) {
        let Some(series) = series.filter(|_| width > 0) else {
            return;
        };
        let axis = Axis::live(self.machine, self.age_ms, points_in(pen, width), WINDOW_MS);
        let slices = axis.slices(&Track::live(&self.machine.recent, series));
        let largest = slices.iter().flatten().map(|slice| slice.maximum);
        let full = round_up(largest.fold(0.0, f64::max), least);
        let style = pen.theme.chart();
        sparkline(pen, x, y, &slices, full, style);
    }

    fn network(&self, pen: &mut Pen<'_>, area: Rect) {
        let traffic = |name: &str| {
            let up = self.of(MetricId::NetworkLinkUp, name).unwrap_or(1.0);
            // Interfaces that lead out come first, and stay where they are while traffic goes up and down.
            if name == "lo" { -1.0 } else { up }
        };
        let width = self.name_width(MetricId::NetworkReceive);
        for (y, name) in lines(area).zip(self.entities(MetricId::NetworkReceive, traffic)) {
            let x = self.label(pen, area, y, "NET");
            let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
            pen.text(x, y, width, name, text);
            let mut x = x + width + 1;
            for (arrow, ascii, metric) in [
                ("↓", "in", MetricId::NetworkReceive),
                ("↑", "out", MetricId::NetworkTransmit),
            ] {
                let rate = self.rate(pen, metric, name);
                x = pen.text(x, y, 3, pen.pick(arrow, ascii), quiet);
                pen.right(x, y, 10, &rate, text);
                x += 11;
                let spark_width = if area.width >= 64 { 8 } else { 0 };
                self.spark(pen, x, y, spark_width, self.series(metric, name), 10_000.0);
                x += spark_width + u16::from(spark_width > 0);
            }
            self.interface_state(pen, x, y, area.right(), name);
        }
    }

    /// Errors, drops and a link that is down, only when there are any.
    fn interface_state(&self, pen: &mut Pen<'_>, x: u16, y: u16, end: u16, name: &str) {
        let sum = |a, b| self.of(a, name).unwrap_or(0.0) + self.of(b, name).unwrap_or(0.0);
        let errors = sum(MetricId::NetworkReceiveErrors, MetricId::NetworkTransmitErrors);
        let drops = sum(MetricId::NetworkReceiveDrops, MetricId::NetworkTransmitDrops);
        let (warning, faint) = (pen.theme.warning(), pen.theme.faint());
        let mut pieces: Vec<(String, Style)> = Vec::new();
        if self.of(MetricId::NetworkLinkUp, name) == Some(0.0) {
            pieces.push(("no link ".into(), faint));
        }
        if errors > 0.0 {
            pieces.push((
                format!("errors {} ", format_rate(errors, Unit::PerSecond)),
                warning,
            ));
        }
        if drops > 0.0 {
            pieces.push((format!("drops {}", format_rate(drops, Unit::PerSecond)), warning));
        }
        let pieces: Vec<(&str, Style)> = pieces
            .iter()
            .map(|(text, style)| (text.as_str(), *style))
            .collect();
        pen.pieces(x, y, end.saturating_sub(x), &pieces);
    }

    fn disks(&self, pen: &mut Pen<'_>, area: Rect) {
        let width = self.name_width(MetricId::DiskUtilisation);
        let is_narrow = area.width < 60 + width;
        for (y, name) in lines(area).zip(self.entities(MetricId::DiskUtilisation, |_| 0.0)) {
            let x = self.label(pen, area, y, "DISK");
            let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
            pen.text(x, y, width, name, text);
            let mut x = x + width + 1;
            for (word, metric) in [("r", MetricId::DiskRead), ("w", MetricId::DiskWrite)] {
                let rate = self.rate(pen, metric, name);
                // Without the unit where the line would not fit: bytes per second are meant.
                let rate = if is_narrow {
                    rate.replace(" B/s", "").replace("B/s", "").replace(' ', "")
                } else {
                    rate
                };
                let rate_width = if is_narrow { 6 } else { 10 };
                x = pen.text(x, y, 2, word, quiet);
                pen.right(x, y, rate_width, &rate, text);
                x += rate_width + 1;
            }
            let shown = |metric: MetricId| {
                self.of(metric, name).map_or_else(
                    || pen.pick("–", "-").to_owned(),
                    |v| format_value(v, metric.definition().unit),
                )
            };
            let busy = shown(MetricId::DiskUtilisation);
            // Without a request there is no waiting time: an older one must not pass for the present.
            let sampled = |metric| {
                self.series(metric, name)
                    .and_then(|series| series.column.last())
                    .map(|(tick, _)| tick)
            };
            let wait = if sampled(MetricId::DiskAwait) == sampled(MetricId::DiskUtilisation) {
                shown(MetricId::DiskAwait)
            } else {
                pen.pick("–", "-").to_owned()
            };
            x = pen.pieces(
                x,
                y,
                area.right().saturating_sub(x),
                &[
                    ("util ", quiet),
                    (&format!("{busy:>4} "), text),
                    ("await ", quiet),
                    (&format!("{wait:>6} "), text),
                ],
            );
            let spark_width = area.right().saturating_sub(x + 1).min(8);
            if spark_width == 8 {
                self.spark(
                    pen,
                    x,
                    y,
                    spark_width,
                    self.series(MetricId::DiskUtilisation, name),
                    100.0,
                );
            }
        }
    }

    fn mounts(&self, pen: &mut Pen<'_>, area: Rect) {
        let fullest = |name: &str| self.of(MetricId::MountUsedPercent, name).unwrap_or(0.0).floor();
        let bar_width = if area.width >= 64 { 12 } else { 8 };
        let name_width = area
            .width
            .saturating_sub(LABEL_WIDTH + bar_width + 32)
            .clamp(8, 24);
        for (y, name) in lines(area).zip(self.entities(MetricId::MountUsedPercent, fullest)) {
            let x = self.label(pen, area, y, "MOUNT");
            let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
            pen.text(x, y, name_width, name, text);
            let x = x + name_width + 1;
            let percent = self.of(MetricId::MountUsedPercent, name).unwrap_or(f64::NAN);
            let health = thresholds(MetricId::MountUsedPercent)
                .map_or(Health::Unknown, |levels| levels.judge(percent));
            let style = pen.theme.value(health);
            pen.right(x, y, 4, &format_value(percent, Unit::Percent), style);
            let bar = if health >= Health::Warning {
                pen.theme.value(health)
            } else {
                pen.theme.chart()
            };
            gauge(pen, x + 5, y, bar_width, percent / 100.0, bar);
            let mut details = String::new();
            if let Some(free) = self.of(MetricId::MountAvailable, name) {
                details = format!("{} free", format_value(free, Unit::Bytes));
            }
            if let Some(total) = self.of(MetricId::MountTotal, name) {
                details.push_str(&format!(" of {}", format_value(total, Unit::Bytes)));
            }
            let inodes = self.of(MetricId::MountInodesUsedPercent, name);
            if let Some(inodes) = inodes.filter(|inodes| *inodes >= 50.0 || area.width >= 84) {
                details.push_str(&format!("  inodes {}", format_value(inodes, Unit::Percent)));
            }
            let x = x + 6 + bar_width;
            pen.text(x, y, area.right().saturating_sub(x), &details, quiet);
        }
    }

    fn pressure(&self, pen: &mut Pen<'_>, area: Rect) {
        let mut x = self.label(pen, area, area.y, "STALL");
        for (name, some, full) in [
            ("cpu", MetricId::PressureCpuSome, MetricId::PressureCpuFull),
            ("io", MetricId::PressureIoSome, MetricId::PressureIoFull),
            (
                "memory",
                MetricId::PressureMemorySome,
                MetricId::PressureMemoryFull,
            ),
        ] {
            let Some(value) = self.machine.recent.value(some) else {
                continue;
            };
            let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
            let shown = format!(" {:>4}", format_value(value, Unit::Percent));
            let all = self.machine.recent.value(full).filter(|full| *full >= 0.05);
            let all = all
                .map(|all| format!(" all {}", format_value(all, Unit::Percent)))
                .unwrap_or_default();
            x = pen.pieces(
                x,
                area.y,
                area.right().saturating_sub(x),
                &[(name, quiet), (&shown, text), (&all, quiet), ("   ", quiet)],
            );
        }
    }

    fn units(&self, pen: &mut Pen<'_>, area: Rect) {
        let x = self.label(pen, area, area.y, "UNITS");
        let names = self.entities(MetricId::SystemdUnitFailed, |_| 0.0);
        let count = self
            .machine
            .recent
            .value(MetricId::SystemdFailedUnits)
            .unwrap_or(0.0);
        let text = format!("{count:.0} failed: {}", names.join(", "));
        let style = pen.theme.critical();
        pen.text(x, area.y, area.right().saturating_sub(x), &text, style);
    }

    fn sensors(&self, pen: &mut Pen<'_>, area: Rect) {
        let mut x = self.label(pen, area, area.y, "TEMP");
        let hottest = |name: &str| self.of(MetricId::Temperature, name).unwrap_or(0.0);
        for name in self.entities(MetricId::Temperature, hottest) {
            let shown = self
                .of(MetricId::Temperature, name)
                .map(|value| format_value(value, Unit::Celsius))
                .unwrap_or_default();
            let needed = u16::try_from(display_width(name) + display_width(&shown) + 4).unwrap_or(u16::MAX);
            if area.right().saturating_sub(x) < needed {
                break;
            }
            let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
            x = pen.pieces(
                x,
                area.y,
                needed,
                &[(name, quiet), (" ", quiet), (&shown, text), ("   ", quiet)],
            );
        }
    }

    fn containers(&self, pen: &mut Pen<'_>, area: Rect) {
        let busiest = |name: &str| self.of(MetricId::ContainerCpu, name).unwrap_or(-1.0).floor();
        for (y, name) in lines(area).zip(self.entities(MetricId::ContainerRunning, busiest)) {
            let x = self.label(pen, area, y, "BOX");
            let (text, quiet, warning) = (pen.theme.text(), pen.theme.quiet(), pen.theme.warning());
            let mut pieces = Vec::new();
            if self.of(MetricId::ContainerRunning, name) == Some(1.0) {
                for (word, metric) in [
                    ("cpu", MetricId::ContainerCpu),
                    ("mem", MetricId::ContainerMemory),
                ] {
                    if let Some(value) = self.of(metric, name) {
                        pieces.push((format!("  {word} "), quiet));
                        pieces.push((
                            format!("{:>5}", format_value(value, metric.definition().unit)),
                            text,
                        ));
                    }
                }
            } else {
                pieces.push(("  stopped".into(), quiet));
            }
            if self.of(MetricId::ContainerHealthy, name) == Some(0.0) {
                pieces.push(("  unhealthy".into(), warning));
            }
            pen.text(x, y, 24, name, text);
            let pieces: Vec<(&str, Style)> = pieces
                .iter()
                .map(|(text, style)| (text.as_str(), *style))
                .collect();
            pen.pieces(x + 24, y, area.right().saturating_sub(x + 24), &pieces);
        }
    }

    fn rate(&self, pen: &Pen<'_>, metric: MetricId, entity: &str) -> String {
        let value = self.of(metric, entity);
        value.map_or_else(
            || pen.pick("–", "-").to_owned(),
            |value| format_rate(value, Unit::BytesPerSecond),
        )
    }

    fn name_width(&self, metric: MetricId) -> u16 {
        let longest = self
            .machine
            .recent
            .of_metric(metric)
            .map(|(name, _)| display_width(name))
            .max()
            .unwrap_or(0);
        u16::try_from(longest).unwrap_or(u16::MAX).clamp(4, 12)
    }
}

/// A horizontal bar for a share of 0 to 1.
pub(super) fn gauge(pen: &mut Pen<'_>, x: u16, y: u16, width: u16, share: f64, style: Style) {
    let (full, empty) = pen.theme.glyphs.gauge();
    let filled = if share.is_finite() {
        (share.clamp(0.0, 1.0) * f64::from(width)).round() as u16
    } else {
        0
    };
    let rule = pen.theme.rule();
    for cell in 0..width {
        let (glyph, style) = if cell < filled {
            (full, style)
        } else {
            (empty, rule)
        };
        pen.text(x + cell, y, 1, glyph, style);
    }
}

fn lines(area: Rect) -> std::ops::Range<u16> {
    area.y..area.bottom()
}
