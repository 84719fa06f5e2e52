//! `assemble` and `tempfile`: a file put together from the fragments of a directory; a new temporary path.

use super::attributes::{
    self, ATTRIBUTES, BACKUP, GROUP, MODE, OWNER, REPORT, SELEVEL, SEROLE, SETYPE, SEUSER,
    UNSAFE_WRITES, VALIDATE, Wish, describe, foresee,
};
use super::file::{kind_name, look, seen_file};
use super::write::{self, PRELUDE, Write};
use crate::base::python_regex::{self, Flags};
use crate::base::quote::sh;
use crate::base::value::unknown;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, Diff, FileKind, Kind, Module, Outcome, Param, Probe, Reply,
    Seen, Spec,
};
use base64::Engine as _;

static ASSEMBLE: Spec = Spec {
    names: &["assemble", "ansible.builtin.assemble"],
    params: &[
        Param::new("src", Kind::Path).required(),
        Param::new("dest", Kind::Path).required(),
        Param::new("delimiter", Kind::Str),
        Param::new("regexp", Kind::Str),
        Param::new("ignore_hidden", Kind::Bool),
        Param::new("remote_src", Kind::Bool),
        Param::new("decrypt", Kind::Bool),
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
    summary: "a file put together from fragments",
    ..Spec::EMPTY
};

static TEMPFILE: Spec = Spec {
    names: &["tempfile", "ansible.builtin.tempfile"],
    params: &[
        Param::new("state", Kind::Str).choices(&["directory", "file"]),
        Param::new("path", Kind::Path),
        Param::new("prefix", Kind::Str),
        Param::new("suffix", Kind::Str),
    ],
    summary: "a new temporary file or directory",
    ..Spec::EMPTY
};

/// `assemble`.
pub struct Assemble;
/// `tempfile`.
pub struct TempFile;

impl Module for Assemble {
    fn spec(&self) -> &'static Spec {
        &ASSEMBLE
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Wish::of(args)?;
        python_regex::compile(args.str_or("regexp", ""), Flags::default())?;
        let dest = look(attributes::path(args, "dest")?, true, Content::Whole);
        if !args.bool_or("remote_src", true) {
            return Ok(vec![dest]);
        }
        let src = sh(&attributes::path(args, "src")?);
        let script = format!(
            "[ -d {src} ] || exit 3\nfind -L {src} -mindepth 1 -maxdepth 1 -type f -printf '%f\\0' -exec base64 -w 0 -- {{}} \\; -printf '\\0'\n"
        );
        Ok(vec![dest, Probe::Run(args.request(script))])
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let dest = attributes::path(args, "dest")?;
        let mut fragments: Vec<(String, Vec<u8>)> = match seen.get(1) {
            Some(Seen::Reply(reply)) if reply.code == 0 => read(&reply.stdout)?,
            Some(_) => {
                return Err(Diagnostic::new(format!(
                    "`src` is not a directory of the host: `{}`",
                    args.str_or("src", "")
                )));
            }
            None => args
                .tree
                .iter()
                .filter(|(name, ..)| !name.contains('/'))
                .map(|(name, _, content)| (name.clone(), content.clone()))
                .collect(),
        };
        fragments.sort();
        let content = join(args, &fragments)?;
        let wish = Wish::of(args)?;
        let file = seen_file(seen, 0).filter(|file| file.kind != FileKind::Link);
        if let Some(file) = file.filter(|file| file.kind != FileKind::File) {
            return Err(
                Diagnostic::new(format!("`{dest}` is a {}", kind_name(file)))
                    .help("name a file in `dest`"),
            );
        }
        let mut outcome = Outcome::new();
        outcome.insert("dest".into(), dest.clone().into());
        outcome.insert("src".into(), args.str("src").into());
        outcome.insert("checksum".into(), write::checksum(&content).into());
        outcome.insert("msg".into(), "OK".into());
        let same = file.is_some_and(|file| file.content.as_ref() == Some(&content));
        let attributes = file.map_or_else(|| wish.for_new(false), |file| wish.difference(file));
        if let Some(file) = file.filter(|_| same && attributes.is_empty()) {
            describe(&mut outcome, file);
            return Ok(Decision::Same(outcome));
        }
        foresee(&mut outcome, &wish, file, false);
        let mut diffs: Vec<Diff> = attributes.diff(&dest).into_iter().collect();
        let request = if same {
            args.request(format!(
                "{PRELUDE}t={}\n{}{REPORT}",
                sh(&dest),
                attributes.commands("t", false)
            ))
        } else {
            diffs.insert(0, write::content_diff(args, &dest, file, Some(&content)));
            Write {
                attributes,
                ..Write::new(args, &dest, content)
            }
            .request(args)?
        };
        Ok(Decision::Change(Change {
            diffs,
            requests: vec![request],
            outcome,
        }))
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

fn read(listing: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut parts = listing.split(|byte| *byte == 0);
    let mut found = Vec::new();
    while let (Some(name), Some(content)) =
        (parts.next().filter(|name| !name.is_empty()), parts.next())
    {
        let content = base64::engine::general_purpose::STANDARD
            .decode(content)
            .map_err(|error| {
                Diagnostic::new("a fragment could not be read").note(error.to_string())
            })?;
        found.push((String::from_utf8_lossy(name).into_owned(), content));
    }
    Ok(found)
}

/// Fragments with the delimiter between them; a line never runs into the next fragment.
fn join(args: &Args, fragments: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let regexp = args
        .str("regexp")
        .map(|pattern| python_regex::compile(pattern, Flags::default()))
        .transpose()?;
    let delimiter = args.str("delimiter").map(|text| {
        text.replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("\\\\", "\\")
    });
    let mut content: Vec<u8> = Vec::new();
    let mut is_first = true;
    for (name, fragment) in fragments {
        let wanted = regexp
            .as_ref()
            .is_none_or(|regexp| regexp.is_match(name).unwrap_or(false));
        if !wanted || (args.bool_or("ignore_hidden", false) && name.starts_with('.')) {
            continue;
        }
        if !is_first && !content.ends_with(b"\n") {
            content.push(b'\n');
        }
        if let Some(delimiter) = delimiter
            .as_ref()
            .filter(|delimiter| !is_first && !delimiter.is_empty())
        {
            content.extend_from_slice(delimiter.as_bytes());
            if !delimiter.ends_with('\n') {
                content.push(b'\n');
            }
        }
        content.extend_from_slice(fragment);
        is_first = false;
    }
    Ok(content)
}

impl Module for TempFile {
    fn spec(&self) -> &'static Spec {
        &TEMPFILE
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        if args.has("path") {
            attributes::path(args, "path")?;
        }
        for name in ["prefix", "suffix"] {
            if args.str_or(name, "").contains('/') {
                return Err(Diagnostic::new(format!("`{name}` cannot contain a slash")));
            }
        }
        Ok(Vec::new())
    }

    fn diff(&self, args: &Args, _seen: &[Seen]) -> Result<Decision> {
        let state = args.str_or("state", "file");
        let directory = args.str_or("path", "/tmp").trim_end_matches('/');
        let name = format!("{directory}/{}XXXXXXXX", args.str_or("prefix", "ansible."));
        let option = if state == "directory" { "-d " } else { "" };
        let script = format!(
            "{PRELUDE}t=$(mktemp {option}--suffix={} -- {})\nprintf 'hactl-path:%s\\n' \"$t\"\n{REPORT}",
            sh(args.str_or("suffix", "")),
            sh(&name)
        );
        let outcome = Outcome::from_iter([
            ("path".to_owned(), unknown()),
            ("state".to_owned(), state.into()),
        ]);
        let diffs = vec![Diff {
            subject: name,
            before: String::new(),
            after: format!("state: {state}\n"),
        }];
        Ok(Decision::Change(Change {
            diffs,
            requests: vec![args.request(script)],
            outcome,
        }))
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        let mut outcome = attributes::finish(change, replies)?;
        let out = replies.first().map(Reply::out).unwrap_or_default();
        if let Some(path) = out
            .lines()
            .find_map(|line| line.strip_prefix("hactl-path:"))
        {
            outcome.insert("path".into(), path.into());
        }
        Ok(outcome)
    }
}
