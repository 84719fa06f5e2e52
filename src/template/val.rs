//! The values that exist while a template is evaluated: Python's kinds, plus "undefined" and "not known yet".
//!
//! Nothing here looks up a variable. A value never leaves the template floor; [`Val::to_data`] turns it into data.

use super::print;
use super::session::Lazy;
use crate::base::value::{OMIT, UNKNOWN};
use crate::base::{Diagnostic, Result};
use crate::source::Span;
use indexmap::{Equivalent, IndexMap};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

thread_local! {
    /// Set when an operation had to look at a value that is not known yet: its result is not known either.
    static TOUCHED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that an unknown value was looked at.
pub fn touch() {
    TOUCHED.with(|flag| flag.set(true));
}

/// Runs an operation; whatever it gives is unknown when it looked at an unknown value, even an error.
pub fn guarded(operation: impl FnOnce() -> Result<Val>) -> Result<Val> {
    let before = TOUCHED.with(|flag| flag.replace(false));
    let result = operation();
    if TOUCHED.with(|flag| flag.replace(before)) {
        Ok(Val::UNSURE)
    } else {
        result
    }
}

/// One value.
#[derive(Clone)]
pub enum Val {
    /// A name, attribute or index that does not exist. An error as soon as it is used.
    Undefined(Rc<Missing>),
    /// Known after an earlier task is applied. `certain`: it is certain that there will be a value.
    Unknown {
        /// Whether it is certain that the value exists.
        certain: bool,
    },
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A list; may be changed in place (`append`).
    List(Rc<Cells<Vec<Val>>>),
    /// A tuple.
    Tuple(Rc<[Val]>),
    /// A dictionary.
    Dict(Rc<Cells<Entries>>),
    /// A dictionary entry or list item that is not rendered yet.
    Lazy(Rc<Lazy>),
    /// Something that only templates handle: macros, `loop`, namespaces, other hosts' variables.
    Object(super::objects::Object),
}

/// The entries of a dictionary.
pub type Entries = IndexMap<Key, Val>;

/// The inside of a list or dictionary.
pub struct Cells<T> {
    /// The items.
    pub items: RefCell<T>,
    /// Whether some item may still be [`Val::Lazy`].
    pub lazy: Cell<bool>,
}

/// Why something is undefined.
#[derive(Debug)]
pub struct Missing {
    /// What was asked for, as written: `a.b`.
    pub path: String,
    /// The error that using it gives.
    pub error: Diagnostic,
    /// Nothing, where text, a truth or items are wanted: an inline `if` that has no `else`.
    pub lenient: bool,
}

/// A key of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Text.
    Str(Arc<str>),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// `None`.
    None,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Str(text) => text.hash(state),
            Key::Int(number) => number.hash(state),
            Key::Bool(flag) => i64::from(*flag).hash(state),
            Key::None => 0u8.hash(state),
        }
    }
}

/// Finds a text key without allocating.
#[derive(Hash)]
pub struct Text<'a>(pub &'a str);

impl Equivalent<Key> for Text<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Str(text) if **text == *self.0)
    }
}

impl Key {
    /// The key as a value.
    pub fn val(&self) -> Val {
        match self {
            Key::Str(text) => Val::Str(text.clone()),
            Key::Int(number) => Val::Int(*number),
            Key::Bool(flag) => Val::Bool(*flag),
            Key::None => Val::None,
        }
    }

    /// The key that a value is, if it can be one.
    pub fn of(value: &Val) -> Option<Key> {
        Some(match value {
            Val::Str(text) => Key::Str(text.clone()),
            Val::Int(number) => Key::Int(*number),
            Val::Bool(flag) => Key::Bool(*flag),
            Val::None => Key::None,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "only whole numbers get here"
            )]
            Val::Float(number) if number.fract() == 0.0 => Key::Int(*number as i64),
            _ => return None,
        })
    }
}

