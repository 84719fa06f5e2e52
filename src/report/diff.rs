//! Draws differences: unified for texts, one line for everything else.

use crate::base::quote;
use crate::modules::Diff;
use console::style;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;

/// More lines of one file are cut, and the cut is said.
const LONGEST: usize = 200;

/// The differences of a change. Short ones always; contents of files only when `whole`.
pub fn draw(diffs: &[Diff], whole: bool) -> String {
    let mut text = String::new();
    for diff in diffs {
        let lines = diff.before.lines().count().max(diff.after.lines().count());
        let subject = quote::for_terminal(&diff.subject);
        if lines <= 1 {
            let before = quote::for_terminal(diff.before.trim_end());
            let after = quote::for_terminal(diff.after.trim_end());
            let change = match (before.is_empty(), after.is_empty()) {
                (true, _) => after,
                (false, true) => format!("{before} → nothing"),
                (false, false) => format!("{before} → {after}"),
            };
            let _ = write!(text, "\n    {subject}: {}", short(&change));
        } else if whole {
            let _ = write!(text, "\n    {subject}{}", unified(diff));
        } else {
            let changes = TextDiff::from_lines(&diff.before, &diff.after);
            let count = |tag| {
                changes
                    .iter_all_changes()
                    .filter(|change| change.tag() == tag)
                    .count()
            };
            let _ = write!(
                text,
                "\n    {subject}: +{} -{} lines",
                count(ChangeTag::Insert),
                count(ChangeTag::Delete)
            );
        }
    }
    text
}

fn short(text: &str) -> String {
    if text.chars().count() <= 160 {
        return text.to_owned();
    }
    text.chars().take(157).chain("...".chars()).collect()
}

fn unified(diff: &Diff) -> String {
    let changes = TextDiff::from_lines(&diff.before, &diff.after);
    let mut text = String::new();
    let mut shown = 0;
    for group in changes.grouped_ops(3) {
        if shown > 0 {
            text.push_str("\n      …");
        }
        for op in group {
            for change in changes.iter_changes(&op) {
                shown += 1;
                if shown > LONGEST {
                    continue;
                }
                let line = quote::for_terminal(change.value().trim_end_matches(['\n', '\r']));
                let line = match change.tag() {
                    ChangeTag::Insert => style(format!("+ {line}")).green(),
                    ChangeTag::Delete => style(format!("- {line}")).red(),
                    ChangeTag::Equal => style(format!("  {line}")).dim(),
                };
                let _ = write!(text, "\n      {}", line.for_stderr());
            }
        }
    }
    if shown > LONGEST {
        let _ = write!(text, "\n      … {} more lines", shown - LONGEST);
    }
    text
}
