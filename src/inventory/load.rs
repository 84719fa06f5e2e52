//! Finds and reads the sources of an inventory: files, folders, lists of hosts, `group_vars`, `host_vars`.

use super::build::{Builder, UNGROUPED};
use super::vars::{Base, Layer, Var, Vars};
use super::{Inventory, hostname, ini, yaml};
use crate::base::{Diagnostic, Diagnostics, Result, mask};
use crate::source::{self, Files, Node, SourceFile, Span, Yaml};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Decrypts a vault: takes the armoured text, gives the clear bytes.
pub type Decrypt<'a> = dyn Fn(&str) -> Result<Vec<u8>> + 'a;

/// What Ansible passes over in a folder of inventories, and what the lab may find there: cloud images.
const IGNORED_ENDS: &[&str] = &[
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
    ".qcow2", ".raw", ".img",
];
/// Further ones by their whole names; the last is the list of secrets that a project needs.
const IGNORED_NAMES: &[&str] = &["host_vars", "group_vars", "vars_plugins", SECRETS_SCHEMA];
const SECRETS_SCHEMA: &str = "secrets.schema.yml";
const HEADER: &str = "$ANSIBLE_VAULT;";

impl Inventory {
    /// Reads sources in their order, then the variables beside them and beside the playbook.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(
        files: &dyn Files,
        sources: &[PathBuf],
        playbook_dir: &Path,
        decrypt: &Decrypt<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut loader = Loader {
            files,
            decrypt,
            into: Builder::new(),
            errors: Diagnostics::default(),
        };
        let mut bases: Vec<Base> = Vec::new();
        for source in sources {
            if let Some(dir) = loader.source(source) {
                bases.push(Base {
                    dir,
                    playbook: false,
                });
            }
        }
        let playbook_dir = playbook_dir
            .strip_prefix(".")
            .unwrap_or(playbook_dir)
            .to_owned();
        bases.push(Base {
            dir: playbook_dir.clone(),
            playbook: true,
        });
        let Loader {
            into, mut errors, ..
        } = loader;
        for error in into.confused() {
            errors.push(error);
        }
        let mut inventory = into.finish();
        for base in bases {
            let layer = inventory.layer(&base, files, decrypt, &mut errors);
            inventory.layers.push(layer);
        }
        inventory.playbook_dir = playbook_dir;
        errors.finish(inventory)
    }

    fn layer(
        &self,
        base: &Base,
        files: &dyn Files,
        decrypt: &Decrypt<'_>,
        errors: &mut Diagnostics,
    ) -> Layer {
        let mut layer = Layer {
            playbook: base.playbook,
            ..Layer::default()
        };
        let mut read = |folder: &str, name: &str| {
            let mut vars = Vars::default();
            for path in errors
                .take(vars_files(files, &base.dir.join(folder), name))
                .unwrap_or_default()
            {
                for error in read_vars(files, &path, decrypt, &mut vars) {
                    errors.push(error);
                }
            }
            (name.to_owned(), vars)
        };
        if files.is_dir(&base.dir.join("group_vars")) {
            layer.groups = self
                .groups
                .iter()
                .map(|group| read("group_vars", &group.name))
                .collect();
        }
        if files.is_dir(&base.dir.join("host_vars")) {
            layer.hosts = self
                .hosts
                .iter()
                .map(|host| read("host_vars", &host.name))
                .collect();
        }
        layer
    }
}

struct Loader<'a> {
    files: &'a dyn Files,
    decrypt: &'a Decrypt<'a>,
    into: Builder,
    errors: Diagnostics,
}

