//! What an attacker would look for first: secrets that anybody can read, and a superuser who may come over the network.
//!
//! Secrets are looked for by their value, on each host those that it has anyway. They travel on standard input and are never in
//! an argument, and what is found is named by its place alone.

use super::check::{Check, Findings, Verdict};
use super::component::{Component, View, list};
use super::observations::{Ask, Observations, last_words};
use super::ports::probe::{self, Greeting, Heard, PortProbe};
use super::postgresql;
use crate::base::value::to_text;
use crate::modules::Request;
use crate::ops::hosts::{Host, Site};

/// The component.
pub struct Security;

const FILES: &str = "security.files";
const PROCESSES: &str = "security.processes";
const KNOCKS: &str = "security.knocks";

/// The variables with a secret; a database's password comes with it.
const SECRETS: &[&str] = &[
    "haproxy_stats_password",
    "keepalived_auth_pass",
    "postgresql_replicator_password",
    "welcome_app_db_password",
];
/// Shorter ones would be found everywhere.
const SHORTEST: usize = 6;
/// Tried first by anybody who tries.
const USUAL: &[&str] = &[
    "12345678", "123456", "admin", "changeme", "default", "letmein", "password", "postgres",
    "qwerty", "root", "secret", "test",
];

/// What anybody can read and holds one of the lines of the input; big files are no settings. The environment of root's own
/// processes is root's alone.
const SEARCH: &str = r#"P=$(cat); [ -n "$P" ] || exit 0; export P
find /etc /opt /usr/local /tmp /var/tmp /var/log /var/lib/hactl /var/spool /run /home /root -xdev \
 \( -type d ! -perm -o=x -prune \) -o \( -type f -perm -o=r -size -4096k -print0 \) 2>/dev/null |
xargs -0r sh -c 'printf "%s\n" "$P" | grep -alsF -f - -- "$@"; :' grep"#;
/// The processes with one of the lines of the input among their arguments.
const ARGUMENTS: &str = r"grep -alsF -f - /proc/[0-9]*/cmdline | while read -r f; do f=${f%/cmdline}
read -r name <$f/comm && echo ${f#/proc/} $name; done 2>/dev/null; :";

static READABLE: Check = Check::fail(
    "security.secret-files",
    "no file that anybody can read holds a secret",
    "chmod o-rwx the file, then change the secret: it may have been read (hactl vault)",
);
static SHOWN: Check = Check::fail(
    "security.process-arguments",
    "no process has a secret among its arguments",
    "end the process and change the secret: everybody on the host can see it in ps",
);
static SUPERUSER: Check = Check::fail(
    "security.superuser-login",
    "the superuser of the databases cannot come over the network",
    "take the line out of pg_hba.conf and reload, or deploy again",
);
static WEAK: Check = Check::fail(
    "security.default-passwords",
    "no password is a usual one",
    "hactl vault set gives it a random value; then deploy",
);

static CHECKS: &[&Check] = &[&READABLE, &SHOWN, &SUPERUSER, &WEAK];

impl Component for Security {
    fn name(&self) -> &'static str {
        "security"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        SECRETS
    }

    fn applies(&self, _site: &Site) -> bool {
        true
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut secrets: Vec<String> = secrets(host)
            .into_iter()
            .map(|(_, secret)| secret)
            .filter(|secret| secret.len() >= SHORTEST && !secret.contains('\n'))
            .collect();
        secrets.sort();
        secrets.dedup();
        let input = secrets.join("\n");
        let mut asks = vec![Ask::new(FILES, Request::sh(SEARCH).stdin(input.clone()))];
        // An empty pattern would find them all.
        let arguments = if input.is_empty() { ":" } else { ARGUMENTS };
        asks.push(Ask::new(PROCESSES, Request::sh(arguments).stdin(input)));
        if view.is_viewer(host) {
            let knocks = knocks(view, &host.name);
            asks.push(Ask::new(
                KNOCKS,
                probe::request(&knocks, view.site.patience()),
            ));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let hosts: Vec<&String> = view.site.hosts.iter().map(|host| &host.name).collect();
        for (check, key, expected) in [
            (&READABLE, FILES, "no such file"),
            (&SHOWN, PROCESSES, "no such process"),
        ] {
            seen.judge_each(findings, check, hosts.iter().copied(), key, |_, reply| {
                let text = reply.out();
                let mut found: Vec<&str> = text.lines().collect();
                found.sort_unstable();
                match (reply.code, found.is_empty()) {
                    (0, true) => Verdict::Good("none".to_owned()),
                    (_, false) => Verdict::bad(expected, list(found)),
                    _ => Verdict::Unknown(last_words(reply)),
                }
            });
        }
        for viewer in &view.viewers {
            let knocks = knocks(view, viewer);
            let heard = seen
                .reply(viewer, KNOCKS)
                .map(|reply| probe::heard(reply, &knocks, view.site.patience()));
            for (number, name) in servers(view, viewer).enumerate() {
                let verdict = match &heard {
                    Ok(heard) => superuser(seen, name, &heard[number]),
                    Err(verdict) => verdict.clone(),
                };
                findings.add(&SUPERUSER, format!("{name} seen from {viewer}"), verdict);
            }
        }
        findings.add(&WEAK, "", weak(view));
    }
}

/// The secrets of a host, with the names of their variables.
fn secrets(host: &Host) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = SECRETS
        .iter()
        .map(|name| ((*name).to_owned(), host.text(name, "")))
        .collect();
    // Only those who keep or use a database have its password.
    if ["postgresql", "welcome_app"]
        .iter()
        .any(|group| host.groups.iter().any(|own| own == group))
    {
        let databases = host
            .variables
            .get("postgresql_databases")
            .and_then(|list| list.as_array());
        for database in databases.into_iter().flatten() {
            let name = format!("the password of database {}", to_text(&database["name"]));
            found.push((name, to_text(&database["password"])));
        }
    }
    found.retain(|(_, secret)| !secret.is_empty());
    found
}

