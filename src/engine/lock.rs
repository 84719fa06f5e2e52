//! The lock of a host: one operator at a time.
//!
//! It is a descriptor of the root shell (`flock`): it ends with the connection, or with the last command that a killed
//! run had under way. Nothing has to clean it up.

use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Item};
use crate::modules::{Reply, Request};

/// Who takes the lock.
#[derive(Debug, Clone)]
pub struct Operator {
    /// `user@machine`, pid, time, command: what another operator is told.
    pub name: String,
    /// End the shell that holds the lock (`--break-lock`).
    pub break_lock: bool,
}

/// Takes the lock in a round trip of its own, before anything else is asked of the host.
///
/// # Errors
/// Exit code 2 when another operator holds the lock, naming them; a lost connection.
pub async fn take(
    connection: &mut Connection,
    state: &str,
    operator: &Operator,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<()> {
    let reply = ask(connection, state, operator).await?;
    settle(connection, reply, state, operator, say).await
}

/// Takes the lock over a further connection of the same run, whose earlier one may not have ended on the host yet.
///
/// # Errors
/// As [`take`].
pub async fn take_again(
    connection: &mut Connection,
    state: &str,
    operator: &Operator,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<()> {
    let mut reply = ask(connection, state, operator).await?;
    let is_mine = |reply: &Reply| reply.code == HELD && reply.out().trim() == operator.name;
    if is_mine(&reply) {
        let breaking = Operator {
            break_lock: true,
            ..operator.clone()
        };
        reply = ask(connection, state, &breaking).await?;
    }
    if is_mine(&reply) {
        // A slow host needs a while to notice; whoever reconnects tries again.
        return Err(Diagnostic::with_code(
            exit::UNREACHABLE,
            "the earlier connection of this run has not ended on the host yet",
        ));
    }
    settle(connection, reply, state, operator, say).await
}

async fn ask(connection: &mut Connection, state: &str, operator: &Operator) -> Result<Reply> {
    connection.shell.open_lock(state);
    let request = request(state, operator);
    let mut replies = connection.shell.batch(&[item(&request)]).await?;
    Ok(replies.swap_remove(0))
}

/// What the first answer means, once what a killed run has left at work has ended.
async fn settle(
    connection: &mut Connection,
    mut reply: Reply,
    state: &str,
    operator: &Operator,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<()> {
    if wait_for_the_dead(connection, &reply, operator, say).await? {
        reply = ask(connection, state, operator).await?;
    }
    judge(&reply, state)
}

/// The request that takes the lock; `open_lock` comes before the first batch.
pub(super) fn request(state: &str, operator: &Operator) -> Request {
    Request::sh(lock_script(state, operator))
}

/// How the lock's request is sent: what comes after it must not inherit the descriptor.
pub(super) fn item(request: &Request) -> Item<'_> {
    Item {
        request,
        chained: false,
        holds_lock: true,
        looks: false,
    }
}

/// When the lock is held by a run that is dead, waits for what that run has left at work; then the lock is to be taken again.
pub(super) async fn wait_for_the_dead(
    connection: &mut Connection,
    reply: &Reply,
    operator: &Operator,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<bool> {
    if reply.code != HELD {
        return Ok(false);
    }
    let holder = reply.out().trim().to_owned();
    if !is_dead(&holder, &operator.name) {
        return Ok(false);
    }
    say(format!(
        "a run that was killed has left something at work here; waiting for its end ({holder})"
    ));
    let wait = Request::sh(format!("flock -w {LAST_COMMAND} 9"));
    connection.shell.batch(&[item(&wait)]).await?;
    Ok(true)
}

/// Whether the lock was taken.
pub(super) fn judge(reply: &Reply, state: &str) -> Result<()> {
    match reply.code {
        0 => Ok(()),
        HELD => Err(Diagnostic::refused("another operator is at work on this host",
        )
        .note(format!("held by {}", reply.out().trim()))
        .help("wait until that run ends; if it is certainly dead: --break-lock")),
        _ => Err(
            Diagnostic::with_code(exit::FAILED, format!("cannot take the lock in {state}"))
                .note(reply.err().trim().to_owned())
                .help("is the disk full or read-only? (df -h /var/lib on that host; journalctl --vacuum-size=50M and apt-get clean make room)"),
        ),
    }
}

/// The lock's request says with it that somebody else has the lock.
const HELD: i32 = 75;

/// Space that is kept on every host for the moment in which its disk is full: journals and fences still have to be
/// written then. Beside the lock.
pub const BALLAST: &str = "ballast";
const BALLAST_BYTES: u32 = 256 << 10;

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
    let ballast = format!("{state}/{BALLAST}");
    // Through `cat`: the shell's own printf does not say that a disk is full.
    // A full disk must not keep the operator out who comes to help: what is kept for that moment is given up, and laid
    // aside again when there is room.
    let take = format!(
        "w() {{ printf '%s\\nshell %s\\n' {} $$ | cat >{holder}; }}; w || {{ rm -f {ballast}; w; }} || exit 1; \
         [ -e {ballast} ] || head -c {BALLAST_BYTES} /dev/zero >{ballast} 2>/dev/null || rm -f {ballast}; exit 0",
        sh(&operator.name)
    );
    let break_lock = if operator.break_lock {
        // Only a shell that still has the lock file open is ended; a pid that was reused does not. It notices when the
        // command that it runs ends, and so that is ended too. One that waits for its next batch notices nothing until its
        // input ends, and so does the connection that it came over: where the network was away, the host would keep that
        // for minutes. Nothing but shells and sudo may be between the two: a run on the host itself belongs to somebody's
        // log-in.
        format!(
            "p=$(sed -n 's/^shell //p' {holder}); if [ -n \"$p\" ] && [ \"$(readlink /proc/$p/fd/9)\" = {state}/lock ]; \
             then kill -HUP \"$p\"; for s in /proc/[0-9]*/stat; do read -r pid name run parent rest <\"$s\"; \
             [ \"$parent\" != \"$p\" ] || kill \"$pid\"; done 2>/dev/null; \
             while [ \"$p\" -gt 1 ] && read -r pid name run parent rest <\"/proc/$p/stat\"; do \
             case $name in '(sshd'*) kill \"$p\"; break;; '(sudo)'|'(sh)'|'(dash)'|'(bash)'|'(zsh)'|'(fish)'|'(ksh'*) ;; *) break;; esac; p=$parent; done 2>/dev/null; fi; flock -w 10 9 && {{ {take}; }}; "
        )
    } else {
        String::new()
    };
    format!(
        "[ -e /proc/self/fd/9 ] || {{ : >>{state}/lock; exit 1; }}; flock -n 9 && {{ {take}; }}; {break_lock}head -n 1 {holder}; exit 75"
    )
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
