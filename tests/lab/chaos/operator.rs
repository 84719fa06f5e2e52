//! Operators of a fault history: each begins commands with ssh sessions of his own, and can be stopped, woken, killed, or
//! cut off from his sessions. Never touches a process that it did not start, nor one of another operator.

use super::history::Start;
use crate::bench::Bench;
use crate::command::{Run, Running, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a command may take to come to the step after which it stops, and to its end when it goes on.
const PATIENCE: Duration = Duration::from_secs(240);

/// Somebody with a command under way.
pub struct Operator {
    running: Option<Running>,
    pid: Pid,
    /// ssh's control sockets are in it, so that the sessions can be told from those of others.
    room: TempDir,
}

impl Operator {
    /// Begins a command.
    ///
    /// # Errors
    /// It ended before it came to the step after which it should stop: with what it said.
    pub fn begin(bench: &Bench, wish: &Start, command: &[String]) -> Result<Self, Run> {
        let room = tempfile::Builder::new()
            .prefix("chaos")
            .tempdir_in("/tmp")
            .expect("a folder");
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut command = bench.command(&words);
        command.env("TMPDIR", room.path());
        if let Some(step) = &wish.stop_after {
            command.env("HACTL_TEST_STOP_AFTER", step);
        }
        if let Some(step) = &wish.die_after {
            command.env("HACTL_TEST_DIE_AFTER", step);
        }
        let running = start(&mut command);
        let pid = Pid::from_raw(i32::try_from(running.id()).expect("process ids are small"));
        let mut operator = Self {
            running: Some(running),
            pid,
            room,
        };
        let came = match (&wish.stop_after, &wish.die_after) {
            (None, None) => true,
            (Some(_), _) => operator.until(&['T', 'Z']) == Some('T'),
            (None, Some(_)) => {
                operator.until(&['Z']);
                let run = operator.end().expect("it was begun");
                if run.code != 128 + Signal::SIGKILL as i32 {
                    return Err(run);
                }
                true
            }
        };
        if came {
            Ok(operator)
        } else {
            Err(operator.end().expect("it was begun"))
        }
    }

    /// Waits until its process is in one of these states; which one.
    fn until(&self, states: &[char]) -> Option<char> {
        let started = Instant::now();
        loop {
            let state = state(self.pid)?;
            if states.contains(&state) {
                return Some(state);
            }
            if started.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it where it is.
    pub fn pause(&self) {
        let _ = kill(self.pid, Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn wake(&self) {
        let _ = kill(self.pid, Signal::SIGCONT);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill_alone();
        }
    }

    /// Ends its ssh sessions, and waits until they are gone.
    pub fn drop_sessions(&self) {
        let mark = self.room.path().to_string_lossy().into_owned();
        let started = Instant::now();
        loop {
            let sessions = sessions(&mark, self.pid);
            if sessions.is_empty() || started.elapsed() > Duration::from_secs(10) {
                return;
            }
            for session in sessions {
                let _ = kill(session, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end; nothing when it was killed or has ended before.
    pub fn end(&mut self) -> Option<Run> {
        let running = self.running.take()?;
        // It may still be stopped; whoever waits for its end wants it to go on.
        self.wake();
        Some(running.wait_within(PATIENCE + PATIENCE))
    }
}

/// The state of a process, as `/proc` has it: `T` is stopped, `Z` has ended.
fn state(pid: Pid) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

/// The processes that have a text in their command line, except one.
fn sessions(mark: &str, except: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != except)
        .collect()
}
