//! Filters over URLs.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[("urlsplit", urlsplit), ("urlencode", urlencode)];

fn urlsplit(call: &Call) -> Result<Val> {
    let url = call.input_text()?;
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = netloc
        .rsplit_once('@')
        .map_or((None, netloc), |(user, host)| (Some(user), host));
    let (username, password) = match user.map(|user| {
        user.split_once(':')
            .map_or((user, None), |(user, word)| (user, Some(word)))
    }) {
        Some((user, word)) => (Some(user), word),
        None => (None, None),
    };
    let (hostname, port) = match host
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((inside, after)) => (inside, after.strip_prefix(':')),
        None => host
            .split_once(':')
            .map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let maybe = |text: Option<&str>| text.map_or(Val::None, Val::from);
    let parts = [
        ("fragment", Val::from(fragment)),
        (
            "hostname",
            if hostname.is_empty() {
                Val::None
            } else {
                Val::from(hostname.to_lowercase())
            },
        ),
        ("netloc", Val::from(netloc)),
        ("password", maybe(password)),
        ("path", Val::from(path)),
        (
            "port",
            port.and_then(|port| port.parse().ok())
                .map_or(Val::None, Val::Int),
        ),
        ("query", Val::from(query)),
        ("scheme", Val::from(scheme)),
        ("username", maybe(username)),
    ];
    match call.text(0, "query")?.filter(|part| !part.is_empty()) {
        None => Ok(Val::record(parts)),
        Some(name) => parts
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .ok_or_else(|| Diagnostic::new(format!("`urlsplit`: a URL has no `{name}`"))),
    }
}

/// Percent-encodes all but letters, digits and `_.-~`, and what is kept besides.
fn percent_encoded(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || "_.-~".contains(char::from(byte))
            || keep.contains(char::from(byte)) && byte.is_ascii()
        {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                out.extend(char::from_digit(digit.into(), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
    out
}

fn urlencode(call: &Call) -> Result<Val> {
    let pair = |key: &Val, value: &Val| -> Result<String> {
        let encode = |value: &Val| -> Result<String> {
            Ok(percent_encoded(&value.string()?, "").replace("%20", "+"))
        };
        Ok(format!("{}={}", encode(key)?, encode(value)?))
    };
    Ok(Val::from(match &call.input {
        Val::Dict(_) => {
            let pairs = call.input.entries()?;
            pairs
                .iter()
                .map(|(key, value)| pair(&key.val(), value))
                .collect::<Result<Vec<_>>>()?
                .join("&")
        }
        Val::List(_) | Val::Tuple(_) => {
            let mut pairs = Vec::new();
            for item in call.input.items()? {
                match &item.items()?[..] {
                    [key, value] => pairs.push(pair(key, value)?),
                    _ => return Err(call.wrong_input("a text, a dictionary or pairs")),
                }
            }
            pairs.join("&")
        }
        _ => percent_encoded(&call.input_text()?, "/"),
    }))
}
