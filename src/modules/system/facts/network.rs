//! Facts about adapters, addresses, routes and name servers.
//!
//! Works without `ip`: then the kernel's own tables are read.

use super::Sections;
use crate::base::value::{Map, Value};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One address of an adapter.
struct V4 {
    address: Ipv4Addr,
    prefix: u32,
    broadcast: String,
    label: String,
}

struct V6 {
    address: Ipv6Addr,
    prefix: u32,
    scope: &'static str,
}

#[derive(Default)]
struct Adapter {
    v4: Vec<V4>,
    v6: Vec<V6>,
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0)
}

impl V4 {
    fn netmask(&self) -> String {
        Ipv4Addr::from_bits(mask(self.prefix)).to_string()
    }

    fn network(&self) -> String {
        Ipv4Addr::from_bits(self.address.to_bits() & mask(self.prefix)).to_string()
    }

    fn fact(&self) -> Value {
        json!({
            "address": self.address.to_string(), "broadcast": self.broadcast, "netmask": self.netmask(),
            "network": self.network(), "prefix": self.prefix.to_string(),
        })
    }
}

pub(super) fn add(seen: &Sections, facts: &mut Map<String, Value>) {
    let mut adapters: BTreeMap<String, Adapter> = BTreeMap::new();
    if seen.section("addresses").first() == Some(&"without-ip") {
        from_kernel(seen, &mut adapters);
    } else {
        from_ip(seen.section("addresses"), &mut adapters);
    }
    let mut names = Vec::new();
    let mut types = BTreeMap::new();
    for line in seen.section("interfaces") {
        let (name, special) = line.split_once(' ').unwrap_or((line, ""));
        let file = |file: &str| seen.line(&format!("/sys/class/net/{name}/{file}"));
        let kind = match (special, file("type")) {
            ("", "1") => "ether",
            ("", "772") => "loopback",
            ("", "32") => "infiniband",
            ("", "512") => "ppp",
            ("", "768" | "769" | "776" | "778") => "tunnel",
            ("", _) => "unknown",
            (special, _) => special,
        };
        types.insert(name, kind);
        let mac = file("address");
        let flags = u32::from_str_radix(file("flags").trim_start_matches("0x"), 16).unwrap_or(0);
        let mut fact = Map::new();
        fact.insert("device".into(), json!(name));
        fact.insert(
            "active".into(),
            json!(matches!(file("operstate"), "up") || kind == "loopback" && flags & 1 == 1),
        );
        fact.insert("mtu".into(), json!(file("mtu").parse::<u64>().unwrap_or(0)));
        fact.insert("type".into(), json!(kind));
        fact.insert("promisc".into(), json!(flags & 0x100 != 0));
        if !mac.is_empty() && kind != "loopback" {
            fact.insert("macaddress".into(), json!(mac));
        }
        if let Some(adapter) = adapters.get(name) {
            if let Some((first, others)) = adapter.v4.split_first() {
                fact.insert("ipv4".into(), first.fact());
                if !others.is_empty() {
                    fact.insert(
                        "ipv4_secondaries".into(),
                        others.iter().map(V4::fact).collect(),
                    );
                }
            }
            if !adapter.v6.is_empty() {
                let all = adapter.v6.iter().map(|v6| {
                    json!({"address": v6.address.to_string(), "prefix": v6.prefix.to_string(), "scope": v6.scope})
                });
                fact.insert("ipv6".into(), all.collect());
            }
        }
        names.push(name);
        facts.insert(name.replace(['-', ':'], "_"), Value::Object(fact));
    }
    let all4 = adapters
        .values()
        .flat_map(|adapter| &adapter.v4)
        .filter(|v4| !v4.address.is_loopback());
    facts.insert(
        "all_ipv4_addresses".into(),
        all4.map(|v4| v4.address.to_string()).collect(),
    );
    let all6 = adapters
        .values()
        .flat_map(|adapter| &adapter.v6)
        .filter(|v6| !v6.address.is_loopback());
    facts.insert(
        "all_ipv6_addresses".into(),
        all6.map(|v6| v6.address.to_string()).collect(),
    );
    facts.insert("interfaces".into(), json!(names));
    facts.insert("default_ipv4".into(), default4(seen, &adapters, &types));
    facts.insert("default_ipv6".into(), default6(seen, &adapters, &types));
    facts.insert("dns".into(), dns(seen));
}

