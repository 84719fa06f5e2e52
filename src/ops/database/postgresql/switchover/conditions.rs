//! What must hold before a primary hands over, as seen on all hosts.
//!
//! Pure: it never asks a host, and never decides by what the inventory says of roles.

use super::SwitchoverOptions;
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::candidate;
use crate::ops::database::postgresql::node::{Answer, Live, Node, PeerView, Sender};
use crate::ops::database::postgresql::view::Cluster;
use crate::ops::operation::condition::Conditions;

/// Segments that may wait for the archiver: a clean stop waits until they are archived.
const UNARCHIVED: i64 = 8;

/// Looks at everything that must hold between these hosts.
pub fn of(cluster: &Cluster, assignment: &Assignment, options: &SwitchoverOptions) -> Conditions {
    let mut list = Conditions::default();
    let (old, new) = (assignment.old.host.as_str(), assignment.new.host.as_str());
    for member in &cluster.members {
        if let Err(error) = &member.seen {
            list.add(
                "reached",
                format!("{} can be reached", member.host),
                false,
                error.message.clone(),
                "fix the connection first: a host that does not answer may be in any state",
            );
        }
    }
    candidate::same_cluster(&mut list, cluster);
    for host in [old, new] {
        let Some(node) = cluster.node(host) else {
            continue;
        };
        if let Some(note) = &node.maintenance {
            candidate::in_maintenance(&mut list, host, note);
        }
        if node.is_fenced() {
            list.add(
                "not-fenced",
                format!("{host} is not fenced"),
                false,
                format!(
                    "start.conf says {}, unit masked: {}",
                    node.place.start, node.place.masked
                ),
                format!("hactl rejoin {host}"),
            );
        }
    }
    let (Some(primary), Some(standby)) = (cluster.node(old), cluster.node(new)) else {
        return list;
    };
    let Some(primary_says) = primary.answer() else {
        return list;
    };
    let Some(standby_says) = standby.answer().filter(|answer| answer.in_recovery) else {
        list.add(
            "replica-answers",
            format!("{new} is a running replica"),
            false,
            match &standby.live {
                Live::Down(said) => said.clone(),
                Live::Silent => "it takes connections and does not answer".to_owned(),
                Live::None => "there is no cluster".to_owned(),
                Live::Answers(_) => "it takes writes".to_owned(),
            },
            format!("hactl rejoin {new}"),
        );
        return list;
    };
    streaming(&mut list, assignment, primary, standby, options);
    candidate_is_fit(&mut list, assignment, primary, standby_says);
    stop(&mut list, assignment, primary_says, options);
    list
}

/// Replication: direct, streaming, on one timeline, close.
fn streaming(
    list: &mut Conditions,
    assignment: &Assignment,
    primary: &Node,
    standby: &Node,
    options: &SwitchoverOptions,
) {
    let (old, new) = (&assignment.old.host, &assignment.new.host);
    let (Some(primary_says), Some(standby_says)) = (primary.answer(), standby.answer()) else {
        return;
    };
    let sender = sender_of(primary_says, assignment);
    list.add(
        "streams",
        format!("{new} streams from {old} directly"),
        sender.is_some_and(|sender| sender.state == "streaming"),
        sender.map_or_else(
            || format!("{old} has no sender for it"),
            |sender| format!("state {}", sender.state),
        ),
        format!("hactl status; the log of {new} says why it does not: hactl run -l {new} -- journalctl -u {}", assignment.new.unit),
    );
    list.add(
        "timeline",
        "both are on the same timeline",
        primary.timeline() == standby.timeline(),
        format!("{old} {}, {new} {}", primary.timeline(), standby.timeline()),
        format!("hactl rejoin {new}"),
    );
    candidate::replays(list, new, standby_says);
    let behind = primary_says
        .written
        .unwrap_or_default()
        .ahead_of(standby_says.replayed.unwrap_or_default());
    list.add(
        "lag",
        format!("{new} is at most {} bytes behind", options.max_lag),
        behind <= options.max_lag,
        format!("{behind} bytes are not replayed"),
        "wait until it has caught up, or allow more with --max-lag",
    );
}

/// What the candidate needs to be a primary.
fn candidate_is_fit(
    list: &mut Conditions,
    assignment: &Assignment,
    primary: &Node,
    standby: &Answer,
) {
    let (old, new) = (&assignment.old.host, &assignment.new.host);
    let followers = i64::try_from(assignment.others.len() + 1).unwrap_or(i64::MAX);
    list.add(
        "senders",
        format!("{new} has room for {followers} standbys"),
        standby.free_senders >= followers && standby.free_slots >= 1,
        format!(
            "{} free senders, {} free slots",
            standby.free_senders, standby.free_slots
        ),
        "raise postgresql_max_wal_senders and postgresql_max_replication_slots, deploy",
    );
    let view = primary.peers.get(new);
    let works = matches!(
        view,
        Some(PeerView::Answers {
            replication: Ok(()),
            ..
        })
    );
    list.add(
        "reverse-login",
        format!("{old} can replicate from {new}"),
        works,
        match view {
            Some(
                PeerView::Answers {
                    replication: Err(said),
                    ..
                }
                | PeerView::Refuses(said)
                | PeerView::Closed(said)
                | PeerView::Unreachable(said),
            ) => said.clone(),
            Some(PeerView::Silent) => "no answer in time".to_owned(),
            Some(PeerView::Answers { .. }) => "a replication login works".to_owned(),
            None => "not tried".to_owned(),
        },
        "hactl deploy (pg_hba.conf and the replication password on every database host)",
    );
    list.add(
        "rewindable",
        "a primary that is left behind could be rewound",
        standby.rewindable,
        if standby.rewindable {
            "wal_log_hints or checksums are on"
        } else {
            "wal_log_hints and data checksums are off"
        },
        "hactl deploy sets wal_log_hints; it needs a restart",
    );
}

/// What would make the clean stop slow or costly.
fn stop(
    list: &mut Conditions,
    assignment: &Assignment,
    primary: &Answer,
    options: &SwitchoverOptions,
) {
    let old = &assignment.old.host;
    if let Some(waiting) = primary.unarchived {
        list.add(
            "archive",
            format!("at most {UNARCHIVED} segments wait for the archiver of {old}"),
            waiting <= UNARCHIVED,
            format!("{waiting} wait"),
            "a clean stop waits for the archiver: see pg_stat_archiver and the repository",
        );
    }
    list.add(
        "prepared",
        "no transaction is prepared",
        primary.prepared == 0,
        format!("{} are", primary.prepared),
        "commit or roll them back: pg_prepared_xacts",
    );
    list.add(
        "transactions",
        format!(
            "no client's transaction is older than {} s",
            options.max_transaction
        ),
        primary.oldest_transaction <= options.max_transaction,
        format!("the oldest is {} s old", primary.oldest_transaction),
        "wait for it to end: it would be cut off",
    );
    list.unless("--long-transactions-ok", options.long_transactions_ok);
}

fn sender_of<'a>(primary: &'a Answer, assignment: &Assignment) -> Option<&'a Sender> {
    primary.senders.iter().find(|sender| {
        sender.name == assignment.new.host
            || sender.address.as_deref() == Some(assignment.new.address.as_str())
    })
}
