//! Drills on the lab, and their page in a real browser.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::cluster::{roles, sound, sql};
use crate::command::{Run, run, start};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        name: "drill_refusals",
        run: refusals,
    },
    Case {
        name: "drill_killed_or_ended_is_healed",
        run: killed,
    },
    Case {
        name: "drill_page",
        run: one_with_its_page,
    },
    Case {
        name: "drill_long_all",
        run: all,
    },
];

/// All drills in one run take less.
const PATIENCE: Duration = Duration::from_secs(900);

fn rows(bench: &Bench) -> String {
    let sql = "SELECT count(*) FROM content WHERE quote LIKE 'drill %'";
    let line = format!("runuser -u postgres -- psql -XAtq -d welcome_app -c \"{sql}\"");
    bench.on("db1", &line)
}

fn refusals(bench: &Bench) {
    bench.deployed();
    bench
        .hactl(&["drill", "earthquake"])
        .ends(1)
        .says(&["there is no drill `earthquake`", "switchover"]);
    bench
        .hactl(&["drill", "crash", "--rate", "5"])
        .ends(1)
        .says(&["10 to 100"]);
    bench.hactl(&["drill", "crash", "-l", "db1"]).ends(1);
    let list = bench.hactl(&["drill", "--list"]);
    list.ends(0);
    assert!(list.stdout.contains("lab only"), "{}", list.told());

    // The same hosts, but nothing says that they are a lab's: as production is.
    let fragment = std::fs::read_to_string(bench.fragment()).unwrap();
    let bare: String = fragment
        .lines()
        .filter(|line| !line.contains("hactl_lab:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = bench.room.join("production.yml");
    std::fs::write(&file, bare).unwrap();
    let production = |arguments: &[&str]| {
        let mut command = crate::bench::program();
        command
            .arg("-C")
            .arg(bench.project())
            .args(["-i", "inventories/pg-ha", "-i"])
            .arg(&file)
            .args(arguments);
        run(&mut command)
    };
    production(&["drill", "power-loss", "--yes-break", "db1"])
        .ends(2)
        .says(&["can be done in a lab only"]);
    production(&["drill", "check-fails"])
        .ends(2)
        .says(&["these hosts are in no lab", "--yes-break lb"]);
    production(&["drill", "check-fails", "--yes-break", "app1"])
        .ends(2)
        .says(&["these hosts are in no lab"]);

    // A service that is not whole is left alone.
    bench.on("db2", "systemctl stop postgresql@*");
    bench
        .hactl(&["drill", "crash"])
        .ends(2)
        .says(&["there is not one primary with one standby"]);
    bench.on(
        "db2",
        "systemctl start postgresql@$(ls /etc/postgresql)-main",
    );
    bench.whole();
    assert_eq!(rows(bench), "0");
}

/// A drill that is killed leaves a note of what it broke, on the hosts, and `resume` heals that; SIGTERM lets it heal itself.
fn killed(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let (primary, standby) = roles(bench);
    let paused = || sql(bench, standby, "SELECT pg_is_wal_replay_paused()");
    let begin = || {
        let drill = bench.start(&["drill", "paused-replay"]);
        eventually("the replay is paused", 60, || {
            paused().as_deref() == Some("t")
        });
        for host in [primary, standby] {
            bench.on(host, "grep paused-replay /var/lib/hactl/drill");
        }
        drill
    };
    begin().kill_alone();
    bench
        .hactl(&["status"])
        .says(&["the drill paused-replay of", "hactl resume"]);
    // Nobody drills on top of it.
    bench
        .hactl(&["drill", "crash"])
        .ends(2)
        .says(&["was not ended", "hactl resume"]);
    bench.hactl(&["resume"]).ends(0).says(&["is healed"]);
    assert_eq!(paused().as_deref(), Some("f"));
    bench.whole();

    let drill = begin();
    let id = i32::try_from(drill.id()).expect("process ids are small");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(id),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("it can be asked to end");
    let ended = drill.wait_within(Duration::from_secs(180));
    assert_eq!(ended.code, 3, "{}", ended.told());
    assert_eq!(paused().as_deref(), Some("f"));
    for host in [primary, standby] {
        bench.on(host, "test ! -e /var/lib/hactl/drill");
    }
    // What the killed one has written is nobody's to delete but the operator's.
    bench.on(
        primary,
        "runuser -u postgres -- psql -Xqd welcome_app -c \"DELETE FROM content WHERE quote LIKE 'drill %'\"",
    );
    assert_eq!(sound(bench), (primary, standby));
}

/// A drill with twice the usual requests, and its page in a browser. A hundred a second are more than slow hosts beside other labs serve:
/// then they never come back from a gap while the load goes on.
fn one_with_its_page(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let folder = bench.room.join("page");
    let mut command =
        bench.command(&["drill", "check-fails", "--rate", "40", "--json", "--report"]);
    command.arg(&folder);
    let run = run(&mut command);
    run.ends(0);
    let document: Value = serde_json::from_str(&run.stdout).expect("one JSON document");
    let drill = &document["drills"][0];
    let event = drill["figures"]["event"].as_f64().expect("an event");
    let before: Vec<&Value> = drill["requests"]
        .as_array()
        .expect("requests")
        .iter()
        .filter(|request| request["ended"].as_f64() < Some(event))
        .collect();
    assert!(
        before.len() > 30,
        "{} requests before anything was broken",
        before.len()
    );
    assert!(before.iter().all(|request| request["outcome"] == "done"));
    assert_eq!(drill["figures"]["lost"].as_array().map(Vec::len), Some(0));
    assert_eq!(rows(bench), "0");
    page(bench, &folder.join("drill.html"), &document);
}

/// Other cases of the same lab leave theirs too.
fn drills_in_history(bench: &Bench) -> usize {
    let kept = bench.on(
        "db1",
        "ls /var/lib/hactl/history 2>/dev/null | grep -c -- -drill- || true",
    );
    kept.parse().expect("a number")
}

fn all(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let before = drills_in_history(bench);
    let folder = bench.room.join("report");
    let mut command = bench.command(&["drill", "all", "--report"]);
    command.arg(&folder);
    let run = start(&mut command).wait_within(PATIENCE);
    eprintln!("lab:   all drills took {:.0} s", run.seconds);
    run.ends(0);
    let file = std::fs::read_to_string(folder.join("drill.json")).expect("drill.json");
    let document: Value = serde_json::from_str(&file).expect("JSON");
    let drills = document["drills"].as_array().expect("drills");
    for drill in drills {
        let name = drill["name"].as_str().expect("a name");
        let figures = &drill["figures"];
        eprintln!(
            "lab:   {name}: write gap {} s, lost {}, {} writes",
            figures["write_gap"]["seconds"], figures["lost"], figures["writes"]["sent"]
        );
        assert_eq!(drill["passed"], true, "{name}");
        assert_eq!(
            figures["duplicates"].as_array().map(Vec::len),
            Some(0),
            "{name}"
        );
        assert_eq!(
            figures["images_lost"].as_array().map(Vec::len),
            Some(0),
            "{name}"
        );
        assert!(figures["writes"]["done"].as_u64() > Some(20), "{name}");
    }
    // This stack has no file server, which containers could not be anyhow; nothing else may be left out.
    let left_out = document["left_out"].as_array().expect("a list");
    let ids: Vec<&str> = left_out
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids, ["D17"], "{left_out:?}");
    let cold = drills.iter().find(|drill| drill["name"] == "cold-start");
    cold_start(cold.expect("a cold start"));
    assert_eq!(
        drills.len() + left_out.len(),
        bench.hactl(&["drill", "--list"]).stdout.lines().count()
    );
    // Nothing of it is left, and each of them is in the history.
    assert_eq!(rows(bench), "0");
    assert_eq!(drills_in_history(bench), before + drills.len());
    for host in HOSTS {
        bench.on(
            host,
            "! ip route show type unreachable | grep -q 192.168.104",
        );
    }
    page(bench, &folder.join("drill.html"), &document);
}

/// Everything was dark at the same time, nobody was told to help, and no request is missing meanwhile.
fn cold_start(drill: &Value) {
    let events = drill["events"].as_array().expect("events");
    let broken: Vec<&str> = events
        .iter()
        .filter(|event| event["kind"] == "break")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    for host in HOSTS {
        assert!(broken[0].contains(host), "{host}: {broken:?}");
    }
    let before_verify = |command: &&Value| {
        !command["line"]
            .as_str()
            .is_some_and(|line| line.starts_with("hactl verify"))
    };
    let commands = drill["commands"].as_array().expect("commands");
    assert_eq!(commands.iter().find(before_verify), None);
    assert_eq!(drill["figures"]["two_primaries"], serde_json::json!([]));
    let dark = drill["looks"].as_array().expect("looks");
    assert!(
        dark.iter().any(|look| look["role"] == "unknown"),
        "the watcher saw no host without power"
    );
    // The clients went on at their rate while there was no way in.
    let gap = &drill["figures"]["write_gap"];
    let (from, to) = (gap["from"].as_f64(), gap["to"].as_f64());
    let failed: Vec<&Value> = drill["requests"]
        .as_array()
        .expect("requests")
        .iter()
        .filter(|one| one["kind"] == "write" && one["outcome"] != "done")
        .filter(|one| one["sent"].as_f64() > from && one["sent"].as_f64() < to)
        .collect();
    let seconds = gap["seconds"].as_f64().expect("a gap");
    let rate = drill["rate"].as_f64().expect("a rate");
    let sent = f64::from(u32::try_from(failed.len()).expect("a number"));
    assert!(
        sent > 0.7 * rate * seconds,
        "{sent} failed writes in {seconds} s"
    );
}

/// The page works from disk: everything is drawn, nothing is complained of, nothing is asked for.
fn page(bench: &Bench, file: &Path, document: &Value) {
    let requests: usize = document["drills"]
        .as_array()
        .expect("drills")
        .iter()
        .map(|drill| drill["requests"].as_array().map_or(0, Vec::len))
        .sum();
    let browser = Browser::new(bench);
    let (dom, asked, complaints) = browser.open(file);
    assert_eq!(dom.matches("class=\"m ").count(), requests, "marks");
    assert_eq!(complaints, [""; 0]);
    assert_eq!(asked, [""; 0]);

    // What a browser makes of it: a copy with a script that measures, which the page itself would not allow.
    let html = std::fs::read_to_string(file).expect("the page");
    let probe = "<script>const svg=[...document.querySelectorAll('svg')],box=e=>e.getBoundingClientRect();\
        document.body.dataset.probe=JSON.stringify({pictures:svg.length,\
        drawn:svg.filter(s=>box(s).width>500&&box(s).height>200).length,\
        inside:svg.reduce((n,s)=>n+[...s.querySelectorAll('.m')].filter(m=>{const b=box(m),o=box(s);\
        return b.left>=o.left-4&&b.right<=o.right+4&&b.top>=o.top&&b.bottom<=o.bottom}).length,0),\
        wide:document.documentElement.scrollWidth<=innerWidth})</script></body>";
    let open = "default-src 'none'; style-src 'unsafe-inline'";
    assert!(html.contains(open));
    let measured = bench.room.join("measured.html");
    let text = html
        .replace(
            open,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
        )
        .replace("</body>", probe);
    std::fs::write(&measured, text).unwrap();
    let (dom, _, complaints) = browser.open(&measured);
    assert_eq!(complaints, [""; 0]);
    let found = dom
        .split("data-probe=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a measurement")
        .replace("&quot;", "\"");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let pictures = document["drills"].as_array().map_or(0, Vec::len);
    let expected = serde_json::json!({"pictures": pictures, "drawn": pictures, "inside": requests, "wide": true});
    assert_eq!(found, expected);

    // The checks can fail.
    let bad = bench.room.join("bad.html");
    std::fs::write(
        &bad,
        "<img src=\"http://192.0.2.1/x.png\"><script>console.error('oh no')</script>",
    )
    .unwrap();
    let (_, asked, complaints) = browser.open(&bad);
    assert_eq!(asked, ["http://192.0.2.1/x.png"]);
    assert!(
        complaints.iter().any(|line| line.contains("oh no")),
        "{complaints:?}"
    );
}

/// Chromium without a network.
struct Browser {
    folder: PathBuf,
}

impl Browser {
    fn new(bench: &Bench) -> Self {
        let folder = bench.room.join("browser");
        std::fs::create_dir_all(&folder).unwrap();
        let there = run(Command::new("chromium").arg("--version"));
        assert!(
            there.code == 0,
            "chromium is missing; `make deps` installs it:\n{}",
            there.told()
        );
        Self { folder }
    }

    /// Opens a file: the page as it was made of it, the addresses that it asked for, what the console said.
    fn open(&self, file: &Path) -> (String, Vec<String>, Vec<String>) {
        let log = self.folder.join("net.json");
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ]);
        command.args([
            "--enable-logging=stderr",
            "--window-size=1200,900",
            "--dump-dom",
        ]);
        command.arg(format!(
            "--user-data-dir={}",
            self.folder.join("profile").display()
        ));
        command.arg(format!("--log-net-log={}", log.display()));
        command.arg(format!("file://{}", file.display()));
        let run: Run = start(&mut command).wait_within(Duration::from_secs(90));
        run.ends(0);
        let log: Value =
            serde_json::from_str(&std::fs::read_to_string(log).expect("a log")).expect("JSON");
        // What the browser does for itself has no page as its origin.
        let mut asked: Vec<String> = log["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| &event["params"])
            .filter(|params| {
                params["initiator"]
                    .as_str()
                    .is_some_and(|initiator| initiator != "not an origin")
            })
            .filter_map(|params| params["url"].as_str())
            .filter(|url| !url.starts_with("file:"))
            .map(str::to_owned)
            .collect();
        asked.dedup();
        let complaints = run
            .stderr
            .lines()
            // Chromium's own pages talk too.
            .filter(|line| line.contains(":CONSOLE") && !line.contains("source: chrome://"))
            .map(str::to_owned)
            .collect();
        (run.stdout, asked, complaints)
    }
}
