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
        &["fail keepalived.one-holder"],
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
        &["warn keepalived.maintenance lb2"],
    ),
];
