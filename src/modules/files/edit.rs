//! The frame of the modules that edit a file in place: look at the whole content, edit it here, write it back
//! only if the host's file is still the one that was seen.

use super::attributes::{self, Wish, describe, foresee};
use super::file::{look, seen_file};
use super::write::{self, Expect, Write};
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Change, Content, Decision, FileKind, Outcome, Probe, Seen, SeenFile};

/// What an edit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new content.
    pub content: Vec<u8>,
    /// What was done, for `register`; empty when nothing was.
    pub message: String,
}

/// The probes of an editing module.
///
/// # Errors
/// When the path or the mode is faulty.
pub fn probe(args: &Args) -> Result<Vec<Probe>> {
    Wish::of(args)?;
    Ok(vec![look(
        attributes::path(args, "path")?,
        true,
        Content::Whole,
    )])
}

/// The file that an editing module works on, if it is there.
///
/// # Errors
/// When it is a directory.
pub fn present<'a>(path: &str, seen: &'a [Seen]) -> Result<Option<&'a SeenFile>> {
    match seen_file(seen, 0) {
        Some(file) if file.kind == FileKind::Directory => {
            Err(Diagnostic::new(format!("`{path}` is a directory")).help("name a file in `path`"))
        }
        // A link that leads nowhere is no file yet.
        Some(file) if file.kind == FileKind::Link => Ok(None),
        file => Ok(file),
    }
}

/// The error for a file that is not there.
pub fn missing(path: &str, may_create: bool) -> Diagnostic {
    let error = Diagnostic::new(format!("`{path}` does not exist"));
    error.help(if may_create {
        "write `create: true` to create it"
    } else {
        "create it first"
    })
}

/// Decides by content and attributes.
///
/// # Errors
/// When `validate` is faulty.
pub fn decide(
    args: &Args,
    file: Option<&SeenFile>,
    edited: Edited,
    mut outcome: Outcome,
) -> Result<Decision> {
    let path = attributes::path(args, "path")?;
    let wish = Wish::of(args)?;
    let before = file.and_then(|file| file.content.as_deref());
    let attributes = file.map_or_else(|| wish.for_new(false), |file| wish.difference(file));
    let same = before == Some(&edited.content);
    let mut message = edited.message;
    // Ansible tells owner and mode only where the result has the path.
    let told = outcome.contains_key("path");
    if let Some(file) = file.filter(|_| told) {
        describe(&mut outcome, file);
    }
    if same && attributes.is_empty() {
        outcome.insert("msg".into(), message.into());
        return Ok(Decision::Same(outcome));
    }
    if !attributes.is_empty() && file.is_some() {
        if !same {
            message.push_str(" and ");
        }
        message.push_str("ownership, perms or SE linux context changed");
    }
    outcome.insert("msg".into(), message.into());
    if told {
        foresee(&mut outcome, &wish, file, false);
    }
    let mut diffs = Vec::new();
    if !same {
        diffs.push(write::content_diff(
            args,
            &path,
            file,
            Some(&edited.content),
        ));
    }
    diffs.extend(attributes.diff(&path));
    let request = if same {
        let target = crate::base::quote::sh(&path);
        args.request(format!(
            "{}t={target}\n{}{}",
            write::PRELUDE,
            attributes.commands("t", false),
            attributes::REPORT
        ))
    } else {
        let expect = before.map_or(Expect::Nothing, |before| {
            Expect::Digest(write::digest(before))
        });
        Write {
            attributes,
            expect,
            parents: file.is_none(),
            ..Write::new(args, &path, edited.content)
        }
        .request(args)?
    };
    Ok(Decision::Change(Change {
        diffs,
        requests: vec![request],
        outcome,
    }))
}

/// Bytes as text on which regular expressions work: UTF-8, or else one character for each byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// The bytes are UTF-8.
    Utf8,
    /// They are not.
    Bytes,
}

impl Coding {
    /// What fits these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        if std::str::from_utf8(bytes).is_ok() {
            Self::Utf8
        } else {
            Self::Bytes
        }
    }

    /// Bytes of the file as text.
    pub fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Bytes => bytes.iter().copied().map(char::from).collect(),
        }
    }

    /// A parameter as it would stand in the file's text.
    pub fn adapt(self, text: &str) -> String {
        self.decode(text.as_bytes())
    }

    /// Text back to bytes.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Bytes => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect(),
        }
    }
}
