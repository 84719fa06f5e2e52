//! Taking hosts out of service and putting them back, and the note that says who did it and why.
//!
//! The note stands on the host concerned (or, for the whole service, on every host): whoever comes next sees it without
//! being told. What `on` did is kept in it, and `off` undoes exactly that.

mod haproxy;
mod off;
mod on;
mod snapshot;

pub use off::off;
pub use on::{on, refusals};
pub use snapshot::{Entry, MaintenanceSnapshot, snapshot};

use crate::base::{Diagnostic, Result};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::Site;
use crate::ops::operation::context::{OperationContext, Work, moment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Where the note stands: a line of JSON for the host, one for the whole service.
pub const FILE: &str = "/var/lib/hactl/maintenance";
/// This operation's kind in the history.
pub const KIND: &str = "maintenance";

/// The variables that are read.
pub fn variables() -> Vec<&'static str> {
    let mut names = crate::ops::entrance::vip::variables().to_vec();
    names.extend(["haproxy_backend_group", "postgresql_cluster"]);
    names
}

/// What is out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The host on which the note stands.
    Host,
    /// Nothing, but nobody shall change roles in this service.
    Service,
}

/// What was done to take a host out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Did {
    /// The load balancers in which it is in MAINT, with the backend: `lb1`, `welcome_app`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<(String, String)>,
    /// Its keepalived flag was set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flag: bool,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What is out of service.
    pub scope: Scope,
    /// Who did it.
    pub operator: String,
    /// From which machine.
    #[serde(default)]
    pub from: String,
    /// Since when.
    pub since: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The operation in the history.
    #[serde(default)]
    pub id: String,
    /// Everything that belongs to it was done.
    #[serde(default)]
    pub done: bool,
    /// What was done.
    #[serde(default)]
    pub did: Did,
}

impl Note {
    /// Whether it is about the host on which it stands.
    pub fn is_of_host(&self) -> bool {
        self.scope == Scope::Host
    }

    fn of(
        scope: Scope,
        context: &OperationContext<'_>,
        who: &crate::ops::operation::context::Who,
        reason: &str,
    ) -> Self {
        Self {
            scope,
            operator: who.operator.clone(),
            from: who.from.clone(),
            since: moment(),
            reason: reason.to_owned(),
            id: context.log.id().to_owned(),
            done: false,
            did: Did::default(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operator)?;
        if !self.from.is_empty() {
            write!(f, " from {}", self.from)?;
        }
        write!(f, ", since {}", self.since)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// Asks a host for its notes; [`parse`] reads the answer.
pub fn ask() -> Request {
    Request::sh(format!("cat {FILE} 2>/dev/null; :"))
}

/// The notes of a host.
///
/// # Errors
/// The first line that is none.
pub fn parse(text: &str) -> Result<Vec<Note>, String> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).map_err(|_| line.to_owned()))
        .collect()
}

/// Replaces the note of this scope, or takes it away; another one stays.
fn write(notes: &[Note], scope: Scope, new: Option<&Note>) -> Request {
    let text: String = notes
        .iter()
        .filter(|note| note.scope != scope)
        .chain(new)
        .filter_map(|note| serde_json::to_string(note).ok())
        .map(|line| format!("{line}\n"))
        .collect();
    if text.is_empty() {
        return Request::sh(format!("rm -f {FILE}"));
    }
    Request::sh(format!(
        "umask 077; mkdir -p {} && cat >{FILE}.new && sync {FILE}.new && mv {FILE}.new {FILE}",
        crate::engine::STATE
    ))
    .stdin(text)
}

/// All notes of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The notes, by host.
    pub of: BTreeMap<String, Vec<Note>>,
    /// Hosts whose note cannot be read, with what stands there; or that could not be asked, with nothing.
    pub unclear: BTreeMap<String, Option<String>>,
}

/// Reads the notes of all hosts, in one round.
pub async fn read(site: &Site, pool: &mut ConnectionPool) -> Notes {
    let work = site
        .hosts
        .iter()
        .map(|host| (host.name.clone(), vec![ask()]))
        .collect();
    let mut notes = Notes::default();
    for (host, answer) in pool.round(work).await {
        let text = answer
            .ok()
            .and_then(|answer| Some(answer.replies.first()?.out().into_owned()));
        notes.add(&host, text.as_deref());
    }
    notes
}

impl Notes {
    /// Adds what a host answered to [`ask`]; nothing when it could not be asked.
    pub fn add(&mut self, host: &str, text: Option<&str>) {
        match text.map(parse) {
            Some(Ok(notes)) => {
                self.of.insert(host.to_owned(), notes);
            }
            Some(Err(line)) => {
                self.unclear.insert(host.to_owned(), Some(line));
            }
            None => {
                self.unclear.insert(host.to_owned(), None);
            }
        }
    }

    /// The note of the whole service.
    pub fn service(&self) -> Option<&Note> {
        self.of.values().flatten().find(|note| !note.is_of_host())
    }

    /// The note of a host.
    pub fn host(&self, host: &str) -> Option<&Note> {
        self.of.get(host)?.iter().find(|note| note.is_of_host())
    }

