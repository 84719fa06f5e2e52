//! Scenes made by hand, for tests here and of the screen: the flagship stack, and what happens to it.

mod broken;

pub use broken::{
    fenced, lonely, primary_dead, replica_paused, split_brain, unfinished_switchover,
};

use super::Snapshot;
use super::host_probe::{Health, HostSeen};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result, exit};
use crate::connection::Target;
use crate::ops::database::postgresql::Cluster;
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::node::{
    Answer, Control, Live, Node, PeerView, Place, Receiver, Sender, Slot,
};
use crate::ops::database::postgresql::view::Member;
use crate::ops::hosts::{Host, Site};
use crate::ops::operation::journal::{End, Header, Record, StepLine, StepState};
use crate::ops::verify::parse::HaproxyServer;
use std::collections::BTreeMap;

/// The time of all snapshots.
pub const NOW: u64 = 1_790_000_000;
const VIP: &str = "192.0.2.10";
const HOSTS: [(&str, &str, &[&str]); 6] = [
    ("lb1", "192.0.2.11", &["haproxy", "keepalived"]),
    ("lb2", "192.0.2.12", &["haproxy", "keepalived"]),
    ("app1", "192.0.2.21", &["welcome_app"]),
    ("app2", "192.0.2.22", &["welcome_app"]),
    ("db1", "192.0.2.31", &["postgresql"]),
    ("db2", "192.0.2.32", &["postgresql"]),
];

/// The inventory.
pub fn site() -> Site {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let hosts = HOSTS
        .iter()
        .map(|(name, address, of)| {
            let mut variables: Map<String, Value> = Map::new();
            for (key, value) in [
                ("cluster_address", *address),
                ("keepalived_vip", "192.0.2.10/24"),
                ("postgresql_initial_primary", "db1"),
            ] {
                variables.insert(key.to_owned(), Value::from(value));
            }
            for group in *of {
                groups
                    .entry((*group).to_owned())
                    .or_default()
                    .push((*name).to_owned());
            }
            Host {
                name: (*name).to_owned(),
                groups: of.iter().map(|group| (*group).to_owned()).collect(),
                target: Target::default(),
                variables,
            }
        })
        .collect();
    Site { hosts, groups }
}

fn mac(host: &str) -> String {
    let place = HOSTS
        .iter()
        .position(|(name, ..)| *name == host)
        .unwrap_or_default();
    format!("02:00:00:00:00:0{place}")
}

fn lsn(text: &str) -> Lsn {
    text.parse().expect("a position")
}

fn primary(follower: &str, address: &str) -> Answer {
    Answer {
        system: "7".to_owned(),
        timeline: 1,
        written: Some(lsn("0/5000000")),
        senders: vec![Sender {
            name: follower.to_owned(),
            address: Some(address.to_owned()),
            state: "streaming".to_owned(),
            sync_state: "async".to_owned(),
            unflushed: Some(0),
            behind: Some(0),
            delay: None,
            flush_delay: None,
        }],
        slots: vec![Slot {
            name: follower.to_owned(),
            active: true,
            wal_status: Some("reserved".to_owned()),
            kept: Some(0),
        }],
        clients: 4,
        ..Answer::default()
    }
}

fn replica(of: &str) -> Answer {
    Answer {
        in_recovery: true,
        system: "7".to_owned(),
        timeline: 1,
        received: Some(lsn("0/5000000")),
        replayed: Some(lsn("0/5000000")),
        conninfo: format!("host={of} port=5432 user=replicator"),
        receiver: Some(Receiver {
            status: "streaming".to_owned(),
            sender_host: Some(of.to_owned()),
            silent: Some(0.2),
            primary_end: Some(lsn("0/5000000")),
        }),
        ..Answer::default()
    }
}

fn node(answer: Answer) -> Node {
    Node {
        place: Place {
            version: "16".to_owned(),
            data: "/var/lib/postgresql/16/main".to_owned(),
            port: 5432,
            active: "active".to_owned(),
            start: "auto".to_owned(),
            standby_signal: answer.in_recovery,
            ..Place::default()
        },
        control: Some(Control {
            system: "7".to_owned(),
            state: if answer.in_recovery {
                "in archive recovery"
            } else {
                "in production"
            }
            .to_owned(),
            checkpoint: lsn("0/4000000"),
            timeline: 1,
            ..Control::default()
        }),
        live: Live::Answers(Box::new(answer)),
        ..Node::default()
    }
}

fn view(in_recovery: bool) -> PeerView {
    PeerView::Answers {
        in_recovery,
        replication: Ok(()),
    }
}

