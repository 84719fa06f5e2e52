//! Owner, group and mode: what is wished, how it differs from what is there, and the commands that set it;
//! and the facts about a path that every file module gives to `register`.

use super::mode::{Mode, fresh};
use crate::base::quote::{for_terminal, sh};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Args, Change, Diff, FileKind, Kind, Outcome, Param, Reply, SeenFile, probe};
use std::fmt::Write as _;

/// `mode`.
pub const MODE: Param = Param::new("mode", Kind::Mode);
/// `owner`.
pub const OWNER: Param = Param::new("owner", Kind::Str);
/// `group`.
pub const GROUP: Param = Param::new("group", Kind::Str);
/// `backup`.
pub const BACKUP: Param = Param::new("backup", Kind::Bool);
/// `validate`.
pub const VALIDATE: Param = Param::new("validate", Kind::Str);

const LABELS: &str = "Debian and Ubuntu come without SELinux: there is nothing to label";
/// `setype`.
pub const SETYPE: Param = Param::new("setype", Kind::Str).idle(LABELS);
/// `seuser`.
pub const SEUSER: Param = Param::new("seuser", Kind::Str).idle(LABELS);
/// `serole`.
pub const SEROLE: Param = Param::new("serole", Kind::Str).idle(LABELS);
/// `selevel`.
pub const SELEVEL: Param = Param::new("selevel", Kind::Str).idle(LABELS);
/// `unsafe_writes`.
pub const UNSAFE_WRITES: Param = Param::new("unsafe_writes", Kind::Bool)
    .idle("it allows a half-written file where a whole one cannot be renamed into place; files are whole here");
/// `attributes`, see `flags`.
pub const ATTRIBUTES: Param = Param::new("attributes", Kind::Str).aliases(&["attr"]);

/// Prints what `$t` is, for [`finish`].
pub const REPORT: &str = "stat -c 'hactl-stat:%u:%g:%a:%s:%h:%U:%G:%F' -- \"$t\"\n";

/// Somebody who is not root cannot give a file away: it is then the writer's, with the old group if that can be.
const KEEP_OWNER: &str = "if [ \"$(id -u)\" = 0 ]; then chown --reference=\"$t\" -- \"$n\"\n\
else chown --reference=\"$t\" -- \"$n\" 2>/dev/null || chgrp --reference=\"$t\" -- \"$n\" 2>/dev/null || :; fi\n";

/// The wished owner, group and mode.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Mode, when one is wished.
    pub mode: Option<Mode>,
    /// Owner by name or number.
    pub owner: Option<String>,
    /// Group by name or number.
    pub group: Option<String>,
}

/// What has to be set on one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Owner.
    pub owner: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Mode, all twelve bits.
    pub mode: Option<u32>,
    /// What both the old and the new mode allow, when that is less than the old one: it holds while the owner changes.
    pub narrow: Option<u32>,
    before: String,
    after: String,
}

impl Wish {
    /// From a task's parameters. `mode: preserve` gives the mode of the source, when it is known.
    ///
    /// # Errors
    /// When the mode is not one.
    pub fn of(args: &Args) -> Result<Self> {
        let mode = match args.str("mode") {
            None => None,
            Some("preserve") => args.source_mode.map(Mode::Octal),
            Some(text) => Some(Mode::parse(text)?),
        };
        Ok(Self {
            mode,
            owner: args.str("owner").map(str::to_owned),
            group: args.str("group").map(str::to_owned),
        })
    }

    /// What differs from a path that is there. The mode of a symbolic link cannot be set.
    pub fn difference(&self, seen: &SeenFile) -> Attributes {
        let mut found = Attributes::default();
        let differs = |wish: &Option<String>, name: &str, number: u32| {
            wish.clone()
                .filter(|wish| wish != name && wish.parse() != Ok(number))
        };
        found.owner = differs(&self.owner, &seen.owner, seen.uid);
        found.group = differs(&self.group, &seen.group, seen.gid);
        if let Some(owner) = found.owner.clone() {
            found.line("owner", &seen.owner, &owner);
        }
        if let Some(group) = found.group.clone() {
            found.line("group", &seen.group, &group);
        }
        if let Some(mode) = self.mode.as_ref().filter(|_| seen.kind != FileKind::Link) {
            let wished = mode.apply(seen.mode, seen.kind == FileKind::Directory);
            if wished != seen.mode {
                found.line(
                    "mode",
                    &format!("{:04o}", seen.mode),
                    &format!("{wished:04o}"),
                );
            }
            // A change of owner clears the setuid bits, so the mode is set again after it.
            if wished != seen.mode || found.owner.is_some() || found.group.is_some() {
                found.mode = Some(wished);
            }
            let changes_owner =
                seen.kind == FileKind::File && (found.owner.is_some() || found.group.is_some());
            found.narrow =
                Some(seen.mode & wished).filter(|both| changes_owner && *both != seen.mode);
        }
        found
    }

