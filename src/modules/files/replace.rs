//! `replace`: every match of a regular expression in a file, or in a part of it.

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
    names: &["replace", "ansible.builtin.replace"],
    params: &[
        Param::new("path", Kind::Path)
            .required()
            .aliases(&["dest", "destfile", "name"]),
        Param::new("regexp", Kind::Str).required(),
        Param::new("replace", Kind::Str),
        Param::new("after", Kind::Str),
        Param::new("before", Kind::Str),
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
    summary: "every match of a regular expression in a file",
    ..Spec::EMPTY
};

const SECTION: Flags = Flags {
    ignore_case: false,
    multiline: false,
    dotall: true,
};
const PLACES: Flags = Flags {
    ignore_case: false,
    multiline: true,
    dotall: false,
};

/// The module.
pub struct Replace;

impl Module for Replace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        python_regex::compile(args.str_or("regexp", ""), PLACES)?;
        if let Some(section) = section(args) {
            python_regex::compile(&section, SECTION)?;
        }
        edit::probe(args)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "path")?;
        let file = edit::present(&path, seen)?.ok_or_else(|| edit::missing(&path, false))?;
        let before = file.content.as_deref().unwrap_or_default();
        let mut outcome = Outcome::from_iter([("rc".to_owned(), 0.into())]);
        if let Some(edited) = substitute(args, before)? {
            edit::decide(args, Some(file), edited, outcome)
        } else {
            let pattern = section(args).unwrap_or_default();
            let message =
                format!("Pattern for before/after params did not match the given file: {pattern}");
            outcome.insert("msg".into(), message.into());
            Ok(Decision::Same(outcome))
        }
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

fn section(args: &Args) -> Option<String> {
    let given = |name| args.str(name).filter(|text| !text.is_empty());
    match (given("after"), given("before")) {
        (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
        (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
        (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
        (None, None) => None,
    }
}

/// The new content; `None` when the part to work on is not there.
fn substitute(args: &Args, before: &[u8]) -> Result<Option<Edited>> {
    let coding = Coding::of(before);
    let text = coding.decode(before);
    let mut range = 0..text.len();
    if let Some(section) = section(args) {
        let regex = python_regex::compile(&coding.adapt(&section), SECTION)?;
        let found = regex.captures(&text).map_err(|error| {
            Diagnostic::new("regular expression: backtracking limit exceeded")
                .note(error.to_string())
        })?;
        let Some(part) = found.and_then(|found| found.name("subsection").map(|part| part.range()))
        else {
            return Ok(None);
        };
        range = part;
    }
    let regex = python_regex::compile(&coding.adapt(args.str_or("regexp", "")), PLACES)?;
    let part = &text[range.clone()];
    let (new, count) =
        python_regex::replace(&regex, &coding.adapt(args.str_or("replace", "")), part, 0)?;
    if new == part {
        return Ok(Some(Edited {
            content: before.to_vec(),
            message: String::new(),
        }));
    }
    let content = format!("{}{new}{}", &text[..range.start], &text[range.end..]);
    Ok(Some(Edited {
        content: coding.encode(&content),
        message: format!("{count} replacements made"),
    }))
}
