//! `copy` of whole directories: from this side (a tree the engine read) or from another place on the host.

use super::attributes::{Attributes, Wish, parent};
use super::copy::tree_root;
use super::file::{kind_name, look, make_directories, seen_file};
use super::mode::Mode;
use super::write::{self, PRELUDE, Source, Write};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, Diff, FileKind, Outcome, Probe, Request, Seen,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The directories of a tree, parents first; an entry that ends in a slash is an empty directory.
fn directories(args: &Args, root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([root.to_owned()]);
    for (name, _, _) in &args.tree {
        let mut path = name.trim_end_matches('/');
        if !name.ends_with('/') {
            path = parent(path);
        }
        while !matches!(path, "" | "." | "/") {
            found.insert(format!("{root}/{path}"));
            path = parent(path);
        }
    }
    found
}

fn files<'a>(args: &'a Args, root: &'a str) -> impl Iterator<Item = (String, u32, &'a [u8])> {
    let all = args.tree.iter().filter(|(name, _, _)| !name.ends_with('/'));
    all.map(move |(name, mode, content)| (format!("{root}/{name}"), *mode, content.as_slice()))
}

/// One look at every directory, then at every file.
pub fn probe(args: &Args, dest: &str) -> Result<Vec<Probe>> {
    let root = tree_root(args, dest);
    if let Some((name, _, _)) = args
        .tree
        .iter()
        .find(|(name, _, _)| name.starts_with('/') || name.split('/').any(|part| part == ".."))
    {
        return Err(Diagnostic::new(format!(
            "`{name}` is outside of the copied directory"
        )));
    }
    let mut probes: Vec<Probe> = directories(args, &root)
        .iter()
        .map(|path| look(path, true, Content::None))
        .collect();
    for (path, _, content) in files(args, &root) {
        let wanted = if args.diff {
            Content::UnlessDigest(write::digest(content))
        } else {
            Content::Digest
        };
        probes.push(look(path, false, wanted));
    }
    Ok(probes)
}

/// What a tree changes: missing directories, files that differ, attributes.
pub fn diff(args: &Args, dest: &str, seen: &[Seen]) -> Result<Decision> {
    let root = tree_root(args, dest);
    let wish = Wish::of(args)?;
    let mode = args.str("directory_mode").map(Mode::parse).transpose()?;
    let directory_wish = Wish {
        mode,
        ..wish.clone()
    };
    let outcome = Outcome::from_iter([
        (
            "dest".to_owned(),
            format!("{}/", dest.trim_end_matches('/')).into(),
        ),
        ("src".to_owned(), args.str_or("src", "").into()),
    ]);
    let mut change = Change {
        outcome,
        ..Change::default()
    };
    let made = make_directories(&directory_wish.for_new(true));
    let all = directories(args, &root);
    for (at, path) in all.iter().enumerate() {
        match seen_file(seen, at) {
            None => {
                change.diffs.push(Diff {
                    subject: path.clone(),
                    before: String::new(),
                    after: "state: directory\n".into(),
                });
                change
                    .requests
                    .push(args.request(format!("{PRELUDE}{made}mk {}", sh(path))));
            }
            Some(file) if file.kind != FileKind::Directory => {
                return Err(Diagnostic::new(format!(
                    "`{path}` is a {}, not a directory",
                    kind_name(file)
                )));
            }
            // The top directory keeps what it has, as with Ansible; those below get what is wished.
            Some(file) if *path != root => {
                set(args, path, &directory_wish.difference(file), &mut change);
            }
            Some(_) => {}
        }
    }
    for (at, (path, mode, content)) in files(args, &root).enumerate() {
        let file = seen_file(seen, all.len() + at);
        let wish = if args.str("mode") == Some("preserve") {
            Wish {
                mode: Some(Mode::Octal(mode)),
                ..wish.clone()
            }
        } else {
            wish.clone()
        };
        if let Some(file) = file.filter(|file| file.kind == FileKind::Directory) {
            return Err(Diagnostic::new(format!(
                "`{path}` is a {}, not a file",
                kind_name(file)
            )));
        }
        if file.is_some() && !args.bool_or("force", true) {
            continue;
        }
        let kept = file.filter(|file| file.kind == FileKind::File);
        if let Some(file) =
            kept.filter(|file| file.sha256.as_deref() == Some(&write::digest(content)))
        {
            set(args, &path, &wish.difference(file), &mut change);
            continue;
        }
        let attributes = kept.map_or_else(|| wish.for_new(false), |file| wish.difference(file));
        change
            .diffs
            .push(write::content_diff(args, &path, kept, Some(content)));
        change.diffs.extend(attributes.diff(&path));
        let source = Source::Bytes(content.to_vec());
        let write = Write {
            source,
            follow: false,
            attributes,
            ..Write::new(args, &path, Vec::new())
        };
        change.requests.push(write.request(args)?);
    }
    Ok(if change.requests.is_empty() {
        Decision::Same(change.outcome)
    } else {
        Decision::Change(change)
    })
}

