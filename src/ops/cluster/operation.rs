//! Steps with a journal: each is written down on the hosts before it is made, and can be taken up or taken back by
//! anybody later.
//!
//! A step's script may run twice: who takes up an operation cannot know whether the last step happened. Up to the point of
//! no return a failure takes everything back in reverse order; from it on, what could not be done is reported as incomplete.

use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::crew::Crew;
use crate::ops::journal::{self, End, Header, Notes, Record, StepLine, StepState};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What runs on a host, once the notes of earlier steps are known.
pub type Script = Box<dyn Fn(&Notes) -> String + Send + Sync>;

/// A step.
pub struct Step {
    /// A stable name; unique in its operation.
    pub id: &'static str,
    /// What it does, for people.
    pub what: String,
    /// Where.
    pub host: String,
    /// How. What it prints as `note KEY VALUE` is noted for the steps after it. It may run twice.
    pub script: Script,
    /// How it is taken back: on the same host.
    pub undo: Option<Script>,
    /// Nothing can be taken back from here on.
    pub no_return: bool,
    /// It is tried, and what fails is mended later by `resume`: the steps after it still make sense.
    pub tail: bool,
    /// How long it may take, in seconds.
    pub limit: u64,
    /// Writes wait from its beginning on: so many seconds later the point of no return must have been reached, or all is
    /// taken back. What is left is noted for the scripts up to there as [`SECONDS_LEFT`].
    pub gap: Option<u64>,
}

/// The note that tells a script how many whole seconds it may take, while writes wait.
pub const SECONDS_LEFT: &str = "seconds_left";

impl Step {
    /// A step that is not taken back, may take a minute, and needs nothing of the steps before it.
    pub fn new(id: &'static str, host: &str, what: impl Into<String>, script: String) -> Self {
        Self {
            id,
            what: what.into(),
            host: host.to_owned(),
            script: plain(script),
            undo: None,
            no_return: false,
            tail: false,
            limit: 60,
            gap: None,
        }
    }

    /// The same, for a step that is made on each of several hosts: its name tells which.
    pub fn each(verb: &str, host: &str, what: impl Into<String>, script: String) -> Self {
        // Leaked once per operation and host: the ids of steps live as long as the program.
        Self::new(
            Box::leak(format!("{verb}-{host}").into_boxed_str()),
            host,
            what,
            script,
        )
    }
}

/// A script that needs nothing of the steps before it.
pub fn plain(text: String) -> Script {
    Box::new(move |_| text.clone())
}

