//! Collects hosts, groups and their variables from several sources, and keeps the rules between them:
//! no cycles, names that are names, everyone under `all`.

use super::vars::{Var, Vars};
use super::{Group, Host, Inventory};
use crate::base::{Diagnostic, Result};
use crate::source::{Node, Span, Yaml};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// An inventory that is being read.
#[derive(Default)]
pub(super) struct Builder {
    pub groups: Vec<Group>,
    pub hosts: Vec<Host>,
    group_at: HashMap<String, usize>,
    host_at: HashMap<String, usize>,
    /// By host: where it was first named, and the group that it was named in.
    named: HashMap<usize, (Span, usize)>,
}

/// The place of the group `all`.
const ALL: usize = 0;
/// The place of the group `ungrouped`.
pub(super) const UNGROUPED: usize = 1;

impl Builder {
    pub(super) fn new() -> Self {
        let mut builder = Self::default();
        let all = builder.group("all");
        let ungrouped = builder.group("ungrouped");
        builder.link(all, ungrouped);
        builder
    }

    /// The group of that name, made when it is not there.
    pub(super) fn group(&mut self, name: &str) -> usize {
        if let Some(&at) = self.group_at.get(name) {
            return at;
        }
        let at = self.groups.len();
        self.groups.push(Group::new(name));
        self.group_at.insert(name.to_owned(), at);
        at
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.group_at.contains_key(name)
    }

    pub(super) fn has_host(&self, name: &str) -> bool {
        self.host_at.contains_key(name)
    }

    /// Adds a host to a group; the first source that names it is its source.
    pub(super) fn host(
        &mut self,
        name: &str,
        port: Option<u16>,
        group: usize,
        source: &Path,
        span: Option<&Span>,
    ) -> usize {
        let at = *self.host_at.entry(name.to_owned()).or_insert_with(|| {
            let mut vars = Vars::default();
            if let (Some(port), Some(span)) = (port, span) {
                let node = Node {
                    yaml: Yaml::Int(i64::from(port)),
                    span: span.clone(),
                };
                vars.set(Var {
                    name: "ansible_port".to_owned(),
                    node,
                    span: span.clone(),
                });
            }
            self.hosts.push(Host {
                name: name.to_owned(),
                vars,
                groups: Vec::new(),
                source: source.to_owned(),
            });
            self.hosts.len() - 1
        });
        if let Some(span) = span {
            self.named
                .entry(at)
                .or_insert_with(|| (span.clone(), group));
        }
        if let Some(group) = self.groups.get_mut(group)
            && !group.hosts.contains(&at)
        {
            group.hosts.push(at);
        }
        at
    }

    /// Hosts that have the name of a group which they are not in: a group that stands where hosts are wanted.
    pub(super) fn confused(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (at, host) in self.hosts.iter().enumerate() {
            let Some(group) = self
                .group_at
                .get(&host.name)
                .and_then(|group| self.groups.get(*group))
                .filter(|group| !group.hosts.contains(&at))
            else {
                continue;
            };
            let Some((span, place)) = self.named.get(&at) else {
                continue;
            };
            let place = self.groups.get(*place).map_or("", |group| &group.name);
            found.push(
                Diagnostic::new(format!("`{}` is a group, and stands here as a host", group.name))
                    .at(span)
                    .help(format!(
                        "put it under `{place}` as a group: below `children:`, in INI in a section `[{place}:children]`"
                    )),
            );
        }
        found
    }

    /// Puts a group under another.
    pub(super) fn child(&mut self, parent: usize, child: usize, span: &Span) -> Result<()> {
        if parent == child || self.ancestors(parent).contains(&child) {
            let name = |at: usize| self.groups.get(at).map_or("", |group| group.name.as_str());
            return Err(Diagnostic::new(format!(
                "the group `{}` cannot be under `{}`: that is a cycle",
                name(child),
                name(parent)
            ))
            .at(span)
            .help("a group must not contain itself, not even through others"));
        }
        self.link(parent, child);
        Ok(())
    }

