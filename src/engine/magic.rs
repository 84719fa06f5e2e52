//! The magic variables that the command line decides: the same for every host and task of a run.
//!
//! Those of a play, a role or a host are in `engine::scope`.

use crate::base::value::{Map, Value};
use std::collections::HashMap;

/// What a command was told.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--check`.
    pub check: bool,
    /// `--diff`.
    pub diff: bool,
    /// `--forks`.
    pub forks: usize,
    /// How often `--verbose`.
    pub verbosity: u8,
    /// `--tags`.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// `--limit`.
    pub limit: Option<String>,
    /// The inventory's sources, absolute.
    pub sources: Vec<String>,
    /// The path of Ansible's configuration file; nothing when there is none.
    pub configuration: String,
}

/// The variables.
pub fn magic(flags: Flags) -> HashMap<String, Value> {
    let text = ["full", "string"].map(|key| (key.to_owned(), Value::from("2.19.14")));
    let numbers = [("major", 2), ("minor", 19), ("revision", 14)]
        .map(|(key, value)| (key.to_owned(), Value::from(value)));
    let version: Map<String, Value> = text.into_iter().chain(numbers).collect();
    let tags = if flags.tags.is_empty() {
        vec!["all".to_owned()]
    } else {
        flags.tags
    };
    let always = [
        ("ansible_check_mode", Value::Bool(flags.check)),
        ("ansible_diff_mode", Value::Bool(flags.diff)),
        ("ansible_version", Value::Object(version)),
        ("ansible_forks", Value::from(flags.forks)),
        ("ansible_run_tags", Value::from(tags)),
        ("ansible_skip_tags", Value::from(flags.skip_tags)),
        ("ansible_verbosity", Value::from(flags.verbosity)),
        ("ansible_inventory_sources", Value::from(flags.sources)),
        ("ansible_config_file", Value::from(flags.configuration)),
        // Modules need none; roles use it to start programs of this side.
        ("ansible_playbook_python", Value::from("/usr/bin/python3")),
        ("hactl_version", Value::from(env!("CARGO_PKG_VERSION"))),
    ];
    // Without a limit there is none, not an empty one.
    let limit = flags
        .limit
        .map(|limit| ("ansible_limit", Value::from(limit)));
    always
        .into_iter()
        .chain(limit)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
