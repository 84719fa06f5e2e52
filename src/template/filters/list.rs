//! Filters over lists.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::ops;
use crate::template::val::Val;
use std::cmp::Ordering;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("list", |call| call.input.items().map(Val::list)),
    ("length", length),
    ("count", length),
    ("first", |call| end(call, false)),
    ("last", |call| end(call, true)),
    ("join", join),
    ("sort", sort),
    ("reverse", reverse),
    ("min", |call| extreme(call, Ordering::Less)),
    ("max", |call| extreme(call, Ordering::Greater)),
    ("sum", sum),
    ("flatten", flatten),
    ("groupby", groupby),
];

fn length(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(_) | Val::List(_) | Val::Tuple(_) | Val::Dict(_) | Val::Object(_) => {
            Ok(Val::from(call.input.length()?))
        }
        _ => Err(call.wrong_input("a list, a dictionary or a text")),
    }
}

fn end(call: &Call, last: bool) -> Result<Val> {
    let items = call.input.items()?;
    let item = if last { items.last() } else { items.first() };
    Ok(item.cloned().unwrap_or_else(|| {
        let error = Diagnostic::new(format!("there is no {} item: the list is empty", call.name));
        Val::undefined(call.name, error)
    }))
}

/// The attribute that a dotted path names.
pub fn attribute(item: &Val, path: &Val) -> Val {
    let undefined = |path: String, kind: &str| {
        let error = Diagnostic::new(format!("an item ({kind}) has no `{path}`"));
        Val::undefined(path, error)
    };
    if let Val::Int(index) = path {
        return item
            .items()
            .ok()
            .and_then(|items| ops::at(&items, *index))
            .unwrap_or_else(|| undefined(index.to_string(), item.kind()));
    }
    let Ok(path) = path.string() else {
        return undefined(String::from("?"), item.kind());
    };
    let mut value = item.clone();
    for part in path.split('.') {
        let inner = match &value {
            Val::Undefined(_) => return value,
            Val::Unknown { .. } => return Val::UNSURE,
            Val::List(_) | Val::Tuple(_) => part
                .parse()
                .ok()
                .and_then(|index| ops::at(&value.items().ok()?, index)),
            _ => value.entry(part),
        };
        value = match inner {
            Some(inner) => inner,
            None => return undefined(path.clone(), value.kind()),
        };
    }
    value
}

fn picked(call: &Call, index: usize, item: &Val) -> Result<Val> {
    match call.arg(index, "attribute") {
        None | Some(Val::None) => Ok(item.clone()),
        Some(path) => {
            let value = attribute(item, &path);
            if let Val::Undefined(missing) = &value {
                Err(missing.error.clone())
            } else {
                Ok(value)
            }
        }
    }
}

fn join(call: &Call) -> Result<Val> {
    let separator = call.text(0, "d")?.unwrap_or_default();
    let mut parts = Vec::new();
    for item in call.input.items()? {
        parts.push(picked(call, 1, &item)?.string()?);
    }
    Ok(Val::from(parts.join(&separator)))
}

/// Sorts with a comparison that may fail; the first failure is the error.
pub fn sorted(
    mut items: Vec<Val>,
    compare: impl Fn(&Val, &Val) -> Result<Ordering>,
) -> Result<Vec<Val>> {
    let mut failed = None;
    items.sort_by(|a, b| {
        if failed.is_some() {
            return Ordering::Equal;
        }
        compare(a, b).unwrap_or_else(|error| {
            failed = Some(error);
            Ordering::Equal
        })
    });
    failed.map_or(Ok(items), Err)
}

/// Jinja ignores case unless told otherwise.
pub fn folded(value: &Val, sensitive: bool) -> Val {
    match value {
        Val::Str(text) if !sensitive => Val::from(text.to_lowercase()),
        other => other.clone(),
    }
}

