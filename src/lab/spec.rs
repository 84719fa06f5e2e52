//! What a lab is asked to be: names, addresses, and everything that follows from them. Pure.

use super::image::given::Given;
use crate::base::{Diagnostic, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// The name of a lab: also part of paths and of the cgroup's name, so its letters are few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabName(String);

impl LabName {
    /// The name of a lab that nobody named.
    pub const DEFAULT: &str = "hactl";

    /// Checks a name.
    pub fn new(name: &str) -> Result<Self> {
        if is_label(name) {
            return Ok(Self(name.to_owned()));
        }
        Err(Diagnostic::new(format!("`{name}` cannot be the name of a lab"))
            .help("use 1 to 32 lower-case letters, digits and dashes, with a letter or digit first and last"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which a host of this lab is logged in to. It resolves nowhere (RFC 6761), so that a connection that does
    /// not go through the lab's door leads nowhere either, and not to a machine of the outside that has the address.
    pub fn login_name(&self, host: &str) -> String {
        format!("{host}.{}.lab.invalid", self.0)
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a lab reads of a host's variables, besides its address.
pub const VARIABLES: &[&str] = &[
    "lab_cpus",
    "lab_disks",
    "lab_image",
    "lab_memory",
    "lab_provider",
    "lab_suite",
];

/// What a lab's hosts are made of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Containers: seconds to start; the machine's own kernel.
    #[default]
    Container,
    /// Virtual machines: a kernel, disks and adapters of their own.
    Vm,
}

impl Kind {
    /// The word for `--provider`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Vm => "vm",
        }
    }
}

/// One host that a lab is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// The name in the inventory and of the host itself.
    pub name: String,
    /// The address of its adapter in the lab's network.
    pub address: Ipv4Addr,
    /// The distribution's release, like `trixie`; the machine's own when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// The cloud image that it starts from, in place of one that is built here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Given>,
    #[serde(default)]
    pub hardware: Hardware,
}

/// What a virtual machine is given; a container takes what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// In MiB.
    pub memory: u32,
    pub cpus: u32,
    /// Sizes of the disks beside the one that it boots from, in bytes.
    pub disks: Vec<u64>,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            memory: 640,
            cpus: 1,
            disks: Vec::new(),
        }
    }
}

/// Length of the networks' prefix; every host's network follows from its address.
pub const PREFIX: u8 = 24;

impl HostSpec {
    /// Checks a name and an address.
    pub fn new(name: &str, address: &str) -> Result<Self> {
        if !is_label(name) {
            return Err(
                Diagnostic::new(format!("`{name}` cannot be the name of a lab host"))
                    .help("use 1 to 32 lower-case letters, digits and dashes"),
            );
        }
        let parsed: Ipv4Addr = address.parse().map_err(|_| {
            Diagnostic::new(format!("`{address}` is not an IPv4 address"))
                .on(name)
                .help("lab hosts need a plain IPv4 address, like 192.168.104.11")
        })?;
        if parsed.is_loopback()
            || parsed.is_multicast()
            || parsed.is_unspecified()
            || matches!(parsed.octets()[3], 0 | 255)
        {
            return Err(
                Diagnostic::new(format!("`{address}` cannot be the address of a host")).on(name),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            address: parsed,
            suite: None,
            image: None,
            hardware: Hardware::default(),
        })
    }

    /// The lab's end of the host's cable. Interface names hold 15 letters; an address as hex always fits.
    pub fn port(&self) -> String {
        format!("h{:08x}", u32::from(self.address))
    }

    /// The same after every restart, so that no neighbour keeps a stale one.
    pub fn mac(&self) -> String {
        self.adapter_mac(0xac)
    }

