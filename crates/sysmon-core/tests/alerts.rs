//! The alert engine from outside: samples in, transitions out.

#[path = "alerts/cases.rs"]
mod cases;
#[path = "alerts/properties.rs"]
mod properties;
#[path = "alerts/support.rs"]
mod support;
