//! Reads the values of keywords: each function takes a node, reports what does not fit, and gives what does.

use crate::base::nearest::nearest;
use crate::base::value::{to_bool, to_text};
use crate::base::{Diagnostic, Diagnostics};
use crate::source::{Node, Yaml};

/// Whether text holds a template.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Whether any part of a node is a template or vaulted, so that its value is not known at load.
pub fn is_dynamic(node: &Node) -> bool {
    match &node.yaml {
        Yaml::String(text) => is_template(text),
        Yaml::Vault(_) => true,
        Yaml::Sequence(items) => items.iter().any(is_dynamic),
        Yaml::Mapping(entries) => entries
            .iter()
            .any(|(key, value)| is_dynamic(key) || is_dynamic(value)),
        _ => false,
    }
}

/// Whether it can be the name of a variable.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// See the name; reports what does not fit.
pub fn wrong(value: &Node, name: &str, wanted: &str) -> Diagnostic {
    Diagnostic::new(format!("`{name}` takes {wanted}, not {}", value.kind())).at(&value.span)
}

/// Text that is not a template in disguise of another type.
pub fn text(value: &Node, name: &str, errors: &mut Diagnostics) -> Option<String> {
    match &value.yaml {
        Yaml::String(text) | Yaml::Unsafe(text) => Some(text.clone()),
        // As Python writes them, which is what Ansible makes of a name such as `On`.
        Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) => {
            Some(to_text(&super::action::literal(value)))
        }
        Yaml::Null => None,
        _ => {
            errors.push(wrong(value, name, "text"));
            None
        }
    }
}

/// See the name; reports what does not fit.
pub fn identifier(value: &Node, name: &str, errors: &mut Diagnostics) -> Option<String> {
    match value.as_str() {
        Some(text) if is_identifier(text) => Some(text.to_owned()),
        Some(text) => {
            errors.push(
                Diagnostic::new(format!(
                    "`{text}` cannot be the name of a variable (`{name}`)"
                ))
                .at(&value.span),
            );
            None
        }
        None => {
            errors.push(wrong(value, name, "the name of a variable"));
            None
        }
    }
}

/// See the name; reports what does not fit.
pub fn scalar(value: &Node, name: &str, errors: &mut Diagnostics) -> Option<Node> {
    match &value.yaml {
        Yaml::Null => None,
        Yaml::Sequence(_) | Yaml::Mapping(_) => {
            errors.push(wrong(value, name, "text"));
            None
        }
        _ => Some(value.clone()),
    }
}

/// See the name; reports what does not fit.
pub fn boolean(value: &Node, name: &str, errors: &mut Diagnostics) -> Option<Node> {
    let fits = match &value.yaml {
        Yaml::Null => return None,
        Yaml::Bool(_) => true,
        Yaml::Int(number) => (0..=1).contains(number),
        Yaml::String(text) => is_template(text) || to_bool(&text.as_str().into()).is_some(),
        _ => false,
    };
    if !fits {
        errors.push(wrong(value, name, "yes or no"));
    }
    fits.then(|| value.clone())
}

/// See the name; reports what does not fit.
pub fn number(value: &Node, name: &str, errors: &mut Diagnostics) -> Option<Node> {
    let fits = match &value.yaml {
        Yaml::Null => return None,
        Yaml::Int(number) => *number >= 0,
        Yaml::Float(number) => *number >= 0.0,
        Yaml::String(text) => {
            is_template(text) || text.trim().parse::<f64>().is_ok_and(|number| number >= 0.0)
        }
        _ => false,
    };
    if !fits {
        errors.push(wrong(value, name, "a number"));
    }
    fits.then(|| value.clone())
}

/// A list of conditions: bare expressions or booleans.
pub fn conditions(value: &Node, name: &str, errors: &mut Diagnostics) -> Vec<Node> {
    let one = |node: &Node, errors: &mut Diagnostics| match &node.yaml {
        Yaml::Bool(_) | Yaml::Int(_) | Yaml::String(_) => Some(node.clone()),
        _ => {
            errors.push(wrong(node, name, "a condition"));
            None
        }
    };
    match &value.yaml {
        Yaml::Null => Vec::new(),
        Yaml::Sequence(items) => items.iter().filter_map(|item| one(item, errors)).collect(),
        _ => one(value, errors).into_iter().collect(),
    }
}

/// See the name; reports what does not fit.
pub fn texts(value: &Node, name: &str, errors: &mut Diagnostics) -> Vec<Node> {
    match &value.yaml {
        Yaml::Null => Vec::new(),
        Yaml::Sequence(items) => items
            .iter()
            .filter_map(|item| scalar(item, name, errors))
            .collect(),
        _ => scalar(value, name, errors).into_iter().collect(),
    }
}

/// A list of literal strings, or one.
pub fn strings(value: &Node, name: &str, errors: &mut Diagnostics) -> Vec<String> {
    texts(value, name, errors)
        .iter()
        .filter_map(|node| text(node, name, errors))
        .collect()
}

/// See the name; reports what does not fit. A template is one tag, rendered when its task is chosen or not.
pub fn tags(value: &Node, errors: &mut Diagnostics) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let mut add = |tag: &str| {
        if !tag.is_empty() && !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    };
    for text in strings(value, "tags", errors) {
        let mut depth = 0_usize;
        let parts = text.split(|c| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth.saturating_sub(1),
                _ => depth,
            };
            c == ',' && depth == 0
        });
        parts.for_each(|part| add(part.trim()));
    }
    tags
}

/// See the name; reports what does not fit.
pub fn environment(value: &Node, errors: &mut Diagnostics) -> Vec<Node> {
    let items = match &value.yaml {
        Yaml::Null => return Vec::new(),
        Yaml::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    items
        .iter()
        .filter(|item| {
            let fits = match &item.yaml {
                Yaml::Mapping(_) => true,
                Yaml::String(text) => is_template(text),
                _ => false,
            };
            if !fits {
                errors.push(wrong(item, "environment", "a mapping"));
            }
            fits
        })
        .cloned()
        .collect()
}

/// A mapping of names to values.
pub fn variables(value: &Node, errors: &mut Diagnostics) -> Vec<(String, Node)> {
    match &value.yaml {
        Yaml::Null => Vec::new(),
        Yaml::Mapping(entries) => entries
            .iter()
            .filter_map(|(key, value)| {
                let name = text(key, "the name of a variable", errors)?;
                Some((name, value.clone()))
            })
            .collect(),
        _ => {
            errors.push(wrong(value, "vars", "a mapping"));
            Vec::new()
        }
    }
}

/// The error with "did you mean".
pub fn with_nearest<'a>(
    error: Diagnostic,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    match nearest(name, known) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}
