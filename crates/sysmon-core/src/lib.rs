//! Pure domain of sysmon.
