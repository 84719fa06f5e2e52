//! `include_vars`: variables of a file, or of all files of a folder that fit.
//!
//! Reads files of the project only; the values stay templates.

use super::action::{Local, rendered};
use super::settings::Settings;
use crate::base::python_regex::{self, Flags};
use crate::base::value::{Value, has_unknown, to_bool, to_text};
use crate::base::{Diagnostic, Result};
use crate::play::Task;
use crate::source::{Node, Yaml};
use crate::template::{self, Context};
use std::path::{Path, PathBuf};

/// What a folder's files are chosen by.
struct Choice {
    /// So many folders deep; 0 is without end.
    depth: u64,
    matching: Option<String>,
    ignored: Vec<String>,
    extensions: Vec<String>,
    /// Files with other endings are passed over; else they are an error.
    passes_over: bool,
}

impl Choice {
    fn of(task: &Task, context: &Context) -> Result<Self> {
        let of = |name: &str| rendered(task, name, context);
        let words = |value: Option<Value>| match value {
            Some(Value::Array(items)) => items.iter().map(to_text).collect(),
            Some(text) => to_text(&text)
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        };
        let extensions = words(of("extensions")?);
        Ok(Self {
            depth: of("depth")?.map_or(0, |depth| to_text(&depth).parse().unwrap_or(0)),
            matching: of("files_matching")?.map(|text| to_text(&text)),
            ignored: words(of("ignore_files")?)
                .iter()
                .map(|text| format!("{text}$"))
                .collect(),
            extensions: if extensions.is_empty() {
                ["yaml", "yml", "json"].map(str::to_owned).to_vec()
            } else {
                extensions
            },
            passes_over: of("ignore_unknown_extensions")?
                .as_ref()
                .and_then(to_bool)
                .unwrap_or(false),
        })
    }

    /// The files of a folder in the order in which they are read: folder after folder, each in the order of its names.
    fn files(&self, folder: &Path, level: u64, settings: &Settings) -> Result<Vec<PathBuf>> {
        let mut entries = settings.loader.files().list(folder).unwrap_or_default();
        entries.sort();
        let (folders, files): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| settings.loader.files().is_dir(entry));
        let mut chosen = Vec::new();
        for file in files {
            if self.takes(&file)? {
                chosen.push(file);
            }
        }
        for folder in folders {
            if self.depth == 0 || level < self.depth {
                chosen.extend(self.files(&folder, level + 1, settings)?);
            }
        }
        Ok(chosen)
    }

    fn takes(&self, path: &Path) -> Result<bool> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fits = |pattern: &str| -> Result<bool> {
            let pattern = python_regex::compile(pattern, Flags::default())?;
            Ok(pattern.is_match(&*name).unwrap_or(false))
        };
        if let Some(pattern) = &self.matching
            && !fits(pattern)?
        {
            return Ok(false);
        }
        for pattern in &self.ignored {
            if fits(pattern)? {
                return Ok(false);
            }
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if self.extensions.iter().any(|known| *known == ending) {
            return Ok(true);
        }
        if self.passes_over {
            return Ok(false);
        }
        Err(Diagnostic::new(format!(
            "`{}` does not have a valid extension: {}",
            path.display(),
            self.extensions.join(", ")
        ))
        .help("set `ignore_unknown_extensions: true`, or name it in `ignore_files`"))
    }
}

/// Reads what the task names; `None` when that is not known yet.
///
/// # Errors
/// Missing files, files that are no mapping.
pub fn prepare(task: &Task, context: &Context, settings: &Settings) -> Result<Option<Local>> {
    let single = match (&task.action.free_form, task.arg("file")) {
        (Some(node), _) | (None, Some(node)) => {
            Some((template::value(node, context)?, node.span.clone()))
        }
        (None, None) => None,
    };
    let mut variables: Vec<(String, Node)> = Vec::new();
    let mut files = Vec::new();
    if let Some((value, span)) = single {
        if has_unknown(&value) {
            return Ok(None);
        }
        let name = to_text(&value);
        let (path, found) = settings
            .vars_file(task, name.trim_end_matches('\n'))
            .map_err(|error| error.at(&span))?;
        files.push(path);
        variables = found;
    } else if let Some(folder) = rendered(task, "dir", context)? {
        if has_unknown(&folder) {
            return Ok(None);
        }
        let choice = Choice::of(task, context)?;
        let folder = settings.loader.find_vars(task, &to_text(&folder))?;
        // A role's own `vars/main.yml` is read anyway.
        let own = task
            .role
            .as_ref()
            .map(|role| PathBuf::from(format!("{}/vars/main.yml", role.dir)));
        for path in choice.files(Path::new(&folder), 1, settings)? {
            if Some(&path) == own.as_ref() {
                continue;
            }
            let found = settings.vars_at(&path.to_string_lossy())?;
            variables = crate::play::layered(&variables, found);
            files.push(path.to_string_lossy().into_owned());
        }
    } else {
        return Err(Diagnostic::new("`include_vars` needs a file or `dir`").at(&task.span));
    }
    if let Some(name) = rendered(task, "name", context)? {
        let entries = variables
            .into_iter()
            .map(|(key, node)| (named(key, &node), node))
            .collect();
        let all = Node {
            yaml: Yaml::Mapping(entries),
            span: task.span.clone(),
        };
        variables = vec![(to_text(&name), all)];
    }
    let behaviour = rendered(task, "hash_behaviour", context)?.map(|value| to_text(&value));
    if behaviour.as_deref() == Some("merge") {
        for (name, node) in &mut variables {
            if context.variables.lookup(name).is_some() {
                let old = template::text(&format!("{{{{ {name} }}}}"), &node.span, context)?;
                *node = merged(&Node::from_value(&old, &node.span), node);
            }
        }
    }
    Ok(Some(Local::IncludeVars { variables, files }))
}

fn named(key: String, node: &Node) -> Node {
    Node {
        yaml: Yaml::String(key),
        span: node.span.clone(),
    }
}

/// The new value over the old one: mappings are merged, level by level, and everything else is replaced.
fn merged(old: &Node, new: &Node) -> Node {
    let (Yaml::Mapping(below), Yaml::Mapping(above)) = (&old.yaml, &new.yaml) else {
        return new.clone();
    };
    let mut entries = below.clone();
    for (key, value) in above {
        match entries.iter_mut().find(|(known, _)| known.yaml == key.yaml) {
            Some((_, known)) => *known = merged(known, value),
            None => entries.push((key.clone(), value.clone())),
        }
    }
    Node {
        yaml: Yaml::Mapping(entries),
        span: new.span.clone(),
    }
}
