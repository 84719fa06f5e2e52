//! The walk ahead: which tasks can be asked about now, all in one round trip.
//!
//! The walk assumes that nothing changes. As soon as something does, all that was seen after it is thrown away and seen
//! again, so that the result is that of one task after the other. It never changes anything, on the host or in the run.

use super::action::Local;
use super::cursor::{Cursor, Step};
use super::looping;
use super::run::PlayRun;
use super::scope::Scope;
use super::settings::Settings;
use super::state::HostState;
use super::unit::{self, Unit, Verdict, Work, conditions};
use crate::base::value::{Map, Value, has_unknown};
use crate::modules::Probe;
use crate::play::{Include, Included, Task};
use crate::source::Node;
use crate::template::{self, Variable};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// More than so many at once would only make a long batch longer.
const LONGEST: usize = 400;

/// Something that was looked at ahead.
pub struct Entry {
    /// Where it stands.
    pub before: Cursor,
    /// Where the host stands after it.
    pub after: Cursor,
    /// What it is.
    pub what: What,
}

/// What was looked at.
pub enum What {
    /// A task, or an item of its loop.
    Unit {
        /// The unit.
        unit: Box<Unit>,
        /// Its probes among all of the window.
        probes: Range<usize>,
        /// Part of a loop: whether it is the last item.
        last: Option<bool>,
    },
    /// Handlers would run here if any were notified.
    Flush,
    /// A handler has run.
    HandlerDone(usize),
    /// All handlers of a flush have run.
    HandlersDone,
}

/// What was found by walking ahead.
#[derive(Default)]
pub struct Window {
    /// In order.
    pub entries: Vec<Entry>,
    /// All probes.
    pub probes: Vec<Probe>,
    /// Where the walk ended.
    pub end: Cursor,
}

/// Walks ahead.
pub struct Walk<'a> {
    /// The run's flags.
    pub settings: &'a Settings,
    /// The play.
    pub play: &'a PlayRun,
    /// The host.
    pub host: &'a Arc<HostState>,
    /// Whether handlers are notified already, or may be by what is being applied.
    pub notified: bool,
    /// Registers that are not known yet.
    pub pending: HashSet<String>,
    /// Variables that tasks of the walk set.
    pub overlay: HashMap<String, Variable>,
    /// Handlers that included roles bring.
    pub found_handlers: Vec<crate::play::Handler>,
}

enum Next {
    Go,
    Stop,
}

