//! What was done to a service, kept on its own hosts: the operation that is under way, and the ones that ended.
//!
//! An operation is a file of JSON lines: a header, a line for each step that was begun or done, and a last line when it
//! ended. While it is unfinished it is [`OPERATION`], on every database host that could be reached, so that any operator
//! on any machine can see it and take it up; ended, it is moved to [`HISTORY`]. A journal never holds a secret.
//!
//! Each operation has an epoch that is higher than every one before it, and so has each taking up of an operation. Whoever
//! begins, takes up, takes back or overtakes an operation leaves the higher epoch on the hosts ([`EPOCH`]); a script that
//! comes late, from an operator who was paused, finds it there and does nothing ([`proof`]). This is a fencing token: it is
//! compared on the host, in the shell that would do the step, because an operator cannot know that he was paused.

use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The operation that is under way on a host.
pub const OPERATION: &str = "/var/lib/hactl/operation";
/// Where the ended ones are.
pub const HISTORY: &str = "/var/lib/hactl/history";
/// So many ended operations a host keeps.
pub const KEPT: usize = 1000;
/// So many of them are read by whoever only wants to know how things are.
const RECENT: usize = 100;
/// And so many of each kind besides.
const OF_A_KIND: usize = 5;
/// [`begin`] ends with this code when another operation is unfinished.
pub const UNFINISHED: i32 = 76;
/// The epoch and the operation that may make steps on a host, on one line; a third word when that operation has ended.
pub const EPOCH: &str = "/var/lib/hactl/epoch";
/// A script ends with this code when its operation may make no more steps on its host.
pub const OVERTAKEN: i32 = 77;
/// Shell that makes room on a full disk: what the lock laid aside for it is given up.
const ROOM: &str = "rm -f /var/lib/hactl/ballast";
/// Files that tell a host's own units of an operation, one path a line; [`finish`] removes them.
pub const INTENTS: &str = "/var/lib/hactl/intents";

/// Facts that steps have found out, for the steps after them: a log position, a timeline.
pub type Notes = BTreeMap<String, String>;

/// Which operation, of whom, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Unique, and sorts by time.
    pub id: String,
    /// `switchover`, `failover`, `rejoin`, `backup`…
    pub kind: String,
    /// Higher than that of every operation before it; 0 when an older hactl began it.
    #[serde(default)]
    pub epoch: u64,
    /// `user@machine, command, pid, time`.
    pub operator: String,
    /// Seconds since 1970, by the operator's clock.
    pub started: u64,
    /// What the operator gave as the reason.
    #[serde(default)]
    pub reason: String,
    /// The hosts that it concerns.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What is needed to take it up: who was the primary, who is to be.
    #[serde(default)]
    pub details: Notes,
}

/// Whether a step was only begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It may or may not have happened.
    Begun,
    /// It has happened.
    Done,
    /// It was taken back.
    Undone,
}

/// A line about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// Its name.
    pub step: String,
    /// How far it came.
    pub state: StepState,
    /// Seconds since 1970.
    pub at: u64,
    /// What it found out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: Notes,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// `done`, `undone`, `failed`.
    pub result: String,
    /// Seconds since 1970.
    pub ended: u64,
    /// A sentence about it.
    #[serde(default)]
    pub message: String,
}

/// An operation as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Which one.
    pub header: Header,
    /// Its steps so far.
    pub steps: Vec<StepLine>,
    /// How it ended, if it has.
    pub end: Option<End>,
}

impl Header {
    /// A new operation, now.
    pub fn new(kind: &str, operator: &str, reason: &str) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            id: format!(
                "{}-{kind}-{:04x}",
                now.strftime("%Y%m%dT%H%M%SZ"),
                rand::random::<u16>()
            ),
            kind: kind.to_owned(),
            epoch: 0,
            operator: operator.to_owned(),
            started: seconds(),
            reason: reason.to_owned(),
            hosts: Vec::new(),
            details: Notes::new(),
        }
    }
}

impl Record {
    /// Reads a journal. A last line that was cut off is left out: what it told of may not have happened.
    ///
    /// # Errors
    /// When the header cannot be read, or a line in the middle.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let broken = |what: &str, error: &serde_json::Error| {
            Diagnostic::with_code(exit::FAILED, format!("{what} of a journal cannot be read"))
                .note(error.to_string())
        };
        let header = serde_json::from_str(lines.next().unwrap_or_default())
            .map_err(|error| broken("the header", &error))?;
        let mut record = Self {
            header,
            steps: Vec::new(),
            end: None,
        };
        let lines: Vec<&str> = lines.collect();
        for (index, line) in lines.iter().enumerate() {
            if let Ok(end) = serde_json::from_str::<End>(line) {
                record.end = Some(end);
            } else {
                match serde_json::from_str(line) {
                    Ok(step) => record.steps.push(step),
                    Err(_) if index + 1 == lines.len() => {}
                    Err(error) => return Err(broken(&format!("line {}", index + 2), &error)),
                }
            }
        }
        Ok(record)
    }

    /// All that its steps have found out.
    pub fn notes(&self) -> Notes {
        self.steps
            .iter()
            .flat_map(|step| step.notes.clone())
            .collect()
    }

    /// How far a step came; nothing when it was not begun.
    pub fn state(&self, step: &str) -> Option<StepState> {
        self.steps
            .iter()
            .rev()
            .find(|line| line.step == step)
            .map(|line| line.state)
    }

    /// Whether a step may have happened: it was begun, and was not taken back.
    pub fn may_have(&self, step: &str) -> bool {
        matches!(self.state(step), Some(StepState::Begun | StepState::Done))
    }
}

