//! What is out of service, for people and as JSON (`hactl.maintenance/1`; the schema is in `docs/schema`).

use crate::base::mask::{mask, mask_value};
use crate::base::quote::for_terminal;
use crate::ops::entrance::maintenance::{Done, Entry, MaintenanceSnapshot};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Who, since when, why, and what does not fit together.
pub fn text(snapshot: &MaintenanceSnapshot) -> String {
    let mut text = String::new();
    if let Some(note) = snapshot.notes.service() {
        let _ = writeln!(text, "the service is in maintenance: {note}");
    }
    for entry in snapshot.entries() {
        let Entry {
            host,
            note,
            now,
            wrong,
        } = entry;
        match &note {
            Some(note) => {
                let _ = writeln!(text, "{host}: {note}");
            }
            None => {
                let _ = writeln!(text, "{host}");
            }
        }
        if !now.is_empty() {
            let _ = writeln!(text, "  {}", now.join(", "));
        }
        for line in wrong {
            let _ = writeln!(text, "  ✖ {line}");
        }
    }
    if text.is_empty() {
        text.push_str("nothing is in maintenance\n");
    }
    for_terminal(&mask(&text))
}

/// The same as a document.
pub fn json(snapshot: &MaintenanceSnapshot) -> String {
    let hosts: serde_json::Map<String, Value> = snapshot
        .entries()
        .into_iter()
        .map(|entry| {
            let state = match (&entry.note, snapshot.lost.contains_key(&entry.host)) {
                (_, true) => "unreachable",
                (Some(note), _) if note.done => "out",
                (Some(_), _) => "unfinished",
                (None, _) => "no note",
            };
            let value = json!({ "state": state, "note": entry.note, "now": entry.now, "wrong": entry.wrong });
            (entry.host, value)
        })
        .collect();
    document(
        &json!({ "schema": "hactl.maintenance/1", "service": snapshot.notes.service(), "hosts": hosts }),
    )
}

/// What `on` or `off` did.
pub fn done(on: bool, service: bool, done: &Done) -> String {
    let mut text = String::new();
    for (host, what) in &done.said {
        let _ = writeln!(text, "{host}: {what}");
    }
    let word = if on { "in maintenance" } else { "in service" };
    match (done.changed.as_slice(), service) {
        ([], _) => text.push_str("nothing to do\n"),
        (_, true) if on => text.push_str("the service is in maintenance\n"),
        (_, true) => text.push_str("the service is no longer in maintenance\n"),
        (hosts, false) => {
            let _ = writeln!(text, "{}: {word}", hosts.join(", "));
        }
    }
    for_terminal(&mask(&text))
}

/// The same as a document.
pub fn done_json(on: bool, done: &Done) -> String {
    let said: Vec<Value> = done
        .said
        .iter()
        .map(|(host, what)| json!({ "host": host, "what": what }))
        .collect();
    document(&json!({
        "schema": "hactl.maintenance/1", "turned": if on { "on" } else { "off" }, "changed": done.changed, "said": said,
    }))
}

fn document(value: &Value) -> String {
    format!("{:#}\n", mask_value(value))
}
