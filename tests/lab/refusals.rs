//! What switchover and failover must refuse, each with the state really brought about: exit code 2, a reason, a remedy, and
//! nothing changed.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::cluster::{primaries, roles, sound, sql};

pub const CASES: &[Case] = &[
    Case {
        name: "refused_replay_is_paused",
        run: paused,
    },
    Case {
        name: "refused_the_replica_lags",
        run: lagging,
    },
    Case {
        name: "refused_another_timeline",
        run: timeline,
    },
    Case {
        name: "refused_another_cluster",
        run: stranger,
    },
    Case {
        name: "refused_both_are_down",
        run: both_down,
    },
    Case {
        name: "refused_only_the_databases_are_cut",
        run: cut,
    },
    Case {
        name: "refused_the_primary_is_frozen",
        run: frozen,
    },
    Case {
        name: "refused_another_operator",
        run: another_operator,
    },
];

const FAILOVER: &[&str] = &["failover", "--promote", "replica", "--again"];

fn paused(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    sql(bench, new, "SELECT pg_wal_replay_pause()").expect("paused");
    bench.hactl(&["switchover"]).ends(2).says(&[
        "refused (replay)",
        "replay is paused",
        "pg_wal_replay_resume()",
    ]);
    stop(bench, old);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss"]].concat())
        .ends(2)
        .says(&["refused (replay)", "pg_wal_replay_resume()"]);
    start(bench, old);
    sql(bench, new, "SELECT pg_wal_replay_resume()").expect("resumed");
    assert_eq!(sound(bench), (old, new));
}

fn lagging(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    sql(bench, new, "SELECT pg_wal_replay_pause()").expect("paused");
    sql(
        bench,
        old,
        "CREATE TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)",
    )
    .expect("rows");
    bench
        .hactl(&["switchover", "--max-lag", "1000000"])
        .ends(2)
        .says(&["refused (lag)", "bytes are not replayed", "--max-lag"]);
    sql(bench, new, "SELECT pg_wal_replay_resume()").expect("resumed");
    sql(bench, old, "DROP TABLE much").expect("dropped");
    assert_eq!(sound(bench), (old, new));
}

fn timeline(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    // Promoted by mistake, and put back by hand: it is a standby again, with a history of its own.
    sql(bench, new, "SELECT pg_promote()").expect("promoted");
    bench
        .hactl(&["switchover"])
        .ends(2)
        .says(&["split brain: db1 and db2 take writes"]);
    bench.hactl(FAILOVER).ends(2).says(&["split brain"]);
    stop(bench, new);
    bench.on(new, "install -o postgres -g postgres -m 0600 /dev/null $(ls -d /var/lib/postgresql/*/main)/standby.signal");
    start(bench, new);
    bench
        .hactl(&["switchover"])
        .ends(2)
        .says(&["refused (timeline)", &format!("hactl rejoin {new}")]);
    bench
        .hactl(&["rejoin", new])
        .ends(2)
        .says(&["refused (newer)", "--clone"]);
    bench.hactl(&["rejoin", new, "--clone"]).ends(0);
    bench.on(new, "rm -r /var/lib/postgresql/*/main.replaced-*");
    assert_eq!(sound(bench), (old, new));
}

fn stranger(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    stop(bench, new);
    bench.on(
        new,
        "d=$(ls -d /var/lib/postgresql/*/main); mv $d $d.aside; runuser -u postgres -- /usr/lib/postgresql/*/bin/initdb -D $d >/dev/null; \
         rm $d/*.conf; install -o postgres -g postgres -m 0600 /dev/null $d/standby.signal",
    );
    start(bench, new);
    bench
        .hactl(&["switchover"])
        .ends(2)
        .says(&["refused (same-cluster)", "system identifier"]);
    bench
        .hactl(&["rejoin", new, "--clone", "--discard-diverged"])
        .ends(2)
        .says(&["refused (same-cluster)", "belongs to something else"]);
    stop(bench, old);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss"]].concat())
        .ends(2)
        .says(&["refused (same-cluster)"]);
    start(bench, old);
    stop(bench, new);
    bench.on(
        new,
        "d=$(ls -d /var/lib/postgresql/*/main); rm -r $d; mv $d.aside $d",
    );
    start(bench, new);
    assert_eq!(sound(bench), (old, new));
}

fn both_down(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    stop(bench, new);
    stop(bench, old);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss"]].concat())
        .ends(2)
        .says(&["no replica answers", "systemctl start"]);
    bench
        .hactl(&["switchover"])
        .ends(2)
        .says(&["no primary answers"]);
    start(bench, old);
    start(bench, new);
    assert_eq!(sound(bench), (old, new));
    bench.lab(&["kill", old, new]);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss", "--unfenced-ok"]].concat())
        .ends(2)
        .says(&["no replica answers"]);
    bench.lab(&["start", old, new]);
    assert_eq!(sound(bench), (old, new));
}

fn cut(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    bench.lab(&["cut", old, new]);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss", "--unfenced-ok"]].concat())
        .ends(2)
        .says(&["refused (dead)", "it is alive"]);
    bench.hactl(&["switchover"]).ends(2);
    bench.lab(&["heal"]);
    assert_eq!(sound(bench), (old, new));
}

fn frozen(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    bench.lab(&["freeze", old]);
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss"]].concat())
        .ends(2)
        .says(&[
            "refused (dead)",
            "its port takes connections",
            "--unfenced-ok",
        ]);
    bench.lab(&["thaw", old]);
    assert_eq!(sound(bench), (old, new));
    // Only the server is frozen: its host lets in, and can kill it.
    bench.on(
        old,
        "kill -STOP $(cat /var/lib/postgresql/*/main/postmaster.pid | head -n 1)",
    );
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss", "--unfenced-ok"]].concat())
        .ends(2)
        .says(&["refused (dead)", "does not answer", "--kill-frozen"]);
    assert_eq!(primaries(bench), Vec::<&str>::new());
    bench
        .hactl(&[FAILOVER, &["--allow-data-loss", "--kill-frozen"]].concat())
        .ends(0);
    assert_eq!(roles(bench), (new, old));
    bench.hactl(&["rejoin", old, "--discard-diverged"]).ends(0);
    assert_eq!(sound(bench), (new, old));
}

fn another_operator(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    let other = bench.start_on(
        old,
        "exec 9>>/var/lib/hactl/lock; flock 9; printf 'eve@elsewhere, `hactl deploy`, pid 1, since now\\nshell %s\\n' $$ >/var/lib/hactl/lock.holder; : >/run/held; while [ -e /run/held ]; do sleep 0.2; done",
    );
    eventually("the lock is held", 10, || {
        bench.try_on(old, "test -e /run/held").code == 0
    });
    for arguments in [&["switchover"][..], FAILOVER, &["rejoin", new], &["resume"]] {
        bench
            .hactl(arguments)
            .ends(2)
            .says(&["another operator is at work on this host", "eve@elsewhere"]);
    }
    bench.on(old, "rm /run/held");
    other.wait();
    assert_eq!(sound(bench), (old, new));
}

fn stop(bench: &Bench, host: &str) {
    bench.on(host, "systemctl stop postgresql@$(ls /etc/postgresql)-main");
}

fn start(bench: &Bench, host: &str) {
    bench.on(
        host,
        "systemctl start postgresql@$(ls /etc/postgresql)-main",
    );
    eventually("the server answers", 30, || {
        sql(bench, host, "SELECT 1").is_some()
    });
}
