//! One look at the virtual address: who has it, who could have it, and where two other hosts find it.

use super::FLAG;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::entrance::maintenance::{self, Note};
use crate::ops::hosts::Site;
use crate::ops::http::{self, Call};
use crate::ops::operation::context::reason;
use crate::ops::operation::journal;
use serde_json::Value;
use std::collections::BTreeMap;

/// All addresses with their interfaces and hardware addresses.
const ADDRESSES: &str = "ip -j addr show";
/// The last transition that keepalived noted here (roles/keepalived, note-transition).
const STATE: &str = "tail -n 1 /var/log/keepalived_failover.log 2>/dev/null; :";
const UNITS: &str = "systemctl is-active keepalived haproxy; :";
const CHECK: &str = "timeout 5 /etc/keepalived/scripts/check-haproxy";
const PRIORITY: &str = r"sed -n 's/^[[:space:]]*priority[[:space:]]\{1,\}//p' /etc/keepalived/keepalived.conf 2>/dev/null; :";

/// Where the address is served, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address, without prefix.
    pub address: String,
    /// The port at which the service answers there.
    pub port: u16,
    /// What is asked of it.
    pub path: String,
    /// The hosts that may have it.
    pub balancers: Vec<String>,
    /// All other hosts, of different kinds first.
    pub others: Vec<String>,
}

impl Place {
    /// Reads it from the inventory.
    ///
    /// # Errors
    /// When the stack has no virtual address.
    pub fn of(site: &Site) -> Result<Self> {
        let balancers = site.members("keepalived").to_vec();
        let first = balancers
            .first()
            .and_then(|name| site.host(name))
            .ok_or_else(|| {
                Diagnostic::new(
                    "this service has no virtual address: no host is in the group `keepalived`",
                )
                .help("hactl inventory graph shows the groups; -i names the inventory")
            })?;
        let address = first.text("keepalived_vip", "");
        let address = address.split('/').next().unwrap_or_default().to_owned();
        if address.is_empty() {
            return Err(Diagnostic::new("`keepalived_vip` is not set").on(&first.name));
        }
        let mut others: Vec<(usize, String)> = Vec::new();
        let mut kinds: Vec<(&Vec<String>, usize)> = Vec::new();
        for host in site.hosts.iter().filter(|h| !balancers.contains(&h.name)) {
            let turn = match kinds.iter_mut().find(|(groups, _)| **groups == host.groups) {
                Some((_, turn)) => {
                    *turn += 1;
                    *turn
                }
                None => {
                    kinds.push((&host.groups, 0));
                    0
                }
            };
            others.push((turn, host.name.clone()));
        }
        others.sort_by_key(|(turn, _)| *turn);
        Ok(Self {
            address,
            port: first.number("haproxy_port", 80),
            path: first.text("haproxy_health_path", "/"),
            balancers,
            others: others.into_iter().map(|(_, name)| name).collect(),
        })
    }
}

/// A host that may have the address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Balancer {
    /// Its name.
    pub host: String,
    /// Why it could not be asked.
    pub lost: Option<String>,
    /// It has the address.
    pub holds: bool,
    /// The hardware address of the interface that has it.
    pub mac: Option<String>,
    /// What stands in the flag; empty without the file.
    pub flag: String,
    /// What systemd says of keepalived.
    pub keepalived: String,
    /// What systemd says of HAProxy.
    pub haproxy: String,
    /// The exit code of keepalived's own check.
    pub check: Option<i32>,
    /// Its priority.
    pub priority: Option<u8>,
    /// The last transition that keepalived noted: MASTER, BACKUP or FAULT.
    pub state: Option<String>,
    /// When that was.
    pub since: Option<String>,
    /// Who took it out of service.
    pub notes: Vec<Note>,
}

impl Balancer {
    /// Whether its flag keeps the address away.
    pub fn is_flagged(&self) -> bool {
        !self.flag.trim_start_matches('0').is_empty()
    }

    /// The note of a maintenance of this host.
    pub fn maintenance(&self) -> Option<&Note> {
        self.notes.iter().find(|note| note.is_of_host())
    }

