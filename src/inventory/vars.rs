//! Variables of hosts, layer over layer in Ansible's order, each with where it was set.

use super::Inventory;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use crate::source::{Node, Span, Yaml};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Words that a template cannot use as a name.
const RESERVED: &[&str] = &["true", "false", "none", "True", "False", "None", "not"];

/// A variable as it was set in one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Var {
    pub name: String,
    pub node: Node,
    /// Where its name stands.
    pub span: Span,
}

impl Var {
    /// Takes an entry of a mapping; its key must be a name.
    pub(super) fn of_entry(key: &Node, node: &Node) -> Result<Self> {
        let name = key.as_str().ok_or_else(|| {
            Diagnostic::new(format!(
                "the name of a variable must be text, not {}",
                key.kind()
            ))
            .at(&key.span)
        })?;
        check_name(name).map_err(|error| error.at(&key.span))?;
        Ok(Self {
            name: name.to_owned(),
            node: node.clone(),
            span: key.span.clone(),
        })
    }
}

/// Whether a text can be the name of a variable.
pub(super) fn check_name(name: &str) -> Result<()> {
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
    {
        return Ok(());
    }
    Err(Diagnostic::new(format!("`{name}` cannot be the name of a variable"))
        .help("names have letters, digits and `_`, do not begin with a digit and are no word of the template language"))
}

/// Variables in the order of setting, each name once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Vars {
    list: Vec<Var>,
}

impl Vars {
    /// Sets a variable; one of that name keeps its place in the order.
    pub(super) fn set(&mut self, var: Var) {
        match self.list.iter_mut().find(|known| known.name == var.name) {
            Some(known) => *known = var,
            None => self.list.push(var),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Var> {
        self.list.iter()
    }
}

/// The `group_vars` and `host_vars` beside one inventory, or beside the playbook.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Whether it lies beside the playbook.
    pub playbook: bool,
    pub groups: HashMap<String, Vars>,
    pub hosts: HashMap<String, Vars>,
}

/// What kind of place a variable was set in; later ones win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Given by Ansible itself to a localhost that no inventory names.
    Implicit,
    /// `vars` of a group inside an inventory file.
    InventoryGroup(String),
    /// `group_vars` beside an inventory.
    GroupVars(String),
    /// `group_vars` beside the playbook.
    PlaybookGroupVars(String),
    /// At the host inside an inventory file.
    InventoryHost,
    /// `host_vars` beside an inventory.
    HostVars,
    /// `host_vars` beside the playbook.
    PlaybookHostVars,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Implicit => write!(f, "implicit localhost"),
            Self::InventoryGroup(group) => write!(f, "inventory, group {group}"),
            Self::GroupVars(group) => write!(f, "inventory group_vars, {group}"),
            Self::PlaybookGroupVars(group) => write!(f, "playbook group_vars, {group}"),
            Self::InventoryHost => write!(f, "inventory, host"),
            Self::HostVars => write!(f, "inventory host_vars"),
            Self::PlaybookHostVars => write!(f, "playbook host_vars"),
        }
    }
}

/// Where a variable of a host comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The kind of place.
    pub level: Level,
    /// The place.
    pub span: Span,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{} ({})",
            self.span.file.path, self.span.line, self.level
        )
    }
}

impl Inventory {
    /// The variables of a host, merged: the last setting of each name. Magic variables are not among them.
    pub fn variables(&self, host: &str) -> Vec<(String, Node, Origin)> {
        let mut merged: Vec<(String, Node, Origin)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for setting in self.settings(host) {
            if let Some(known) = places.get(&setting.0).and_then(|&at| merged.get_mut(at)) {
                *known = setting;
            } else {
                places.insert(setting.0.clone(), merged.len());
                merged.push(setting);
            }
        }
        merged
    }

