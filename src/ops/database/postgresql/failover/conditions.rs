//! What must hold before a replica is promoted over a dead primary.
//!
//! Each consent answers one question: no flag waives two conditions.

use super::{FailoverOptions, Fence};
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::candidate;
use crate::ops::database::postgresql::failure_detection::{FailureVerdict, Proof};
use crate::ops::database::postgresql::next_action::{Kind, NextAction, Phase, Situation, State};
use crate::ops::database::postgresql::view::{Cluster, Member};
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::journal::{self, Record};

/// No second failover within so many seconds (orchestrator's default): who fails over twice in an hour has another problem.
pub const FLAP: u64 = 3600;
/// Bytes that may wait to be replayed: promotion waits for all of them.
const BACKLOG: u64 = 256 << 20;
/// What to do with a host that is up and cannot be entered.
const UP_OUTSIDE: &str = "its host is up and ssh does not work: it is booting, or its sshd is broken, and its server may start at any moment. Wait until ssh works and run again (hactl then stops the server and fences it on its host), or switch its machine off (or set postgresql_fence_command)";
/// What to do with one that is silent. What a block cannot prevent is said here: it ends what clients on the other hosts see,
/// not what the server itself does.
const FROZEN_OUTSIDE: &str = "it may be frozen or only cut off, and take writes again. Switch its machine off (or set postgresql_fence_command), then run again. Without that, every host that serves clients blocks it in both directions, so that no client of theirs gets an answer from it; clients on other machines, and sessions on its own host, may still commit until it notices that it was paused and stops (postgresql_pause_seconds)";

/// The old primary takes no more writes.
pub fn dead(
    list: &mut Conditions,
    assignment: &Assignment,
    proof: &Proof,
    fence: Fence,
    options: &FailoverOptions,
) {
    let old = &assignment.old.host;
    let what = format!("{old} is dead, or can be fenced");
    match proof.verdict {
        FailureVerdict::DeadInside | FailureVerdict::Gone => {
            list.add("dead", what, true, proof.to_string(), "");
        }
        FailureVerdict::Alive => list.add(
            "dead",
            format!("{old} is dead"),
            false,
            proof.to_string(),
            format!(
                "it is alive. To move the primary without any loss: hactl switchover --to {}",
                assignment.new.host
            ),
        ),
        FailureVerdict::FrozenInside => {
            list.add(
                "dead",
                what,
                false,
                proof.to_string(),
                "a frozen server may wake up and take writes; check it first: it may only be overloaded. To kill and fence it and promote",
            );
            list.unless("--kill-frozen", options.kill_frozen);
        }
        FailureVerdict::FrozenOutside | FailureVerdict::UpOutside | FailureVerdict::Unknown => {
            let fenced = fence == Fence::Command;
            let help = if proof.verdict == FailureVerdict::UpOutside {
                UP_OUTSIDE
            } else {
                FROZEN_OUTSIDE
            };
            list.add("dead", what, fenced, proof.to_string(), help);
            list.unless("--unfenced-ok", options.unfenced_ok);
        }
    }
}