    /// Why an operation like a drill must not be made now: the service is in maintenance,
    /// or what stands on a host cannot be read.
    pub fn refusal(&self, operation: &str) -> Option<Diagnostic> {
        if let Some(note) = self.service() {
            return Some(
                Diagnostic::refused(format!("no {operation} now: the service is in maintenance"))
                    .note(format!("by {note}"))
                    .help("ask whoever set it; `hactl maintenance off` ends it"),
            );
        }
        let (host, line) = self
            .unclear
            .iter()
            .find_map(|(host, line)| Some((host, line.as_ref()?)))?;
        Some(
            Diagnostic::refused(format!(
                "no {operation} now: {FILE} cannot be read, so it may be in maintenance"
            ))
            .on(host)
            .note(line.clone())
            .help("check the file; `hactl maintenance off` replaces it"),
        )
    }
}

/// What is wished of `on` and `off`.
#[derive(Debug, Clone)]
pub struct MaintenanceOptions {
    /// The hosts; the whole service when empty.
    pub hosts: Vec<String>,
    /// Why.
    pub reason: String,
    /// Also when nobody is left to serve.
    pub last_one: bool,
    /// So long sessions may take to end, and servers to be up again.
    pub limit: Duration,
    /// End sessions that are left then.
    pub cut: bool,
    /// Who asked for it.
    pub who: crate::ops::operation::context::Who,
}

/// What was done, in words, by host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// The hosts that were changed.
    pub changed: Vec<String>,
    /// What is worth knowing, each with its host or nothing.
    pub said: Vec<(String, String)>,
}

/// Sets or takes away the note of the whole service, on every host that is reached.
///
/// # Errors
/// When a host cannot be written to, or nobody can be reached.
pub async fn service(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    set: bool,
    context: &mut OperationContext<'_>,
) -> Result<Done, Vec<Diagnostic>> {
    let note = set.then(|| {
        let mut note = Note::of(Scope::Service, context, &options.who, &options.reason);
        note.done = true;
        note
    });
    let mut work = Work::new();
    let mut done = Done::default();
    for (host, notes) in &snapshot.notes.of {
        let there = notes.iter().find(|note| !note.is_of_host());
        match (set, there) {
            (true, Some(there)) => done
                .said
                .push((host.clone(), format!("in maintenance already ({there})"))),
            (false, None) => {}
            _ => {
                let request = write(notes, Scope::Service, note.as_ref());
                work.insert(host.clone(), vec![request]);
            }
        }
    }
    for (host, line) in &snapshot.notes.unclear {
        match line {
            Some(_) => {
                // What cannot be read is replaced.
                work.insert(
                    host.clone(),
                    vec![write(&[], Scope::Service, note.as_ref())],
                );
            }
            None => done.said.push((
                host.clone(),
                "not reached: the note is not changed there".to_owned(),
            )),
        }
    }
    done.changed = work.keys().cloned().collect();
    if work.is_empty() {
        return Ok(done);
    }
    let what = if set {
        "note that the service is in maintenance"
    } else {
        "take the note of the service's maintenance away"
    };
    context
        .step(what, work)
        .await
        .map_err(|error| vec![error])?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn note(scope: Scope) -> Note {
        Note {
            scope,
            operator: "ann".to_owned(),
            from: "desk1".to_owned(),
            since: "2026-11-21T15:00:00Z".to_owned(),
            reason: "a new disk".to_owned(),
            id: "x".to_owned(),
            done: true,
            did: Did {
                servers: vec![("lb1".to_owned(), "web".to_owned())],
                flag: false,
            },
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_stands_beside_another() {
        let (host, service) = (note(Scope::Host), note(Scope::Service));
        let text = |request: Request| String::from_utf8(request.stdin).expect("text");
        let one = text(write(&[], Scope::Host, Some(&host)));
        assert_eq!(parse(&one), Ok(vec![host.clone()]));
        let two = text(write(
            std::slice::from_ref(&host),
            Scope::Service,
            Some(&service),
        ));
        assert_eq!(parse(&two), Ok(vec![host.clone(), service.clone()]));
        let rest = text(write(&[host.clone(), service.clone()], Scope::Host, None));
        assert_eq!(parse(&rest), Ok(vec![service]));
        assert!(
            write(&[host], Scope::Host, None)
                .script
                .starts_with("rm -f")
        );
        assert_eq!(parse("{\n"), Err("{".to_owned()));
        // The least that others write.
        let least = r#"{"scope":"service","operator":"bob","since":"now"}"#;
        assert_eq!(
            parse(least).expect("a note")[0].to_string(),
            "bob, since now"
        );
    }

    #[test]
    fn the_service_is_left_alone_while_it_is_in_maintenance() {
        let line = |scope| serde_json::to_string(&note(scope)).expect("JSON");
        let mut notes = Notes::default();
        notes.add("app1", Some(&line(Scope::Host)));
        notes.add("db1", Some(""));
        notes.add("db2", None);
        assert_eq!(notes.refusal("switchover"), None);
        notes.add("lb1", Some("garbled"));
        assert!(
            notes
                .refusal("switchover")
                .expect("one")
                .message
                .contains("cannot be read")
        );
        notes.add("db1", Some(&line(Scope::Service)));
        let refused = notes.refusal("switchover").expect("one");
        assert_eq!(
            refused.message,
            "no switchover now: the service is in maintenance"
        );
        assert_eq!(refused.code, crate::base::exit::REFUSED);
        assert_eq!(
            refused.notes,
            ["by ann from desk1, since 2026-11-21T15:00:00Z: a new disk"]
        );
    }
}
