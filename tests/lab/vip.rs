//! The virtual address is moved, while somebody reads through it all the time.

use crate::Case;
use crate::bench::{Bench, VIP, eventually};
use crate::command::{Run, Running};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        name: "vip_moves_there_and_back",
        run: moves_there_and_back,
    },
    Case {
        name: "vip_refusals",
        run: refusals,
    },
    Case {
        name: "vip_undone_when_it_does_not_arrive",
        run: undone,
    },
    Case {
        name: "vip_taken_up_after_a_kill",
        run: taken_up,
    },
];

/// One request after the other from a host, each with a time limit of its own; a line for each: end, status (`late` when the
/// time was over, `failed` when there was no answer), who served it. Ends when its file is taken away, and after two minutes.
const READER: &str = r#"f=/run/reader; : >$f; export LC_ALL=C
while [ -e $f ] && [ $SECONDS -lt 120 ]; do
  timeout PATIENCE bash -c 'exec 3<>/dev/tcp/ADDRESS/80 && printf "GET /api/health HTTP/1.0\r\n\r\n" >&3 && IFS=" " read -r _ s _ <&3 || exit
    by=$(sed -n "s/^x-served-by: \([a-z0-9]*\).*/\1/p" <&3); echo "$EPOCHREALTIME $s $by"' 2>/dev/null || { [ $? = 124 ] && s=late || s=failed; echo "$EPOCHREALTIME $s -"; }
  sleep 0.01
done"#;

/// Somebody who reads through the address.
pub struct Reader<'a> {
    bench: &'a Bench,
    running: Running,
}

impl<'a> Reader<'a> {
    /// Begins to read; a request may take so many seconds. Hosts that other labs keep busy do not always answer in one.
    pub fn begin(bench: &'a Bench, patience: u8) -> Self {
        bench.try_on("db2", "rm -f /run/reader");
        let script = READER
            .replace("ADDRESS", VIP)
            .replace("PATIENCE", &patience.to_string());
        let running = bench.start_on("db2", &format!("exec bash -c {}", quoted(&script)));
        eventually("the reader reads", 10, || {
            bench.try_on("db2", "test -e /run/reader").code == 0
        });
        Self { bench, running }
    }

    /// The lines, each as moment in seconds, status, host.
    pub fn end(self) -> Vec<(f64, String, String)> {
        self.bench.on("db2", "rm /run/reader");
        let run = self.running.wait();
        run.ends(0);
        let lines: Vec<_> = run
            .stdout
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let end = words.next()?.parse().ok()?;
                Some((end, words.next()?.to_owned(), words.next()?.to_owned()))
            })
            .collect();
        assert!(
            lines.len() > 10,
            "the reader read too little\n{}",
            run.told()
        );
        lines
    }
}

/// A word for the shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The document of a command that must succeed.
pub fn json(run: &Run) -> Value {
    run.ends(0);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{}", run.told()))
}

/// Who has the address, and who has not.
pub fn holder(bench: &Bench) -> (&'static str, &'static str) {
    let seen = json(&bench.hactl(&["vip", "status", "--json"]));
    match seen["holders"][0].as_str() {
        Some("lb1") => ("lb1", "lb2"),
        Some("lb2") => ("lb2", "lb1"),
        _ => panic!("{seen:#}"),
    }
}

fn moves_there_and_back(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let reader = Reader::begin(bench, 1);
    let mut gaps = Vec::new();
    for _ in 0..5 {
        for to in ["lb2", "lb1"] {
            if holder(bench).0 == to {
                bench.hactl(&["vip", "move"]).ends(0);
            }
            let told =
                json(&bench.hactl(&["vip", "move", "--to", to, "--json", "--reason", "a test"]));
            assert_eq!(
                (&told["result"], &told["holder"]),
                (&"done".into(), &to.into())
            );
            let viewers = told["gaps"].as_array().expect("gaps");
            assert_eq!(viewers.len(), 2, "{told:#}");
            gaps.extend(
                viewers
                    .iter()
                    .map(|gap| gap["gap_ms"].as_u64().expect("a number")),
            );
            assert_eq!(holder(bench).0, to);
        }
    }
    let lines = reader.end();
    gaps.sort_unstable();
    let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    let good: Vec<f64> = lines.iter().filter(|l| l.1 == "200").map(|l| l.0).collect();
    let pause = good
        .windows(2)
        .map(|two| two[1] - two[0])
        .fold(0.0, f64::max);
    eprintln!(
        "lab:   10 moves: clients saw nothing for {median} ms (median), {worst} ms (worst); a reader of one request at a time \
         waited {:.0} ms at most, {} of {} requests unanswered",
        pause * 1000.0,
        lines.len() - good.len(),
        lines.len()
    );
    // Three advertisements and a skew, as when the holder dies, would be more than that.
    assert!(worst < 2500, "{gaps:?}");
    // No daemon was stopped, and nothing is left behind.
    for host in ["lb1", "lb2"] {
        bench.on(
            host,
            "test \"$(cat /etc/keepalived/maintenance)\" = 0 && test ! -e /var/lib/hactl/operation && systemctl -q is-active keepalived haproxy",
        );
        bench.on(
            host,
            "test \"$(grep -l '\"reason\":\"a test\"' /var/lib/hactl/history/*-vip-move-*.jsonl | wc -l)\" -ge 10",
        );
    }
    for host in ["app1", "db1"] {
        bench.on(host, "! ls /run/hactl-*.probe 2>/dev/null");
    }
    bench
        .hactl(&["vip", "move", "--to", holder(bench).0])
        .ends(0)
        .says(&["already"]);
    bench.whole();
}

