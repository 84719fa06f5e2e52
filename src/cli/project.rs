//! The project that a command works on: its files, its inventory, its secrets. Resolved once, then passed on.

use super::config::Config;
use super::{Global, vault};
use crate::assets::{Project, Unread};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result};
use crate::engine::{self, Decrypt, absolute, root};
use crate::inventory::Inventory;
use crate::play::{Loader, RolePlaces};
use crate::source::{self, Files, Node, SourceFile, Yaml};
use crate::vault::{ClearFiles, Opener, Passwords};
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
    let passwords = Arc::new(vault::passwords(global));
    Ok(Loader::new(clear(Arc::new(project), &passwords)).with_roles(places))
}

/// The files that a playbook sees, and where its roles are. An embedded playbook has all that is in the binary; one of
/// the user's own has what the configuration names.
fn with_roles(folder: &Path, playbook: &Path) -> Result<(Project, RolePlaces)> {
    let config = Config::read(folder)?.known()?;
    let mut project = Project::new(folder);
    if project.on_disk(playbook).is_file() {
        project = project.serving(config.served()?);
    }
    let places = config.places(project.withheld(), project.given());
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
    let clear = clear(Arc::clone(&files), &passwords);
    let extra = extra(global, &*clear)?;
    Ok(Opened {
        files,
        loader: Arc::new(Loader::new(clear).with_roles(places)),
        inventory,
        sources,
        decrypt,
        extra,
    })
}

/// Warnings about templates of the user's that nothing reads any more.
pub fn unread(files: &Project) -> Vec<Diagnostic> {
    let warning = |Unread { path, now }| {
        let folder = Path::new(&now).parent().unwrap_or(Path::new(""));
        Diagnostic::new(format!(
            "`{path}` is read by nothing: hactl's role reads `{now}` now"
        ))
        .help(format!(
            "if it is to count: mkdir -p {} && mv {path} {now}; else delete it",
            folder.display()
        ))
    };
    files.unread_templates().into_iter().map(warning).collect()
}

/// The files of a project, encrypted ones opened.
pub fn clear(files: Arc<Project>, passwords: &Arc<Passwords>) -> Arc<dyn Files> {
    let passwords = Arc::clone(passwords);
    let open: Opener = Arc::new(move |text: &str| passwords.decrypt(text));
    Arc::new(ClearFiles::new(files, open))
}

fn extra(global: &Global, files: &dyn Files) -> Result<HashMap<String, Node>, Vec<Diagnostic>> {
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
    let root = root(&global.project);
    let sources: Vec<String> = opened
        .sources
        .iter()
        .map(|path| path.to_string_lossy())
        .map(|path| {
            if path.contains(',') {
                path.into_owned()
            } else {
                absolute(&root, path.trim_start_matches("./"))
            }
        })
        .collect();
    let configuration = absolute(&root, "ansible.cfg");
    let configuration = Some(configuration).filter(|path| Path::new(path).is_file());
    engine::magic(engine::Flags {
        check,
        diff,
        forks,
        verbosity: global.verbose,
        tags: tags.to_vec(),
        skip_tags: skip_tags.to_vec(),
        limit: global.limit.clone(),
        sources,
        configuration: configuration.unwrap_or_default(),
    })
}
