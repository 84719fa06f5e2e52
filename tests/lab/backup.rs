//! Backups on another host, and the way back: made, listed, proven, restored beside the running cluster.

use crate::Case;
use crate::bench::{Bench, eventually, program};
use crate::command::{Run, run};
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        name: "backup_and_restore_to_a_time",
        run: backup_and_restore_to_a_time,
    },
    Case {
        name: "backup_refuses_what_could_destroy",
        run: backup_refuses_what_could_destroy,
    },
    Case {
        name: "backup_is_proven",
        run: backup_is_proven,
    },
    Case {
        name: "backup_after_a_promotion",
        run: backup_after_a_promotion,
    },
    Case {
        name: "backup_long_repository_down",
        run: backup_repository_down,
    },
];

const UNIT: &str = "postgresql@15-main";

/// SQL on a host, as the owner of the cluster.
#[track_caller]
fn sql(bench: &Bench, host: &str, sql: &str) -> String {
    bench.on(
        host,
        &format!("cd /; runuser -u postgres -- psql -XAtqw -v ON_ERROR_STOP=1 -c \"{sql}\""),
    )
}

fn backups(bench: &Bench) -> Vec<Value> {
    let listed = bench.hactl(&["backup", "list", "--json"]);
    listed.ends(0);
    let document = listed.json();
    assert_eq!(document["schema"], "hactl.backup/1", "{document:#}");
    document["backups"].as_array().cloned().expect("backups")
}

/// Waits for the backup that the first deploy began.
pub fn first_backup(bench: &Bench) {
    bench.deployed();
    eventually("the first backup is complete", 150, || {
        !backups(bench).is_empty()
    });
}

/// The processes of a server and since when it has been up: what a restore must not change.
fn life(bench: &Bench, host: &str) -> String {
    sql(
        bench,
        host,
        "SELECT pg_postmaster_start_time(), system_identifier, pg_is_in_recovery() FROM pg_control_system()",
    )
}

fn history(bench: &Bench, kind: &str) -> usize {
    let count = bench.on(
        "db1",
        &format!("ls /var/lib/hactl/history | grep -c -- -{kind}- || true"),
    );
    count.parse().expect("a number")
}

fn backup_and_restore_to_a_time(bench: &Bench) {
    first_backup(bench);
    let before = backups(bench).len();
    bench
        .hactl(&["backup", "now", "--reason", "a test"])
        .ends(0)
        .says(&["incr", "any time from"]);
    let after = backups(bench);
    assert_eq!(after.len(), before + 1, "{after:#?}");
    assert_eq!(after[before]["kind"], "incr");
    assert!(history(bench, "backup") > 0, "no history");

    sql(
        bench,
        "db1",
        "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept SELECT generate_series(1, 500)",
    );
    let time = sql(bench, "db1", "SELECT clock_timestamp()");
    sql(bench, "db1", "DELETE FROM kept");
    let lives = [life(bench, "db1"), life(bench, "db2")];

    let dir = "/var/lib/postgresql/restored-by-test";
    let wish = [
        "restore",
        "--to-time",
        &time,
        "--target",
        "db2",
        "--directory",
        dir,
    ];
    let plan = bench.hactl(&[wish.as_slice(), &["--dry-run", "--json"]].concat());
    plan.ends(0);
    assert_eq!(plan.json()["possible"], true);
    bench.on("db2", &format!("test ! -e {dir}"));

    let restored = bench.hactl(&wish);
    restored.ends(0).says(&[
        "rows",
        "was not touched",
        "pg_ctl -D",
        "psql -h",
        "into service",
    ]);
    eprintln!("lab:   restored to a time in {:.1} s", restored.seconds);
    assert!(history(bench, "restore") > 0, "no history");
    // What it says is how it is looked at: on a socket of its own, nothing on the network.
    let bin = "/usr/lib/postgresql/15/bin";
    let look = bench.on(
        "db2",
        &format!(
            "cd /; runuser -u postgres -- {bin}/pg_ctl -D {dir} -l {dir}/restore.log -w start >/dev/null
             runuser -u postgres -- psql -XAtqw -h {dir} -p 5433 -c 'SELECT count(*) FROM kept' -c 'SHOW listen_addresses' -c 'SHOW archive_mode'
             ss -Hltn | grep -c ':5433 '
             runuser -u postgres -- {bin}/pg_ctl -D {dir} -m fast -w stop >/dev/null"
        ),
    );
    assert_eq!(
        look.lines().map(str::trim).collect::<Vec<_>>(),
        ["500", "", "off", "0"]
    );
    assert_eq!(
        [life(bench, "db1"), life(bench, "db2")],
        lives,
        "the running servers were touched"
    );
    assert_eq!(sql(bench, "db1", "SELECT count(*) FROM kept"), "0");

    // A second time there is something in it.
    bench.hactl(&wish).ends(2).says(&["not empty"]);
    bench.on("db2", &format!("rm -r {dir}"));
    sql(bench, "db1", "DROP TABLE kept");
    bench.whole();
}

fn refused(run: &Run, why: &[&str]) {
    run.ends(2).says(why);
}

