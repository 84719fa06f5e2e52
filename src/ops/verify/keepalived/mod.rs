//! The virtual address: on exactly one host, as the hosts themselves say and as two others see it.

mod pair;

use super::check::{Check, Findings, Verdict};
use super::common::{ADDRESSES, LINKS};
use super::component::{Component, View, ask_units, judge_units, list};
use super::observations::{Ask, Observations, last_words};
use super::parse;
use crate::base::quote::sh;
use crate::ops::hosts::Host;
use crate::ops::http::Call;

/// The component.
pub struct Keepalived;

const UNITS: &[&str] = &["keepalived.service"];
/// What of the configuration is compared; the password is not brought here.
const SETTINGS: &str = r"sed -n -e '/unicast_peer/,/}/p' -e '/virtual_ipaddress/,/}/p' -e '/^[[:space:]]*\(state\|nopreempt\|virtual_router_id\|advert_int\|priority\|unicast_src_ip\)\b/p' /etc/keepalived/keepalived.conf";

static RUNNING: Check = Check::fail(
    "keepalived.running",
    "keepalived runs and starts with the host",
    "systemctl enable --now keepalived",
);
static CONFIG: Check = Check::fail(
    "keepalived.config",
    "its configuration is valid and no script is disabled",
    "keepalived -t says what is wrong; scripts must belong to root and be writable by nobody else",
);
static ONE: Check = Check::fail(
    "keepalived.one-holder",
    "the virtual address is on exactly one host",
    "two holders: the hosts do not hear each other (IP protocol 112, peers, router id); none: see journalctl -u keepalived on both",
);
static MAC: Check = Check::fail(
    "keepalived.seen-at-holder",
    "the others reach the virtual address at its holder",
    "the neighbours keep a stale entry: ip neigh flush to the address, or restart keepalived on the holder",
);
static ANSWERS: Check = Check::fail(
    "keepalived.answers",
    "the service answers at the virtual address",
    "check the load balancer that holds the address",
);
static PEERS: Check = Check::fail(
    "keepalived.peers",
    "the hosts know each other and agree",
    "deploy again to all of them",
);
static SCRIPT: Check = Check::fail(
    "keepalived.check-script",
    "its check of the load balancer succeeds by hand",
    "run /etc/keepalived/scripts/check-haproxy; while it fails the host cannot take the address",
);
static FLAG: Check = Check::warn(
    "keepalived.maintenance",
    "no host is in maintenance",
    "echo 0 >/etc/keepalived/maintenance lets it hold the address again",
);

static CHECKS: &[&Check] = &[
    &RUNNING,
    &CONFIG,
    &ONE,
    &MAC,
    &ANSWERS,
    &PEERS,
    &pair::SECRET,
    &SCRIPT,
    &pair::NOTICES,
    &pair::OWNED,
    &pair::JOURNAL,
    &pair::STATE,
    &FLAG,
];

