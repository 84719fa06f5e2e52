//! `lineinfile`: one line that is there, or is not.

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
use fancy_regex::Regex;

static SPEC: Spec = Spec {
    names: &["lineinfile", "ansible.builtin.lineinfile"],
    params: &[
        Param::new("path", Kind::Path)
            .required()
            .aliases(&["dest", "destfile", "name"]),
        Param::new("state", Kind::Str).choices(&["absent", "present"]),
        Param::new("regexp", Kind::Str).aliases(&["regex"]),
        Param::new("search_string", Kind::Str),
        Param::new("line", Kind::Str).aliases(&["value"]),
        Param::new("insertafter", Kind::Str),
        Param::new("insertbefore", Kind::Str),
        Param::new("backrefs", Kind::Bool),
        Param::new("create", Kind::Bool),
        Param::new("firstmatch", Kind::Bool),
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
    one_of: &[
        (&["insertbefore", "insertafter"], false),
        (&["regexp", "search_string"], false),
    ],
    summary: "one line of a text file",
    ..Spec::EMPTY
};

/// The module.
pub struct LineInFile;

impl Module for LineInFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        let present = args.str_or("state", "present") == "present";
        if present && !args.has("line") {
            return Err(Diagnostic::new("`state: present` needs `line`"));
        }
        if present && args.bool_or("backrefs", false) && !args.has("regexp") {
            return Err(Diagnostic::new("`backrefs` needs `regexp`"));
        }
        if !present
            && !["line", "regexp", "search_string"]
                .iter()
                .any(|name| args.has(name))
        {
            return Err(Diagnostic::new(
                "`state: absent` needs `line`, `regexp` or `search_string`",
            ));
        }
        for name in ["regexp", "insertafter", "insertbefore"] {
            pattern(args, name, Coding::Utf8)?;
        }
        edit::probe(args)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "path")?;
        let file = edit::present(&path, seen)?;
        let before = file
            .and_then(|file| file.content.as_deref())
            .unwrap_or_default();
        let mut outcome = Outcome::from_iter([("backup".to_owned(), "".into())]);
        if args.str_or("state", "present") == "absent" {
            if file.is_none() {
                outcome.insert("msg".into(), "file not present".into());
                return Ok(Decision::Same(outcome));
            }
            let (edited, found) = remove(args, before)?;
            outcome.insert("found".into(), found.into());
            return edit::decide(args, file, edited, outcome);
        }
        if file.is_none() && !args.bool_or("create", false) {
            return Err(edit::missing(&path, true));
        }
        let edited = place(args, before)?;
        if file.is_none() && edited.message.is_empty() {
            return Ok(Decision::Same(outcome));
        }
        edit::decide(args, file, edited, outcome)
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        let mut outcome = attributes::finish(change, replies)?;
        if let Some(backup) = outcome.remove("backup_file") {
            outcome.insert("backup".into(), backup);
        }
        Ok(outcome)
    }
}

fn pattern(args: &Args, name: &str, coding: Coding) -> Result<Option<Regex>> {
    let is_place = name != "regexp";
    match args.str(name) {
        None => Ok(None),
        Some("BOF" | "EOF") if is_place => Ok(None),
        Some(text) => python_regex::compile(&coding.adapt(text), Flags::default()).map(Some),
    }
}

fn matches(regex: &Regex, line: &str) -> Result<bool> {
    regex.is_match(line).map_err(|error| {
        Diagnostic::new("regular expression: backtracking limit exceeded").note(error.to_string())
    })
}

fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn remove(args: &Args, before: &[u8]) -> Result<(Edited, usize)> {
    let coding = Coding::of(before);
    let text = coding.decode(before);
    let regexp = pattern(args, "regexp", coding)?;
    let search = args.str("search_string").map(|text| coding.adapt(text));
    let line = coding.adapt(args.str_or("line", ""));
    let (mut kept, mut found) = (String::new(), 0);
    for current in text.split_inclusive('\n') {
        let hit = match (&regexp, &search) {
            (Some(regexp), _) => matches(regexp, current)?,
            (None, Some(search)) => current.contains(search.as_str()),
            (None, None) => bare(current) == line,
        };
        if hit {
            found += 1;
        } else {
            kept.push_str(current);
        }
    }
    let message = if found == 0 {
        String::new()
    } else {
        format!("{found} line(s) removed")
    };
    Ok((
        Edited {
            content: coding.encode(&kept),
            message,
        },
        found,
    ))
}

