//! What would be lost, were the primary to die now, and whether another database could take over. An estimate for people:
//! `failover` looks again by itself.

use super::Snapshot;
use super::databases::{is_synchronous, size};
use super::status_report::{Amount, Databases, Failover, Loss};
use crate::base::Diagnostic;
use crate::ops::database::postgresql::failover::{self, Assessment, FLAP, FailoverOptions};
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::node::Node;
use crate::ops::database::postgresql::view::strangers;

/// What would be lost.
pub fn expected(snapshot: &Snapshot<'_>, primary: Option<&str>, databases: &Databases) -> Loss {
    let loss = |amount, bytes, seconds, sentence: String| Loss {
        amount,
        bytes,
        seconds,
        sentence,
    };
    let Some(primary) = primary else {
        return without_primary(snapshot);
    };
    let Some(answer) = snapshot.cluster.node(primary).and_then(Node::answer) else {
        let sentence = format!("not known: {primary} could not be asked");
        return loss(Amount::Unknown, None, None, sentence);
    };
    if !answer.synchronous.is_empty()
        && let Some(sender) = answer.senders.iter().find(|sender| is_synchronous(sender))
    {
        let sentence = format!(
            "nothing that was acknowledged: commits wait for {}",
            sender.name
        );
        return loss(Amount::None, Some(0), Some(0.0), sentence);
    }
    let best = databases
        .members
        .iter()
        .filter(|member| member.host != primary)
        .filter_map(|member| Some((member, member.unflushed_bytes?)))
        .min_by_key(|(_, bytes)| *bytes);
    match best {
        Some((member, 0)) => loss(
            Amount::Some,
            Some(0),
            Some(0.0),
            format!(
                "nothing at this moment: {} has everything; it is asynchronous, so the last commits may be lost",
                member.host
            ),
        ),
        Some((member, bytes)) => {
            let age = snapshot.flush_delay(primary, &member.host);
            let since = age.map_or_else(String::new, |age| format!(", the last {age:.1} s"));
            let stream = if member.streaming {
                ""
            } else {
                ", and it does not stream"
            };
            let sentence = format!(
                "up to {}{since}: {} has not got them yet{stream}",
                size(bytes),
                member.host
            );
            loss(Amount::Some, Some(bytes), age, sentence)
        }
        None => {
            let sentence = match &snapshot.last().backup {
                Some(backup) => format!(
                    "everything since the last backup ({}): no replica has it",
                    super::past::moment(backup.ended)
                ),
                None => "everything: no replica has it, and no backup is known".to_owned(),
            };
            loss(Amount::SinceBackup, None, None, sentence)
        }
    }
}

/// The primary is gone, or there is more than one.
fn without_primary(snapshot: &Snapshot<'_>) -> Loss {
    let unknown = |sentence: String| Loss {
        sentence,
        ..Loss::default()
    };
    if snapshot.writers().len() > 1 {
        return unknown("what one of the two has taken, the other lacks".to_owned());
    }
    let Some((host, node)) = snapshot.cluster.most_advanced() else {
        return unknown("not known: no replica answers".to_owned());
    };
    if let Some((old, end)) = stopped(snapshot, host, node) {
        let has = node.has_log_to().unwrap_or_default();
        // The record of the shutdown begins where the log is said to end.
        let bytes = if has > end {
            0
        } else {
            end.ahead_of(has).max(1)
        };
        return Loss {
            amount: if bytes == 0 {
                Amount::None
            } else {
                Amount::Some
            },
            bytes: Some(bytes),
            seconds: None,
            sentence: if bytes == 0 {
                format!("nothing: {old} was stopped in order, and {host} has its last byte")
            } else {
                format!(
                    "{} that {old} wrote before it was stopped: {host} has the log up to {has}",
                    size(bytes)
                )
            },
        };
    }
    match assess(snapshot) {
        Ok(assessment) => Loss {
            amount: match assessment.loss.bytes {
                Some(0) => Amount::None,
                Some(_) => Amount::Some,
                None => Amount::Unknown,
            },
            bytes: assessment.loss.bytes,
            seconds: assessment.loss.seconds,
            sentence: assessment.loss.said,
        },
        Err(why) => unknown(format!("not known: {why}")),
    }
}

/// What `failover` would find, from what this look has seen.
fn assess(snapshot: &Snapshot<'_>) -> Result<Assessment, String> {
    let first = |errors: Vec<Diagnostic>| {
        errors.first().map_or_else(String::new, |error| {
            let note = error
                .notes
                .first()
                .map_or_else(String::new, |note| format!(" ({note})"));
            error.message.clone() + &note
        })
    };
    let old = failover::old_primary(&snapshot.cluster).map_err(|error| first(vec![error]))?;
    let outsiders = snapshot.outsiders(&old);
    failover::assess(
        snapshot.site,
        &snapshot.cluster,
        &old,
        &outsiders,
        None,
        &FailoverOptions::default(),
    )
    .map_err(first)
}

