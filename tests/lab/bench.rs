//! The lab that all cases share, and the project that is deployed on it.

use crate::cloud;
use crate::command::{Run, Running, run, start};
use crate::secrets::Watch;
use serde_json::Value;
use std::cell::OnceCell;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The hosts of the flagship stack.
pub const HOSTS: [&str; 6] = ["lb1", "lb2", "app1", "app2", "db1", "db2"];
/// Its virtual address.
pub const VIP: &str = "192.168.104.10";

/// A lab with hosts, and a project for them.
pub struct Bench {
    /// The lab's name.
    pub lab: String,
    /// The stack that is on it.
    pub stack: &'static str,
    /// What its hosts are.
    provider: &'static str,
    /// What the lab was made of: the stack, or an inventory.
    wish: PathBuf,
    /// Room for files, removed at the end.
    pub room: PathBuf,
    first: OnceCell<First>,
    /// Whether the first deploy is watched for secrets in process lists: that keeps every host busy.
    watched: bool,
}

/// The deploy that found empty hosts, with everything said that can be said.
pub struct First {
    /// What it said.
    pub run: Run,
    /// Command lines with a secret in them that were seen meanwhile, with their host; only when it was watched.
    pub leaks: Vec<(String, String)>,
}

/// The name of this process's lab.
fn lab_name() -> String {
    format!("test-{}", std::process::id())
}

/// The program that is tested.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hactl"));
    for (name, _) in std::env::vars() {
        if name.starts_with("ANSIBLE_") || name == "HACTL_INVENTORY" || name == "HACTL_LAB" {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").current_dir("/");
    // ssh runs its ProxyCommand in it; bash would read the user's .bashrc first, as its stdin is a socket.
    command.env("SHELL", "/bin/sh");
    command
}

/// The folder of this process, to be removed in any case.
fn room() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(lab_name())
}

/// Ends the lab, if there is one, and removes its files.
pub fn take_down() {
    let run = take_down_quietly();
    if run.code != 0 {
        eprintln!("lab: it could not be taken down\n{}", run.told());
    }
}

/// As [`take_down`], where it may well be that there is none and none can be.
pub fn take_down_quietly() -> Run {
    let _ = std::fs::remove_dir_all(room());
    let mut command = program();
    command.args(["lab", "down", "-n", &lab_name()]);
    start(&mut command).wait_within(Duration::from_secs(180))
}

/// Ends labs of earlier runs of these tests that were killed.
fn sweep() {
    let listed = run(program().args(["lab", "list", "--json"]));
    let Ok(listed) = serde_json::from_str::<Value>(&listed.stdout) else {
        return;
    };
    let names = listed["labs"].as_array().cloned().unwrap_or_default();
    for name in names.iter().filter_map(|lab| lab["name"].as_str()) {
        let dead = name
            .strip_prefix("test-")
            .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
            .is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if dead {
            eprintln!("lab: taking down `{name}`, whose test was killed");
            run(program().args(["lab", "down", "-n", name]));
        }
    }
}

impl Bench {
    /// Brings the lab up; panics with what is missing when this machine cannot.
    pub fn new(stack: &'static str, provider: &'static str, watched: bool) -> Self {
        let doctor = run(program().args(["lab", "doctor", "--provider", provider]));
        assert!(
            doctor.code == 0,
            "this machine cannot run a lab; these tests are not skipped:\n{}{}",
            doctor.stdout,
            doctor.stderr
        );
        sweep();
        std::fs::create_dir_all(room()).expect("a folder");
        let is_stack = stack != cloud::STACK;
        let bench = Self {
            lab: lab_name(),
            stack,
            provider,
            wish: if is_stack {
                stack.into()
            } else {
                cloud::inventory(&room())
            },
            room: room(),
            first: OnceCell::new(),
            watched,
        };
        // The image may have to be built first.
        let up = start(
            program()
                .args(["lab", "up", "-n", &bench.lab, "--provider", provider])
                .arg(&bench.wish),
        )
        .wait_within(Duration::from_secs(900));
        up.ends(0);
        std::fs::copy(bench.lab_file("inventory.yml"), bench.fragment()).expect("the fragment");
        if is_stack {
            let project = bench.project();
            run(program().arg("init").arg(stack).arg(&project)).ends(0);
        }
        bench
    }

    /// The name that a host is logged in to by: one that resolves nowhere.
    pub fn login(&self, host: &str) -> String {
        format!("{host}.{}.lab.invalid", self.lab)
    }

    /// The folder of the project.
    pub fn project(&self) -> PathBuf {
        self.room.join("project")
    }

    /// A file of the lab: `inventory.yml`, `id_ed25519`, `known_hosts`, ...
    pub fn lab_file(&self, name: &str) -> PathBuf {
        let path = run(program().args(["lab", "path", "-n", &self.lab]));
        path.ends(0);
        Path::new(path.stdout.trim()).join(name)
    }

    /// The inventory fragment that leads through the lab's door, as it was with the first six hosts.
    pub fn fragment(&self) -> PathBuf {
        self.room.join("lab.yml")
    }