    fn link(&mut self, parent: usize, child: usize) {
        if let Some(group) = self.groups.get_mut(parent)
            && !group.children.contains(&child)
        {
            group.children.push(child);
        }
        if let Some(group) = self.groups.get_mut(child)
            && !group.parents.contains(&parent)
        {
            group.parents.push(parent);
        }
    }

    fn ancestors(&self, group: usize) -> HashSet<usize> {
        let mut seen = HashSet::new();
        let mut open = vec![group];
        while let Some(at) = open.pop() {
            for &parent in self.groups.get(at).map_or(&[][..], |group| &group.parents) {
                if seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        seen
    }

    /// Sets a variable of a group; `ansible_group_priority` is a property of the group instead.
    pub(super) fn group_var(&mut self, group: usize, var: Var) -> Result<()> {
        let Some(group) = self.groups.get_mut(group) else {
            return Ok(());
        };
        if var.name == "ansible_group_priority" {
            group.priority = match &var.node.yaml {
                Yaml::Int(number) => *number,
                Yaml::String(text) if text.trim().parse::<i64>().is_ok() => {
                    text.trim().parse().unwrap_or_default()
                }
                _ => {
                    let kind = var.node.kind();
                    return Err(Diagnostic::new(format!(
                        "`ansible_group_priority` is an integer, not {kind}"
                    ))
                    .at(&var.node.span));
                }
            };
            return Ok(());
        }
        group.vars.set(var);
        Ok(())
    }

    pub(super) fn host_var(&mut self, host: usize, var: Var) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.vars.set(var);
        }
    }

    /// Applies the rules that hold once all sources are read.
    pub(super) fn finish(mut self) -> Inventory {
        for at in 1..self.groups.len() {
            if self
                .groups
                .get(at)
                .is_some_and(|group| group.parents.is_empty())
            {
                self.link(ALL, at);
            }
        }
        self.settle_ungrouped();
        self.settle_depths();
        for host in 0..self.hosts.len() {
            let direct: Vec<usize> = (0..self.groups.len())
                .filter(|&at| self.groups.get(at).is_some_and(|g| g.hosts.contains(&host)))
                .collect();
            let mut groups: HashSet<usize> =
                direct.iter().flat_map(|&at| self.ancestors(at)).collect();
            groups.extend(direct);
            groups.remove(&ALL);
            let mut groups: Vec<usize> = groups.into_iter().collect();
            groups.sort_by_key(|&at| {
                self.groups
                    .get(at)
                    .map(|g| (g.depth, g.priority, g.name.clone()))
            });
            if let Some(host) = self.hosts.get_mut(host) {
                host.groups = groups;
            }
        }
        Inventory {
            groups: self.groups,
            hosts: self.hosts,
            group_at: self.group_at,
            host_at: self.host_at,
            layers: Vec::new(),
            playbook_dir: PathBuf::new(),
        }
    }

    /// `ungrouped` holds exactly the hosts that no other group but `all` holds.
    fn settle_ungrouped(&mut self) {
        let grouped: HashSet<usize> = self
            .groups
            .iter()
            .skip(UNGROUPED + 1)
            .flat_map(|group| group.hosts.iter().copied())
            .collect();
        let all = 0..self.hosts.len();
        if let Some(ungrouped) = self.groups.get_mut(UNGROUPED) {
            ungrouped.hosts.retain(|host| !grouped.contains(host));
            for host in all.filter(|host| !grouped.contains(host)) {
                if !ungrouped.hosts.contains(&host) {
                    ungrouped.hosts.push(host);
                }
            }
        }
    }

    /// The depth of a group is its longest way from `all`. There are no cycles, so this ends.
    fn settle_depths(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for at in 0..self.groups.len() {
                let Some(group) = self.groups.get(at) else {
                    continue;
                };
                let (depth, children) = (group.depth + 1, group.children.clone());
                for child in children {
                    if let Some(child) = self.groups.get_mut(child)
                        && child.depth < depth
                    {
                        child.depth = depth;
                        changed = true;
                    }
                }
            }
        }
    }
}