/// Seconds since 1970, by this machine's clock.
pub fn seconds() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A line of a journal.
pub fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Who may make steps on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The epoch.
    pub epoch: u64,
    /// The operation.
    pub id: String,
}

impl Token {
    /// From [`EPOCH`]; whether the operation has ended with it. None when there is none, or it cannot be read.
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let mut words = text.split_whitespace();
        let token = Self {
            epoch: words.next()?.parse().ok()?,
            id: words.next()?.to_owned(),
        };
        Some((token, words.next().is_some()))
    }

    fn line(&self) -> String {
        format!("{} {}", self.epoch, self.id)
    }
}

/// Shell that writes [`EPOCH`], as a whole and for good.
fn write_epoch(line: &str) -> String {
    format!(
        "printf '%s\\n' {} >{EPOCH}.new; sync {EPOCH}.new; mv -f {EPOCH}.new {EPOCH}; sync /var/lib/hactl",
        sh(line)
    )
}

/// Shell that ends with [`OVERTAKEN`], saying which one it found, unless the host's epoch is lower than this one.
fn demand_higher(epoch: u64) -> String {
    format!(
        "umask 077; mkdir -p /var/lib/hactl; e=0 i=; [ ! -e {EPOCH} ] || read -r e i <{EPOCH}; \
         [ \"${{e:-0}}\" -lt {epoch} ] || {{ echo \"$e $i\"; exit {OVERTAKEN}; }}"
    )
}

/// Begins an operation on a host, unless another one is unfinished there (then [`UNFINISHED`], with its header on stdout),
/// or its epoch has been used ([`OVERTAKEN`], with the one found on stdout).
pub fn begin(header: &Header) -> Request {
    let token = Token {
        epoch: header.epoch,
        id: header.id.clone(),
    };
    // `ln` fails when the name is taken, so that of two that begin at once only one does.
    Request::sh(format!(
        "set -eu; {}; f={OPERATION}; n=$f.$$; j=$(cat); w() {{ printf '%s\\n' \"$j\" >\"$n\" && sync \"$n\"; }}; w || {{ {ROOM}; w; }}; \
         if ln \"$n\" \"$f\" 2>/dev/null; then rm -f \"$n\"; {}; else rm -f \"$n\"; head -n 1 \"$f\"; exit {UNFINISHED}; fi",
        demand_higher(header.epoch),
        write_epoch(&token.line())
    ))
    .stdin(line(header))
}

/// Leaves a higher epoch on a host, so that this operation may make steps there from now on, and whoever had it before may
/// not. With `journal`, the whole journal is written there as well: the host has another one, or missed the beginning.
pub fn claim(token: &Token, journal: Option<&Record>) -> Request {
    let higher = demand_higher(token.epoch);
    let epoch = write_epoch(&token.line());
    match journal {
        None => Request::sh(format!("set -eu; {higher}; {epoch}")),
        Some(record) => Request::sh(format!(
            "set -eu; {higher}; n={OPERATION}.$$; cat >\"$n\"; sync \"$n\"; mv -f \"$n\" {OPERATION}; {epoch}"
        ))
        .stdin(text(record)),
    }
}

/// Shell that ends with [`OVERTAKEN`] unless this operation with this epoch may make steps on the host. It comes first in
/// the script of every step, in the same shell.
pub fn proof(token: &Token) -> String {
    format!(
        "hactl_e=; [ ! -e {EPOCH} ] || read -r hactl_e <{EPOCH}; [ \"$hactl_e\" = {} ] || {{ \
         echo \"epoch {} was overtaken on this host by epoch ${{hactl_e:-unknown}}\" >&2; exit {OVERTAKEN}; }}",
        sh(&token.line()),
        token.epoch
    )
}

/// The shell command that adds lines to the journal of the operation under way.
pub fn append(lines: &str) -> String {
    if lines.is_empty() {
        return ":".to_owned();
    }
    let mut script = String::new();
    let _ = write!(
        script,
        "hactl_w() {{ printf %s {} >>{OPERATION} && sync {OPERATION}; }}; \
         {{ [ -e {OPERATION} ] && {{ n=$(wc -c <{OPERATION}); hactl_w || {{ truncate -s \"$n\" {OPERATION}; {ROOM}; \
         hactl_w || {{ truncate -s \"$n\" {OPERATION}; false; }}; }}; }}; }}",
        sh(lines)
    );
    script
}

