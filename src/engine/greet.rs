//! The first round trip with a host: the run's lock, the facts, and the handlers that an interrupted run still owes.

use super::lock::{self, Operator};
use crate::base::Result;
use crate::base::value::{Map, Value};
use crate::connection::{Connection, Item};
use crate::modules::{Request, facts_probe, parse_facts};
use std::collections::BTreeMap;

/// Where hactl keeps its own state on a host, unless the settings say otherwise.
pub const STATE: &str = "/var/lib/hactl";

/// What a host says at first.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Its facts.
    pub facts: Map<String, Value>,
    /// Notified handlers that were never run, by play.
    pub owed: BTreeMap<String, Vec<String>>,
    /// Processes started on the host so far (the kernel's counter), to take the difference at the end.
    pub processes: Option<u64>,
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
    let counter = Request::sh(COUNTER);
    let mut items: Vec<Item<'_>> = lock.iter().map(lock::item).collect();
    let first = items.len();
    items.extend([&counter, &facts, &owed].map(|request| Item {
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
    let mut greeting = Greeting {
        facts: parse_facts(&replies[first + 1])?,
        processes: replies[first].out().trim().parse().ok(),
        ..Greeting::default()
    };
    for line in replies[first + 2].out().lines() {
        if let Some((play, handler)) = line.split_once('\t') {
            let handlers = greeting.owed.entry(play.to_owned()).or_default();
            if !handlers.iter().any(|known| known == handler) {
                handlers.push(handler.to_owned());
            }
        }
    }
    Ok(greeting)
}

/// Notes handlers as owed before the change that notifies them is made.
pub fn owe(state: &str, play: &str, handlers: &[String]) -> Request {
    let lines: String = handlers
        .iter()
        .map(|handler| format!("{play}\t{handler}\n"))
        .collect();
    Request::sh(format!("mkdir -p -m 0700 {state} && cat >>{state}/pending-handlers && sync {state}/pending-handlers")).stdin(lines)
}

/// Crosses out handlers that have run, or that turned out not to be notified.
pub fn settle(state: &str, play: &str, handlers: &[String]) -> Request {
    let lines: String = handlers
        .iter()
        .map(|handler| format!("{play}\t{handler}\n"))
        .collect();
    let file = format!("{state}/pending-handlers");
    Request::sh(format!(
        "[ -s {file} ] || exit 0; grep -vxF -f /dev/stdin {file} >{file}.new; sync {file}.new; mv {file}.new {file}"
    ))
    .stdin(lines)
}
