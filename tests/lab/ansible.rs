//! Ansible itself on the same hosts with the same files: where one has been, the other finds nothing to change.
//!
//! These cases give the hosts a Python, so they come last.

use crate::Case;
use crate::bench::{Bench, HOSTS, program};
use crate::command::{Run, run, start};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        name: "ansible_long_finds_nothing_after_hactl",
        run: ansible_finds_nothing_after_hactl,
    },
    Case {
        name: "ansible_long_leaves_nothing_for_hactl",
        run: hactl_finds_nothing_after_ansible,
    },
    Case {
        name: "ansible_lint_passes",
        run: ansible_lint_passes,
    },
];

/// Ansible needs minutes for what hactl does in seconds.
const PATIENCE: Duration = Duration::from_secs(900);

/// A project with everything that Ansible needs to run it: no file of it comes out of hactl's binary.
struct Exported<'a> {
    bench: &'a Bench,
    venv: PathBuf,
    // Short: a control socket's path has a hundred bytes at most.
    sockets: tempfile::TempDir,
    dir: PathBuf,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl<'a> Exported<'a> {
    fn new(bench: &'a Bench) -> Self {
        let venv = repository().join(".cache/ansible");
        start(Command::new(repository().join("scripts/ansible-venv")).arg(&venv))
            .wait_within(PATIENCE)
            .ends(0);
        let dir = bench.room.join("exported");
        if !dir.exists() {
            // The same secrets and addresses, and the roles beside them.
            run(Command::new("cp").arg("-a").arg(bench.project()).arg(&dir)).ends(0);
            run(program().args(["init", "pg-ha", "--roles"]).arg(&dir)).ends(0);
            // Ansible finds these beside the playbook.
            for file in [
                "roles/postgresql/tasks/standby.yml",
                "templates/haproxy/haproxy.cfg.j2",
            ] {
                assert!(dir.join(file).is_file(), "{file}");
            }
        }
        Self {
            bench,
            venv,
            sockets: tempfile::Builder::new()
                .prefix("hl")
                .tempdir()
                .expect("a folder"),
            dir,
        }
    }

    /// A program of the virtual environment, run in the project or another folder.
    fn command(&self, name: &str, dir: &Path) -> Command {
        let mut command = Command::new(self.venv.join("bin").join(name));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANSIBLE_")) {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(dir)
            .env(
                "PATH",
                format!("{}:{path}", self.venv.join("bin").display()),
            )
            .env("NO_COLOR", "1")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_HOME", self.sockets.path().join("home"))
            .env(
                "ANSIBLE_SSH_CONTROL_PATH_DIR",
                self.sockets.path().join("cp"),
            )
            .env(
                "ANSIBLE_SSH_ARGS",
                "-o ControlMaster=auto -o ControlPersist=15s",
            )
            .env("ANSIBLE_FORKS", "6")
            .env("ANSIBLE_VAULT_PASSWORD_FILE", ".vault-password")
            // What is told is what matters when the case fails.
            .env("ANSIBLE_DISPLAY_OK_HOSTS", "false")
            .env("ANSIBLE_DISPLAY_SKIPPED_HOSTS", "false");
        command
    }

    /// `ansible-playbook site.yml` on the lab; it must succeed. Gives what it changed, by host.
    #[track_caller]
    fn playbook(&self, arguments: &[&str]) -> (Run, BTreeMap<String, u64>) {
        let mut command = self.command("ansible-playbook", &self.dir);
        command
            .args(["-i", "inventories/pg-ha", "-i"])
            .arg(self.bench.fragment())
            .arg("site.yml")
            .args(arguments);
        let run = start(&mut command).wait_within(PATIENCE);
        run.ends(0);
        eprintln!(
            "lab:   ansible-playbook {} in {:.1} s",
            arguments.join(" "),
            run.seconds
        );
        let changed = recap(&run.stdout);
        assert_eq!(
            changed.keys().map(String::as_str).collect::<Vec<_>>(),
            ["app1", "app2", "db1", "db2", "lb1", "lb2"],
            "no recap of all hosts\n{}",
            run.told()
        );
        (run, changed)
    }
}

