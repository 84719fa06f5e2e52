//! Switchover, failover, rejoin, resume: on real databases, with hactl killed after every single step.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::command::{Run, run};

pub const CASES: &[Case] = &[
    Case {
        name: "switchover_there_and_back",
        run: there_and_back,
    },
    Case {
        name: "switchover_killed_after_some_steps",
        run: |bench| killed_switchover(bench, &["stop", "promote", "check"]),
    },
    Case {
        name: "switchover_long_killed_after_each_step",
        run: |bench| killed_switchover(bench, SWITCHOVER),
    },
    Case {
        name: "switchover_is_taken_back",
        run: taken_back,
    },
    Case {
        name: "failover_when_the_host_is_dead",
        run: dead_host,
    },
    Case {
        name: "failover_loses_nothing_when_synchronous",
        run: synchronous,
    },
    Case {
        name: "failover_killed_after_some_steps",
        run: |bench| killed_failover(bench, &["promote"], &["block-app1"]),
    },
    Case {
        name: "failover_long_killed_after_each_step",
        run: |bench| {
            let inside = ["fence", "slots", "promote", "checkpoint"];
            killed_failover(
                bench,
                &inside,
                &["block-app1", "block-lb2", "look-again", "promote"],
            );
        },
    },
    Case {
        name: "rejoin_keeps_what_only_the_old_primary_has",
        run: diverged,
    },
];

const DATABASES: [&str; 2] = ["db1", "db2"];

/// SQL on a host's server as its owner; stdout, or nothing when it does not answer.
pub fn sql(bench: &Bench, host: &str, statement: &str) -> Option<String> {
    let line = format!(
        "runuser -u postgres -- timeout 5 psql -XAtqw -d postgres <<'END'\n{statement}\nEND"
    );
    let run = bench.try_on(host, &line);
    (run.code == 0).then(|| run.stdout.trim().to_owned())
}

/// The hosts that take writes, by their own word.
pub fn primaries(bench: &Bench) -> Vec<&'static str> {
    DATABASES
        .into_iter()
        .filter(|host| sql(bench, host, "SELECT pg_is_in_recovery()").as_deref() == Some("f"))
        .collect()
}

/// The primary and the other one; panics unless there is exactly one.
#[track_caller]
pub fn roles(bench: &Bench) -> (&'static str, &'static str) {
    match primaries(bench).as_slice() {
        ["db1"] => ("db1", "db2"),
        ["db2"] => ("db2", "db1"),
        other => panic!("primaries: {other:?}"),
    }
}

/// The databases are whole: one primary, one replica that streams, no unfinished operation.
#[track_caller]
pub fn sound(bench: &Bench) -> (&'static str, &'static str) {
    bench
        .hactl(&["verify", "--only", "postgresql", "--wait", "120"])
        .ends(0);
    for host in DATABASES {
        bench.on(host, "test ! -e /var/lib/hactl/operation");
    }
    roles(bench)
}

/// As if no other case had made a failover: a second one within the hour is refused.
pub fn forget_failovers(bench: &Bench) {
    for host in DATABASES {
        bench.on(host, "rm -f /var/lib/hactl/history/*-failover-*");
    }
}

fn dies_after(bench: &Bench, step: &str, arguments: &[&str]) -> Run {
    let died = run(bench.command(arguments).env("HACTL_TEST_DIE_AFTER", step));
    assert_eq!(died.code, 137, "{}", died.told());
    died
}

