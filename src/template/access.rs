//! Finds what names, attributes and indices stand for, and says what is missing when they stand for nothing.

use super::ast::{Expr, Kind};
use super::eval::Interp;
use super::nearest::nearest;
use super::val::{Key, Val};
use super::{globals, ops, print};
use crate::base::Diagnostic;
use std::sync::Arc;

impl Interp<'_> {
    /// The value of a name.
    pub fn variable(&self, name: &Arc<str>, expr: &Expr) -> Val {
        if let Some(found) = self.frame.get(name) {
            return found;
        }
        if let Some(found) = self.session.variable(name) {
            return found;
        }
        if let Some(found) = globals::global(name) {
            return found;
        }
        let mut error = Diagnostic::new(format!("the variable `{name}` is not defined"))
            .at(&self.origin.span(expr.pos));
        if let Some(near) = self.session.nearest(name, self.frame.names().into_iter()) {
            error = error.help(format!("did you mean `{near}`?"));
        }
        Val::undefined(&**name, error)
    }

    /// `base.name`, and `base['name']`.
    pub fn attribute(&self, base: &Val, name: &str, expr: &Expr) -> Val {
        match base {
            Val::Undefined(_) => base.clone(),
            Val::Unknown { .. } => Val::UNSURE,
            _ => base
                .entry(name)
                .unwrap_or_else(|| self.missing(base, &format!("`{name}`"), name, expr)),
        }
    }

    /// `base[index]`.
    pub fn item(&self, base: &Val, index: &Val, expr: &Expr) -> Val {
        let settle = |value: Val| {
            if let Val::Lazy(lazy) = value {
                lazy.settle()
            } else {
                value
            }
        };
        let found = match (base, index) {
            (Val::Undefined(_), _) => return base.clone(),
            (_, Val::Undefined(_)) => return index.clone(),
            (Val::Unknown { .. }, _) | (_, Val::Unknown { .. }) => return Val::UNSURE,
            (Val::Dict(dict), _) => {
                Key::of(index).and_then(|key| dict.items.borrow().get(&key).cloned())
            }
            (Val::Object(_), Val::Str(name)) => base.entry(name),
            (Val::List(list), Val::Int(number)) => ops::at(&list.items.borrow(), *number),
            (Val::Tuple(items), Val::Int(number)) => ops::at(items, *number),
            (Val::Str(text), Val::Int(number)) => {
                let chars: Vec<char> = text.chars().collect();
                ops::at(&chars, *number).map(|c| Val::Str(c.to_string().into()))
            }
            _ => None,
        };
        let index = print::repr(index);
        found.map_or_else(
            || {
                self.missing(
                    base,
                    &format!("item `{index}`"),
                    index.trim_matches('\''),
                    expr,
                )
            },
            settle,
        )
    }

    fn missing(&self, base: &Val, what: &str, name: &str, expr: &Expr) -> Val {
        let path = expr.describe();
        let inside = match &expr.kind {
            Kind::Attr(inner, _) | Kind::Item(inner, _) => inner.describe(),
            _ => path.clone(),
        };
        let mut error = Diagnostic::new(format!(
            "`{path}` is not defined: `{inside}` ({}) has no {what}",
            base.kind()
        ))
        .at(&self.origin.span(expr.pos));
        if let Val::Dict(dict) = base
            && let Some(near) = nearest(
                name,
                dict.items
                    .borrow()
                    .keys()
                    .map(|key| print::text(&key.val())),
            )
        {
            error = error.help(format!("did you mean `{near}`?"));
        }
        Val::undefined(path, error)
    }
}
