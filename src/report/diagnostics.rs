//! Draws errors: message, place with its line, notes, help.

use crate::base::{Diagnostic, mask, quote};
use console::style;
use std::fmt::Write as _;

/// Draws errors on stderr, all of them.
pub fn diagnostics(errors: &[Diagnostic]) {
    for error in errors {
        let text = mask::mask(&draw(error));
        eprint!("{text}");
    }
}

/// Draws warnings on stderr.
pub fn warnings(found: &[Diagnostic]) {
    for warning in found {
        let text = mask::mask(&draw_as("warn", false, warning));
        eprint!("{text}");
    }
}

/// One error as text, coloured when stderr is a terminal.
pub fn draw(error: &Diagnostic) -> String {
    draw_as("error", true, error)
}

/// One finding as text, under a label of its own; red when it is bad, yellow otherwise.
pub fn draw_as(label: &str, bad: bool, error: &Diagnostic) -> String {
    let mut text = String::new();
    let host = error
        .host
        .as_ref()
        .map(|host| format!("{host}: "))
        .unwrap_or_default();
    let message = quote::for_terminal(&format!("{host}{}", error.message));
    let _ = writeln!(
        text,
        "{}: {message}",
        if bad {
            style(label).red().bold().for_stderr()
        } else {
            style(label).yellow().bold().for_stderr()
        }
    );
    if let Some(span) = &error.at {
        let number = span.line.to_string();
        let pad = " ".repeat(number.len());
        let column = span.column.saturating_sub(1);
        let _ = writeln!(text, "{pad}--> {span}");
        let _ = writeln!(text, "{number} | {}", quote::for_terminal(span.line_text()));
        let _ = writeln!(
            text,
            "{pad} | {}{}",
            " ".repeat(column),
            style("^").red().for_stderr()
        );
    }
    for note in &error.notes {
        for line in note.lines() {
            let _ = writeln!(text, "  | {}", quote::for_terminal(line));
        }
    }
    if let Some(help) = &error.help {
        let _ = writeln!(text, "  = help: {}", quote::for_terminal(help));
    }
    text
}
