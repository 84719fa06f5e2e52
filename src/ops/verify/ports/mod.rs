//! Which host reaches which port of which other one: as the stack needs it, and no further.
//!
//! Role firewall opens a port to the groups that need it; pg_hba.conf keeps others out of the databases besides, and its
//! address keeps them off the local check of HAProxy. What was seen says which of them it was.

pub mod probe;

use super::check::{Check, Findings, Verdict};
use super::common;
use super::component::{Component, View, list};
use super::nfs;
use super::observations::{Ask, Observations, last_words};
use super::postgresql;
use crate::base::value::to_text;
use crate::ops::hosts::{Host, Site};
use probe::{Greeting, Heard, PortProbe};

/// The component.
pub struct Ports;

const KNOCKS: &str = "ports.knocks";
const SOCKETS: &str = "ports.sockets";

static OPEN: Check = Check::fail(
    "ports.open",
    "every host reaches the ports that it needs",
    "a server that does not run, a firewall, or pg_hba.conf: the observation says which; deploy again",
);
static CLOSED: Check = Check::fail(
    "ports.closed",
    "nobody reaches a port that should be closed to it",
    "deploy again: it writes pg_hba.conf and the addresses that servers listen at",
);
static UNDECLARED: Check = Check::warn(
    "ports.undeclared",
    "nothing else listens to the network",
    "stop and disable it, or let it listen on 127.0.0.1",
);

static CHECKS: &[&Check] = &[&OPEN, &CLOSED, &UNDECLARED];

/// What a rule should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Open,
    Closed,
}

/// A rule, and the address and port that it is about.
struct PortRule {
    server: String,
    place: String,
    wanted: Wanted,
    port_probe: PortProbe,
}

/// A database and who may use it.
struct Database {
    name: String,
    owner: String,
    clients: Vec<String>,
}

impl Component for Ports {
    fn name(&self) -> &'static str {
        "ports"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "haproxy_alive_port",
            "postgresql_databases",
            "welcome_app_db_port",
        ]
    }

    fn applies(&self, site: &Site) -> bool {
        ["haproxy", "welcome_app", "postgresql", "nfs_server"]
            .iter()
            .any(|group| !site.members(group).is_empty())
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let knocks: Vec<PortProbe> = rules(view, host)
            .into_iter()
            .map(|rule| rule.port_probe)
            .collect();
        vec![
            Ask::new(KNOCKS, probe::request(&knocks, view.site.patience())),
            Ask::sh(SOCKETS, "ss -Hlntp"),
        ]
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        for host in &view.site.hosts {
            let rules = rules(view, host);
            let knocks: Vec<PortProbe> = rules.iter().map(|rule| rule.port_probe.clone()).collect();
            let heard = seen
                .reply(&host.name, KNOCKS)
                .map(|reply| probe::heard(reply, &knocks, view.site.patience()));
            for (number, rule) in rules.iter().enumerate() {
                // It must not listen at all (see postgresql.fence), or must not be reached from here (common.blocked).
                if common::fenced(seen, &rule.server).is_some()
                    || common::blocks(seen, &host.name, &rule.server)
                    || common::blocks(seen, &rule.server, &host.name)
                {
                    continue;
                }
                let (check, verdict) = match (&heard, rule.wanted) {
                    (Err(verdict), Wanted::Open) => (&OPEN, verdict.clone()),
                    (Err(verdict), Wanted::Closed) => (&CLOSED, verdict.clone()),
                    (Ok(heard), Wanted::Open) => (&OPEN, open(seen, rule, &heard[number])),
                    (Ok(heard), Wanted::Closed) => (&CLOSED, closed(seen, rule, &heard[number])),
                };
                findings.add(check, &rule.place, verdict);
            }
        }
        let hosts: Vec<&String> = view.site.hosts.iter().map(|host| &host.name).collect();
        seen.judge_each(findings, &UNDECLARED, hosts, SOCKETS, |name, reply| {
            if reply.code != 0 {
                return Verdict::Unknown(last_words(reply));
            }
            let declared = view
                .site
                .host(name)
                .map_or_else(Vec::new, |host| declared(view, host));
            let others = others(&reply.out(), &declared);
            let names: Vec<String> = declared.iter().map(u16::to_string).collect();
            let names = names.iter().map(String::as_str).chain(["ssh"]);
            let expected = format!("{} only", list(names));
            if others.is_empty() {
                Verdict::Good(expected)
            } else {
                Verdict::bad(expected, others.join("; "))
            }
        });
    }
}

