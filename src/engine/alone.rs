//! Tasks that cannot be looked at ahead: `meta`, `pause`, `run_once`, `delegate_to`, `until`, includes that wait.

use super::action::Local;
use super::commit::Decided;
use super::cursor::Cursor;
use super::event::Event;
use super::link::{Apply, Link};
use super::run::PlayRun;
use super::runner::{Due, Flow, Runner};
use super::settle::Settled;
use super::state::Once;
use super::unit::{self, Unit, Verdict, Work, conditions};
use super::window::{Items, Walk};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Target};
use crate::modules::Diff;
use crate::play::{Include, Task};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

impl Runner {
    fn walker<'a>(
        &self,
        play: &'a PlayRun,
        shared: &'a super::run::Shared,
        host: &'a Arc<super::state::HostState>,
    ) -> Walk<'a> {
        Walk {
            settings: &shared.settings,
            play,
            host,
            notified: !self.state.notified.is_empty(),
            pending: HashSet::new(),
            overlay: HashMap::new(),
            found_handlers: Vec::new(),
        }
    }

    /// An include whose turn it is.
    pub(super) fn include(
        &mut self,
        play: &PlayRun,
        include: &Arc<Include>,
        cursor: Cursor,
    ) -> Result<Option<Cursor>> {
        let shared = Arc::clone(&self.shared);
        let host = Arc::clone(&self.host);
        let mut walk = self.walker(play, &shared, &host);
        let resolved = walk.resolve(include, &cursor);
        let found = walk.found_handlers;
        self.add_handlers(found);
        let task = Arc::new(super::window::include_as_task(include));
        let scope = self.walker(play, &shared, &host).scope(
            &cursor,
            &include.keywords.vars,
            include.role.as_ref(),
        );
        let work = match resolved {
            Ok(Some(next)) => return Ok(Some(next)),
            Ok(None) => Work::Unknown {
                why: "whether or what is included".to_owned(),
            },
            Err(error) => Work::Fail(error.at(&include.span)),
        };
        let unit = Unit {
            task,
            scope,
            label: None,
            item: None,
            keywords: unit::Rendered::default(),
            work,
        };
        if self.local(play, &unit, None) == Flow::Failed {
            return self.unwind(cursor).map(Some);
        }
        let mut next = cursor;
        next.advance();
        Ok(Some(next))
    }

    /// A task that stands alone. `None`: the play ends here for this host.
    pub(super) async fn alone(
        &mut self,
        play: &PlayRun,
        task: &Arc<Task>,
        cursor: Cursor,
    ) -> Result<Option<Cursor>> {
        let shared = Arc::clone(&self.shared);
        let host = Arc::clone(&self.host);
        let scope = self.walker(play, &shared, &host).scope(
            &cursor,
            &task.keywords.vars,
            task.role.as_ref(),
        );
        let context = shared.settings.context(&scope, task);
        let mut next = cursor.clone();
        next.advance();
        let once = unit::flag(task.keywords.run_once.as_ref(), false, &context).unwrap_or(false);
        let once = once.then(|| self.once_key(play, task));
        if let Some(key) = &once
            && let Some(flow) = self.somebody_else(key, task).await
        {
            return if flow == Flow::Failed {
                self.unwind(cursor).map(Some)
            } else {
                Ok(Some(next))
            };
        }
        let items = self.walker(play, &shared, &host).items(task, &scope);
        let mut flow = Flow::Go;
        let mut end = None;
        let rescuable = Self::rescued(&cursor);
        let count = if let Items::Many(items) = &items {
            items.len()
        } else {
            1
        };
        for index in 0..count {
            let (unit, last) = match &items {
                Items::Single => (
                    unit::prepare(task, scope.clone(), None, &shared.settings),
                    None,
                ),
                Items::Whole(unit) => ((**unit).clone(), None),
                Items::Many(items) => (
                    self.walker(play, &shared, &host)
                        .item(task, &scope, items, index),
                    Some(index + 1 == count),
                ),
            };
            self.state.rescuable = rescuable;
            if let Work::Local(Local::Meta(what)) = &unit.work {
                // Nothing to tell: it is no work on the host.
                end = Some(what.clone());
            } else {
                flow = self.one(play, unit, last).await?;
            }
        }
        if let Some(key) = once {
            self.post_once(key, task, flow);
        }
        if flow == Flow::Failed {
            return self.unwind(cursor).map(Some);
        }
        match end.as_deref() {
            Some("end_play") => {
                let index = play.layers.index;
                self.shared
                    .globals
                    .coordinator
                    .post(|board| board.plays[index].ended = true);
                return Ok(None);
            }
            Some("end_host" | "end_batch") => return Ok(None),
            Some("end_role") => next.end_role(),
            Some("reset_connection") => self.reset_connection().await,
            Some("clear_facts") => self.host.data_mut().facts.clear(),
            Some("flush_handlers") => {
                next = cursor;
                self.flush(&mut next);
            }
            _ => {}
        }
        Ok(Some(next))
    }

    /// What all hosts of a batch call a `run_once` task that they pass: where it stands, and the how-manieth time it is.
    fn once_key(&mut self, play: &PlayRun, task: &Task) -> (usize, String) {
        let index = play.layers.index;
        let batch = {
            let board = self.shared.globals.coordinator.board();
            board.plays[index]
                .batches
                .iter()
                .position(|batch| batch.contains(&self.host.name))
                .unwrap_or(0)
        };
        let place = format!(
            "{}:{}:{}",
            task.span.file.path, task.span.line, task.span.column
        );
        let count = self.state.once.entry(place.clone()).or_default();
        *count += 1;
        (index, format!("{batch} {count} {place}"))
    }

    /// Waits until the `run_once` task was run by another host, or claims it (`None`).
    async fn somebody_else(&mut self, key: &(usize, String), task: &Arc<Task>) -> Option<Flow> {
        let name = self.host.name.clone();
        let result = self
            .shared
            .globals
            .coordinator
            .wait(|board| {
                let place = &board.plays[key.0];
                let batch = place.batches.iter().find(|batch| batch.contains(&name));
                let first = batch
                    .into_iter()
                    .flatten()
                    .find(|host| !board.lost.contains(*host) && !place.done.contains(*host));
                match board.once.get(key) {
                    Some(Once::Done {
                        failed,
                        result,
                        facts,
                    }) => Some(Some((*failed, result.clone(), facts.clone()))),
                    Some(Once::Claimed(by)) if *by != name && board.lost.contains(by) => {
                        board.once.insert(key.clone(), Once::Claimed(name.clone()));
                        Some(None)
                    }
                    None if first == Some(&name) => {
                        board.once.insert(key.clone(), Once::Claimed(name.clone()));
                        Some(None)
                    }
                    Some(Once::Claimed(_)) | None => None,
                }
            })
            .await;
        let (failed, result, facts) = result?;
        if let Some(register) = &task.keywords.register {
            self.register(register, result);
        }
        self.host.data_mut().set.extend(facts);
        if failed {
            self.state.failure = Some(
                Diagnostic::with_code(
                    exit::FAILED,
                    "the task that runs once failed on another host",
                )
                .at(&task.span),
            );
        }
        Some(if failed { Flow::Failed } else { Flow::Go })
    }

    fn post_once(&self, key: (usize, String), task: &Arc<Task>, flow: Flow) {
        let data = self.host.data();
        let register = task.keywords.register.as_ref();
        let result = register
            .and_then(|name| data.set.get(name).cloned())
            .unwrap_or(Value::Null);
        // Facts that it set hold for all hosts of the batch.
        let mut facts = HashMap::new();
        if task.action.module == "set_fact" {
            let named = |(name, _): &(String, _)| {
                data.set
                    .get(name)
                    .cloned()
                    .map(|value| (name.clone(), value))
            };
            facts.extend(task.action.args.iter().filter_map(named));
        }
        drop(data);
        self.shared.globals.coordinator.post(|board| {
            board.once.insert(
                key,
                Once::Done {
                    failed: flow == Flow::Failed,
                    result,
                    facts,
                },
            )
        });
    }

    /// Runs one unit to its end, trying again while `until` does not hold.
    async fn one(&mut self, play: &PlayRun, unit: Unit, last: Option<bool>) -> Result<Flow> {
        if let Work::Local(Local::Pause { seconds }) = &unit.work
            && !self.shared.settings.check
        {
            tokio::time::sleep(Duration::from_secs_f64(*seconds)).await;
        }
        if let Work::Local(Local::WaitForConnection(patience)) = &unit.work {
            let outcome = self.wait_for_connection(*patience).await;
            let settled = self.settled(&unit, outcome, false);
            return Ok(self.commit(play, &unit, settled, Vec::new(), last, 0));
        }
        let Work::Remote(_) = &unit.work else {
            return Ok(self.local(play, &unit, last));
        };
        self.connected().await?;
        let link = match self.link_for(&unit).await {
            Ok(link) => link,
            Err(error) => {
                let settled = self.settled(&unit, Err(error), false);
                return Ok(self.commit(play, &unit, settled, Vec::new(), last, 0));
            }
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
            let (mut settled, diffs, milliseconds) = self.attempt(play, &unit, &link).await?;
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
                    let failed = super::settle::settle(
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
            let probes: Vec<_> = request
                .map(crate::modules::Probe::Run)
                .into_iter()
                .collect();
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
                    let notes = notes.into_iter().chain([super::greet::owe(
                        &self.state_dir(),
                        &play.play.name,
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
                let ran: Vec<_> = replies
                    .into_iter()
                    .take_while(|reply| reply.code >= 0)
                    .collect();
                let milliseconds = ran.iter().map(|reply| reply.milliseconds).sum();
                let outcome = remote.module.finish(&remote.args, &due.change, &ran);
                let settled = self.settled(unit, outcome, true);
                self.cross_out(play, unit, &settled);
                Ok((settled, due.change.diffs, milliseconds))
            }
        }
    }

    /// The connection that a unit runs over: its own host's, or that of `delegate_to`.
    async fn link_for(&self, unit: &Unit) -> Result<Arc<Mutex<Link>>> {
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