fn backup_refuses_what_could_destroy(bench: &Bench) {
    first_backup(bench);
    let lives = [life(bench, "db1"), life(bench, "db2")];
    let data = "/var/lib/postgresql/15/main";
    let restore = |host: &str, directory: &str| {
        let place = ["--target", host, "--directory", directory];
        bench.hactl(&[&["restore", "--to-latest"][..], &place].concat())
    };
    let back_to = |time: &str| bench.hactl(&["restore", "--to-time", time, "--target", "db2"]);
    refused(&restore("db1", data), &["refused (new)", "refused (apart)"]);
    let inside = format!("{data}/base/restored");
    refused(&restore("db1", &inside), &["refused (apart)"]);
    bench.on(
        "db1",
        &format!("ln -sfn {data}/base /var/lib/postgresql/link"),
    );
    refused(
        &restore("db1", "/var/lib/postgresql/link/x"),
        &["refused (apart)"],
    );
    bench.on("db1", "rm /var/lib/postgresql/link");
    refused(&back_to("2099-01-01 00:00:00"), &["refused (past)"]);
    refused(
        &back_to("2001-01-01 00:00:00"),
        &["refused (backup)", "the first one was complete at"],
    );
    bench.on(
        "db2",
        "mkdir -p /mnt/tiny && mount -t tmpfs -o size=4m,mode=0777 none /mnt/tiny",
    );
    let tiny = restore("db2", "/mnt/tiny/restored");
    bench.on("db2", "umount /mnt/tiny && rmdir /mnt/tiny");
    refused(&tiny, &["refused (space)", "MiB are free"]);
    bench
        .hactl(&["restore", "--to-latest", "--target", "app1"])
        .ends(1)
        .says(&["no host of the group postgresql"]);
    bench
        .hactl(&["restore", "--to-time", "yesterday", "--target", "db2"])
        .ends(1)
        .says(&["no point in time"]);
    run(program().args(["-i", "db1,", "backup", "list"]))
        .ends(1)
        .says(&["no group `postgresql_backup`", "hactl deploy"]);
    assert_eq!([life(bench, "db1"), life(bench, "db2")], lives);
}

fn backup_is_proven(bench: &Bench) {
    first_backup(bench);
    bench
        .hactl(&["backup", "verify"])
        .ends(0)
        .says(&["restored on db2", "can be restored"]);
    for host in ["db1", "db2"] {
        bench.on(
            host,
            "! ls -d /var/lib/postgresql/restore-test-* 2>/dev/null",
        );
    }
    bench
        .hactl(&["verify", "--only", "backup", "--strict", "--wait", "200"])
        .ends(0)
        .says(&["healthy"]);
    // A file of the newest backup is damaged: seen, by its name.
    let file = bench.on(
        "app2",
        "find /var/lib/pgbackrest/backup/main/*F/pg_data/base -type f -size +20k | sort | tail -n 1",
    );
    bench.on("app2", &format!("cp -p {file} /var/tmp/kept && printf 'x' | dd of={file} bs=1 seek=9000 conv=notrunc 2>/dev/null"));
    let seen = bench.hactl(&["backup", "verify"]);
    bench.on(
        "app2",
        &format!("cp -p /var/tmp/kept {file} && rm /var/tmp/kept"),
    );
    seen.ends(3).says(&["app2"]);
    bench
        .hactl(&["backup", "verify", "--on", "db1", "--json"])
        .ends(0);
}

fn backup_after_a_promotion(bench: &Bench) {
    first_backup(bench);
    bench.whole();
    bench.on("db1", &format!("systemctl stop {UNIT}"));
    sql(bench, "db2", "SELECT pg_promote(true, 60)");
    let made = bench.hactl(&["backup", "now", "--full"]);
    let listed = bench.hactl(&[
        "verify",
        "--only",
        "backup.archiving,backup.gaps",
        "--wait",
        "30",
    ]);
    // Back as it was, whatever came of it.
    bench.hactl(&["rejoin", "db1"]).ends(0);
    eventually("db1 is the primary again", 90, || {
        bench.hactl(&["switchover", "--to", "db1"]).code == 0
    });
    made.ends(0).says(&["full"]);
    assert!(!listed.stdout.contains("FAIL"), "{}", listed.told());
    bench.hactl(&["backup", "now"]).ends(0);
    bench.whole();
}

fn backup_repository_down(bench: &Bench) {
    first_backup(bench);
    bench.whole();
    bench.lab(&["kill", "app2"]);
    bench.hactl(&["backup", "now"]).ends(5).says(&[
        "app2",
        "keeps the backups",
        "the databases go on",
    ]);
    bench.hactl(&["backup", "list"]).ends(5);
    sql(
        bench,
        "db1",
        "CREATE TABLE IF NOT EXISTS alone (n int); INSERT INTO alone VALUES (1); SELECT pg_switch_wal()",
    );
    let took = bench.on(
        "db1",
        &format!("a=$(date +%s); systemctl restart {UNIT}; echo $(($(date +%s) - a))"),
    );
    eprintln!("lab:   with a dead repository the primary restarts in {took} s");
    assert!(
        took.parse::<u64>().expect("seconds") <= 20,
        "a dead repository held the primary up for {took} s"
    );
    sql(bench, "db1", "INSERT INTO alone VALUES (2)");
    bench.lab(&["up", "pg-ha"]);
    eventually("what waited has arrived", 120, || {
        sql(
            bench,
            "db1",
            "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'",
        ) == "0"
    });
    sql(bench, "db1", "DROP TABLE alone");
    bench.hactl(&["backup", "now"]).ends(0);
    bench.whole();
}
