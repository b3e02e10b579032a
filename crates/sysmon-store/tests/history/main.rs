//! What every history promises, tried on every back end, one test per case and back end.

#[macro_use]
mod contract;
mod fixture;
mod local;
