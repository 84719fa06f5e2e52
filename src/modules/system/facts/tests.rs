//! The facts script for real on this machine, and readings of answers that other machines give.

use super::super::support::testing::{args, run, said, same, see};
use super::*;
use crate::modules::Module;
use serde_json::json;

/// A host's answer, section by section.
fn answer(text: &str) -> Map<String, Value> {
    parse_facts(&said(&format!("{text}\n@@end\n"))).expect("facts")
}

#[test]
fn this_machine_tells_its_facts() {
    let reply = run(&facts_probe());
    let facts = parse_facts(&reply).expect("facts");
    let trimmed = |path: &str| {
        std::fs::read_to_string(path)
            .expect("readable")
            .trim()
            .to_owned()
    };
    assert_eq!(
        facts["kernel"],
        json!(trimmed("/proc/sys/kernel/osrelease"))
    );
    assert_eq!(
        facts["nodename"],
        json!(trimmed("/proc/sys/kernel/hostname"))
    );
    assert!(facts["memtotal_mb"].as_u64().is_some_and(|size| size > 0));
    assert!(
        facts["processor_vcpus"]
            .as_u64()
            .is_some_and(|count| count > 0)
    );
    assert_eq!(facts["lo"]["ipv4"]["address"], json!("127.0.0.1"));
    assert!(
        facts["date_time"]["epoch"]
            .as_str()
            .is_some_and(|text| text.parse::<u64>().is_ok())
    );
    assert!(facts["env"].get("PATH").is_some());
    names_are_listed(&facts);
}

/// The list that the documentation shows has every fact but those that are called like a network interface.
fn names_are_listed(facts: &Map<String, Value>) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/modules/system/facts/names.txt"
    );
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let mut listed: std::collections::BTreeSet<&str> = kept.split_whitespace().collect();
    let interfaces = facts["interfaces"].as_array().expect("a list");
    let fresh: Vec<&str> = facts
        .keys()
        .map(String::as_str)
        .filter(|name| !interfaces.iter().any(|interface| interface == name))
        .filter(|name| !listed.contains(name))
        .collect();
    if std::env::var_os("HACTL_WRITE_DOCS").is_some() {
        listed.extend(&fresh);
        let lines: Vec<&str> = listed.into_iter().collect();
        std::fs::write(path, lines.join("\n") + "\n").expect("written");
    } else {
        assert!(fresh.is_empty(), "not in {path}: {fresh:?}");
    }
}

#[test]
fn distributions_are_named_as_ansible_names_them() {
    let cases = [
        (
            "/etc/os-release:ID=ubuntu\n/etc/os-release:ID_LIKE=debian\n/etc/os-release:VERSION_ID=\"24.04\"\n/etc/os-release:VERSION_CODENAME=noble\n/etc/debian_version:trixie/sid",
            ["Ubuntu", "24.04", "24", "noble", "Debian"],
        ),
        (
            "/etc/os-release:ID=debian\n/etc/os-release:VERSION_ID=\"12\"\n/etc/os-release:VERSION_CODENAME=bookworm\n/etc/debian_version:12.11",
            ["Debian", "12.11", "12", "bookworm", "Debian"],
        ),
    ];
    for (files, wanted) in cases {
        let facts = answer(&format!("@@files\n{files}"));
        let names = [
            "distribution",
            "distribution_version",
            "distribution_major_version",
            "distribution_release",
            "os_family",
        ];
        assert_eq!(
            names.map(|name| facts[name].as_str().expect("text").to_owned()),
            wanted.map(str::to_owned)
        );
    }
}

const NET: &str = "@@files\n\
/proc/net/route:Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
/proc/net/route:eth0 00000000 0168A8C0 0003 0 0 0 00000000 0 0 0\n\
/proc/net/route:eth0 0068A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n\
/sys/class/net/eth0/mtu:1500\n/sys/class/net/eth0/address:02:00:00:00:00:01\n/sys/class/net/eth0/type:1\n\
/sys/class/net/eth0/operstate:up\n@@interfaces\neth0 \n";

