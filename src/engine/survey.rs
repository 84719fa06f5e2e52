//! Looks over what a host's plays come to before anything is changed: which tasks it will reach whose modules hactl
//! lacks, and which includes cannot be judged.
//!
//! Walks in the order of the tasks with what is known so far. What a task sets that is not known yet is unknown to
//! those after it, so that nothing is refused that would not have been reached. It asks no host and tells no event.

mod found;

pub use found::{Certainty, Survey};

use super::action::Local;
use super::cursor::{Cursor, Step, Steps};
use super::place::Place;
use super::run::{Plan, PlayRun, Shared};
use super::setters::{self, Setters};
use super::state::HostState;
use super::unit::{self, Verdict, Work, conditions};
use super::window::{Items, Walk};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Diagnostics};
use crate::play::{Include, Included, Task};
use crate::template::Variable;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What stands for all facts among the names that are not known yet.
pub use super::order::FACTS;

/// Adds the tasks that a run will reach whatever its hosts are, and that hactl cannot do.
pub fn at_load(plan: &Plan, errors: &mut Diagnostics) {
    if errors.is_empty() && needed(&plan.shared) {
        for error in plan.survey(&[]).errors() {
            errors.push(error);
        }
    }
}

impl Plan {
    /// What the run comes to that hactl cannot do, as far as it can be told without asking a host. Nothing is taken for
    /// granted of the hosts' facts but what is given: sets of them, of which each host has one.
    pub fn survey(&self, facts: &[Map<String, Value>]) -> Survey {
        let look = |facts: Option<&Map<String, Value>>| {
            let mut found = Survey::default();
            for name in &self.participants {
                let Some(host) = self.shared.globals.hosts.get(name) else {
                    continue;
                };
                if let Some(facts) = facts {
                    let mut all = super::offline::facts(&self.shared, host);
                    all.extend(facts.clone());
                    host.data_mut().facts = all;
                }
                self::host(&self.shared, host, facts.is_none(), &mut found);
                host.data_mut().facts.clear();
            }
            found
        };
        let mut sets = facts.iter().map(|facts| look(Some(facts)));
        match sets.next() {
            Some(first) => sets.fold(first, Survey::whichever),
            None => look(None),
        }
    }
}

/// Whether there is anything to look for in these plays.
pub fn needed(shared: &Shared) -> bool {
    !shared.settings.render && shared.lacking
}

/// All plays that a host takes part in. `blind`: nothing is known of the host but its variables.
pub fn host(shared: &Shared, host: &Arc<HostState>, blind: bool, survey: &mut Survey) {
    for play in &shared.plays {
        let takes_part = shared.globals.coordinator.board().plays[play.layers.index]
            .hosts
            .contains(&host.name);
        if takes_part {
            let mut walk = Walk {
                settings: &shared.settings,
                play,
                host,
                notified: false,
                pending: HashSet::new(),
                overlay: HashMap::new(),
                included: HashMap::new(),
                found_handlers: Vec::new(),
                longest: 0,
                // It looks at one host by itself.
                key: None,
                certain: None,
                reads: Arc::default(),
            };
            if blind {
                walk.pending.insert(FACTS.to_owned());
            }
            let mut surveyor = Surveyor {
                walk,
                survey: &mut *survey,
                certainty: Certainty::Certain,
                steps: 0,
            };
            // Handlers run at any flush, so that what they set is known nowhere.
            surveyor.may_set(&setters::of_handlers(&shared.settings, play));
            surveyor.pass(Cursor::new(Arc::clone(&play.steps)));
            surveyor.handlers(play);
        }
    }
}

/// More steps than any play has: an include that takes itself in comes to an end here.
const MOST: usize = 20_000;

struct Surveyor<'a, 's> {
    walk: Walk<'a>,
    survey: &'s mut Survey,
    certainty: Certainty,
    steps: usize,
}

impl Surveyor<'_, '_> {
    /// From a position to the end of the play.
    fn pass(&mut self, mut cursor: Cursor) {
        while let Some(step) = cursor.peek() {
            self.steps += 1;
            if self.steps > MOST {
                return;
            }
            match step {
                Step::Block(block) => {
                    let rescue = block.rescue();
                    self.may_set(&setters::of_steps(self.walk.settings, rescue));
                    self.perhaps(rescue, &cursor);
                    cursor.enter(&block);
                }
                Step::Include(include) => match self.include(&include, &cursor) {
                    Some(next) => cursor = next,
                    None => return,
                },
                Step::Task(task) => {
                    if !self.task(&task, &mut cursor) {
                        return;
                    }
                }
                Step::RoleEnd(_) | Step::Flush | Step::HandlerDone(_) | Step::HandlersDone => {
                    cursor.advance()
                }
                Step::Reraise => return,
            }
        }
    }

