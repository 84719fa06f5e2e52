//! No secret leaves the files that it belongs into: not in what is said, not in a process list, not in a log.

use crate::Case;
use crate::bench::{Bench, HOSTS, program};
use crate::command::{Running, run};
use base64::Engine as _;

/// The case that wants the first deploy to be watched.
pub const WATCHES: &str = "no_secret_is_in_a_process_list";

pub const CASES: &[Case] = &[
    Case {
        name: "no_secret_is_said",
        run: no_secret_is_said,
    },
    Case {
        name: WATCHES,
        run: no_secret_is_in_a_process_list,
    },
    Case {
        name: "files_with_secrets_are_private",
        run: files_with_secrets_are_private,
    },
];

/// Something that the watch must see: a watch that sees nothing proves nothing.
const CANARY: &str = "canary-that-must-be-seen";
/// The words to look for, on a host.
const WORDS: &str = "/run/lab-words";
/// The command lines with one of them in it.
const SEEN: &str = "/run/lab-seen";

/// The generated secrets of the project, by name.
pub fn of(bench: &Bench) -> Vec<(String, String)> {
    let file = bench
        .project()
        .join("inventories/pg-ha/group_vars/all/vault.yml");
    let shown = run(program()
        .arg("-C")
        .arg(bench.project())
        .args(["vault", "view"])
        .arg(file));
    shown.ends(0);
    let secrets: Vec<(String, String)> = shown
        .stdout
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.starts_with("vault_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect();
    assert!(
        secrets.len() >= 4 && secrets.iter().all(|(_, value)| value.len() >= 8),
        "these are not the secrets: {} of them",
        secrets.len()
    );
    secrets
}

/// Watches the process lists of all hosts.
pub struct Watch<'a> {
    bench: &'a Bench,
    watchers: Vec<Running>,
}

impl<'a> Watch<'a> {
    /// From now on.
    pub fn begin(bench: &'a Bench) -> Self {
        let mut words = String::from(CANARY);
        for (_, secret) in of(bench) {
            words.push('\n');
            words.push_str(&secret);
        }
        let words = base64::engine::general_purpose::STANDARD.encode(words + "\n");
        let watchers = HOSTS
            .iter()
            .map(|host| {
                bench.on(
                    host,
                    &format!("umask 077; rm -f {SEEN}; echo {words} | base64 -d >{WORDS}"),
                );
                bench.start_on(
                    host,
                    &format!(
                        "while [ -e {WORDS} ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' \
                         | grep -aF -f {WORDS} >>{SEEN}; sleep 0.1; done"
                    ),
                )
            })
            .collect();
        Self { bench, watchers }
    }

    /// Until now: the hosts, and the command lines with a secret in them.
    pub fn end(self) -> Vec<(String, String)> {
        for host in HOSTS {
            self.bench
                .on(host, &format!("sh -c 'sleep 1; : {CANARY}'; rm {WORDS}"));
        }
        for watcher in self.watchers {
            watcher.wait();
        }
        let mut leaks = Vec::new();
        for host in HOSTS {
            let seen = self.bench.on(host, &format!("cat {SEEN}"));
            assert!(seen.contains(CANARY), "the watch on {host} saw nothing");
            let lines = seen.lines().filter(|line| !line.contains(CANARY));
            leaks.extend(lines.map(|line| (host.to_owned(), line.to_owned())));
        }
        leaks
    }
}

fn no_secret_is_said(bench: &Bench) {
    let first = bench.first();
    let again = bench.hactl(&["deploy", "--check", "-vv", "--diff", "--json"]);
    again.ends(0);
    for (name, secret) in of(bench) {
        for run in [&first.run, &again] {
            for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
                let line = text.lines().find(|line| line.contains(&secret));
                assert!(
                    line.is_none(),
                    "{name} is on {stream}: {}",
                    line.unwrap_or_default()
                );
            }
        }
    }
    // What was written is shown all the same.
    first.run.says(&[
        "/etc/haproxy/haproxy.cfg",
        "/etc/keepalived/keepalived.conf",
    ]);
}

fn no_secret_is_in_a_process_list(bench: &Bench) {
    let leaks = &bench.first().leaks;
    assert!(leaks.is_empty(), "secrets in process lists: {leaks:#?}");
}

fn files_with_secrets_are_private(bench: &Bench) {
    bench.first();
    let words: String = of(bench)
        .into_iter()
        .fold(String::new(), |mut all, (_, secret)| {
            all.push_str(&secret);
            all.push('\n');
            all
        });
    let words = base64::engine::general_purpose::STANDARD.encode(words);
    let mut found = String::new();
    for host in HOSTS {
        // The journal of the host and hactl's own notes are among what must not have any.
        let lines = bench.on(
            host,
            &format!(
                "umask 077; echo {words} | base64 -d >{WORDS}; \
                 grep -rlasF -f {WORDS} /etc /opt /root /home /var/lib/hactl /var/log /tmp /var/tmp /dev/shm /var/lib/postgresql \
                 --exclude-dir=base --exclude-dir=pg_wal | while read -r f; do stat -c '%a %U %G %n' \"$f\"; done; \
                 journalctl -o cat --no-pager 2>/dev/null | grep -aF -f {WORDS} >/dev/null && echo '0 ? ? journal'; rm {WORDS}"
            ),
        );
        for line in lines.lines() {
            let mut parts = line.splitn(4, ' ');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let (mode, user, group, path) = (part(), part(), part(), part());
            let own_group = [
                "root",
                "haproxy",
                "welcome_app",
                "postgres",
                "keepalived_script",
            ]
            .contains(&group.as_str());
            assert!(
                mode == "600" || (mode == "640" && own_group),
                "{host}: {path} has mode {mode} and belongs to {user}:{group}"
            );
            assert!(
                ["root", "postgres", "welcome_app"].contains(&user.as_str()),
                "{host}: {path} belongs to {user}"
            );
            assert!(
                [
                    "/etc/haproxy/",
                    "/etc/keepalived/",
                    "/etc/welcome_app/",
                    "/var/lib/postgresql/"
                ]
                .iter()
                .any(|folder| path.starts_with(folder)),
                "{host}: {path} has a secret and should not"
            );
            found.push_str(&format!("{host} {path}\n"));
        }
    }
    for expected in [
        "lb1 /etc/haproxy/haproxy.cfg\n",
        "lb2 /etc/keepalived/keepalived.conf\n",
        "app1 /etc/welcome_app/",
        "db2 /var/lib/postgresql/.pgpass\n",
    ] {
        assert!(found.contains(expected), "no secret at {expected}: {found}");
    }
}
