//! Handlers: from a notification to those that it means, those that are owed from an earlier run, and their turn at a flush.
//!
//! None is lost: it is noted on the host before the change that notifies it, and crossed out when it has run.

use super::cursor::{Cursor, Step, Steps};
use super::greet;
use super::run::PlayRun;
use super::runner::Runner;
use super::settle::Settled;
use super::unit::Unit;
use crate::base::nearest::nearest;
use crate::base::value::{Value, to_text};
use crate::base::{Diagnostic, exit};
use crate::play::{Handler, notified};
use crate::source::Node;
use crate::template::{self, Context};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names that a `notify` entry comes to.
pub fn names(node: &Node, context: &Context) -> Vec<String> {
    match template::value(node, context) {
        Ok(Value::Array(items)) => items.iter().map(to_text).collect(),
        Ok(Value::Null) | Err(_) => Vec::new(),
        Ok(other) => vec![to_text(&other)],
    }
}

/// What a handler is called in the list of those that are owed.
pub fn key(handler: &Handler) -> String {
    greet::field(&match (&handler.name, &handler.role) {
        (Some(name), Some(role)) => format!("{} : {name}", role.name),
        (Some(name), None) => name.clone(),
        (None, _) => format!("listens to {}", handler.listen.join(", ")),
    })
}

/// The handlers that a notification means.
pub fn positions(handlers: &[(Handler, Steps)], notification: &str) -> Vec<usize> {
    let plain: Vec<Handler> = handlers
        .iter()
        .map(|(handler, _)| handler.clone())
        .collect();
    notified(&plain, notification)
}

impl Runner {
    /// The play is over: handlers that were notified after its last flush (by handlers defined after them, or before
    /// `meta: end_host`) never run, as in Ansible, and are not owed.
    pub(super) fn forget(&mut self, play: &PlayRun) {
        let left: Vec<String> = std::mem::take(&mut self.state.notified)
            .iter()
            .map(|index| key(&self.state.handlers[*index].0))
            .collect();
        if !left.is_empty() && !self.shared.settings.check && !self.shared.settings.offline {
            self.state
                .bookkeeping
                .push(greet::settle(&self.state_dir(), &self.owner(play), &left));
        }
        let owed = std::mem::take(&mut self.state.owed);
        if !owed.is_empty() {
            self.owed.insert(self.owner(play), owed);
        }
    }

    /// What the handlers that a unit may notify are called where they are owed.
    pub(super) fn handler_names(&self, unit: &Unit) -> Vec<String> {
        self.handlers_of(unit)
            .into_iter()
            .map(|index| key(&self.state.handlers[index].0))
            .collect()
    }

    /// The handlers that a unit may notify.
    pub(super) fn handlers_of(&self, unit: &Unit) -> Vec<usize> {
        let context = self
            .shared
            .settings
            .context(&unit.scope.settled(), &unit.task);
        let mut found = Vec::new();
        for node in &unit.task.keywords.notify {
            for notification in names(node, &context) {
                for index in positions(&self.state.handlers, &notification) {
                    if !found.contains(&index) {
                        found.push(index);
                    }
                }
            }
        }
        found
    }

