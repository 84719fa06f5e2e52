//! What would be lost, were the primary to die now, and whether another database could take over. An estimate for people:
//! `failover` looks again by itself.

use super::Scene;
use super::board::{Amount, Databases, Failover, Loss};
use super::databases::{is_synchronous, last_told, size};
use crate::ops::cluster::lsn::Lsn;
use crate::ops::cluster::node::Node;
use crate::ops::cluster::view::strangers;

/// A second failover within so many seconds has to be asked for twice.
const FLAP: u64 = 3600;

/// What would be lost.
pub fn expected(scene: &Scene<'_>, primary: Option<&str>, databases: &Databases) -> Loss {
    let loss = |amount, bytes, seconds, sentence: String| Loss { amount, bytes, seconds, sentence };
    let Some(primary) = primary else {
        return without_primary(scene);
    };
    let Some(answer) = scene.cluster.node(primary).and_then(Node::answer) else {
        let sentence = format!("not known: {primary} could not be asked");
        return loss(Amount::Unknown, None, None, sentence);
    };
    if !answer.synchronous.is_empty()
        && let Some(sender) = answer.senders.iter().find(|sender| is_synchronous(sender))
    {
        let sentence = format!("nothing that was acknowledged: commits wait for {}", sender.name);
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
            format!("nothing at this moment: {} has everything; it is asynchronous, so the last commits may be lost", member.host),
        ),
        Some((member, bytes)) => {
            let age = member.lag_seconds;
            let since = age.map_or_else(String::new, |age| format!(", the last {age:.1} s"));
            let stream = if member.streaming { "" } else { ", and it does not stream" };
            let sentence = format!("up to {}{since}: {} has not got them yet{stream}", size(bytes), member.host);
            loss(Amount::Some, Some(bytes), age, sentence)
        }
        None => {
            let sentence = match &scene.last().backup {
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
fn without_primary(scene: &Scene<'_>) -> Loss {
    let unknown = |sentence: String| Loss {
        sentence,
        ..Loss::default()
    };
    if scene.writers().len() > 1 {
        return unknown("what one of the two has taken, the other lacks".to_owned());
    }
    let Some((host, node)) = scene.cluster.most_advanced() else {
        return unknown("not known: no replica answers".to_owned());
    };
    let has = node.has_log_to().unwrap_or_default();
    // A server that was stopped in order says where its log ends; the shutdown record begins there.
    let stopped = scene
        .cluster
        .nodes()
        .filter(|(name, _)| *name != host)
        .filter_map(|(name, node)| Some((name, node.control.as_ref()?)))
        .find(|(_, control)| control.state == "shut down" && control.newest_timeline() >= node.timeline());
    if let Some((old, control)) = stopped {
        if has > control.checkpoint {
            return Loss {
                amount: Amount::None,
                bytes: Some(0),
                seconds: Some(0.0),
                sentence: format!("nothing: {old} was stopped in order, and {host} has its last byte"),
            };
        }
        let bytes = control.checkpoint.ahead_of(has);
        return Loss {
            amount: Amount::Some,
            bytes: Some(bytes),
            seconds: None,
            sentence: format!("{} that {old} wrote before it stopped: {host} has the log up to {has}", size(bytes)),
        };
    }
    let told: Option<Lsn> = last_told(node);
    match told.map(|told| told.ahead_of(has)) {
        Some(bytes) if bytes > 0 => Loss {
            amount: Amount::Unknown,
            bytes: Some(bytes),
            seconds: None,
            sentence: format!("at least {}: {host} has the log up to {has}, and was told of more", size(bytes)),
        },
        _ => unknown(format!("what came after {has}, the last that {host} has received")),
    }
}

/// Whether another one could take over, and what to type.
pub fn failover(scene: &Scene<'_>, primary: Option<&str>) -> Failover {
    let mut why_not = Vec::new();
    if scene.writers().len() > 1 {
        return Failover {
            why_not: vec!["more than one database takes writes".to_owned()],
            ..Failover::default()
        };
    }
    if let Some(error) = strangers(&scene.cluster) {
        why_not.push(error.message);
    }
    if scene.running_operation().is_some() {
        why_not.push("an operation is under way".to_owned());
    } else if scene.has_unfinished() {
        why_not.push("an operation is unfinished: hactl resume".to_owned());
    }
    if let Some(last) = scene.last().change.filter(|last| last.kind == "failover")
        && scene.now.saturating_sub(last.ended) < FLAP
    {
        why_not.push(format!("the last one was {} ago: it takes --again", super::past::ago(scene.now, last.ended)));
    }
    let Some((host, node)) = candidate(scene, primary) else {
        why_not.insert(0, "no replica answers".to_owned());
        return Failover {
            why_not,
            ..Failover::default()
        };
    };
    if node.answer().is_some_and(|answer| answer.paused) {
        why_not.push(format!("replay is paused on {host}"));
    }
    if scene.host(host).is_some_and(|seen| seen.maintenance.is_some()) {
        why_not.push(format!("{host} is in maintenance"));
    }
    let timeline = primary.and_then(|primary| Some(scene.cluster.node(primary)?.timeline()));
    if timeline.is_some_and(|timeline| timeline != node.timeline()) {
        why_not.push(format!("{host} is on another timeline"));
    }
    let possible = why_not.is_empty();
    Failover {
        possible,
        to: Some(host.to_owned()),
        command: possible.then(|| match primary {
            Some(_) => format!("hactl switchover --to {host}"),
            None => format!("hactl failover --promote {host}"),
        }),
        why_not,
    }
}

/// The replica that has most, if possible none that is in maintenance or paused.
fn candidate<'a>(scene: &'a Scene<'_>, primary: Option<&str>) -> Option<(&'a str, &'a Node)> {
    let rank = |host: &str, node: &Node| {
        let paused = node.answer().is_some_and(|answer| answer.paused);
        let kept_out = scene.host(host).is_some_and(|seen| seen.maintenance.is_some());
        (!paused && !kept_out, node.timeline(), node.has_log_to())
    };
    scene
        .cluster
        .standbys()
        .into_iter()
        .rev()
        .filter(|(host, _)| Some(*host) != primary)
        .max_by_key(|(host, node)| rank(host, node))
}
