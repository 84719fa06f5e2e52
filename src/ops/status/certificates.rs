//! The certificates by which databases and the place of the backups know each other. Without a valid one nothing is archived,
//! and the primary's disk fills with log.
//!
//! One that lasts is not mentioned, and one that is missing is for `verify`.

use super::Snapshot;
use super::status_report::{Severity, StatusFinding};
use crate::base::quote::sh;
use crate::ops::backup::Repository;

/// A certificate that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When, as OpenSSL says it.
    pub at: String,
    pub ended: bool,
}

/// A line of shell that says nothing of a certificate that lasts.
pub(super) fn ask(repository: &Repository) -> String {
    format!(
        "f={}; c=$(openssl x509 -in \"$f\" -noout -enddate -checkend {} 2>/dev/null) || {{ echo \"$c\"; openssl x509 -in \"$f\" -noout -checkend 0 >/dev/null 2>&1 || echo ended; }}",
        sh(&format!("{}/host.crt", repository.tls)),
        repository.renew_days.saturating_mul(86_400)
    )
}

/// What that line has said.
pub(super) fn read(said: &str) -> Option<Ending> {
    let at = said
        .lines()
        .find_map(|line| line.strip_prefix("notAfter="))?;
    Some(Ending {
        at: at.to_owned(),
        ended: said.ends_with("\nended"),
    })
}

impl Snapshot<'_> {
    /// Names the hosts whose certificates end soon or have ended.
    pub(super) fn certificates(&self, findings: &mut Vec<StatusFinding>) {
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
            findings.push(StatusFinding::new(
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
