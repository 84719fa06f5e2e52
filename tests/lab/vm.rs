//! The stack that needs a kernel of its own, on virtual machines: shared images, power cuts, and networks that are taken back.

use crate::Case;
use crate::bench::{Bench, eventually};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        name: "machines_are_deployed_once",
        run: |bench| deployed_once(bench, ALL.len()),
    },
    Case {
        name: "machines_share_images",
        run: share_images,
    },
    Case {
        name: "machines_outlive_their_file_server",
        run: outlive_file_server,
    },
    Case {
        name: "machines_long_take_wrong_networks_back",
        run: wrong_networks,
    },
    Case {
        name: "machines_long_take_a_lockout_back",
        run: lockout,
    },
    Case {
        name: "machines_long_come_back_from_a_power_cut",
        run: power_cut,
    },
    Case {
        name: "machines_long_outlive_their_primary",
        run: drills,
    },
    Case {
        name: "machines_long_come_back_alone_and_by_twos",
        run: pairs,
    },
];

const ALL: [&str; 5] = ["lb", "app1", "app2", "db1", "db2"];
const LB: &str = "192.168.104.10";
const APPS: [(&str, &str); 2] = [("app1", "192.168.104.21"), ("app2", "192.168.104.22")];
const SHARE: &str = "/srv/nfs/images";

/// Deploys once for all cases.
pub fn deployed(bench: &Bench) {
    if bench.try_on("app2", "systemctl is-active welcome_app").code != 0 {
        let run = bench.slowly(&["deploy"]);
        run.ends(0);
        eprintln!("lab:   the first deploy took {:.0} s", run.seconds);
    }
}

/// A second deploy of so many hosts finds nothing to do, and all of it is as it should be.
pub fn deployed_once(bench: &Bench, hosts: usize) {
    deployed(bench);
    let verify = bench.slowly(&["verify", "--wait", "600"]);
    verify.ends(0);
    let again = bench.slowly(&["deploy"]);
    again
        .ends(0)
        .says(&[&format!("0 changed on {hosts} hosts")]);
    eprintln!(
        "lab:   verify took {:.0} s, the second deploy {:.0} s",
        verify.seconds, again.seconds
    );
}

