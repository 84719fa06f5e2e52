//! Includes on the way: the walk steps into them as soon as their condition and their name are known.
//!
//! It loads files of the project and nothing else; what fails is told when it is the include's turn.

use super::{Next, Walk};
use crate::base::value::{Value, has_unknown};
use crate::base::{Diagnostic, Result};
use crate::engine::cursor::{Cursor, steps};
use crate::engine::looping;
use crate::engine::order::count;
use crate::engine::place::Place;
use crate::engine::unit::{Verdict, conditions};
use crate::play::{Include, Included, Item, Task};
use crate::source::Node;
use crate::template;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

/// What an include brings, once or for an item of its loop.
struct Brought {
    /// What it is, alike for hosts that get the same.
    content: String,
    inside: Place,
    items: Vec<crate::play::Item>,
    vars: Vec<(String, Node)>,
}

impl Walk<'_> {
    /// Steps into an include, when it is known what it brings.
    pub(super) fn include(&mut self, include: &Arc<Include>, cursor: &mut Cursor) -> Next {
        let keywords = &include.keywords;
        if let Ok(false) = self.selects(keywords, cursor, &include_as_task(include)) {
            cursor.advance();
            return Next::Go;
        }
        let read = count(&self.reads);
        let resolved = self.resolve(include, cursor);
        // What depends on other hosts is decided when they have come to the include.
        if count(&self.reads) > read && self.is_early(cursor) {
            return Next::Stop;
        }
        // A failure is told when it is the include's turn.
        match resolved {
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
        let place = cursor.place();
        cursor.advance();
        let probe_task = include_as_task(include);
        self.selects(&include.keywords, &cursor, &probe_task)?;
        let context = self.settings.context(&scope, &probe_task);
        let mut scopes = vec![(scope.clone(), Vec::new())];
        let mut brought: Vec<Brought> = Vec::new();
        if let Some(looped) = &include.keywords.loop_ {
            let items = looping::items(looped, &probe_task, &context, self.settings);
            // `when: x is defined` guards `loop: "{{ x }}"` too, as long as it does not look at the item.
            let guarded = || conditions(&include.keywords.when, &context);
            let items = match items {
                Ok(Some(items)) => items,
                Ok(None) | Err(_) if matches!(guarded(), Ok(Verdict::False(_))) => Vec::new(),
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
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
        let mut ran = (*cursor.ran).clone();
        for (scope, item_vars) in scopes {
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
            let (content, items) = match &include.what {
                Included::Tasks { file } => {
                    let Some(file) = render(file)? else {
                        return Ok(None);
                    };
                    let loader = &self.settings.loader;
                    let items = loader.include_tasks(include, &file).map_err(first_error)?;
                    (file, items)
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
                        .include_role(include, &from, &ran)
                        .map_err(first_error)?;
                    // Dependencies that came with one item are not run again with the next.
                    ran.extend(included.items.iter().filter_map(|item| match item {
                        Item::RoleEnd(role) => role.entry.clone(),
                        _ => None,
                    }));
                    self.found_handlers.extend(included.handlers);
                    if *shown {
                        public.push(included.role);
                    }
                    (format!("{from:?}"), included.items)
                }
            };
            // The same file for the same item is the same for all hosts, wherever it stands in their lists.
            let items_of: Vec<Value> = item_vars
                .iter()
                .map(|(_, node)| node.to_value().unwrap_or_default())
                .collect();
            let mut number = std::hash::DefaultHasher::new();
            Value::from(items_of).to_string().hash(&mut number);
            let content = format!("{content} {:x}", number.finish());
            let again = brought.iter().filter(|known| known.content == content);
            let inside = place.inside(&format!("{content} {}", again.count()));
            let vars: Vec<_> = include.params.iter().cloned().chain(item_vars).collect();
            brought.push(Brought {
                content,
                inside,
                items,
                vars,
            });
        }
        let told = include.keywords.register.as_ref().map(|name| {
            let register = register(include, name, !brought.is_empty());
            (register, place.inside("register"))
        });
        if let Some((key, host)) = self.key {
            let coordinator = &self.play.globals.coordinator;
            let mut board = coordinator.board();
            let ranks = &mut board.orders.entry(key).or_default().ranks;
            let first = told.iter().map(|(_, inside)| inside);
            let parts = first.chain(brought.iter().map(|part| &part.inside));
            for (number, inside) in parts.enumerate() {
                ranks.enter(inside, host, number);
            }
        }
        // Pushed last to first, so that the first runs first.
        for part in brought.into_iter().rev() {
            cursor.push(steps(part.items), Arc::new(part.vars), part.inside);
        }
        if let Some((task, inside)) = told {
            let item = Item::Task(Box::new(task));
            cursor.push(steps(vec![item]), Arc::default(), inside);
        }
        Arc::make_mut(&mut cursor.public).extend(public);
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
            unfit: Vec::new(),
            later: false,
        },
        keywords: include.keywords.clone(),
        role: include.role.clone(),
        dir: include.dir.clone(),
        playbook_dir: include.playbook_dir.clone(),
    }
}

/// What an include registers: that it was skipped, or that it was not. A task of its own sets it, before what is included.
fn register(include: &Include, name: &str, reached: bool) -> Task {
    let mut task = include_as_task(include);
    task.name = task.name.or_else(|| Some(task.action.module.to_owned()));
    task.action.module = "set_fact";
    task.keywords = crate::play::Keywords {
        register: Some(name.to_owned()),
        ..crate::play::Keywords::default()
    };
    if !reached {
        task.keywords.when = vec![Node::from_value(&Value::from(false), &include.span)];
    }
    task
}

fn first_error(errors: Vec<Diagnostic>) -> Diagnostic {
    errors
        .into_iter()
        .next()
        .unwrap_or_else(|| Diagnostic::new("the include cannot be loaded"))
}
