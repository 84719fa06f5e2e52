//! What a run is told: the flags, resolved once.

use super::scope::Scope;
use crate::base::{Diagnostic, Result};
use crate::connection::HostKeys;
use crate::play::{Loader, Task};
use crate::source::Node;
use crate::template::{Context, FileKind, TemplateFiles};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How `!vault` values are opened.
pub type Decrypt = Arc<dyn Fn(&str) -> Result<String> + Send + Sync>;

/// The flags of a run.
#[derive(Clone)]
pub struct Settings {
    /// Apply nothing.
    pub check: bool,
    /// Show differences.
    pub diff: bool,
    /// Ask no host: every host is a freshly installed machine.
    pub offline: bool,
    /// At most so many hosts at once.
    pub forks: usize,
    /// Only tasks with these tags.
    pub tags: Vec<String>,
    /// Not tasks with these.
    pub skip_tags: Vec<String>,
    /// Run handlers also on hosts that failed.
    pub force_handlers: bool,
    /// Look at one task at a time: the slow, plain way that lookahead must equal.
    pub one_by_one: bool,
    /// Only show the files as they will be (`hactl render`), also those whose condition is not known yet.
    pub render: bool,
    /// Count the processes that a run starts on each host (one more round trip).
    pub count_processes: bool,
    /// What to do about unknown host keys.
    pub host_keys: HostKeys,
    /// Reads included files, finds templates and files.
    pub loader: Arc<Loader>,
    /// Opens vaulted values.
    pub decrypt: Decrypt,
    /// Who runs this, for the lock.
    pub operator: super::lock::Operator,
    /// What the project is called on its hosts: the handlers that a run owes are its own.
    pub identity: String,
    /// Drop what earlier runs owe, of whatever project.
    pub forget_handlers: bool,
    /// Where hactl keeps its own state (lock, owed handlers) on a host: [`super::STATE`] but for tests,
    /// which run several hosts on one machine. `%h` is the host's name.
    pub state: String,
    /// Where `fetch` writes, and relative local paths start.
    pub project: PathBuf,
}

impl Settings {
    /// Whether `--tags` and `--skip-tags` leave something with these tags in.
    pub fn selects(&self, tags: &[String]) -> bool {
        crate::play::selected(tags, &self.tags, &self.skip_tags)
    }

    /// What a template of this task needs.
    pub fn context(&self, scope: &Scope, task: &Task) -> Context {
        let scope = Scope {
            dir: Some(task.dir.as_str().into()),
            ..scope.clone()
        };
        Context {
            variables: Arc::new(scope),
            files: Arc::new(Search {
                loader: Arc::clone(&self.loader),
                task: Some(task.clone()),
            }),
            decrypt: Arc::clone(&self.decrypt),
        }
    }

    /// What a template outside of any task needs (play keywords, `hostvars`).
    pub fn plain_context(&self, scope: &Scope) -> Context {
        Context {
            variables: Arc::new(scope.clone()),
            files: Arc::new(Search {
                loader: Arc::clone(&self.loader),
                task: None,
            }),
            decrypt: Arc::clone(&self.decrypt),
        }
    }
}

/// Finds the files that templates name, along the task's search path.
struct Search {
    loader: Arc<Loader>,
    task: Option<Task>,
}

impl TemplateFiles for Search {
    fn find(&self, kind: FileKind, name: &str) -> Option<String> {
        let task = self.task.as_ref()?;
        match kind {
            FileKind::Templates => self.loader.find_template(task, name),
            FileKind::Files => self.loader.find_file(task, name),
            FileKind::Vars => self.loader.find_vars(task, name),
            FileKind::Plain => return self.loader.found(task, "", name),
        }
        .ok()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let missing = || Err(Diagnostic::new(format!("there is no file `{path}`")));
        self.loader
            .files()
            .read_bytes(Path::new(path))
            .unwrap_or_else(missing)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        // Without a folder, the names are those of the role's or playbook's `files`.
        let (folder, names) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let Ok(names) = glob::Pattern::new(names) else {
            return Vec::new();
        };
        let folder = match &self.task {
            Some(task) if !folder.starts_with('/') => self
                .loader
                .find_file(task, folder)
                .unwrap_or_else(|_| folder.to_owned()),
            _ => folder.to_owned(),
        };
        let entries = self
            .loader
            .files()
            .list(Path::new(&folder))
            .unwrap_or_default();
        entries
            .into_iter()
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| names.matches(name))
            })
            .filter(|path| !self.loader.files().is_dir(path))
            .map(|path| path.display().to_string())
            .collect()
    }
}

impl Settings {
    /// The path and the variables of a file that a task names.
    ///
    /// # Errors
    /// When it is missing or is no mapping.
    pub fn vars_file(&self, task: &Task, name: &str) -> Result<(String, Vec<(String, Node)>)> {
        let path = self.loader.find_vars(task, name)?;
        let variables = self.vars_at(&path)?;
        Ok((path, variables))
    }

    /// The variables of a file.
    ///
    /// # Errors
    /// As [`Settings::vars_file`].
    pub fn vars_at(&self, path: &str) -> Result<Vec<(String, Node)>> {
        let file = self
            .loader
            .files()
            .read(Path::new(path))
            .ok_or_else(|| Diagnostic::new(format!("`{path}` cannot be read")))??;
        self.parse_vars(&file)
    }
}
