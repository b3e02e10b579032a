//! What happens to the client, and what it wants done.

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::key::Key;

/// What a mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseAction {
    /// The left button went down.
    Press,
    /// It moved while the left button was down.
    Drag,
    /// The left button went up.
    Release,
    /// The wheel turned towards the person's back: content moves up.
    WheelUp,
    /// The wheel turned the other way.
    WheelDown,
}

/// A mouse event at a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// What it did.
    pub action: MouseAction,
    /// Column from 0.
    pub column: u16,
    /// Row from 0.
    pub row: u16,
}

/// News from the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// A connection stands, and the hello was answered.
    Connected {
        /// What the aggregator understands beyond the base protocol.
        capabilities: Vec<String>,
    },
    /// There is none; another attempt follows.
    Failed {
        /// Why, for people.
        reason: String,
        /// Whether trying again without a change somewhere is pointless: not allowed, or another protocol version.
        permanent: bool,
    },
    /// What a subscription brings.
    Update(Box<wire::Update>),
    /// Part of the answer to a question about the past.
    History {
        /// The question's number.
        request_id: u64,
        /// The part.
        chunk: Box<wire::HistoryChunk>,
    },
    /// How the stores behind the aggregator are.
    Storage(Box<wire::StorageStatus>),
    /// What changed on the board of alerts, or all of it.
    Alerts(Box<wire::AlertBoard>),
    /// A command that was sent under a number of the state's own was carried out.
    Accepted {
        /// The command's number.
        request_id: u64,
    },
    /// What became of a change to a rule.
    Change {
        /// The command's number.
        request_id: u64,
        /// The rule as it is now, and whether somebody else was faster.
        reply: Box<wire::ChangeReply>,
    },
    /// What a rule would have done.
    DryRun {
        /// The command's number.
        request_id: u64,
        /// When it would have fired.
        reply: Box<wire::DryRunReply>,
    },
    /// Part of the log of alerts.
    AlertLog {
        /// The command's number.
        request_id: u64,
        /// Steps, newest first.
        log: Box<wire::AlertLog>,
    },
    /// A silence was made.
    Silence {
        /// The command's number.
        request_id: u64,
        /// As it is kept.
        silence: Box<wire::Silence>,
    },
    /// Everything about a process.
    ProcessDetails {
        /// The command's number.
        request_id: u64,
        /// What its machine says.
        details: Box<wire::ProcessDetails>,
    },
    /// The server refused a command.
    Refused {
        /// The command's number.
        request_id: u64,
        /// gRPC status code.
        code: u32,
        /// Why, for people.
        reason: String,
    },
}

/// What a frame cost, and what waited meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameReport {
    /// Time to draw it, in microseconds.
    pub micros: u64,
    /// Bytes for the terminal.
    pub bytes: usize,
    /// Time that the terminal took for the frame before, in microseconds.
    pub taken_micros: u64,
    /// Frames that were due, but left out since the frame before because the terminal had not taken it.
    pub skipped: u32,
    /// The most frames a second that are drawn.
    pub frames_per_second_max: u32,
    /// Events waiting.
    pub events: usize,
    /// Room for them.
    pub events_max: usize,
    /// Commands waiting.
    pub commands: usize,
    /// Room for them.
    pub commands_max: usize,
}

/// Everything that can change the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time goes on.
    Tick {
        /// The time now.
        now: UnixMillis,
        /// Local time less UTC.
        utc_offset_seconds: i32,
    },
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(Mouse),
    /// The terminal has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// News from the connection.
    Link(LinkEvent),
    /// A frame was handed to the terminal, or would have been if it had changed anything.
    Frame(FrameReport),
    /// Whether the terminal takes frames slowly.
    Pace {
        /// If so, fewer frames are drawn.
        is_slow: bool,
    },
    /// The state is on screen now, or no longer: it is that of one tab of several.
    Shown(bool),
    /// A tab is asked for by its number, counted from 1.
    Tab(usize),
    /// Esc and a key in one, which a terminal says of Alt and the key as well as of one after the other on a slow link.
    Escaped(Key),
    /// The runtime has something to say, such as that a file was written or a theme cannot be read.
    Notice(String),
}

/// What is to become of the tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TabRequest {
    /// Show the one with this number, counted from 1.
    Number(usize),
    /// Show the one of this name, or open one for the aggregator at an address or for `@NAME` of the configuration.
    Named(String),
    /// Show the one behind this one, and after the last the first.
    Next,
    /// Show the one before this one, and before the first the last.
    Previous,
    /// Close this one.
    Close,
}

/// What the runtime is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End the client.
    Quit,
    /// Give the terminal back and stop until the shell continues us.
    Suspend,
    /// Draw every cell again.
    Redraw,
    /// Send a command; when there is no connection it is dropped, for subscriptions are sent again on connecting.
    Send(wire::command::Body),
    /// Send a command under this number, by which its answer is known. Dropped like the others, and then never answered.
    Ask {
        /// Chosen by the state.
        request_id: u64,
        /// What is asked.
        body: wire::command::Body,
    },
    /// Tell the person, who may be looking elsewhere, that something critical has begun: one line, free of control
    /// characters.
    Announce(String),
    /// Draw in the colours of the theme of this name from now on.
    Theme(String),
    /// Leave this aggregator for the one at an address, or for `@NAME` of the configuration.
    Connect(String),
    /// Do something with the tabs.
    Tab(TabRequest),
    /// Put a text on the clipboard of the terminal.
    Copy(String),
    /// Write a text into a file that is not there yet, and say so.
    Export {
        /// As it was typed.
        path: String,
        /// All of it.
        text: String,
        /// Rows in it, to be told.
        rows: usize,
    },
}

impl Effect {
    /// Whether it changes anything beyond this client: what no console that is read-only ever sends.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        use wire::command::Body;
        match self {
            Self::Send(body) | Self::Ask { body, .. } => match body {
                Body::SetInterval(_)
                | Body::PutRule(_)
                | Body::DeleteRule(_)
                | Body::Acknowledge(_)
                | Body::AddSilence(_)
                | Body::EndSilence(_)
                | Body::ResendDelivery(_)
                | Body::TestReceiver(_)
                | Body::SignalProcess(_) => true,
                Body::Hello(_)
                | Body::Subscribe(_)
                | Body::Unsubscribe(_)
                | Body::UpdateReceived(_)
                | Body::QueryHistory(_)
                | Body::Cancel(_)
                | Body::WatchAlerts(_)
                | Body::DryRun(_)
                | Body::AlertLog(_)
                | Body::ProcessQuestion(_)
                // It is part of looking, and ends with it.
                | Body::BurstLease(_) => false,
            },
            Self::Quit
            | Self::Suspend
            | Self::Redraw
            | Self::Announce(_)
            | Self::Theme(_)
            | Self::Connect(_)
            | Self::Tab(_)
            | Self::Copy(_)
            | Self::Export { .. } => false,
        }
    }
}
