//! From a notification to handlers.

use super::cursor::Steps;
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
