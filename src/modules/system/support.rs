//! What the modules of this family share: the table line with plain functions, and small readers of replies.
//!
//! Nothing here decides anything about a host.

use crate::base::value::{Map, Value, unknown};
use crate::base::{Diagnostic, Result, exit, quote};
use crate::modules::files::mode::{Mode, fresh};
use crate::modules::files::write::{self, Expect, Write};
use crate::modules::{
    Args, Change, Content, Decision, Diff, FileProbe, Module, Outcome, Probe, Reply, Request, Seen,
    Spec,
};
use std::collections::BTreeMap;

/// A module made of a table line and plain functions.
pub(super) struct Simple {
    /// Its table line.
    pub spec: &'static Spec,
    /// [`Module::probe`].
    pub probe: fn(&Args) -> Result<Vec<Probe>>,
    /// [`Module::diff`].
    pub diff: fn(&Args, &[Seen]) -> Result<Decision>,
    /// [`Module::finish`].
    pub finish: fn(&Args, &Change, &[Reply]) -> Result<Outcome>,
}

impl Module for Simple {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        (self.probe)(args)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        (self.diff)(args, seen)
    }

    fn finish(&self, args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        (self.finish)(args, change, replies)
    }
}

/// The ordinary end of a change: it worked, and the outcome is what was foreseen.
pub(super) fn done(_args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    succeeded(replies)?;
    Ok(change.outcome.clone())
}

/// Fails with the first reply that failed.
pub(super) fn succeeded(replies: &[Reply]) -> Result<()> {
    crate::modules::probe::all_succeeded(replies)
}

/// No probe at all.
#[allow(clippy::unnecessary_wraps)] // the shape of a module's function
pub(super) fn nothing(_args: &Args) -> Result<Vec<Probe>> {
    Ok(Vec::new())
}

/// A failure on the host.
pub(super) fn failed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::with_code(exit::FAILED, message)
}

/// The reply to a `Run` probe, whatever its exit code.
pub(super) fn reply(seen: &[Seen], index: usize) -> Result<&Reply> {
    match seen.get(index) {
        Some(Seen::Reply(reply)) => Ok(reply),
        _ => Err(failed("the answer to a probe is missing")),
    }
}

/// The reply to a `Run` probe that must have succeeded.
pub(super) fn good_reply(seen: &[Seen], index: usize) -> Result<&Reply> {
    let reply = reply(seen, index)?;
    succeeded(std::slice::from_ref(reply))?;
    Ok(reply)
}

/// The answer to an `Entry` probe.
pub(super) fn entry(seen: &[Seen], index: usize) -> Option<&Vec<String>> {
    match seen.get(index) {
        Some(Seen::Entry(entry)) => entry.as_ref(),
        _ => None,
    }
}

/// The answer to a `Unit` probe.
pub(super) fn properties(seen: &[Seen], index: usize) -> Result<&BTreeMap<String, String>> {
    match seen.get(index) {
        Some(Seen::Properties(properties)) => Ok(properties),
        _ => Err(failed("the answer about a unit is missing")),
    }
}

/// The content that a `File` probe brought back; `None` when there is no file.
pub(super) fn content(seen: &[Seen], index: usize) -> Option<String> {
    match seen.get(index) {
        Some(Seen::File(Some(file))) => {
            Some(String::from_utf8_lossy(file.content.as_deref().unwrap_or_default()).into_owned())
        }
        _ => None,
    }
}

/// An outcome from a JSON object.
pub(super) fn outcome(value: Value) -> Outcome {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("result".to_owned(), other)]),
    }
}

/// Lines as `stdout_lines` shows them.
pub(super) fn lines(text: &str) -> Value {
    text.lines().map(Value::from).collect()
}

/// A text of these lines, each ended.
pub(super) fn ended_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// A difference in one line.
pub(super) fn diff(
    subject: impl Into<String>,
    before: impl Into<String>,
    after: impl Into<String>,
) -> Diff {
    Diff {
        subject: subject.into(),
        before: before.into(),
        after: after.into(),
    }
}

/// A change of one request.
pub(super) fn change(diffs: Vec<Diff>, request: Request, outcome: Outcome) -> Decision {
    Decision::Change(Change {
        diffs,
        requests: vec![request],
        outcome,
    })
}

/// What a command leaves: `rc`, `stdout`, `stderr` and their lines, `delta`.
pub(super) fn command_outcome(reply: &Reply, strip: bool) -> Outcome {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if strip {
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text
        }
    };
    let (stdout, stderr) = (text(&reply.stdout), text(&reply.stderr));
    let mut outcome = Map::new();
    outcome.insert("rc".into(), reply.code.into());
    outcome.insert("stdout_lines".into(), lines(&stdout));
    outcome.insert("stderr_lines".into(), lines(&stderr));
    outcome.insert("stdout".into(), stdout.into());
    outcome.insert("stderr".into(), stderr.into());
    outcome.insert("delta".into(), delta(reply.milliseconds).into());
    if reply.code != 0 {
        outcome.insert("failed".into(), true.into());
        outcome.insert("msg".into(), "non-zero return code".into());
    }
    outcome
}