impl Val {
    /// Derived from something unknown; may turn out not to exist.
    pub const UNSURE: Val = Val::Unknown { certain: false };

    /// A list.
    pub fn list(items: Vec<Val>) -> Val {
        Val::List(Rc::new(Cells {
            items: RefCell::new(items),
            lazy: Cell::new(false),
        }))
    }

    /// A tuple.
    pub fn tuple(items: Vec<Val>) -> Val {
        Val::Tuple(items.into())
    }

    /// A dictionary.
    pub fn dict(entries: Entries) -> Val {
        Val::Dict(Rc::new(Cells {
            items: RefCell::new(entries),
            lazy: Cell::new(false),
        }))
    }

    /// A dictionary of text keys.
    pub fn record<const N: usize>(entries: [(&str, Val); N]) -> Val {
        Val::dict(
            entries
                .into_iter()
                .map(|(key, value)| (Key::Str(key.into()), value))
                .collect(),
        )
    }

    /// Text; unknown when a part of it is.
    pub fn text(text: impl AsRef<str>) -> Val {
        let text = text.as_ref();
        if text.contains(UNKNOWN) {
            Val::UNSURE
        } else {
            Val::Str(text.into())
        }
    }

    /// Whether this is `omit`.
    pub fn is_omit(&self) -> bool {
        matches!(self, Val::Str(text) if **text == *OMIT)
    }

