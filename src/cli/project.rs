//! The project that a command works on: its files, its inventory, its secrets. Resolved once, then passed on.

use super::config::Config;
use super::{Global, vault};
use crate::assets::Project;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use crate::engine::Decrypt;
use crate::inventory::Inventory;
use crate::play::{Loader, RolePlaces};
use crate::source::{self, Files, Node, SourceFile, Yaml};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A project, opened.
pub struct Opened {
    /// Its files, the binary's below them.
    pub files: Arc<Project>,
    /// Reads playbooks and roles.
    pub loader: Arc<Loader>,
    /// Its hosts.
    pub inventory: Inventory,
    /// Where the inventory was read from.
    pub sources: Vec<PathBuf>,
    /// Opens vaulted values.
    pub decrypt: Decrypt,
    /// `--extra-vars`.
    pub extra: HashMap<String, Node>,
}

/// Opens the project that the flags name.
///
/// # Errors
/// Everything that is wrong with the inventory and the extra variables.
pub fn open(global: &Global) -> Result<Opened, Vec<Diagnostic>> {
    opened(global, Project::new(&global.project), RolePlaces::default())
}

/// Opens the project for a playbook of it.
///
/// # Errors
/// As [`open`]; what is wrong with its `ansible.cfg`.
pub fn open_for(global: &Global, playbook: &Path) -> Result<Opened, Vec<Diagnostic>> {
    open_in(global, &global.project, playbook)
}

/// The same of another folder (another revision of the same project).
///
/// # Errors
/// As [`open_for`].
pub fn open_in(global: &Global, folder: &Path, playbook: &Path) -> Result<Opened, Vec<Diagnostic>> {
    let (project, places) = with_roles(folder, playbook).map_err(|error| vec![error])?;
    opened(global, project, places)
}

/// The loader of a playbook's project, whatever its inventory is.
///
/// # Errors
/// What is wrong with its `ansible.cfg`.
pub fn loader(global: &Global, playbook: &Path) -> Result<Loader> {
    let (project, places) = with_roles(&global.project, playbook)?;
    Ok(Loader::new(Arc::new(project)).with_roles(places))
}

/// The files that a playbook sees, and where its roles are. An embedded playbook has all that is in the binary; one of
/// the user's own has what the configuration names.
fn with_roles(folder: &Path, playbook: &Path) -> Result<(Project, RolePlaces)> {
    let config = Config::read(folder)?.known()?;
    let mut project = Project::new(folder);
    if project.on_disk(playbook).is_file() {
        project = project.serving(config.served()?);
    }
    let places = config.places(project.withheld());
    Ok((project, places))
}

fn opened(
    global: &Global,
    project: Project,
    places: RolePlaces,
) -> Result<Opened, Vec<Diagnostic>> {
    let files = Arc::new(project);
    let sources = super::inventory::sources(global, &files).map_err(|error| vec![error])?;
    let passwords = Arc::new(vault::passwords(global));
    let decrypt: Decrypt = {
        let passwords = Arc::clone(&passwords);
        Arc::new(move |text: &str| passwords.decrypt_secret(text))
    };
    let bytes = |text: &str| passwords.decrypt(text);
    let inventory = Inventory::load(&*files, &sources, Path::new(""), &bytes)?;
    let extra = extra(global, &files, &decrypt)?;
    let dyn_files: Arc<dyn Files> = Arc::clone(&files) as Arc<dyn Files>;
    Ok(Opened {
        files,
        loader: Arc::new(Loader::new(dyn_files).with_roles(places)),
        inventory,
        sources,
        decrypt,
        extra,
    })
}

