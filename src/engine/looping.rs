//! What a task's loop runs over.

use super::settings::Settings;
use crate::base::value::{Map, Value, has_unknown, to_text};
use crate::base::{Diagnostic, Result};
use crate::play::{Loop, LoopKind, Task};
use crate::template::{self, Context};

/// The items of a loop; `None` when they are not known yet.
///
/// # Errors
/// When it is not a list, or a file is missing.
pub fn items(
    looped: &Loop,
    task: &Task,
    context: &Context,
    settings: &Settings,
) -> Result<Option<Vec<Value>>> {
    let value =
        template::value(&looped.node, context).map_err(|error| error.at(&looped.node.span))?;
    // A list may hold unknown items; a list that is itself unknown cannot be walked.
    if matches!(&value, Value::String(text) if has_unknown(&Value::from(text.as_str()))) {
        return Ok(None);
    }
    let wrong = |wanted: &str| {
        Diagnostic::new(format!(
            "the loop needs {wanted}, not `{}`",
            to_text(&value)
        ))
        .at(&looped.node.span)
    };
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    Ok(Some(match looped.kind {
        LoopKind::Loop => match &value {
            Value::Array(items) => items.clone(),
            _ => {
                return Err(
                    wrong("a list").help("for a mapping: `loop: \"{{ mapping | dict2items }}\"`")
                );
            }
        },
        LoopKind::Items => list(&value).iter().flat_map(list_of).collect(),
        LoopKind::Flattened => {
            let mut flat = Vec::new();
            flatten(&value, &mut flat);
            flat
        }
        LoopKind::Dict => match &value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| {
                    Value::Object(Map::from_iter([
                        ("key".to_owned(), Value::from(key.as_str())),
                        ("value".to_owned(), value.clone()),
                    ]))
                })
                .collect(),
            Value::Null => Vec::new(),
            _ => return Err(wrong("a mapping")),
        },
        LoopKind::IndexedItems => list(&value)
            .iter()
            .flat_map(list_of)
            .enumerate()
            .map(|(index, item)| Value::Array(vec![Value::from(index), item]))
            .collect(),
        LoopKind::Nested => list(&value)
            .iter()
            .map(list_of)
            .fold(vec![Vec::new()], |rows: Vec<Vec<Value>>, column| {
                rows.iter()
                    .flat_map(|row| {
                        column
                            .iter()
                            .map(|item| row.iter().cloned().chain([item.clone()]).collect())
                            .collect::<Vec<Vec<Value>>>()
                    })
                    .collect()
            })
            .into_iter()
            .map(Value::Array)
            .collect(),
        LoopKind::Together => {
            let columns: Vec<Vec<Value>> = list(&value).iter().map(list_of).collect();
            let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
            (0..longest)
                .map(|row| {
                    columns
                        .iter()
                        .map(|column| column.get(row).cloned().unwrap_or(Value::Null))
                        .collect()
                })
                .collect()
        }
        LoopKind::Subelements => subelements(&value).ok_or_else(|| wrong("`[list, key]`"))?,
        LoopKind::Sequence => sequence(&value).ok_or_else(|| wrong("`start=… end=…`"))?,
        LoopKind::FirstFound => {
            if has_unknown(&value) {
                return Ok(None);
            }
            let names: Vec<String> = first_found_names(&value);
            // The folder goes by the name of the module, as in Ansible.
            let kind = ["template", "var"]
                .into_iter()
                .find(|part| task.action.module.contains(part))
                .unwrap_or("file");
            let kind = format!("{kind}s");
            let found = names
                .iter()
                .find_map(|name| settings.loader.found(task, &kind, name));
            match found {
                Some(path) => vec![Value::from(path)],
                None if skips(&value) => Vec::new(),
                None => {
                    return Err(wrong("a file that exists")
                        .note(format!("looked for: {}", names.join(", "))));
                }
            }
        }
        LoopKind::Fileglob => list(&value)
            .iter()
            .flat_map(|pattern| context.files.glob(&to_text(pattern)))
            .map(Value::from)
            .collect(),
        LoopKind::File => list(&value)
            .iter()
            .map(|name| {
                let path = settings.loader.find_file(task, &to_text(name))?;
                let bytes = settings
                    .loader
                    .files()
                    .read_bytes(std::path::Path::new(&path))
                    .transpose()?
                    .unwrap_or_default();
                Ok(Value::from(String::from_utf8_lossy(&bytes).trim_end()))
            })
            .collect::<Result<_>>()?,
        LoopKind::InventoryHostnames => {
            return Err(wrong(
                "another kind of loop: use `loop: \"{{ groups['name'] }}\"`",
            ));
        }
    }))
}

