//! Placeholder.
pub mod wire { #![expect(clippy::all, reason="generated")] tonic::include_proto!("monitoring.v1"); }
