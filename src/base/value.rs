//! The data that flows through a run: variables, module parameters, results and facts.
//!
//! A value is JSON with ordered keys. What cannot be known before an earlier task is applied is the
//! [`UNKNOWN`] text; whatever is computed from it is unknown too.

pub use serde_json::{Map, Value};

/// Stands for "known after apply" inside a value. The control characters keep it apart from real text.
pub const UNKNOWN: &str = "\u{1}hactl:known-after-apply\u{1}";

/// Stands for Ansible's `omit` inside rendered parameters.
pub const OMIT: &str = "\u{1}hactl:omit\u{1}";

/// An unknown value.
pub fn unknown() -> Value {
    Value::String(UNKNOWN.to_owned())
}

/// Whether any part of the value is not known yet.
pub fn has_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(UNKNOWN),
        Value::Array(items) => items.iter().any(has_unknown),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains(UNKNOWN) || has_unknown(value)),
        _ => false,
    }
}

/// Ansible's boolean conversion of parameters: yes/no/on/off/true/false/1/0/y/n/t/f in any case.
pub fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" | "y" | "t" => Some(true),
            "no" | "off" | "false" | "0" | "n" | "f" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// JSON as Python's `json.dumps` writes it: a space after commas and colons.
pub fn to_json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(to_json).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), to_json(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Text as Python's `str()` gives it for the scalars of Ansible: `True`, `None`, `1.0`; text stays.
/// Lists and maps are given as JSON.
pub fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
