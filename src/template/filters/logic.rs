//! Filters that choose: defaults, booleans, conditions.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("default", default),
    ("d", default),
    ("mandatory", mandatory),
    ("ternary", ternary),
    ("bool", |call| Ok(Val::Bool(boolean(&call.input)))),
    ("string", string),
    ("type_debug", |call| Ok(Val::from(call.input.kind()))),
];

fn default(call: &Call) -> Result<Val> {
    let other = call
        .arg(0, "default_value")
        .unwrap_or_else(|| Val::from(""));
    if let Val::Undefined(missing) = &call.input {
        // What failed for another reason than a missing name stays an error.
        return if missing.path.is_empty() {
            Ok(call.input.clone())
        } else {
            Ok(other)
        };
    }
    if call.flag(1, "boolean")? && !call.input.truthy()? {
        Ok(other)
    } else {
        Ok(call.input.clone())
    }
}

fn mandatory(call: &Call) -> Result<Val> {
    match (&call.input, call.text(0, "msg")?) {
        (Val::Undefined(_), Some(message)) => Err(Diagnostic::new(message)),
        (Val::Undefined(missing), None) => Err(Diagnostic {
            message: format!("`{}` is mandatory but not defined", missing.path),
            ..missing.error.clone()
        }),
        (value, _) => Ok(value.clone()),
    }
}

fn ternary(call: &Call) -> Result<Val> {
    if let Val::Undefined(_) = call.input {
        return Ok(call.input.clone());
    }
    if let (Val::None, Some(value)) = (&call.input, call.arg(2, "none_val"))
        && !matches!(value, Val::None)
    {
        return Ok(value);
    }
    if call.input.truthy()? {
        call.need(0, "true_val")
    } else {
        call.need(1, "false_val")
    }
}

/// Ansible's `bool`: yes, on, true and 1 in any case; all else is false.
fn boolean(value: &Val) -> bool {
    match value {
        Val::Str(text) => matches!(&*text.to_lowercase(), "yes" | "on" | "true" | "1"),
        #[expect(clippy::float_cmp, reason = "as Python compares")]
        other => other.number().is_some_and(|number| number == 1.0),
    }
}

fn string(call: &Call) -> Result<Val> {
    call.input_text().map(Val::from)
}
