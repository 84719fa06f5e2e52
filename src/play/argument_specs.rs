//! What a role asks of its parameters (`meta/argument_specs.yml`): a task before its first one.
//!
//! Only puts the task there; the engine judges the values, when they are known.

use super::loader::{Loading, RoleFrom};
use super::tasks::Scope;
use super::types::{Action, Item, Keywords, Role, Task};
use crate::base::Diagnostic;
use crate::source::{Node, Span, Yaml};

fn node(yaml: Yaml, span: &Span) -> Node {
    Node {
        yaml,
        span: span.clone(),
    }
}

fn text(text: &str, span: &Span) -> Node {
    node(Yaml::String(text.to_owned()), span)
}

/// Without the descriptions: they are prose, in which braces are no templates.
fn bare(options: &Node) -> Node {
    let entries = options.entries().iter().map(|(name, option)| {
        let own = option
            .entries()
            .iter()
            .filter(|(key, _)| key.as_str() != Some("description"))
            .map(|(key, value)| match key.as_str() {
                Some("options") => (key.clone(), bare(value)),
                _ => (key.clone(), value.clone()),
            });
        let option = node(Yaml::Mapping(own.collect()), &option.span);
        (name.clone(), option)
    });
    node(Yaml::Mapping(entries.collect()), &options.span)
}

impl Loading<'_> {
    /// The task that judges a role's parameters, where the role says what they are to be.
    pub(super) fn argument_specs(
        &mut self,
        role: &Role,
        from: &RoleFrom,
        scope: &Scope,
    ) -> Option<Item> {
        let own = self.role_yaml(&role.dir, "meta", "argument_specs");
        let path = match own {
            Some(path) => path,
            None => self.role_yaml(&role.dir, "meta", "main")?,
        };
        let file = self.need(&path, None)?;
        let entry = from.tasks.as_deref().unwrap_or("main");
        let spec = file.get("argument_specs")?.get(entry)?.clone();
        let span = &spec.span;
        let options = match spec.get("options") {
            Some(options) => bare(options),
            None => node(Yaml::Mapping(Vec::new()), span),
        };
        for (name, option) in options.entries() {
            if !matches!(option.yaml, Yaml::Mapping(_)) {
                self.errors.push(
                    Diagnostic::new(format!(
                        "an option of a role is a mapping, not {}",
                        option.kind()
                    ))
                    .at(&name.span)
                    .help("write `type`, `required`, `choices` below its name"),
                );
                return None;
            }
        }
        let mut title = format!("Validating arguments against arg spec '{entry}'");
        if let Some(short) = spec.get("short_description").and_then(Node::as_str) {
            title = format!("{title} - {short}");
        }
        let params = role
            .params
            .iter()
            .map(|(name, value)| (text(name, span), value.clone()))
            .collect();
        let about = [
            ("type", "role"),
            ("name", role.name.as_str()),
            ("argument_spec_name", entry),
            ("path", role.dir.as_str()),
        ]
        .map(|(name, value)| (text(name, span), text(value, span)));
        let args = vec![
            ("argument_spec".to_owned(), options),
            (
                "provided_arguments".to_owned(),
                node(Yaml::Mapping(params), span),
            ),
            (
                "validate_args_context".to_owned(),
                node(Yaml::Mapping(about.to_vec()), span),
            ),
        ];
        let keywords = Keywords {
            tags: vec!["always".to_owned()],
            ..Keywords::default()
        };
        let mut task = Task {
            name: Some(title),
            span: span.clone(),
            action: Action {
                module: "validate_argument_spec",
                args,
                free_form: None,
                template: None,
                span: span.clone(),
                lacks: None,
                missing: None,
                unfit: Vec::new(),
                later: false,
            },
            keywords: keywords.within(&scope.inherited),
            role: scope.role.clone(),
            dir: scope.dir.clone(),
            playbook_dir: scope.playbook_dir.clone(),
        };
        self.check_task(&mut task);
        Some(Item::Task(Box::new(task)))
    }
}
