//! Files as written: text with places, and YAML whose every node knows its file, line and column.
//!
//! Nothing here knows what a play or an inventory is.

mod convert;
mod emit;
mod fault;
mod files;
mod loose;
mod scalar;
mod yaml;
#[cfg(test)]
mod yaml_tests;

pub use crate::base::span::{SourceFile, Span};
pub use emit::to_yaml;
pub use files::{Disk, Files, load, text};
pub use yaml::{parse, parse_all};

/// A YAML node with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it holds.
    pub yaml: Yaml,
    /// Where it begins.
    pub span: Span,
}

/// What a node holds, scalars resolved as Ansible (PyYAML, YAML 1.1) resolves them.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// `null`, `~`, nothing.
    Null,
    /// true/false/yes/no/on/off.
    Bool(bool),
    /// Decimal, octal (`0644`), hexadecimal, binary, with underscores.
    Int(i64),
    /// A number with a point or exponent.
    Float(f64),
    /// Text.
    String(String),
    /// Text tagged `!vault`: the armoured cipher text.
    Vault(String),
    /// Text tagged `!unsafe`: never a template.
    Unsafe(String),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping in the order of the file, keys unique, merge keys (`<<`) already merged.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The node under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, v)| v)
    }

    /// The text, when it is text (plain, not vaulted).
    pub fn as_str(&self) -> Option<&str> {
        match &self.yaml {
            Yaml::String(text) | Yaml::Unsafe(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.yaml {
            Yaml::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence, if it is one.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.yaml {
            Yaml::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// "a mapping", "a list", "text"…: for messages.
    pub fn kind(&self) -> &'static str {
        match &self.yaml {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "a boolean",
            Yaml::Int(_) => "an integer",
            Yaml::Float(_) => "a number",
            Yaml::String(_) | Yaml::Unsafe(_) => "text",
            Yaml::Vault(_) => "a vaulted value",
            Yaml::Sequence(_) => "a list",
            Yaml::Mapping(_) => "a mapping",
        }
    }
}