/// Lines of `ip -o addr show`.
fn from_ip(lines: &[&str], adapters: &mut BTreeMap<String, Adapter>) {
    for line in lines {
        let words: Vec<&str> = line
            .split(['\\', ' '])
            .filter(|word| !word.is_empty())
            .collect();
        let [_, name, family, address, ..] = words[..] else {
            continue;
        };
        let name = name
            .trim_end_matches(':')
            .split('@')
            .next()
            .unwrap_or_default();
        let after = |key: &str| {
            words
                .iter()
                .position(|word| *word == key)
                .and_then(|at| words.get(at + 1))
                .copied()
        };
        let (address, prefix) = address
            .split_once('/')
            .unwrap_or((address, if family == "inet" { "32" } else { "128" }));
        let prefix = prefix.parse().unwrap_or(32);
        let adapter = adapters.entry(name.to_owned()).or_default();
        match family {
            "inet" => {
                if let Ok(address) = address.parse() {
                    let label = words.get(4..).and_then(|rest| {
                        let at = rest.iter().position(|word| *word == "scope")?;
                        rest.get(at + 2..)?
                            .iter()
                            .find(|word| word.starts_with(name))
                    });
                    let label = label.map_or(name, |label| label).to_owned();
                    adapter.v4.push(V4 {
                        address,
                        prefix,
                        broadcast: after("brd").unwrap_or("").to_owned(),
                        label,
                    });
                }
            }
            "inet6" => {
                if let Ok(address) = address.parse() {
                    let scope = match after("scope") {
                        Some("link") => "link",
                        Some("host") => "host",
                        Some("site") => "site",
                        _ => "global",
                    };
                    adapter.v6.push(V6 {
                        address,
                        prefix,
                        scope,
                    });
                }
            }
            _ => {}
        }
    }
}

/// A row of `/proc/net/route`.
struct Route<'a> {
    adapter: &'a str,
    destination: u32,
    gateway: Ipv4Addr,
    metric: u32,
    mask: u32,
}

fn routes<'a>(seen: &Sections<'a>) -> Vec<Route<'a>> {
    let hex = |text: &str| u32::from_str_radix(text, 16).map(u32::swap_bytes).ok();
    seen.file("/proc/net/route")
        .iter()
        .filter_map(|line| {
            let words: Vec<&'a str> = line.split_whitespace().collect();
            let [adapter, destination, gateway, _, _, _, metric, mask, ..] = words[..] else {
                return None;
            };
            let gateway = Ipv4Addr::from_bits(hex(gateway)?);
            Some(Route {
                adapter,
                destination: hex(destination)?,
                gateway,
                metric: metric.parse().ok()?,
                mask: hex(mask)?,
            })
        })
        .collect()
}

/// Local addresses of the routing trie, each given to the adapter whose route covers it.
fn from_kernel(seen: &Sections, adapters: &mut BTreeMap<String, Adapter>) {
    let routes = routes(seen);
    let mut last = None;
    for line in seen.section("addresses") {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            let Some(address) = last.take() else { continue };
            let covering = routes.iter().filter(|route| {
                route.mask != 0 && address.to_bits() & route.mask == route.destination
            });
            let route = covering.max_by_key(|route| route.mask);
            let (name, prefix) = match route {
                Some(route) => (route.adapter, route.mask.count_ones()),
                None if address.is_loopback() => ("lo", 8),
                None => continue,
            };
            let broadcast = Ipv4Addr::from_bits(address.to_bits() | !mask(prefix)).to_string();
            let broadcast = if name == "lo" {
                String::new()
            } else {
                broadcast
            };
            let adapter = adapters.entry(name.to_owned()).or_default();
            if !adapter.v4.iter().any(|v4| v4.address == address) {
                adapter.v4.push(V4 {
                    address,
                    prefix,
                    broadcast,
                    label: name.to_owned(),
                });
            }
        }
    }
    for line in seen.file("/proc/net/if_inet6") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, scope, _, name] = words[..] else {
            continue;
        };
        let (Ok(bits), Ok(prefix)) = (
            u128::from_str_radix(address, 16),
            u32::from_str_radix(prefix, 16),
        ) else {
            continue;
        };
        let scope = match scope {
            "10" => "host",
            "20" => "link",
            "40" => "site",
            _ => "global",
        };
        adapters.entry(name.to_owned()).or_default().v6.push(V6 {
            address: Ipv6Addr::from_bits(bits),
            prefix,
            scope,
        });
    }
}

