//! `file`: files, directories, links and their attributes; removal.

use super::attributes::{
    self, ATTRIBUTES, Attributes, GROUP, MODE, OWNER, REPORT, SELEVEL, SEROLE, SETYPE, SEUSER,
    UNSAFE_WRITES, Wish, describe, foresee,
};
use super::tree;
use super::write::PRELUDE;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, Diff, FileKind, FileProbe, Kind, Module, Outcome, Param,
    Probe, Reply, Request, Seen, SeenFile, Spec,
};
use std::fmt::Write as _;

static SPEC: Spec = Spec {
    names: &["file", "ansible.builtin.file"],
    params: &[
        Param::new("path", Kind::Path)
            .required()
            .aliases(&["dest", "name"]),
        Param::new("state", Kind::Str).choices(&[
            "absent",
            "directory",
            "file",
            "hard",
            "link",
            "touch",
        ]),
        Param::new("src", Kind::Path),
        Param::new("recurse", Kind::Bool),
        Param::new("force", Kind::Bool),
        Param::new("follow", Kind::Bool),
        Param::new("modification_time", Kind::Str),
        Param::new("access_time", Kind::Str),
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
    summary: "files, directories, links and their owner and mode",
    ..Spec::EMPTY
};

/// The module.
pub struct File;

/// A path as one probe sees it.
pub fn look(path: impl Into<String>, follow: bool, content: Content) -> Probe {
    Probe::File(FileProbe {
        path: path.into(),
        follow,
        content,
    })
}

/// What a file probe saw.
pub fn seen_file(seen: &[Seen], at: usize) -> Option<&SeenFile> {
    match seen.get(at) {
        Some(Seen::File(Some(file))) => Some(file),
        _ => None,
    }
}

impl Module for File {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        let path = attributes::path(args, "path")?;
        Wish::of(args)?;
        let state = args.str("state");
        if state == Some("absent") && is_root(&path) {
            return Err(Diagnostic::new("the root directory cannot be removed")
                .help("a variable in `path` may be empty; write the path that is meant"));
        }
        if args.bool_or("recurse", false) && !matches!(state, None | Some("directory")) {
            return Err(Diagnostic::new("`recurse` needs `state: directory`"));
        }
        if args.has("src") && matches!(state, Some("file" | "directory" | "touch")) {
            return Err(Diagnostic::new(
                "`src` needs `state: link` or `state: hard`",
            ));
        }
        if state == Some("hard") && args.str("src").is_some_and(|src| !src.starts_with('/')) {
            return Err(Diagnostic::new(
                "`src` of a hard link must be an absolute path",
            ));
        }
        let mut probes = vec![look(&path, false, Content::None)];
        if state == Some("absent") {
            return Ok(probes);
        }
        probes.push(look(&path, true, Content::None));
        match args.str("src") {
            Some(src) if !src.is_empty() => {
                probes.push(look(source_path(&path, src), true, Content::None));
            }
            _ => probes.push(look(&path, true, Content::None)),
        }
        if args.bool_or("recurse", false) {
            probes.push(tree::probe(args, &path, args.bool_or("follow", true)));
        } else if let Some(probe) = times_probe(args, &path) {
            probes.push(probe);
        }
        Ok(probes)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "path")?;
        let wish = Wish::of(args)?;
        let follow = args.bool_or("follow", true);
        let (here, real) = (seen_file(seen, 0), seen_file(seen, 1));
        let state = args
            .str("state")
            .unwrap_or(match here.map(|here| here.kind) {
                None if args.bool_or("recurse", false) => "directory",
                Some(FileKind::Directory) => "directory",
                Some(FileKind::Link) => "link",
                Some(_) | None => "file",
            });
        // Through a link, when links are followed: what it points to.
        let object = if follow { real } else { here };
        let is_object = follow && matches!(state, "directory" | "file");
        let through = here.filter(|here| is_object && here.kind == FileKind::Link);
        let task = Task {
            args,
            path: &path,
            wish: &wish,
            follow,
            through,
        };
        match state {
            "absent" => Ok(task.absent(here)),
            "directory" => task.directory(object, seen.get(3)),
            "link" => task.link(here, seen_file(seen, 2)),
            "hard" => task.hard(here, seen_file(seen, 2)),
            "touch" => task.touch(object, here, seen.get(3)),
            _ => task.file(object, seen.get(3)),
        }
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

/// One task of the module.
pub(super) struct Task<'a> {
    pub(super) args: &'a Args,
    pub(super) path: &'a str,
    pub(super) wish: &'a Wish,
    pub(super) follow: bool,
    /// The link at the path, when what it leads to is meant.
    through: Option<&'a SeenFile>,
}