    /// What a new path gets.
    pub fn for_new(&self, directory: bool) -> Attributes {
        let mode = self
            .mode
            .as_ref()
            .map(|mode| mode.apply(fresh(directory), directory));
        Attributes {
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode,
            ..Attributes::default()
        }
    }
}

impl Attributes {
    /// Whether nothing has to be set.
    pub fn is_empty(&self) -> bool {
        self.owner.is_none() && self.group.is_none() && self.mode.is_none()
    }

    fn line(&mut self, what: &str, before: &str, after: &str) {
        let _ = writeln!(self.before, "{what}: {before}");
        let _ = writeln!(self.after, "{what}: {after}");
    }

    /// `user:group` for `chown`.
    pub fn ownership(&self) -> Option<String> {
        match (&self.owner, &self.group) {
            (None, None) => None,
            (owner, None) => owner.clone(),
            (owner, Some(group)) => {
                Some(format!("{}:{group}", owner.as_deref().unwrap_or_default()))
            }
        }
    }

    /// The commands that set them on the path in the shell variable `t`; `link` sets the link itself.
    pub fn commands(&self, variable: &str, link: bool) -> String {
        let mut script = String::new();
        if let Some(mode) = self.narrow {
            let _ = writeln!(script, "chmod -- {mode:05o} \"${variable}\"");
        }
        if let Some(ownership) = self.ownership() {
            let option = if link { "-h " } else { "" };
            let _ = writeln!(
                script,
                "chown {option}-- {} \"${variable}\"",
                sh(&ownership)
            );
        }
        if let Some(mode) = self.mode {
            // Five digits: with fewer, chmod would keep the setgid bit of a directory.
            let _ = writeln!(script, "chmod -- {mode:05o} \"${variable}\"");
        }
        script
    }

    /// The commands that give the new file `$n`, which only its writer can open yet, its owner and then its mode. With `keep`,
    /// what is not set here is as the file `$t` has it, if there is one; else `new_mode` is a new file's mode.
    pub fn give(&self, keep: bool, new_mode: u32) -> String {
        let mut script = String::new();
        let wished = self
            .ownership()
            .map(|both| format!("chown -- {} \"$n\"\n", sh(&both)))
            .unwrap_or_default();
        if keep {
            script.push_str("k=; if [ -f \"$t\" ] && [ ! -L \"$t\" ]; then k=1; fi\n");
            // One call for both: the old owner must not get hold of content that is for the new one only.
            let kept = match (&self.owner, &self.group) {
                (Some(_), Some(_)) => wished.clone(),
                (Some(owner), None) => {
                    format!(
                        "chown -- {}:\"$(stat -c %g -- \"$t\")\" \"$n\"\n",
                        sh(owner)
                    )
                }
                (None, Some(group)) => format!(
                    "u=$(id -u); [ \"$u\" != 0 ] || u=$(stat -c %u -- \"$t\"); chown -- \"$u\":{} \"$n\"\n",
                    sh(group)
                ),
                (None, None) => KEEP_OWNER.to_owned(),
            };
            let new = if wished.is_empty() { ":\n" } else { &wished };
            let _ = writeln!(script, "if [ -n \"$k\" ]; then {kept}else {new}fi");
        } else {
            script.push_str(&wished);
        }
        // Five digits: with fewer, chmod would keep the setgid bit of a directory.
        let _ = match self.mode {
            Some(mode) => writeln!(script, "chmod -- {mode:05o} \"$n\""),
            None if keep => writeln!(
                script,
                "if [ -n \"$k\" ]; then cp --attributes-only --preserve=mode -- \"$t\" \"$n\"; else chmod -- {new_mode:05o} \"$n\"; fi"
            ),
            None => writeln!(script, "chmod -- {new_mode:05o} \"$n\""),
        };
        script
    }

    /// The difference for people; nothing when nothing differs.
    pub fn diff(&self, path: &str) -> Option<Diff> {
        let text = |text: &str| text.to_owned();
        (!self.after.is_empty()).then(|| Diff {
            subject: path.to_owned(),
            before: text(&self.before),
            after: text(&self.after),
        })
    }
}

/// Adds what Ansible tells about a path: owner, group, mode, size, state.
pub fn describe(outcome: &mut Outcome, seen: &SeenFile) {
    let state = match seen.kind {
        FileKind::Directory => "directory",
        FileKind::Link => "link",
        _ if seen.links > 1 => "hard",
        _ => "file",
    };
    outcome.insert("uid".into(), seen.uid.into());
    outcome.insert("gid".into(), seen.gid.into());
    outcome.insert("owner".into(), seen.owner.clone().into());
    outcome.insert("group".into(), seen.group.clone().into());
    outcome.insert("mode".into(), format!("0{:03o}", seen.mode).into());
    outcome.insert("size".into(), seen.size.into());
    outcome.insert("state".into(), state.into());
}

