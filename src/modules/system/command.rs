//! Commands: `command`, `shell`, `raw` and `script`.
//!
//! A failing command is not an error here: its outcome keeps `rc` and output and says `failed`, so that
//! `failed_when` and `ignore_errors` can judge it. `command` never passes anything through a shell's expansion.

use super::support::{
    Simple, change, command_outcome, diff, nothing, outcome, reply, unknown_command_outcome,
};
use crate::base::value::{Map, Value, has_unknown};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Content, Decision, FileProbe, Kind, Outcome, Param, Probe, Reply, Request, Seen,
    Spec,
};
use serde_json::json;
use std::fmt::Write as _;

const PARAMS: &[Param] = &[
    Param::new("cmd", Kind::Str),
    Param::new("argv", Kind::List),
    Param::new("creates", Kind::Path),
    Param::new("removes", Kind::Path),
    Param::new("chdir", Kind::Path),
    Param::new("executable", Kind::Path),
    Param::new("stdin", Kind::Str),
    Param::new("stdin_add_newline", Kind::Bool),
    Param::new("strip_empty_ends", Kind::Bool),
    Param::new("expand_argument_vars", Kind::Bool),
    Param::new("decrypt", Kind::Bool),
];

pub(super) static COMMAND: Simple = Simple {
    spec: &Spec {
        names: &[
            "command",
            "ansible.builtin.command",
            "ansible.legacy.command",
        ],
        params: PARAMS,
        free_form: true,
        summary: "runs a command without a shell",
        ..Spec::EMPTY
    },
    probe,
    diff: command_diff,
    finish: command_finish,
};

pub(super) static SHELL: Simple = Simple {
    spec: &Spec {
        names: &["shell", "ansible.builtin.shell", "ansible.legacy.shell"],
        params: PARAMS,
        free_form: true,
        summary: "runs a command line through the host's shell",
        ..Spec::EMPTY
    },
    probe,
    diff: shell_diff,
    finish: command_finish,
};

pub(super) static RAW: Simple = Simple {
    spec: &Spec {
        names: &["raw", "ansible.builtin.raw", "ansible.legacy.raw"],
        params: &[Param::new("executable", Kind::Path)],
        free_form: true,
        summary: "runs a command line as it is",
        ..Spec::EMPTY
    },
    probe: nothing,
    diff: raw_diff,
    finish: raw_finish,
};

pub(super) static SCRIPT: Simple = Simple {
    spec: &Spec {
        names: &["script", "ansible.builtin.script", "ansible.legacy.script"],
        params: PARAMS,
        free_form: true,
        summary: "runs a script of this side on the host",
        ..Spec::EMPTY
    },
    probe,
    diff: script_diff,
    finish: raw_finish,
};

/// What the probe for `creates` or `removes` shows: one line when something is there.
fn guard(args: &Args, path: &str) -> Probe {
    let plain = path.starts_with('/') && !path.contains(['*', '?', '[']);
    if plain {
        return Probe::File(FileProbe {
            path: path.to_owned(),
            follow: false,
            content: Content::None,
        });
    }
    let mut request = args.request(format!(
        "ls -d -- {} 2>/dev/null | head -n 1",
        glob_word(path)
    ));
    request.chdir = args.str("chdir").map(str::to_owned);
    Probe::Run(request)
}

/// A word in which only the wildcards and a leading `~` keep their meaning.
fn glob_word(path: &str) -> String {
    let mut word = String::new();
    let mut plain = String::new();
    for (index, c) in path.char_indices() {
        if matches!(c, '*' | '?' | '[' | ']') || (index == 0 && c == '~') {
            if !plain.is_empty() {
                word.push_str(&quote::sh(&plain));
                plain.clear();
            }
            word.push(c);
        } else if c == '/' {
            if !plain.is_empty() {
                word.push_str(&quote::sh(&plain));
                plain.clear();
            }
            word.push('/');
        } else {
            plain.push(c);
        }
    }
    if !plain.is_empty() {
        word.push_str(&quote::sh(&plain));
    }
    word
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    if args.str("executable").is_some_and(str::is_empty) {
        return Err(Diagnostic::new("`executable` is empty"));
    }
    Ok(["creates", "removes"]
        .into_iter()
        .filter_map(|name| args.str(name))
        .map(|path| guard(args, path))
        .collect())
}