/// A server that was stopped in order, and where its log ends.
fn stopped<'a>(snapshot: &'a Snapshot<'_>, host: &str, node: &Node) -> Option<(&'a str, Lsn)> {
    snapshot
        .cluster
        .nodes()
        .filter(|(name, node)| *name != host && node.answer().is_none())
        .filter_map(|(name, node)| Some((name, node.control.as_ref()?)))
        .find(|(_, control)| {
            control.state == "shut down" && control.newest_timeline() >= node.timeline()
        })
        .map(|(name, control)| (name, control.checkpoint))
}

/// There is no primary: what `failover` would say.
fn without(snapshot: &Snapshot<'_>) -> Failover {
    if snapshot.running_operation().is_some() {
        return Failover {
            why_not: vec!["an operation is under way".to_owned()],
            ..Failover::default()
        };
    }
    let assessment = match assess(snapshot) {
        Ok(assessment) => assessment,
        Err(why) => {
            return Failover {
                why_not: vec![why],
                ..Failover::default()
            };
        }
    };
    let to = assessment.assignment.new.host.clone();
    let clean = without_primary(snapshot).amount == Amount::None;
    let (mut why_not, mut consent) = (Vec::new(), "");
    for condition in assessment.conditions.failed() {
        match condition.flag {
            Some("--allow-data-loss") if clean => {}
            Some("--allow-data-loss") => consent = " --allow-data-loss",
            Some(flag) => why_not.push(format!(
                "{}: {} ({flag} goes on without)",
                condition.what, condition.observed
            )),
            None => why_not.push(format!("{}: {}", condition.what, condition.observed)),
        }
    }
    let possible = why_not.is_empty();
    Failover {
        possible,
        // What was begun is taken up rather than overtaken.
        command: possible.then(|| {
            if snapshot.has_unfinished() {
                snapshot.way_on()
            } else {
                format!("hactl failover --promote {to}{consent}")
            }
        }),
        to: Some(to),
        why_not,
    }
}

/// Whether another one could take over, and what to type.
pub fn failover(snapshot: &Snapshot<'_>, primary: Option<&str>) -> Failover {
    let mut why_not = Vec::new();
    if snapshot.writers().len() > 1 {
        return Failover {
            why_not: vec!["more than one database takes writes".to_owned()],
            ..Failover::default()
        };
    }
    if primary.is_none() {
        return without(snapshot);
    }
    if let Some(error) = strangers(&snapshot.cluster) {
        why_not.push(error.message);
    }
    if snapshot.running_operation().is_some() {
        why_not.push("an operation is under way".to_owned());
    } else if snapshot.has_unfinished() {
        why_not.push("an operation is unfinished: hactl resume".to_owned());
    }
    if let Some(last) = snapshot
        .last()
        .change
        .filter(|last| last.kind == "failover")
        && snapshot.now.saturating_sub(last.ended) < FLAP
    {
        why_not.push(format!(
            "the last failover was {} ago: another one takes --again",
            super::past::ago(snapshot.now, last.ended)
        ));
    }
    let Some((host, node)) = candidate(snapshot, primary) else {
        why_not.insert(0, "no replica answers".to_owned());
        return Failover {
            why_not,
            ..Failover::default()
        };
    };
    if node.answer().is_some_and(|answer| answer.paused) {
        why_not.push(format!("replay is paused on {host}"));
    }
    if snapshot
        .host(host)
        .is_some_and(|seen| seen.maintenance.is_some())
    {
        why_not.push(format!("{host} is in maintenance"));
    }
    let timeline = primary.and_then(|primary| Some(snapshot.cluster.node(primary)?.timeline()));
    if timeline.is_some_and(|timeline| timeline != node.timeline()) {
        why_not.push(format!("{host} is on another timeline"));
    }
    let possible = why_not.is_empty();
    Failover {
        possible,
        to: Some(host.to_owned()),
        command: possible.then(|| format!("hactl switchover --to {host}")),
        why_not,
    }
}

/// The replica that has most, if possible none that is in maintenance or paused.
fn candidate<'a>(snapshot: &'a Snapshot<'_>, primary: Option<&str>) -> Option<(&'a str, &'a Node)> {
    let rank = |host: &str, node: &Node| {
        let paused = node.answer().is_some_and(|answer| answer.paused);
        let kept_out = snapshot
            .host(host)
            .is_some_and(|seen| seen.maintenance.is_some());
        (!paused && !kept_out, node.timeline(), node.has_log_to())
    };
    snapshot
        .cluster
        .standbys()
        .into_iter()
        .rev()
        .filter(|(host, _)| Some(*host) != primary)
        .max_by_key(|(host, node)| rank(host, node))
}
