//! A former primary that returns while something is not settled: an operation is about to promote another host, its disk was set
//! back, it was frozen with a commit under way, or nobody answers.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::cluster::forget_failovers;
use crate::guard::{DB1, contains, home, in_recovery, journal, promote, sh, state};

pub const CASES: &[Case] = &[
    Case {
        name: "guard_waits_for_the_end_of_an_intent",
        run: waits_for_the_end_of_an_intent,
    },
    Case {
        name: "guard_refuses_when_the_intent_became_a_promotion",
        run: refuses_when_the_intent_became_a_promotion,
    },
    Case {
        name: "guard_refuses_a_data_directory_that_was_set_back",
        run: refuses_a_data_directory_that_was_set_back,
    },
    Case {
        name: "guard_long_of_a_frozen_host_that_thaws",
        run: of_a_frozen_host_that_thaws,
    },
    Case {
        name: "failover_of_a_host_that_is_up_and_lets_nobody_in",
        run: of_a_host_that_is_up,
    },
];

const OPERATION: &str = "20261130T030000Z-failover-ab12";

/// What an operation writes on the host that it is about to promote.
fn intend(bench: &Bench) {
    bench.on("db2", &format!("f=/var/lib/postgresql/hactl-intent; install -o root -g postgres -m 0640 /dev/null $f; echo '7 db2 {OPERATION}' >$f"));
}

fn claims(bench: &Bench) -> String {
    sh(
        bench,
        "db2",
        "echo \"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 18504 AND objid = 1 AND granted\" | sql",
    )
}

/// db1 is back from the dead and waits for the end of the operation, with its claim on db2.
fn returns_into_an_intent(bench: &Bench) {
    home(bench);
    intend(bench);
    bench.lab(&["kill", "db1"]);
    bench.lab(&["start", "db1"]);
    eventually("it waits for the operation", 40, || {
        bench
            .try_on("db1", "journalctl -b -u 'postgresql@*' -o cat | grep '^guard: waits for an operation that intends to promote another host'")
            .code
            == 0
    });
    contains(&journal(bench, "db1"), &["db2, by", OPERATION]);
    assert_eq!(claims(bench), "1");
    assert_eq!(state(bench, "db1"), "activating");
}

fn waits_for_the_end_of_an_intent(bench: &Bench) {
    returns_into_an_intent(bench);
    bench.on("db2", "rm /var/lib/postgresql/hactl-intent");
    eventually("it goes on as the primary", 30, || {
        in_recovery(bench, "db1") == "f"
    });
    eventually("its claim ends", 30, || claims(bench) == "0");
    // What an operation intends with this host itself is no reason to wait.
    bench.on("db2", "echo '8 db1 x' >/var/lib/postgresql/hactl-intent");
    sh(bench, "db1", "systemctl restart \"$unit\"");
    // An end that does not come is a refusal with a way on.
    bench
        .hactl(&["deploy", "-e", "postgresql_guard_intent_wait=2"])
        .ends(0);
    intend(bench);
    let run = bench.try_on(
        "db1",
        "systemctl restart postgresql@$(ls /etc/postgresql)-main",
    );
    assert!(run.code != 0, "{}", run.told());
    contains(
        &journal(bench, "db1"),
        &[
            "an operation still intends to promote another host",
            OPERATION,
            "hactl resume",
        ],
    );
    eventually("its claim ends", 15, || claims(bench) == "0");
    bench.on("db2", "rm /var/lib/postgresql/hactl-intent");
    sh(bench, "db1", "systemctl start \"$unit\"");
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
}

fn refuses_when_the_intent_became_a_promotion(bench: &Bench) {
    returns_into_an_intent(bench);
    promote(bench, "db2");
    eventually("it stays down", 40, || state(bench, "db1") == "failed");
    contains(
        &journal(bench, "db1"),
        &["not started as a primary: db2", "hactl rejoin db1"],
    );
    bench.on("db2", "rm /var/lib/postgresql/hactl-intent");
    home(bench);
}

/// After a clean stop, and as a copy of a running machine would be.
fn refuses_a_data_directory_that_was_set_back(bench: &Bench) {
    home(bench);
    forget_failovers(bench);
    sh(
        bench,
        "db1",
        "echo 'CREATE TABLE IF NOT EXISTS set_back (i int)' | sql",
    );
    for copy in [
        "systemctl stop \"$unit\"; cp -a \"$data\" \"$data.set-back\"; systemctl start \"$unit\"",
        "echo 'INSERT INTO set_back SELECT generate_series(1, 5000)' | sql; cp -a \"$data\" \"$data.set-back\"; rm \"$data.set-back/postmaster.pid\"",
    ] {
        sh(bench, "db1", copy);
        eventually("db2 has the row", 30, || {
            sh(
                bench,
                "db1",
                "echo 'INSERT INTO set_back VALUES (1)' | sql; sleep 0.2; echo \"SELECT bool_or(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication\" | sql",
            ) == "t"
        });
        let run = bench.try_on(
            "db1",
            "version=$(ls /etc/postgresql); unit=postgresql@$version-main; data=/var/lib/postgresql/$version/main
systemctl stop \"$unit\"; mv \"$data\" \"$data.real\"; mv \"$data.set-back\" \"$data\"; systemctl start \"$unit\"",
        );
        assert!(run.code != 0, "it starts\n{}", run.told());
        contains(
            &journal(bench, "db1"),
            &[
                "this data directory is older than what db2 has already received",
                "hactl failover --promote db2, then hactl rejoin db1",
            ],
        );
        // What status advises is no rejoin of the only copy.
        bench
            .hactl(&["status"])
            .ends(6)
            .says(&["hactl failover --promote db2"])
            .hides(&["rejoin db2"]);
        // The data that it really has is as new as the standby's.
        sh(
            bench,
            "db1",
            "rm -rf \"$data\"; mv \"$data.real\" \"$data\"; systemctl start \"$unit\"",
        );
        eventually("it starts", 20, || in_recovery(bench, "db1") == "f");
    }
    sh(bench, "db1", "echo 'DROP TABLE set_back' | sql");
    bench.whole();
}

