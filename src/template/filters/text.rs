//! Filters over text.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
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
    ("indent", indent),
    ("comment", comment),
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
    ("wordwrap", wordwrap),
    ("wordcount", |call| {
        Ok(Val::from(
            call.input_text()?
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty())
                .count(),
        ))
    }),
    ("truncate", truncate),
    ("urlencode", urlencode),
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
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
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
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
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
        Ok(named(name)?
            .map_or(Ok(1), |count| count.parse())
            .map_err(|_| Diagnostic::new(format!("`{name}` must be a number")))?)
    };
    let (before, after) = (count("prefix_count")?, count("postfix_count")?);
    let mut out = String::new();
    if !beginning.is_empty() {
        out += &format!("{beginning}{newline}");
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
        out += &format!("{newline}{end}");
    }
    Ok(Val::from(out))
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

/// Percent-encodes all but letters, digits and `_.-~`, and what is kept besides.
pub fn percent_encoded(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || "_.-~".contains(char::from(byte))
            || keep.contains(char::from(byte)) && byte.is_ascii()
        {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

fn urlencode(call: &Call) -> Result<Val> {
    let pair = |key: &Val, value: &Val| -> Result<String> {
        let encode = |value: &Val| -> Result<String> {
            Ok(percent_encoded(&value.string()?, "").replace("%20", "+"))
        };
        Ok(format!("{}={}", encode(key)?, encode(value)?))
    };
    Ok(Val::from(match &call.input {
        Val::Dict(_) => {
            let pairs = call.input.entries()?;
            pairs
                .iter()
                .map(|(key, value)| pair(&key.val(), value))
                .collect::<Result<Vec<_>>>()?
                .join("&")
        }
        Val::List(_) | Val::Tuple(_) => {
            let mut pairs = Vec::new();
            for item in call.input.items()? {
                match &item.items()?[..] {
                    [key, value] => pairs.push(pair(key, value)?),
                    _ => return Err(call.wrong_input("a text, a dictionary or pairs")),
                }
            }
            pairs.join("&")
        }
        _ => percent_encoded(&call.input_text()?, "/"),
    }))
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
