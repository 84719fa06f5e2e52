//! Host names as inventories and patterns write them: ports, ranges (`db[01:03]`, `[a:c]`), addresses.
//!
//! Works on text alone; knows no host and no group.

use crate::base::{Diagnostic, Result};
use regex::Regex;
use std::net::Ipv6Addr;
use std::sync::OnceLock;

/// More hosts than this from one name is a slip of the keyboard.
const MOST: usize = 10_000;

struct Forms {
    bracketed: Regex,
    with_port: Regex,
    hostname: Regex,
}

fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| {
        let range = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]";
        let label =
            format!(r"(?:(?:\w|{range})(?:[\w-]|{range})*(?:[^\W_]|{range})|[^\W_]|{range})");
        Forms {
            bracketed: Regex::new(r"^\[(.+)\]:([0-9]+)$").expect("the pattern is a constant"),
            with_port: Regex::new(r"^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$")
                .expect("the pattern is a constant"),
            hostname: Regex::new(&format!(r"(?i)^{label}(?:\.{label})*$"))
                .expect("the pattern is a constant"),
        }
    })
}

/// Takes a port off an address. `None` when it is no address at all (a pattern, for example).
pub(super) fn address(text: &str) -> Option<(String, Option<u16>)> {
    let (mut host, mut port) = (text.to_owned(), None);
    for form in [&forms().bracketed, &forms().with_port] {
        if let Some(found) = form.captures(&host) {
            let number = found.get(2)?.as_str().parse().ok()?;
            let bare = found.get(1)?.as_str().to_owned();
            (host, port) = (bare, Some(number));
        }
    }
    (forms().hostname.is_match(&host) || host.parse::<Ipv6Addr>().is_ok()).then_some((host, port))
}

/// The hosts that one entry of an inventory names, and the port if it has one.
///
/// # Errors
/// When a range is written wrongly.
pub(super) fn expand(entry: &str) -> Result<(Vec<String>, Option<u16>)> {
    let (name, port) = address(entry).unwrap_or_else(|| (entry.to_owned(), None));
    if name.trim().is_empty() {
        return Err(Diagnostic::new("a host needs a name"));
    }
    if name.contains([' ', '\t', ',']) {
        return Err(
            Diagnostic::new(format!("`{name}` is not the name of one host"))
                .help("one host a line in INI, one key a host in YAML"),
        );
    }
    if port.is_none() && name.trim_end().ends_with(':') {
        return Err(Diagnostic::new(format!(
            "the host `{name}` ends in `:` but names no port"
        )));
    }
    let mut names = Vec::new();
    expand_into(&name, &mut names)?;
    Ok((names, port))
}

fn expand_into(name: &str, into: &mut Vec<String>) -> Result<()> {
    let Some((head, rest)) = name.split_once('[') else {
        if into.len() >= MOST {
            return Err(Diagnostic::new(format!(
                "a range names more than {MOST} hosts"
            )));
        }
        into.push(name.to_owned());
        return Ok(());
    };
    let wrong = |why: &str| {
        Diagnostic::new(format!("in the host range `{name}`, {why}"))
            .help("ranges are `[first:last]` or `[first:last:step]`: db[1:3], db[01:03], db[a:c]")
    };
    let (range, tail) = rest
        .split_once(']')
        .ok_or_else(|| wrong("the `[` is not closed"))?;
    for item in range_items(range).map_err(|why| wrong(&why))? {
        expand_into(&format!("{head}{item}{tail}"), into)?;
    }
    Ok(())
}

fn range_items(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match bounds.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => (
            *first,
            *last,
            step.parse()
                .map_err(|_| format!("the step `{step}` is no number"))?,
        ),
        _ => return Err("there must be a first and a last".to_owned()),
    };
    let first = if first.is_empty() { "0" } else { first };
    if last.is_empty() || step == 0 {
        return Err(if last.is_empty() {
            "the last is missing"
        } else {
            "the step is 0"
        }
        .to_owned());
    }
    if let (Some(from), Some(to)) = (letter(first), letter(last)) {
        let letters = ('a'..='z').chain('A'..='Z');
        let (start, end) = (
            letters.clone().position(|c| c == from),
            letters.clone().position(|c| c == to),
        );
        return match (start, end) {
            (Some(start), Some(end)) if start <= end => Ok(letters
                .skip(start)
                .take(end - start + 1)
                .step_by(step)
                .map(String::from)
                .collect()),
            _ => Err("the first comes after the last".to_owned()),
        };
    }
    let width = if first.starts_with('0') && first.len() > 1 {
        first.len()
    } else {
        0
    };
    if width > 0 && width != last.len() {
        return Err("first and last must have the same number of digits".to_owned());
    }
    let number = |text: &str| {
        text.parse::<usize>()
            .map_err(|_| format!("`{text}` is neither a number nor a letter"))
    };
    let (from, to) = (number(first)?, number(last)?);
    if from > to {
        return Err("the first comes after the last".to_owned());
    }
    if (to - from) / step > MOST {
        return Err(format!("there are more than {MOST} hosts"));
    }
    Ok((from..=to)
        .step_by(step)
        .map(|number| format!("{number:0width$}"))
        .collect())
}

fn letter(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars
        .next()
        .filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_ports_expand() {
        for (entry, hosts, port) in [
            ("web1", "web1", None),
            ("web1:2222", "web1", Some(2222)),
            ("10.0.0.1:22", "10.0.0.1", Some(22)),
            ("[::1]:22", "::1", Some(22)),
            ("fe80::1", "fe80::1", None),
            ("db[01:03]", "db01 db02 db03", None),
            ("db[8:11].x", "db8.x db9.x db10.x db11.x", None),
            ("db[1:6:2]", "db1 db3 db5", None),
            ("[a:c]-x", "a-x b-x c-x", None),
            ("n[y:B]", "ny nz nA nB", None),
            ("r[1:2]n[a:b]:2200", "r1na r1nb r2na r2nb", Some(2200)),
            ("[:2]", "0 1 2", None),
        ] {
            let (names, found) = expand(entry).expect(entry);
            assert_eq!((names.join(" ").as_str(), found), (hosts, port), "{entry}");
        }
        for entry in [
            "db[1:3",
            "db[1]",
            "db[3:1]",
            "db[01:100]",
            "db[1:]",
            "db[x:3]",
            "db[1:3:0]",
            "db:",
            "",
            "[1:99999]",
        ] {
            assert!(expand(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn patterns_are_no_addresses() {
        for text in ["lb*", "a:b", "a:&b", "!c", "~x", "_", "a-"] {
            assert_eq!(address(text), None, "{text}");
        }
        for text in ["db[0:1]", "a.b-c_d", "web_1"] {
            assert!(address(text).is_some(), "{text}");
        }
    }
}