    /// Everything that keeps it from taking the address; nothing when it can.
    pub fn obstacles(&self) -> Vec<String> {
        if let Some(why) = &self.lost {
            return vec![format!("it cannot be reached: {why}")];
        }
        let mut wrong = Vec::new();
        for (unit, state) in [("keepalived", &self.keepalived), ("HAProxy", &self.haproxy)] {
            if state != "active" {
                wrong.push(format!("{unit} does not run there ({state})"));
            }
        }
        if self.check != Some(0) {
            let code = self.check.map_or_else(
                || "it did not run".to_owned(),
                |code| format!("exit code {code}"),
            );
            wrong.push(format!(
                "keepalived's check of HAProxy fails there ({code})"
            ));
        }
        if self.is_flagged() {
            wrong.push(match self.maintenance() {
                Some(note) => format!("it is in maintenance ({note})"),
                None => format!("its flag {FLAG} is {}, not 0", self.flag),
            });
        } else if self.state.as_deref() == Some("FAULT") && wrong.is_empty() {
            wrong.push("keepalived noted a fault there and no end of it".to_owned());
        }
        wrong
    }
}

/// The address as another host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// That host.
    pub host: String,
    /// The hardware address at which it finds the virtual one; nothing when that is behind a router.
    pub mac: Option<String>,
    /// The status that a request through it got, or why there was no answer.
    pub answer: Result<u16, String>,
}

/// All that was seen at once.
#[derive(Debug, Clone, PartialEq)]
pub struct VipSnapshot {
    /// The address.
    pub address: String,
    /// The hosts that may have it.
    pub balancers: Vec<Balancer>,
    /// Hosts that have it and may not.
    pub strays: Vec<String>,
    /// Two others.
    pub viewers: Vec<Viewer>,
    /// Unfinished operations: the host, and the header of its file.
    pub operations: Vec<(String, Value)>,
    /// Hosts that cannot be asked, and why.
    pub lost: Vec<(String, Diagnostic)>,
}

impl VipSnapshot {
    /// Every host that has the address.
    pub fn holders(&self) -> Vec<&str> {
        self.balancers
            .iter()
            .filter(|balancer| balancer.holds)
            .map(|balancer| balancer.host.as_str())
            .chain(self.strays.iter().map(String::as_str))
            .collect()
    }

    /// A balancer by name.
    pub fn balancer(&self, host: &str) -> Option<&Balancer> {
        self.balancers.iter().find(|balancer| balancer.host == host)
    }

    /// Which host a viewer's hardware address belongs to.
    pub fn place_of(&self, viewer: &Viewer) -> Option<&str> {
        let mac = viewer.mac.as_deref()?;
        self.balancers
            .iter()
            .find(|balancer| balancer.mac.as_deref() == Some(mac))
            .map(|balancer| balancer.host.as_str())
    }

    /// Whether exactly this host has it, and the others find it there and get answers. The first thing that does not hold.
    pub fn objection(&self, host: &str) -> Option<String> {
        let holders = self.holders();
        if holders != [host] {
            return Some(format!("{} is on {}", self.address, list(&holders)));
        }
        for viewer in &self.viewers {
            if let Err(why) = &viewer.answer {
                return Some(format!("{} gets no answer there: {why}", viewer.host));
            }
            if viewer.mac.is_some() && self.place_of(viewer) != Some(host) {
                return Some(format!("{} still finds it elsewhere", viewer.host));
            }
        }
        None
    }
}

