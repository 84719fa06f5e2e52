//! The first round trip with a host: the run's lock, the facts, and the handlers that an interrupted run still owes.

use super::lock::{self, Operator};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use crate::connection::{Connection, Item};
use crate::modules::{Request, facts_probe, parse_facts};
use crate::play::Play;
use std::collections::BTreeMap;

/// Where hactl keeps its own state on a host, unless the settings say otherwise.
pub const STATE: &str = "/var/lib/hactl";

/// What a host says at first.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Its facts.
    pub facts: Map<String, Value>,
    /// Notified handlers that were never run, by owner ([`owner`]).
    pub owed: BTreeMap<String, Vec<String>>,
    /// Processes started on the host so far (the kernel's counter), to take the difference at the end.
    pub processes: Option<u64>,
    /// The first line of an operation's journal (`ops::operation::journal`), when one is not finished.
    pub unfinished: Option<String>,
}

impl Greeting {
    /// Nothing is deployed into a switchover, failover or rejoin that has not come to its end: what is seen of the roles
    /// meanwhile is not what they are to be.
    ///
    /// # Errors
    /// Exit code 2 when there is such an operation on the host.
    pub fn demand_no_operation(&self) -> Result<()> {
        let Some(line) = &self.unfinished else {
            return Ok(());
        };
        let header: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        let text = |name: &str| header[name].as_str().map(str::to_owned);
        let kind = text("kind").unwrap_or_else(|| "operation".to_owned());
        let mut error = Diagnostic::refused(format!(
            "an unfinished {kind} is on this host: nothing is deployed into it"
        ));
        if let Some(operator) = text("operator") {
            error = error.note(format!("begun by {operator}"));
        }
        Err(error.help("hactl status shows how things are; hactl resume takes it up; deploy then"))
    }
}

/// Reads the newest process id of the host without starting a process. Threads and other people's processes count too,
/// so that the difference is an upper bound.
pub const COUNTER: &str =
    "read -r one five fifteen running newest </proc/loadavg && echo \"$newest\"";

/// Takes the lock (unless this run changes nothing), reads facts and owed handlers: one round trip.
///
/// # Errors
/// Exit code 2 when another operator holds the lock, naming them; a lost connection.
pub async fn greet(
    connection: &mut Connection,
    state: &str,
    operator: Option<&Operator>,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Greeting> {
    let lock = operator.map(|operator| {
        connection.shell.open_lock(state);
        lock::request(state, operator)
    });
    let facts = facts_probe();
    let owed = Request::sh(format!("cat {state}/pending-handlers 2>/dev/null; :"));
    let unfinished = Request::sh(format!(
        "[ ! -e {state}/operation ] || head -n 1 {state}/operation | grep . || echo unreadable"
    ));
    let counter = Request::sh(COUNTER);
    let mut items: Vec<Item<'_>> = lock.iter().map(lock::item).collect();
    let first = items.len();
    items.extend([&counter, &facts, &owed, &unfinished].map(|request| Item {
        request,
        chained: false,
        holds_lock: false,
        looks: true,
    }));
    let mut replies = connection.shell.batch(&items).await?;
    if let Some(operator) = operator {
        if lock::wait_for_the_dead(connection, &replies[0], operator, say).await? {
            // Once more from the start: it may have changed what was read.
            replies = connection.shell.batch(&items).await?;
        }
        lock::judge(&replies[0], state)?;
    }
    let operation = replies[first + 3].out().trim().to_owned();
    let mut greeting = Greeting {
        unfinished: Some(operation).filter(|line| !line.is_empty()),
        facts: parse_facts(&replies[first + 1])?,
        processes: replies[first].out().trim().parse().ok(),
        ..Greeting::default()
    };
    for line in replies[first + 2].out().lines() {
        if let Some((owner, handler)) = line.rsplit_once('\t') {
            let handlers = greeting.owed.entry(owner.to_owned()).or_default();
            if !handlers.iter().any(|known| known == handler) {
                handlers.push(handler.to_owned());
            }
        }
    }
    Ok(greeting)
}

/// Whose a handler is: the project, the file of the play inside it, the play. Of two projects with plays and handlers of
/// the same names neither runs what the other owes.
pub fn owner(project: &str, play: &Play) -> String {
    let file = play.span.file.path.as_str();
    // A file of the binary and the user's copy of it are one.
    let file = file.strip_prefix("embedded:").unwrap_or(file);
    [project, file, &play.name].map(field).join("\t")
}

/// A name as one field of a line.
pub fn field(name: &str) -> String {
    name.replace(['\t', '\n', '\r'], " ")
}

/// Drops whatever is owed on the host.
pub fn forget(state: &str) -> Request {
    Request::sh(format!("rm -f {state}/pending-handlers"))
}

/// Notes handlers as owed before the change that notifies them is made.
pub fn owe(state: &str, owner: &str, handlers: &[String]) -> Request {
    let lines: String = handlers
        .iter()
        .map(|handler| format!("{owner}\t{handler}\n"))
        .collect();
    Request::sh(format!("mkdir -p -m 0700 {state} && cat >>{state}/pending-handlers && sync {state}/pending-handlers")).stdin(lines)
}

/// Crosses out handlers that have run, or that turned out not to be notified.
pub fn settle(state: &str, owner: &str, handlers: &[String]) -> Request {
    let lines: String = handlers
        .iter()
        .map(|handler| format!("{owner}\t{handler}\n"))
        .collect();
    let file = format!("{state}/pending-handlers");
    Request::sh(format!(
        "[ -s {file} ] || exit 0; grep -vxF -f /dev/stdin {file} >{file}.new; sync {file}.new; mv {file}.new {file}"
    ))
    .stdin(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unfinished_is_named() {
        let judge = |line: Option<&str>| {
            Greeting {
                unfinished: line.map(str::to_owned),
                ..Greeting::default()
            }
            .demand_no_operation()
        };
        assert!(judge(None).is_ok());
        for (line, said, by) in [
            (
                r#"{"id":"1","kind":"failover","operator":"me@here, pid 1","started":1}"#,
                "an unfinished failover",
                "begun by me@here, pid 1",
            ),
            // A line that was cut off refuses as well.
            (r#"{"id":"1","kind":"fail"#, "an unfinished operation", ""),
            ("unreadable", "an unfinished operation", ""),
        ] {
            let error = judge(Some(line)).expect_err(line);
            assert_eq!(error.code, crate::base::exit::REFUSED, "{line}");
            let text = error.to_string();
            assert!(text.contains(said), "{text}");
            assert!(
                by.is_empty() || format!("{error:?}").contains(by),
                "{error:?}"
            );
        }
    }
}
