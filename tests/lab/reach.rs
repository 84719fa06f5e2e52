//! Hosts that cannot be entered: each with its own message, and the others go on.

use crate::Case;
use crate::bench::{Bench, HOSTS};
use crate::command::{Run, run};
use crate::scratch::Scratch;
use serde_json::json;
use std::process::Command;

pub const CASES: &[Case] = &[
    Case {
        name: "reach_wrong_key",
        run: wrong_key,
    },
    Case {
        name: "reach_unknown_host_key",
        run: unknown_host_key,
    },
    Case {
        name: "reach_changed_host_key",
        run: changed_host_key,
    },
    Case {
        name: "reach_host_down",
        run: host_down,
    },
    Case {
        name: "reach_sudo_refused",
        run: sudo_refused,
    },
    Case {
        name: "reach_sudo_password",
        run: sudo_password,
    },
    Case {
        name: "reach_banner_without_newline",
        run: banner,
    },
    Case {
        name: "reach_only_through_the_lab",
        run: only_through_the_lab,
    },
];

/// A play that leaves a mark on every host.
const MARK: &str = "
- name: Mark
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Write the mark
      ansible.builtin.copy:
        content: done
        dest: /run/mark
        mode: \"0644\"
";

/// Which hosts have the mark; takes it away.
pub fn marked(bench: &Bench) -> Vec<&'static str> {
    HOSTS
        .into_iter()
        .filter(|host| bench.try_on(host, "test -e /run/mark && rm /run/mark").code == 0)
        .collect()
}

/// All hosts but one have the mark, and the last lines tell who has not.
#[track_caller]
fn others_went_on(bench: &Bench, run: &Run, but: &str) {
    let others: Vec<&str> = HOSTS.into_iter().filter(|host| *host != but).collect();
    assert_eq!(marked(bench), others, "{}", run.told());
    run.says(&["5 changed on 5 of 6 hosts"]);
    for host in others {
        assert!(
            !run.stderr.contains(&format!("error: {host}")),
            "{}",
            run.told()
        );
    }
}

/// The ssh options that the lab gives, to spoil one of them for a host.
fn ssh_options(bench: &Bench) -> String {
    let fragment = std::fs::read_to_string(bench.fragment()).expect("the fragment");
    let shown = run(crate::bench::program()
        .arg("-i")
        .arg(bench.fragment())
        .args(["inventory", "host", "app1"]));
    shown.ends(0);
    let options = shown.json()["ansible_ssh_common_args"]
        .as_str()
        .unwrap_or_else(|| panic!("no options in {fragment}"))
        .to_owned();
    assert!(options.contains("StrictHostKeyChecking=yes"), "{options}");
    options
}

/// A file that the lab made, and another in its place.
fn instead(bench: &Bench, file: &str, other: &std::path::Path) -> String {
    let options = ssh_options(bench);
    let path = bench.lab_file(file).to_string_lossy().into_owned();
    let spoiled = options.replace(&path, &other.to_string_lossy());
    assert_ne!(spoiled, options, "{path} is not among the options");
    spoiled
}

fn make_key(path: &std::path::Path) {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path))
    .ends(0);
}

fn wrong_key(bench: &Bench) {
    let mut scratch = Scratch::new(bench, "wrong_key");
    scratch.file("site.yml", MARK);
    let key = scratch.dir().join("other_key");
    make_key(&key);
    let options = instead(bench, "id_ed25519", &key);
    scratch.host("app1", &json!({"ansible_ssh_common_args": options}));
    let run = scratch.hactl(&["deploy"]);
    run.ends(5).block(
        &format!(
            "error: app1: root@{} refused the login",
            bench.login("app1")
        ),
        &[
            "Permission denied",
            "= help: check `ansible_user`",
            "authorized_keys",
        ],
    );
    others_went_on(bench, &run, "app1");
}

fn unknown_host_key(bench: &Bench) {
    let mut scratch = Scratch::new(bench, "unknown_host_key");
    let known = scratch.dir().join("known_hosts");
    scratch.file("site.yml", MARK).file("known_hosts", "");
    let options = instead(bench, "known_hosts", &known);
    scratch.host("lb2", &json!({"ansible_ssh_common_args": options}));
    let run = scratch.hactl(&["deploy"]);
    run.ends(5).block(
        &format!(
            "error: lb2: the host key of root@{} is not known",
            bench.login("lb2")
        ),
        &["= help: compare it", "--accept-new-host-keys"],
    );
    others_went_on(bench, &run, "lb2");
    assert_eq!(std::fs::read_to_string(&known).expect("known_hosts"), "");
    // With consent it is taken, kept, and from then on it counts.
    let options = options.replace("-o StrictHostKeyChecking=yes", "");
    scratch.host("lb2", &json!({"ansible_ssh_common_args": options}));
    scratch
        .hactl(&["deploy", "--accept-new-host-keys", "--limit", "lb2"])
        .ends(0);
    scratch.hactl(&["deploy", "--limit", "lb2"]).ends(0);
    let kept = std::fs::read_to_string(&known).expect("known_hosts");
    assert!(kept.contains("ssh-ed25519"), "{kept}");
    marked(bench);
}

