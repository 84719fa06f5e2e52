//! Between nodes and plain values. Never decrypts by itself: the caller brings the key.

use super::{Node, Span, Yaml};
use crate::base::{
    Diagnostic, Result,
    value::{Map, Value},
};

impl Node {
    /// The plain value.
    ///
    /// # Errors
    /// When a part of it is vaulted.
    pub fn to_value(&self) -> Result<Value> {
        self.to_value_with(&|_| {
            Err(Diagnostic::new(
                "this value is vaulted; it cannot be read here",
            ))
        })
    }

    /// The plain value, with vaulted parts decrypted by `decrypt`, which gets the armoured text.
    ///
    /// # Errors
    /// Those of `decrypt`, with the place.
    pub fn to_value_with(&self, decrypt: &dyn Fn(&str) -> Result<String>) -> Result<Value> {
        Ok(match &self.yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(flag) => Value::Bool(*flag),
            Yaml::Int(number) => Value::from(*number),
            Yaml::Float(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => Value::Number(number),
                None => Value::String(python_float(*number).to_owned()),
            },
            Yaml::String(text) | Yaml::Unsafe(text) => Value::String(text.clone()),
            Yaml::Vault(text) => {
                Value::String(decrypt(text).map_err(|error| error.at(&self.span))?)
            }
            Yaml::Sequence(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.to_value_with(decrypt))
                    .collect::<Result<_>>()?,
            ),
            Yaml::Mapping(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    map.insert(key.key_text(), value.to_value_with(decrypt)?);
                }
                Value::Object(map)
            }
        })
    }

    /// A key as JSON writes it: `1`, `true`, `null`, text.
    pub fn key_text(&self) -> String {
        match &self.yaml {
            Yaml::String(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => text.clone(),
            Yaml::Bool(flag) => flag.to_string(),
            Yaml::Int(number) => number.to_string(),
            Yaml::Float(number) => Value::from(*number).to_string(),
            Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) => "null".to_owned(),
        }
    }

    /// A node that holds a value; all of it has the given place.
    pub fn from_value(value: &Value, span: &Span) -> Self {
        let yaml = match value {
            Value::Null => Yaml::Null,
            Value::Bool(flag) => Yaml::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Yaml::Int(number),
                (None, Some(number)) => Yaml::Float(number),
                (None, None) => Yaml::String(number.to_string()),
            },
            Value::String(text) => Yaml::String(text.clone()),
            Value::Array(items) => Yaml::Sequence(
                items
                    .iter()
                    .map(|item| Self::from_value(item, span))
                    .collect(),
            ),
            Value::Object(map) => Yaml::Mapping(
                map.iter()
                    .map(|(key, value)| {
                        let key = Self {
                            yaml: Yaml::String(key.clone()),
                            span: span.clone(),
                        };
                        (key, Self::from_value(value, span))
                    })
                    .collect(),
            ),
        };
        Self {
            yaml,
            span: span.clone(),
        }
    }
}

/// As Python prints the floats that JSON has no form for.
fn python_float(number: f64) -> &'static str {
    if number.is_nan() {
        "nan"
    } else if number > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}