    /// The first notification of a unit that no handler hears. A change whose handler is missing would be made once, and the
    /// next run, which finds it made, would never ask for the handler again.
    pub(super) fn unheard(&self, unit: &Unit) -> Option<Diagnostic> {
        let context = self
            .shared
            .settings
            .context(&unit.scope.settled(), &unit.task);
        let handlers = &self.state.handlers;
        unit.task.keywords.notify.iter().find_map(|node| {
            let asked = names(node, &context);
            let name = asked
                .iter()
                .find(|name| positions(handlers, name).is_empty())?;
            let error = Diagnostic::with_code(
                exit::FAILED,
                format!("there is no handler `{name}` in this play"),
            );
            let known = handlers
                .iter()
                .flat_map(|(handler, _)| handler.name.iter().chain(&handler.listen));
            let near = nearest(name, known.map(String::as_str));
            let help = near.map_or_else(
                || "define it, or take the notification away".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Some(error.at(&node.span).help(help))
        })
    }

    /// A task is passed: what it notifies and is owed from an earlier run is due at the next flush. Not before: its
    /// handlers may need what the tasks up to here have found out.
    pub(super) fn recall(&mut self, unit: &Unit) {
        if self.state.owed.is_empty() {
            return;
        }
        for index in self.handlers_of(unit) {
            let key = key(&self.state.handlers[index].0);
            if self.state.owed.contains(&key) {
                self.state.owed.retain(|owed| *owed != key);
                self.state.notified.push(index);
            }
        }
    }

    /// The play is through: what is owed and was notified by no task that was passed runs now. Whether there is any.
    pub(super) fn recall_rest(&mut self) -> bool {
        let position = |owed: &String| {
            self.state
                .handlers
                .iter()
                .rposition(|(handler, _)| key(handler) == *owed)
        };
        let found: Vec<usize> = self.state.owed.iter().filter_map(position).collect();
        self.state.owed.retain(|key| position(key).is_none());
        self.state.notified.extend(&found);
        !found.is_empty()
    }

    /// A unit has changed something: its handlers run at the next flush. Gives those that nothing had notified before.
    pub(super) fn notify(&mut self, unit: &Unit) -> Vec<usize> {
        let mut fresh = self.handlers_of(unit);
        fresh.retain(|index| !self.state.notified.contains(index));
        self.state.notified.extend(&fresh);
        fresh
    }

    /// A loop of which an item failed is no change as a whole, as in Ansible, where the run goes on after it: what its
    /// other items alone have notified does not run.
    pub(super) fn take_back(&mut self, play: &PlayRun, fresh: &[usize]) {
        self.state.notified.retain(|index| !fresh.contains(index));
        let keys: Vec<String> = fresh
            .iter()
            .map(|index| key(&self.state.handlers[*index].0))
            .filter(|key| !self.state.owed.contains(key))
            .collect();
        if !keys.is_empty() && !self.shared.settings.check && !self.shared.settings.offline {
            self.state
                .bookkeeping
                .push(greet::settle(&self.state_dir(), &self.owner(play), &keys));
        }
    }

    /// Crosses out the handlers that a change would have owed, when it turned out to be none.
    pub(super) fn cross_out(&mut self, play: &PlayRun, unit: &Unit, settled: &Settled) {
        if settled.changed {
            return;
        }
        let still: Vec<String> = self
            .handler_names(unit)
            .into_iter()
            .filter(|name| !self.is_notified(name) && !self.state.owed.contains(name))
            .collect();
        if !still.is_empty() {
            self.state.bookkeeping.push(greet::settle(
                &self.state_dir(),
                &self.owner(play),
                &still,
            ));
        }
    }

    fn is_notified(&self, name: &str) -> bool {
        self.state
            .notified
            .iter()
            .any(|index| key(&self.state.handlers[*index].0) == name)
    }

    /// Notes handlers as owed by a task that counts as changed although it changed nothing on the host itself.
    pub(super) fn owe_late(&mut self, play: &PlayRun, unit: &Unit, settled: &Settled) {
        if !settled.changed
            || unit.keywords.check
            || self.shared.settings.check
            || self.shared.settings.offline
        {
            return;
        }
        let names = self.handler_names(unit);
        if !names.is_empty() {
            self.state
                .bookkeeping
                .push(greet::owe(&self.state_dir(), &self.owner(play), &names));
        }
    }

    /// Starts the handlers that are notified, in the order of their definition, and steps past the flush.
    pub(super) fn flush(&mut self, cursor: &mut Cursor) {
        let place = cursor.place();
        cursor.advance();
        let notified: BTreeSet<usize> = std::mem::take(&mut self.state.notified)
            .into_iter()
            .collect();
        if !notified.is_empty() {
            self.state.handling = true;
            cursor.push(self.handler_steps(&notified), Arc::default(), place);
        }
    }

    fn handler_steps(&self, handlers: &BTreeSet<usize>) -> Steps {
        let each = |index: &usize| {
            self.state.handlers[*index]
                .1
                .iter()
                .cloned()
                .chain([Step::HandlerDone(*index)])
        };
        handlers
            .iter()
            .flat_map(each)
            .chain([Step::HandlersDone])
            .collect()
    }

    /// Crosses a handler out that has run. Handlers that it has notified, and that are defined after it, run in this
    /// same flush: true when the steps at the cursor (which is past the handler) had to be changed for that. Handlers
    /// defined before it wait for the next flush, as in Ansible.
    pub(super) fn handler_done(
        &mut self,
        play: &PlayRun,
        done: usize,
        cursor: &mut Cursor,
    ) -> bool {
        if !self.shared.settings.check && !self.state.notified.contains(&done) {
            let key = key(&self.state.handlers[done].0);
            self.state.bookkeeping.push(greet::settle(
                &self.state_dir(),
                &self.owner(play),
                &[key],
            ));
        }
        let (now, later): (Vec<usize>, Vec<usize>) =
            self.state.notified.iter().partition(|index| **index > done);
        if now.is_empty() {
            return false;
        }
        self.state.notified = later;
        let all = cursor.handlers_left().into_iter().chain(now).collect();
        cursor.replace(self.handler_steps(&all));
        true
    }
}
