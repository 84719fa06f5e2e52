//! What ansible-core's recordings (tests/data/mechanics) and a run of the rig have in common: one line a task or item.
//!
//! Nothing here knows a case; what a case wishes is in `engine::tests::mechanics`.

use super::Wish;
use crate::base::value::{Map, Value};
use crate::engine::{Event, Status};
use crate::source::{Node, SourceFile, Span};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Task, status, and what `debug` said. Messages of failures are each program's own; a rescue shows in what follows.
pub fn line(event: &Event) -> Option<(String, String)> {
    let Event::Task(end) = event else { return None };
    let item = if end.item.is_some() { " [item]" } else { "" };
    let status = match end.status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed | Status::Rescued => "failed",
        Status::Ignored => "ignored",
        Status::Unknown => "unknown",
    };
    let handler = if end.handler { " (handler)" } else { "" };
    let mut line = format!("{}{item}: {status}{handler}", end.task);
    if end.message.is_some() && matches!(end.status, Status::Ok | Status::Changed) {
        let noise = |name: &str| {
            matches!(
                name,
                "changed" | "failed" | "ansible_loop_var" | "failed_when_result"
            )
        };
        let fields = end.result.as_object()?;
        let said = fields.get("msg").or_else(|| {
            fields
                .iter()
                .find(|(name, _)| !noise(name))
                .map(|(_, value)| value)
        });
        let said = match said {
            Some(Value::String(text)) => text.clone(),
            Some(value) => python_json(value),
            None => "null".to_owned(),
        };
        line = format!("{line}: {said}");
    }
    Some((end.host.clone(), line))
}

/// JSON with Python's spaces and sorted keys.
fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let mut items: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    format!("{}: {}", Value::from(key.as_str()), python_json(value))
                })
                .collect();
            items.sort();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// An inventory whose hosts are all this machine.
pub fn inventory(given: &Value, dir: &Path) -> Value {
    let mut inventory = given.clone();
    let all = &mut inventory["all"]["vars"];
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    all["ansible_connection"] = "local".into();
    all["dir"] = dir.to_string_lossy().into();
    inventory
}

/// `--extra-vars` given as JSON.
pub fn extra(given: &Map<String, Value>) -> HashMap<String, Node> {
    let span = Span {
        file: Arc::new(SourceFile {
            path: "--extra-vars".to_owned(),
            text: String::new(),
        }),
        line: 1,
        column: 1,
    };
    given
        .iter()
        .map(|(name, value)| (name.clone(), Node::from_value(value, &span)))
        .collect()
}

/// The magic variables that the command line gives, as `cli::project` does.
pub fn magic(wish: &Wish, root: &str) -> HashMap<String, Value> {
    crate::engine::magic(crate::engine::Flags {
        check: wish.check,
        forks: 8,
        tags: wish.tags.clone(),
        skip_tags: wish.skip_tags.clone(),
        limit: wish.limit.clone(),
        sources: vec![format!("{root}/hosts.yml")],
        ..crate::engine::Flags::default()
    })
}
