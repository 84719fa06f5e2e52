//! Who takes writes, and what it means when that is nobody, somebody unasked, or more than one.
//!
//! A host that could not be asked is never called dead while somebody sees it alive.

use crate::ops::database::postgresql::node::{Node, PeerView};
use crate::ops::database::postgresql::view::Member;
use crate::ops::database::postgresql::{failover, failure_detection};
use crate::ops::status::status_report::{Severity, StatusFinding};
use crate::ops::status::{Snapshot, loss};

/// Who takes writes, and who says so.
pub struct Writer<'a> {
    /// The host.
    pub host: &'a str,
    /// The hosts that see it, when it does not say so itself.
    pub seen_by: Vec<&'a str>,
}

impl Snapshot<'_> {
    /// The hosts that take writes: by their own word, or, when they cannot be asked, as their peers see them.
    pub(in crate::ops::status) fn writers(&self) -> Vec<Writer<'_>> {
        self.cluster
            .members
            .iter()
            .filter_map(|member| {
                let host = member.host.as_str();
                match &member.seen {
                    Ok(node) => node.is_primary().then(|| Writer {
                        host,
                        seen_by: Vec::new(),
                    }),
                    Err(_) => {
                        let seen_by: Vec<&str> = self
                            .cluster
                            .views_of(host)
                            .filter(|(_, view)| {
                                matches!(
                                    view,
                                    PeerView::Answers {
                                        in_recovery: false,
                                        ..
                                    }
                                )
                            })
                            .map(|(from, _)| from)
                            .collect();
                        (!seen_by.is_empty()).then_some(Writer { host, seen_by })
                    }
                }
            })
            .collect()
    }

    pub(super) fn judge_writers(&self, writers: &[Writer<'_>], findings: &mut Vec<StatusFinding>) {
        match writers {
            [] => self.no_writer(findings),
            [one] if one.seen_by.is_empty() => {}
            [one] => findings.push(StatusFinding::new(
                Severity::Unknown,
                format!(
                    "{} takes writes as {} sees it, and could not be asked itself",
                    one.host,
                    one.seen_by.join(" and ")
                ),
                format!(
                    "fix the network from here to {}; do not fail over: it is alive",
                    one.host
                ),
            )),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|writer| match self.cluster.node(writer.host) {
                        Some(node) => format!(
                            "{} (timeline {}, at {})",
                            writer.host,
                            node.timeline(),
                            node.answer()
                                .and_then(|answer| answer.written)
                                .unwrap_or_default()
                        ),
                        None => {
                            format!("{} (as {} sees it)", writer.host, writer.seen_by.join(", "))
                        }
                    })
                    .collect();
                findings.push(StatusFinding::new(
                    Severity::SplitBrain,
                    format!("{} take writes", names.join(" and ")),
                    self.replaced().unwrap_or_else(|| "decide whose data stays; stop the other one now (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it".to_owned()),
                ));
            }
        }
    }

    /// What to do about a primary that takes writes although the last operation replaced it: it came back behind its back.
    fn replaced(&self) -> Option<String> {
        let last = self
            .cluster
            .history()
            .into_iter()
            .filter(|record| matches!(&*record.header.kind, "failover" | "switchover"))
            .filter(|record| record.end.as_ref().is_some_and(|end| end.result == "done"))
            .max_by_key(|record| (record.header.epoch, record.header.started))?;
        let host = |key: &str| last.header.details.get(key).cloned();
        let (old, new) = (host("old")?, host("new")?);
        let writes = |host: &str| self.cluster.node(host).is_some_and(Node::is_primary);
        (writes(&old) && writes(&new)).then(|| {
            format!("hactl rejoin {old} stops it and takes it back ({new} was promoted over it by the last {}); what only {old} has is kept", last.header.kind)
        })
    }

    /// Nobody says that it takes writes, and nobody is seen to.
    fn no_writer(&self, findings: &mut Vec<StatusFinding>) {
        // Whoever still hears from a host that cannot be asked proves it alive.
        if let Some((host, proof)) = self.alive_unasked() {
            findings.push(StatusFinding::new(
                Severity::Unknown,
                format!("{host} could not be asked, and it is alive ({proof})"),
                format!("fix the network from here to {host}; do not fail over"),
            ));
            return;
        }
        if self.cluster.nodes().next().is_none() && !self.applications_fail() {
            findings.push(StatusFinding::new(
                Severity::Unknown,
                "it cannot be seen who takes writes: no database host could be asked",
                "fix the network from here to the databases and retry",
            ));
            return;
        }
        let states: Vec<String> = self
            .cluster
            .members
            .iter()
            .map(|member| format!("{} is {}", member.host, word(member)))
            .collect();
        let failover = loss::failover(self, None);
        let remedy = match (&failover.command, self.running_operation()) {
            (_, Some(_)) => "an operation is under way: wait for its end".to_owned(),
            _ if self.has_unfinished() => self.way_on(),
            (Some(command), None) => command.clone(),
            (None, None) => format!(
                "a failover would be refused: {}",
                failover.why_not.join("; ")
            ),
        };
        findings.push(StatusFinding::new(
            Severity::Down,
            format!("no primary takes writes ({})", states.join(", ")),
            remedy,
        ));
    }

    /// The host that was the primary, when it cannot be asked and others see that it lives.
    fn alive_unasked(&self) -> Option<(String, String)> {
        let old = failover::old_primary(&self.cluster).ok()?;
        let unasked = self
            .cluster
            .member(&old)
            .is_some_and(|member| member.seen.is_err());
        let proof = failure_detection::judge(&self.cluster, &old, &self.outsiders(&old));
        (unasked && proof.verdict == failure_detection::FailureVerdict::Alive)
            .then(|| (old, proof.to_string()))
    }

    /// What hosts that are no databases see of a database's port.
    pub(in crate::ops::status) fn outsiders(&self, database: &str) -> Vec<(String, PeerView)> {
        self.answered()
            .filter_map(|(from, seen)| {
                Some((from.to_owned(), seen.databases.get(database)?.clone()))
            })
            .collect()
    }

    /// At least one application server answers, and none of those has a database.
    fn applications_fail(&self) -> bool {
        let mut any = false;
        for health in self
            .answered()
            .filter_map(|(_, seen)| seen.health.as_ref()?.as_ref().ok())
        {
            if health.status == 200 {
                return false;
            }
            any = true;
        }
        any
    }
}

fn word(member: &Member) -> &str {
    match member.role() {
        "replica" => "a replica",
        "empty" => "without a cluster",
        other => other,
    }
}
