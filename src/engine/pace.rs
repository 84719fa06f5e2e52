//! A host in a `linear` play: it looks ahead as far as it likes, and makes nothing count before the others have come there.
//!
//! What is proven to change nothing lets the others pass at once, so a play that changes nothing costs no round trip
//! more. What was seen before another host changed something is thrown away and seen again. A host waits only for hosts
//! that are behind it in the play, never for one that is ahead.

use super::cursor::Cursor;
use super::judge::Judged;
use super::order::Key;
use super::place::Place;
use super::run::PlayRun;
use super::runner::Runner;
use super::state::Board;

/// What keeps a host in step.
#[derive(Debug)]
pub(super) struct Pace {
    /// The play, and the batch.
    pub key: Key,
    /// The hosts of the batch, in order.
    pub mates: Vec<String>,
    /// This host's number among them.
    pub number: usize,
    /// The place that everybody has come to, when the host has just waited for that.
    pub certain: Option<Place>,
    /// Another host has changed something: whatever is seen before everybody has come here counts nothing.
    pub doubtful: bool,
    /// Something was changed outside of a window.
    pub applied: bool,
    /// At most so many percent of the batch may fail.
    pub limit: Option<f64>,
    /// Fatal failures that have been taken into account.
    pub fatal: usize,
    /// Where this host has failed.
    pub failed: Option<Place>,
}

/// What comes of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Everybody has come here.
    Mine,
    /// So they have, and one has changed something since this host looked.
    Stale,
    /// A failure of another host is one of this host too.
    Fatal,
    /// The play ends before this place.
    Halt,
}

impl Pace {
    fn look(&self, board: &Board, name: &str, wish: &Wish<'_>) -> Option<Turn> {
        let place = wish.place;
        let order = board.orders.get(&self.key)?;
        let before = |one: &Place| order.ranks.before(one, place);
        if order.halt.as_ref().is_some_and(before) {
            return Some(Turn::Halt);
        }
        let new = order.fatal.get(self.fatal..).unwrap_or_default();
        if new
            .iter()
            .any(|(by, at)| by != name && before(at) && self.failed.as_ref() != Some(at))
        {
            return Some(Turn::Fatal);
        }
        let behind = |host: &&String| {
            *host != name
                && board.is_active(self.key.0, host)
                && order.standing.get(*host).is_none_or(|standing| {
                    before(if wish.together {
                        &standing.at
                    } else {
                        &standing.clear
                    })
                })
        };
        if self.mates.iter().any(|host| behind(&host)) {
            return None;
        }
        Some(match wish.since {
            Some(since) if order.changed_since(since, name, place) => Turn::Stale,
            _ => Turn::Mine,
        })
    }
}

/// What a host waits for.
pub(super) struct Wish<'a> {
    /// Where it wants to go on.
    pub place: &'a Place,
    /// Up to where it is known to change nothing.
    pub clear: &'a Place,
    /// How many changes there were when it looked.
    pub since: Option<usize>,
    /// The others must have done all before the place, and not only be known to change nothing there.
    pub together: bool,
}

impl Runner {
    /// For a play whose hosts keep step; none when there is nobody to keep step with.
    pub(super) fn pace(&self, play: &PlayRun) -> Option<Pace> {
        let index = play.layers.index;
        let board = self.shared.globals.coordinator.board();
        let batch = board.plays[index].batch(&self.host.name);
        let mates = board.plays[index].batches.get(batch)?.clone();
        let number = mates.iter().position(|host| *host == self.host.name)?;
        (play.play.in_step && mates.len() > 1).then_some(Pace {
            key: (index, batch),
            mates,
            number,
            certain: None,
            doubtful: false,
            applied: false,
            limit: play.max_fail_percentage,
            fatal: 0,
            failed: None,
        })
    }

    /// How many changes there were in the batch.
    pub(super) fn changes(&self) -> usize {
        let Some(pace) = &self.state.pace else {
            return 0;
        };
        let board = self.shared.globals.coordinator.board();
        board
            .orders
            .get(&pace.key)
            .map_or(0, |order| order.changes.len())
    }

    /// Tells the others where this host stands.
    pub(super) fn stand(&self, at: &Place, clear: &Place) {
        let Some(pace) = &self.state.pace else {
            return;
        };
        let coordinator = &self.shared.globals.coordinator;
        let news = {
            let mut board = coordinator.board();
            let order = board.orders.entry(pace.key).or_default();
            order.stand(&self.host.name, at, clear)
        };
        if news {
            coordinator.ring();
        }
    }

    /// Waits until the others have come to a place.
    pub(super) async fn await_turn(&self, wish: Wish<'_>) -> Turn {
        let Some(pace) = &self.state.pace else {
            return Turn::Mine;
        };
        let name = &self.host.name;
        let coordinator = &self.shared.globals.coordinator;
        let now = pace.look(&coordinator.board(), name, &wish);
        match now {
            Some(turn) if !wish.together => turn,
            _ => {
                self.stand(wish.place, wish.clear);
                coordinator
                    .wait(|board| pace.look(board, name, &wish))
                    .await
            }
        }
    }

    /// Waits at the head of a play's rest until everybody has come there. `None`: this host may go on.
    pub(super) async fn turn_at_head(
        &mut self,
        play: &PlayRun,
        cursor: &Cursor,
        place: &Place,
    ) -> Option<Judged> {
        let turn = self.await_turn(Wish {
            place,
            clear: place,
            since: None,
            together: true,
        });
        match turn.await {
            Turn::Halt => Some(self.halted(play)),
            Turn::Fatal => Some(self.struck(play, cursor.clone(), place, false)),
            Turn::Mine | Turn::Stale => {
                if let Some(pace) = &mut self.state.pace {
                    pace.certain = Some(place.clone());
                    pace.doubtful = false;
                }
                None
            }
        }
    }

    /// This host has changed something at a place, which it has passed unless it is `within` a loop.
    pub(super) fn made(&self, place: &Place, within: bool) {
        let Some(pace) = &self.state.pace else {
            return;
        };
        let at = if within { place.clone() } else { place.next() };
        let name = &self.host.name;
        self.shared.globals.coordinator.post(|board| {
            let order = board.orders.entry(pace.key).or_default();
            order.changed(name, place);
            order.stand(name, &at, &at);
        });
    }
}
