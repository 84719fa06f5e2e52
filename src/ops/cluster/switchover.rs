//! Switchover: the primary hands over to a standby, in order, and nothing is lost.
//!
//! The order is the one of repmgr's `standby switchover` and Patroni's graceful demotion: clean stop, proof that the
//! candidate has the last byte, only then promotion. From the moment in which the old primary is stopped it can only come
//! back as a standby, whoever starts it and whenever: so there is never a second primary, not even when this process dies.

use super::condition::Conditions;
use super::node::{Answer, Node, PeerView};
use super::operation::{Script, Step};
use super::scripts::{AT_STOP, Server};
use super::view::{Cluster, strangers};
use crate::base::{Diagnostic, exit};
use crate::ops::hosts::Site;
use crate::ops::journal::Notes;

/// What the operator allows.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The host that is to be the primary; any replica that can when none is named.
    pub to: Option<String>,
    /// Bytes that the candidate may be behind when it begins.
    pub max_lag: u64,
    /// Transactions of clients that are older than this many seconds are not to be cut off.
    pub max_transaction: i64,
    /// They may be.
    pub long_transactions_ok: bool,
}

/// Who hands over to whom.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The primary that was.
    pub old: Server,
    /// The primary that is to be.
    pub new: Server,
    /// The other standbys, which are to follow the new one.
    pub others: Vec<Server>,
}

/// How many seconds the candidate may take to receive the last bytes; they are on their way when the primary stops.
const LAST_BYTE: u32 = 10;
/// Segments that may wait for the archiver: a clean stop waits until they are archived.
const UNARCHIVED: i64 = 8;

impl Cast {
    /// Their names, for the journal.
    pub fn details(&self) -> Notes {
        [
            ("old".to_owned(), self.old.host.clone()),
            ("new".to_owned(), self.new.host.clone()),
            (
                "others".to_owned(),
                self.others
                    .iter()
                    .map(|server| server.host.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
        ]
        .into()
    }
}

/// A host as steps see it; a host that could not be asked is taken to be as another one of its cluster is.
pub fn server(site: &Site, cluster: &Cluster, name: &str) -> Option<Server> {
    let host = site.host(name)?;
    let member = cluster.member(name)?;
    let place = member
        .seen
        .as_ref()
        .ok()
        .filter(|node| !node.place.version.is_empty())
        .or_else(|| {
            cluster
                .nodes()
                .map(|(_, node)| node)
                .find(|node| !node.place.version.is_empty())
        })
        .map(|node| node.place.clone())?;
    Some(Server::new(host, &member.address, &place))
}

/// The primary as observed; refused when there is none or more than one.
///
/// # Errors
/// Exit code 2, with what to do instead.
pub fn the_primary(cluster: &Cluster) -> Result<&str, Diagnostic> {
    let primaries = cluster.primaries();
    match primaries.as_slice() {
        [(host, _)] => Ok(host),
        [] => {
            let seen: Vec<String> = cluster
                .members
                .iter()
                .map(|member| format!("{} is {}", member.host, member.role()))
                .collect();
            Err(Diagnostic::with_code(exit::REFUSED, "no primary answers")
                .note(format!("observed: {}", seen.join(", ")))
                .help("if it is dead: hactl failover --promote replica"))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(host, _)| *host).collect();
            Err(Diagnostic::with_code(
                exit::REFUSED,
                format!("split brain: {} take writes", names.join(" and ")),
            )
            .help("decide whose data stays; stop the other one (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it"))
        }
    }
}

/// Looks at everything that must hold, and names the hosts.
///
/// # Errors
/// When it cannot even be said who would hand over to whom.
pub fn assess(
    site: &Site,
    cluster: &Cluster,
    wishes: &Wishes,
) -> Result<(Cast, Conditions), Vec<Diagnostic>> {
    let one = |error| vec![error];
    // Before anything else: what is seen now is only half of a change.
    if let Some(record) = cluster.unfinished() {
        return Err(one(Diagnostic::with_code(
            exit::REFUSED,
            "refused (unfinished): no operation is unfinished",
        )
        .note(format!(
            "observed: {} of {}",
            record.header.kind, record.header.operator
        ))
        .help(
            "hactl resume takes it up; hactl resume --undo takes it back, if nobody was promoted",
        )));
    }
    let old = the_primary(cluster).map_err(one)?;
    let candidate = match &wishes.to {
        Some(host) => host.clone(),
        None => cluster
            .standbys()
            .into_iter()
            // One in maintenance is only taken, and then refused by name, when there is no other.
            .max_by_key(|(_, node)| (node.maintenance.is_none(), node.has_log_to()))
            .map(|(host, _)| host.to_owned())
            .ok_or_else(|| {
                one(Diagnostic::with_code(exit::REFUSED, "no replica answers")
                    .help("hactl status shows what is seen; hactl rejoin HOST makes a host follow again"))
            })?,
    };
    if candidate == old {
        return Err(one(Diagnostic::with_code(
            exit::REFUSED,
            format!("{candidate} is the primary already"),
        )));
    }
    if cluster.member(&candidate).is_none() {
        let names: Vec<&str> = cluster
            .members
            .iter()
            .map(|member| member.host.as_str())
            .collect();
        return Err(one(Diagnostic::new(format!(
            "`{candidate}` is no host of the group postgresql"
        ))
        .help(format!("there are: {}", names.join(", ")))));
    }
    let cast = Cast {
        old: server(site, cluster, old).ok_or_else(|| one(nothing_known(old)))?,
        new: server(site, cluster, &candidate).ok_or_else(|| one(nothing_known(&candidate)))?,
        others: cluster
            .standbys()
            .into_iter()
            .filter(|(host, _)| *host != candidate)
            .filter_map(|(host, _)| server(site, cluster, host))
            .collect(),
    };
    let conditions = conditions(cluster, &cast, wishes);
    Ok((cast, conditions))
}

fn nothing_known(host: &str) -> Diagnostic {
    Diagnostic::with_code(exit::REFUSED, "nothing is known of its cluster").on(host)
}

fn conditions(cluster: &Cluster, cast: &Cast, wishes: &Wishes) -> Conditions {
    let mut list = Conditions::default();
    let (old, new) = (cast.old.host.as_str(), cast.new.host.as_str());
    for member in &cluster.members {
        if let Err(error) = &member.seen {
            list.add(
                "reached",
                format!("{} can be reached", member.host),
                false,
                error.message.clone(),
                "mend the connection first: a host that is not seen may be anything",
            );
        }
    }
    if let Some(error) = strangers(cluster) {
        list.add(
            "same-cluster",
            "all hosts hold the same cluster",
            false,
            error.message,
            "a host with another system identifier is no replica: find out whose data it has",
        );
    }
    for host in [old, new] {
        let Some(node) = cluster.node(host) else {
            continue;
        };
        if let Some(note) = &node.maintenance {
            in_maintenance(&mut list, host, note);
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
                super::node::Live::Down(said) => said.clone(),
                super::node::Live::Silent => "it takes connections and does not answer".to_owned(),
                super::node::Live::None => "there is no cluster".to_owned(),
                super::node::Live::Answers(_) => "it takes writes".to_owned(),
            },
            format!("hactl rejoin {new}"),
        );
        return list;
    };
    streaming(&mut list, cast, primary, standby, wishes);
    candidate(&mut list, cast, primary, standby_says);
    stop(&mut list, cast, primary_says, wishes);
    list
}

