//! Addresses and networks: `ansible.utils.ipaddr` and its family.

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
        Ok(within(call, &call.need(0, "test")?))
    }),
    ("network_in_usable", |call| {
        Ok(within(call, &call.need(0, "test")?))
    }),
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
    let no = Val::None;
    let Some(given) = parse(value) else {
        return Ok(Val::Bool(false));
    };
    let net = given.net;
    let four = matches!(net, IpNet::V4(_));
    if version.is_some_and(|version| (version == 4) != four) {
        return Ok(Val::Bool(false));
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
        "int" => {
            let number = match net.addr() {
                IpAddr::V4(ip) => u128::from(u32::from(ip)),
                IpAddr::V6(ip) => u128::from(ip),
            };
            match i64::try_from(number) {
                Ok(number) if !given.prefixed => Val::Int(number),
                _ if given.prefixed => text(format!("{number}/{}", net.prefix_len())),
                _ => text(number.to_string()),
            }
        }
        "revdns" => text(reverse(net.addr())),
        "private" => chosen(value, is_private(net.addr())),
        "public" => chosen(
            value,
            !is_private(net.addr()) && !is_shared(net.addr()) && !net.addr().is_multicast(),
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
        "first_usable" => usable(net).map_or(no, |(first, _)| text(first.to_string())),
        "last_usable" => usable(net).map_or(no, |(_, last)| text(last.to_string())),
        "range_usable" => usable(net).map_or(no, |(first, last)| text(format!("{first}-{last}"))),
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
    if holds { value.clone() } else { Val::None }
}

/// What is not meant to be reached over the Internet, as Python's `ipaddress` sees it.
fn is_private(ip: IpAddr) -> bool {
    const NETS: [&str; 22] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/29",
        "192.0.0.170/31",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::1/128",
        "::/128",
        "::ffff:0:0/96",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
    ];
    NETS.iter()
        .filter_map(|net| net.parse::<IpNet>().ok())
        .any(|net| net.contains(&ip))
}

/// Addresses that providers share out behind their own translation: neither private nor public.
fn is_shared(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
}

/// The first and the last address that a host of the network may have.
fn usable(net: IpNet) -> Option<(IpAddr, IpAddr)> {
    match net.max_prefix_len() - net.prefix_len() {
        0 => None,
        1 => Some((net.network(), net.broadcast())),
        _ => Some((
            nth(net, 1)?,
            nth(net, if net.addr().is_ipv4() { -2 } else { -1 })?,
        )),
    }
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

fn within(call: &Call, inner: &Val) -> Val {
    let (Some(outer), Some(inner)) = (parse(&call.input), parse(inner)) else {
        return Val::Bool(false);
    };
    let usable = call.name != "network_in_usable"
        || outer.net.prefix_len() + 1 >= outer.net.max_prefix_len()
        || ![outer.net.network(), outer.net.broadcast()].contains(&inner.net.addr());
    Val::Bool(outer.net.contains(&inner.net) && usable)
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
