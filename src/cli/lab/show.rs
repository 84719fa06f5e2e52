//! What `hactl lab` shows: labs with their hosts, and what the machine lacks.

use super::Site;
use crate::base::{Result, exit};
use crate::cli::Global;
use crate::lab::doctor;
use crate::lab::keeper::Keeper;
use crate::lab::orphans;
use crate::lab::spec::Kind;
use crate::lab::state::{self, Cut, Lab, Places};
use crate::report;
use std::fmt::Write as _;

/// All labs of the folder.
pub(super) fn list(global: &Global, places: &Places) -> Result<u8> {
    let mut labs = Vec::new();
    let mut text = String::new();
    for name in state::names(&places.base) {
        let places = Places::new(places.base.clone(), &name);
        let Some(lab) = Lab::load(&places)? else {
            continue;
        };
        let site = if lab.keeper.as_ref().is_some_and(Keeper::is_alive) {
            Some(Site::open(&places)?)
        } else {
            None
        };
        let _ = writeln!(
            text,
            "{name} ({}): {}",
            lab.provider.word(),
            if site.is_some() {
                "up"
            } else {
                "down (not cleaned: `hactl lab down`)"
            }
        );
        let mut hosts = Vec::new();
        for host in &lab.hosts {
            let word = site
                .as_ref()
                .map_or("gone", |site| site.provider.state(host).word());
            let cuts: Vec<String> = lab
                .cuts
                .iter()
                .filter(|cut| cut.host == host.name || cut.from.as_ref() == Some(&host.name))
                .map(|cut| cut_off(cut, &host.name))
                .collect();
            let note = if cuts.is_empty() {
                String::new()
            } else {
                format!("  cut off from {}", cuts.join(", "))
            };
            let _ = writeln!(
                text,
                "  {:12} {:15} {word}{note}",
                host.name,
                host.address.to_string()
            );
            hosts.push(serde_json::json!({"name": host.name, "address": host.address, "state": word, "image": host.image.as_ref().map(|given| &given.file), "cut_off_from": cuts}));
        }
        labs.push(serde_json::json!({"name": name, "up": site.is_some(), "folder": places.root, "provider": lab.provider, "with_python": lab.with_python, "image": lab.image, "hosts": hosts}));
    }
    let mut lost = Vec::new();
    for orphan in orphans::find() {
        let _ = writeln!(
            text,
            "process {}: up, but its folder {} is gone: `hactl lab gc` ends it",
            orphan.keeper.pid,
            orphan.folder.display()
        );
        lost.push(serde_json::json!({"folder": orphan.folder, "process": orphan.keeper.pid}));
    }
    report::out(&if global.json {
        format!("{}\n", serde_json::json!({"labs": labs, "orphans": lost}))
    } else {
        text
    });
    Ok(exit::DONE)
}

fn cut_off(cut: &Cut, host: &str) -> String {
    match &cut.from {
        None => "everyone".to_owned(),
        Some(other) if cut.host == host => other.clone(),
        Some(_) => cut.host.clone(),
    }
}

/// What the machine has and lacks; exit code 1 when something is missing.
pub(super) fn doctor(global: &Global, packages: bool, only: Option<Kind>) -> Result<u8> {
    let kinds = [only.unwrap_or(Kind::Container)];
    if packages {
        report::out(&format!("{}\n", doctor::packages(&kinds).join(" ")));
        return Ok(exit::DONE);
    }
    let findings = doctor::examine(&kinds);
    if global.json {
        let rows = findings.iter().map(|finding| {
            let (ok, text) = (finding.found.is_ok(), finding.found.as_ref().unwrap_or_else(|problem| problem));
            serde_json::json!({"what": finding.what, "ok": ok, "found": text, "package": finding.package})
        });
        report::out(&format!(
            "{}\n",
            serde_json::json!({"findings": rows.collect::<Vec<_>>()})
        ));
        return doctor::require(&kinds).map(|()| exit::DONE);
    }
    for finding in findings {
        let (mark, text) = match &finding.found {
            Ok(found) => ("ok     ", found),
            Err(problem) => ("MISSING", problem),
        };
        report::out(&format!("{mark} {:20} {text}\n", finding.what));
    }
    doctor::require(&kinds).map(|()| exit::DONE)
}
