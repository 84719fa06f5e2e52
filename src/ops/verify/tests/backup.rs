//! Faults of the backups.

use super::{Case, said, stack};
use crate::modules::Reply;

pub(super) const CASES: &[Case] = &[
    (
        "the last backup is old",
        |s| s.out("app2", "backup.info", &info(200_000, 0)),
        &["fail backup.recent app2", "warn backup.tested app2"],
    ),
    (
        "there is no backup",
        |s| s.out("app2", "backup.info", &info(0, 2).replace(BACKUP, "")),
        &["fail backup.recent app2", "fail backup.whole app2"],
    ),
    (
        "the repository cannot be read",
        |s| {
            s.set(
                "app2",
                "backup.info",
                said(37, "", "ERROR: [037]: no stanza\n"),
            )
        },
        &[
            "unknown backup.recent app2",
            "unknown backup.size app2",
            "unknown backup.whole app2",
            "unknown backup.retention app2",
            "unknown backup.tested app2",
            "unknown backup.gaps app2",
        ],
    ),
    (
        "a file of the log was dropped",
        |s| {
            s.out(
                "app2",
                "backup.log",
                "000000010000000000000004\n000000010000000000000006\n",
            )
        },
        &["fail backup.gaps app2"],
    ),
    (
        "the log does not arrive",
        |s| {
            s.out(
                "db1",
                "backup.archiver",
                r#"{"standby": false, "mode": "on", "waiting": 3, "oldest": 90, "failing": true, "last": "000000010000000000000004"}"#,
            );
            s.set(
                "db1",
                "backup.ping",
                said(49, "", "ERROR: [049]: unable to connect\n"),
            );
        },
        &["fail backup.archiving db1", "fail backup.reach db1"],
    ),
    (
        "nothing is archived",
        |s| {
            s.out(
                "db1",
                "backup.archiver",
                r#"{"standby": false, "mode": "off", "waiting": 0}"#,
            )
        },
        &["fail backup.archiving db1"],
    ),
    (
        "a timer on a database host",
        |s| s.set("db1", "backup.timers", timers("active", "enabled")),
        &["fail backup.timer db1"],
    ),
    (
        "no timer where it belongs",
        |s| s.set("app2", "backup.timers", timers("inactive", "disabled")),
        &["fail backup.timer app2"],
    ),
    (
        "pgBackRest is stopped, a certificate ends",
        |s| {
            let text = stack::units(&["pgbackrest.service"])
                .out()
                .replace("active", "failed");
            s.out("db2", "backup.units", &text);
            s.set(
                "db2",
                "backup.key",
                said(1, "notAfter=Jan 1 00:00:00 2026 GMT\n", ""),
            );
        },
        &["fail backup.server db2", "warn backup.certificate db2"],
    ),
];

fn timers(active: &str, file: &str) -> Reply {
    let block = |kind: &str| {
        format!(
            "Id=postgresql-backup-{kind}.timer\nLoadState=loaded\nActiveState={active}\nSubState=waiting\nUnitFileState={file}\n"
        )
    };
    said(0, &format!("{}\n{}", block("full"), block("incr")), "")
}

const BACKUP: &str = r#"{"archive":{"start":"000000010000000000000004","stop":"000000010000000000000004"},"error":false,"info":{"size":100,"repository":{"delta":9}},"label":"20260101-000000F","timestamp":{"start":1000,"stop":1010},"type":"full"}"#;

fn info(age: i64, code: i64) -> String {
    // A restore was tried after the backup, unless that is long ago.
    let tested = if age > 100_000 { -9_000_000 } else { 1010 };
    format!(
        "now={}\nfree=1000000\narrived=1010.5\ntested={tested}\ninfo=[{{\"archive\":[],\"backup\":[{BACKUP}],\"db\":[{{\"id\":1,\"system-id\":7300000000000000001,\"version\":\"15\"}}],\"name\":\"main\",\"status\":{{\"code\":{code},\"message\":\"it says\"}}}}]\n",
        1010 + age,
    )
}

pub(super) fn good(host: &str, what: &str) -> Option<Reply> {
    let text = |out: &str| Some(said(0, out, ""));
    match what {
        "info" => text(&info(60, 0)),
        "log" => text("000000010000000000000004\n000000010000000000000005\n"),
        "archiver" => text(&format!(
            r#"{{"standby": {}, "mode": "on", "waiting": 0, "oldest": null, "failing": false, "last": "000000010000000000000005"}}"#,
            host == "db2"
        )),
        "ping" => text(""),
        "units" => Some(stack::units(&["pgbackrest.service"])),
        "key" => text("notAfter=Jan 1 00:00:00 2036 GMT\nCertificate will not expire\n"),
        "timers" if host == "app2" => Some(timers("active", "enabled")),
        "timers" => Some(timers("inactive", "")),
        _ => None,
    }
}
