//! Secrets masked by value: whatever is printed, logged, journaled or planned passes through [`mask`].
//!
//! A value that came out of a vault, or is a parameter that a module calls secret, is registered once;
//! from then on it is replaced wherever it would show, also inside longer text.

use std::collections::BTreeSet;
use std::sync::{OnceLock, RwLock};

const SHOWN: &str = "********";
/// Shorter values would mask ordinary words and hide nothing.
const SHORTEST: usize = 4;

fn registry() -> &'static RwLock<BTreeSet<String>> {
    static REGISTRY: OnceLock<RwLock<BTreeSet<String>>> = OnceLock::new();
    REGISTRY.get_or_init(RwLock::default)
}

/// Registers a secret. Also its single lines when it is a text of several (a private key),
/// and its JSON-escaped form.
pub fn register(secret: &str) {
    let mut secrets = registry()
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for piece in std::iter::once(secret).chain(secret.lines()).map(str::trim) {
        if piece.len() >= SHORTEST {
            secrets.insert(piece.to_owned());
            let escaped = serde_json::Value::from(piece).to_string();
            secrets.insert(escaped[1..escaped.len() - 1].to_owned());
        }
    }
}

/// The text with every registered secret replaced. Longer secrets are replaced first, so that one
/// that contains another does not leave its tail.
pub fn mask(text: &str) -> String {
    let secrets = registry()
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut found: Vec<&String> = secrets
        .iter()
        .filter(|secret| text.contains(secret.as_str()))
        .collect();
    if found.is_empty() {
        return text.to_owned();
    }
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.into_iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), SHOWN)
    })
}

/// [`mask`] for every text inside a value.
pub fn mask_value(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(mask(text)),
        Value::Array(items) => items.iter().map(mask_value).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (mask(key), mask_value(value)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        super::register("hunter2-and-more");
        assert_eq!(
            super::mask("password=hunter2-and-more;"),
            "password=********;"
        );
    }
}