/// Why the command need not run, if so.
fn guarded(args: &Args, seen: &[Seen]) -> Result<Option<Outcome>> {
    let given = ["creates", "removes"]
        .into_iter()
        .filter_map(|name| args.str(name).map(|path| (name, path)));
    for (index, (name, path)) in given.enumerate() {
        let there = match seen.get(index) {
            Some(Seen::File(file)) => file.is_some(),
            _ => !reply(seen, index)?.stdout.is_empty(),
        };
        let why = match (name, there) {
            ("creates", true) => "exists",
            ("removes", false) => "does not exist",
            _ => continue,
        };
        return Ok(Some(outcome(json!({
            "rc": 0, "stdout": format!("skipped, since {path} {why}"), "stderr": "",
            "stdout_lines": [format!("skipped, since {path} {why}")], "stderr_lines": [],
            "msg": format!("Did not run command since '{path}' {why}"),
        }))));
    }
    Ok(None)
}

/// The text that was given, as `cmd` or free.
fn text<'a>(args: &'a Args, module: &str) -> Result<&'a str> {
    args.str("cmd")
        .or_else(|| args.str("_raw_params"))
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| {
            Diagnostic::new(format!("`{module}` needs a command"))
                .help(format!("write it as `{module}: …` or as `cmd:`"))
        })
}

/// The words of a `command`.
fn words(args: &Args) -> Result<Vec<String>> {
    if args.has("argv") {
        let words = args.list("argv");
        if words.is_empty() {
            return Err(Diagnostic::new("`argv` is empty"));
        }
        return Ok(words);
    }
    let text = text(args, "command")?;
    shlex::split(text)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| {
            Diagnostic::new("a quote is not closed in the command").note(quote::for_terminal(text))
        })
}

/// A word with `$NAME`, `${NAME}` and a leading `~` expanded by the host; what is not set stays as written.
fn expanding(word: &str) -> String {
    if !word.contains('$') && !word.starts_with('~') {
        return quote::sh(word);
    }
    let variable = |rest: &str| -> Option<(String, usize)> {
        let braced = rest.starts_with('{');
        let inner = if braced { &rest[1..] } else { rest };
        let length = inner
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(inner.len());
        let name = &inner[..length];
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let closed = !braced || inner[length..].starts_with('}');
        (named && closed).then(|| (name.to_owned(), length + if braced { 2 } else { 0 }))
    };
    let (mut out, mut plain, mut rest) = (String::new(), String::new(), word);
    let flush = |out: &mut String, plain: &mut String| {
        if !plain.is_empty() {
            out.push_str(&quote::sh(plain));
            plain.clear();
        }
    };
    if word == "~" || word.starts_with("~/") {
        out.push_str("\"${HOME-~}\"");
        rest = &word[1..];
    }
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c == '$').then(|| variable(rest)).flatten() {
            Some((name, used)) => {
                flush(&mut out, &mut plain);
                let written = rest[..used].replace('}', "\\}");
                let _ = write!(out, "\"${{{name}-\\${written}}}\"");
                rest = &rest[used..];
            }
            None => plain.push(c),
        }
    }
    flush(&mut out, &mut plain);
    out
}

/// The request of a command-like module: directory and input added.
fn request(args: &Args, script: String) -> Request {
    let mut request = args.request(script);
    request.chdir = args.str("chdir").map(str::to_owned);
    if let Some(input) = args.str("stdin") {
        let newline = if args.bool_or("stdin_add_newline", true) {
            "\n"
        } else {
            ""
        };
        request.stdin = format!("{input}{newline}").into_bytes();
    }
    request
}

/// A change that runs this and knows nothing of the outcome before.
fn runs(args: &Args, module: &str, shown: String, script: String, cmd: Value) -> Decision {
    let mut outcome = unknown_command_outcome();
    outcome.insert("cmd".into(), cmd);
    change(
        vec![diff(module, "", shown)],
        request(args, script),
        outcome,
    )
}

