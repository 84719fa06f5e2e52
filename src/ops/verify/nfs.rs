//! The shared directory: exported to those who are named and to nobody else, mounted where it is declared, writable by the one
//! who writes there.
//!
//! Every question has a time limit of its own: a look at a share whose server is away would wait for it.

use super::check::{Check, Findings, Verdict};
use super::component::{Component, View, ask_units, judge_units, list};
use super::observations::{Ask, Observations, last_words};
use crate::base::quote::sh;
use crate::base::value::to_text;
use crate::modules::Request;
use crate::ops::hosts::{Host, Site};
use std::collections::{BTreeMap, BTreeSet};

/// The component.
pub struct Nfs;

const SERVER: &str = "nfs_server";
const CLIENT: &str = "nfs_client";
const UNITS: &[&str] = &["nfs-server.service"];

static RUNNING: Check = Check::fail(
    "nfs.running",
    "the file server runs and starts with its host",
    "systemctl enable --now nfs-server",
);
static EXPORTS: Check = Check::fail(
    "nfs.exports",
    "the directory is exported as declared, and nothing else is",
    "deploy again; what is in force is in /var/lib/nfs/etab, and `exportfs -ra` reads /etc/exports anew",
);
static OWNER: Check = Check::fail(
    "nfs.owner",
    "the directory belongs to the one who writes there, and others stay out",
    "deploy again: it sets owner and mode of the directory itself",
);
static MOUNTED: Check = Check::fail(
    "nfs.mounted",
    "every client has the directory mounted, and in a way that loses no write",
    "systemctl restart the automount unit; journalctl -b says why a mount failed; is the file server's port 2049 open?",
);
static AUTOMOUNT: Check = Check::fail(
    "nfs.automount",
    "the mount comes back by itself when it is used",
    "deploy again; systemctl start the automount unit",
);
static FSTAB: Check = Check::fail(
    "nfs.fstab",
    "the mount is in fstab as declared, and the host boots without the file server",
    "deploy again: it writes the line",
);
static WRITABLE: Check = Check::fail(
    "nfs.writable",
    "the application can write and remove a file there",
    "compare the number of the application's user on the client and on the server: it must be the same",
);

static CHECKS: &[&Check] = &[
    &RUNNING, &EXPORTS, &OWNER, &MOUNTED, &AUTOMOUNT, &FSTAB, &WRITABLE,
];

