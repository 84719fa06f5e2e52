//! What hosts say about the address, read.

use super::*;

fn reply(text: &str) -> Reply {
    Reply {
        stdout: text.as_bytes().to_vec(),
        ..Reply::default()
    }
}

#[test]
fn a_host_says_whether_it_has_the_address() {
    let text = r#"[{"ifname":"lo","address":"00:00:00:00:00:00","addr_info":[{"local":"127.0.0.1"}]},
        {"ifname":"eth0","address":"5a:00:00:00:00:01","addr_info":[{"local":"192.0.2.11"},{"local":"192.0.2.10"}]}]"#;
    for (address, mac) in [
        ("192.0.2.10", Some("5a:00:00:00:00:01")),
        ("192.0.2.1", None),
        ("192.0.2.100", None),
    ] {
        assert_eq!(holds(text, address).as_deref(), mac, "{address}");
    }
    assert_eq!(holds("not JSON", "192.0.2.10"), None);
    let one = balancer(
        "lb1",
        "192.0.2.10",
        [
            &reply(text),
            &reply("0\n"),
            &reply("2026-11-21T14:49:41Z lb1 vip MASTER priority 254\n"),
        ],
    );
    assert!(one.holds && !one.is_flagged());
    assert_eq!(one.state.as_deref(), Some("MASTER"));
    assert_eq!(one.since.as_deref(), Some("2026-11-21T14:49:41Z"));
}

#[test]
fn a_flag_is_set_by_anything_but_zero() {
    for (flag, set) in [
        ("", false),
        ("0", false),
        ("00", false),
        ("1", true),
        ("10", true),
        ("x", true),
    ] {
        let one = Balancer {
            flag: flag.to_owned(),
            ..Balancer::default()
        };
        assert_eq!(one.is_flagged(), set, "{flag}");
    }
}

#[test]
fn neighbours_and_operations_are_read() {
    for (text, mac) in [
        ("192.0.2.10 dev eth0 lladdr 5a:01 REACHABLE", Some("5a:01")),
        ("192.0.2.10 dev eth0 FAILED", None),
        ("", None),
    ] {
        assert_eq!(lladdr(text).as_deref(), mac);
    }
    assert_eq!(unfinished(&reply("")), None);
    assert_eq!(
        unfinished(&reply("{\"kind\":\"failover\"}\n")).expect("one")["kind"],
        "failover"
    );
    assert_eq!(
        unfinished(&reply("half a li")).expect("one")["kind"],
        "unreadable"
    );
}
