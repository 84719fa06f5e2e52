//! Two operators and one operation: whoever was paused, or comes late, makes no step that another has ended; and a journal that
//! lost its last line on a host, a promotion that meets a returning primary, and a full disk each have a way on.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::cluster::{forget_failovers, kill_server, primaries, roles, sound, sql};
use crate::command::{Running, start};

pub const CASES: &[Case] = &[
    Case {
        name: "operations_a_paused_switchover_makes_no_further_step",
        run: paused_switchover,
    },
    Case {
        name: "operations_a_paused_failover_makes_no_further_step",
        run: paused_failover,
    },
    Case {
        name: "operations_a_lost_end_is_settled",
        run: lost_end,
    },
    Case {
        name: "operations_nobody_is_promoted_while_a_former_primary_asks",
        run: claimed,
    },
    Case {
        name: "operations_go_on_where_the_disk_is_full",
        run: full_disk,
    },
];

/// Starts a command that stops by itself as soon as a step is made, and waits until it has.
fn stopped_after(bench: &Bench, step: &str, arguments: &[&str]) -> Running {
    let running = start(bench.command(arguments).env("HACTL_TEST_STOP_AFTER", step));
    let stat = format!("/proc/{}/stat", running.id());
    eventually(&format!("it stops after {step}"), 60, || {
        let text = std::fs::read_to_string(&stat).unwrap_or_default();
        text.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('T'))
    });
    running
}

fn paused_switchover(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    for step in ["prepare", "last-byte"] {
        let paused = stopped_after(bench, step, &["switchover"]);
        // His locks are held by sessions that do not know that he sleeps.
        bench
            .hactl(&["resume", "--undo"])
            .ends(2)
            .says(&["another operator"]);
        bench.hactl(&["resume", "--undo", "--break-lock"]).ends(0);
        assert_eq!(roles(bench), (old, new), "after {step}");
        sql(
            bench,
            old,
            "CREATE TABLE meanwhile (); DROP TABLE meanwhile",
        )
        .expect("writes");
        paused.thaw();
        paused.wait().ends(4).says(&[
            "another operator has ended or taken over this operation",
            "hactl status",
        ]);
        assert_eq!(sound(bench), (old, new), "after {step}");
    }
}

fn paused_failover(bench: &Bench) {
    crate::backup::first_backup(bench);
    let consents = [
        "failover",
        "--promote",
        "replica",
        "--allow-data-loss",
        "--again",
    ];
    let (old, new) = sound(bench);
    kill_server(bench, old);
    let paused = stopped_after(bench, &format!("announce-{new}"), &consents);
    bench.hactl(&["resume", "--undo", "--break-lock"]).ends(0);
    bench.on(
        new,
        "test ! -e /var/lib/postgresql/hactl-intent && test ! -e /var/lib/hactl/intents",
    );
    bench.on(
        old,
        "systemctl start \"postgresql@$(ls /etc/postgresql)-main\"",
    );
    eventually("the old primary is back", 30, || primaries(bench) == [old]);
    paused.thaw();
    paused.wait().ends(4).says(&["another operator"]);
    assert_eq!(sound(bench), (old, new));
    // The other way round: it is taken up by somebody else, and the first one comes when all is done.
    forget_failovers(bench);
    kill_server(bench, old);
    let paused = stopped_after(bench, "slots", &consents);
    bench.hactl(&["resume", "--break-lock"]).ends(0);
    paused.thaw();
    paused.wait().ends(4).says(&["another operator"]);
    bench.hactl(&["rejoin", old, "--discard-diverged"]).ends(0);
    assert_eq!(sound(bench), (new, old));
}

fn lost_end(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    bench.hactl(&["switchover"]).ends(0);
    // As if the last line had not arrived on one host, and the end not either.
    bench.on(
        old,
        "cd /var/lib/hactl && f=$(ls history/*-switchover-*.jsonl | tail -n 1) && sed '$d' \"$f\" >operation && rm \"$f\" && \
         sed -i 's/ ended$//' epoch",
    );
    bench
        .hactl(&["deploy", "--limit", old])
        .ends(2)
        .says(&["hactl resume"]);
    bench.hactl(&["resume"]).ends(0).says(&[
        &format!("{old}: the switchover in its journal is over (done)"),
        "no operation is unfinished",
    ]);
    assert_eq!(sound(bench), (new, old));
    bench.on(old, "ls /var/lib/hactl/history/*-switchover-*.jsonl");
    // The same, and nobody asks for it: the next operation settles it by itself.
    bench.on(
        old,
        "cd /var/lib/hactl && f=$(ls history/*-switchover-*.jsonl | tail -n 1) && sed '$d' \"$f\" >operation && rm \"$f\"",
    );
    bench.hactl(&["switchover"]).ends(0);
    assert_eq!(sound(bench), (old, new));
}

fn claimed(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    // What the start guard of a returning primary holds while it asks.
    let claim = bench.start_on(
        new,
        "exec runuser -u postgres -- psql -Xqd postgres -c 'SELECT pg_advisory_lock_shared(18504, 1)' -c 'SELECT pg_sleep(60)'",
    );
    eventually("the claim is there", 10, || {
        sql(
            bench,
            new,
            "SELECT count(*) FROM pg_locks WHERE classid = 18504 AND granted",
        )
        .as_deref()
            == Some("1")
    });
    bench
        .hactl(&["switchover"])
        .ends(3)
        .says(&["nobody was promoted", "everything was taken back"]);
    assert_eq!(roles(bench), (old, new));
    sql(
        bench,
        new,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE classid = 18504",
    );
    claim.wait();
    assert_eq!(sound(bench), (old, new));
}

fn full_disk(bench: &Bench) {
    crate::backup::first_backup(bench);
    let (old, new) = sound(bench);
    // A small disk of its own for what hactl keeps: a container's disk is the machine's.
    for host in [old, new] {
        bench.on(
            host,
            "mkdir /run/kept && cp -a /var/lib/hactl/. /run/kept/ && mount -t tmpfs -o size=1m,mode=0700 tmpfs /var/lib/hactl && \
             rm -rf /run/kept/history && cp -a /run/kept/. /var/lib/hactl/",
        );
    }
    bench.hactl(&["status"]);
    bench
        .hactl(&["run", "-l", "postgresql", "--", "true"])
        .ends(0);
    for host in [old, new] {
        bench.on(
            host,
            "cd /var/lib/hactl && ls -l ballast && cat /dev/zero >full 2>/dev/null; rm -f lock.holder; cat /dev/zero >>full 2>/dev/null; \
             ! printf x 2>/dev/null >y; rm -f y",
        );
    }
    let moved = bench.hactl(&["switchover"]);
    for host in [old, new] {
        bench.on(host, "umount /var/lib/hactl && rm -rf /run/kept");
    }
    moved.ends(0);
    assert_eq!(sound(bench), (new, old));
    bench.hactl(&["switchover"]).ends(0);
}
