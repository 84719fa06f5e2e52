//! The inventory in the forms that `ansible-inventory` prints: JSON, YAML, a tree.
//!
//! Templates stay as written; vaulted values stay encrypted.

use super::{Inventory, Level};
use crate::base::value::{Map, Value};
use crate::source::{Node, SourceFile, Span, Yaml};
use std::collections::HashSet;
use std::sync::Arc;

/// Names that belong to a run, not to an inventory; never shown.
const INTERNAL: &[&str] = &[
    "ansible_facts",
    "ansible_version",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "groups",
    "group_names",
    "hostvars",
    "playbook_dir",
    "play_hosts",
    "role_name",
    "role_names",
    "role_path",
];

impl Inventory {
    /// What `ansible-inventory --list` prints; with `only`, for these hosts.
    pub fn to_ansible_json(&self, only: Option<&[String]>) -> Value {
        let hosts: Vec<String> = self
            .hosts()
            .into_iter()
            .filter(|host| only.is_none_or(|only| only.contains(host)))
            .collect();
        let mut lists = Map::new();
        self.json_group(0, &hosts, &mut HashSet::new(), &mut lists);
        let mut variables = Map::new();
        for host in &hosts {
            let vars = self.to_ansible_host(host);
            if vars.as_object().is_some_and(|vars| !vars.is_empty()) {
                variables.insert(host.clone(), vars);
            }
        }
        let mut meta = Map::new();
        meta.insert("hostvars".to_owned(), Value::Object(variables));
        meta.insert("profile".to_owned(), Value::from("inventory_legacy"));
        lists.insert("_meta".to_owned(), Value::Object(meta));
        lists.sort_keys();
        Value::Object(lists)
    }

    fn json_group(
        &self,
        at: usize,
        hosts: &[String],
        seen: &mut HashSet<usize>,
        into: &mut Map<String, Value>,
    ) {
        let Some(group) = self.groups.get(at) else {
            return;
        };
        let mut shown = Map::new();
        let children: Vec<&str> = group
            .children
            .iter()
            .filter_map(|&child| self.groups.get(child))
            .map(|child| child.name.as_str())
            .collect();
        if !children.is_empty() {
            shown.insert("children".to_owned(), Value::from(children));
        }
        let own: Vec<&str> = self
            .names_of(&group.hosts)
            .filter(|name| hosts.iter().any(|host| host == name))
            .collect();
        if at != 0 && !own.is_empty() {
            shown.insert("hosts".to_owned(), Value::from(own));
        }
        if !shown.is_empty() {
            into.insert(group.name.clone(), Value::Object(shown));
        }
        for &child in &group.children {
            if seen.insert(child) {
                self.json_group(child, hosts, seen, into);
            }
        }
    }

    /// What `ansible-inventory --host` prints.
    pub fn to_ansible_host(&self, host: &str) -> Value {
        let mut vars: Map<String, Value> = self
            .shown_vars(host)
            .into_iter()
            .map(|(name, node)| (name, ansible_json(&node)))
            .collect();
        vars.sort_keys();
        Value::Object(vars)
    }

    fn shown_vars(&self, host: &str) -> Vec<(String, Node)> {
        let vars = self
            .variables(host)
            .into_iter()
            .filter(|(name, ..)| !INTERNAL.contains(&name.as_str()));
        let mut vars: Vec<(String, Node)> = vars.map(|(name, node, _)| (name, node)).collect();
        vars.sort_by(|a, b| a.0.cmp(&b.0));
        vars
    }

    /// What `ansible-inventory --list --yaml` prints, as a node for [`crate::source::to_yaml`].
    pub fn to_ansible_yaml(&self, only: Option<&[String]>) -> Node {
        let hosts: Vec<String> = self
            .hosts()
            .into_iter()
            .filter(|host| only.is_none_or(|only| only.contains(host)))
            .collect();
        let mut state = YamlState {
            hosts,
            seen_groups: HashSet::new(),
            seen_hosts: HashSet::new(),
            at: nowhere(),
        };
        let all = self.yaml_group(0, &mut state);
        let at = state.at;
        map(&at, vec![("all".to_owned(), all)])
    }

    fn yaml_group(&self, at: usize, state: &mut YamlState) -> Node {
        let Some(group) = self.groups.get(at) else {
            return map(&state.at, Vec::new());
        };
        let mut children = Vec::new();
        for &child in &group.children {
            let Some(name) = self.groups.get(child).map(|child| child.name.clone()) else {
                continue;
            };
            if state.seen_groups.contains(&child) {
                children.push((name, map(&state.at, Vec::new())));
                continue;
            }
            let node = self.yaml_group(child, state);
            state.seen_groups.insert(child);
            if !node.entries().is_empty() {
                children.push((name, node));
            }
        }
        let mut hosts = Vec::new();
        if at != 0 {
            for name in self
                .names_of(&group.hosts)
                .map(str::to_owned)
                .collect::<Vec<_>>()
            {
                if state.hosts.contains(&name) {
                    let first = state.seen_hosts.insert(name.clone());
                    let vars = if first {
                        self.shown_vars(&name)
                    } else {
                        Vec::new()
                    };
                    hosts.push((name, map(&state.at, vars)));
                }
            }
        }
        let parts = [("children", children), ("hosts", hosts)];
        let parts = parts.into_iter().filter(|(_, entries)| !entries.is_empty());
        map(
            &state.at,
            parts
                .map(|(name, entries)| (name.to_owned(), map(&state.at, entries)))
                .collect(),
        )
    }

