//! The snapshots in which something has happened: each is the healthy one, changed.

use super::{NOW, healthy, lsn, node as node_of, primary, record, view};
use crate::ops::database::postgresql::node::{Answer, Control, Live, PeerView, Slot};
use crate::ops::hosts::Site;
use crate::ops::operation::journal::{OPERATION, StepState};
use crate::ops::status::Snapshot;
use crate::ops::status::host_probe::Health;

/// The primary's host is gone, and nobody gets through to it.
pub fn primary_dead(site: &Site) -> Snapshot<'_> {
    let mut snapshot = healthy(site);
    snapshot.lose("db1");
    let gone = || PeerView::Unreachable("no route to host".to_owned());
    snapshot.change_node("db2", |node| {
        drop(node.peers.insert("db1".to_owned(), gone()))
    });
    snapshot.change_answer("db2", |answer| {
        let receiver = answer.receiver.as_mut().expect("a receiver");
        (receiver.silent, receiver.primary_end) = (Some(14.0), Some(lsn("0/5000100")));
    });
    for host in ["lb1", "lb2", "app1", "app2"] {
        snapshot.change(host, |seen| {
            drop(seen.databases.insert("db1".to_owned(), gone()))
        });
    }
    for app in ["app1", "app2"] {
        snapshot.change(app, |seen| {
            seen.health = Some(Ok(Health {
                status: 500,
                said: "no database takes writes".to_owned(),
                database: None,
                writable: Some(false),
            }));
        });
    }
    for balancer in ["lb1", "lb2"] {
        snapshot.change(balancer, |seen| {
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
        snapshot.change(host, |seen| seen.entrance = Some(Ok(503)));
    }
    snapshot
}

/// Both databases take writes.
pub fn split_brain(site: &Site) -> Snapshot<'_> {
    let mut snapshot = healthy(site);
    snapshot.change_node("db2", |node| {
        *node = node_of(Answer {
            timeline: 2,
            written: Some(lsn("0/5000200")),
            senders: Vec::new(),
            ..primary("db1", "192.0.2.31")
        });
        node.peers.insert("db1".to_owned(), view(false));
    });
    snapshot.change_node("db1", |node| {
        drop(node.peers.insert("db2".to_owned(), view(false)))
    });
    snapshot.change_answer("db1", |answer| {
        answer.senders.clear();
        answer.slots[0].active = false;
    });
    snapshot
}

/// The replica's replay is paused, and it is far behind.
pub fn replica_paused(site: &Site) -> Snapshot<'_> {
    let mut snapshot = healthy(site);
    snapshot.change_answer("db1", |answer| {
        (answer.senders[0].behind, answer.senders[0].delay) = (Some(48 << 20), Some(95.0));
        (answer.senders[0].unflushed, answer.senders[0].flush_delay) = (Some(4096), Some(0.3));
    });
    snapshot.change_answer("db2", |answer| {
        answer.paused = true;
        answer.replayed = Some(lsn("0/2000000"));
    });
    snapshot
}

/// A switchover was killed after it had stopped the primary.
pub fn unfinished_switchover(site: &Site) -> Snapshot<'_> {
    let mut snapshot = healthy(site);
    snapshot.change_node("db1", |node| {
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
    snapshot.change_node("db2", |node| {
        drop(node.peers.insert(
            "db1".to_owned(),
            PeerView::Closed("Connection refused".to_owned()),
        ))
    });
    snapshot.change_answer("db2", |answer| {
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
    snapshot.write(OPERATION, &Ok(record));
    snapshot
}

/// After a failover: the old primary is fenced, and everything else works.
pub fn fenced(site: &Site) -> Snapshot<'_> {
    let mut snapshot = healthy(site);
    let note = "failover 20260921-failover-1 of ann@desk since 2026-09-21T13:00:00Z";
    snapshot.change_node("db1", |node| {
        node.live = Live::Down(
            "connection to server on socket failed: No such file or directory".to_owned(),
        );
        node.fenced = Some(note.to_owned());
        node.place.masked = true;
        node.place.start = "disabled".to_owned();
        node.peers.insert("db2".to_owned(), view(false));
    });
    snapshot.change("db1", |seen| seen.fenced = Some(note.to_owned()));
    snapshot.change("lb1", |seen| seen.blocks = vec!["db1".to_owned()]);
    snapshot.change_node("db2", |node| {
        *node = node_of(Answer {
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
        snapshot.change(app, |seen| {
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
    snapshot.write("/var/lib/hactl/history/1.jsonl", &Ok(record));
    snapshot
}

/// The inventory has one database, which nothing copies.
pub fn lonely(site: &mut Site) -> Snapshot<'_> {
    site.hosts.retain(|host| host.name != "db2");
    site.groups
        .insert("postgresql".to_owned(), vec!["db1".to_owned()]);
    let mut snapshot = healthy(site);
    snapshot.hosts.remove("db2");
    snapshot.cluster.members.truncate(1);
    snapshot.change_node("db1", |node| node.peers.clear());
    snapshot.change_answer("db1", |answer| {
        answer.senders.clear();
        answer.slots.clear();
    });
    snapshot
}
