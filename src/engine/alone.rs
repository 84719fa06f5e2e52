//! Tasks that cannot be looked at ahead: `meta`, `pause`, `run_once`, `delegate_to`, `until`, includes that wait.
//!
//! Nothing of the play that comes after such a task is asked or changed before the task has ended.

use super::action::Local;
use super::cursor::Cursor;
use super::judge::Judged;
use super::place::Place;
use super::run::PlayRun;
use super::runner::{Flow, Runner};
use super::setters;
use super::unit::{self, Unit, Work};
use super::window::{Items, Walk};
use crate::base::Result;
use crate::base::value::unknown;
use crate::play::{Include, Task};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

impl Runner {
    /// A walk that begins with nothing of its own.
    pub(super) fn walker<'a>(
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
            included: HashMap::new(),
            found_handlers: Vec::new(),
            key: self.state.pace.as_ref().map(|pace| (pace.key, pace.number)),
            certain: self
                .state
                .pace
                .as_ref()
                .and_then(|pace| pace.certain.clone()),
            reads: Arc::default(),
            longest: if shared.settings.one_by_one {
                1
            } else {
                self.state.reach.entries()
            },
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
            Ok(None) => {
                // What the tasks inside would set is not known from here on.
                let setters = setters::included(&shared.settings, include)
                    .map(|steps| setters::of_steps(&shared.settings, &steps));
                let mut data = host.data_mut();
                data.unsettled |= (shared.settings.check || shared.settings.offline)
                    && setters.as_ref().is_none_or(|setters| setters.anything);
                for name in setters.unwrap_or_default().names {
                    data.set.insert(name, unknown());
                }
                drop(data);
                Work::Unknown {
                    why: "whether or what is included".to_owned(),
                }
            }
            Err(error) => Work::Fail(error.at(&include.span)),
        };
        let unit = Unit::blank(&task, scope, work);
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
        let place = cursor.place();
        let in_step = self.state.pace.is_some();
        let once = unit::flag(task.keywords.run_once.as_ref(), false, &context).unwrap_or(false)
            || in_step && is_for_all(task);
        let once = once.then(|| self.once_key(play, task, &place));
        if let Some(key) = &once
            && let Some(flow) = self.somebody_else(key, task, &place).await
        {
            return match flow {
                Flow::Failed if in_step => match self.struck(play, cursor, &place, true) {
                    Judged::On(next, _) => Ok(Some(next)),
                    Judged::Over => Ok(None),
                },
                Flow::Failed => self.unwind(cursor).map(Some),
                Flow::Go => Ok(Some(next)),
            };
        }
        let items = self.walker(play, &shared, &host).items(task, &scope);
        let looped = task.keywords.loop_.as_ref().map(|looped| &looped.control);
        let pause = looped.and_then(|control| control.pause.as_ref());
        let pause = unit::number(pause, 0.0, &context)?;
        // Held until the task is done here.
        let _turn = self.turn(play, task, &context).await?;
        self.state.facts_set.clear();
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
                Items::Single => {
                    let make =
                        |_: &Self| unit::prepare(task, scope.clone(), None, &shared.settings);
                    (self.answered(make).await?, None)
                }
                Items::Whole(unit) => ((**unit).clone(), None),
                Items::Many(items) => {
                    let make = |runner: &Self| {
                        runner
                            .walker(play, &shared, &host)
                            .item(task, &scope, items, index)
                    };
                    (self.answered(make).await?, Some(index + 1 == count))
                }
            };
            if index > 0 && pause > 0.0 && !shared.settings.check {
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            self.state.rescuable = rescuable;
            if let Work::Local(Local::Meta(what)) = &unit.work {
                // Nothing to tell: it is no work on the host.
                end = Some(what.clone());
            } else {
                flow = self.one(play, unit, last).await?;
            }
            if std::mem::take(&mut self.state.broke_off) {
                break;
            }
        }
        if end.as_deref() == Some("end_play") {
            self.end_play(play, &place);
        } else if end.as_deref() == Some("end_batch") {
            self.end_batch(&place);
        }
        if let Some(key) = once {
            self.post_once(key, task, &place, flow);
        }
        if flow == Flow::Failed {
            return self.unwind(cursor).map(Some);
        }
        match end.as_deref() {
            Some("end_play" | "end_batch") => return Ok(None),
            Some("end_host") => {
                self.leave(play, &place);
                return Ok(None);
            }
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

    /// The play ends here for all hosts.
    fn end_play(&self, play: &PlayRun, place: &Place) {
        let index = play.layers.index;
        self.shared.globals.coordinator.post(|board| {
            board.plays[index].ended = true;
        });
        self.end_batch(place);
    }

    /// The play ends here for the hosts that keep step.
    fn end_batch(&self, place: &Place) {
        if let Some(pace) = &self.state.pace {
            self.shared
                .globals
                .coordinator
                .post(|board| board.orders.entry(pace.key).or_default().halt(place));
        }
    }

    /// The host is out of the play, without a failure.
    fn leave(&self, play: &PlayRun, place: &Place) {
        let place = self.state.pace.as_ref().map(|_| place.clone());
        let name = &self.host.name;
        self.shared.globals.coordinator.post(|board| {
            let play = &mut board.plays[play.layers.index];
            play.removed.push((name.clone(), play.batch(name), place));
        });
    }
}

/// Tasks that the first host of a batch does for all where the hosts keep step.
fn is_for_all(task: &Task) -> bool {
    let meta = task
        .action
        .free_form
        .as_ref()
        .and_then(|node| node.as_str());
    match task.action.module {
        "meta" => matches!(meta.map(str::trim), Some("end_play" | "end_batch")),
        module => module == "pause",
    }
}