/// Uploads images of random bytes from db1, through the load balancer, until the file `stop` is there; every image whose upload
/// was acknowledged is a line of `acked`: its address and its digest.
const WRITER: &str = r#"cd /var/tmp && rm -f acked stop tried; n=0
while [ ! -e stop ]; do
    n=$((n + 1)); echo $n >tried
    { printf '\211PNG\r\n\032\n'; head -c 20000 /dev/urandom; } >image.png
    sum=$(sha256sum <image.png | cut -d' ' -f1)
    said=$(curl -sS -m 20 -F "quote=number $n" -F image=@image.png http://192.168.104.10/api/content 2>/dev/null) || continue
    url=$(printf %s "$said" | sed -n 's/.*"image_url": *"\([^"]*\)".*/\1/p')
    [ -z "$url" ] || echo "$url $sum" >>acked
done"#;

/// Compares every acknowledged image with what each application serves, directly; gives their number.
fn acknowledged(bench: &Bench) -> usize {
    let mut script = String::from("cd /var/tmp; while read -r url sum; do\n");
    for (app, address) in APPS {
        let _ = writeln!(
            script,
            "got=$(curl -sS -m 20 http://{address}:5000$url | sha256sum | cut -d' ' -f1); [ \"$got\" = \"$sum\" ] || echo \"{app} $url\""
        );
    }
    script.push_str("done <acked");
    assert_eq!(
        bench.on("db1", &script),
        "",
        "images that are lost or not as they were"
    );
    bench
        .on("db1", "wc -l </var/tmp/acked")
        .parse()
        .expect("a number")
}

/// Files without a row, and halves of files.
fn orphans(bench: &Bench) -> String {
    bench.on(
        "lb",
        &format!(
            "cd {SHARE}; rows=$(curl -sS 'http://127.0.0.1/api/content?limit=1000'); for f in $(ls -A); do case $rows in *\"$f\"*) ;; *) echo \"$f\" ;; esac; done"
        ),
    )
}

fn health(bench: &Bench, address: &str) -> (u16, Value) {
    let (status, body) = bench.get(address, 5000, "/api/health");
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// The application is asked on its own host: from outside, only those who need it come in.
fn asked_at_home(bench: &Bench, app: &str, path: &str) -> String {
    bench
        .try_on(
            app,
            &format!("curl -sS -m 8 -w ' %{{http_code}}' http://127.0.0.1:5000{path}"),
        )
        .stdout
}

fn share_images(bench: &Bench) {
    deployed(bench);
    let image = "{ printf '\\211PNG\\r\\n\\032\\n'; head -c 300000 /dev/urandom; } >/var/tmp/one.png; sha256sum </var/tmp/one.png | cut -d' ' -f1";
    let sum = bench.on("db1", image);
    let said = bench.on(
        "db1",
        &format!(
            "curl -sS -m 20 -F 'quote=shared' -F image=@/var/tmp/one.png http://{LB}/api/content"
        ),
    );
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let name = said["image_filename"].as_str().expect("a name").to_owned();
    let stored = format!("cd {SHARE}; stat -c '%U %a' {name}; sha256sum <{name} | cut -d' ' -f1");
    assert_eq!(bench.on("lb", &stored), format!("welcome_app 640\n{sum}"));
    for (app, address) in APPS {
        let get = format!(
            "curl -sS -m 20 http://{address}:5000/images/{name} | sha256sum | cut -d' ' -f1"
        );
        assert_eq!(bench.on("db1", &get), sum, "{app}");
    }
    let names = bench.on(
        "db1",
        &format!("for n in 1 2 3 4; do curl -sS http://{LB}/api/health; done"),
    );
    for (app, _) in APPS {
        assert!(
            names.contains(&format!("\"hostname\":\"{app}\"")),
            "{names}"
        );
    }
    // The row goes, and the file with it.
    bench.on(
        "db1",
        &format!(
            "curl -sS -f -X DELETE http://{LB}/api/content/{}",
            said["id"]
        ),
    );
    assert_eq!(
        bench.on("lb", &format!("ls -A {SHARE} | grep -c {name}; :")),
        "0"
    );
    // Nobody else may mount it, and root of a client is nobody.
    assert_ne!(
        bench
            .try_on(
                "db2",
                &format!("timeout 20 bash -c 'exec 3<>/dev/tcp/{LB}/2049'")
            )
            .code,
        0
    );
    assert_ne!(
        bench
            .try_on("app1", "touch /mnt/shared/images/by-root")
            .code,
        0
    );
}

fn outlive_file_server(bench: &Bench) {
    deployed(bench);
    let writer = bench.start_on("db1", WRITER);
    eventually("some uploads are acknowledged", 240, || {
        bench
            .try_on("db1", "test \"$(wc -l </var/tmp/acked)\" -ge 3")
            .code
            == 0
    });
    bench.lab(&["kill", "lb"]);
    for (app, _) in APPS {
        eventually("the application says that its images are away", 120, || {
            let said = asked_at_home(bench, app, "/api/health");
            said.contains("\"status\":\"degraded\"") && said.ends_with(" 500")
        });
        // Rows are served all the same, and nothing waits for the share.
        let said = asked_at_home(bench, app, "/api/content");
        assert!(said.ends_with(" 200"), "{app}: {said}");
    }
    // A restart does not wait for the share either.
    bench.on("app1", "timeout 60 systemctl restart welcome_app");
    let said = asked_at_home(bench, "app1", "/api/content");
    assert!(said.ends_with(" 200"), "{said}");
    bench.lab(&["start", "lb"]);
    eventually("both applications are whole again", 480, || {
        APPS.iter()
            .all(|(app, _)| asked_at_home(bench, app, "/api/health").ends_with(" 200"))
    });
    let before = bench.on("db1", "wc -l </var/tmp/acked");
    eventually("uploads are acknowledged again", 240, || {
        bench.on("db1", "wc -l </var/tmp/acked") != before
    });
    bench.on("db1", "touch /var/tmp/stop");
    writer.wait().ends(0);
    let count = acknowledged(bench);
    eventually("no file is left without its row", 160, || {
        orphans(bench).is_empty()
    });
    eprintln!(
        "lab:   {count} uploads acknowledged of {}, none lost",
        bench.on("db1", "cat /var/tmp/tried")
    );
}

/// Five wrong networks at once, each on a host of its own; all hosts go back by themselves.
fn wrong_networks(bench: &Bench) {
    deployed(bench);
    let before: Vec<String> = ALL
        .iter()
        .map(|host| {
            bench.on(
                host,
                "cat /etc/netplan/*.yaml; ip -o -4 addr show | awk '{print $2, $4}'",
            )
        })
        .collect();
    let wrong = bench.room.join("wrong.yml");
    let kinds = [
        ("lb", "netplan_address: 192.168.104.300"),
        ("app1", "netplan_address: 192.168.104.77"),
        ("app2", "netplan_prefix: 31"),
        ("db1", "netplan_gateway: 192.168.104.254"),
        ("db2", "netplan_static_interface: enp0s9"),
    ];
    let mut text = String::from("all:\n  hosts:\n");
    for (host, kind) in kinds {
        let _ = writeln!(text, "    {host}: {{{kind}}}");
    }
    std::fs::write(&wrong, text).expect("written");
    let wrong = wrong.to_string_lossy().into_owned();
    let run = bench.slowly(&[
        "-i",
        &wrong,
        "deploy",
        "--tags",
        "netplan",
        "-e",
        "guarded_seconds=45",
    ]);
    run.ends(3);
    for (host, _) in kinds {
        run.says(&[&format!(
            "{host}: the new network configuration was taken back"
        )]);
    }
    let after: Vec<String> = ALL
        .iter()
        .map(|host| {
            bench.on(
                host,
                "cat /etc/netplan/*.yaml; ip -o -4 addr show | awk '{print $2, $4}'",
            )
        })
        .collect();
    assert_eq!(before, after);
    bench
        .slowly(&["deploy", "--tags", "netplan"])
        .ends(0)
        .says(&["0 changed on 5 hosts"]);
    bench.slowly(&["verify", "--wait", "600"]).ends(0);
}

fn lockout(bench: &Bench) {
    deployed(bench);
    let run = bench.slowly(&[
        "deploy",
        "--tags",
        "firewall,sshd",
        "--limit",
        "app1,db2",
        "-e",
        "guarded_seconds=45",
        "-e",
        r#"{"firewall_ssh_from": ["198.51.100.1"]}"#,
    ]);
    run.ends(3).says(&[
        "app1: the new set of firewall rules was taken back",
        "db2: the new set of firewall rules was taken back",
    ]);
    bench
        .slowly(&["deploy", "--tags", "firewall,sshd"])
        .ends(0)
        .says(&["0 changed on 5 hosts"]);
}

/// All at once, in the middle of uploads; nobody helps afterwards.
fn power_cut(bench: &Bench) {
    deployed(bench);
    // Not awaited: it dies with its host.
    let _writer = bench.start_on("db1", WRITER);
    eventually("some uploads are acknowledged", 240, || {
        bench
            .try_on(
                "db1",
                "test \"$(wc -l </var/tmp/acked)\" -ge 3 && sync /var/tmp/acked",
            )
            .code
            == 0
    });
    bench.lab(&[&["kill"], ALL.as_slice()].concat());
    bench.lab(&[&["start"], ALL.as_slice()].concat());
    let whole = bench.slowly(&["verify", "--wait", "600"]);
    whole.ends(0);
    let count = acknowledged(bench);
    assert!(count >= 3, "{count}");
    eventually("no half of a file is left", 160, || {
        !orphans(bench).contains(".part")
    });
    eprintln!(
        "lab:   whole again {:.0} s after the power came back; {count} images as they were",
        whole.seconds
    );
    let (status, said) = health(bench, LB);
    assert!(
        status == 0,
        "the application's port is closed to strangers: {status} {said}"
    );
    bench
        .slowly(&["deploy"])
        .ends(0)
        .says(&["0 changed on 5 hosts"]);
}

/// Every host alone, and every two together, in order or without power by turns; nobody helps afterwards.
fn pairs(bench: &Bench) {
    deployed(bench);
    let alone = ALL.iter().map(|host| vec![*host]);
    let together = (1..ALL.len()).flat_map(|n| ALL[..n].iter().map(move |a| vec![*a, ALL[n]]));
    for (turn, hosts) in alone.chain(together).enumerate() {
        let by_power = turn % 2 == 0;
        if by_power {
            bench.lab(&[&["kill"], hosts.as_slice()].concat());
            bench.lab(&[&["start"], hosts.as_slice()].concat());
        } else {
            bench.lab(&[&["reboot"], hosts.as_slice()].concat());
        }
        let whole = bench.slowly(&["verify", "--wait", "600"]);
        whole.ends(0);
        eprintln!(
            "lab:   {} ({}): whole again after {:.0} s",
            hosts.join(" and "),
            if by_power {
                "without power"
            } else {
                "in order"
            },
            whole.seconds
        );
    }
}

/// A switchover, and hosts without power: the primary, the file server, all of them; with clients that count rows and images.
fn drills(bench: &Bench) {
    deployed(bench);
    drilled(
        bench,
        &["switchover", "power-loss", "file-server-loss", "cold-start"],
    );
}

/// Runs these drills, all of which must pass, and says what they showed.
pub fn drilled(bench: &Bench, names: &[&str]) {
    let folder = bench.room.join("drills");
    let report = folder.to_string_lossy().into_owned();
    // An emulated stack serves an upload a second or two, and everything waits behind more.
    let options = ["--rate", "1", "--timeout", "10", "--report", &report];
    let words = [&["drill"], names, &options].concat();
    // Each ends with a `verify` that may take minutes here.
    let run = bench.start(&words).wait_within(Duration::from_secs(2400));
    run.ends(0);
    let file = std::fs::read_to_string(folder.join("drill.json")).expect("drill.json");
    let document: Value = serde_json::from_str(&file).expect("JSON");
    let drills = document["drills"].as_array().expect("drills");
    let run: Vec<&str> = drills
        .iter()
        .filter_map(|drill| drill["name"].as_str())
        .collect();
    assert_eq!(run, names);
    for drill in drills {
        let figures = &drill["figures"];
        assert_eq!(drill["passed"], true, "{}", drill["name"]);
        assert_eq!(
            figures["images_lost"].as_array().map(Vec::len),
            Some(0),
            "{}",
            drill["name"]
        );
        eprintln!(
            "lab:   {}: write gap {} s, lost {}, images lost {}, {} writes",
            drill["name"],
            figures["write_gap"]["seconds"],
            figures["lost"],
            figures["images_lost"],
            figures["writes"]["sent"]
        );
    }
}