/// Shell that takes away what told the host's own units of the operation.
fn forget_intents() -> String {
    format!(
        "[ ! -e {INTENTS} ] || {{ while read -r p; do rm -f \"$p\"; done <{INTENTS}; rm -f {INTENTS}; }}"
    )
}

/// Ends an operation on a host: a last line, it becomes history, and its epoch is used up. To be told twice does no harm;
/// a host that another operation has meanwhile is left alone ([`OVERTAKEN`]).
pub fn finish(token: &Token, end: &End) -> Request {
    let ended = format!("{} ended", token.line());
    Request::sh(format!(
        "set -eu; umask 077; hactl_e=; [ ! -e {EPOCH} ] || read -r hactl_e <{EPOCH}; \
         [ \"$hactl_e\" != {} ] || exit 0; [ \"$hactl_e\" = {} ] || {{ echo \"epoch $hactl_e\" >&2; exit {OVERTAKEN}; }}; \
         f={OPERATION}; if [ -e \"$f\" ]; then cat >>\"$f\"; sync \"$f\"; mkdir -p {HISTORY}; \
         mv -f \"$f\" {HISTORY}/{}.jsonl; sync {HISTORY}; {}; fi; {}; {}",
        sh(&ended),
        sh(&token.line()),
        sh(&token.id),
        rotate(HISTORY),
        forget_intents(),
        write_epoch(&ended)
    ))
    .stdin(line(end))
}

/// Puts the journal that a host has of an ended operation into its history: with the end that others know, or with this
/// one. A host that has none of this operation is left alone.
pub fn settle(id: &str, ended: &Record) -> Request {
    let file = sh(&format!("{HISTORY}/{id}.jsonl"));
    Request::sh(format!(
        "set -eu; umask 077; mkdir -p {HISTORY}; if head -n 1 {OPERATION} 2>/dev/null | grep -qF {}; then \
         cat >{file}.new; sync {file}.new; mv -f {file}.new {file}; rm -f {OPERATION}; sync {HISTORY} /var/lib/hactl; {}; fi",
        sh(&format!("\"{id}\"")),
        forget_intents()
    ))
    .stdin(text(ended))
}

/// Puts a whole record into a host's history: for what needs no journal while it is under way, and for a host that missed it.
pub fn record(record: &Record) -> Request {
    let file = format!("{HISTORY}/{}.jsonl", record.header.id);
    let file = sh(&file);
    Request::sh(format!(
        "set -eu; umask 077; mkdir -p {HISTORY}; cat >{file}.new; sync {file}.new; mv -f {file}.new {file}; {}",
        rotate(HISTORY)
    ))
    .stdin(text(record))
}

/// A whole journal.
fn text(record: &Record) -> String {
    let mut text = line(&record.header);
    for step in &record.steps {
        text.push_str(&line(step));
    }
    if let Some(end) = &record.end {
        text.push_str(&line(end));
    }
    text
}

/// Prints the header of the operation under way, one line of JSON; nothing when there is none.
pub fn header() -> Request {
    Request::sh(format!("head -n 1 {OPERATION} 2>/dev/null; :"))
}

/// Prints the operation under way and the newest of a host's history ([`RECENT`], and of each kind [`OF_A_KIND`] more, so that
/// many backups hide no failover); read with [`read_all`].
pub fn read() -> Request {
    Request::sh(format!("{SHOW}{}", newest(HISTORY)))
}

/// The same with the whole history.
pub fn read_whole() -> Request {
    Request::sh(format!("{SHOW}{}", whole(HISTORY)))
}

const SHOW: &str =
    "f=/var/lib/hactl/operation; [ ! -f $f ] || { printf '\\001%s\\n' $f; cat $f; }\n";

fn newest(folder: &str) -> String {
    print(
        folder,
        &format!("awk -F- 'NR <= {RECENT} || n[$2]++ < {OF_A_KIND}'"),
    )
}

fn whole(folder: &str) -> String {
    print(folder, "cat")
}

/// Prints the files that a filter lets through, newest first: their names sort by time. One process for all of them.
fn print(folder: &str, filter: &str) -> String {
    format!(
        "cd {folder} 2>/dev/null || exit 0
LC_ALL=C ls -r | grep '\\.jsonl$' | {filter} | xargs -r tail -v -n +1 -- | sed 's|^==> \\(.*\\) <==$|\\x01{folder}/\\1|'\n"
    )
}

/// Shell that takes the oldest of a history away when there are more than [`KEPT`].
fn rotate(folder: &str) -> String {
    format!(
        "LC_ALL=C ls -r {folder} | grep '\\.jsonl$' | tail -n +{} | while IFS= read -r o; do rm -f {folder}/\"$o\"; done",
        KEPT + 1
    )
}

/// A file of [`read`], and what is in it.
pub type ReadFile = (String, Result<Record>);

/// Reads what [`read`] printed.
pub fn read_all(text: &str) -> Vec<ReadFile> {
    text.split('\u{1}')
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .map(|(file, text)| (file.to_owned(), Record::parse(text)))
        .collect()
}

#[cfg(test)]
mod tests;
