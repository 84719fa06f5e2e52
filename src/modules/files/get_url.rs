//! `get_url`: a file downloaded by the host itself.

use super::attributes::{
    self, ATTRIBUTES, BACKUP, GROUP, MODE, OWNER, REPORT, SELEVEL, SEROLE, SETYPE, SEUSER,
    UNSAFE_WRITES, Wish, describe, foresee, join,
};
use super::download::{self, VALIDATE_CERTS, download};
use super::file::{look, seen_file};
use super::stat::ALGORITHMS;
use super::write::{PRELUDE, Source, Write};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, Diff, FileKind, Kind, Module, Outcome, Param, Probe, Reply,
    Seen, Spec,
};
use std::fmt::Write as _;

static SPEC: Spec = Spec {
    names: &["get_url", "ansible.builtin.get_url"],
    params: &[
        Param::new("url", Kind::Str).required(),
        Param::new("dest", Kind::Path).required(),
        Param::new("checksum", Kind::Str),
        Param::new("force", Kind::Bool),
        Param::new("timeout", Kind::Int),
        Param::new("headers", Kind::Dict),
        Param::new("url_username", Kind::Str).aliases(&["username"]),
        Param::new("url_password", Kind::Str)
            .aliases(&["password"])
            .secret(),
        Param::new("force_basic_auth", Kind::Bool),
        Param::new("use_proxy", Kind::Bool),
        Param::new("http_agent", Kind::Str),
        VALIDATE_CERTS,
        BACKUP,
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
    summary: "a file downloaded by the host",
    ..Spec::EMPTY
};

/// The module.
pub struct GetUrl;

/// The wished digest: its algorithm, and itself or the address of a list of digests.
fn checksum(args: &Args) -> Result<Option<(&str, &str)>> {
    let Some(text) = args.str("checksum").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wrong = || {
        Diagnostic::new(format!("`checksum` takes `algorithm:digest`, not `{text}`"))
            .help(format!("algorithms: {}", ALGORITHMS.join(", ")))
    };
    let (algorithm, digest) = text.split_once(':').ok_or_else(wrong)?;
    let is_digest = digest.contains("://")
        || (!digest.is_empty() && digest.trim().chars().all(|c| c.is_ascii_hexdigit()));
    if !ALGORITHMS.contains(&algorithm) || !is_digest {
        return Err(wrong());
    }
    Ok(Some((algorithm, digest.trim())))
}

impl Module for GetUrl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Wish::of(args)?;
        let dest = attributes::path(args, "dest")?;
        let inside = join(&dest, download::file_name(args.str_or("url", "")));
        let force = args.bool_or("force", false);
        let content = if force {
            Content::Digest
        } else {
            Content::None
        };
        let fetched = download(args, args.str_or("url", ""))?;
        let mut probes = vec![
            look(&dest, true, content.clone()),
            look(&inside, true, content),
        ];
        let mut runs = Vec::new();
        if let Some((algorithm, digest)) = checksum(args)? {
            let script = format!(
                "for t in {} {}; do if [ -f \"$t\" ]; then {algorithm}sum <\"$t\" | cut -d' ' -f1; else echo none; fi; done",
                sh(&dest),
                sh(&inside)
            );
            runs.push((script, Vec::new()));
            if digest.contains("://") {
                let list = download(args, digest)?;
                runs.push((to_stdout(&list.script, "cat"), list.stdin));
            }
        }
        if force {
            // Only a download tells whether the file is another one by now.
            let here = format!("[ -f {} ] || [ -f {} ] || exit 0\n", sh(&dest), sh(&inside));
            runs.push((
                here + &to_stdout(&fetched.script, "sha256sum"),
                fetched.stdin,
            ));
        }
        probes.extend(
            runs.into_iter()
                .map(|(script, stdin)| Probe::Run(args.request(script).stdin(stdin))),
        );
        Ok(probes)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let dest = attributes::path(args, "dest")?;
        let url = args.str_or("url", "");
        let wish = Wish::of(args)?;
        let force = args.bool_or("force", false);
        let inside = seen_file(seen, 0).is_some_and(|file| file.kind == FileKind::Directory);
        let (target, at) = if inside {
            (join(&dest, download::file_name(url)), 1)
        } else {
            (dest, 0)
        };
        let file = seen_file(seen, at).filter(|file| file.kind != FileKind::Link);
        if file.is_some_and(|file| file.kind == FileKind::Directory) {
            return Err(Diagnostic::new(format!("`{target}` is a directory"))
                .help("name the file in `dest`"));
        }
        let reply = |at: usize| match seen.get(at) {
            Some(Seen::Reply(reply)) => Some(reply),
            _ => None,
        };
        let wished = checksum(args)?;
        let mut next = 2;
        let (mut digest, mut present) = (None, None);
        if let Some((algorithm, given)) = wished {
            let sums = reply(next).map(Reply::out).unwrap_or_default();
            present = sums.lines().nth(at).map(str::to_owned);
            next += 1;
            let mut value = given.to_ascii_lowercase();
            if given.contains("://") {
                let list = reply(next).filter(|reply| reply.code == 0).map(Reply::out);
                next += 1;
                let list = list.ok_or_else(|| match reply(next - 1) {
                    Some(failed) => attributes::explain(failed),
                    None => Diagnostic::new(format!("`{given}` could not be read")),
                })?;
                value =
                    download::find_digest(&list, download::file_name(url)).ok_or_else(|| {
                        Diagnostic::new(format!(
                            "`{given}` has no digest of `{}`",
                            download::file_name(url)
                        ))
                    })?;
            }
            digest = Some((algorithm, value));
        }
        let fits = digest
            .as_ref()
            .is_none_or(|(_, value)| present.as_ref() == Some(value));
        let unchanged = match file {
            None => false,
            Some(_) if !force => fits,
            Some(file) => {
                let now = reply(next)
                    .filter(|reply| reply.code == 0)
                    .map(|reply| reply.out().split(' ').next().map(str::to_owned));
                fits && now.flatten() == file.sha256
            }
        };
        let mut outcome = Outcome::new();
        outcome.insert("dest".into(), target.clone().into());
        outcome.insert("url".into(), url.into());
        if let Some(file) = file.filter(|_| unchanged) {
            describe(&mut outcome, file);
            let attributes = wish.difference(file);
            if attributes.is_empty() {
                return Ok(Decision::Same(outcome));
            }
            foresee(&mut outcome, &wish, Some(file), false);
            let script = format!(
                "{PRELUDE}t={}\n{}{REPORT}",
                sh(&target),
                attributes.commands("t", false)
            );
            let diffs = attributes.diff(&target).into_iter().collect();
            return Ok(Decision::Change(Change {
                diffs,
                requests: vec![args.request(script)],
                outcome,
            }));
        }
        foresee(&mut outcome, &wish, file, false);
        let fetched = download(args, url)?;
        let mut script = fetched.script;
        if let Some((algorithm, value)) = digest {
            let _ = write!(
                script,
                "sum=$({algorithm}sum <\"$n\"); sum=${{sum%% *}}\n[ \"$sum\" = {value} ] || fail \"$t: the download has the {algorithm} digest $sum, not {value}\" 'the file on the server is another one: check it, then correct `checksum`'\n"
            );
        }
        let attributes = file.map_or_else(|| wish.for_new(false), |file| wish.difference(file));
        let before = file.map_or_else(String::new, |file| format!("({} bytes)\n", file.size));
        let mut diffs = vec![Diff {
            subject: target.clone(),
            before,
            after: format!("from {}\n", url_shown(url)),
        }];
        diffs.extend(attributes.diff(&target));
        let source = Source::Script(script, fetched.stdin);
        let write = Write {
            source,
            attributes,
            ..Write::new(args, &target, Vec::new())
        };
        Ok(Decision::Change(Change {
            diffs,
            requests: vec![write.request(args)?],
            outcome,
        }))
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

fn to_stdout(script: &str, filter: &str) -> String {
    format!("{PRELUDE}n=$(mktemp)\ntrap 'rm -f -- \"$n\"' EXIT\n{script}{filter} <\"$n\"\n")
}

/// An address without the password in it.
fn url_shown(url: &str) -> String {
    match (url.find("://"), url.find('@')) {
        (Some(scheme), Some(at)) if !url[scheme + 3..at].contains('/') => {
            format!("{}{}", &url[..scheme + 3], &url[at + 1..])
        }
        _ => url.to_owned(),
    }
}
