//! Filters that treat lists as sets. The order is that of first appearance, where Python's is that of hashes.

use super::list::{attribute, folded};
use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::ops;
use crate::template::print;
use crate::template::val::Val;
use std::collections::HashSet;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("unique", unique),
    ("union", |call| {
        distinct(call.input.items()?.into_iter().chain(other(call)?))
    }),
    ("intersect", |call| {
        kept(call.input.items()?, &other(call)?, true)
    }),
    ("difference", |call| {
        kept(call.input.items()?, &other(call)?, false)
    }),
    ("symmetric_difference", |call| {
        let (a, b) = (call.input.items()?, other(call)?);
        let left = kept(a.clone(), &b, false)?.items()?;
        distinct(left.into_iter().chain(kept(b, &a, false)?.items()?))
    }),
];

fn other(call: &Call) -> Result<Vec<Val>> {
    match call.args.positional.first() {
        Some(other) => other.items(),
        None => Err(Diagnostic::new(format!(
            "`{}` needs a second list",
            call.name
        ))),
    }
}

/// What tells a scalar from others; lists and dictionaries are compared one by one.
fn mark(value: &Val) -> Option<String> {
    match value {
        Val::Str(text) => Some(format!("s{text}")),
        Val::Int(_) | Val::Bool(_) => value.integer().map(|number| format!("n{number}")),
        Val::Float(number) if number.fract() == 0.0 => Some(format!("n{number:.0}")),
        Val::Float(number) => Some(format!("n{}", print::float(*number))),
        Val::None => Some("none".to_owned()),
        _ => None,
    }
}

struct Seen {
    marks: HashSet<String>,
    others: Vec<Val>,
}

impl Seen {
    fn of(items: &[Val]) -> Result<Self> {
        let mut seen = Self {
            marks: HashSet::new(),
            others: Vec::new(),
        };
        for item in items {
            seen.add(item)?;
        }
        Ok(seen)
    }

    fn has(&self, value: &Val) -> Result<bool> {
        if let Some(mark) = mark(value) {
            return Ok(self.marks.contains(&mark));
        }
        for other in &self.others {
            if ops::equal(value, other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it was new.
    fn add(&mut self, value: &Val) -> Result<bool> {
        if self.has(value)? {
            return Ok(false);
        }
        match mark(value) {
            Some(mark) => drop(self.marks.insert(mark)),
            None => self.others.push(value.clone()),
        }
        Ok(true)
    }
}

fn distinct(items: impl Iterator<Item = Val>) -> Result<Val> {
    let mut seen = Seen::of(&[])?;
    let mut out = Vec::new();
    for item in items {
        item.check()?;
        if seen.add(&item)? {
            out.push(item);
        }
    }
    Ok(Val::list(out))
}

fn kept(items: Vec<Val>, others: &[Val], wanted: bool) -> Result<Val> {
    let others = Seen::of(others)?;
    let mut out = Vec::new();
    for item in items {
        if others.has(&item)? == wanted {
            out.push(item);
        }
    }
    distinct(out.into_iter())
}

fn unique(call: &Call) -> Result<Val> {
    // Ansible's `unique` hands an unset case_sensitive on as false, so case is ignored, as in Jinja.
    let sensitive = call.flag(0, "case_sensitive")?;
    let path = call
        .arg(1, "attribute")
        .filter(|path| !matches!(path, Val::None));
    let mut seen = Seen::of(&[])?;
    let mut out = Vec::new();
    for item in call.input.items()? {
        let key = path
            .as_ref()
            .map_or_else(|| item.clone(), |path| attribute(&item, path));
        key.check()?;
        if seen.add(&folded(&key, sensitive))? {
            out.push(item);
        }
    }
    Ok(Val::list(out))
}
