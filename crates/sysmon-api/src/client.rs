//! Asking: to be written.