    /// Every setting of every variable of a host, weakest first: a later one of the same name wins.
    pub fn settings(&self, host: &str) -> Vec<(String, Node, Origin)> {
        let mut settings = Vec::new();
        let mut add = |vars: Option<&Vars>, level: &Level| {
            for var in vars.into_iter().flat_map(Vars::iter) {
                let origin = Origin {
                    level: level.clone(),
                    span: var.span.clone(),
                };
                settings.push((var.name.clone(), var.node.clone(), origin));
            }
        };
        let known = self.host_at.get(host).and_then(|&at| self.hosts.get(at));
        if known.is_none() && !super::pattern::is_localhost(host) {
            return Vec::new();
        }
        let groups: Vec<&super::Group> = known
            .map_or(&[][..], |host| &host.groups)
            .iter()
            .filter_map(|&at| self.groups.get(at))
            .collect();
        if let Some(all) = self.groups.first() {
            add(Some(&all.vars), &Level::InventoryGroup(all.name.clone()));
        }
        for group in &groups {
            add(
                Some(&group.vars),
                &Level::InventoryGroup(group.name.clone()),
            );
        }
        let group_level = |layer: &Layer, name: &str| {
            if layer.playbook {
                Level::PlaybookGroupVars(name.to_owned())
            } else {
                Level::GroupVars(name.to_owned())
            }
        };
        for layer in &self.layers {
            add(layer.groups.get("all"), &group_level(layer, "all"));
        }
        for layer in &self.layers {
            for group in &groups {
                add(
                    layer.groups.get(&group.name),
                    &group_level(layer, &group.name),
                );
            }
        }
        match known {
            Some(known) => add(Some(&known.vars), &Level::InventoryHost),
            None => add(Some(&implicit_localhost()), &Level::Implicit),
        }
        for layer in &self.layers {
            let level = if layer.playbook {
                Level::PlaybookHostVars
            } else {
                Level::HostVars
            };
            add(layer.hosts.get(host), &level);
        }
        settings
    }

    /// The magic variables that the inventory knows: `inventory_hostname`, `inventory_hostname_short`,
    /// `group_names`, `groups`, `inventory_file`, `inventory_dir`, `playbook_dir`.
    pub fn magic(&self, host: &str) -> Map<String, Value> {
        let address = host.parse::<std::net::IpAddr>().is_ok();
        let short = if address {
            host
        } else {
            host.split('.').next().unwrap_or(host)
        };
        let groups: Map<String, Value> = self
            .groups
            .iter()
            .map(|group| {
                (
                    group.name.clone(),
                    Value::from(self.group_hosts(&group.name)),
                )
            })
            .collect();
        let mut magic = Map::new();
        magic.insert("inventory_hostname".to_owned(), Value::from(host));
        magic.insert("inventory_hostname_short".to_owned(), Value::from(short));
        magic.insert(
            "group_names".to_owned(),
            Value::from(self.host_groups(host)),
        );
        magic.insert("groups".to_owned(), Value::Object(groups));
        if let Some(host) = self.host_at.get(host).and_then(|&at| self.hosts.get(at)) {
            let dir = host
                .source
                .parent()
                .map(|dir| dir.display().to_string())
                .unwrap_or_default();
            magic.insert(
                "inventory_file".to_owned(),
                Value::from(host.source.display().to_string()),
            );
            magic.insert(
                "inventory_dir".to_owned(),
                Value::from(if dir.is_empty() { ".".to_owned() } else { dir }),
            );
        }
        let playbook_dir = self.playbook_dir.display().to_string();
        let playbook_dir = if playbook_dir.is_empty() {
            ".".to_owned()
        } else {
            playbook_dir
        };
        magic.insert("playbook_dir".to_owned(), Value::from(playbook_dir));
        magic
    }
}

fn implicit_localhost() -> Vars {
    let file = Arc::new(crate::source::SourceFile {
        path: "built in".to_owned(),
        text: String::new(),
    });
    let span = Span {
        file,
        line: 1,
        column: 1,
    };
    let node = Node {
        yaml: Yaml::String("local".to_owned()),
        span: span.clone(),
    };
    Vars {
        list: vec![Var {
            name: "ansible_connection".to_owned(),
            node,
            span,
        }],
    }
}

/// A folder that variables may lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub dir: PathBuf,
    pub playbook: bool,
}
