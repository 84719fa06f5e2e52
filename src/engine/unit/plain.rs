//! Keywords that are a flag, a text or a number, rendered.
//!
//! Nothing here knows what a keyword is for.

use crate::base::value::{OMIT, Value, has_unknown, to_bool, to_text};
use crate::base::{Diagnostic, Result};
use crate::source::Node;
use crate::template::{self, Context};

/// Renders a boolean keyword.
pub fn flag(node: Option<&Node>, default: bool, context: &Context) -> Result<bool> {
    let Some(node) = node else { return Ok(default) };
    let value = template::value(node, context)?;
    // What is not known in a plan is what it is without the keyword.
    if value.is_null() || value == OMIT || has_unknown(&value) {
        return Ok(default);
    }
    to_bool(&value).ok_or_else(|| {
        Diagnostic::new(format!("expected yes or no, not `{}`", to_text(&value))).at(&node.span)
    })
}

/// Renders a keyword that is text.
pub fn text(node: Option<&Node>, context: &Context) -> Result<Option<String>> {
    let Some(node) = node else { return Ok(None) };
    let value = template::value(node, context)?;
    Ok((!value.is_null() && value != OMIT)
        .then(|| to_text(&value))
        .filter(|text| !text.is_empty()))
}

/// Renders a keyword that is a number.
pub fn number(node: Option<&Node>, default: f64, context: &Context) -> Result<f64> {
    let Some(node) = node else { return Ok(default) };
    let value = template::value(node, context)?;
    match &value {
        Value::Number(number) => number.as_f64(),
        other => to_text(other).trim().parse().ok(),
    }
    .ok_or_else(|| {
        Diagnostic::new(format!("expected a number, not `{}`", to_text(&value))).at(&node.span)
    })
}
