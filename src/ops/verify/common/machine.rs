//! The machine below: its clock's source, its packages, its memory.

use super::super::check::{Check, Findings, Verdict};
use super::super::component::{View, list};
use super::super::observations::{Ask, Observations, last_words};
use crate::base::quote::sh;
use crate::modules::Reply;
use crate::ops::hosts::Host;
use std::collections::BTreeMap;

pub static SYNCHRONISED: Check = Check::warn(
    "common.time-source",
    "every clock follows a time source",
    "chronyc sources shows who is asked; without a source the clocks drift apart",
);
pub static HELD: Check = Check::warn(
    "common.held-packages",
    "no package is held back",
    "apt-mark unhold PACKAGE: a held package gets no security updates",
);
pub static VERSIONS: Check = Check::warn(
    "common.same-versions",
    "hosts of a kind have the same versions",
    "upgrade the host that is behind, the one that does not carry the service first",
);
pub static MEMORY: Check = Check::warn(
    "common.out-of-memory",
    "no process was killed for want of memory in 24 hours",
    "more memory, or fewer workers and connections: next time it may be the database",
);

/// What a stack consists of, by group. Patterns of dpkg-query; a package that a host does not have is passed over.
const PACKAGES: &[(&str, &[&str])] = &[
    ("haproxy", &["haproxy"]),
    ("keepalived", &["keepalived"]),
    (
        "postgresql",
        &["postgresql-[0-9]*", "postgresql-common", "pgbackrest"],
    ),
    (
        "welcome_app",
        &["gunicorn", "python3-flask", "python3-psycopg2"],
    ),
];

/// In a container the kernel's messages and the clock are the machine's, and tell nothing about this host.
const TIME: &str = "if systemd-detect-virt -cq; then echo container; else chronyc -n tracking; fi";
const KILLED: &str = "set -- MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef
systemd-detect-virt -cq || set -- \"$@\" + _TRANSPORT=kernel PRIORITY=3 + _TRANSPORT=kernel PRIORITY=4
journalctl -q --no-pager -o short-iso --since -24h \"$@\" | grep -E 'OOM killer|Out of memory|oom-kill' | tail -n 5; :";

/// The questions to a host.
pub fn asks(host: &Host) -> Vec<Ask> {
    let patterns: Vec<String> = PACKAGES
        .iter()
        .filter(|(group, _)| host.groups.iter().any(|own| own == group))
        .flat_map(|(_, patterns)| *patterns)
        .map(|pattern| sh(pattern))
        .collect();
    vec![
        Ask::sh("common.tracking", TIME),
        Ask::sh("common.held", "apt-mark showhold"),
        // Exit code 1: one of them is not installed.
        Ask::sh(
            "common.versions",
            format!(
                "dpkg-query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n' chrony {} 2>/dev/null; [ $? -le 1 ]",
                patterns.join(" ")
            ),
        ),
        Ask::sh("common.killed", KILLED),
    ]
}

/// Judges what the hosts answered.
pub fn judge(view: &View<'_>, seen: &Observations, hosts: &[String], findings: &mut Findings) {
    seen.judge_each(
        findings,
        &SYNCHRONISED,
        hosts,
        "common.tracking",
        |_, reply| follows(reply),
    );
    seen.judge_each(findings, &HELD, hosts, "common.held", |_, reply| {
        let text = reply.out();
        let held: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        match (reply.code, held.as_slice()) {
            (0, []) => Verdict::Good("none".to_owned()),
            (0, _) => Verdict::bad("no held package", list(held)),
            _ => Verdict::Unknown(last_words(reply)),
        }
    });
    versions(view, seen, hosts, findings);
    seen.judge_each(findings, &MEMORY, hosts, "common.killed", |_, reply| {
        let text = reply.out();
        match (reply.code, text.lines().next_back()) {
            (0, None) => Verdict::Good("none".to_owned()),
            (0, Some(last)) => Verdict::bad(
                "none killed",
                format!(
                    "{} in 24 hours; the last: {}",
                    text.lines().count(),
                    last.trim()
                ),
            ),
            _ => Verdict::Unknown(last_words(reply)),
        }
    });
}

fn follows(reply: &Reply) -> Verdict {
    let text = reply.out();
    if text.trim() == "container" {
        return Verdict::Good("the machine below keeps it".to_owned());
    }
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    match (reply.code, value("Leap status")) {
        (0, Some("Normal" | "Insert second" | "Delete second")) => Verdict::Good(format!(
            "{}, stratum {}",
            value("Reference ID").unwrap_or("a source"),
            value("Stratum").unwrap_or("unknown")
        )),
        (0, Some(other)) => Verdict::bad("a source that is followed", other),
        _ => Verdict::Unknown(last_words(reply)),
    }
}

/// Compares with the first host that has the package.
fn versions(view: &View<'_>, seen: &Observations, hosts: &[String], findings: &mut Findings) {
    let mut first: BTreeMap<String, (String, String)> = BTreeMap::new();
    for host in hosts {
        let verdict = match seen.reply(host, "common.versions") {
            Err(verdict) => verdict,
            Ok(reply) if reply.code != 0 => Verdict::Unknown(last_words(reply)),
            Ok(reply) => {
                let text = reply.out();
                let own: Vec<(&str, &str)> = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("installed ")?.split_once(' '))
                    .collect();
                let mut differ = Vec::new();
                for (package, version) in &own {
                    match first.get(*package) {
                        None => {
                            let seen_here = (host.clone(), (*version).to_owned());
                            first.insert((*package).to_owned(), seen_here);
                        }
                        Some((other, there)) if there != version => {
                            differ.push(format!("{package} {version}, on {other} {there}"));
                        }
                        Some(_) => {}
                    }
                }
                if view.site.hosts.len() < 2 {
                    Verdict::Good("the only host".to_owned())
                } else if differ.is_empty() {
                    Verdict::Good(list(own.iter().map(|(package, _)| *package)))
                } else {
                    Verdict::bad("the same versions as on the other hosts", differ.join("; "))
                }
            }
        };
        findings.add(&VERSIONS, host, verdict);
    }
}
