//! Faults of the virtual address.

use super::{Case, said};

pub(super) const CASES: &[Case] = &[
    (
        "address on two hosts",
        |s| {
            s.out(
                "lb2",
                "common.addresses",
                "2: eth0    inet 192.168.104.10/24 scope global eth0\\\n",
            );
        },
        &[
            "fail keepalived.one-holder",
            "fail keepalived.seen-at-holder 192.168.104.10 seen from app1",
            "fail keepalived.seen-at-holder 192.168.104.10 seen from db1",
            "warn keepalived.state lb2",
        ],
    ),
    (
        "address on a host that must not have it",
        |s| {
            s.out("lb1", "common.addresses", "");
            s.out(
                "db2",
                "common.addresses",
                "2: eth0    inet 192.168.104.10/24 scope global eth0\\\n",
            );
            let mac = "192.168.104.10 dev eth0 lladdr 5a:00:00:00:00:35 REACHABLE\n";
            s.out("app1", "keepalived.neighbour", mac);
            s.out("db1", "keepalived.neighbour", mac);
        },
        &["fail keepalived.one-holder", "warn keepalived.state lb1"],
    ),
    (
        "address nowhere",
        |s| {
            s.out("lb1", "common.addresses", "");
            for viewer in ["app1", "db1"] {
                s.set(
                    viewer,
                    "keepalived.answers",
                    said(1, "", "connect: No route to host\n"),
                );
                s.out(
                    viewer,
                    "keepalived.neighbour",
                    "192.168.104.10 dev eth0 FAILED\n",
                );
            }
        },
        &[
            "fail keepalived.one-holder",
            "fail keepalived.answers 192.168.104.10 seen from app1",
            "unknown keepalived.seen-at-holder 192.168.104.10 seen from app1",
            "fail keepalived.answers 192.168.104.10 seen from db1",
            "unknown keepalived.seen-at-holder 192.168.104.10 seen from db1",
            "warn keepalived.state lb1",
        ],
    ),
    (
        "a neighbour with a stale entry",
        |s| {
            s.out(
                "db1",
                "keepalived.neighbour",
                "192.168.104.10 dev eth0 lladdr 5a:00:00:00:00:99 STALE\n",
            );
        },
        &["fail keepalived.seen-at-holder 192.168.104.10 seen from db1"],
    ),
    (
        "a script that keepalived disabled",
        |s| {
            s.out(
                "lb2",
                "keepalived.config",
                "SECURITY VIOLATION - check script disabled\n",
            );
        },
        &["fail keepalived.config lb2"],
    ),
    (
        "another router id",
        |s| {
            s.out("lb2", "keepalived.settings", "state BACKUP\nnopreempt\nvirtual_router_id 52\nunicast_peer {\n192.168.104.11\n}\n");
        },
        &["fail keepalived.peers lb2"],
    ),
    (
        "a peer that is missing",
        |s| {
            s.out(
                "lb2",
                "keepalived.settings",
                "state BACKUP\nnopreempt\nvirtual_router_id 51\nunicast_peer {\n}\n",
            );
        },
        &["fail keepalived.peers lb2"],
    ),
    (
        "preemption",
        |s| {
            s.out(
                "lb2",
                "keepalived.settings",
                "state MASTER\nvirtual_router_id 51\nunicast_peer {\n192.168.104.11\n}\n",
            );
        },
        &["fail keepalived.peers lb2"],
    ),
    (
        "its check fails",
        |s| s.set("lb2", "keepalived.script", said(1, "", "")),
        &["fail keepalived.check-script lb2"],
    ),
    (
        "maintenance",
        |s| s.out("lb2", "keepalived.flag", "1\n"),
        // A flag that keepalived does not heed.
        &[
            "warn keepalived.maintenance lb2",
            "warn keepalived.state lb2",
        ],
    ),
    (
        "another virtual address",
        |s| {
            s.out("lb2", "keepalived.settings", "state BACKUP\nnopreempt\nvirtual_router_id 51\nadvert_int 1\nunicast_peer {\n192.168.104.11\n}\nvirtual_ipaddress {\n192.168.104.9/24 dev eth0\n}\n");
        },
        &["fail keepalived.peers lb2"],
    ),
    (
        "another pace",
        |s| {
            s.out("lb2", "keepalived.settings", "state BACKUP\nnopreempt\nvirtual_router_id 51\nadvert_int 5\nunicast_peer {\n192.168.104.11\n}\nvirtual_ipaddress {\n192.168.104.10/24 dev eth0\n}\n");
        },
        &["fail keepalived.peers lb2"],
    ),
    (
        "another password",
        |s| s.out("lb2", "keepalived.secret", "abd  -\n"),
        &["fail keepalived.same-secret lb2"],
    ),
    (
        "a script that others can change",
        |s| {
            s.out(
                "lb1",
                "keepalived.paths",
                "root 755 /etc\nroot 777 /etc/keepalived/scripts/check-haproxy\n",
            )
        },
        &["fail keepalived.scripts-safe lb1"],
    ),
    (
        "a script that is another's",
        |s| {
            s.out(
                "lb1",
                "keepalived.paths",
                "root 755 /etc\nwww 755 /etc/keepalived/scripts\n",
            )
        },
        &["fail keepalived.scripts-safe lb1"],
    ),
    (
        "a script that is missing",
        |s| {
            s.out(
                "lb1",
                "keepalived.paths",
                "missing 0 /x/check\nroot 755 /etc\n",
            )
        },
        &["fail keepalived.scripts-safe lb1"],
    ),
    (
        "no script",
        |s| s.out("lb1", "keepalived.paths", ""),
        &["unknown keepalived.scripts-safe lb1"],
    ),
    (
        "a script that the daemon disabled",
        |s| {
            s.out("lb1", "keepalived.journal", "Starting Keepalived v2\nReloading\nDisabling track script haproxy since not found/accessible\n")
        },
        &["fail keepalived.scripts-run lb1"],
    ),
    (
        "a script that was disabled before the last reload",
        |s| {
            s.out(
                "lb1",
                "keepalived.journal",
                "Starting Keepalived v2\nDisabling track script haproxy\nReloading\n",
            )
        },
        &[],
    ),
    (
        "a check that notices nothing",
        |s| s.out("lb2", "keepalived.fault", "blind\n"),
        &["fail keepalived.check-notices lb2"],
    ),
    (
        "a host where that cannot be tried",
        |s| {
            s.set(
                "lb2",
                "keepalived.fault",
                said(99, "", "unshare: Operation not permitted\n"),
            )
        },
        &["unknown keepalived.check-notices lb2"],
    ),
    (
        "two masters by their own words",
        |s| {
            s.out(
                "lb2",
                "keepalived.transition",
                "2026-11-21T14:51:17Z lb2 vip MASTER priority 90\n",
            )
        },
        &["warn keepalived.state lb2"],
    ),
    (
        "a host that cannot take the address",
        |s| {
            s.out(
                "lb2",
                "keepalived.transition",
                "2026-11-21T14:51:17Z lb2 vip FAULT priority 90\n",
            )
        },
        &["warn keepalived.state lb2"],
    ),
    (
        "a host that gave the address away for maintenance",
        |s| {
            s.out(
                "lb2",
                "keepalived.transition",
                "2026-11-21T14:51:17Z lb2 vip FAULT priority 90\n",
            );
            s.out("lb2", "keepalived.flag", "1\n");
        },
        &["warn keepalived.maintenance lb2"],
    ),
    (
        "no word of a transition",
        |s| {
            s.set(
                "lb2",
                "keepalived.transition",
                said(1, "", "tail: cannot open\n"),
            )
        },
        &["unknown keepalived.state lb2"],
    ),
];