impl Walk<'_> {
    /// The window from a position on.
    pub fn gather(&mut self, mut cursor: Cursor) -> Window {
        let mut window = Window::default();
        let longest = if self.settings.one_by_one { 1 } else { LONGEST };
        while window.entries.len() < longest {
            let Some(step) = cursor.peek() else { break };
            let next = match step {
                Step::Block(block) => {
                    cursor.enter(&block);
                    Next::Go
                }
                Step::RoleEnd(_) => {
                    cursor.advance();
                    Next::Go
                }
                Step::Reraise => Next::Stop,
                Step::HandlerDone(index) => {
                    pass(&mut cursor, &mut window, What::HandlerDone(index))
                }
                Step::HandlersDone => pass(&mut cursor, &mut window, What::HandlersDone),
                Step::Flush => self.flush(&mut cursor, &mut window),
                Step::Include(include) => self.include(&include, &mut cursor, &window),
                Step::Task(task) => self.task(&task, &mut cursor, &mut window),
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        window.end = cursor;
        window
    }

    fn flush(&mut self, cursor: &mut Cursor, window: &mut Window) -> Next {
        if self.notified {
            return Next::Stop;
        }
        pass(cursor, window, What::Flush)
    }

    /// What a step at the cursor sees.
    pub fn scope(
        &self,
        cursor: &Cursor,
        task_vars: &[(String, Node)],
        role: Option<&Arc<crate::play::Role>>,
    ) -> Scope {
        Scope {
            globals: Arc::clone(&self.play.globals),
            play: Some(Arc::clone(&self.play.layers)),
            host: Arc::clone(self.host),
            role: role.cloned(),
            task: Arc::new(task_vars.to_vec()),
            includes: Arc::new(cursor.include_vars()),
            overlay: Arc::default(),
            ahead: Arc::new(self.overlay.clone()),
            pending: Arc::new(self.pending.clone()),
        }
    }

    fn task(&mut self, task: &Arc<Task>, cursor: &mut Cursor, window: &mut Window) -> Next {
        let keywords = &task.keywords;
        if !crate::play::selected(
            &keywords.tags,
            &self.settings.tags,
            &self.settings.skip_tags,
        ) {
            cursor.advance();
            return Next::Go;
        }
        let module = task.action.module;
        let literal = task
            .action
            .free_form
            .as_ref()
            .and_then(|node| node.as_str())
            .map(str::trim);
        if module == "meta" && literal == Some("flush_handlers") && keywords.when.is_empty() {
            return self.flush(cursor, window);
        }
        let alone = module == "meta"
            || module == "pause"
            || module == "wait_for_connection"
            || keywords.run_once.is_some()
            || keywords.delegate_to.is_some()
            || !keywords.until.is_empty()
            || keywords.retries.is_some();
        if alone {
            return Next::Stop;
        }
        let scope = self.scope(cursor, &keywords.vars, task.role.as_ref());
        let items = match &cursor.items {
            Some(items) => Items::Many(Arc::clone(items)),
            None => self.items(task, &scope),
        };
        match items {
            Items::Single => {
                let unit = unit::prepare(task, scope, None, self.settings);
                let before = cursor.clone();
                let mut after = cursor.clone();
                after.advance();
                let next = self.take(unit, before, &after, None, window);
                if matches!(next, Next::Go) {
                    *cursor = after;
                }
                next
            }
            Items::Whole(unit) => {
                let before = cursor.clone();
                let mut after = cursor.clone();
                after.advance();
                let next = self.take(*unit, before, &after, None, window);
                if matches!(next, Next::Go) {
                    *cursor = after;
                }
                next
            }
            // Rendered once for all items, so all of them must be known.
            Items::Many(items) if !self.pending.is_empty() && items.iter().any(has_unknown) => {
                Next::Stop
            }
            Items::Many(items) => {
                let count = items.len();
                for index in cursor.item..count {
                    // Made one by one: an item may read what the one before it has set.
                    let scope = self.scope(cursor, &keywords.vars, task.role.as_ref());
                    let unit = self.item(task, &scope, &items, index);
                    let before = cursor.clone();
                    let last = index + 1 == count;
                    let mut after = cursor.clone();
                    if last {
                        after.advance();
                    } else {
                        after.item = index + 1;
                        after.items = Some(Arc::clone(&items));
                    }
                    if matches!(
                        self.take(unit, before, &after, Some(last), window),
                        Next::Stop
                    ) {
                        return Next::Stop;
                    }
                    *cursor = after;
                    if self.settings.one_by_one {
                        return Next::Stop;
                    }
                }
                Next::Go
            }
        }
    }

    /// The units of a task's loop.
    pub fn items(&self, task: &Arc<Task>, scope: &Scope) -> Items {
        let Some(looped) = &task.keywords.loop_ else {
            return Items::Single;
        };
        let blank = |work: Work| Unit {
            task: Arc::clone(task),
            scope: scope.clone(),
            label: None,
            item: None,
            keywords: unit::Rendered::default(),
            work,
        };
        let context = self.settings.context(scope, task);
        let items = match looping::items(looped, task, &context, self.settings) {
            Ok(Some(items)) => items,
            Ok(None) => {
                return Items::Whole(Box::new(blank(Work::Unknown {
                    why: "what it loops over".to_owned(),
                })));
            }
            Err(error) => {
                // `when: x is defined` guards `loop: "{{ x }}"` too, as long as it does not look at the item.
                if let Ok(Verdict::False(condition)) = conditions(&task.keywords.when, &context) {
                    return Items::Whole(Box::new(blank(Work::Skip { condition })));
                }
                return Items::Whole(Box::new(blank(Work::Fail(error.at(&task.span)))));
            }
        };
        if items.is_empty() {
            return Items::Whole(Box::new(blank(Work::Skip {
                condition: NO_ITEMS.to_owned(),
            })));
        }
        Items::Many(Arc::new(items))
    }

    /// The unit of one item of a task's loop.
    pub fn item(&self, task: &Arc<Task>, scope: &Scope, items: &[Value], index: usize) -> Unit {
        let control = task
            .keywords
            .loop_
            .as_ref()
            .map(|looped| looped.control.clone())
            .unwrap_or_default();
        let variable = control.loop_var.unwrap_or_else(|| "item".to_owned());
        let item = items.get(index).cloned().unwrap_or(Value::Null);
        let mut scope = scope.with(&variable, item.clone());
        if let Some(name) = &control.index_var {
            scope = scope.with(name, Value::from(index));
        }
        if control.extended.is_some() {
            scope = scope.with("ansible_loop", extended(items, index, items.len()));
        }
        unit::prepare(task, scope, Some((variable, item)), self.settings)
    }

    fn take(
        &mut self,
        unit: Unit,
        before: Cursor,
        after: &Cursor,
        last: Option<bool>,
        window: &mut Window,
    ) -> Next {
        let guessing = !self.pending.is_empty();
        let register = unit.task.keywords.register.clone();
        let first = window.probes.len();
        let mut next = Next::Go;
        match &unit.work {
            // With something still to come it may be known, or good, when it is its turn.
            Work::Unknown { .. } | Work::Fail(_) if guessing => return Next::Stop,
            Work::Skip { condition } => match register {
                Some(name) if last.is_none() => {
                    self.pending.remove(&name);
                    self.overlay
                        .insert(name, Variable::Data(skipped(&unit, condition)));
                }
                register => self.await_register(register),
            },
            Work::Unknown { .. } => self.await_register(register),
            Work::Fail(_) => next = Next::Stop,
            Work::File { .. } => self.await_register(register),
            Work::Local(local) => match local {
                Local::SetFact(facts) => {
                    if guessing && facts.values().any(has_unknown) {
                        return Next::Stop;
                    }
                    for (name, value) in facts {
                        self.overlay
                            .insert(name.clone(), Variable::Data(value.clone()));
                    }
                    self.await_register(register);
                }
                Local::IncludeVars(variables) => {
                    for (name, node) in variables {
                        self.overlay
                            .insert(name.clone(), Variable::Template(node.clone()));
                    }
                    self.await_register(register);
                }
                Local::Failed { .. } => next = Next::Stop,
                _ => self.await_register(register),
            },
            Work::Remote(remote) => {
                if remote.reads {
                    let request = remote
                        .certain
                        .as_ref()
                        .and_then(|change| change.requests.first());
                    window.probes.extend(request.cloned().map(Probe::Run));
                } else {
                    window.probes.extend(remote.probes.iter().cloned());
                }
                if remote.certain.is_some() && !remote.reads && !unit.keywords.check {
                    next = Next::Stop;
                }
                if matches!(
                    remote.module.spec().names[0],
                    "setup" | "package_facts" | "service_facts" | "getent"
                ) {
                    next = Next::Stop;
                }
                self.await_register(register);
            }
        }
        let probes = first..window.probes.len();
        window.entries.push(Entry {
            before,
            after: after.clone(),
            what: What::Unit {
                unit: Box::new(unit),
                probes,
                last,
            },
        });
        next
    }

    fn await_register(&mut self, register: Option<String>) {
        if let Some(name) = register {
            self.overlay.remove(&name);
            self.pending.insert(name);
        }
    }

    fn include(&mut self, include: &Arc<Include>, cursor: &mut Cursor, window: &Window) -> Next {
        let keywords = &include.keywords;
        if !crate::play::selected(
            &keywords.tags,
            &self.settings.tags,
            &self.settings.skip_tags,
        ) {
            cursor.advance();
            return Next::Go;
        }
        // A failure is told when it is the include's turn.
        match self.resolve(include, cursor) {
            Ok(Some(next)) => {
                *cursor = next;
                Next::Go
            }
            Ok(None) | Err(_) => {
                let _ = window;
                Next::Stop
            }
        }
    }

    /// The position inside a dynamic include; `None` when it is not known yet whether or what.
    ///
    /// # Errors
    /// Missing files, templates that fail, mistakes in the included file.
    pub fn resolve(
        &mut self,
        include: &Arc<Include>,
        cursor: &Cursor,
    ) -> crate::base::Result<Option<Cursor>> {
        let scope = self.scope(cursor, &include.keywords.vars, include.role.as_ref());
        let mut cursor = cursor.clone();
        cursor.advance();
        let probe_task = include_as_task(include);
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
            scopes = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let mut vars = vec![(variable.clone(), Node::from_value(&item, &include.span))];
                    let mut scope = scope.with(&variable, item);
                    if let Some(name) = &looped.control.index_var {
                        let index = Value::from(index);
                        vars.push((name.clone(), Node::from_value(&index, &include.span)));
                        scope = scope.with(name, index);
                    }
                    (scope, vars)
                })
                .collect();
        }
        // Pushed last to first, so that the first runs first.
        for (scope, item_vars) in scopes.into_iter().rev() {
            let context = self.settings.context(&scope, &probe_task);
            match conditions(&include.keywords.when, &context)? {
                Verdict::Holds => {}
                Verdict::False(_) => continue,
                Verdict::Unknown(_) => return Ok(None),
            }
            let render = |node: &Node| -> crate::base::Result<Option<String>> {
                let value = template::value(node, &context)?;
                Ok((!has_unknown(&value)).then(|| crate::base::value::to_text(&value)))
            };
            let optional = |node: &Option<Node>| -> crate::base::Result<Option<String>> {
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
                    ..
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
                    };
                    let included = self
                        .settings
                        .loader
                        .include_role(include, &from)
                        .map_err(first_error)?;
                    self.found_handlers.extend(included.handlers);
                    included.items
                }
            };
            let vars = include
                .keywords
                .vars
                .iter()
                .cloned()
                .chain(item_vars)
                .collect();
            cursor.push(super::cursor::steps(items), Arc::new(vars));
        }
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
        },
        keywords: include.keywords.clone(),
        role: include.role.clone(),
        dir: include.dir.clone(),
        playbook_dir: include.playbook_dir.clone(),
    }
}

