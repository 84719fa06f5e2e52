//! One part of a `form-multipart` body, as `curl` takes it in its configuration.
//!
//! Values go into the configuration only, never into an argument list.

use super::option;
use crate::base::value::{Value, to_text};
use crate::base::{Diagnostic, Result};

/// Adds a part.
pub(super) fn part(config: &mut String, name: &str, value: &Value) -> Result<()> {
    match value {
        Value::Object(part) => {
            let text = |key: &str| part.get(key).and_then(Value::as_str);
            let kind = text("mime_type").map_or_else(String::new, |kind| format!(";type={kind}"));
            let quoted =
                |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            match (text("content"), text("filename")) {
                (Some(content), Some(file)) => {
                    option(
                        config,
                        "form",
                        &format!("{name}={};filename={}{kind}", quoted(content), quoted(file)),
                    );
                }
                (Some(content), None) => {
                    option(config, "form", &format!("{name}={}{kind}", quoted(content)));
                }
                (None, Some(file)) => {
                    option(config, "form", &format!("{name}=@{}{kind}", quoted(file)));
                }
                (None, None) => {
                    return Err(Diagnostic::new(format!(
                        "the part `{name}` needs `content` or `filename`"
                    )));
                }
            }
        }
        value => option(config, "form-string", &format!("{name}={}", to_text(value))),
    }
    Ok(())
}