impl Component for Nfs {
    fn name(&self) -> &'static str {
        "nfs"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "nfs_server_path",
            "nfs_server_clients",
            "nfs_server_options",
            "nfs_server_fsid",
            "nfs_server_owner",
            "nfs_server_uid",
            "nfs_server_mode",
            "nfs_server_port",
            "nfs_client_path",
            "nfs_client_source",
            "nfs_client_options",
            "welcome_app_user",
        ]
    }

    fn applies(&self, site: &Site) -> bool {
        [SERVER, CLIENT]
            .iter()
            .any(|group| !site.members(group).is_empty())
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut asks = Vec::new();
        let is = |group: &str| view.site.members(group).contains(&host.name);
        if is(SERVER) {
            let path = host.text("nfs_server_path", "/srv/nfs/images");
            asks.push(ask_units("nfs.units", UNITS));
            asks.push(Ask::sh("nfs.etab", "cat /var/lib/nfs/etab"));
            asks.push(Ask::sh(
                "nfs.owner",
                format!("stat -c '%u %U %a' -- {}", sh(&path)),
            ));
        }
        if is(CLIENT) {
            let path = path(host);
            let word = sh(&path);
            let unit = sh(&format!("{}.automount", escaped(&path)));
            asks.push(limited(
                "nfs.mount",
                format!(
                    "timeout 10 stat -f -c %T -- {word} >/dev/null 2>&1; awk -v m={word} '$5 == m' /proc/self/mountinfo"
                ),
            ));
            asks.push(Ask::sh(
                "nfs.automount",
                format!("systemctl is-active -- {unit}"),
            ));
            asks.push(Ask::sh(
                "nfs.fstab",
                format!("awk -v m={word} '$1 !~ /^#/ && $2 == m' /etc/fstab"),
            ));
            let user = host.text("welcome_app_user", "welcome_app");
            let write = format!(
                "f=$(mktemp {word}/.hactl-verify.XXXXXX) && echo x >\"$f\" && rm -- \"$f\""
            );
            asks.push(limited(
                "nfs.write",
                format!(
                    "timeout 15 runuser -u {} -- sh -c {}",
                    sh(&user),
                    sh(&write)
                ),
            ));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let servers = view.site.members(SERVER);
        let clients = view.site.members(CLIENT);
        let of = |name: &str| view.site.host(name);
        seen.judge_each(findings, &RUNNING, servers, "nfs.units", |_, reply| {
            judge_units(reply, UNITS)
        });
        seen.judge_each(
            findings,
            &EXPORTS,
            servers,
            "nfs.etab",
            |name, reply| match (reply.code, of(name)) {
                (0, Some(host)) => exports(view, host, &reply.out()),
                _ => Verdict::Unknown(last_words(reply)),
            },
        );
        seen.judge_each(
            findings,
            &OWNER,
            servers,
            "nfs.owner",
            |name, reply| match (reply.code, of(name)) {
                (0, Some(host)) => owner(host, reply.out().trim()),
                _ => Verdict::bad("a directory", last_words(reply)),
            },
        );
        seen.judge_each(findings, &MOUNTED, clients, "nfs.mount", |name, reply| {
            of(name).map_or_else(
                || Verdict::Unknown("it is no host of the inventory".to_owned()),
                |host| mounted(view, host, &reply.out()),
            )
        });
        seen.judge_each(
            findings,
            &AUTOMOUNT,
            clients,
            "nfs.automount",
            |_, reply| Verdict::of(reply.out().trim() == "active", "active", reply.out().trim()),
        );
        seen.judge_each(findings, &FSTAB, clients, "nfs.fstab", |name, reply| {
            of(name).map_or_else(
                || Verdict::Unknown("it is no host of the inventory".to_owned()),
                |host| fstab(host, &reply.out()),
            )
        });
        for name in clients {
            // No answer in time is an answer: the share does not take a file.
            let verdict = match seen.reply(name, "nfs.write") {
                Ok(reply) if reply.code == 0 => Verdict::Good("written and removed".to_owned()),
                Ok(reply) if reply.code == 124 => Verdict::bad("a file within 15 s", "no answer"),
                Ok(reply) => Verdict::bad("a file", last_words(reply)),
                Err(verdict) => verdict,
            };
            findings.add(&WRITABLE, name, verdict);
        }
    }
}

/// The rule of the file server: whether a host may come in, and its port.
pub(super) fn port(view: &View<'_>, server: &str) -> u16 {
    view.site
        .host(server)
        .map_or(2049, |host| host.number("nfs_server_port", 2049))
}

fn limited(key: &str, script: String) -> Ask {
    let mut request = Request::sh(script);
    request.timeout_seconds = Some(25);
    Ask::new(key, request)
}

fn path(host: &Host) -> String {
    host.text("nfs_client_path", "/mnt/shared/images")
}

/// As `systemd-escape --path` writes it, for the paths that role nfs_client takes.
fn escaped(path: &str) -> String {
    path.trim_start_matches('/')
        .replace('-', "\\x2d")
        .replace('/', "-")
}

fn words(host: &Host, name: &str) -> Vec<String> {
    host.variables
        .get(name)
        .and_then(|value| value.as_array())
        .map(|list| list.iter().map(to_text).collect())
        .unwrap_or_default()
}

