//! The requests that apt makes, and how their answers are read.

use crate::base::{Diagnostic, Result, quote};
use crate::modules::system::support::{failed, lines, tail};
use crate::modules::{Args, Change, MESSAGE, Outcome, Reply, Request};

const PRELUDE: &str = include_str!("prelude.sh");
/// Stands before what a script tells about its own doing.
const MARK: &str = "@hactl ";

/// A request whose script may use the functions of the prelude.
pub(super) fn request(args: &Args, body: &str) -> Request {
    let timeout = args.int("lock_timeout").unwrap_or(300).max(0);
    let policy = args.int("policy_rc_d").map_or_else(String::new, |code| {
        format!(
            "p=/usr/sbin/policy-rc.d\n[ ! -e \"$p\" ] || cp -p \"$p\" \"$t/policy\"\n\
             cleanup() {{ if [ -e \"$t/policy\" ]; then mv \"$t/policy\" \"$p\"; else rm -f \"$p\"; fi; rm -rf \"$t\"; }}\n\
             printf '#!/bin/sh\\nexit {code}\\n' >\"$p\" && chmod 755 \"$p\" || exit 1\n"
        )
    });
    args.request(format!("lock_timeout={timeout}\n{PRELUDE}{policy}{body}"))
}

/// Fetches the package lists.
pub(in crate::modules::system) fn update(args: &Args) -> Request {
    let retries = args.int("update_cache_retries").unwrap_or(5).max(1);
    let delay = args
        .int("update_cache_retry_max_delay")
        .unwrap_or(12)
        .max(1);
    request(
        args,
        &format!(
            "before=$(lists)\nn=1; wait=1\nuntil apt -o APT::Update::Error-Mode=any update >\"$t/log\" 2>&1; do\n\
             [ \"$n\" -lt {retries} ] && ! grep -Eq 'get lock|NO_PUBKEY|404  Not Found|Malformed' \"$t/log\" || {{ cat \"$t/log\" >&2; exit 100; }}\n\
             sleep \"$wait\"; n=$((n + 1)); wait=$((wait * 2)); [ \"$wait\" -le {delay} ] || wait={delay}\ndone\n\
             grep 'held by process' \"$t/log\" >&2\ntouch /var/lib/apt/lists\n\
             [ \"$before\" = \"$(lists)\" ] && echo '{MARK}updated no' || echo '{MARK}updated yes'\n\
             echo \"{MARK}time $(stat -c %Y /var/lib/apt/lists)\"\n"
        ),
    )
}

/// The options that installing and removing share.
fn options(args: &Args) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut option = |text: String| words.push(quote::sh(&text));
    for name in args
        .str_or("dpkg_options", "force-confdef,force-confold")
        .split(',')
        .filter(|name| !name.is_empty())
    {
        option("-o".to_owned());
        option(format!("Dpkg::Options::=--{}", name.trim()));
    }
    match args.bool("install_recommends") {
        Some(true) => option("-oAPT::Install-Recommends=true".to_owned()),
        Some(false) => option("--no-install-recommends".to_owned()),
        None => {}
    }
    for (name, words) in [
        ("allow_downgrade", "--allow-downgrades"),
        ("allow_unauthenticated", "--allow-unauthenticated"),
        ("allow_change_held_packages", "--allow-change-held-packages"),
        ("autoremove", "--auto-remove"),
        ("fail_on_autoremove", "--no-remove"),
        ("purge", "--purge"),
    ] {
        if args.bool_or(name, false) {
            option(words.to_owned());
        }
    }
    if args.bool_or("force", false) {
        for name in [
            "--allow-downgrades",
            "--allow-remove-essential",
            "--allow-change-held-packages",
        ] {
            option(name.to_owned());
        }
    }
    if let Some(release) = args.str("default_release") {
        option("-t".to_owned());
        option(release.to_owned());
    }
    words.join(" ")
}

/// Runs apt-get with that verb; names that an installed package provides are left out.
pub(super) fn install(args: &Args, verb: &str, names: &[String]) -> Request {
    let options = options(args);
    let names = quote::sh_join(names.iter().map(String::as_str));
    let body = if names.is_empty() {
        format!("before=$(dpkg_state)\napt {options} {verb} || exit\n")
    } else {
        format!(
            "before=$(dpkg_state)\nset -- {names}\nfor n; do\nshift\n\
             case $n in *[=/:*?]*) ;; *) if provided \"$n\"; then continue; fi ;; esac\nset -- \"$@\" \"$n\"\ndone\n\
             if [ $# -gt 0 ]; then apt {options} {verb} -- \"$@\" || exit; fi\n"
        )
    };
    request(args, &format!("{body}{}", told()))
}

/// Removes packages.
pub(super) fn remove(args: &Args, names: &[String]) -> Request {
    let names = quote::sh_join(names.iter().map(String::as_str));
    let body = format!(
        "before=$(dpkg_state)\napt {} remove -- {names} || exit\n{}",
        options(args),
        told()
    );
    request(args, &body)
}

