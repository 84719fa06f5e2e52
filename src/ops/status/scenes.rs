//! Scenes made by hand, for tests here and of the screen: the flagship stack, and what happens to it.

use super::Scene;
use super::seen::{Health, HostSeen};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result, exit};
use crate::connection::Target;
use crate::ops::cluster::Cluster;
use crate::ops::cluster::lsn::Lsn;
use crate::ops::cluster::node::{
    Answer, Control, Live, Node, PeerView, Place, Receiver, Sender, Slot,
};
use crate::ops::cluster::view::Member;
use crate::ops::hosts::{Host, Site};
use crate::ops::journal::{End, Header, OPERATION, Record, StepLine, StepState};
use crate::ops::verify::parse::Server;
use std::collections::BTreeMap;

/// The time of all scenes.
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
pub fn healthy(site: &Site) -> Scene<'_> {
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
    Scene {
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
        let server = |name: &str| Server {
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
        }));
    }
    if !groups.contains(&"postgresql") {
        seen.databases = ["db1", "db2"]
            .map(|host| (host.to_owned(), PeerView::Silent))
            .into();
    }
    seen
}

impl Scene<'_> {
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

/// The primary's host is gone, and nobody gets through to it.
pub fn primary_dead(site: &Site) -> Scene<'_> {
    let mut scene = healthy(site);
    scene.lose("db1");
    let gone = || PeerView::Unreachable("no route to host".to_owned());
    scene.change_node("db2", |node| {
        drop(node.peers.insert("db1".to_owned(), gone()))
    });
    scene.change_answer("db2", |answer| {
        let receiver = answer.receiver.as_mut().expect("a receiver");
        (receiver.silent, receiver.primary_end) = (Some(14.0), Some(lsn("0/5000100")));
    });
    for host in ["lb1", "lb2", "app1", "app2"] {
        scene.change(host, |seen| {
            drop(seen.databases.insert("db1".to_owned(), gone()))
        });
    }
    for app in ["app1", "app2"] {
        scene.change(app, |seen| {
            seen.health = Some(Ok(Health {
                status: 500,
                said: "no database takes writes".to_owned(),
                database: None,
            }));
        });
    }
    for balancer in ["lb1", "lb2"] {
        scene.change(balancer, |seen| {
            for server in seen
                .servers
                .as_mut()
                .expect("servers")
                .as_mut()
                .expect("servers")
            {
                (server.status, server.check) = ("DOWN".to_owned(), "L7STS/500".to_owned());
            }
        });
    }
    for host in ["app1", "app2", "db2"] {
        scene.change(host, |seen| seen.entrance = Some(Ok(503)));
    }
    scene
}

/// Both databases take writes.
pub fn split_brain(site: &Site) -> Scene<'_> {
    let mut scene = healthy(site);
    scene.change_node("db2", |node| {
        *node = self::node(Answer {
            timeline: 2,
            written: Some(lsn("0/5000200")),
            senders: Vec::new(),
            ..primary("db1", "192.0.2.31")
        });
        node.peers.insert("db1".to_owned(), view(false));
    });
    scene.change_node("db1", |node| {
        drop(node.peers.insert("db2".to_owned(), view(false)))
    });
    scene.change_answer("db1", |answer| {
        answer.senders.clear();
        answer.slots[0].active = false;
    });
    scene
}

/// The replica's replay is paused, and it is far behind.
pub fn replica_paused(site: &Site) -> Scene<'_> {
    let mut scene = healthy(site);
    scene.change_answer("db1", |answer| {
        (answer.senders[0].behind, answer.senders[0].delay) = (Some(48 << 20), Some(95.0));
        (answer.senders[0].unflushed, answer.senders[0].flush_delay) = (Some(4096), Some(0.3));
    });
    scene.change_answer("db2", |answer| {
        answer.paused = true;
        answer.replayed = Some(lsn("0/2000000"));
    });
    scene
}

/// A switchover was killed after it had stopped the primary.
pub fn unfinished_switchover(site: &Site) -> Scene<'_> {
    let mut scene = healthy(site);
    scene.change_node("db1", |node| {
        node.live = Live::Down(
            "connection to server on socket failed: No such file or directory".to_owned(),
        );
        node.place.standby_signal = true;
        node.control = Some(Control {
            system: "7".to_owned(),
            state: "shut down".to_owned(),
            checkpoint: lsn("0/5000000"),
            timeline: 1,
            ..Control::default()
        });
        node.peers.insert("db2".to_owned(), view(true));
    });
    scene.change_node("db2", |node| {
        drop(node.peers.insert(
            "db1".to_owned(),
            PeerView::Closed("Connection refused".to_owned()),
        ))
    });
    scene.change_answer("db2", |answer| {
        answer.received = Some(lsn("0/5000098"));
        answer.receiver = None;
    });
    let record = record(
        "switchover",
        NOW - 200,
        &[
            ("prepare", StepState::Done),
            ("stop", StepState::Done),
            ("last-byte", StepState::Begun),
        ],
        None,
    );
    scene.write(OPERATION, &Ok(record));
    scene
}

/// After a failover: the old primary is fenced, and everything else works.
pub fn fenced(site: &Site) -> Scene<'_> {
    let mut scene = healthy(site);
    let note = "failover 20260921-failover-1 of ann@desk since 2026-09-21T13:00:00Z";
    scene.change_node("db1", |node| {
        node.live = Live::Down(
            "connection to server on socket failed: No such file or directory".to_owned(),
        );
        node.fenced = Some(note.to_owned());
        node.place.masked = true;
        node.place.start = "disabled".to_owned();
        node.peers.insert("db2".to_owned(), view(false));
    });
    scene.change("db1", |seen| seen.fenced = Some(note.to_owned()));
    scene.change("lb1", |seen| seen.blocks = vec!["db1".to_owned()]);
    scene.change_node("db2", |node| {
        *node = self::node(Answer {
            timeline: 2,
            senders: Vec::new(),
            slots: vec![Slot {
                name: "db1".to_owned(),
                active: false,
                wal_status: Some("reserved".to_owned()),
                kept: Some(3 << 20),
            }],
            ..primary("db1", "192.0.2.31")
        });
        node.peers.insert(
            "db1".to_owned(),
            PeerView::Closed("Connection refused".to_owned()),
        );
    });
    for app in ["app1", "app2"] {
        scene.change(app, |seen| {
            if let Some(Ok(health)) = &mut seen.health {
                health.database = Some("192.0.2.32".to_owned());
            }
        });
    }
    let record = record(
        "failover",
        NOW - 900,
        &[("promote", StepState::Done)],
        Some("done"),
    );
    scene.write("/var/lib/hactl/history/1.jsonl", &Ok(record));
    scene
}

/// The inventory has one database, which nothing copies.
pub fn lonely(site: &mut Site) -> Scene<'_> {
    site.hosts.retain(|host| host.name != "db2");
    site.groups
        .insert("postgresql".to_owned(), vec!["db1".to_owned()]);
    let mut scene = healthy(site);
    scene.hosts.remove("db2");
    scene.cluster.members.truncate(1);
    scene.change_node("db1", |node| node.peers.clear());
    scene.change_answer("db1", |answer| {
        answer.senders.clear();
        answer.slots.clear();
    });
    scene
}
