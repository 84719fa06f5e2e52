//! The `version` test: versions as distutils, strictly, or semantically ordered.

use super::filters::Call;
use crate::base::{Diagnostic, Result};
use std::cmp::Ordering;

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Part {
    Number(u64),
    Text(String),
}

/// `version is version('1.2', '>=')`.
pub fn test(call: &Call) -> Result<bool> {
    let value = call.input_text()?;
    let other = call.need(0, "version")?.string()?;
    if value.is_empty() || other.is_empty() {
        return Err(Diagnostic::new("`version`: neither side may be empty"));
    }
    let operator = call.text(1, "operator")?.unwrap_or_else(|| "eq".to_owned());
    let strict = call.flag(2, "strict")?;
    let kind = call
        .text(3, "version_type")?
        .unwrap_or_else(|| if strict { "strict" } else { "loose" }.to_owned());
    let order = match kind.as_str() {
        "loose" => loose(&value, &other)?,
        "strict" => strictly(&value)?.cmp(&strictly(&other)?),
        "semver" | "semantic" => semantic(&value, &other)?,
        "pep440" => released(&value)?.cmp(&released(&other)?),
        other => {
            return Err(Diagnostic::new(format!(
                "`version` has no version_type `{other}`"
            )));
        }
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => {
            return Err(
                Diagnostic::new(format!("`version` has no operator `{other}`"))
                    .help("choose ==, !=, <, <=, > or >=, or eq, ne, lt, le, gt, ge"),
            );
        }
    })
}

/// Runs of digits and of letters, without the dots.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = if first.is_ascii_digit() {
            |c| c.is_ascii_digit()
        } else if first.is_ascii_lowercase() {
            |c| c.is_ascii_lowercase()
        } else {
            |c| !c.is_ascii_digit() && !c.is_ascii_lowercase() && c != '.'
        };
        if first == '.' {
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        parts.push(
            part.parse()
                .map_or_else(|_| Part::Text(part.to_owned()), Part::Number),
        );
        rest = tail;
    }
    parts
}

fn loose(a: &str, b: &str) -> Result<Ordering> {
    let (left, right) = (parts(a), parts(b));
    for (x, y) in left.iter().zip(&right) {
        if std::mem::discriminant(x) != std::mem::discriminant(y) {
            let help = "compare with version_type='semver' or cut the letters off";
            return Err(
                Diagnostic::new(format!("`version`: `{a}` and `{b}` cannot be compared"))
                    .help(help),
            );
        }
        if x != y {
            return Ok(x.cmp(y));
        }
    }
    Ok(left.len().cmp(&right.len()))
}

fn strictly(version: &str) -> Result<(Vec<u64>, bool, String)> {
    let wrong = || {
        Diagnostic::new(format!(
            "`version`: `{version}` is not a strict version like `1.2.3` or `1.2b3`"
        ))
    };
    let end = version
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(version.len());
    let (numbers, pre) = version.split_at(end);
    let mut numbers = numbers
        .split('.')
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
        .map_err(|_| wrong())?;
    if !(2..=3).contains(&numbers.len()) {
        return Err(wrong());
    }
    numbers.resize(3, 0);
    Ok((numbers, pre.is_empty(), pre.to_owned()))
}

fn semantic(a: &str, b: &str) -> Result<Ordering> {
    let read = |version: &str| -> Result<(Vec<u64>, Vec<Part>)> {
        let wrong = || {
            Diagnostic::new(format!(
                "`version`: `{version}` is not a semantic version like `1.2.3`"
            ))
        };
        let bare = version.split('+').next().unwrap_or(version);
        let (core, pre) = bare.split_once('-').unwrap_or((bare, ""));
        let numbers = core
            .split('.')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()
            .map_err(|_| wrong())?;
        if numbers.len() != 3 {
            return Err(wrong());
        }
        let pre = pre.split('.').filter(|part| !part.is_empty());
        Ok((
            numbers,
            pre.map(|part| {
                part.parse()
                    .map_or_else(|_| Part::Text(part.to_owned()), Part::Number)
            })
            .collect(),
        ))
    };
    let ((left, left_pre), (right, right_pre)) = (read(a)?, read(b)?);
    Ok(left
        .cmp(&right)
        .then_with(|| match (left_pre.is_empty(), right_pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => left_pre.cmp(&right_pre),
        }))
}

/// A release as PEP 440 has it; what comes before or after a release is not understood.
fn released(version: &str) -> Result<Vec<u64>> {
    let mut numbers = version
        .split('.')
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
        .map_err(|_| {
            Diagnostic::new(format!(
                "`version`: `{version}` is not a plain release like `1.2.3`"
            ))
            .help("version_type='pep440' compares releases only")
        })?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Ok(numbers)
}
