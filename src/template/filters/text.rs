//! Filters over text.

use super::{Call, Table};
use crate::base::Result;
use crate::template::val::Val;
use crate::template::{format, methods};

/// The filters of this file.
pub const FILTERS: Table = &[
    ("lower", |call| {
        Ok(Val::from(call.input_text()?.to_lowercase()))
    }),
    ("upper", |call| {
        Ok(Val::from(call.input_text()?.to_uppercase()))
    }),
    ("capitalize", |call| {
        Ok(Val::from(capitalized(&call.input_text()?)))
    }),
    ("title", |call| Ok(Val::from(title(&call.input_text()?)))),
    ("trim", trim),
    ("replace", replace),
    ("quote", quote),
    ("split", split),
    ("format", format_filter),
    ("center", |call| {
        let width = call.int(0, "width")?.unwrap_or(80);
        Ok(Val::from(centered(
            &call.input_text()?,
            usize::try_from(width).unwrap_or(0),
        )))
    }),
    ("wordcount", |call| {
        Ok(Val::from(
            call.input_text()?
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty())
                .count(),
        ))
    }),
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("safe", |call| Ok(call.input.clone())),
    ("striptags", striptags),
];

/// The first letter upper case, the others lower case.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase()
    })
}

/// Jinja's `title`: words are parted by blanks, dashes and brackets.
fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::new();
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

/// Python's `str.title`: words are parted by whatever is no letter.
pub fn python_title(text: &str) -> String {
    let mut start = true;
    let mut out = String::new();
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = !c.is_alphabetic();
    }
    out
}

/// Text with blanks on both sides.
pub fn centered(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    // Python gives the odd blank to the left when the width is odd too.
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left))
}

/// Text with blanks, or another character, on one side.
pub fn padded(text: &str, width: usize, fill: Option<&str>, left: bool) -> String {
    let fill = fill
        .unwrap_or(" ")
        .repeat(width.saturating_sub(text.chars().count()));
    if left {
        fill + text
    } else {
        text.to_owned() + &fill
    }
}

fn trim(call: &Call) -> Result<Val> {
    let chars = call.text(0, "chars")?;
    let text = call.input_text()?;
    let drop = |c: char| {
        chars
            .as_ref()
            .map_or(c.is_whitespace(), |chars| chars.contains(c))
    };
    Ok(Val::from(text.trim_matches(drop)))
}

fn replace(call: &Call) -> Result<Val> {
    let (old, new) = (
        call.need(0, "old")?.string()?,
        call.need(1, "new")?.string()?,
    );
    let text = call.input_text()?;
    Ok(Val::from(
        match call
            .int(2, "count")?
            .and_then(|count| usize::try_from(count).ok())
        {
            Some(count) => text.replacen(&old, &new, count),
            None => text.replace(&old, &new),
        },
    ))
}

fn quote(call: &Call) -> Result<Val> {
    let text = if matches!(call.input, Val::None) {
        String::new()
    } else {
        call.input_text()?
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return Ok(Val::from(text));
    }
    Ok(Val::from(format!("'{}'", text.replace('\'', "'\"'\"'"))))
}

fn split(call: &Call) -> Result<Val> {
    Ok(methods::split(
        &call.input_text()?,
        call.text(0, "sep")?.as_deref(),
        call.int(1, "maxsplit")?,
    ))
}

fn format_filter(call: &Call) -> Result<Val> {
    let values = if call.args.named.is_empty() {
        Val::tuple(call.args.positional.clone())
    } else {
        Val::dict(
            call.args
                .named
                .iter()
                .map(|(name, value)| (crate::template::val::Key::Str(name.clone()), value.clone()))
                .collect(),
        )
    };
    format::percent(&call.input_text()?, &values).map(Val::from)
}

fn escape(call: &Call) -> Result<Val> {
    let text = call.input_text()?;
    Ok(Val::from(
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\'', "&#39;")
            .replace('"', "&#34;"),
    ))
}

fn striptags(call: &Call) -> Result<Val> {
    let mut out = String::new();
    let mut inside = false;
    for c in call.input_text()?.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    Ok(Val::from(
        out.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}
