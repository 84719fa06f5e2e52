//! The file server, where the service has one.
//!
//! One that could not be asked is named as every other host is, not here.

use crate::ops::status::Snapshot;
use crate::ops::status::host_probe;
use crate::ops::status::status_report::{Severity, StatusFinding};

impl Snapshot<'_> {
    /// Names a file server that does not run.
    pub(in crate::ops::status) fn file_server(&self, findings: &mut Vec<StatusFinding>) {
        for host in self.site.members("nfs_server") {
            let state = self
                .host(host)
                .and_then(|seen| seen.units.get(host_probe::FILE_SERVER))
                .filter(|state| *state != "active");
            if let Some(state) = state {
                findings.push(StatusFinding::new(
                    Severity::Degraded,
                    format!(
                        "the file server on {host} is {state}: images are neither stored nor shown"
                    ),
                    format!("hactl run -l {host} -- journalctl -u nfs-server says why"),
                ));
            }
        }
    }
}
