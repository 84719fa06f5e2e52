//! `copy` and `template`: a file with given content. The engine reads the source or renders the template;
//! what arrives here is the content (or the tree of a directory).

use super::attributes::{
    self, ATTRIBUTES, BACKUP, GROUP, MODE, OWNER, REPORT, SELEVEL, SEROLE, SETYPE, SEUSER,
    UNSAFE_WRITES, VALIDATE, Wish, basename, describe, foresee, join, trimmed,
};
use super::copy_tree;
use super::file::{kind_name, look, make_directories, seen_file};
use super::mode::Mode;
use super::write::{self, PRELUDE, Source, Write};
use crate::base::quote::sh;
use crate::base::value::{Value, has_unknown, to_text, unknown};
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, FileKind, Kind, Module, Outcome, Param, Probe, Reply, Seen,
    SeenFile, Spec,
};
use std::fmt::Write as _;

static COPY: Spec = Spec {
    names: &["copy", "ansible.builtin.copy"],
    params: &[
        Param::new("src", Kind::Path),
        Param::new("content", Kind::Any),
        Param::new("dest", Kind::Path).required(),
        Param::new("remote_src", Kind::Bool),
        Param::new("force", Kind::Bool),
        Param::new("follow", Kind::Bool),
        Param::new("local_follow", Kind::Bool).only(
            true,
            "links on this side are followed; make links with `file: state=link`",
        ),
        Param::new("decrypt", Kind::Bool),
        Param::new("directory_mode", Kind::Mode),
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
    one_of: &[(&["src", "content"], true)],
    summary: "a file with given content, or a copy of a local file or directory",
    ..Spec::EMPTY
};

static TEMPLATE: Spec = Spec {
    names: &["template", "ansible.builtin.template"],
    params: &[
        Param::new("src", Kind::Path).required(),
        Param::new("dest", Kind::Path).required(),
        Param::new("force", Kind::Bool),
        Param::new("follow", Kind::Bool),
        Param::new("block_start_string", Kind::Str),
        Param::new("block_end_string", Kind::Str),
        Param::new("variable_start_string", Kind::Str),
        Param::new("variable_end_string", Kind::Str),
        Param::new("comment_start_string", Kind::Str),
        Param::new("comment_end_string", Kind::Str),
        Param::new("trim_blocks", Kind::Bool),
        Param::new("lstrip_blocks", Kind::Bool),
        Param::new("newline_sequence", Kind::Str),
        Param::new("output_encoding", Kind::Str).choices(&[
            "utf-8",
            "UTF-8",
            "utf8",
            "UTF8",
            "ascii",
            "us-ascii",
            "latin-1",
            "latin1",
            "iso-8859-1",
            "ISO-8859-1",
        ]),
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
    summary: "a file rendered from a template",
    ..Spec::EMPTY
};

/// `copy` or `template`.
pub struct Copy {
    template: bool,
}

/// `copy`.
pub static COPY_MODULE: Copy = Copy { template: false };
/// `template`.
pub static TEMPLATE_MODULE: Copy = Copy { template: true };

impl Module for Copy {
    fn spec(&self) -> &'static Spec {
        if self.template { &TEMPLATE } else { &COPY }
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Wish::of(args)?;
        let dest = attributes::path(args, "dest")?;
        if args.has("content") && args.str_or("dest", "").ends_with('/') {
            return Err(
                Diagnostic::new("`content` cannot be written to a directory")
                    .help("name the file in `dest`"),
            );
        }
        let remote = args.bool_or("remote_src", false);
        if remote && args.str("src").is_some_and(|src| !src.starts_with('/')) {
            return Err(Diagnostic::new(
                "`src` on the host must be an absolute path",
            ));
        }
        if !args.tree.is_empty() {
            return copy_tree::probe(args, &dest);
        }
        let wanted = if remote {
            Content::Digest
        } else {
            content_wanted(args, content(args).as_deref())
        };
        let mut probes = vec![
            look(&dest, true, wanted.clone()),
            look(&dest, false, Content::None),
        ];
        if let Some(src) = args.str("src") {
            let inside = join(&dest, basename(src));
            probes.extend([
                look(&inside, true, wanted),
                look(&inside, false, Content::None),
            ]);
            if remote {
                probes.push(look(src, true, Content::Digest));
                probes.push(copy_tree::remote_probe(args, src, &dest));
            }
        }
        Ok(probes)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let dest = attributes::path(args, "dest")?;
        if !args.tree.is_empty() {
            return copy_tree::diff(args, &dest, seen);
        }
        let remote = args.bool_or("remote_src", false);
        let source = seen_file(seen, 4);
        let mut wish = Wish::of(args)?;
        if remote {
            match source {
                None if !args.check => {
                    return Err(Diagnostic::new(format!(
                        "`src` does not exist on the host: `{}`",
                        args.str_or("src", "")
                    )));
                }
                Some(source) if source.kind == FileKind::Directory => {
                    return copy_tree::remote_diff(args, &dest, seen);
                }
                _ => {}
            }
            if args.str("mode") == Some("preserve") {
                wish.mode = source.map(|source| Mode::Octal(source.mode));
            }
        }
        let target = Target::choose(args, &dest, seen)?;
        let content = content(args);
        let digest = if remote {
            source.and_then(|source| source.sha256.clone())
        } else {
            content.as_deref().map(write::digest)
        };

        let mut outcome = Outcome::new();
        let real = if args.bool_or("follow", false) {
            target.link
        } else {
            None
        };
        outcome.insert(
            "dest".into(),
            attributes::through(&target.path, real).into(),
        );
        if let Some(src) = args.str("src") {
            outcome.insert("src".into(), src.into());
        }
        if target.file.is_some() && !args.bool_or("force", true) {
            outcome.insert("msg".into(), "file already exists".into());
            return Ok(Decision::Same(outcome));
        }
        let checksum = content
            .as_deref()
            .map_or_else(unknown, |content| write::checksum(content).into());
        if !remote || args.check {
            outcome.insert("checksum".into(), checksum);
        }
        let same = !target.replaces_link
            && digest.is_some()
            && target.file.and_then(|file| file.sha256.clone()) == digest;
        if let Some(file) = target.file.filter(|_| same) {
            let wished = wish.difference(file);
            describe(&mut outcome, file);
            if wished.is_empty() {
                return Ok(Decision::Same(outcome));
            }
            foresee(&mut outcome, &wish, Some(file), false);
            let script = format!(
                "{PRELUDE}t={}\n{}{REPORT}",
                sh(&target.path),
                wished.commands("t", false)
            );
            return Ok(Decision::Change(Change {
                diffs: wished.diff(&target.path).into_iter().collect(),
                requests: vec![args.request(script)],
                outcome,
            }));
        }
        let kept = target.file.filter(|_| !target.replaces_link);
        let mut diffs = vec![write::content_diff(
            args,
            &target.path,
            kept,
            content.as_deref(),
        )];
        let attributes = match kept {
            Some(file) if !remote => wish.difference(file),
            // A copy within the host over another file brings its own mode.
            Some(_) => {
                let mode = source.map(|source| {
                    wish.mode
                        .as_ref()
                        .map_or(source.mode, |mode| mode.apply(source.mode, false))
                });
                Wish {
                    mode: mode.map(Mode::Octal),
                    ..wish.clone()
                }
                .for_new(false)
            }
            None => wish.for_new(false),
        };
        diffs.extend(attributes.diff(&target.path));
        foresee(&mut outcome, &wish, kept, false);
        if let Some(content) = &content {
            outcome.insert("size".into(), content.len().into());
        }
        let mut requests = Vec::new();
        if target.makes_directory {
            let mode = args.str("directory_mode").map(Mode::parse).transpose()?;
            let directory = Wish {
                mode,
                ..wish.clone()
            }
            .for_new(true);
            requests.push(args.request(format!(
                "{PRELUDE}{}mk {}\n",
                make_directories(&directory),
                sh(&dest)
            )));
        }
        let follow = args.bool_or("follow", false) && !target.replaces_link;
        let new_source = if remote {
            Source::File(args.str_or("src", "").to_owned())
        } else {
            Source::Bytes(content.unwrap_or_default())
        };
        let write = Write {
            source: new_source,
            follow,
            attributes,
            keep: !remote || kept.is_none(),
            ..Write::new(args, &target.path, Vec::new())
        };
        requests.push(write.request(args)?);
        Ok(Decision::Change(Change {
            diffs,
            requests,
            outcome,
        }))
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

/// The file that `dest` means.
struct Target<'a> {
    path: String,
    file: Option<&'a SeenFile>,
    /// A symbolic link at the place.
    link: Option<&'a SeenFile>,
    /// It gives way to a file.
    replaces_link: bool,
    /// `dest` ends in a slash and is not there.
    makes_directory: bool,
}

impl<'a> Target<'a> {
    fn choose(args: &Args, dest: &str, seen: &'a [Seen]) -> Result<Self> {
        let slash = args.str_or("dest", "").ends_with('/');
        let at_dest = seen_file(seen, 0);
        let is_directory = at_dest.is_some_and(|file| file.kind == FileKind::Directory);
        if is_directory && args.has("content") {
            return Err(
                Diagnostic::new(format!("`{dest}` is a directory")).help("name the file in `dest`")
            );
        }
        if slash && at_dest.is_some() && !is_directory {
            return Err(Diagnostic::new(format!(
                "`{dest}` is a {}, not a directory",
                at_dest.map_or("file", kind_name)
            ))
            .help("leave out the slash at the end of `dest` if a file is meant"));
        }
        let (path, first) = if is_directory || slash {
            (join(dest, basename(args.str_or("src", ""))), 2)
        } else {
            (dest.to_owned(), 0)
        };
        let file = seen_file(seen, first);
        if let Some(file) =
            file.filter(|file| matches!(file.kind, FileKind::Directory | FileKind::Other))
        {
            return Err(
                Diagnostic::new(format!("`{path}` is a {}", kind_name(file)))
                    .help("remove it, or choose another `dest`"),
            );
        }
        let link = seen_file(seen, first + 1).filter(|file| file.kind == FileKind::Link);
        let dangling = file.is_some_and(|file| file.kind == FileKind::Link);
        let replaces_link =
            link.is_some() && (dangling || file.is_none() || !args.bool_or("follow", false));
        Ok(Self {
            path,
            file: file.filter(|_| !dangling),
            link,
            replaces_link,
            makes_directory: slash && at_dest.is_none(),
        })
    }
}

/// The content to write: given in the task, or read or rendered by the engine. `None`: known after apply.
fn content(args: &Args) -> Option<Vec<u8>> {
    if let Some(content) = &args.content {
        return Some(content.clone());
    }
    match args.get("content").filter(|value| !has_unknown(value))? {
        Value::String(text) => Some(text.clone().into_bytes()),
        value @ (Value::Array(_) | Value::Object(_)) => Some(python_json(value).into_bytes()),
        other => Some(to_text(other).into_bytes()),
    }
}

fn content_wanted(args: &Args, content: Option<&[u8]>) -> Content {
    match content {
        None => Content::None,
        Some(content) if args.diff => Content::UnlessDigest(write::digest(content)),
        Some(_) => Content::Digest,
    }
}

/// JSON as Python's `json.dumps` writes it: a blank after `,` and `:`, other letters than ASCII escaped.
fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(python_json).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let items = map.iter().map(|(key, value)| {
                format!(
                    "{}: {}",
                    python_json(&key.as_str().into()),
                    python_json(value)
                )
            });
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        other => other
            .to_string()
            .chars()
            .fold(String::new(), |mut text, c| {
                if c.is_ascii() {
                    text.push(c);
                } else {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
                text
            }),
    }
}

/// The directory of a copied tree on the host: `src` without a slash at its end brings its own name.
pub fn tree_root(args: &Args, dest: &str) -> String {
    match args.str("src") {
        Some(src) if !src.ends_with('/') => join(dest, basename(src)),
        _ => trimmed(dest).to_owned(),
    }
}
