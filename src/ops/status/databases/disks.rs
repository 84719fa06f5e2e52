//! Whether the databases have room for what is to be written.
//!
//! A server whose disk is full answers every question and takes no write: nobody else would notice.

use super::size;
use crate::ops::database::postgresql::node::Disk;
use crate::ops::status::Snapshot;
use crate::ops::status::status_report::{Severity, StatusFinding};

impl Snapshot<'_> {
    /// Judges the disks of all database hosts that answered.
    pub(super) fn judge_disks(&self, primary: Option<&str>, findings: &mut Vec<StatusFinding>) {
        for (host, node) in self.cluster.nodes() {
            for disk in node.place.disks.iter().filter(|disk| disk.is_low()) {
                let leads = primary == Some(host);
                let (severity, what) = match (disk.is_full(), leads) {
                    (true, true) => (
                        Severity::Down,
                        format!("the disk of the primary {host} is full: it takes no writes"),
                    ),
                    (true, false) => (
                        Severity::Degraded,
                        format!("the disk of {host} is full: its server can write nothing"),
                    ),
                    (false, _) => (
                        Severity::Degraded,
                        format!("the disk of {host} is nearly full"),
                    ),
                };
                findings.push(StatusFinding::new(
                    severity,
                    format!("{what} ({})", room(disk)),
                    format!(
                        "make room on {host}: hactl run -l {host} -- df -h {}; what may be large: slots that nobody uses, copies that hactl rejoin kept (main.diverged-*, main.replaced-*), logs",
                        disk.mount
                    ),
                ));
            }
        }
    }
}

/// What is left, for people.
fn room(disk: &Disk) -> String {
    let inodes = if disk.inodes > 0 && disk.inodes_free < disk.inodes / 20 {
        format!(", {} of {} inodes", disk.inodes_free, disk.inodes)
    } else {
        String::new()
    };
    format!(
        "{} of {} free on {}{inodes}",
        size(disk.free),
        size(disk.size),
        disk.mount
    )
}