/// A note of maintenance, of the host or of the whole service.
pub fn in_maintenance(list: &mut Conditions, host: &str, note: &str) {
    // The notes stand behind each other on one line.
    let notes = crate::ops::maintenance::parse(&note.replace("} {", "}\n{")).unwrap_or_default();
    let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let service = notes.iter().any(|note| !note.is_of_host());
    list.add(
        "maintenance",
        if service {
            "the service is not in maintenance".to_owned()
        } else {
            format!("{host} is not in maintenance")
        },
        false,
        if said.is_empty() {
            note.to_owned()
        } else {
            said.join("; ")
        },
        if service {
            "hactl maintenance off".to_owned()
        } else {
            format!("hactl maintenance off {host}")
        },
    );
}

/// Replication: direct, streaming, on one timeline, close.
fn streaming(list: &mut Conditions, cast: &Cast, primary: &Node, standby: &Node, wishes: &Wishes) {
    let (old, new) = (&cast.old.host, &cast.new.host);
    let (Some(primary_says), Some(standby_says)) = (primary.answer(), standby.answer()) else {
        return;
    };
    let sender = sender_of(primary_says, cast);
    list.add(
        "streams",
        format!("{new} streams from {old} directly"),
        sender.is_some_and(|sender| sender.state == "streaming"),
        sender.map_or_else(
            || format!("{old} has no sender for it"),
            |sender| format!("state {}", sender.state),
        ),
        format!("hactl status; the log of {new} says why it does not: hactl run -l {new} -- journalctl -u {}", cast.new.unit),
    );
    list.add(
        "timeline",
        "both are on the same timeline",
        primary.timeline() == standby.timeline(),
        format!("{old} {}, {new} {}", primary.timeline(), standby.timeline()),
        format!("hactl rejoin {new}"),
    );
    list.add(
        "replay",
        format!("{new} replays what it receives"),
        !standby_says.paused,
        if standby_says.paused {
            "replay is paused"
        } else {
            "not paused"
        },
        format!("on {new}: SELECT pg_wal_replay_resume()"),
    );
    let behind = primary_says
        .written
        .unwrap_or_default()
        .ahead_of(standby_says.replayed.unwrap_or_default());
    list.add(
        "lag",
        format!("{new} is at most {} bytes behind", wishes.max_lag),
        behind <= wishes.max_lag,
        format!("{behind} bytes are not replayed"),
        "wait until it has caught up, or allow more with --max-lag",
    );
}

