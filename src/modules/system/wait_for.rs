//! Waiting for a port or a path: `wait_for`.
//!
//! One look comes first, with everything else that is probed; only what is not so yet is waited for, on the host.

use super::support::{Simple, outcome, reply, succeeded};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Request, Seen, Spec,
};
use serde_json::json;
use std::net::IpAddr;

pub(super) static WAIT_FOR: Simple = Simple {
    spec: &Spec {
        names: &["wait_for", "ansible.builtin.wait_for"],
        params: &[
            Param::new("host", Kind::Str),
            Param::new("port", Kind::Int),
            Param::new("path", Kind::Path),
            Param::new("state", Kind::Str)
                .choices(&["absent", "drained", "present", "started", "stopped"]),
            Param::new("search_regex", Kind::Str),
            Param::new("timeout", Kind::Int),
            Param::new("connect_timeout", Kind::Int),
            Param::new("delay", Kind::Int),
            Param::new("sleep", Kind::Int),
            Param::new("msg", Kind::Str),
            Param::new("active_connection_states", Kind::List).choices(&[
                "ESTABLISHED",
                "FIN_WAIT1",
                "FIN_WAIT2",
                "SYN_RECV",
                "SYN_SENT",
                "TIME_WAIT",
            ]),
            Param::new("exclude_hosts", Kind::List),
        ],
        one_of: &[(&["port", "path"], false)],
        summary: "waits until a port answers or a path is there",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

fn state(args: &Args) -> &str {
    args.str_or("state", "started")
}

/// The shell condition that is waited for; `None` when only time is.
fn condition(args: &Args) -> Result<Option<String>> {
    let state = state(args);
    // Python's expressions are nearer to Perl's than to grep's own; (?m) is what the real module sets.
    let pattern = args
        .str("search_regex")
        .map(|regex| quote::sh(&format!("(?m){regex}")));
    if let Some(path) = args.str("path") {
        let path = quote::sh(path);
        return match (state, pattern) {
            ("stopped" | "drained", _) => Err(Diagnostic::new(format!(
                "the state `{state}` is about a port, and `path` is given"
            ))),
            ("absent", None) => Ok(Some(format!("[ ! -e {path} ] && [ ! -L {path} ]"))),
            ("absent", Some(pattern)) => Ok(Some(format!(
                "! grep -aqzP -e {pattern} -- {path} 2>/dev/null"
            ))),
            (_, None) => Ok(Some(format!("[ -e {path} ]"))),
            (_, Some(pattern)) => Ok(Some(format!(
                "grep -aqzP -e {pattern} -- {path} 2>/dev/null"
            ))),
        };
    }
    let Some(port) = args.int("port") else {
        return Ok(None);
    };
    if !(1..=65535).contains(&port) {
        return Err(Diagnostic::new(format!("`{port}` is not a port")));
    }
    let host = args.str_or("host", "127.0.0.1");
    let seconds = args.int("connect_timeout").unwrap_or(5).max(1);
    let target = format!("{} {port}", quote::sh(host));
    // dash cannot open sockets; bash is on every Debian.
    let open =
        format!("timeout {seconds} bash -c 'exec 3<>\"/dev/tcp/$1/$2\"' - {target} 2>/dev/null");
    Ok(Some(match (state, pattern) {
        ("stopped" | "absent", _) => format!("! {open}"),
        ("drained", _) => {
            // Connections to or from the port in any state that counts, as the kernel's tables show them.
            let (states, others) = (active(args), excluded(args)?);
            format!(
                "! awk -v p=\"$(printf ':%04X' {port})\" -v x='{others}' 'index($2, p) == length($2) - 4 && $4 ~ /^({states})$/ {{ split($3, a, \":\"); if (!index(x, \" \" a[1] \" \")) f = 1 }} END {{ exit !f }}' /proc/net/tcp /proc/net/tcp6 2>/dev/null"
            )
        }
        (_, None) => open,
        (_, Some(pattern)) => format!(
            "timeout {seconds} bash -c 'exec 3<>\"/dev/tcp/$1/$2\" && while IFS= read -r -t {seconds} -u 3 l || [ -n \"$l\" ]; do printf \"%s\\n\" \"$l\"; l=; done' - {target} 2>/dev/null | grep -aqzP -e {pattern}"
        ),
    }))
}

/// The kernel's numbers of the states in which a connection counts.
fn active(args: &Args) -> String {
    let number = |state: &str| match state {
        "ESTABLISHED" => "01",
        "SYN_SENT" => "02",
        "SYN_RECV" => "03",
        "FIN_WAIT1" => "04",
        "FIN_WAIT2" => "05",
        _ => "06",
    };
    let wished = args.list("active_connection_states");
    if wished.is_empty() {
        return "01|02|03|04|06".to_owned();
    }
    let numbers: Vec<&str> = wished.iter().map(|state| number(state)).collect();
    numbers.join("|")
}

/// The addresses whose connections do not count, as the kernel's tables write them, a space around each.
fn excluded(args: &Args) -> Result<String> {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_le_bytes(bytes));
    let mut text = " ".to_owned();
    for host in args.list("exclude_hosts") {
        let address: IpAddr = host.parse().map_err(|_| {
            Diagnostic::new(format!("`exclude_hosts` takes addresses, not `{host}`"))
        })?;
        let six = match address {
            IpAddr::V4(four) => {
                text = format!("{text}{} ", word(four.octets()));
                four.to_ipv6_mapped()
            }
            IpAddr::V6(six) => six,
        };
        let words: String = six
            .octets()
            .chunks_exact(4)
            .map(|part| word([part[0], part[1], part[2], part[3]]))
            .collect();
        text = format!("{text}{words} ");
    }
    Ok(text)
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    if args.has("exclude_hosts") && state(args) != "drained" {
        return Err(Diagnostic::new(
            "`exclude_hosts` goes with `state: drained` only",
        ));
    }
    let condition = condition(args)?;
    if args.int("delay").unwrap_or(0) > 0 {
        return Ok(Vec::new());
    }
    // The first look is short; a host that does not answer at all is waited for afterwards.
    let quick = |condition: String| {
        let seconds = args.int("connect_timeout").unwrap_or(5).max(1);
        let condition = condition.replace(&format!("timeout {seconds} "), "timeout 1 ");
        Probe::Run(Request::sh(format!(
            "if {condition}; then echo yes; else echo no; fi"
        )))
    };
    Ok(condition.map(quick).into_iter().collect())
}

fn shown(args: &Args, elapsed: u64) -> Outcome {
    outcome(json!({
        "state": state(args), "port": args.int("port"), "path": args.str("path"), "search_regex": args.str("search_regex"),
        "match_groups": [], "match_groupdict": {}, "elapsed": elapsed, "changed": false,
    }))
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let mut result = shown(args, 0);
    if !seen.is_empty() && reply(seen, 0)?.out().trim() == "yes" {
        return Ok(Decision::Same(result));
    }
    if args.check {
        result.insert("skipped".into(), true.into());
        return Ok(Decision::Same(result));
    }
    let delay = args.int("delay").unwrap_or(0).max(0);
    let timeout = args.int("timeout").unwrap_or(300).max(0);
    let pause = args.int("sleep").unwrap_or(1).max(1);
    let script = match condition(args)? {
        Some(condition) => format!(
            "end=$(($(date +%s) + {timeout}))\nsleep {delay}\nwhile :; do\nif {condition}; then exit 0; fi\n\
             [ \"$(date +%s)\" -lt \"$end\" ] || exit 75\nsleep {pause}\ndone"
        ),
        None => format!("sleep {}", delay.max(timeout)),
    };
    let mut request = args.request(script);
    let limit = delay + timeout + args.int("connect_timeout").unwrap_or(5) + pause + 10;
    request.timeout_seconds = u64::try_from(limit).ok();
    Ok(Decision::Change(Change {
        diffs: Vec::new(),
        requests: vec![request],
        outcome: result,
    }))
}

fn finish(args: &Args, _change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let Some(reply) = replies.first() else {
        return Ok(shown(args, 0));
    };
    let mut result = shown(args, reply.milliseconds / 1000);
    if !matches!(reply.code, 75 | 124) {
        succeeded(replies)?;
        return Ok(result);
    }
    let what = match (args.str("path"), args.int("port")) {
        (Some(path), _) => path.to_owned(),
        (_, port) => format!("{}:{}", args.str_or("host", "127.0.0.1"), port.unwrap_or(0)),
    };
    let what = match args.str("search_regex") {
        Some(regex) => format!("search string {regex} in {what}"),
        None => what,
    };
    let timeout = args.int("timeout").unwrap_or(300);
    let message = match state(args) {
        "stopped" => format!("{what} did not stop answering within {timeout} s"),
        "absent" => format!("{what} was still there after {timeout} s"),
        "drained" => format!("{what} still had connections after {timeout} s"),
        _ => format!("Timeout when waiting for {what} ({timeout} s)"),
    };
    result.insert("failed".into(), true.into());
    result.insert("msg".into(), args.str("msg").unwrap_or(&message).into());
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, whole};
    use super::*;
    use serde_json::Value;
    use std::io::Write as _;
    use std::net::TcpListener;

    fn ask(raw: Value) -> (bool, Outcome) {
        let (change, outcome) = whole(&WAIT_FOR, &args(&WAIT_FOR, raw)).expect("asked");
        (change.is_some(), outcome)
    }

    #[test]
    fn ports_are_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.expect("connection").write_all(b"SSH-2.0-x\r\n");
            }
        });
        let closed = TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("address")
            .port();
        let cases = [
            (json!({"port": port}), false, false),
            (
                json!({"port": port, "search_regex": "^SSH-\\d"}),
                false,
                false,
            ),
            (
                json!({"port": port, "search_regex": "nothing", "timeout": 0}),
                true,
                true,
            ),
            (json!({"port": closed, "state": "stopped"}), false, false),
            (json!({"port": closed, "state": "drained"}), false, false),
            (
                json!({"port": closed, "timeout": 1, "msg": "mine"}),
                true,
                true,
            ),
        ];
        for (raw, waited, failed) in cases {
            let (did, outcome) = ask(raw.clone());
            assert_eq!(
                (did, outcome.contains_key("failed")),
                (waited, failed),
                "{raw} {outcome:?}"
            );
        }
    }

    #[test]
    fn connections_that_do_not_count_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let _client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a client");
        let drained = |more: Value| {
            let mut raw = json!({"port": port, "state": "drained", "timeout": 0});
            raw.as_object_mut()
                .expect("a mapping")
                .extend(more.as_object().expect("a mapping").clone());
            !ask(raw).1.contains_key("failed")
        };
        assert!(!drained(json!({})));
        assert!(!drained(
            json!({"exclude_hosts": ["192.0.2.1", "2001:db8::1"]})
        ));
        assert!(drained(json!({"exclude_hosts": ["127.0.0.1"]})));
        assert!(drained(
            json!({"active_connection_states": ["SYN_SENT", "TIME_WAIT"]})
        ));
        let raw = json!({"port": port, "exclude_hosts": ["127.0.0.1"]});
        assert!(probe(&args(&WAIT_FOR, raw)).is_err(), "only with drained");
    }

    #[test]
    fn paths_are_waited_for() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("x y");
        let later = path.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            std::fs::write(later, "a\nready 7\n").expect("written");
        });
        let (waited, outcome) =
            ask(json!({"path": path, "search_regex": "^ready [0-9]+$", "timeout": 10}));
        writer.join().expect("writer");
        assert!(waited && !outcome.contains_key("failed"), "{outcome:?}");
        assert!(!ask(json!({"path": path, "state": "present"})).0);
        assert!(
            ask(json!({"path": path, "state": "absent", "timeout": 0}))
                .1
                .contains_key("failed")
        );
        assert!(!ask(json!({"path": "/no/such", "state": "absent"})).0);
    }
}