/// Where the databases listen.
pub(super) fn database_port(view: &View<'_>) -> u16 {
    view.site
        .members("welcome_app")
        .first()
        .and_then(|app| view.site.host(app))
        .map_or(5432, |app| app.number("welcome_app_db_port", 5432))
}

/// The ports that a host offers to the network.
fn declared(view: &View<'_>, host: &Host) -> Vec<u16> {
    let mut ports = Vec::new();
    let is = |group: &str| view.site.members(group).contains(&host.name);
    if is("haproxy") {
        ports.push(host.number("haproxy_port", 80));
        ports.push(host.number("haproxy_stats_port", 8080));
    }
    if is("welcome_app") {
        ports.push(host.number("welcome_app_port", 5000));
    }
    if is("postgresql") {
        ports.push(database_port(view));
    }
    if is("nfs_server") {
        ports.push(nfs::port(view, &host.name));
    }
    // pgBackRest serves on the repository's host and on every database host.
    if let Some(repository) = crate::ops::backup::Repository::of(view.site)
        && (repository.host == host.name || host.groups.iter().any(|group| group == "postgresql"))
    {
        ports.push(repository.port);
    }
    ports
}

/// What listens to the network besides the declared ports and ssh, in the lines of `ss -Hlntp`.
fn others(text: &str, declared: &[u16]) -> Vec<String> {
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(3);
            let (address, port) = words.next()?.rsplit_once(':')?;
            let users = words.last().unwrap_or_default();
            let loopback = address.starts_with("127.")
                || address.starts_with("[::1]")
                || address.starts_with("[::ffff:127.");
            let number: u16 = port.parse().ok()?;
            if loopback || declared.contains(&number) || number == 22 || users.contains("\"sshd\"")
            {
                return None;
            }
            let name = users.split('"').nth(1).unwrap_or("somebody");
            Some(format!("{name} listens on port {number}"))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn databases(host: &Host) -> Vec<Database> {
    let text = |value: &crate::base::value::Value| to_text(value);
    host.variables
        .get("postgresql_databases")
        .and_then(|list| list.as_array())
        .into_iter()
        .flatten()
        .map(|database| Database {
            name: text(&database["name"]),
            owner: text(&database["owner"]),
            clients: database["clients"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect(),
        })
        .collect()
}

/// The places at which a host knocks, and whether it should come in.
#[cfg(test)]
pub fn places(view: &View<'_>, from: &Host) -> Vec<(String, bool)> {
    let rules = rules(view, from).into_iter();
    rules
        .map(|rule| (rule.place, rule.wanted == Wanted::Open))
        .collect()
}

/// All rules that are tried from a host.
fn rules(view: &View<'_>, from: &Host) -> Vec<PortRule> {
    let mut rules = Vec::new();
    let mut rule =
        |server: &str, address: String, port: u16, wanted: Wanted, greeting: Greeting| {
            let what = match &greeting {
                Greeting::Open => String::new(),
                Greeting::Postgresql { database, .. } => format!(" ({database})"),
            };
            rules.push(PortRule {
                server: server.to_owned(),
                place: format!("{server}:{port}{what} seen from {}", from.name),
                wanted,
                port_probe: PortProbe {
                    address,
                    port,
                    greeting,
                },
            });
        };
    let is = |group: &str| view.site.members(group).contains(&from.name);
    for name in view.site.members("haproxy") {
        let Some(host) = view.site.host(name) else {
            continue;
        };
        let alive = host.number("haproxy_alive_port", 8405);
        if *name == from.name {
            rule(
                name,
                "127.0.0.1".to_owned(),
                alive,
                Wanted::Open,
                Greeting::Open,
            );
            continue;
        }
        for port in [
            host.number("haproxy_port", 80),
            host.number("haproxy_stats_port", 8080),
        ] {
            rule(name, view.address(name), port, Wanted::Open, Greeting::Open);
        }
        rule(
            name,
            view.address(name),
            alive,
            Wanted::Closed,
            Greeting::Open,
        );
    }
    if is("haproxy") {
        for name in view.site.members("welcome_app") {
            let port = view
                .site
                .host(name)
                .map_or(5000, |host| host.number("welcome_app_port", 5000));
            rule(name, view.address(name), port, Wanted::Open, Greeting::Open);
        }
    }
    for name in view.site.members("nfs_server") {
        if *name != from.name {
            let wanted = if is("nfs_client") {
                Wanted::Open
            } else {
                Wanted::Closed
            };
            let port = nfs::port(view, name);
            rule(name, view.address(name), port, wanted, Greeting::Open);
        }
    }
    let port = database_port(view);
    for name in view.site.members("postgresql") {
        let Some(host) = view.site.host(name) else {
            continue;
        };
        if *name == from.name {
            continue;
        }
        if is("postgresql") {
            let user = host.text("postgresql_replicator", "replicator");
            let greeting = Greeting::Postgresql {
                user,
                database: "postgres".to_owned(),
            };
            rule(name, view.address(name), port, Wanted::Open, greeting);
        }
        for database in databases(host) {
            let wanted = if database.clients.contains(&from.name) {
                Wanted::Open
            } else {
                Wanted::Closed
            };
            let greeting = Greeting::Postgresql {
                user: database.owner,
                database: database.name,
            };
            rule(name, view.address(name), port, wanted, greeting);
        }
    }
    rules
}

fn open(seen: &Observations, rule: &PortRule, heard: &Heard) -> Verdict {
    match (heard, &rule.port_probe.greeting) {
        // That its host is gone is said once, not from each side.
        (Heard::Silent(_), _) if seen.lost(&rule.server).is_some() => {
            Verdict::Unreached(rule.server.clone())
        }
        (Heard::Open, _) => Verdict::Good("open".to_owned()),
        (Heard::Asked("SCRAM"), Greeting::Postgresql { .. }) => Verdict::Good(heard.words()),
        (Heard::Unclear(why), _) => Verdict::Unknown(why.clone()),
        (_, Greeting::Open) => Verdict::bad("open", heard.words()),
        (_, Greeting::Postgresql { user, .. }) => Verdict::bad(
            format!("open, and a password asked of {user} (SCRAM)"),
            heard.words(),
        ),
    }
}

fn closed(seen: &Observations, rule: &PortRule, heard: &Heard) -> Verdict {
    match (heard, &rule.port_probe.greeting) {
        (Heard::Unclear(why), _) => return Verdict::Unknown(why.clone()),
        (Heard::Denied(_), _) => return Verdict::Good(heard.words()),
        (Heard::Refused | Heard::Silent(_), _) => {}
        // It says so before it looks at pg_hba.conf: too busy, or starting up.
        (Heard::Said(_), Greeting::Postgresql { .. }) => return Verdict::Unknown(heard.words()),
        (_, Greeting::Open) => {
            return Verdict::bad("closed: it is not for this host", heard.words());
        }
        (_, Greeting::Postgresql { user, .. }) => {
            return Verdict::bad(
                format!("{user} refused before a password is asked"),
                heard.words(),
            );
        }
    }
    // A server that does not run proves nothing about who may come in when it does.
    if seen.lost(&rule.server).is_some() {
        return Verdict::Unreached(rule.server.clone());
    }
    match rule.port_probe.greeting {
        Greeting::Postgresql { .. } if !postgresql::answers(seen, &rule.server) => {
            Verdict::Unknown("its server does not run, so pg_hba.conf could not refuse".to_owned())
        }
        Greeting::Postgresql { .. } => {
            Verdict::Good(format!("before pg_hba.conf was asked: {}", heard.words()))
        }
        Greeting::Open => Verdict::Good(heard.words()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_listens_to_the_network_is_found() {
        let text = "LISTEN 0 244 0.0.0.0:5432 0.0.0.0:* users:((\"postgres\",pid=1,fd=5))\n\
                    LISTEN 0 244    [::]:5432    [::]:* users:((\"postgres\",pid=1,fd=6))\n\
                    LISTEN 0 128 0.0.0.0:2222 0.0.0.0:* users:((\"sshd\",pid=2,fd=3))\n\
                    LISTEN 0 128 127.0.0.1:6379 0.0.0.0:* users:((\"redis\",pid=3,fd=3))\n\
                    LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:* users:((\"systemd-resolve\",pid=3,fd=3))\n\
                    LISTEN 0 128 *:9100 *:* users:((\"node_exporter\",pid=4,fd=3))\n\
                    LISTEN 0 128 0.0.0.0:8000 0.0.0.0:*\n";
        assert_eq!(
            super::others(text, &[5432]),
            [
                "node_exporter listens on port 9100",
                "somebody listens on port 8000"
            ]
        );
        assert_eq!(super::others("", &[]), [""; 0]);
    }
}