impl Task<'_> {
    pub(super) fn request(&self, body: &str) -> Request {
        self.args
            .request(format!("{PRELUDE}t={}\n{body}", sh(self.path)))
    }

    /// The path as the task wrote it, or what it leads to.
    pub(super) fn outcome(&self, key: &str) -> Outcome {
        let path = match self.through {
            Some(link) => attributes::through(self.path, Some(link)),
            None => self.args.str_or("path", self.path).to_owned(),
        };
        Outcome::from_iter([(key.to_owned(), path.into())])
    }

    pub(super) fn state_diff(&self, before: &str, after: &str) -> Diff {
        let line = |state: &str| {
            if state == "absent" {
                String::new()
            } else {
                format!("state: {state}\n")
            }
        };
        Diff {
            subject: self.path.to_owned(),
            before: line(before),
            after: line(after),
        }
    }

    pub(super) fn wrong(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("`{}` {what}", self.path))
    }

    fn absent(&self, here: Option<&SeenFile>) -> Decision {
        let mut outcome = self.outcome("path");
        outcome.insert("state".into(), "absent".into());
        let Some(here) = here else {
            return Decision::Same(outcome);
        };
        let option = if here.kind == FileKind::Directory {
            "-rf"
        } else {
            "-f"
        };
        let diffs = vec![self.state_diff(kind_name(here), "absent")];
        Decision::Change(Change {
            diffs,
            requests: vec![self.request(&format!("rm {option} -- \"$t\"\n"))],
            outcome,
        })
    }

    fn directory(&self, object: Option<&SeenFile>, listing: Option<&Seen>) -> Result<Decision> {
        let mut outcome = self.outcome("path");
        let Some(object) = object else {
            foresee(&mut outcome, self.wish, None, true);
            let body = format!(
                "{}mk \"$t\"\n{REPORT}",
                make_directories(&self.wish.for_new(true))
            );
            let diffs = vec![self.state_diff("absent", "directory")];
            return Ok(Decision::Change(Change {
                diffs,
                requests: vec![self.request(&body)],
                outcome,
            }));
        };
        if object.kind != FileKind::Directory {
            return Err(self
                .wrong(&format!("already exists as a {}", kind_name(object)))
                .help("remove it first, or choose another path"));
        }
        let mut change = self.attributes(object, listing, outcome)?;
        if self.args.bool_or("recurse", false) {
            tree::attributes(self.args, self.path, self.wish, listing, &mut change)?;
        }
        Ok(decide(change, object))
    }

    fn file(&self, object: Option<&SeenFile>, times: Option<&Seen>) -> Result<Decision> {
        let Some(object) = object else {
            return Err(self
                .wrong("is absent")
                .help("`state: file` does not create; use copy or template, or `state: touch`"));
        };
        if matches!(object.kind, FileKind::Directory | FileKind::Link) {
            return Err(self.wrong(&format!("is a {}, not a file", kind_name(object))));
        }
        Ok(decide(
            self.attributes(object, times, self.outcome("path"))?,
            object,
        ))
    }

    /// Attributes and times of what is there.
    pub(super) fn attributes(
        &self,
        object: &SeenFile,
        times: Option<&Seen>,
        mut outcome: Outcome,
    ) -> Result<Change> {
        let wished = self.wish.difference(object);
        let mut body = wished.commands("t", !self.follow);
        let mut diffs: Vec<Diff> = wished.diff(self.path).into_iter().collect();
        let default = if self.args.str("state") == Some("touch") {
            "now"
        } else {
            "preserve"
        };
        let times = times_commands(self.args, default, times)?;
        if !times.is_empty() {
            body.push_str(&times);
            diffs.push(Diff {
                subject: self.path.to_owned(),
                before: "times: as they are\n".into(),
                after: "times: set\n".into(),
            });
        }
        describe(&mut outcome, object);
        let mut change = Change {
            diffs,
            requests: Vec::new(),
            outcome,
        };
        if !body.is_empty() {
            foresee(
                &mut change.outcome,
                self.wish,
                Some(object),
                object.kind == FileKind::Directory,
            );
            let real = if self.through.is_some() {
                "t=$(readlink -f -- \"$t\")\n"
            } else {
                ""
            };
            change
                .requests
                .push(self.request(&format!("{real}{body}{REPORT}")));
        }
        Ok(change)
    }

    fn touch(
        &self,
        object: Option<&SeenFile>,
        here: Option<&SeenFile>,
        times: Option<&Seen>,
    ) -> Result<Decision> {
        let outcome = self.outcome("dest");
        if let Some(object) = object.or(here) {
            return Ok(decide(self.attributes(object, times, outcome)?, object));
        }
        let mut outcome = outcome;
        foresee(&mut outcome, self.wish, None, false);
        let attributes = self.wish.for_new(false);
        // Whoever opens it while it is open to all reads what is written to it later.
        let umask = if attributes.mode.is_some() {
            "077"
        } else {
            "022"
        };
        let mut body = format!("(umask {umask}; : >\"$t\")\n");
        body.push_str(&attributes.commands("t", false));
        body.push_str(&times_commands(self.args, "now", None)?);
        body.push_str(REPORT);
        let diffs = vec![self.state_diff("absent", "file")];
        Ok(Decision::Change(Change {
            diffs,
            requests: vec![self.request(&body)],
            outcome,
        }))
    }
}

