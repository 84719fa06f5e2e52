//! The tests of Jinja2 and Ansible: what stands after `is`.

use super::ast::Op;
use super::filters::{self, Call, CallArgs, regex};
use super::nearest::nearest;
use super::ops;
use super::session::Session;
use super::val::{Val, guarded};
use super::version;
use crate::base::value::{Value, to_bool};
use crate::base::{Diagnostic, Result};
use std::rc::Rc;

type Check = fn(&Call) -> Result<bool>;

const CHECKS: &[(&str, Check)] = &[
    ("none", |call| Ok(matches!(call.input, Val::None))),
    ("boolean", |call| Ok(matches!(call.input, Val::Bool(_)))),
    ("true", |call| Ok(matches!(call.input, Val::Bool(true)))),
    ("false", |call| Ok(matches!(call.input, Val::Bool(false)))),
    ("integer", |call| Ok(matches!(call.input, Val::Int(_)))),
    ("float", |call| Ok(matches!(call.input, Val::Float(_)))),
    ("number", |call| Ok(call.input.number().is_some())),
    ("string", |call| Ok(matches!(call.input, Val::Str(_)))),
    ("mapping", |call| {
        Ok(matches!(call.input, Val::Dict(_)) || call.input.kind() == "HostVars")
    }),
    ("sequence", |call| {
        Ok(matches!(
            call.input,
            Val::Str(_) | Val::List(_) | Val::Tuple(_) | Val::Dict(_)
        ))
    }),
    ("iterable", |call| {
        Ok(matches!(
            call.input,
            Val::Str(_) | Val::List(_) | Val::Tuple(_) | Val::Dict(_)
        ) || call.input.kind() == "HostVars")
    }),
    ("callable", |call| {
        Ok(matches!(call.input.kind(), "Macro" | "function"))
    }),
    ("sameas", same),
    ("lower", |call| {
        Ok(cased(
            &call.input_text()?,
            char::is_lowercase,
            char::is_uppercase,
        ))
    }),
    ("upper", |call| {
        Ok(cased(
            &call.input_text()?,
            char::is_uppercase,
            char::is_lowercase,
        ))
    }),
    ("even", |call| Ok(whole(call)? % 2 == 0)),
    ("odd", |call| Ok(whole(call)? % 2 != 0)),
    ("divisibleby", |call| match call.int(0, "num")? {
        Some(number) if number != 0 => Ok(whole(call)? % number == 0),
        _ => Err(Diagnostic::new(
            "`divisibleby` needs a number that is not 0",
        )),
    }),
    ("eq", |call| {
        ops::equal(&call.input, &call.need(0, "other")?)
    }),
    ("equalto", |call| {
        ops::equal(&call.input, &call.need(0, "other")?)
    }),
    ("==", |call| {
        ops::equal(&call.input, &call.need(0, "other")?)
    }),
    ("ne", |call| {
        Ok(!ops::equal(&call.input, &call.need(0, "other")?)?)
    }),
    ("!=", |call| {
        Ok(!ops::equal(&call.input, &call.need(0, "other")?)?)
    }),
    ("lt", |call| compared(call, Op::Lt)),
    ("lessthan", |call| compared(call, Op::Lt)),
    ("<", |call| compared(call, Op::Lt)),
    ("le", |call| compared(call, Op::Le)),
    ("<=", |call| compared(call, Op::Le)),
    ("gt", |call| compared(call, Op::Gt)),
    ("greaterthan", |call| compared(call, Op::Gt)),
    (">", |call| compared(call, Op::Gt)),
    ("ge", |call| compared(call, Op::Ge)),
    (">=", |call| compared(call, Op::Ge)),
    ("in", |call| {
        ops::contains(&call.need(0, "seq")?, &call.input)
    }),
    ("contains", |call| {
        ops::contains(&call.input, &call.need(0, "value")?)
    }),
    ("match", |call| matched(call, "match")),
    ("search", |call| matched(call, "search")),
    ("regex", |call| matched(call, "regex")),
    ("version", version::test),
    ("version_compare", version::test),
    ("truthy", truthy),
    ("falsy", |call| Ok(!truthy(call)?)),
    ("changed", changed),
    ("change", changed),
    ("failed", |call| flag(call, "failed")),
    ("failure", |call| flag(call, "failed")),
    ("succeeded", |call| Ok(!flag(call, "failed")?)),
    ("success", |call| Ok(!flag(call, "failed")?)),
    ("successful", |call| Ok(!flag(call, "failed")?)),
    ("skipped", |call| flag(call, "skipped")),
    ("skip", |call| flag(call, "skipped")),
    ("unreachable", |call| flag(call, "unreachable")),
    ("reachable", |call| Ok(!flag(call, "unreachable")?)),
    ("finished", |call| {
        if result(call)?.entry("finished").is_some() {
            flag(call, "finished")
        } else {
            Ok(true)
        }
    }),
    ("started", |call| {
        if result(call)?.entry("started").is_some() {
            flag(call, "started")
        } else {
            Ok(true)
        }
    }),
    ("subset", |call| all_in(&call.input, &call.need(0, "b")?)),
    ("issubset", |call| all_in(&call.input, &call.need(0, "b")?)),
    ("superset", |call| all_in(&call.need(0, "b")?, &call.input)),
    ("issuperset", |call| {
        all_in(&call.need(0, "b")?, &call.input)
    }),
    ("any", |call| some(call, true)),
    ("all", |call| Ok(!some(call, false)?)),
    ("abs", |call| Ok(call.input_text()?.starts_with('/'))),
    ("is_abs", |call| Ok(call.input_text()?.starts_with('/'))),
    ("url", |call| uri(call, true)),
    ("uri", |call| uri(call, false)),
    ("urn", |call| {
        Ok(call.input_text()?.to_lowercase().starts_with("urn:"))
    }),
    ("nan", |call| {
        Ok(matches!(call.input, Val::Float(number) if number.is_nan()))
    }),
    ("isnan", |call| {
        Ok(matches!(call.input, Val::Float(number) if number.is_nan()))
    }),
    ("vault_encrypted", |call| {
        Ok(matches!(&call.input, Val::Str(text) if text.starts_with("$ANSIBLE_VAULT;")))
    }),
];

