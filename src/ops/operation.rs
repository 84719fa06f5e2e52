//! Steps with a journal: each is written down on the hosts before it is made, and can be taken up or taken back by
//! anybody later.
//!
//! A step's script may run twice: who takes up an operation cannot know whether the last step happened. Up to the point of
//! no return a failure takes everything back in reverse order; from it on, what could not be done is reported as incomplete.
//!
//! Every script begins with the proof that its operation may still make steps on its host ([`journal::proof`]). Once a host
//! says that it may not, nothing more is done, and nothing is taken back: another operator has it.

mod begin;
pub mod condition;
pub mod context;
mod ending;
pub mod journal;
mod step;

pub use begin::{begin, claim, close, settle};
use ending::Stop;
pub use ending::{Ending, Event, Tell};
pub use step::{
    HERE, NOT_DONE, OPERATION_EPOCH, OPERATION_ID, SECONDS_LEFT, Script, Step, notes, plain,
};

use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::operation::journal::{End, Notes, OVERTAKEN, Record, StepLine, StepState, Token};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a host may take to write a line of the journal, in seconds.
const KEEPING: u64 = 3;
/// What a round may take beyond that.
const GRACE: Duration = Duration::from_secs(3);

/// An operation that is under way.
pub struct Operation<'a> {
    /// Which one.
    pub record: Record,
    /// What its scripts prove on their hosts.
    pub token: Token,
    /// The hosts that keep the journal.
    pub keepers: Vec<String>,
    /// Hosts that must confirm the token right before the point of no return.
    pub arbiters: Vec<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The operator wants it to end: before the point of no return it is taken back.
    pub stop: &'a AtomicBool,
    /// Who is told.
    pub tell: Tell<'a>,
}

