//! Operators with Python's meaning.
//!
//! Undefined and unknown operands were handled before; unknown parts of lists are noted by `touch`.

use super::ast::Op;
use super::objects::Object;
use super::val::{Key, Val, touch};
use super::{format, print};
use crate::base::{Diagnostic, Result};
use std::cmp::Ordering;

/// The largest text or list that `*` may make.
const LARGEST: usize = 10_000_000;

/// Applies an operator of two operands.
pub fn apply(op: Op, left: &Val, right: &Val) -> Result<Val> {
    Ok(match op {
        Op::Eq => Val::Bool(equal(left, right)?),
        Op::Ne => Val::Bool(!equal(left, right)?),
        Op::Lt => Val::Bool(compare(left, right, op)? == Ordering::Less),
        Op::Le => Val::Bool(compare(left, right, op)? != Ordering::Greater),
        Op::Gt => Val::Bool(compare(left, right, op)? == Ordering::Greater),
        Op::Ge => Val::Bool(compare(left, right, op)? != Ordering::Less),
        Op::In => Val::Bool(contains(right, left)?),
        Op::NotIn => Val::Bool(!contains(right, left)?),
        Op::Concat => Val::from(left.string()? + &right.string()?),
        Op::Add => add(left, right)?,
        Op::Rem if matches!(left, Val::Str(_)) => {
            Val::from(format::percent(&left.string()?, right)?)
        }
        Op::Mul if left.is_sequence() || matches!(left, Val::Str(_)) => repeat(left, right)?,
        Op::Mul if right.is_sequence() || matches!(right, Val::Str(_)) => repeat(right, left)?,
        Op::And | Op::Or => left.clone(),
        Op::Sub | Op::Mul | Op::Div | Op::FloorDiv | Op::Rem | Op::Pow => {
            arithmetic(op, left, right)?
        }
    })
}

fn unsupported(op: Op, left: &Val, right: &Val) -> Diagnostic {
    Diagnostic::new(format!(
        "`{}` does not work between {} and {}",
        op.symbol(),
        left.kind(),
        right.kind()
    ))
}

fn add(left: &Val, right: &Val) -> Result<Val> {
    match (left, right) {
        (Val::Str(a), Val::Str(b)) => Ok(Val::from(format!("{a}{b}"))),
        (Val::List(_), Val::List(_)) => {
            let mut items = left.items()?;
            items.extend(right.items()?);
            Ok(Val::list(items))
        }
        (Val::Tuple(a), Val::Tuple(b)) => {
            Ok(Val::tuple(a.iter().chain(b.iter()).cloned().collect()))
        }
        (Val::Str(_), Val::Int(_) | Val::Float(_)) | (Val::Int(_) | Val::Float(_), Val::Str(_)) => {
            Err(unsupported(Op::Add, left, right)
                .help("join texts with `~`, or convert with `int` or `string`"))
        }
        _ => arithmetic(Op::Add, left, right),
    }
}

fn repeat(value: &Val, times: &Val) -> Result<Val> {
    let Some(times) = times.integer() else {
        return Err(unsupported(Op::Mul, value, times));
    };
    let times = usize::try_from(times).unwrap_or(0);
    if value.length()?.saturating_mul(times) > LARGEST {
        return Err(Diagnostic::new(format!(
            "`*` would make more than {LARGEST} items"
        )));
    }
    Ok(match value {
        Val::Str(text) => Val::from(text.repeat(times)),
        Val::Tuple(items) => Val::tuple(repeated(items, times)),
        _ => Val::list(repeated(&value.items()?, times)),
    })
}

fn repeated(items: &[Val], times: usize) -> Vec<Val> {
    std::iter::repeat_n(items, times)
        .flatten()
        .cloned()
        .collect()
}

