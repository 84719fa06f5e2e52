//! The order between the hosts of a `linear` play, as data: who stands where, what was changed, who read what of whom.
//!
//! Nothing here waits. A play whose strategy is `free` has none of this.

use super::place::{Place, Ranks};
use super::scope::Globals;
use super::state::{Board, HostData, HostState};
use crate::base::value::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A batch of a play: the hosts that keep step.
pub type Key = (usize, usize);

/// Where a host stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Everything before this is done.
    pub at: Place,
    /// Everything before this is done or known to change nothing; never before `at`.
    pub clear: Place,
}

/// Where the hosts of a batch stand, and what they have to tell each other.
#[derive(Debug, Default)]
pub struct Order {
    /// By host; one that is not here has not begun.
    pub standing: HashMap<String, Standing>,
    /// Changes that are made: by whom, and at which place.
    pub changes: Vec<(String, Place)>,
    /// Failures that are fatal for all: of whom, and where.
    pub fatal: Vec<(String, Place)>,
    /// Nobody goes on behind this place.
    pub halt: Option<Place>,
    /// Which of two contents of an include comes first.
    pub ranks: Ranks,
}

impl Order {
    /// A host stands here. Whether that is news.
    pub fn stand(&mut self, host: &str, at: &Place, clear: &Place) -> bool {
        let Some(standing) = self.standing.get_mut(host) else {
            let (at, clear) = (at.clone(), clear.clone());
            self.standing
                .insert(host.to_owned(), Standing { at, clear });
            return true;
        };
        let mut news = false;
        if self.ranks.before(&standing.at, at) {
            standing.at = at.clone();
            news = true;
        }
        let clear = if self.ranks.before(clear, &standing.at) {
            &standing.at
        } else {
            clear
        };
        if self.ranks.before(&standing.clear, clear) {
            standing.clear = clear.clone();
            news = true;
        }
        news
    }

    /// A host has changed something. What others have seen of the places after it counts no more, and they may have to
    /// change something there now.
    pub fn changed(&mut self, host: &str, place: &Place) {
        self.changes.push((host.to_owned(), place.clone()));
        let next = place.next();
        for (other, standing) in &mut self.standing {
            if other != host && self.ranks.before(&next, &standing.clear) {
                standing.clear = if self.ranks.before(&next, &standing.at) {
                    standing.at.clone()
                } else {
                    next.clone()
                };
            }
        }
    }

    /// Whether another host has changed something before a place since then.
    pub fn changed_since(&self, since: usize, host: &str, place: &Place) -> bool {
        let later = self.changes.get(since..).unwrap_or_default();
        later
            .iter()
            .any(|(by, at)| by != host && self.ranks.before(at, place))
    }

    /// Nobody goes on behind a place.
    pub fn halt(&mut self, place: &Place) {
        let earlier = |halt: &Place| self.ranks.before(halt, place);
        if !self.halt.as_ref().is_some_and(earlier) {
            self.halt = Some(place.clone());
        }
    }
}

/// Something that a host has learned, and what was known in its place before.
#[derive(Debug)]
pub struct Put {
    key: Key,
    place: Place,
    name: String,
    old: Option<Value>,
}

impl HostData {
    /// Learns a variable; hosts that are not there yet go on seeing what was there.
    pub fn put(&mut self, name: &str, value: Value, at: Option<(Key, Place)>) {
        let old = self.set.insert(name.to_owned(), value);
        self.note(name, old, at);
    }

    /// Learns facts.
    pub fn put_facts(&mut self, facts: Vec<(String, Value)>, at: Option<(Key, Place)>) {
        let old = at.is_some().then(|| Value::Object(self.facts.clone()));
        self.facts.extend(facts);
        self.note(FACTS, old, at);
    }

    /// Notes that something of this name was learned.
    pub fn note(&mut self, name: &str, old: Option<Value>, at: Option<(Key, Place)>) {
        if let Some((key, place)) = at {
            let name = name.to_owned();
            let put = Put {
                key,
                place,
                name,
                old,
            };
            self.puts.push(put);
        }
    }
}

/// All facts of a host.
pub const FACTS: &str = "ansible_facts";

