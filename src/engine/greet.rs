//! The first round trip with a host: the run's lock, the facts, and the handlers that an interrupted run still owes.
//!
//! The lock is a descriptor of the root shell (`flock`): it ends with the connection, or with the last command that a
//! killed run had under way. Nothing has to clean it up.

use crate::base::quote::sh;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Item};
use crate::modules::{Request, facts_probe, parse_facts};
use std::collections::BTreeMap;

/// Where hactl keeps its own state on a host, unless the settings say otherwise.
pub const STATE: &str = "/var/lib/hactl";

/// Who takes the lock.
#[derive(Debug, Clone)]
pub struct Operator {
    /// `user@machine`, pid, time, command: what another operator is told.
    pub name: String,
    /// End the shell that holds the lock (`--break-lock`).
    pub break_lock: bool,
}

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
        Request::sh(lock_script(state, operator))
    });
    let facts = facts_probe();
    let owed = Request::sh(format!("cat {state}/pending-handlers 2>/dev/null; :"));
    let counter = Request::sh(COUNTER);
    let mut items: Vec<Item<'_>> = lock
        .iter()
        .map(|request| Item {
            request,
            chained: false,
            holds_lock: true,
            looks: false,
        })
        .collect();
    let first = items.len();
    items.extend([&counter, &facts, &owed].map(|request| Item {
        request,
        chained: false,
        holds_lock: false,
        looks: true,
    }));
    let mut replies = connection.shell.batch(&items).await?;
    if let Some(operator) = operator
        && replies[0].code == HELD
    {
        let holder = replies[0].out().trim().to_owned();
        if is_dead(&holder, &operator.name) {
            say(format!(
                "a run that was killed has left something at work here; waiting for its end ({holder})"
            ));
            let wait = Request::sh(format!("flock -w {LAST_COMMAND} 9"));
            connection
                .shell
                .batch(&[Item {
                    request: &wait,
                    chained: false,
                    holds_lock: true,
                    looks: false,
                }])
                .await?;
            // Once more from the start: it may have changed what was read.
            replies = connection.shell.batch(&items).await?;
        }
    }
    if first == 1 {
        let reply = &replies[0];
        match reply.code {
            0 => {}
            HELD => {
                return Err(Diagnostic::with_code(
                    exit::REFUSED,
                    "another operator is at work on this host",
                )
                .note(format!("held by {}", reply.out().trim()))
                .help("wait until that run ends; if it is certainly dead: --break-lock"));
            }
            _ => {
                return Err(Diagnostic::with_code(
                    exit::FAILED,
                    format!("cannot take the lock in {state}"),
                )
                .note(reply.err().trim().to_owned())
                .help("is the disk full or read-only?"));
            }
        }
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

/// The lock's request says with it that somebody else has the lock.
const HELD: i32 = 75;

/// So many seconds a killed run's last command is waited for.
const LAST_COMMAND: u32 = 300;

/// Whether the run that holds a lock was on this machine, under this user, and is no more. Its last command still is.
/// To be wrong here only means to wait for a lock that somebody has.
fn is_dead(holder: &str, me: &str) -> bool {
    let place = |name: &str| name.split(", ").next().map(str::to_owned);
    let pid = |name: &str| name.split(", pid ").nth(1)?.split(',').next()?.parse().ok();
    place(holder) == place(me)
        && pid(holder).is_some_and(|pid| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None)
                == Err(nix::errno::Errno::ESRCH)
        })
}

fn lock_script(state: &str, operator: &Operator) -> String {
    let holder = format!("{state}/lock.holder");
    // Through `cat`: the shell's own printf does not say that a disk is full.
    let take = format!(
        "printf '%s\\nshell %s\\n' {} $$ | cat >{holder} && exit 0; exit 1",
        sh(&operator.name)
    );
    let break_lock = if operator.break_lock {
        // Only a shell that still has the lock file open is ended; a pid that was reused does not. It notices when the
        // command that it runs ends, and so that is ended too.
        format!(
            "p=$(sed -n 's/^shell //p' {holder}); if [ -n \"$p\" ] && [ \"$(readlink /proc/$p/fd/9)\" = {state}/lock ]; \
             then kill -HUP \"$p\"; for s in /proc/[0-9]*/stat; do read -r pid name run parent rest <\"$s\"; \
             [ \"$parent\" != \"$p\" ] || kill \"$pid\"; done 2>/dev/null; fi; flock -w 10 9 && {{ {take}; }}; "
        )
    } else {
        String::new()
    };
    format!(
        "[ -e /proc/self/fd/9 ] || {{ : >>{state}/lock; exit 1; }}; flock -n 9 && {{ {take}; }}; {break_lock}head -n 1 {holder}; exit 75"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_this_place_can_be_known_to_be_dead() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let gone = child.id();
        child.wait().expect("its end");
        let me = "a@m, `hactl deploy`, pid 1, since now";
        for (holder, dead) in [
            (format!("a@m, `hactl deploy`, pid {gone}, since then"), true),
            (
                format!("b@m, `hactl deploy`, pid {gone}, since then"),
                false,
            ),
            (
                format!("a@n, `hactl deploy`, pid {gone}, since then"),
                false,
            ),
            (
                format!(
                    "a@m, `hactl deploy`, pid {}, since then",
                    std::process::id()
                ),
                false,
            ),
            ("a@m".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_dead(&holder, me), dead, "{holder}");
        }
    }
}