/// A change, or none when nothing is to be done.
pub(super) fn decide(change: Change, object: &SeenFile) -> Decision {
    if change.requests.is_empty() {
        let mut outcome = change.outcome;
        describe(&mut outcome, object);
        return Decision::Same(outcome);
    }
    Decision::Change(change)
}

/// A shell function `mk` that makes a directory and the missing ones above it, each with these attributes.
pub fn make_directories(attributes: &Attributes) -> String {
    let commands = attributes.commands("1", false);
    let mode = if attributes.mode.is_some() {
        "0700"
    } else {
        "0755"
    };
    format!(
        "mk() {{ [ -d \"$1\" ] && return 0; p=${{1%/*}}; [ -z \"$p\" ] || mk \"$p\"; mkdir -m {mode} -- \"$1\"\n{commands}}}\n"
    )
}

/// What `src` of a link means: relative to the link.
pub(super) fn source_path(path: &str, src: &str) -> String {
    attributes::join(attributes::parent(path), src)
}

/// Whether a path is the root, however it is written.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

/// What a path is, for people.
pub fn kind_name(seen: &SeenFile) -> &'static str {
    match seen.kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Link => "link",
        FileKind::Other => "special file",
    }
}

/// Prints both times in the form in which they are given.
fn times_probe(args: &Args, path: &str) -> Option<Probe> {
    let fixed = |name| {
        args.str(name)
            .is_some_and(|time| !matches!(time, "preserve" | "now"))
    };
    (fixed("modification_time") || fixed("access_time")).then(|| {
        let path = sh(path);
        Probe::Run(args.request(format!(
            "m=$(stat -Lc %Y -- {path}) || exit 0\na=$(stat -Lc %X -- {path})\ndate -d \"@$m\" +%Y%m%d%H%M.%S\ndate -d \"@$a\" +%Y%m%d%H%M.%S\n"
        )))
    })
}

fn times_commands(args: &Args, default: &str, seen: Option<&Seen>) -> Result<String> {
    let now: Vec<String> = match seen {
        Some(Seen::Reply(reply)) => reply.out().lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let mut script = String::new();
    for (index, (name, option)) in [("modification_time", "-m"), ("access_time", "-a")]
        .into_iter()
        .enumerate()
    {
        match args.str_or(name, default) {
            "preserve" => {}
            "now" => {
                let _ = writeln!(script, "touch -c {option} -- \"$t\"");
            }
            time => {
                let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
                if !time.split_once('.').is_some_and(|(day, second)| {
                    day.len() == 12 && second.len() == 2 && digits(day) && digits(second)
                }) {
                    return Err(Diagnostic::new(format!(
                        "`{name}` takes `preserve`, `now` or `YYYYMMDDhhmm.ss`, not `{time}`"
                    )));
                }
                if now.get(index).map(String::as_str) != Some(time) {
                    let _ = writeln!(script, "touch -c {option} -t {time} -- \"$t\"");
                }
            }
        }
    }
    Ok(script)
}
