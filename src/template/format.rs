//! Python's `%` formatting and `str.format`.

use super::print;
use super::val::Val;
use crate::base::{Diagnostic, Result};
use std::iter::Peekable;
use std::str::Chars;

/// How one value is laid out.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the format"
)]
struct Layout {
    left: bool,
    center: bool,
    zero: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    comma: bool,
    fill: Option<char>,
    width: usize,
    precision: Option<usize>,
}

/// `template % values`.
pub fn percent(template: &str, values: &Val) -> Result<String> {
    let mut items = match values {
        Val::Tuple(items) => items.to_vec(),
        other => vec![other.clone()],
    }
    .into_iter();
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut named = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut name = None;
        if chars.next_if_eq(&'(').is_some() {
            name = Some(chars.by_ref().take_while(|c| *c != ')').collect::<String>());
        }
        let mut layout = Layout::default();
        while let Some(flag) = chars.next_if(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => layout.left = true,
                '+' => layout.plus = true,
                ' ' => layout.blank = true,
                '0' => layout.zero = true,
                _ => layout.alternate = true,
            }
        }
        let mut next = || {
            items
                .next()
                .ok_or_else(|| Diagnostic::new("not enough values for the `%` format"))
        };
        if chars.next_if_eq(&'*').is_some() {
            layout.width = next()?
                .integer()
                .and_then(|width| usize::try_from(width).ok())
                .unwrap_or(0);
        } else {
            layout.width = digits(&mut chars).unwrap_or(0);
        }
        if chars.next_if_eq(&'.').is_some() {
            layout.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
        let Some(kind) = chars.next() else {
            return Err(Diagnostic::new("the `%` format ends in the middle"));
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match name {
            Some(name) => {
                named = true;
                values.entry(&name).ok_or_else(|| {
                    Diagnostic::new(format!("there is no `{name}` for the `%` format"))
                })?
            }
            None => next()?,
        };
        out.push_str(&lay_out(&value, kind, &layout, true)?);
    }
    if !named && items.next().is_some() && !matches!(values, Val::Dict(_)) {
        return Err(Diagnostic::new(
            "more values than the `%` format has places",
        ));
    }
    Ok(out)
}

fn digits(chars: &mut Peekable<Chars>) -> Option<usize> {
    let mut text = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    text.parse().ok()
}

