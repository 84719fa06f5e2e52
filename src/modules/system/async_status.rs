//! `async_status`: what became of a command that was started with `poll: 0`.
//!
//! Reads the job's folder on the host; what its module makes of that is the engine's.

use super::support::{Simple, change, done, outcome, reply};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Decision, Kind, Param, Probe, Reply, Seen, Spec};
use base64::Engine as _;
use serde_json::json;

/// The key under which the replies of a job that has ended are given to the engine.
pub const REPLIES: &str = "hactl_replies";

/// Where jobs are kept, for the shell.
pub const JOBS: &str = "\"${HOME:-/root}/.hactl_async\"";

pub(super) static ASYNC_STATUS: Simple = Simple {
    spec: &Spec {
        names: &["async_status", "ansible.builtin.async_status"],
        params: &[
            Param::new("jid", Kind::Str).required(),
            Param::new("mode", Kind::Str).choices(&["cleanup", "status"]),
        ],
        summary: "what became of a task with `poll: 0`",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish: done,
};

fn name(args: &Args) -> Result<&str> {
    let name = args.str_or("jid", "");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(
            Diagnostic::new(format!("`{}` is no job", quote::for_terminal(name)))
                .help("give `jid` what the starting task registered as `ansible_job_id`"),
        );
    }
    Ok(name)
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let name = name(args)?;
    let script = format!(
        "cd {JOBS}/{name} 2>/dev/null || {{ echo none; exit 0; }}\n\
         if [ ! -e end ] && {{ [ ! -s pid ] || kill -0 \"$(cat pid)\" 2>/dev/null; }}; then echo runs; exit 0; fi\n\
         # Looked at again: it may have ended between the two questions, and writes that before it goes.\n\
         [ -e end ] || {{ echo lost; exit 0; }}\n\
         echo ended\nn=0; while [ -e \"rc$n\" ]; do cat \"rc$n\"; base64 -w 0 \"out$n\"; echo; base64 -w 0 \"err$n\"; echo; n=$((n + 1)); done"
    );
    Ok(vec![Probe::Run(args.request(script))])
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = name(args)?;
    let said = reply(seen, 0)?.out().into_owned();
    let mut lines = said.lines();
    let state = lines.next().unwrap_or_default();
    let path = format!("~/.hactl_async/{name}");
    if args.str_or("mode", "status") == "cleanup" {
        let shown = outcome(json!({"ansible_job_id": name, "erased": path, "changed": false}));
        if state == "none" {
            return Ok(Decision::Same(shown));
        }
        let request = args.request(format!("rm -rf -- {JOBS}/{name}"));
        return Ok(change(Vec::new(), request, shown));
    }
    let mut shown = outcome(json!({
        "ansible_job_id": name, "results_file": path, "started": true, "finished": state != "runs", "changed": false,
    }));
    match state {
        "runs" => {}
        "ended" => {
            let lines: Vec<&str> = lines.collect();
            let text = |text: Option<&&str>| Value::from(text.copied().unwrap_or_default());
            let replies = lines
                .chunks(3)
                .map(|part| json!([text(part.first()), text(part.get(1)), text(part.get(2))]))
                .collect();
            shown.insert(REPLIES.to_owned(), Value::Array(replies));
        }
        _ => {
            shown.insert("failed".into(), true.into());
            let why = if state == "none" {
                "could not find job".to_owned()
            } else {
                "the job ended without an answer: the host was restarted, or it was killed"
                    .to_owned()
            };
            shown.insert("msg".into(), why.into());
        }
    }
    Ok(Decision::Same(shown))
}

/// The replies that an outcome of a job holds.
pub fn replies(outcome: &mut crate::modules::Outcome) -> Option<Vec<Reply>> {
    let Some(Value::Array(parts)) = outcome.remove(REPLIES) else {
        return None;
    };
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap_or_default()
    };
    let one = |part: &Value| Reply {
        code: part[0].as_str().unwrap_or_default().parse().unwrap_or(-1),
        stdout: bytes(&part[1]),
        stderr: bytes(&part[2]),
        milliseconds: 0,
    };
    Some(parts.iter().map(one).collect())
}