    /// Whether this is unknown as a whole.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Val::Unknown { .. })
    }

    /// Python's truth. Undefined is an error.
    pub fn truthy(&self) -> Result<bool> {
        Ok(match self {
            Val::Undefined(missing) if missing.lenient => false,
            Val::Undefined(missing) => return Err(missing.error.clone()),
            Val::Unknown { .. } => {
                touch();
                false
            }
            Val::None => false,
            Val::Bool(flag) => *flag,
            Val::Int(number) => *number != 0,
            Val::Float(number) => *number != 0.0,
            Val::Str(text) => !text.is_empty(),
            Val::List(list) => !list.items.borrow().is_empty(),
            Val::Tuple(items) => !items.is_empty(),
            Val::Dict(dict) => !dict.items.borrow().is_empty(),
            Val::Lazy(lazy) => lazy.settle().truthy()?,
            Val::Object(_) => true,
        })
    }

    /// What iterating gives: items, keys, characters.
    pub fn items(&self) -> Result<Vec<Val>> {
        self.force()?;
        Ok(match self {
            Val::List(list) => list.items.borrow().clone(),
            Val::Tuple(items) => items.to_vec(),
            Val::Dict(dict) => dict.items.borrow().keys().map(Key::val).collect(),
            Val::Str(text) => text
                .chars()
                .map(|c| Val::Str(c.to_string().into()))
                .collect(),
            Val::Unknown { .. } => {
                touch();
                Vec::new()
            }
            Val::Undefined(missing) if missing.lenient => Vec::new(),
            Val::Undefined(missing) => return Err(missing.error.clone()),
            Val::Lazy(lazy) => lazy.settle().items()?,
            Val::Object(object) => object.items()?,
            other => {
                return Err(Diagnostic::new(format!(
                    "{} cannot be iterated over",
                    other.kind()
                )));
            }
        })
    }

    /// The entries of a dictionary.
    pub fn entries(&self) -> Result<Entries> {
        self.force()?;
        match self {
            Val::Dict(dict) => Ok(dict.items.borrow().clone()),
            Val::Object(object) => object.entries(),
            Val::Unknown { .. } => {
                touch();
                Ok(Entries::new())
            }
            Val::Undefined(missing) => Err(missing.error.clone()),
            other => Err(Diagnostic::new(format!(
                "expected a dictionary, got {}",
                other.kind()
            ))),
        }
    }

    /// The entry of a dictionary under a text key.
    pub fn entry(&self, key: &str) -> Option<Val> {
        match self {
            Val::Dict(dict) => {
                let found = dict.items.borrow().get(&Text(key)).cloned();
                found.map(|value| {
                    if let Val::Lazy(lazy) = value {
                        lazy.settle()
                    } else {
                        value
                    }
                })
            }
            Val::Object(object) => object.attribute(key),
            _ => None,
        }
    }

    /// Text as `str()` gives it. Undefined is an error, unknown touches.
    pub fn string(&self) -> Result<String> {
        if self.is_nothing() {
            return Ok(String::new());
        }
        self.check()?;
        Ok(print::text(self))
    }

    /// An error when this or a part of it is undefined.
    pub fn check(&self) -> Result<()> {
        self.force()?;
        match self {
            Val::Undefined(missing) => Err(missing.error.clone()),
            Val::List(list) => list.items.borrow().iter().try_for_each(Val::check),
            Val::Tuple(items) => items.iter().try_for_each(Val::check),
            Val::Dict(dict) => dict.items.borrow().values().try_for_each(Val::check),
            Val::Lazy(lazy) => lazy.settle().check(),
            _ => Ok(()),
        }
    }

    /// The number of items, entries or characters.
    pub fn length(&self) -> Result<usize> {
        Ok(match self {
            Val::List(list) => list.items.borrow().len(),
            Val::Dict(dict) => dict.items.borrow().len(),
            Val::Tuple(items) => items.len(),
            Val::Str(text) => text.chars().count(),
            _ => self.items()?.len(),
        })
    }

    /// Whether this is a list or tuple.
    pub fn is_sequence(&self) -> bool {
        matches!(self, Val::List(_) | Val::Tuple(_))
    }

    /// The number, when it is one (booleans count as in Python).
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Python's float()")]
            Val::Int(number) => Some(*number as f64),
            Val::Float(number) => Some(*number),
            Val::Bool(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        }
    }

    /// The integer, when it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Val::Int(number) => Some(*number),
            Val::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    /// The Python name of the kind, for messages and `type_debug`.
    pub fn kind(&self) -> &'static str {
        match self {
            Val::Undefined(_) => "AnsibleUndefined",
            Val::Unknown { .. } => "a value that is known after apply",
            Val::None => "NoneType",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Float(_) => "float",
            Val::Str(_) => "str",
            Val::List(_) => "list",
            Val::Tuple(_) => "tuple",
            Val::Dict(_) => "dict",
            Val::Lazy(_) => "template",
            Val::Object(object) => object.kind(),
        }
    }

    /// An undefined value with the error that its use gives.
    pub fn undefined(path: impl Into<String>, error: Diagnostic) -> Val {
        Val::Undefined(Rc::new(Missing {
            path: path.into(),
            error,
            lenient: false,
        }))
    }

    /// What an inline `if` gives whose condition does not hold and that has no `else`: nothing where text is wanted, an
    /// error as a value of its own.
    pub fn nothing(error: Diagnostic) -> Val {
        Val::Undefined(Rc::new(Missing {
            path: String::new(),
            error,
            lenient: true,
        }))
    }

    /// Whether this is [`Val::nothing`].
    pub fn is_nothing(&self) -> bool {
        matches!(self, Val::Undefined(missing) if missing.lenient)
    }

    /// As [`Val::undefined`], for an error that already has a place.
    pub fn failed(error: Diagnostic, span: &Span) -> Val {
        Val::undefined(String::new(), error.at(span))
    }
}

impl From<&str> for Val {
    fn from(text: &str) -> Val {
        Val::Str(text.into())
    }
}

impl From<String> for Val {
    fn from(text: String) -> Val {
        Val::text(text)
    }
}

impl From<bool> for Val {
    fn from(flag: bool) -> Val {
        Val::Bool(flag)
    }
}

impl From<i64> for Val {
    fn from(number: i64) -> Val {
        Val::Int(number)
    }
}

impl From<usize> for Val {
    fn from(number: usize) -> Val {
        Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Val {
    fn from(number: f64) -> Val {
        Val::Float(number)
    }
}
