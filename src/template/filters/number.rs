//! Filters over numbers and sizes.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::print;
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("int", int),
    ("float", |call| Ok(float(call))),
    ("abs", abs),
    ("round", round),
    ("log", log),
    ("pow", |call| {
        Ok(Val::Float(
            number(call)?.powf(argument(call, 0, "y", None)?),
        ))
    }),
    ("root", root),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("filesizeformat", filesizeformat),
];

fn number(call: &Call) -> Result<f64> {
    call.input
        .number()
        .ok_or_else(|| call.wrong_input("a number"))
}

fn argument(call: &Call, index: usize, name: &str, default: Option<f64>) -> Result<f64> {
    match (call.arg(index, name), default) {
        (Some(value), _) => value.number().ok_or_else(|| {
            Diagnostic::new(format!("`{name}` of `{}` must be a number", call.name))
        }),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Diagnostic::new(format!(
            "`{}` needs the argument `{name}`",
            call.name
        ))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "as Python's int()")]
fn whole(number: f64) -> Option<Val> {
    number.is_finite().then_some(Val::Int(number as i64))
}

fn int(call: &Call) -> Result<Val> {
    let default = call.arg(0, "default").unwrap_or(Val::Int(0));
    let base = u32::try_from(call.int(1, "base")?.unwrap_or(10)).unwrap_or(10);
    let found = match &call.input {
        Val::Str(text) => {
            let clean = text.trim().replace('_', "");
            parse_int(&clean, base)
                .map(Val::Int)
                .or_else(|| clean.parse::<f64>().ok().and_then(whole))
        }
        Val::Float(number) => whole(*number),
        other => other.integer().map(Val::Int),
    };
    Ok(found.unwrap_or(default))
}

fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |prefix: &str| lower.strip_prefix(prefix).map(str::to_owned);
    let (base, digits) = match base {
        16 => (16, prefixed("0x").unwrap_or(lower)),
        8 => (8, prefixed("0o").unwrap_or(lower)),
        2 => (2, prefixed("0b").unwrap_or(lower)),
        0 => match (prefixed("0x"), prefixed("0o"), prefixed("0b")) {
            (Some(digits), ..) => (16, digits),
            (_, Some(digits), _) => (8, digits),
            (.., Some(digits)) => (2, digits),
            _ => (10, lower),
        },
        other => (other, lower),
    };
    if !(2..=36).contains(&base) || digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

fn float(call: &Call) -> Val {
    let default = call.arg(0, "default").unwrap_or(Val::Float(0.0));
    match &call.input {
        Val::Str(text) => text
            .trim()
            .replace('_', "")
            .parse()
            .map_or(default, Val::Float),
        other => other.number().map_or(default, Val::Float),
    }
}

fn abs(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Float(number) => Ok(Val::Float(number.abs())),
        other => other
            .integer()
            .map(|number| Val::Int(number.abs()))
            .ok_or_else(|| call.wrong_input("a number")),
    }
}

fn round(call: &Call) -> Result<Val> {
    let precision = i32::try_from(call.int(0, "precision")?.unwrap_or(0)).unwrap_or(0);
    let method = call
        .text(1, "method")?
        .unwrap_or_else(|| "common".to_owned());
    let value = number(call)?;
    let factor = 10f64.powi(precision);
    Ok(match method.as_str() {
        "common" => match (&call.input, usize::try_from(precision)) {
            // An integer that is rounded to whole numbers stays one.
            (Val::Int(number), Ok(_)) => Val::Int(*number),
            #[expect(clippy::cast_possible_truncation, reason = "an integer was rounded")]
            (Val::Int(_), Err(_)) => Val::Int(((value * factor).round_ties_even() / factor) as i64),
            (_, Ok(precision)) => {
                Val::Float(format!("{value:.precision$}").parse().unwrap_or(value))
            }
            (_, Err(_)) => Val::Float((value * factor).round_ties_even() / factor),
        },
        "ceil" => Val::Float((value * factor).ceil() / factor),
        "floor" => Val::Float((value * factor).floor() / factor),
        other => {
            return Err(Diagnostic::new(format!(
                "`round` has no method `{other}`: choose common, ceil or floor"
            )));
        }
    })
}

