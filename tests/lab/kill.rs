//! Killed at any instant and run again: each time the same end state, no handler lost, nothing left behind.
//!
//! The instants are random; `HACTL_KILL_SEED` repeats those of an earlier run, `HACTL_KILL_ROUNDS` makes them more.

use crate::Case;
use crate::bench::{Bench, eventually};
use crate::command::{Run, Running, start};
use crate::scratch::Scratch;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[Case {
    name: "kill_at_random_instants",
    run: at_random_instants,
}];

/// The hosts whose runs are killed, and the one whose runs are not.
const KILLED: [&str; 2] = ["lb1", "lb2"];
const UNDISTURBED: &str = "app1";

const SITE: &str = r#"
- name: Kill
  hosts: lb1:lb2:app1
  gather_facts: false
  become: true
  vars: {at: /srv/kill, before: "{{ rev | int - 1 }}"}
  tasks:
    - {name: Folder, ansible.builtin.file: {path: "{{ at }}", state: directory, mode: "0755"}}
    - {name: Folder by turns, ansible.builtin.file: {path: "{{ at }}/turn", state: directory, mode: "{{ '0700' if rev | int % 2 else '0750' }}"}}
    - {name: One, ansible.builtin.copy: {content: "one {{ rev }}\n", dest: "{{ at }}/one.conf", mode: "0644"}, notify: [One]}
    - {name: Two, ansible.builtin.template: {src: two.j2, dest: "{{ at }}/two.conf", mode: "0640"}, notify: [Two, Both]}
    - {name: Three, ansible.builtin.lineinfile: {path: "{{ at }}/three.conf", regexp: "^rev", line: "rev = {{ rev }}", create: true, mode: "0644"}, notify: [Three, Both]}
    - {name: Four, ansible.builtin.blockinfile: {path: "{{ at }}/four.conf", block: "rev {{ rev }}\nend", create: true, mode: "0644"}, notify: topic}
    - {name: Look at the third, ansible.builtin.command: "cat {{ at }}/three.conf", changed_when: false, check_mode: false, register: third}
    - {name: Five, ansible.builtin.copy: {content: "after {{ third.stdout }}\n", dest: "{{ at }}/five.conf", mode: "0600"}, notify: Five}
    - {name: Six, ansible.builtin.copy: {content: "{{ (rev ~ ' six\n') * 9000 }}", dest: "{{ at }}/six.conf", mode: "0644"}, notify: Six}
    - {name: Link, ansible.builtin.file: {path: "{{ at }}/link", src: "{{ 'one' if rev | int % 2 else 'two' }}.conf", state: link}}
    - {name: Many, ansible.builtin.copy: {content: "{{ item }} {{ rev }}\n", dest: "{{ at }}/many-{{ item }}", mode: "0644"}, loop: [a, b, c, d], notify: Many}
    - {name: Mark, ansible.builtin.command: {cmd: "touch {{ at }}/made-{{ rev }}", creates: "{{ at }}/made-{{ rev }}"}}
    - {name: No old mark, ansible.builtin.file: {path: "{{ at }}/made-{{ before }}", state: absent}}
    - name: Halfway
      ansible.builtin.meta: flush_handlers
    - name: A block that fails and is saved
      block:
        - {name: Seven, ansible.builtin.copy: {content: "seven {{ rev }}\n", dest: "{{ at }}/seven.conf", mode: "0644"}, notify: Seven}
        - {name: Fails, ansible.builtin.command: "false"}
      rescue:
        - {name: Saved, ansible.builtin.copy: {content: "saved {{ rev }}\n", dest: "{{ at }}/saved", mode: "0644"}}
    - {name: Include the role, ansible.builtin.include_role: {name: late}}
    - {name: Unit, ansible.builtin.template: {src: unit.j2, dest: /etc/systemd/system/kill-demo.service, mode: "0644"}, notify: Unit}
    - {name: Started, ansible.builtin.systemd_service: {name: kill-demo, state: started, enabled: true, daemon_reload: true}}
  handlers:
    - {name: One, ansible.builtin.shell: "echo one $(sha256sum <{{ at }}/one.conf) >>{{ at }}/log"}
    - {name: Two, ansible.builtin.shell: "echo two $(sha256sum <{{ at }}/two.conf) >>{{ at }}/log"}
    - {name: Three, ansible.builtin.shell: "echo three $(sha256sum <{{ at }}/three.conf) >>{{ at }}/log", notify: Last}
    - {name: Both, ansible.builtin.shell: "echo both $(cat {{ at }}/two.conf {{ at }}/three.conf | sha256sum) >>{{ at }}/log"}
    - {name: Four, ansible.builtin.shell: "echo four $(sha256sum <{{ at }}/four.conf) >>{{ at }}/log", listen: topic}
    - {name: Five, ansible.builtin.shell: "echo five $(sha256sum <{{ at }}/five.conf) >>{{ at }}/log"}
    - {name: Six, ansible.builtin.shell: "echo six $(sha256sum <{{ at }}/six.conf) >>{{ at }}/log"}
    - {name: Many, ansible.builtin.shell: "echo many $(cat {{ at }}/many-* | sha256sum) >>{{ at }}/log"}
    - {name: Seven, ansible.builtin.shell: "echo seven $(sha256sum <{{ at }}/seven.conf) >>{{ at }}/log"}
    - {name: Unit, ansible.builtin.systemd_service: {name: kill-demo, state: restarted, daemon_reload: true}}
    - {name: Last, ansible.builtin.shell: "echo last $(sha256sum <{{ at }}/three.conf) >>{{ at }}/log"}
