//! Whether what is declared is in force: settings, checksums, and the observer that tells a failover what was.

use super::super::check::{Findings, Verdict};
use super::super::component::list;
use super::super::observations::Observations;
use super::{CHECKSUMS, IN_FORCE, OBSERVED, ServerState, UNCHECKED, ask};
use crate::base::value::{Value, to_text};
use crate::ops::database::postgresql::observation::{Observation, SILENCE};
use crate::ops::database::postgresql::settings::{NAMES, Overridden};

/// Without them a crash may lose or tear what was acknowledged, whatever is declared.
const DURABLE: &[&str] = &["fsync", "full_page_writes"];

/// Judges one server.
pub fn judge(seen: &Observations, host: &str, server: &ServerState, findings: &mut Findings) {
    let state = match server {
        ServerState::Fenced(_) => return,
        ServerState::Up(state) => state,
        ServerState::Down(_) => {
            let verdict = Verdict::Unknown("it does not run".to_owned());
            findings.add(&IN_FORCE, host, verdict);
            return;
        }
        ServerState::Unclear(verdict) => {
            findings.add(&IN_FORCE, host, verdict.clone());
            return;
        }
    };
    findings.add(&IN_FORCE, host, in_force(state));
    if state["in_recovery"] == true {
        findings.add(&OBSERVED, host, observed(seen, host));
    }
}

/// Judges the checksums of a server's pages.
pub fn checksums(state: &Value, host: &str, findings: &mut Findings) {
    let on = to_text(&state["settings"]["data_checksums"]);
    match (on.as_str(), state["checksum_failures"].as_i64()) {
        ("on", Some(failures)) => {
            let verdict = Verdict::of(
                failures == 0,
                "0 wrong pages",
                format!("{failures} wrong pages"),
            );
            findings.add(&CHECKSUMS, host, verdict);
            findings.add(&UNCHECKED, host, Verdict::Good("on".to_owned()));
        }
        ("off", _) => findings.add(&UNCHECKED, host, Verdict::bad("data_checksums = on", "off")),
        _ => findings.add(
            &CHECKSUMS,
            host,
            Verdict::Unknown("whether there are any is not known".to_owned()),
        ),
    }
}

fn in_force(state: &Value) -> Verdict {
    let Some(rows) = state["overridden"].as_array() else {
        return Verdict::Unknown("its settings cannot be read".to_owned());
    };
    let overridden: Vec<Overridden> = rows
        .iter()
        .filter_map(|row| serde_json::from_value(row.clone()).ok())
        .collect();
    if overridden.len() != rows.len() {
        return Verdict::Unknown("its settings cannot be read".to_owned());
    }
    let mut wrong: Vec<String> = overridden.iter().map(Overridden::words).collect();
    for name in DURABLE {
        let value = to_text(&state["settings"][*name]);
        if value != "on" && !overridden.iter().any(|setting| setting.name == *name) {
            wrong.push(format!("{name} is '{value}'"));
        }
    }
    if wrong.is_empty() {
        return Verdict::Good("all that is declared".to_owned());
    }
    let mut remedies: Vec<String> = overridden
        .iter()
        .map(|setting| match setting.name.as_str() {
            // It is what a failover leaves while there is no standby.
            NAMES => "hactl deploy takes it back once a standby streams (hactl rejoin)".to_owned(),
            _ => setting.remedy(),
        })
        .collect();
    if remedies.is_empty() {
        remedies.push("take it out of postgresql_settings and deploy".to_owned());
    }
    remedies.dedup();
    Verdict::bad(
        "what 50-cluster.conf declares",
        list(wrong.iter().map(String::as_str)),
    )
    .advise(remedies.join("; "))
}

fn observed(seen: &Observations, host: &str) -> Verdict {
    let reply = match seen.reply(host, ask::OBSERVER) {
        Ok(reply) => reply,
        Err(verdict) => return verdict,
    };
    match Observation::read(reply.out().trim_end_matches('\n')) {
        Some(seen) if seen.tried.is_some_and(|tried| tried <= SILENCE) => {
            Verdict::Good(seen.words())
        }
        Some(seen) => Verdict::bad("an observation of each second", seen.words()),
        None => Verdict::bad("an observation of each second", "none"),
    }
}
