//! The items of a task's loop as units, and what a task registers that has nothing to do.
//!
//! An item that is not known yet is never guessed: the loop is one unit then, which says why.

use super::Walk;
use crate::base::value::{Map, Value};
use crate::engine::looping;
use crate::engine::scope::Scope;
use crate::engine::unit::{self, Unit, Verdict, Work, conditions};
use crate::play::Task;
use std::sync::Arc;

/// The units of a task.
pub enum Items {
    /// No loop.
    Single,
    /// A loop that cannot be walked: one unit says why.
    Whole(Box<Unit>),
    /// One unit an item, see [`Walk::item`].
    Many(Arc<Vec<Value>>),
}

/// The "condition" of a task whose loop has no items.
const NO_ITEMS: &str = "the loop is empty";

impl Walk<'_> {
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
