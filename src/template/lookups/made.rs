//! Lookups that make their values: counted sequences and random passwords.

use super::refused;
use crate::base::{Diagnostic, Result};
use crate::template::filters::Call;
use crate::template::format;
use crate::template::val::Val;

/// `sequence`.
pub fn sequence(call: &Call, terms: &[Val]) -> Result<Vec<Val>> {
    let mut options: Vec<(String, String)> = Vec::new();
    for term in terms {
        for pair in term.string()?.split_whitespace() {
            match pair.split_once('=') {
                Some((name, value)) => options.push((name.to_owned(), value.to_owned())),
                None => short_sequence(pair, &mut options),
            }
        }
    }
    for (name, value) in &call.args.named {
        options.push((name.to_string(), value.string()?));
    }
    let number = |name: &str| -> Result<Option<i64>> {
        let Some((_, text)) = options.iter().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        let digits = text
            .strip_prefix("0x")
            .map_or_else(|| text.parse(), |hex| i64::from_str_radix(hex, 16));
        digits
            .map(Some)
            .map_err(|_| Diagnostic::new(format!("`sequence`: `{name}={text}` is not a number")))
    };
    let start = number("start")?.unwrap_or(1);
    let stride = number("stride")?.unwrap_or(1);
    let end = match (number("end")?, number("count")?) {
        (Some(end), _) => end,
        (None, Some(0)) => return Ok(Vec::new()),
        (None, Some(count)) => start + (count - 1) * stride,
        (None, None) => return Err(Diagnostic::new("`sequence` needs `end` or `count`")),
    };
    let format = options
        .iter()
        .find(|(name, _)| name == "format")
        .map_or("%d", |(_, format)| format);
    if stride == 0 || end.abs_diff(start) / stride.unsigned_abs() > 1_000_000 {
        return Err(Diagnostic::new("`sequence` would not come to an end soon"));
    }
    let mut found = Vec::new();
    let mut at = start;
    while if stride > 0 { at <= end } else { at >= end } {
        found.push(Val::from(format::percent(format, &Val::Int(at))?));
        at += stride;
    }
    Ok(found)
}

/// `start-end/stride:format`.
fn short_sequence(text: &str, options: &mut Vec<(String, String)>) {
    let (rest, format) = text
        .split_once(':')
        .map_or((text, None), |(rest, format)| (rest, Some(format)));
    let (rest, stride) = rest
        .split_once('/')
        .map_or((rest, None), |(rest, stride)| (rest, Some(stride)));
    let (start, end) = rest
        .split_once('-')
        .map_or((None, rest), |(start, end)| (Some(start), end));
    let parts = [
        ("start", start),
        ("end", Some(end)),
        ("stride", stride),
        ("format", format),
    ];
    options.extend(
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
}

/// `password`.
pub fn password(term: &Val) -> Result<Val> {
    let text = term.string()?;
    let mut words = text.split_whitespace();
    if words.next() != Some("/dev/null") {
        return Err(refused("password", "writes a file on this machine")
            .help("keep the password in a vaulted variable, or use `/dev/null` as the file for one that is made anew"));
    }
    let mut length = 20;
    let mut kinds = "ascii_letters,digits,.,:,-,_".to_owned();
    for word in words {
        match word.split_once('=') {
            Some(("length", value)) => {
                length = value.parse().map_err(|_| {
                    Diagnostic::new(format!("`password`: `{value}` is not a length"))
                })?;
            }
            Some(("chars", value)) => value.clone_into(&mut kinds),
            _ => {}
        }
    }
    let mut chars: Vec<char> = Vec::new();
    for kind in kinds.split(',') {
        match kind {
            "ascii_letters" => chars.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => chars.extend('a'..='z'),
            "ascii_uppercase" => chars.extend('A'..='Z'),
            "digits" => chars.extend('0'..='9'),
            "hexdigits" => chars.extend("0123456789abcdefABCDEF".chars()),
            "punctuation" => chars.extend("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars()),
            other => chars.extend(other.chars()),
        }
    }
    let mut random = rand::rng();
    let pick = |_| chars[rand::RngExt::random_range(&mut random, 0..chars.len().max(1))];
    Ok(Val::from((0..length).map(pick).collect::<String>()))
}
