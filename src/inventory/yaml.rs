//! YAML inventories: groups with `hosts`, `vars` and `children`.
//!
//! Where Ansible warns and skips, this refuses: what was written was meant.

use super::build::Builder;
use super::hostname;
use super::vars::Var;
use crate::base::{Diagnostic, Diagnostics};
use crate::source::{Node, Yaml};
use std::path::Path;

const SHAPE: &str = "a group has `hosts:`, `vars:` and `children:`, each a mapping";

/// Reads one file that was parsed.
pub(super) fn read(root: &Node, source: &Path, into: &mut Builder, errors: &mut Diagnostics) {
    if root.yaml == Yaml::Null {
        errors.push(
            Diagnostic::new("the inventory is empty")
                .at(&root.span)
                .help("write at least `all: {hosts: {}}`"),
        );
        return;
    }
    let Yaml::Mapping(groups) = &root.yaml else {
        let error = Diagnostic::new(format!(
            "an inventory is a mapping of groups, not {}",
            root.kind()
        ));
        errors.push(
            error
                .at(&root.span)
                .help("write `all:` with `hosts:` or `children:` under it"),
        );
        return;
    };
    if let Some(plugin) = root.get("plugin") {
        errors.push(
            Diagnostic::new(
                "this configures an inventory plugin; only inventories themselves are read",
            )
            .at(&plugin.span)
            .help("save what `ansible-inventory --list --yaml --export` prints, and use that"),
        );
        return;
    }
    let mut reader = Reader {
        source,
        into,
        errors,
    };
    for (name, group) in groups {
        reader.group(name, group);
    }
}

struct Reader<'a> {
    source: &'a Path,
    into: &'a mut Builder,
    errors: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn group(&mut self, name: &Node, body: &Node) -> Option<usize> {
        let Some(text) = name.as_str().filter(|text| !text.is_empty()) else {
            let error = Diagnostic::new(format!(
                "the name of a group must be text, not {}",
                name.kind()
            ));
            self.errors
                .push(error.at(&name.span).help("put it in quotes"));
            return None;
        };
        let group = self.into.group(text);
        match &body.yaml {
            Yaml::Null => {}
            Yaml::Mapping(entries) => {
                for (key, value) in entries {
                    self.section(group, text, key, value);
                }
            }
            _ => {
                let error = Diagnostic::new(format!(
                    "the group `{text}` must be a mapping, not {}",
                    body.kind()
                ));
                self.errors.push(error.at(&body.span).help(SHAPE));
            }
        }
        Some(group)
    }

    fn section(&mut self, group: usize, group_name: &str, key: &Node, value: &Node) {
        let known = key
            .as_str()
            .filter(|name| ["hosts", "vars", "children"].contains(name));
        let Some(name) = known else {
            let found = key.key_text();
            let error = Diagnostic::new(format!(
                "the group `{group_name}` has the unknown key `{found}`"
            ))
            .at(&key.span);
            let known: [&str; 3] = ["hosts", "vars", "children"];
            let help = match similar::get_close_matches(found.as_str(), &known, 1, 0.6).first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "{SHAPE}; a group inside this one goes under `children:`, a variable under `vars:`"
                ),
            };
            self.errors.push(error.help(help));
            return;
        };
        let entries: Vec<(&Node, Option<&Node>)> = match &value.yaml {
            Yaml::Null => return,
            Yaml::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| (key, Some(value)))
                .collect(),
            // A single name is allowed as text.
            Yaml::String(_) if name != "vars" => vec![(value, None)],
            _ => {
                let mut error = Diagnostic::new(format!(
                    "`{name}` of the group `{group_name}` must be a mapping, not {}",
                    value.kind()
                ))
                .at(&value.span);
                if value.items().is_some() {
                    error = error.help(match name {
                        "vars" => {
                            "write each variable as `name: value`, without the `-`".to_owned()
                        }
                        _ => format!(
                            "write each of the {name} as `name:` with a colon, without the `-`"
                        ),
                    });
                }
                self.errors.push(error);
                return;
            }
        };
        for (key, value) in entries {
            match (name, value) {
                ("hosts", value) => self.hosts(group, key, value),
                ("children", value) => {
                    let empty = Node {
                        yaml: Yaml::Null,
                        span: key.span.clone(),
                    };
                    if let Some(child) = self.group(key, value.unwrap_or(&empty)) {
                        let linked = self.into.child(group, child, &key.span);
                        self.errors.take(linked);
                    }
                }
                (_, Some(value)) => {
                    let set =
                        Var::of_entry(key, value).and_then(|var| self.into.group_var(group, var));
                    self.errors.take(set);
                }
                (_, None) => {}
            }
        }
    }

    fn hosts(&mut self, group: usize, key: &Node, value: Option<&Node>) {
        let Some(name) = key.as_str() else {
            let error = Diagnostic::new(format!(
                "the name of a host must be text, not {}",
                key.kind()
            ));
            self.errors
                .push(error.at(&key.span).help("put it in quotes"));
            return;
        };
        let Some((names, port)) = self
            .errors
            .take(hostname::expand(name).map_err(|error| error.at(&key.span)))
        else {
            return;
        };
        let hosts: Vec<usize> = names
            .iter()
            .map(|name| {
                self.into
                    .host(name, port, group, self.source, Some(&key.span))
            })
            .collect();
        match value.map(|value| &value.yaml) {
            None | Some(Yaml::Null) => {}
            Some(Yaml::Mapping(entries)) => {
                for (key, value) in entries {
                    let Some(var) = self.errors.take(Var::of_entry(key, value)) else {
                        continue;
                    };
                    for &host in &hosts {
                        self.into.host_var(host, var.clone());
                    }
                }
            }
            Some(_) => {
                if let Some(value) = value {
                    let error = Diagnostic::new(format!(
                        "the host `{name}` holds variables: a mapping, not {}",
                        value.kind()
                    ));
                    self.errors.push(
                        error
                            .at(&value.span)
                            .help("write `name: value` lines under it, or nothing"),
                    );
                }
            }
        }
    }
}
