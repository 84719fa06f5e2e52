//! Faults of the databases.

use super::{Case, said, server};
use serde_json::{Value, json};

pub(super) const CASES: &[Case] = &[
    (
        "two primaries",
        |s| {
            s.out("db2", "postgresql.state", &server(false).to_string());
            s.out("db2", "postgresql.write", "primary\n");
        },
        &[
            "fail postgresql.one-primary",
            "fail postgresql.streaming db1",
            "fail postgresql.lag db1",
            "fail postgresql.standby-settings db1",
            "fail postgresql.streaming db2",
            "fail postgresql.lag db2",
            "fail postgresql.standby-settings db2",
            "unknown postgresql.slots",
            "unknown postgresql.synchronous",
            "unknown postgresql.primary-writes",
            "unknown postgresql.archiver",
        ],
    ),
    (
        "no primary",
        |s| s.state("db1", "/in_recovery", json!(true)),
        &[
            "fail postgresql.one-primary",
            "fail postgresql.streaming db1",
            "unknown postgresql.lag db1",
            "unknown postgresql.standby-settings db1",
            "fail postgresql.streaming db2",
            "unknown postgresql.lag db2",
            "unknown postgresql.standby-settings db2",
            "unknown postgresql.slots",
            "unknown postgresql.synchronous",
            "unknown postgresql.primary-writes",
            "unknown postgresql.archiver",
            "unknown postgresql.standby-refuses-writes db1",
            "fail postgresql.standby-signal db1",
        ],
    ),
    (
        "standby stopped",
        |s| {
            s.set("db2", "postgresql.state", said(2, "", "psql: error: connection to server on socket failed: No such file or directory\n\tIs the server running?\n"));
            s.state("db1", "/senders", json!([]));
            s.state("db1", "/slots/0/active", json!(false));
        },
        &[
            "fail postgresql.running db2",
            "unknown postgresql.same-cluster db2",
            "unknown postgresql.timeline db2",
            "fail postgresql.streaming db2",
            "unknown postgresql.lag db2",
            "unknown postgresql.standby-settings db2",
            "fail postgresql.slots db1",
            "unknown postgresql.rewind-ready db2",
            "unknown postgresql.pending-restart db2",
            "unknown postgresql.config-files db2",
            "unknown postgresql.scram db2",
            "unknown postgresql.transactions db2",
            "unknown postgresql.checksums db2",
            "unknown postgresql.standby-signal db2",
            "unknown postgresql.files-loaded db2",
            "unknown postgresql.connections db2",
            "unknown postgresql.certificate db2",
            "unknown postgresql.in-force db2",
        ],
    ),
    (
        "standby frozen: its answer is not known, so it may be a primary",
        |s| s.set("db2", "postgresql.state", said(124, "", "")),
        &[
            "unknown postgresql.running db2",
            "unknown postgresql.one-primary",
            "unknown postgresql.same-cluster db2",
            "unknown postgresql.timeline db2",
            "unknown postgresql.streaming db2",
            "unknown postgresql.lag db2",
            "unknown postgresql.standby-settings db2",
            "unknown postgresql.rewind-ready db2",
            "unknown postgresql.pending-restart db2",
            "unknown postgresql.config-files db2",
            "unknown postgresql.scram db2",
            "unknown postgresql.transactions db2",
            "unknown postgresql.checksums db2",
            "unknown postgresql.standby-signal db2",
            "unknown postgresql.files-loaded db2",
            "unknown postgresql.connections db2",
            "unknown postgresql.certificate db2",
            "unknown postgresql.in-force db2",
        ],
    ),
    (
        "another timeline",
        |s| s.state("db2", "/timeline", json!(2)),
        &["fail postgresql.timeline db2"],
    ),
    (
        "another cluster",
        |s| s.state("db2", "/system", json!("8")),
        &["fail postgresql.same-cluster db2"],
    ),
    (
        "slot not in use",
        |s| s.state("db1", "/slots/0/active", json!(false)),
        &["fail postgresql.slots db1"],
    ),
    (
        "slot without WAL",
        |s| s.state("db1", "/slots/0/wal_status", json!("lost")),
        &["fail postgresql.slots db1"],
    ),
    (
        "no slot",
        |s| s.state("db1", "/slots", json!([])),
        &["fail postgresql.slots db1"],
    ),
    (
        "a standby's own slot",
        |s| {
            s.state(
                "db2",
                "/slots",
                json!([{"name": "old", "active": false, "wal_status": "reserved"}]),
            );
        },
        &["warn postgresql.stale-slots db2"],
    ),
    (
        "standby says no",
        |s| s.state("db2", "/receiver", Value::Null),
        &["fail postgresql.streaming db2"],
    ),
    (
        "standby follows somebody else",
        |s| s.state("db2", "/receiver/sender_host", json!("192.0.2.1")),
        &["fail postgresql.streaming db2"],
    ),
    (
        "primary says no",
        |s| s.state("db1", "/senders", json!([])),
        &["fail postgresql.streaming db2", "fail postgresql.lag db2"],
    ),
    (
        "catching up",
        |s| s.state("db1", "/senders/0/state", json!("catchup")),
        &["fail postgresql.streaming db2"],
    ),
    (
        "behind",
        |s| s.state("db1", "/senders/0/behind", json!(99_999_999)),
        &["fail postgresql.lag db2"],
    ),
    (
        "replay paused",
        |s| s.state("db2", "/replay_paused", json!(true)),
        &["fail postgresql.replay db2"],
    ),
    (
        "a standby that writes",
        |s| s.out("db2", "postgresql.write", "written\n"),
        &["fail postgresql.standby-refuses-writes db2"],
    ),
    (
        "password of the other not accepted",
        |s| {
            s.set(
                "db1",
                "postgresql.login.db2",
                said(2, "", "FATAL: password authentication failed\n"),
            );
        },
        &["fail postgresql.replication-login db1 at db2"],
    ),
    (
        "synchronous against the wish",
        |s| {
            s.state(
                "db1",
                "/settings/synchronous_standby_names",
                json!("ANY 1 (db2)"),
            );
        },
        &["fail postgresql.synchronous db1"],
    ),
    (
        "not to be rewound",
        |s| {
            s.state("db1", "/settings/wal_log_hints", json!("off"));
            s.state("db1", "/settings/data_checksums", json!("off"));
        },
        &[
            "fail postgresql.rewind-ready db1",
            "warn postgresql.checksums-on db1",
        ],
    ),
    (
        "no checksums, but hints",
        |s| s.state("db1", "/settings/data_checksums", json!("off")),
        &["warn postgresql.checksums-on db1"],
    ),
    (
        "checksums of which nothing is known",
        |s| s.state("db1", "/settings/data_checksums", json!(null)),
        &["unknown postgresql.checksums db1"],
    ),
    (
        "fsync off by ALTER SYSTEM",
        |s| {
            s.state("db1", "/settings/fsync", json!("off"));
            s.state(
                "db1",
                "/overridden",
                json!([{"name": "fsync", "declared": "on", "value": "off",
                "place": "/var/lib/postgresql/15/main/postgresql.auto.conf:3"}]),
            );
        },
        &["fail postgresql.in-force db1"],
    ),
    (
        "fsync off as declared",
        |s| s.state("db1", "/settings/fsync", json!("off")),
        &["fail postgresql.in-force db1"],
    ),
    (
        "an archive that keeps nothing",
        |s| {
            s.state(
                "db1",
                "/overridden",
                json!([{"name": "archive_command", "declared": "x", "value": "/bin/true",
                "place": "/var/lib/postgresql/15/main/postgresql.auto.conf:3"}]),
            );
        },
        &["fail postgresql.in-force db1"],
    ),
    (
        "settings that cannot be read",
        |s| s.state("db1", "/overridden", json!(null)),
        &["unknown postgresql.in-force db1"],
    ),
    (
        "a standby that observes nothing",
        |s| s.out("db2", "postgresql.observer", ""),
        &["warn postgresql.observer db2"],
    ),
    (
        "an observer that stopped",
        |s| {
            s.out(
                "db2",
                "postgresql.observer",
                &super::stack::OBSERVED.replace("tried=99", "tried=9"),
            )
        },
        &["warn postgresql.observer db2"],
    ),
    (
        "lower limit",
        |s| s.state("db2", "/settings/max_connections", json!("50")),
        &["fail postgresql.standby-settings db2"],
    ),
    (
        "restart due",
        |s| s.state("db1", "/pending_restart", json!(["max_connections"])),
        &["warn postgresql.pending-restart db1"],
    ),
    (
        "bad pg_hba.conf",
        |s| s.state("db1", "/file_errors", json!(["pg_hba.conf:9: invalid"])),
        &["fail postgresql.config-files db1"],
    ),
    (
        "md5 in pg_hba.conf",
        |s| s.state("db1", "/weak_methods", json!(["md5"])),
        &["fail postgresql.scram db1"],
    ),
    (
        "md5 password",
        |s| s.state("db1", "/weak_passwords", json!(["app"])),
        &["fail postgresql.scram db1"],
    ),
    (
        "old transaction",
        |s| s.state("db1", "/oldest_transaction", json!(7200)),
        &["warn postgresql.transactions db1"],
    ),
    (
        "wrong pages",
        |s| s.state("db2", "/checksum_failures", json!(2)),
        &["fail postgresql.checksums db2"],
    ),
    (
        "fenced for the next boot",
        |s| {
            s.out(
                "db1",
                "postgresql.clusters",
                "15 main 5432 online active enabled manual\n",
            );
        },
        &["fail postgresql.running db1"],
    ),
    (
        "no start guard",
        |s| {
            s.set(
                "db1",
                "postgresql.guard",
                said(1, "systemd starts the server without asking it\n", ""),
            );
        },
        &["fail postgresql.guard db1"],
    ),
    (
        "two clusters",
        |s| {
            s.out(
                "db1",
                "postgresql.clusters",
                "15 main 5432 online active enabled auto\n15 x 5433 online active enabled auto\n",
            );
        },
        &["fail postgresql.running db1"],
    ),
    (
        "started by hand",
        |s| {
            s.out(
                "db1",
                "postgresql.clusters",
                "15 main 5432 online inactive enabled auto\n",
            );
        },
        &["fail postgresql.running db1"],
    ),
    (
        "a former primary that is fenced and stays down: one fault, one warning",
        |s| {
            s.set("db2", "postgresql.state", said(2, "", "psql: error: connection to server on socket failed: No such file or directory\n"));
            s.out(
                "db2",
                "postgresql.clusters",
                "15 main 5432 down inactive enabled disabled\n",
            );
            s.mark(
                "db2",
                "fenced",
                r#"{"operator":"ann","since":"2026-11-21T15:00:00Z","reason":"failover 7"}"#,
            );
            s.state("db1", "/senders", json!([]));
            s.state("db1", "/slots", json!([]));
        },
        &["warn common.fenced db2", "fail postgresql.running db2"],
    ),
    (
        "a fenced server whose unit is masked",
        |s| {
            s.set(
                "db2",
                "postgresql.state",
                said(2, "", "psql: error: Connection refused\n"),
            );
            s.out(
                "db2",
                "postgresql.clusters",
                "15 main 5432 down inactive masked auto\n",
            );
            s.mark("db2", "fenced", "");
            s.state("db1", "/senders", json!([]));
            s.state("db1", "/slots", json!([]));
        },
        &["warn common.fenced db2", "fail postgresql.running db2"],
    ),
    (
        "a fenced server that would start with its host",
        |s| {
            s.set(
                "db2",
                "postgresql.state",
                said(2, "", "psql: error: Connection refused\n"),
            );
            s.mark("db2", "fenced", "");
            s.state("db1", "/slots", json!([]));
        },
        &[
            "warn common.fenced db2",
            "fail postgresql.running db2",
            "fail postgresql.fence db2",
        ],
    ),
    (
        "a fenced server that runs",
        |s| s.mark("db2", "fenced", ""),
        &["warn common.fenced db2", "fail postgresql.fence db2"],
    ),
    (
        "a fenced server of which it is not known whether it runs",
        |s| {
            s.set("db2", "postgresql.clusters", said(124, "", ""));
            s.mark("db2", "fenced", "");
        },
        &[
            "warn common.fenced db2",
            "unknown postgresql.running db2",
            "unknown postgresql.fence db2",
        ],
    ),
    (
        "a standby that would come back as a primary",
        |s| s.state("db2", "/standby_signal", json!(false)),
        &["fail postgresql.standby-signal db2"],
    ),
    (
        "a primary that would come back as a standby",
        |s| s.state("db1", "/standby_signal", json!(true)),
        &["fail postgresql.standby-signal db1"],
    ),
    (
        "a primary that takes no writes by default",
        |s| s.state("db1", "/read_only", json!("on")),
        &["fail postgresql.primary-writes db1"],
    ),
    (
        "WAL that cannot be archived",
        |s| {
            s.state("db1", "/archiver/failing", json!(true));
            s.state("db1", "/archiver/failed", json!("000000010000000000000004"));
        },
        &["fail postgresql.archiver db1"],
    ),
    (
        "WAL that waits for its archive",
        |s| s.state("db1", "/archiver/waiting", json!(5)),
        &["fail postgresql.archiver db1"],
    ),
    (
        "no archive is wanted",
        |s| {
            s.state("db1", "/archiver/mode", json!("off"));
            s.state("db1", "/archiver/waiting", json!(50));
        },
        &[],
    ),
    (
        "late, though few bytes",
        |s| s.state("db1", "/senders/0/late", json!(10.5)),
        &["fail postgresql.lag db2"],
    ),
    (
        "a file that was changed and not read",
        |s| s.state("db2", "/not_loaded", json!(["pg_hba.conf"])),
        &["warn postgresql.files-loaded db2"],
    ),
    (
        "few connections left",
        |s| s.state("db1", "/connections", json!(81)),
        &["warn postgresql.connections db1"],
    ),
    (
        "a certificate near its end",
        |s| s.state("db1", "/now", json!(1_801_408_730_i64)),
        &["warn postgresql.certificate db1"],
    ),
    (
        "a certificate past its end",
        |s| s.state("db1", "/now", json!(1_804_000_730_i64)),
        &["warn postgresql.certificate db1"],
    ),
    (
        "a certificate with just enough time",
        |s| s.state("db1", "/now", json!(1_801_322_330_i64)),
        &[],
    ),
    (
        "no TLS",
        |s| s.state("db1", "/certificate", Value::Null),
        &[],
    ),
    (
        "a certificate that is missing",
        |s| s.state("db1", "/certificate/text", Value::Null),
        &["warn postgresql.certificate db1"],
    ),
    (
        "a certificate that cannot be read",
        |s| s.state("db1", "/certificate/text", json!("nonsense")),
        &["unknown postgresql.certificate db1"],
    ),
];
