//! What a kind of lab host (container, virtual machine) can do, and which one a lab has.

use super::failed;
use super::keeper::Keeper;
use super::podman::Containers;
use super::spec::{HostSpec, Kind};
use super::state::{Lab, Places};
use super::vm::Machines;
use crate::base::{Diagnostics, Result};
use std::process::Command;
use std::time::{Duration, Instant};

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

/// The provider of a lab that is up.
pub fn of(lab: &Lab, keeper: &Keeper, places: &Places) -> Box<dyn Provider> {
    match lab.provider {
        Kind::Container => Box::new(Containers::new(keeper, places, lab)),
        Kind::Vm => Box::new(Machines::new(keeper, places, lab)),
    }
}

/// Does the same to many hosts at the same time, to each in a thread of its own; gives everything that did not work.
pub fn at_once(hosts: &[&HostSpec], deed: impl Fn(&HostSpec) -> Result<()> + Sync) -> Result<()> {
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(|| deed(host)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(failed("the thread of a host panicked")))
            })
            .collect()
    });
    let mut errors = Diagnostics::default();
    for result in results {
        errors.take(result);
    }
    let mut errors = errors.into_vec().into_iter();
    match errors.next() {
        None => Ok(()),
        Some(first) => Err(errors.fold(first, |error, other| error.note(other.to_string()))),
    }
}

/// The machines behind a lab's hosts.
pub trait Provider: Send + Sync {
    /// How long a host may take until ssh greets, on a machine that is busy with other things.
    fn patience(&self) -> Duration;
    /// Waits until a host on which ssh greets is one that can be used, at most to `end`. Gives what is to be said of it.
    fn await_ready(&self, _host: &HostSpec, _end: Instant) -> Result<Option<String>> {
        Ok(None)
    }
    /// How the host is now.
    fn state(&self, host: &HostSpec) -> HostState;
    /// Makes the host when it is absent, and gives it power. Returns before it is booted.
    fn start(&self, host: &HostSpec) -> Result<()>;
    /// Takes its power away: nothing of it runs any more when this returns.
    fn kill(&self, host: &HostSpec) -> Result<()>;
    /// Shuts it down in order.
    fn stop(&self, host: &HostSpec) -> Result<()>;
    /// Shuts it down in order and gives it power again. Returns before it is booted.
    fn reboot(&self, host: &HostSpec) -> Result<()> {
        self.stop(host)?;
        self.start(host)
    }
    /// Stops all its processes, or lets them go on.
    fn freeze(&self, host: &HostSpec, frozen: bool) -> Result<()>;
    /// A command that runs on the host as root, past its network.
    fn exec(&self, host: &HostSpec, tty: bool, words: &[String]) -> Command;
    /// What it said while it booted.
    fn console(&self, host: &HostSpec) -> String;
}