"#;

const UNIT: &str = "[Service]\nExecStart=/bin/sh -c 'echo {{ rev }} >/srv/kill/seen; exec sleep infinity'\n[Install]\nWantedBy=multi-user.target\n";

/// Each handler with the files whose last content it must have seen.
const HANDLERS: [(&str, &str); 11] = [
    ("one", "one.conf"),
    ("two", "two.conf"),
    ("three", "three.conf"),
    ("both", "two.conf three.conf"),
    ("four", "four.conf"),
    ("five", "five.conf"),
    ("six", "six.conf"),
    ("many", "many-*"),
    ("seven", "seven.conf"),
    ("last", "three.conf"),
    ("late", "late.conf"),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A deploy of one revision on some hosts, with its temporary files where they can be looked for.
fn deploy(project: &Scratch, rev: u64, hosts: &str, temporary: &str) -> Running {
    let rev = format!("rev={rev}");
    start(
        project
            .command(&["deploy", "-e", &rev, "--limit", hosts])
            .env("TMPDIR", temporary),
    )
}

/// Deploys until it is not refused: what the killed run had sent may still be on its way to the end.
fn again(project: &Scratch, rev: u64, hosts: &str, temporary: &str) -> Run {
    let started = Instant::now();
    loop {
        let run = deploy(project, rev, hosts, temporary).wait();
        if run.code != 2 || started.elapsed() > Duration::from_secs(60) {
            return run;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a run said that it has changed nothing.
fn unchanged(run: &Run) -> bool {
    run.stdout
        .lines()
        .chain(run.stderr.lines())
        .any(|line| line.starts_with("0 changed on "))
}

/// What a host has: everything but the log, as text; and for each handler whether it has seen the last content.
fn state(bench: &Bench, host: &str) -> (String, BTreeMap<String, String>) {
    let mut script = "cd /srv/kill && find . ! -name log -printf '%P %y %m %u %l\\n' | LC_ALL=C sort; \
        find . -type f ! -name log | LC_ALL=C sort | xargs sha256sum; cat /etc/systemd/system/kill-demo.service; \
        systemctl is-active kill-demo; systemctl is-enabled kill-demo; cat /var/lib/hactl/pending-handlers; \
        find /srv /etc /tmp /var/lib/hactl -name '.hactl.*' -o -path '*hactl*' -name '*.new'; echo ---\n"
        .to_owned();
    for (handler, files) in HANDLERS {
        let _ = script.write_fmt(format_args!(
            "echo {handler} $(cat {files} | sha256sum)::$(grep '^{handler} ' log | tail -n 1)\n"
        ));
    }
    let told = bench.on(host, &script);
    let (tree, handlers) = told.split_once("---\n").expect("both parts");
    let handlers = handlers
        .lines()
        .filter_map(|line| line.split_once("::"))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    (tree.to_owned(), handlers)
}

fn at_random_instants(bench: &Bench) {
    let rounds = number("HACTL_KILL_ROUNDS").unwrap_or(12);
    let seed = number("HACTL_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("lab: HACTL_KILL_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let project = Scratch::new(bench, "kill");
    project
        .file("site.yml", SITE)
        .file("templates/two.j2", "two {{ rev }} on {{ 'any' }} host\n")
        .file("templates/unit.j2", UNIT)
        .file("roles/late/tasks/main.yml", "- {name: Late, ansible.builtin.copy: {content: \"late {{ rev }}\\n\", dest: /srv/kill/late.conf, mode: \"0644\"}, notify: Late}\n")
        .file("roles/late/handlers/main.yml", "- {name: Late, ansible.builtin.shell: \"echo late $(sha256sum </srv/kill/late.conf) >>/srv/kill/log\"}\n");
    // A short path: sockets live in it.
    let temporary = tempfile::Builder::new()
        .prefix("kill")
        .tempdir_in("/tmp")
        .expect("a folder");
    let temporary = temporary.path().to_str().expect("text");
    let both = KILLED.join(":");
    let first = deploy(&project, 0, "all", temporary).wait();
    first.ends(0);
    // A run that has everything to change tells how long one takes.
    let length = deploy(&project, 1, "all", temporary).wait();
    length.ends(0);
    let (mut owed, mut early) = (0, 0);
    for round in 0..rounds {
        let rev = round + 2;
        let delay = random.random_range(0.05..1.1) * length.seconds;
        let undisturbed = deploy(&project, rev, UNDISTURBED, temporary);
        let running = deploy(&project, rev, &both, temporary);
        std::thread::sleep(Duration::from_secs_f64(delay));
        running.kill_alone();
        let rerun = again(&project, rev, &both, temporary);
        let about = format!(
            "round {round}, killed after {delay:.3} s (HACTL_KILL_SEED={seed})\n{}",
            rerun.told()
        );
        assert_eq!(rerun.code, 0, "{about}");
        owed += u64::from(
            rerun.stdout.contains("it still owes") || rerun.stderr.contains("it still owes"),
        );
        early += u64::from(unchanged(&rerun));
        undisturbed.wait().ends(0);
        let (wished, _) = state(bench, UNDISTURBED);
        for host in KILLED {
            let (tree, handlers) = state(bench, host);
            assert!(
                tree == wished,
                "{host}, {about}\nit is\n{tree}\nundisturbed it would be\n{wished}"
            );
            for (wanted, last) in &handlers {
                assert!(
                    wanted == last,
                    "{host}: a handler has not seen `{wanted}` but `{last}`, {about}"
                );
            }
            assert_eq!(handlers.len(), HANDLERS.len(), "{host}, {about}");
        }
    }
    assert!(
        rounds < 12 || owed > 0,
        "no run was killed between a change and its handler: the instants are badly chosen"
    );
    eprintln!(
        "lab: {rounds} killed in up to {:.1} s; {owed} times handlers were owed, {early} times nothing was left to do",
        length.seconds
    );
    let last = deploy(&project, rounds + 1, "all", temporary).wait();
    last.ends(0);
    assert!(unchanged(&last), "{}", last.told());
    for host in KILLED {
        eventually("no folder of a killed run is left on the host", 10, || {
            bench
                .on(host, "ls -d /run/hactl.* 2>/dev/null; :")
                .is_empty()
        });
    }
    eventually("no ssh of a killed run is left", 60, || {
        processes_with(temporary).is_empty()
    });
    for host in KILLED.iter().chain([&UNDISTURBED]) {
        bench.on(host, "systemctl disable -q --now kill-demo; rm -rf /srv/kill /etc/systemd/system/kill-demo.service; systemctl daemon-reload");
    }
}

/// Processes of this machine that have a text in their command line.
fn processes_with(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
