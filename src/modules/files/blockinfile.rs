//! `blockinfile`: a block of lines between two marker lines.

use super::attributes::{
    self, ATTRIBUTES, BACKUP, GROUP, MODE, OWNER, SELEVEL, SEROLE, SETYPE, SEUSER, UNSAFE_WRITES,
    VALIDATE,
};
use super::edit::{self, Coding, Edited};
use crate::base::python_regex::{self, Flags};
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Decision, Kind, Module, Outcome, Param, Probe, Reply, Seen, Spec,
};

static SPEC: Spec = Spec {
    names: &["blockinfile", "ansible.builtin.blockinfile"],
    params: &[
        Param::new("path", Kind::Path)
            .required()
            .aliases(&["dest", "destfile", "name"]),
        Param::new("state", Kind::Str).choices(&["absent", "present"]),
        Param::new("marker", Kind::Str),
        Param::new("marker_begin", Kind::Str),
        Param::new("marker_end", Kind::Str),
        Param::new("block", Kind::Str).aliases(&["content"]),
        Param::new("insertafter", Kind::Str),
        Param::new("insertbefore", Kind::Str),
        Param::new("create", Kind::Bool),
        Param::new("append_newline", Kind::Bool),
        Param::new("prepend_newline", Kind::Bool),
        BACKUP,
        VALIDATE,
        MODE,
        OWNER,
        GROUP,
        SETYPE,
        SEUSER,
        SEROLE,
        SELEVEL,
        ATTRIBUTES,
        UNSAFE_WRITES,
    ],
    one_of: &[(&["insertbefore", "insertafter"], false)],
    summary: "a marked block of lines of a text file",
    ..Spec::EMPTY
};

/// The module.
pub struct BlockInFile;

impl Module for BlockInFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        for name in ["insertafter", "insertbefore"] {
            if let Some(text) = args.str(name) {
                python_regex::compile(text, Flags::default())?;
            }
        }
        edit::probe(args)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "path")?;
        let file = edit::present(&path, seen)?;
        let present = args.str_or("state", "present") == "present";
        if file.is_none() {
            if !args.bool_or("create", false) {
                return Err(edit::missing(&path, true));
            }
            if !present {
                let message = format!("File {path} not present");
                return Ok(Decision::Same(Outcome::from_iter([(
                    "msg".to_owned(),
                    message.into(),
                )])));
            }
        }
        let before = file.and_then(|file| file.content.as_deref());
        let edited = rewrite(args, before, present)?;
        edit::decide(args, file, edited, Outcome::new())
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

/// Lines with their ends; a carriage return alone ends a line too.
fn lines_of(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        let end = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + 1
        };
        lines.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

fn rewrite(args: &Args, before: Option<&[u8]>, present: bool) -> Result<Edited> {
    let coding = Coding::of(before.unwrap_or_default());
    let text = coding.decode(before.unwrap_or_default());
    let mut lines = lines_of(&text);
    let marker = coding.adapt(args.str_or("marker", "# {mark} ANSIBLE MANAGED BLOCK"));
    let marker_line = |name, default| {
        format!(
            "{}\n",
            marker.replace("{mark}", &coding.adapt(args.str_or(name, default)))
        )
    };
    let (begin, end) = (
        marker_line("marker_begin", "BEGIN"),
        marker_line("marker_end", "END"),
    );

    let content = coding.adapt(args.str_or("block", ""));
    let mut block = Vec::new();
    if present && !content.is_empty() {
        block.push(begin.clone());
        block.extend(lines_of(&content));
        if let Some(last) = block.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        block.push(end.clone());
    }

    let first = lines.iter().rposition(|line| *line == begin);
    let last = lines.iter().rposition(|line| *line == end);
    let mut at = match (first, last) {
        (Some(first), Some(last)) => {
            let (low, high) = (first.min(last), first.max(last));
            lines.drain(low..=high);
            low
        }
        _ => place(args, coding, &text, &lines)?,
    };
    if let Some(previous) = at.checked_sub(1).and_then(|index| lines.get_mut(index))
        && !previous.ends_with('\n')
    {
        previous.push('\n');
    }
    if args.bool_or("prepend_newline", false) && present && at != 0 && lines[at - 1] != "\n" {
        lines.insert(at, "\n".to_owned());
        at += 1;
    }
    let removed = block.is_empty();
    let after = at + block.len();
    lines.splice(at..at, block);
    if args.bool_or("append_newline", false)
        && present
        && lines.get(after).is_some_and(|next| next != "\n")
    {
        lines.insert(after, "\n".to_owned());
    }
    let content = coding.encode(&lines.concat());
    let message = match before {
        None => "File created",
        Some(before) if before == content => "",
        Some(_) if removed => "Block removed",
        Some(_) => "Block inserted",
    };
    Ok(Edited {
        content,
        message: message.to_owned(),
    })
}

/// Where a new block goes: the index of the line before which it is put.
fn place(args: &Args, coding: Coding, text: &str, lines: &[String]) -> Result<usize> {
    let gave_up = |error: fancy_regex::Error| {
        Diagnostic::new("regular expression: backtracking limit exceeded").note(error.to_string())
    };
    let before = args.str("insertbefore");
    let wanted = match (before, args.str("insertafter")) {
        (Some("BOF"), _) => return Ok(0),
        (None, None | Some("EOF")) => return Ok(lines.len()),
        (Some(text), _) | (None, Some(text)) => text,
    };
    let regex = python_regex::compile(&coding.adapt(wanted), Flags::default())?;
    let mut found = None;
    if python_regex::is_multiline(wanted) {
        if let Some(hit) = regex.find(text).map_err(gave_up)? {
            let upto = if before.is_some() {
                hit.start()
            } else {
                hit.end()
            };
            found = Some(text[..upto].matches('\n').count());
        }
    } else {
        for (number, line) in lines.iter().enumerate() {
            if regex.is_match(line).map_err(gave_up)? {
                found = Some(number);
            }
        }
    }
    Ok(match found {
        None => lines.len(),
        Some(number) if before.is_some() => number,
        Some(number) => (number + 1).min(lines.len()),
    })
}
