//! hactl itself, run as a process of its own within a drill: what is measured is what an operator types, and what is killed
//! really dies.

use super::record::{Clock, Ran};
use crate::base::quote::sh_join;
use crate::base::{Diagnostic, Result, exit};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Which program, and the arguments that every run of it is given.
#[derive(Debug, Clone)]
pub struct Hactl {
    /// The program.
    pub program: PathBuf,
    /// Project, inventories, variables.
    pub global: Vec<OsString>,
}

/// A run that has not ended.
pub struct Running {
    child: Child,
    line: String,
    at: Duration,
    clock: Clock,
    output: tokio::task::JoinHandle<(String, String)>,
}

impl Hactl {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, words: &[String], clock: Clock) -> Result<Running> {
        let line = format!("hactl {}", sh_join(words.iter().map(String::as_str)));
        let at = clock.now();
        let mut child = Command::new(&self.program)
            .args(&self.global)
            .args(words)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Diagnostic::with_code(exit::FAILED, format!("cannot run `{line}`: {error}"))
            })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let output = tokio::spawn(async move { tokio::join!(all(out), all(err)) });
        Ok(Running {
            child,
            line,
            at,
            clock,
            output,
        })
    }
}

impl Running {
    /// Its end, or it is ended when it takes too long.
    ///
    /// # Errors
    /// It took too long, or cannot be waited for.
    pub async fn end(mut self, limit: Duration) -> Result<Ran> {
        let Ok(status) = timeout(limit, self.child.wait()).await else {
            let _ = self.child.start_kill();
            let ran = self.ended(-1).await;
            return Err(Diagnostic::with_code(
                exit::FAILED,
                format!("`{}` did not end within {} s", ran.line, limit.as_secs()),
            )
            .note(ran.stderr));
        };
        let status = status.map_err(|error| {
            Diagnostic::with_code(exit::FAILED, format!("`{}`: {error}", self.line))
        })?;
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok(self.ended(code).await)
    }

    /// Kills it at once, without a chance to tidy up.
    pub async fn kill(mut self) -> Ran {
        let _ = self.child.start_kill();
        let status = self.child.wait().await.ok();
        let code = status.map_or(-1, |status| {
            status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        });
        self.ended(code).await
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn ended(self, code: i32) -> Ran {
        let until = self.clock.now();
        // What it started may hold its output open for longer than it lives itself.
        let mut output = self.output;
        let said = timeout(Duration::from_secs(2), &mut output).await;
        let (stdout, stderr) = said
            .ok()
            .and_then(std::result::Result::ok)
            .unwrap_or_default();
        output.abort();
        Ran {
            at: self.at,
            until,
            line: self.line,
            code,
            stdout,
            stderr,
        }
    }
}

async fn all(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // A stream that breaks off gives what it had.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh() -> Hactl {
        Hactl {
            program: "/bin/sh".into(),
            global: vec!["-c".into()],
        }
    }

    #[tokio::test]
    async fn a_run_is_written_down() {
        let words = ["echo out; echo err >&2; exit 3".to_owned()];
        let running = sh().start(&words, Clock::start()).expect("started");
        let ran = running.end(Duration::from_secs(5)).await.expect("ended");
        assert_eq!(
            (ran.code, &*ran.stdout, &*ran.stderr),
            (3, "out\n", "err\n")
        );
        assert!(ran.until >= ran.at);
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended() {
        let words = ["echo begun >&2; exec sleep 60".to_owned()];
        let running = sh().start(&words, Clock::start()).expect("started");
        let error = running.end(Duration::from_millis(200)).await;
        assert!(error.expect_err("too long").message.contains("did not end"));
        let running = sh().start(&words, Clock::start()).expect("started");
        assert_eq!(running.kill().await.code, 128 + 9);
    }
}
