//! The pure domain of sysmon: metrics, samples, rates, series and fleet vocabulary.
//!
//! Nothing here does I/O, reads a clock or knows a runtime: every moment in time is an argument. That is what lets
//! the collector, the aggregator and the terminal client agree on every number, and what makes replay possible.

pub mod alert;
mod catalogue;
mod downsample;
pub mod filter;
mod format;
mod health;
mod history;
mod identity;
mod machine;
mod moment;
mod process;
mod rates;
mod sample;
mod scaled;
pub mod series;
mod text;
mod time;

pub use catalogue::{CATALOGUE, Downsampling, Kind, MetricDefinition, MetricId, Unit};
pub use downsample::{Bucket, downsample};
pub use filter::{Filter, TextFilter};
pub use format::{format_age, format_duration, format_rate, format_value};
pub use health::{Health, Thresholds, assess, thresholds};
pub use history::{
    Gap, GapReason, HistoryQuery, INTERVAL_METRIC, MachineHistory, MachineSamples, Point, SeriesPoints,
    SeriesSamples, Tier, silent_gaps,
};
pub use identity::{Epoch, IdentityError, MachineId};
pub use machine::{Recent, Series};
pub use moment::{MachineMoment, MomentQuery, SeriesMoment};
pub use process::{
    Process, ProcessDelta, ProcessIdentity, ProcessKey, ProcessSnapshot, ProcessState, ProcessTable,
    ProcessTotals, Unreadable,
};
pub use rates::{Counter, CounterWidth, Derivation, RateTracker};
pub use sample::{HostInfo, Label, Metric, SeriesKey, Value};
pub use scaled::{MAX_DECIMALS, from_scaled, to_scaled};
pub use text::{clip, display_width, is_clean, natural, sanitize};
pub use time::{Liveness, UnixMillis};
