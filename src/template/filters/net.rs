//! Addresses and networks (`ansible.utils.ipaddr` and its family) and URLs.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("ipaddr", |call| family(call, None)),
    ("ipv4", |call| family(call, Some(4))),
    ("ipv6", |call| family(call, Some(6))),
    ("ipwrap", ipwrap),
    ("ipsubnet", ipsubnet),
    ("ipmath", ipmath),
    ("nthhost", |call| {
        let index = call.int(0, "query")?.unwrap_or(0);
        Ok(parse(&call.input)
            .and_then(|given| nth(given.net, index))
            .map_or(Val::Bool(false), |ip| Val::from(ip.to_string())))
    }),
    ("network_in_network", |call| {
        within(call, &call.need(0, "test")?)
    }),
    ("network_in_usable", |call| {
        within(call, &call.need(0, "test")?)
    }),
    ("urlsplit", urlsplit),
];

/// An address with the network that it was written with.
#[derive(Clone, Copy)]
struct Given {
    net: IpNet,
    prefixed: bool,
}

fn parse(value: &Val) -> Option<Given> {
    let text = match value {
        Val::Int(number) => {
            return Some(Given {
                net: IpNet::from(IpAddr::from(u32::try_from(*number).ok()?.to_be_bytes())),
                prefixed: false,
            });
        }
        Val::Str(text) => text.trim().to_owned(),
        _ => return None,
    };
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Given {
            net: IpNet::from(ip),
            prefixed: false,
        });
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(Given {
            net,
            prefixed: true,
        });
    }
    let (ip, mask) = text.split_once('/')?;
    let net = IpNet::with_netmask(ip.parse().ok()?, mask.parse().ok()?).ok()?;
    Some(Given {
        net,
        prefixed: true,
    })
}

fn family(call: &Call, version: Option<u8>) -> Result<Val> {
    let query = match call.arg(0, "query") {
        None | Some(Val::None) => String::new(),
        Some(value) => value.string()?,
    };
    if call.input.is_sequence() {
        let mut found = Vec::new();
        for item in call.input.items()? {
            let answer = ask(&item, &query, version)?;
            if answer.truthy()? {
                found.push(answer);
            }
        }
        return Ok(Val::list(found));
    }
    ask(&call.input, &query, version)
}

