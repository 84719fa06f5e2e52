//! YAML as Ansible's `to_yaml` writes it (libyaml's layout, byte for byte) and `from_yaml` reads it.

use super::yaml_emit::{Emitter, Place};
use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::source::{Node, SourceFile, Yaml};
use crate::template::val::{Entries, Key, Val};
use std::sync::Arc;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("to_yaml", |call| dump(call, 2, None)),
    ("to_nice_yaml", |call| dump(call, 4, Some(false))),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
];

fn source(call: &Call) -> Result<Arc<SourceFile>> {
    Ok(Arc::new(SourceFile {
        path: format!("({})", call.name),
        text: call.input_text()?,
    }))
}

fn from_yaml(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(_) => plain(&crate::source::parse(&source(call)?)?),
        other => Ok(other.clone()),
    }
}

fn from_yaml_all(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(_) => {
            let documents = crate::source::parse_all(&source(call)?)?;
            documents
                .iter()
                .map(plain)
                .collect::<Result<Vec<_>>>()
                .map(Val::list)
        }
        Val::None => Ok(Val::list(Vec::new())),
        other => Ok(other.clone()),
    }
}

/// A node as data: its texts are no templates.
fn plain(node: &Node) -> Result<Val> {
    Ok(match &node.yaml {
        Yaml::Null => Val::None,
        Yaml::Bool(flag) => Val::Bool(*flag),
        Yaml::Int(number) => Val::Int(*number),
        Yaml::Float(number) => Val::Float(*number),
        Yaml::String(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => Val::text(text),
        Yaml::Sequence(items) => Val::list(items.iter().map(plain).collect::<Result<_>>()?),
        Yaml::Mapping(pairs) => {
            let mut entries = Entries::with_capacity(pairs.len());
            for (key, value) in pairs {
                let key = plain(key)?;
                let key = Key::of(&key)
                    .ok_or_else(|| Diagnostic::new(format!("a key cannot be {}", key.kind())))?;
                entries.insert(key, plain(value)?);
            }
            Val::dict(entries)
        }
    })
}

fn dump(call: &Call, indent: usize, flow: Option<bool>) -> Result<Val> {
    let size = |name: &str, default: usize| -> Result<usize> {
        let place = if name == "indent" && call.name == "to_nice_yaml" {
            0
        } else {
            usize::MAX
        };
        Ok(call
            .int(place, name)?
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(default))
    };
    let indent = size("indent", indent)?;
    let flow = match call.arg(usize::MAX, "default_flow_style") {
        None => flow,
        Some(Val::None) => None,
        Some(value) => Some(value.truthy()?),
    };
    call.input.check()?;
    let sort = call
        .arg(usize::MAX, "sort_keys")
        .map_or(Ok(true), |value| value.truthy())?;
    let mut emitter = Emitter::new(indent, size("width", 80)?, sort, flow);
    if call.flag(usize::MAX, "explicit_start")? {
        emitter.start();
    }
    emitter.node(&call.input, Place::Root)?;
    Ok(Val::from(emitter.finish()))
}
