//! Includes on the way: the walk steps into them as soon as their condition and their name are known.
//!
//! It loads files of the project and nothing else; what fails is told when it is the include's turn.

use super::{Next, Walk};
use crate::base::value::{Value, has_unknown};
use crate::base::{Diagnostic, Result};
use crate::engine::cursor::{Cursor, steps};
use crate::engine::looping;
use crate::engine::unit::{Verdict, conditions};
use crate::play::{Include, Included, Task};
use crate::source::Node;
use crate::template;
use std::sync::Arc;

impl Walk<'_> {
    /// Steps into an include, when it is known what it brings.
    pub(super) fn include(&mut self, include: &Arc<Include>, cursor: &mut Cursor) -> Next {
        let keywords = &include.keywords;
        if let Ok(false) = self.selects(keywords, cursor, &include_as_task(include)) {
            cursor.advance();
            return Next::Go;
        }
        // A failure is told when it is the include's turn.
        match self.resolve(include, cursor) {
            Ok(Some(next)) => {
                *cursor = next;
                Next::Go
            }
            Ok(None) | Err(_) => Next::Stop,
        }
    }

    /// The position inside a dynamic include; `None` when it is not known yet whether or what.
    ///
    /// # Errors
    /// Missing files, templates that fail, mistakes in the included file.
    pub fn resolve(&mut self, include: &Arc<Include>, cursor: &Cursor) -> Result<Option<Cursor>> {
        let scope = self.scope(cursor, &include.keywords.vars, include.role.as_ref());
        let mut cursor = cursor.clone();
        cursor.advance();
        let probe_task = include_as_task(include);
        self.selects(&include.keywords, &cursor, &probe_task)?;
        let context = self.settings.context(&scope, &probe_task);
        let mut scopes = vec![(scope.clone(), Vec::new())];
        if let Some(looped) = &include.keywords.loop_ {
            let Some(items) = looping::items(looped, &probe_task, &context, self.settings)? else {
                return Ok(None);
            };
            let variable = looped
                .control
                .loop_var
                .clone()
                .unwrap_or_else(|| "item".to_owned());
            let all = items.clone();
            scopes = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| -> Result<_> {
                    let mut vars = vec![(variable.clone(), Node::from_value(&item, &include.span))];
                    let mut scope = scope.with(&variable, item);
                    if let Some(name) = &looped.control.index_var {
                        let index = Value::from(index);
                        vars.push((name.clone(), Node::from_value(&index, &include.span)));
                        scope = scope.with(name, index);
                    }
                    let context = self.settings.context(&scope, &probe_task);
                    let told = super::loops::extended(&looped.control, &all, index, &context)?;
                    if let Some(told) = told {
                        let name = "ansible_loop".to_owned();
                        vars.push((name, Node::from_value(&told, &include.span)));
                        scope = scope.with("ansible_loop", told);
                    }
                    Ok((scope, vars))
                })
                .collect::<Result<_>>()?;
            for (at, (scope, _)) in scopes.iter().enumerate() {
                let context = self.settings.context(scope, &probe_task);
                let ends = &looped.control.break_when;
                if !ends.is_empty() && conditions(ends, &context)? == Verdict::Holds {
                    scopes.truncate(at + 1);
                    break;
                }
            }
        }
        let mut public = Vec::new();
        // Pushed last to first, so that the first runs first.
        for (scope, item_vars) in scopes.into_iter().rev() {
            let context = self.settings.context(&scope, &probe_task);
            match conditions(&include.keywords.when, &context)? {
                Verdict::Holds => {}
                Verdict::False(_) => continue,
                Verdict::Unknown(_) => return Ok(None),
            }
            let render = |node: &Node| -> Result<Option<String>> {
                let value = template::value(node, &context)?;
                Ok((!has_unknown(&value)).then(|| crate::base::value::to_text(&value)))
            };
            let optional = |node: &Option<Node>| -> Result<Option<String>> {
                node.as_ref().map(&render).transpose().map(Option::flatten)
            };
            let items = match &include.what {
                Included::Tasks { file } => {
                    let Some(file) = render(file)? else {
                        return Ok(None);
                    };
                    self.settings
                        .loader
                        .include_tasks(include, &file)
                        .map_err(first_error)?
                }
                Included::Role {
                    name,
                    tasks_from,
                    vars_from,
                    defaults_from,
                    handlers_from,
                    public: shown,
                    unjudged,
                } => {
                    let Some(name) = render(name)? else {
                        return Ok(None);
                    };
                    let from = crate::play::RoleFrom {
                        name,
                        tasks: optional(tasks_from)?,
                        vars: optional(vars_from)?,
                        defaults: optional(defaults_from)?,
                        handlers: optional(handlers_from)?,
                        unjudged: *unjudged,
                    };
                    let included = self
                        .settings
                        .loader
                        .include_role(include, &from)
                        .map_err(first_error)?;
                    self.found_handlers.extend(included.handlers);
                    if *shown {
                        public.push(included.role);
                    }
                    included.items
                }
            };
            let vars = include.params.iter().cloned().chain(item_vars).collect();
            cursor.push(steps(items), Arc::new(vars));
        }
        Arc::make_mut(&mut cursor.public).extend(public.into_iter().rev());
        Ok(Some(cursor))
    }
}

/// An include as a task, for messages and for the search of files.
pub fn include_as_task(include: &Include) -> Task {
    let module = match include.what {
        Included::Tasks { .. } => "include_tasks",
        Included::Role { .. } => "include_role",
    };
    Task {
        name: include.name.clone(),
        span: include.span.clone(),
        action: crate::play::Action {
            module,
            args: Vec::new(),
            free_form: None,
            template: None,
            span: include.span.clone(),
            lacks: None,
            missing: None,
            later: false,
        },
        keywords: include.keywords.clone(),
        role: include.role.clone(),
        dir: include.dir.clone(),
        playbook_dir: include.playbook_dir.clone(),
    }
}

fn first_error(errors: Vec<Diagnostic>) -> Diagnostic {
    errors
        .into_iter()
        .next()
        .unwrap_or_else(|| Diagnostic::new("the include cannot be loaded"))
}
