//! Regular expressions in Python's syntax.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;
use fancy_regex::{Captures, Regex};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// The filters of this file.
pub const FILTERS: Table = &[
    ("regex_search", search),
    ("regex_replace", replace),
    ("regex_findall", findall),
    ("regex_escape", escape),
];

type Compiled = HashMap<(String, bool, bool), Arc<Regex>>;
static KEEP: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);

/// Compiles an expression, or gives what was compiled before.
pub fn compile(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Arc<Regex>> {
    let key = (pattern.to_owned(), ignore_case, multiline);
    if let Ok(keep) = KEEP.lock()
        && let Some(found) = keep.get(&key)
    {
        return Ok(found.clone());
    }
    let flags = format!(
        "{}{}",
        if ignore_case { "i" } else { "" },
        if multiline { "m" } else { "" }
    );
    let translated = translate(pattern, multiline);
    let full = if flags.is_empty() {
        translated
    } else {
        format!("(?{flags}){translated}")
    };
    let regex = Regex::new(&full).map_err(|error| {
        Diagnostic::new(format!("`{pattern}` is not a regular expression: {error}"))
    })?;
    let regex = Arc::new(regex);
    if let Ok(mut keep) = KEEP.lock() {
        keep.insert(key, regex.clone());
    }
    Ok(regex)
}

/// What Python writes another way: `\Z`, `$` before a last line feed, `(?P=name)`, `[` in a class.
fn translate(pattern: &str, multiline: bool) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') => out.push_str("\\z"),
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push_str("\\\\"),
            },
            '[' if class => out.push_str("\\["),
            '[' => {
                class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class && chars.peek() == Some(&c) => {
                out.push('\\');
                out.push(c);
            }
            '$' if !class && !multiline => out.push_str("(?=\\n?\\z)"),
            c => out.push(c),
        }
    }
    out
}

fn flags(call: &Call, first: usize) -> Result<(bool, bool)> {
    // regex_findall has them the other way round.
    if call.name == "regex_findall" {
        return Ok((
            call.flag(first + 1, "ignorecase")?,
            call.flag(first, "multiline")?,
        ));
    }
    Ok((
        call.flag(first, "ignorecase")?,
        call.flag(first + 1, "multiline")?,
    ))
}

fn failed(error: &fancy_regex::Error) -> Diagnostic {
    Diagnostic::new(format!(
        "regular expression: backtracking limit exceeded: {error}"
    ))
}

fn subject(call: &Call) -> Result<String> {
    if matches!(call.input, Val::None) {
        Ok(String::new())
    } else {
        call.input_text()
    }
}

fn search(call: &Call) -> Result<Val> {
    let (ignore_case, multiline) = flags(call, usize::MAX - 1)?;
    let regex = compile(&call.need(0, "regex")?.string()?, ignore_case, multiline)?;
    let text = subject(call)?;
    let Some(found) = regex
        .captures(text.as_str())
        .map_err(|error| failed(&error))?
    else {
        return Ok(Val::None);
    };
    let mut groups = Vec::new();
    for wanted in call.args.positional.iter().skip(1) {
        let wanted = wanted.string()?;
        let name = wanted
            .strip_prefix("\\g<")
            .and_then(|rest| rest.strip_suffix('>'));
        let name = name.or_else(|| wanted.strip_prefix('\\')).ok_or_else(|| {
            Diagnostic::new(format!("`regex_search`: `{wanted}` is not a group"))
                .help("write a group as `\\\\1` or `\\\\g<name>`")
        })?;
        groups.push(group(&found, name)?);
    }
    if groups.is_empty() {
        return Ok(found
            .get(0)
            .map_or(Val::None, |whole| Val::from(whole.as_str())));
    }
    Ok(Val::list(groups))
}

fn group(found: &Captures<str>, name: &str) -> Result<Val> {
    let part = match name.parse::<usize>() {
        Ok(index) if index < found.len() => found.get(index),
        Ok(_) => {
            return Err(Diagnostic::new(format!(
                "the expression has no group {name}"
            )));
        }
        Err(_) => found.name(name),
    };
    Ok(part.map_or(Val::None, |part| Val::from(part.as_str())))
}