/// The keys of [`command_outcome`] before the command ran.
pub(super) fn unknown_command_outcome() -> Outcome {
    ["rc", "stdout", "stderr", "stdout_lines", "stderr_lines"]
        .into_iter()
        .map(|key| (key.to_owned(), unknown()))
        .collect()
}

/// `0:00:01.234000`.
fn delta(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!(
        "{}:{:02}:{:02}.{:03}000",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000
    )
}

/// Writes a whole file on the host as the file modules do: beside its target, synced, renamed, and only if the target is
/// still as `seen[index]`, which the new content was made of. A file that is there keeps its owner and mode; a new one gets
/// `new_mode`.
///
/// # Errors
/// When `new_mode` is not a mode.
pub(super) fn write_file(
    args: &Args,
    path: &str,
    content: &str,
    new_mode: &str,
    expect: Expect,
) -> Result<Request> {
    let mode = Mode::parse(new_mode)?.apply(fresh(false), false);
    Write::whole(path, content.to_owned(), mode, expect).request(args)
}

/// What a file must still be when it is replaced: as a `File` probe saw it.
pub(super) fn as_seen(seen: &[Seen], index: usize) -> Expect {
    match seen.get(index) {
        Some(Seen::File(Some(file))) => {
            Expect::Digest(write::digest(file.content.as_deref().unwrap_or_default()))
        }
        _ => Expect::Nothing,
    }
}

/// What a path is probed for when its whole content is needed.
pub(super) fn whole_file(path: &str) -> Probe {
    Probe::File(FileProbe {
        path: path.to_owned(),
        follow: true,
        content: Content::Whole,
    })
}

/// The last lines of a text, safe to show.
pub(super) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.trim_end().lines().collect();
    quote::for_terminal(&all[all.len().saturating_sub(lines)..].join("\n"))
}

/// Whether a name matches a pattern of `*`, `?` and `[…]`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name))
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// Arguments from JSON, checked as a task's are.
    pub fn args(module: &dyn Module, raw: Value) -> Args {
        Args::check(module.spec(), outcome(raw)).expect("valid parameters")
    }

    /// Runs a request for real with this machine's `sh`.
    pub fn run(request: &Request) -> Reply {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(&request.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(request.environment.iter().cloned());
        if let Some(directory) = &request.chdir {
            command.current_dir(directory);
        }
        let mut child = command.spawn().expect("sh starts");
        let mut stdin = child.stdin.take().expect("piped");
        let input = request.stdin.clone();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("sh ends");
        writer.join().expect("writer");
        Reply {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
            milliseconds: 1,
        }
    }

    /// Answers `Run` probes for real; other kinds are not expected.
    pub fn see(probes: &[Probe]) -> Vec<Seen> {
        probes
            .iter()
            .map(|probe| match probe {
                Probe::Run(request) => Seen::Reply(run(request)),
                Probe::File(file) => Seen::File(
                    std::fs::metadata(&file.path)
                        .ok()
                        .map(|_| file_at(&file.path)),
                ),
                other => panic!("not answered in tests: {other:?}"),
            })
            .collect()
    }

    fn file_at(path: &str) -> crate::modules::SeenFile {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(path).expect("exists");
        let kind = if meta.is_dir() {
            crate::modules::FileKind::Directory
        } else {
            crate::modules::FileKind::File
        };
        crate::modules::SeenFile {
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            owner: meta.uid().to_string(),
            group: meta.gid().to_string(),
            size: meta.size(),
            inode: meta.ino(),
            links: meta.nlink(),
            device: meta.dev(),
            mtime: meta.mtime(),
            atime: meta.atime(),
            ctime: meta.ctime(),
            target: None,
            sha256: None,
            content: std::fs::read(path).ok(),
        }
    }

    /// Probes, decides, applies and finishes for real; `None` when nothing had to change.
    pub fn whole(module: &dyn Module, args: &Args) -> Result<(Option<Change>, Outcome)> {
        let seen = see(&module.probe(args)?);
        match module.diff(args, &seen)? {
            Decision::Same(outcome) => Ok((None, outcome)),
            Decision::Change(change) => {
                let mut replies = Vec::new();
                for request in &change.requests {
                    replies.push(run(request));
                    if replies.last().is_some_and(|reply| reply.code != 0) {
                        break;
                    }
                }
                let outcome = module.finish(args, &change, &replies)?;
                Ok((Some(change), outcome))
            }
        }
    }

    /// The change of a decision.
    pub fn changed(decision: Decision) -> Change {
        match decision {
            Decision::Change(change) => change,
            Decision::Same(outcome) => panic!("nothing to change: {outcome:?}"),
        }
    }

    /// The outcome of a decision that changes nothing.
    pub fn same(decision: Decision) -> Outcome {
        match decision {
            Decision::Same(outcome) => outcome,
            Decision::Change(change) => panic!("changes: {change:?}"),
        }
    }

    /// A reply that succeeded with this output.
    pub fn said(stdout: &str) -> Reply {
        Reply {
            stdout: stdout.into(),
            ..Reply::default()
        }
    }
}
