//! The databases of a service as they were seen, and who is what among them. What was seen beats what the inventory says.

use super::lsn::Lsn;
use super::node::{Live, Node, PeerView};
use super::probe;
use crate::base::{Diagnostic, Result};
use crate::modules::Request;
use crate::ops::connection_pool::{Answer, ConnectionPool};
use crate::ops::hosts::Site;
use crate::ops::operation::journal::{End, OPERATION, Record, Token, seconds};
use std::collections::BTreeMap;

/// A database host and what was seen of it.
#[derive(Debug)]
pub struct Member {
    /// The inventory's name.
    pub host: String,
    /// Where the other hosts reach it.
    pub address: String,
    /// What it is, or why it could not be asked.
    pub seen: Result<Node>,
}

/// All database hosts of a service.
#[derive(Debug)]
pub struct Cluster {
    /// In the inventory's order.
    pub members: Vec<Member>,
}

impl Cluster {
    /// Looks at all of them: one round trip each.
    pub async fn look(site: &Site, pool: &mut ConnectionPool) -> Self {
        Self::look_with(site, pool, BTreeMap::new()).await.0
    }

    /// The same, and asks other hosts something else in the same round.
    pub async fn look_with(
        site: &Site,
        pool: &mut ConnectionPool,
        mut work: BTreeMap<String, Vec<Request>>,
    ) -> (Self, BTreeMap<String, Result<Answer>>) {
        work.extend(
            site.members("postgresql")
                .iter()
                .filter_map(|name| Some((name.clone(), probe::requests(site, site.host(name)?)))),
        );
        let mut answers = pool.round(work).await;
        let members = site
            .members("postgresql")
            .iter()
            .filter_map(|name| {
                let host = site.host(name)?;
                let seen = answers
                    .remove(name)?
                    .and_then(|answer| probe::node(site, host, &answer.replies));
                Some(Member {
                    host: name.clone(),
                    address: probe::address(site, name),
                    seen,
                })
            })
            .collect();
        (Self { members }, answers)
    }

