//! Reads loops: `loop`, `with_…` and `loop_control`.

use super::types::{Keywords, Loop, LoopControl, LoopKind};
use super::values::{boolean, conditions, identifier, is_template, number, with_nearest, wrong};
use crate::base::{Diagnostic, Diagnostics};
use crate::source::{Node, Yaml};

/// What `loop_control` takes.
pub const CONTROL: [&str; 7] = [
    "loop_var",
    "index_var",
    "label",
    "pause",
    "extended",
    "extended_allitems",
    "break_when",
];

/// The loops besides `loop`.
#[cfg(test)]
pub const NAMES: [&str; 14] = [
    "items",
    "list",
    "dict",
    "first_found",
    "fileglob",
    "sequence",
    "subelements",
    "nested",
    "cartesian",
    "together",
    "indexed_items",
    "flattened",
    "file",
    "inventory_hostnames",
];

/// The kind of `with_NAME`; the name may be the lookup's full one (`with_ansible.builtin.items`).
pub fn kind(name: &str) -> Option<LoopKind> {
    let outside = ["flattened", "cartesian"];
    let short = match name.rsplit_once('.') {
        None => name,
        Some(("ansible.builtin" | "ansible.legacy", short)) if !outside.contains(&short) => short,
        Some(("community.general", short)) if outside.contains(&short) => short,
        Some(_) => return None,
    };
    Some(match short {
        "items" => LoopKind::Items,
        "list" => LoopKind::Loop,
        "dict" => LoopKind::Dict,
        "first_found" => LoopKind::FirstFound,
        "fileglob" => LoopKind::Fileglob,
        "sequence" => LoopKind::Sequence,
        "subelements" => LoopKind::Subelements,
        "nested" | "cartesian" => LoopKind::Nested,
        "together" => LoopKind::Together,
        "indexed_items" => LoopKind::IndexedItems,
        "flattened" => LoopKind::Flattened,
        "file" => LoopKind::File,
        "inventory_hostnames" => LoopKind::InventoryHostnames,
        _ => return None,
    })
}

/// Gives a task its loop.
pub fn set(
    keywords: &mut Keywords,
    kind: LoopKind,
    key: &Node,
    value: &Node,
    errors: &mut Diagnostics,
) {
    if keywords.loop_.is_some() {
        errors.push(
            Diagnostic::new("a task has one loop")
                .at(&key.span)
                .help("loop over `include_tasks` for the outer one"),
        );
        return;
    }
    // Nothing at all is no loop, as in Ansible.
    if kind == LoopKind::Loop && value.yaml == Yaml::Null {
        return;
    }
    let fits = match (&value.yaml, kind) {
        (Yaml::String(text), LoopKind::Loop | LoopKind::Dict) => is_template(text),
        (Yaml::Mapping(_), LoopKind::Loop) | (Yaml::Null | Yaml::Bool(_), _) => false,
        _ => true,
    };
    if !fits {
        errors.push(
            wrong(value, key.as_str().unwrap_or("loop"), "a list")
                .help("write a list, or a template of one"),
        );
    }
    keywords.loop_ = Some(Loop {
        kind,
        node: value.clone(),
        control: LoopControl::default(),
    });
}

/// Reads `loop_control`.
pub fn control(value: &Node, errors: &mut Diagnostics) -> LoopControl {
    let mut control = LoopControl::default();
    if !matches!(value.yaml, Yaml::Mapping(_)) {
        errors.push(wrong(value, "loop_control", "a mapping"));
    }
    for (key, value) in value.entries() {
        match key.as_str() {
            Some("loop_var") => control.loop_var = identifier(value, "loop_var", errors),
            Some("index_var") => control.index_var = identifier(value, "index_var", errors),
            Some("label") => control.label = Some(value.clone()),
            Some("pause") => control.pause = number(value, "pause", errors),
            Some("extended") => control.extended = boolean(value, "extended", errors),
            Some("extended_allitems") => {
                control.extended_allitems = boolean(value, "extended_allitems", errors);
            }
            Some("break_when") => control.break_when = conditions(value, "break_when", errors),
            other => {
                let name = other.unwrap_or("?");
                errors.push(with_nearest(
                    Diagnostic::new(format!("`loop_control` has no `{name}`")).at(&key.span),
                    name,
                    CONTROL.into_iter(),
                ));
            }
        }
    }
    control
}