#[test]
fn addresses_are_found_with_and_without_ip() {
    let with = "@@addresses\n2: eth0    inet 192.168.104.10/24 brd 192.168.104.255 scope global eth0\\       valid_lft forever\n\
        2: eth0    inet 192.168.104.200/32 scope global eth0\\       valid_lft forever";
    let without = "@@addresses\nwithout-ip\nLocal:\n     |-- 192.168.104.10\n        /32 host LOCAL\n     |-- 192.168.104.200\n        /32 host LOCAL";
    for addresses in [with, without] {
        let facts = answer(&format!("{NET}{addresses}"));
        let wanted = json!({
            "interface": "eth0", "gateway": "192.168.104.1", "alias": "eth0", "address": "192.168.104.10",
            "broadcast": "192.168.104.255", "netmask": "255.255.255.0", "network": "192.168.104.0", "prefix": "24",
            "macaddress": "02:00:00:00:00:01", "mtu": 1500, "type": "ether",
        });
        assert_eq!(facts["default_ipv4"], wanted);
        assert_eq!(
            facts["all_ipv4_addresses"],
            json!(["192.168.104.10", "192.168.104.200"])
        );
        assert_eq!(
            facts["eth0"]["ipv4_secondaries"][0]["address"],
            json!("192.168.104.200")
        );
    }
}

#[test]
fn virtual_surroundings_are_told() {
    for (lines, kind, role) in [
        ("podman\ncontainer=podman\ncontainerenv", "podman", "guest"),
        ("lxc\ncontainer=lxc", "lxc", "guest"),
        ("kvm", "kvm", "guest"),
        ("none\ndev-kvm", "kvm", "host"),
        ("none", "NA", "NA"),
    ] {
        let facts = answer(&format!("@@virtual\n{lines}"));
        assert_eq!(
            (&facts["virtualization_type"], &facts["virtualization_role"]),
            (&json!(kind), &json!(role))
        );
    }
}

#[test]
fn local_facts_and_odd_environments_are_read() {
    let facts = answer("@@local a\n{\"x\": 1}\n\n@@local b\n[s]\nK=v\n@@env\nA=1\n@@files\nB=2");
    assert_eq!(
        facts["local"],
        json!({"a": {"x": 1}, "b": {"s": {"k": "v"}}})
    );
    assert_eq!(facts["env"], json!({"A": "1", "B": "2"}));
}

#[test]
fn setup_filters_and_prefixes() {
    let args = args(&SETUP, json!({"filter": "ansible_kernel*"}));
    let outcome = same(
        SETUP
            .diff(&args, &see(&SETUP.probe(&args).expect("probe")))
            .expect("facts"),
    );
    let names: Vec<_> = outcome["ansible_facts"]
        .as_object()
        .expect("map")
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["ansible_kernel", "ansible_kernel_version"]);
}

#[test]
fn services_and_packages_become_facts() {
    let text = "ssh.service loaded active running OpenSSH\nx.service not-found inactive dead x\n@@\nssh.service enabled enabled\n";
    let none = args(&SERVICE_FACTS, json!({}));
    let outcome = same(
        SERVICE_FACTS
            .diff(&none, &[crate::modules::Seen::Reply(said(text))])
            .expect("facts"),
    );
    let ssh = json!({"name": "ssh.service", "state": "running", "status": "enabled", "source": "systemd"});
    assert_eq!(outcome["ansible_facts"]["services"]["ssh.service"], ssh);
    let text = "installed bash 5.2 amd64 shells \nconfig-files old 1 amd64 x \n";
    let outcome = same(
        PACKAGE_FACTS
            .diff(&none, &[crate::modules::Seen::Reply(said(text))])
            .expect("facts"),
    );
    assert_eq!(
        outcome["ansible_facts"]["packages"]["bash"][0]["version"],
        json!("5.2")
    );
    assert!(outcome["ansible_facts"]["packages"].get("old").is_none());
}

#[test]
fn the_python_is_that_of_the_host_or_of_its_release() {
    let bookworm = "@@files\n/etc/os-release:ID=debian\n/etc/os-release:VERSION_CODENAME=bookworm";
    for (more, version, minor) in [
        ("@@python\n/usr/bin/python3\nPython 3.12.7", "3.12.7", 12),
        ("@@python", "3.11.2", 11),
    ] {
        let facts = answer(&format!("{bookworm}\n{more}"));
        assert_eq!(facts["python_version"], json!(version), "{more}");
        assert_eq!(facts["python"]["version"]["major"], json!(3));
        assert_eq!(facts["python"]["version"]["minor"], json!(minor));
        assert_eq!(facts["python"]["executable"], json!("/usr/bin/python3"));
    }
}