fn arithmetic(op: Op, left: &Val, right: &Val) -> Result<Val> {
    if let (Val::Object(Object::Time(a)), Val::Object(Object::Time(b)), Op::Sub) = (left, right, op)
    {
        let span = a
            .since(*b)
            .map_err(|error| Diagnostic::new(error.to_string()))?;
        let seconds = span
            .total((jiff::Unit::Second, *b))
            .map_err(|error| Diagnostic::new(error.to_string()))?;
        return Ok(Val::Object(Object::Delta(seconds)));
    }
    let zero = || Diagnostic::new("division by zero");
    let large = || Diagnostic::new(format!("the result of `{}` is too large", op.symbol()));
    if let (Some(a), Some(b)) = (left.integer(), right.integer()) {
        return match op {
            Op::Add => a.checked_add(b),
            Op::Sub => a.checked_sub(b),
            Op::Mul => a.checked_mul(b),
            Op::FloorDiv | Op::Rem if b == 0 => return Err(zero()),
            Op::FloorDiv => a.checked_div(b).map(|quotient| {
                if a % b != 0 && (a < 0) != (b < 0) {
                    quotient - 1
                } else {
                    quotient
                }
            }),
            Op::Rem => a.checked_rem(b).map(|rest| {
                if rest != 0 && (rest < 0) != (b < 0) {
                    rest + b
                } else {
                    rest
                }
            }),
            Op::Pow if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            _ => return floats(op, left, right),
        }
        .map(Val::Int)
        .ok_or_else(large);
    }
    floats(op, left, right)
}

fn floats(op: Op, left: &Val, right: &Val) -> Result<Val> {
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(unsupported(op, left, right));
    };
    let zero = b == 0.0 && matches!(op, Op::Div | Op::FloorDiv | Op::Rem);
    if zero {
        return Err(Diagnostic::new("division by zero"));
    }
    Ok(Val::Float(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::FloorDiv => (a / b).floor(),
        Op::Rem => a - b * (a / b).floor(),
        Op::Pow => a.powf(b),
        _ => return Err(unsupported(op, left, right)),
    }))
}

/// `-value`.
pub fn negate(value: &Val) -> Result<Val> {
    match value {
        Val::Unknown { .. } => Ok(Val::UNSURE),
        Val::Undefined(missing) => Err(missing.error.clone()),
        Val::Float(number) => Ok(Val::Float(-number)),
        other => match other.integer().and_then(i64::checked_neg) {
            Some(number) => Ok(Val::Int(number)),
            None => Err(Diagnostic::new(format!(
                "`-` does not work on {}",
                other.kind()
            ))),
        },
    }
}

