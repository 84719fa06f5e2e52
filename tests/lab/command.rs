//! Runs programs with a time limit, and says what they said when an expectation is not met.
//!
//! Output goes to files, not to pipes: an ssh master that outlives its hactl must not hold a test up.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No command of these tests needs longer.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was run, for messages.
    pub shown: String,
    /// Its exit code; 128 and the signal when one ended it.
    pub code: i32,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
    /// How long it took.
    pub seconds: f64,
}

/// The process groups of what is running now, for whoever has to end it all.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Ends all that is running.
pub fn end_all(signal: Signal) {
    for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = killpg(*group, signal);
    }
}

/// A command that is running. Killed when it is dropped.
pub struct Running {
    child: Child,
    shown: String,
    stdout: File,
    stderr: File,
    started: Instant,
}

/// Starts a command in a process group of its own, without input.
pub fn start(command: &mut Command) -> Running {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shown = words.join(" ");
    let stdout = tempfile::tempfile().expect("a file for stdout");
    let stderr = tempfile::tempfile().expect("a file for stderr");
    let child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("stdout"))
        .stderr(stderr.try_clone().expect("stderr"))
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
    GROUPS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(group(&child));
    Running {
        child,
        shown,
        stdout,
        stderr,
        started: Instant::now(),
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    start(command).wait()
}

impl Running {
    /// Waits for its end; panics when that takes too long.
    pub fn wait(self) -> Run {
        self.wait_within(PATIENCE)
    }

    /// Waits so long for its end.
    pub fn wait_within(mut self, patience: Duration) -> Run {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                let code = status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                return self.ended(code);
            }
            if self.started.elapsed() > patience {
                self.kill();
                let run = self.ended(-1);
                panic!("not ended after {} s\n{}", patience.as_secs(), run.told());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self, code: i32) -> Run {
        Run {
            shown: self.shown.clone(),
            code,
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    /// What it has written to stdout so far.
    pub fn stdout_so_far(&self) -> String {
        let size = self.stdout.metadata().map_or(0, |meta| meta.len());
        let mut bytes = vec![0; usize::try_from(size).expect("it fits into memory")];
        // The place in the file is its writer's, so it is read without one.
        let read = self.stdout.read_at(&mut bytes, 0).expect("read");
        bytes.truncate(read);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it where it is: it holds what it has and does nothing more.
    pub fn freeze(&self) {
        let _ = nix::sys::signal::kill(group(&self.child), Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let _ = nix::sys::signal::kill(group(&self.child), Signal::SIGCONT);
    }

    /// Ends it at once, without a chance to tidy up. Only the program itself; what it started has to notice.
    pub fn kill_alone(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn kill(&mut self) {
        let _ = killpg(group(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|known| *known != group(&self.child));
    }
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"))
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("the output can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Run {
    /// The command and all that it said.
    pub fn told(&self) -> String {
        let cut = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(80);
            lines[from..].join("\n")
        };
        format!(
            "$ {}\nexit code {}{}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.shown,
            self.code,
            self.failures(),
            cut(&self.stdout),
            cut(&self.stderr)
        )
    }

    /// What it said of each task that failed: whoever has only the beginning of a long message has this.
    fn failures(&self) -> String {
        let mut failures = String::new();
        let mut inside = false;
        for line in self.stderr.lines() {
            inside = line.starts_with('✖') || (inside && line.starts_with(' '));
            if inside {
                failures.push('\n');
                failures.push_str(line);
            }
        }
        failures
    }

    /// It must have ended with this code.
    #[track_caller]
    pub fn ends(&self, code: i32) -> &Self {
        assert!(
            self.code == code,
            "expected exit code {code}\n{}",
            self.told()
        );
        self
    }

    /// Its stdout or stderr must have each of these texts.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "expected `{text}`\n{}",
                self.told()
            );
        }
        self
    }

    /// A block of lines of its stderr that begins with a line that has `head` and goes on while lines are indented, or
    /// belong to a drawn error, must have each of these texts: the message of one host, not of any.
    #[track_caller]
    pub fn block(&self, head: &str, texts: &[&str]) -> &Self {
        let mut blocks: Vec<String> = Vec::new();
        for line in self.stderr.lines() {
            let goes_on = line.starts_with(' ')
                || line
                    .split_once(" | ")
                    .is_some_and(|(number, _)| number.trim().bytes().all(|b| b.is_ascii_digit()));
            match blocks.last_mut() {
                Some(block) if goes_on => {
                    block.push('\n');
                    block.push_str(line);
                }
                _ => blocks.push(line.to_owned()),
            }
        }
        let found: Vec<&String> = blocks
            .iter()
            .filter(|block| {
                block
                    .lines()
                    .next()
                    .is_some_and(|first| first.contains(head))
            })
            .collect();
        assert!(
            found
                .iter()
                .any(|block| texts.iter().all(|text| block.contains(text))),
            "expected a message `{head}` with {texts:#?}; there are {found:#?}\n{}",
            self.told()
        );
        self
    }

    /// Neither stdout nor stderr may have any of these texts.
    #[track_caller]
    pub fn hides(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(
                !self.stdout.contains(text) && !self.stderr.contains(text),
                "`{text}` must not be said\n{}",
                self.told()
            );
        }
        self
    }

    /// Its stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{}", self.told()))
    }
}