fn weak(view: &View<'_>) -> Verdict {
    let mut found: Vec<String> = view
        .site
        .hosts
        .iter()
        .flat_map(secrets)
        .filter(|(_, secret)| {
            USUAL.contains(&secret.to_lowercase().as_str()) || secret.len() < SHORTEST
        })
        .map(|(name, _)| name)
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        Verdict::Good("none".to_owned())
    } else {
        Verdict::bad(
            format!("random ones, of {SHORTEST} characters at least"),
            format!("{} can be guessed", list(found.iter().map(String::as_str))),
        )
    }
}

fn servers<'a>(view: &'a View<'_>, viewer: &'a str) -> impl Iterator<Item = &'a String> {
    view.site
        .members("postgresql")
        .iter()
        .filter(move |name| *name != viewer)
}

fn knocks(view: &View<'_>, viewer: &str) -> Vec<PortProbe> {
    servers(view, viewer)
        .map(|name| PortProbe {
            address: view.address(name),
            port: super::ports::database_port(view),
            greeting: Greeting::Postgresql {
                user: "postgres".to_owned(),
                database: "postgres".to_owned(),
            },
        })
        .collect()
}

fn superuser(seen: &Observations, host: &str, heard: &Heard) -> Verdict {
    let expected = "refused before a password is asked";
    let rules = postgresql::superuser_rules(seen, host);
    match heard {
        Heard::Unclear(_) | Heard::Said(_) => Verdict::Unknown(heard.words()),
        Heard::Denied(_) | Heard::Refused | Heard::Silent(_) if !rules.is_empty() => Verdict::bad(
            expected,
            format!(
                "pg_hba.conf lets a superuser in from elsewhere: {}",
                list(rules.iter().map(String::as_str))
            ),
        ),
        Heard::Denied(_) => Verdict::Good(heard.words()),
        Heard::Refused | Heard::Silent(_) if seen.lost(host).is_some() => {
            Verdict::Unreached(host.to_owned())
        }
        Heard::Refused | Heard::Silent(_) if postgresql::answers(seen, host) => {
            Verdict::Good(format!("before pg_hba.conf was asked: {}", heard.words()))
        }
        Heard::Refused | Heard::Silent(_) if super::common::fenced(seen, host).is_some() => {
            Verdict::Good("it is fenced and does not run".to_owned())
        }
        Heard::Refused | Heard::Silent(_) => {
            Verdict::Unknown("its server does not run, so pg_hba.conf could not refuse".to_owned())
        }
        _ => Verdict::bad(expected, heard.words()),
    }
}
