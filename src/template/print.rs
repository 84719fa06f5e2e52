//! Text as Python prints it: `str()` and `repr()`.
//!
//! Nothing here fails: undefined parts were refused before.

use super::val::{Val, touch};
use crate::base::value::UNKNOWN;

/// `str(value)`.
pub fn text(value: &Val) -> String {
    match value {
        Val::Str(text) => text.to_string(),
        Val::Unknown { .. } => {
            touch();
            UNKNOWN.to_owned()
        }
        other => {
            let mut out = String::new();
            write_repr(other, &mut out);
            out
        }
    }
}

/// `repr(value)`.
pub fn repr(value: &Val) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

/// Text as a template prints it between other text: tuples are lists by then, and what is omitted is gone.
pub fn printed(value: &Val) -> String {
    match value {
        Val::Str(_) if value.is_omit() => String::new(),
        Val::Tuple(_) | Val::List(_) | Val::Dict(_) => text(&settled(value)),
        other => text(other),
    }
}

fn settled(value: &Val) -> Val {
    let kept = |items: &[Val]| {
        Val::list(
            items
                .iter()
                .filter(|item| !item.is_omit())
                .map(settled)
                .collect(),
        )
    };
    match value {
        Val::Tuple(items) => kept(items),
        Val::List(list) => kept(&list.items.borrow()),
        Val::Dict(dict) => {
            let entries = dict.items.borrow();
            let kept = entries.iter().filter(|(_, value)| !value.is_omit());
            Val::dict(
                kept.map(|(key, value)| (key.clone(), settled(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

fn write_repr(value: &Val, out: &mut String) {
    match value {
        Val::Undefined(missing) => out.push_str(&missing.path),
        Val::Unknown { .. } => {
            touch();
            out.push_str(UNKNOWN);
        }
        Val::None => out.push_str("None"),
        Val::Bool(true) => out.push_str("True"),
        Val::Bool(false) => out.push_str("False"),
        Val::Int(number) => out.push_str(&number.to_string()),
        Val::Float(number) => out.push_str(&float(*number)),
        Val::Str(text) => write_str_repr(text, out),
        Val::List(list) => write_items(&list.items.borrow(), '[', ']', out),
        Val::Tuple(items) => {
            if let [only] = &**items {
                out.push('(');
                write_repr(only, out);
                out.push_str(",)");
            } else {
                write_items(items, '(', ')', out);
            }
        }
        Val::Dict(dict) => {
            out.push('{');
            for (index, (key, value)) in dict.items.borrow().iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(&key.val(), out);
                out.push_str(": ");
                write_repr(value, out);
            }
            out.push('}');
        }
        Val::Lazy(lazy) => write_repr(&lazy.settle(), out),
        Val::Object(object) => out.push_str(&object.repr()),
    }
}

fn write_items(items: &[Val], open: char, close: char, out: &mut String) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(item, out);
    }
    out.push(close);
}

/// `repr` of text: single quotes unless that would need escaping and double quotes would not.
fn write_str_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() || !is_printable(c) => {
                let (letter, digits) = match u32::from(c) {
                    0..=0xff => ('x', 2),
                    0x100..=0xffff => ('u', 4),
                    _ => ('U', 8),
                };
                out.push('\\');
                out.push(letter);
                let shifts = (0..digits)
                    .rev()
                    .map(|place| u32::from(c) >> (place * 4) & 0xf);
                out.extend(shifts.filter_map(|digit| char::from_digit(digit, 16)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Blanks and marks that cannot be seen are escaped by `repr`.
fn is_printable(c: char) -> bool {
    !matches!(
        c,
        '\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{feff}'
    )
}

/// `repr` of a float: `1.0`, `1e+16`, `1e-05`, `nan`.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{number:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}e-{digits:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}