impl Component for Keepalived {
    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "keepalived_vip",
            "keepalived_router_id",
            "keepalived_advert_interval",
        ]
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut asks = Vec::new();
        if view.site.members(self.name()).contains(&host.name) {
            asks.push(ask_units("keepalived.units", UNITS));
            asks.push(Ask::sh("keepalived.config", "keepalived -t 2>&1"));
            asks.push(Ask::sh("keepalived.settings", SETTINGS));
            asks.push(Ask::sh(
                "keepalived.script",
                "timeout 5 /etc/keepalived/scripts/check-haproxy",
            ));
            asks.push(Ask::sh(
                "keepalived.flag",
                "cat /etc/keepalived/maintenance 2>/dev/null; :",
            ));
            asks.extend(pair::asks());
        }
        if view.is_viewer(host)
            && let (Some(address), Some((_, port))) = (view.virtual_address(), view.entrance())
        {
            let path = path(view);
            asks.push(Ask::new(
                "keepalived.answers",
                Call::get(&address, port, &path).request(),
            ));
            // After the request above: the neighbour is known then.
            asks.push(Ask::sh(
                "keepalived.neighbour",
                format!("ip -o neigh show to {}", sh(&address)),
            ));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let members = view.site.members(self.name());
        seen.judge_each(
            findings,
            &RUNNING,
            members,
            "keepalived.units",
            |_, reply| judge_units(reply, UNITS),
        );
        seen.judge_each(
            findings,
            &CONFIG,
            members,
            "keepalived.config",
            |_, reply| {
                let text = reply.out();
                let disabled = text
                    .lines()
                    .find(|line| line.to_lowercase().contains("disabl"));
                match (reply.code, disabled) {
                    (0, None) => Verdict::Good("valid".to_owned()),
                    (_, Some(line)) => Verdict::bad("a valid configuration", line.trim()),
                    _ => Verdict::bad("a valid configuration", last_words(reply)),
                }
            },
        );
        let Some(address) = view.virtual_address() else {
            let missing = Verdict::bad("keepalived_vip in the inventory", "it is not set");
            return findings.add(&ONE, "", missing);
        };
        let holders = self.holders(view, seen, &address, findings);
        for viewer in &view.viewers {
            let place = format!("{address} seen from {viewer}");
            let answers = seen.answers(viewer, "keepalived.answers");
            findings.add(&ANSWERS, &place, answers);
            findings.add(&MAC, &place, neighbour(seen, viewer, &holders));
        }
        seen.judge_each(
            findings,
            &PEERS,
            members,
            "keepalived.settings",
            |host, reply| settings(view, members, host, &reply.out()),
        );
        seen.judge_each(
            findings,
            &SCRIPT,
            members,
            "keepalived.script",
            |_, reply| {
                Verdict::of(
                    reply.code == 0,
                    "exit code 0",
                    format!("exit code {}", reply.code),
                )
            },
        );
        seen.judge_each(findings, &FLAG, members, "keepalived.flag", |_, reply| {
            let flag = reply.out().trim().to_owned();
            let off = flag.is_empty() || flag == "0";
            Verdict::of(
                off,
                "0 in /etc/keepalived/maintenance",
                if off { "no".to_owned() } else { flag },
            )
        });
        pair::judge(view, seen, &holders, findings);
    }
}

impl Keepalived {
    /// The hosts that have the address, with its interface. All hosts are looked at, not only those that may have it.
    fn holders(
        &self,
        view: &View<'_>,
        seen: &Observations,
        address: &str,
        findings: &mut Findings,
    ) -> Vec<(String, String)> {
        let (mut holders, mut unknown) = (Vec::new(), Vec::new());
        for host in &view.site.hosts {
            match seen.reply(&host.name, ADDRESSES) {
                Ok(reply) if reply.code == 0 => holders.extend(
                    parse::addresses(&reply.out())
                        .into_iter()
                        .filter(|(_, found)| found == address)
                        .map(|(interface, _)| (host.name.clone(), interface)),
                ),
                _ if view.site.members(self.name()).contains(&host.name) => {
                    unknown.push(host.name.clone());
                }
                _ => {}
            }
        }
        let names = list(holders.iter().map(|(host, _)| host.as_str()));
        let may = view.site.members(self.name());
        let verdict = match (holders.as_slice(), unknown.first()) {
            ([(host, _)], None) if may.contains(host) => {
                Verdict::Good(format!("{address} is on {host}"))
            }
            // Another one may have it as well.
            ([_], Some(host)) => Verdict::Unreached(host.clone()),
            ([], Some(host)) => Verdict::bad(
                format!(
                    "{address} on one of {}",
                    list(may.iter().map(String::as_str))
                ),
                format!("on none of those that were reached ({host} was not)"),
            ),
            _ => Verdict::bad(
                format!(
                    "{address} on one of {}",
                    list(may.iter().map(String::as_str))
                ),
                format!("on {names}"),
            ),
        };
        findings.add(&ONE, "", verdict);
        holders
    }
}

