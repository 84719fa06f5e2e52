//! Rules about the virtual address and those who hold it.

use super::Severity::{Error, Warn};
use super::{Look, Rule};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "keepalived/no-peer",
        about: "a virtual address with one holder only",
        look: no_peer,
    },
    Rule {
        id: "keepalived/router-id",
        about: "the VRRP router id: 1 to 255, the same on all",
        look: router_id,
    },
    Rule {
        id: "keepalived/auth-pass",
        about: "VRRP uses exactly 8 characters",
        look: auth_pass,
    },
    Rule {
        id: "keepalived/vip",
        about: "the virtual address lies in the hosts' network and is nobody's own",
        look: vip,
    },
    Rule {
        id: "keepalived/priority",
        about: "two holders with one priority",
        look: priority,
    },
    Rule {
        id: "keepalived/nopreempt-weight",
        about: "weights that move the address although it should stay",
        look: weights,
    },
    Rule {
        id: "haproxy/backends",
        about: "a balancer without anything behind it",
        look: backends,
    },
];

const GROUP: &str = "keepalived";

fn no_peer(look: &Look<'_>) {
    if let [only] = look.site.members(GROUP).as_slice() {
        let message =
            format!("the virtual address has no second holder: `{only}` is alone in `{GROUP}`");
        look.report(
            Warn,
            None,
            message,
            "add a second host to `keepalived`, or do without a virtual address",
        );
    }
}

fn router_id(look: &Look<'_>) {
    let name = "keepalived_router_id";
    let mut seen: BTreeMap<i64, String> = BTreeMap::new();
    for host in look.site.members(GROUP) {
        if look.is_hidden(&host, name) {
            continue;
        }
        match look.number(&host, name) {
            Some(id @ 1..=255) => {
                seen.entry(id).or_insert(host);
            }
            Some(id) => {
                look.report(
                    Error,
                    Some((&host, name)),
                    format!("`{name}` is {id}; VRRP has 1 to 255"),
                    "choose a number that no other pair on this network has",
                );
            }
            None => match look.text(&host, name) {
                Some(text) => look.report(
                    Error,
                    Some((&host, name)),
                    format!("`{name}` is no number: `{text}`"),
                    "choose 1 to 255",
                ),
                None => look.report(
                    Error,
                    Some((&host, name)),
                    format!("`{name}` is not set"),
                    "choose 1 to 255, another one for each pair on this network",
                ),
            },
        }
    }
    if seen.len() > 1 {
        let all: Vec<String> = seen
            .iter()
            .map(|(id, host)| format!("{host}: {id}"))
            .collect();
        let message = format!(
            "`{name}` differs ({}): each host will hold the address",
            all.join(", ")
        );
        let about = seen.values().next_back().map(|host| (host.as_str(), name));
        look.report(Error, about, message, "set it once, in `group_vars`");
    }
}

fn auth_pass(look: &Look<'_>) {
    let name = "keepalived_auth_pass";
    for host in look.site.members(GROUP) {
        if let Some(length) = look
            .text(&host, name)
            .map(|text| text.chars().count())
            .filter(|length| *length != 8)
        {
            let message = format!("`{name}` has {length} characters; VRRP uses exactly 8");
            look.report(Error, Some((&host, name)), message, "make it 8 characters: a longer one is cut without a word, and a shorter one is weak");
        }
    }
}

