//! Regular expressions as Python's `re` understands them, for modules and filters.
//!
//! Patterns are translated to `fancy_regex` where the two differ (`$` before a final line feed, `\Z`, brackets
//! inside sets, `{,n}`), and replacements follow Python's rules (`\1`, `\g<name>`, `\n`). Nothing here knows a host.

use super::{Diagnostic, Result};
use fancy_regex::{Captures, Regex};

/// Flags of a compilation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// `re.IGNORECASE`.
    pub ignore_case: bool,
    /// `re.MULTILINE`.
    pub multiline: bool,
    /// `re.DOTALL`.
    pub dotall: bool,
}

/// Compiles a Python pattern.
///
/// # Errors
/// When it is not a regular expression, with the reason.
pub fn compile(pattern: &str, flags: Flags) -> Result<Regex> {
    build(pattern, flags, false)
}

/// Compiles a Python pattern that must match from the beginning of the text, as with `re.match`.
///
/// # Errors
/// When it is not a regular expression, with the reason.
pub fn compile_anchored(pattern: &str) -> Result<Regex> {
    build(pattern, Flags::default(), true)
}

fn build(pattern: &str, flags: Flags, anchored: bool) -> Result<Regex> {
    let (inline, rest) = inline_flags(pattern);
    let multiline = flags.multiline || inline.contains('m');
    let mut letters = String::new();
    for (letter, set) in [
        ('i', flags.ignore_case),
        ('m', multiline),
        ('s', flags.dotall),
    ] {
        if set || inline.contains(letter) {
            letters.push(letter);
        }
    }
    if inline.contains('x') {
        letters.push('x');
    }
    let body = translate(rest, multiline);
    let body = if anchored {
        format!(r"\A(?:{body})")
    } else {
        body
    };
    let translated = if letters.is_empty() {
        body
    } else {
        format!("(?{letters}){body}")
    };
    Regex::new(&translated).map_err(|error| {
        Diagnostic::new(format!("`{pattern}` is not a regular expression")).note(error.to_string())
    })
}

/// Whether a pattern switches `re.MULTILINE` on itself.
pub fn is_multiline(pattern: &str) -> bool {
    inline_flags(pattern).0.contains('m')
}

/// Global flags at the start of a pattern, `(?ims)`, and what follows them.
fn inline_flags(pattern: &str) -> (&str, &str) {
    let Some(rest) = pattern.strip_prefix("(?") else {
        return ("", pattern);
    };
    match rest.find(')') {
        Some(end) if end > 0 && rest[..end].chars().all(|c| "aiLmsux".contains(c)) => {
            (&rest[..end], &rest[end + 1..])
        }
        _ => ("", pattern),
    }
}

fn translate(pattern: &str, multiline: bool) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_set = false;
    let mut set_start = false;
    while let Some(c) = chars.next() {
        let first_in_set = std::mem::take(&mut set_start);
        match c {
            '\\' => match chars.next() {
                Some('Z') if !in_set => out.push_str(r"\z"),
                // Python takes these as the characters themselves; here they would mean something else.
                Some(
                    next @ ('<' | '>' | '/' | '"' | '\'' | '=' | ':' | ';' | ',' | '@' | '!' | '%'
                    | '`' | '_'),
                ) => out.push(next),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '[' if in_set => out.push_str(r"\["),
            '[' => {
                in_set = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                set_start = true;
            }
            ']' if in_set && first_in_set => out.push_str(r"\]"),
            ']' if in_set => {
                in_set = false;
                out.push(']');
            }
            '&' | '~' if in_set => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_set && chars.peek() == Some(&'-') => out.push_str(r"\-"),
            '$' if !in_set && !multiline => out.push_str(r"(?=\n?\z)"),
            '{' if !in_set && chars.peek() == Some(&',') => out.push_str("{0"),
            _ => out.push(c),
        }
    }
    out
}