/// `template.format(*values, **named)`.
pub fn braces(
    template: &str,
    values: &[Val],
    named: &dyn Fn(&str) -> Option<Val>,
) -> Result<String> {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut turn = 0;
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.next_if_eq(&'{').is_some() => out.push('{'),
            '}' => {
                chars.next_if_eq(&'}');
                out.push('}');
            }
            '{' => {
                let field: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let (name, spec) = field.split_once(':').unwrap_or((&field, ""));
                let (name, conversion) = name.split_once('!').unwrap_or((name, ""));
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (head, path) = name.split_at(end);
                let found = if head.is_empty() {
                    turn += 1;
                    values.get(turn - 1).cloned()
                } else {
                    head.parse::<usize>()
                        .map_or_else(|_| named(head), |index| values.get(index).cloned())
                };
                let mut value = found.ok_or_else(|| {
                    Diagnostic::new(format!("there is no value for `{{{field}}}`"))
                })?;
                for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
                    let inner = value
                        .entry(part)
                        .or_else(|| super::ops::at(&value.items().ok()?, part.parse().ok()?));
                    value = inner.ok_or_else(|| {
                        Diagnostic::new(format!("there is no value for `{{{field}}}`"))
                    })?;
                }
                if conversion == "r" {
                    value = Val::from(print::repr(&value));
                }
                out.push_str(&spec_layout(&value, spec)?);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn spec_layout(value: &Val, spec: &str) -> Result<String> {
    let mut layout = Layout::default();
    let mut chars = spec.chars().peekable();
    let second = spec.chars().nth(1);
    let mut align = None;
    if second.is_some_and(|c| "<>^=".contains(c)) {
        layout.fill = chars.next();
        align = chars.next();
    } else if let Some(c) = chars.next_if(|c| "<>^=".contains(*c)) {
        align = Some(c);
    }
    if chars.next_if_eq(&'+').is_some() {
        layout.plus = true;
    }
    chars.next_if_eq(&'-');
    if chars.next_if_eq(&'#').is_some() {
        layout.alternate = true;
    }
    if chars.next_if_eq(&'0').is_some() {
        layout.zero = true;
    }
    layout.width = digits(&mut chars).unwrap_or(0);
    if chars.next_if_eq(&',').is_some() {
        layout.comma = true;
    }
    if chars.next_if_eq(&'.').is_some() {
        layout.precision = digits(&mut chars);
    }
    let number = value.number().is_some() && !matches!(value, Val::Bool(_));
    let kind = chars.next().unwrap_or(match value {
        Val::Int(_) => 'd',
        Val::Float(_) if layout.precision.is_some() => 'g',
        _ => 's',
    });
    layout.left = align.map_or(!number, |align| align == '<');
    layout.center = align == Some('^');
    lay_out(value, kind, &layout, false)
}

fn lay_out(value: &Val, kind: char, layout: &Layout, percent: bool) -> Result<String> {
    value.check()?;
    let wrong = || Diagnostic::new(format!("`%{kind}` needs a number, got {}", value.kind()));
    let integer = || -> Result<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "as Python's int()")]
        value
            .integer()
            .or_else(|| value.number().map(|number| number as i64))
            .ok_or_else(wrong)
    };
    let (mut sign, digits) = match kind {
        's' | 'r' | 'a' => {
            let mut text = if kind == 's' {
                value.string()?
            } else {
                print::repr(value)
            };
            if let Some(precision) = layout.precision {
                text = text.chars().take(precision).collect();
            }
            (String::new(), text)
        }
        'c' => (String::new(), value.string()?),
        'd' | 'i' | 'u' => signed(integer()?, |n| n.to_string()),
        'x' => signed(integer()?, |n| {
            format!("{}{n:x}", if layout.alternate { "0x" } else { "" })
        }),
        'X' => signed(integer()?, |n| {
            format!("{}{n:X}", if layout.alternate { "0X" } else { "" })
        }),
        'o' => signed(integer()?, |n| {
            format!("{}{n:o}", if layout.alternate { "0o" } else { "" })
        }),
        'b' => signed(integer()?, |n| {
            format!("{}{n:b}", if layout.alternate { "0b" } else { "" })
        }),
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%' => {
            let number = value.number().ok_or_else(wrong)?;
            let precision = layout.precision.unwrap_or(6);
            let (magnitude, tail) = if kind == '%' {
                (number.abs() * 100.0, "%")
            } else {
                (number.abs(), "")
            };
            let text = match kind {
                'e' | 'E' => exponent(magnitude, precision),
                'g' | 'G' => general(magnitude, precision),
                _ => format!("{magnitude:.precision$}"),
            };
            let text = if kind.is_uppercase() {
                text.to_uppercase()
            } else {
                text
            };
            (
                if number.is_sign_negative() { "-" } else { "" }.to_owned(),
                text + tail,
            )
        }
        other => return Err(Diagnostic::new(format!("`{other}` is not a format"))),
    };
    let numeric = !matches!(kind, 's' | 'r' | 'a' | 'c');
    if numeric && sign.is_empty() && layout.plus {
        sign.push('+');
    } else if numeric && sign.is_empty() && layout.blank {
        sign.push(' ');
    }
    let digits = if layout.comma {
        grouped(&digits)
    } else {
        digits
    };
    let length = sign.chars().count() + digits.chars().count();
    let missing = layout.width.saturating_sub(length);
    let zero = layout.zero && (numeric || !percent);
    Ok(if zero && !layout.left {
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        let fill = layout.fill.unwrap_or(' ').to_string();
        if layout.center {
            format!(
                "{}{sign}{digits}{}",
                fill.repeat(missing / 2),
                fill.repeat(missing - missing / 2)
            )
        } else if layout.left {
            format!("{sign}{digits}{}", fill.repeat(missing))
        } else {
            format!("{}{sign}{digits}", fill.repeat(missing))
        }
    })
}

fn signed(number: i64, write: impl Fn(u64) -> String) -> (String, String) {
    (
        if number < 0 { "-" } else { "" }.to_owned(),
        write(number.unsigned_abs()),
    )
}

fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    match power.strip_prefix('-') {
        Some(power) => format!("{mantissa}e-{power:0>2}"),
        None => format!("{mantissa}e+{power:0>2}"),
    }
}

fn general(number: f64, precision: usize) -> String {
    let precision = precision.max(1);
    if number == 0.0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent is small")]
    let power = number.log10().floor() as i64;
    let places = i64::try_from(precision).unwrap_or(6);
    let strip = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || power >= places {
        let text = exponent(number, precision - 1);
        let (mantissa, rest) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{rest}", strip(mantissa));
    }
    let decimals = usize::try_from(places - 1 - power).unwrap_or(0);
    strip(&format!("{number:.decimals$}"))
}

fn grouped(digits: &str) -> String {
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out + rest
}
