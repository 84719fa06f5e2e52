//! `map`, `select`, `reject` and their attribute forms.

use super::list::attribute;
use super::{Call, CallArgs, Table, apply};
use crate::base::{Diagnostic, Result};
use crate::template::checks;
use crate::template::val::{Val, touch};

/// The filters of this file.
pub const FILTERS: Table = &[
    ("map", map),
    ("select", |call| choose(call, true, false)),
    ("reject", |call| choose(call, false, false)),
    ("selectattr", |call| choose(call, true, true)),
    ("rejectattr", |call| choose(call, false, true)),
];

fn map(call: &Call) -> Result<Val> {
    let items = sequence(call)?;
    let named = |name: &str| {
        call.args
            .named
            .iter()
            .find(|(given, _)| **given == *name)
            .map(|(_, value)| value.clone())
    };
    let mut out = Vec::with_capacity(items.len());
    if let Some(path) = named("attribute") {
        let default = named("default");
        for item in items {
            out.push(match (attribute(&item, &path), &default) {
                (Val::Undefined(_), Some(default)) => default.clone(),
                (value, _) => value,
            });
        }
        return Ok(Val::list(out));
    }
    let name = call.need(0, "filter")?.string()?;
    let args = CallArgs {
        positional: call.args.positional[1..].to_vec(),
        named: call.args.named.clone(),
    };
    for item in items {
        out.push(apply(call.session, plugin(&name), item, args.clone())?);
    }
    Ok(Val::list(out))
}

fn plugin(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn sequence(call: &Call) -> Result<Vec<Val>> {
    match &call.input {
        Val::None => Ok(Vec::new()),
        input => input.items(),
    }
}

fn choose(call: &Call, wanted: bool, by_attribute: bool) -> Result<Val> {
    let mut rest = call.args.positional.iter();
    let path = if by_attribute {
        let path = rest
            .next()
            .cloned()
            .or_else(|| call.arg(usize::MAX, "attr"));
        Some(path.ok_or_else(|| {
            Diagnostic::new(format!("`{}` needs the name of an attribute", call.name))
        })?)
    } else {
        None
    };
    let test = rest.next().map(Val::string).transpose()?;
    let args = CallArgs {
        positional: rest.cloned().collect(),
        named: call.args.named.clone(),
    };
    let mut kept = Vec::new();
    for item in sequence(call)? {
        let value = path
            .as_ref()
            .map_or_else(|| item.clone(), |path| attribute(&item, path));
        let holds = match &test {
            Some(test) => checks::apply(call.session, plugin(test), value, args.clone())?,
            None => value,
        };
        if holds.is_unknown() {
            touch();
        }
        if holds.truthy()? == wanted {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}
