//! One long-lived shell on a host, and batches through it.
//!
//! A shell never runs two batches at once and never resends one: whether a lost batch ran is not known, and the
//! caller is told so.

use super::protocol::{self, Item};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Reply;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// What a connection has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Batches sent and answered.
    pub round_trips: u64,
    /// Requests in them.
    pub requests: u64,
    /// Bytes sent.
    pub bytes_up: u64,
    /// Bytes received.
    pub bytes_down: u64,
    /// Milliseconds spent waiting for replies.
    pub waited_ms: u64,
}

impl Statistics {
    /// What was added since an earlier reading.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            round_trips: self.round_trips - before.round_trips,
            requests: self.requests - before.requests,
            bytes_up: self.bytes_up - before.bytes_up,
            bytes_down: self.bytes_down - before.bytes_down,
            waited_ms: self.waited_ms - before.waited_ms,
        }
    }
}

impl std::ops::AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.round_trips += other.round_trips;
        self.requests += other.requests;
        self.bytes_up += other.bytes_up;
        self.bytes_down += other.bytes_down;
        self.waited_ms += other.waited_ms;
    }
}

/// A shell on a host.
pub struct Shell {
    host: String,
    login: String,
    nonce: String,
    begun: bool,
    lock: Option<String>,
    broken: bool,
    input: Box<dyn AsyncWrite + Send + Unpin>,
    output: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    talk: Arc<Mutex<String>>,
    /// Ends when the shell's stderr does.
    listener: tokio::task::JoinHandle<()>,
    /// What it has cost so far.
    pub statistics: Statistics,
    keep: Vec<Box<dyn std::any::Any + Send>>,
}

/// No reply for so long, with nothing running on the host that has a limit of its own, means the link is dead.
const SILENCE: Duration = Duration::from_secs(3600);

/// How long the end of a shell is waited for.
const PARTING: Duration = Duration::from_secs(3);

impl Shell {
    /// Takes over the streams of a shell that runs as `login`. `stderr` is kept for messages.
    pub fn new(
        host: &str,
        login: &str,
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let talk = Arc::new(Mutex::new(String::new()));
        let listener = tokio::spawn(collect(stderr, Arc::clone(&talk)));
        Self {
            host: host.to_owned(),
            login: login.to_owned(),
            nonce: format!("hactl{:032x}", rand::random::<u128>()),
            begun: false,
            lock: None,
            broken: false,
            input: Box::new(input),
            output: BufReader::new(Box::new(output)),
            talk,
            listener,
            statistics: Statistics::default(),
            keep: Vec::new(),
        }
    }

    /// Keeps something alive as long as the shell (its session, its process).
    pub fn keep(&mut self, thing: impl std::any::Any + Send) {
        self.keep.push(Box::new(thing));
    }

    /// Says which user the shell runs as; requests for another go through `runuser`.
    pub(super) fn login(&mut self, user: &str) {
        user.clone_into(&mut self.login);
    }

    /// What the shell itself said on its stderr so far (sudo's refusal, a lost connection).
    pub fn talk(&self) -> String {
        self.talk
            .lock()
            .map(|talk| talk.clone())
            .unwrap_or_default()
    }

    /// The same for a shell that has ended: waits until it has said all that it had to say, since its stderr may be
    /// written in several pieces and arrive after the end of its stdout.
    pub async fn last_words(&mut self) -> String {
        let _ = tokio::time::timeout(PARTING, &mut self.listener).await;
        self.talk()
    }