impl Loader<'_> {
    /// Reads a source; gives the folder that its variables lie in.
    fn source(&mut self, source: &Path) -> Option<PathBuf> {
        let source = source.strip_prefix(".").unwrap_or(source);
        if self.files.is_dir(source) {
            self.folder(source);
            return Some(source.to_owned());
        }
        if self.files.is_file(source) {
            self.file(source);
            return Some(source.parent().map(Path::to_owned).unwrap_or_default());
        }
        let text = source.to_string_lossy();
        if text.contains(',') {
            for entry in text
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
            {
                let (name, port) =
                    hostname::address(entry).unwrap_or_else(|| (entry.to_owned(), None));
                if !self.into.has_host(&name) {
                    let file = Arc::new(SourceFile {
                        path: "--inventory".to_owned(),
                        text: text.to_string(),
                    });
                    let span = Span {
                        file,
                        line: 1,
                        column: 1,
                    };
                    self.into.host(&name, port, UNGROUPED, source, Some(&span));
                }
            }
            return None;
        }
        let error = Diagnostic::new(format!("there is no inventory `{}`", source.display()));
        let known = self
            .files
            .list(Path::new("inventories"))
            .unwrap_or_default();
        self.errors.push(if known.is_empty() {
            error.help("name a file or folder; a list of hosts needs a comma: `-i web1,`")
        } else {
            let known: Vec<String> = known
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            error.help(format!("here are: {}", known.join(", ")))
        });
        None
    }

    fn folder(&mut self, dir: &Path) {
        for path in self.files.list(dir).unwrap_or_default() {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let ignored = name.starts_with('.')
                || IGNORED_NAMES.contains(&name.as_str())
                || IGNORED_ENDS.iter().any(|end| name.ends_with(end));
            if ignored {
            } else if self.files.is_dir(&path) {
                self.folder(&path);
            } else {
                self.file(&path);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let read = read_file(self.files, path, self.decrypt);
        let Some(Clear { file, vaulted }) = self.errors.take(read).flatten() else {
            return;
        };
        let extension = path
            .extension()
            .map(|ext| ext.to_string_lossy().into_owned())
            .unwrap_or_default();
        match extension.as_str() {
            "toml" => self.errors.push(Diagnostic::new(format!(
                "`{}` is TOML; inventories are YAML (.yml, .yaml, .json) or INI",
                path.display()
            ))),
            "yml" | "yaml" | "json" => self.yaml(&file, path, vaulted),
            "" if looks_like_yaml(&file.text) => self.yaml(&file, path, vaulted),
            _ if file.text.starts_with("#!") => self.errors.push(
                Diagnostic::new(format!(
                    "`{}` is a program; only inventories themselves are read",
                    path.display()
                ))
                .help("save what it prints with `--list` through ansible-inventory, and use that"),
            ),
            _ => ini::read(&file, path, &mut self.into, &mut self.errors),
        }
    }

    fn yaml(&mut self, file: &Arc<SourceFile>, path: &Path, vaulted: bool) {
        if let Some(root) = self.errors.take(parse(file, vaulted)) {
            yaml::read(&root, path, &mut self.into, &mut self.errors);
        }
    }
}

/// Whether a file without an extension is YAML: its first line of content says so.
fn looks_like_yaml(text: &str) -> bool {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| {
        let line = line.split(" #").next().unwrap_or(line).trim_end();
        line == "---"
            || line.starts_with('{')
            || (line.ends_with(':') && !line.contains(['=', ' ']))
    })
}

/// A file with what was vaulted made readable.
struct Clear {
    file: Arc<SourceFile>,
    vaulted: bool,
}

fn read_file(files: &dyn Files, path: &Path, decrypt: &Decrypt<'_>) -> Result<Option<Clear>> {
    let Some(read) = files.read(path) else {
        return Ok(None);
    };
    let file = read?;
    if !file.text.starts_with(HEADER) {
        return Ok(Some(Clear {
            file,
            vaulted: false,
        }));
    }
    let clear = decrypt(&file.text).map_err(|error| {
        error.at(&Span {
            file: Arc::clone(&file),
            line: 1,
            column: 1,
        })
    })?;
    Ok(Some(Clear {
        file: source::text(file.path.clone(), clear)?,
        vaulted: true,
    }))
}

