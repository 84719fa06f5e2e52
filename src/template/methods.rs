//! The methods of Python's texts, lists and dictionaries.

use super::filters::{CallArgs, text as text_filters};
use super::val::{Entries, Key, Val};
use super::{format, ops};
use crate::base::{Diagnostic, Result};
use std::rc::Rc;

/// Calls a method.
pub fn call(value: &Val, method: &str, args: &CallArgs) -> Result<Val> {
    match value {
        Val::Str(text) => string(text, method, args),
        Val::List(_) => list(value, method, args),
        Val::Tuple(_) => tuple(value, method, args),
        Val::Dict(_) => dict(value, method, args),
        _ => Err(unknown(value, method)),
    }
}

fn unknown(value: &Val, method: &str) -> Diagnostic {
    Diagnostic::new(format!("{} has no method `{method}`", value.kind()))
}

fn string(text: &str, method: &str, args: &CallArgs) -> Result<Val> {
    let word = |index: usize| -> Result<String> {
        match args.positional.get(index) {
            Some(value) => value.string(),
            None => Err(Diagnostic::new(format!(
                "`{method}()` needs {} or more values",
                index + 1
            ))),
        }
    };
    let maybe = |index: usize, name: &str| match args.get(index, name) {
        Some(Val::None) | None => Ok(None),
        Some(value) => value.string().map(Some),
    };
    let count = |index: usize, name: &str| args.get(index, name).and_then(|value| value.integer());
    let strip = |left: bool, right: bool| -> Result<Val> {
        let chars = maybe(0, "chars")?;
        let drop = |c: char| {
            chars
                .as_ref()
                .map_or(c.is_whitespace(), |chars| chars.contains(c))
        };
        let text = if left {
            text.trim_start_matches(drop)
        } else {
            text
        };
        Ok(Val::from(if right {
            text.trim_end_matches(drop)
        } else {
            text
        }))
    };
    let affix = |test: &dyn Fn(&str) -> bool| -> Result<Val> {
        match args.positional.first() {
            Some(Val::Tuple(items)) => {
                for item in items.iter() {
                    if test(&item.string()?) {
                        return Ok(Val::Bool(true));
                    }
                }
                Ok(Val::Bool(false))
            }
            _ => Ok(Val::Bool(test(&word(0)?))),
        }
    };
    let all = |test: fn(char) -> bool| Ok(Val::Bool(!text.is_empty() && text.chars().all(test)));
    let width = |index| -> Result<usize> {
        Ok(args
            .positional
            .get(index)
            .and_then(Val::integer)
            .and_then(|width| usize::try_from(width).ok())
            .unwrap_or(0))
    };
    let place = |found: Option<usize>| {
        found.map_or(-1, |at| {
            i64::try_from(text[..at].chars().count()).unwrap_or(-1)
        })
    };
    match method {
        "upper" => Ok(Val::from(text.to_uppercase())),
        "lower" | "casefold" => Ok(Val::from(text.to_lowercase())),
        "title" => Ok(Val::from(text_filters::python_title(text))),
        "capitalize" => Ok(Val::from(text_filters::capitalized(text))),
        "swapcase" => Ok(Val::from(
            text.chars()
                .flat_map(|c| {
                    if c.is_uppercase() {
                        c.to_lowercase().collect::<Vec<_>>()
                    } else {
                        c.to_uppercase().collect()
                    }
                })
                .collect::<String>(),
        )),
        "strip" => strip(true, true),
        "lstrip" => strip(true, false),
        "rstrip" => strip(false, true),
        "split" => Ok(split(
            text,
            maybe(0, "sep")?.as_deref(),
            count(1, "maxsplit"),
        )),
        "rsplit" => Ok(rsplit(
            text,
            maybe(0, "sep")?.as_deref(),
            count(1, "maxsplit"),
        )),
        "splitlines" => Ok(Val::list(text.lines().map(Val::from).collect())),
        "partition" | "rpartition" => {
            let sep = word(0)?;
            let found = if method == "partition" {
                text.split_once(&*sep)
            } else {
                text.rsplit_once(&*sep)
            };
            let parts = match (found, method) {
                (Some((a, b)), _) => [a, &sep, b],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Ok(Val::tuple(parts.into_iter().map(Val::from).collect()))
        }
        "startswith" => affix(&|part| text.starts_with(part)),
        "endswith" => affix(&|part| text.ends_with(part)),
        "removeprefix" => Ok(Val::from(text.strip_prefix(&*word(0)?).unwrap_or(text))),
        "removesuffix" => Ok(Val::from(text.strip_suffix(&*word(0)?).unwrap_or(text))),
        "replace" => {
            let (old, new) = (word(0)?, word(1)?);
            Ok(Val::from(
                match count(2, "count").and_then(|count| usize::try_from(count).ok()) {
                    Some(count) => text.replacen(&*old, &new, count),
                    None => text.replace(&*old, &new),
                },
            ))
        }
        "join" => {
            let items = args.positional.first().map_or(Ok(Vec::new()), Val::items)?;
            let items = items.iter().map(Val::string).collect::<Result<Vec<_>>>()?;
            Ok(Val::from(items.join(text)))
        }
        "format" => {
            let named = |name: &str| {
                args.named
                    .iter()
                    .find(|(given, _)| **given == *name)
                    .map(|(_, value)| value.clone())
            };
            Ok(Val::from(format::braces(text, &args.positional, &named)?))
        }
        "find" => Ok(Val::Int(place(text.find(&*word(0)?)))),
        "rfind" => Ok(Val::Int(place(text.rfind(&*word(0)?)))),
        "index" => match place(text.find(&*word(0)?)) {
            -1 => Err(Diagnostic::new(format!(
                "`{}` is not in the text",
                word(0)?
            ))),
            at => Ok(Val::Int(at)),
        },
        "count" => Ok(Val::from(text.matches(&*word(0)?).count())),
        "isdigit" | "isnumeric" | "isdecimal" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isascii" => Ok(Val::Bool(text.is_ascii())),
        "isupper" => Ok(Val::Bool(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        )),
        "islower" => Ok(Val::Bool(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        )),
        "zfill" => {
            let (sign, digits) = text
                .strip_prefix('-')
                .map_or(("", text), |digits| ("-", digits));
            Ok(Val::from(format!(
                "{sign}{digits:0>width$}",
                width = width(0)?.saturating_sub(sign.len())
            )))
        }
        "ljust" => Ok(Val::from(text_filters::padded(
            text,
            width(0)?,
            maybe(1, "fillchar")?.as_deref(),
            false,
        ))),
        "rjust" => Ok(Val::from(text_filters::padded(
            text,
            width(0)?,
            maybe(1, "fillchar")?.as_deref(),
            true,
        ))),
        "center" => Ok(Val::from(text_filters::centered(text, width(0)?))),
        "encode" | "decode" => Ok(Val::from(text)),
        _ => Err(unknown(&Val::from(text), method)),
    }
}

/// `str.split`.
pub fn split(text: &str, sep: Option<&str>, limit: Option<i64>) -> Val {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let Some(sep) = sep.filter(|sep| !sep.is_empty()) else {
        let mut rest = text.trim_start();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if limit.is_some_and(|limit| parts.len() >= limit) {
                parts.push(Val::from(rest));
                break;
            }
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            parts.push(Val::from(&rest[..end]));
            rest = rest[end..].trim_start();
        }
        return Val::list(parts);
    };
    Val::list(match limit {
        Some(limit) => text.splitn(limit + 1, sep).map(Val::from).collect(),
        None => text.split(sep).map(Val::from).collect(),
    })
}

