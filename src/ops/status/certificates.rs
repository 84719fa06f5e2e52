//! The certificates by which databases and the place of the backups know each other. Without a valid one nothing is archived,
//! and the primary's disk fills with log.
//!
//! One that lasts is not mentioned, and one that is missing is for `verify`.

use super::Scene;
use super::board::{Finding, Severity};
use super::seen::Ending;

impl Scene<'_> {
    /// Names the hosts whose certificates end soon or have ended.
    pub(super) fn certificates(&self, findings: &mut Vec<Finding>) {
        let of = |wanted: bool| -> Vec<(&str, &Ending)> {
            self.answered()
                .filter_map(|(host, seen)| Some((host, seen.certificate.as_ref()?)))
                .filter(|(_, ending)| ending.ended == wanted)
                .collect()
        };
        for (ended, severity, verb) in [
            (true, Severity::Degraded, "has ended"),
            (false, Severity::Note, "ends soon"),
        ] {
            let hosts = of(ended);
            let Some((_, first)) = hosts.first() else {
                continue;
            };
            let names: Vec<&str> = hosts.iter().map(|(host, _)| *host).collect();
            let cost = if ended {
                "; log is neither archived nor backed up"
            } else {
                ""
            };
            findings.push(Finding::new(
                severity,
                format!(
                    "the backup certificate of {} {verb} ({}){cost}",
                    names.join(", "),
                    first.at
                ),
                "hactl deploy renews it",
            ));
        }
    }
}