fn ask(value: &Val, query: &str, version: Option<u8>) -> Result<Val> {
    let no = Val::Bool(false);
    let Some(given) = parse(value) else {
        return Ok(no);
    };
    let net = given.net;
    let four = matches!(net, IpNet::V4(_));
    if version.is_some_and(|version| (version == 4) != four) {
        return Ok(no);
    }
    let text = |text: String| Val::from(text);
    let is_network =
        net.addr() == net.network() && given.prefixed && net.prefix_len() < net.max_prefix_len();
    let wide = net.prefix_len() + 1 < net.max_prefix_len();
    Ok(match query {
        "" => value.clone(),
        "address" | "ip" => {
            if is_network {
                no
            } else {
                text(net.addr().to_string())
            }
        }
        "host" | "address/prefix" | "ip/prefix" | "hostnet" => {
            if is_network && wide {
                no
            } else {
                text(format!("{}/{}", net.addr(), net.prefix_len()))
            }
        }
        "net" => {
            if given.prefixed && (is_network || net.prefix_len() == net.max_prefix_len()) {
                text(net.trunc().to_string())
            } else {
                no
            }
        }
        "network" | "network_id" => text(net.network().to_string()),
        "network/prefix" | "subnet" => text(net.trunc().to_string()),
        "network_netmask" => text(format!("{} {}", net.network(), net.netmask())),
        "netmask" => text(net.netmask().to_string()),
        "hostmask" | "wildcard" => text(net.hostmask().to_string()),
        "prefix" => Val::Int(net.prefix_len().into()),
        "broadcast" => {
            if wide {
                text(net.broadcast().to_string())
            } else {
                no
            }
        }
        "size" => match 1i64.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())) {
            Some(size) => Val::Int(size),
            None => no,
        },
        "version" => Val::Int(if four { 4 } else { 6 }),
        "type" => Val::from(if is_network { "network" } else { "address" }),
        "bool" => Val::Bool(true),
        "int" => match net.addr() {
            IpAddr::V4(ip) => Val::Int(u32::from(ip).into()),
            IpAddr::V6(ip) => text(u128::from(ip).to_string()),
        },
        "revdns" => text(reverse(net.addr())),
        "private" => chosen(
            value,
            match net.addr() {
                IpAddr::V4(ip) => ip.is_private(),
                IpAddr::V6(ip) => ip.is_unique_local(),
            },
        ),
        "public" => chosen(
            value,
            match net.addr() {
                IpAddr::V4(ip) => {
                    !(ip.is_private()
                        || ip.is_loopback()
                        || ip.is_link_local()
                        || ip.is_multicast())
                }
                IpAddr::V6(ip) => {
                    !(ip.is_unique_local()
                        || ip.is_loopback()
                        || ip.is_unicast_link_local()
                        || ip.is_multicast())
                }
            },
        ),
        "loopback" | "lo" => chosen(value, net.addr().is_loopback()),
        "multicast" => chosen(value, net.addr().is_multicast()),
        "link-local" => chosen(
            value,
            match net.addr() {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            },
        ),
        "unicast" => chosen(value, !net.addr().is_multicast()),
        "ipv4" | "4" if four => value.clone(),
        "ipv6" | "6" if !four => value.clone(),
        "ipv4" | "4" | "ipv6" | "6" => no,
        "first_usable" => host_of(net, wide, 1).map_or(no, |ip| text(ip.to_string())),
        "last_usable" => {
            host_of(net, wide, if four { -2 } else { -1 }).map_or(no, |ip| text(ip.to_string()))
        }
        "range_usable" => match (
            host_of(net, wide, 1),
            host_of(net, wide, if four { -2 } else { -1 }),
        ) {
            (Some(first), Some(last)) => text(format!("{first}-{last}")),
            _ => no,
        },
        "next_usable" => step(net, wide, 1).map_or(no, |ip| text(ip.to_string())),
        "previous_usable" => step(net, wide, -1).map_or(no, |ip| text(ip.to_string())),
        other => {
            if let Ok(index) = other.parse::<i64>() {
                return Ok(
                    nth(net, index).map_or(no, |ip| text(format!("{ip}/{}", net.prefix_len())))
                );
            }
            let Some(outer) = parse(&Val::from(other)) else {
                return Err(Diagnostic::new(format!("`ipaddr` has no query `{other}`")));
            };
            chosen(value, outer.net.contains(&net))
        }
    })
}

fn chosen(value: &Val, holds: bool) -> Val {
    if holds {
        value.clone()
    } else {
        Val::Bool(false)
    }
}

fn host_of(net: IpNet, wide: bool, index: i64) -> Option<IpAddr> {
    if wide { nth(net, index) } else { None }
}

fn step(net: IpNet, wide: bool, by: i128) -> Option<IpAddr> {
    let next = shifted(net.addr(), by)?;
    (wide
        && net.contains(&next)
        && next != net.network()
        && (next != net.broadcast() || net.addr().is_ipv6()))
    .then_some(next)
}

/// The address that many places from the beginning, or from the end, of a network.
fn nth(net: IpNet, index: i64) -> Option<IpAddr> {
    let base = if index < 0 {
        net.broadcast()
    } else {
        net.network()
    };
    let by = if index < 0 {
        i128::from(index) + 1
    } else {
        i128::from(index)
    };
    shifted(base, by).filter(|ip| net.contains(ip))
}

fn shifted(ip: IpAddr, by: i128) -> Option<IpAddr> {
    Some(match ip {
        IpAddr::V4(ip) => IpAddr::from(
            u32::try_from(i128::from(u32::from(ip)) + by)
                .ok()?
                .to_be_bytes(),
        ),
        IpAddr::V6(ip) => {
            let number = u128::from(ip);
            let amount = by.unsigned_abs();
            let moved = if by < 0 {
                number.checked_sub(amount)
            } else {
                number.checked_add(amount)
            };
            IpAddr::from(moved?.to_be_bytes())
        }
    })
}

fn reverse(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(ip) => {
            let digits = format!("{:032x}", u128::from(ip));
            let parts: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa.", parts.join("."))
        }
    }
}

fn ipwrap(call: &Call) -> Result<Val> {
    let wrap = |value: &Val| -> Result<Val> {
        let text = value.string()?;
        let (ip, rest) = text
            .split_once('/')
            .map_or((&*text, String::new()), |(ip, prefix)| {
                (ip, format!("/{prefix}"))
            });
        Ok(match ip.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => Val::from(format!("[{ip}]{rest}")),
            _ => value.clone(),
        })
    };
    if call.input.is_sequence() {
        return call
            .input
            .items()?
            .iter()
            .map(wrap)
            .collect::<Result<Vec<_>>>()
            .map(Val::list);
    }
    wrap(&call.input)
}

