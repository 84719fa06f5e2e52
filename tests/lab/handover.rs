//! Switchovers that would keep writes waiting: what can be seen beforehand is refused with the service untouched, what comes
//! up between the stop and the promotion is taken back at once.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::cluster::{roles, sound, sql};
use crate::command::Running;

pub const CASES: &[Case] = &[
    Case {
        name: "handover_refused_while_a_reader_holds_up_replay",
        run: reader,
    },
    Case {
        name: "handover_refused_while_the_receiver_hangs",
        run: receiver,
    },
    Case {
        name: "handover_refused_when_an_application_cannot_follow",
        run: application,
    },
    Case {
        name: "handover_is_taken_back_when_writes_wait_too_long",
        run: too_long,
    },
];

/// When the primary's server was started; a restart would have kept writes waiting.
fn started(bench: &Bench, host: &str) -> Option<String> {
    sql(bench, host, "SELECT pg_postmaster_start_time()")
}

/// Refused with these words, by a primary that never stopped.
#[track_caller]
fn refused(bench: &Bench, says: &[&str]) {
    let (old, new) = roles(bench);
    let before = started(bench, old);
    bench.hactl(&["switchover"]).ends(2).says(says);
    assert_eq!(roles(bench), (old, new));
    assert_eq!(started(bench, old), before, "the primary was stopped");
    bench.on(old, "test ! -e /var/lib/hactl/operation");
}

/// A reader on the replica that keeps a table as it was.
fn reads(bench: &Bench, replica: &str) -> Running {
    let running = bench.start_on(
        replica,
        "{ echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT n FROM held;'; sleep 60; } | runuser -u postgres -- psql -XAtq -d postgres",
    );
    eventually("the reader reads", 10, || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
        sql(bench, replica, open).as_deref() == Some("1")
    });
    running
}

fn end_readers(bench: &Bench, replica: &str) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    sql(bench, replica, end).expect("ended");
    // What feeds it notices only when it writes.
    bench.on(replica, "for p in $(pgrep -x sleep); do kill $p; done");
}

fn reader(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    sql(bench, old, "CREATE TABLE held (n int)").expect("a table");
    eventually("the table is on the replica", 10, || {
        sql(bench, new, "SELECT count(*) FROM held").is_some()
    });
    let running = reads(bench, new);
    sql(bench, old, "DROP TABLE held").expect("dropped");
    refused(
        bench,
        &[
            "refused (replays)",
            "user postgres, database postgres, idle in transaction",
            "SELECT n FROM held",
            "pg_terminate_backend",
        ],
    );
    end_readers(bench, new);
    running.wait();
    assert_eq!(sound(bench), (old, new));
}

/// The processes that receive the log on a host.
const RECEIVERS: &str = "$(pgrep -f '[w]alreceiver')";

fn receiver(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    bench.on(new, &format!("kill -STOP {RECEIVERS}"));
    refused(
        bench,
        &[
            "refused (replays)",
            "received only up to",
            "has heard nothing for",
        ],
    );
    bench.on(new, &format!("kill -CONT {RECEIVERS}"));
    assert_eq!(sound(bench), (old, new));
}

fn application(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    bench.lab(&["cut", "app1", new]);
    refused(
        bench,
        &["refused (clients-reach)", "app1", "--unreached-clients-ok"],
    );
    bench.lab(&["heal"]);
    assert_eq!(sound(bench), (old, new));
}

fn too_long(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    // All was well when it was tried; the receiver hangs from the stop on, and the last byte never comes.
    bench.on(
        old,
        "printf '#!/bin/sh\\n[ \"$1 $2 $3\" != \"show -p Restart\" ] || while [ ! -e /run/hangs ]; do sleep 0.05; done\\nexec /usr/bin/systemctl \"$@\"\\n' >/usr/local/sbin/systemctl; chmod 755 /usr/local/sbin/systemctl",
    );
    let running = bench.start(&["switchover", "--max-write-gap", "4"]);
    eventually("the stop has begun", 30, || {
        let begun = "grep -q '\"step\":\"stop\"' /var/lib/hactl/operation";
        bench.try_on(new, begun).code == 0
    });
    bench.on(new, &format!("kill -STOP {RECEIVERS}"));
    bench.on(old, ": >/run/hangs");
    let taken_back = running.wait();
    bench.on(new, &format!("kill -CONT {RECEIVERS}"));
    bench.on(old, "rm /usr/local/sbin/systemctl /run/hangs");
    taken_back.ends(3).says(&[
        "step `last-byte` failed",
        "received only up to",
        "has heard nothing for",
        "everything was taken back",
    ]);
    assert_eq!(sound(bench), (old, new));
}