    /// The hardware address of a further adapter of this host.
    pub fn adapter_mac(&self, adapter: u8) -> String {
        let [a, b, c, d] = self.address.octets();
        format!("02:{adapter:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

/// Checks the name of a release.
pub fn suite(name: &str) -> Result<String> {
    let good = (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if good {
        return Ok(name.to_owned());
    }
    Err(
        Diagnostic::new(format!("`{name}` is not the name of a release"))
            .help("use the distribution's own word, like `bookworm` or `trixie`"),
    )
}

fn is_label(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Reads `--hosts lb1=192.168.104.11,lb2=192.168.104.12`.
pub fn parse_hosts(text: &str) -> Result<Vec<HostSpec>> {
    let hosts = text
        .split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((name, address)) => HostSpec::new(name.trim(), address.trim()),
            None => Err(Diagnostic::new(format!("`{part}` is not NAME=ADDRESS"))),
        })
        .collect::<Result<Vec<_>>>()?;
    check(&hosts)?;
    Ok(hosts)
}

/// Refuses an empty lab and names or addresses given twice.
pub fn check(hosts: &[HostSpec]) -> Result<()> {
    if hosts.is_empty() {
        return Err(Diagnostic::new("a lab needs at least one host").help("name a stack (`hactl lab up pg-ha`), an inventory (`-i`) or `--hosts NAME=ADDRESS,...`"));
    }
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for host in hosts {
        if !names.insert(&host.name) {
            return Err(Diagnostic::new(format!(
                "host `{}` is given twice",
                host.name
            )));
        }
        if !addresses.insert(host.address) {
            return Err(
                Diagnostic::new(format!("address {} is given to two hosts", host.address))
                    .on(&host.name),
            );
        }
    }
    Ok(())
}

/// The lab's own address in a host's network, which is the hosts' router: the first free one of .1 and .254.
pub fn gateway(of: Ipv4Addr, hosts: &[HostSpec]) -> Ipv4Addr {
    let [a, b, c, _] = of.octets();
    let first = Ipv4Addr::new(a, b, c, 1);
    if hosts.iter().any(|host| host.address == first) {
        Ipv4Addr::new(a, b, c, 254)
    } else {
        first
    }
}

/// The lab's own addresses, one for each network that a host is in.
pub fn gateways(hosts: &[HostSpec]) -> BTreeSet<Ipv4Addr> {
    hosts
        .iter()
        .map(|host| gateway(host.address, hosts))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_or_refused() {
        type Expected = Result<&'static [(&'static str, &'static str)], &'static str>;
        let cases: &[(&str, Expected)] = &[
            (
                "a=10.0.0.2,b=10.0.0.3",
                Ok(&[("a", "10.0.0.2"), ("b", "10.0.0.3")]),
            ),
            (
                "a=10.0.0.2, b=10.0.0.3,",
                Ok(&[("a", "10.0.0.2"), ("b", "10.0.0.3")]),
            ),
            ("", Err("a lab needs at least one host")),
            ("a", Err("`a` is not NAME=ADDRESS")),
            ("a=10.0.0", Err("`10.0.0` is not an IPv4 address")),
            ("a=fe80::1", Err("`fe80::1` is not an IPv4 address")),
            (
                "a=10.0.0.0",
                Err("`10.0.0.0` cannot be the address of a host"),
            ),
            (
                "a=127.0.0.1",
                Err("`127.0.0.1` cannot be the address of a host"),
            ),
            ("a=10.0.0.2,a=10.0.0.3", Err("host `a` is given twice")),
            (
                "a=10.0.0.2,b=10.0.0.2",
                Err("address 10.0.0.2 is given to two hosts"),
            ),
            (
                "a;b=10.0.0.2",
                Err("`a;b` cannot be the name of a lab host"),
            ),
            ("-a=10.0.0.2", Err("`-a` cannot be the name of a lab host")),
        ];
        for (text, expected) in cases {
            let got = parse_hosts(text);
            match expected {
                Ok(hosts) => {
                    let got: Vec<_> = got
                        .unwrap()
                        .into_iter()
                        .map(|host| (host.name, host.address.to_string()))
                        .collect();
                    let expected: Vec<_> = hosts
                        .iter()
                        .map(|(name, address)| ((*name).to_owned(), (*address).to_owned()))
                        .collect();
                    assert_eq!(got, expected, "{text}");
                }
                Err(message) => assert_eq!(got.unwrap_err().message, *message, "{text}"),
            }
        }
    }

    #[test]
    fn a_host_on_record_from_before_there_were_images_is_read() {
        let host: HostSpec =
            serde_json::from_str("{\"name\": \"a\", \"address\": \"10.0.0.2\"}").unwrap();
        assert_eq!(host, parse_hosts("a=10.0.0.2").unwrap()[0]);
    }

    #[test]
    fn a_lab_name_is_safe_in_a_path() {
        for (name, good) in [
            ("hactl", true),
            ("a-1", true),
            ("", false),
            ("../x", false),
            ("A", false),
            ("a-", false),
            ("a b", false),
        ] {
            assert_eq!(LabName::new(name).is_ok(), good, "{name}");
        }
        assert!(LabName::new(LabName::DEFAULT).is_ok());
    }

    #[test]
    fn names_of_interfaces_fit_and_differ() {
        let hosts = parse_hosts("a=192.168.104.11,b=192.168.104.110,c=192.168.4.11").unwrap();
        let ports: BTreeSet<String> = hosts.iter().map(HostSpec::port).collect();
        assert_eq!(ports.len(), hosts.len());
        assert!(ports.iter().all(|port| port.len() < 16));
        assert_eq!(
            (hosts[0].port().as_str(), hosts[0].mac().as_str()),
            ("hc0a8680b", "02:ac:c0:a8:68:0b")
        );
    }

    #[test]
    fn the_router_gives_way_to_a_host() {
        for (text, expected) in [
            ("a=10.0.0.2,b=10.0.1.2", vec!["10.0.0.1", "10.0.1.1"]),
            ("a=10.0.0.1,b=10.0.0.2", vec!["10.0.0.254"]),
        ] {
            let got: Vec<String> = gateways(&parse_hosts(text).unwrap())
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(got, expected, "{text}");
        }
    }
}
