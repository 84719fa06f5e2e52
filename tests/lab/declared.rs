//! Declared against in force: how commits wait after a failover, a rejoin and a switchover; settings that something overrides;
//! and a rejoin that cannot know what it would give up.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::cluster::{forget_failovers, sound, sql};
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        name: "declared_synchronous_stays_in_force",
        run: synchronous_stays,
    },
    Case {
        name: "declared_settings_that_something_overrides",
        run: overridden,
    },
    Case {
        name: "rejoin_when_the_log_since_the_fork_is_gone",
        run: log_is_gone,
    },
];

const SYNCHRONOUS: [&str; 2] = ["-e", "postgresql_synchronous=true"];

fn hactl(bench: &Bench, arguments: &[&str]) -> crate::command::Run {
    bench.hactl(&[arguments, &SYNCHRONOUS].concat())
}

/// Commits on the first wait for the second, nothing overrides that, and the second has observed it.
#[track_caller]
fn waits(bench: &Bench, primary: &str, standby: &str) {
    let state = "SELECT string_agg(sync_state, ',') FROM pg_stat_replication";
    assert_eq!(sql(bench, primary, state).as_deref(), Some("quorum"));
    for host in [primary, standby] {
        let lines = bench.on(
            host,
            "grep -c ^synchronous_standby_names /var/lib/postgresql/*/main/postgresql.auto.conf || :",
        );
        assert_eq!(lines, "0", "{host}: an override is left");
    }
    observes(bench, standby, "ANY 1 (");
}

/// What the standby has seen in force within the last seconds begins with this.
#[track_caller]
fn observes(bench: &Bench, standby: &str, names: &str) {
    let end = if names.is_empty() { "\"" } else { "" };
    let line = format!(
        "f=/run/hactl-observer/primary; grep -qF '\"names\" : \"{names}{end}' $f && [ -n \"$(find $f -newermt '-5 seconds')\" ]"
    );
    eventually("the replica observes it", 15, || {
        bench.try_on(standby, &line).code == 0
    });
}

fn synchronous_stays(bench: &Bench) {
    crate::backup::first_backup(bench);
    forget_failovers(bench);
    let (old, new) = sound(bench);
    hactl(bench, &["deploy"]).ends(0);
    sql(
        bench,
        old,
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int)",
    )
    .expect("a table");
    waits(bench, old, new);

    // Switched off by hand: the replica's own setting and the inventory still say that commits wait.
    sql(
        bench,
        old,
        "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()",
    )
    .expect("set");
    observes(bench, new, "");
    bench.lab(&["kill", old]);
    hactl(bench, &["failover", "--promote", "replica"])
        .ends(2)
        .says(&[
            "refused (data-loss)",
            "commits did not wait",
            "last observed",
        ]);
    bench.lab(&["start", old]);
    eventually("it leads again, and is followed", 60, || {
        let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        sql(bench, old, streams).as_deref() == Some("1")
    });
    hactl(bench, &["verify", "--only", "postgresql"]).says(&[
        "postgresql.synchronous",
        "hactl deploy makes it what is declared",
    ]);
    hactl(bench, &["deploy"]).ends(0);
    waits(bench, old, new);

    // A failover lets commits wait for nobody; the rewind copies that; and the switchover back would lead with it.
    bench.lab(&["kill", old]);
    hactl(bench, &["failover", "--promote", "replica", "--again"])
        .ends(0)
        .says(&["every acknowledged one", "commits no longer wait"]);
    bench.lab(&["start", old]);
    hactl(bench, &["rejoin", old, "--discard-diverged"]).ends(0);
    waits(bench, new, old);
    hactl(bench, &["switchover"]).ends(0);
    waits(bench, old, new);
    hactl(bench, &["deploy"])
        .ends(0)
        .says(&["0 changed on 6 hosts"]);

    // With writes in flight: whatever was acknowledged is there, without a consent to lose anything.
    let writer = bench.start_on(
        old,
        "i=0; while i=$((i + 1)); do echo \"INSERT INTO kept VALUES ($i) RETURNING n;\"; done | runuser -u postgres -- psql -XAtq -d postgres",
    );
    eventually("rows are acknowledged", 10, || {
        sql(bench, old, "SELECT count(*) > 200 FROM kept").as_deref() == Some("t")
    });
    bench.lab(&["kill", old]);
    let wrote = writer.wait_within(Duration::from_secs(60));
    let acknowledged = wrote
        .stdout
        .lines()
        .filter(|line| line.parse::<u64>().is_ok())
        .count();
    assert!(acknowledged > 100, "{}", wrote.told());
    hactl(bench, &["failover", "--promote", "replica", "--again"]).ends(0);
    let stored = sql(bench, new, "SELECT count(*) FROM kept").expect("rows");
    let stored: usize = stored.parse().expect("a number");
    eprintln!("lab:   {acknowledged} rows acknowledged, {stored} stored");
    assert!(
        stored >= acknowledged,
        "{acknowledged} acknowledged, {stored} stored"
    );
    bench.lab(&["start", old]);
    hactl(bench, &["rejoin", old, "--discard-diverged"]).ends(0);
    hactl(bench, &["switchover"]).ends(0);
    sql(bench, old, "DROP TABLE kept").expect("dropped");
    bench.hactl(&["deploy"]).ends(0);
    assert_eq!(sound(bench), (old, new));
    forget_failovers(bench);
}

