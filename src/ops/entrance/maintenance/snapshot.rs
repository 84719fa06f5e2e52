//! What must be known before a host is taken out or put back: notes, servers as each HAProxy sees them, the virtual address,
//! the roles of databases. Two rounds; judges nothing.

use super::haproxy::{self, Row};
use super::{Note, Notes, ask};
use crate::base::Diagnostic;
use crate::base::quote::sh;
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::entrance::vip::{self, Place, VipSnapshot};
use crate::ops::hosts::Site;
use crate::ops::operation::context::said;
use crate::ops::operation::journal;
use serde_json::Value;
use std::collections::BTreeMap;

/// An HAProxy, and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its servers, or why it does not say.
    pub rows: Result<Vec<Row>, String>,
    /// `show servers state`.
    pub state: String,
    /// What keeps servers out across reloads.
    pub file: String,
    /// Its configuration reads that file.
    pub configured: bool,
    /// The path of the servers' health.
    pub path: String,
}

/// What a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// It takes writes.
    Primary,
    /// It follows one.
    Standby,
    /// It does not say.
    Silent(String),
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct MaintenanceSnapshot {
    /// The notes of all hosts.
    pub notes: Notes,
    /// Where the virtual address is served, when there is one.
    pub place: Option<Place>,
    /// The virtual address.
    pub vip: Option<VipSnapshot>,
    /// The load balancers.
    pub proxies: BTreeMap<String, Proxy>,
    /// The databases.
    pub databases: BTreeMap<String, Database>,
    /// Hosts that were not reached.
    pub lost: BTreeMap<String, Diagnostic>,
    /// Unfinished operations: the host, and the header of its file.
    pub operations: Vec<(String, Value)>,
}

/// A host as `maintenance status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The host.
    pub host: String,
    /// Its own note.
    pub note: Option<Note>,
    /// What keeps it out now: `MAINT in lb1`, `its keepalived flag`.
    pub now: Vec<String>,
    /// What does not fit together.
    pub wrong: Vec<String>,
}

/// Looks.
pub async fn snapshot(site: &Site, pool: &mut ConnectionPool) -> MaintenanceSnapshot {
    let mut work = BTreeMap::new();
    for host in &site.hosts {
        let mut asks = vec![ask(), journal::header()];
        if site.members("haproxy").contains(&host.name) {
            asks.push(haproxy::command("show stat"));
            asks.push(haproxy::command("show servers state"));
            asks.push(haproxy::read());
            asks.push(haproxy::configured());
        }
        if site.members("postgresql").contains(&host.name) {
            asks.push(recovery(&host.text("postgresql_cluster", "main")));
        }
        work.insert(host.name.clone(), asks);
    }
    let mut seen = MaintenanceSnapshot::default();
    for (host, answer) in pool.round(work).await {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                seen.notes.add(&host, None);
                if site.members("haproxy").contains(&host) {
                    let proxy = Proxy {
                        rows: Err("it was not reached".to_owned()),
                        state: String::new(),
                        file: String::new(),
                        configured: false,
                        path: String::new(),
                    };
                    seen.proxies.insert(host.clone(), proxy);
                }
                seen.lost.insert(host.clone(), error.on(&host));
                continue;
            }
        };
        let mut replies = answer.replies.iter();
        let mut next = || replies.next().cloned().unwrap_or_default();
        seen.notes.add(&host, Some(&next().out()));
        let header = next();
        if let Ok(header) = serde_json::from_slice(&header.stdout) {
            seen.operations.push((host.clone(), header));
        }
        if site.members("haproxy").contains(&host) {
            let (stat, state, file, configured) = (next(), next(), next(), next());
            let path = site
                .host(&host)
                .map_or_else(String::new, |host| host.text("haproxy_health_path", "/"));
            let proxy = Proxy {
                rows: haproxy::rows(&stat.out()).ok_or_else(|| said(&stat)),
                state: state.out().into_owned(),
                file: file.out().into_owned(),
                configured: configured.code == 0,
                path,
            };
            seen.proxies.insert(host.clone(), proxy);
        }
        if site.members("postgresql").contains(&host) {
            seen.databases.insert(host, database(&next()));
        }
    }
    // A stack without a virtual address is a stack, too.
    if let Ok(place) = Place::of(site) {
        seen.vip = Some(vip::observe(&place, pool).await);
        seen.place = Some(place);
    }
    seen
}

/// Asks a server whether it follows another.
fn recovery(cluster: &str) -> Request {
    let mut request = Request::sh(format!(
        "p=$(pg_lsclusters --no-header </dev/null 2>/dev/null | while read -r v c p s r; do if [ \"$c\" = {} ]; then echo \"$p\"; break; fi; done)
exec psql -XAtqw -p \"${{p:-5432}}\" -d postgres -c 'SELECT pg_is_in_recovery()'",
        sh(cluster)
    ))
    .user("postgres");
    request.environment = vec![("PGCONNECT_TIMEOUT".to_owned(), "5".to_owned())];
    request.timeout_seconds = Some(8);
    request
}