/// `HOST : ok=1 changed=2 ...`, the lines after `PLAY RECAP`.
fn recap(output: &str) -> BTreeMap<String, u64> {
    let (_, recap) = output.rsplit_once("PLAY RECAP").unwrap_or_default();
    recap
        .lines()
        .filter_map(|line| {
            let (host, counts) = line.split_once(" : ")?;
            let changed = counts
                .split_whitespace()
                .find_map(|count| count.strip_prefix("changed="))?;
            Some((host.trim().to_owned(), changed.parse().ok()?))
        })
        .collect()
}

/// What Ansible needs on the hosts and hactl does not.
fn give_python(bench: &Bench) {
    let line = "python3 -c 'import apt' 2>/dev/null && exit 0; export DEBIAN_FRONTEND=noninteractive; \
                apt-get update -q && apt-get install -y -q --no-install-recommends python3 python3-apt";
    let installations: Vec<_> = HOSTS
        .iter()
        .map(|host| bench.start_on(host, line))
        .collect();
    for installation in installations {
        installation.wait().ends(0);
    }
}

fn ansible_finds_nothing_after_hactl(bench: &Bench) {
    bench.deployed();
    bench.hactl(&["deploy"]).ends(0);
    let exported = Exported::new(bench);
    give_python(bench);
    let (run, changed) = exported.playbook(&["--check", "--diff"]);
    assert!(
        changed.values().all(|&count| count == 0),
        "{changed:?}\n{}",
        run.told()
    );
}

/// What is taken away from a host, so that Ansible has to build it: packages, files, a user, a unit, a whole standby.
const UNDONE: [(&str, &str); 4] = [
    (
        "lb2",
        "export DEBIAN_FRONTEND=noninteractive; apt-get purge -y -q haproxy keepalived && rm -rf /etc/haproxy /etc/keepalived",
    ),
    (
        "app2",
        "systemctl disable -q --now welcome_app && rm -rf /etc/systemd/system/welcome_app.service /etc/welcome_app /opt/welcome_app \
         && systemctl daemon-reload && userdel welcome_app && chmod 0600 /etc/hosts && rm /etc/systemd/journald.conf.d/50-limits.conf",
    ),
    (
        "db1",
        "echo 'local all nobody reject' | tee -a /etc/postgresql/*/main/pg_hba.conf",
    ),
    (
        "db2",
        "pg_dropcluster --stop $(ls /etc/postgresql | head -n 1) main && rm -f /var/lib/postgresql/.pgpass /etc/apt/apt.conf.d/60-keep-postgresql",
    ),
];

fn hactl_finds_nothing_after_ansible(bench: &Bench) {
    bench.deployed();
    bench.hactl(&["deploy"]).ends(0);
    let exported = Exported::new(bench);
    give_python(bench);
    for (host, line) in UNDONE {
        bench.on(host, line);
    }
    // Otherwise it would be no news that nothing is left to do.
    bench
        .hactl(&["deploy", "--check", "--detailed-exitcode"])
        .ends(10);
    let (run, changed) = exported.playbook(&[]);
    for (host, count) in &changed {
        let undone = UNDONE.iter().any(|(name, _)| name == host);
        assert_eq!(*count > 0, undone, "{host} changed {count}\n{}", run.told());
    }
    bench
        .hactl(&["deploy", "--check", "--detailed-exitcode", "--diff"])
        .ends(0)
        .says(&["0 would change on 6 hosts"]);
    bench.whole();
}

fn ansible_lint_passes(bench: &Bench) {
    let exported = Exported::new(bench);
    for dir in [exported.dir.as_path(), repository()] {
        let mut command = exported.command("ansible-lint", dir);
        // The repository has vaulted nothing.
        if dir == repository() {
            command.env_remove("ANSIBLE_VAULT_PASSWORD_FILE");
        }
        let run = start(command.args(["--offline", "--profile", "production", "--strict"]))
            .wait_within(PATIENCE);
        run.ends(0).says(&["Passed"]);
        // A linter that looked at nothing is content, too.
        let looked_at = run
            .stderr
            .split_once("warning(s) in ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok())
            .unwrap_or(0);
        assert!(
            looked_at > 30,
            "{looked_at} files looked at\n{}",
            run.told()
        );
    }
}
