//! What a virtual machine is told at its first boot: name, keys, and the network that it shall have until somebody
//! changes its files. Afterwards nobody tells it anything: its own disk decides.

use super::qemu::{LAN, NAT};
use crate::base::Result;
use crate::lab::spec::{HostSpec, PREFIX, gateway};
use crate::lab::state::{Lab, Places, write_private};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Writes what is not there yet, and names it all: what the guest calls it, and the file.
pub(super) fn write(
    lab: &Lab,
    host: &HostSpec,
    places: &Places,
) -> Result<Vec<(&'static str, PathBuf)>> {
    let folder = places.host(&host.name);
    let (name, network) = (folder.join("name"), folder.join("netplan.yaml"));
    write_private(&name, &format!("{}\n", host.name))?;
    write_private(&network, &netplan(host, &lab.hosts))?;
    Ok(vec![
        ("name", name),
        ("netplan", network),
        ("host-key", folder.join("ssh_host_ed25519_key")),
        ("host-key.pub", folder.join("ssh_host_ed25519_key.pub")),
        ("authorized", folder.join("authorized_keys")),
        ("password", folder.join("opspw-password")),
    ])
}

/// The network as an installer would have left it.
fn netplan(host: &HostSpec, hosts: &[HostSpec]) -> String {
    let network = |address: Ipv4Addr| {
        let [a, b, c, _] = address.octets();
        Ipv4Addr::new(a, b, c, 0)
    };
    let own = network(host.address);
    let others: BTreeSet<Ipv4Addr> = hosts
        .iter()
        .map(|other| network(other.address))
        .filter(|other| *other != own)
        .collect();
    let mut text = format!(
        "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    {NAT}:\n      dhcp4: true\n    {LAN}:\n      addresses:\n        - {}/{PREFIX}\n",
        host.address
    );
    if !others.is_empty() {
        text.push_str("      routes:\n");
    }
    let router = gateway(host.address, hosts);
    for other in others {
        text.push_str(&format!(
            "        - to: {other}/{PREFIX}\n          via: {router}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::parse_hosts;

    #[test]
    fn the_first_network_is_static_in_the_lab_and_asks_for_the_rest() {
        let hosts = parse_hosts("a=10.0.0.2,b=10.0.0.3").unwrap();
        let text = netplan(&hosts[0], &hosts);
        assert!(text.contains("enp0s17:\n      dhcp4: true\n"));
        assert!(text.contains("enp0s8:\n      addresses:\n        - 10.0.0.2/24\n"));
        assert!(!text.contains("routes"));
    }

    #[test]
    fn another_network_of_the_lab_is_behind_its_router() {
        let hosts = parse_hosts("a=10.0.0.2,b=10.0.1.3").unwrap();
        let text = netplan(&hosts[0], &hosts);
        assert!(text.contains("        - to: 10.0.1.0/24\n          via: 10.0.0.1\n"));
    }
}
