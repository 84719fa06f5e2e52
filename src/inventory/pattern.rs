//! Host patterns: `lb*`, `a:b`, `a,b`, `a:&b`, `!c`, `~regex`, `group[0]`, `group[1:2]`.

use super::{Inventory, hostname};
use crate::base::{Diagnostic, Result};
use regex::Regex;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Whether a name means this machine even when no inventory holds it.
pub fn is_localhost(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

impl Inventory {
    /// The hosts of a pattern, in the order of the pattern and, within, of the inventory.
    ///
    /// # Errors
    /// When a part names no host and no group (with the nearest name), or is no pattern.
    pub fn select(&self, pattern: &str) -> Result<Vec<String>> {
        self.evaluate(pattern, true)
    }

    /// As [`Inventory::select`], but parts that match nothing are passed over: for the `hosts:` of plays, which
    /// may name groups that this inventory does not have.
    ///
    /// # Errors
    /// When a part is no pattern.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>> {
        self.evaluate(pattern, false)
    }

    /// The hosts of a pattern that are also in a limit, if there is one.
    ///
    /// # Errors
    /// As [`Inventory::select`], for both.
    pub fn select_limited(&self, pattern: &str, limit: Option<&str>) -> Result<Vec<String>> {
        let hosts = self.select(pattern)?;
        let Some(limit) = limit else { return Ok(hosts) };
        let limit: HashSet<String> = self.select(limit)?.into_iter().collect();
        Ok(hosts
            .into_iter()
            .filter(|host| limit.contains(host))
            .collect())
    }

    fn evaluate(&self, pattern: &str, strict: bool) -> Result<Vec<String>> {
        let parts = split(pattern);
        let of_kind = |mark: &[char]| {
            parts
                .iter()
                .filter(|part| part.starts_with(mark))
                .cloned()
                .collect::<Vec<_>>()
        };
        let mut hosts: Vec<String> = Vec::new();
        let plain: Vec<&String> = parts
            .iter()
            .filter(|part| !part.starts_with(['!', '&']))
            .collect();
        if plain.is_empty() && !parts.is_empty() {
            hosts = self.hosts();
        }
        for part in plain {
            for host in self.one(part, strict)? {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        for part in of_kind(&['&']) {
            let others = self.one(part.trim_start_matches('&').trim(), strict)?;
            hosts.retain(|host| others.contains(host));
        }
        for part in of_kind(&['!']) {
            let others = self.one(part.trim_start_matches('!').trim(), strict)?;
            hosts.retain(|host| !others.contains(host));
        }
        Ok(hosts)
    }

    /// The hosts of one part, without its `!` or `&`.
    fn one(&self, part: &str, strict: bool) -> Result<Vec<String>> {
        if part.is_empty() {
            return Err(Diagnostic::new(
                "a `!` or `&` in a host pattern must be followed by a name",
            ));
        }
        if self.has_host(part) {
            return Ok(vec![part.to_owned()]);
        }
        let (name, subscript) = subscript(part)?;
        let matcher = Matcher::new(name)?;
        let groups: Vec<&str> = self
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .filter(|name| matcher.is_match(name))
            .collect();
        let mut hosts: Vec<String> = Vec::new();
        let mut add = |host: String| {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        };
        groups
            .iter()
            .flat_map(|group| self.group_hosts(group))
            .for_each(&mut add);
        if groups.is_empty() || name.starts_with('~') || name.contains(['.', '?', '*', '[']) {
            self.hosts
                .iter()
                .map(|host| &host.name)
                .filter(|name| matcher.is_match(name))
                .cloned()
                .for_each(&mut add);
        }
        if hosts.is_empty() && is_localhost(name) {
            hosts.push(name.to_owned());
        }
        if hosts.is_empty() && groups.is_empty() && strict {
            return Err(self.unknown(name));
        }
        subscript.apply(part, hosts)
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let error = Diagnostic::new(format!(
            "`{name}` matches no host and no group of the inventory"
        ));
        let hosts = self.hosts();
        let mut names: Vec<&str> = self
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        names.extend(hosts.iter().map(String::as_str));
        match similar::get_close_matches(name, &names, 1, 0.6).first() {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if names.len() <= 30 => error.help(format!("known are: {}", names.join(", "))),
            None => error.help("`hactl inventory graph` shows all hosts and groups"),
        }
    }
}

/// Splits at commas, or, when there is none and it is no address, at colons outside of brackets.
fn split(pattern: &str) -> Vec<String> {
    static PIECES: OnceLock<Regex> = OnceLock::new();
    let pieces: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if hostname::address(pattern).is_some() {
        vec![pattern]
    } else {
        let form = PIECES.get_or_init(|| {
            Regex::new(r"(?:[^\s:\[\]]|\[[^\]]*\])+").expect("the pattern is a constant")
        });
        form.find_iter(pattern)
            .map(|piece| piece.as_str())
            .collect()
    };
    pieces
        .into_iter()
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}

enum Matcher {
    Regex(Regex),
    Glob(glob::Pattern),
}

impl Matcher {
    fn new(text: &str) -> Result<Self> {
        let wrong = |why: String| Diagnostic::new(format!("`{text}` is not a host pattern: {why}"));
        match text.strip_prefix('~') {
            Some(form) => {
                let form = Regex::new(&format!("^(?:{form})"))
                    .map_err(|error| wrong(error.to_string()))?;
                Ok(Self::Regex(form))
            }
            None => glob::Pattern::new(text)
                .map(Self::Glob)
                .map_err(|error| wrong(error.msg.to_owned())),
        }
    }

    fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Regex(form) => form.is_match(name),
            Self::Glob(form) => form.matches(name),
        }
    }
}

