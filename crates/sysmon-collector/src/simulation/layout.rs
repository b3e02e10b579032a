//! The series of a kind of machine, numbered once for all machines of that kind.

use std::sync::Arc;

use sysmon_core::{MetricId, SeriesKey, to_scaled};

use super::emit::{Due, emit};
use super::hardware::{Habits, Model};
use super::vitals::Vitals;
use crate::recorder::Announcement;

/// Takes the values of a tick, always in the same order. What is not a number is absent.
pub(super) trait Sink {
    /// A metric that a machine has once.
    fn plain(&mut self, metric: MetricId, value: f64);

    /// A metric of one entity.
    fn entity(&mut self, metric: MetricId, name: &str, value: f64);
}

/// The series of a model, numbered from 1 in the order in which they are emitted.
#[derive(Debug)]
pub(super) struct Layout {
    announcements: Vec<Announcement>,
    metrics: Vec<MetricId>,
}

impl Layout {
    /// Finds out what a model has by emitting one tick of it: the code that gives values is the only list of them.
    pub(super) fn of(habits: &'static Habits, model: &'static Model) -> Self {
        let mut layout = Self {
            announcements: Vec::new(),
            metrics: Vec::new(),
        };
        emit(habits, model, &Vitals::of_model(model), Due::ALL, &mut layout);
        layout
    }

    pub(super) fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    /// Takes the values of one tick.
    pub(super) fn writer(&self) -> Writer<'_> {
        Writer {
            metrics: &self.metrics,
            next: 0,
            values: Vec::with_capacity(self.metrics.len()),
        }
    }

    fn add(&mut self, metric: MetricId, key: SeriesKey) {
        self.metrics.push(metric);
        self.announcements.push(Announcement {
            number: u32::try_from(self.metrics.len()).unwrap_or(u32::MAX),
            key: Arc::new(key),
            decimals: metric.definition().decimals,
        });
    }
}

impl Sink for Layout {
    fn plain(&mut self, metric: MetricId, _: f64) {
        self.add(metric, SeriesKey::plain(metric));
    }

    fn entity(&mut self, metric: MetricId, name: &str, _: f64) {
        self.add(metric, SeriesKey::of(metric, name));
    }
}

/// Numbers values by the place at which they come.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    metrics: &'a [MetricId],
    next: usize,
    values: Vec<(u32, i64)>,
}

impl Writer<'_> {
    /// The values by series number, ascending.
    pub(super) fn finish(self) -> Vec<(u32, i64)> {
        debug_assert_eq!(
            self.next,
            self.metrics.len(),
            "every series has its place in every tick"
        );
        self.values
    }

    fn put(&mut self, metric: MetricId, value: f64) {
        debug_assert_eq!(
            self.metrics.get(self.next),
            Some(&metric),
            "the order never changes"
        );
        self.next += 1;
        if let Some(scaled) = to_scaled(value, metric.definition().decimals) {
            self.values.push((self.next as u32, scaled));
        }
    }
}

impl Sink for Writer<'_> {
    fn plain(&mut self, metric: MetricId, value: f64) {
        self.put(metric, value);
    }

    fn entity(&mut self, metric: MetricId, _: &str, value: f64) {
        self.put(metric, value);
    }
}