fn within(call: &Call, inner: &Val) -> Result<Val> {
    let (Some(outer), Some(inner)) = (parse(&call.input), parse(inner)) else {
        return Ok(Val::Bool(false));
    };
    Ok(Val::Bool(outer.net.contains(&inner.net)))
}

fn ipmath(call: &Call) -> Result<Val> {
    let amount = call.int(0, "amount")?.unwrap_or(0);
    let given = parse(&call.input).ok_or_else(|| call.wrong_input("an address"))?;
    let moved = shifted(given.net.addr(), amount.into())
        .ok_or_else(|| Diagnostic::new("`ipmath` leaves the address space"))?;
    Ok(Val::from(moved.to_string()))
}

fn ipsubnet(call: &Call) -> Result<Val> {
    let Some(given) = parse(&call.input) else {
        return Ok(Val::Bool(false));
    };
    let net = given.net;
    let Some(query) = call.text(0, "query")? else {
        return Ok(Val::from(net.trunc().to_string()));
    };
    let Ok(prefix) = query.parse::<u8>() else {
        return Ok(Val::Bool(false));
    };
    let index = call
        .arg(1, "index")
        .map(|index| index.string())
        .transpose()?
        .and_then(|index| index.parse::<i64>().ok());
    if prefix > net.max_prefix_len() {
        return Ok(Val::Bool(false));
    }
    if !given.prefixed || prefix < net.prefix_len() {
        let wider = match net {
            IpNet::V4(net) => Ipv4Net::new(net.addr(), prefix).map(IpNet::from),
            IpNet::V6(net) => Ipv6Net::new(net.addr(), prefix).map(IpNet::from),
        };
        return Ok(wider.map_or(Val::Bool(false), |net| Val::from(net.trunc().to_string())));
    }
    let bits = u32::from(prefix - net.prefix_len());
    let count = 1i128.checked_shl(bits).unwrap_or(i128::MAX);
    let Some(index) = index else {
        return Ok(Val::from(i64::try_from(count).unwrap_or(i64::MAX)));
    };
    let place = if index < 0 {
        count + i128::from(index)
    } else {
        i128::from(index)
    };
    if place < 0 || place >= count {
        return Ok(Val::Bool(false));
    }
    let size = 1i128
        .checked_shl(u32::from(net.max_prefix_len() - prefix))
        .unwrap_or(i128::MAX);
    let base = place
        .checked_mul(size)
        .and_then(|by| shifted(net.network(), by));
    Ok(base.map_or(Val::Bool(false), |ip| Val::from(format!("{ip}/{prefix}"))))
}

fn urlsplit(call: &Call) -> Result<Val> {
    let url = call.input_text()?;
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = netloc
        .rsplit_once('@')
        .map_or((None, netloc), |(user, host)| (Some(user), host));
    let (username, password) = match user.map(|user| {
        user.split_once(':')
            .map_or((user, None), |(user, word)| (user, Some(word)))
    }) {
        Some((user, word)) => (Some(user), word),
        None => (None, None),
    };
    let (hostname, port) = match host
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((inside, after)) => (inside, after.strip_prefix(':')),
        None => host
            .split_once(':')
            .map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let maybe = |text: Option<&str>| text.map_or(Val::None, Val::from);
    let parts = [
        ("fragment", Val::from(fragment)),
        (
            "hostname",
            if hostname.is_empty() {
                Val::None
            } else {
                Val::from(hostname.to_lowercase())
            },
        ),
        ("netloc", Val::from(netloc)),
        ("password", maybe(password)),
        ("path", Val::from(path)),
        (
            "port",
            port.and_then(|port| port.parse().ok())
                .map_or(Val::None, Val::Int),
        ),
        ("query", Val::from(query)),
        ("scheme", Val::from(scheme)),
        ("username", maybe(username)),
    ];
    match call.text(0, "query")?.filter(|part| !part.is_empty()) {
        None => Ok(Val::record(parts)),
        Some(name) => parts
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .ok_or_else(|| Diagnostic::new(format!("`urlsplit`: a URL has no `{name}`"))),
    }
}