/// Python's `match.expand(template)`.
///
/// # Errors
/// When the template names a group that the pattern does not have, or ends in a lone backslash.
pub fn expand(template: &str, captures: &Captures<'_, str>) -> Result<String> {
    let fault = |what: String| Diagnostic::new(format!("bad replacement `{template}`: {what}"));
    let group = |name: &str| -> Result<String> {
        let found = match name.parse::<usize>() {
            Ok(number) if number < captures.len() => captures.get(number),
            Ok(number) => return Err(fault(format!("there is no group {number}"))),
            Err(_) => captures.name(name),
        };
        Ok(found.map_or_else(String::new, |found| found.as_str().to_owned()))
    };
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => return Err(fault("it ends in a backslash".to_owned())),
            Some('g') if chars.peek() == Some(&'<') => {
                let name: String = chars.by_ref().skip(1).take_while(|c| *c != '>').collect();
                out.push_str(&group(&name)?);
            }
            Some('0') => out.push('\0'),
            Some(digit) if digit.is_ascii_digit() => {
                let mut number = digit.to_string();
                if let Some(next) = chars.next_if(char::is_ascii_digit) {
                    number.push(next);
                }
                out.push_str(&group(&number)?);
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some('\\') => out.push('\\'),
            Some(letter) if letter.is_ascii_alphabetic() => {
                return Err(fault(format!("bad escape \\{letter}")));
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Ok(out)
}

/// Python's `re.subn`: the new text and how many places were replaced. `limit` 0 means all.
///
/// # Errors
/// When the template is faulty or the match needs too many steps.
pub fn replace(regex: &Regex, template: &str, text: &str, limit: usize) -> Result<(String, usize)> {
    let mut out = String::with_capacity(text.len());
    let (mut last, mut count) = (0, 0);
    for captures in regex.captures_iter(text) {
        let captures = captures.map_err(|error| {
            Diagnostic::new("regular expression: backtracking limit exceeded")
                .note(error.to_string())
        })?;
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.push_str(&text[last..whole.start()]);
        out.push_str(&expand(template, &captures)?);
        last = whole.end();
        count += 1;
        if count == limit {
            break;
        }
    }
    out.push_str(&text[last..]);
    Ok((out, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        let plain = Flags::default();
        let multi = Flags {
            multiline: true,
            ..plain
        };
        for (pattern, flags, text, matches) in [
            ("^foo$", plain, "foo\n", true),
            ("^foo$", plain, "foo\nbar", false),
            ("^foo$", multi, "bar\nfoo\nbaz", true),
            (r"foo\Z", plain, "foo\n", false),
            (r"^\s*[#;]?\s*port[ =]", plain, "# port 1\n", true),
            ("[[]a]", plain, "[a]", true),
            ("[]x]", plain, "]", true),
            ("[^]]", plain, "]", false),
            ("[a&&b]", plain, "&", true),
            ("a{,2}$", plain, "aa", true),
            ("(?i)FOO", plain, "a foo", true),
            (r"\<b\>", plain, "<b>", true),
            ("(?P<k>a)(?P=k)", plain, "aa", true),
            ("(?<!x)y", plain, "xy", false),
            (r"\/etc\/fstab", plain, "/etc/fstab", true),
            ("^#?Port ", multi, "x\n#Port 22", true),
        ] {
            let regex = compile(pattern, flags).expect(pattern);
            assert_eq!(
                regex.is_match(text).expect(pattern),
                matches,
                "{pattern} on {text:?}"
            );
        }
        assert!(compile("(", plain).is_err());
    }

    #[test]
    fn replacements_expand_as_in_python() {
        for (pattern, template, text, result) in [
            ("(a)(b)?", r"\2\1\g<1>\n", "ab", Some("baa\n")),
            ("(a)(b)?", r"<\2>", "a", Some("<>")),
            ("(?P<x>a)", r"\g<x>\\", "a", Some(r"a\")),
            ("(a)", r"\2", "a", None),
            ("(a)", r"\q", "a", None),
            ("(a)", r"\.", "a", Some(r"\.")),
            ("x*", "-", "abc", Some("-a-b-c-")),
        ] {
            let regex = compile(pattern, Flags::default()).expect(pattern);
            assert_eq!(
                replace(&regex, template, text, 0)
                    .ok()
                    .map(|found| found.0)
                    .as_deref(),
                result,
                "{pattern} {template}"
            );
        }
    }
}
