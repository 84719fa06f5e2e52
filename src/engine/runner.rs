//! One host from its connection to its end: the loop of walk ahead, exchange, judge, change.
//!
//! The order of effects on a host is the order of its tasks, whatever was asked about ahead.

use super::cursor::{Cursor, Fate as BlockFate, Step};
use super::event::Event;
use super::greet;
use super::judge::Judged;
use super::link::{Apply, Link};
use super::pace::Pace;
use super::run::{PlayRun, Shared};
use super::state::HostState;
use super::unit::Unit;
use super::window::{Reach, Walk, Window};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Change, Request};
use crate::play::Handler;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Through.
    Done,
    /// A task failed.
    Failed,
    /// No connection, or it was lost.
    Unreachable,
    /// Another operator holds its lock.
    Refused,
    /// A failure of other hosts ended its play.
    Stopped,
}

/// What runs one host.
pub struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) host: Arc<HostState>,
    pub(super) link: Arc<Mutex<Link>>,
    pub(super) everybody: Arc<Vec<String>>,
    pub(super) owed: BTreeMap<String, Vec<String>>,
    pub(super) processes: Option<u64>,
    pub(super) connect_seconds: f64,
    /// In a plan: a task before would change the host, so that what is not there may come.
    pub(super) brings: bool,
    pub(super) state: PlayState,
}

/// Where the host stands in the play that it is in.
#[derive(Default)]
pub(super) struct PlayState {
    /// Handlers to run at the next flush, as positions in `handlers`.
    pub notified: Vec<usize>,
    /// The play's handlers, and those of roles included since.
    pub handlers: Vec<(Handler, super::cursor::Steps)>,
    /// The results of the loop that is running.
    pub loop_results: Vec<crate::base::value::Value>,
    /// Whether an item of it failed.
    pub loop_failed: Option<Diagnostic>,
    /// Handlers that an item of it was the first to notify.
    pub loop_notified: Vec<usize>,
    /// A `rescue` would take a failure of the step that is being settled.
    pub rescuable: bool,
    /// Handlers are running.
    pub handling: bool,
    /// How far to look ahead.
    pub reach: Reach,
    /// Bookkeeping to send with the next batch.
    pub bookkeeping: Vec<Request>,
    /// The failure that is on its way up.
    pub failure: Option<Diagnostic>,
    /// Handlers owed from an earlier run: each is due once a task that notifies it is passed, as if that had changed
    /// something; the others at the play's end.
    pub owed: Vec<String>,
    /// `break_when` ended the loop that is running.
    pub broke_off: bool,
    /// What `set_fact` has set in the task that stands alone.
    pub facts_set: crate::base::value::Map<String, crate::base::value::Value>,
    /// How often each `run_once` task was passed.
    pub once: HashMap<String, usize>,
    /// What keeps the host in step with the others of its batch.
    pub pace: Option<Pace>,
    /// A failure of another host is one of this host too.
    pub struck: bool,
    /// The play was stopped before its end.
    pub halted: bool,
}

/// A change that is decided and due.
pub(super) struct Due {
    pub unit: Box<Unit>,
    pub change: Change,
    pub last: Option<bool>,
    pub after: Cursor,
    pub before: Cursor,
}

/// What comes of settling something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Go,
    Failed,
}