fn there_and_back(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    let copies = || {
        bench.on(
            old,
            "ls -d /var/lib/postgresql/*/main.* 2>/dev/null | wc -l",
        )
    };
    let before = copies();
    sql(
        bench,
        old,
        "CREATE TABLE moved (n int); INSERT INTO moved VALUES (1)",
    )
    .expect("a table");
    bench.hactl(&["switchover", "--dry-run"]).ends(0).says(&[
        "1. slots",
        "promote",
        "nothing can be taken back from here on",
        "systemctl stop",
    ]);
    assert_eq!(roles(bench), (old, new));
    bench
        .hactl(&["switchover", "--reason", "to see it move"])
        .ends(0)
        .says(&[&format!("{new} is the primary now, {old} follows it")]);
    assert_eq!(sound(bench), (new, old));
    // Without a copy: the old directory went on, and has no rival beside it.
    assert_eq!(copies(), before);
    assert_eq!(sql(bench, old, "SELECT n FROM moved").as_deref(), Some("1"));
    let history = bench.on(old, "cat /var/lib/hactl/history/*-switchover-*.jsonl");
    assert!(
        history.contains("to see it move") && history.contains(r#""result":"done""#),
        "{history}"
    );
    // The inventory still names the old one first; what is seen counts.
    bench
        .hactl(&["deploy"])
        .ends(0)
        .says(&["0 changed on 6 hosts"]);
    assert_eq!(roles(bench), (new, old));
    bench.hactl(&["switchover", "--to", old]).ends(0);
    assert_eq!(sound(bench), (old, new));
    sql(bench, old, "DROP TABLE moved").expect("dropped");
    bench.whole();
}

/// The steps of a switchover.
const SWITCHOVER: &[&str] = &[
    "slots",
    "prepare",
    "replay",
    "stop",
    "last-byte",
    "promote",
    "follow",
    "checkpoint",
    "tidy",
    "check",
    "wait",
];

fn killed_switchover(bench: &Bench, steps: &[&str]) {
    crate::backup::first_backup(bench);
    for step in steps.iter().copied() {
        let (old, new) = sound(bench);
        dies_after(bench, step, &["switchover"]);
        // Whoever comes meanwhile is told.
        bench
            .hactl(&["switchover"])
            .ends(2)
            .says(&["refused (unfinished)", "hactl resume"]);
        assert!(primaries(bench).len() < 2, "after {step}");
        bench.hactl(&["resume"]).ends(0);
        assert_eq!(sound(bench), (new, old), "after {step}");
    }
    bench
        .hactl(&["resume"])
        .ends(0)
        .says(&["no operation is unfinished"]);
}

fn taken_back(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    for step in ["prepare", "stop", "last-byte"] {
        dies_after(bench, step, &["switchover"]);
        bench
            .hactl(&["resume", "--undo"])
            .ends(0)
            .says(&["the switchover was taken back"]);
        assert_eq!(sound(bench), (old, new), "after {step}");
        assert_eq!(
            sql(bench, new, "SELECT count(*) FROM pg_replication_slots").as_deref(),
            Some("0"),
            "slots are left on the replica"
        );
    }
    dies_after(bench, "promote", &["switchover"]);
    bench
        .hactl(&["resume", "--undo"])
        .ends(2)
        .says(&["there is no way back"]);
    bench.hactl(&["resume"]).ends(0);
    assert_eq!(sound(bench), (new, old));
    // A step that cannot be done takes everything back by itself: there is no proof that the stop was clean.
    let (old, new) = (new, old);
    bench.on(
        old,
        "cd /usr/lib/postgresql/*/bin && mv pg_controldata pg_controldata.real && \
         printf '#!/bin/sh\n%s/pg_controldata.real \"$@\" | sed \"s/shut down$/in production/\"\n' \"$PWD\" >pg_controldata && chmod 755 pg_controldata",
    );
    let failed = bench.hactl(&["switchover"]);
    bench.on(
        old,
        "cd /usr/lib/postgresql/*/bin && mv pg_controldata.real pg_controldata",
    );
    failed
        .ends(3)
        .says(&["step `stop` failed", "everything was taken back"]);
    assert_eq!(sound(bench), (old, new));
}

fn dead_host(bench: &Bench) {
    crate::backup::first_backup(bench);
    forget_failovers(bench);
    let (old, new) = sound(bench);
    bench
        .hactl(&["failover", "--promote", "replica"])
        .ends(2)
        .says(&[
            "refused (dead)",
            "it is alive",
            &format!("hactl switchover --to {new}"),
        ]);
    bench.lab(&["kill", old]);
    bench
        .hactl(&["failover", "--promote", "replica"])
        .ends(2)
        .says(&[
            "refused (data-loss)",
            "--allow-data-loss",
            "cannot be asked",
        ]);
    assert_eq!(primaries(bench), Vec::<&str>::new());
    let done = bench.hactl(&["failover", "--promote", "replica", "--allow-data-loss"]);
    done.ends(0).says(&[&format!("{new} is the primary now")]);
    assert_eq!(roles(bench), (new, old));
    eprintln!(
        "lab:   failover in {:.1} s from the command on",
        done.seconds
    );
    assert!(
        sql(
            bench,
            new,
            "CREATE TABLE after_failover (); DROP TABLE after_failover"
        )
        .is_some(),
        "it takes no writes"
    );
    for host in ["app1", "app2", "lb1", "lb2"] {
        bench.on(
            host,
            &format!("test -e /var/lib/hactl/blocked/{old} && ip route | grep unreachable"),
        );
    }
    bench.lab(&["start", old]);
    // It asks the new primary, which therefore does not block it, and stays down.
    eventually("its start guard refuses", 60, || {
        let log = bench.try_on(old, "journalctl -b -u 'postgresql@*' -o cat --no-pager");
        log.stdout.contains(&format!(
            "guard: not started as a primary: {new} is the primary"
        ))
    });
    assert_eq!(primaries(bench), [new]);
    bench
        .hactl(&["rejoin", old])
        .ends(0)
        .says(&[&format!("{old} follows {new}")]);
    assert_eq!(sound(bench), (new, old));
    for host in ["app1", "app2", "lb1", "lb2", new] {
        bench.on(
            host,
            "! ip route | grep unreachable; test ! -e /etc/systemd/system/hactl-block-*",
        );
    }
    bench
        .hactl(&["rejoin", old])
        .ends(0)
        .says(&["nothing to do"]);
    // A second one within the hour has another cause.
    bench.lab(&["kill", new]);
    bench
        .hactl(&["failover", "--promote", "replica", "--allow-data-loss"])
        .ends(2)
        .says(&["refused (flapping)", "--again"]);
    bench
        .hactl(&["failover", "--promote", old, "--allow-data-loss", "--again"])
        .ends(0);
    bench.lab(&["start", new]);
    bench.hactl(&["rejoin", new]).ends(0);
    assert_eq!(sound(bench), (old, new));
    bench.whole();
}

fn synchronous(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    bench
        .hactl(&["deploy", "-e", "postgresql_synchronous=true"])
        .ends(0);
    sql(bench, old, "CREATE TABLE counted (n int)").expect("a table");
    eventually("commits wait for the replica", 10, || {
        sql(bench, old, "SELECT sync_state FROM pg_stat_replication").as_deref() == Some("quorum")
    });
    for n in 0..20 {
        sql(bench, old, &format!("INSERT INTO counted VALUES ({n})")).expect("acknowledged");
    }
    bench.lab(&["kill", old]);
    // Nothing can be lost, so no consent is asked for; and the writes go on although the replica is gone.
    let done = bench.hactl(&[
        "failover",
        "--promote",
        "replica",
        "--again",
        "-e",
        "postgresql_synchronous=true",
    ]);
    done.ends(0)
        .says(&["every acknowledged one", "commits no longer wait"]);
    assert_eq!(
        sql(bench, new, "SELECT count(*) FROM counted").as_deref(),
        Some("20")
    );
    sql(bench, new, "INSERT INTO counted VALUES (20)").expect("it takes writes");
    bench.lab(&["start", old]);
    bench.hactl(&["rejoin", old, "--discard-diverged"]).ends(0);
    eventually("commits wait for the replica again", 10, || {
        sql(bench, new, "SELECT sync_state FROM pg_stat_replication").as_deref() == Some("quorum")
    });
    bench
        .hactl(&["switchover", "-e", "postgresql_synchronous=true"])
        .ends(0);
    assert_eq!(
        sql(bench, old, "SELECT count(*) FROM counted").as_deref(),
        Some("21")
    );
    bench.hactl(&["deploy"]).ends(0);
    sql(bench, old, "DROP TABLE counted").expect("dropped");
    assert_eq!(sound(bench), (old, new));
}

/// The server of the primary is killed; its host lives.
pub fn kill_server(bench: &Bench, host: &str) {
    bench.on(
        host,
        "p=$(head -n 1 /var/lib/postgresql/*/main/postmaster.pid) && kill -9 \"$p\" && while [ -e \"/proc/$p\" ]; do :; done",
    );
    eventually("the server is gone", 10, || {
        sql(bench, host, "SELECT 1").is_none()
    });
}

/// Killed after these steps: of a failover whose old primary's host lets in, and of one whose host has no power.
fn killed_failover(bench: &Bench, inside: &[&str], blocked: &[&str]) {
    crate::backup::first_backup(bench);
    let consents = [
        "failover",
        "--promote",
        "replica",
        "--allow-data-loss",
        "--again",
    ];
    for step in inside.iter().copied() {
        let (old, new) = sound(bench);
        kill_server(bench, old);
        dies_after(bench, step, &consents);
        assert!(primaries(bench).len() < 2, "after {step}");
        bench.hactl(&["resume"]).ends(0);
        assert_eq!(roles(bench), (new, old), "after {step}");
        // Fenced: nobody starts it by mistake.
        let start = bench.try_on(old, "systemctl start postgresql@$(ls /etc/postgresql)-main || pg_ctlcluster $(ls /etc/postgresql) main start");
        assert!(
            start.code != 0 && primaries(bench) == [new],
            "{}",
            start.told()
        );
        bench.hactl(&["rejoin", old, "--discard-diverged"]).ends(0);
        assert_eq!(sound(bench), (new, old), "after {step}");
    }
    for step in blocked.iter().copied() {
        let (old, new) = sound(bench);
        bench.lab(&["kill", old]);
        dies_after(bench, step, &consents);
        bench.hactl(&["resume"]).ends(0);
        assert_eq!(roles(bench), (new, old), "after {step}");
        bench.lab(&["start", old]);
        bench.hactl(&["rejoin", old, "--discard-diverged"]).ends(0);
        assert_eq!(sound(bench), (new, old), "after {step}");
    }
    // It comes back before anybody was promoted: the failover is not taken up, but taken back.
    let (old, new) = sound(bench);
    bench.lab(&["kill", old]);
    dies_after(bench, "block-lb2", &consents);
    bench.lab(&["start", old]);
    eventually("the old primary is back", 60, || primaries(bench) == [old]);
    bench
        .hactl(&["resume"])
        .ends(2)
        .says(&["is alive again", "hactl resume --undo"]);
    bench.hactl(&["resume", "--undo"]).ends(0);
    assert_eq!(sound(bench), (old, new));
    bench.whole();
}

fn diverged(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    sql(bench, old, "CREATE TABLE kept (n int); CHECKPOINT").expect("a table");
    eventually("the table is on the replica", 10, || {
        sql(bench, new, "SELECT count(*) FROM kept").is_some()
    });
    // Acknowledged, and on this host only.
    bench.lab(&["cut", old, new]);
    // Else the rows would wait in the connection's buffers, and arrive when the cut is healed.
    let receiver = sql(bench, new, "SELECT pid FROM pg_stat_wal_receiver").expect("a receiver");
    bench.on(new, &format!("kill {receiver}"));
    sql(bench, old, "INSERT INTO kept VALUES (1), (2)").expect("rows");
    kill_server(bench, old);
    bench.lab(&["heal", old, new]);
    bench
        .hactl(&["failover", "--promote", new, "--again"])
        .ends(2)
        .says(&[
            "refused (data-loss)",
            "bytes would be lost",
            "starting its server loses nothing",
        ]);
    bench
        .hactl(&["failover", "--promote", new, "--again", "--allow-data-loss"])
        .ends(0);
    sql(bench, new, "INSERT INTO kept VALUES (3)").expect("a row");
    bench.hactl(&["rejoin", old]).ends(2).says(&[
        "refused (diverged)",
        "1 transactions were committed",
        "--discard-diverged",
    ]);
    let kept = || {
        bench.on(
            old,
            "ls -d /var/lib/postgresql/*/main.* 2>/dev/null || true",
        )
    };
    let before = kept();
    bench.hactl(&["rejoin", old, "--inspect"]).ends(0).says(&[
        "postgres.public.kept {\"n\":1}",
        "postgres.public.kept {\"n\":2}",
        "2 rows written by committed transactions",
    ]);
    assert_eq!(kept(), before, "looking leaves nothing behind");
    let rejoined = bench.hactl(&["rejoin", old, "--discard-diverged"]);
    rejoined.ends(0).says(&["what was given up is kept"]);
    assert_eq!(sound(bench), (new, old));
    assert_eq!(
        sql(bench, old, "SELECT string_agg(n::text, ',') FROM kept").as_deref(),
        Some("3")
    );
    // The copy is a whole cluster: started by itself, it still has the rows.
    let rows = bench.on(
        old,
        "d=$(ls -d /var/lib/postgresql/*/main.diverged-* | tail -n 1); b=$(ls -d /usr/lib/postgresql/*/bin); s=$(mktemp -d); chown postgres $s
         o=\"-c listen_addresses= -c unix_socket_directories=$s -c config_file=$(ls /etc/postgresql/*/main/postgresql.conf) -c data_directory=$d -c hba_file=$(ls /etc/postgresql/*/main/pg_hba.conf) -c external_pid_file= -c port=5499\"
         runuser -u postgres -- $b/pg_ctl -D $d -w -s -l $s/log -o \"$o\" start && runuser -u postgres -- psql -XAtq -h $s -p 5499 -d postgres -c \"SELECT string_agg(n::text, ',') FROM kept\"; c=$?
         runuser -u postgres -- $b/pg_ctl -D $d -m immediate -s stop; rm -r $s \"$d\"; exit $c",
    );
    assert_eq!(rows, "1,2");
    // Whatever the evidence says: a new copy, and the old directory stays.
    bench
        .hactl(&["rejoin", old, "--clone"])
        .ends(0)
        .says(&["what was given up is kept"]);
    assert_eq!(sound(bench), (new, old));
    bench.on(old, "ls /var/lib/postgresql/*/main.replaced-*/PG_VERSION && rm -r /var/lib/postgresql/*/main.replaced-*");
    sql(bench, new, "DROP TABLE kept").expect("dropped");
    bench.whole();
}
