//! The wire: protocol messages, their conversion to the domain, servers and clients.
//!
//! tonic's types stay in here. Whoever serves implements [`Backend`] over [`Inbound`] and [`Outbound`]; whoever asks
//! uses [`Client`]. Both deal in the messages of [`wire`].

mod alerts;
mod auth;
mod client;
mod codec;
mod conflict;
mod convert;
mod error;
mod handshake;
mod history;
mod outgoing;
mod private_path;
mod replica;
mod server;
mod streams;
mod throttle;
mod transport;

pub use alerts::{
    alert_from_wire, alert_key_from_wire, alert_key_to_wire, alert_to_wire, rule_from_wire,
    rule_id_from_wire, rule_to_wire, severity_from_wire, severity_to_wire, silence_from_wire,
    silence_to_wire, transition_from_wire, transition_to_wire,
};
pub use auth::{Access, Principal, Role, Secret, tokens};
pub use client::{Backoff, Client, ClientConfig, Endpoint};
pub use convert::{
    health_from_wire, health_to_wire, host_from_wire, host_to_wire, liveness_from_wire, liveness_to_wire,
    process_table_to_wire, processes_from_wire, processes_to_wire, series_from_wire, series_to_wire, tick_at,
    tick_to_wire, tick_values,
};
pub use error::{ApiError, Code};
pub use handshake::{
    CAPABILITY_ALERTS, CAPABILITY_BURST, CAPABILITY_FILTER, CAPABILITY_HISTORY, CAPABILITY_PAST,
    CAPABILITY_PROCESSES, CAPABILITY_WINDOWS, PROTOCOL_VERSION, check_peer, hello, hello_with,
};
pub use history::{
    gap_from_wire, gap_reason_from_wire, gap_reason_to_wire, gap_to_wire, history_from_wire, history_to_wire,
    query_from_wire, query_to_wire,
};
pub use outgoing::{EncodedUpdate, Outgoing, encode_machine};
pub use private_path::local_socket_path;
pub use replica::{Machine, OutOfSync, Replica, Window};
pub use server::{Backend, Server, TlsIdentity};
pub use streams::{Closed, Inbound, Outbound};
pub use transport::InProcess;

/// The messages of `proto/monitoring/v1`, and the generated plumbing that only this crate uses.
#[expect(clippy::all, clippy::allow_attributes, unreachable_pub, reason = "generated")]
mod generated {
    tonic::include_proto!("monitoring.v1");
}

/// The messages of `proto/monitoring/v1`; the files there are their documentation.
pub mod wire {
    pub use crate::generated::{
        Accepted, Acknowledged, Backlog, BacklogWaiting, Batch, BurstLease, Cancel, CollectorHello, Command,
        Directive, Failure, FleetTotals, Gap, GapReason, Grant, HealthStatus, Heartbeat, History,
        HistoryChunk, HistoryReply, HistoryRequest, HistoryTier, HostInfo, Liveness, LostRange,
        MachineHeader, MachineHistory, MachineState, MachineUpdate, Metric, MetricsRequest, NewEpoch,
        PeerHello, Process, ProcessDetail, ProcessKey, ProcessState, ProcessUpdate, PushRequest,
        PushResponse, Resend, Response, SeriesDefinition, SeriesHistory, SeriesPoints, SetInterval,
        StateRequest, StorageComponent, StorageHealth, StorageRole, StorageStatus, Subscribe, Tick,
        Unsubscribe, Update, UpdateReceived, Window, backlog, command, push_request, push_response, response,
    };
    // What is asked about one process, and done to it.
    pub use crate::generated::{
        CollectorAnswer, CollectorQuestion, ProcessDetails, ProcessQuestion, ProcessSignal, Refusal,
        SignalOrder, SignalProcess, SignalSent, collector_answer, collector_question,
    };
    // Alerts.
    pub use crate::generated::{
        Acknowledge, Acknowledgement, Alert, AlertBoard, AlertKey, AlertLog, AlertLogRequest, AlertNews,
        AlertPhase, AlertPulse, AlertTransition, AuditEntry, ChangeReply, Comparison, Culprit,
        DeleteRuleRequest, Delivery, DeliveryState, DryRunReply, DryRunRequest, EndSilence, Episode,
        Function, Guard, Level, ListAuditReply, ListAuditRequest, ListRulesReply, ListRulesRequest,
        MachineDownCheck, MetricCheck, PutRuleRequest, Quantity, ResendDelivery, Rule, RuleScope, Severity,
        Silence, StoredRule, TestReceiver, WatchAlerts, rule,
    };
    // What a console takes down of what happened to it.
    pub use crate::generated::{
        RecordedEvent, RecordedKey, RecordedMouse, RecordedSize, RecordingHeader, recorded_event,
    };
    // What aggregators that share a bus tell each other.
    pub use crate::generated::{
        FleetEvent, FleetEvents, HeadWanted, HotTick, MachineAlive, MachineHead, MirroredBatch, StreamClosed,
        Wish, fleet_event,
    };
}
