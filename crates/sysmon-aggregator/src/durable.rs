//! Everything between the streams and the stores.

mod status;

pub(crate) use status::{Component, StatusBoard};