fn rsplit(text: &str, sep: Option<&str>, limit: Option<i64>) -> Val {
    let Some((sep, limit)) = sep.zip(limit.and_then(|limit| usize::try_from(limit).ok())) else {
        return split(text, sep, None);
    };
    let mut parts: Vec<Val> = text.rsplitn(limit + 1, sep).map(Val::from).collect();
    parts.reverse();
    Val::list(parts)
}

fn first(args: &CallArgs, method: &str) -> Result<Val> {
    args.positional
        .first()
        .cloned()
        .ok_or_else(|| Diagnostic::new(format!("`{method}()` needs a value")))
}

fn list(value: &Val, method: &str, args: &CallArgs) -> Result<Val> {
    let Val::List(cells) = value else {
        return Err(unknown(value, method));
    };
    match method {
        "append" => {
            let item = first(args, method)?;
            if matches!(&item, Val::List(other) if Rc::ptr_eq(other, cells)) {
                return Err(Diagnostic::new("a list cannot hold itself"));
            }
            cells.items.borrow_mut().push(item);
        }
        "extend" => {
            let more = first(args, method)?.items()?;
            cells.items.borrow_mut().extend(more);
        }
        "insert" => {
            let index = first(args, method)?.integer().unwrap_or(0);
            let item = args.positional.get(1).cloned().unwrap_or(Val::None);
            let mut items = cells.items.borrow_mut();
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = if index < 0 {
                (index + count).max(0)
            } else {
                index.min(count)
            };
            items.insert(usize::try_from(at).unwrap_or(0), item);
        }
        "pop" => {
            let mut items = cells.items.borrow_mut();
            let index = args.positional.first().and_then(Val::integer).unwrap_or(-1);
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = usize::try_from(if index < 0 { index + count } else { index });
            return match at {
                Ok(at) if at < items.len() => Ok(items.remove(at)),
                _ => Err(Diagnostic::new("`pop()`: there is no such item")),
            };
        }
        "remove" => {
            let item = first(args, method)?;
            let all = value.items()?;
            for (index, other) in all.iter().enumerate() {
                if ops::equal(other, &item)? {
                    cells.items.borrow_mut().remove(index);
                    return Ok(Val::None);
                }
            }
            return Err(Diagnostic::new("`remove()`: there is no such item"));
        }
        "reverse" => cells.items.borrow_mut().reverse(),
        "clear" => cells.items.borrow_mut().clear(),
        "sort" => {
            let sorted = super::filters::list::sorted(value.items()?, ops::order)?;
            *cells.items.borrow_mut() = sorted;
        }
        "copy" => return Ok(Val::list(value.items()?)),
        _ => return tuple(value, method, args),
    }
    Ok(Val::None)
}

