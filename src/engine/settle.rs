//! From what happened to what it means: `changed_when`, `failed_when`, the registered result, the status.

use super::event::Status;
use super::settings::Settings;
use super::unit::{Unit, Verdict, Work, conditions};
use crate::base::value::{Map, UNKNOWN, Value, has_unknown, to_bool, unknown};
use crate::base::{Diagnostic, Result, exit};

/// A judged result.
#[derive(Debug, Clone)]
pub struct Settled {
    /// How it ended.
    pub status: Status,
    /// What `register` keeps.
    pub result: Value,
    /// Whether handlers are notified.
    pub changed: bool,
    /// Why it failed.
    pub error: Option<Diagnostic>,
}

/// Judges an outcome. `changed` is what the module found.
pub fn settle(
    unit: &Unit,
    mut outcome: Map<String, Value>,
    changed: bool,
    error: Option<Diagnostic>,
    settings: &Settings,
) -> Settled {
    let task = &unit.task;
    let mut failed = error.is_some() || outcome.get("failed").and_then(to_bool).unwrap_or(false);
    if let Some(error) = &error
        && !outcome.contains_key("msg")
    {
        outcome.insert("msg".to_owned(), Value::from(error.message.clone()));
    }
    let changed = outcome.get("changed").and_then(to_bool).unwrap_or(changed);
    outcome.insert("changed".to_owned(), Value::Bool(changed));
    outcome.insert("failed".to_owned(), Value::Bool(failed));
    let mut error = error;
    let mut status_unknown = None;
    let mut judged_changed = Some(changed);
    let judged = (|| -> Result<()> {
        // A task that could not even be asked for has no result to judge: `failed_when: false` hides no mistake in it.
        let asked = !matches!(unit.work, Work::Fail(_));
        if !asked || task.keywords.changed_when.is_none() && task.keywords.failed_when.is_none() {
            return Ok(());
        }
        let scope = match &task.keywords.register {
            Some(name) => unit
                .scope
                .settled()
                .with(name, Value::Object(outcome.clone())),
            None => unit.scope.settled(),
        };
        let context = settings.context(&scope, task);
        if let Some(list) = &task.keywords.changed_when {
            judged_changed = match conditions(list, &context)? {
                Verdict::Holds => Some(true),
                Verdict::False(_) => Some(false),
                Verdict::Unknown(_) => None,
            };
        }
        if let Some(list) = &task.keywords.failed_when {
            match conditions(list, &context)? {
                Verdict::Holds => {
                    failed = true;
                    if error.is_none() {
                        let text = list
                            .iter()
                            .filter_map(|node| node.as_str())
                            .collect::<Vec<_>>()
                            .join(" and ");
                        error = Some(Diagnostic::with_code(
                            exit::FAILED,
                            format!("`failed_when` holds: {text}"),
                        ));
                    }
                }
                Verdict::False(_) => {
                    failed = false;
                    error = None;
                }
                Verdict::Unknown(why) => status_unknown = Some(why),
            }
        }
        Ok(())
    })();
    if let Err(why) = judged {
        failed = true;
        error = Some(why.at(&task.span));
    }
    let changed = judged_changed.unwrap_or(false);
    outcome.insert(
        "changed".to_owned(),
        judged_changed.map_or_else(unknown, Value::Bool),
    );
    outcome.insert("failed".to_owned(), Value::Bool(failed));
    if task.keywords.failed_when.is_some() {
        outcome.insert("failed_when_result".to_owned(), Value::Bool(failed));
    }
    if let Some((name, item)) = &unit.item {
        outcome.insert("ansible_loop_var".to_owned(), Value::from(name.as_str()));
        outcome.insert(name.clone(), item.clone());
    }
    if failed && error.is_none() {
        let message = outcome
            .get("msg")
            .and_then(Value::as_str)
            .unwrap_or("the task failed");
        error = Some(command_failure(message, &outcome));
    }
    let status = if failed && unit.keywords.ignore_errors {
        Status::Ignored
    } else if failed {
        Status::Failed
    } else if judged_changed.is_none() || status_unknown.is_some() {
        Status::Unknown
    } else if changed {
        Status::Changed
    } else {
        Status::Ok
    };
    Settled {
        status,
        result: Value::Object(outcome),
        changed: changed && !failed,
        error,
    }
}

fn command_failure(message: &str, outcome: &Map<String, Value>) -> Diagnostic {
    let mut error = Diagnostic::with_code(exit::FAILED, message.to_owned());
    let text = |name: &str| {
        outcome
            .get(name)
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|text| !text.is_empty() && !text.contains(UNKNOWN))
    };
    if let Some(code) = outcome.get("rc").and_then(Value::as_i64) {
        error.message = format!("{message} (exit code {code})");
    }
    if let Some(command) = outcome.get("cmd") {
        let shown = match command {
            Value::Array(words) => words
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        error = error.note(format!("command: {shown}"));
    }
    for name in ["stderr", "stdout"] {
        if let Some(text) = text(name) {
            error = error.note(format!("{name}: {text}"));
        }
    }
    error
}

/// The result of a loop from those of its items.
pub fn loop_result(items: Vec<Value>) -> Value {
    let any = |name: &str| {
        items
            .iter()
            .any(|item| item.get(name).and_then(Value::as_bool).unwrap_or(false))
    };
    let all_skipped = !items.is_empty()
        && items.iter().all(|item| {
            item.get("skipped")
                .and_then(Value::as_bool)
                .unwrap_or(false)
        });
    let unknown_change = items
        .iter()
        .any(|item| item.get("changed").is_some_and(has_unknown));
    let mut map = Map::new();
    map.insert(
        "changed".to_owned(),
        if any("changed") || !unknown_change {
            Value::Bool(any("changed"))
        } else {
            unknown()
        },
    );
    map.insert("failed".to_owned(), Value::Bool(any("failed")));
    map.insert("skipped".to_owned(), Value::Bool(all_skipped));
    let message = match (any("failed"), all_skipped) {
        (true, _) => "One or more items failed",
        (false, true) => "All items skipped",
        (false, false) => "All items completed",
    };
    map.insert("msg".to_owned(), Value::from(message));
    map.insert("results".to_owned(), Value::Array(items));
    Value::Object(map)
}
