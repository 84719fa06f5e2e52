//! Reads playbooks and roles from a tree of files, and gives the engine what is included during the run.
//!
//! Every mistake in everything that is read is collected; nothing of a playbook with mistakes comes out.

use super::tasks::Scope;
use super::types::{Handler, Include, IncludedRole, Item, Keywords, Play, Playbook, Role};
use crate::base::{Diagnostic, Diagnostics, Result};
use crate::source::{self, Files, Node, Span};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads playbooks and roles.
pub struct Loader {
    pub(super) files: Arc<dyn Files>,
    pub(super) roles: RolePlaces,
    parsed: Mutex<HashMap<String, Option<Result<Arc<Node>>>>>,
}

/// Where roles are besides the folder `roles` of the project and of the playbook.
#[derive(Debug, Clone, Default)]
pub struct RolePlaces {
    /// Folders of roles (`roles_path`).
    pub folders: Vec<String>,
    /// Roles that hactl has and this project did not ask for: named in the message when one is missing.
    pub withheld: Vec<String>,
    /// Roles that the project gets from the binary: what they share with the playbook is found wherever the playbook lies.
    pub given: Vec<String>,
}

/// The rendered parameters of a dynamic `include_role`.
#[derive(Debug, Clone, Default)]
pub struct RoleFrom {
    /// The role.
    pub name: String,
    /// `tasks_from`.
    pub tasks: Option<String>,
    /// `vars_from`.
    pub vars: Option<String>,
    /// `defaults_from`.
    pub defaults: Option<String>,
    /// `handlers_from`.
    pub handlers: Option<String>,
    /// `rolespec_validate: false`: its parameters are not judged.
    pub unjudged: bool,
}

/// One loading: what has been found so far.
pub(super) struct Loading<'a> {
    pub loader: &'a Loader,
    pub errors: Diagnostics,
    /// Files and roles that are being read, to find circles.
    pub open: Vec<String>,
    /// Uses of roles that need no second run.
    pub ran: HashSet<String>,
    /// The roles of the play.
    pub roles: Vec<Arc<Role>>,
    /// The handlers of the play.
    pub handlers: Vec<Handler>,
    /// Handlers that only dynamic includes bring.
    pub later_handlers: Vec<Handler>,
    /// Literal names that are notified.
    pub notified: Vec<(String, Span)>,
    /// A role whose name is not known yet is included, or something could not be read: any handler may come.
    pub open_ended: bool,
    /// Notifications that no handler hears: mistakes once their task changes something.
    pub unheard: Vec<Diagnostic>,
    /// Tasks whose modules hactl lacks.
    pub lacking: Vec<Span>,
    /// A task wants a local file that is not there, under a condition.
    pub missing: bool,
    /// The folders of all roles that were read.
    pub read_roles: Vec<String>,
    /// A task that was read may bring files to this machine.
    pub brings: bool,
}

