//! Who blocks a host, who may, and how that is lifted: a host that is a member again must be reached by all.
//!
//! A block outlives what it was made for when its host, or the one that has it, was away at that moment. Pure but for one
//! question; never lifts a block of a host that could be a second primary.

use super::block::unblock;
use super::view::Cluster;
use crate::base::quote::sh;
use crate::base::{Diagnostic, exit};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::Site;
use crate::ops::operation::Step;
use crate::ops::operation::journal::{Record, StepState};

/// What the hosts of a service say of one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    /// The hosts that block it.
    pub by: Vec<String>,
    /// The hosts that could not be asked.
    pub unasked: Vec<String>,
}

impl Blocks {
    /// Asks every host but itself: one round.
    pub async fn look(site: &Site, pool: &mut ConnectionPool, host: &str) -> Self {
        let ask = format!("[ -e {} ]", sh(&format!("/var/lib/hactl/blocked/{host}")));
        let work = site
            .hosts
            .iter()
            .map(|known| (known.name.clone(), vec![Request::sh(ask.clone())]))
            .collect();
        let answers = pool.round(work).await;
        let mut blocks = Self::default();
        for name in site.hosts.iter().map(|known| &known.name) {
            match answers.get(name) {
                Some(Ok(answer)) if answer.replies[0].code == 0 => blocks.by.push(name.clone()),
                Some(Ok(_)) => {}
                _ if name == host => {}
                _ => blocks.unasked.push(name.clone()),
            }
        }
        blocks
    }

    /// What is left when all that could be asked have lifted theirs: a host that was told to block this one in a failover, has
    /// not been told to stop, and could not be asked. With the way on; exit code 4.
    pub fn left(&self, cluster: &Cluster, host: &str) -> Option<Diagnostic> {
        let mut records = cluster.history();
        records.extend(cluster.unfinished());
        let left: Vec<&str> = self
            .unasked
            .iter()
            .map(String::as_str)
            .filter(|other| may_block(&records, other, host))
            .collect();
        if left.is_empty() {
            return None;
        }
        let names = left.join(", ");
        Some(
            Diagnostic::with_code(
                exit::INCOMPLETE,
                format!("{names} could not be asked and may still block {host}: what it sends to {host} would be lost"),
            )
            .on(host)
            .help(format!(
                "keep {names} out of service until it can be asked (hactl status says when); then: hactl rejoin {host}"
            )),
        )
    }
}

/// Whether a host was told to block another one and, as far as these records go, not to stop.
fn may_block(records: &[Record], who: &str, whom: &str) -> bool {
    let (block, unblock) = (format!("block-{who}"), format!("unblock-{who}"));
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by_key(|record| record.header.started);
    let mut blocks = false;
    for record in records {
        let is = |key: &str, value: &str| {
            record.header.details.get(key).map(String::as_str) == Some(value)
        };
        if is("old", whom) && record.state(&block).is_some() {
            blocks = record.state(&block) != Some(StepState::Undone);
        }
        if is("host", whom) && record.state(&unblock) == Some(StepState::Done) {
            blocks = false;
        }
    }
    blocks
}

/// The steps that lift the blocks of a host, one for each that has one.
pub fn lift<'a>(by: impl IntoIterator<Item = &'a str>, host: &str, address: &str) -> Vec<Step> {
    by.into_iter()
        .map(|name| Step {
            tail: true,
            limit: 30,
            ..Step::each(
                "unblock",
                name,
                format!("no longer block {host}"),
                unblock(host, address),
            )
        })
        .collect()
}

/// Whether a host is the only primary: its blocks are lifted although it follows nobody.
pub fn is_the_primary(cluster: &Cluster, host: &str) -> bool {
    matches!(cluster.primaries().as_slice(), [(primary, node)] if *primary == host && !node.is_fenced())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::database::postgresql::node::Node;
    use crate::ops::database::postgresql::view::Member;
    use crate::ops::operation::journal::{End, Header, StepLine};

    fn record(
        started: u64,
        kind: &str,
        detail: (&str, &str),
        steps: &[(&str, StepState)],
    ) -> Record {
        Record {
            header: Header {
                id: format!("{started}-{kind}"),
                started,
                details: [(detail.0.to_owned(), detail.1.to_owned())].into(),
                ..Header::new(kind, "ann", "")
            },
            steps: steps
                .iter()
                .map(|(step, state)| StepLine {
                    step: (*step).to_owned(),
                    state: *state,
                    at: started,
                    notes: std::collections::BTreeMap::new(),
                })
                .collect(),
            end: Some(End {
                result: "done".to_owned(),
                ended: started,
                message: String::new(),
            }),
        }
    }

    #[test]
    fn who_was_told_to_block_and_not_to_stop_may_still() {
        let failover = |at, state| record(at, "failover", ("old", "db1"), &[("block-app1", state)]);
        let rejoin = |at| {
            record(
                at,
                "rejoin",
                ("host", "db1"),
                &[("unblock-app1", StepState::Done)],
            )
        };
        let without = |at| record(at, "rejoin", ("host", "db1"), &[("start", StepState::Done)]);
        let cases: &[(&[Record], bool)] = &[
            (&[], false),
            (&[failover(1, StepState::Done)], true),
            (&[failover(1, StepState::Begun)], true),
            (&[failover(1, StepState::Undone)], false),
            (&[failover(1, StepState::Done), without(2)], true),
            (&[failover(1, StepState::Done), rejoin(2)], false),
            (&[failover(3, StepState::Done), rejoin(2)], true),
        ];
        for (records, expected) in cases {
            assert_eq!(may_block(records, "app1", "db1"), *expected, "{records:?}");
            assert!(!may_block(records, "app2", "db1"));
            assert!(!may_block(records, "app1", "db2"));
        }
    }

    #[test]
    fn a_host_that_could_not_be_asked_is_named_with_the_way_on() {
        let failover = record(
            1,
            "failover",
            ("old", "db1"),
            &[("block-app1", StepState::Done)],
        );
        let cluster = Cluster {
            members: vec![Member {
                host: "db2".to_owned(),
                address: "192.0.2.32".to_owned(),
                seen: Ok(Node {
                    journal: vec![("history".to_owned(), Ok(failover))],
                    ..Node::default()
                }),
            }],
        };
        let blocks = Blocks {
            by: vec!["lb1".to_owned()],
            unasked: vec!["app1".to_owned(), "app2".to_owned()],
        };
        let left = blocks.left(&cluster, "db1").expect("app1 may");
        assert_eq!(left.code, exit::INCOMPLETE);
        assert!(
            left.message.starts_with("app1 could not be asked"),
            "{left}"
        );
        assert!(left.help.expect("a way on").contains("hactl rejoin db1"));
        let asked = Blocks {
            unasked: vec!["app2".to_owned()],
            ..blocks
        };
        assert_eq!(asked.left(&cluster, "db1"), None);
    }
}
