//! From what was seen of a window to what comes of it: entry by entry, up to the first change.
//!
//! Where hosts keep step nothing counts before everybody has come to its place, and what was seen before another host's
//! change is not used. Nothing is sent to a host here.

use super::action::Local;
use super::commit::Decided;
use super::cursor::Cursor;
use super::order;
use super::pace::{Turn, Wish};
use super::place::Place;
use super::run::PlayRun;
use super::runner::{Due, Flow, Runner};
use super::unit::{Unit, Work};
use super::window::{Entry, Reach, What, Window};
use crate::base::Result;
use crate::base::value::{Value, to_bool};
use crate::modules::{Change, Decision, Seen};
use crate::play::Keywords;
use crate::source::{Node, Yaml};
use std::sync::Arc;

/// How a window went.
pub(super) enum Judged {
    /// On from here, perhaps with a change.
    On(Cursor, Option<Due>),
    /// The play is over for this host.
    Over,
}

impl Runner {
    /// Judges what was seen, entry by entry, up to the first change.
    pub(super) fn judge(
        &mut self,
        play: &PlayRun,
        window: Window,
        seen: &[Seen],
        from: Cursor,
    ) -> Result<Judged> {
        let mut cursor = from;
        for (behind, entry) in window.entries.into_iter().enumerate() {
            if let Some(judged) = self.judge_entry(play, entry, seen, &mut cursor, behind)? {
                return Ok(judged);
            }
        }
        self.state.reach = self.state.reach.after_none();
        Ok(Judged::On(cursor, None))
    }

    /// Judges one entry, `behind` so many others. What comes of it when the window ends with it.
    pub(super) fn judge_entry(
        &mut self,
        play: &PlayRun,
        entry: Entry,
        seen: &[Seen],
        cursor: &mut Cursor,
        behind: usize,
    ) -> Result<Option<Judged>> {
        let (unit, probes, last) = match entry.what {
            What::Flush if self.state.notified.is_empty() => {
                *cursor = entry.after;
                return Ok(None);
            }
            What::Flush => return Ok(Some(Judged::On(entry.before, None))),
            What::HandlerDone(index) => {
                *cursor = entry.after;
                let more = self.handler_done(play, index, cursor);
                return Ok(more.then(|| Judged::On(cursor.clone(), None)));
            }
            What::HandlersDone => {
                self.state.handling = false;
                *cursor = entry.after;
                return Ok(None);
            }
            What::Unit { unit, probes, last } => (unit, probes, last),
        };
        self.state.rescuable = Self::rescued(&entry.before);
        let flow = match &unit.work {
            Work::Remote(remote) => match self.decide(remote, &unit, &seen[probes]) {
                Decided::Settled(settled, diffs) => {
                    self.owe_late(play, &unit, &settled);
                    self.commit(play, &unit, settled, diffs, last, 0)
                }
                Decided::Due(mut change) => {
                    self.foresee(play, &unit, &mut change, &entry.after);
                    self.state.reach = Reach::after_change(behind);
                    let due = Due {
                        unit,
                        change,
                        last,
                        after: entry.after,
                        before: entry.before.clone(),
                    };
                    return Ok(Some(Judged::On(entry.before, Some(due))));
                }
            },
            _ => self.local(play, &unit, last),
        };
        if flow == Flow::Failed {
            return Ok(Some(Judged::On(self.unwind(entry.before)?, None)));
        }
        *cursor = entry.after;
        Ok(None)
    }