    /// Steps that may or may not run.
    fn perhaps(&mut self, steps: &Steps, at: &Cursor) {
        if steps.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut self.certainty, Certainty::Perhaps);
        let kept = (self.walk.pending.clone(), self.walk.overlay.clone());
        let mut cursor = Cursor::default();
        for vars in at.include_vars() {
            cursor.push(Arc::from([]), vars, Place::default());
        }
        cursor.push(Arc::clone(steps), Arc::default(), Place::default());
        self.pass(cursor);
        (self.walk.pending, self.walk.overlay) = kept;
        self.certainty = before;
    }

    fn handlers(&mut self, play: &PlayRun) {
        for (_, steps) in &play.handlers {
            self.perhaps(steps, &Cursor::default());
        }
    }

    /// What is set here is not known from now on.
    fn may_set(&mut self, setters: &Setters) {
        for name in &setters.names {
            self.walk.overlay.remove(name);
            self.walk.pending.insert(name.clone());
        }
        if setters.anything {
            self.certainty = Certainty::Perhaps;
        }
    }

    /// The position after an include; `None` when the play ends there for all that is known.
    fn include(&mut self, include: &Arc<Include>, cursor: &Cursor) -> Option<Cursor> {
        let mut after = cursor.clone();
        after.advance();
        if !self.walk.settings.selects(&include.keywords.tags) {
            return Some(after);
        }
        match self.walk.resolve(include, cursor) {
            Ok(Some(inside)) => Some(inside),
            // What is wrong with it is told when it is its turn, unless that was known at load.
            Err(_) => {
                let missing = include.missing.as_ref()?;
                self.found(missing, false, self.certainty);
                Some(after)
            }
            Ok(None) => {
                match setters::included(self.walk.settings, include) {
                    Some(steps) => {
                        self.may_set(&setters::of_steps(self.walk.settings, &steps));
                        let mut at = cursor.clone();
                        let vars = Arc::new(include.keywords.vars.clone());
                        at.push(Arc::from([]), vars, Place::default());
                        self.perhaps(&steps, &at);
                    }
                    None => {
                        self.certainty = Certainty::Perhaps;
                        let what = match &include.what {
                            Included::Tasks { file } => file,
                            Included::Role { name, .. } => name,
                        };
                        let title = what.as_str().unwrap_or_default().to_owned();
                        self.survey.leave_unread(&include.span, title);
                    }
                }
                Some(after)
            }
        }
    }

    /// Past a task; whether the play goes on for all that is known.
    fn task(&mut self, task: &Arc<Task>, cursor: &mut Cursor) -> bool {
        let here = cursor.clone();
        cursor.advance();
        if !self.walk.settings.selects(&task.keywords.tags) {
            return true;
        }
        let scope = self
            .walk
            .scope(&here, &task.keywords.vars, task.role.as_ref());
        let action = &task.action;
        let impossible = match (&action.lacks, &action.unfit[..], &action.missing) {
            (Some(lacks), ..) => std::slice::from_ref(lacks),
            (None, [], Some(missing)) => std::slice::from_ref(missing),
            (None, unfit, _) => unfit,
        };
        if !impossible.is_empty() {
            let reached = match self.walk.items(task, &scope) {
                Items::Single => self.holds(task, &scope),
                Items::Many(items) => items
                    .iter()
                    .filter_map(|item| self.holds_for(task, &scope, item))
                    .max(),
                Items::Whole(unit) => match unit.work {
                    Work::Skip { .. } | Work::Idle { .. } => None,
                    _ => Some(Certainty::Perhaps),
                },
            };
            if let Some(certainty) = reached {
                let module = task.action.lacks.is_some();
                for error in impossible {
                    self.found(error, module, certainty.min(self.certainty));
                }
            }
            if task.action.lacks.is_some() {
                self.may_set(&setters::all_of(self.walk.settings, task));
                return true;
            }
        }
        let setters = setters::all_of(self.walk.settings, task);
        let steers = matches!(task.action.module, "meta" | "fail");
        if setters.is_empty() && !steers {
            return true;
        }
        let sets = matches!(task.action.module, "set_fact" | "include_vars");
        let once = task.keywords.run_once.is_some();
        if sets && task.keywords.loop_.is_some() && !once {
            self.sets(task, &here, cursor);
            return true;
        }
        match self.holds(task, &scope) {
            None => {
                // It registers that it was skipped: known, but of no use to a condition that asks for its result.
                self.may_set(&Setters::register(task));
                true
            }
            Some(Certainty::Certain)
                if (sets || steers) && task.keywords.loop_.is_none() && !once =>
            {
                self.sets(task, &here, cursor)
            }
            Some(_) => {
                self.may_set(&setters);
                if steers && !harmless(task) {
                    self.certainty = Certainty::Perhaps;
                }
                true
            }
        }
    }

    /// What a task comes to that sets variables or steers the run; whether the play goes on.
    fn sets(&mut self, task: &Arc<Task>, here: &Cursor, cursor: &mut Cursor) -> bool {
        let scope = |walk: &Walk<'_>| walk.scope(here, &task.keywords.vars, task.role.as_ref());
        let first = scope(&self.walk);
        let works = match self.walk.items(task, &first) {
            Items::Single => vec![unit::prepare(task, first, None, self.walk.settings).work],
            Items::Whole(unit) => vec![unit.work],
            Items::Many(items) => {
                let mut goes_on = true;
                for index in 0..items.len() {
                    // An item may read what the one before it has set.
                    let scope = scope(&self.walk);
                    let work = self.walk.item(task, &scope, &items, index).work;
                    goes_on &= self.set(task, work, cursor);
                }
                self.may_set(&Setters::register(task));
                return goes_on;
            }
        };
        self.may_set(&Setters::register(task));
        works.into_iter().all(|work| self.set(task, work, cursor))
    }

    fn set(&mut self, task: &Task, work: Work, cursor: &mut Cursor) -> bool {
        match work {
            Work::Skip { .. } => {}
            Work::Local(Local::SetFact { facts, .. }) => {
                for (name, value) in facts {
                    self.walk.pending.remove(&name);
                    self.walk.overlay.insert(name, Variable::Data(value));
                }
            }
            Work::Local(Local::IncludeVars { variables, .. }) => {
                for (name, node) in variables {
                    self.walk.pending.remove(&name);
                    self.walk.overlay.insert(name, Variable::Template(node));
                }
            }
            Work::Local(Local::Meta(what)) => match what.as_str() {
                "end_play" | "end_host" | "end_batch" => return false,
                "end_role" => cursor.end_role(),
                "clear_facts" => {
                    self.walk.pending.insert(FACTS.to_owned());
                }
                _ => {}
            },
            // It fails here, or somebody takes it: what comes after is not reached for all that is known.
            Work::Local(Local::Failed { .. }) => self.certainty = Certainty::Perhaps,
            _ => self.may_set(&setters::all_of(self.walk.settings, task)),
        }
        true
    }

    fn found(&mut self, error: &Diagnostic, module: bool, certainty: Certainty) {
        self.survey
            .add(error, module, &self.walk.host.name, certainty);
    }

    fn holds(&self, task: &Task, scope: &super::Scope) -> Option<Certainty> {
        let context = self.walk.settings.context(scope, task);
        match conditions(&task.keywords.when, &context) {
            Ok(Verdict::Holds) => Some(Certainty::Certain),
            Ok(Verdict::False(_)) => None,
            // A failure is told when it is its turn.
            Ok(Verdict::Unknown(_)) | Err(_) => Some(Certainty::Perhaps),
        }
    }

    fn holds_for(&self, task: &Task, scope: &super::Scope, item: &Value) -> Option<Certainty> {
        let looped = task.keywords.loop_.as_ref()?;
        let name = looped.control.loop_var.as_deref().unwrap_or("item");
        self.holds(task, &scope.with(name, item.clone()))
    }
}

/// Whether a task that steers the run lets it go on whatever its condition is.
fn harmless(task: &Task) -> bool {
    let word = task
        .action
        .free_form
        .as_ref()
        .and_then(|node| node.as_str());
    task.action.module == "meta"
        && word.is_some_and(|word| {
            matches!(
                word.trim(),
                "flush_handlers"
                    | "noop"
                    | "clear_host_errors"
                    | "reset_connection"
                    | "refresh_inventory"
            )
        })
}
