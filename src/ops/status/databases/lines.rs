//! A database host in one line: what it says of itself, else what its peers see.
//!
//! It tells and does not judge: nothing here is a finding.

use super::writers::Writer;
use crate::ops::database::postgresql::node::{Answer, Live, Node, PeerView, Sender};
use crate::ops::database::postgresql::view::Member;
use crate::ops::status::status_report::Database;
use crate::ops::status::{Snapshot, past, reason};

impl Snapshot<'_> {
    /// A host in one line.
    pub(super) fn line(
        &self,
        member: &Member,
        primary: Option<&str>,
        writers: &[Writer<'_>],
    ) -> Database {
        let host = member.host.as_str();
        let mut line = Database {
            host: host.to_owned(),
            ..Database::default()
        };
        let writer = writers.iter().find(|writer| writer.host == host);
        let node = match &member.seen {
            Ok(node) => node,
            Err(error) => {
                line.role = if writer.is_some() {
                    "primary"
                } else {
                    "unknown"
                }
                .to_owned();
                line.seen_by = writer.map_or_else(Vec::new, |writer| {
                    writer.seen_by.iter().map(|by| (*by).to_owned()).collect()
                });
                let views: Vec<String> = self
                    .cluster
                    .views_of(host)
                    .map(|(from, view)| format!("{from} sees {}", view_word(view)))
                    .collect();
                // Why it could not be asked is among the findings.
                line.note = if views.is_empty() {
                    reason(error)
                } else {
                    views.join("; ")
                };
                if let Some(sender) = self.sender(primary, member) {
                    line.streaming = sender.state == "streaming";
                    lag(&mut line, sender, None);
                }
                return line;
            }
        };
        member.role().clone_into(&mut line.role);
        line.timeline = Some(node.timeline()).filter(|timeline| *timeline > 0);
        match &node.live {
            Live::Answers(answer) if !answer.in_recovery => {
                line.position = answer.written.map(|lsn| lsn.to_string());
                line.note = format!("{} clients", answer.clients);
            }
            Live::Answers(answer) => {
                line.position = node.has_log_to().map(|lsn| lsn.to_string());
                line.follows = self.cluster.followed_by(node).map(str::to_owned);
                line.paused = answer.paused;
                self.replica_line(&mut line, member, node, answer, primary);
            }
            Live::Silent => line.note = "it takes connections and does not answer".to_owned(),
            Live::Down(said) => {
                line.position = node
                    .control
                    .as_ref()
                    .map(|control| control.checkpoint.max(control.least).to_string());
                line.note = match &node.fenced {
                    Some(note) => past::mark_text(note),
                    None => said.clone(),
                };
            }
            Live::None => line.note = "there is no cluster on it".to_owned(),
        }
        line
    }

    fn replica_line(
        &self,
        line: &mut Database,
        member: &Member,
        node: &Node,
        answer: &Answer,
        primary: Option<&str>,
    ) {
        let receives = answer
            .receiver
            .as_ref()
            .is_some_and(|receiver| receiver.status == "streaming");
        let sender = self.sender(primary, member);
        match sender {
            Some(sender) => {
                line.streaming = sender.state == "streaming" && receives;
                lag(line, sender, answer.replay_delay);
            }
            None => {
                let written =
                    primary.and_then(|primary| self.cluster.node(primary)?.answer()?.written);
                line.lag_bytes =
                    written.map(|written| written.ahead_of(answer.replayed.unwrap_or_default()));
                line.unflushed_bytes =
                    written.map(|written| written.ahead_of(node.has_log_to().unwrap_or_default()));
                // The primary could not be asked: the replica's own word has to do. Of a dead one it may not know yet.
                line.streaming =
                    receives && primary.is_some_and(|primary| self.cluster.node(primary).is_none());
                line.lag_seconds = answer.replay_delay;
            }
        }
        let mut notes = Vec::new();
        if line.streaming {
            notes.push(format!(
                "streams from {}",
                line.follows.as_deref().unwrap_or("an unknown host")
            ));
        } else if primary.is_none() {
            let silent = answer
                .receiver
                .as_ref()
                .and_then(|receiver| receiver.silent);
            let silent = silent.map_or_else(String::new, |silent| {
                format!(", last heard of {silent:.0} s ago")
            });
            notes.push(format!(
                "set to follow {}{silent}",
                line.follows.as_deref().unwrap_or("nobody")
            ));
        } else if let Some(sender) = sender {
            notes.push(format!(
                "{} from {}",
                sender.state,
                line.follows.as_deref().unwrap_or("an unknown host")
            ));
        } else {
            notes.push(format!(
                "does not stream (set to follow {})",
                line.follows.as_deref().unwrap_or("nobody")
            ));
        }
        notes.extend(line.sync_state.clone());
        if line.paused {
            notes.push("replay paused".to_owned());
        }
        line.note = notes.join(", ");
    }

    /// What the primary says of the connection of a replica.
    pub(in crate::ops::status) fn sender(
        &self,
        primary: Option<&str>,
        member: &Member,
    ) -> Option<&Sender> {
        let answer = self.cluster.node(primary?)?.answer()?;
        answer.senders.iter().find(|sender| {
            sender.name == member.host || sender.address.as_deref() == Some(&member.address)
        })
    }

    /// How old the oldest byte is that a replica has not on its disk, as the primary says.
    pub(in crate::ops::status) fn flush_delay(&self, primary: &str, replica: &str) -> Option<f64> {
        self.sender(Some(primary), self.cluster.member(replica)?)?
            .flush_delay
    }
}

fn lag(line: &mut Database, sender: &Sender, delay: Option<f64>) {
    let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    line.lag_bytes = bytes(sender.behind);
    line.unflushed_bytes = bytes(sender.unflushed);
    line.sync_state = Some(sender.sync_state.clone());
    // A replica that has everything is not behind, however long ago the last commit was.
    line.lag_seconds = if line.lag_bytes == Some(0) {
        Some(0.0)
    } else {
        sender.delay.or(delay)
    };
}

fn view_word(view: &PeerView) -> String {
    match view {
        PeerView::Answers {
            in_recovery: false, ..
        } => "a primary".to_owned(),
        PeerView::Answers {
            in_recovery: true, ..
        } => "a replica".to_owned(),
        PeerView::Refuses(said) => format!("a server that refuses ({said})"),
        PeerView::Closed(_) => "a host without a server".to_owned(),
        PeerView::Silent => "a server that does not answer".to_owned(),
        PeerView::Unreachable(_) => "nothing".to_owned(),
    }
}