/// The lines that tell whether dpkg's state changed.
pub(super) fn told() -> String {
    format!(
        "[ \"$before\" = \"$(dpkg_state)\" ] && echo '{MARK}changed no' || echo '{MARK}changed yes'\n"
    )
}

/// The outcome, or the error in apt's own words with what to do.
pub(super) fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let mut outcome = change.outcome.clone();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let (mut changed, mut updated) = (false, false);
    for reply in replies {
        if reply.code != 0 {
            return Err(failure(args, reply));
        }
        for line in reply.out().lines() {
            match line
                .strip_prefix(MARK)
                .and_then(|told| told.split_once(' '))
            {
                Some(("changed", told)) => changed |= told == "yes",
                Some(("updated", told)) => updated |= told == "yes",
                Some(("time", time)) => {
                    outcome.insert(
                        "cache_update_time".into(),
                        time.parse::<i64>().unwrap_or(0).into(),
                    );
                }
                _ => {
                    stdout.push_str(line);
                    stdout.push('\n');
                }
            }
        }
        stderr.push_str(&reply.err());
    }
    outcome.insert("cache_updated".into(), updated.into());
    let only_update = !["name", "deb", "upgrade", "autoremove"]
        .iter()
        .any(|name| args.has(name));
    outcome.insert("changed".into(), (changed || only_update && updated).into());
    if let Some(holder) = holder(&stderr) {
        outcome.insert(
            MESSAGE.into(),
            format!("waited for apt's lock, which process {holder} held").into(),
        );
    }
    outcome.insert("stdout_lines".into(), lines(&stdout));
    outcome.insert("stderr_lines".into(), lines(&stderr));
    outcome.insert("stdout".into(), stdout.into());
    outcome.insert("stderr".into(), stderr.into());
    Ok(outcome)
}

/// Who held a lock that apt had to wait for: process id and name.
fn holder(text: &str) -> Option<String> {
    let (_, holder) = text
        .lines()
        .find_map(|line| line.split_once("held by process "))?;
    let end = holder.find(')').map_or(holder.len(), |end| end + 1);
    Some(quote::for_terminal(
        holder[..end].trim_end_matches([' ', '.']),
    ))
}

/// What apt's error means.
fn failure(args: &Args, reply: &Reply) -> Diagnostic {
    let text = format!("{}\n{}", reply.out(), reply.err());
    let said = tail(
        &text
            .lines()
            .filter(|line| !line.starts_with("hactl: "))
            .collect::<Vec<_>>()
            .join("\n"),
        15,
    );
    let no_lists = text.contains("hactl: no package lists");
    if text.contains("is a virtual package provided by") {
        return failed("apt knows several packages that can be this one, and does not choose")
            .note(said)
            .help("name one of them instead");
    }
    let missing: Vec<&str> = text.lines().filter_map(missing).collect();
    if !missing.is_empty() {
        let names = missing.join("`, `");
        let error = failed(format!("apt on this host knows no package `{names}`"));
        return if no_lists {
            error.help("its package lists have never been fetched: add `update_cache: true`")
        } else if args.bool_or("update_cache", false) {
            error.help("check the spelling, and whether the repository that has it is set up (apt_repository, deb822_repository)")
        } else {
            error.help("add `update_cache: true` if the lists may be old; else check the spelling and the repositories")
        };
    }
    if let Some(holder) = holder(&text) {
        return failed(format!("another process holds apt's lock: {holder}"))
            .note(said)
            .help("wait until it has ended and run again, or give more time with `lock_timeout`");
    }
    let error = failed(format!("apt-get ended with exit code {}", reply.code)).note(said);
    if text.contains("NO_PUBKEY") {
        return error.help("the key of a repository is missing on the host: `signed_by` of deb822_repository installs it");
    }
    if text.contains("held broken packages") || text.contains("unmet dependencies") {
        return error.help("on the host: apt-get -f install; apt-mark showhold");
    }
    if text.contains("downgraded and -y") {
        return error.help("add `allow_downgrade: true` when the older version is meant");
    }
    error
}

/// The package that a line of apt's errors calls unknown.
fn missing(line: &str) -> Option<&str> {
    let line = line.strip_prefix("E: ")?;
    if let Some(name) = line.strip_prefix("Unable to locate package ") {
        return Some(name.trim());
    }
    let quoted = line
        .strip_prefix("Package '")
        .and_then(|rest| rest.split_once("' has no installation candidate"));
    let version = line
        .strip_suffix("' was not found")
        .and_then(|rest| rest.strip_prefix("Version '"));
    quoted.map(|(name, _)| name).or_else(|| {
        version
            .and_then(|rest| rest.rsplit_once('\''))
            .map(|(_, name)| name)
    })
}
