//! Filters that lay text out in lines.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("indent", indent),
    ("comment", comment),
    ("wordwrap", wordwrap),
    ("truncate", truncate),
];

fn indent(call: &Call) -> Result<Val> {
    let pad = match call.arg(0, "width") {
        Some(Val::Str(pad)) => pad.to_string(),
        Some(width) => " ".repeat(
            width
                .integer()
                .and_then(|width| usize::try_from(width).ok())
                .unwrap_or(0),
        ),
        None => " ".repeat(4),
    };
    let (first, blank) = (call.flag(1, "first")?, call.flag(2, "blank")?);
    let text = call.input_text()? + "\n";
    let mut out = String::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if (index > 0 && (blank || !line.is_empty())) || (index == 0 && first) {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(Val::from(out))
}

fn comment(call: &Call) -> Result<Val> {
    let style = call.text(0, "style")?.unwrap_or_else(|| "plain".to_owned());
    let (mut beginning, mut decoration, mut end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => {
            return Err(Diagnostic::new(format!("`comment` has no style `{other}`"))
                .help("the styles are plain, erlang, c, cblock and xml"));
        }
    };
    let named = |name: &str| {
        call.args
            .named
            .iter()
            .find(|(given, _)| **given == *name)
            .map(|(_, value)| value.string())
            .transpose()
    };
    let given = (named("beginning")?, named("decoration")?, named("end")?);
    beginning = given.0.as_deref().unwrap_or(beginning);
    decoration = given.1.as_deref().unwrap_or(decoration);
    end = given.2.as_deref().unwrap_or(end);
    let newline = named("newline")?.unwrap_or_else(|| "\n".to_owned());
    let line = decoration.trim_end().to_owned();
    let (prefix, postfix) = (
        named("prefix")?.unwrap_or_else(|| line.clone()),
        named("postfix")?.unwrap_or(line),
    );
    let count = |name: &str| -> Result<usize> {
        named(name)?
            .map_or(Ok(1), |count| count.parse())
            .map_err(|_| Diagnostic::new(format!("`{name}` must be a number")))
    };
    let (before, after) = (count("prefix_count")?, count("postfix_count")?);
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(beginning);
        out.push_str(&newline);
    }
    if !prefix.is_empty() {
        let line = if prefix == newline {
            newline.clone()
        } else {
            format!("{prefix}{newline}")
        };
        out += &line.repeat(before);
    }
    let text = call
        .input_text()?
        .replace(&newline, &format!("{newline}{decoration}"));
    let bare = format!("{}{newline}", decoration.trim_end());
    out += &format!("{decoration}{text}").replace(&format!("{decoration}{newline}"), &bare);
    out += &format!("{newline}{postfix}").repeat(after);
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(end);
    }
    Ok(Val::from(out))
}

fn wordwrap(call: &Call) -> Result<Val> {
    let width = usize::try_from(call.int(0, "width")?.unwrap_or(79))
        .unwrap_or(79)
        .max(1);
    let long = call
        .arg(1, "break_long_words")
        .map_or(Ok(true), |value| value.truthy())?;
    let newline = call
        .text(2, "wrapstring")?
        .unwrap_or_else(|| "\n".to_owned());
    let text = call.input_text()?;
    let wrapped: Vec<String> = text
        .lines()
        .map(|line| wrap(line, width, long).join(&newline))
        .collect();
    Ok(Val::from(wrapped.join(&newline)))
}

fn wrap(line: &str, width: usize, break_long: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let flush = |current: &mut String, lines: &mut Vec<String>| {
        let done = current.trim_end().to_owned();
        if !done.is_empty() {
            lines.push(done);
        }
        current.clear();
    };
    for word in line.split_inclusive(' ') {
        let mut word = word;
        if current.chars().count() + word.trim_end().chars().count() > width {
            flush(&mut current, &mut lines);
        }
        while break_long && word.trim_end().chars().count() > width {
            let at = word
                .char_indices()
                .nth(width)
                .map_or(word.len(), |(at, _)| at);
            lines.push(word[..at].to_owned());
            word = &word[at..];
        }
        current.push_str(word);
    }
    flush(&mut current, &mut lines);
    lines
}

fn truncate(call: &Call) -> Result<Val> {
    let length = usize::try_from(call.int(0, "length")?.unwrap_or(255)).unwrap_or(255);
    let kill = call.flag(1, "killwords")?;
    let end = call.text(2, "end")?.unwrap_or_else(|| "...".to_owned());
    let leeway = usize::try_from(call.int(3, "leeway")?.unwrap_or(5)).unwrap_or(0);
    let text = call.input_text()?;
    if text.chars().count() <= length + leeway {
        return Ok(Val::from(text));
    }
    let cut: String = text
        .chars()
        .take(length.saturating_sub(end.chars().count()))
        .collect();
    let cut = if kill {
        &cut
    } else {
        cut.rsplit_once(' ').map_or(&*cut, |(head, _)| head)
    };
    Ok(Val::from(format!("{cut}{end}")))
}