/// What a script noted for the steps after it.
pub fn notes(reply: &Reply) -> Notes {
    reply
        .out()
        .lines()
        .filter_map(|line| line.strip_prefix("note ")?.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// How long a host may take to write a line of the journal, in seconds.
const KEEPING: u64 = 3;
/// What a round may take beyond that.
const GRACE: Duration = Duration::from_secs(3);

/// What happens, for whoever reports.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step begins.
    Begun {
        id: &'static str,
        host: String,
        what: String,
    },
    /// A step is done.
    Done {
        id: &'static str,
        host: String,
        seconds: f64,
        at: f64,
    },
    /// A step failed.
    Failed { id: &'static str, error: Diagnostic },
    /// A step is taken back.
    Undoing { id: &'static str, host: String },
    /// Something to know.
    Says(String),
}

/// Told of everything, as it happens.
pub type Tell<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// An operation that is under way.
pub struct Operation<'a> {
    /// Which one.
    pub record: Record,
    /// The hosts that keep the journal.
    pub keepers: Vec<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The operator wants it to end: before the point of no return it is taken back.
    pub stop: &'a AtomicBool,
    /// Who is told.
    pub tell: Tell<'a>,
}

/// How it ended.
#[derive(Debug)]
pub enum Ending {
    /// All done.
    Done,
    /// Taken back: all is as it was before; why.
    Undone(Diagnostic),
    /// It cannot be known, or could not be ended; `resume` takes it up. Why.
    Incomplete(Vec<Diagnostic>),
}

impl Ending {
    /// The errors to show and the exit code.
    ///
    /// # Errors
    /// When it was taken back (3) or is incomplete (4).
    pub fn result(self) -> Result<(), Vec<Diagnostic>> {
        match self {
            Self::Done => Ok(()),
            Self::Undone(mut error) => {
                error.code = exit::FAILED;
                Err(vec![error.note(
                    "everything was taken back: the service is as it was before",
                )])
            }
            Self::Incomplete(mut errors) => {
                for error in &mut errors {
                    error.code = exit::INCOMPLETE;
                }
                if let Some(last) = errors.pop() {
                    errors.push(last.help("when the cause is mended: hactl resume (hactl status shows how things are)"));
                }
                Err(errors)
            }
        }
    }
}

/// Writes an operation down on its keepers before anything is done.
///
/// # Errors
/// When another one is unfinished, or no keeper can write.
pub async fn begin(crew: &mut Crew, header: &Header, keepers: &[String]) -> Result<()> {
    let work = keepers
        .iter()
        .map(|host| (host.clone(), vec![journal::begin(header)]))
        .collect();
    let mut written = Vec::new();
    let mut error = None;
    for (host, answer) in crew.round(work).await {
        match answer.map(|answer| answer.replies[0].clone()) {
            Ok(reply) if reply.code == 0 => written.push(host),
            Ok(reply) if reply.code == journal::UNFINISHED => {
                let what = Record::parse(&reply.out()).map_or_else(
                    |_| "a journal that cannot be read".to_owned(),
                    |record| format!("{} of {}", record.header.kind, record.header.operator),
                );
                error = Some(
                    Diagnostic::with_code(exit::REFUSED, "an operation is unfinished on this host")
                        .on(&host)
                        .note(what)
                        .help("hactl status shows how things are; hactl resume takes it up"),
                );
            }
            Ok(reply) => {
                error = Some(
                    Diagnostic::with_code(exit::FAILED, "the journal cannot be written")
                        .on(&host)
                        .note(reply.err().trim().to_owned()),
                );
            }
            Err(lost) => error = Some(lost.on(&host)),
        }
    }
    let Some(error) = error else {
        return Ok(());
    };
    let end = End {
        result: "refused".to_owned(),
        ended: journal::seconds(),
        message: error.to_string(),
    };
    let work = written
        .into_iter()
        .map(|host| (host, vec![journal::finish(&header.id, &end)]))
        .collect();
    crew.round(work).await;
    Err(error)
}

impl Operation<'_> {
    /// Runs the steps that are not done yet, in order.
    pub async fn run(mut self, crew: &mut Crew) -> Ending {
        let started = Instant::now();
        // A keeper that dies meanwhile must not hold the others up for long.
        crew.grace = GRACE;
        let mut notes = self.record.notes();
        let mut done = String::new();
        let mut returned = self.begun_no_return();
        let mut failures = Vec::new();
        let mut deadline = None;
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            // A step that was done before counts too: whoever takes the operation up finds writes waiting.
            if let (Some(gap), None) = (step.gap, deadline) {
                deadline = Some(Instant::now() + Duration::from_secs(gap));
            }
            if self.record.state(step.id) == Some(StepState::Done) {
                continue;
            }
            if self.stop.load(Ordering::Relaxed) && !returned {
                let error = Diagnostic::with_code(exit::FAILED, "ended by the operator");
                return self.undo(crew, index, error, &notes).await;
            }
            if !returned && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let error = self.too_long(index);
                return self.undo(crew, index, error, &notes).await;
            }
            returned |= step.no_return;
            let until = deadline.filter(|_| !returned);
            (self.tell)(Event::Begun {
                id: step.id,
                host: step.host.clone(),
                what: step.what.clone(),
            });
            let began = Instant::now();
            let begun = std::mem::take(&mut done) + &line(step.id, StepState::Begun, Notes::new());
            let made = self.make(crew, index, &begun, &notes, !returned, until);
            match made.await {
                Ok(found) => {
                    (self.tell)(Event::Done {
                        id: self.steps[index].id,
                        host: self.steps[index].host.clone(),
                        seconds: began.elapsed().as_secs_f64(),
                        at: started.elapsed().as_secs_f64(),
                    });
                    done = line(self.steps[index].id, StepState::Done, found.clone());
                    notes.extend(found);
                }
                Err(error) => {
                    (self.tell)(Event::Failed {
                        id: self.steps[index].id,
                        error: error.clone(),
                    });
                    if !returned {
                        return self.undo(crew, index + 1, error, &notes).await;
                    }
                    failures.push(error);
                    if !self.steps[index].tail {
                        break;
                    }
                }
            }
        }
        if failures.is_empty() {
            self.end(crew, &done, "done", "").await;
            return Ending::Done;
        }
        self.note(crew, &done).await;
        Ending::Incomplete(failures)
    }

    /// Writes have waited for as long as they may, and nobody is promoted yet.
    fn too_long(&self, index: usize) -> Diagnostic {
        let gap = self.steps.iter().find_map(|step| step.gap);
        Diagnostic::with_code(
            exit::FAILED,
            format!(
                "writes have waited for {} s, and step `{}` has not begun",
                gap.unwrap_or_default(),
                self.steps[index].id
            ),
        )
    }

    fn begun_no_return(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.no_return && self.record.state(step.id).is_some())
    }

    /// One step: written down everywhere and made, in one round trip. A connection that breaks is opened again and the
    /// step repeated, since its outcome is not known.
    /// `strict`: a host that keeps the journal and cannot write it makes nothing. `until`: when writes have waited long
    /// enough; then nothing is tried again.
    async fn make(
        &self,
        crew: &mut Crew,
        index: usize,
        begun: &str,
        notes: &Notes,
        strict: bool,
        until: Option<Instant>,
    ) -> Result<Notes> {
        let step = &self.steps[index];
        let (mut notes, mut limit) = (notes.clone(), step.limit);
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.as_millis().div_ceil(1000).max(1);
            notes.insert(SECONDS_LEFT.to_owned(), left.to_string());
            // The script itself has the limit, and a second more to say what it has seen.
            limit = limit.min(u64::try_from(left).unwrap_or(limit).saturating_add(1));
        }
        let unwritten = if strict {
            " || { echo 'the journal cannot be written; is the disk full?' >&2; exit 1; }"
        } else {
            ""
        };
        let script = format!(
            "{}{unwritten}\n{}",
            journal::append(begun),
            (step.script)(&notes)
        );
        let mut again = false;
        loop {
            let mut work = self.everywhere(begun);
            work.insert(step.host.clone(), vec![request(&script, limit)]);
            let answer = crew
                .round(work)
                .await
                .remove(&step.host)
                .unwrap_or_else(|| {
                    Err(Diagnostic::with_code(exit::UNREACHABLE, "it was not asked"))
                });
            match answer {
                Ok(answer) => return read(step, limit, &answer.replies[0]),
                Err(error) if again || until.is_some_and(|until| Instant::now() >= until) => {
                    return Err(error.on(&step.host));
                }
                Err(_) => {
                    again = true;
                    crew.reopen().await;
                }
            }
        }
    }

    fn everywhere(&self, lines: &str) -> BTreeMap<String, Vec<Request>> {
        self.keepers
            .iter()
            .map(|host| {
                (
                    host.clone(),
                    vec![request(&journal::append(lines), KEEPING)],
                )
            })
            .collect()
    }

    async fn note(&self, crew: &mut Crew, lines: &str) {
        crew.round(self.everywhere(lines)).await;
    }

    /// Takes back the first `count` steps, last first.
    pub async fn undo(
        mut self,
        crew: &mut Crew,
        count: usize,
        why: Diagnostic,
        notes: &Notes,
    ) -> Ending {
        let mut lines = String::new();
        for index in (0..count.min(self.steps.len())).rev() {
            let step = &mut self.steps[index];
            let Some(undo) = step.undo.take() else {
                continue;
            };
            (self.tell)(Event::Undoing {
                id: step.id,
                host: step.host.clone(),
            });
            step.script = undo;
            lines.push_str(&line(step.id, StepState::Undone, Notes::new()));
            if let Err(error) = self.make(crew, index, "", notes, false, None).await {
                (self.tell)(Event::Failed {
                    id: self.steps[index].id,
                    error: error.clone(),
                });
                self.note(crew, &lines).await;
                return Ending::Incomplete(vec![why, error]);
            }
        }
        let message = why.to_string();
        self.end(crew, &lines, "undone", &message).await;
        Ending::Undone(why)
    }

    async fn end(&mut self, crew: &mut Crew, lines: &str, result: &str, message: &str) {
        let end = End {
            result: result.to_owned(),
            ended: journal::seconds(),
            message: message.to_owned(),
        };
        let mut work = self.everywhere(lines);
        for requests in work.values_mut() {
            requests.push(journal::finish(&self.record.header.id, &end));
        }
        crew.round(work).await;
        self.record.end = Some(end);
    }
}

fn line(step: &str, state: StepState, notes: Notes) -> String {
    journal::line(&StepLine {
        step: step.to_owned(),
        state,
        at: journal::seconds(),
        notes,
    })
}

fn request(script: &str, limit: u64) -> Request {
    let mut request = Request::sh(script);
    request.timeout_seconds = Some(limit);
    request
}

fn read(step: &Step, limit: u64, reply: &Reply) -> Result<Notes> {
    if reply.code != 0 {
        let said = reply.err();
        let said = said.trim();
        let error = Diagnostic::with_code(
            exit::FAILED,
            if reply.code == 124 {
                format!(
                    "step `{}` took longer than {limit} s: {}",
                    step.id, step.what
                )
            } else {
                format!("step `{}` failed: {}", step.id, step.what)
            },
        )
        .on(&step.host);
        return Err(if said.is_empty() {
            error.note(format!("exit code {}", reply.code))
        } else {
            error.note(said.to_owned())
        });
    }
    Ok(notes(reply))
}

#[cfg(test)]
mod tests;