/// `lb1 and lb2`, or `no host`.
pub fn list(names: &[&str]) -> String {
    match names {
        [] => "no host".to_owned(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Looks at everything, in one round.
pub async fn observe(place: &Place, pool: &mut ConnectionPool) -> VipSnapshot {
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let viewers: Vec<&String> = place
        .others
        .iter()
        .filter(|host| reached.contains(host))
        .take(2)
        .collect();
    let mut work = BTreeMap::new();
    for host in &place.balancers {
        let mut asks = few();
        asks.extend([UNITS, CHECK, PRIORITY].map(Request::sh));
        asks.push(maintenance::ask());
        asks.push(journal::header());
        work.insert(host.clone(), asks);
    }
    let web = Call::get(&place.address, place.port, &place.path).request();
    let neighbour = Request::sh(format!("ip -o neigh show to {}", sh(&place.address)));
    for host in &place.others {
        let mut asks = vec![Request::sh(ADDRESSES), journal::header()];
        if viewers.contains(&host) {
            // The neighbour is known after the request.
            asks.extend([web.clone(), neighbour.clone()]);
        }
        work.insert(host.clone(), asks);
    }
    let mut seen = VipSnapshot {
        address: place.address.clone(),
        balancers: Vec::new(),
        strays: Vec::new(),
        viewers: Vec::new(),
        operations: Vec::new(),
        lost: Vec::new(),
    };
    let mut answers = pool.round(work).await;
    for host in place.balancers.iter().chain(&place.others) {
        let replies = match answers.remove(host) {
            Some(Ok(answer)) => answer.replies,
            Some(Err(error)) => {
                if place.balancers.contains(host) {
                    seen.balancers.push(Balancer {
                        host: host.clone(),
                        lost: Some(reason(&error)),
                        ..Balancer::default()
                    });
                }
                seen.lost.push((host.clone(), error));
                continue;
            }
            None => continue,
        };
        let last = match replies.as_slice() {
            [
                addresses,
                flag,
                state,
                units,
                check,
                priority,
                notes,
                operation,
            ] if place.balancers.contains(host) => {
                let mut one = balancer(host, &place.address, [addresses, flag, state]);
                let text = units.out();
                let mut units = text.lines().map(str::to_owned);
                one.keepalived = units.next().unwrap_or_default();
                one.haproxy = units.next().unwrap_or_default();
                one.check = Some(check.code);
                one.priority = priority
                    .out()
                    .lines()
                    .next()
                    .and_then(|p| p.trim().parse().ok());
                one.notes = maintenance::parse(&notes.out()).unwrap_or_default();
                seen.balancers.push(one);
                Some(operation)
            }
            [addresses, operation, rest @ ..] => {
                if holds(&addresses.out(), &place.address).is_some() {
                    seen.strays.push(host.clone());
                }
                if let [web, neighbour] = rest {
                    seen.viewers.push(Viewer {
                        host: host.clone(),
                        mac: lladdr(&neighbour.out()),
                        answer: http::response(web).map(|answer| answer.status),
                    });
                }
                Some(operation)
            }
            _ => None,
        };
        if let Some(header) = last.and_then(unfinished) {
            seen.operations.push((host.clone(), header));
        }
    }
    seen
}

/// The balancers only, and of them only what changes when the address moves.
pub async fn glance(place: &Place, pool: &mut ConnectionPool) -> Vec<Balancer> {
    let work = place
        .balancers
        .iter()
        .map(|host| (host.clone(), few()))
        .collect();
    pool.round(work)
        .await
        .into_iter()
        .map(|(host, answer)| {
            let replies = match answer {
                Ok(answer) => answer.replies,
                Err(error) => {
                    return Balancer {
                        host,
                        lost: Some(reason(&error)),
                        ..Balancer::default()
                    };
                }
            };
            match replies.as_slice() {
                [addresses, flag, state] => {
                    balancer(&host, &place.address, [addresses, flag, state])
                }
                _ => Balancer {
                    host,
                    ..Balancer::default()
                },
            }
        })
        .collect()
}

fn few() -> Vec<Request> {
    vec![
        Request::sh(ADDRESSES),
        Request::sh(format!("cat {FLAG} 2>/dev/null; :")),
        Request::sh(STATE),
    ]
}

fn balancer(host: &str, address: &str, [addresses, flag, state]: [&Reply; 3]) -> Balancer {
    let interface = holds(&addresses.out(), address);
    let text = state.out();
    let words: Vec<&str> = text.split_whitespace().collect();
    Balancer {
        host: host.to_owned(),
        holds: interface.is_some(),
        mac: interface,
        flag: flag.out().trim().to_owned(),
        state: words.get(3).map(|word| (*word).to_owned()),
        since: words.first().map(|word| (*word).to_owned()),
        ..Balancer::default()
    }
}

/// The hardware address of the interface that has the address, in what `ip -j addr` prints.
fn holds(text: &str, address: &str) -> Option<String> {
    let interfaces: Vec<Value> = serde_json::from_str(text).ok()?;
    interfaces.iter().find_map(|interface| {
        let has = interface["addr_info"]
            .as_array()?
            .iter()
            .any(|info| info["local"] == address);
        has.then(|| interface["address"].as_str().unwrap_or_default().to_owned())
    })
}

fn lladdr(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| !line.contains("FAILED") && !line.contains("INCOMPLETE"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

/// The header of an unfinished operation. What cannot be read is one too.
fn unfinished(reply: &Reply) -> Option<Value> {
    let text = reply.out();
    let line = text.trim();
    (!line.is_empty()).then(|| {
        serde_json::from_str(line)
            .unwrap_or_else(|_| serde_json::json!({ "kind": "unreadable", "text": line }))
    })
}

#[cfg(test)]
mod tests;