impl Operation<'_> {
    /// Runs the steps that are not done yet, in order.
    pub async fn run(mut self, pool: &mut ConnectionPool) -> Ending {
        let started = Instant::now();
        // A keeper that dies meanwhile must not hold the others up for long.
        pool.grace = GRACE;
        let mut notes = self.record.notes();
        self.introduce(&mut notes);
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
                return self.undo(pool, index, error, &notes).await;
            }
            if !returned && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let error = self.too_long(index);
                return self.undo(pool, index, error, &notes).await;
            }
            (self.tell)(Event::Begun {
                id: step.id,
                host: step.host.clone(),
                what: step.what.clone(),
            });
            let began = Instant::now();
            let mut begun =
                std::mem::take(&mut done) + &line(step.id, StepState::Begun, Notes::new());
            if (step.no_return && !returned) || !step.holds_token() {
                // Written down and confirmed first: who comes later must know that it may have happened, and this machine
                // keeps no epoch.
                if let Err(stop) = self.confirm(pool, &begun).await {
                    return self.stopped(pool, index, stop, &notes).await;
                }
                begun = String::new();
            }
            returned |= step.no_return;
            let until = deadline.filter(|_| !returned);
            let made = self.make(pool, index, &begun, &notes, !returned, until);
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
                Err(Stop::Failed(error)) if returned => {
                    (self.tell)(Event::Failed {
                        id: self.steps[index].id,
                        error: error.clone(),
                    });
                    failures.push(error);
                    if !self.steps[index].tail {
                        break;
                    }
                }
                Err(stop) => return self.stopped(pool, index, stop, &notes).await,
            }
        }
        if failures.is_empty() {
            self.end(pool, &done, "done", "").await;
            return Ending::Done;
        }
        self.note(pool, &done).await;
        Ending::Incomplete(failures)
    }

    /// What scripts may want to know of their own operation.
    fn introduce(&self, notes: &mut Notes) {
        notes.insert(OPERATION_ID.to_owned(), self.token.id.clone());
        notes.insert(OPERATION_EPOCH.to_owned(), self.token.epoch.to_string());
    }

    /// A step was not made: what is to be taken back is taken back, unless it is no longer ours.
    async fn stopped(
        self,
        pool: &mut ConnectionPool,
        index: usize,
        stop: Stop,
        notes: &Notes,
    ) -> Ending {
        let id = self.steps[index].id;
        let (Stop::Failed(error) | Stop::NotDone(error) | Stop::Overtaken(error)) = &stop;
        (self.tell)(Event::Failed {
            id,
            error: error.clone(),
        });
        match stop {
            Stop::Overtaken(error) => Ending::Overtaken(error),
            Stop::Failed(error) | Stop::NotDone(error) => {
                self.undo(pool, index + 1, error, notes).await
            }
        }
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
            .any(|step| step.no_return && self.record.may_have(step.id))
    }

    /// Right before the point of no return: all that can be asked confirm that the operation is still ours, and write down
    /// that the step begins. Without the arbiters nothing is begun.
    async fn confirm(&self, pool: &mut ConnectionPool, begun: &str) -> Result<(), Stop> {
        let mut again = false;
        loop {
            let mut answers = pool.round(self.everywhere(begun)).await;
            let mut lost = None;
            for (host, answer) in &answers {
                if let Some(error) = overtaken(host, answer) {
                    return Err(Stop::Overtaken(error));
                }
            }
            for host in &self.arbiters {
                match answers.remove(host) {
                    Some(Ok(answer)) if answer.replies[0].code == 0 => {}
                    Some(Ok(answer)) => {
                        return Err(Stop::Failed(
                            Diagnostic::with_code(exit::FAILED, "the journal cannot be written")
                                .on(host)
                                .note(answer.replies[0].err().trim().to_owned())
                                .help("is the disk full?"),
                        ));
                    }
                    Some(Err(error)) => lost = Some(error.on(host)),
                    None => {
                        lost = Some(
                            Diagnostic::with_code(exit::UNREACHABLE, "the host was not asked")
                                .on(host),
                        );
                    }
                }
            }
            match lost {
                None => return Ok(()),
                Some(error) if again => return Err(Stop::Failed(error)),
                Some(_) => {
                    again = true;
                    pool.reopen().await;
                }
            }
        }
    }

    /// One step: written down everywhere and made, in one round trip. A connection that breaks is opened again and the
    /// step repeated, since its outcome is not known.
    /// `strict`: a host that keeps the journal and cannot write it makes nothing. `until`: when writes have waited long
    /// enough; then nothing is tried again.
    async fn make(
        &self,
        pool: &mut ConnectionPool,
        index: usize,
        begun: &str,
        notes: &Notes,
        strict: bool,
        until: Option<Instant>,
    ) -> Result<Notes, Stop> {
        let step = &self.steps[index];
        let (mut notes, mut limit) = (notes.clone(), step.limit);
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.as_millis().div_ceil(1000).max(1);
            notes.insert(SECONDS_LEFT.to_owned(), left.to_string());
            // The script itself has the limit, and a second more to say what it has seen.
            limit = limit.min(u64::try_from(left).unwrap_or(limit).saturating_add(1));
        }
        let mut script = String::new();
        if step.holds_token() {
            script.push_str(&journal::proof(&self.token));
            script.push('\n');
        }
        if self.keepers.contains(&step.host) {
            script.push_str(&journal::append(begun));
            script.push_str(if strict {
                " || { echo 'the journal cannot be written; is the disk full?' >&2; exit 1; }\n"
            } else {
                " || :\n"
            });
        }
        script.push_str(&(step.script)(&notes));
        let mut again = false;
        loop {
            let mut work = self.everywhere(begun);
            work.insert(step.host.clone(), vec![request(&script, limit)]);
            let mut answers = pool.round(work).await;
            if let Some(error) = answers
                .iter()
                .find_map(|(host, answer)| overtaken(host, answer))
            {
                return Err(Stop::Overtaken(error));
            }
            let answer = answers.remove(&step.host).unwrap_or_else(|| {
                Err(Diagnostic::with_code(
                    exit::UNREACHABLE,
                    "the host was not asked",
                ))
            });
            match answer {
                Ok(answer) => return read(step, limit, &answer.replies[0]),
                Err(error) if again || until.is_some_and(|until| Instant::now() >= until) => {
                    return Err(Stop::Failed(error.on(&step.host)));
                }
                Err(_) => {
                    again = true;
                    pool.reopen().await;
                }
            }
        }
    }

    fn everywhere(&self, lines: &str) -> BTreeMap<String, Vec<Request>> {
        let script = format!(
            "{}\n{}",
            journal::proof(&self.token),
            journal::append(lines)
        );
        self.keepers
            .iter()
            .map(|host| (host.clone(), vec![request(&script, KEEPING)]))
            .collect()
    }

    async fn note(&self, pool: &mut ConnectionPool, lines: &str) {
        pool.round(self.everywhere(lines)).await;
    }

    /// Takes back the first `count` steps, last first.
    pub async fn undo(
        mut self,
        pool: &mut ConnectionPool,
        count: usize,
        why: Diagnostic,
        notes: &Notes,
    ) -> Ending {
        let mut notes = notes.clone();
        self.introduce(&mut notes);
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
            match self.make(pool, index, "", &notes, false, None).await {
                Ok(_) => {}
                Err(Stop::Overtaken(error)) => return Ending::Overtaken(error),
                Err(Stop::Failed(error) | Stop::NotDone(error)) => {
                    (self.tell)(Event::Failed {
                        id: self.steps[index].id,
                        error: error.clone(),
                    });
                    self.note(pool, &lines).await;
                    return Ending::Incomplete(vec![why, error]);
                }
            }
        }
        let message = why.to_string();
        self.end(pool, &lines, "undone", &message).await;
        Ending::Undone(why)
    }

    /// Ends it on all hosts that had it. A host where that does not arrive is named: the next operation, or `resume`,
    /// settles its journal.
    async fn end(&mut self, pool: &mut ConnectionPool, lines: &str, result: &str, message: &str) {
        let end = End {
            result: result.to_owned(),
            ended: journal::seconds(),
            message: message.to_owned(),
        };
        let mut work = if lines.is_empty() {
            BTreeMap::new()
        } else {
            self.everywhere(lines)
        };
        let hosts = self.keepers.iter().chain(
            self.steps
                .iter()
                .filter(|step| step.holds_token())
                .map(|step| &step.host),
        );
        for host in hosts.collect::<std::collections::BTreeSet<_>>() {
            let mut finish = journal::finish(&self.token, &end);
            finish.timeout_seconds = Some(KEEPING);
            work.entry(host.clone()).or_default().push(finish);
        }
        for (host, answer) in pool.round(work).await {
            let why = match answer {
                Ok(answer) => match answer.replies.last() {
                    Some(reply) if reply.code != 0 => reply.err().trim().to_owned(),
                    _ => continue,
                },
                Err(error) => error.message,
            };
            (self.tell)(Event::Says(format!(
                "{host}: the end of this operation could not be noted there ({why}); hactl resume settles that"
            )));
        }
        self.record.end = Some(end);
    }
}

/// What a host says of an operation that is no longer ours; or the lock that another operator has there.
fn overtaken(
    host: &str,
    answer: &Result<crate::ops::connection_pool::Answer>,
) -> Option<Diagnostic> {
    let said = match answer {
        Ok(answer) => {
            let reply = answer
                .replies
                .iter()
                .find(|reply| reply.code == OVERTAKEN)?;
            reply.err().trim().to_owned()
        }
        Err(error) if error.code == exit::REFUSED => crate::ops::operation::context::reason(error),
        Err(_) => return None,
    };
    Some(
        Diagnostic::with_code(
            exit::INCOMPLETE,
            "another operator has ended or taken over this operation",
        )
        .on(host)
        .note(said),
    )
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

fn read(step: &Step, limit: u64, reply: &Reply) -> Result<Notes, Stop> {
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
        let error = if said.is_empty() {
            error.note(format!("exit code {}", reply.code))
        } else {
            error.note(said.to_owned())
        };
        return Err(if reply.code == NOT_DONE {
            Stop::NotDone(error)
        } else {
            Stop::Failed(error)
        });
    }
    Ok(notes(reply))
}

#[cfg(test)]
mod tests;
