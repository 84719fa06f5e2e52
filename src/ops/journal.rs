//! What was done to a service, kept on its own hosts: the operation that is under way, and the ones that ended.
//!
//! An operation is a file of JSON lines: a header, a line for each step that was begun or done, and a last line when it
//! ended. While it is unfinished it is [`OPERATION`], on every database host that could be reached, so that any operator
//! on any machine can see it and take it up; ended, it is moved to [`HISTORY`]. A journal never holds a secret.

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

/// Facts that steps have found out, for the steps after them: a log position, a timeline.
pub type Notes = BTreeMap<String, String>;

/// Which operation, of whom, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Unique, and sorts by time.
    pub id: String,
    /// `switchover`, `failover`, `rejoin`, `backup`…
    pub kind: String,
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

/// Begins an operation on a host, unless another one is unfinished there (then [`UNFINISHED`], with its header on stdout).
pub fn begin(header: &Header) -> Request {
    // `ln` fails when the name is taken, so that of two that begin at once only one does.
    Request::sh(format!(
        "set -eu; umask 077; mkdir -p /var/lib/hactl; f={OPERATION}; n=$f.$$; cat >\"$n\"; sync \"$n\"; \
         if ln \"$n\" \"$f\" 2>/dev/null; then rm -f \"$n\"; sync /var/lib/hactl; else rm -f \"$n\"; head -n 1 \"$f\"; exit {UNFINISHED}; fi"
    ))
    .stdin(line(header))
}

/// The shell command that adds lines to the journal of the operation under way. On a host that does not know the operation
/// (it could not be reached when it began) it does nothing.
pub fn append(lines: &str) -> String {
    let mut script = String::new();
    let _ = write!(
        script,
        "{{ [ ! -e {OPERATION} ] || {{ printf %s {} >>{OPERATION} && sync {OPERATION}; }}; }}",
        sh(lines)
    );
    script
}

/// Ends an operation on a host: a last line, and it becomes history. To be told twice does no harm.
pub fn finish(id: &str, end: &End) -> Request {
    Request::sh(format!(
        "set -eu; umask 077; f={OPERATION}; [ -e \"$f\" ] || exit 0; cat >>\"$f\"; sync \"$f\"; mkdir -p {HISTORY}; \
         mv -f \"$f\" {HISTORY}/{}.jsonl; sync {HISTORY}; {}",
        sh(id),
        rotate(HISTORY)
    ))
    .stdin(line(end))
}

/// Puts a whole record into a host's history: for what needs no journal while it is under way, and for a host that missed it.
pub fn record(record: &Record) -> Request {
    let mut text = line(&record.header);
    for step in &record.steps {
        text.push_str(&line(step));
    }
    if let Some(end) = &record.end {
        text.push_str(&line(end));
    }
    let file = format!("{HISTORY}/{}.jsonl", record.header.id);
    let file = sh(&file);
    Request::sh(format!(
        "set -eu; umask 077; mkdir -p {HISTORY}; cat >{file}.new; sync {file}.new; mv -f {file}.new {file}; {}",
        rotate(HISTORY)
    ))
    .stdin(text)
}

/// Takes an operation off a host that missed its end; [`record`] puts the whole of it there.
pub fn forget(id: &str) -> Request {
    Request::sh(format!(
        "if head -n 1 {OPERATION} 2>/dev/null | grep -qF {}; then rm -f {OPERATION}; fi",
        sh(&format!("\"{id}\""))
    ))
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
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            reason: "it's\nslow".to_owned(),
            ..Header::new("switchover", "me@here", "")
        }
    }

    fn step(name: &str, state: StepState) -> StepLine {
        StepLine {
            step: name.to_owned(),
            state,
            at: 1,
            notes: [("lsn".to_owned(), "0/3".to_owned())].into(),
        }
    }

    #[test]
    fn a_line_that_was_cut_off_did_not_happen() {
        let header = header();
        let text = line(&header)
            + &line(&step("stop", StepState::Begun))
            + &line(&step("stop", StepState::Done));
        let whole = Record::parse(&text).expect("a record");
        assert_eq!(whole.state("stop"), Some(StepState::Done));
        assert_eq!(whole.notes()["lsn"], "0/3");
        let cut = Record::parse(&text[..text.len() - 4]).expect("a record");
        assert_eq!(cut.state("stop"), Some(StepState::Begun));
        assert_eq!(cut.state("promote"), None);
        let torn = text.replacen("begun", "beg", 1);
        let error = Record::parse(&torn).expect_err("torn in the middle");
        assert!(error.message.contains("line 2"), "{error}");
        assert!(Record::parse("").is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = header().id;
        assert!(early < format!("9{early}"));
        assert_ne!(header().id, early);
    }

    fn shell(script: &str) -> String {
        let out = std::process::Command::new("sh")
            .args(["-c", script])
            .output()
            .expect("sh");
        String::from_utf8(out.stdout).expect("text")
    }

    #[test]
    fn a_long_history_is_read_in_part_and_does_not_grow_for_ever() {
        let folder = std::env::temp_dir().join(format!("hactl-history-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.display().to_string();
        let file = |number: usize, kind: &str, text: &str| {
            let name = format!("20260101T{number:06}Z-{kind}-00ff");
            let header = Header {
                id: name.clone(),
                ..Header::new(kind, "me@here", "")
            };
            let text = if text.is_empty() {
                line(&header)
            } else {
                text.to_owned()
            };
            std::fs::write(folder.join(name + ".jsonl"), text).expect("a file");
        };
        file(1, "failover", "");
        for number in 2..1100 {
            file(number, "vip-move", "");
        }
        // Neither ends its line.
        file(1100, "drill", "torn");
        file(1101, "backup", "");
        std::fs::write(folder.join("20270101T000000Z-drill-1.jsonl.new"), "half").expect("a file");
        let read = read_all(&shell(&newest(&path)));
        let ids: Vec<&str> = read
            .iter()
            .filter_map(|(_, record)| Some(record.as_ref().ok()?.header.id.as_str()))
            .collect();
        // The newest 100, one of which is torn; five more moves, and the failover.
        assert_eq!(ids.len(), 99 + 5 + 1);
        assert!(
            ids[0].contains("-backup-") && ids[104].contains("-failover-"),
            "{ids:?}"
        );
        let torn: Vec<&str> = read
            .iter()
            .filter(|(_, record)| record.is_err())
            .map(|(file, _)| file.as_str())
            .collect();
        assert_eq!(torn, [format!("{path}/20260101T001100Z-drill-00ff.jsonl")]);
        assert_eq!(read_all(&shell(&whole(&path))).len(), 1101);
        shell(&rotate(&path));
        let left = read_all(&shell(&whole(&path)));
        assert_eq!(left.len(), KEPT);
        assert!(left[0].0.contains("-backup-"), "the newest stay");
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(shell(&newest(&path)), "", "without a history there is none");
    }
}
