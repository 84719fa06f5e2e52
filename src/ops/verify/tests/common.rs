//! Faults of any host.

use super::{ASKED, Case};

pub(super) const CASES: &[Case] = &[
    (
        "a failed unit",
        |s| {
            s.out(
                "db1",
                "common.failed",
                "logrotate.service loaded failed failed Rotate log files\n",
            );
        },
        &["fail common.failed-units db1"],
    ),
    (
        "disk filling",
        |s| s.out("db1", "common.disks", "x 1 1 1 85% /var/lib\n"),
        &["warn common.disk-room db1"],
    ),
    (
        "inodes gone",
        |s| s.out("db1", "common.inodes", "x 1 1 1 99% /\n"),
        &["fail common.disk-full db1", "warn common.disk-room db1"],
    ),
    (
        "clock wrong",
        |s| s.out("app2", "common.clock", &format!("{}.05\n", ASKED + 4)),
        &["fail common.time app2"],
    ),
    (
        "clock within doubt",
        |s| s.out("app2", "common.clock", &format!("{}.09\n", ASKED + 1)),
        &[],
    ),
    (
        "clock unreadable",
        |s| s.out("app2", "common.clock", "now\n"),
        &["unknown common.time app2"],
    ),
    (
        "name unknown",
        |s| {
            s.out("app1", "common.names", "app1 192.168.104.21\nlb1 192.168.104.11\nlb2\ndb1 192.168.104.31\ndb2 192.168.104.32\n");
        },
        &["fail common.names app1"],
    ),
    (
        "name wrong",
        |s| {
            s.out(
                "lb1",
                "common.names",
                "lb1 127.0.1.1\nlb2 192.168.104.12\ndb1 192.168.104.31\ndb2 192.168.104.32\n",
            );
        },
        &["fail common.names lb1"],
    ),
    (
        "not root",
        |s| s.out("lb1", "common.root", "1000\n"),
        &["fail common.reached lb1"],
    ),
    (
        "reboot due",
        |s| s.out("db2", "common.reboot", "linux-image\ndue\n"),
        &["warn common.reboot db2"],
    ),
];
