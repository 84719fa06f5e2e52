//! Imports, which are expanded at load, and includes, which are kept for the run but read ahead for their mistakes.

use super::action::Parsed;
use super::freeform;
use super::keywords::{self, Owner};
use super::loader::{Loading, RoleFrom};
use super::tasks::Scope;
use super::types::{Include, Included, Item, Keywords};
use super::values::{is_dynamic, is_template, strings};
use crate::base::Diagnostic;
use crate::base::value::to_bool;
use crate::source::{Node, Yaml};
use std::sync::Arc;

impl Loading<'_> {
    /// The items of an import, or the include itself.
    pub(super) fn include(
        &mut self,
        kind: &'static str,
        (key, value): (&Node, &Node),
        entries: &[(Node, Node)],
        node: &Node,
        scope: &Scope,
    ) -> Vec<Item> {
        let dynamic = kind.starts_with("include");
        let looped = entries.iter().find(|(key, _)| {
            key.as_str()
                .is_some_and(|name| name == "loop" || name.starts_with("with_"))
        });
        if let (false, Some((looped, _))) = (dynamic, looped) {
            self.errors.push(
                Diagnostic::new(format!("`{kind}` cannot be looped: it is expanded at load"))
                    .at(&looped.span)
                    .help(format!("use `{}`", kind.replace("import", "include"))),
            );
            return Vec::new();
        }
        let owner = if dynamic {
            Owner::Include
        } else {
            Owner::Block
        };
        let extra = |name: &str| name == "args" || (scope.handlers && name == "listen");
        let (own, others): (Vec<_>, Vec<_>) = entries
            .iter()
            .cloned()
            .partition(|(key, _)| !key.as_str().is_some_and(extra));
        let read = keywords::read(&own, owner, &mut self.errors);
        let args = others
            .iter()
            .find(|(key, _)| key.as_str() == Some("args"))
            .map(|(_, value)| value);
        for (other, _) in read.rest.iter().filter(|(other, _)| other.span != key.span) {
            self.unknown_key(other, kind, Owner::Include);
        }
        let Some(parsed) = self.parameters(kind, key, value, args) else {
            return Vec::new();
        };
        let mut keywords = read.keywords;
        if let Some(pause) = keywords
            .loop_
            .as_ref()
            .and_then(|it| it.control.pause.as_ref())
        {
            self.errors.push(
                Diagnostic::new("the loop of an include takes no `pause`")
                    .at(&pause.span)
                    .help("put a task with `ansible.builtin.pause` into what is included"),
            );
        }
        if let Some((_, listen)) = others
            .iter()
            .find(|(key, _)| key.as_str() == Some("listen"))
        {
            keywords.listen = strings(listen, "listen", &mut self.errors);
        }
        self.note_notified(&keywords);
        if dynamic {
            let include = self.dynamic(kind, read.name, keywords, &parsed, node, scope);
            return include
                .into_iter()
                .map(|include| Item::Include(Box::new(include)))
                .collect();
        }
        self.one_user(&keywords, scope);
        let inner = scope.inside(&keywords);
        if kind == "import_tasks" {
            let Some(file) = self.literal(&parsed, &["_raw_params", "file"], kind, node) else {
                return Vec::new();
            };
            let Some(path) = self.find_tasks(&file, &inner, &node.span) else {
                return Vec::new();
            };
            return self.guarded(path.clone(), Some(&node.span), |this| {
                this.tasks_file(&path, &inner, Some(&node.span))
            });
        }
        let Some(name) = self.literal(&parsed, &["name", "role"], kind, node) else {
            return Vec::new();
        };
        let mut from = |what: &str| {
            parsed
                .get(what)
                .is_some()
                .then(|| self.literal(&parsed, &[what], kind, node))
                .flatten()
        };
        let from = RoleFrom {
            name,
            tasks: from("tasks_from"),
            vars: from("vars_from"),
            defaults: from("defaults_from"),
            handlers: from("handlers_from"),
            unjudged: parsed
                .get("rolespec_validate")
                .is_some_and(|node| to_bool(&super::action::literal(node)) == Some(false)),
        };
        self.role(
            &from,
            Vec::new(),
            &inner,
            &node.span,
            super::roles::Asked::ByTask,
        )
        .map(|(_, items)| items)
        .unwrap_or_default()
    }

    fn dynamic(
        &mut self,
        kind: &str,
        name: Option<String>,
        keywords: Keywords,
        parsed: &Parsed,
        node: &Node,
        scope: &Scope,
    ) -> Option<Include> {
        let apply = match parsed.get("apply") {
            Some(node) => {
                let read = keywords::read(node.entries(), Owner::Block, &mut self.errors);
                for (key, _) in &read.rest {
                    self.unknown_key(key, "apply", Owner::Block);
                }
                read.keywords
            }
            None => Keywords::default(),
        };
        for name in ["public", "allow_duplicates", "rolespec_validate"] {
            if let Some(node) = parsed.get(name).filter(|node| is_dynamic(node)) {
                self.errors.push(
                    Diagnostic::new(format!("`{name}` takes yes or no, not a template"))
                        .at(&node.span),
                );
            }
        }
        let flag = |name: &str, default: bool| match parsed.get(name).map(|node| &node.yaml) {
            Some(Yaml::Bool(flag)) => *flag,
            Some(Yaml::String(text)) => to_bool(&text.as_str().into()).unwrap_or(default),
            _ => default,
        };
        let what = if kind == "include_tasks" {
            Included::Tasks {
                file: parsed
                    .get("_raw_params")
                    .or_else(|| parsed.get("file"))?
                    .clone(),
            }
        } else {
            Included::Role {
                name: parsed.get("name").or_else(|| parsed.get("role"))?.clone(),
                tasks_from: parsed.get("tasks_from").cloned(),
                vars_from: parsed.get("vars_from").cloned(),
                defaults_from: parsed.get("defaults_from").cloned(),
                handlers_from: parsed.get("handlers_from").cloned(),
                public: flag("public", false),
                unjudged: !flag("rolespec_validate", true),
            }
        };
        let mut include = Include {
            missing: None,
            name,
            span: node.span.clone(),
            what,
            params: keywords.vars.clone(),
            keywords: keywords.within(&scope.inherited),
            inherited: apply.within(&scope.inherited),
            role: scope.role.clone(),
            dir: scope.dir.clone(),
            playbook_dir: scope.playbook_dir.clone(),
        };
        if include.keywords.register.is_some() && include.keywords.loop_.is_some() {
            let error = Diagnostic::new("the results of an include in a loop cannot be registered");
            let help = "register what a task inside of it gives";
            self.errors.push(error.at(&node.span).help(help));
        }
        self.check_include(&include);
        include.missing = self.look_ahead(&include).map(Arc::new);
        Some(include)
    }

    /// Reads what a literal include will take in, only for its mistakes, its notifications and its handlers. Gives what is
    /// wrong when a host gets there: under a condition, what it wants need not be there.
    fn look_ahead(&mut self, include: &Include) -> Option<Diagnostic> {
        let mut ahead = Loading::new(self.loader);
        ahead.open.clone_from(&self.open);
        ahead.brings = self.brings;
        let absent;
        match &include.what {
            Included::Tasks { file } => {
                let file = file.as_str().filter(|file| !is_template(file))?;
                let scope = Scope::of_include(include);
                let found = ahead.find_tasks(file, &scope, &include.span);
                absent = found.is_none();
                // A file may include itself under a condition: that ends during the run, not here.
                if found.is_some_and(|path| !self.open.contains(&path)) {
                    ahead.included_tasks(include, file);
                }
            }
            Included::Role {
                name,
                tasks_from,
                vars_from,
                defaults_from,
                handlers_from,
                unjudged,
                ..
            } => {
                let from = [
                    Some(name),
                    tasks_from.as_ref(),
                    vars_from.as_ref(),
                    defaults_from.as_ref(),
                    handlers_from.as_ref(),
                ];
                if from.iter().flatten().any(|node| is_dynamic(node)) {
                    self.open_ended = true;
                    return None;
                }
                let text =
                    |node: &Option<Node>| node.as_ref().and_then(Node::as_str).map(str::to_owned);
                let from = RoleFrom {
                    name: name.as_str().unwrap_or_default().to_owned(),
                    tasks: text(tasks_from),
                    vars: text(vars_from),
                    defaults: text(defaults_from),
                    handlers: text(handlers_from),
                    unjudged: *unjudged,
                };
                let scope = Scope::of_include(include);
                absent = ahead.find_role(&from.name, &scope, &include.span).is_none();
                if !absent && !self.open.contains(&super::roles::mark(&from)) {
                    ahead.included_role(include, &from);
                }
            }
        }
        let mut errors = std::mem::take(&mut ahead.errors).into_vec();
        // Its only error then: what is not there has no mistakes in it.
        let may_be_left_out = absent && !include.keywords.when.is_empty();
        let missing = if may_be_left_out { errors.pop() } else { None };
        for error in errors {
            self.errors.push(error);
        }
        self.missing |= missing.is_some();
        self.later_handlers.append(&mut ahead.handlers);
        self.later_handlers.append(&mut ahead.later_handlers);
        self.notified.append(&mut ahead.notified);
        self.lacking.append(&mut ahead.lacking);
        self.missing |= ahead.missing;
        self.brings |= ahead.brings;
        self.read_roles.append(&mut ahead.read_roles);
        self.open_ended |= ahead.open_ended;
        missing
    }

    /// The text of a parameter that must be known at load.
    fn literal(
        &mut self,
        parsed: &Parsed,
        names: &[&str],
        kind: &str,
        node: &Node,
    ) -> Option<String> {
        let value = names.iter().find_map(|name| parsed.get(name))?;
        let error = match value.as_str() {
            Some(text) if !is_template(text) => return Some(text.to_owned()),
            Some(_) => Diagnostic::new(format!(
                "`{kind}` is expanded at load and cannot take a template"
            ))
            .help(format!("use `{}`", kind.replace("import", "include"))),
            None => Diagnostic::new(format!("`{kind}` takes text, not {}", value.kind())),
        };
        self.errors.push(error.at(if value.span.line == 0 {
            &node.span
        } else {
            &value.span
        }));
        None
    }

    /// Parameters of an include or import.
    fn parameters(
        &mut self,
        kind: &'static str,
        key: &Node,
        value: &Node,
        args: Option<&Node>,
    ) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        match &value.yaml {
            Yaml::Mapping(_) => parsed.add(value, &mut self.errors),
            Yaml::String(text) if kind.ends_with("tasks") && !text.contains('=') => {
                parsed.free_form = Some(value.clone());
            }
            Yaml::String(text) => {
                let split = freeform::split(text, value, false);
                parsed.args = split
                    .args
                    .into_iter()
                    .map(|(name, node)| (name, value.span.clone(), node))
                    .collect();
                parsed.free_form = split.rest;
            }
            Yaml::Null => {}
            _ => {
                self.errors.push(
                    Diagnostic::new(format!("`{kind}` takes a mapping, not {}", value.kind()))
                        .at(&value.span),
                );
                return None;
            }
        }
        if let Some(args) = args {
            parsed.add(args, &mut self.errors);
        }
        let spec = super::actions::builtin(kind)?;
        let sound = self.check_parameters(spec, &parsed);
        let unfit = self.unfit(spec, key, &parsed);
        let sound = sound && unfit.is_empty();
        for error in unfit {
            self.errors.push(error);
        }
        sound.then_some(parsed)
    }
}

/// The import or include that a task is, if it is one.
pub(super) fn kind(entries: &[(Node, Node)]) -> Option<(&'static str, &Node, &Node)> {
    entries.iter().find_map(|(key, value)| {
        let name = super::actions::builtin(key.as_str()?)?.names[0];
        matches!(
            name,
            "include_tasks" | "import_tasks" | "include_role" | "import_role"
        )
        .then_some((name, key, value))
    })
}
