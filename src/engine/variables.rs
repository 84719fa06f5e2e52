//! Variables that a run starts from: those of a host with where the inventory has it, those of a play's files.
//!
//! Only reads the project's own files; nothing is rendered here but the names of files.

use super::scope::absolute;
use super::settings::Settings;
use crate::base::value::{Value, has_unknown, to_text};
use crate::base::{Diagnostic, Result};
use crate::inventory::Inventory;
use crate::play::Play;
use crate::source::{Node, SourceFile, Span, Yaml};
use crate::template;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The inventory's variables of a host, with where it is written.
pub(super) fn host_variables(
    inventory: &Inventory,
    name: &str,
    root: &str,
) -> HashMap<String, Node> {
    let mut variables: HashMap<String, Node> = HashMap::new();
    if let Some(source) = inventory.source(name) {
        let listed = source.to_string_lossy().contains(',');
        let file = if listed {
            source.display().to_string()
        } else {
            absolute(root, &source.to_string_lossy())
        };
        let folder = Path::new(&file).parent().filter(|_| !listed);
        let at = Span {
            file: Arc::new(SourceFile {
                path: file.clone(),
                text: String::new(),
            }),
            line: 1,
            column: 1,
        };
        let folder = folder.map_or(Value::Null, |dir| dir.to_string_lossy().into());
        for (name, value) in [("inventory_dir", folder), ("inventory_file", file.into())] {
            variables.insert(name.to_owned(), Node::from_value(&value, &at));
        }
    }
    let own = inventory.variables(name).into_iter();
    variables.extend(own.map(|(key, node, _)| (key, node)));
    variables
}

/// The variables of a play's `vars_files`.
pub(super) fn vars_files(
    play: &Play,
    settings: &Settings,
    context: &template::Context,
) -> Result<Vec<(String, Node)>> {
    let mut variables = Vec::new();
    for node in &play.vars_files {
        let value = template::value(node, context)?;
        if has_unknown(&value) {
            continue;
        }
        let names = match value {
            Value::Array(items) => items.iter().map(to_text).collect(),
            other => vec![to_text(&other)],
        };
        let found = names.iter().find_map(|name| {
            let path = if play.dir.is_empty() {
                name.clone()
            } else {
                format!("{}/{name}", play.dir)
            };
            settings.loader.files().read(Path::new(&path))
        });
        let file = found.ok_or_else(|| {
            Diagnostic::new(format!(
                "`vars_files`: there is no `{}`",
                names.join("`, `")
            ))
            .at(&node.span)
        })??;
        variables.extend(settings.parse_vars(&file)?);
    }
    Ok(variables)
}

impl Settings {
    /// The variables of a file.
    ///
    /// # Errors
    /// When it is not a mapping.
    pub fn parse_vars(&self, file: &Arc<crate::source::SourceFile>) -> Result<Vec<(String, Node)>> {
        let node = crate::source::parse(file)?;
        match node.yaml {
            Yaml::Null => Ok(Vec::new()),
            Yaml::Mapping(entries) => Ok(entries
                .into_iter()
                .map(|(key, value)| (key.key_text(), value))
                .collect()),
            _ => Err(Diagnostic::new(format!(
                "expected a mapping of variables, found {}",
                node.kind()
            ))
            .at(&node.span)),
        }
    }
}
