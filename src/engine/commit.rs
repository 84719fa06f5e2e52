//! Makes a settled result count: events, registers, facts, notifications.
//!
//! It asks nothing of the host and changes nothing there: what is noted for it goes with the next round trip.

use super::action::Local;
use super::event::{Event, Status, TaskEnd};
use super::order::Key;
use super::place::Place;
use super::run::PlayRun;
use super::runner::{Due, Flow, Runner};
use super::setters;
use super::settle::{Settled, loop_result, settle};
use super::unit::{Remote, Unit, Work};
use crate::base::value::{Map, Value, unknown};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Change, DISK_FULL, DISK_FULL_HELP, Decision, Diff, Reply, Seen};

/// What a module's looking came to.
pub(super) enum Decided {
    /// Judged: nothing to apply.
    Settled(Settled, Vec<Diff>),
    /// A change is due.
    Due(Change),
}

impl Runner {
    /// Decides a module from what was seen.
    pub(super) fn decide(&self, remote: &Remote, unit: &Unit, seen: &[Seen]) -> Decided {
        let settings = &self.shared.settings;
        let asked = !remote.probes.is_empty() || remote.reads;
        if settings.offline
            && asked
            && (remote.reads
                || remote
                    .probes
                    .iter()
                    .any(|probe| matches!(probe, crate::modules::Probe::Run(_))))
        {
            return Decided::Settled(
                self.unknown(unit, "what a command says on the host"),
                Vec::new(),
            );
        }
        if remote.reads
            && let (Some(change), Some(Seen::Reply(reply))) = (&remote.certain, seen.first())
        {
            let outcome = self.outcome(unit, remote, change, std::slice::from_ref(reply));
            return Decided::Settled(self.settled(unit, outcome, false), Vec::new());
        }
        let decision = match &remote.certain {
            Some(change) => Ok(Decision::Change(change.clone())),
            None => remote.module.diff(&remote.args, seen),
        };
        let decision = match decision {
            // What `changed_when` makes of it is known afterwards.
            Ok(Decision::Change(_)) if unit.task.keywords.changed_when.is_none() => {
                match self.unheard(unit) {
                    // Nothing covers that: the change would never be followed by what it asks for.
                    Some(error) => {
                        let error = error.note("the task has changed nothing");
                        let settled = self.settled(unit, Err(error.clone()), false);
                        return Decided::Settled(fallen(settled, error), Vec::new());
                    }
                    None => decision,
                }
            }
            _ => decision,
        };
        match decision {
            Ok(Decision::Same(outcome)) if unit.keywords.detached && !unit.keywords.check => {
                let started = self.detach_nothing(outcome);
                Decided::Settled(self.settled(unit, Ok(started), false), Vec::new())
            }
            Ok(Decision::Same(outcome)) => {
                let outcome = Self::planned(unit, outcome);
                Decided::Settled(self.settled(unit, Ok(outcome), false), Vec::new())
            }
            Ok(Decision::Change(change)) if unit.keywords.check => {
                let outcome = Self::planned(unit, change.outcome);
                let settled = self.settled(unit, Ok(outcome), true);
                Decided::Settled(settled, change.diffs)
            }
            // It would run in a plan, too, if there were a host.
            Ok(Decision::Change(_)) if settings.offline => {
                Decided::Settled(self.unknown(unit, "what it finds on the host"), Vec::new())
            }
            Ok(Decision::Change(mut change)) => {
                if let Some(limit) = unit.keywords.limit {
                    limit.set(&mut change.requests);
                }
                if unit.keywords.detached {
                    change = self.detach(remote, change);
                }
                Decided::Due(change)
            }
            // The host is not yet as the tasks before this one leave it.
            Err(error) if unit.keywords.check && (self.brings || settings.offline) => {
                let mut settled = self.unknown(unit, "what a task before it brings");
                settled.error = settled.error.map(|why| why.note(error.message));
                Decided::Settled(settled, Vec::new())
            }
            Err(error) => Decided::Settled(self.settled(unit, Err(error), false), Vec::new()),
        }
    }

