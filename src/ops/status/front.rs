//! What stands before the databases: the virtual address, the load balancers, the application servers.
//!
//! Whoever answers is asked what it sees: no host is called fine by its own word alone.

mod address;
mod applications;
mod balancers;
mod files;
mod writes;

use super::Snapshot;
use super::host_probe::{self, HostSeen};

impl Snapshot<'_> {
    /// Hosts that look at the service as its users do, and answered.
    fn viewers(&self) -> impl Iterator<Item = (&str, &HostSeen)> {
        self.answered()
            .filter(|(host, _)| host_probe::looks(self.site, host))
    }
}
