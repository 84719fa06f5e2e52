//! The document against its schema in `docs/schema/status.json`, both ways.

use super::json;
use crate::ops::status::snapshots;
use serde_json::Value;
use std::time::Duration;

/// Every field of the document is in the schema, and every field that the schema demands is in the document.
#[test]
fn the_document_is_as_its_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schema/status.json")).expect("a schema");
    let site = snapshots::site();
    for snapshot in [
        snapshots::healthy(&site),
        snapshots::primary_dead(&site),
        snapshots::split_brain(&site),
        snapshots::unfinished_switchover(&site),
        snapshots::fenced(&site),
    ] {
        let mut document = json(&snapshot.report(), Duration::from_secs(1));
        document["schema"] = json!("hactl.status/1");
        agree(&schema, &schema, &document, "$");
    }
}

fn agree(whole: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix("#/$defs/"))
    {
        return agree(whole, &whole["$defs"][name], value, at);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let null = options.iter().any(|option| option["type"] == "null");
        if !(null && value.is_null()) {
            agree(whole, &options[0], value, at);
        }
        return;
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(
            allowed.contains(value),
            "{at}: {value} is not among {allowed:?}"
        );
    }
    if let Some(only) = schema.get("const") {
        assert_eq!(value, only, "{at}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    assert!(
        kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number"),
        "{at}: {value} is no {kinds:?}"
    );
    if let Value::Array(items) = value {
        for item in items {
            agree(whole, &schema["items"], item, &format!("{at}[]"));
        }
    }
    if let Value::Object(map) = value {
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            assert!(map.contains_key(name), "{at}.{name} is missing");
        }
        for (name, value) in map {
            let known = schema["properties"].get(name);
            assert!(known.is_some(), "{at}.{name} is not in the schema");
            agree(
                whole,
                known.unwrap_or(&Value::Null),
                value,
                &format!("{at}.{name}"),
            );
        }
    }
}