    /// Tells a change of the firewall what the tasks after it let in.
    fn foresee(&self, play: &PlayRun, unit: &Unit, change: &mut Change, after: &Cursor) {
        if unit.task.action.module != "ufw" || unit.keywords.detached {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let host = Arc::clone(&self.host);
        let rules = self
            .walker(play, &shared, &host)
            .rules_to_come(after.clone());
        for request in &mut change.requests {
            request.stdin = rules.join("\n").into_bytes();
        }
    }

    /// Judges what was seen, entry by entry, each when its turn has come, up to the first change.
    pub(super) async fn judge_in_step(
        &mut self,
        play: &PlayRun,
        window: Window,
        seen: &[Seen],
        from: Cursor,
        since: usize,
    ) -> Result<Judged> {
        let mut cursor = from;
        let mut end = window.end.clone();
        end.peek();
        let mut places: Vec<Place> = window
            .entries
            .iter()
            .map(|entry| entry.before.place())
            .collect();
        places.push(end.place());
        let reads = Arc::clone(&window.reads);
        let mut held = 0;
        let mut proven = 0;
        let mut entries = window.entries;
        let count = entries.len();
        entries.reverse();
        for behind in 0..count {
            // From the end: the next one is the last.
            let rest = &entries;
            proven = proven.max(behind);
            while proven < count && self.proves(&rest[count - 1 - proven], seen, held) {
                proven += 1;
            }
            let Some(entry) = entries.pop() else { break };
            let together = entry.reads > held || !is_plain(&entry);
            let turn = self.await_turn(Wish {
                place: &places[behind],
                clear: &places[proven],
                since: Some(since),
                together,
            });
            match turn.await {
                Turn::Halt => return Ok(self.halted(play)),
                Turn::Fatal => return Ok(self.struck(play, cursor, &places[behind], false)),
                Turn::Stale => return Ok(self.again(cursor)),
                Turn::Mine => {}
            }
            if let Some(pace) = &self.state.pace
                && !order::hold(&reads, held..entry.reads, &play.globals, pace.key)
            {
                return Ok(self.again(cursor));
            }
            held = held.max(entry.reads);
            if let Some(judged) = self.judge_entry(play, entry, seen, &mut cursor, behind)? {
                return Ok(judged);
            }
        }
        self.state.reach = self.state.reach.after_none();
        Ok(Judged::On(cursor, None))
    }

    /// What was seen counts no more: on from here when everybody has come here.
    fn again(&mut self, cursor: Cursor) -> Judged {
        if let Some(pace) = &mut self.state.pace {
            pace.doubtful = true;
        }
        Judged::On(cursor, None)
    }

    /// Whether an entry is certain to change nothing and to let the host go on.
    fn proves(&self, entry: &Entry, seen: &[Seen], held: usize) -> bool {
        let quiet = self.state.notified.is_empty() && self.state.owed.is_empty();
        let What::Unit { unit, probes, .. } = &entry.what else {
            return quiet;
        };
        if entry.reads > held || !is_plain(entry) {
            return false;
        }
        match &unit.work {
            Work::Skip { .. } | Work::Idle { .. } | Work::File { .. } => true,
            Work::Local(local) => matches!(
                local,
                Local::Debug { .. }
                    | Local::SetFact { .. }
                    | Local::IncludeVars { .. }
                    | Local::Held { .. }
            ),
            Work::Unknown { .. } => self.shared.settings.check || self.shared.settings.offline,
            Work::Fail(_) | Work::Ask(_) => false,
            Work::Remote(remote) => {
                remote.certain.is_none()
                    && !remote.reads
                    && matches!(
                        remote.module.diff(&remote.args, &seen[probes.clone()]),
                        Ok(Decision::Same(outcome)) if !is_true(outcome.get("failed")) && !is_true(outcome.get("changed"))
                    )
            }
        }
    }
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(to_bool).unwrap_or(false)
}

/// Whether what an entry comes to is told by its module alone.
fn is_plain(entry: &Entry) -> bool {
    match &entry.what {
        What::Unit { unit, .. } => is_unjudged(unit),
        _ => true,
    }
}

fn is_unjudged(unit: &Unit) -> bool {
    let no = |list: &Option<Vec<Node>>| {
        list.as_ref().is_none_or(|list| {
            list.iter()
                .all(|node| matches!(node.yaml, Yaml::Bool(false)))
        })
    };
    let Keywords {
        changed_when,
        failed_when,
        ..
    } = &unit.task.keywords;
    no(changed_when) && no(failed_when)
}
