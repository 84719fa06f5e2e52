//! Values to and from data, and the rendering of what a value still holds unrendered.
//!
//! The only way out of the template floor: what is undefined becomes an error here.

use super::print;
use super::val::{Key, Val};
use crate::base::Result;
use crate::base::value::{Map, UNKNOWN, Value};

impl Val {
    /// Data as a value.
    pub fn from_data(data: Value) -> Val {
        match data {
            Value::Null => Val::None,
            Value::Bool(flag) => Val::Bool(flag),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Val::Int(number),
                None => Val::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) if text.contains(UNKNOWN) => Val::Unknown { certain: true },
            Value::String(text) => Val::Str(text.into()),
            Value::Array(items) => Val::list(items.into_iter().map(Val::from_data).collect()),
            Value::Object(map) => Val::dict(
                map.into_iter()
                    .map(|(key, value)| (Key::Str(key.into()), Val::from_data(value)))
                    .collect(),
            ),
        }
    }

    /// The value as data. An undefined part is an error; omitted parts of lists and dictionaries drop out.
    pub fn to_data(&self) -> Result<Value> {
        Ok(match self {
            Val::Undefined(missing) => return Err(missing.error.clone()),
            Val::Unknown { .. } => crate::base::value::unknown(),
            Val::None => Value::Null,
            Val::Bool(flag) => Value::Bool(*flag),
            Val::Int(number) => Value::from(*number),
            Val::Float(number) => Value::from(*number),
            Val::Str(text) => Value::String(text.to_string()),
            Val::List(_) | Val::Tuple(_) => {
                let items = self.items()?;
                Value::Array(
                    items
                        .iter()
                        .filter(|item| !item.is_omit())
                        .map(Val::to_data)
                        .collect::<Result<Vec<Value>>>()?,
                )
            }
            Val::Dict(dict) => {
                self.force()?;
                let mut map = Map::new();
                for (key, value) in &*dict.items.borrow() {
                    if !value.is_omit() {
                        map.insert(print::text(&key.val()), value.to_data()?);
                    }
                }
                Value::Object(map)
            }
            Val::Lazy(lazy) => lazy.settle().to_data()?,
            Val::Object(object) => object.to_data()?,
        })
    }

    /// Renders what is not rendered yet, all the way down. Parts that fail stay as undefined parts.
    pub fn force(&self) -> Result<()> {
        match self {
            Val::List(list) if list.lazy.get() => {
                let count = list.items.borrow().len();
                for index in 0..count {
                    let item = list.items.borrow().get(index).cloned();
                    if let Some(item) = item {
                        let forced = item.settled()?;
                        if matches!(item, Val::Lazy(_))
                            && let Some(slot) = list.items.borrow_mut().get_mut(index)
                        {
                            *slot = forced;
                        }
                    }
                }
                list.lazy.set(false);
            }
            Val::Dict(dict) if dict.lazy.get() => {
                let keys: Vec<Key> = dict.items.borrow().keys().cloned().collect();
                for key in keys {
                    let item = dict.items.borrow().get(&key).cloned();
                    if let Some(item) = item {
                        let forced = item.settled()?;
                        if matches!(item, Val::Lazy(_)) {
                            dict.items.borrow_mut().insert(key, forced);
                        }
                    }
                }
                dict.lazy.set(false);
            }
            _ => {}
        }
        Ok(())
    }

    fn settled(&self) -> Result<Val> {
        let value = match self {
            Val::Lazy(lazy) => lazy.settle(),
            other => other.clone(),
        };
        value.force()?;
        Ok(value)
    }
}