/// A client on an application host: its commit is under way for some seconds.
const IN_FLIGHT: &str = r#"cat >/run/in-flight.py <<'END'
import psycopg2
lines = (line.strip().split("=", 1) for line in open("/etc/welcome_app/env") if "=" in line)
env = {key: value.strip('"') for key, value in lines}
get = lambda key: env["WELCOME_APP_DB_" + key]
c = psycopg2.connect(host="192.168.104.31", dbname=get("NAME"), user=get("USER"), password=get("PASSWORD"))
c.autocommit = True
print("begun", flush=True)
try:
    c.cursor().execute("INSERT INTO content (quote, image_filename) VALUES ('in flight', 'x'); SELECT pg_sleep(2)")
    print("acknowledged")
except Exception as error:
    print("failed:", error)
END
rm -f /run/in-flight.log
systemd-run -q --collect --unit=in-flight sh -c 'timeout 120 python3 /run/in-flight.py >/run/in-flight.log 2>&1; echo ended >>/run/in-flight.log'"#;

/// db1 freezes with a commit under way, db2 is promoted, db1 goes on.
fn thaws(bench: &Bench) -> String {
    forget_failovers(bench);
    bench.on("app1", IN_FLIGHT);
    eventually("a commit is under way", 20, || {
        bench.try_on("app1", "grep begun /run/in-flight.log").code == 0
    });
    bench.lab(&["freeze", "db1"]);
    let failover = ["failover", "--promote", "db2", "--allow-data-loss"];
    bench.hactl(&failover).ends(2).says(&["--unfenced-ok"]);
    bench
        .hactl(&[&failover[..], &["--unfenced-ok"]].concat())
        .ends(0);
    for host in ["lb1", "lb2", "app1", "app2"] {
        bench.on(host, "nft list tables | grep hactl_block_db1; ip route show type unreachable | grep 192.168.104.31");
    }
    bench.lab(&["thaw", "db1"]);
    eventually("the client has its answer", 60, || {
        bench.try_on("app1", "grep ended /run/in-flight.log").code == 0
    });
    bench.on("app1", "cat /run/in-flight.log")
}

/// Nothing of a block is left.
fn is_unblocked(bench: &Bench) {
    for host in ["lb1", "lb2", "app1", "app2"] {
        bench.on(
            host,
            "! ls /var/lib/hactl/blocked/* /var/lib/hactl/block-* /run/hactl-block-filters /etc/systemd/system/hactl-block-* 2>/dev/null
[ -z \"$(ip route show type unreachable)\" ] && ! nft list tables | grep hactl_block",
        );
    }
}

fn of_a_frozen_host_that_thaws(bench: &Bench) {
    home(bench);
    let filters = "cat /proc/sys/net/ipv4/conf/*/rp_filter";
    let before = bench.on("app1", filters);
    // The block alone: the server goes on and commits, and its client is told nothing.
    bench.on("db1", "systemctl stop postgresql-pause-watch");
    let said = thaws(bench);
    assert!(
        said.contains("failed") && !said.contains("acknowledged"),
        "{said}"
    );
    assert_eq!(in_recovery(bench, "db1"), "f");
    // The block is there again after a reboot.
    bench.lab(&["kill", "app2"]);
    bench.lab(&["start", "app2"]);
    eventually("app2 blocks it again", 30, || {
        bench
            .try_on("app2", "nft list tables | grep hactl_block_db1 && ip route show type unreachable | grep 192.168.104.31")
            .code
            == 0
    });
    bench.on("db1", "systemctl start postgresql-pause-watch");
    sh(
        bench,
        "db2",
        "echo \"SELECT pg_logical_emit_message(true, 'lab', 'x')\" | sql",
    );
    bench
        .hactl(&["rejoin", "db1", "--discard-diverged"])
        .ends(0);
    is_unblocked(bench);
    assert_eq!(bench.on("app1", filters), before);
    bench.on("app1", &format!("timeout 3 bash -c '</dev/tcp/{DB1}/5432'"));
    home(bench);
    // And with the watch, the host itself notices, and does not go on.
    let said = thaws(bench);
    assert!(
        said.contains("failed") && !said.contains("acknowledged"),
        "{said}"
    );
    eventually("it is stopped and stays down", 40, || {
        state(bench, "db1") == "failed"
    });
    contains(
        &journal(bench, "db1"),
        &["not started as a primary: db2 is the primary"],
    );
    contains(
        &bench.on("db1", "journalctl -b -u postgresql-pause-watch -o cat"),
        &["this host was paused for"],
    );
    home(bench);
    is_unblocked(bench);
}

/// Booting, or its sshd is broken: whoever refuses a connection is not dead, and its server may start at any moment.
fn of_a_host_that_is_up(bench: &Bench) {
    home(bench);
    forget_failovers(bench);
    sh(
        bench,
        "db1",
        "systemctl stop ssh.socket ssh.service 2>/dev/null; systemctl kill -s KILL \"$unit\"",
    );
    bench
        .hactl(&["failover", "--promote", "db2", "--allow-data-loss"])
        .ends(2)
        .says(&[
            "refused (dead)",
            "its host is up, and its port is closed",
            "ssh does not work",
            "--unfenced-ok",
        ]);
    sh(
        bench,
        "db1",
        "systemctl start ssh.service; systemctl start \"$unit\"",
    );
    bench.whole();
}
