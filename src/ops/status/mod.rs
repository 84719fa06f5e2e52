//! `status`: one look at a service, and the truth about it. One round trip a host; changes nothing, and takes no lock, so that
//! it can be asked while an operation is under way.
//!
//! What was not seen is unknown, and never shown as fine.

mod certificates;
pub mod databases;
mod front;
mod host_probe;
mod lines;
mod loss;
pub mod past;
mod promises;
mod single;
#[cfg(test)]
pub mod snapshots;
pub mod status_report;
#[cfg(test)]
mod tests;

pub use lines::Lines;
pub use status_report::StatusReport;

use crate::base::{Diagnostic, Result};
use crate::ops::database::postgresql::probe as database;
use crate::ops::database::postgresql::view::Member;
use crate::ops::database::postgresql::{Cluster, VARIABLES};
use crate::ops::hosts::Site;
use host_probe::{COMPONENTS, HostSeen};
use status_report::{HostLine, Severity, StatusFinding};
use std::collections::BTreeMap;

/// All variables that are read.
pub fn variables() -> Vec<&'static str> {
    VARIABLES
        .iter()
        .chain(host_probe::VARIABLES)
        .chain(crate::ops::backup::VARIABLES)
        .copied()
        .collect()
}

/// Everything that one look has seen.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// What the inventory says.
    pub site: &'a Site,
    /// The databases.
    pub cluster: Cluster,
    /// Every host, or why it could not be asked.
    pub hosts: BTreeMap<String, Result<HostSeen>>,
    /// Seconds since 1970, by this machine's clock.
    pub now: u64,
    /// Round trips of each host since its connection was opened.
    pub round_trips: BTreeMap<String, u64>,
}

/// Looks at every host once.
pub async fn observe<'a>(site: &'a Site, lines: &mut Lines) -> Snapshot<'a> {
    let before: BTreeMap<&str, u64> = site
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), lines.round_trips(&host.name)))
        .collect();
    let work = site
        .hosts
        .iter()
        .map(|host| (host.name.clone(), host_probe::requests(site, host)))
        .collect();
    let mut answers = lines.round(work).await;
    let mut hosts = BTreeMap::new();
    let mut nodes = BTreeMap::new();
    for host in &site.hosts {
        let read = match answers.remove(&host.name) {
            Some(Ok(answer)) => host_probe::read(site, host, &answer.replies),
            Some(Err(error)) => Err(error),
            None => Err(Diagnostic::with_code(
                crate::base::exit::UNREACHABLE,
                "the host was not asked",
            )
            .on(&host.name)),
        };
        hosts.insert(
            host.name.clone(),
            read.map(|(seen, node)| {
                nodes.extend(node.map(|node| (host.name.clone(), node)));
                seen
            }),
        );
    }
    let members = site
        .members("postgresql")
        .iter()
        .filter_map(|name| {
            let lost = || match hosts.get(name)? {
                Ok(_) => None,
                Err(error) => Some(Err(error.clone())),
            };
            Some(Member {
                host: name.clone(),
                address: database::address(site, name),
                seen: nodes.remove(name).or_else(lost)?,
            })
        })
        .collect();
    let round_trips = site
        .hosts
        .iter()
        .map(|host| {
            let trips = lines.round_trips(&host.name);
            let before = before.get(host.name.as_str()).copied().unwrap_or_default();
            (host.name.clone(), trips.saturating_sub(before))
        })
        .collect();
    Snapshot {
        site,
        cluster: Cluster { members },
        hosts,
        now: crate::ops::operation::journal::seconds(),
        round_trips,
    }
}

impl Snapshot<'_> {
    /// A host that answered.
    fn host(&self, name: &str) -> Option<&HostSeen> {
        self.hosts.get(name)?.as_ref().ok()
    }

    /// Whether a host answered.
    fn reached(&self, name: &str) -> bool {
        self.host(name).is_some()
    }

    /// The hosts that answered.
    fn answered(&self) -> impl Iterator<Item = (&str, &HostSeen)> {
        self.site
            .hosts
            .iter()
            .filter_map(|host| Some((host.name.as_str(), self.host(&host.name)?)))
    }

    /// The host of an address, as far as it is known.
    fn at(&self, address: &str) -> Option<&str> {
        self.site
            .hosts
            .iter()
            .find(|host| {
                host.name == address || database::address(self.site, &host.name) == address
            })
            .map(|host| host.name.as_str())
    }

    /// Everything that is to be said.
    pub fn report(&self) -> StatusReport {
        let mut findings = Vec::new();
        let databases = self.databases(&mut findings);
        let primary = databases
            .as_ref()
            .and_then(|databases| databases.primary.clone());
        let virtual_address = self.virtual_address(&mut findings);
        let balancers = self.balancers(&mut findings);
        let applications = self.applications(primary.as_deref(), &mut findings);
        self.file_server(&mut findings);
        self.certificates(&mut findings);
        let unfinished = self.unfinished(&mut findings);
        self.broken_by_drills(&mut findings);
        self.overridden(&mut findings);
        let marks = self.marks(&mut findings);
        for (host, error) in self
            .hosts
            .iter()
            .filter_map(|(host, seen)| Some((host, seen.as_ref().err()?)))
        {
            findings.push(StatusFinding::new(
                Severity::Unknown,
                format!("{host} could not be asked: {}", reason(error)),
                error
                    .help
                    .clone()
                    .unwrap_or_else(|| format!("hactl ssh {host} shows what ssh says")),
            ));
        }
        // The order of finding stays within one severity.
        findings.sort_by_key(|finding| finding.severity);
        let mut report = StatusReport {
            now: self.now,
            hosts: self.host_lines(),
            findings,
            databases,
            virtual_address,
            balancers,
            applications,
            unfinished,
            marks,
            last: self.last(),
            ..StatusReport::default()
        };
        report.single_points = single::single_points(self, &report);
        report.judge();
        report
    }

    fn host_lines(&self) -> Vec<HostLine> {
        self.site
            .hosts
            .iter()
            .map(|host| HostLine {
                host: host.name.clone(),
                components: COMPONENTS
                    .into_iter()
                    .filter(|group| host_probe::is(self.site, group, &host.name))
                    .map(str::to_owned)
                    .collect(),
                reached: self.reached(&host.name),
                why: self
                    .hosts
                    .get(&host.name)
                    .and_then(|seen| Some(reason(seen.as_ref().err()?))),
                round_trips: self
                    .round_trips
                    .get(&host.name)
                    .copied()
                    .unwrap_or_default(),
            })
            .collect()
    }
}

/// Why a host could not be asked, in one line.
fn reason(error: &Diagnostic) -> String {
    let note = error
        .notes
        .iter()
        .flat_map(|note| note.lines())
        .rfind(|line| !line.trim().is_empty());
    match note {
        Some(note) => format!("{} ({})", error.message, note.trim()),
        None => error.message.clone(),
    }
}
