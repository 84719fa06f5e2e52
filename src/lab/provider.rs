//! What a kind of lab host (container, later also virtual machine) can do.

use super::spec::HostSpec;
use crate::base::Result;
use std::process::Command;

/// How a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// Never made.
    Absent,
    /// Without power; its disk is kept.
    Dead,
    Running,
    /// All processes are stopped; the network stack answers on.
    Frozen,
}

impl HostState {
    /// One word for people and for JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Dead => "dead",
            Self::Running => "running",
            Self::Frozen => "frozen",
        }
    }
}

/// The machines behind a lab's hosts.
pub trait Provider: Sync {
    /// How the host is now.
    fn state(&self, host: &HostSpec) -> HostState;
    /// Makes the host when it is absent, and gives it power. Returns before it is booted.
    fn start(&self, host: &HostSpec) -> Result<()>;
    /// Takes its power away: nothing of it runs any more when this returns.
    fn kill(&self, host: &HostSpec) -> Result<()>;
    /// Shuts it down in order.
    fn stop(&self, host: &HostSpec) -> Result<()>;
    /// Stops all its processes, or lets them go on.
    fn freeze(&self, host: &HostSpec, frozen: bool) -> Result<()>;
    /// A command that runs on the host as root, past its network.
    fn exec(&self, host: &HostSpec, tty: bool, words: &[String]) -> Command;
    /// What it said while it booted.
    fn console(&self, host: &HostSpec) -> String;
}
