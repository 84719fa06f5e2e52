//! What was done to a service: for people, and as JSON (`hactl.history/1`; the schema is in `docs/schema`).

use crate::base::mask::mask;
use crate::base::quote::for_terminal;
use crate::ops::history::{Entry, History};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A line for each operation, unfinished ones first; with `steps` also what each of them did.
pub fn text(entries: &[Entry], steps: bool) -> String {
    if entries.is_empty() {
        return "nothing was done yet\n".to_owned();
    }
    let mut text = String::new();
    if steps {
        for entry in entries {
            whole(entry, &mut text);
        }
        return for_terminal(&mask(&text));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["when", "what", "result", "took", "by", "of", "why"]);
    for entry in entries {
        let header = &entry.record.header;
        table.add_row([
            moment(header.started),
            header.kind.clone(),
            result(entry).to_owned(),
            took(entry),
            by(entry).to_owned(),
            details(entry),
            header.reason.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for entry in entries {
        let _ = write!(text, "{}", left(entry));
    }
    for_terminal(&mask(&text))
}

/// What is still to be done about an operation.
fn left(entry: &Entry) -> String {
    let header = &entry.record.header;
    if entry.under_way.is_empty() {
        return String::new();
    }
    let hosts = entry.under_way.join(", ");
    if entry.is_unfinished() {
        let how = match header.kind.as_str() {
            "vip-move" => "hactl vip move",
            _ => "hactl resume",
        };
        format!("✖ {} is unfinished on {hosts}: {how}\n", header.id)
    } else {
        format!(
            "✖ {} has ended, but {hosts} did not hear of it: hactl resume\n",
            header.id
        )
    }
}

fn whole(entry: &Entry, text: &mut String) {
    let header = &entry.record.header;
    let _ = writeln!(
        text,
        "{}  {}  {}  {}",
        moment(header.started),
        header.kind,
        result(entry),
        took(entry)
    );
    for (name, value) in [
        ("id", header.id.as_str()),
        ("by", &header.operator),
        ("of", &details(entry)),
        ("why", &header.reason),
        ("kept on", &entry.hosts.join(", ")),
    ] {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<8} {value}");
        }
    }
    for step in &entry.record.steps {
        let state = format!("{:?}", step.state).to_lowercase();
        let notes: Vec<String> = step
            .notes
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let after = step.at.saturating_sub(header.started);
        let notes = if notes.is_empty() {
            String::new()
        } else {
            format!("  ({})", notes.join(", "))
        };
        let _ = writeln!(text, "  +{after:>3} s   {state:<6} {}{notes}", step.step);
    }
    if let Some(end) = &entry.record.end {
        for line in end.message.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(text, "  {}", line.trim());
        }
    }
    let _ = write!(text, "{}", left(entry));
    text.push('\n');
}

fn result(entry: &Entry) -> &str {
    entry
        .record
        .end
        .as_ref()
        .map_or("unfinished", |end| end.result.as_str())
}

fn took(entry: &Entry) -> String {
    entry
        .took()
        .map_or_else(|| "-".to_owned(), |s| format!("{s} s"))
}

/// Who, and from which machine; the rest of it is in the full text.
fn by(entry: &Entry) -> &str {
    let operator = &entry.record.header.operator;
    operator.split(", ").next().unwrap_or(operator)
}

fn details(entry: &Entry) -> String {
    let details = &entry.record.header.details;
    let all: Vec<String> = details
        .iter()
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    all.join(", ")
}

/// Seconds since 1970 as people write them, in UTC.
fn moment(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || seconds.to_string(),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}

/// The same as a document's content.
pub fn json(history: &History, entries: &[Entry]) -> Value {
    let operations: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "id": entry.record.header.id, "kind": entry.record.header.kind, "operator": entry.record.header.operator,
                "started": entry.record.header.started, "reason": entry.record.header.reason, "details": entry.record.header.details,
                "result": result(entry), "ended": entry.record.end.as_ref().map(|end| end.ended), "seconds": entry.took(),
                "message": entry.record.end.as_ref().map(|end| &end.message), "steps": entry.record.steps, "hosts": entry.hosts,
                "under_way": entry.under_way,
            })
        })
        .collect();
    let named = |errors: &[crate::base::Diagnostic]| -> Vec<Value> {
        errors
            .iter()
            .map(|error| json!({ "host": error.host, "message": error.message, "notes": error.notes }))
            .collect()
    };
    json!({ "operations": operations, "garbled": named(&history.garbled), "unreachable": named(&history.lost) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operation::journal::{End, Header, Record, StepLine, StepState};

    fn entry() -> Entry {
        Entry {
            record: Record {
                header: Header {
                    id: "20261121T150000Z-vip-move-0001".to_owned(),
                    started: 1_795_273_200,
                    details: [("to".to_owned(), "lb2".to_owned())].into(),
                    ..Header::new(
                        "vip-move",
                        "ann@desk, `hactl vip move`, pid 7",
                        "a \u{1b}[31m test",
                    )
                },
                steps: vec![StepLine {
                    step: "clear the flag".to_owned(),
                    state: StepState::Done,
                    at: 1_795_273_202,
                    notes: [("hosts".to_owned(), "lb1".to_owned())].into(),
                }],
                end: Some(End {
                    result: "done".to_owned(),
                    ended: 1_795_273_203,
                    message: "moved".to_owned(),
                }),
            },
            hosts: vec!["lb1".to_owned(), "lb2".to_owned()],
            under_way: Vec::new(),
        }
    }

    #[test]
    fn an_operation_is_a_line_and_with_its_steps_a_block() {
        let line = text(&[entry()], false);
        for part in [
            "vip-move",
            "done",
            "3 s",
            "ann@desk",
            "to lb2",
            "a \\u{1b}[31m test",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("pid 7"), "{line}");
        let block = text(&[entry()], true);
        for part in [
            "pid 7",
            "+  2 s   done   clear the flag  (hosts: lb1)",
            "kept on  lb1, lb2",
            "  moved",
        ] {
            assert!(block.contains(part), "{part}: {block}");
        }
        assert_eq!(text(&[], true), "nothing was done yet\n");
    }

    #[test]
    fn what_is_unfinished_says_how_it_is_taken_up() {
        let mut open = entry();
        open.record.end = None;
        open.under_way.push("lb1".to_owned());
        let said = text(&[open.clone()], false);
        assert!(said.contains("unfinished on lb1: hactl vip move"), "{said}");
        open.record.header.kind = "failover".to_owned();
        assert!(text(&[open], false).contains("unfinished on lb1: hactl resume"));
    }
}
