//! Parameters: what a module takes, and the values that one task gives it.

use crate::base::nearest::nearest;
use crate::base::value::{Map, Value, to_bool, to_text};
use crate::base::{Diagnostic, Result};

/// A module's table line.
#[derive(Debug)]
pub struct Spec {
    /// Its names: the short one first, then `ansible.builtin.X` and others that Ansible accepts.
    pub names: &'static [&'static str],
    /// Its parameters.
    pub params: &'static [Param],
    /// Whether it takes free text (`command: echo hi`), which arrives as the parameter `_raw_params`.
    pub free_form: bool,
    /// Parameters of which exactly one (or, for `false`, at most one) must be given.
    pub one_of: &'static [(&'static [&'static str], bool)],
    /// Never changes a host: runs in `--check` too, and may be run ahead.
    pub read_only: bool,
    /// One line for `hactl modules` and the documentation.
    pub summary: &'static str,
    /// Known, and not done: what to do instead. A task that names it is an error at load.
    pub refused: Option<&'static str>,
}

impl Spec {
    /// What every table line starts from.
    pub const EMPTY: Self = Self {
        names: &[],
        params: &[],
        free_form: false,
        one_of: &[],
        read_only: false,
        summary: "",
        refused: None,
    };

    /// The parameter of that name or alias.
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params
            .iter()
            .find(|param| param.name == name || param.aliases.contains(&name))
    }
}

/// A parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Other names that Ansible accepts.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// Must be given.
    pub required: bool,
    /// The only values allowed; any when empty.
    pub choices: &'static [&'static str],
    /// Its value is registered for masking and never shown.
    pub secret: bool,
    /// Why it changes nothing on the hosts that there are; everything else must be read somewhere.
    pub idle: Option<&'static str>,
    /// What it cannot be, and what to do instead.
    pub limit: Limit,
}

/// What a parameter that Ansible has cannot be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: all its values are had.
    None,
    /// Anything but this.
    Only(bool, &'static str),
    /// Given at all.
    Refused(&'static str),
}

impl Param {
    /// An optional parameter.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            required: false,
            choices: &[],
            secret: false,
            idle: None,
            limit: Limit::None,
        }
    }

    /// Of no effect on Debian and Ubuntu, for this reason.
    #[must_use]
    pub const fn idle(mut self, why: &'static str) -> Self {
        self.idle = Some(why);
        self
    }

    /// Only this can be had; the text says what to do for the other.
    #[must_use]
    pub const fn only(mut self, value: bool, instead: &'static str) -> Self {
        self.limit = Limit::Only(value, instead);
        self
    }

    /// Cannot be had; the text says what to do instead.
    #[must_use]
    pub const fn refused(mut self, instead: &'static str) -> Self {
        self.limit = Limit::Refused(instead);
        self
    }

    /// Must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// With other names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With a closed set of values.
    #[must_use]
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// Masked.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; numbers and booleans are turned into text as Ansible does.
    Str,
    /// A path on the host.
    Path,
    /// yes/no.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A list; text is split at commas, a single value is a list of one.
    List,
    /// A mapping.
    Dict,
    /// File mode: `0644`, `"0644"`, `u=rw,g=r`, `preserve`.
    Mode,
    /// Anything, untouched.
    Any,
}

/// The parameters of one task on one host: rendered, checked against the [`Spec`], aliases resolved, `omit` removed.
#[derive(Debug, Clone, Default)]
pub struct Args {
    values: Map<String, Value>,
    /// What a local file or template gave (`src` of copy, template, script, unarchive), read by the engine.
    pub content: Option<Vec<u8>>,
    /// Permission bits of the local file that `content` came from, for `mode: preserve`.
    pub source_mode: Option<u32>,
    /// For a `copy` or `unarchive` of a directory or archive: the files below it, path relative to it, mode, content.
    pub tree: Vec<(String, u32, Vec<u8>)>,
    /// `--check`: nothing will be applied (a command module may then leave its outcome unknown).
    pub check: bool,
    /// `--diff`: somebody looks at the differences.
    pub diff: bool,
    /// Run as this user; root when absent.
    pub user: Option<String>,
    /// The task's `environment`.
    pub environment: Vec<(String, String)>,
}

impl Args {
    /// From checked values.
    pub fn new(values: Map<String, Value>) -> Self {
        Self {
            values,
            ..Self::default()
        }
    }

    /// Checks and converts raw, rendered parameters: unknown names, missing ones, choices, kinds; aliases become names.
    ///
    /// # Errors
    /// The first fault, naming the parameter and what it takes.
    pub fn check(spec: &Spec, raw: Map<String, Value>) -> Result<Self> {
        let mut values = Map::new();
        for (name, value) in raw {
            if value.is_null() {
                continue;
            }
            if name == "_raw_params" && spec.free_form {
                values.insert(name, value);
                continue;
            }
            let Some(param) = spec.param(&name) else {
                return Err(unknown_parameter(spec, &name));
            };
            let value = convert(param, value)?;
            values.insert(param.name.to_owned(), value);
        }
        for param in spec.params.iter().filter(|param| param.required) {
            if !values.contains_key(param.name) {
                return Err(Diagnostic::new(format!(
                    "`{}` needs the parameter `{}`",
                    spec.names[0], param.name
                )));
            }
        }
        for (names, exactly) in spec.one_of {
            let given: Vec<_> = names
                .iter()
                .filter(|name| values.contains_key(**name))
                .collect();
            if given.len() > 1 || (*exactly && given.is_empty()) {
                let wanted = if *exactly {
                    "exactly one"
                } else {
                    "at most one"
                };
                let names = names.join("`, `");
                return Err(Diagnostic::new(format!(
                    "`{}` takes {wanted} of `{names}`",
                    spec.names[0]
                )));
            }
        }
        Ok(Self::new(values))
    }

