//! What a template has set so far, and what it has put out so far.

use super::val::{Entries, Key, Val};
use super::{Rendered, print};
use crate::base::Result;
use crate::base::value::UNKNOWN;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Names that a template set, and the frame around.
pub struct Frame {
    vars: RefCell<HashMap<Arc<str>, Val>>,
    parent: Option<Rc<Frame>>,
}

impl Frame {
    /// A frame inside another.
    pub fn inside(parent: Option<Rc<Frame>>) -> Rc<Self> {
        Rc::new(Self {
            vars: RefCell::default(),
            parent,
        })
    }

    /// Sets a name in this frame.
    pub fn set(&self, name: &Arc<str>, value: Val) {
        self.vars.borrow_mut().insert(name.clone(), value);
    }

    /// Finds a name here or around.
    pub fn get(&self, name: &str) -> Option<Val> {
        let found = self.vars.borrow().get(name).cloned();
        found.or_else(|| self.parent.as_ref()?.get(name))
    }

    /// The names set in this frame itself.
    pub fn own(&self) -> Entries {
        self.vars
            .borrow()
            .iter()
            .map(|(name, value)| (Key::Str(name.clone()), value.clone()))
            .collect()
    }

    /// All names that can be seen.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.vars.borrow().keys().map(ToString::to_string).collect();
        if let Some(parent) = &self.parent {
            names.extend(parent.names());
        }
        names
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.vars.borrow_mut().clear();
    }
}

/// What a template has put out so far.
#[derive(Default)]
pub struct Out {
    first: Option<Val>,
    text: Option<String>,
    marker: Option<Val>,
    /// An inline `if` without `else` that nothing was put out before.
    nothing: Option<Val>,
    /// Whether something that is not known decided what was put out.
    pub unsure: bool,
}

impl Out {
    /// Adds a value: the only one keeps its kind, several become text.
    pub fn push(&mut self, value: Val) -> Result<()> {
        match value {
            Val::None => {}
            // Beside something else it is no text; alone it is no value.
            value if value.is_nothing() => match self.first.take() {
                Some(first) => self.text = Some(printed(&first)?),
                None if self.text.is_none() => self.nothing = Some(value),
                None => {}
            },
            Val::Undefined(_) => drop(self.marker.get_or_insert(value)),
            value if self.nothing.is_some() && self.first.is_none() && self.text.is_none() => {
                self.text = Some(printed(&value)?);
            }
            value if self.first.is_none() && self.text.is_none() => self.first = Some(value),
            value => {
                let text = match self.first.take() {
                    Some(first) => self.text.insert(printed(&first)?),
                    None => self.text.get_or_insert_default(),
                };
                text.push_str(&printed(&value)?);
            }
        }
        Ok(())
    }

    /// The result as a value.
    pub fn finish(self) -> Val {
        if self.unsure {
            return Val::UNSURE;
        }
        self.marker
            .or_else(|| self.text.map(Val::from))
            .or(self.first)
            .or(self.nothing)
            .unwrap_or(Val::None)
    }

    /// The result as the text of a file, and whether the file's last line feeds belong to it: they do not when
    /// the only thing put out was no text.
    pub fn finish_file(self) -> Result<(Rendered, bool)> {
        if let (Some(Val::Undefined(missing)), false) = (&self.marker, self.unsure) {
            return Err(missing.error.clone());
        }
        let (text, is_text) = match (self.text, self.first) {
            (Some(text), _) => (text, true),
            (None, Some(first)) => (printed(&first)?, matches!(first, Val::Str(_))),
            (None, None) => (String::new(), false),
        };
        Ok((
            Rendered {
                unknown: self.unsure || text.contains(UNKNOWN),
                text,
            },
            is_text,
        ))
    }
}

fn printed(value: &Val) -> Result<String> {
    value.check()?;
    Ok(print::printed(value))
}
