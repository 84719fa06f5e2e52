//! Values that only templates handle: macros, `loop`, namespaces, imported files, other hosts' variables.

use super::ast::{For, Macro};
use super::filters::CallArgs;
use super::frame::Frame;
use super::origin::Origin;
use super::parse::Form;
use super::session::Session;
use super::val::{Entries, Key, Text, Val};
use super::{ops, print};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Something that is no data.
#[derive(Clone)]
pub enum Object {
    /// A macro, or `caller`.
    Macro(Rc<Declared>),
    /// A function that is always there.
    Builtin(&'static str),
    /// `loop`.
    Loop(Rc<Looping>),
    /// `namespace()`.
    Namespace(Rc<RefCell<Entries>>),
    /// An imported file.
    Module(Rc<Frame>),
    /// Variables looked up by name: `hostvars`, one host of it, `vars`.
    Scope(Rc<Session>),
    /// `super()`: the block and how often it was overridden already.
    Super(Arc<str>, usize),
    /// `cycler()` and `joiner()`.
    Cell(CellKind, Rc<(Vec<Val>, Cell<usize>)>),
    /// A point in time.
    Time(jiff::civil::DateTime),
    /// A span between two points in time, in seconds.
    Delta(f64),
}

/// What is called again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Gives the items in turn.
    Cycler,
    /// Nothing the first time, the separator afterwards.
    Joiner,
}

/// A macro with what it can see.
pub struct Declared {
    /// Its text.
    pub code: Arc<Macro>,
    /// Where that stands.
    pub origin: Rc<Origin>,
    /// How that is written.
    pub form: Form,
    /// What was set around it.
    pub frame: Rc<Frame>,
}

/// The state of a `for`.
pub struct Looping {
    /// The statement, for recursion.
    pub code: Arc<For>,
    /// The names around the loop.
    pub frame: Rc<Frame>,
    /// All items.
    pub items: Vec<Val>,
    /// The item that it is at.
    pub index: Cell<usize>,
    /// How deep the recursion is, from 0.
    pub depth: usize,
    /// What `loop.changed` was last asked.
    pub last: RefCell<Option<Vec<Val>>>,
}

impl Object {
    /// The Python name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::Macro(_) => "Macro",
            Object::Builtin(_) | Object::Super(..) => "function",
            Object::Loop(_) => "LoopContext",
            Object::Namespace(_) => "Namespace",
            Object::Module(_) => "TemplateModule",
            Object::Scope(_) => "HostVars",
            Object::Cell(CellKind::Cycler, _) => "Cycler",
            Object::Cell(CellKind::Joiner, _) => "Joiner",
            Object::Time(_) => "datetime",
            Object::Delta(_) => "timedelta",
        }
    }

    /// As `repr()` gives it, roughly.
    pub fn repr(&self) -> String {
        match self {
            Object::Macro(declared) => format!("<Macro '{}'>", declared.code.name),
            Object::Namespace(entries) => format!(
                "<Namespace {}>",
                print::repr(&Val::dict(entries.borrow().clone()))
            ),
            Object::Scope(_) => self.entries().map_or_else(
                |_| String::new(),
                |entries| print::repr(&Val::dict(entries)),
            ),
            Object::Module(_) => String::new(),
            Object::Time(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            other => format!("<{}>", other.kind()),
        }
    }

    /// The object as data, when it is any.
    pub fn to_data(&self) -> Result<Value> {
        match self {
            Object::Scope(_) => {
                let mut map = Map::new();
                for (key, value) in self.entries()? {
                    map.insert(print::text(&key.val()), value.to_data()?);
                }
                Ok(Value::Object(map))
            }
            Object::Time(_) => Ok(Value::String(self.repr())),
            Object::Delta(seconds) => Ok(Value::from(*seconds)),
            other => Err(Diagnostic::new(format!(
                "a {} cannot be the value of a variable",
                other.kind()
            ))),
        }
    }

    /// The names that iterating gives.
    pub fn items(&self) -> Result<Vec<Val>> {
        match self {
            Object::Scope(session) => Ok(session
                .ctx
                .variables
                .names()
                .into_iter()
                .map(Val::from)
                .collect()),
            other => Err(Diagnostic::new(format!(
                "a {} cannot be iterated over",
                other.kind()
            ))),
        }
    }

    /// The entries, for what is like a dictionary.
    pub fn entries(&self) -> Result<Entries> {
        match self {
            Object::Scope(session) => {
                let mut entries = Entries::new();
                let names = session.ctx.variables.names().into_iter();
                // These lead back to where they came from.
                for name in names.filter(|name| !matches!(name.as_str(), "hostvars" | "vars")) {
                    if let Some(value) = session.variable(&name) {
                        value.force()?;
                        entries.insert(Key::Str(name.into()), value);
                    }
                }
                Ok(entries)
            }
            Object::Namespace(entries) => Ok(entries.borrow().clone()),
            Object::Module(frame) => Ok(frame.own()),
            other => Err(Diagnostic::new(format!(
                "expected a dictionary, got a {}",
                other.kind()
            ))),
        }
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<Val> {
        match self {
            Object::Scope(session) => session.variable(name).filter(|_| {
                // `vars` and the like are not variables of another host.
                session.ctx.variables.lookup(name).is_some()
            }),
            Object::Namespace(entries) => entries.borrow().get(&Text(name)).cloned(),
            Object::Module(frame) => frame.get(name),
            Object::Loop(looping) => looping.attribute(name),
            Object::Macro(declared) => match name {
                "name" => Some(Val::Str(declared.code.name.clone())),
                "arguments" => Some(Val::list(
                    declared
                        .code
                        .params
                        .iter()
                        .map(|p| Val::Str(p.clone()))
                        .collect(),
                )),
                _ => None,
            },
            Object::Time(time) => Some(Val::Int(match name {
                "year" => time.year().into(),
                "month" => time.month().into(),
                "day" => time.day().into(),
                "hour" => time.hour().into(),
                "minute" => time.minute().into(),
                "second" => time.second().into(),
                _ => return None,
            })),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole numbers of days and seconds"
            )]
            Object::Delta(seconds) => Some(Val::Int(match name {
                "days" => (seconds / 86400.0).floor() as i64,
                "seconds" => seconds.rem_euclid(86400.0) as i64,
                _ => return None,
            })),
            Object::Cell(CellKind::Cycler, cell) if name == "current" => {
                cell.0.get(cell.1.get() % cell.0.len().max(1)).cloned()
            }
            _ => None,
        }
    }

    /// Whether `object.name(…)` calls what the attribute holds.
    pub fn is_callable_attribute(&self, name: &str) -> bool {
        match self {
            Object::Module(_) => true,
            Object::Namespace(entries) => entries.borrow().contains_key(&Text(name)),
            _ => false,
        }
    }
}

