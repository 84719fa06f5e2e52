//! What the hosts answered, by host and by question.

use super::check::{Check, Findings, Verdict};
use crate::base::Diagnostic;
use crate::modules::{Reply, Request};
use crate::ops::http::{self, Response};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A question to a host.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its name; answers are found by it.
    pub key: String,
    /// The command that asks.
    pub request: Request,
}

impl Ask {
    /// A script, as root.
    pub fn sh(key: impl Into<String>, script: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            request: Request::sh(script),
        }
    }

    /// Any request.
    pub fn new(key: impl Into<String>, request: Request) -> Self {
        Self {
            key: key.into(),
            request,
        }
    }
}

/// What one host answered.
#[derive(Debug, Clone)]
pub enum Answers {
    /// Its answers, and this machine's clock when it was asked.
    Given(BTreeMap<String, Reply>, SystemTime),
    /// It could not be asked.
    Lost(Diagnostic),
}

/// What all hosts answered.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    hosts: BTreeMap<String, Answers>,
}

impl Observations {
    /// Notes what a host answered.
    pub fn insert(&mut self, host: &str, answers: Answers) {
        self.hosts.insert(host.to_owned(), answers);
    }

    /// Why a host could not be asked.
    pub fn lost(&self, host: &str) -> Option<&Diagnostic> {
        match self.hosts.get(host) {
            Some(Answers::Lost(error)) => Some(error),
            _ => None,
        }
    }

    /// The hosts that answered.
    pub fn reached(&self) -> impl Iterator<Item = &str> {
        self.hosts
            .iter()
            .filter(|(_, answers)| matches!(answers, Answers::Given(..)))
            .map(|(host, _)| host.as_str())
    }

    /// The answer to a question, or why there is none.
    pub fn reply(&self, host: &str, key: &str) -> Result<&Reply, Verdict> {
        match self.hosts.get(host) {
            Some(Answers::Given(replies, _)) => match replies.get(key) {
                Some(reply) if matches!(reply.code, 124 | 137) => {
                    Err(Verdict::Unknown("no answer in time".to_owned()))
                }
                Some(reply) => Ok(reply),
                None => Err(Verdict::Unknown("the host was not asked".to_owned())),
            },
            Some(Answers::Lost(_)) | None => Err(Verdict::Unreached(host.to_owned())),
        }
    }

    /// The answer to a question that was an HTTP request, or why it failed. No answer in time is an answer here: whoever was
    /// asked did not give one.
    pub fn web(&self, host: &str, key: &str) -> Result<Result<Response, String>, Verdict> {
        match self.hosts.get(host) {
            Some(Answers::Given(replies, _)) if replies.contains_key(key) => {
                Ok(http::response(&replies[key]))
            }
            _ => self.reply(host, key).map(http::response),
        }
    }

    /// Judges an HTTP answer that must be 200.
    pub fn answers(&self, host: &str, key: &str) -> Verdict {
        match self.web(host, key) {
            Ok(Ok(response)) => Verdict::of(response.status == 200, "200", response.summary()),
            Ok(Err(why)) => Verdict::bad("200", why),
            Err(verdict) => verdict,
        }
    }

    /// When the answer to the *first* question of a round was given, as seconds since 1970 on this machine's clock, and how
    /// uncertain that is.
    pub fn moment(&self, host: &str, key: &str) -> Option<(f64, f64)> {
        let Some(Answers::Given(replies, sent)) = self.hosts.get(host) else {
            return None;
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one round")]
        let took = replies.get(key)?.milliseconds as f64 / 1000.0;
        let sent = sent
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs_f64();
        Some((sent + took / 2.0, took / 2.0))
    }

    /// Judges a check on each of these hosts by the answer to one question.
    pub fn judge_each<'a>(
        &self,
        findings: &mut Findings,
        check: &'static Check,
        hosts: impl IntoIterator<Item = &'a String>,
        key: &str,
        judge: impl Fn(&str, &Reply) -> Verdict,
    ) {
        for host in hosts {
            let verdict = match self.reply(host, key) {
                Ok(reply) => judge(host, reply),
                Err(verdict) => verdict,
            };
            findings.add(check, host, verdict);
        }
    }
}

/// What a failed command said, in one line: the line that names the error, or else the last one.
pub fn last_words(reply: &Reply) -> String {
    let (err, out) = (reply.err(), reply.out());
    let lines = || {
        err.lines()
            .chain(out.lines())
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let names = |line: &&str| {
        ["ERROR:", "FATAL:", "error:", "[ALERT]"]
            .iter()
            .any(|word| line.contains(word))
    };
    lines()
        .find(names)
        .or_else(|| lines().next_back())
        .map_or_else(
            || format!("exit code {}", reply.code),
            |line| line.trim_start_matches("psql: error: ").to_owned(),
        )
}