/// Which of the matching hosts are meant.
enum Subscript {
    Every,
    One(i64),
    Range(usize, Option<usize>),
}

impl Subscript {
    fn apply(&self, part: &str, hosts: Vec<String>) -> Result<Vec<String>> {
        match *self {
            Self::Every => Ok(hosts),
            Self::One(_) if hosts.is_empty() => Ok(hosts),
            Self::One(index) => {
                let count = i64::try_from(hosts.len()).unwrap_or(i64::MAX);
                let place = usize::try_from(if index < 0 { index + count } else { index }).ok();
                let host = place.and_then(|place| hosts.get(place).cloned());
                host.map(|host| vec![host]).ok_or_else(|| {
                    Diagnostic::new(format!("`{part}` is beyond the {count} hosts that match"))
                        .help("the first is `[0]`")
                })
            }
            Self::Range(first, last) => {
                let count = last.map_or(usize::MAX, |last| (last + 1).saturating_sub(first));
                Ok(hosts.into_iter().skip(first).take(count).collect())
            }
        }
    }
}

fn subscript(part: &str) -> Result<(&str, Subscript)> {
    static FORM: OnceLock<Regex> = OnceLock::new();
    if part.starts_with('~') {
        return Ok((part, Subscript::Every));
    }
    let form = FORM.get_or_init(|| {
        Regex::new(r"^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$")
            .expect("the pattern is a constant")
    });
    let Some(found) = form.captures(part) else {
        return Ok((part, Subscript::Every));
    };
    let name = found.get(1).map_or(part, |name| name.as_str());
    let too_big = |_| Diagnostic::new(format!("the number in `{part}` is too big"));
    let subscript = match (found.get(2), found.get(3), found.get(4)) {
        (Some(index), _, _) => Subscript::One(index.as_str().parse().map_err(too_big)?),
        (None, Some(first), last) => {
            let last = last
                .map(|last| last.as_str())
                .filter(|last| !last.is_empty());
            Subscript::Range(
                first.as_str().parse().map_err(too_big)?,
                last.map(str::parse).transpose().map_err(too_big)?,
            )
        }
        _ => Subscript::Every,
    };
    Ok((name, subscript))
}