fn sort(call: &Call) -> Result<Val> {
    let (reverse, sensitive) = (call.flag(0, "reverse")?, call.flag(1, "case_sensitive")?);
    let paths: Vec<Val> = match call.arg(2, "attribute") {
        None | Some(Val::None) => Vec::new(),
        Some(Val::Str(paths)) => paths.split(',').map(Val::from).collect(),
        Some(path) => vec![path],
    };
    let key = |item: &Val| -> Result<Val> {
        if paths.is_empty() {
            return Ok(folded(item, sensitive));
        }
        let keys: Vec<Val> = paths
            .iter()
            .map(|path| folded(&attribute(item, path), sensitive))
            .collect();
        keys.iter().try_for_each(Val::check)?;
        Ok(Val::tuple(keys))
    };
    let sorted = sorted(call.input.items()?, |a, b| {
        let order = ops::order(&key(a)?, &key(b)?)?;
        Ok(if reverse { order.reverse() } else { order })
    })?;
    Ok(Val::list(sorted))
}

fn reverse(call: &Call) -> Result<Val> {
    if let Val::Str(text) = &call.input {
        return Ok(Val::from(text.chars().rev().collect::<String>()));
    }
    let mut items = call.input.items()?;
    items.reverse();
    Ok(Val::list(items))
}

fn extreme(call: &Call, wanted: Ordering) -> Result<Val> {
    let sensitive = call.flag(0, "case_sensitive")?;
    let mut best: Option<(Val, Val)> = None;
    for item in call.input.items()? {
        let key = folded(&picked(call, 1, &item)?, sensitive);
        let better = match &best {
            Some((other, _)) => ops::order(&key, other)? == wanted,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(
        || {
            Val::undefined(
                call.name,
                Diagnostic::new(format!("there is no `{}` of an empty list", call.name)),
            )
        },
        |(_, item)| item,
    ))
}

fn sum(call: &Call) -> Result<Val> {
    let mut total = call.arg(1, "start").unwrap_or(Val::Int(0));
    for item in call.input.items()? {
        total = ops::apply(
            crate::template::ast::Op::Add,
            &total,
            &picked(call, 0, &item)?,
        )?;
    }
    Ok(total)
}

/// Takes lists inside of lists apart.
pub fn flat(
    items: &[Val],
    levels: Option<i64>,
    skip_nulls: bool,
    out: &mut Vec<Val>,
) -> Result<()> {
    for item in items {
        let null = matches!(item, Val::None)
            || matches!(item, Val::Str(text) if matches!(&**text, "None" | "null"));
        if skip_nulls && null {
            continue;
        }
        match levels {
            _ if !item.is_sequence() => out.push(item.clone()),
            None => flat(&item.items()?, None, skip_nulls, out)?,
            Some(levels) if levels >= 1 => flat(&item.items()?, Some(levels - 1), skip_nulls, out)?,
            Some(_) => out.push(item.clone()),
        }
    }
    Ok(())
}

fn flatten(call: &Call) -> Result<Val> {
    let skip = call
        .arg(1, "skip_nulls")
        .map_or(Ok(true), |value| value.truthy())?;
    let mut out = Vec::new();
    flat(&call.input.items()?, call.int(0, "levels")?, skip, &mut out)?;
    Ok(Val::list(out))
}

fn groupby(call: &Call) -> Result<Val> {
    let path = call.need(0, "attribute")?;
    let default = call.arg(1, "default");
    let sensitive = call.flag(2, "case_sensitive")?;
    let mut keyed = Vec::new();
    for item in call.input.items()? {
        let key = match (attribute(&item, &path), &default) {
            (Val::Undefined(_), Some(default)) if !matches!(default, Val::None) => default.clone(),
            (Val::Undefined(missing), _) => return Err(missing.error.clone()),
            (key, _) => key,
        };
        keyed.push(Val::tuple(vec![key, item]));
    }
    let key = |pair: &Val| -> Result<Val> { Ok(folded(&pair.items()?[0], sensitive)) };
    let mut groups: Vec<(Val, Vec<Val>)> = Vec::new();
    for pair in sorted(keyed, |a, b| ops::order(&key(a)?, &key(b)?))? {
        let parts = pair.items()?;
        let (name, item) = (parts[0].clone(), parts[1].clone());
        match groups.last_mut() {
            Some((last, items))
                if ops::equal(&folded(last, sensitive), &folded(&name, sensitive))? =>
            {
                items.push(item);
            }
            _ => groups.push((name, vec![item])),
        }
    }
    Ok(Val::list(
        groups
            .into_iter()
            .map(|(name, items)| Val::tuple(vec![name, Val::list(items)]))
            .collect(),
    ))
}