fn tuple(value: &Val, method: &str, args: &CallArgs) -> Result<Val> {
    let items = value.items()?;
    let wanted = || first(args, method);
    match method {
        "index" => {
            for (index, item) in items.iter().enumerate() {
                if ops::equal(item, &wanted()?)? {
                    return Ok(Val::from(index));
                }
            }
            Err(Diagnostic::new("`index()`: there is no such item"))
        }
        "count" => {
            let mut count = 0usize;
            for item in &items {
                count += usize::from(ops::equal(item, &wanted()?)?);
            }
            Ok(Val::from(count))
        }
        _ => Err(unknown(value, method)),
    }
}

fn dict(value: &Val, method: &str, args: &CallArgs) -> Result<Val> {
    let Val::Dict(cells) = value else {
        return Err(unknown(value, method));
    };
    if args.positional.first().is_some_and(Val::is_unknown) {
        return Ok(Val::UNSURE);
    }
    let key = || -> Result<Key> {
        let key = first(args, method)?;
        Key::of(&key).ok_or_else(|| {
            Diagnostic::new(format!("{} cannot be a key of a dictionary", key.kind()))
        })
    };
    match method {
        "items" => Ok(Val::list(
            value
                .entries()?
                .into_iter()
                .map(|(key, value)| Val::tuple(vec![key.val(), value]))
                .collect(),
        )),
        "keys" => Ok(Val::list(value.items()?)),
        "values" => Ok(Val::list(value.entries()?.into_values().collect())),
        "get" => {
            let found = cells.items.borrow().get(&key()?).cloned();
            Ok(found
                .or_else(|| args.positional.get(1).cloned())
                .unwrap_or(Val::None))
        }
        "update" => {
            let more: Entries = match args.positional.first() {
                Some(more @ Val::Dict(_)) => more.entries()?,
                Some(pairs) => super::filters::dict::from_pairs(pairs)?,
                None => Entries::new(),
            };
            let mut items = cells.items.borrow_mut();
            items.extend(more);
            for (name, value) in &args.named {
                items.insert(Key::Str(name.clone()), value.clone());
            }
            Ok(Val::None)
        }
        "setdefault" => {
            let default = args.positional.get(1).cloned().unwrap_or(Val::None);
            Ok(cells
                .items
                .borrow_mut()
                .entry(key()?)
                .or_insert(default)
                .clone())
        }
        "pop" => {
            let found = cells.items.borrow_mut().shift_remove(&key()?);
            found
                .or_else(|| args.positional.get(1).cloned())
                .ok_or_else(|| Diagnostic::new("`pop()`: there is no such key"))
        }
        "clear" => {
            cells.items.borrow_mut().clear();
            Ok(Val::None)
        }
        "copy" => Ok(Val::dict(value.entries()?)),
        "has_key" => Ok(Val::Bool(cells.items.borrow().contains_key(&key()?))),
        _ => {
            // An entry may hold something that can be called, but data never does.
            Err(unknown(value, method))
        }
    }
}
