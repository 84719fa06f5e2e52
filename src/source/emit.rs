//! Writes nodes as YAML that Ansible reads back as the same values, tags included.

use super::{Node, Yaml, scalar};
use crate::base::value::Value;
use std::fmt::Write as _;

/// A node as YAML in block style, with a line end.
pub fn to_yaml(node: &Node) -> String {
    let mut text = String::new();
    match &node.yaml {
        Yaml::Mapping(entries) if !entries.is_empty() => mapping(entries, 0, &mut text),
        Yaml::Sequence(items) if !items.is_empty() => sequence(items, 0, &mut text),
        _ => {
            value(node, 0, &mut text);
            text = text.trim_start().to_owned();
        }
    }
    text
}

fn mapping(entries: &[(Node, Node)], indent: usize, into: &mut String) {
    for (key, entry) in entries {
        let _ = write!(into, "{:indent$}{}:", "", inline(key));
        value(entry, indent + 2, into);
    }
}

fn sequence(items: &[Node], indent: usize, into: &mut String) {
    for item in items {
        let _ = write!(into, "{:indent$}-", "");
        value(item, indent + 2, into);
    }
}

/// What stands after `key:` or `-`, with the line end.
fn value(node: &Node, indent: usize, into: &mut String) {
    match &node.yaml {
        Yaml::Mapping(entries) if !entries.is_empty() => {
            into.push('\n');
            mapping(entries, indent, into);
        }
        Yaml::Sequence(items) if !items.is_empty() => {
            into.push('\n');
            sequence(items, indent, into);
        }
        Yaml::Vault(text) => {
            into.push_str(" !vault |\n");
            lines(text, indent, into);
        }
        Yaml::String(text) if is_block(text) => {
            into.push_str(" |\n");
            lines(text, indent, into);
        }
        _ => {
            let _ = writeln!(into, " {}", inline(node));
        }
    }
}

fn lines(text: &str, indent: usize, into: &mut String) {
    for line in text.trim_end_matches('\n').lines() {
        if line.is_empty() {
            into.push('\n');
        } else {
            let _ = writeln!(into, "{:indent$}{line}", "");
        }
    }
}

/// Whether a text of several lines can be a block: exactly one line end at its end, nothing odd in it.
fn is_block(text: &str) -> bool {
    text.len() > 1
        && text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && !text.contains(|c: char| {
            (c.is_control() && c != '\n') || c == '\u{2028}' || c == '\u{2029}' || c == '\u{feff}'
        })
        && !text
            .lines()
            .any(|line| line.ends_with(' ') || line.trim().is_empty())
}

fn inline(node: &Node) -> String {
    match &node.yaml {
        Yaml::Null => "null".to_owned(),
        Yaml::Bool(flag) => flag.to_string(),
        Yaml::Int(number) => number.to_string(),
        Yaml::Float(number) => float(*number),
        Yaml::String(text) => quoted(text),
        Yaml::Vault(text) => format!("!vault {}", Value::from(text.as_str())),
        Yaml::Unsafe(text) => format!("!unsafe {}", quoted(text)),
        Yaml::Sequence(_) => "[]".to_owned(),
        Yaml::Mapping(_) => "{}".to_owned(),
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        let text = format!("{number:?}");
        match text.split_once('e') {
            None => text,
            // An exponent needs a point and a sign to be a number.
            Some((digits, exponent)) => {
                let digits = if digits.contains('.') {
                    digits.to_owned()
                } else {
                    format!("{digits}.0")
                };
                let sign = if exponent.starts_with('-') { "" } else { "+" };
                format!("{digits}e{sign}{exponent}")
            }
        }
    }
}

/// Plain where that is safe, in double quotes otherwise (JSON's escapes are YAML's).
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.'))
        && text.chars().all(|c| {
            c.is_alphanumeric()
                || matches!(c, '_' | '/' | '.' | '-' | ' ' | '@' | '+' | '=' | '(' | ')')
        })
        && !text.ends_with(' ')
        && !matches!(text, "y" | "Y" | "n" | "N" | "=" | "...")
        && scalar::resolve(text).is_ok_and(|yaml| matches!(yaml, Yaml::String(_)))
        && !text.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        text.to_owned()
    } else {
        // JSON leaves these as they are; YAML does not take them bare.
        let json = Value::from(text).to_string();
        json.chars()
            .fold(String::with_capacity(json.len()), |mut safe, c| {
                if matches!(
                    c,
                    '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
                ) {
                    let _ = write!(safe, "\\u{:04x}", c as u32);
                } else {
                    safe.push(c);
                }
                safe
            })
    }
}
