//! The file server, where the service has one.
//!
//! One that could not be asked is named as every other host is, not here.

use crate::ops::status::Scene;
use crate::ops::status::board::{Finding, Severity};
use crate::ops::status::seen;

impl Scene<'_> {
    /// Names a file server that does not run.
    pub(in crate::ops::status) fn file_server(&self, findings: &mut Vec<Finding>) {
        for host in self.site.members("nfs_server") {
            let state = self
                .host(host)
                .and_then(|seen| seen.units.get(seen::FILE_SERVER))
                .filter(|state| *state != "active");
            if let Some(state) = state {
                findings.push(Finding::new(
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