/// `==`.
pub fn equal(left: &Val, right: &Val) -> Result<bool> {
    Ok(match (left, right) {
        (Val::Undefined(missing), _) | (_, Val::Undefined(missing)) => {
            return Err(missing.error.clone());
        }
        (Val::Unknown { .. }, _) | (_, Val::Unknown { .. }) => {
            touch();
            false
        }
        (Val::Lazy(lazy), other) | (other, Val::Lazy(lazy)) => equal(&lazy.settle(), other)?,
        (Val::None, Val::None) => true,
        (Val::Str(a), Val::Str(b)) => a == b,
        (Val::List(_), Val::List(_)) | (Val::Tuple(_), Val::Tuple(_)) => {
            let (a, b) = (left.items()?, right.items()?);
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(&b) {
                if !equal(a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        (Val::Dict(_), Val::Dict(_)) => {
            let (a, b) = (left.entries()?, right.entries()?);
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in &a {
                match b.get(key) {
                    Some(other) if equal(value, other)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Val::Object(Object::Time(a)), Val::Object(Object::Time(b))) => a == b,
        (Val::Int(a), Val::Int(b)) => a == b,
        #[expect(clippy::float_cmp, reason = "as Python compares")]
        _ => matches!((left.number(), right.number()), (Some(a), Some(b)) if a == b),
    })
}

/// The order of two values; an error when they have none.
pub fn order(left: &Val, right: &Val) -> Result<Ordering> {
    compare(left, right, Op::Lt)
}

fn compare(left: &Val, right: &Val, op: Op) -> Result<Ordering> {
    Ok(match (left, right) {
        (Val::Undefined(missing), _) | (_, Val::Undefined(missing)) => {
            return Err(missing.error.clone());
        }
        (Val::Unknown { .. }, _) | (_, Val::Unknown { .. }) => {
            touch();
            Ordering::Equal
        }
        (Val::Str(a), Val::Str(b)) => a.cmp(b),
        (Val::Int(a), Val::Int(b)) => a.cmp(b),
        (Val::List(_), Val::List(_)) | (Val::Tuple(_), Val::Tuple(_)) => {
            let (a, b) = (left.items()?, right.items()?);
            for (a, b) in a.iter().zip(&b) {
                if !equal(a, b)? {
                    return compare(a, b, op);
                }
            }
            a.len().cmp(&b.len())
        }
        (Val::Object(Object::Time(a)), Val::Object(Object::Time(b))) => a.cmp(b),
        _ => match (left.number(), right.number()) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            _ => return Err(unsupported(op, left, right)),
        },
    })
}

/// `item in container`.
pub fn contains(container: &Val, item: &Val) -> Result<bool> {
    match container {
        Val::Str(text) => match item {
            Val::Str(part) => Ok(text.contains(&**part)),
            other => Err(Diagnostic::new(format!(
                "`in` a text needs a text on its left, got {}",
                other.kind()
            ))),
        },
        Val::Dict(dict) => {
            Ok(Key::of(item).is_some_and(|key| dict.items.borrow().contains_key(&key)))
        }
        Val::Object(object) => match item {
            Val::Str(name) => Ok(object.attribute(name).is_some()),
            _ => Ok(false),
        },
        Val::List(_) | Val::Tuple(_) => {
            for other in container.items()? {
                if equal(&other, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Val::Undefined(missing) => Err(missing.error.clone()),
        Val::Unknown { .. } => {
            touch();
            Ok(false)
        }
        other => Err(Diagnostic::new(format!(
            "`in` does not work on {}",
            other.kind()
        ))),
    }
}

/// The item at an index that may count from the end.
pub fn at<T: Clone>(items: &[T], index: i64) -> Option<T> {
    let index = if index < 0 {
        usize::try_from(index + i64::try_from(items.len()).ok()?)
    } else {
        usize::try_from(index)
    };
    items.get(index.ok()?).cloned()
}

/// `value[start:stop:step]`.
pub fn slice(value: &Val, limits: &[Val; 3]) -> Result<Val> {
    value.check()?;
    if value.is_unknown() || limits.iter().any(Val::is_unknown) {
        return Ok(Val::UNSURE);
    }
    let mut bounds = [None; 3];
    for (bound, limit) in bounds.iter_mut().zip(limits) {
        *bound = match limit {
            Val::None => None,
            other => Some(other.integer().ok_or_else(|| {
                Diagnostic::new(format!(
                    "a slice needs integers, got `{}`",
                    print::repr(other)
                ))
            })?),
        };
    }
    let items = match value {
        Val::Str(_) | Val::List(_) | Val::Tuple(_) => value.items()?,
        other => {
            return Err(Diagnostic::new(format!(
                "{} cannot be sliced",
                other.kind()
            )));
        }
    };
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let step = bounds[2].unwrap_or(1);
    if step == 0 {
        return Err(Diagnostic::new("the step of a slice cannot be 0"));
    }
    let (low, high) = if step > 0 {
        (0, count)
    } else {
        (-1, count - 1)
    };
    let clamp = |bound: Option<i64>, default: i64| {
        bound.map_or(default, |at| {
            if at < 0 { at.saturating_add(count) } else { at }.clamp(low, high)
        })
    };
    let (mut at, stop) = if step > 0 {
        (clamp(bounds[0], 0), clamp(bounds[1], count))
    } else {
        (clamp(bounds[0], count - 1), clamp(bounds[1], -1))
    };
    let mut taken = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        if let Some(item) = usize::try_from(at).ok().and_then(|at| items.get(at)) {
            taken.push(item.clone());
        }
        at = at.saturating_add(step);
    }
    Ok(match value {
        Val::Str(_) => Val::from(taken.iter().map(print::text).collect::<String>()),
        Val::Tuple(_) => Val::tuple(taken),
        _ => Val::list(taken),
    })
}