    /// What a change came to: a failure when the task's time was over first.
    pub(super) fn outcome(
        &self,
        unit: &Unit,
        remote: &Remote,
        change: &Change,
        replies: &[Reply],
    ) -> Result<Map<String, Value>> {
        if unit.keywords.detached {
            // Only its start is over.
            crate::modules::all_succeeded(replies)?;
            return Ok(change.outcome.clone());
        }
        let limit = unit.keywords.limit;
        match limit.and_then(|limit| limit.exceeded(&change.requests, replies)) {
            Some(error) => Err(error.on(&self.host.name)),
            None => remote.module.finish(&remote.args, change, replies),
        }
    }

    /// What a task would have set of which it is not known whether it runs, or to what, is not known either.
    fn leave_unknown(&self, unit: &Unit) {
        let mut data = self.host.data_mut();
        let setters = setters::unsettled(&self.shared.settings, &unit.task);
        data.unsettled |= setters.anything;
        let found = matches!(
            unit.task.action.module,
            "service_facts" | "package_facts" | "getent"
        );
        for name in setters.names {
            if found {
                data.facts.insert(name, unknown());
            } else {
                data.set.insert(name, unknown());
            }
        }
    }

    /// Judges a module's answer.
    pub(super) fn settled(
        &self,
        unit: &Unit,
        outcome: Result<Map<String, Value>>,
        changed: bool,
    ) -> Settled {
        let kept = outcome.and_then(|mut outcome| {
            if let Work::Remote(remote) = &unit.work
                && unit.task.action.module == "fetch"
            {
                super::fetch::keep(
                    &mut outcome,
                    &remote.args,
                    &self.host.name,
                    &self.shared.settings.project,
                )?;
            }
            if unit.task.action.module == "async_status" {
                outcome = self.job(outcome);
            }
            Ok(outcome)
        });
        let (outcome, error) = match kept {
            Ok(outcome) => (outcome, None),
            Err(error) => (
                Map::new(),
                Some(Diagnostic {
                    code: exit::FAILED,
                    ..error
                }),
            ),
        };
        // A module that gives up has changed nothing as far as it can say, as in Ansible; only commands tell both.
        let changed = changed && error.is_none();
        settle(unit, outcome, changed, error, &self.shared.settings)
    }

    pub(super) fn unknown(&self, unit: &Unit, why: &str) -> Settled {
        if !self.shared.settings.check && !self.shared.settings.offline {
            let error = Diagnostic::with_code(exit::FAILED, format!("{why} is not known"))
                .at(&unit.task.span);
            return settle(unit, Map::new(), false, Some(error), &self.shared.settings);
        }
        Settled {
            status: Status::Unknown,
            result: unknown(),
            changed: false,
            error: Some(Diagnostic::new(format!("depends on {why}"))),
        }
    }

    /// The end of a change: reads the replies, judges, commits.
    pub(super) fn changed(
        &mut self,
        play: &PlayRun,
        due: &Due,
        replies: &[Reply],
        owing: usize,
    ) -> Flow {
        let Work::Remote(remote) = &due.unit.work else {
            return Flow::Go;
        };
        if let Some(failed) = replies[..owing].iter().find(|reply| reply.code != 0) {
            let error = Diagnostic::with_code(
                exit::FAILED,
                "cannot note the handlers that this change owes",
            )
            .note(failed.err().trim().to_owned());
            let settled = self.settled(&due.unit, Err(error), false);
            return self.commit(play, &due.unit, settled, Vec::new(), due.last, 0);
        }
        let ran: Vec<Reply> = replies[owing..]
            .iter()
            .take(due.change.requests.len())
            .take_while(|reply| reply.code >= 0)
            .cloned()
            .collect();
        let milliseconds = ran.iter().map(|reply| reply.milliseconds).sum();
        let outcome = self.outcome(&due.unit, remote, &due.change, &ran);
        let settled = self.settled(&due.unit, outcome, true);
        self.cross_out(play, &due.unit, &settled);
        self.commit(
            play,
            &due.unit,
            settled,
            due.change.diffs.clone(),
            due.last,
            milliseconds,
        )
    }

