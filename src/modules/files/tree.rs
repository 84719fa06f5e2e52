//! Attributes of everything below a directory: one listing, then few commands for many paths.

use super::attributes::{Attributes, Wish};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Change, Diff, FileKind, Probe, Seen, SeenFile};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lists what is below a directory; with `follow` also what links in it lead to.
pub fn probe(args: &Args, path: &str, follow: bool) -> Probe {
    let path = sh(path);
    let format = "-printf '%y %m %U %G %u %g %p\\0'";
    let mut script = format!("[ -d {path} ] || exit 0\n");
    if follow {
        let _ = writeln!(
            script,
            "find -H {path} -mindepth 1 -type l {format}\nfind -L {path} -mindepth 1 ! -type l {format}"
        );
    } else {
        let _ = writeln!(script, "find {path} -mindepth 1 {format}");
    }
    Probe::Run(args.request(script))
}

/// Adds to a change what it takes to give everything below `path` the wished attributes.
pub fn attributes(
    args: &Args,
    path: &str,
    wish: &Wish,
    listing: Option<&Seen>,
    change: &mut Change,
) -> Result<()> {
    let Some(Seen::Reply(reply)) = listing else {
        return Ok(());
    };
    if reply.code != 0 {
        return Err(
            Diagnostic::new(format!("`{path}` cannot be listed")).note(reply.err().trim_end())
        );
    }
    let (mut owners, mut modes) = (BTreeMap::<_, Vec<u8>>::new(), BTreeMap::<_, Vec<u8>>::new());
    let mut narrowed = BTreeMap::<u32, Vec<u8>>::new();
    let (mut before, mut after) = (String::new(), String::new());
    for entry in reply
        .stdout
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
    {
        let Some((seen, name)) = parse(entry) else {
            return Err(Diagnostic::new(format!(
                "the listing of `{path}` cannot be read"
            )));
        };
        let found: Attributes = wish.difference(&seen);
        if found.is_empty() {
            continue;
        }
        if let Some(ownership) = found.ownership() {
            let paths = owners
                .entry((ownership, seen.kind == FileKind::Link))
                .or_default();
            paths.extend_from_slice(name);
            paths.push(0);
        }
        if let Some(mode) = found.narrow {
            let paths = narrowed.entry(mode).or_default();
            paths.extend_from_slice(name);
            paths.push(0);
        }
        if let Some(mode) = found.mode {
            let paths = modes.entry(mode).or_default();
            paths.extend_from_slice(name);
            paths.push(0);
        }
        let name = String::from_utf8_lossy(name);
        if let Some(diff) = found.diff(&name) {
            let _ = write!(
                before,
                "{name}: {}",
                diff.before.replace('\n', " ").trim_end()
            );
            let _ = write!(
                after,
                "{name}: {}",
                diff.after.replace('\n', " ").trim_end()
            );
            before.push('\n');
            after.push('\n');
        }
    }
    let set_modes = |change: &mut Change, modes: BTreeMap<u32, Vec<u8>>| {
        change
            .requests
            .extend(modes.into_iter().map(|(mode, paths)| {
                args.request(format!("xargs -0 chmod -- {mode:05o}"))
                    .stdin(paths)
            }));
    };
    set_modes(change, narrowed);
    for ((ownership, link), paths) in owners {
        let option = if link { "-h " } else { "" };
        change.requests.push(
            args.request(format!("xargs -0 chown {option}-- {}", sh(&ownership)))
                .stdin(paths),
        );
    }
    set_modes(change, modes);
    if !after.is_empty() {
        change.diffs.push(Diff {
            subject: path.to_owned(),
            before,
            after,
        });
    }
    Ok(())
}

fn parse(entry: &[u8]) -> Option<(SeenFile, &[u8])> {
    let mut parts = entry.splitn(7, |byte| *byte == b' ');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let kind = match text()? {
        "d" => FileKind::Directory,
        "f" => FileKind::File,
        "l" => FileKind::Link,
        _ => FileKind::Other,
    };
    let mode = u32::from_str_radix(text()?, 8).ok()?;
    let (uid, gid) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let (owner, group) = (text()?.to_owned(), text()?.to_owned());
    let seen = SeenFile {
        kind,
        mode,
        uid,
        gid,
        owner,
        group,
        size: 0,
        inode: 0,
        links: 1,
        device: 0,
        mtime: 0,
        atime: 0,
        ctime: 0,
        target: None,
        sha256: None,
        content: None,
    };
    Some((seen, parts.next()?))
}