impl Loader {
    /// For a tree of files; see [`crate::assets::Project`].
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self {
            files,
            roles: RolePlaces::default(),
            parsed: Mutex::default(),
        }
    }

    /// With more places for roles.
    #[must_use]
    pub fn with_roles(self, roles: RolePlaces) -> Self {
        Self { roles, ..self }
    }

    /// The tree of files.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Reads a playbook with everything that it imports.
    ///
    /// # Errors
    /// Every mistake found, in the order of the files.
    pub fn playbook(&self, path: &str) -> Result<Playbook, Vec<Diagnostic>> {
        let mut loading = Loading::new(self);
        let mut plays: Vec<Play> = Vec::new();
        loading.playbook(path, None, &Keywords::default(), &mut plays);
        super::plays::check_after(&plays, &mut loading.errors);
        loading.tell_own_python();
        let missing = loading.missing;
        let mut lacking = std::mem::take(&mut loading.lacking);
        let place = |span: &Span| (span.file.path.clone(), span.line, span.column);
        lacking.sort_by_key(place);
        lacking.dedup_by_key(|span| place(span));
        loading.errors.finish(Playbook {
            path: path.to_owned(),
            plays,
            unheard: std::mem::take(&mut loading.unheard),
            lacking,
            missing,
        })
    }

    /// The tasks of an `include_tasks` whose file name is rendered.
    ///
    /// # Errors
    /// When the file is not there, and every mistake in it.
    pub fn include_tasks(
        &self,
        include: &Include,
        file: &str,
    ) -> Result<Vec<Item>, Vec<Diagnostic>> {
        let mut loading = Loading::new(self);
        let items = loading.included_tasks(include, file);
        loading.tell_own_python();
        loading.errors.finish(items)
    }

    /// The role of an `include_role` whose parameters are rendered.
    ///
    /// # Errors
    /// When the role is not there, and every mistake in it. `ran`: the entries that the play has run already, which are not
    /// run once more as its dependencies.
    pub fn include_role(
        &self,
        include: &Include,
        from: &RoleFrom,
        ran: &HashSet<String>,
    ) -> Result<IncludedRole, Vec<Diagnostic>> {
        let mut loading = Loading::new(self);
        loading.ran.clone_from(ran);
        let included = loading.included_role(include, from);
        loading.tell_own_python();
        match included {
            Some((role, items)) => {
                let handlers = std::mem::take(&mut loading.handlers);
                loading.errors.finish(IncludedRole {
                    role,
                    items,
                    handlers,
                })
            }
            None => Err(loading.errors.into_vec()),
        }
    }

    /// A YAML file, read once; `None` when it is not there.
    pub(super) fn yaml(&self, path: &str) -> Option<Result<Arc<Node>>> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        parsed
            .entry(path.to_owned())
            .or_insert_with(|| {
                let file = self.files.read(Path::new(path))?;
                Some(file.and_then(|file| source::parse(&file)).map(Arc::new))
            })
            .clone()
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        self.files.is_file(Path::new(path))
    }

    pub(super) fn is_dir(&self, path: &str) -> bool {
        self.files.is_dir(Path::new(path))
    }
}

impl<'a> Loading<'a> {
    pub(super) fn new(loader: &'a Loader) -> Self {
        Self {
            loader,
            errors: Diagnostics::default(),
            open: Vec::new(),
            ran: HashSet::new(),
            roles: Vec::new(),
            handlers: Vec::new(),
            later_handlers: Vec::new(),
            notified: Vec::new(),
            open_ended: false,
            unheard: Vec::new(),
            lacking: Vec::new(),
            missing: false,
            read_roles: Vec::new(),
            brings: false,
        }
    }

    /// Reads a file that must be there.
    pub(super) fn need(&mut self, path: &str, asked: Option<&Span>) -> Option<Arc<Node>> {
        let read = self
            .loader
            .yaml(path)
            .unwrap_or_else(|| Err(Diagnostic::new(format!("there is no file `{path}`"))));
        // What it would have brought, handlers among it, is not missing besides.
        self.open_ended |= read.is_err();
        self.errors.take(match asked {
            Some(span) => read.map_err(|error| error.at(span)),
            None => read,
        })
    }

    /// Runs `read` with a mark that finds circles.
    pub(super) fn guarded<T: Default>(
        &mut self,
        mark: String,
        span: Option<&Span>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        if self.open.contains(&mark) {
            let from = self.open.iter().position(|open| *open == mark).unwrap_or(0);
            let mut circle: Vec<&str> = self.open[from..].iter().map(String::as_str).collect();
            circle.push(&mark);
            let error = Diagnostic::new(format!("`{mark}` takes in itself"))
                .note(circle.join(" → "))
                .help("break the circle, or use a dynamic include with a condition");
            self.errors.push(match span {
                Some(span) => error.at(span),
                None => error,
            });
            return T::default();
        }
        self.open.push(mark);
        let result = read(self);
        self.open.pop();
        result
    }

    /// The items of an `include_tasks`.
    pub(super) fn included_tasks(&mut self, include: &Include, file: &str) -> Vec<Item> {
        let scope = Scope::of_include(include);
        let Some(path) = self.find_tasks(file, &scope, &include.span) else {
            return Vec::new();
        };
        self.guarded(path.clone(), Some(&include.span), |this| {
            this.tasks_file(&path, &scope, Some(&include.span))
        })
    }

    /// The role and items of an `include_role`.
    pub(super) fn included_role(
        &mut self,
        include: &Include,
        from: &RoleFrom,
    ) -> Option<(Arc<Role>, Vec<Item>)> {
        let scope = Scope::of_include(include);
        self.role(
            from,
            Vec::new(),
            &scope,
            &include.span,
            super::roles::Asked::ByTask,
        )
    }
}