/// The hosts of the play that are still in it.
const HOSTS: &str = "ansible_play_hosts";

/// Something that was read of another host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Read {
    /// None: which hosts are still in the play.
    host: Option<String>,
    name: String,
    place: Place,
    seen: usize,
}

/// What was read of other hosts.
#[derive(Debug, Default)]
pub struct Reads {
    known: HashSet<Read>,
    list: Vec<Read>,
}

/// What a variable was.
#[derive(Debug)]
pub enum Past {
    /// What it is now.
    Now,
    /// It was not there.
    Nothing,
    /// Something else.
    Was(Value),
}

/// Who reads, and where it stands.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The host.
    pub host: String,
    /// Its batch.
    pub key: Key,
    /// Its place.
    pub place: Place,
    /// What it reads of others.
    pub reads: Arc<Mutex<Reads>>,
}

impl Reader {
    fn read(&self, host: Option<&str>, name: &str, seen: usize) {
        let read = Read {
            host: host.map(str::to_owned),
            name: name.to_owned(),
            place: self.place.clone(),
            seen,
        };
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.known.insert(read.clone()) {
            reads.list.push(read);
        }
    }

    /// What a host's variable was at this place.
    pub fn past(&self, globals: &Globals, host: &HostState, name: &str) -> Past {
        if host.name == self.host {
            return Past::Now;
        }
        let data = host.data();
        self.read(Some(&host.name), name, data.puts.len());
        let later: Vec<(Place, Option<Value>)> = data
            .puts
            .iter()
            .filter(|put| put.key == self.key && put.name == name)
            .map(|put| (put.place.clone(), put.old.clone()))
            .collect();
        drop(data);
        if later.is_empty() {
            return Past::Now;
        }
        let board = globals.coordinator.board();
        let Some(order) = board.orders.get(&self.key) else {
            return Past::Now;
        };
        let not_before = |(place, _): &(Place, _)| !order.ranks.before(place, &self.place);
        match later.into_iter().find(not_before) {
            Some((_, old)) => old.map_or(Past::Nothing, Past::Was),
            None => Past::Now,
        }
    }

    /// The hosts that are out of the play, as seen from this place.
    pub fn removed(&self, board: &Board) -> HashSet<String> {
        let removed = &board.plays[self.key.0].removed;
        self.read(None, HOSTS, removed.len());
        let order = board.orders.get(&self.key);
        let is_seen = |(_, batch, place): &&(String, usize, Option<Place>)| match (place, order) {
            (Some(place), Some(order)) if *batch == self.key.1 => {
                order.ranks.before(place, &self.place)
            }
            _ => true,
        };
        let seen = removed.iter().filter(is_seen);
        seen.map(|(host, _, _)| host.clone()).collect()
    }
}

/// How many reads there are.
pub fn count(reads: &Mutex<Reads>) -> usize {
    let reads = reads.lock().unwrap_or_else(PoisonError::into_inner);
    reads.list.len()
}

/// Whether some of the reads would give the same now that every host has passed the places that they were made at.
pub fn hold(
    reads: &Mutex<Reads>,
    range: std::ops::Range<usize>,
    globals: &Globals,
    key: Key,
) -> bool {
    let reads = reads.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = reads.list.get(range).unwrap_or_default();
    wanted.iter().all(|read| {
        let later: Vec<Place> = match &read.host {
            None => {
                let board = globals.coordinator.board();
                let removed = board.plays[key.0].removed.get(read.seen..);
                let removed = removed.unwrap_or_default().iter();
                removed.filter_map(|(_, _, place)| place.clone()).collect()
            }
            Some(host) => globals.hosts.get(host).map_or_else(Vec::new, |host| {
                let data = host.data();
                let puts = data.puts.get(read.seen..).unwrap_or_default().iter();
                puts.filter(|put| put.key == key && put.name == read.name)
                    .map(|put| put.place.clone())
                    .collect()
            }),
        };
        if later.is_empty() {
            return true;
        }
        let board = globals.coordinator.board();
        let Some(order) = board.orders.get(&key) else {
            return true;
        };
        later
            .iter()
            .all(|place| !order.ranks.before(place, &read.place))
    })
}