/// Puts the line where Ansible puts it.
fn place(args: &Args, before: &[u8]) -> Result<Edited> {
    let coding = Coding::of(before);
    let text = coding.decode(before);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line = coding.adapt(args.str_or("line", ""));
    let first = args.bool_or("firstmatch", false);
    let regexp = pattern(args, "regexp", coding)?;
    let search = args.str("search_string").map(|text| coding.adapt(text));

    let mut hit: Option<usize> = None;
    for (number, current) in lines.iter().enumerate() {
        let is_hit = match (&regexp, &search) {
            (Some(regexp), _) => matches(regexp, current)?,
            (None, Some(search)) => current.contains(search.as_str()),
            (None, None) => false,
        };
        if is_hit {
            hit = Some(number);
            if first {
                break;
            }
        }
    }

    let message;
    if let Some(number) = hit {
        let mut new = match &regexp {
            Some(regexp) if args.bool_or("backrefs", false) => {
                let captures = regexp.captures(lines[number].as_str()).ok().flatten();
                captures.map_or_else(
                    || Ok(line.clone()),
                    |captures| python_regex::expand(&line, &captures),
                )?
            }
            _ => line,
        };
        message = replace(&mut lines[number], &mut new);
    } else {
        message = insert(args, coding, &mut lines, &line)?;
    }
    Ok(Edited {
        content: coding.encode(&lines.concat()),
        message: message.to_owned(),
    })
}

fn replace(old: &mut String, new: &mut String) -> &'static str {
    if !new.ends_with('\n') {
        new.push('\n');
    }
    if old == new {
        return "";
    }
    std::mem::swap(old, new);
    "line replaced"
}

/// No line matches: the same line somewhere, or a place for it.
fn insert(
    args: &Args,
    coding: Coding,
    lines: &mut Vec<String>,
    line: &str,
) -> Result<&'static str> {
    let before = args.str("insertbefore");
    let after = if before.is_none() {
        args.str("insertafter").or(Some("EOF"))
    } else {
        None
    };
    let place = match pattern(args, "insertafter", coding)? {
        Some(regex) => Some(regex),
        None => pattern(args, "insertbefore", coding)?,
    };
    let (mut exact, mut at) = (None, None);
    for (number, current) in lines.iter().enumerate() {
        if bare(current) == line {
            exact = Some(number);
        } else if let Some(regex) = &place
            && matches(regex, current)?
        {
            at = Some(if before.is_some() { number } else { number + 1 });
            if args.bool_or("firstmatch", false) {
                break;
            }
        }
    }
    if let Some(number) = exact {
        return Ok(replace(&mut lines[number], &mut line.to_owned()));
    }
    if args.bool_or("backrefs", false) {
        return Ok("");
    }
    let new = format!("{line}\n");
    if before == Some("BOF") || after == Some("BOF") {
        lines.insert(0, new);
        return Ok("line added");
    }
    let Some(at) = at.filter(|_| after != Some("EOF")) else {
        if lines
            .last()
            .is_some_and(|last| !last.ends_with(['\n', '\r']))
        {
            lines.push("\n".to_owned());
        }
        lines.push(new);
        return Ok("line added");
    };
    if before.is_none() {
        let neighbour = if at == lines.len() { at - 1 } else { at };
        if bare(&lines[neighbour]) == line {
            return Ok("");
        }
        if at == lines.len() && !lines[at - 1].ends_with('\n') {
            // Ansible would glue the two lines together here.
            lines[at - 1].push('\n');
        }
    }
    lines.insert(at, new);
    Ok("line added")
}
