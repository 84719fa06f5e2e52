//! What is made of a drill: text, JSON by its schema, a page without holes.

use super::*;
use crate::ops::drill::testing::{EVIL, record};
use serde_json::Value;

fn left_out() -> Vec<LeftOut> {
    vec![LeftOut {
        drill: &crate::ops::drill::catalog::DRILLS[1],
        why: EVIL.to_owned(),
    }]
}

#[test]
fn the_table_says_what_does_not_hold() {
    let text = text(&[record()], &left_out());
    let row = text.lines().nth(1).expect("a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "D1",
            "switchover",
            "0.52",
            "s",
            "0.52",
            "s",
            "1.61",
            "s",
            "2.00",
            "s",
            "3.10",
            "s",
            "1",
            "1",
            "0",
            "no",
            "✖",
            "FAILED"
        ],
        "{text}"
    );
    assert!(
        text.contains("✖ acknowledged writes lost: expected none, observed 1 (seq 1)"),
        "{text}"
    );
    assert!(text.contains("D2 crash was left out: "), "{text}");
    assert!(text.ends_with("\n0 of 1 drills passed (4 s)\n"), "{text}");
}

/// The part of JSON Schema that the schema uses.
fn fits(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root
            .pointer(name.trim_start_matches('#'))
            .expect("a definition");
        return fits(value, target, root, at);
    }
    if let Some(cases) = schema["oneOf"].as_array() {
        let good = cases
            .iter()
            .filter(|case| fits(value, case, root, at).is_empty())
            .count();
        return if good == 1 {
            Vec::new()
        } else {
            vec![format!("{at}: fits {good} cases")]
        };
    }
    let mut wrong = Vec::new();
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => value.is_null(),
    };
    let typed = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    let constant = schema.get("const").is_none_or(|wanted| wanted == value);
    let listed = schema["enum"]
        .as_array()
        .is_none_or(|words| words.contains(value));
    if !(typed && constant && listed) {
        wrong.push(format!("{at}: {value}"));
    }
    if let (Some(map), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, value) in map {
            match known.get(name) {
                Some(schema) => wrong.extend(fits(value, schema, root, &format!("{at}.{name}"))),
                None => wrong.push(format!("{at}.{name} is not in the schema")),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if !map.contains_key(name.as_str().expect("a name")) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        wrong.extend(fits(
            item,
            &schema["items"],
            root,
            &format!("{at}[{index}]"),
        ));
    }
    wrong
}

#[test]
fn the_document_fits_its_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schema/drill.json")).expect("JSON");
    let document: Value = serde_json::from_str(&json(&[record()], &left_out())).expect("JSON");
    assert_eq!(fits(&document, &schema, &schema, "document"), [""; 0]);
    // The check can fail.
    let mut broken = document.clone();
    broken["drills"][0]["figures"]["lost"] = Value::from("none");
    broken["drills"][0]["events"][0]["kind"] = Value::from("guess");
    broken["more"] = Value::Null;
    assert_eq!(fits(&broken, &schema, &schema, "document").len(), 3);
    assert_eq!(
        document["drills"][0]["figures"]["lost"],
        serde_json::json!([1])
    );
    assert_eq!(
        document["drills"][0]["figures"]["images_lost"],
        serde_json::json!([4])
    );
    assert_eq!(document["drills"][0]["started"], "1970-01-01T00:00:00Z");
}

#[test]
fn the_page_shows_every_request_and_runs_nothing_of_a_host() {
    let record = record();
    let page = page::page(&[record], &left_out()).expect("a page");
    assert_eq!(page.matches("class=\"m ").count(), 7);
    for outcome in ["done", "refused", "broken", "timeout"] {
        assert!(
            page.contains(&format!("class=\"m {outcome}\"")),
            "{outcome}"
        );
    }
    assert!(
        page.contains("&lt;script&gt;alert(1)"),
        "escaped, not dropped"
    );
    assert!(!page.contains(EVIL) && !page.contains("<script"), "{page}");
    assert!(!page.contains('\u{1b}'));
    for reference in [
        "http:", "https:", "src=", "url(", "@import", "<link", "<img",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("role=\"img\"") && page.contains("<desc id="));
}

#[test]
fn a_page_of_no_drills_is_a_page() {
    let page = page::page(&[], &[]).expect("a page");
    assert!(page.contains("0 of 0 passed"));
}

#[test]
fn the_report_is_two_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("a/b");
    write(&below, &[record()], &[]).expect("written");
    let size = |name: &str| std::fs::metadata(below.join(name)).expect("a file").len();
    assert!(size("drill.html") > 5000 && size("drill.json") > 1000);
    let error = write(&below.join("drill.json"), &[], &[]).expect_err("a file is no folder");
    assert_eq!(error.code, exit::FAILED);
}