    /// Whether it was given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value as it is.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Text.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// Text, or what holds when it was not given.
    pub fn str_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.str(name).unwrap_or(default)
    }

    /// A boolean, or what holds when it was not given.
    pub fn bool_or(&self, name: &str, default: bool) -> bool {
        self.values
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    /// A boolean.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.values.get(name).and_then(Value::as_bool)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(Value::as_i64)
    }

    /// A list of text; empty when it was not given.
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::Array(items)) => items.iter().map(to_text).collect(),
            _ => Vec::new(),
        }
    }

    /// Another value in place of one that was given.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// All values.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The request with this task's user and environment.
    pub fn request(&self, script: impl Into<String>) -> super::Request {
        super::Request {
            script: script.into(),
            user: self.user.clone(),
            environment: self.environment.clone(),
            ..super::Request::default()
        }
    }
}

/// The parameter that a name was meant for, when it is one with a letter or two wrong.
pub fn nearest_parameter(spec: &Spec, name: &str) -> Option<&'static str> {
    let names =
        |param: &'static Param| std::iter::once(param.name).chain(param.aliases.iter().copied());
    nearest(name, spec.params.iter().flat_map(names))
}

/// The error for a parameter that the module does not have, with the nearest name.
pub fn unknown_parameter(spec: &Spec, name: &str) -> Diagnostic {
    let known = spec
        .params
        .iter()
        .map(|param| param.name)
        .collect::<Vec<_>>()
        .join(", ");
    let error = Diagnostic::new(format!("`{}` has no parameter `{name}`", spec.names[0]));
    match nearest_parameter(spec, name) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("it takes: {known}")),
    }
}

/// The name that is most like the one given, among those that are alike to more than this part (0 to 1).
pub fn nearest_of<'a>(
    name: &str,
    all: impl Iterator<Item = &'a str>,
    alike: f32,
) -> Option<&'a str> {
    all.map(|candidate| {
        (
            similar::TextDiff::from_chars(name, candidate).ratio(),
            candidate,
        )
    })
    .filter(|(ratio, _)| *ratio > alike)
    .max_by(|a, b| a.0.total_cmp(&b.0))
    .map(|(_, candidate)| candidate)
}

/// The value as the parameter takes it: kind and choices.
///
/// # Errors
/// When it does not fit.
pub fn convert(param: &Param, value: Value) -> Result<Value> {
    let wrong = |value: &Value, wanted: &str| {
        let shown = if param.secret {
            "a value".to_owned()
        } else {
            format!("`{}`", to_text(value))
        };
        Diagnostic::new(format!(
            "parameter `{}` takes {wanted}, not {shown}",
            param.name
        ))
    };
    if crate::base::value::has_unknown(&value) {
        return Ok(value);
    }
    let value = match param.kind {
        Kind::Any => value,
        Kind::Str | Kind::Path => match value {
            Value::String(_) => value,
            Value::Array(_) | Value::Object(_) if param.kind == Kind::Path => {
                return Err(wrong(&value, "a path"));
            }
            Value::Array(_) | Value::Object(_) => Value::String(value.to_string()),
            other => Value::String(to_text(&other)),
        },
        Kind::Bool => Value::Bool(to_bool(&value).ok_or_else(|| wrong(&value, "yes or no"))?),
        Kind::Int => match &value {
            Value::Number(number) if number.is_i64() || number.is_u64() => value,
            other => Value::from(
                to_text(other)
                    .trim()
                    .parse::<i64>()
                    .map_err(|_| wrong(other, "a whole number"))?,
            ),
        },
        Kind::Float => match &value {
            Value::Number(_) => value,
            other => Value::from(
                to_text(other)
                    .trim()
                    .parse::<f64>()
                    .map_err(|_| wrong(other, "a number"))?,
            ),
        },
        Kind::List => match value {
            Value::Array(_) => value,
            Value::String(text) => text
                .split(',')
                .map(|item| Value::from(item.trim()))
                .collect(),
            other => Value::Array(vec![other]),
        },
        Kind::Dict => match value {
            Value::Object(_) => value,
            other => return Err(wrong(&other, "a mapping")),
        },
        Kind::Mode => match &value {
            Value::Number(number) => match number.as_u64() {
                Some(mode) if mode <= 0o7777 => Value::String(format!("{mode:04o}")),
                _ => return Err(wrong(&value, "a file mode such as \"0644\"")),
            },
            Value::String(_) => value,
            other => return Err(wrong(other, "a file mode such as \"0644\"")),
        },
    };
    let instead = match param.limit {
        Limit::Only(only, instead) if value != Value::Bool(only) => Some(instead),
        Limit::Refused(instead) => Some(instead),
        _ => None,
    };
    if let Some(instead) = instead {
        let name = param.name;
        let message = match param.limit {
            Limit::Refused(_) => format!("hactl does not take the parameter `{name}`"),
            _ => format!("hactl does not take `{name}: {}`", to_text(&value)),
        };
        return Err(Diagnostic::new(message).help(instead));
    }
    if !param.choices.is_empty() {
        let given: Vec<String> = match &value {
            Value::Array(items) => items.iter().map(to_text).collect(),
            other => vec![to_text(other)],
        };
        if let Some(bad) = given
            .iter()
            .find(|given| !param.choices.contains(&given.as_str()))
        {
            return Err(wrong(
                &Value::from(bad.as_str()),
                &format!("one of `{}`", param.choices.join("`, `")),
            ));
        }
    }
    Ok(value)
}