fn changed_host_key(bench: &Bench) {
    let mut scratch = Scratch::new(bench, "changed_host_key");
    let key = scratch.dir().join("imposter");
    make_key(&key);
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
    let known = scratch.dir().join("known_hosts");
    scratch
        .file("site.yml", MARK)
        .file("known_hosts", &format!("{} {public}", bench.login("db1")));
    let options = instead(bench, "known_hosts", &known);
    scratch.host("db1", &json!({"ansible_ssh_common_args": options}));
    for arguments in [&["deploy"][..], &["deploy", "--accept-new-host-keys"]] {
        let run = scratch.hactl(arguments);
        run.ends(5).block(
            &format!(
                "error: db1: the host key of root@{} is not the one in known_hosts",
                bench.login("db1")
            ),
            &["= help: find out why before anything else", "ssh-keygen -R"],
        );
        others_went_on(bench, &run, "db1");
    }
}

fn host_down(bench: &Bench) {
    bench.deployed();
    // Not app2: it keeps the backups, and the first one may be under way.
    bench.lab(&["kill", "app1"]);
    let run = bench.hactl(&["deploy", "--json"]);
    let people = bench.hactl(&["deploy", "--check"]);
    bench.lab(&["start", "app1"]);
    run.ends(5);
    let document = run.json();
    assert_eq!(document["unreachable"], json!(["app1"]));
    assert_eq!(document["failed"], json!([]));
    for host in HOSTS.into_iter().filter(|host| *host != "app1") {
        assert!(
            document["hosts"][host]["counts"]["ok"].as_u64() > Some(5)
                && document["hosts"][host]["counts"].get("failed").is_none(),
            "{host}: {}",
            document["hosts"][host]
        );
    }
    let login = bench.login("app1");
    people.ends(5).block(
        &format!("error: app1: cannot connect to root@{login}"),
        &["= help: is it up? try: hactl ssh app1 -- true"],
    );
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
}

fn sudo_refused(bench: &Bench) {
    // A user who may log in, whose password is right, and who is not in sudoers.
    bench.on(
        "db2",
        "id nosudo >/dev/null 2>&1 || useradd -m -s /bin/bash nosudo; echo nosudo:Correct1horse | chpasswd; \
         install -d -m 0700 -o nosudo -g nosudo /home/nosudo/.ssh; \
         install -m 0600 -o nosudo -g nosudo /root/.ssh/authorized_keys /home/nosudo/.ssh/authorized_keys",
    );
    let mut scratch = Scratch::new(bench, "sudo_refused");
    scratch.file("site.yml", MARK);
    scratch.host(
        "db2",
        &json!({"ansible_user": "nosudo", "ansible_become_password": "Correct1horse"}),
    );
    let run = scratch.hactl(&["deploy"]);
    run.ends(3)
        .block(
            "error: db2: `nosudo` may not use sudo",
            &["not in the sudoers", "= help: add `nosudo` to sudoers"],
        )
        .hides(&["Correct1horse"]);
    others_went_on(bench, &run, "db2");
    bench.on("db2", "userdel -rf nosudo");
}

fn sudo_password(bench: &Bench) {
    let path = bench.lab_file("opspw-password");
    let password = std::fs::read_to_string(path).expect("a password");
    let password = password.trim();
    let mut scratch = Scratch::new(bench, "sudo_password");
    scratch.file("site.yml", MARK);
    scratch.host("lb1", &json!({"ansible_user": "opspw"}));
    let missing = scratch.hactl(&["deploy"]);
    missing.ends(3).block(
        "error: lb1: sudo wants a password for `opspw`, and none is given",
        &["= help: set `ansible_become_password`"],
    );
    others_went_on(bench, &missing, "lb1");
    scratch.host(
        "lb1",
        &json!({"ansible_user": "opspw", "ansible_become_password": "Wrong0battery"}),
    );
    let wrong = scratch.hactl(&["deploy"]);
    wrong
        .ends(3)
        .block(
            "error: lb1: sudo refused the password of `opspw`",
            &["= help: check `ansible_become_password`"],
        )
        .hides(&["Wrong0battery"]);
    others_went_on(bench, &wrong, "lb1");
    scratch.host(
        "lb1",
        &json!({"ansible_user": "opspw", "ansible_become_password": password}),
    );
    let right = scratch.hactl(&["deploy", "-vv", "--diff"]);
    right
        .ends(0)
        .says(&["6 changed on 6 hosts"])
        .hides(&[password]);
    assert_eq!(bench.on("lb1", "stat -c %U /run/mark"), "root");
    assert_eq!(marked(bench), HOSTS);
}

/// What a login says before its shell is there does not count, whatever it is.
fn banner(bench: &Bench) {
    let mut scratch = Scratch::new(bench, "banner");
    scratch.file("site.yml", MARK);
    scratch.host("app1", &json!({"ansible_user": "ops"}));
    bench.on(
        "app1",
        "cd ~ops && cp .bashrc .bashrc.kept && { printf 'printf \"\\n\\nWelcome to app1: \"\\n'; cat .bashrc.kept; } >.bashrc",
    );
    let run = scratch.hactl(&["deploy"]);
    bench.on("app1", "cd ~ops && mv .bashrc.kept .bashrc");
    run.ends(0);
    assert_eq!(marked(bench), HOSTS);
}

/// The names of the lab's inventory lead nowhere but through its door.
fn only_through_the_lab(bench: &Bench) {
    for host in HOSTS {
        let login = bench.login(host);
        let shown = run(crate::bench::program()
            .arg("-i")
            .arg(bench.fragment())
            .args(["inventory", "host", host]));
        shown.ends(0);
        assert_eq!(shown.json()["ansible_host"], login.as_str());
        assert!(shown.json()["cluster_address"].is_string());
        // RFC 6761: no resolver may have an answer for it.
        assert!(login.ends_with(".invalid"), "{login}");
    }
}