/// Compares what the server hands out with what is declared: each client once, with all options, and nobody else.
fn exports(view: &View<'_>, host: &Host, etab: &str) -> Verdict {
    let path = host.text("nfs_server_path", "/srv/nfs/images");
    let mut declared: BTreeSet<String> = words(host, "nfs_server_clients")
        .iter()
        .map(|client| view.address(client))
        .collect();
    let mut options = words(host, "nfs_server_options");
    options.push(format!("fsid={}", host.text("nfs_server_fsid", "880")));
    let mut wrong = Vec::new();
    let mut right = 0;
    for line in etab.lines().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.split_whitespace();
        let (Some(exported), Some(client)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (client, given) = client.split_once('(').unwrap_or((client, ""));
        let given: BTreeSet<&str> = given.trim_end_matches(')').split(',').collect();
        if exported != path {
            wrong.push(format!("{exported} is exported to {client}"));
        } else if !declared.remove(client) {
            wrong.push(format!("{client} is not declared"));
        } else {
            let missing: Vec<&str> = options
                .iter()
                .map(String::as_str)
                .filter(|option| !given.contains(option))
                .collect();
            if missing.is_empty() {
                right += 1;
            } else {
                wrong.push(format!("{client} without {}", list(missing)));
            }
        }
    }
    wrong.extend(
        declared
            .iter()
            .map(|client| format!("{client} gets nothing")),
    );
    let expected = format!("{path} to each client, {}", options.join(","));
    if wrong.is_empty() {
        Verdict::Good(format!("{path} to {right} clients"))
    } else {
        Verdict::bad(expected, wrong.join("; "))
    }
}

fn owner(host: &Host, said: &str) -> Verdict {
    let (uid, user, mode) = (
        host.text("nfs_server_uid", "880"),
        host.text("nfs_server_owner", "nfs_images"),
        host.text("nfs_server_mode", "0750"),
    );
    let expected = format!("{uid} {user} {}", mode.trim_start_matches('0'));
    Verdict::of(said == expected, expected, said)
}

/// What must be said of a mount so that no write is lost half way, and none of the files is a program.
const NEEDED: &[&str] = &["rw", "hard", "vers=4.2", "proto=tcp"];

fn mounted(view: &View<'_>, host: &Host, mountinfo: &str) -> Verdict {
    let server = view
        .site
        .members(SERVER)
        .first()
        .map_or_else(String::new, |server| view.address(server));
    let exported = view
        .site
        .members(SERVER)
        .first()
        .and_then(|server| view.site.host(server))
        .map_or_else(String::new, |server| {
            server.text("nfs_server_path", "/srv/nfs/images")
        });
    let source = host.text("nfs_client_source", &format!("{server}:{exported}"));
    let expected = format!("{source}, {}", NEEDED.join(","));
    // The automount itself is a line too, below the one of the share.
    let found = mountinfo.lines().find_map(|line| {
        let (_, rest) = line.split_once(" - ")?;
        let mut words = rest.split_whitespace();
        let kind = words.next()?;
        (kind == "nfs4").then(|| {
            (
                words.next().unwrap_or_default().to_owned(),
                words.next().unwrap_or_default().to_owned(),
            )
        })
    });
    let Some((from, options)) = found else {
        return Verdict::bad(
            expected,
            "nothing is mounted there, or the file server does not answer",
        );
    };
    let given: BTreeSet<&str> = options.split(',').collect();
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|option| !given.contains(**option))
        .copied()
        .collect();
    if from != source {
        Verdict::bad(expected, format!("{from} is mounted there"))
    } else if missing.is_empty() {
        Verdict::Good(from)
    } else {
        Verdict::bad(expected, format!("without {}", list(missing)))
    }
}

fn fstab(host: &Host, lines: &str) -> Verdict {
    let wanted = words(host, "nfs_client_options");
    let expected = format!("one line with {}", wanted.join(","));
    let found: Vec<&str> = lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let [line] = found.as_slice() else {
        return Verdict::bad(expected, format!("{} lines", found.len()));
    };
    let given: BTreeSet<&str> = line
        .split_whitespace()
        .nth(3)
        .unwrap_or_default()
        .split(',')
        .collect();
    let all: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let differ: BTreeMap<&str, &str> = all
        .difference(&given)
        .map(|option| (*option, "missing"))
        .chain(given.difference(&all).map(|option| (*option, "too much")))
        .collect();
    if differ.is_empty() {
        return Verdict::Good(format!("{} options", given.len()));
    }
    let differ: Vec<String> = differ
        .iter()
        .map(|(option, how)| format!("{option} {how}"))
        .collect();
    Verdict::bad(expected, differ.join("; "))
}
