//! The host's Python as facts. hactl needs none; roles choose names of packages by it.
//!
//! On a host without Python it is the one that its distribution would install: a role that asks for the version wants to
//! know which packages fit.

use super::Sections;
use crate::base::value::{Map, Value};
use serde_json::json;

/// The versions that distributions install, by the codenames of their releases.
const OF_RELEASES: &[(&str, &str)] = &[
    ("bullseye", "3.9.2"),
    ("bookworm", "3.11.2"),
    ("trixie", "3.13.5"),
    ("focal", "3.8.10"),
    ("jammy", "3.10.12"),
    ("noble", "3.12.3"),
];
const OTHERS: &str = "3.13.0";

/// Adds them; the release's codename is known already.
pub(super) fn add(seen: &Sections, facts: &mut Map<String, Value>) {
    let mut lines = seen.section("python").iter();
    let path = lines.next().copied().unwrap_or("/usr/bin/python3");
    let said = lines
        .next()
        .and_then(|line| line.strip_prefix("Python "))
        .map(str::trim);
    let release = facts.get("distribution_release").and_then(Value::as_str);
    let usual = OF_RELEASES
        .iter()
        .find(|(name, _)| Some(*name) == release)
        .map_or(OTHERS, |(_, version)| version);
    let version = said.unwrap_or(usual);
    let mut numbers = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or_default()
    });
    let mut number = || numbers.next().unwrap_or_default();
    let (major, minor, micro) = (number(), number(), number());
    facts.insert(
        "python_version".to_owned(),
        json!(format!("{major}.{minor}.{micro}")),
    );
    facts.insert(
        "python".to_owned(),
        json!({
            "executable": path,
            "has_sslcontext": true,
            "type": "cpython",
            "version": {"major": major, "minor": minor, "micro": micro, "releaselevel": "final", "serial": 0},
            "version_info": [major, minor, micro, "final", 0],
        }),
    );
}
