//! What a machine of a given cloud image is told: the documents of cloud-init's data source NoCloud, after which the
//! host is like one of an image that was built here. Once it is ready cloud-init is off, and the host's own files decide.
//!
//! The documents hold private keys: nobody but their owner may read them, and nothing of them is said anywhere.

use super::qemu::{LAN, LANE, NAT};
use super::seed;
use crate::base::{Diagnostic, Result};
use crate::lab::image::{self, files};
use crate::lab::spec::HostSpec;
use crate::lab::state::{Lab, Places, make_dir, write_private};
use crate::lab::while_doing;
use fs_err as fs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where distributions put the firmware of boards that have none of their own.
const FIRMWARE: &[&str] = &[
    "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd",
];
const FIRMWARE_PACKAGE: &str = "qemu-efi-aarch64";

/// How far the host is, asked by the lane: 0 when it is ready, with a line of what is to be said; 9 when that failed.
pub(super) const LOOK: &str = "if [ -e /run/hactl-lab-failed ]; then exit 9; fi; \
     [ -e /etc/cloud/cloud-init.disabled ] && cat /var/lib/hactl-lab-ready";
/// See [`LOOK`].
pub(super) const GAVE_UP: i32 = 9;

/// What the documents are made of.
struct Told<'a> {
    host: &'a HostSpec,
    hosts: &'a [HostSpec],
    /// The host's own key.
    key: &'a str,
    public: &'a str,
    authorized: &'a str,
    password: &'a str,
    /// The release of the lab's packages.
    release: &'a str,
    with_python: bool,
    /// cloud-init does all of its work anew for another one.
    instance: &'a str,
}

/// Writes the documents into a folder of their own. Every start of the machine is another instance: so a first boot that
/// lost its power is begun anew, and a host that is ready does not look any more.
pub(super) fn write(
    lab: &Lab,
    host: &HostSpec,
    places: &Places,
    release: &str,
    machine: &Path,
) -> Result<PathBuf> {
    let folder = places.host(&host.name);
    let read =
        |name: &str| fs::read_to_string(folder.join(name)).map_err(while_doing("a key of the lab"));
    let (key, public) = (
        read("ssh_host_ed25519_key")?,
        read("ssh_host_ed25519_key.pub")?,
    );
    let (authorized, password) = (read("authorized_keys")?, read("opspw-password")?);
    let told = Told {
        host,
        hosts: &lab.hosts,
        key: &key,
        public: &public,
        authorized: &authorized,
        password: password.trim(),
        release,
        with_python: lab.with_python,
        instance: &format!("hactl-{:016x}", rand::random::<u64>()),
    };
    let seed = machine.join("seed");
    make_dir(&seed)?;
    for (name, head, document) in [
        ("user-data", "#cloud-config\n", user_data(&told)?),
        ("meta-data", "", meta_data(&told)),
        ("network-config", "", network_config(&told)),
    ] {
        let text = serde_json::to_string_pretty(&document)
            .map_err(while_doing("cannot write what the host is told"))?;
        write_private(&seed.join(name), &format!("{head}{text}\n"))?;
    }
    Ok(seed)
}

/// The firmware that boots a disk, where the board has none of its own.
pub(super) fn firmware(architecture: &str) -> Result<Option<PathBuf>> {
    if architecture != "aarch64" {
        return Ok(None);
    }
    match FIRMWARE.iter().map(Path::new).find(|file| file.exists()) {
        Some(file) => Ok(Some(file.to_owned())),
        None => Err(Diagnostic::new(
            "this machine has no UEFI firmware to boot a cloud image with",
        )
        .help(crate::lab::doctor::install_line(&[FIRMWARE_PACKAGE]))),
    }
}

fn meta_data(told: &Told) -> Value {
    json!({"instance-id": told.instance, "local-hostname": told.host.name})
}

