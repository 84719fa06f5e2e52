//! Turns the parser's complaints into sentences that say what to change. Never decides whether a text is right.

use super::{SourceFile, Span};
use crate::base::{Diagnostic, Result};
use std::sync::Arc;

/// Refuses control characters, which YAML does not allow and editors do not show.
pub(super) fn unprintable(file: &Arc<SourceFile>) -> Result<()> {
    let bad = |c: char| !matches!(c, '\t' | '\n' | '\r' | '\u{85}' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    for (number, line) in file.text.split('\n').enumerate() {
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| bad(*c)) {
            let span = Span {
                file: Arc::clone(file),
                line: number + 1,
                column: column + 1,
            };
            return Err(Diagnostic::new(format!(
                "the control character {} is not allowed in YAML",
                c.escape_unicode()
            ))
            .at(&span)
            .help("remove it, or write it as an escape inside double quotes"));
        }
    }
    Ok(())
}

/// A mapping stands where a key must be: nearly always a template without quotes.
pub(super) fn mapping_as_key(span: &Span) -> Diagnostic {
    let error = Diagnostic::new("a mapping cannot be a key").at(span);
    if template_unquoted(span.line_text()) {
        error.help(QUOTE_TEMPLATE)
    } else {
        error
    }
}

const QUOTE_TEMPLATE: &str = "a value that begins with `{{` must be in quotes: key: \"{{ name }}\"";

fn template_unquoted(line: &str) -> bool {
    [": {{", ":  {{", "- {{", "= {{"]
        .iter()
        .any(|start| line.contains(start))
        || line.trim_start().starts_with("{{")
}

/// A syntax error: the parser's word, with a better one where the line tells more.
pub(super) fn syntax(span: Span, info: &str) -> Diagnostic {
    let line = span.line_text();
    let (message, help) = explain(info, line);
    let mut error = Diagnostic::new(message);
    if line
        .chars()
        .take_while(|c| c.is_whitespace())
        .any(|c| c == '\t')
    {
        let column = line.chars().position(|c| c == '\t').unwrap_or(0) + 1;
        error = Diagnostic::new("a tab is used for indentation").help("YAML takes spaces only");
        return error.at(&Span { column, ..span });
    }
    if template_unquoted(line) {
        error = error.help(QUOTE_TEMPLATE);
    } else if let Some(help) = help {
        error = error.help(help);
    }
    error.at(&span)
}

fn explain(info: &str, line: &str) -> (String, Option<&'static str>) {
    let has = |part: &str| info.contains(part);
    let known: (&str, Option<&'static str>) = if has("mapping values are not allowed")
        || has("illegal placement of ':'")
    {
        (
            "`: ` is not allowed here",
            Some(
                "quote text that holds `: `; or check the indentation of this line and the one before",
            ),
        )
    } else if has("did not find expected key") {
        (
            "a key was expected here",
            Some("check the indentation: all keys of a mapping begin in the same column"),
        )
    } else if has("did not find expected '-'") {
        (
            "an item that begins with `- ` was expected here",
            Some("check the indentation: all items of a list begin in the same column"),
        )
    } else if has("block sequence entries are not allowed") {
        (
            "a list cannot begin here",
            Some("put the first `- ` on a line of its own"),
        )
    } else if has("simple key expect") {
        (
            "this line has no `: `",
            Some(
                "a mapping needs `key: value` on every line; check the indentation and missing quotes",
            ),
        )
    } else if has("unknown anchor") {
        (
            "unknown alias: no anchor of that name stands before it",
            Some("a value that begins with `*` or `&` must be in quotes"),
        )
    } else if has("unexpected end of stream") {
        ("a quote was opened and never closed", None)
    } else if has("trailing content after") {
        (
            "there is text after the closing quote",
            Some("put the whole value in quotes of the other kind"),
        )
    } else if has("invalid indentation") || has("wrongly indented") {
        (
            "wrong indentation",
            Some("the text must be indented deeper than its key"),
        )
    } else if has("expected ',' or '}'") {
        ("the `{` is not closed, or a `,` is missing", None)
    } else if has("expected ',' or ']'") {
        ("the `[` is not closed, or a `,` is missing", None)
    } else if has("unknown escape") {
        (
            "unknown escape after `\\` in double quotes",
            Some("write `\\\\`, or use single quotes"),
        )
    } else if has("unexpected character") && line.contains(['@', '`', '%']) {
        (
            "text cannot begin with `@`, `` ` `` or `%`",
            Some("put it in quotes"),
        )
    } else {
        return (format!("not YAML: {info}"), None);
    };
    (known.0.to_owned(), known.1)
}
