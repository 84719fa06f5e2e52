//! Points in time.

use super::{Call, CallArgs, Table};
use crate::base::{Diagnostic, Result};
use crate::template::objects::Object;
use crate::template::val::Val;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The filters of this file.
pub const FILTERS: Table = &[("strftime", strftime), ("to_datetime", to_datetime)];

fn failed(error: &jiff::Error) -> Diagnostic {
    Diagnostic::new(error.to_string())
}

fn strftime(call: &Call) -> Result<Val> {
    let seconds = match call.arg(0, "second") {
        None | Some(Val::None) => None,
        Some(Val::Str(text)) => Some(text.trim().parse::<f64>().map_err(|_| {
            Diagnostic::new(format!("`strftime`: `{text}` is not a number of seconds"))
        })?),
        Some(value) => Some(
            value
                .number()
                .ok_or_else(|| Diagnostic::new("`strftime` needs a number of seconds"))?,
        ),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fractions of a second do not show"
    )]
    let time = match seconds {
        Some(seconds) => {
            Timestamp::from_second(seconds.floor() as i64).map_err(|error| failed(&error))?
        }
        None => Timestamp::now(),
    };
    let zone = if call.flag(1, "utc")? {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    print(&time.to_zoned(zone), &call.input_text()?)
}

fn print(time: &Zoned, format: &str) -> Result<Val> {
    strtime::format(format, time)
        .map(Val::from)
        .map_err(|error| failed(&error))
}

fn to_datetime(call: &Call) -> Result<Val> {
    let format = call
        .text(0, "format")?
        .unwrap_or_else(|| "%Y-%m-%d %H:%M:%S".to_owned());
    let text = call.input_text()?;
    let time = strtime::parse(&format, &text).and_then(|parts| {
        parts
            .to_datetime()
            .or_else(|_| parts.to_date().map(|date| date.at(0, 0, 0, 0)))
    });
    let time = time.map_err(|_| {
        Diagnostic::new(format!(
            "`to_datetime`: `{text}` does not look like `{format}`"
        ))
    })?;
    Ok(Val::Object(Object::Time(time)))
}

/// `now()`.
pub fn now(call: &Call) -> Result<Val> {
    let zone = if call.flag(0, "utc")? {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let now = Timestamp::now().to_zoned(zone);
    match call.text(1, "fmt")? {
        Some(format) => print(&now, &format),
        None => Ok(Val::Object(Object::Time(now.datetime()))),
    }
}

fn zoned(value: &Val) -> Result<Zoned> {
    let Val::Object(Object::Time(time)) = value else {
        return Err(Diagnostic::new("this is no point in time"));
    };
    DateTime::to_zoned(*time, TimeZone::system()).map_err(|error| failed(&error))
}

/// `time.strftime(format)`.
pub fn format(value: &Val, args: &CallArgs) -> Result<Val> {
    let format = args
        .get(0, "format")
        .ok_or_else(|| Diagnostic::new("`strftime()` needs a format"))?
        .string()?;
    print(&zoned(value)?, &format)
}

/// `time.timestamp()`.
pub fn timestamp(value: &Val) -> Result<Val> {
    let time = zoned(value)?.timestamp();
    #[expect(clippy::cast_precision_loss, reason = "as Python's float")]
    Ok(Val::Float(time.as_microsecond() as f64 / 1e6))
}