    /// What `ansible-inventory --graph` prints, from that group on; `None` when there is no such group.
    pub fn graph(&self, group: &str, with_vars: bool) -> Option<String> {
        let mut lines = Vec::new();
        self.graph_group(*self.group_at.get(group)?, 0, with_vars, &mut lines);
        lines.push(String::new());
        Some(lines.join("\n"))
    }

    fn graph_group(&self, at: usize, depth: usize, with_vars: bool, lines: &mut Vec<String>) {
        let Some(group) = self.groups.get(at) else {
            return;
        };
        lines.push(graph_line(&format!("@{}:", group.name), depth));
        for &child in &group.children {
            self.graph_group(child, depth + 1, with_vars, lines);
        }
        let vars_lines = |vars: Vec<(String, Node)>, depth: usize, lines: &mut Vec<String>| {
            for (name, node) in vars {
                lines.push(graph_line(
                    &format!("{{{name} = {}}}", python(&node, false)),
                    depth,
                ));
            }
        };
        if at != 0 {
            for host in self.names_of(&group.hosts) {
                lines.push(graph_line(host, depth + 1));
                if with_vars {
                    vars_lines(self.shown_vars(host), depth + 2, lines);
                }
            }
        }
        if with_vars {
            vars_lines(self.group_vars(&group.name), depth + 1, lines);
        }
    }

    /// The variables that are set for a group itself, sorted.
    fn group_vars(&self, name: &str) -> Vec<(String, Node)> {
        let Some(group) = self.group_at.get(name).and_then(|&at| self.groups.get(at)) else {
            return Vec::new();
        };
        let mut vars = std::collections::BTreeMap::new();
        let layers = self
            .layers
            .iter()
            .filter_map(|layer| layer.groups.get(name));
        for var in std::iter::once(&group.vars)
            .chain(layers)
            .flat_map(super::vars::Vars::iter)
        {
            vars.insert(var.name.clone(), var.node.clone());
        }
        if group.priority != 1 {
            let node = Node {
                yaml: Yaml::Int(group.priority),
                span: nowhere(),
            };
            vars.insert("ansible_group_priority".to_owned(), node);
        }
        vars.into_iter().collect()
    }

    /// Every setting of one variable (or all) of a host, weakest first, with whether a later one hides it.
    pub fn origins(
        &self,
        host: &str,
        name: Option<&str>,
    ) -> Vec<(String, Node, super::Origin, bool)> {
        let settings = self.settings(host);
        let wanted = settings
            .iter()
            .enumerate()
            .filter(|(_, (known, ..))| name.is_none_or(|name| name == known));
        let mut found: Vec<(String, Node, super::Origin, bool)> = wanted
            .map(|(at, (name, node, origin))| {
                let hidden = settings
                    .iter()
                    .skip(at + 1)
                    .any(|(later, ..)| later == name);
                (name.clone(), node.clone(), origin.clone(), hidden)
            })
            .collect();
        found.retain(|(.., origin, _)| origin.level != Level::Implicit || !self.has_host(host));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

struct YamlState {
    hosts: Vec<String>,
    seen_groups: HashSet<usize>,
    seen_hosts: HashSet<String>,
    at: Span,
}

fn nowhere() -> Span {
    Span {
        file: Arc::new(SourceFile {
            path: "inventory".to_owned(),
            text: String::new(),
        }),
        line: 1,
        column: 1,
    }
}

fn map(at: &Span, entries: Vec<(String, Node)>) -> Node {
    let key = |name: String| Node {
        yaml: Yaml::String(name),
        span: at.clone(),
    };
    let entries = entries
        .into_iter()
        .map(|(name, node)| (key(name), node))
        .collect();
    Node {
        yaml: Yaml::Mapping(entries),
        span: at.clone(),
    }
}

fn graph_line(text: &str, depth: usize) -> String {
    if depth == 0 {
        text.to_owned()
    } else {
        format!("{}--{text}", "  |".repeat(depth))
    }
}

/// A value in the JSON of `ansible-inventory`: vaulted and unsafe texts are marked.
pub(super) fn ansible_json(node: &Node) -> Value {
    match &node.yaml {
        Yaml::Vault(text) => serde_json::json!({ "__ansible_vault": text }),
        Yaml::Unsafe(text) => serde_json::json!({ "__ansible_unsafe": text }),
        Yaml::Sequence(items) => items.iter().map(ansible_json).collect(),
        Yaml::Mapping(entries) => {
            let mut map: Map<String, Value> = entries
                .iter()
                .map(|(key, value)| (key.key_text(), ansible_json(value)))
                .collect();
            map.sort_keys();
            Value::Object(map)
        }
        _ => node.to_value().unwrap_or(Value::Null),
    }
}

/// A value as Python prints it: text bare at the top, quoted inside of lists and mappings.
fn python(node: &Node, inside: bool) -> String {
    match &node.yaml {
        Yaml::Null => "None".to_owned(),
        Yaml::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Yaml::String(text) | Yaml::Unsafe(text) if inside => {
            let quote = if text.contains('\'') && !text.contains('"') {
                '"'
            } else {
                '\''
            };
            let escaped = text
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t");
            let escaped = if quote == '\'' {
                escaped.replace('\'', "\\'")
            } else {
                escaped
            };
            format!("{quote}{escaped}{quote}")
        }
        Yaml::String(text) | Yaml::Unsafe(text) => text.clone(),
        Yaml::Vault(_) => "(vaulted)".to_owned(),
        Yaml::Int(_) | Yaml::Float(_) => node.key_text(),
        Yaml::Sequence(items) => {
            format!(
                "[{}]",
                items
                    .iter()
                    .map(|item| python(item, true))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Yaml::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", python(key, true), python(value, true)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
