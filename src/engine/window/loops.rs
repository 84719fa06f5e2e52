//! The items of a task's loop as units, and what a task registers that has nothing to do.
//!
//! An item that is not known yet is never guessed: the loop is one unit then, which says why.

use super::Walk;
use crate::base::Result;
use crate::base::value::{Map, Value};
use crate::engine::looping;
use crate::engine::scope::Scope;
use crate::engine::unit::{self, Unit, Verdict, Work, conditions};
use crate::play::{LoopControl, Task};
use crate::template::Context;
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

impl Walk<'_> {
    /// The units of a task's loop.
    pub fn items(&self, task: &Arc<Task>, scope: &Scope) -> Items {
        let Some(looped) = &task.keywords.loop_ else {
            return Items::Single;
        };
        let blank = |work: Work| Unit::blank(task, scope.clone(), work);
        let context = self.settings.context(scope, task);
        let items = match looping::items(looped, task, &context, self.settings) {
            Ok(Some(items)) => items,
            Ok(None) => {
                if let Ok(Verdict::False(condition)) = conditions(&task.keywords.when, &context) {
                    return Items::Whole(Box::new(blank(Work::Skip { condition })));
                }
                return Items::Whole(Box::new(blank(Work::Unknown {
                    why: "what it loops over".to_owned(),
                })));
            }
            Err(error) => {
                // `when: x is defined` guards `loop: "{{ x }}"` too, as long as it does not look at the item.
                if let Ok(Verdict::False(condition)) = conditions(&task.keywords.when, &context) {
                    return Items::Whole(Box::new(blank(Work::Skip { condition })));
                }
                let mut failed = blank(Work::Fail(error.at(&task.span)));
                failed.keywords.ignore_errors = unit::ignores_errors(task, &context);
                return Items::Whole(Box::new(failed));
            }
        };
        if items.is_empty() {
            return Items::Whole(Box::new(blank(Work::Idle {
                why: "No items in the list",
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
        let variable = control
            .loop_var
            .clone()
            .unwrap_or_else(|| "item".to_owned());
        let item = items.get(index).cloned().unwrap_or(Value::Null);
        let mut scope = scope.with(&variable, item.clone());
        if let Some(name) = &control.index_var {
            scope = scope.with(name, Value::from(index));
        }
        scope = scope.with("ansible_loop_var", Value::from(variable.as_str()));
        if let Some(name) = &control.index_var {
            scope = scope.with("ansible_index_var", Value::from(name.as_str()));
        }
        let context = self.settings.context(&scope, task);
        match extended(&control, items, index, &context) {
            Ok(Some(loop_)) => scope = scope.with("ansible_loop", loop_),
            Ok(None) => {}
            Err(error) => {
                return Unit {
                    item: Some((variable, item)),
                    ..Unit::blank(task, scope, Work::Fail(error.at(&task.span)))
                };
            }
        }
        unit::prepare(task, scope, Some((variable, item)), self.settings)
    }
}

/// What a skipped task (or item) registers.
pub fn skipped(unit: &Unit) -> Value {
    let mut map = Map::new();
    map.insert("changed".to_owned(), Value::Bool(false));
    map.insert("failed".to_owned(), Value::Bool(false));
    map.insert("skipped".to_owned(), Value::Bool(true));
    match &unit.work {
        Work::Idle { why } => {
            map.insert("skipped_reason".to_owned(), Value::from(*why));
        }
        Work::Skip { condition } => {
            map.insert(
                "skip_reason".to_owned(),
                Value::from("Conditional result was False"),
            );
            map.insert(
                "false_condition".to_owned(),
                Value::from(condition.as_str()),
            );
        }
        _ => {}
    }
    if let Some((name, item)) = &unit.item {
        map.insert("ansible_loop_var".to_owned(), Value::from(name.as_str()));
        map.insert(name.clone(), item.clone());
    } else if unit.task.keywords.loop_.is_some() {
        map.insert("results".to_owned(), Value::Array(Vec::new()));
    }
    Value::Object(map)
}

/// `ansible_loop`, where `loop_control` asks for it. The first item has no one before it, and the last none after.
pub fn extended(
    control: &LoopControl,
    items: &[Value],
    index: usize,
    context: &Context,
) -> Result<Option<Value>> {
    if !unit::flag(control.extended.as_ref(), false, context)? {
        return Ok(None);
    }
    let count = items.len();
    let mut told = serde_json::json!({
        "index": index + 1, "index0": index, "first": index == 0, "last": index + 1 == count,
        "length": count, "revindex": count - index, "revindex0": count - index - 1,
    });
    if unit::flag(control.extended_allitems.as_ref(), true, context)? {
        told["allitems"] = Value::from(items.to_vec());
    }
    let beside = [
        ("previtem", index.checked_sub(1)),
        ("nextitem", Some(index + 1)),
    ];
    for (name, at) in beside {
        if let Some(item) = at.and_then(|at| items.get(at)) {
            told[name] = item.clone();
        }
    }
    Ok(Some(told))
}
