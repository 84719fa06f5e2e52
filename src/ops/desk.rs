//! What an operation on a service works with: the hosts, somebody to tell, a wish to stop, and a record for the history.
//!
//! Every step is told and recorded before it is sent. Nothing here decides.

use super::crew::Crew;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use serde_json::{Map, Value, json};
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

/// What was done, as the history keeps it: a header, a line for each step, a last line.
#[derive(Debug)]
pub struct Record {
    /// Its name, unique and in the order of time.
    pub id: String,
    lines: Vec<Value>,
    begun: Instant,
}

impl Record {
    /// Begins one. `more` stands in the header besides what all of them have.
    pub fn new(kind: &str, who: &Who, reason: &str, more: Value) -> Self {
        let now = jiff::Timestamp::now();
        let id = format!(
            "{}-{kind}-{:04x}",
            now.strftime("%Y%m%dT%H%M%S"),
            rand::random::<u16>()
        );
        let mut header = Map::new();
        for (key, value) in [
            ("id", id.as_str()),
            ("kind", kind),
            ("operator", &who.operator),
            ("from", &who.from),
            ("started", &moment()),
            ("reason", reason),
        ] {
            header.insert(key.to_owned(), Value::from(value));
        }
        if let Value::Object(more) = more {
            header.extend(more);
        }
        Self {
            id,
            lines: vec![Value::Object(header)],
            begun: Instant::now(),
        }
    }

    /// Adds to the header.
    pub fn tell(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(Value::Object(header)) = self.lines.first_mut() {
            header.insert(key.to_owned(), value.into());
        }
    }

    /// The header as a line, as that of another kind of operation: a part of this one.
    pub fn header_of(&self, kind: &str) -> String {
        let mut header = self.lines.first().cloned().unwrap_or_default();
        header["kind"] = Value::from(kind);
        format!("{header}\n")
    }

    /// Notes a step.
    pub fn step(&mut self, hosts: &[&str], what: &str) {
        let number = self.lines.len();
        self.lines.push(
            json!({ "step": number, "hosts": hosts, "what": what, "at": moment(), "after_ms": milliseconds(self.begun.elapsed()) }),
        );
    }

    /// The whole as a request that writes it into the history of a host, with its end.
    pub fn ended(&self, result: &str, more: &Value) -> Request {
        let mut last = Map::new();
        last.insert("result".to_owned(), Value::from(result));
        last.insert("ended".to_owned(), Value::from(moment()));
        last.insert(
            "took_ms".to_owned(),
            Value::from(milliseconds(self.begun.elapsed())),
        );
        if let Value::Object(more) = more {
            last.extend(more.clone());
        }
        let text: String = self
            .lines
            .iter()
            .cloned()
            .chain([Value::Object(last)])
            .map(|line| format!("{line}\n"))
            .collect();
        let file = format!("{}/history/{}.jsonl", crate::engine::STATE, self.id);
        Request::sh(format!(
            "umask 077; mkdir -p {0}/history && cat >{file}.new && sync {file}.new && mv {file}.new {file}",
            crate::engine::STATE
        ))
        .stdin(text)
    }
}

/// Now, as hosts keep it.
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
pub struct Desk<'a> {
    /// The connections.
    pub crew: &'a mut Crew,
    /// Set when the operator wants it to end.
    pub stop: &'a AtomicBool,
    /// Who is told about steps.
    pub say: &'a (dyn Fn(&str) + Send + Sync),
    /// What is kept of it.
    pub record: Record,
}

/// What each host is to do.
pub type Work = BTreeMap<String, Vec<Request>>;

impl Desk<'_> {
    /// Does a step on these hosts and wants success of every request.
    ///
    /// # Errors
    /// Incomplete when a host was lost (what it did is not known); failed when a request was, with what it said.
    pub async fn step(&mut self, what: &str, work: Work) -> Result<BTreeMap<String, Vec<Reply>>> {
        let hosts: Vec<&str> = work.keys().map(String::as_str).collect();
        (self.say)(&format!("{}: {what}", hosts.join(", ")));
        self.record.step(&hosts, what);
        let mut replies = BTreeMap::new();
        for (host, answer) in self.crew.round(work).await {
            let answer = answer.map_err(|error| {
                Diagnostic::with_code(
                    exit::INCOMPLETE,
                    format!("lost while it should: {what}; whether it did is not known"),
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
        Ok(replies)
    }

    /// The same request for each of these hosts.
    ///
    /// # Errors
    /// As [`Desk::step`].
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
        self.crew
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

    /// Writes the record into the history of these hosts. What cannot be written is told; it undoes nothing.
    pub async fn close<'h>(
        &mut self,
        hosts: impl IntoIterator<Item = &'h str>,
        result: &str,
        more: &Value,
    ) {
        let request = self.record.ended(result, more);
        let work: Work = hosts
            .into_iter()
            .map(|host| (host.to_owned(), vec![request.clone()]))
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
    fn a_record_is_lines_of_json_with_a_header_and_an_end() {
        let who = Who {
            operator: "ann".to_owned(),
            from: "desk1".to_owned(),
        };
        let mut record = Record::new("vip-move", &who, "a test", json!({ "to": "lb2" }));
        record.step(&["lb1"], "set the flag");
        let request = record.ended("done", &json!({ "gap_ms": 40 }));
        let text = String::from_utf8(request.stdin).expect("text");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 3);
        for (key, value) in [
            ("kind", "vip-move"),
            ("operator", "ann"),
            ("from", "desk1"),
            ("reason", "a test"),
            ("to", "lb2"),
        ] {
            assert_eq!(lines[0][key], value);
        }
        assert_eq!(lines[1]["what"], "set the flag");
        assert_eq!(lines[2]["result"], "done");
        assert_eq!(lines[2]["gap_ms"], 40);
        assert!(request.script.contains(&record.id), "{}", request.script);
    }
}