    /// Makes a result count.
    pub(super) fn commit(
        &mut self,
        play: &PlayRun,
        unit: &Unit,
        settled: Settled,
        diffs: Vec<Diff>,
        last: Option<bool>,
        milliseconds: u64,
    ) -> Flow {
        let last = self.ends_loop(unit, &settled, last);
        if let Some(facts) = settled
            .result
            .get("ansible_facts")
            .and_then(Value::as_object)
            // `set_fact` has kept its own: they are variables, not facts.
            .filter(|_| unit.task.action.module != "set_fact")
        {
            let known: Vec<(String, Value)> = facts
                .iter()
                .map(|(name, value)| {
                    (
                        name.trim_start_matches("ansible_").to_owned(),
                        value.clone(),
                    )
                })
                .collect();
            let put = put(unit);
            self.owner_of_facts(unit).data_mut().put_facts(known, put);
        }
        let unheard = settled.changed.then(|| self.unheard(unit)).flatten();
        let settled = match unheard {
            Some(error) => fallen(settled, error),
            None => settled,
        };
        if settled.changed {
            let fresh = self.notify(unit);
            if last.is_some() {
                self.state.loop_notified.extend(fresh);
            }
        }
        if settled.status == Status::Unknown {
            self.leave_unknown(unit);
        }
        if unit.keywords.check {
            let asks = !matches!(
                unit.work,
                Work::Local(_) | Work::Skip { .. } | Work::File { .. }
            );
            self.brings |= asks && (settled.changed || settled.status == Status::Unknown);
        }
        let failed = settled.status == Status::Failed;
        if !failed {
            self.recall(unit);
        }
        let error = settled.error.clone().map(|error| self.placed(unit, error));
        let status = if failed && self.state.rescuable {
            Status::Rescued
        } else {
            settled.status
        };
        self.show(
            play,
            unit,
            &Settled {
                status,
                ..settled.clone()
            },
            diffs,
            error.clone(),
            milliseconds,
        );
        let register = unit.task.keywords.register.as_ref();
        match last {
            None => {
                if failed {
                    self.fail(unit, &settled.result, error);
                }
                if let Some(name) = register {
                    let put = put(unit);
                    self.host.data_mut().put(name, settled.result, put);
                }
                if failed {
                    return Flow::Failed;
                }
            }
            Some(last) => {
                self.state.loop_results.push(settled.result);
                if failed && self.state.loop_failed.is_none() {
                    self.state.loop_failed = error;
                }
                if last {
                    let result = loop_result(std::mem::take(&mut self.state.loop_results));
                    let error = self.state.loop_failed.take();
                    let fresh = std::mem::take(&mut self.state.loop_notified);
                    let goes_on = error.is_none() || self.state.rescuable;
                    if goes_on && result.get("failed") == Some(&Value::Bool(true)) {
                        self.take_back(play, &fresh);
                    }
                    if error.is_some() {
                        self.fail(unit, &result, error.clone());
                    }
                    if let Some(name) = register {
                        self.host.data_mut().put(name, result, put(unit));
                    }
                    if error.is_some() {
                        return Flow::Failed;
                    }
                }
            }
        }
        Flow::Go
    }

    /// An error with its host, its place, and the task's place when that is another file.
    fn placed(&self, unit: &Unit, error: Diagnostic) -> Diagnostic {
        let span = &unit.task.span;
        let error = match &error.at {
            Some(at) if at.file.path != span.file.path => {
                error.note(format!("in the task at {span}"))
            }
            _ => error,
        };
        let full = error.help.is_none() && error.notes.iter().any(|note| note.contains(DISK_FULL));
        let error = if full {
            error.help(DISK_FULL_HELP)
        } else {
            error
        };
        error.on(&self.host.name).at(span)
    }