fn list_of(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    }
}

fn flatten(value: &Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, into)),
        Value::Null => {}
        other => into.push(other.clone()),
    }
}

fn subelements(value: &Value) -> Option<Vec<Value>> {
    let [list, key, ..] = value.as_array()?.as_slice() else {
        return None;
    };
    let parents: Vec<Value> = match list {
        Value::Object(map) => map.values().cloned().collect(),
        other => other.as_array()?.clone(),
    };
    let path = key.as_str()?;
    let mut pairs = Vec::new();
    for parent in parents {
        let below = path
            .split('.')
            .try_fold(&parent, |value, part| value.get(part))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        pairs.extend(
            below
                .into_iter()
                .map(|child| Value::Array(vec![parent.clone(), child])),
        );
    }
    Some(pairs)
}

fn sequence(value: &Value) -> Option<Vec<Value>> {
    let text = value.as_str()?;
    let mut parts: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=')?;
        parts.insert(key, value);
    }
    let number = |key: &str| parts.get(key).and_then(|text| text.parse::<i64>().ok());
    let start = number("start").unwrap_or(1);
    let stride = number("stride").unwrap_or(1);
    let end =
        number("end").or_else(|| number("count").map(|count| start + (count - 1) * stride))?;
    let format = |value: i64| match parts.get("format") {
        Some(format) => {
            let (before, rest) = format.split_once('%').unwrap_or((format, ""));
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let after = rest.get(digits.len() + 1..).unwrap_or_default();
            let width = digits.trim_start_matches('0').parse::<usize>().unwrap_or(0);
            if digits.starts_with('0') {
                format!("{before}{value:0width$}{after}")
            } else {
                format!("{before}{value:width$}{after}")
            }
        }
        None => value.to_string(),
    };
    if stride == 0 {
        return None;
    }
    let mut items = Vec::new();
    let mut next = start;
    while (stride > 0 && next <= end) || (stride < 0 && next >= end) {
        items.push(Value::from(format(next)));
        next += stride;
    }
    Some(items)
}

fn first_found_names(value: &Value) -> Vec<String> {
    let entries = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let mut names = Vec::new();
    for entry in entries {
        match &entry {
            Value::Object(map) => {
                let files = map.get("files").map(list_of).unwrap_or_default();
                let paths = map.get("paths").map(list_of).unwrap_or_default();
                for file in &files {
                    if paths.is_empty() {
                        names.push(to_text(file));
                    }
                    names.extend(
                        paths
                            .iter()
                            .map(|path| format!("{}/{}", to_text(path), to_text(file))),
                    );
                }
            }
            other => names.push(to_text(other)),
        }
    }
    names
}

fn skips(value: &Value) -> bool {
    list_of(value).iter().any(|entry| {
        entry
            .get("skip")
            .and_then(crate::base::value::to_bool)
            .unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_and_subelements() {
        for (text, wanted) in [
            ("start=1 end=3", vec!["1", "2", "3"]),
            (
                "start=0 end=4 stride=2 format=web%02d",
                vec!["web00", "web02", "web04"],
            ),
            ("count=2", vec!["1", "2"]),
        ] {
            assert_eq!(
                sequence(&Value::from(text)),
                Some(wanted.into_iter().map(Value::from).collect()),
                "{text}"
            );
        }
        let value = serde_json::json!([[{"name": "a", "keys": ["x", "y"]}, {"name": "b"}], "keys"]);
        assert_eq!(subelements(&value).expect("pairs").len(), 2);
    }
}