fn database(reply: &Reply) -> Database {
    match (reply.code, reply.out().trim()) {
        (0, "f") => Database::Primary,
        (0, "t") => Database::Standby,
        _ => Database::Silent(said(reply)),
    }
}

impl MaintenanceSnapshot {
    /// The places of a server: the load balancer, its backend, and how it is there.
    pub fn servers(&self, host: &str) -> Vec<(&str, &Row)> {
        self.proxies
            .iter()
            .filter_map(|(balancer, proxy)| Some((balancer.as_str(), proxy.rows.as_ref().ok()?)))
            .flat_map(|(balancer, rows)| {
                rows.iter()
                    .filter(|row| row.server == host)
                    .map(move |row| (balancer, row))
            })
            .collect()
    }

    /// The load balancers whose file keeps a server out, with its backend.
    pub fn kept(&self, host: &str) -> Vec<(String, String)> {
        self.servers(host)
            .into_iter()
            .filter(|(balancer, row)| {
                self.proxies
                    .get(*balancer)
                    .is_some_and(|proxy| haproxy::keeps(&proxy.file, &row.backend, host))
            })
            .map(|(balancer, row)| (balancer.to_owned(), row.backend.clone()))
            .collect()
    }

    /// Every host that is out of service, or looks like it.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (host, notes) in &self.notes.of {
            let mut entry = Entry {
                host: host.clone(),
                note: notes.iter().find(|note| note.is_of_host()).cloned(),
                ..Entry::default()
            };
            for (balancer, row) in self.servers(host) {
                if row.is_out() {
                    entry.now.push(format!("{} in {balancer}", row.status));
                }
            }
            let balancer = self.vip.as_ref().and_then(|look| look.balancer(host));
            let flagged = balancer.is_some_and(vip::Balancer::is_flagged);
            if flagged {
                entry.now.push("its keepalived flag is set".to_owned());
            }
            self.mismatches(host, flagged, &mut entry);
            if entry.note.is_some() || !entry.now.is_empty() || !entry.wrong.is_empty() {
                entries.push(entry);
            }
        }
        for (host, line) in &self.notes.unclear {
            let why = match line {
                Some(line) => format!("its note cannot be read: {line}"),
                None => "it was not reached".to_owned(),
            };
            entries.push(Entry {
                host: host.clone(),
                wrong: vec![why],
                ..Entry::default()
            });
        }
        entries
    }

    fn mismatches(&self, host: &str, flagged: bool, entry: &mut Entry) {
        let Some(note) = &entry.note else {
            if flagged {
                let moved = self
                    .vip
                    .as_ref()
                    .and_then(VipSnapshot::interrupted)
                    .filter(|old| old.hosts.iter().any(|one| one == host));
                entry.wrong.push(match moved {
                    Some(old) => format!(
                        "its flag was left by a `vip move` that was broken off ({}): `hactl vip move` or `hactl maintenance off {host}` clears it",
                        old.by
                    ),
                    None => format!(
                        "its flag was set by hand: `hactl maintenance off {host}` clears it"
                    ),
                });
            }
            if self.kept(host).is_empty() {
                for (balancer, row) in self
                    .servers(host)
                    .into_iter()
                    .filter(|(_, row)| row.is_out())
                {
                    entry.wrong.push(format!(
                        "{} in {balancer} by hand, until the next reload",
                        row.status
                    ));
                }
            } else {
                entry.wrong.push(format!(
                    "there is no note on it, but it is kept out: `hactl maintenance off {host}` puts it back"
                ));
            }
            return;
        };
        if !note.done {
            entry.wrong.push(format!(
                "it was broken off: `hactl maintenance on {host}` finishes it, `off` undoes it"
            ));
        }
        for (balancer, backend) in &note.did.servers {
            match self.servers(host).iter().find(|(one, row)| one == balancer && row.backend == *backend) {
                Some((_, row)) if !row.is_out() && note.done => entry.wrong.push(format!(
                    "{} in {balancer} in spite of it: `hactl maintenance on {host}` again takes it out",
                    row.status
                )),
                Some(_) => {}
                None => entry.wrong.push(format!("{balancer} does not say how it is there")),
            }
        }
        if note.did.flag && !flagged && note.done {
            entry.wrong.push(format!(
                "its keepalived flag is not set in spite of it: `hactl maintenance on {host}` sets it again"
            ));
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::{Did, Scope};
    use super::*;

    /// Two load balancers with two servers each, two databases.
    pub fn whole() -> MaintenanceSnapshot {
        let rows = |status: [&str; 2]| {
            Ok(["app1", "app2"]
                .iter()
                .zip(status)
                .map(|(server, status)| Row {
                    backend: "web".to_owned(),
                    server: (*server).to_owned(),
                    status: status.to_owned(),
                    sessions: 0,
                })
                .collect())
        };
        let proxy = || {
            Proxy {
            rows: rows(["UP", "UP"]),
            state: "1\n# be_id be_name srv_id srv_name srv_addr srv_port\n3 web 1 app1 192.0.2.21 5000\n3 web 2 app2 192.0.2.22 5000\n".to_owned(),
            file: "1\n".to_owned(),
            configured: true,
            path: "/health".to_owned(),
        }
        };
        let mut snapshot = MaintenanceSnapshot {
            proxies: [("lb1".to_owned(), proxy()), ("lb2".to_owned(), proxy())].into(),
            databases: [
                ("db1".to_owned(), Database::Primary),
                ("db2".to_owned(), Database::Standby),
            ]
            .into(),
            ..MaintenanceSnapshot::default()
        };
        for host in ["app1", "app2", "db1", "db2", "lb1", "lb2"] {
            snapshot.notes.add(host, Some(""));
        }
        let balancer = |host: &str, holds: bool| vip::Balancer {
            host: host.to_owned(),
            holds,
            mac: holds.then(|| "5a:01".to_owned()),
            flag: "0".to_owned(),
            keepalived: "active".to_owned(),
            haproxy: "active".to_owned(),
            check: Some(0),
            ..vip::Balancer::default()
        };
        snapshot.vip = Some(VipSnapshot {
            address: "192.0.2.10".to_owned(),
            balancers: vec![balancer("lb1", true), balancer("lb2", false)],
            strays: Vec::new(),
            viewers: Vec::new(),
            operations: Vec::new(),
            lost: Vec::new(),
        });
        snapshot
    }

    /// A server's status in one load balancer.
    pub fn put(snapshot: &mut MaintenanceSnapshot, balancer: &str, server: &str, status: &str) {
        if let Some(Ok(rows)) = snapshot.proxies.get_mut(balancer).map(|p| p.rows.as_mut()) {
            for row in rows.iter_mut().filter(|row| row.server == server) {
                row.status = status.to_owned();
            }
        }
    }

    /// A host's note.
    pub fn noted(snapshot: &mut MaintenanceSnapshot, host: &str, done: bool, did: Did) {
        let note = Note {
            scope: Scope::Host,
            operator: "ann".to_owned(),
            from: String::new(),
            since: "then".to_owned(),
            reason: String::new(),
            id: String::new(),
            done,
            did,
        };
        snapshot.notes.of.insert(host.to_owned(), vec![note]);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let wrong = |snapshot: &MaintenanceSnapshot| -> Vec<String> {
            let entries = snapshot.entries();
            entries
                .into_iter()
                .flat_map(|entry| {
                    entry
                        .wrong
                        .into_iter()
                        .map(move |w| format!("{}: {w}", entry.host))
                })
                .collect()
        };
        let servers = |names: &[&str]| Did {
            servers: names
                .iter()
                .map(|n| ((*n).to_owned(), "web".to_owned()))
                .collect(),
            flag: false,
        };
        assert_eq!(whole().entries(), []);

        let mut snapshot = whole();
        noted(&mut snapshot, "app1", true, servers(&["lb1", "lb2"]));
        put(&mut snapshot, "lb1", "app1", "MAINT");
        put(&mut snapshot, "lb2", "app1", "MAINT");
        assert_eq!(wrong(&snapshot), [""; 0]);
        assert_eq!(snapshot.entries()[0].now, ["MAINT in lb1", "MAINT in lb2"]);
        put(&mut snapshot, "lb2", "app1", "UP");
        assert_eq!(
            wrong(&snapshot),
            ["app1: UP in lb2 in spite of it: `hactl maintenance on app1` again takes it out"]
        );
        noted(&mut snapshot, "app1", false, servers(&["lb1", "lb2"]));
        assert_eq!(
            wrong(&snapshot),
            ["app1: it was broken off: `hactl maintenance on app1` finishes it, `off` undoes it"]
        );

        let mut snapshot = whole();
        put(&mut snapshot, "lb1", "app1", "MAINT");
        assert_eq!(
            wrong(&snapshot),
            ["app1: MAINT in lb1 by hand, until the next reload"]
        );
        let file = snapshot.proxies["lb1"].state.clone();
        snapshot.proxies.get_mut("lb1").expect("lb1").file = file;
        assert_eq!(
            snapshot.kept("app1"),
            [("lb1".to_owned(), "web".to_owned())]
        );
        assert!(wrong(&snapshot)[0].contains("`hactl maintenance off app1` puts it back"));

        let mut snapshot = whole();
        let look = snapshot.vip.as_mut().expect("an address");
        look.balancers[1].flag = "1".to_owned();
        assert_eq!(
            wrong(&snapshot),
            ["lb2: its flag was set by hand: `hactl maintenance off lb2` clears it"]
        );
        let header = serde_json::json!({"kind": vip::KIND, "operator": "ann@desk, since then"});
        snapshot
            .vip
            .as_mut()
            .expect("an address")
            .operations
            .push(("lb2".to_owned(), header));
        assert!(
            wrong(&snapshot)[0]
                .contains("left by a `vip move` that was broken off (ann@desk, since then)")
        );
        noted(
            &mut snapshot,
            "lb2",
            true,
            Did {
                flag: true,
                ..Did::default()
            },
        );
        assert_eq!(wrong(&snapshot), [""; 0]);
    }
}