fn path(view: &View<'_>) -> String {
    view.site
        .members("haproxy")
        .first()
        .and_then(|name| view.site.host(name))
        .map_or_else(
            || "/".to_owned(),
            |host| host.text("haproxy_health_path", "/"),
        )
}

/// Whether a host reaches the address at the one that holds it.
fn neighbour(seen: &Observations, viewer: &str, holders: &[(String, String)]) -> Verdict {
    let reply = match seen.reply(viewer, "keepalived.neighbour") {
        Ok(reply) => reply,
        Err(verdict) => return verdict,
    };
    if holders.iter().any(|(host, _)| host == viewer) {
        return Verdict::Good("it holds the address itself".to_owned());
    }
    let Some(mac) = parse::neighbour(&reply.out()) else {
        return Verdict::Unknown(
            "it has no neighbour entry for the address (another network?)".to_owned(),
        );
    };
    let [(host, interface)] = holders else {
        let holders = match holders {
            [] => "no host has it".to_owned(),
            many => format!(
                "{} have it",
                list(many.iter().map(|(host, _)| host.as_str()))
            ),
        };
        return Verdict::bad("at the one holder", format!("at {mac}, while {holders}"));
    };
    match seen
        .reply(host, LINKS)
        .map(|reply| parse::links(&reply.out()).remove(interface))
    {
        Ok(Some(own)) => Verdict::of(
            own == mac,
            format!("at {own} ({host})"),
            format!(
                "at {mac}{}",
                if own == mac {
                    format!(" ({host})")
                } else {
                    String::new()
                }
            ),
        ),
        Ok(None) => Verdict::Unknown(format!(
            "{host} does not say the hardware address of {interface}"
        )),
        Err(verdict) => verdict,
    }
}

/// Compares what two hosts of a pair must agree on.
fn settings(view: &View<'_>, members: &[String], host: &str, text: &str) -> Verdict {
    let words: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let value = |key: &str| {
        words
            .iter()
            .find(|line| line.first() == Some(&key))
            .map(|line| line.get(1).copied().unwrap_or("set"))
    };
    let mut wrong = Vec::new();
    let wanted = view
        .site
        .host(host)
        .map_or_else(String::new, |host| host.text("keepalived_router_id", "51"));
    if value("virtual_router_id") != Some(&wanted) {
        wrong.push(format!(
            "virtual_router_id is {}, not {wanted}",
            value("virtual_router_id").unwrap_or("not set")
        ));
    }
    if value("state") != Some("BACKUP") || value("nopreempt").is_none() {
        wrong.push(
            "it takes the address back by itself (state BACKUP with nopreempt does not)".to_owned(),
        );
    }
    for peer in members.iter().filter(|member| *member != host) {
        let address = view.address(peer);
        if !words
            .iter()
            .any(|line| line.as_slice() == [address.as_str()])
        {
            wrong.push(format!("{peer} ({address}) is not among its peers"));
        }
    }
    if let Some(address) = view.virtual_address()
        && !words.iter().any(|line| {
            line.first()
                .is_some_and(|word| word.split('/').next() == Some(&address))
        })
    {
        wrong.push(format!("{address} is not its virtual address"));
    }
    let pace = view.site.host(host).map_or_else(
        || "1".to_owned(),
        |host| host.text("keepalived_advert_interval", "1"),
    );
    if value("advert_int") != Some(&pace) {
        wrong.push(format!(
            "advert_int is {}, not {pace}",
            value("advert_int").unwrap_or("not set")
        ));
    }
    let expected = format!("router id {wanted}, all others as peers, no preemption");
    if wrong.is_empty() {
        Verdict::Good(expected)
    } else {
        Verdict::bad(expected, wrong.join("; "))
    }
}