    /// All hosts' names, for a message.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self
            .members
            .iter()
            .map(|member| member.host.as_str())
            .collect();
        names.join(", ")
    }

    /// The hosts that could be asked.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.members
            .iter()
            .filter_map(|member| Some((member.host.as_str(), member.seen.as_ref().ok()?)))
    }

    /// A host that could be asked.
    pub fn node(&self, host: &str) -> Option<&Node> {
        self.nodes()
            .find(|(name, _)| *name == host)
            .map(|(_, node)| node)
    }

    /// A host, asked or not.
    pub fn member(&self, host: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.host == host)
    }

    /// The hosts that take writes, by their own word.
    pub fn primaries(&self) -> Vec<(&str, &Node)> {
        self.nodes().filter(|(_, node)| node.is_primary()).collect()
    }

    /// The hosts that answer and are in recovery.
    pub fn standbys(&self) -> Vec<(&str, &Node)> {
        self.nodes().filter(|(_, node)| node.is_standby()).collect()
    }

    /// What the other databases see of a host.
    pub fn views_of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = (&'a str, &'a PeerView)> {
        self.nodes()
            .filter_map(move |(name, node)| Some((name, node.peers.get(host)?)))
    }

    /// The highest epoch that any host has, with its operation and whether that has ended; none before the first operation.
    pub fn newest_token(&self) -> Option<&(Token, bool)> {
        let tokens = self.nodes().filter_map(|(_, node)| node.token.as_ref());
        // Of hosts with the same one, the host that knows the end.
        tokens.max_by_key(|(token, ended)| (token.epoch, *ended))
    }

    /// The epoch of an operation that begins now.
    pub fn next_epoch(&self) -> u64 {
        1 + self.newest_token().map_or(0, |(token, _)| token.epoch)
    }

    /// The journals that hosts still keep as unfinished although their operation is over: it ended on another host, or a
    /// newer one was begun since. Each with its host, and as it is to be in the history there.
    pub fn stale_journals(&self) -> Vec<(String, Record)> {
        let history = self.history();
        let newest = self.newest_token();
        let mut stale = Vec::new();
        for (host, node) in self.nodes() {
            for (file, record) in &node.journal {
                let (true, Ok(record)) = (file == OPERATION, record) else {
                    continue;
                };
                let header = &record.header;
                let over = |message: String, result: &str| Record {
                    end: Some(End {
                        result: result.to_owned(),
                        ended: seconds(),
                        message,
                    }),
                    ..record.clone()
                };
                if let Some(ended) = history.iter().find(|known| known.header.id == header.id) {
                    stale.push((host.to_owned(), ended.clone()));
                } else if let Some((token, ended)) = newest {
                    if token.id == header.id && *ended {
                        let message = "its end is known from another host".to_owned();
                        stale.push((host.to_owned(), over(message, "ended")));
                    } else if token.id != header.id
                        && header.epoch > 0
                        && header.epoch < token.epoch
                    {
                        let message = format!("{} came after it", token.id);
                        stale.push((host.to_owned(), over(message, "overtaken")));
                    }
                }
            }
        }
        stale
    }

    /// The unfinished operation, when any host knows of one; the one that came furthest. One that is over for others is not:
    /// see [`Self::stale_journals`].
    pub fn unfinished(&self) -> Option<Record> {
        let over: Vec<String> = self
            .stale_journals()
            .into_iter()
            .map(|(_, record)| record.header.id)
            .collect();
        self.nodes()
            .flat_map(|(_, node)| &node.journal)
            .filter(|(file, _)| file == OPERATION)
            .filter_map(|(_, record)| record.as_ref().ok())
            .filter(|record| !over.contains(&record.header.id))
            .max_by_key(|record| {
                (
                    record.header.epoch,
                    record.header.started,
                    record.steps.len(),
                )
            })
            .cloned()
    }

    /// All ended operations that any host knows of, oldest first.
    pub fn history(&self) -> Vec<Record> {
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        for (_, node) in self.nodes() {
            for (file, record) in &node.journal {
                if let (Ok(record), true) = (record, file != OPERATION) {
                    records.insert(record.header.id.clone(), record.clone());
                }
            }
        }
        records.into_values().collect()
    }

    /// The host that a standby is told to follow.
    pub fn followed_by(&self, node: &Node) -> Option<&str> {
        let conninfo = &node.answer()?.conninfo;
        let wanted = conninfo
            .split_whitespace()
            .find_map(|part| part.strip_prefix("host="))?
            .trim_matches('\'');
        self.members
            .iter()
            .find(|member| member.address == wanted || member.host == wanted)
            .map(|member| member.host.as_str())
    }

    /// The standby that has most of the log: the newest timeline first, then the furthest position, then the inventory's order.
    pub fn most_advanced(&self) -> Option<(&str, &Node)> {
        let rank = |node: &Node| (node.timeline(), node.has_log_to().unwrap_or(Lsn(0)));
        self.standbys()
            .into_iter()
            .rev()
            .max_by_key(|(_, node)| rank(node))
    }
}

impl Member {
    /// Its role in one word, as observed.
    pub fn role(&self) -> &'static str {
        match &self.seen {
            Err(_) => "unreachable",
            Ok(node) => match &node.live {
                Live::Answers(answer) if answer.in_recovery => "replica",
                Live::Answers(_) => "primary",
                Live::Silent => "frozen",
                Live::Down(_) if node.is_fenced() => "fenced",
                Live::Down(_) => "down",
                Live::None => "empty",
            },
        }
    }
}

/// Two hosts of different clusters, for refusing to mix them.
pub fn strangers(cluster: &Cluster) -> Option<Diagnostic> {
    let mut known: Option<(&str, &str)> = None;
    for (host, node) in cluster.nodes() {
        let Some(system) = node.system() else {
            continue;
        };
        match known {
            None => known = Some((host, system)),
            Some((other, first)) if first != system => {
                return Some(Diagnostic::refused(format!(
                    "{other} and {host} hold different clusters (system identifiers {first} and {system})"
                ))
                .help(
                    "one of them was made anew: find out whose data is the right one before anything is started or promoted; the other host gets a copy of it by: hactl rejoin HOST --clone (its directory is kept)",
                ));
            }
            Some(_) => {}
        }
    }
    None
}