fn overridden(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (primary, _) = sound(bench);
    let alter = |statements: &str| {
        sql(
            bench,
            primary,
            &format!("{statements}; SELECT pg_reload_conf()"),
        )
        .expect("set");
    };
    alter("ALTER SYSTEM SET fsync = off;\nALTER SYSTEM SET archive_command = '/bin/true'");
    let verified = bench.hactl(&["verify", "--only", "postgresql"]);
    let place = |name: &str| format!("{name} is 'off' by /var/lib/postgresql/");
    verified.ends(6).says(&[
        "postgresql.in-force",
        &place("fsync"),
        "postgresql.auto.conf:",
        "archive_command is '/bin/true'",
        "ALTER SYSTEM RESET fsync",
    ]);
    bench.hactl(&["deploy"]).ends(3).says(&[
        "fsync is declared as 'on'",
        "archive_command",
        "ALTER SYSTEM RESET",
    ]);
    alter("ALTER SYSTEM RESET fsync;\nALTER SYSTEM RESET archive_command");
    assert_eq!(sound(bench).0, primary);
    bench
        .hactl(&["deploy"])
        .ends(0)
        .says(&["0 changed on 6 hosts"]);
}

fn log_is_gone(bench: &Bench) {
    crate::backup::first_backup(bench);
    forget_failovers(bench);
    let (old, new) = sound(bench);
    sql(
        bench,
        old,
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int); CHECKPOINT",
    )
    .expect("a table");
    eventually("the table is on the replica", 10, || {
        sql(bench, new, "SELECT count(*) FROM kept").is_some()
    });
    // Rows that only the old primary has, and then more log than the file in which the histories part.
    bench.on(new, "systemctl stop 'postgresql@*'");
    let part = sql(bench, old, "SELECT pg_walfile_name(pg_current_wal_lsn())").expect("a file");
    sql(
        bench,
        old,
        "INSERT INTO kept SELECT generate_series(1, 1000);\nSELECT pg_switch_wal();\nINSERT INTO kept VALUES (0);\nCHECKPOINT",
    )
    .expect("rows");
    bench.lab(&["kill", old]);
    bench.on(new, "systemctl start postgresql@$(ls /etc/postgresql)-main");
    bench
        .hactl(&[
            "failover",
            "--promote",
            "replica",
            "--allow-data-loss",
            "--again",
        ])
        .ends(0);
    bench.lab(&["start", old]);
    eventually("its start guard refuses", 60, || {
        bench
            .try_on(old, "journalctl -b -u 'postgresql@*' -o cat --no-pager | grep 'not started as a primary'")
            .code
            == 0
    });
    bench.on(old, &format!("rm /var/lib/postgresql/*/main/pg_wal/{part}"));
    bench.hactl(&["rejoin", old]).ends(2).says(&[
        "refused (diverged)",
        "is not known",
        &part,
        "--discard-diverged",
    ]);
    bench
        .hactl(&["rejoin", old, "--discard-diverged"])
        .ends(0)
        .says(&["clone", "what was given up is kept"]);
    assert_eq!(sound(bench), (new, old));
    bench.on(old, "rm -r /var/lib/postgresql/*/main.replaced-*");
    bench.hactl(&["switchover", "--to", old]).ends(0);
    sql(bench, old, "DROP TABLE kept").expect("dropped");
    forget_failovers(bench);
    bench.whole();
}
