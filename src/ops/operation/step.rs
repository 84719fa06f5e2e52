//! A step of an operation: what runs on which host, how it is taken back, how long it may take. Data; nothing is run here.

use crate::modules::Reply;
use crate::ops::operation::journal::Notes;

/// What runs on a host, once the notes of earlier steps are known.
pub type Script = Box<dyn Fn(&Notes) -> String + Send + Sync>;

/// A step.
pub struct Step {
    /// A stable name; unique in its operation.
    pub id: &'static str,
    /// What it does, for people.
    pub what: String,
    /// Where.
    pub host: String,
    /// How. What it prints as `note KEY VALUE` is noted for the steps after it. It may run twice.
    pub script: Script,
    /// How it is taken back: on the same host.
    pub undo: Option<Script>,
    /// Nothing can be taken back from here on.
    pub no_return: bool,
    /// It is tried, and what fails is mended later by `resume`: the steps after it still make sense.
    pub tail: bool,
    /// How long it may take, in seconds.
    pub limit: u64,
    /// Writes wait from its beginning on: so many seconds later the point of no return must have been reached, or all is
    /// taken back. What is left is noted for the scripts up to there as [`SECONDS_LEFT`].
    pub gap: Option<u64>,
}

/// The note that tells a script how many whole seconds it may take, while writes wait.
pub const SECONDS_LEFT: &str = "seconds_left";

impl Step {
    /// A step that is not taken back, may take a minute, and needs nothing of the steps before it.
    pub fn new(id: &'static str, host: &str, what: impl Into<String>, script: String) -> Self {
        Self {
            id,
            what: what.into(),
            host: host.to_owned(),
            script: plain(script),
            undo: None,
            no_return: false,
            tail: false,
            limit: 60,
            gap: None,
        }
    }

    /// Whether its host knows epochs: all but this machine do.
    pub(super) fn holds_token(&self) -> bool {
        self.host != HERE
    }

    /// The same, for a step that is made on each of several hosts: its name tells which.
    pub fn each(verb: &str, host: &str, what: impl Into<String>, script: String) -> Self {
        // Leaked once per operation and host: the ids of steps live as long as the program.
        Self::new(
            Box::leak(format!("{verb}-{host}").into_boxed_str()),
            host,
            what,
            script,
        )
    }
}

/// The name under which this machine takes part, for fencing commands. It keeps no epoch: its steps come after the proof on
/// the hosts that do.
pub const HERE: &str = "this machine";

/// A script that needs nothing of the steps before it.
pub fn plain(text: String) -> Script {
    Box::new(move |_| text.clone())
}

/// What a script noted for the steps after it.
pub fn notes(reply: &Reply) -> Notes {
    reply
        .out()
        .lines()
        .filter_map(|line| line.strip_prefix("note ")?.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// A step past the point of no return ends with this code when it is certain that it has not happened.
pub const NOT_DONE: i32 = 78;
/// How a step's script learns its own operation: keys of the notes.
pub const OPERATION_ID: &str = "operation";
/// The epoch of its operation.
pub const OPERATION_EPOCH: &str = "epoch";