    fn fail(&mut self, unit: &Unit, result: &Value, error: Option<Diagnostic>) {
        let mut data = self.host.data_mut();
        data.put("ansible_failed_result", result.clone(), put(unit));
        let name = unit.task.name.as_deref().unwrap_or(unit.task.action.module);
        let task = serde_json::json!({"name": name, "action": unit.task.action.module});
        data.put("ansible_failed_task", task, put(unit));
        drop(data);
        self.state.failure = error;
        let context = self
            .shared
            .settings
            .context(&unit.scope.settled(), &unit.task);
        let keywords = &unit.task.keywords;
        let is = |node| super::unit::flag(node, false, &context).unwrap_or(false);
        let fatal = is(keywords.any_errors_fatal.as_ref());
        if let Some(reader) = &unit.scope.reader {
            if fatal || is(keywords.run_once.as_ref()) {
                self.is_fatal(&reader.place);
            }
        } else if fatal
            && !self.state.rescuable
            && let Some(play) = unit.scope.play.as_ref()
        {
            let index = play.index;
            self.shared
                .globals
                .coordinator
                .post(|board| board.plays[index].stop = Some("any_errors_fatal".to_owned()));
        }
    }

    pub(super) fn show(
        &self,
        play: &PlayRun,
        unit: &Unit,
        settled: &Settled,
        diffs: Vec<Diff>,
        error: Option<Diagnostic>,
        milliseconds: u64,
    ) {
        let hidden = unit.keywords.no_log;
        let censored = || serde_json::json!({"censored": "the output is hidden: `no_log` is set for this task"});
        let message = match &unit.work {
            Work::Local(Local::Debug { message, .. }) if !hidden => Some(message.clone()),
            Work::Local(Local::Held { message }) => message.clone(),
            Work::Remote(_) if !hidden => settled
                .result
                .get(crate::modules::MESSAGE)
                .and_then(Value::as_str)
                .map(str::to_owned),
            _ => None,
        };
        let error = error.map(|error| {
            if hidden {
                Diagnostic {
                    notes: vec!["details are hidden: `no_log` is set".to_owned()],
                    ..error
                }
            } else {
                error
            }
        });
        self.tell(Event::Task(Box::new(TaskEnd {
            host: self.host.name.clone(),
            play: play.play.name.clone(),
            task: self.title(unit),
            span: unit.task.span.clone(),
            item: if hidden {
                unit.label.as_ref().map(|_| "(hidden)".to_owned())
            } else {
                unit.label.clone()
            },
            status: settled.status,
            diffs: if hidden { Vec::new() } else { diffs },
            result: if hidden {
                censored()
            } else {
                settled.result.clone()
            },
            error,
            handler: self.state.handling,
            message,
            milliseconds,
        })));
    }

    /// The task's name with its variables filled in, as far as they are known.
    fn title(&self, unit: &Unit) -> String {
        let title = unit.task.title();
        if !title.contains("{{") {
            return title;
        }
        let context = self
            .shared
            .settings
            .context(&unit.scope.settled(), &unit.task);
        crate::template::known_parts(&title, &unit.task.span, &context).unwrap_or(title)
    }
}

/// A result as the failure that it is, whatever `ignore_errors` and `failed_when` make of it.
fn fallen(settled: Settled, error: Diagnostic) -> Settled {
    Settled {
        status: Status::Failed,
        error: Some(error),
        ..settled
    }
}

/// Where in a `linear` play a unit's host learns what the unit comes to.
pub(super) fn put(unit: &Unit) -> Option<(Key, Place)> {
    let reader = unit.scope.reader.as_ref()?;
    Some((reader.key, reader.place.clone()))
}
