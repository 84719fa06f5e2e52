//! Hosts, groups and their variables, as Ansible reads them from YAML and INI inventories, folders of them,
//! `group_vars` and `host_vars`.
//!
//! Never renders a template, never decrypts a single vaulted value, never connects to a host.

mod build;
mod export;
mod hostname;
mod ini;
mod literal;
mod load;
mod pattern;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

pub use load::Decrypt;
pub use pattern::is_localhost;
pub use vars::{Level, Origin};

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use vars::{Layer, Vars};

#[derive(Debug)]
struct Group {
    name: String,
    vars: Vars,
    hosts: Vec<usize>,
    children: Vec<usize>,
    parents: Vec<usize>,
    priority: i64,
    depth: usize,
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            vars: Vars::default(),
            hosts: Vec::new(),
            children: Vec::new(),
            parents: Vec::new(),
            priority: 1,
            depth: 0,
        }
    }
}

#[derive(Debug)]
struct Host {
    name: String,
    vars: Vars,
    /// All groups that hold it, also through others, but for `all`; weakest first.
    groups: Vec<usize>,
    source: PathBuf,
}

/// The hosts and groups of all sources, with their variables.
#[derive(Debug)]
pub struct Inventory {
    groups: Vec<Group>,
    hosts: Vec<Host>,
    group_at: HashMap<String, usize>,
    host_at: HashMap<String, usize>,
    layers: Vec<Layer>,
    playbook_dir: PathBuf,
}

impl Inventory {
    /// All hosts, in the order in which a play over `all` takes them.
    pub fn hosts(&self) -> Vec<String> {
        self.group_hosts("all")
    }

    /// All groups, in the order of their first mention; `all` and `ungrouped` come first.
    pub fn groups(&self) -> Vec<String> {
        self.groups.iter().map(|group| group.name.clone()).collect()
    }

    /// Whether there is a host of that name.
    pub fn has_host(&self, name: &str) -> bool {
        self.host_at.contains_key(name)
    }

    /// Whether there is a group of that name.
    pub fn has_group(&self, name: &str) -> bool {
        self.group_at.contains_key(name)
    }

    /// The file that first named the host.
    pub fn source(&self, host: &str) -> Option<&Path> {
        self.host_at
            .get(host)
            .and_then(|&at| self.hosts.get(at))
            .map(|host| host.source.as_path())
    }

    /// The groups that hold a host, also through others, sorted; without `all` (Ansible's `group_names`).
    pub fn host_groups(&self, host: &str) -> Vec<String> {
        let groups = self
            .host_at
            .get(host)
            .and_then(|&at| self.hosts.get(at))
            .map_or(&[][..], |host| &host.groups);
        let mut names: Vec<String> = groups
            .iter()
            .filter_map(|&at| self.groups.get(at))
            .map(|group| group.name.clone())
            .collect();
        names.sort();
        names
    }

    /// The hosts of a group and of the groups under it: its own first, then level by level.
    pub fn group_hosts(&self, name: &str) -> Vec<String> {
        let Some(&start) = self.group_at.get(name) else {
            return Vec::new();
        };
        let (mut order, mut seen) = (vec![start], HashSet::from([start]));
        let mut next = 0;
        while let Some(group) = order.get(next).and_then(|&at| self.groups.get(at)) {
            next += 1;
            order.extend(
                group
                    .children
                    .iter()
                    .copied()
                    .filter(|&child| seen.insert(child)),
            );
        }
        let mut taken = HashSet::new();
        order
            .iter()
            .filter_map(|&at| self.groups.get(at))
            .flat_map(|group| &group.hosts)
            .filter(|host| taken.insert(**host))
            .filter_map(|&at| self.hosts.get(at))
            .map(|host| host.name.clone())
            .collect()
    }

    fn names_of<'a>(&'a self, hosts: &'a [usize]) -> impl Iterator<Item = &'a str> {
        hosts
            .iter()
            .filter_map(|&at| self.hosts.get(at))
            .map(|host| host.name.as_str())
    }
}
