//! The filters of Jinja2 and Ansible.
//!
//! A filter is a function of its input and arguments; none of them prints, writes or opens a connection.

pub mod dict;
pub mod hash;
pub mod json;
pub mod layout;
pub mod list;
pub mod logic;
pub mod net;
pub mod number;
pub mod path;
pub mod random;
pub mod regex;
pub mod rows;
pub mod select;
pub mod sets;
pub mod text;
pub mod time;
pub mod url;
pub mod yaml;
mod yaml_emit;
mod yaml_scalar;

use super::nearest::nearest;
use super::session::Session;
use super::val::{Val, guarded};
use crate::base::{Diagnostic, Result};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

/// The arguments of a call, evaluated.
#[derive(Default, Clone)]
pub struct CallArgs {
    /// By position.
    pub positional: Vec<Val>,
    /// By name.
    pub named: Vec<(Arc<str>, Val)>,
}

impl CallArgs {
    /// The argument at a position or of a name.
    pub fn get(&self, index: usize, name: &str) -> Option<Val> {
        self.positional
            .get(index)
            .or_else(|| Some(&self.named.iter().find(|(given, _)| **given == *name)?.1))
            .cloned()
    }

    fn all(&self) -> impl Iterator<Item = &Val> {
        self.positional
            .iter()
            .chain(self.named.iter().map(|(_, value)| value))
    }

    /// The first undefined argument.
    pub fn marker(&self) -> Option<Val> {
        self.all()
            .find(|value| matches!(value, Val::Undefined(_)))
            .cloned()
    }

    /// Whether an argument is unknown.
    pub fn unknown(&self) -> bool {
        self.all().any(Val::is_unknown)
    }
}

/// One use of a filter, test or function.
pub struct Call<'a> {
    /// The evaluation that it happens in.
    pub session: &'a Rc<Session>,
    /// Its name.
    pub name: &'a str,
    /// What stands before the bar.
    pub input: Val,
    /// The arguments.
    pub args: CallArgs,
}

impl Call<'_> {
    /// An argument.
    pub fn arg(&self, index: usize, name: &str) -> Option<Val> {
        self.args.get(index, name)
    }

    /// An argument that must be given.
    pub fn need(&self, index: usize, name: &str) -> Result<Val> {
        self.arg(index, name)
            .ok_or_else(|| Diagnostic::new(format!("`{}` needs the argument `{name}`", self.name)))
    }

    /// A text argument; nothing when it is not given or none.
    pub fn text(&self, index: usize, name: &str) -> Result<Option<String>> {
        match self.arg(index, name) {
            None | Some(Val::None) => Ok(None),
            Some(value) => value.string().map(Some),
        }
    }

    /// A boolean argument; false when it is not given.
    pub fn flag(&self, index: usize, name: &str) -> Result<bool> {
        self.arg(index, name)
            .map_or(Ok(false), |value| value.truthy())
    }

    /// An integer argument; nothing when it is not given or none.
    pub fn int(&self, index: usize, name: &str) -> Result<Option<i64>> {
        match self.arg(index, name) {
            None | Some(Val::None) => Ok(None),
            Some(value) => value.integer().map(Some).ok_or_else(|| {
                Diagnostic::new(format!(
                    "`{name}` of `{}` must be an integer, not {}",
                    self.name,
                    value.kind()
                ))
            }),
        }
    }

    /// The input as text.
    pub fn input_text(&self) -> Result<String> {
        self.input.string()
    }

    /// An error about the input.
    pub fn wrong_input(&self, expected: &str) -> Diagnostic {
        Diagnostic::new(format!(
            "`{}` expects {expected}, got {}",
            self.name,
            self.input.kind()
        ))
    }
}

/// A filter.
pub type Filter = fn(&Call) -> Result<Val>;

/// Filters by name.
pub type Table = &'static [(&'static str, Filter)];

static ALL: LazyLock<HashMap<&'static str, Filter>> = LazyLock::new(|| {
    let tables: [Table; 18] = [
        dict::FILTERS,
        hash::FILTERS,
        json::FILTERS,
        layout::FILTERS,
        list::FILTERS,
        logic::FILTERS,
        net::FILTERS,
        number::FILTERS,
        path::FILTERS,
        random::FILTERS,
        regex::FILTERS,
        rows::FILTERS,
        select::FILTERS,
        sets::FILTERS,
        text::FILTERS,
        time::FILTERS,
        url::FILTERS,
        yaml::FILTERS,
    ];
    tables.into_iter().flatten().copied().collect()
});

/// All filters.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.keys().copied()
}

/// The error for a filter that does not exist.
pub fn missing(name: &str) -> Option<Diagnostic> {
    if ALL.contains_key(name) {
        return None;
    }
    let error = Diagnostic::new(format!("there is no filter `{name}`")).lacking(name);
    Some(
        match nearest(name, ALL.keys().map(|known| (*known).to_owned())) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        },
    )
}

/// Applies a filter. Undefined input passes through those that do not handle it; unknown input gives unknown.
pub fn apply(session: &Rc<Session>, name: &str, input: Val, args: CallArgs) -> Result<Val> {
    let Some(filter) = ALL.get(name) else {
        let error = Diagnostic::new(format!("there is no filter `{name}`"));
        return Err(
            match nearest(name, ALL.keys().map(|known| (*known).to_owned())) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            },
        );
    };
    let handles_undefined = matches!(
        name,
        "default" | "d" | "mandatory" | "type_debug" | "ternary"
    );
    let input = if input.is_nothing() && !handles_undefined {
        Val::from(String::new())
    } else {
        input
    };
    if !handles_undefined {
        if let Val::Undefined(_) = input {
            return Ok(input);
        }
        if let Some(marker) = args.marker() {
            return Ok(marker);
        }
    }
    if input.is_unknown() || (!handles_undefined && args.unknown()) {
        return Ok(Val::UNSURE);
    }
    let call = Call {
        session,
        name,
        input,
        args,
    };
    guarded(|| filter(&call)).map_err(|error| {
        if error.message.starts_with('`') || error.at.is_some() {
            error
        } else {
            Diagnostic {
                message: format!("`{name}`: {}", error.message),
                ..error
            }
        }
    })
}
