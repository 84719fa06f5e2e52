//! Filters over dictionaries.

use super::list::flat;
use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::ops;
use crate::template::print;
use crate::template::val::{Entries, Key, Val};

/// The filters of this file.
pub const FILTERS: Table = &[
    ("dict2items", dict2items),
    ("items2dict", items2dict),
    ("combine", combine),
    ("items", |call| Ok(Val::list(pairs(call.input.entries()?)))),
    ("dictsort", dictsort),
    ("extract", extract),
    ("attr", |call| {
        Ok(super::list::attribute(&call.input, &call.need(0, "name")?))
    }),
    ("rekey_on_member", rekey),
];

fn pairs(entries: Entries) -> Vec<Val> {
    entries
        .into_iter()
        .map(|(key, value)| Val::tuple(vec![key.val(), value]))
        .collect()
}

/// The entries that a list of pairs holds.
pub fn from_pairs(pairs: &Val) -> Result<Entries> {
    let mut entries = Entries::new();
    for pair in pairs.items()? {
        match &pair.items()?[..] {
            [key, value] => {
                let key = Key::of(key)
                    .ok_or_else(|| Diagnostic::new(format!("{} cannot be a key", key.kind())))?;
                entries.insert(key, value.clone());
            }
            _ => return Err(Diagnostic::new("a dictionary is made of pairs")),
        }
    }
    Ok(entries)
}

fn dict2items(call: &Call) -> Result<Val> {
    let key_name = call
        .text(0, "key_name")?
        .unwrap_or_else(|| "key".to_owned());
    let value_name = call
        .text(1, "value_name")?
        .unwrap_or_else(|| "value".to_owned());
    if !matches!(call.input, Val::Dict(_) | Val::Object(_)) {
        return Err(call.wrong_input("a dictionary"));
    }
    let items = call.input.entries()?;
    Ok(Val::list(
        items
            .into_iter()
            .map(|(key, value)| Val::record([(&*key_name, key.val()), (&*value_name, value)]))
            .collect(),
    ))
}

fn items2dict(call: &Call) -> Result<Val> {
    let key_name = call
        .text(0, "key_name")?
        .unwrap_or_else(|| "key".to_owned());
    let value_name = call
        .text(1, "value_name")?
        .unwrap_or_else(|| "value".to_owned());
    if !call.input.is_sequence() {
        return Err(call.wrong_input("a list"));
    }
    let mut entries = Entries::new();
    for item in call.input.items()? {
        let (Some(key), Some(value)) = (item.entry(&key_name), item.entry(&value_name)) else {
            return Err(Diagnostic::new(format!(
                "`items2dict`: each item needs `{key_name}` and `{value_name}`"
            )));
        };
        let key = Key::of(&key)
            .ok_or_else(|| Diagnostic::new(format!("{} cannot be a key", key.kind())))?;
        entries.insert(key, value);
    }
    Ok(Val::dict(entries))
}

fn combine(call: &Call) -> Result<Val> {
    let named = |name: &str| {
        call.args
            .named
            .iter()
            .find(|(given, _)| **given == *name)
            .map(|(_, value)| value.clone())
    };
    let recursive = named("recursive").map_or(Ok(false), |value| value.truthy())?;
    let lists = named("list_merge").map_or(Ok("replace".to_owned()), |value| value.string())?;
    let mut terms = vec![call.input.clone()];
    terms.extend(call.args.positional.iter().cloned());
    let mut flattened = Vec::new();
    flat(&terms, Some(1), true, &mut flattened)?;
    let mut result = Entries::new();
    for (index, term) in flattened.iter().enumerate() {
        if !matches!(term, Val::Dict(_) | Val::Unknown { .. }) {
            return Err(Diagnostic::new(format!(
                "`combine` expects dictionaries, got {}",
                term.kind()
            )));
        }
        let entries = term.entries()?;
        result = if index == 0 {
            entries
        } else {
            merged(result, entries, recursive, &lists)?
        };
    }
    Ok(Val::dict(result))
}

