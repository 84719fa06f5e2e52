//! Reads roles: their variables, dependencies, tasks and handlers.

use super::keywords::{self, Owner};
use super::loader::{Loading, RoleFrom};
use super::tasks::Scope;
use super::types::{Handler, Item, Keywords, Role};
use super::values::{is_template, variables, with_nearest};
use super::{action, paths};
use crate::base::Diagnostic;
use crate::base::value::to_bool;
use crate::source::{Node, Span, Yaml};
use std::path::Path;
use std::sync::Arc;

/// Who asks for a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// `roles:`, or the dependencies of a role: this use, told from others.
    ByEntry(String),
    /// A task, perhaps of another role.
    ByTask,
}

/// The mark of a role's tasks in the search for circles.
pub(super) fn mark(from: &RoleFrom) -> String {
    format!(
        "role {} ({})",
        from.name,
        from.tasks.as_deref().unwrap_or("main")
    )
}

impl Loading<'_> {
    /// The items of `roles:`.
    pub(super) fn roles_section(&mut self, node: &Node, scope: &Scope) -> Vec<Item> {
        let mut items = Vec::new();
        match &node.yaml {
            Yaml::Null => {}
            Yaml::Sequence(entries) => {
                for entry in entries {
                    self.role_entry(entry, scope, true, &mut items);
                }
            }
            _ => self.errors.push(
                Diagnostic::new(format!("`roles` is a list, not {}", node.kind())).at(&node.span),
            ),
        }
        items
    }

    /// One entry of `roles:` or of `dependencies:`.
    fn role_entry(
        &mut self,
        entry: &Node,
        scope: &Scope,
        section: bool,
        items: &mut Vec<Item>,
    ) -> Option<Arc<Role>> {
        let (name, params, keywords) = match &entry.yaml {
            Yaml::String(name) => (name.clone(), Vec::new(), Keywords::default()),
            Yaml::Mapping(entries) => {
                let Some(name) = entry.get("role").or_else(|| entry.get("name")) else {
                    self.errors.push(
                        Diagnostic::new("a role needs a name")
                            .at(&entry.span)
                            .help("write `- role: NAME`"),
                    );
                    return None;
                };
                let Some(name) = name.as_str() else {
                    self.errors.push(
                        Diagnostic::new(format!("a role's name is text, not {}", name.kind()))
                            .at(&name.span),
                    );
                    return None;
                };
                let own: Vec<_> = entries
                    .iter()
                    .filter(|(key, _)| !matches!(key.as_str(), Some("role" | "name")))
                    .cloned()
                    .collect();
                let read = keywords::read(&own, Owner::Role, &mut self.errors);
                let params = read
                    .rest
                    .iter()
                    .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), (*value).clone())))
                    .filter(|(key, _)| !matches!(key.as_str(), "src" | "version" | "scm"))
                    .collect();
                (name.to_owned(), params, read.keywords)
            }
            _ => {
                self.errors.push(
                    Diagnostic::new(format!(
                        "a role is a name or a mapping, not {}",
                        entry.kind()
                    ))
                    .at(&entry.span),
                );
                return None;
            }
        };
        if is_template(&name) {
            self.errors.push(
                Diagnostic::new("the name of a role in `roles` cannot be a template")
                    .at(&entry.span)
                    .help("use `include_role` in the tasks"),
            );
            return None;
        }
        self.one_user(&keywords, scope);
        let scope = Scope {
            inherited: keywords.within(&scope.inherited),
            ..scope.clone()
        };
        let from = RoleFrom {
            name,
            ..RoleFrom::default()
        };
        // The same use twice in one play runs once, unless the role says otherwise.
        let key = format!(
            "{} {:?} {:?} {:?} {:?}",
            from.name,
            params
                .iter()
                .map(|(name, node)| (name, action::literal(node).to_string()))
                .collect::<Vec<_>>(),
            scope
                .inherited
                .when
                .iter()
                .map(|node| action::literal(node).to_string())
                .collect::<Vec<_>>(),
            scope.inherited.tags,
            scope
                .inherited
                .vars
                .iter()
                .map(|(name, node)| (name, action::literal(node).to_string()))
                .collect::<Vec<_>>(),
        );
        let repeats = self.ran.contains(&key);
        if section || !repeats {
            self.ran.insert(key.clone());
        }
        let handlers = self.handlers.len();
        let asked = Asked::ByEntry(key);
        let (role, mut own) = self.role(&from, params, &scope, &entry.span, asked)?;
        if repeats && !self.allows_duplicates(&role.dir) {
            self.handlers.truncate(handlers);
        } else {
            items.append(&mut own);
        }
        Some(role)
    }

    fn allows_duplicates(&self, dir: &str) -> bool {
        let meta = self
            .role_yaml(dir, "meta", "main")
            .and_then(|path| self.loader.yaml(&path)?.ok());
        meta.is_some_and(|meta| {
            meta.get("allow_duplicates")
                .is_some_and(|node| to_bool(&action::literal(node)) == Some(true))
        })
    }

    /// Reads a role: its dependencies' items and its own. Its handlers are added to the play's.
    pub(super) fn role(
        &mut self,
        from: &RoleFrom,
        params: Vec<(String, Node)>,
        scope: &Scope,
        span: &Span,
        asked: Asked,
    ) -> Option<(Arc<Role>, Vec<Item>)> {
        let dir = self.find_role(&from.name, scope, span)?;
        self.guarded(mark(from), Some(span), |this| {
            Some(this.role_in(&dir, from, params, scope, span, asked))
        })
    }

    fn role_in(
        &mut self,
        dir: &str,
        from: &RoleFrom,
        params: Vec<(String, Node)>,
        scope: &Scope,
        span: &Span,
        asked: Asked,
    ) -> (Arc<Role>, Vec<Item>) {
        let name = dir.rsplit('/').next().unwrap_or(dir).to_owned();
        let defaults = self.role_variables(dir, "defaults", from.defaults.as_deref(), span);
        let vars = self.role_variables(dir, "vars", from.vars.as_deref(), span);
        let asking = scope.role.as_deref();
        let entry = match asked {
            Asked::ByEntry(key) => Some(key),
            Asked::ByTask => None,
        };
        let by_task = asking.filter(|_| entry.is_none());
        let parents: Vec<(String, String)> = by_task
            .map(|role| (role.name.clone(), role.dir.clone()))
            .into_iter()
            .chain(asking.into_iter().flat_map(|role| role.parents.clone()))
            .collect();
        let around = |pick: fn(&Role) -> &Vec<(String, Node)>| {
            scope.role.as_deref().map(pick).cloned().unwrap_or_default()
        };
        let params = keywords::layered(&around(|role| &role.params), params);
        // The dependencies know who asked for them, and see what that one has.
        let asking = Role {
            name: name.clone(),
            dir: dir.to_owned(),
            defaults: keywords::layered(&around(|role| &role.defaults), defaults.clone()),
            vars: keywords::layered(&around(|role| &role.vars), vars.clone()),
            params: params.clone(),
            dependencies: Vec::new(),
            parents: parents.clone(),
            entry: None,
        };
        let asking = Scope {
            role: Some(Arc::new(asking)),
            ..scope.clone()
        };
        let mut items = Vec::new();
        let dependencies = self.dependencies(dir, &asking, &mut items);
        let exported = |pick: fn(&Role) -> &Vec<(String, Node)>| {
            dependencies.iter().fold(Vec::new(), |all, role| {
                keywords::layered(&all, pick(role).clone())
            })
        };
        let inner = |low: Vec<(String, Node)>, middle: Vec<(String, Node)>, own| {
            keywords::layered(&keywords::layered(&low, middle), own)
        };
        let role = Arc::new(Role {
            name,
            dir: dir.to_owned(),
            defaults: inner(
                exported(|role| &role.defaults),
                around(|role| &role.defaults),
                defaults,
            ),
            vars: inner(around(|role| &role.vars), exported(|role| &role.vars), vars),
            params,
            dependencies,
            parents,
            // One that may run twice has never run.
            entry: entry.filter(|_| !self.allows_duplicates(dir)),
        });
        self.roles.push(Arc::clone(&role));
        self.read_roles.push(dir.to_owned());
        let inner = Scope {
            role: Some(Arc::clone(&role)),
            dir: paths::join(dir, "tasks"),
            handlers: false,
            ..scope.clone()
        };
        let judge = if from.unjudged {
            None
        } else {
            self.argument_specs(&role, from, &inner)
        };
        let tasks = self.role_tasks(dir, from, &inner, span);
        let handlers = Scope {
            dir: paths::join(dir, "handlers"),
            handlers: true,
            ..inner
        };
        let file = from.handlers.as_deref();
        match (
            self.role_yaml(dir, "handlers", file.unwrap_or("main")),
            file,
        ) {
            (Some(path), _) => {
                let found = self.tasks_file(&path, &handlers, None);
                self.add_handlers(found);
            }
            (None, Some(file)) => self.missing_in_role(dir, "handlers", file, span),
            (None, None) => {}
        }
        items.extend(judge);
        items.extend(tasks);
        items.push(Item::RoleEnd(Arc::clone(&role)));
        (role, items)
    }

    fn role_tasks(&mut self, dir: &str, from: &RoleFrom, inner: &Scope, span: &Span) -> Vec<Item> {
        match (
            self.role_yaml(dir, "tasks", from.tasks.as_deref().unwrap_or("main")),
            &from.tasks,
        ) {
            (Some(path), _) => self.guarded(path.clone(), Some(span), |this| {
                this.tasks_file(&path, inner, None)
            }),
            (None, Some(file)) => {
                self.missing_in_role(dir, "tasks", file, span);
                Vec::new()
            }
            (None, None) => Vec::new(),
        }
    }

    fn dependencies(&mut self, dir: &str, scope: &Scope, items: &mut Vec<Item>) -> Vec<Arc<Role>> {
        let Some(path) = self.role_yaml(dir, "meta", "main") else {
            return Vec::new();
        };
        let Some(meta) = self.need(&path, None) else {
            return Vec::new();
        };
        match meta.get("dependencies").map(|node| (node, &node.yaml)) {
            None | Some((_, Yaml::Null)) => Vec::new(),
            Some((_, Yaml::Sequence(entries))) => entries
                .iter()
                .filter_map(|entry| self.role_entry(entry, scope, false, items))
                .collect(),
            Some((node, _)) => {
                self.errors.push(
                    Diagnostic::new(format!("`dependencies` is a list, not {}", node.kind()))
                        .at(&node.span),
                );
                Vec::new()
            }
        }
    }

    /// `tasks/main.yml` and its kin.
    pub(super) fn role_yaml(&self, dir: &str, kind: &str, name: &str) -> Option<String> {
        ["", ".yml", ".yaml"]
            .iter()
            .map(|ending| format!("{dir}/{kind}/{name}{ending}"))
            .find(|path| self.loader.is_file(path))
    }

    fn missing_in_role(&mut self, dir: &str, kind: &str, name: &str, span: &Span) {
        self.errors
            .push(Diagnostic::new(format!("there is no file `{dir}/{kind}/{name}.yml`")).at(span));
    }

    fn role_variables(
        &mut self,
        dir: &str,
        kind: &str,
        name: Option<&str>,
        span: &Span,
    ) -> Vec<(String, Node)> {
        let mut found = Vec::new();
        let folder = format!("{dir}/{kind}/{}", name.unwrap_or("main"));
        let files = match self.role_yaml(dir, kind, name.unwrap_or("main")) {
            Some(path) => vec![path],
            None => self
                .loader
                .files
                .list(Path::new(&folder))
                .unwrap_or_default()
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
        };
        if let (true, Some(name)) = (files.is_empty(), name) {
            self.missing_in_role(dir, kind, name, span);
        }
        for path in files {
            if let Some(node) = self.need(&path, None) {
                self.check_templates(&node);
                found = keywords::layered(&found, variables(&node, &mut self.errors));
            }
        }
        found
    }

    /// The folder of a role, looked for in Ansible's order: beside the playbook, in the project, in the configured
    /// folders, beside the role that asks, as a path.
    pub(super) fn find_role(&mut self, name: &str, scope: &Scope, span: &Span) -> Option<String> {
        let mut folders = vec![
            paths::join(&scope.playbook_dir, "roles"),
            "roles".to_owned(),
        ];
        folders.extend(self.loader.roles.folders.iter().cloned());
        folders.extend(scope.role.as_ref().map(|role| paths::parent(&role.dir)));
        let beside = [scope.playbook_dir.clone(), String::new()];
        let mut places: Vec<String> = Vec::new();
        for folder in folders.iter().chain(&beside) {
            let place = paths::join(folder, name);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        if let Some(found) = places.iter().find(|place| self.loader.is_dir(place)) {
            return Some(found.clone());
        }
        let known: Vec<String> = folders
            .iter()
            .flat_map(|dir| self.loader.files.list(Path::new(dir)).unwrap_or_default())
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let mut error = Diagnostic::new(format!("there is no role `{name}`")).at(span);
        for place in places {
            error = error.note(format!("looked for {place}"));
        }
        self.open_ended = true;
        let withheld = self.loader.roles.withheld.iter().any(|own| own == name);
        self.errors.push(if withheld {
            error.help(format!(
                "hactl's own role `{name}` is for its own playbook; to have it in yours, write \
                 `embedded_roles = {name}` below `[hactl]` in ansible.cfg"
            ))
        } else {
            with_nearest(error, name, known.iter().map(String::as_str))
        });
        None
    }

    /// Makes handlers of what a list of handlers held.
    pub(super) fn add_handlers(&mut self, items: Vec<Item>) {
        for item in items {
            let (name, listen, role, span) = match &item {
                Item::Task(task) => (
                    task.name.clone(),
                    task.keywords.listen.clone(),
                    task.role.clone(),
                    &task.span,
                ),
                Item::Include(include) => (
                    include.name.clone(),
                    include.keywords.listen.clone(),
                    include.role.clone(),
                    &include.span,
                ),
                // An imported role brings its own handlers; its tasks are none.
                Item::Block(_) | Item::Flush | Item::RoleEnd(_) => continue,
            };
            if name.is_none() && listen.is_empty() {
                self.errors.push(
                    Diagnostic::new(
                        "a handler that has no `name` and no `listen` can never be notified",
                    )
                    .at(span),
                );
            }
            self.handlers.push(Handler {
                name,
                listen,
                item,
                role,
            });
        }
    }
}
