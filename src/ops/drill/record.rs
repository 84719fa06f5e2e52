//! What a drill wrote down: every request, every look at the databases, every event. Plain data; nothing here judges.

use std::time::{Duration, Instant};

/// A moment, counted from the beginning of the drill.
pub type Moment = Duration;

/// The clock of one drill: this machine's, monotonic.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The moment that it is.
    pub fn now(self) -> Moment {
        self.0.elapsed()
    }
}

/// What a request wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To add a row.
    Write,
    /// To see rows.
    Read,
}

impl Kind {
    /// Its word in all outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// What a client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer that says that it is done (201 for a write, 200 for a read).
    Done,
    /// Another answer.
    Refused,
    /// The connection failed or ended without an answer.
    Broken,
    /// Nothing within the time limit.
    Timeout,
}

impl Outcome {
    /// Its word in all outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
        }
    }
}

/// One request of a client, sent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What it wanted.
    pub kind: Kind,
    /// Its number among its kind, from 1.
    pub seq: u64,
    /// When it was sent.
    pub sent: Moment,
    /// When the answer was complete, or the client gave up.
    pub ended: Moment,
    /// What the client got.
    pub outcome: Outcome,
    /// The status code; 0 without an answer.
    pub status: u16,
    /// The application server that answered.
    pub served_by: String,
    /// The database node that did the work.
    pub database: String,
    /// What went wrong, in a few words.
    pub note: String,
}

/// What a database was when it was asked by its own host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
    /// Its host answers, it does not.
    Down,
    /// Its host could not be asked.
    Unknown,
}

impl Role {
    /// Its word in all outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// One look at a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its host.
    pub host: String,
    /// When it was asked.
    pub asked: Moment,
    /// When it had answered.
    pub answered: Moment,
    /// What it was.
    pub role: Role,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Something was broken.
    Break,
    /// Something was mended.
    Mend,
    /// hactl was run.
    Command,
    /// Something was seen.
    Seen,
}

impl What {
    /// Its word in all outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Break => "break",
            Self::Mend => "repair",
            Self::Command => "command",
            Self::Seen => "seen",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it began.
    pub at: Moment,
    /// When it was over.
    pub until: Moment,
    /// What kind of thing.
    pub what: What,
    /// What, in a few words.
    pub text: String,
}

/// A run of hactl within a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// When it began.
    pub at: Moment,
    /// When it had ended.
    pub until: Moment,
    /// What was typed, without the global arguments.
    pub line: String,
    /// Its exit code; 128 and the signal when one ended it.
    pub code: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

/// Something that had to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// What.
    pub what: String,
    /// What had to be.
    pub expected: String,
    /// What was.
    pub observed: String,
    /// Whether that is good.
    pub holds: bool,
}

impl Expectation {
    /// Holds when the condition does.
    pub fn of(
        holds: bool,
        what: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            expected: expected.into(),
            observed: observed.into(),
            holds,
        }
    }
}