/// The replica can lead, and none is better.
pub fn candidate_is_fit(
    list: &mut Conditions,
    cluster: &Cluster,
    assignment: &Assignment,
    candidate: &str,
) {
    candidate::same_cluster(list, cluster);
    let Some(node) = cluster.node(candidate) else {
        list.add(
            "replica-answers",
            format!("{candidate} is a running replica"),
            false,
            "it cannot be reached",
            "hactl status",
        );
        return;
    };
    let Some(says) = node.answer().filter(|answer| answer.in_recovery) else {
        let role = cluster.member(candidate).map_or("unknown", Member::role);
        list.add(
            "replica-answers",
            format!("{candidate} is a running replica"),
            false,
            format!("it is {role}"),
            "hactl status",
        );
        return;
    };
    if let Some(note) = &node.maintenance {
        candidate::in_maintenance(list, candidate, note);
    }
    let newest = cluster
        .nodes()
        .map(|(host, node)| (node.timeline(), host))
        .max()
        .unwrap_or((0, candidate));
    list.add(
        "timeline",
        format!("{candidate} is on the newest timeline"),
        node.timeline() >= newest.0,
        format!("{candidate} {}, {} {}", node.timeline(), newest.1, newest.0),
        format!(
            "{candidate} follows an older history: hactl rejoin {candidate} once a primary answers"
        ),
    );
    // Positions on different timelines cannot be compared.
    if let Some(old) = cluster
        .node(&assignment.old.host)
        .filter(|old| old.control.is_some())
    {
        list.add(
            "one-history",
            format!("{candidate} and {} are on the same timeline", assignment.old.host),
            old.timeline() == node.timeline(),
            format!("{candidate} {}, {} {}", node.timeline(), assignment.old.host, old.timeline()),
            format!("{candidate} left the history of {} before: start {} again, or find out whose data counts", assignment.old.host, assignment.old.host),
        );
    }
    if let Some((ahead, other)) = cluster
        .most_advanced()
        .filter(|(host, _)| *host != candidate)
    {
        let by = other
            .has_log_to()
            .unwrap_or_default()
            .ahead_of(node.has_log_to().unwrap_or_default());
        list.add(
            "furthest",
            "no other replica has more of the log",
            other.timeline() == node.timeline() && by == 0,
            format!("{ahead} has {by} bytes more"),
            format!("hactl failover --promote {ahead}"),
        );
    }
    candidate::replays(list, candidate, says);
    let backlog = says
        .received
        .unwrap_or_default()
        .ahead_of(says.replayed.unwrap_or_default());
    list.add(
        "backlog",
        format!(
            "{candidate} has replayed what it received, but for {} MiB",
            BACKLOG >> 20
        ),
        backlog <= BACKLOG,
        format!("{backlog} bytes are not replayed"),
        "promotion would wait for them: wait until it has caught up",
    );
    if node.is_fenced() {
        list.add(
            "not-fenced",
            format!("{candidate} is not fenced"),
            false,
            format!("start.conf says {}", node.place.start),
            format!("hactl rejoin {candidate}"),
        );
    }
}

/// Whether an unfinished operation is over when this host is promoted: a switchover that promoted nobody and whose old
/// primary leads no more, one whose own way on is this failover, and the rejoin of another host.
fn may_overtake(record: &Record, way: Option<&Situation>, candidate: &str) -> bool {
    let Some(way) = way else {
        return record.header.kind == "rejoin"
            && record.header.details.get("host").map(String::as_str) != Some(candidate);
    };
    let named =
        matches!(way.next_action(), NextAction::Failover(part) if way.host(part) == candidate);
    let promoted_nobody = way.kind == Kind::Switchover
        && way.phase == Phase::Before
        && way.old.1 != State::Primary
        && way.new == (candidate.to_owned(), State::Replica);
    named || promoted_nobody
}

/// No operation is in the way, and none was just made.
pub fn history(
    list: &mut Conditions,
    cluster: &Cluster,
    candidate: &str,
    options: &FailoverOptions,
) {
    let now = journal::seconds();
    if let Some(record) = cluster.unfinished() {
        let way = Situation::of(cluster, &record);
        list.add(
            "unfinished",
            "no operation is unfinished, but for one that this failover may overtake",
            may_overtake(&record, way.as_ref(), candidate),
            format!("{} of {}", record.header.kind, record.header.operator),
            format!(
                "the way on: {}",
                way.map_or_else(|| "hactl resume".to_owned(), |way| way.command())
            ),
        );
    }
    let last = cluster
        .history()
        .into_iter()
        .filter(|record| record.header.kind == "failover")
        .filter_map(|record| {
            Some((
                record
                    .end
                    .as_ref()
                    .filter(|end| end.result == "done")?
                    .ended,
                record,
            ))
        })
        .max_by_key(|(ended, _)| *ended);
    if let Some((ended, record)) = last {
        let ago = now.saturating_sub(ended);
        list.add(
            "flapping",
            format!("the last failover is more than {} minutes ago", FLAP / 60),
            ago > FLAP,
            format!("{} minutes ago, by {}", ago / 60, record.header.operator),
            "a second failover within the hour means that something else is wrong: find it first",
        );
        list.unless("--again", options.again);
    }
}
