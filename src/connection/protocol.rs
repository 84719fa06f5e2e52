//! The bytes of a batch and of its replies.
//!
//! A batch is one compound command: the shell runs nothing of it before all of it has arrived, so a connection that
//! breaks halfway changes nothing. Each reply is a line `NONCE index code stdout-length stderr-length` and then
//! exactly so many bytes. Replies of items that only look come together: all their lines, marked with ` +`, a line
//! `NONCE =`, and then the bytes of all. Input travels as base64 in a here-document; secrets are therefore never in an argument list.

use crate::base::quote::sh;
use crate::modules::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// One request of a batch.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// What to run.
    pub request: &'a Request,
    /// Run only if the item before it succeeded (the steps of one change).
    pub chained: bool,
    /// Keeps descriptor 9, the run's lock, open: only for the request that takes the lock.
    pub holds_lock: bool,
    /// Looks and changes nothing: its reply may come together with those of its neighbours, which saves two processes
    /// on the host for each of them.
    pub looks: bool,
}

/// The reply code of an item that was not run because the one before it failed.
pub const NOT_RUN: i32 = -1;

/// What the shell must know before its first batch: a directory in memory for captured output, and the framing.
///
/// `lock` is the directory whose file `lock` is to be held open as descriptor 9. A failure to open it is not fatal
/// here; the request that takes the lock sees it.
///
/// `$hactl_t` is private (0700) and goes away with the shell; also when a signal comes in the middle of its end, where dash
/// would leave the first trap for the second. Descriptor 9 holds the run's lock and is closed for commands.
pub fn prelude(nonce: &str, lock: Option<&str>) -> String {
    let lock = lock.map_or_else(String::new, |directory| {
        format!(
            "mkdir -p -m 0700 {directory} 2>/dev/null; if {{ true >>{directory}/lock; }} 2>/dev/null; then exec 9>>{directory}/lock; fi\n"
        )
    });
    let text = format!(
        "unset HISTFILE ENV; LC_ALL=C.UTF-8; export LC_ALL; umask 022\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n\
         hactl_n={nonce}; hactl_c=0; hactl_t=$(mktemp -d /run/hactl.XXXXXXXX 2>/dev/null || mktemp -d) || exit 97\n\
         trap 'rm -rf \"$hactl_t\"' EXIT; trap 'rm -rf \"$hactl_t\"; exit 129' HUP INT TERM PIPE\n\
         F() {{ if [ -s \"$hactl_t/o\" ] || [ -s \"$hactl_t/e\" ]; then\n\
         printf '%s %s %s %s %s\\n' \"$hactl_n\" \"$1\" \"$hactl_c\" $(stat -c %s \"$hactl_t/o\" \"$hactl_t/e\"); cat \"$hactl_t/o\" \"$hactl_t/e\"\n\
         else printf '%s %s %s 0 0\\n' \"$hactl_n\" \"$1\" \"$hactl_c\"; fi; }}\n\
         G() {{ set -- $(cd \"$hactl_t\" && stat -c %s $hactl_f); for hactl_i in $hactl_g; do\n\
         printf '%s %s %s %s %s +\\n' \"$hactl_n\" \"${{hactl_i%:*}}\" \"${{hactl_i#*:}}\" \"$1\" \"$2\"; shift 2; done\n\
         printf '%s =\\n' \"$hactl_n\"; (cd \"$hactl_t\" && exec cat $hactl_f); hactl_f=; hactl_g=; }}\n\
         S() {{ printf '%s %s {NOT_RUN} 0 0\\n' \"$hactl_n\" \"$1\"; }}\n"
    );
    text + &lock
}