impl Runner {
    /// For one host. `everybody` takes part in the run.
    pub fn new(shared: Arc<Shared>, host: Arc<HostState>, everybody: Arc<Vec<String>>) -> Self {
        let link = shared
            .links
            .get(&host.name)
            .cloned()
            .unwrap_or_else(|| Arc::new(Mutex::new(Link::Down)));
        Self {
            shared,
            host,
            link,
            everybody,
            owed: BTreeMap::new(),
            processes: None,
            connect_seconds: 0.0,
            brings: false,
            state: PlayState::default(),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        self.shared.globals.coordinator.tell(event);
    }

    /// Where hactl keeps its own state on this host.
    pub(super) fn state_dir(&self) -> String {
        self.shared.settings.state.replace("%h", &self.host.name)
    }

    /// Whose the handlers of a play are, on the host.
    pub(super) fn owner(&self, play: &PlayRun) -> String {
        greet::owner(&self.shared.settings.identity, &play.play)
    }

    /// One play on this host. An error means that the host has failed (its events are already told).
    pub(super) async fn play(&mut self, play: &PlayRun) -> Result<()> {
        self.state = PlayState {
            handlers: play.handlers.clone(),
            bookkeeping: std::mem::take(&mut self.state.bookkeeping),
            pace: self.pace(play),
            ..PlayState::default()
        };
        if let Some(owed) = self.owed.remove(&self.owner(play)) {
            self.tell(Event::Owed {
                host: self.host.name.clone(),
                handlers: owed.clone(),
            });
            self.state.owed = owed;
        }
        let result = self.pass(play, Cursor::new(Arc::clone(&play.steps))).await;
        let force = play.play.force_handlers || self.shared.settings.force_handlers;
        let lost = result
            .as_ref()
            .is_err_and(|error| error.code == exit::UNREACHABLE);
        if lost {
            self.lost_in_step(play);
        }
        let cut = result.is_err() && !lost || self.state.struck && self.state.halted;
        if cut && force && !self.state.notified.is_empty() {
            self.pass(play, self.next_flush(play)).await?;
        }
        let stopped = self.shared.globals.coordinator.board().plays[play.layers.index]
            .stop
            .is_some();
        if result.is_ok() && !stopped && !self.state.halted {
            self.forget(play);
        }
        result
    }

    /// From a position to the end.
    async fn pass(&mut self, play: &PlayRun, mut cursor: Cursor) -> Result<()> {
        let mut due: Option<Due> = None;
        loop {
            if due.is_none() && self.stopped(play) {
                return Ok(());
            }
            if due.is_none() && self.state.pace.as_ref().is_some_and(|pace| pace.doubtful) {
                let mut at = cursor.clone();
                at.peek();
                match self.turn_at_head(play, &cursor, &at.place()).await {
                    Some(Judged::Over) => return Ok(()),
                    Some(Judged::On(next, _)) => cursor = next,
                    None => {}
                }
            }
            let since = self.changes();
            let start = due
                .as_ref()
                .map_or_else(|| cursor.clone(), |due| due.after.clone());
            let window = self.walk(play, start, due.as_ref());
            if due.is_none() && window.entries.is_empty() {
                let mut at = window.end;
                let Some(step) = at.peek() else {
                    if !self.state.halted && self.recall_rest() {
                        cursor = Cursor::new(Arc::from([Step::Flush]));
                        continue;
                    }
                    return Ok(());
                };
                let place = at.place();
                if let Some(pace) = &self.state.pace
                    && pace.certain.as_ref() != Some(&place)
                {
                    match self.turn_at_head(play, &cursor, &place).await {
                        Some(Judged::Over) => return Ok(()),
                        Some(Judged::On(next, _)) => cursor = next,
                        None => {}
                    }
                    continue;
                }
                let head = self.head(play, step, at).await?;
                if let Some(pace) = &mut self.state.pace
                    && std::mem::take(&mut pace.applied)
                {
                    self.made(&place, false);
                }
                cursor = match head {
                    Some(next) => next,
                    None => return Ok(()),
                };
                continue;
            }
            let (mut applies, changes) = due
                .as_ref()
                .map_or_else(Default::default, |due| self.requests(play, due));
            let owing = applies.len() - changes;
            applies.splice(
                0..0,
                std::mem::take(&mut self.state.bookkeeping)
                    .into_iter()
                    .map(|request| Apply {
                        request,
                        chained: false,
                    }),
            );
            let bookkeeping = applies.len() - changes - owing;
            if self.state.pace.is_some() {
                let first = window.entries.first().map(|entry| &entry.before);
                if let Some(place) = due.as_ref().map(|due| &due.before).or(first) {
                    let place = place.place();
                    self.stand(&place, &place);
                }
            }
            if let Some(due) = &due {
                self.tell(Event::Working {
                    host: self.host.name.clone(),
                    task: due.unit.task.title(),
                });
            }
            let (replies, seen) = if applies.is_empty() && window.probes.is_empty() {
                (Vec::new(), Vec::new())
            } else {
                self.connected().await?;
                let permit = self.shared.forks.acquire().await;
                let answer = self
                    .link
                    .lock()
                    .await
                    .exchange(&applies, &window.probes)
                    .await
                    .map_err(|error| error.on(&self.host.name));
                drop(permit);
                match (answer, due.take()) {
                    (Ok(answer), done) => {
                        due = done;
                        answer
                    }
                    (Err(error), None) => return Err(error),
                    (Err(error), Some(done)) => {
                        self.state.rescuable = Self::rescued(&done.before);
                        let place = done.before.place();
                        cursor = match self.unreachable(play, &done.unit, done.last, error)? {
                            Flow::Go => done.after,
                            Flow::Failed => self.unwind(done.before)?,
                        };
                        self.made(&place, done.last == Some(false));
                        continue;
                    }
                }
            };
            if let Some(done) = due.take() {
                self.state.rescuable = Self::rescued(&done.before);
                let flow = self.changed(play, &done, &replies[bookkeeping..], owing);
                let place = done.before.place();
                if flow == Flow::Failed {
                    cursor = self.unwind(done.before)?;
                    self.made(&place, false);
                    continue;
                }
                self.made(&place, done.last == Some(false));
                cursor = done.after;
            }
            let judged = if self.state.pace.is_some() {
                self.judge_in_step(play, window, &seen, cursor, since)
                    .await?
            } else {
                self.judge(play, window, &seen, cursor)?
            };
            match judged {
                Judged::Over => return Ok(()),
                Judged::On(next, then) => (cursor, due) = (next, then),
            }
        }
    }

    /// Whether the play has ended for all. Hosts that keep step end it together, at one place.
    fn stopped(&mut self, play: &PlayRun) -> bool {
        let board = self.shared.globals.coordinator.board();
        let board = &board.plays[play.layers.index];
        let (stopped, ended) = (board.stop.is_some(), board.ended);
        if self.state.pace.is_some() {
            return false;
        }
        self.state.halted |= stopped;
        stopped || ended
    }

    /// The failed step's failure goes to a block, or ends the host.
    pub(super) fn unwind(&mut self, mut cursor: Cursor) -> Result<Cursor> {
        let place = cursor.place();
        let fate = cursor.fail();
        self.state.handling = cursor.is_handling();
        self.fell(&place, fate);
        match fate {
            BlockFate::Rescued => {
                self.state.failure = None;
                Ok(cursor)
            }
            BlockFate::Always => Ok(cursor),
            // It has not failed itself: others have stopped it.
            BlockFate::Failed if self.state.struck && self.state.failure.is_none() => {
                self.state.halted = true;
                Ok(cursor)
            }
            BlockFate::Failed => Err(self.state.failure.take().map_or_else(
                || Diagnostic::with_code(exit::FAILED, "the host failed"),
                |error| Diagnostic {
                    code: exit::FAILED,
                    ..error
                },
            )),
        }
    }

    /// Whether a block around the step will take its failure.
    pub(super) fn rescued(cursor: &Cursor) -> bool {
        cursor.clone().fail() == BlockFate::Rescued
    }

    fn walk(&mut self, play: &PlayRun, start: Cursor, due: Option<&Due>) -> Window {
        let mut pending: HashSet<String> = HashSet::new();
        let mut may_notify = !self.state.notified.is_empty();
        if let Some(due) = due {
            pending.extend(due.unit.task.keywords.register.clone());
            may_notify |= !due.unit.task.keywords.notify.is_empty();
            if self.shared.settings.one_by_one {
                return Window {
                    end: start,
                    ..Window::default()
                };
            }
        }
        let shared = Arc::clone(&self.shared);
        let host = Arc::clone(&self.host);
        let mut walk = Walk {
            notified: may_notify,
            pending,
            ..self.walker(play, &shared, &host)
        };
        let window = walk.gather(start);
        self.add_handlers(walk.found_handlers);
        window
    }

    pub(super) fn add_handlers(&mut self, found: Vec<Handler>) {
        for handler in found {
            let known = |(other, _): &(Handler, _)| {
                other.name == handler.name
                    && other.role.as_ref().map(|role| &role.dir)
                        == handler.role.as_ref().map(|role| &role.dir)
            };
            if !self.state.handlers.iter().any(known) {
                let steps = super::cursor::steps(vec![handler.item.clone()]);
                self.state.handlers.push((handler, steps));
            }
        }
    }

    /// The requests of a change, first noting the handlers that it will owe. Also how many of them are the change's own.
    pub(super) fn requests(&self, play: &PlayRun, due: &Due) -> (Vec<Apply>, usize) {
        let owed = self.handler_names(&due.unit);
        let mut applies = Vec::new();
        if !owed.is_empty() {
            applies.push(Apply {
                request: greet::owe(&self.state_dir(), &self.owner(play), &owed),
                chained: false,
            });
        }
        let first = applies.is_empty();
        for (index, request) in due.change.requests.iter().enumerate() {
            applies.push(Apply {
                request: request.clone(),
                chained: index > 0 || !first,
            });
        }
        (applies, due.change.requests.len())
    }

    /// A step that cannot be walked past: handlers, re-raised failures, tasks that stand alone. `None`: the play ends here.
    async fn head(
        &mut self,
        play: &PlayRun,
        step: Step,
        mut cursor: Cursor,
    ) -> Result<Option<Cursor>> {
        match step {
            Step::Reraise => self.unwind(cursor).map(Some),
            Step::Flush => {
                self.flush(&mut cursor);
                Ok(Some(cursor))
            }
            Step::Include(include) => self.include(play, &include, cursor),
            Step::Task(task) => self.alone(play, &task, cursor).await,
            // Never at the head of an empty window: the walk takes them.
            Step::Block(_) | Step::RoleEnd(_) | Step::HandlerDone(_) | Step::HandlersDone => {
                cursor.advance();
                Ok(Some(cursor))
            }
        }
    }
}