fn vip(look: &Look<'_>) {
    let name = "keepalived_vip";
    let mut vips: BTreeMap<String, String> = BTreeMap::new();
    for host in look.site.members(GROUP) {
        let about = Some((host.as_str(), name));
        if look.is_hidden(&host, name) {
            continue;
        }
        let Some(text) = look.text(&host, name) else {
            look.report(
                Error,
                about,
                format!("`{name}` is not set"),
                "set the virtual address, e.g. 192.168.104.10/24",
            );
            continue;
        };
        vips.entry(text.clone()).or_insert_with(|| host.clone());
        let (address, prefix) = text
            .split_once('/')
            .map_or((text.as_str(), None), |(address, prefix)| {
                (address, Some(prefix))
            });
        if address.contains(':') {
            continue;
        }
        let (Ok(vip), Ok(prefix)) = (
            address.parse::<Ipv4Addr>(),
            prefix.map_or(Ok(32), str::parse::<u32>),
        ) else {
            look.report(
                Error,
                about,
                format!("`{name}` is no address: `{text}`"),
                "write it as 192.168.104.10/24",
            );
            continue;
        };
        if prefix > 32 {
            look.report(
                Error,
                about,
                format!("`{name}` has an impossible prefix: `{text}`"),
                "write it as 192.168.104.10/24",
            );
            continue;
        }
        let own = look
            .text(&host, "cluster_address")
            .or_else(|| look.text(&host, "ansible_host"));
        if let Some(own) = own.as_deref().and_then(|own| own.parse::<Ipv4Addr>().ok())
            && prefix < 32
            && network(own, prefix) != network(vip, prefix)
        {
            let message =
                format!("the virtual address {text} is not in the network of `{host}` ({own})");
            look.report(Error, about, message, "choose an address of the hosts' own network, or set `cluster_address` to the host's address there");
        }
    }
    if vips.len() > 1 {
        let all: Vec<String> = vips
            .iter()
            .map(|(vip, host)| format!("{host}: {vip}"))
            .collect();
        let message = format!("`{name}` differs ({})", all.join(", "));
        let about = vips.values().next_back().map(|host| (host.as_str(), name));
        look.report(Error, about, message, "set it once, in `group_vars`");
    }
    for (vip, holder) in &vips {
        let bare = vip.split('/').next().unwrap_or(vip);
        for host in look.site.hosts() {
            let is_own = |variable| look.text(&host, variable).as_deref() == Some(bare);
            if is_own("cluster_address") || is_own("ansible_host") {
                let message = format!("the virtual address {bare} is the own address of `{host}`");
                look.report(
                    Error,
                    Some((holder, name)),
                    message,
                    "choose an address that no host has",
                );
            }
        }
    }
}

fn network(address: Ipv4Addr, prefix: u32) -> u32 {
    u32::from(address).checked_shr(32 - prefix).unwrap_or(0)
}

fn priority(look: &Look<'_>) {
    let name = "keepalived_priority";
    let mut seen: BTreeMap<i64, String> = BTreeMap::new();
    for host in look.site.members(GROUP) {
        let Some(priority) = look.number(&host, name) else {
            continue;
        };
        if !(1..=254).contains(&priority) {
            look.report(
                Error,
                Some((&host, name)),
                format!("`{name}` is {priority}; VRRP has 1 to 254"),
                "choose 100 for the first, 90 for the second",
            );
        }
        match seen.get(&priority) {
            Some(other) => {
                let message = format!("`{other}` and `{host}` have the same `{name}`, {priority}");
                look.report(
                    Error,
                    Some((&host, name)),
                    message,
                    "give each host its own, or none: the order in the group then decides",
                );
            }
            None => {
                seen.insert(priority, host);
            }
        }
    }
}

fn weights(look: &Look<'_>) {
    let name = "keepalived_check_weight";
    for host in look.site.members(GROUP) {
        let weight = look.number(&host, name).unwrap_or(0);
        if weight != 0 && look.flag(&host, "keepalived_nopreempt") {
            let message = format!(
                "`{name}` is {weight} together with `nopreempt`: a failed check lowers the priority, but nobody takes over"
            );
            look.report(Error, Some((&host, name)), message, "set the weight to 0: a failed check then means FAULT, and the other one takes over");
        }
    }
}

fn backends(look: &Look<'_>) {
    for host in look.site.members("haproxy") {
        let Some(group) = look.text(&host, "haproxy_backend_group") else {
            continue;
        };
        if look.site.members(&group).is_empty() {
            let message =
                format!("nothing is behind the balancer: the group `{group}` has no hosts");
            look.report(
                Error,
                Some((&host, "haproxy_backend_group")),
                message,
                "add hosts to it, or name another group",
            );
        }
    }
}
