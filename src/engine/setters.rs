//! Which variables tasks may set, read off the tasks alone: for all that is looked at before they have run.
//!
//! Nothing is rendered here. Where a name is a template, anything may be set.

use super::cursor::{Step, Steps, steps};
use super::run::PlayRun;
use super::settings::Settings;
use crate::play::{Include, Included, RoleFrom, Task, is_template};
use crate::source::Node;
use std::collections::{BTreeSet, HashSet};

/// What may be set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Setters {
    /// These names.
    pub names: BTreeSet<String>,
    /// And others that nobody can tell.
    pub anything: bool,
}

impl Setters {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.anything
    }

    /// What a task registers, whether it runs or not.
    pub fn register(task: &Task) -> Self {
        Self {
            names: task.keywords.register.iter().cloned().collect(),
            anything: false,
        }
    }

    fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.anything |= other.anything;
    }
}

/// What a task may set.
pub fn of_task(task: &Task) -> Setters {
    let mut setters = Setters::register(task);
    match task.action.module {
        "set_fact" => {
            setters.anything |= task.action.template.is_some();
            for (name, _) in &task.action.args {
                if is_template(name) {
                    setters.anything = true;
                } else {
                    setters.names.insert(name.clone());
                }
            }
        }
        "include_vars" => match task.arg("name").map(|node| node.as_str()) {
            Some(Some(name)) if !is_template(name) => {
                setters.names.insert(name.to_owned());
            }
            _ => setters.anything = true,
        },
        "service_facts" => {
            setters.names.insert("services".to_owned());
        }
        "package_facts" => {
            setters.names.insert("packages".to_owned());
        }
        "getent" => match task.arg("database").and_then(|node| node.as_str()) {
            Some(database) if !is_template(database) => {
                setters.names.insert(format!("getent_{database}"));
            }
            _ => setters.anything = true,
        },
        _ => {}
    }
    setters
}

/// What a task of which it is not known whether it runs leaves unknown, its result apart: files of variables that can be
/// found are read for their names.
pub fn unsettled(settings: &Settings, task: &Task) -> Setters {
    let mut setters = of_task(task);
    for name in Setters::register(task).names {
        setters.names.remove(&name);
    }
    let whole = task.action.module == "include_vars" && task.arg("name").is_none();
    let named = [task.action.free_form.as_ref(), task.arg("file")];
    let file = named
        .into_iter()
        .flatten()
        .find_map(|node| node.as_str().filter(|name| !is_template(name)));
    if let Some((_, variables)) = file
        .filter(|_| whole)
        .and_then(|file| settings.vars_file(task, file).ok())
    {
        setters
            .names
            .extend(variables.into_iter().map(|(name, _)| name));
        setters.anything = false;
    }
    setters
}

/// What a task may set, its result and the names in files that can be found among it.
pub fn all_of(settings: &Settings, task: &Task) -> Setters {
    let mut setters = unsettled(settings, task);
    setters.add(Setters::register(task));
    setters
}

/// Includes within includes are followed no deeper.
const DEEPEST: usize = 20;

/// What steps may set, blocks and includes of known names not left out.
pub fn of_steps(settings: &Settings, steps: &Steps) -> Setters {
    down(settings, steps, 0)
}

fn down(settings: &Settings, steps: &Steps, depth: usize) -> Setters {
    let mut setters = Setters::default();
    if depth > DEEPEST {
        setters.anything = true;
        return setters;
    }
    for step in steps.iter() {
        match step {
            Step::Task(task) => {
                setters.add(all_of(settings, task));
            }
            Step::Block(block) => {
                for part in block.parts() {
                    setters.add(down(settings, part, depth + 1));
                }
            }
            Step::Include(include) => match included(settings, include) {
                Some(inside) => setters.add(down(settings, &inside, depth + 1)),
                None => setters.anything = true,
            },
            Step::Flush
            | Step::RoleEnd(_)
            | Step::HandlerDone(_)
            | Step::HandlersDone
            | Step::Reraise => {}
        }
    }
    setters
}

/// What the handlers of a play may set.
pub fn of_handlers(settings: &Settings, play: &PlayRun) -> Setters {
    let mut setters = Setters::default();
    for (_, steps) in &play.handlers {
        setters.add(of_steps(settings, steps));
    }
    setters
}

/// What an include takes in whose condition is not known, when its name is.
pub fn included(settings: &Settings, include: &Include) -> Option<Steps> {
    let text = |node: &Node| {
        node.as_str()
            .filter(|text| !is_template(text))
            .map(str::to_owned)
    };
    let optional = |node: &Option<Node>| match node {
        Some(node) => text(node).map(Some),
        None => Some(None),
    };
    let items = match &include.what {
        Included::Tasks { file } => settings.loader.include_tasks(include, &text(file)?).ok()?,
        Included::Role {
            name,
            tasks_from,
            vars_from,
            defaults_from,
            handlers_from,
            unjudged,
            ..
        } => {
            let from = RoleFrom {
                name: text(name)?,
                tasks: optional(tasks_from)?,
                vars: optional(vars_from)?,
                defaults: optional(defaults_from)?,
                handlers: optional(handlers_from)?,
                unjudged: *unjudged,
            };
            settings
                .loader
                .include_role(include, &from, &HashSet::new())
                .ok()?
                .items
        }
    };
    Some(steps(items))
}
