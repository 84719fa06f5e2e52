//! `slurp` and `fetch`: the content of a file of the host, to the variables or to this side.

use super::attributes;
use super::file::{look, seen_file};
use super::write;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Content, Decision, FileKind, Kind, Module, Outcome, Param, Probe, Seen, SeenFile, Spec,
};
use base64::Engine as _;

static SLURP: Spec = Spec {
    names: &["slurp", "ansible.builtin.slurp"],
    params: &[Param::new("src", Kind::Path).required().aliases(&["path"])],
    read_only: true,
    summary: "the content of a file of the host, in base64",
    ..Spec::EMPTY
};

static FETCH: Spec = Spec {
    names: &["fetch", "ansible.builtin.fetch"],
    params: &[
        Param::new("src", Kind::Path).required(),
        Param::new("dest", Kind::Str).required(),
        Param::new("flat", Kind::Bool),
        Param::new("fail_on_missing", Kind::Bool),
        Param::new("validate_checksum", Kind::Bool)
            .idle("an answer that was cut short is an error in any case"),
    ],
    read_only: true,
    summary: "a copy of a file of the host on this side",
    ..Spec::EMPTY
};

/// The key under which `fetch` gives the content, in base64, for the engine to write locally and to remove.
pub const FETCHED: &str = "hactl_content";

/// `slurp`.
pub struct Slurp;
/// `fetch`.
pub struct Fetch;

fn encoded(file: &SeenFile) -> String {
    base64::engine::general_purpose::STANDARD.encode(file.content.as_deref().unwrap_or_default())
}

fn regular<'a>(path: &str, seen: &'a [Seen]) -> Result<&'a SeenFile> {
    match seen_file(seen, 0) {
        None => Err(Diagnostic::new(format!("`{path}` does not exist"))),
        Some(file) if file.kind != FileKind::File => {
            Err(Diagnostic::new(format!("`{path}` is not a file")))
        }
        Some(file) => Ok(file),
    }
}

impl Module for Slurp {
    fn spec(&self) -> &'static Spec {
        &SLURP
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Ok(vec![look(
            attributes::path(args, "src")?,
            true,
            Content::Whole,
        )])
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "src")?;
        let file = regular(&path, seen)?;
        Ok(Decision::Same(Outcome::from_iter([
            ("content".to_owned(), encoded(file).into()),
            ("source".to_owned(), path.into()),
            ("encoding".to_owned(), "base64".into()),
        ])))
    }
}

impl Module for Fetch {
    fn spec(&self) -> &'static Spec {
        &FETCH
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Ok(vec![look(
            attributes::path(args, "src")?,
            true,
            Content::Whole,
        )])
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "src")?;
        let file = match regular(&path, seen) {
            Ok(file) => file,
            Err(error) if args.bool_or("fail_on_missing", true) => return Err(error),
            Err(error) => {
                let message = format!("{}, ignored", error.message);
                return Ok(Decision::Same(Outcome::from_iter([
                    ("msg".to_owned(), message.into()),
                    ("file".to_owned(), path.into()),
                ])));
            }
        };
        let sum = write::checksum(file.content.as_deref().unwrap_or_default());
        Ok(Decision::Same(Outcome::from_iter([
            ("dest".to_owned(), args.str_or("dest", "").into()),
            ("checksum".to_owned(), sum.clone().into()),
            ("remote_checksum".to_owned(), sum.into()),
            (FETCHED.to_owned(), encoded(file).into()),
        ])))
    }
}
