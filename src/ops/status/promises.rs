//! What promises rest on and is not so: drills that were not ended, and settings that something overrides.
//!
//! Only what a database host said of itself; a host that was not asked is judged elsewhere.

use super::Snapshot;
use super::past::ago;
use super::status_report::{Severity, StatusFinding};
use crate::ops::database::postgresql::settings::NAMES;
use crate::ops::drill::faults::Fault;

impl Snapshot<'_> {
    /// What a drill broke, and has not healed yet.
    pub(super) fn broken_by_drills(&self, findings: &mut Vec<StatusFinding>) {
        let mut faults: Vec<&Fault> = Vec::new();
        for fault in self.cluster.nodes().flat_map(|(_, node)| &node.faults) {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        for fault in faults {
            findings.push(StatusFinding::new(
                Severity::Degraded,
                format!(
                    "the drill {} of {} is under way, or was killed ({} ago on {}: {})",
                    fault.drill,
                    fault.operator,
                    ago(self.now, fault.since),
                    fault.host,
                    fault.text
                ),
                "if nobody runs it any more: hactl resume heals what it broke",
            ));
        }
    }

    /// Settings that are not in force as they are declared.
    pub(super) fn overridden(&self, findings: &mut Vec<StatusFinding>) {
        for (host, node) in self.cluster.nodes() {
            for setting in node
                .answer()
                .into_iter()
                .flat_map(|answer| &answer.overridden)
            {
                let remedy = if setting.name == NAMES {
                    "hactl deploy takes it back once a replica streams (hactl rejoin)".to_owned()
                } else {
                    setting.remedy()
                };
                findings.push(StatusFinding::new(
                    Severity::Degraded,
                    format!("{host}: {}", setting.words()),
                    remedy,
                ));
            }
        }
    }
}