/// The text of a batch. `login` is the user that the shell itself runs as.
pub fn encode(nonce: &str, login: &str, items: &[Item<'_>]) -> String {
    let mut text = String::from("{\n");
    for (index, item) in items.iter().enumerate() {
        let input = if item.request.stdin.is_empty() {
            "/dev/null"
        } else {
            let _ = writeln!(text, "base64 -d >\"$hactl_t/i\" <<'{nonce}'");
            for line in STANDARD.encode(&item.request.stdin).as_bytes().chunks(1024) {
                text.push_str(std::str::from_utf8(line).unwrap_or_default());
                text.push('\n');
            }
            let _ = writeln!(text, "{nonce}");
            "\"$hactl_t/i\""
        };
        let body = command(item.request, login);
        let close = if item.holds_lock { "" } else { "exec 9>&-; " };
        if item.looks {
            // Noted now, told at once with those that follow.
            let told = if items.get(index + 1).is_some_and(|next| next.looks) {
                ""
            } else {
                "; G"
            };
            let _ = writeln!(
                text,
                "( {close}{body} ) <{input} >\"$hactl_t/o{index}\" 2>\"$hactl_t/e{index}\"; hactl_c=$?; \
                 hactl_f=\"$hactl_f o{index} e{index}\"; hactl_g=\"$hactl_g {index}:$hactl_c\"{told}"
            );
            continue;
        }
        let run = format!(
            "( {close}{body} ) <{input} >\"$hactl_t/o\" 2>\"$hactl_t/e\"; hactl_c=$?; F {index}"
        );
        if item.chained && index > 0 {
            let _ = writeln!(
                text,
                "if [ \"$hactl_c\" = 0 ]; then {run}; else S {index}; fi"
            );
        } else {
            let _ = writeln!(text, "{run}");
        }
    }
    if items.iter().any(|item| !item.request.stdin.is_empty()) {
        text.push_str("rm -f \"$hactl_t/i\"\n");
    }
    text.push_str("}\n");
    text
}

fn command(request: &Request, login: &str) -> String {
    let mut text = String::new();
    for (name, value) in &request.environment {
        let _ = write!(text, "export {name}={}; ", sh(value));
    }
    if let Some(directory) = &request.chdir {
        let _ = write!(text, "cd {} || exit 1; ", sh(directory));
    }
    let limit = request
        .timeout_seconds
        .map(|seconds| format!("timeout -k 5 {seconds} "))
        .unwrap_or_default();
    match &request.user {
        Some(user) if user != login => {
            let quoted = sh(user);
            // A directory that the other user may not enter would make its shell complain.
            let chdir = if request.chdir.is_none() {
                "cd /; "
            } else {
                ""
            };
            let _ = write!(
                text,
                "{chdir}HOME=$(getent passwd {quoted} | cut -d: -f6) USER={quoted} LOGNAME={quoted}; \
                 export HOME USER LOGNAME; exec {limit}runuser -u {quoted} -- sh -c {}",
                sh(&request.script)
            );
        }
        _ if limit.is_empty() => {
            let _ = write!(text, "eval {}", sh(&request.script));
        }
        _ => {
            let _ = write!(text, "exec {limit}sh -c {}", sh(&request.script));
        }
    }
    text
}

/// The head of one reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Which item of the batch.
    pub index: usize,
    /// Its exit code, or [`NOT_RUN`].
    pub code: i32,
    /// Bytes of standard output that follow.
    pub out: usize,
    /// Bytes of standard error that follow these.
    pub err: usize,
    /// More heads follow, and then the bytes of all of them in the same order.
    pub more: bool,
}

/// Reads a head. `None` when the line is not one of this run (a banner, a lecture).
pub fn head(nonce: &str, line: &str) -> Option<Head> {
    let rest = line.strip_prefix(nonce)?.strip_prefix(' ')?;
    let mut fields = rest.trim_end().split(' ');
    let head = Head {
        index: fields.next()?.parse().ok()?,
        code: fields.next()?.parse().ok()?,
        out: fields.next()?.parse().ok()?,
        err: fields.next()?.parse().ok()?,
        more: false,
    };
    match fields.next() {
        None => Some(head),
        Some("+") if fields.next().is_none() => Some(Head { more: true, ..head }),
        Some(_) => None,
    }
}

/// Whether a line ends the heads of replies that come together.
pub fn end_of_heads(nonce: &str, line: &str) -> bool {
    line.strip_prefix(nonce)
        .is_some_and(|rest| rest.trim_end() == " =")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_of_another_run_are_not_ours() {
        assert_eq!(
            head("abc", "abc 3 0 12 0\n"),
            Some(Head {
                index: 3,
                code: 0,
                out: 12,
                err: 0,
                more: false,
            })
        );
        for line in [
            "",
            "abd 3 0 12 0",
            "abc 3 0 12",
            "abc 3 0 12 0 9",
            "abc 3 0 12 0 + 9",
            "abc =",
            "abc x 0 1 1",
            "abcdef 3 0 12 0",
        ] {
            assert_eq!(head("abc", line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn head_never_panics(line in ".*") {
            let _ = head("n", &line);
        }

        #[test]
        fn a_script_cannot_leave_its_quotes(script in "[ -~\\n]{0,60}") {
            let request = Request::sh(script);
            let text = encode("NONCE", "root", &[Item { request: &request, chained: false, holds_lock: false, looks: false }]);
            let line = text.strip_prefix("{\n").and_then(|t| t.strip_suffix("}\n")).expect("framed");
            let words = shlex::split(line).expect("balanced quotes");
            let eval = words.iter().position(|word| word == "eval").expect("an eval");
            prop_assert_eq!(&words[eval + 1], &request.script);
        }
    }
}