fn refusals(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let (from, to) = holder(bench);
    bench
        .hactl(&["vip", "move", "--to", "db1"])
        .ends(1)
        .says(&["`db1` cannot have the virtual address", "lb1 and lb2 can"]);
    let refused = |words: &[&str]| {
        let run = bench.hactl(&["vip", "move", "--to", to]);
        run.ends(2).says(words);
        bench
            .hactl(&["vip", "move", "--dry-run"])
            .ends(2)
            .says(words);
        assert_eq!(holder_by_hand(bench), from, "{}", run.told());
    };
    // Everything at once.
    bench.on(
        to,
        "systemctl stop haproxy; echo 1 >/etc/keepalived/maintenance",
    );
    refused(&[
        &format!("{to}: it cannot take {VIP}: HAProxy does not run there (inactive)"),
        &format!("{to}: it cannot take {VIP}: keepalived's check of HAProxy fails there"),
        &format!("{to}: it cannot take {VIP}: its flag /etc/keepalived/maintenance is 1, not 0"),
        &format!("hactl maintenance off {to}"),
    ]);
    bench.on(to, "systemctl start haproxy");
    let seen = bench.hactl(&["vip", "status"]);
    seen.ends(6)
        .says(&[&format!("{to}: its flag was set by hand")]);
    bench.hactl(&["maintenance", "off", to]).ends(0);
    bench.on(to, "systemctl stop keepalived");
    refused(&[&format!(
        "{to}: it cannot take {VIP}: keepalived does not run there (inactive)"
    )]);
    bench.on(to, "systemctl start keepalived");
    bench.on(
        "db1",
        "echo '{\"kind\":\"failover\",\"operator\":\"ann@desk\"}' >/var/lib/hactl/operation",
    );
    refused(&[
        "db1: an operation is unfinished here: failover (ann@desk)",
        "hactl resume",
    ]);
    bench.on("db1", "rm /var/lib/hactl/operation");
    bench.lab(&["kill", to]);
    bench
        .hactl(&["vip", "move"])
        .ends(5)
        .says(&[&format!("{to}: ")]);
    bench.lab(&["up", "pg-ha"]);
    bench.whole();
}

/// Who has it, without hactl.
fn holder_by_hand(bench: &Bench) -> &'static str {
    let has = |host: &&str| {
        bench
            .try_on(host, &format!("ip -o addr | grep -qF ' {VIP}/'"))
            .code
            == 0
    };
    ["lb1", "lb2"].into_iter().find(has).unwrap_or("nobody")
}

/// Begins a move to a host whose keepalived hears nothing, and waits until the flag is set.
fn begun(bench: &Bench, from: &str, to: &str) -> Running {
    bench.on(to, "pkill -STOP -x keepalived");
    // This harness has blocked the signal, and a child would inherit that.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.thread_unblock().expect("unblocked");
    let running = bench.start(&["vip", "move", "--to", to]);
    signals.thread_block().expect("blocked");
    eventually("the flag is set", 20, || {
        bench.on(from, "cat /etc/keepalived/maintenance") == "1"
    });
    running
}

fn undone(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let (from, to) = holder(bench);
    // Ended by the operator, then by its own limit.
    for interrupt in [true, false] {
        let running = begun(bench, from, to);
        if interrupt {
            let pid = Pid::from_raw(i32::try_from(running.id()).expect("a pid"));
            kill(pid, Signal::SIGINT).expect("a signal");
        }
        let run = running.wait();
        let why = if interrupt {
            "ended by the operator".to_owned()
        } else {
            format!("{VIP} did not move to {to} within 20 s: it is on no host")
        };
        run.ends(3).says(&[
            &why,
            &format!("undone: the flags are cleared; {VIP} is on {from}"),
        ]);
        bench.on(to, "pkill -CONT -x keepalived");
        for host in [from, to] {
            bench.on(host, "test \"$(cat /etc/keepalived/maintenance)\" = 0 && test ! -e /var/lib/hactl/operation");
        }
        let kept = bench.on(
            from,
            "tail -qn 1 $(ls /var/lib/hactl/history/*-vip-move-* | tail -n 1)",
        );
        assert!(kept.contains("\"result\":\"undone\""), "{kept}");
    }
    bench.whole();
}

fn taken_up(bench: &Bench) {
    bench.deployed();
    bench.whole();
    // By `vip move` again, and by `maintenance off`.
    for repair in [&["vip", "move"][..], &["maintenance", "off"]] {
        let (from, to) = holder(bench);
        begun(bench, from, to).kill_alone();
        bench.on(to, "pkill -CONT -x keepalived");
        eventually("the address arrives by itself", 20, || {
            holder_by_hand(bench) == to
        });
        let status = bench.hactl(&["vip", "status"]);
        status.ends(6).says(&[
            &format!("{from}: a move was broken off ("),
            "`hactl vip move` ends it",
        ]);
        bench
            .hactl(&["resume"])
            .ends(2)
            .says(&["a move of the virtual address", "`hactl vip move` ends it"]);
        bench
            .hactl(&["maintenance", "status"])
            .ends(0)
            .says(&["its flag was left by a `vip move` that was broken off"]);
        let warned = bench.hactl(&["verify", "--only", "keepalived.maintenance", "--strict"]);
        warned.ends(6).says(&["keepalived.maintenance"]);
        let mut words = repair.to_vec();
        if repair.len() == 2 && repair[0] == "maintenance" {
            words.push(from);
        }
        bench.hactl(&words).ends(0);
        assert_eq!(holder(bench).0, to);
        bench.on(
            from,
            "test \"$(cat /etc/keepalived/maintenance)\" = 0 && test ! -e /var/lib/hactl/operation",
        );
        bench.hactl(&["vip", "status"]).ends(0);
    }
    bench.whole();
}
