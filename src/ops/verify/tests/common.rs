//! Faults of any host.

use super::{ASKED, Case, said};

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
    (
        "no time source",
        |s| {
            s.out("db2", "common.tracking", "Reference ID    : 00000000 ()\nStratum         : 0\nLeap status     : Not synchronised\n")
        },
        &["warn common.time-source db2"],
    ),
    (
        "no time daemon",
        |s| {
            s.set(
                "db2",
                "common.tracking",
                said(1, "506 Cannot talk to daemon\n", ""),
            )
        },
        &["unknown common.time-source db2"],
    ),
    (
        "a container's clock",
        |s| s.out("db2", "common.tracking", "container\n"),
        &[],
    ),
    (
        "a package held back",
        |s| s.out("lb1", "common.held", "haproxy\n"),
        &["warn common.held-packages lb1"],
    ),
    (
        "another version",
        |s| {
            s.out(
                "db2",
                "common.versions",
                "installed chrony 4.3-2\ninstalled postgresql-15 15.7-1\n",
            )
        },
        &["warn common.same-versions db2"],
    ),
    (
        "versions that cannot be read",
        |s| {
            s.set(
                "db2",
                "common.versions",
                said(2, "", "dpkg-query: error: database is locked\n"),
            )
        },
        &["unknown common.same-versions db2"],
    ),
    (
        "a process killed for want of memory",
        |s| {
            s.out("app1", "common.killed", "2026-11-21T10:00:00+0000 app1 kernel: Out of memory: Killed process 7 (gunicorn)\n")
        },
        &["warn common.out-of-memory app1"],
    ),
    (
        "an operation that was cut off",
        |s| {
            s.mark("db1", "operation", r#"{"id":"7","kind":"switchover","operator":"ann","started":"2026-11-21T15:00:00Z"}"#)
        },
        &["fail common.operation db1"],
    ),
    (
        "a host that blocks another one",
        |s| {
            s.mark(
                "app1",
                "blocked/db1",
                r#"{"operator":"ann","since":"2026-11-21T15:00:00Z"}"#,
            )
        },
        &["fail common.cut-off db1"],
    ),
    (
        "a host that blocks a fenced one",
        |s| {
            s.mark("app1", "blocked/db1", "192.0.2.31");
            s.mark("db1", "fenced", "failover since 2026-11-21T15:00:00Z");
        },
        &[
            "warn common.fenced db1",
            "warn common.blocked db1",
            "fail postgresql.fence db1",
        ],
    ),
    (
        "maintenance",
        |s| {
            s.mark(
                "app1",
                "maintenance",
                r#"{"operator":"ann","since":"2026-11-21T15:00:00Z","reason":"kernel"}"#,
            )
        },
        &["warn common.maintenance app1"],
    ),
    (
        "restarts that are due",
        |s| s.mark("app1", "pending-handlers", "Restart chrony"),
        &["warn common.pending-handlers app1"],
    ),
    (
        "no restart is due",
        |s| s.mark("app1", "pending-handlers", ""),
        &[],
    ),
];
