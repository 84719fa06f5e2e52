//! What a failure means for the other hosts of a `linear` play: `any_errors_fatal`, `max_fail_percentage`, tasks that run once.
//!
//! What fails is told before the host goes on, so nobody passes the failed task without knowing. It waits for nobody.

use super::cursor::{Cursor, Fate as BlockFate, Step};
use super::judge::Judged;
use super::place::Place;
use super::run::PlayRun;
use super::runner::Runner;
use std::sync::Arc;

impl Runner {
    /// The play has ended for all.
    pub(super) fn halted(&mut self, play: &PlayRun) -> Judged {
        let board = self.shared.globals.coordinator.board();
        let stopped = board.plays[play.layers.index].stop.is_some();
        drop(board);
        self.state.halted = stopped;
        Judged::Over
    }

    /// A failure of another host, before `place`, fails this one: its rescue and always sections run, and the run ends for
    /// it with this play. `twice`: a task that runs once fails the others also in their rescue, as in Ansible.
    pub(super) fn struck(
        &mut self,
        play: &PlayRun,
        mut cursor: Cursor,
        place: &Place,
        twice: bool,
    ) -> Judged {
        let name = self.host.name.clone();
        let index = play.layers.index;
        let Some(pace) = &mut self.state.pace else {
            return Judged::On(cursor, None);
        };
        let (key, known) = (pace.key, pace.fatal);
        pace.fatal = self.shared.globals.coordinator.post(|board| {
            let order = board.orders.entry(key).or_default();
            let new = order.fatal.get(known..).unwrap_or_default().iter();
            let new = new.take_while(|(_, at)| twice || order.ranks.before(at, place));
            let count = new.count();
            board.stopped.insert(name.clone());
            board.plays[index].failed.insert(name);
            known + count
        });
        self.state.struck = true;
        let mut fate = cursor.fail();
        if twice && fate != BlockFate::Failed {
            fate = cursor.fail();
        }
        self.state.handling = cursor.is_handling();
        if fate == BlockFate::Failed {
            self.state.halted = true;
            return Judged::Over;
        }
        Judged::On(cursor, None)
    }

    /// This host has failed at a place: who still counts as being in the play, and whether too many have failed.
    pub(super) fn fell(&mut self, place: &Place, fate: BlockFate) {
        let name = self.host.name.clone();
        let Some(pace) = &mut self.state.pace else {
            return;
        };
        pace.failed = Some(place.clone());
        let (key, limit, size) = (pace.key, pace.limit, pace.mates.len());
        self.shared.globals.coordinator.post(|board| {
            let play = &mut board.plays[key.0];
            let entry = (name.clone(), key.1, Some(place.clone()));
            if fate == BlockFate::Rescued {
                // Another host's failure of the same task did not take it out.
                for gone in play.removed.iter_mut().filter(|gone| **gone == entry) {
                    gone.2 = Some(Place::end());
                }
                return;
            }
            play.removed.push(entry);
            if fate != BlockFate::Failed {
                return;
            }
            play.failed.insert(name.clone());
            // Counts of hosts are small.
            #[expect(clippy::cast_precision_loss, reason = "a handful of hosts")]
            let percent = play.failed.len() as f64 * 100.0 / size as f64;
            if limit.is_some_and(|limit| percent > limit) {
                play.stop = Some("max_fail_percentage".to_owned());
                board.orders.entry(key).or_default().halt(place);
            }
        });
    }

    /// The failure of a task is one of every host of the batch.
    pub(super) fn is_fatal(&self, place: &Place) {
        let Some(pace) = &self.state.pace else {
            return;
        };
        let name = &self.host.name;
        let key = pace.key;
        self.shared.globals.coordinator.post(|board| {
            let order = board.orders.entry(key).or_default();
            order.fatal.push((name.clone(), place.clone()));
            let failed_too = |host: &String| order.fatal.contains(&(host.clone(), place.clone()));
            let others = pace.mates.iter().filter(|host| !failed_too(host));
            for host in others {
                let entry = (host.clone(), key.1, Some(place.clone()));
                board.plays[key.0].removed.push(entry);
                // Those that have left the play before have no part in the rest of the run either.
                if board.plays[key.0].done.contains(host) {
                    board.stopped.insert(host.clone());
                }
            }
        });
    }

    /// The connection is lost: the host is out of the play, and where errors are fatal so are the others.
    pub(super) fn lost_in_step(&self, play: &PlayRun) {
        let Some(pace) = &self.state.pace else {
            return;
        };
        let place = {
            let board = self.shared.globals.coordinator.board();
            let order = board.orders.get(&pace.key);
            let standing = order.and_then(|order| order.standing.get(&self.host.name));
            standing
                .map(|standing| standing.at.clone())
                .unwrap_or_default()
        };
        let gone = (self.host.name.clone(), pace.key.1, Some(place.clone()));
        self.shared
            .globals
            .coordinator
            .post(|board| board.plays[pace.key.0].removed.push(gone));
        let node = play.play.keywords.any_errors_fatal.as_ref();
        let scope = super::scope::Scope::of_host(&play.globals, &self.host);
        let context = self.shared.settings.plain_context(&scope);
        if super::unit::flag(node, false, &context).unwrap_or(false) {
            self.is_fatal(&place);
        }
    }

    /// Where handlers of a host that has failed run: where the others run theirs next.
    pub(super) fn next_flush(&self, play: &PlayRun) -> Cursor {
        let last = || Cursor::new(Arc::from([Step::Flush]));
        let Some(pace) = &self.state.pace else {
            return last();
        };
        let board = self.shared.globals.coordinator.board();
        let standing = board
            .orders
            .get(&pace.key)
            .and_then(|order| order.standing.get(&self.host.name));
        let here = standing.map_or(0, |standing| standing.at.first());
        let flush = (here..play.steps.len()).find(|at| matches!(play.steps[*at], Step::Flush));
        flush.map_or_else(last, |at| Cursor::only(&play.steps, at))
    }
}
