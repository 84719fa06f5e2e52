//! Writing one file so that it is either as it was or wholly new: beside the target, checked, validated,
//! on the disk, then renamed. Content travels on standard input and is never part of the script.
//!
//! The new file is closed to everybody but its writer (0600) until it has its content and its owner; its mode is set
//! once, to the final one: a mode that is wider for an instant is enough for another user to open it and read on.

use super::attributes::{Attributes, REPORT};
use super::mode::fresh;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Diff, Request, SeenFile};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From here.
    Bytes(Vec<u8>),
    /// A file on the host.
    File(String),
    /// Commands that fill `$n`, and what they read.
    Script(String, Vec<u8>),
}

/// What must still hold of the target when it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there is replaced.
    Anything,
    /// There is still nothing.
    Nothing,
    /// It still has this SHA-256: an edit was made of exactly that content.
    Digest(String),
}

/// One file to be written.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each choice of a task"
)]
pub struct Write<'a> {
    /// Absolute path.
    pub path: &'a str,
    /// Content.
    pub source: Source,
    /// A symbolic link at the path is followed; otherwise it is replaced.
    pub follow: bool,
    /// Set on the new file; what is not set here stays as the old file has it.
    pub attributes: Attributes,
    /// Keep the old file's owner and mode (else those of a new file).
    pub keep: bool,
    /// Mode of a file that is new and for which none is wished.
    pub new_mode: u32,
    /// Command that must accept the new content; `%s` is its path.
    pub validate: Option<&'a str>,
    /// Keep a copy of the old file.
    pub backup: bool,
    /// What must still hold.
    pub expect: Expect,
    /// Create missing directories above it.
    pub parents: bool,
}

impl<'a> Write<'a> {
    /// With the defaults of most modules, and `validate` and `backup` as the task says.
    pub fn new(args: &'a Args, path: &'a str, content: Vec<u8>) -> Self {
        Self {
            source: Source::Bytes(content),
            validate: args.str("validate"),
            backup: args.bool_or("backup", false),
            ..Self::whole(path, String::new(), fresh(false), Expect::Anything)
        }
    }

    /// A whole file for a module of another family, whose parameters `validate` and `backup` mean something else or nothing.
    /// `new_mode` is the mode of a file that is not there yet.
    pub fn whole(path: &'a str, content: String, new_mode: u32, expect: Expect) -> Self {
        Self {
            path,
            source: Source::Bytes(content.into_bytes()),
            follow: true,
            attributes: Attributes::default(),
            keep: true,
            new_mode,
            validate: None,
            backup: false,
            expect,
            parents: false,
        }
    }

    /// The request that writes it, as the task's user.
    ///
    /// # Errors
    /// When `validate` has no `%s` or its quotes do not close.
    pub fn request(self, args: &Args) -> Result<Request> {
        let mut script = format!("{PRELUDE}t={}\n", sh(self.path));
        if self.follow {
            script.push_str("if [ -L \"$t\" ]; then t=$(readlink -f -- \"$t\"); fi\n");
        }
        script.push_str("d=${t%/*}; [ -n \"$d\" ] || d=/\n");
        if self.parents {
            script.push_str("[ -d \"$d\" ] || (umask 022; mkdir -p -- \"$d\")\n");
        }
        script.push_str(CHECKS);
        let suffix = match (
            self.validate,
            self.path
                .rsplit('/')
                .next()
                .and_then(|name| name.rsplit_once('.')),
        ) {
            (Some(_), Some((stem, suffix))) if !stem.is_empty() => format!(".{suffix}"),
            _ => String::new(),
        };
        let _ = writeln!(
            script,
            "n=$(mktemp -- \"$d/.hactl.XXXXXXXX\"{})",
            if suffix.is_empty() {
                suffix
            } else {
                sh(&suffix)
            }
        );
        script.push_str("trap 'rm -f -- \"$n\"' EXIT\ntrap 'exit 143' HUP INT TERM\n");
        let stdin = match self.source {
            Source::Bytes(content) => {
                let _ = writeln!(script, "cat >\"$n\"\nsum=$(sha256sum <\"$n\")");
                let _ = writeln!(
                    script,
                    "[ \"${{sum%% *}}\" = {} ] || fail \"$t: what arrived is not what was sent\" 'run again'",
                    digest(&content)
                );
                content
            }
            Source::File(path) => {
                let _ = writeln!(script, "cat <{} >\"$n\"", sh(&path));
                Vec::new()
            }
            Source::Script(commands, stdin) => {
                script.push_str(&commands);
                stdin
            }
        };
        script.push_str(&self.attributes.give(self.keep, self.new_mode));
        if let Some(validate) = self.validate {
            let command = validator(validate)?;
            let _ = writeln!(
                script,
                "out=$({command} 2>&1 </dev/null) || {{ c=$?; printf '%s\\n' \"$out\" >&2; fail \"$t: \"{}\" refuses the new content (exit code $c); the file is as it was\" 'fix the content or the validate command'; }}",
                sh(&format!("`{validate}`"))
            );
        }
        script.push_str("sync -- \"$n\"\n");
        match &self.expect {
            Expect::Anything => {}
            Expect::Nothing => script.push_str("[ ! -e \"$t\" ] || moved\n"),
            Expect::Digest(digest) => {
                let _ = writeln!(
                    script,
                    "sum=$(sha256sum <\"$t\") && [ \"${{sum%% *}}\" = {digest} ] || moved"
                );
            }
        }
        if self.backup {
            script.push_str(BACK_UP);
        }
        script.push_str(
            "mv -fT -- \"$n\" \"$t\" || fail \"$t: the new content could not take its place; it is as it was\" 'a file that is a mount of its own cannot be replaced: unmount it'\ntrap - EXIT\n",
        );
        script.push_str(REPORT);
        Ok(args.request(script).stdin(stdin))
    }
}

