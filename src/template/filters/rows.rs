//! Filters that arrange lists in rows: batches, pairs, combinations.

use super::list::attribute;
use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("batch", batch),
    ("slice", slice),
    ("product", product),
    ("subelements", subelements),
    ("zip", |call| zip(call, false)),
    ("zip_longest", |call| zip(call, true)),
    ("permutations", |call| arrangements(call, true)),
    ("combinations", |call| arrangements(call, false)),
];

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
