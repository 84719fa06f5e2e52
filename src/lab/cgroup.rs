//! All processes of one lab host, as the kernel knows them: its cgroup. A power cut and a freeze reach every one of them
//! at once, whatever they are.

use super::provider::HostState;
use super::{failed, while_doing};
use crate::base::Result;
use fs_err as fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The cgroup of a host that was made.
#[derive(Debug)]
pub struct Cgroup {
    /// Its folder, as seen from the machine.
    pub folder: PathBuf,
}

impl Cgroup {
    /// How its processes are.
    pub fn state(&self) -> HostState {
        let events = fs::read_to_string(self.folder.join("cgroup.events")).unwrap_or_default();
        if !events.lines().any(|line| line == "populated 1") {
            HostState::Dead
        } else if events.lines().any(|line| line == "frozen 1") {
            HostState::Frozen
        } else {
            HostState::Running
        }
    }

    /// The first process of the host's process namespace, by the machine's number; none when it does not run. systemd puts
    /// itself into a cgroup of its own soon after it started.
    pub fn first(&self) -> Option<i32> {
        let processes = |folder: &str| {
            fs::read_to_string(self.folder.join(folder).join("cgroup.procs")).unwrap_or_default()
        };
        (processes("init.scope") + &processes("."))
            .lines()
            .find(|process| {
                let status =
                    fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
                status
                    .lines()
                    .any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
            })?
            .parse()
            .ok()
    }

    /// Kills all, or says that this kernel cannot; not waited for.
    pub fn kill(&self) -> Result<()> {
        fs::write(self.folder.join("cgroup.kill"), "1").map_err(while_doing("cannot kill the host"))
    }

    /// Stops all, or lets all go on.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let (word, state) = if frozen {
            ("1", HostState::Frozen)
        } else {
            ("0", HostState::Running)
        };
        fs::write(self.folder.join("cgroup.freeze"), word).map_err(while_doing("cannot freeze"))?;
        if self.wait(state, Duration::from_secs(10)) {
            Ok(())
        } else {
            Err(failed("the host's processes do not follow"))
        }
    }

    /// Lets its sessions give way to all others, as `nice` says it of processes of one session. Linux shares processors out
    /// between sessions first (`sched_autogroup`), and a daemon is a session. A kernel that does not is content with `nice`.
    pub fn give_way(&self, nice: i32) {
        let processes = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            let _ = fs::write(format!("/proc/{process}/autogroup"), nice.to_string());
        }
    }

    /// Whether it comes to a state in time. The kernel tells of no change here, so it is looked at again and again.
    pub fn wait(&self, state: HostState, patience: Duration) -> bool {
        let start = Instant::now();
        while self.state() != state {
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}
