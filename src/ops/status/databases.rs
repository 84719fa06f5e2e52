//! The databases: who is what, by its own word and by the others', and what is wrong with that.
//!
//! What the inventory says of roles is shown beside what was seen, and never instead of it.

mod disks;
mod lines;
mod replicas;
mod writers;

use super::status_report::{Databases, Severity, StatusFinding};
use super::{Snapshot, loss};
use crate::base::value::to_bool;
use crate::ops::database::postgresql::node::{Node, Sender};
use crate::ops::database::postgresql::view::strangers;

/// A replica that has not replayed so many bytes is behind: one segment of the log.
pub const BEHIND_BYTES: u64 = 16 << 20;
/// A replica that is behind by so many seconds is.
pub const BEHIND_SECONDS: f64 = 10.0;

impl Snapshot<'_> {
    /// The databases and what is wrong with them.
    pub(super) fn databases(&self, findings: &mut Vec<StatusFinding>) -> Option<Databases> {
        let first = self.cluster.members.first()?;
        let first_choice = self
            .site
            .host(&first.host)
            .map_or_else(String::new, |host| {
                host.text("postgresql_initial_primary", &first.host)
            });
        let writers = self.writers();
        let primary = match writers.as_slice() {
            [one] => Some(one.host.to_owned()),
            _ => None,
        };
        self.judge_writers(&writers, findings);
        if let Some(error) = strangers(&self.cluster) {
            findings.push(StatusFinding::new(
                Severity::Degraded,
                error.message,
                "a host with another system identifier is no replica: find out whose data it has",
            ));
        }
        let mut databases = Databases {
            synchronous: self.synchronous(primary.as_deref()),
            ..Databases::default()
        };
        for member in &self.cluster.members {
            let declared = if member.host == first_choice {
                "primary"
            } else {
                "replica"
            };
            let mut line = self.line(member, primary.as_deref(), &writers);
            line.declared = declared;
            if primary.as_deref() != Some(&member.host)
                && !writers.iter().any(|writer| writer.host == member.host)
            {
                self.judge_replica(member, &line, primary.as_deref(), findings);
            }
            databases.members.push(line);
        }
        self.judge_disks(primary.as_deref(), findings);
        databases.slots = self.slots(primary.as_deref(), findings);
        if let Some(primary) = primary
            .as_deref()
            .filter(|primary| *primary != first_choice)
        {
            findings.push(StatusFinding::new(
                Severity::Note,
                format!("{primary} is the primary; {first_choice} is only the inventory's first choice for empty hosts"),
                "",
            ));
        }
        if let Some(primary) = &primary {
            self.judge_synchronous(primary, findings);
        }
        databases.first_choice = first_choice;
        databases.loss = loss::expected(self, primary.as_deref(), &databases);
        databases.failover = loss::failover(self, primary.as_deref());
        databases.primary = primary;
        Some(databases)
    }

    fn synchronous(&self, primary: Option<&str>) -> bool {
        let observed = primary
            .and_then(|primary| self.cluster.node(primary)?.answer())
            .map(|answer| !answer.synchronous.is_empty());
        observed.unwrap_or_else(|| {
            self.site.hosts.iter().any(|host| {
                host.variables
                    .get("postgresql_synchronous")
                    .and_then(to_bool)
                    .unwrap_or(false)
            })
        })
    }

    fn judge_synchronous(&self, primary: &str, findings: &mut Vec<StatusFinding>) {
        let Some(answer) = self.cluster.node(primary).and_then(Node::answer) else {
            return;
        };
        if !answer.synchronous.is_empty() && !answer.senders.iter().any(is_synchronous) {
            findings.push(StatusFinding::new(
                Severity::Down,
                format!("every commit on {primary} waits for a synchronous replica, and none streams"),
                "bring the replica back (hactl rejoin HOST), or give up the guarantee: postgresql_synchronous: false, hactl deploy",
            ));
        }
    }
}

/// Commits wait for it.
pub fn is_synchronous(sender: &Sender) -> bool {
    matches!(sender.sync_state.as_str(), "sync" | "quorum") && sender.state == "streaming"
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} kB", number / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MB", number / 1_048_576.0),
        _ => format!("{:.1} GB", number / 1_073_741_824.0),
    }
}