    /// `hactl` on the project.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .arg("-C")
            .arg(self.project())
            .args(["-i", &format!("inventories/{}", self.stack), "-i"])
            .arg(self.fragment())
            .args(arguments);
        command
    }

    /// Runs `hactl` on the project.
    pub fn hactl(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Starts `hactl` on the project.
    pub fn start(&self, arguments: &[&str]) -> Running {
        start(&mut self.command(arguments))
    }

    /// Runs `hactl lab` on this lab; it must succeed.
    #[track_caller]
    pub fn lab(&self, arguments: &[&str]) -> Run {
        let (verb, rest) = arguments.split_first().expect("a verb");
        let run = run(program().args(["lab", verb, "-n", &self.lab]).args(rest));
        run.ends(0);
        run
    }

    fn exec(&self, host: &str, line: &str) -> Command {
        let mut command = program();
        command.args(["lab", "exec", "-n", &self.lab, host, "sh", "-c", line]);
        command
    }

    /// Runs a line of shell on a host as root, past its network.
    pub fn try_on(&self, host: &str, line: &str) -> Run {
        run(&mut self.exec(host, line))
    }

    /// As [`Bench::try_on`]; it must succeed. Gives its stdout without blanks at the ends.
    #[track_caller]
    pub fn on(&self, host: &str, line: &str) -> String {
        let run = self.try_on(host, line);
        run.ends(0);
        run.stdout.trim().to_owned()
    }

    /// Starts a line of shell on a host.
    pub fn start_on(&self, host: &str, line: &str) -> Running {
        start(&mut self.exec(host, line))
    }

    /// Makes sure that the stack is deployed.
    pub fn deployed(&self) {
        self.first();
    }

    /// The very first deploy; made now if it was not yet.
    pub fn first(&self) -> &First {
        self.first.get_or_init(|| {
            let watch = self.watched.then(|| Watch::begin(self));
            let run = self.hactl(&["deploy", "-vv", "--diff"]);
            let leaks = watch.map(Watch::end).unwrap_or_default();
            run.ends(0);
            First { run, leaks }
        })
    }

    /// Runs `hactl` on the project, for as long as it may take on emulated processors that get what other labs leave.
    pub fn slowly(&self, arguments: &[&str]) -> Run {
        self.start(arguments).wait_within(Duration::from_secs(2400))
    }

    /// Waits until `verify` is content; panics with its findings when that takes too long. PostgreSQL tries a log file that
    /// could not be archived again after a minute.
    #[track_caller]
    pub fn whole(&self) -> Run {
        let run = self.hactl(&["verify", "--wait", "200"]);
        run.ends(0);
        run
    }

    /// Brings the hosts back into a state that other cases can use.
    pub fn repair(&self) {
        let quietly = |arguments: &[&str]| {
            let (verb, rest) = arguments.split_first().expect("a verb");
            run(program().args(["lab", verb, "-n", &self.lab]).args(rest))
        };
        quietly(&["heal"]);
        let wish = self.wish.to_string_lossy();
        let up = ["up", "--provider", self.provider, &wish];
        if self.provider == "vm" {
            quietly(&up);
            return;
        }
        quietly(&[&["thaw"], HOSTS.as_slice()].concat());
        quietly(&up);
        if self.first.get().is_some() {
            self.hactl(&["resume"]);
            self.hactl(&["rejoin", "db1", "--discard-diverged"]);
            self.hactl(&["rejoin", "db2", "--discard-diverged"]);
            self.hactl(&["maintenance", "off", "all"]);
            self.hactl(&["maintenance", "off"]);
            self.hactl(&["deploy"]);
        }
    }

    /// A GET over HTTP/1.1 through the lab's door: status and body. Status 0 when nobody answers.
    pub fn get(&self, address: &str, port: u16, path: &str) -> (u16, String) {
        let mut child = program()
            .args(["lab", "connect", "-n", &self.lab, address])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("hactl lab connect");
        // Held open to the end: a proxy may take the end of the request for the end of the client.
        let mut input = child.stdin.take().expect("a pipe");
        let _ = write!(
            input,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        );
        let mut output = child.stdout.take().expect("a pipe");
        let (done, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = output.read_to_end(&mut bytes);
            let _ = done.send(bytes);
        });
        let bytes = answer
            .recv_timeout(Duration::from_secs(15))
            .unwrap_or_default();
        drop(input);
        let _ = child.kill();
        let _ = child.wait();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let body = text
            .split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned());
        (status, body)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        take_down();
    }
}

/// How much longer than on a machine of its own anything may take on one that other labs keep busy. Waiting longer costs
/// nothing where it holds; what must be quick is measured, not waited for.
pub const SLOWER: u64 = 4;

/// Looks again until it holds; panics with `what` when it does not in time: `seconds` on a machine that does nothing else.
#[track_caller]
pub fn eventually(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    let seconds = seconds * SLOWER;
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(seconds),
            "after {seconds} s still not: {what}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