/// What every script here starts with.
pub const PRELUDE: &str = "set -eu\numask 077\n\
fail() { printf 'hactl-error: %s\\n' \"$1\" >&2; [ $# -lt 2 ] || printf 'hactl-help: %s\\n' \"$2\" >&2; exit 1; }\n\
moved() { fail \"$t: somebody changed it between the look and the write; it is as they left it\" 'run again'; }\n";

const CHECKS: &str = "[ -d \"$d\" ] || fail \"$t: the directory $d does not exist\" \"create it first: file: path=$d state=directory\"\n\
[ ! -d \"$t\" ] || [ -L \"$t\" ] || fail \"$t: is a directory\"\n";

/// Copies the old file aside under Ansible's kind of name.
pub const BACK_UP: &str = "if [ -e \"$t\" ]; then b=\"$t.$$.$(date +%Y-%m-%d@%H:%M:%S)~\"; cp -p -- \"$t\" \"$b\"; printf 'hactl-backup:%s\\n' \"$b\"; fi\n";

/// The validate command as shell words, with the new file's path in place of `%s`; no shell expansion happens in it.
fn validator(validate: &str) -> Result<String> {
    if !validate.contains("%s") {
        return Err(
            Diagnostic::new(format!("`validate` must contain `%s`: `{validate}`"))
                .help("`%s` stands for the path of the new content, as in `visudo -cf %s`"),
        );
    }
    let words = shlex::split(validate).ok_or_else(|| {
        Diagnostic::new(format!(
            "the quotes in `validate` do not close: `{validate}`"
        ))
    })?;
    let words = words.iter().map(|word| {
        let pieces: Vec<String> = word
            .split("%s")
            .map(|piece| piece.replace("%%", "%"))
            .collect();
        let quoted = pieces.iter().map(|piece| {
            if piece.is_empty() {
                String::new()
            } else {
                sh(piece)
            }
        });
        quoted.collect::<Vec<_>>().join("\"$n\"")
    });
    Ok(words
        .map(|word| {
            if word.is_empty() {
                "''".to_owned()
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .join(" "))
}

/// SHA-256 in lower-case hex.
pub fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// SHA-1 in lower-case hex: what Ansible calls `checksum`.
pub fn checksum(content: &[u8]) -> String {
    hex(&sha1::Sha1::digest(content))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The difference of contents for people. Without somebody to look, only sizes and digests.
pub fn content_diff(
    args: &Args,
    path: &str,
    before: Option<&SeenFile>,
    after: Option<&[u8]>,
) -> Diff {
    let old = before.map_or_else(String::new, |seen| match &seen.content {
        Some(content) if args.diff => shown(content),
        _ => format!(
            "({} bytes, sha256 {})\n",
            seen.size,
            seen.sha256.as_deref().unwrap_or("not read")
        ),
    });
    let new = match after {
        None => "(content known after apply)\n".to_owned(),
        Some(content) if args.diff => shown(content),
        Some(content) => format!("({} bytes, sha256 {})\n", content.len(), digest(content)),
    };
    Diff {
        subject: path.to_owned(),
        before: old,
        after: new,
    }
}

fn shown(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!(
            "(binary, {} bytes, sha256 {})\n",
            content.len(),
            digest(content)
        ),
    }
}