/// What is already known of a path that is about to change.
pub fn foresee(outcome: &mut Outcome, wish: &Wish, seen: Option<&SeenFile>, directory: bool) {
    if let Some(seen) = seen {
        describe(outcome, seen);
    }
    for (key, value) in [("owner", &wish.owner), ("group", &wish.group)] {
        if let Some(value) = value {
            outcome.insert(key.into(), value.clone().into());
        }
    }
    let now = seen.map_or(fresh(directory), |seen| seen.mode);
    let mode = wish
        .mode
        .as_ref()
        .map_or(now, |mode| mode.apply(now, directory));
    outcome.insert("mode".into(), format!("0{mode:03o}").into());
    outcome.insert(
        "state".into(),
        if directory { "directory" } else { "file" }.into(),
    );
}

/// Reads the replies of a change: fails with the script's own words, or completes the outcome with what
/// [`REPORT`] and a backup printed.
///
/// # Errors
/// When a request failed.
pub fn finish(change: &Change, replies: &[Reply]) -> Result<Outcome> {
    if let Some(failed) = replies.iter().find(|reply| reply.code != 0) {
        return Err(explain(failed));
    }
    let mut outcome = change.outcome.clone();
    // Only where the module foresaw them: Ansible does not tell owner and mode of every result.
    let told = outcome.contains_key("state");
    for reply in replies {
        for line in reply.out().lines() {
            if let Some(backup) = line.strip_prefix("hactl-backup:") {
                outcome.insert("backup_file".into(), backup.into());
            } else if let Some(facts) = line.strip_prefix("hactl-stat:").filter(|_| told) {
                take_report(&mut outcome, facts);
            }
        }
    }
    Ok(outcome)
}

fn take_report(outcome: &mut Outcome, facts: &str) {
    let parts: Vec<&str> = facts.splitn(8, ':').collect();
    let [uid, gid, mode, size, links, owner, group, kind] = parts[..] else {
        return;
    };
    let number = |text: &str| text.parse::<u64>().map_or(Value::Null, Value::from);
    let name =
        |name: &str, number: &str| Value::from(if name == "UNKNOWN" { number } else { name });
    let state = match kind {
        "directory" => "directory",
        "symbolic link" => "link",
        _ if links != "1" => "hard",
        _ => "file",
    };
    outcome.insert("uid".into(), number(uid));
    outcome.insert("gid".into(), number(gid));
    outcome.insert("owner".into(), name(owner, uid));
    outcome.insert("group".into(), name(group, gid));
    outcome.insert("mode".into(), format!("0{mode:0>3}").into());
    outcome.insert("size".into(), number(size));
    outcome.insert("state".into(), state.into());
}

/// A failed script's own words: lines marked as error, note or help; else the end of its stderr.
pub fn explain(reply: &Reply) -> Diagnostic {
    let text = for_terminal(&reply.err());
    let Some(message) = text
        .lines()
        .find_map(|line| line.strip_prefix("hactl-error: "))
    else {
        return probe::failure(reply);
    };
    let mut error = Diagnostic::with_code(exit::FAILED, message);
    let rest: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("hactl-"))
        .collect();
    if !rest.is_empty() {
        error = error.note(rest.join("\n"));
    }
    match text
        .lines()
        .find_map(|line| line.strip_prefix("hactl-help: "))
    {
        Some(help) => error.help(help),
        None => error,
    }
}

/// An absolute path parameter, without trailing slashes.
///
/// # Errors
/// When it is not absolute.
pub fn path(args: &Args, name: &str) -> Result<String> {
    let text = args.str_or(name, "");
    if !text.starts_with('/') {
        return Err(
            Diagnostic::new(format!("`{name}` must be an absolute path, not `{text}`"))
                .help("write the whole path, beginning with `/`"),
        );
    }
    Ok(trimmed(text).to_owned())
}

/// A path without trailing slashes; the root stays.
pub fn trimmed(path: &str) -> &str {
    let short = path.trim_end_matches('/');
    if short.is_empty() && path.starts_with('/') {
        "/"
    } else {
        short
    }
}

/// Where a symbolic link leads, as far as its own text tells.
pub fn through(path: &str, link: Option<&SeenFile>) -> String {
    match link.and_then(|link| link.target.as_deref()) {
        Some(target) => join(parent(path), target),
        None => path.to_owned(),
    }
}

/// The last component.
pub fn basename(path: &str) -> &str {
    trimmed(path).rsplit('/').next().unwrap_or_default()
}

/// The directory that holds a path.
pub fn parent(path: &str) -> &str {
    match trimmed(path).rfind('/') {
        Some(0) => "/",
        Some(at) => &path[..at],
        None => ".",
    }
}

/// A path below a directory.
pub fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{}/{name}", directory.trim_end_matches('/'))
    }
}