fn set(args: &Args, path: &str, attributes: &Attributes, change: &mut Change) {
    if !attributes.is_empty() {
        change.requests.push(args.request(format!(
            "{PRELUDE}t={}\n{}",
            sh(path),
            attributes.commands("t", false)
        )));
        change.diffs.extend(attributes.diff(path));
    }
}

/// Compares a directory of the host with its copy; says nothing when `src` is not a directory.
pub fn remote_probe(args: &Args, src: &str, dest: &str) -> Probe {
    let (from, to) = (sh(src), sh(&tree_root(args, dest)));
    let mut script = format!(
        "[ -d {from} ] || exit 0\nif [ ! -d {to} ]; then echo new; exit 0; fi\n\
         LC_ALL=C diff -rq --no-dereference -- {from} {to} | head -n 1000\n"
    );
    if let Some(test) = ownership_test(args) {
        let _ = writeln!(script, "find {to} {test} -printf 'owner %p\\n' -quit");
    }
    Probe::Run(args.request(script))
}

fn ownership_test(args: &Args) -> Option<String> {
    let test = |name: &str, option: &str| {
        args.str(name)
            .map(|value| format!("! {option} {}", sh(value)))
    };
    let tests: Vec<String> = [test("owner", "-user"), test("group", "-group")]
        .into_iter()
        .flatten()
        .collect();
    (!tests.is_empty()).then(|| format!("\\( {} \\)", tests.join(" -o ")))
}

/// Copies a directory within the host.
pub fn remote_diff(args: &Args, dest: &str, seen: &[Seen]) -> Result<Decision> {
    let src = args.str_or("src", "");
    let to = tree_root(args, dest);
    let Some(Seen::Reply(reply)) = seen.get(5) else {
        return Err(Diagnostic::new(format!(
            "`{src}` could not be compared with `{to}`"
        )));
    };
    let told = format!(
        "{}/{}",
        dest.trim_end_matches('/'),
        src.rsplit('/').next().unwrap_or_default()
    );
    let outcome = Outcome::from_iter([
        ("dest".to_owned(), told.into()),
        ("src".to_owned(), src.into()),
    ]);
    let (there, below) = (format!("Only in {to}:"), format!("Only in {to}/"));
    let out = reply.out();
    let differences: Vec<&str> = out
        .lines()
        .filter(|line| !line.starts_with(&there) && !line.starts_with(&below))
        .collect();
    if differences.is_empty() {
        return Ok(Decision::Same(outcome));
    }
    let (from, target) = (sh(src.trim_end_matches('/')), sh(&to));
    // Without `--remove-destination` a file that is there, and open to more users, takes in the content first.
    let mut script = format!(
        "{PRELUDE}umask 022\nmkdir -p -- {target}\n\
         cp -RPT --remove-destination --preserve=mode -- {from}/ {target}\n"
    );
    if let Some(ownership) = (Wish {
        mode: None,
        ..Wish::of(args)?
    })
    .for_new(true)
    .ownership()
    {
        let _ = writeln!(script, "chown -R -- {} {target}", sh(&ownership));
    }
    let diffs = vec![Diff {
        subject: to.clone(),
        before: String::new(),
        after: format!("{}\n", differences.join("\n")),
    }];
    Ok(Decision::Change(Change {
        diffs,
        requests: vec![Request {
            stdin: Vec::new(),
            ..args.request(script)
        }],
        outcome,
    }))
}
