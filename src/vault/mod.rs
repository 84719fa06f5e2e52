//! Encrypted files and values in ansible-vault's format, where their passwords come from, and generated secrets.
//!
//! Nothing here prints, and no secret leaves through `Debug`, `Display` or an error message.

mod complete;
mod envelope;
pub mod generate;
mod passwords;
mod prompt;
mod reader;
mod secret;
pub mod store;

pub use complete::{Completed, complete};
pub use envelope::{id_of, is_vault};
pub use generate::{SecretSpec, Spec, generate};
pub use passwords::{Opened, Passwords, Source};
pub use reader::{ClearFiles, Opener};
pub use secret::Secret;

use crate::base::mask;
use serde_json::Value;

/// Numbers with fewer digits than this are ports, sizes and counts rather than secrets.
const SHORTEST_NUMBER: usize = 6;

/// Registers every scalar of a decrypted file for masking. A text that is only a template expression is a name, not
/// a secret, and is left alone.
pub fn register_leaves(value: &Value) {
    match value {
        Value::String(text) if !is_expression(text) => mask::register(text),
        Value::Number(number) => {
            let digits = number.to_string();
            if digits.len() >= SHORTEST_NUMBER {
                mask::register(&digits);
            }
        }
        Value::Array(items) => items.iter().for_each(register_leaves),
        Value::Object(map) => map.values().for_each(register_leaves),
        _ => {}
    }
}

fn is_expression(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaves_of_a_decrypted_file_are_masked() {
        register_leaves(&serde_json::json!({
            "vault_a": "leaf-secret-one", "list": [{"deep": "leaf-secret-two"}], "number": 918_273_645,
            "port": 54321, "name": "{{ leaf_name }}", "url": "x://u:leaf-three@{{ host }}/{{ db }}",
        }));
        for (text, shown) in [
            ("leaf-secret-one", "********"),
            ("leaf-secret-two", "********"),
            ("918273645", "********"),
            ("54321", "54321"),
            ("{{ leaf_name }}", "{{ leaf_name }}"),
            ("x://u:leaf-three@{{ host }}/{{ db }}", "********"),
        ] {
            assert_eq!(mask::mask(text), shown);
        }
    }
}
