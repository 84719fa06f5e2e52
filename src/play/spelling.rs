//! Ansible's older spellings of a task (`action: copy src=a dest=b`, `local_action: …`), turned into the module's own key.
//!
//! Only moves nodes about; whether there is such a module is not known here.

use super::values::is_template;
use crate::base::{Diagnostic, Result};
use crate::source::{Node, Yaml};

/// The facts that name a host's package manager: `action: "{{ ansible_pkg_mgr }} name=jq"` is `package`.
const MANAGERS: [&str; 2] = ["ansible_pkg_mgr", "pkg_mgr"];

/// The entries of a task with the module as key; `None` when it is written so already.
///
/// # Errors
/// When no module is named, or only by a template.
pub(super) fn current(entries: &[(Node, Node)]) -> Result<Option<Vec<(Node, Node)>>> {
    let is_old = |key: &Node| matches!(key.as_str(), Some("action" | "local_action"));
    let Some((key, value)) = entries.iter().find(|(key, _)| is_old(key)) else {
        return Ok(None);
    };
    let here = key.as_str() == Some("local_action");
    let mut new: Vec<(Node, Node)> = entries
        .iter()
        .filter(|(key, _)| !(is_old(key) || here && key.as_str() == Some("delegate_to")))
        .cloned()
        .collect();
    let text = |text: &str, at: &Node| Node {
        yaml: Yaml::String(text.to_owned()),
        span: at.span.clone(),
    };
    let (named, others) = match &value.yaml {
        Yaml::String(_) => (Some(value), Vec::new()),
        Yaml::Mapping(entries) => (
            value.get("module"),
            entries
                .iter()
                .filter(|(key, _)| key.as_str() != Some("module"))
                .cloned()
                .collect(),
        ),
        _ => (None, Vec::new()),
    };
    let Some((module, rest)) = named.and_then(Node::as_str).and_then(split) else {
        return Err(Diagnostic::new(format!(
            "`{}` takes the name of a module and its parameters",
            key.as_str().unwrap_or("action")
        ))
        .at(&key.span)
        .help("write the module itself as the key"));
    };
    let module = match is_template(module) {
        true if MANAGERS.iter().any(|fact| module.contains(fact)) => "ansible.builtin.package",
        true => {
            return Err(Diagnostic::new("the name of a module cannot be a template")
                .at(&value.span)
                .help("write one task for each module, each with its `when`"));
        }
        false => module,
    };
    let parameters = match (rest.is_empty(), others.is_empty()) {
        (false, _) => text(rest, value),
        (true, true) => Node {
            yaml: Yaml::Null,
            span: value.span.clone(),
        },
        (true, false) => mapping(value, others.clone()),
    };
    new.push((text(module, value), parameters));
    if !rest.is_empty() && !others.is_empty() {
        new.push((text("args", value), mapping(value, others)));
    }
    if here {
        new.push((text("delegate_to", key), text("localhost", key)));
    }
    Ok(Some(new))
}

/// What stands in a mapping, and below its own `args`.
fn mapping(at: &Node, entries: Vec<(Node, Node)>) -> Node {
    let (args, mut own): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(key, value)| key.as_str() == Some("args") && !value.entries().is_empty());
    own.extend(args.iter().flat_map(|(_, args)| args.entries().to_vec()));
    Node {
        yaml: Yaml::Mapping(own),
        span: at.span.clone(),
    }
}

/// The first word and what follows it. A word may be a template with spaces in it.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = match text.strip_prefix("{{") {
        Some(_) => text.find("}}").map_or(text.len(), |at| at + 2),
        None => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then(|| (word, rest.trim_start()))
}