/// All is well.
pub fn healthy(site: &Site) -> Snapshot<'_> {
    let mut db1 = node(primary("db2", "192.0.2.32"));
    db1.peers.insert("db2".to_owned(), view(true));
    let mut db2 = node(replica("192.0.2.31"));
    db2.peers.insert("db1".to_owned(), view(false));
    let member = |host: &str, address: &str, node| Member {
        host: host.to_owned(),
        address: address.to_owned(),
        seen: Ok(node),
    };
    let hosts = HOSTS
        .iter()
        .map(|(name, address, groups)| ((*name).to_owned(), Ok(host(name, address, groups))))
        .collect();
    Snapshot {
        site,
        cluster: Cluster {
            members: vec![
                member("db1", "192.0.2.31", db1),
                member("db2", "192.0.2.32", db2),
            ],
        },
        hosts,
        now: NOW,
        round_trips: HOSTS
            .iter()
            .map(|(name, ..)| ((*name).to_owned(), 1))
            .collect(),
    }
}

fn host(name: &str, address: &str, groups: &[&str]) -> HostSeen {
    let eth0 = "eth0".to_owned();
    let mut seen = HostSeen {
        addresses: vec![(eth0.clone(), address.to_owned())],
        links: [(eth0.clone(), mac(name))].into(),
        ..HostSeen::default()
    };
    let active = |unit: &str| (format!("{unit}.service"), "active".to_owned());
    if groups.contains(&"haproxy") {
        seen.units = [active("haproxy"), active("keepalived")].into();
        let server = |name: &str| HaproxyServer {
            backend: "welcome_app".to_owned(),
            name: name.to_owned(),
            status: "UP".to_owned(),
            check: "L7OK".to_owned(),
        };
        seen.servers = Some(Ok(vec![server("app1"), server("app2")]));
        if name == "lb1" {
            seen.addresses.push((eth0, VIP.to_owned()));
        }
    } else {
        seen.entrance = Some(Ok(200));
        seen.neighbour = Some(mac("lb1"));
        seen.balancers = ["lb1", "lb2"].map(|host| (host.to_owned(), Ok(200))).into();
    }
    if groups.contains(&"welcome_app") {
        seen.units = [active("welcome_app")].into();
        seen.health = Some(Ok(Health {
            status: 200,
            said: "connected".to_owned(),
            database: Some("192.0.2.31".to_owned()),
            writable: Some(true),
        }));
    }
    if !groups.contains(&"postgresql") {
        seen.databases = ["db1", "db2"]
            .map(|host| (host.to_owned(), PeerView::Silent))
            .into();
    }
    seen
}

impl Snapshot<'_> {
    /// A host that answered, to be changed.
    pub fn change(&mut self, host: &str, change: impl FnOnce(&mut HostSeen)) {
        change(
            self.hosts
                .get_mut(host)
                .expect("a host")
                .as_mut()
                .expect("it answered"),
        );
    }

    /// A database that answered, to be changed.
    pub fn change_node(&mut self, host: &str, change: impl FnOnce(&mut Node)) {
        let member = self
            .cluster
            .members
            .iter_mut()
            .find(|member| member.host == host);
        change(
            member
                .expect("a database")
                .seen
                .as_mut()
                .expect("it answered"),
        );
    }

    /// What a database's server says, to be changed.
    pub fn change_answer(&mut self, host: &str, change: impl FnOnce(&mut Answer)) {
        self.change_node(host, |node| match &mut node.live {
            Live::Answers(answer) => change(answer),
            other => panic!("{host} does not answer: {other:?}"),
        });
    }

    /// A host does not answer any more.
    pub fn lose(&mut self, host: &str) {
        let error = || {
            Diagnostic::with_code(exit::UNREACHABLE, "cannot connect")
                .note("Connection timed out")
                .on(host)
        };
        *self.hosts.get_mut(host).expect("a host") = Err(error());
        for member in self
            .cluster
            .members
            .iter_mut()
            .filter(|member| member.host == host)
        {
            member.seen = Err(error());
        }
    }

    /// Every host has a journal in this place.
    pub fn write(&mut self, file: &str, record: &Result<Record>) {
        for host in ["db1", "db2"] {
            if let Some(Ok(seen)) = self.hosts.get_mut(host) {
                seen.journal.push((file.to_owned(), record.clone()));
            }
            if let Some(Ok(node)) = self
                .cluster
                .members
                .iter_mut()
                .find(|member| member.host == host)
                .map(|member| &mut member.seen)
            {
                node.journal.push((file.to_owned(), record.clone()));
            }
        }
    }
}

/// A journal.
pub fn record(kind: &str, started: u64, steps: &[(&str, StepState)], end: Option<&str>) -> Record {
    Record {
        header: Header {
            id: format!("{started}-{kind}"),
            kind: kind.to_owned(),
            epoch: 0,
            operator: "ann@desk, `hactl switchover`, pid 7, since now".to_owned(),
            started,
            reason: "kernel update".to_owned(),
            hosts: vec!["db1".to_owned(), "db2".to_owned()],
            details: [("old", "db1"), ("new", "db2")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        },
        steps: steps
            .iter()
            .map(|(step, state)| StepLine {
                step: (*step).to_owned(),
                state: *state,
                at: started + 1,
                notes: BTreeMap::new(),
            })
            .collect(),
        end: end.map(|result| End {
            result: result.to_owned(),
            ended: started + 3,
            message: String::new(),
        }),
    }
}
