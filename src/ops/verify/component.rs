//! What a component of a stack brings to `verify`: its checks, its questions, its judgement.
//!
//! A component is pure: it says what to ask and judges what was answered. Which components a stack has follows from the groups
//! of its inventory.

use super::check::{Check, Findings, Verdict};
use super::observations::{Ask, Observations};
use super::parse;
use crate::base::quote::sh;
use crate::modules::{Reply, Request};
use crate::ops::hosts::{Host, Site};
use std::collections::BTreeMap;

/// A component of a stack.
pub trait Component: Sync {
    /// Its name: the first part of its checks' ids, and the group whose hosts have it.
    fn name(&self) -> &'static str;

    /// All its checks.
    fn checks(&self) -> &'static [&'static Check];

    /// The variables it reads.
    fn variables(&self) -> &'static [&'static str];

    /// Whether the stack has it.
    fn applies(&self, site: &Site) -> bool {
        !site.members(self.name()).is_empty()
    }

    /// What to ask of a host; one round trip for all components together.
    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask>;

    /// Judges the answers.
    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings);

    /// What to try out on the service, after the questions.
    fn trial(&self, _view: &View<'_>, _seen: &Observations) -> Option<Box<dyn Trial>> {
        None
    }
}

/// The requests of one round of a trial, by host.
pub type Round = BTreeMap<String, Vec<Request>>;
/// The replies to it; a host that was lost has none.
pub type Replies = BTreeMap<String, Vec<Reply>>;

/// An experiment over several rounds that leaves no trace.
pub trait Trial: Send {
    /// Reads the replies of the last round and gives the next one; none when it is over.
    fn next(&mut self, replies: &Replies) -> Option<Round>;

    /// Goes to cleaning up, whatever was planned; `next` still has to be called to its end.
    fn stop(&mut self);

    /// Judges what was seen.
    fn judge(&self, findings: &mut Findings);
}

/// The stack, and who looks at it.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// Hosts, groups and variables.
    pub site: &'a Site,
    /// Two hosts from which the service is looked at as its users see it.
    pub viewers: Vec<String>,
}

impl<'a> View<'a> {
    /// Chooses the two hosts that look: reached ones, none that is the entrance, of different kinds if possible.
    pub fn new(site: &'a Site, reached: &[&str]) -> Self {
        let holders = match site.members("keepalived") {
            [] => site.members("haproxy"),
            holders => holders,
        };
        let mut candidates: Vec<&Host> = site
            .hosts
            .iter()
            .filter(|host| reached.contains(&host.name.as_str()))
            .collect();
        candidates.sort_by_key(|host| holders.contains(&host.name));
        let mut viewers: Vec<&Host> = candidates.first().copied().into_iter().collect();
        let second = candidates
            .iter()
            .skip(1)
            .find(|host| {
                // A host that keeps the backups besides is of no other kind.
                let alike = |a: &Host, b: &Host| {
                    a.groups
                        .iter()
                        .any(|group| group != "all" && b.groups.contains(group))
                };
                !holders.contains(&host.name) && !viewers.iter().any(|viewer| alike(viewer, host))
            })
            .or_else(|| candidates.get(1));
        viewers.extend(second);
        Self {
            site,
            viewers: viewers.iter().map(|host| host.name.clone()).collect(),
        }
    }

    /// Whether the host is one of those that look.
    pub fn is_viewer(&self, host: &Host) -> bool {
        self.viewers.contains(&host.name)
    }

    /// The address under which the other hosts reach a host.
    pub fn address(&self, host: &str) -> String {
        self.site.host(host).map_or_else(
            || host.to_owned(),
            |host| host.text("cluster_address", &host.target.address),
        )
    }

    /// The virtual address, without prefix, when the stack has one.
    pub fn virtual_address(&self) -> Option<String> {
        let holder = self.site.members("keepalived").first()?;
        let address = self.site.host(holder)?.text("keepalived_vip", "");
        let address = address.split('/').next().unwrap_or_default();
        (!address.is_empty()).then(|| address.to_owned())
    }

    /// Where users reach the service: the virtual address, or else the first load balancer.
    pub fn entrance(&self) -> Option<(String, u16)> {
        let balancer = self.site.members("haproxy").first()?;
        let port = self.site.host(balancer)?.number("haproxy_port", 80);
        let address = self.virtual_address();
        Some((address.unwrap_or_else(|| self.address(balancer)), port))
    }
}

/// Asks how units are.
pub fn ask_units(key: &str, units: &[&str]) -> Ask {
    let names = units.iter().map(|unit| sh(unit)).collect::<Vec<_>>();
    Ask::sh(
        key,
        format!(
            "systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState -- {}",
            names.join(" ")
        ),
    )
}

/// Judges whether units run and start with the host.
pub fn judge_units(reply: &Reply, wanted: &[&str]) -> Verdict {
    let text = reply.out();
    let units = parse::units(&text);
    let mut wrong = Vec::new();
    for name in wanted {
        let Some(unit) = units.get(*name) else {
            return Verdict::Unknown(format!("systemd says nothing about {name}"));
        };
        let get = |key: &str| unit.get(key).map_or("", String::as_str);
        if get("LoadState") != "loaded" {
            wrong.push(format!("{name} is {}", get("LoadState")));
        } else if get("ActiveState") != "active" {
            wrong.push(format!(
                "{name} is {} ({})",
                get("ActiveState"),
                get("SubState")
            ));
        } else if !matches!(
            get("UnitFileState"),
            "enabled" | "static" | "alias" | "generated"
        ) {
            wrong.push(format!("{name} runs but is {}", get("UnitFileState")));
        }
    }
    let expected = format!("{} active and enabled", wanted.join(", "));
    if wrong.is_empty() {
        return Verdict::Good(expected);
    }
    let first = wanted.first().copied().unwrap_or_default();
    Verdict::bad(expected, wrong.join("; ")).advise(format!(
        "journalctl -u {first} says why; systemctl enable --now {first}, or deploy again"
    ))
}

/// `a, b and c`, or `nobody`.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}