/// Tests that ask about this machine, where the templates are rendered, not about the target.
const OF_THIS_MACHINE: [&str; 16] = [
    "file",
    "is_file",
    "directory",
    "is_dir",
    "exists",
    "link",
    "is_link",
    "link_exists",
    "mount",
    "is_mount",
    "same_file",
    "is_same_file",
    "samefile",
    "vaulted_file",
    "is_samefile",
    "is_directory",
];

/// All tests.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    let known = CHECKS.iter().map(|(name, _)| *name);
    known.chain(["defined", "undefined", "filter", "test"])
}

/// The error for a test that does not exist.
pub fn missing(name: &str) -> Option<Diagnostic> {
    let own = ["defined", "undefined", "filter", "test"];
    let known = || CHECKS.iter().map(|(known, _)| *known).chain(own);
    if known().chain(OF_THIS_MACHINE).any(|known| known == name) {
        return None;
    }
    let error = Diagnostic::new(format!("there is no test `{name}`")).lacking(name);
    Some(match nearest(name, known().map(str::to_owned)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    })
}

/// Applies a test.
pub fn apply(session: &Rc<Session>, name: &str, input: Val, args: CallArgs) -> Result<Val> {
    let defined = match name {
        "defined" => Some(true),
        "undefined" => Some(false),
        _ => None,
    };
    if let Some(wanted) = defined {
        return Ok(match &input {
            Val::Undefined(missing) if missing.lenient => Val::Bool(!wanted),
            // What failed for another reason than a missing name stays an error.
            Val::Undefined(missing) if missing.path.is_empty() => {
                return Err(missing.error.clone());
            }
            Val::Undefined(_) => Val::Bool(!wanted),
            Val::Unknown { certain: false } => Val::UNSURE,
            _ => Val::Bool(wanted),
        });
    }
    if matches!(name, "filter" | "test") {
        let asked = input.string().unwrap_or_default();
        return Ok(Val::Bool(match name {
            "filter" => filters::missing(&asked).is_none(),
            _ => missing(&asked).is_none(),
        }));
    }
    if let Val::Undefined(_) = input {
        return Ok(input);
    }
    if let Some(marker) = args.marker() {
        return Ok(marker);
    }
    if input.is_unknown() || args.unknown() {
        return Ok(Val::UNSURE);
    }
    let Some((_, check)) = CHECKS.iter().find(|(known, _)| *known == name) else {
        if OF_THIS_MACHINE.contains(&name) {
            return Err(Diagnostic::new(format!(
                "the test `{name}` asks about this machine, not about the host"
            ))
            .help("use the module `stat` and check its result"));
        }
        let error = Diagnostic::new(format!("there is no test `{name}`"));
        let known = CHECKS
            .iter()
            .map(|(known, _)| *known)
            .chain(["defined", "undefined"]);
        return Err(match nearest(name, known.map(str::to_owned)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    let call = Call {
        session,
        name,
        input,
        args,
    };
    guarded(|| check(&call).map(Val::Bool))
}

fn whole(call: &Call) -> Result<i64> {
    call.input
        .integer()
        .ok_or_else(|| call.wrong_input("an integer"))
}

fn cased(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.chars().any(wanted) && !text.chars().any(other)
}

fn same(call: &Call) -> Result<bool> {
    let other = call.need(0, "other")?;
    Ok(match (&call.input, &other) {
        (Val::Bool(_), Val::Bool(_)) | (Val::None, Val::None) => ops::equal(&call.input, &other)?,
        (Val::List(a), Val::List(b)) => Rc::ptr_eq(a, b),
        (Val::Dict(a), Val::Dict(b)) => Rc::ptr_eq(a, b),
        (Val::Bool(_) | Val::None, _) | (_, Val::Bool(_) | Val::None) => false,
        _ => call.input.kind() == other.kind() && ops::equal(&call.input, &other)?,
    })
}

fn compared(call: &Call, op: Op) -> Result<bool> {
    ops::apply(op, &call.input, &call.need(0, "other")?)?.truthy()
}

fn matched(call: &Call, kind: &str) -> Result<bool> {
    let kind = if kind == "regex" {
        call.text(3, "match_type")?
            .unwrap_or_else(|| "search".to_owned())
    } else {
        kind.to_owned()
    };
    let pattern = call.text(0, "pattern")?.unwrap_or_default();
    let pattern = match kind.as_str() {
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        _ => pattern,
    };
    let expression = regex::compile(
        &pattern,
        call.flag(1, "ignorecase")?,
        call.flag(2, "multiline")?,
    )?;
    let text = call.input_text()?;
    expression.is_match(text.as_str()).map_err(|error| {
        Diagnostic::new(format!(
            "regular expression: backtracking limit exceeded: {error}"
        ))
    })
}

fn truthy(call: &Call) -> Result<bool> {
    if call.flag(0, "convert_bool")?
        && let Val::Str(text) = &call.input
        && let Some(flag) = to_bool(&Value::String(text.to_string()))
    {
        return Ok(flag);
    }
    call.input.truthy()
}

/// The input as the result of a task.
fn result<'a>(call: &'a Call) -> Result<&'a Val> {
    match &call.input {
        Val::Dict(_) => Ok(&call.input),
        _ => Err(Diagnostic::new(format!(
            "the test `{}` expects the result of a task, got {}",
            call.name,
            call.input.kind()
        ))
        .help("give it the registered variable itself")),
    }
}

fn flag(call: &Call, name: &str) -> Result<bool> {
    result(call)?
        .entry(name)
        .map_or(Ok(false), |value| value.truthy())
}

fn changed(call: &Call) -> Result<bool> {
    let value = result(call)?;
    if let Some(changed) = value.entry("changed") {
        return changed.truthy();
    }
    let Some(results) = value.entry("results").filter(Val::is_sequence) else {
        return Ok(false);
    };
    for item in results.items()? {
        if let Some(changed) = item.entry("changed")
            && changed.truthy()?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all_in(inner: &Val, outer: &Val) -> Result<bool> {
    for item in inner.items()? {
        if !ops::contains(outer, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn some(call: &Call, wanted: bool) -> Result<bool> {
    for item in call.input.items()? {
        if item.truthy()? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uri(call: &Call, with_host: bool) -> Result<bool> {
    let text = call.input_text()?;
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(false);
    };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let host = rest
        .strip_prefix("//")
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    Ok(named && (host || !with_host && !rest.is_empty()))
}