/// The adapters are found by their hardware addresses: what the image calls them is not known. Of several files that
/// are about one adapter networkd takes the first by name, and images come with some for any adapter.
fn network_config(told: &Told) -> Value {
    let mut known = seed::ethernets(told.host, told.hosts);
    known[LANE] = json!({"dhcp4": false, "optional": true});
    let mut ethernets = json!({});
    for (name, address) in adapters(told.host) {
        let mut adapter = known[name].take();
        adapter["match"] = json!({"macaddress": address});
        adapter["set-name"] = json!(name);
        ethernets[format!("00-{name}")] = adapter;
    }
    json!({"version": 2, "ethernets": ethernets})
}

fn adapters(host: &HostSpec) -> [(&'static str, String); 3] {
    [
        (LAN, host.mac()),
        (NAT, host.adapter_mac(0xad)),
        (LANE, host.adapter_mac(0xae)),
    ]
}

fn user_data(told: &Told) -> Result<Value> {
    let keys: Vec<&str> = told.authorized.lines().collect();
    let (setup, _) = files::CLOUD_SETUP;
    let mut first = vec![
        "sh".to_owned(),
        format!("/{setup}"),
        told.release.to_owned(),
    ];
    if told.with_python {
        first.extend(image::words(files::PYTHON).into_iter().map(str::to_owned));
    }
    Ok(json!({
        "hostname": told.host.name,
        "preserve_hostname": false,
        "manage_etc_hosts": false,
        "ssh_deletekeys": true,
        "ssh_keys": {"ed25519_private": told.key, "ed25519_public": told.public},
        "disable_root": false,
        // A locked root has no way in by the lane, whose sshd asks no PAM.
        "users": [
            {"name": "root", "lock_passwd": false, "ssh_authorized_keys": keys},
            {"name": "ops", "shell": "/bin/bash", "ssh_authorized_keys": keys},
            {
                "name": "opspw", "shell": "/bin/bash", "ssh_authorized_keys": keys,
                "lock_passwd": false, "plain_text_passwd": told.password,
            },
        ],
        "apt": {"preserve_sources_list": true},
        "package_update": false,
        "package_upgrade": false,
        "write_files": written(told)?,
        "runcmd": [first],
    }))
}

fn written(told: &Told) -> Result<Value> {
    let file = |path: &str, mode: u32, content: &str| {
        json!({
            "path": format!("/{path}"), "permissions": format!("{mode:04o}"), "owner": "root:root",
            "content": content,
        })
    };
    let mut all: Vec<Value> = files::of_cloud()
        .map(|(path, content)| file(path, files::mode(path, content), content))
        .collect();
    // The names that roles and the lane know them by, at every boot, whatever netplan's files say then.
    for (name, address) in adapters(told.host) {
        let link = format!("[Match]\nPermanentMACAddress={address}\n[Link]\nName={name}\n");
        all.push(file(
            &format!("etc/systemd/network/10-lab-{name}.link"),
            0o644,
            &link,
        ));
    }
    let keys = "usr/local/lib/hactl-lab/keys";
    all.extend([
        file("etc/hosts", 0o644, &seed::hosts_file(&told.host.name)),
        file(
            "etc/netplan/01-netcfg.yaml",
            0o600,
            &seed::netplan(told.host, told.hosts)?,
        ),
        file(&format!("{keys}/host"), 0o600, told.key),
        file(&format!("{keys}/authorized"), 0o600, told.authorized),
    ]);
    Ok(Value::Array(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::parse_hosts;

    fn told<T>(use_it: impl FnOnce(&Told) -> T) -> T {
        let hosts = parse_hosts("a=10.0.0.2,b=10.0.1.3").unwrap();
        use_it(&Told {
            host: &hosts[0],
            hosts: &hosts,
            key: "-----BEGIN\nkey: \"x\"\n-----END\n",
            public: "ssh-ed25519 AAAA a",
            authorized: "ssh-ed25519 BBBB hactl lab\n",
            password: "se: #cret",
            release: "trixie",
            with_python: true,
            instance: "hactl-1",
        })
    }

    /// As cloud-init reads it.
    fn yaml(document: &Value) -> Value {
        serde_yaml::from_str(&serde_json::to_string_pretty(document).unwrap()).unwrap()
    }

    fn content<'a>(data: &'a Value, path: &str) -> &'a Value {
        let files = data["write_files"].as_array().unwrap();
        files
            .iter()
            .find(|file| file["path"] == path)
            .unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn the_host_is_told_its_name_its_keys_and_its_users() {
        let data = yaml(&told(user_data).unwrap());
        assert_eq!(data["hostname"], "a");
        assert_eq!(
            data["ssh_keys"]["ed25519_private"],
            "-----BEGIN\nkey: \"x\"\n-----END\n"
        );
        let users = data["users"].as_array().unwrap();
        let names: Vec<&Value> = users.iter().map(|user| &user["name"]).collect();
        assert_eq!(names, ["root", "ops", "opspw"]);
        assert!(
            users
                .iter()
                .all(|user| user["ssh_authorized_keys"] == json!(["ssh-ed25519 BBBB hactl lab"]))
        );
        assert_eq!(users[2]["plain_text_passwd"], "se: #cret");
        assert_eq!(users[0]["lock_passwd"], false);
        let meta = yaml(&told(meta_data));
        assert_eq!(
            meta,
            json!({"instance-id": "hactl-1", "local-hostname": "a"})
        );
    }

    #[test]
    fn the_host_gets_the_lane_and_what_makes_it_a_lab_host() {
        let data = yaml(&told(user_data).unwrap());
        for (path, mode) in [
            ("/usr/local/lib/hactl-lab/keys/host", "0600"),
            ("/usr/local/lib/hactl-lab/keys/authorized", "0600"),
            ("/usr/local/lib/hactl-lab/lane-up", "0755"),
            ("/etc/systemd/system/lab-lane.service", "0644"),
            ("/etc/sudoers.d/lab", "0440"),
            ("/etc/netplan/01-netcfg.yaml", "0600"),
        ] {
            assert_eq!(content(&data, path)["permissions"], mode, "{path}");
        }
        let hosts = content(&data, "/etc/hosts")["content"].as_str().unwrap();
        assert!(hosts.contains("127.0.1.1\ta\n"), "{hosts}");
        assert_eq!(
            content(&data, "/etc/systemd/network/10-lab-enp0s30.link")["content"],
            "[Match]\nPermanentMACAddress=02:ae:0a:00:00:02\n[Link]\nName=enp0s30\n"
        );
        let first = data["runcmd"][0].as_array().unwrap();
        assert_eq!(
            first[..3],
            ["sh", "/usr/local/lib/hactl-lab/setup", "trixie"]
        );
        assert!(first.contains(&json!("python3")) && !first.contains(&json!("#")));
        content(&data, "/usr/local/lib/hactl-lab/setup");
    }

    #[test]
    fn adapters_are_found_by_what_they_are_and_called_as_everywhere() {
        let network = yaml(&told(network_config));
        assert_eq!(network["version"], 2);
        assert_eq!(
            network["ethernets"]["00-enp0s8"],
            json!({
                "addresses": ["10.0.0.2/24"],
                "routes": [{"to": "10.0.1.0/24", "via": "10.0.0.1"}],
                "match": {"macaddress": "02:ac:0a:00:00:02"},
                "set-name": "enp0s8",
            })
        );
        assert_eq!(network["ethernets"]["00-enp0s17"]["dhcp4"], true);
        // Nobody waits at boot for an adapter that moves elsewhere.
        assert_eq!(network["ethernets"]["00-enp0s30"]["optional"], true);
    }

    #[test]
    fn only_a_board_without_firmware_needs_one() {
        assert_eq!(firmware("x86_64"), Ok(None));
        match firmware("aarch64") {
            Ok(found) => assert!(found.is_some_and(|file| file.exists())),
            Err(error) => assert!(
                error
                    .help
                    .is_some_and(|help| help.contains(FIRMWARE_PACKAGE))
            ),
        }
    }
}
