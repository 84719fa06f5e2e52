//! Tasks with `poll: 0`: started on their host, told apart by a name, looked after by `async_status`.
//!
//! What is started outlives its connection, never its time limit. What its module would have made of the replies is made
//! when somebody asks, within the same run; a later run is told the bare replies.

use super::runner::Runner;
use super::unit::{Remote, Unit};
use crate::base::Diagnostic;
use crate::base::quote::sh;
use crate::base::value::{Map, UNKNOWN, Value};
use crate::modules::{self, Change, Outcome, Reply, Request};
use base64::Engine as _;
use std::fmt::Write as _;

/// What is known here of something that was started.
#[derive(Clone)]
pub enum Job {
    /// It changes something: the module and its change.
    Started(Box<(Remote, Change)>),
    /// There was nothing to do.
    Idle(Outcome),
}

impl std::fmt::Debug for Job {
    /// Its parameters may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Runner {
    /// The change that starts another one and does not wait for it.
    pub(super) fn detach(&self, remote: &Remote, change: Change) -> Change {
        let name = format!("j{:012}.{}", rand::random::<u32>(), std::process::id());
        let mut start = Request::sh(format!(
            "umask 077; d={}/{name}; mkdir -p -- \"$d\" && cat >\"$d/run\" || exit\n\
             setsid sh \"$d/run\" >/dev/null 2>&1 </dev/null &",
            modules::JOBS
        ));
        start.stdin = program(&change.requests).into_bytes();
        start.user = change
            .requests
            .first()
            .and_then(|request| request.user.clone());
        let started = Change {
            diffs: change.diffs.clone(),
            requests: vec![start],
            outcome: shown(&name),
        };
        let job = Job::Started(Box::new((remote.clone(), change)));
        self.host.data_mut().jobs.insert(name, job);
        started
    }

    /// The outcome of a task with `poll: 0` that has nothing to do.
    pub(super) fn detach_nothing(&self, outcome: Outcome) -> Outcome {
        let name = format!("j{:012}.idle", rand::random::<u32>());
        let started = shown(&name);
        self.host.data_mut().jobs.insert(name, Job::Idle(outcome));
        started
    }

    /// What a task gives in a plan: of a job its name is known once it is started.
    pub(super) fn planned(unit: &Unit, outcome: Outcome) -> Outcome {
        if unit.keywords.detached && unit.keywords.check {
            shown(UNKNOWN)
        } else {
            outcome
        }
    }

    /// What a job came to, in the words of its module.
    pub(super) fn job(&self, mut outcome: Outcome) -> Outcome {
        let name = outcome
            .get("ansible_job_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let job = self.host.data().jobs.get(&name).cloned();
        let replies = modules::replies(&mut outcome);
        let own = match (job, replies) {
            (Some(Job::Idle(own)), _) if !outcome.contains_key("erased") => {
                outcome.remove("failed");
                outcome.remove("msg");
                own
            }
            (Some(Job::Started(job)), Some(replies)) => {
                let (remote, change) = *job;
                match remote.module.finish(&remote.args, &change, &replies) {
                    Ok(mut own) => {
                        own.entry("changed").or_insert(Value::Bool(true));
                        own
                    }
                    Err(error) => failure(&error),
                }
            }
            (None, Some(replies)) => bare(&replies),
            _ => return outcome,
        };
        outcome.extend(own);
        outcome
    }
}

fn shown(name: &str) -> Outcome {
    Map::from_iter([
        ("ansible_job_id".to_owned(), Value::from(name)),
        ("started".to_owned(), Value::Bool(true)),
        ("finished".to_owned(), Value::Bool(false)),
        (
            "results_file".to_owned(),
            Value::from(format!("~/.hactl_async/{name}")),
        ),
        ("changed".to_owned(), Value::Bool(true)),
    ])
}

fn failure(error: &Diagnostic) -> Outcome {
    Map::from_iter([
        ("failed".to_owned(), Value::Bool(true)),
        ("msg".to_owned(), Value::from(error.message.clone())),
    ])
}

/// What the replies say when it is not known any more which module they were for.
fn bare(replies: &[Reply]) -> Outcome {
    let Some(last) = replies.last() else {
        return Map::new();
    };
    Map::from_iter([
        ("rc".to_owned(), Value::from(last.code)),
        ("stdout".to_owned(), Value::from(last.out().trim_end())),
        ("stderr".to_owned(), Value::from(last.err().trim_end())),
        ("failed".to_owned(), Value::Bool(last.code != 0)),
        ("changed".to_owned(), Value::Bool(true)),
    ])
}

/// The program of a job: its requests one after the other, the first that fails ends it; each leaves its reply as files.
fn program(requests: &[Request]) -> String {
    let mut text = "cd \"${0%/*}\" || exit\nrm -f run\necho $$ >pid\n".to_owned();
    for (index, request) in requests.iter().enumerate() {
        let input = base64::engine::general_purpose::STANDARD.encode(&request.stdin);
        let mut body = String::new();
        for (name, value) in &request.environment {
            let _ = write!(body, "export {name}={}; ", sh(value));
        }
        let _ = write!(
            body,
            "cd {} || exit 1; ",
            sh(request.chdir.as_deref().unwrap_or("/"))
        );
        let limit = request
            .timeout_seconds
            .map(|seconds| format!("timeout -k 5 {seconds} "))
            .unwrap_or_default();
        let _ = write!(body, "exec {limit}sh -c {}", sh(&request.script));
        let _ = writeln!(
            text,
            "printf %s {} | base64 -d >in{index}\n( {body} ) <in{index} >out{index} 2>err{index}; c=$?; rm -f in{index}\n\
             echo $c >rc{index}; [ $c = 0 ] || {{ : >end; exit; }}",
            sh(&input)
        );
    }
    text + ": >end\n"
}
