//! The functions that every template has.

use super::filters::Call;
use super::lookups;
use super::objects::{CellKind, Object};
use super::val::{Entries, Key, Val};
use crate::base::value::OMIT;
use crate::base::{Diagnostic, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many numbers `range()` may give.
const LONGEST: i64 = 10_000_000;

pub const NAMES: [&str; 11] = [
    "range",
    "dict",
    "lookup",
    "query",
    "q",
    "now",
    "undef",
    "namespace",
    "cycler",
    "joiner",
    "lipsum",
];

/// The global of that name.
pub fn global(name: &str) -> Option<Val> {
    if name == "omit" {
        return Some(Val::from(OMIT));
    }
    NAMES
        .iter()
        .find(|known| **known == name)
        .map(|known| Val::Object(Object::Builtin(known)))
}

/// Calls a global function.
pub fn call(call: &Call) -> Result<Val> {
    if matches!(call.name, "lookup" | "query" | "q") {
        return lookups::call(call);
    }
    if let Some(marker) = call.args.marker() {
        return Ok(marker);
    }
    if call.args.unknown() {
        return Ok(Val::UNSURE);
    }
    match call.name {
        "range" => range(call),
        "dict" => {
            let mut entries = match call.args.positional.first() {
                Some(Val::Dict(dict)) => dict.items.borrow().clone(),
                Some(pairs) => super::filters::dict::from_pairs(pairs)?,
                None => Entries::new(),
            };
            for (name, value) in &call.args.named {
                entries.insert(Key::Str(name.clone()), value.clone());
            }
            Ok(Val::dict(entries))
        }
        "namespace" => {
            let mut entries = match call.args.positional.first() {
                Some(first) => first.entries()?,
                None => Entries::new(),
            };
            for (name, value) in &call.args.named {
                entries.insert(Key::Str(name.clone()), value.clone());
            }
            Ok(Val::Object(Object::Namespace(Rc::new(RefCell::new(
                entries,
            )))))
        }
        "now" => super::filters::time::now(call),
        "undef" => {
            let hint = call
                .args
                .get(0, "hint")
                .map_or(Ok("a mandatory variable was not set".to_owned()), |hint| {
                    hint.string()
                })?;
            Ok(Val::undefined("undef()", Diagnostic::new(hint)))
        }
        "cycler" => Ok(cell(CellKind::Cycler, call.args.positional.clone())),
        "joiner" => Ok(cell(
            CellKind::Joiner,
            call.args.get(0, "sep").into_iter().collect(),
        )),
        other => Err(Diagnostic::new(format!(
            "the function `{other}` is not supported"
        ))),
    }
}

fn cell(kind: CellKind, items: Vec<Val>) -> Val {
    Val::Object(Object::Cell(kind, Rc::new((items, Cell::new(0)))))
}

fn range(call: &Call) -> Result<Val> {
    let mut bounds = Vec::new();
    for value in &call.args.positional {
        bounds.push(value.integer().ok_or_else(|| {
            Diagnostic::new(format!("`range()` needs integers, got {}", value.kind()))
                .help("convert with `| int`")
        })?);
    }
    let (start, stop, step) = match bounds[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] if step != 0 => (start, stop, step),
        _ => {
            return Err(Diagnostic::new(
                "`range()` needs one to three integers, the step not 0",
            ));
        }
    };
    if (stop.saturating_sub(start) / step) > LONGEST {
        return Err(Diagnostic::new(format!(
            "`range()` would give more than {LONGEST} numbers"
        )));
    }
    let mut items = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        items.push(Val::Int(at));
        at += step;
    }
    Ok(Val::list(items))
}
