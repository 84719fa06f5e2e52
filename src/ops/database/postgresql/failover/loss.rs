//! What a failover may lose: known when the old primary's log can be read, else said as far as it can be.
//!
//! What is not known is never called nothing. How commits waited is known only from what was observed in force on the old
//! primary: the settings of the standby, and what the inventory declares, are not evidence.

use crate::base::value::to_bool;
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::node::Node;
use crate::ops::database::postgresql::observation::{Observation, Question, proves_no_loss};
use crate::ops::database::postgresql::view::Cluster;
use crate::ops::hosts::Site;

/// What may be lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Bytes of log; none when it cannot be known.
    pub bytes: Option<u64>,
    /// Seconds between the last word of the old primary and now.
    pub seconds: Option<f64>,
    /// In words.
    pub said: String,
}

/// Weighs it.
pub fn estimate(
    site: &Site,
    cluster: &Cluster,
    assignment: &Assignment,
    log_end: Option<Lsn>,
) -> Loss {
    let (old, new) = (&assignment.old.host, &assignment.new.host);
    let node = cluster.node(new);
    let has = node.and_then(Node::has_log_to).unwrap_or_default();
    let answer = node.and_then(Node::answer);
    let seconds = answer.and_then(|answer| answer.receiver.as_ref()?.silent);
    if let Some(end) = log_end {
        let bytes = end.ahead_of(has);
        return Loss {
            bytes: Some(bytes),
            seconds,
            said: if bytes == 0 {
                format!("{new} has all that {old} wrote (up to {end})")
            } else {
                format!(
                    "{old} wrote up to {end}, {new} has the log up to {has}: {bytes} bytes would be lost"
                )
            },
        };
    }
    let declared = site.host(new).is_some_and(|host| {
        host.variables
            .get("postgresql_synchronous")
            .is_some_and(|value| to_bool(value).unwrap_or(false))
    });
    let compared: Vec<&str> = std::iter::once(new.as_str())
        .chain(assignment.others.iter().map(|other| other.host.as_str()))
        .collect();
    let observed = node.and_then(|node| node.observed.as_ref());
    let question = Question {
        address: &assignment.old.address,
        system: node.and_then(Node::system).unwrap_or_default(),
        timeline: node.map_or(0, Node::timeline),
        has,
        silent: seconds,
        compared: &compared,
    };
    let proof = proves_no_loss(observed, &question);
    let words = observed.map(Observation::words);
    let words = words.map_or_else(String::new, |words| format!(" ({words})"));
    if declared && proof.is_ok() {
        return Loss {
            bytes: Some(0),
            seconds,
            said: format!(
                "commits on {old} waited for {new}{words}, so it has every acknowledged one, but for those whose wait was cancelled; its log goes to {has}"
            ),
        };
    }
    let mode = match proof {
        Err(why) if declared => format!(
            ". postgresql_synchronous is declared, but that every acknowledged commit waited for {new} is not known: {why}{words}"
        ),
        _ => String::new(),
    };
    let told = answer.and_then(|answer| answer.receiver.as_ref()?.primary_end);
    let least = told.map_or(0, |told| told.ahead_of(has));
    let since = seconds.map_or_else(
        || "for an unknown time".to_owned(),
        |seconds| format!("{seconds:.1} s ago"),
    );
    Loss {
        bytes: None,
        seconds,
        said: format!(
            "{old} cannot be asked. {new} has the log up to {has}; {least} bytes are known to be missing, and what {old} acknowledged after its last word ({since}) would be lost too{mode}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::database::postgresql::failover::{FailoverOptions, assess};
    use crate::ops::database::postgresql::observation::Said;
    use crate::ops::database::postgresql::tests::{at, gone, pair, said, site};

    /// db1 is without power and cannot be asked; what db2 observed of it decides whether a consent is needed.
    #[test]
    fn what_is_declared_and_set_on_the_replica_is_no_evidence() {
        let names = "ANY 1 (\"db2\")";
        let observed = |names: &str| Observation {
            address: "192.0.2.31".to_owned(),
            said: Said {
                system: "7".to_owned(),
                timeline: 3,
                names: names.to_owned(),
                commit: "on".to_owned(),
                ..Said::default()
            },
            since: Some(Lsn(900)),
            age: 5.5,
            tried: Some(1.0),
            ..Observation::default()
        };
        for (declared, own, seen, free, says) in [
            (
                true,
                names,
                Some(observed(names)),
                true,
                "commits on db1 waited for db2 (last observed",
            ),
            (true, "", Some(observed(names)), true, "waited for db2"),
            (
                true,
                names,
                Some(observed("")),
                false,
                "commits did not wait for db2 (last observed",
            ),
            (true, names, None, false, "was never observed"),
            (
                false,
                names,
                Some(observed(names)),
                false,
                "cannot be asked",
            ),
        ] {
            let mut site = site();
            for host in &mut site.hosts {
                let value = serde_json::json!(declared);
                host.variables
                    .insert("postgresql_synchronous".into(), value);
            }
            let mut cluster = pair();
            gone(&mut cluster, "db1");
            said(&mut cluster, "db2").synchronous = own.to_owned();
            let found = seen.clone();
            at(&mut cluster, "db2").observed = found;
            let assessment = assess(
                &site,
                &cluster,
                "db1",
                &[],
                None,
                &FailoverOptions::default(),
            )
            .expect("assessed");
            let loss = &assessment.loss;
            assert_eq!(
                loss.bytes,
                free.then_some(0),
                "{declared} {own} {seen:?}: {}",
                loss.said
            );
            assert!(loss.said.contains(says), "{}", loss.said);
            let mut failed = assessment.conditions.failed().into_iter();
            assert_eq!(failed.any(|condition| condition.id == "data-loss"), !free);
        }
    }
}
