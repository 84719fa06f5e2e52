//! The keeper: the first process of a lab's process namespace. It holds the lab's namespaces, reaps what dies in them,
//! tells the hosts the time, and does nothing else. When it is killed the kernel kills every process of the lab with it, and
//! the mounts and the network go with the last of them.

use super::spec::{HostSpec, PREFIX, gateways};
use super::{failed, run, while_doing};
use crate::base::Result;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The bridge that all hosts hang on.
pub const BRIDGE: &str = "br0";
const CGROUPS: &str = "/sys/fs/cgroup";

/// A process that cannot be mistaken for another one that has its number later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
    /// Which boot that was.
    pub boot: String,
}

impl Keeper {
    /// The process of this number as it is now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = state_and_start(&stat)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned();
        (state != 'Z' && state != 'X').then_some(Self { pid, started, boot })
    }

    /// Whether the keeper runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Kills the keeper, and so the lab, and waits until all of it is gone.
    pub fn kill(&self) -> Result<()> {
        let start = Instant::now();
        while self.is_alive() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            if start.elapsed() > Duration::from_secs(30) {
                return Err(failed(format!(
                    "the lab's keeper (process {}) does not die",
                    self.pid
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// A file of the lab's mount namespace.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// One of the lab's namespaces.
    pub fn namespace(&self, kind: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{kind}", self.pid))
    }

    /// A command that runs inside the lab, but with the machine's network when `network` says so.
    pub fn enter(&self, network: Network, program: &str) -> Command {
        let mut command = super::program("nsenter");
        command
            .arg("--target")
            .arg(self.pid.to_string())
            .args(["--mount", "--pid", "--ipc"]);
        if network == Network::Lab {
            command.arg("--net");
        }
        command.arg("--").arg(program);
        command
    }
}

/// Whose network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Lab,
    Machine,
}

/// The state and the start time out of `/proc/PID/stat`; the name in it may hold blanks and brackets.
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A keeper that is ready but waits for leave to stay; dropped without it, it ends.
#[derive(Debug)]
pub struct Starting {
    pub keeper: Keeper,
    starter: Child,
}

impl Starting {
    /// Starts a keeper for these hosts.
    pub fn new(cgroup: &str, hosts: &[HostSpec], log: &Path) -> Result<Self> {
        let log =
            std::fs::File::create(log).map_err(while_doing("cannot write the keeper's log"))?;
        let addresses: Vec<String> = gateways(hosts).iter().map(ToString::to_string).collect();
        let mut starter = Command::new(own_program()?)
            .args(["lab", "__keeper", cgroup])
            .args(&addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(
                log.try_clone()
                    .map_err(while_doing("cannot write the keeper's log"))?,
            )
            .spawn()
            .map_err(while_doing("cannot start the lab's keeper"))?;
        let mut lines = BufReader::new(
            starter
                .stdout
                .take()
                .ok_or_else(|| failed("the keeper has no stdout"))?,
        )
        .lines();
        let mut next = || lines.next().and_then(std::result::Result::ok);
        let pid = next().and_then(|line| line.parse::<i32>().ok());
        let ready = next().is_some_and(|line| line == "ready");
        match pid.and_then(Keeper::of) {
            Some(keeper) if ready => Ok(Self { keeper, starter }),
            _ => Err(failed("the lab's namespaces could not be made")
                .help("`hactl lab doctor` says what this machine lacks")),
        }
    }

    /// Lets the keeper stay when this program ends.
    pub fn stay(mut self) -> Result<Keeper> {
        if let Some(mut stdin) = self.starter.stdin.take() {
            stdin
                .write_all(b"stay\n")
                .map_err(while_doing("the lab's keeper is gone"))?;
        }
        let _ = self.starter.wait();
        Ok(self.keeper)
    }
}

/// The program that runs now, also when it was replaced on disk meanwhile.
pub fn own_program() -> Result<PathBuf> {
    let path = std::env::current_exe().map_err(while_doing("cannot tell where this program is"))?;
    let text = path.to_string_lossy();
    Ok(text
        .strip_suffix(" (deleted)")
        .map_or_else(|| path.clone(), PathBuf::from))
}

/// `hactl lab __keeper`: makes the namespaces, starts the first process in them, says its number, and ends.
pub fn start_inside(arguments: &[String]) -> Result<()> {
    nix::unistd::setsid().map_err(while_doing("setsid"))?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC,
    )
    .map_err(while_doing("cannot make namespaces"))?;
    let child = Command::new(own_program()?)
        .args(["lab", "__init"])
        .args(arguments)
        .current_dir("/")
        .spawn()
        .map_err(while_doing("cannot start the keeper"))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", child.id())
        .and_then(|()| out.flush())
        .map_err(while_doing("cannot report"))
}

/// `hactl lab __init`: the first process of the lab. Fits the mounts, the cgroups and the network, then only reaps and tells
/// the time.
pub fn be_first(arguments: &[String]) -> Result<()> {
    let [cgroup, addresses @ ..] = arguments else {
        return Err(failed("no cgroup given"));
    };
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    watched
        .thread_block()
        .map_err(while_doing("cannot block SIGCHLD"))?;
    fit_mounts()?;
    join_cgroup(cgroup)?;
    make_bridge(addresses)?;
    super::clock::serve()?;

    let mut out = std::io::stdout();
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .map_err(while_doing("cannot report"))?;
    // An end of file here means that whoever wanted the lab is gone.
    let mut leave = [0; 5];
    std::io::stdin()
        .read_exact(&mut leave)
        .map_err(while_doing("not let to stay"))?;
    let nothing = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(while_doing("/dev/null"))?;
    nix::unistd::dup2_stdin(&nothing).map_err(while_doing("dup2"))?;
    nix::unistd::dup2_stdout(&nothing).map_err(while_doing("dup2"))?;
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        let _ = watched.wait();
    }
}

fn fit_mounts() -> Result<()> {
    let none: Option<&str> = None;
    let mount_on = |source: &str, target: &str, kind: &str, data: Option<&str>| {
        mount(
            Some(source),
            target,
            Some(kind),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            data,
        )
        .map_err(while_doing(format!("cannot mount {kind} on {target}")))
    };
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(while_doing("cannot make the mounts private"))?;
    mount_on("proc", "/proc", "proc", None)?;
    // Container runtimes want a tree of cgroups v2 and nothing else; where the machine mixes both kinds, the lab sees
    // the v2 tree alone.
    if !is_cgroup2(CGROUPS) {
        let _ = umount2(CGROUPS, MntFlags::MNT_DETACH);
        mount_on("none", CGROUPS, "cgroup2", None)?;
    }
    // The runtime's records under /run and its locks in /dev/shm are this lab's own. Names are resolved through a file
    // under /run on some machines; that one file is kept.
    let resolver = std::fs::canonicalize("/etc/resolv.conf")
        .ok()
        .filter(|path| path.starts_with("/run"));
    let resolver =
        resolver.and_then(|path| std::fs::read(&path).ok().map(|content| (path, content)));
    mount_on("tmpfs", "/run", "tmpfs", Some("mode=755"))?;
    std::fs::create_dir_all("/dev/shm").map_err(while_doing("cannot make /dev/shm"))?;
    mount_on("tmpfs", "/dev/shm", "tmpfs", Some("mode=1777"))?;
    if let Some((path, content)) = resolver {
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/run")))
                .and_then(|()| std::fs::write(&path, content))
        };
        write().map_err(while_doing("cannot keep resolv.conf"))?;
    }
    Ok(())
}

/// Whether the folder is the root of a tree of cgroups v2.
pub fn is_cgroup2(path: &str) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// A process in a leaf of the lab's own: the keeper must not end with the login session that started it.
fn join_cgroup(cgroup: &str) -> Result<()> {
    let leaf = format!("{CGROUPS}/{cgroup}/keeper");
    std::fs::create_dir_all(&leaf)
        .and_then(|()| std::fs::write(format!("{leaf}/cgroup.procs"), "0"))
        .map_err(while_doing("cannot make a cgroup for the lab"))
}

fn make_bridge(addresses: &[String]) -> Result<()> {
    let mut batch = vec![
        "link set lo up".to_owned(),
        format!(
            "link add {BRIDGE} address 02:ac:00:00:00:01 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ),
    ];
    batch.extend(
        addresses
            .iter()
            .map(|address| format!("address add {address}/{PREFIX} dev {BRIDGE}")),
    );
    batch.push(format!("link set {BRIDGE} up"));
    // The hosts have a router, as real ones do, and it tells them at once that there is nothing beyond.
    batch.push("route add unreachable default".to_owned());
    let mut ip = super::program("ip");
    run(ip
        .args(["-batch", "-"])
        .stdin(super::cabling::text_as_stdin(&batch.join("\n"))?))?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        .map_err(while_doing("cannot set ip_forward"))
}

/// Removes what is left of a lab's cgroups; there is no process in them any more.
pub fn remove_cgroups(cgroup: &str) {
    for root in cgroup2_roots() {
        let path = root.join(cgroup);
        // The kernel may need a moment to let go of the last process.
        for _ in 0..200 {
            if !path.exists() || remove_tree(&path).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn remove_tree(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(path)
}

/// Where trees of cgroups v2 are mounted in full.
fn cgroup2_roots() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(3);
            let (root, point) = (left.next()?, left.next()?);
            (right.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(point))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = "1 1 1 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 100 200";
        for name in ["(hactl)", "(a b)", "(a) S 1 (x)"] {
            assert_eq!(
                state_and_start(&format!("42 {name} S {tail}")),
                Some(('S', 4711)),
                "{name}"
            );
        }
        assert_eq!(state_and_start("garbage"), None);
    }

    #[test]
    fn a_process_with_another_start_is_not_the_keeper() {
        let own = Keeper::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_alive());
        assert!(
            !Keeper {
                started: own.started + 1,
                ..own.clone()
            }
            .is_alive()
        );
        assert!(
            !Keeper {
                boot: "another".to_owned(),
                ..own
            }
            .is_alive()
        );
    }
}