fn merged(mut low: Entries, high: Entries, recursive: bool, lists: &str) -> Result<Entries> {
    for (key, value) in high {
        let both = low.get(&key).cloned();
        let value = match (both, &value) {
            (Some(old @ Val::Dict(_)), Val::Dict(_)) if recursive => {
                Val::dict(merged(old.entries()?, value.entries()?, recursive, lists)?)
            }
            (Some(old @ Val::List(_)), Val::List(_)) => merged_lists(&old, &value, lists)?,
            _ => value,
        };
        low.insert(key, value);
    }
    Ok(low)
}

fn merged_lists(old: &Val, new: &Val, how: &str) -> Result<Val> {
    let (a, b) = (old.items()?, new.items()?);
    let without = |items: &[Val], others: &[Val]| -> Result<Vec<Val>> {
        let mut kept = Vec::new();
        for item in items {
            let mut found = false;
            for other in others {
                found = found || ops::equal(item, other)?;
            }
            if !found {
                kept.push(item.clone());
            }
        }
        Ok(kept)
    };
    Ok(Val::list(match how {
        "replace" => b,
        "keep" => a,
        "append" => [a, b].concat(),
        "prepend" => [b, a].concat(),
        "append_rp" => [without(&a, &b)?, b].concat(),
        "prepend_rp" => [b.clone(), without(&a, &b)?].concat(),
        other => {
            return Err(
                Diagnostic::new(format!("`combine` has no list_merge `{other}`"))
                    .help("choose replace, keep, append, prepend, append_rp or prepend_rp"),
            );
        }
    }))
}

fn dictsort(call: &Call) -> Result<Val> {
    let sensitive = call.flag(0, "case_sensitive")?;
    let by = call.text(1, "by")?.unwrap_or_else(|| "key".to_owned());
    let reverse = call.flag(2, "reverse")?;
    let place = usize::from(by == "value");
    let key =
        |pair: &Val| -> Result<Val> { Ok(super::list::folded(&pair.items()?[place], sensitive)) };
    let sorted = super::list::sorted(pairs(call.input.entries()?), |a, b| {
        let order = ops::order(&key(a)?, &key(b)?)?;
        Ok(if reverse { order.reverse() } else { order })
    })?;
    Ok(Val::list(sorted))
}

fn extract(call: &Call) -> Result<Val> {
    let mut keys = vec![call.input.clone()];
    match call.arg(1, "morekeys") {
        None | Some(Val::None) => {}
        Some(more @ Val::List(_)) => keys.extend(more.items()?),
        Some(more) => keys.push(more),
    }
    let mut value = call.need(0, "container")?;
    for key in keys {
        value = match (&value, &key) {
            (Val::Undefined(_), _) => return Ok(value),
            (Val::Dict(dict), _) => {
                let found = Key::of(&key).and_then(|key| dict.items.borrow().get(&key).cloned());
                found.unwrap_or_else(|| missing(&key))
            }
            (Val::Object(_), Val::Str(name)) => value.entry(name).unwrap_or_else(|| missing(&key)),
            (Val::List(_) | Val::Tuple(_), Val::Int(index)) => {
                ops::at(&value.items()?, *index).unwrap_or_else(|| missing(&key))
            }
            _ => missing(&key),
        };
        if let Val::Lazy(lazy) = &value {
            let settled = lazy.settle();
            value = settled;
        }
    }
    Ok(value)
}

fn missing(key: &Val) -> Val {
    let key = print::repr(key);
    let error = Diagnostic::new(format!("`extract`: there is no item {key}"));
    Val::undefined(key, error)
}

fn rekey(call: &Call) -> Result<Val> {
    let key = call.need(0, "key")?.string()?;
    let overwrite = call
        .text(1, "duplicates")?
        .is_some_and(|how| how == "overwrite");
    let items = match &call.input {
        Val::Dict(_) => call.input.entries()?.into_values().collect(),
        _ => call.input.items()?,
    };
    let mut entries = Entries::new();
    for item in items {
        let name = item
            .entry(&key)
            .ok_or_else(|| Diagnostic::new(format!("an item has no `{key}`")))?;
        let name = Key::of(&name)
            .ok_or_else(|| Diagnostic::new(format!("{} cannot be a key", name.kind())))?;
        if entries.insert(name.clone(), item).is_some() && !overwrite {
            return Err(Diagnostic::new(format!(
                "`{key}` {} is not unique",
                print::repr(&name.val())
            )));
        }
    }
    Ok(Val::dict(entries))
}