impl Object {
    /// Calls a method of an object.
    pub fn call(&self, method: &str, args: &CallArgs) -> Result<Val> {
        match self {
            Object::Loop(looping) => looping.method(method, args),
            Object::Cell(kind, cell) if method == "next" => call_cell(*kind, cell, args),
            Object::Cell(_, cell) if method == "reset" => {
                cell.1.set(0);
                Ok(Val::None)
            }
            Object::Time(_) if method == "strftime" => {
                super::filters::time::format(&Val::Object(self.clone()), args)
            }
            Object::Time(_) if method == "timestamp" => {
                super::filters::time::timestamp(&Val::Object(self.clone()))
            }
            Object::Time(_) if method == "isoformat" => Ok(Val::from(
                Val::Object(self.clone()).string()?.replace(' ', "T"),
            )),
            Object::Delta(seconds) if method == "total_seconds" => Ok(Val::Float(*seconds)),
            Object::Scope(_) => match method {
                "keys" => Ok(Val::list(self.items()?)),
                "get" => {
                    let found = args.positional.first().and_then(|name| match name {
                        Val::Str(name) => self.attribute(name),
                        _ => None,
                    });
                    Ok(found
                        .or_else(|| args.positional.get(1).cloned())
                        .unwrap_or(Val::None))
                }
                _ => super::methods::call(&Val::dict(self.entries()?), method, args),
            },
            Object::Namespace(entries) => {
                super::methods::call(&Val::dict(entries.borrow().clone()), method, args)
            }
            other => Err(Diagnostic::new(format!(
                "a {} has no method `{method}`",
                other.kind()
            ))),
        }
    }
}

impl Looping {
    fn attribute(&self, name: &str) -> Option<Val> {
        let (index, count) = (self.index.get(), self.items.len());
        Some(match name {
            "index" => (index + 1).into(),
            "index0" => index.into(),
            "revindex" => (count - index).into(),
            "revindex0" => (count - index - 1).into(),
            "first" => (index == 0).into(),
            "last" => (index + 1 == count).into(),
            "length" => count.into(),
            "depth" => (self.depth + 1).into(),
            "depth0" => self.depth.into(),
            "previtem" => return self.items.get(index.checked_sub(1)?).cloned(),
            "nextitem" => return self.items.get(index + 1).cloned(),
            _ => return None,
        })
    }

    /// `loop.cycle(…)` and `loop.changed(…)`.
    pub fn method(&self, name: &str, args: &CallArgs) -> Result<Val> {
        match name {
            "cycle" if !args.positional.is_empty() => {
                Ok(args.positional[self.index.get() % args.positional.len()].clone())
            }
            "changed" => {
                let same = match &*self.last.borrow() {
                    Some(last) => ops::equal(
                        &Val::list(last.clone()),
                        &Val::list(args.positional.clone()),
                    )?,
                    None => false,
                };
                *self.last.borrow_mut() = Some(args.positional.clone());
                Ok(Val::Bool(!same))
            }
            other => Err(Diagnostic::new(format!("`loop` has no method `{other}`"))),
        }
    }
}

/// `cycler.next()` and `joiner()`.
pub fn call_cell(
    kind: CellKind,
    cell: &Rc<(Vec<Val>, Cell<usize>)>,
    _args: &CallArgs,
) -> Result<Val> {
    let turn = cell.1.get();
    cell.1.set(turn + 1);
    match kind {
        CellKind::Joiner if turn == 0 => Ok(Val::from("")),
        CellKind::Joiner => Ok(cell.0.first().cloned().unwrap_or_else(|| Val::from(", "))),
        CellKind::Cycler if cell.0.is_empty() => {
            Err(Diagnostic::new("`cycler()` needs at least one item"))
        }
        CellKind::Cycler => Ok(cell.0[turn % cell.0.len()].clone()),
    }
}
