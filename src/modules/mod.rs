//! The modules: what a task can ask for, as pure functions.
//!
//! A module never connects, never reads a local file, never prints, never looks at a clock. It says what must
//! be *seen* on the host ([`Module::probe`]), *decides* from what was seen ([`Module::diff`]), and reads the reply to
//! its change ([`Module::finish`]). The engine merges the probes of many tasks into one round trip.

mod args;
mod files;
mod probe;
mod system;

pub use args::{
    Args, Kind, Limit, Param, Spec, convert, nearest_of, nearest_parameter, unknown_parameter,
};
pub use probe::{
    Content, DISK_FULL, DISK_FULL_HELP, FileKind, FileProbe, Package, Probe, Reply, Request, Seen,
    SeenFile, Step, all_succeeded,
};
pub use system::{FACT_NAMES, JOBS, facts_probe, opening, parse_facts, replies};

use crate::base::Result;
use crate::base::value::{Map, Value};

/// The result of a task as `register` keeps it (`changed` and `failed` are added by the engine).
pub type Outcome = Map<String, Value>;

/// The part of an outcome that is for people: what happened on the way that they should know.
pub const MESSAGE: &str = "hactl_message";

/// What a module decides after looking.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Everything is as wished; the outcome holds what `register` shows (e.g. `stat`, `path`).
    Same(Outcome),
    /// Something has to change.
    Change(Change),
}

/// A change that is decided but not made.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What changes, for people: before and after.
    pub diffs: Vec<Diff>,
    /// The requests that make it, in order; the first that fails ends it.
    pub requests: Vec<Request>,
    /// What is known of the outcome before the change is made: shown by `--check`. What only the change
    /// can tell is `base::value::unknown()`.
    pub outcome: Outcome,
}

/// Before and after of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// What it is: a path, `package nginx`, `unit haproxy.service`.
    pub subject: String,
    /// How it was; empty when it did not exist.
    pub before: String,
    /// How it will be; empty when it goes away.
    pub after: String,
}

/// A module: pure functions and a table line.
pub trait Module: Sync {
    /// Its names and parameters.
    fn spec(&self) -> &'static Spec;

    /// What must be seen on the host to decide. Pure: the same arguments give the same probes.
    ///
    /// # Errors
    /// When the arguments contradict each other (the engine adds host, task and place).
    fn probe(&self, args: &Args) -> Result<Vec<Probe>>;

    /// Decides. `seen` has one entry for each probe, in their order.
    ///
    /// # Errors
    /// When what was seen makes the wish impossible (`path is a directory`…), with what to do.
    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision>;

    /// Reads the replies to the change's requests into the final outcome. The default takes the change's own
    /// outcome and fails when a request failed, showing its stderr.
    ///
    /// # Errors
    /// When the change failed. The engine adds host, task and place.
    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        probe::all_succeeded(replies)?;
        Ok(change.outcome.clone())
    }
}

/// The module of that name (`copy`, `ansible.builtin.copy`, `community.general.timezone`…).
pub fn find(name: &str) -> Option<&'static dyn Module> {
    all().find(|module| module.spec().names.contains(&name))
}

/// All modules, for documentation, completion and suggestions.
pub fn all() -> impl Iterator<Item = &'static dyn Module> {
    files::TABLE.iter().chain(system::TABLE).copied()
}
