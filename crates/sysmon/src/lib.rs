//! sysmon.