fn command_diff(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let words = words(args)?;
    let cmd = json!(words);
    if let Some(mut outcome) = guarded(args, seen)? {
        outcome.insert("cmd".into(), cmd);
        return Ok(Decision::Same(outcome));
    }
    let expand = args.bool_or("expand_argument_vars", true) && !has_unknown(&cmd);
    let quoted: Vec<_> = words
        .iter()
        .map(|word| {
            if expand {
                expanding(word)
            } else {
                quote::sh(word)
            }
        })
        .collect();
    let shown = quote::sh_join(words.iter().map(String::as_str));
    Ok(runs(
        args,
        "command",
        shown,
        format!("exec {}", quoted.join(" ")),
        cmd,
    ))
}

fn shell_diff(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let text = text(args, "shell")?;
    if let Some(mut outcome) = guarded(args, seen)? {
        outcome.insert("cmd".into(), text.into());
        return Ok(Decision::Same(outcome));
    }
    let script = format!(
        "exec {} -c {}",
        quote::sh(args.str_or("executable", "/bin/sh")),
        quote::sh(text)
    );
    Ok(runs(args, "shell", text.to_owned(), script, text.into()))
}

fn raw_diff(args: &Args, _seen: &[Seen]) -> Result<Decision> {
    let text = text(args, "raw")?;
    let script = match args.str("executable") {
        Some(shell) => format!("exec {} -c {}", quote::sh(shell), quote::sh(text)),
        None => format!("exec /bin/sh -c {}", quote::sh(text)),
    };
    Ok(runs(args, "raw", text.to_owned(), script, text.into()))
}

fn script_diff(args: &Args, seen: &[Seen]) -> Result<Decision> {
    if let Some(outcome) = guarded(args, seen)? {
        return Ok(Decision::Same(outcome));
    }
    let text = text(args, "script")?;
    let mut words = shlex::split(text).unwrap_or_default().into_iter();
    let name = words.next().unwrap_or_default();
    let base = name
        .rsplit('/')
        .next()
        .filter(|base| !base.is_empty())
        .unwrap_or("script");
    let Some(body) = args.content.clone() else {
        return Err(Diagnostic::new(format!("the script `{name}` was not read")));
    };
    let file = quote::sh(base);
    let arguments: Vec<_> = words.collect();
    let run = match args.str("executable") {
        Some(executable) => format!("{executable} \"$d\"/{file}"),
        None => format!("\"$d\"/{file}"),
    };
    let script = format!(
        "d=$(mktemp -d) || exit\ntrap 'rm -rf \"$d\"' EXIT\ntrap 'exit 129' HUP\ntrap 'exit 130' INT\ntrap 'exit 143' TERM\n\
         cat >\"$d\"/{file} && chmod 700 \"$d\"/{file} || exit\n{run} {} </dev/null",
        quote::sh_join(arguments.iter().map(String::as_str))
    );
    let mut request = request(args, script.trim_end().to_owned());
    request.stdin = body;
    Ok(change(
        vec![diff("script", "", text)],
        request,
        unknown_command_outcome(),
    ))
}

fn finish_with(change: &Change, replies: &[Reply], strip: bool) -> Outcome {
    let mut outcome = replies
        .last()
        .map_or_else(Map::new, |reply| command_outcome(reply, strip));
    if let Some(cmd) = change.outcome.get("cmd") {
        outcome.insert("cmd".into(), cmd.clone());
    }
    outcome
}

#[allow(clippy::unnecessary_wraps)] // the shape of a module's function
fn command_finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let mut outcome = finish_with(change, replies, args.bool_or("strip_empty_ends", true));
    // What never started is not a change; the shell says so in these words.
    let word = outcome
        .get("cmd")
        .and_then(|cmd| cmd.get(0))
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let (Some(word), Some(reply)) = (word, replies.last())
        && reply.code == 127
        && reply.err().contains(&format!("exec: {word}: not found"))
    {
        outcome.insert("rc".into(), 2.into());
        outcome.insert("changed".into(), false.into());
        outcome.insert(
            "msg".into(),
            format!("there is no command `{word}` on this host").into(),
        );
    }
    Ok(outcome)
}

#[allow(clippy::unnecessary_wraps)] // the shape of a module's function
fn raw_finish(_args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    Ok(finish_with(change, replies, false))
}

#[cfg(test)]
mod tests;
