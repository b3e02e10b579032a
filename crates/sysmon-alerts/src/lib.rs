//! The alert service.
