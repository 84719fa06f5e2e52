//! JSON as Python's `json` module reads and writes it.

use super::{Call, Table};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result};
use crate::template::print;
use crate::template::val::{Val, touch};

/// The filters of this file.
pub const FILTERS: Table = &[
    ("to_json", to_json),
    ("tojson", to_json),
    ("to_nice_json", to_nice_json),
    ("from_json", from_json),
];

struct Style {
    indent: Option<String>,
    sort_keys: bool,
    ascii: bool,
    item: String,
    key: String,
}

fn to_json(call: &Call) -> Result<Val> {
    write(call, None, false)
}

fn to_nice_json(call: &Call) -> Result<Val> {
    write(call, Some("    "), true)
}

fn write(call: &Call, indent: Option<&str>, sort: bool) -> Result<Val> {
    let indent = match call.arg(0, "indent") {
        Some(Val::None) => None,
        Some(Val::Str(indent)) => Some(indent.to_string()),
        Some(width) => width
            .integer()
            .map(|width| " ".repeat(usize::try_from(width).unwrap_or(0))),
        None => indent.map(str::to_owned),
    };
    let flag = |name: &str, default: bool| {
        call.arg(usize::MAX, name)
            .map_or(Ok(default), |value| value.truthy())
    };
    let sort_keys = call
        .arg(1, "sort_keys")
        .map_or(Ok(sort), |value| value.truthy())?;
    let mut style = Style {
        item: if indent.is_some() { "," } else { ", " }.to_owned(),
        indent,
        sort_keys,
        ascii: flag("ensure_ascii", true)?,
        key: ": ".to_owned(),
    };
    if let Some(separators) = call.arg(usize::MAX, "separators").filter(|_| !sort)
        && let [item, key] = &separators.items()?[..]
    {
        style.item = item.string()?;
        style.key = key.string()?;
    }
    call.input.check()?;
    let mut out = String::new();
    dump(&call.input, &style, 0, &mut out)?;
    Ok(Val::from(out))
}

fn newline(style: &Style, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

fn dump(value: &Val, style: &Style, depth: usize, out: &mut String) -> Result<()> {
    match value {
        Val::None => out.push_str("null"),
        Val::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Val::Int(number) => out.push_str(&number.to_string()),
        Val::Float(number) if number.is_nan() => out.push_str("NaN"),
        Val::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            });
        }
        Val::Float(number) => out.push_str(&print::float(*number)),
        Val::Str(text) => dump_text(text, style.ascii, out),
        Val::Unknown { .. } => {
            touch();
            out.push_str("null");
        }
        Val::List(_) | Val::Tuple(_) => {
            let items = value.items()?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(&style.item);
                }
                newline(style, depth + 1, out);
                dump(item, style, depth + 1, out)?;
            }
            if !items.is_empty() {
                newline(style, depth, out);
            }
            out.push(']');
        }
        Val::Undefined(missing) => return Err(missing.error.clone()),
        Val::Lazy(lazy) => dump(&lazy.settle(), style, depth, out)?,
        Val::Object(crate::template::objects::Object::Time(_)) => {
            dump_text(&print::text(value), style.ascii, out);
        }
        Val::Dict(_) | Val::Object(_) => {
            let mut entries: Vec<(String, Val)> = value
                .entries()?
                .into_iter()
                .map(|(key, value)| {
                    let key = match key.val() {
                        Val::None => "null".to_owned(),
                        Val::Bool(flag) => flag.to_string(),
                        other => print::text(&other),
                    };
                    (key, value)
                })
                .collect();
            if style.sort_keys {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
            }
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(&style.item);
                }
                newline(style, depth + 1, out);
                dump_text(key, style.ascii, out);
                out.push_str(&style.key);
                dump(value, style, depth + 1, out)?;
            }
            if !entries.is_empty() {
                newline(style, depth, out);
            }
            out.push('}');
        }
    }
    Ok(())
}

fn dump_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || (ascii && u32::from(c) > 0x7e) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        out.extend(char::from_digit(u32::from(*unit >> shift & 0xf), 16));
                    }
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn from_json(call: &Call) -> Result<Val> {
    let text = call.input_text()?;
    let data: Value = serde_json::from_str(&text)
        .map_err(|error| Diagnostic::new(format!("`from_json`: the text is not JSON: {error}")))?;
    Ok(Val::from_data(data))
}
