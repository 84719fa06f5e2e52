//! `attributes`: the flags of a file (`chattr`), for every module that takes them.
//!
//! A module beside this one does its own work first; this one looks at the flags that are there, and sets what is missing.

use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Decision, Diff, Module, Outcome, Probe, Reply, Seen, Spec, probe,
};

/// A module of this family, with `attributes`.
pub struct Flagged(pub &'static dyn Module);

/// The wish: an operator and letters.
fn wish(args: &Args) -> Result<Option<(char, &str)>> {
    let Some(text) = args.str("attributes").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let (operator, letters) = match text.chars().next() {
        Some(sign @ ('+' | '-' | '=')) => (sign, &text[1..]),
        _ => ('=', text),
    };
    if !letters.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(
            Diagnostic::new(format!("`attributes` takes letters, not `{text}`"))
                .help("as `chattr` has them: `+i`, `-i`, `=ai`"),
        );
    }
    Ok(Some((operator, letters)))
}

fn place(args: &Args) -> &str {
    args.str("path").or_else(|| args.str("dest")).unwrap_or("")
}

/// The letters that a path has after the change.
fn after((operator, letters): (char, &str), before: &str) -> String {
    let mut all: Vec<char> = match operator {
        '=' => letters.chars().collect(),
        '+' => before.chars().chain(letters.chars()).collect(),
        _ => before.chars().filter(|c| !letters.contains(*c)).collect(),
    };
    all.sort_unstable();
    all.dedup();
    all.into_iter().collect()
}

impl Module for Flagged {
    fn spec(&self) -> &'static Spec {
        self.0.spec()
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        let mut probes = self.0.probe(args)?;
        if wish(args)?.is_some() {
            let script = format!("lsattr -d -- {} 2>/dev/null || :", sh(place(args)));
            probes.push(Probe::Run(args.request(script)));
        }
        Ok(probes)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let Some(wish) = wish(args)? else {
            return self.0.diff(args, seen);
        };
        let (own, looked) = seen.split_at(seen.len().saturating_sub(1));
        let decision = self.0.diff(args, own)?;
        let before = match looked {
            [Seen::Reply(reply)] => reply
                .out()
                .split_whitespace()
                .next()
                .unwrap_or_default()
                // `e` tells how the file is stored; nobody sets it.
                .replace(['-', 'e'], ""),
            _ => String::new(),
        };
        let (before, wished) = (after(('=', &before), ""), after(wish, &before));
        if before == wished {
            return Ok(decision);
        }
        let mut change = match decision {
            Decision::Change(change) => change,
            Decision::Same(outcome) => Change {
                outcome,
                ..Change::default()
            },
        };
        let (operator, letters) = wish;
        change.diffs.push(Diff {
            subject: format!("attributes of {}", place(args)),
            before,
            after: wished,
        });
        change.requests.push(args.request(format!(
            "chattr {} {}",
            sh(&format!("{operator}{letters}")),
            sh(place(args))
        )));
        Ok(Decision::Change(change))
    }

    fn finish(&self, args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        let set = change
            .requests
            .last()
            .is_some_and(|request| request.script.starts_with("chattr "));
        if !set {
            return self.0.finish(args, change, replies);
        }
        let mut own = change.clone();
        own.requests.pop();
        let (first, last) = replies.split_at(replies.len().min(own.requests.len()));
        let outcome = if own.requests.is_empty() {
            own.outcome.clone()
        } else {
            self.0.finish(args, &own, first)?
        };
        probe::all_succeeded(last)?;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn flags_are_added_taken_and_set() {
        for (operator, letters, before, wished) in [
            ('+', "i", "", "i"),
            ('+', "i", "i", "i"),
            ('-', "i", "ai", "a"),
            ('=', "ia", "d", "ai"),
            ('=', "", "i", ""),
        ] {
            assert_eq!(
                after((operator, letters), before),
                wished,
                "{operator}{letters} on {before}"
            );
        }
    }
}