/// What the candidate needs to be a primary.
fn candidate(list: &mut Conditions, cast: &Cast, primary: &Node, standby: &Answer) {
    let (old, new) = (&cast.old.host, &cast.new.host);
    let followers = i64::try_from(cast.others.len() + 1).unwrap_or(i64::MAX);
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
fn stop(list: &mut Conditions, cast: &Cast, primary: &Answer, wishes: &Wishes) {
    let old = &cast.old.host;
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
            wishes.max_transaction
        ),
        primary.oldest_transaction <= wishes.max_transaction,
        format!("the oldest is {} s old", primary.oldest_transaction),
        "wait for it to end: it would be cut off",
    );
    list.unless("--long-transactions-ok", wishes.long_transactions_ok);
}

fn sender_of<'a>(primary: &'a Answer, cast: &Cast) -> Option<&'a super::node::Sender> {
    primary.senders.iter().find(|sender| {
        sender.name == cast.new.host || sender.address.as_deref() == Some(cast.new.address.as_str())
    })
}

/// A script that needs nothing of the steps before it.
pub fn plain(text: String) -> Script {
    Box::new(move |_| text.clone())
}

/// The steps, in order.
pub fn steps(cast: &Cast) -> Vec<Step> {
    let Cast { old, new, others } = cast.clone();
    let step = |id, server: &Server, what: String, text: String| Step {
        id,
        what,
        host: server.host.clone(),
        script: plain(text),
        undo: None,
        no_return: false,
        tail: false,
        limit: 60,
    };
    let followers: Vec<&Server> = std::iter::once(&old).chain(&others).collect();
    let last_byte = new.clone();
    let mut steps = vec![
        Step {
            undo: Some(plain(new.drop_slots(&followers))),
            ..step(
                "slots",
                &new,
                format!("make slots for {}", names(&followers)),
                new.make_slots(&followers),
            )
        },
        Step {
            undo: Some(plain(old.forget_to_follow())),
            ..step(
                "prepare",
                &old,
                format!("prepare to follow {}, checkpoint", new.host),
                old.prepare_to_follow(&new),
            )
        },
        Step {
            limit: 120,
            undo: Some(plain(old.start_primary())),
            ..step(
                "stop",
                &old,
                "stop in order; writes wait from here on".to_owned(),
                old.stop_clean(),
            )
        },
        Step {
            undo: Some(plain(old.no_longer_standby())),
            ..step(
                "demote",
                &old,
                "from now on it can only start as a standby".to_owned(),
                old.become_standby(),
            )
        },
        Step {
            script: Box::new(move |notes| {
                let at = notes.get("stopped_at").map_or(AT_STOP, String::as_str);
                last_byte.has_last_byte(at, LAST_BYTE)
            }),
            ..step(
                "last-byte",
                &new,
                "prove that it has the last byte".to_owned(),
                String::new(),
            )
        },
        Step {
            no_return: true,
            limit: 90,
            ..step(
                "promote",
                &new,
                "promote; writes go on from here".to_owned(),
                new.promote(),
            )
        },
    ];
    steps.push(Step {
        tail: true,
        limit: 120,
        ..step(
            "follow",
            &old,
            format!("start as a standby of {}", new.host),
            old.start_standby(),
        )
    });
    steps.extend(after_promotion(&new, &others));
    steps.push(Step {
        tail: true,
        ..step(
            "tidy",
            &old,
            "drop the slots that only a primary needs".to_owned(),
            {
                let stale: Vec<&Server> = std::iter::once(&new).chain(&others).collect();
                old.drop_slots(&stale)
            },
        )
    });
    steps.push(Step {
        tail: true,
        ..step(
            "check",
            &new,
            format!("{} streams from it", old.host),
            new.is_followed_by(&old),
        )
    });
    steps
}

/// What follows every promotion: the others turn to the new primary, and its control file tells the new timeline.
pub fn after_promotion(new: &Server, others: &[Server]) -> Vec<Step> {
    let mut steps: Vec<Step> = others
        .iter()
        .map(|other| Step {
            // Leaked once per operation and host: the ids of steps live as long as the program.
            id: Box::leak(format!("repoint-{}", other.host).into_boxed_str()),
            what: format!("follow {}", new.host),
            host: other.host.clone(),
            script: plain(other.repoint(new)),
            undo: None,
            no_return: false,
            tail: true,
            limit: 60,
        })
        .collect();
    steps.push(Step {
        id: "checkpoint",
        what: "checkpoint on the new timeline".to_owned(),
        host: new.host.clone(),
        script: plain(new.settle_promotion()),
        undo: None,
        no_return: false,
        tail: true,
        limit: 300,
    });
    steps
}

fn names(servers: &[&Server]) -> String {
    servers
        .iter()
        .map(|server| server.host.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
