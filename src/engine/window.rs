//! The walk ahead: which tasks can be asked about now, all in one round trip.
//!
//! The walk assumes that nothing changes. As soon as something does, all that was seen after it is thrown away and seen
//! again, so that the result is that of one task after the other. It never changes anything, on the host or in the run.
//! How far it goes is told by what it met so far ([`Reach`]).

mod firewall;
mod includes;
mod loops;
mod reach;

pub use includes::include_as_task;
pub use loops::{Items, skipped};
pub use reach::Reach;

use super::action::Local;
use super::cursor::{Cursor, Step};
use super::keywords::stand_alone;
use super::order::{Key, Reader, Reads, count};
use super::place::Place;
use super::run::PlayRun;
use super::scope::Scope;
use super::setters;
use super::settings::Settings;
use super::state::HostState;
use super::unit::{self, Unit, Work};
use crate::base::Result;
use crate::base::value::{Value, has_unknown, to_text, unknown};
use crate::modules::Probe;
use crate::play::{Keywords, Task, is_template};
use crate::source::Node;
use crate::template::{self, Variable};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Something that was looked at ahead.
pub struct Entry {
    /// Where it stands.
    pub before: Cursor,
    /// Where the host stands after it.
    pub after: Cursor,
    /// What it is.
    pub what: What,
    /// How much had been read of other hosts when it was made.
    pub reads: usize,
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
    /// What was read of other hosts.
    pub reads: Arc<Mutex<Reads>>,
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
    /// Variables that its `include_vars` bring: below those that are set.
    pub included: HashMap<String, Node>,
    /// Handlers that included roles bring.
    pub found_handlers: Vec<crate::play::Handler>,
    /// So many entries are enough.
    pub longest: usize,
    /// In a `linear` play: the batch that keeps step, and the host's number in it.
    pub key: Option<(Key, usize)>,
    /// The place that all others of the batch have come to: what is read of them there is what it will be.
    pub certain: Option<Place>,
    /// What was read of other hosts.
    pub reads: Arc<Mutex<Reads>>,
}

enum Next {
    Go,
    Stop,
}

impl Walk<'_> {
    /// The window from a position on.
    pub fn gather(&mut self, mut cursor: Cursor) -> Window {
        let mut window = Window::default();
        while window.entries.len() < self.longest {
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
                    self.pass(&mut cursor, &mut window, What::HandlerDone(index))
                }
                Step::HandlersDone => self.pass(&mut cursor, &mut window, What::HandlersDone),
                Step::Flush => self.flush(&mut cursor, &mut window),
                Step::Include(include) => self.include(&include, &mut cursor),
                Step::Task(task) => self.task(&task, &mut cursor, &mut window),
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        window.end = cursor;
        window.reads = Arc::clone(&self.reads);
        window
    }

    /// Whether a step that cannot be thrown away may only be taken when the others have come to it.
    fn is_early(&self, cursor: &Cursor) -> bool {
        self.key.is_some() && self.certain.as_ref() != Some(&cursor.place())
    }

    fn flush(&mut self, cursor: &mut Cursor, window: &mut Window) -> Next {
        if self.notified {
            return Next::Stop;
        }
        self.pass(cursor, window, What::Flush)
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
            dir: None,
            task: Arc::new(task_vars.to_vec()),
            includes: Arc::new(cursor.include_vars()),
            overlay: Arc::default(),
            ahead: Arc::new(self.overlay.clone()),
            included: Arc::new(self.included.clone()),
            public: Arc::clone(&cursor.public),
            pending: Arc::new(self.pending.clone()),
            reader: self.key.map(|(key, _)| {
                Arc::new(Reader {
                    host: self.host.name.clone(),
                    key,
                    place: cursor.place(),
                    reads: Arc::clone(&self.reads),
                })
            }),
        }
    }

    /// Whether the tags of a task leave it in. Some of them are templates (of the play's variables, mostly). A handler that
    /// is notified runs, whatever its tags, as in Ansible.
    ///
    /// # Errors
    /// Templates that fail.
    fn selects(&self, keywords: &Keywords, cursor: &Cursor, task: &Task) -> Result<bool> {
        if cursor.is_handling() {
            return Ok(true);
        }
        if !keywords.tags.iter().any(|tag| is_template(tag)) {
            return Ok(self.settings.selects(&keywords.tags));
        }
        let scope = self.scope(cursor, &keywords.vars, task.role.as_ref());
        let context = self.settings.context(&scope, task);
        let mut tags = Vec::new();
        for tag in &keywords.tags {
            match template::text(tag, &task.span, &context)? {
                Value::Array(several) => tags.extend(several.iter().map(to_text)),
                one => tags.push(to_text(&one)),
            }
        }
        Ok(self.settings.selects(&tags))
    }

    fn task(&mut self, task: &Arc<Task>, cursor: &mut Cursor, window: &mut Window) -> Next {
        let keywords = &task.keywords;
        match self.selects(keywords, cursor, task) {
            Ok(true) => {}
            Ok(false) => {
                cursor.advance();
                return Next::Go;
            }
            Err(error) => {
                let scope = self.scope(cursor, &keywords.vars, task.role.as_ref());
                let unit = Unit::blank(task, scope, Work::Fail(error.at(&task.span)));
                let before = cursor.clone();
                let mut after = cursor.clone();
                after.advance();
                return self.take(unit, before, &after, None, window);
            }
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
            || stand_alone(keywords, self.host);
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
            Work::Skip { .. } | Work::Idle { .. } => match register {
                Some(name) if last.is_none() => {
                    self.pending.remove(&name);
                    self.overlay.insert(name, Variable::Data(skipped(&unit)));
                }
                register => self.await_register(register),
            },
            // Asked when it is the task's turn, and known from then on.
            Work::Ask(_) => return Next::Stop,
            Work::Unknown { .. } => {
                let setters = setters::unsettled(self.settings, &unit.task);
                for name in setters.names {
                    self.overlay.insert(name, Variable::Data(unknown()));
                }
                // Every name may be set from here on: known once this counts.
                if setters.anything {
                    next = Next::Stop;
                }
                self.await_register(register);
            }
            Work::Fail(_) => next = Next::Stop,
            Work::File { .. } => self.await_register(register),
            Work::Local(local) => match local {
                Local::SetFact { facts, .. } => {
                    if guessing && facts.values().any(has_unknown) {
                        return Next::Stop;
                    }
                    for (name, value) in facts {
                        self.overlay
                            .insert(name.clone(), Variable::Data(value.clone()));
                    }
                    self.await_register(register);
                }
                Local::IncludeVars { variables, .. } => {
                    self.included.extend(variables.iter().cloned());
                    self.await_register(register);
                }
                Local::Failed { .. } => next = Next::Stop,
                _ => self.await_register(register),
            },
            // A command may wait for what another host does before it.
            Work::Remote(remote) if remote.reads && self.is_early(&before) => return Next::Stop,
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
            reads: count(&self.reads),
        });
        next
    }

    fn await_register(&mut self, register: Option<String>) {
        if let Some(name) = register {
            self.overlay.remove(&name);
            self.pending.insert(name);
        }
    }

    /// Past a step that is nothing but a mark.
    fn pass(&self, cursor: &mut Cursor, window: &mut Window, what: What) -> Next {
        let before = cursor.clone();
        cursor.advance();
        window.entries.push(Entry {
            before,
            after: cursor.clone(),
            what,
            reads: count(&self.reads),
        });
        Next::Go
    }
}
