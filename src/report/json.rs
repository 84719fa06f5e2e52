//! A run as one JSON document (`hactl.run/1`; the schema is in `docs/schema/run.json`).

use super::run::{Summary, word};
use crate::base::mask::mask_value;
use crate::engine::Ending;
use serde_json::{Value, json};

/// The document.
pub fn run(summary: &Summary, ending: &Ending) -> Value {
    let hosts: serde_json::Map<String, Value> = summary
        .hosts
        .iter()
        .map(|(host, counts)| {
            let mut entry = json!({ "counts": counts.by, "failed": ending.failed.contains(host), "unreachable": ending.unreachable.contains(host) });
            if let (Some(why), Some(map)) = (&counts.lost, entry.as_object_mut()) {
                map.insert("reason".to_owned(), Value::from(why.as_str()));
            }
            if let (Some(cost), Some(map)) = (counts.cost, entry.as_object_mut()) {
                map.insert(
                    "cost".to_owned(),
                    json!({
                        "round_trips": cost.statistics.round_trips, "requests": cost.statistics.requests,
                        "bytes_up": cost.statistics.bytes_up, "bytes_down": cost.statistics.bytes_down,
                        "processes": cost.processes, "seconds": cost.seconds, "connect_seconds": cost.connect_seconds,
                    }),
                );
            }
            (host.clone(), entry)
        })
        .collect();
    let tasks: Vec<Value> = summary
        .tasks
        .iter()
        .map(|end| {
            json!({
                "host": end.host, "play": end.play, "task": end.task, "item": end.item, "status": word(end.status),
                "handler": end.handler, "at": end.span.to_string(), "milliseconds": end.milliseconds, "message": end.message,
                "error": end.error.as_ref().map(|error| json!({ "message": error.message, "notes": error.notes, "help": error.help, "at": error.at.as_ref().map(ToString::to_string) })),
                "diffs": end.diffs.iter().map(|diff| json!({ "subject": diff.subject, "before": diff.before, "after": diff.after })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let plays: Vec<Value> = summary
        .plays
        .iter()
        .map(|cost| {
            json!({
                "play": cost.play, "hosts": cost.hosts, "most_round_trips": cost.round_trips, "requests": cost.statistics.requests,
                "bytes_up": cost.statistics.bytes_up, "bytes_down": cost.statistics.bytes_down, "slowest_seconds": cost.seconds,
            })
        })
        .collect();
    let document = json!({
        "schema": "hactl.run/1", "check": summary.options.check, "seconds": summary.seconds, "hosts": hosts, "tasks": tasks,
        "plays": plays, "failed": ending.failed, "unreachable": ending.unreachable, "refused": ending.refused, "stopped": ending.stopped,
    });
    readable(&mask_value(&document))
}

/// Unknown parts as people and scripts read them.
fn readable(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            Value::from(text.replace(crate::base::value::UNKNOWN, "(known after apply)"))
        }
        Value::Array(items) => items.iter().map(readable).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), readable(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Prints a document of one of the other commands on stdout: `hactl.KIND/1`, masked.
pub fn document(kind: &str, value: &Value) {
    let mut whole = json!({ "schema": format!("hactl.{kind}/1") });
    if let (Some(whole), Value::Object(value)) = (whole.as_object_mut(), mask_value(value)) {
        whole.extend(value);
    }
    let text = serde_json::to_string_pretty(&whole).unwrap_or_default();
    super::out(&(text + "\n"));
}
