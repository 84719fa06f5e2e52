//! What a virtual machine is told at its first boot: name, keys, and the network that it shall have until somebody
//! changes its files. Afterwards nobody tells it anything: its own disk decides.

use super::qemu::{LAN, NAT};
use crate::base::Result;
use crate::lab::spec::{HostSpec, PREFIX, gateway};
use crate::lab::state::{Lab, Places};
use crate::lab::{program, run, while_doing};
use fs_err as fs;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Writes what the guest is told, and names it: what the guest calls it, and the file.
pub(super) fn write(
    lab: &Lab,
    host: &HostSpec,
    places: &Places,
) -> Result<Vec<(&'static str, PathBuf)>> {
    let folder = places.host(&host.name);
    let read =
        |name: &str| fs::read_to_string(folder.join(name)).map_err(while_doing("a key of the lab"));
    let (own, public) = (
        read("ssh_host_ed25519_key")?,
        read("ssh_host_ed25519_key.pub")?,
    );
    let authorized = read("authorized_keys")?;
    let hosts = hosts_file(&host.name);
    // chrony looks for its sources there; the lab's router is one.
    let source = format!("server {} iburst\n", gateway(host.address, &lab.hosts));
    let tree = tempfile::tempdir_in(&folder).map_err(while_doing("cannot make a folder"))?;
    for (path, mode, text) in [
        ("etc/hostname", 0o644, format!("{}\n", host.name).as_str()),
        ("etc/hosts", 0o644, &hosts),
        ("etc/chrony/sources.d/lab.sources", 0o644, &source),
        (
            "etc/netplan/01-netcfg.yaml",
            0o600,
            &netplan(host, &lab.hosts)?,
        ),
        ("etc/ssh/ssh_host_ed25519_key", 0o600, &own),
        ("etc/ssh/ssh_host_ed25519_key.pub", 0o644, &public),
        ("usr/local/lib/hactl-lab/keys/host", 0o600, &own),
        (
            "usr/local/lib/hactl-lab/keys/authorized",
            0o600,
            &authorized,
        ),
        ("root/.ssh/authorized_keys", 0o600, &authorized),
    ] {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(tree.path()))
            .and_then(|()| fs::write(&path, text))
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(mode)))
            .map_err(while_doing("cannot write what the host is told"))?;
    }
    let archive = folder.join("files.tar");
    // Only files: the folders above them are the guest's own.
    let files = run(program("find")
        .current_dir(tree.path())
        .args([".", "-type", "f"]))?;
    run(program("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(tree.path())
        .args(["--owner=0", "--group=0", "--no-recursion"])
        .args(files.lines()))?;
    Ok(vec![
        ("files", archive),
        ("password", folder.join("opspw-password")),
    ])
}

/// What the host's `/etc/hosts` says.
pub(super) fn hosts_file(name: &str) -> String {
    format!("127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n")
}

/// The network as an installer would have left it: a file of netplan.
pub(super) fn netplan(host: &HostSpec, hosts: &[HostSpec]) -> Result<String> {
    let network = json!({
        "network": {"version": 2, "renderer": "networkd", "ethernets": ethernets(host, hosts)}
    });
    serde_yaml::to_string(&network).map_err(while_doing("cannot write the network"))
}

/// The adapters in netplan's terms.
pub(super) fn ethernets(host: &HostSpec, hosts: &[HostSpec]) -> Value {
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
    let mut lan = json!({"addresses": [format!("{}/{PREFIX}", host.address)]});
    if !others.is_empty() {
        let router = gateway(host.address, hosts).to_string();
        let routes = others
            .iter()
            .map(|other| json!({"to": format!("{other}/{PREFIX}"), "via": router}));
        lan["routes"] = routes.collect();
    }
    json!({NAT: {"dhcp4": true}, LAN: lan})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::parse_hosts;

    #[test]
    fn the_first_network_is_static_in_the_lab_and_asks_for_the_rest() {
        let hosts = parse_hosts("a=10.0.0.2,b=10.0.0.3").unwrap();
        let text = netplan(&hosts[0], &hosts).unwrap();
        let value: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(
            value["network"]["ethernets"],
            json!({"enp0s17": {"dhcp4": true}, "enp0s8": {"addresses": ["10.0.0.2/24"]}})
        );
        assert_eq!(value["network"]["renderer"], "networkd");
    }

    #[test]
    fn another_network_of_the_lab_is_behind_its_router() {
        let hosts = parse_hosts("a=10.0.0.2,b=10.0.1.3").unwrap();
        assert_eq!(
            ethernets(&hosts[0], &hosts)["enp0s8"]["routes"],
            json!([{"to": "10.0.1.0/24", "via": "10.0.0.1"}])
        );
    }
}
