//! From a notification to handlers, and which of them are owed from an earlier run.

use super::cursor::Steps;
use super::greet;
use super::run::PlayRun;
use super::runner::Runner;
use super::unit::Unit;
use crate::base::value::{Value, to_text};
use crate::play::{Handler, notified};
use crate::source::Node;
use crate::template::{self, Context};

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
    match (&handler.name, &handler.role) {
        (Some(name), Some(role)) => format!("{} : {name}", role.name),
        (Some(name), None) => name.clone(),
        (None, _) => format!("listens to {}", handler.listen.join(", ")),
    }
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
                .push(greet::settle(&self.state_dir(), &play.play.name, &left));
        }
        let owed = std::mem::take(&mut self.state.owed);
        if !owed.is_empty() {
            self.owed.insert(play.play.name.clone(), owed);
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
}