/// The units of a task.
pub enum Items {
    /// No loop.
    Single,
    /// A loop that cannot be walked: one unit says why.
    Whole(Box<Unit>),
    /// One unit an item, see [`Walk::item`].
    Many(Arc<Vec<Value>>),
}

/// Past a step that is nothing but a mark.
fn pass(cursor: &mut Cursor, window: &mut Window, what: What) -> Next {
    let before = cursor.clone();
    cursor.advance();
    window.entries.push(Entry {
        before,
        after: cursor.clone(),
        what,
    });
    Next::Go
}

/// The "condition" of a task whose loop has no items.
const NO_ITEMS: &str = "the loop is empty";

fn first_error(errors: Vec<crate::base::Diagnostic>) -> crate::base::Diagnostic {
    errors
        .into_iter()
        .next()
        .unwrap_or_else(|| crate::base::Diagnostic::new("the include cannot be loaded"))
}

/// What a skipped task (or item) registers.
pub fn skipped(unit: &Unit, condition: &str) -> Value {
    let mut map = Map::new();
    map.insert("changed".to_owned(), Value::Bool(false));
    map.insert("failed".to_owned(), Value::Bool(false));
    map.insert("skipped".to_owned(), Value::Bool(true));
    if condition == NO_ITEMS {
        map.insert(
            "skipped_reason".to_owned(),
            Value::from("No items in the list"),
        );
    } else {
        map.insert(
            "skip_reason".to_owned(),
            Value::from("Conditional result was False"),
        );
        map.insert("false_condition".to_owned(), Value::from(condition));
    }
    if let Some((name, item)) = &unit.item {
        map.insert("ansible_loop_var".to_owned(), Value::from(name.as_str()));
        map.insert(name.clone(), item.clone());
    } else if unit.task.keywords.loop_.is_some() {
        map.insert("results".to_owned(), Value::Array(Vec::new()));
    }
    Value::Object(map)
}

fn extended(items: &[Value], index: usize, count: usize) -> Value {
    serde_json::json!({
        "allitems": items, "index": index + 1, "index0": index, "first": index == 0, "last": index + 1 == count,
        "length": count, "revindex": count - index, "revindex0": count - index - 1,
        "previtem": index.checked_sub(1).and_then(|index| items.get(index)), "nextitem": items.get(index + 1),
    })
}
