//! What happens during a run, as data. The engine sends these; only reporters show them.

use super::content::Source;
use crate::base::Diagnostic;
use crate::base::value::Value;
use crate::connection::Statistics;
use crate::modules::Diff;
use crate::source::Span;
use serde::Serialize;

/// How a task ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As wished already.
    Ok,
    /// Changed (or, with `--check`, would be).
    Changed,
    /// Its condition did not hold.
    Skipped,
    /// Failed, and nothing takes the failure.
    Failed,
    /// Failed, and `ignore_errors` says to go on.
    Ignored,
    /// Failed, and a `rescue` takes over.
    Rescued,
    /// `--check`: depends on something that only applying can tell.
    Unknown,
}

/// One task (or one item of its loop) on one host.
#[derive(Debug, Clone)]
pub struct TaskEnd {
    /// The host.
    pub host: String,
    /// The play's name.
    pub play: String,
    /// `role : name`.
    pub task: String,
    /// Where the task stands.
    pub span: Span,
    /// The loop's label.
    pub item: Option<String>,
    /// How it ended.
    pub status: Status,
    /// What changes, unless `no_log` or `diff: false`.
    pub diffs: Vec<Diff>,
    /// The result as registered; `censored` with `no_log`.
    pub result: Value,
    /// Why it failed or is not known.
    pub error: Option<Diagnostic>,
    /// It ran as a handler.
    pub handler: bool,
    /// A message for people (`debug`, `assert`'s success).
    pub message: Option<String>,
    /// Milliseconds on the host.
    pub milliseconds: u64,
}

/// What happens during a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A play begins on a host.
    PlayBegin { host: String, play: String },
    /// A play is over on a host, well or badly: what it has cost there.
    PlayEnd {
        host: String,
        play: String,
        statistics: Statistics,
        seconds: f64,
    },
    /// A host answers.
    Connected { host: String, seconds: f64 },
    /// A task begins that takes a round trip; for progress only.
    Working { host: String, task: String },
    /// A task ended.
    Task(Box<TaskEnd>),
    /// A try of `until` did not hold.
    Retry {
        host: String,
        task: String,
        left: u64,
    },
    /// A file as it will be (`Settings::render`).
    File {
        host: String,
        path: String,
        content: Vec<u8>,
        mode: Option<String>,
        source: Source,
    },
    /// Handlers that an earlier, interrupted run still owes.
    Owed { host: String, handlers: Vec<String> },
    /// A host cannot go on.
    HostLost { host: String, error: Diagnostic },
    /// What a host's part cost.
    HostEnd {
        host: String,
        statistics: Statistics,
        processes: u64,
        seconds: f64,
        connect_seconds: f64,
    },
    /// Something the user should know.
    Note { host: Option<String>, text: String },
}