    /// The stderr of the shell, shared; for whoever answers sudo's prompt.
    pub(super) fn talk_handle(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.talk)
    }

    /// Writes raw bytes before the first batch (sudo's password).
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.input.write_all(bytes).await?;
        self.input.flush().await
    }

    /// Reads one raw line before the first batch; `None` when the shell has ended.
    pub(super) async fn raw_line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let count = self.output.read_until(b'\n', &mut line).await?;
        Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Makes the shell hold `DIRECTORY/lock` open as descriptor 9 from its first batch on. Call before that.
    pub fn open_lock(&mut self, directory: &str) {
        self.lock = Some(directory.to_owned());
    }

    /// Whether the link was lost.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs a batch: one round trip. One reply for each item, in order; an item that was not run because the one
    /// before it failed has the code -1.
    ///
    /// # Errors
    /// When the link is lost: what was asked may or may not have happened.
    pub async fn batch(&mut self, items: &[Item<'_>]) -> Result<Vec<Reply>> {
        if self.broken {
            return Err(self.lost("the connection was lost earlier"));
        }
        let mut text = if self.begun {
            String::new()
        } else {
            protocol::prelude(&self.nonce, self.lock.as_deref())
        };
        self.begun = true;
        text.push_str(&protocol::encode(&self.nonce, &self.login, items));
        let started = Instant::now();
        let result = self.exchange(&text, items.len()).await;
        self.statistics.waited_ms +=
            u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        result.map_err(|error| {
            self.broken = true;
            self.lost(&error.to_string())
        })
    }

    /// Ends the shell and waits (not for long) until it is gone: its lock is free then, and its directory removed.
    pub async fn close(&mut self) {
        if self.broken {
            return;
        }
        self.broken = true;
        let ended = async {
            self.input.write_all(b"exit\n").await?;
            self.input.flush().await?;
            self.input.shutdown().await?;
            let mut rest = Vec::new();
            self.output.read_to_end(&mut rest).await
        };
        // Whatever goes wrong here has no consequence: the host's shell ends when its input does.
        let _ = tokio::time::timeout(PARTING, ended).await;
    }

    async fn exchange(&mut self, text: &str, count: usize) -> std::io::Result<Vec<Reply>> {
        self.statistics.round_trips += 1;
        self.statistics.requests += count as u64;
        self.statistics.bytes_up += text.len() as u64;
        self.input.write_all(text.as_bytes()).await?;
        self.input.flush().await?;
        let mut replies = Vec::with_capacity(count);
        let mut began = Instant::now();
        while replies.len() < count {
            let more = tokio::time::timeout(SILENCE, self.replies(replies.len()))
                .await
                .map_err(|_| {
                    std::io::Error::other(format!("no answer for {} s", SILENCE.as_secs()))
                })??;
            let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            began = Instant::now();
            replies.extend(more.into_iter().map(|reply| Reply {
                milliseconds,
                ..reply
            }));
        }
        Ok(replies)
    }

    /// The next reply, or the next ones that come together.
    async fn replies(&mut self, expected: usize) -> std::io::Result<Vec<Reply>> {
        let mut heads = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.output.read_until(b'\n', &mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.statistics.bytes_down += line.len() as u64;
            let line = String::from_utf8_lossy(&line);
            // A login banner may come first; after that only frames of this run are taken.
            let Some(head) = protocol::head(&self.nonce, &line) else {
                if !heads.is_empty() && protocol::end_of_heads(&self.nonce, &line) {
                    break;
                }
                continue;
            };
            let due = expected + heads.len();
            if head.index != due {
                return Err(std::io::Error::other(format!(
                    "reply {} came where {due} was due",
                    head.index
                )));
            }
            let more = head.more;
            heads.push(head);
            if !more {
                break;
            }
        }
        let mut replies = Vec::with_capacity(heads.len());
        for head in heads {
            let mut stdout = vec![0; head.out];
            self.output.read_exact(&mut stdout).await?;
            let mut stderr = vec![0; head.err];
            self.output.read_exact(&mut stderr).await?;
            self.statistics.bytes_down += (head.out + head.err) as u64;
            replies.push(Reply {
                code: head.code,
                stdout,
                stderr,
                milliseconds: 0,
            });
        }
        Ok(replies)
    }

    fn lost(&self, why: &str) -> Diagnostic {
        let talk = self.talk();
        let error = Diagnostic::with_code(exit::UNREACHABLE, format!("the connection was lost: {why}"))
            .on(&self.host)
            .help("what was being done may or may not have happened; run again: it takes up where this ended");
        if talk.trim().is_empty() {
            error
        } else {
            error.note(talk.trim().to_owned())
        }
    }
}

async fn collect(mut stream: impl AsyncRead + Unpin, into: Arc<Mutex<String>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if let Ok(mut text) = into.lock() {
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::Request;

    fn local() -> Shell {
        super::super::ssh::local("here", None).expect("a local sh")
    }

    #[tokio::test]
    async fn replies_are_framed_whatever_they_hold() {
        let mut shell = local();
        let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let requests = [
            Request::sh("cat").stdin(all.clone()),
            Request::sh("echo out; echo err >&2; exit 7"),
            Request::sh("printf 'hactl 0 0 0 0\\n'"),
            Request::sh("if"),
            Request {
                timeout_seconds: Some(1),
                ..Request::sh("exec sleep 20")
            },
            Request {
                environment: vec![("X".into(), "a'b $c".into())],
                chdir: Some("/".into()),
                ..Request::sh("echo \"$X\"; pwd")
            },
        ];
        // One by one, all together, and mixed.
        for (round, looks) in [
            [false; 6],
            [true; 6],
            [false, true, true, false, false, true],
        ]
        .into_iter()
        .enumerate()
        {
            let items: Vec<_> = requests
                .iter()
                .zip(looks)
                .map(|(request, looks)| Item {
                    request,
                    chained: false,
                    holds_lock: false,
                    looks,
                })
                .collect();
            let replies = shell.batch(&items).await.expect("answered");
            assert_eq!(replies[0].stdout, all);
            assert_eq!(
                (replies[1].code, &*replies[1].out(), &*replies[1].err()),
                (7, "out\n", "err\n")
            );
            assert_eq!(replies[2].out(), "hactl 0 0 0 0\n");
            assert_eq!(replies[3].code, 2);
            assert_eq!(replies[4].code, 124);
            assert_eq!(replies[5].out(), "a'b $c\n/\n");
            assert_eq!(shell.statistics.round_trips, round as u64 + 1);
        }
    }

    #[tokio::test]
    async fn steps_after_a_failed_one_are_not_run() {
        let mut shell = local();
        let requests = [
            Request::sh("true"),
            Request::sh("exit 3"),
            Request::sh("echo no"),
            Request::sh("echo yes"),
        ];
        let items: Vec<_> = requests
            .iter()
            .zip([false, true, true, false])
            .map(|(request, chained)| Item {
                request,
                chained,
                holds_lock: false,
                looks: false,
            })
            .collect();
        let codes: Vec<_> = shell
            .batch(&items)
            .await
            .expect("answered")
            .iter()
            .map(|reply| reply.code)
            .collect();
        assert_eq!(codes, [0, 3, protocol::NOT_RUN, 0]);
    }

    #[tokio::test]
    async fn a_batch_cut_off_halfway_runs_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("ran");
        let request = Request::sh(format!("touch {}", mark.display()));
        let text = protocol::prelude("n", None)
            + &protocol::encode(
                "n",
                "root",
                &[Item {
                    request: &request,
                    chained: false,
                    holds_lock: false,
                    looks: false,
                }],
            );
        for cut in [text.len() - 2, text.len() - 10, text.len() - 30] {
            let mut child = std::process::Command::new("sh")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("sh");
            std::io::Write::write_all(
                &mut child.stdin.take().expect("stdin"),
                &text.as_bytes()[..cut],
            )
            .expect("written");
            child.wait().expect("ended");
            assert!(!mark.exists(), "cut at {cut}");
        }
    }
}