fn findall(call: &Call) -> Result<Val> {
    let (ignore_case, multiline) = flags(call, 1)?;
    let regex = compile(&call.need(0, "regex")?.string()?, ignore_case, multiline)?;
    let text = subject(call)?;
    let mut out = Vec::new();
    each(&regex, &text, |found| {
        let part = |index: usize| Val::from(found.get(index).map_or("", |part| part.as_str()));
        out.push(match found.len() {
            1 => part(0),
            2 => part(1),
            count => Val::tuple((1..count).map(part).collect()),
        });
        Ok(true)
    })?;
    Ok(Val::list(out))
}

/// Visits the matches as Python does: an empty one may follow right after another, until told to stop.
fn each(
    regex: &Regex,
    text: &str,
    mut visit: impl FnMut(&Captures<str>) -> Result<bool>,
) -> Result<()> {
    let mut at = 0;
    while at <= text.len() {
        let Some(found) = regex
            .captures_from_pos(text, at)
            .map_err(|error| failed(&error))?
        else {
            break;
        };
        let Some(whole) = found.get(0) else { break };
        if !visit(&found)? {
            break;
        }
        let step = text[whole.end()..].chars().next().map_or(1, char::len_utf8);
        at = if whole.start() == whole.end() {
            whole.end() + step
        } else {
            whole.end()
        };
    }
    Ok(())
}

fn replace(call: &Call) -> Result<Val> {
    let pattern = call.text(0, "pattern")?.unwrap_or_default();
    let replacement = call.text(1, "replacement")?.unwrap_or_default();
    let (ignore_case, multiline) = flags(call, 2)?;
    let count = usize::try_from(call.int(4, "count")?.unwrap_or(0)).unwrap_or(0);
    let mandatory = call.int(5, "mandatory_count")?.unwrap_or(0);
    let regex = compile(&pattern, ignore_case, multiline)?;
    let text = subject(call)?;
    let (out, times) = substituted(&regex, &text, &replacement, count)?;
    if mandatory != 0 && usize::try_from(mandatory) != Ok(times) {
        return Err(Diagnostic::new(format!(
            "`{pattern}` should match {mandatory} times, but matches {times} times"
        )));
    }
    Ok(Val::from(out))
}

/// `re.subn`; a count of 0 replaces all.
fn substituted(
    regex: &Regex,
    text: &str,
    replacement: &str,
    count: usize,
) -> Result<(String, usize)> {
    let mut out = String::new();
    let mut last = 0;
    let mut times = 0;
    each(regex, text, |found| {
        if let Some(whole) = found.get(0) {
            out.push_str(&text[last..whole.start()]);
            last = whole.end();
        }
        expand(found, replacement, &mut out)?;
        times += 1;
        Ok(times != count)
    })?;
    out.push_str(&text[last..]);
    Ok((out, times))
}

fn expand(found: &Captures<str>, replacement: &str, out: &mut String) -> Result<()> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('g') if chars.peek() == Some(&'<') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                push(group(found, &name)?, out);
            }
            Some(digit) if digit.is_ascii_digit() => {
                let mut name = digit.to_string();
                if let Some(second) = chars.next_if(char::is_ascii_digit) {
                    name.push(second);
                }
                push(group(found, &name)?, out);
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(())
}

fn push(part: Val, out: &mut String) {
    if let Val::Str(text) = part {
        out.push_str(&text);
    }
}

fn escape(call: &Call) -> Result<Val> {
    let text = call.input_text()?;
    let special = match call.text(0, "re_type")?.as_deref() {
        None | Some("python") => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        Some("posix_basic") => "].[^$*\\",
        Some(other) => {
            return Err(Diagnostic::new(format!(
                "`regex_escape` has no type `{other}`"
            )));
        }
    };
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Val::from(out))
}
