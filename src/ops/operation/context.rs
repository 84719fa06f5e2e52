//! What an operation on a service works with: the hosts, somebody to tell, a wish to stop, and a record for the history.
//!
//! Every step is told and recorded before it is sent. Nothing here decides.

use super::journal::{self, End, Header, Notes, Record, StepLine, StepState};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::ConnectionPool;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(60);

/// Who does it, and from where.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The user.
    pub operator: String,
    /// The machine.
    pub from: String,
}

/// What was done, for the history.
#[derive(Debug)]
pub struct Log {
    record: Record,
    begun: Instant,
}

impl Log {
    /// Begins one.
    pub fn new(header: Header) -> Self {
        Self {
            record: Record {
                header,
                steps: Vec::new(),
                end: None,
            },
            begun: Instant::now(),
        }
    }

    /// The operation's name.
    pub fn id(&self) -> &str {
        &self.record.header.id
    }

    /// Adds a detail to the header.
    pub fn detail(&mut self, key: &str, value: &str) {
        let details = &mut self.record.header.details;
        details.insert(key.to_owned(), value.to_owned());
    }

    /// The header as that of another kind of operation, which is a part of this one.
    pub fn header_of(&self, kind: &str) -> Header {
        Header {
            kind: kind.to_owned(),
            ..self.record.header.clone()
        }
    }

    /// Notes a step.
    pub fn step(&mut self, hosts: &[&str], what: &str) {
        let mut notes: Notes = [(
            "after_ms".to_owned(),
            milliseconds(self.begun.elapsed()).to_string(),
        )]
        .into();
        if !hosts.is_empty() {
            notes.insert("hosts".to_owned(), hosts.join(", "));
        }
        self.record.steps.push(StepLine {
            step: what.to_owned(),
            state: StepState::Begun,
            at: journal::seconds(),
            notes,
        });
    }

    /// The step that was noted last has come to its end.
    fn done(&mut self) {
        if let Some(last) = self.record.steps.last_mut() {
            last.state = StepState::Done;
        }
    }
}

/// Now, as notes on hosts keep it.
pub fn moment() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A length of time as a whole number.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The table at which an operation works.
pub struct OperationContext<'a> {
    /// The connections.
    pub pool: &'a mut ConnectionPool,
    /// Set when the operator wants it to end.
    pub stop: &'a AtomicBool,
    /// Who is told about steps.
    pub say: &'a (dyn Fn(&str) + Send + Sync),
    /// What is kept of it.
    pub log: Log,
}

/// What each host is to do.
pub type Work = BTreeMap<String, Vec<Request>>;

impl OperationContext<'_> {
    /// Does a step on these hosts and wants success of every request.
    ///
    /// # Errors
    /// Incomplete when a host was lost (what it did is not known); failed when a request was, with what it said.
    pub async fn step(&mut self, what: &str, work: Work) -> Result<BTreeMap<String, Vec<Reply>>> {
        let hosts: Vec<&str> = work.keys().map(String::as_str).collect();
        (self.say)(&format!("{}: {what}", hosts.join(", ")));
        self.log.step(&hosts, what);
        let mut replies = BTreeMap::new();
        for (host, answer) in self.pool.round(work).await {
            let answer = answer.map_err(|error| {
                Diagnostic::with_code(
                    exit::INCOMPLETE,
                    format!("connection lost during: {what}; outcome unknown"),
                )
                .on(&host)
                .note(error.message)
            })?;
            if let Some(bad) = answer.replies.iter().find(|reply| reply.code != 0) {
                return Err(
                    Diagnostic::with_code(exit::FAILED, format!("could not: {what}"))
                        .on(&host)
                        .note(said(bad)),
                );
            }
            replies.insert(host, answer.replies);
        }
        self.log.done();
        Ok(replies)
    }

    /// The same request for each of these hosts.
    ///
    /// # Errors
    /// As [`OperationContext::step`].
    pub async fn each<'h>(
        &mut self,
        what: &str,
        hosts: impl IntoIterator<Item = &'h str>,
        request: &Request,
    ) -> Result<()> {
        let work: Work = hosts
            .into_iter()
            .map(|host| (host.to_owned(), vec![request.clone()]))
            .collect();
        if work.is_empty() {
            return Ok(());
        }
        self.step(what, work).await.map(drop)
    }

    /// Asks without telling.
    pub async fn ask(&mut self, work: Work) -> BTreeMap<String, Result<Vec<Reply>>> {
        self.pool
            .round(work)
            .await
            .into_iter()
            .map(|(host, answer)| (host, answer.map(|answer| answer.replies)))
            .collect()
    }

    /// Whether it should end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the operation and writes it into the history of these hosts. What cannot be written is told; it undoes nothing.
    pub async fn close<'h>(
        &mut self,
        hosts: impl IntoIterator<Item = &'h str>,
        result: &str,
        message: &str,
    ) {
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut record = self.log.record.clone();
        if result == "done" {
            for step in &mut record.steps {
                step.state = StepState::Done;
            }
        }
        record.header.hosts.clone_from(&hosts);
        record.end = Some(End {
            result: result.to_owned(),
            ended: journal::seconds(),
            message: message.to_owned(),
        });
        let request = journal::record(&record);
        let work: Work = hosts
            .into_iter()
            .map(|host| (host, vec![request.clone()]))
            .collect();
        for (host, answer) in self.ask(work).await {
            match answer {
                Ok(replies) if replies.iter().all(|reply| reply.code == 0) => {}
                _ => (self.say)(&format!("{host}: this could not be noted in the history")),
            }
        }
    }
}

/// Waits until the next look at a condition.
pub async fn pace() {
    tokio::time::sleep(PACE).await;
}

/// What a failed command said, or its exit code.
pub fn said(reply: &Reply) -> String {
    let (err, out) = (reply.err(), reply.out());
    [err.trim(), out.trim()]
        .into_iter()
        .find(|text| !text.is_empty())
        .map_or_else(|| format!("exit code {}", reply.code), str::to_owned)
}

/// An error as its message and its first note, in one line.
pub fn reason(error: &Diagnostic) -> String {
    match error.notes.first().and_then(|note| note.lines().last()) {
        Some(note) => format!("{}: {}", error.message, note.trim()),
        None => error.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_which_steps_came_to_their_end() {
        let mut log = Log::new(Header::new("maintenance", "ann@desk1", "a test"));
        log.detail("to", "lb2");
        log.step(&["lb1"], "set the flag");
        log.done();
        log.step(&[], "wait");
        assert_eq!(log.record.state("set the flag"), Some(StepState::Done));
        assert_eq!(log.record.state("wait"), Some(StepState::Begun));
        assert_eq!(log.record.notes()["hosts"], "lb1");
        let part = log.header_of("vip-move");
        assert_eq!(
            (part.kind.as_str(), part.id.as_str()),
            ("vip-move", log.id())
        );
        assert_eq!(part.details["to"], "lb2");
    }
}
