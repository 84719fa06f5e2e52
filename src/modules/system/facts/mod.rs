//! Facts of a host: one script, and its answer read into Ansible's names without the `ansible_` prefix.
//!
//! Reads only; never waits for a name server longer than two seconds or for a dead network mount at all.

mod hardware;
mod modules;
mod network;
mod os;
mod python;

use crate::base::value::{Map, Value};
use crate::base::{Result, quote};
use crate::modules::system::support::failed;
use crate::modules::{Reply, Request};
use std::collections::BTreeMap;

pub(super) use modules::{PACKAGE_FACTS, PING, SERVICE_FACTS, SETUP};

const SCRIPT: &str = include_str!("facts.sh");

/// The facts that there may be, besides one for each network interface, a line each.
pub const FACT_NAMES: &str = include_str!("names.txt");

/// The script that sees a host's facts.
pub fn facts_probe() -> Request {
    Request {
        timeout_seconds: Some(60),
        ..Request::sh(SCRIPT)
    }
}

/// Reads its answer: facts by Ansible's names without the `ansible_` prefix.
///
/// # Errors
/// When the answer is not the script's.
pub fn parse_facts(reply: &Reply) -> Result<Map<String, Value>> {
    let text = reply.out();
    let seen = Sections::read(&text);
    if !seen.sections.contains_key("end") {
        return Err(failed("the host did not tell its facts")
            .note(quote::for_terminal(reply.err().trim()))
            .help("try `sh` on the host: it needs grep, stat, date and uname"));
    }
    let mut facts = Map::new();
    os::add(&seen, &mut facts);
    hardware::add(&seen, &mut facts);
    network::add(&seen, &mut facts);
    python::add(&seen, &mut facts);
    Ok(facts)
}

/// The answer, cut into sections and files.
struct Sections<'a> {
    sections: BTreeMap<&'a str, Vec<&'a str>>,
    files: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Sections<'a> {
    fn read(text: &'a str) -> Self {
        let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut current = "";
        for line in text.lines() {
            // The environment comes last and may hold anything; nothing in it starts a section but the end.
            match line.strip_prefix("@@") {
                Some(name) if current != "env" || name == "end" => {
                    current = name;
                    sections.entry(name).or_default();
                }
                _ => sections.entry(current).or_default().push(line),
            }
        }
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in sections.get("files").into_iter().flatten() {
            if let Some((path, line)) = line.split_once(':') {
                files.entry(path).or_default().push(line);
            }
        }
        Self { sections, files }
    }

    fn section(&self, name: &str) -> &[&'a str] {
        self.sections.get(name).map_or(&[], Vec::as_slice)
    }

    fn has(&self, section: &str, line: &str) -> bool {
        self.section(section).contains(&line)
    }

    fn file(&self, path: &str) -> &[&'a str] {
        self.files.get(path).map_or(&[], Vec::as_slice)
    }

    /// The first line of a file, trimmed.
    fn line(&self, path: &str) -> &'a str {
        self.file(path).first().map_or("", |line| line.trim())
    }

    /// `KEY=value` lines of a file, quotes removed.
    fn assignments(&self, path: &str) -> BTreeMap<&'a str, String> {
        let pairs = self
            .file(path)
            .iter()
            .filter_map(|line| line.split_once('='));
        pairs
            .map(|(key, value)| {
                (
                    key.trim(),
                    shlex::split(value).unwrap_or_default().join(" "),
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
