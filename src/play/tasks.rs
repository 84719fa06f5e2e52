//! Reads lists of tasks and blocks.

use super::keywords::{self, Owner};
use super::loader::Loading;
use super::paths;
use super::types::{Block, Include, Item, Keywords, Role, Task};
use super::values::is_template;
use crate::base::Diagnostic;
use crate::source::{Node, Span, Yaml};
use std::sync::Arc;

/// Where tasks stand: what they inherit and where their files are.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub inherited: Keywords,
    pub role: Option<Arc<Role>>,
    pub dir: String,
    pub playbook_dir: String,
    pub handlers: bool,
}

impl Scope {
    /// The scope of what an include takes in.
    pub fn of_include(include: &Include) -> Self {
        let vars = Keywords {
            vars: include.keywords.vars.clone(),
            ..Keywords::default()
        };
        Self {
            inherited: vars.within(&include.inherited),
            role: include.role.clone(),
            dir: include.dir.clone(),
            playbook_dir: include.playbook_dir.clone(),
            handlers: false,
        }
    }

    pub fn inside(&self, own: &Keywords) -> Self {
        Self {
            inherited: own.clone().within(&self.inherited),
            ..self.clone()
        }
    }
}

impl Loading<'_> {
    /// The items of a file of tasks.
    pub(super) fn tasks_file(
        &mut self,
        path: &str,
        scope: &Scope,
        asked: Option<&Span>,
    ) -> Vec<Item> {
        let Some(node) = self.need(path, asked) else {
            return Vec::new();
        };
        let scope = Scope {
            dir: paths::parent(path),
            ..scope.clone()
        };
        self.tasks(&node, &scope)
    }

    /// The items of a list of tasks.
    pub(super) fn tasks(&mut self, node: &Node, scope: &Scope) -> Vec<Item> {
        match &node.yaml {
            Yaml::Null => Vec::new(),
            Yaml::Sequence(items) => items
                .iter()
                .flat_map(|item| self.task(item, scope))
                .collect(),
            _ => {
                let mut error = Diagnostic::new(format!("tasks are a list, not {}", node.kind()))
                    .at(&node.span);
                if node.get("hosts").is_some() || node.get("name").is_some() {
                    error = error.help("begin each task with `- `");
                }
                self.errors.push(error);
                Vec::new()
            }
        }
    }

    fn task(&mut self, node: &Node, scope: &Scope) -> Vec<Item> {
        match super::spelling::current(node.entries()) {
            Ok(None) => {}
            Ok(Some(entries)) => {
                let node = Node {
                    yaml: Yaml::Mapping(entries),
                    span: node.span.clone(),
                };
                return self.task(&node, scope);
            }
            Err(error) => {
                self.errors.push(error);
                return Vec::new();
            }
        }
        let Yaml::Mapping(entries) = &node.yaml else {
            if !matches!(node.yaml, Yaml::Null) {
                self.errors.push(
                    Diagnostic::new(format!("a task is a mapping, not {}", node.kind()))
                        .at(&node.span)
                        .help("write `- name: …` and the module below it"),
                );
            }
            return Vec::new();
        };
        if node.get("block").is_some()
            || node.get("rescue").is_some()
            || node.get("always").is_some()
        {
            return self.block(node, entries, scope);
        }
        if node.get("hosts").is_some() {
            self.errors.push(
                Diagnostic::new("a play stands where a task is wanted")
                    .at(&node.span)
                    .help("take a playbook in with `import_playbook` at the top level"),
            );
            return Vec::new();
        }
        let owner = if scope.handlers {
            Owner::Handler
        } else {
            Owner::Task
        };
        match super::includes::kind(entries) {
            Some((kind, key, value)) => self.include(kind, (key, value), entries, node, scope),
            None => self
                .plain(entries, node, owner, scope)
                .into_iter()
                .collect(),
        }
    }

    fn block(&mut self, node: &Node, entries: &[(Node, Node)], scope: &Scope) -> Vec<Item> {
        let read = keywords::read(entries, Owner::Block, &mut self.errors);
        for (key, _) in &read.rest {
            let name = key.as_str().unwrap_or("?");
            if !matches!(name, "block" | "rescue" | "always") {
                let known = keywords::of(Owner::Block).chain(["block", "rescue", "always"]);
                self.errors.push(super::values::with_nearest(
                    Diagnostic::new(format!("a block has no `{name}`")).at(&key.span),
                    name,
                    known,
                ));
            }
        }
        if node.get("block").is_none() {
            self.errors
                .push(Diagnostic::new("`rescue` and `always` need a `block`").at(&node.span));
        }
        self.note_notified(&read.keywords);
        self.one_user(&read.keywords, scope);
        let inner = scope.inside(&read.keywords);
        let mut section = |name: &str| {
            node.get(name)
                .map(|node| self.tasks(node, &inner))
                .unwrap_or_default()
        };
        let tasks = section("block");
        if scope.handlers {
            self.only_handlers(node);
            return tasks;
        }
        let (rescue, always) = (section("rescue"), section("always"));
        vec![Item::Block(Box::new(Block {
            name: read.name,
            span: node.span.clone(),
            tasks,
            rescue,
            always,
            keywords: inner.inherited,
            role: scope.role.clone(),
        }))]
    }

    /// A block among handlers only gives its keywords to them: each is notified by its own name.
    fn only_handlers(&mut self, node: &Node) {
        for name in ["rescue", "always"] {
            if let Some(found) = node.get(name) {
                let error = Diagnostic::new(format!("`{name}` has no effect among handlers"));
                self.errors.push(error.at(&found.span).help(
                    "Ansible never runs it: put the tasks into a file, and a block there, and include that as the handler",
                ));
            }
        }
        let items = node.get("block").and_then(Node::items).unwrap_or_default();
        for inner in items.iter().filter(|inner| inner.get("block").is_some()) {
            let error = Diagnostic::new("a block among handlers holds no other block");
            self.errors.push(error.at(&inner.span));
        }
    }

    fn plain(
        &mut self,
        entries: &[(Node, Node)],
        node: &Node,
        owner: Owner,
        scope: &Scope,
    ) -> Option<Item> {
        let read = keywords::read(entries, owner, &mut self.errors);
        self.note_notified(&read.keywords);
        self.one_user(&read.keywords, scope);
        let keywords = read.keywords.within(&scope.inherited);
        let action = self.action(&read.rest, read.args, node, &keywords);
        // Whoever notifies a handler that has a mistake of its own makes no second one.
        self.open_ended |= action.is_none() && scope.handlers;
        let action = action?;
        let mut task = Task {
            name: read.name,
            span: node.span.clone(),
            action,
            keywords,
            role: scope.role.clone(),
            dir: scope.dir.clone(),
            playbook_dir: scope.playbook_dir.clone(),
        };
        self.check_task(&mut task);
        self.brings |= task.action.module == "fetch"
            || task.keywords.delegate_to.is_some()
            || task.keywords.connection.is_some();
        Some(Item::Task(Box::new(task)))
    }

    /// A host is entered as one user: a part of a play cannot wish for another one.
    pub(super) fn one_user(&mut self, own: &Keywords, scope: &Scope) {
        let Some(user) = &own.remote_user else { return };
        let outer = scope.inherited.remote_user.as_ref();
        if outer.is_none_or(|outer| outer.yaml != user.yaml) {
            self.errors.push(
                Diagnostic::new("`remote_user` stands on a part of a play, and a host is entered as one user in a run")
                    .at(&user.span)
                    .help("write it on the play, or `ansible_user` in the inventory; for one task: `become_user`"),
            );
        }
    }

    /// Looks for a file of tasks beside the including file, in the role, beside the playbook.
    pub(super) fn find_tasks(&mut self, file: &str, scope: &Scope, span: &Span) -> Option<String> {
        let mut places = vec![paths::join(&scope.dir, file)];
        if let Some(role) = &scope.role {
            places.push(paths::join(&paths::join(&role.dir, "tasks"), file));
            places.push(paths::join(&role.dir, file));
        }
        places.push(paths::join(&scope.playbook_dir, file));
        if let Some(found) = places.iter().find(|place| self.loader.is_file(place)) {
            return Some(found.clone());
        }
        places.dedup();
        let mut error = Diagnostic::new(format!("there is no file of tasks `{file}`")).at(span);
        for place in places {
            error = error.note(format!("looked for {place}"));
        }
        self.open_ended = true;
        self.errors.push(error);
        None
    }

    /// Keeps what is notified for the end of the play, and looks whether defaults are of modules that there are.
    pub(super) fn note_notified(&mut self, keywords: &Keywords) {
        for (name, node) in &keywords.module_defaults {
            if name.starts_with("group/") {
                self.errors.push(
                    Diagnostic::new("hactl knows no groups of modules in `module_defaults`")
                        .at(&node.span)
                        .help("name the modules one by one"),
                );
            } else if super::actions::find(name).is_none()
                && super::elsewhere::full_name(name).is_none()
            {
                let error = Diagnostic::new(format!(
                    "`module_defaults` names `{name}`, which is no module of hactl"
                ));
                let short = name.rsplit('.').next().unwrap_or(name);
                self.errors.push(super::values::with_nearest(
                    error.at(&node.span),
                    short,
                    super::actions::names(),
                ));
            }
        }
        for node in &keywords.notify {
            if let Some(name) = node.as_str().filter(|name| !is_template(name)) {
                self.notified.push((name.to_owned(), node.span.clone()));
            }
        }
    }
}
