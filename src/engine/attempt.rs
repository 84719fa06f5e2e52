//! One unit by itself, over its own host's connection or another one's: looked at, decided, applied, and tried again while
//! `until` does not hold.
//!
//! Nothing is looked at ahead here, and no try begins before the one before it is judged.

use super::action::Local;
use super::commit::Decided;
use super::cursor::Cursor;
use super::event::Event;
use super::greet;
use super::link::{Apply, Link};
use super::run::PlayRun;
use super::runner::{Due, Flow, Runner};
use super::settle::{Settled, settle};
use super::unit::{self, Unit, Verdict, Work, conditions};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Target};
use crate::modules::{Diff, Probe};
use crate::play::Task;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

impl Runner {
    /// Runs one unit to its end, trying again while `until` does not hold.
    pub(super) async fn one(
        &mut self,
        play: &PlayRun,
        unit: Unit,
        last: Option<bool>,
    ) -> Result<Flow> {
        let link = match &unit.work {
            Work::Local(_) => None,
            Work::Remote(_) => {
                self.connected().await?;
                match self.link_for(&unit).await {
                    Ok(link) => Some(link),
                    Err(error) => {
                        let settled = self.settled(&unit, Err(error), false);
                        return Ok(self.commit(play, &unit, settled, Vec::new(), last, 0));
                    }
                }
            }
            _ => return Ok(self.local(play, &unit, last)),
        };
        self.tell(Event::Working {
            host: self.host.name.clone(),
            task: unit.task.title(),
        });
        let context = self.shared.settings.context(&unit.scope, &unit.task);
        let keywords = &unit.task.keywords;
        let retrying = !keywords.until.is_empty() || keywords.retries.is_some();
        let mut left = 0;
        if retrying {
            // A number of tries is small.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small positive number"
            )]
            let tries = unit::number(keywords.retries.as_ref(), 3.0, &context)
                .unwrap_or(3.0)
                .max(0.0) as u64;
            left = tries;
        }
        let delay = unit::number(keywords.delay.as_ref(), 5.0, &context).unwrap_or(5.0);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (mut settled, diffs, milliseconds) = match &link {
                Some(link) => self.attempt(play, &unit, link).await?,
                None => (self.attempt_here(play, &unit).await, Vec::new(), 0),
            };
            if retrying && let Value::Object(map) = &mut settled.result {
                map.insert("attempts".to_owned(), Value::from(attempts));
            }
            if !retrying || unit.keywords.check {
                return Ok(self.commit(play, &unit, settled, diffs, last, milliseconds));
            }
            let scope = match &keywords.register {
                Some(name) => unit.scope.settled().with(name, settled.result.clone()),
                None => unit.scope.settled(),
            };
            let holds = if keywords.until.is_empty() {
                Ok(if settled.error.is_none() {
                    Verdict::Holds
                } else {
                    Verdict::False("the task succeeds".to_owned())
                })
            } else {
                conditions(
                    &keywords.until,
                    &self.shared.settings.context(&scope, &unit.task),
                )
            };
            match holds {
                Ok(Verdict::Holds | Verdict::Unknown(_)) => {
                    return Ok(self.commit(play, &unit, settled, diffs, last, milliseconds));
                }
                Ok(Verdict::False(_)) if left > 0 => {
                    self.tell(Event::Retry {
                        host: self.host.name.clone(),
                        task: unit.task.title(),
                        left,
                    });
                    left -= 1;
                    tokio::time::sleep(Duration::from_secs_f64(delay.max(0.0))).await;
                }
                Ok(Verdict::False(condition)) => {
                    let mut error = settled.error.clone().unwrap_or_else(|| {
                        Diagnostic::with_code(exit::FAILED, "the awaited state did not come")
                    });
                    error.notes.insert(
                        0,
                        format!("`until: {condition}` did not hold in {attempts} tries"),
                    );
                    let mut outcome = settled.result.as_object().cloned().unwrap_or_default();
                    // Ansible counts the tries after the first one here.
                    outcome.insert("attempts".to_owned(), Value::from(attempts - 1));
                    let failed = settle(
                        &Unit {
                            task: without_judgement(&unit.task),
                            ..unit.clone()
                        },
                        outcome,
                        settled.changed,
                        Some(error),
                        &self.shared.settings,
                    );
                    return Ok(self.commit(play, &unit, failed, diffs, last, milliseconds));
                }
                Err(error) => {
                    let settled = self.settled(&unit, Err(error), false);
                    return Ok(self.commit(play, &unit, settled, diffs, last, milliseconds));
                }
            }
        }
    }

    /// One try of an action of the engine's own.
    async fn attempt_here(&mut self, play: &PlayRun, unit: &Unit) -> Settled {
        let Work::Local(local) = &unit.work else {
            return self.unknown(unit, "its work");
        };
        let settled = match local {
            Local::WaitForConnection(patience) => {
                let outcome = self.wait_for_connection(*patience).await;
                self.settled(unit, outcome, false)
            }
            Local::Pause { seconds, prompt } if !self.shared.settings.check => {
                if let Some(text) = prompt {
                    self.tell(Event::Note {
                        host: Some(self.host.name.clone()),
                        text: text.clone(),
                    });
                }
                let limit = unit.keywords.limit;
                let most = limit.map_or(f64::INFINITY, super::keywords::Limit::as_f64);
                tokio::time::sleep(Duration::from_secs_f64(seconds.min(most))).await;
                match limit.filter(|_| *seconds > most) {
                    Some(limit) => self.settled(unit, Err(limit.error()), false),
                    None => self.act(unit, local),
                }
            }
            _ => self.act(unit, local),
        };
        self.owe_late(play, unit, &settled);
        settled
    }

    /// Looks, decides and applies, one after the other.
    async fn attempt(
        &mut self,
        play: &PlayRun,
        unit: &Unit,
        link: &Arc<Mutex<Link>>,
    ) -> Result<(Settled, Vec<Diff>, u64)> {
        let Work::Remote(remote) = &unit.work else {
            return Ok((self.unknown(unit, "its work"), Vec::new(), 0));
        };
        let lost = |error: Diagnostic| error.on(&self.host.name);
        let seen = if remote.reads {
            let request = remote
                .certain
                .as_ref()
                .and_then(|change| change.requests.first())
                .cloned();
            let probes: Vec<_> = request.map(Probe::Run).into_iter().collect();
            link.lock()
                .await
                .exchange(&[], &probes)
                .await
                .map_err(lost)?
                .1
        } else if remote.probes.is_empty() {
            Vec::new()
        } else {
            link.lock()
                .await
                .exchange(&[], &remote.probes)
                .await
                .map_err(lost)?
                .1
        };
        match self.decide(remote, unit, &seen) {
            Decided::Settled(settled, diffs) => {
                self.owe_late(play, unit, &settled);
                Ok((settled, diffs, 0))
            }
            Decided::Due(change) => {
                let due = Due {
                    unit: Box::new(unit.clone()),
                    change,
                    last: None,
                    after: Cursor::default(),
                    before: Cursor::default(),
                };
                let owed = self.handler_names(unit);
                if !owed.is_empty() {
                    // After what was to be crossed out before, which may be the same handlers.
                    let notes = std::mem::take(&mut self.state.bookkeeping);
                    let notes = notes.into_iter().chain([greet::owe(
                        &self.state_dir(),
                        &self.owner(play),
                        &owed,
                    )]);
                    let notes: Vec<Apply> = notes
                        .map(|request| Apply {
                            request,
                            chained: false,
                        })
                        .collect();
                    self.link
                        .lock()
                        .await
                        .exchange(&notes, &[])
                        .await
                        .map_err(lost)?;
                }
                let applies: Vec<Apply> = due
                    .change
                    .requests
                    .iter()
                    .enumerate()
                    .map(|(index, request)| Apply {
                        request: request.clone(),
                        chained: index > 0,
                    })
                    .collect();
                let (replies, _) = link
                    .lock()
                    .await
                    .exchange(&applies, &[])
                    .await
                    .map_err(lost)?;
                if let Some(pace) = &mut self.state.pace {
                    pace.applied = true;
                }
                let ran: Vec<_> = replies
                    .into_iter()
                    .take_while(|reply| reply.code >= 0)
                    .collect();
                let milliseconds = ran.iter().map(|reply| reply.milliseconds).sum();
                let outcome = self.outcome(unit, remote, &due.change, &ran);
                let settled = self.settled(unit, outcome, true);
                self.cross_out(play, unit, &settled);
                Ok((settled, due.change.diffs, milliseconds))
            }
        }
    }

    /// The connection that a unit runs over: its own host's, or that of `delegate_to`.
    pub(super) async fn link_for(&self, unit: &Unit) -> Result<Arc<Mutex<Link>>> {
        let Some(name) = &unit.keywords.delegate_to else {
            return Ok(Arc::clone(&self.link));
        };
        let name = if matches!(name.as_str(), "127.0.0.1" | "::1") {
            "localhost"
        } else {
            name.as_str()
        };
        if *name == self.host.name {
            return Ok(Arc::clone(&self.link));
        }
        let link = self.shared.links.get(name).cloned().ok_or_else(|| {
            Diagnostic::with_code(
                exit::FAILED,
                format!("`delegate_to: {name}` names no host of the inventory"),
            )
        })?;
        let mut guard = link.lock().await;
        if matches!(*guard, Link::Down) {
            let local = Target {
                host: name.to_owned(),
                local: true,
                ..Target::default()
            };
            let target = self.shared.targets.get(name).unwrap_or(&local);
            *guard = Link::Live(Box::new(Connection::open(target).await?));
        }
        drop(guard);
        Ok(link)
    }
}

/// The task without `changed_when` and `failed_when`, which have judged already.
pub(super) fn without_judgement(task: &Arc<Task>) -> Arc<Task> {
    let mut plain = (**task).clone();
    plain.keywords.changed_when = None;
    plain.keywords.failed_when = None;
    Arc::new(plain)
}
