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
    ("first", |call| Ok(end(call, false)?)),
    ("last", |call| Ok(end(call, true)?)),
    ("join", join),
    ("sort", sort),
    ("reverse", reverse),
    ("min", |call| extreme(call, Ordering::Less)),
    ("max", |call| extreme(call, Ordering::Greater)),
    ("sum", sum),
    ("flatten", flatten),
    ("batch", batch),
    ("slice", slice),
    ("groupby", groupby),
    ("zip", |call| zip(call, false)),
    ("zip_longest", |call| zip(call, true)),
    ("product", product),
    ("permutations", |call| arrangements(call, true)),
    ("combinations", |call| arrangements(call, false)),
    ("subelements", subelements),
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

fn size(call: &Call, name: &str) -> Result<usize> {
    call.int(0, name)?
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| Diagnostic::new(format!("`{}` needs how many, above 0", call.name)))
}

fn batch(call: &Call) -> Result<Val> {
    let size = size(call, "linecount")?;
    let fill = call
        .arg(1, "fill_with")
        .filter(|fill| !matches!(fill, Val::None));
    let items = call.input.items()?;
    let rows = items.chunks(size).map(|row| {
        let mut row = row.to_vec();
        if let Some(fill) = &fill {
            row.resize(size, fill.clone());
        }
        Val::list(row)
    });
    Ok(Val::list(rows.collect::<Vec<_>>()))
}

fn slice(call: &Call) -> Result<Val> {
    let slices = size(call, "slices")?;
    let fill = call
        .arg(1, "fill_with")
        .filter(|fill| !matches!(fill, Val::None));
    let items = call.input.items()?;
    let (per, extra) = (items.len() / slices, items.len() % slices);
    let mut rest = items.into_iter();
    let columns = (0..slices).map(|index| {
        let mut column: Vec<Val> = rest
            .by_ref()
            .take(per + usize::from(index < extra))
            .collect();
        if let (Some(fill), true) = (&fill, index >= extra && extra > 0) {
            column.push(fill.clone());
        }
        Val::list(column)
    });
    Ok(Val::list(columns.collect::<Vec<_>>()))
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
                items.push(item)
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

fn zip(call: &Call, longest: bool) -> Result<Val> {
    let mut columns = vec![call.input.items()?];
    for other in &call.args.positional {
        columns.push(other.items()?);
    }
    let lengths = columns.iter().map(Vec::len);
    let rows = if longest {
        lengths.max()
    } else {
        lengths.min()
    }
    .unwrap_or(0);
    let fill = call.args.get(usize::MAX, "fillvalue").unwrap_or(Val::None);
    Ok(Val::list(
        (0..rows)
            .map(|row| {
                Val::tuple(
                    columns
                        .iter()
                        .map(|column| column.get(row).cloned().unwrap_or_else(|| fill.clone()))
                        .collect(),
                )
            })
            .collect(),
    ))
}

/// All ways to take one item of each list.
pub fn products(lists: &[Vec<Val>]) -> Vec<Vec<Val>> {
    lists.iter().fold(vec![Vec::new()], |rows, list| {
        rows.iter()
            .flat_map(|row| {
                list.iter().map(move |item| {
                    let mut row = row.clone();
                    row.push(item.clone());
                    row
                })
            })
            .collect()
    })
}

fn product(call: &Call) -> Result<Val> {
    let mut lists = vec![call.input.items()?];
    for other in &call.args.positional {
        lists.push(other.items()?);
    }
    Ok(Val::list(
        products(&lists).into_iter().map(Val::tuple).collect(),
    ))
}

fn arrangements(call: &Call, ordered: bool) -> Result<Val> {
    let items = call.input.items()?;
    let count = call
        .int(0, "r")?
        .map_or(items.len(), |count| usize::try_from(count).unwrap_or(0));
    let mut out = Vec::new();
    arrange(&items, count, ordered, &mut Vec::new(), &mut out);
    Ok(Val::list(out))
}

fn arrange(
    items: &[Val],
    count: usize,
    ordered: bool,
    chosen: &mut Vec<usize>,
    out: &mut Vec<Val>,
) {
    if chosen.len() == count {
        out.push(Val::tuple(
            chosen.iter().map(|index| items[*index].clone()).collect(),
        ));
        return;
    }
    let start = if ordered {
        0
    } else {
        chosen.last().map_or(0, |last| last + 1)
    };
    for index in start..items.len() {
        if !chosen.contains(&index) {
            chosen.push(index);
            arrange(items, count, ordered, chosen, out);
            chosen.pop();
        }
    }
}

fn subelements(call: &Call) -> Result<Val> {
    let elements = match &call.input {
        Val::Dict(_) => call.input.entries()?.into_values().collect(),
        Val::List(_) => call.input.items()?,
        _ => return Err(call.wrong_input("a list of dictionaries")),
    };
    let path = match call.need(0, "subelements")? {
        Val::Str(path) => Val::Str(path),
        names => Val::from(
            names
                .items()?
                .iter()
                .map(Val::string)
                .collect::<Result<Vec<_>>>()?
                .join("."),
        ),
    };
    pairs_of(&elements, &path, call.flag(1, "skip_missing")?)
}

/// Each element with each of the items of a list inside of it.
pub fn pairs_of(elements: &[Val], path: &Val, skip_missing: bool) -> Result<Val> {
    let mut out = Vec::new();
    for element in elements {
        let inner = match attribute(element, path) {
            Val::Undefined(_) if skip_missing => continue,
            Val::Undefined(missing) => return Err(missing.error.clone()),
            inner => inner,
        };
        if !inner.is_sequence() {
            return Err(Diagnostic::new(format!(
                "the key `{}` must lead to a list, got {}",
                path.string()?,
                inner.kind()
            )));
        }
        out.extend(
            inner
                .items()?
                .into_iter()
                .map(|item| Val::tuple(vec![element.clone(), item])),
        );
    }
    Ok(Val::list(out))
}