fn extra(
    global: &Global,
    files: &Project,
    decrypt: &Decrypt,
) -> Result<HashMap<String, Node>, Vec<Diagnostic>> {
    let mut variables = HashMap::new();
    let one = |error: Diagnostic| vec![error];
    for given in &global.extra_vars {
        let text = given.trim();
        if let Some(path) = text.strip_prefix('@') {
            let file = files
                .read(Path::new(path))
                .ok_or_else(|| {
                    one(Diagnostic::new(format!(
                        "`-e {given}`: there is no such file"
                    )))
                })?
                .map_err(one)?;
            let file = if file.text.starts_with("$ANSIBLE_VAULT;") {
                Arc::new(SourceFile {
                    path: file.path.clone(),
                    text: decrypt(&file.text).map_err(one)?,
                })
            } else {
                file
            };
            variables.extend(mapping(&source::parse(&file).map_err(one)?).map_err(one)?);
        } else if text.starts_with('{') || text.contains(": ") {
            let file = Arc::new(SourceFile {
                path: "--extra-vars".to_owned(),
                text: text.to_owned(),
            });
            variables.extend(mapping(&source::parse(&file).map_err(one)?).map_err(one)?);
        } else {
            let words = shlex::split(text)
                .ok_or_else(|| one(Diagnostic::new(format!("`-e {given}`: unbalanced quotes"))))?;
            for word in words {
                let (key, value) = word.split_once('=').ok_or_else(|| {
                    one(Diagnostic::new(format!(
                        "`-e {given}`: expected key=value, YAML or @file"
                    )))
                })?;
                let file = Arc::new(SourceFile {
                    path: "--extra-vars".to_owned(),
                    text: word.clone(),
                });
                let span = source::Span {
                    file,
                    line: 1,
                    column: key.len() + 2,
                };
                variables.insert(
                    key.to_owned(),
                    Node {
                        yaml: Yaml::String(value.to_owned()),
                        span,
                    },
                );
            }
        }
    }
    Ok(variables)
}

fn mapping(node: &Node) -> Result<Vec<(String, Node)>> {
    match &node.yaml {
        Yaml::Mapping(entries) => Ok(entries
            .iter()
            .map(|(key, value)| (key.key_text(), value.clone()))
            .collect()),
        Yaml::Null => Ok(Vec::new()),
        _ => Err(
            Diagnostic::new(format!("expected variables, found {}", node.kind())).at(&node.span),
        ),
    }
}

/// Variables that are the same for every task of a run.
pub fn magic(
    global: &Global,
    opened: &Opened,
    check: bool,
    diff: bool,
    tags: &[String],
    skip_tags: &[String],
    forks: usize,
) -> HashMap<String, Value> {
    let source = opened
        .sources
        .first()
        .map(|path| opened.files.on_disk(path))
        .unwrap_or_default();
    let (directory, file) = if source.is_dir() {
        (source.clone(), source)
    } else {
        (
            source.parent().map(Path::to_path_buf).unwrap_or_default(),
            source,
        )
    };
    let version: Map<String, Value> = [("full", "2.19.14"), ("string", "2.19.14")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .chain(
            [("major", 2), ("minor", 19), ("revision", 14)]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), Value::from(value))),
        )
        .collect();
    let run_tags = if tags.is_empty() {
        vec!["all".to_owned()]
    } else {
        tags.to_vec()
    };
    HashMap::from([
        ("ansible_check_mode".to_owned(), Value::Bool(check)),
        ("ansible_diff_mode".to_owned(), Value::Bool(diff)),
        ("ansible_version".to_owned(), Value::Object(version)),
        ("ansible_forks".to_owned(), Value::from(forks)),
        (
            "ansible_limit".to_owned(),
            Value::from(global.limit.clone().unwrap_or_default()),
        ),
        ("ansible_run_tags".to_owned(), Value::from(run_tags)),
        (
            "ansible_skip_tags".to_owned(),
            Value::from(skip_tags.to_vec()),
        ),
        ("ansible_verbosity".to_owned(), Value::from(global.verbose)),
        (
            "inventory_dir".to_owned(),
            Value::from(directory.display().to_string()),
        ),
        (
            "inventory_file".to_owned(),
            Value::from(file.display().to_string()),
        ),
        (
            "hactl_version".to_owned(),
            Value::from(env!("CARGO_PKG_VERSION")),
        ),
    ])
}