/// Parses a file; of one that was vaulted, neither errors nor places keep a line of the clear text.
fn parse(file: &Arc<SourceFile>, vaulted: bool) -> Result<Node> {
    let parsed = source::parse(file);
    if !vaulted {
        return parsed;
    }
    let blank = Arc::new(SourceFile {
        path: file.path.clone(),
        text: String::new(),
    });
    let hide = |span: &Span| Span {
        file: Arc::clone(&blank),
        line: span.line,
        column: span.column,
    };
    match parsed {
        Ok(node) => Ok(hide_text(node, &hide)),
        Err(mut error) => {
            error.at = error.at.as_ref().map(hide);
            Err(error)
        }
    }
}

/// Moves all places to a file without text and registers the values as secrets.
fn hide_text(mut node: Node, hide: &dyn Fn(&Span) -> Span) -> Node {
    node.span = hide(&node.span);
    node.yaml = match node.yaml {
        Yaml::Sequence(items) => Yaml::Sequence(
            items
                .into_iter()
                .map(|item| hide_text(item, hide))
                .collect(),
        ),
        Yaml::Mapping(entries) => Yaml::Mapping(
            entries
                .into_iter()
                .map(|(mut key, value)| {
                    key.span = hide(&key.span);
                    (key, hide_text(value, hide))
                })
                .collect(),
        ),
        Yaml::String(text) => {
            mask::register(&text);
            Yaml::String(text)
        }
        other => other,
    };
    node
}

/// The files that hold the variables of a group or host, in the order of reading.
fn vars_files(files: &dyn Files, dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
    // A host may be named like a path; its variables are not looked for outside of the folder.
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Ok(Vec::new());
    }
    let candidates: Vec<PathBuf> = ["", ".yml", ".yaml", ".json"]
        .iter()
        .map(|end| dir.join(format!("{name}{end}")))
        .filter(|path| files.is_dir(path) || files.is_file(path))
        .collect();
    match candidates.as_slice() {
        [] => Ok(Vec::new()),
        [one] if files.is_dir(one) => {
            let mut found = Vec::new();
            vars_folder(files, one, &mut found);
            Ok(found)
        }
        [one] => Ok(vec![one.clone()]),
        [first, second, ..] => Err(Diagnostic::new(format!(
            "both `{}` and `{}` hold the variables of `{name}`",
            first.display(),
            second.display()
        ))
        .help("Ansible reads the first only; put all into one, or all files into the folder")),
    }
}

fn vars_folder(files: &dyn Files, dir: &Path, into: &mut Vec<PathBuf>) {
    for path in files.list(dir).unwrap_or_default() {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') || name.ends_with('~') || name == SECRETS_SCHEMA {
            continue;
        }
        let extension = path
            .extension()
            .map(|ext| ext.to_string_lossy().into_owned());
        if files.is_dir(&path) {
            if extension.is_none() {
                vars_folder(files, &path, into);
            }
        } else if extension.is_none_or(|ext| ["yml", "yaml", "json"].contains(&ext.as_str())) {
            into.push(path);
        }
    }
}

fn read_vars(
    files: &dyn Files,
    path: &Path,
    decrypt: &Decrypt<'_>,
    into: &mut Vars,
) -> Vec<Diagnostic> {
    let mut errors = Diagnostics::default();
    let read = read_file(files, path, decrypt);
    let Some(clear) = errors.take(read).flatten() else {
        return errors.into_vec();
    };
    let Some(root) = errors.take(parse(&clear.file, clear.vaulted)) else {
        return errors.into_vec();
    };
    match &root.yaml {
        Yaml::Null => {}
        Yaml::Mapping(entries) => {
            for (key, value) in entries {
                if let Some(var) = errors.take(Var::of_entry(key, value)) {
                    into.set(var);
                }
            }
        }
        _ => errors.push(
            Diagnostic::new(format!(
                "a file of variables is a mapping, not {}",
                root.kind()
            ))
            .at(&root.span)
            .help("write `name: value` lines"),
        ),
    }
    errors.into_vec()
}