#[expect(clippy::float_cmp, reason = "the base is a whole number")]
fn log(call: &Call) -> Result<Val> {
    let base = argument(call, 0, "base", Some(std::f64::consts::E))?;
    let value = number(call)?;
    Ok(Val::Float(if base == 10.0 {
        value.log10()
    } else {
        value.ln() / base.ln()
    }))
}

#[expect(clippy::float_cmp, reason = "the base is a whole number")]
fn root(call: &Call) -> Result<Val> {
    let base = argument(call, 0, "base", Some(2.0))?;
    let value = number(call)?;
    Ok(Val::Float(if base == 2.0 {
        value.sqrt()
    } else {
        value.powf(1.0 / base)
    }))
}

const UNITS: [(char, u32); 8] = [
    ('Y', 80),
    ('Z', 70),
    ('E', 60),
    ('P', 50),
    ('T', 40),
    ('G', 30),
    ('M', 20),
    ('K', 10),
];

fn human_readable(call: &Call) -> Result<Val> {
    let size = match &call.input {
        Val::Str(text) => text.parse().map_err(|_| call.wrong_input("a number"))?,
        _ => number(call)?,
    };
    let bits = call.flag(0, "isbits")?;
    let unit = call
        .text(1, "unit")?
        .and_then(|unit| unit.chars().next())
        .map(|unit| unit.to_ascii_uppercase());
    let base = if bits { "bits" } else { "Bytes" };
    for (suffix, power) in UNITS {
        let limit = 2f64.powi(i32::try_from(power).unwrap_or(0));
        if unit.map_or(size >= limit, |unit| unit == suffix) {
            let short = if bits { "b" } else { "B" };
            return Ok(Val::from(format!("{:.2} {suffix}{short}", size / limit)));
        }
    }
    Ok(Val::from(format!("{size:.2} {base}")))
}

fn human_to_bytes(call: &Call) -> Result<Val> {
    let text = call.input_text()?;
    let wrong = || {
        Diagnostic::new(format!(
            "`human_to_bytes`: `{text}` is not a size like `10M` or `1.5 GB`"
        ))
    };
    let clean = text.trim();
    let end = clean
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(clean.len());
    let value: f64 = clean[..end].parse().map_err(|_| wrong())?;
    let written = clean[end..].trim();
    let unit = if written.is_empty() {
        call.text(0, "default_unit")?.unwrap_or_default()
    } else {
        written.to_owned()
    };
    let Some(first) = unit.chars().next().map(|c| c.to_ascii_uppercase()) else {
        return Ok(whole(value).unwrap_or(Val::Int(0)));
    };
    let factor = match UNITS.iter().find(|(suffix, _)| *suffix == first) {
        Some((_, power)) => 2f64.powi(i32::try_from(*power).unwrap_or(0)),
        None if first == 'B' => 1.0,
        None => return Err(wrong()),
    };
    let rest = unit.get(1..).unwrap_or("");
    let wanted = if call.flag(1, "isbits")? { "b" } else { "B" };
    if first != 'B'
        && !rest.is_empty()
        && rest != wanted
        && !matches!(rest.to_ascii_lowercase().as_str(), "bytes" | "bits" | "b")
    {
        return Err(wrong());
    }
    Ok(whole((value * factor).round()).unwrap_or(Val::Int(0)))
}

fn filesizeformat(call: &Call) -> Result<Val> {
    let binary = call.flag(0, "binary")?;
    let (base, names) = if binary {
        (
            1024.0,
            ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"],
        )
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    let size: f64 = match &call.input {
        Val::Str(text) => text.parse().map_err(|_| call.wrong_input("a number"))?,
        _ => number(call)?,
    };
    #[expect(clippy::float_cmp, reason = "exactly one byte")]
    if size == 1.0 {
        return Ok(Val::from("1 Byte"));
    }
    if size < base {
        return Ok(Val::from(format!(
            "{} Bytes",
            print::float(size.trunc()).trim_end_matches(".0")
        )));
    }
    let mut unit: f64 = base;
    for (index, name) in names.iter().enumerate() {
        unit *= base;
        if size < unit || index + 1 == names.len() {
            return Ok(Val::from(format!("{:.1} {name}", base * size / unit)));
        }
    }
    Ok(Val::from(format!("{size}")))
}
