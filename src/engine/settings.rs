//! What a run is told: the flags, resolved once.

use super::scope::Scope;
use crate::base::Result;
use crate::play::{Loader, Task};
use crate::template::{Context, TemplateFiles};
use std::path::PathBuf;
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
    /// Reads included files, finds templates and files.
    pub loader: Arc<Loader>,
    /// Opens vaulted values.
    pub decrypt: Decrypt,
    /// Who runs this, for the lock.
    pub operator: super::greet::Operator,
    /// Where `fetch` writes, and relative local paths start.
    pub project: PathBuf,
}

impl Settings {
    /// What a template of this task needs.
    pub fn context(&self, scope: &Scope, task: &Task) -> Context {
        Context {
            variables: Arc::new(scope.clone()),
            files: Arc::new(Search { loader: Arc::clone(&self.loader), task: SearchPath::of(task) }),
            decrypt: Arc::clone(&self.decrypt),
        }
    }

    /// What a template outside of any task needs (play keywords, `hostvars`).
    pub fn plain_context(&self, scope: &Scope) -> Context {
        Context {
            variables: Arc::new(scope.clone()),
            files: Arc::new(Search { loader: Arc::clone(&self.loader), task: SearchPath::default() }),
            decrypt: Arc::clone(&self.decrypt),
        }
    }
}

/// Where a task's files are searched.
#[derive(Debug, Clone, Default)]
pub struct SearchPath {
    /// The role's folder.
    pub role: Option<String>,
    /// The folder of the task's file.
    pub dir: String,
    /// The playbook's folder.
    pub playbook_dir: String,
}

impl SearchPath {
    /// Of a task.
    pub fn of(task: &Task) -> Self {
        Self {
            role: task.role.as_ref().map(|role| role.dir.clone()),
            dir: task.dir.clone(),
            playbook_dir: task.playbook_dir.clone(),
        }
    }
}

/// Finds the files that templates name.
struct Search {
    loader: Arc<Loader>,
    task: SearchPath,
}