fn default4(
    seen: &Sections,
    adapters: &BTreeMap<String, Adapter>,
    types: &BTreeMap<&str, &str>,
) -> Value {
    let routes = routes(seen);
    let Some(route) = routes
        .iter()
        .filter(|route| route.destination == 0 && route.mask == 0)
        .min_by_key(|route| route.metric)
    else {
        return json!({});
    };
    let name = route.adapter;
    let mut fact = json!({"interface": name, "gateway": route.gateway.to_string(), "alias": name});
    let Some(map) = fact.as_object_mut() else {
        return fact;
    };
    let reaches = |v4: &&V4| {
        route.gateway.to_bits() & mask(v4.prefix) == v4.address.to_bits() & mask(v4.prefix)
    };
    let all = adapters.get(name).map_or(&[][..], |adapter| &adapter.v4);
    if let Some(v4) = all.iter().find(reaches).or_else(|| all.first()) {
        map.insert("address".into(), json!(v4.address.to_string()));
        map.insert("alias".into(), json!(v4.label));
        map.insert("broadcast".into(), json!(v4.broadcast));
        map.insert("netmask".into(), json!(v4.netmask()));
        map.insert("network".into(), json!(v4.network()));
        map.insert("prefix".into(), json!(v4.prefix.to_string()));
    }
    hardware(seen, name, types, map);
    fact
}

fn hardware(
    seen: &Sections,
    name: &str,
    types: &BTreeMap<&str, &str>,
    map: &mut Map<String, Value>,
) {
    let file = |file: &str| seen.line(&format!("/sys/class/net/{name}/{file}"));
    map.insert("macaddress".into(), json!(file("address")));
    map.insert("mtu".into(), json!(file("mtu").parse::<u64>().unwrap_or(0)));
    map.insert(
        "type".into(),
        json!(types.get(name).copied().unwrap_or("unknown")),
    );
}

fn default6(
    seen: &Sections,
    adapters: &BTreeMap<String, Adapter>,
    types: &BTreeMap<&str, &str>,
) -> Value {
    let hex = |text: &str| u128::from_str_radix(text, 16).ok();
    let defaults = seen.file("/proc/net/ipv6_route").iter().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", _, _, gateway, metric, _, _, _, name] = words[..] else {
            return None;
        };
        let (gateway, metric) = (hex(gateway)?, u32::from_str_radix(metric, 16).ok()?);
        (hex(destination)? == 0 && gateway != 0 && name != "lo").then_some((metric, gateway, name))
    });
    let Some((_, gateway, name)) = defaults.min() else {
        return json!({});
    };
    let mut fact = json!({"interface": name, "gateway": Ipv6Addr::from_bits(gateway).to_string()});
    let Some(map) = fact.as_object_mut() else {
        return fact;
    };
    let all = adapters.get(name).map_or(&[][..], |adapter| &adapter.v6);
    if let Some(v6) = all
        .iter()
        .find(|v6| v6.scope == "global")
        .or_else(|| all.first())
    {
        map.insert("address".into(), json!(v6.address.to_string()));
        map.insert("prefix".into(), json!(v6.prefix.to_string()));
        map.insert("scope".into(), json!(v6.scope));
    }
    hardware(seen, name, types, map);
    fact
}

fn dns(seen: &Sections) -> Value {
    let mut dns = Map::new();
    for line in seen.file("/etc/resolv.conf") {
        let words: Vec<&str> = line
            .split(['#', ';'])
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let Some((key, values)) = words.split_first() else {
            continue;
        };
        match *key {
            "nameserver" => {
                if let Some(list) = dns
                    .entry("nameservers")
                    .or_insert_with(|| json!([]))
                    .as_array_mut()
                {
                    list.extend(values.iter().map(|value| json!(value)));
                }
            }
            "domain" => drop(dns.insert("domain".into(), json!(values.first()))),
            "search" => drop(dns.insert("search".into(), json!(values))),
            "options" => {
                let options = values.iter().map(|option| match option.split_once(':') {
                    Some((key, value)) => (key.to_owned(), json!(value)),
                    None => ((*option).to_owned(), json!(true)),
                });
                dns.insert("options".into(), Value::Object(options.collect()));
            }
            _ => {}
        }
    }
    Value::Object(dns)
}
