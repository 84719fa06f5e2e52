//! What is known of every host during a run, and what the hosts wait for from each other.

use super::event::Event;
use super::order::{Key, Order, Put};
use super::place::Place;
use crate::base::value::{Map, Value};
use crate::source::{Node, SourceFile, Span};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Semaphore, mpsc, watch};

/// What a run learns about a host.
#[derive(Debug, Default)]
pub struct HostData {
    /// `ansible_facts`.
    pub facts: Map<String, Value>,
    /// `set_fact` and `register`.
    pub set: HashMap<String, Value>,
    /// `include_vars`: raw, still templates.
    pub included: HashMap<String, Node>,
    /// A plan has passed what may have set anything: whether a name is defined that nobody set is not known from then on.
    pub unsettled: bool,
    /// What was started with `poll: 0`, by its name.
    pub jobs: HashMap<String, super::jobs::Job>,
    /// What `~`, `~name` and `$NAME` stand for: by the host that a task is delegated to, the user, and the word.
    pub expansions: HashMap<(String, String, String), String>,
    /// What was learned in `linear` plays, in order.
    pub puts: Vec<Put>,
}

/// A host of the inventory.
#[derive(Debug)]
pub struct HostState {
    /// Its name.
    pub name: String,
    /// The inventory's variables for it, merged.
    pub variables: HashMap<String, Node>,
    /// The groups that it is in, sorted, without `all`.
    pub groups: Vec<String>,
    data: RwLock<HostData>,
}

impl HostState {
    /// With nothing learned yet.
    pub fn new(name: &str, variables: HashMap<String, Node>, groups: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            variables,
            groups,
            data: RwLock::default(),
        }
    }

    /// What was learned.
    pub fn data(&self) -> RwLockReadGuard<'_, HostData> {
        self.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was learned, to add to it.
    pub fn data_mut(&self) -> RwLockWriteGuard<'_, HostData> {
        self.data.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the hosts of one play stand.
#[derive(Debug, Default, Clone)]
pub struct PlayBoard {
    /// Its name.
    pub name: String,
    /// Its hosts in order.
    pub hosts: Vec<String>,
    /// The batches of `serial`; one batch of all without it.
    pub batches: Vec<Vec<String>>,
    /// Hosts that are through, one way or the other.
    pub done: HashSet<String>,
    /// Hosts that failed or were lost in it.
    pub failed: HashSet<String>,
    /// Set when the play must stop everywhere: why.
    pub stop: Option<String>,
    /// `meta: end_play`: over for everybody, without a failure.
    pub ended: bool,
    /// Hosts that `ansible_play_hosts` no longer names: their batch, and the place from which on.
    pub removed: Vec<(String, usize, Option<Place>)>,
}

impl PlayBoard {
    /// The batch of `serial` that a host is in.
    pub fn batch(&self, host: &str) -> usize {
        let holds = |batch: &Vec<String>| batch.iter().any(|name| name == host);
        self.batches.iter().position(holds).unwrap_or(0)
    }

    /// A host is out of the play.
    pub fn remove(&mut self, host: &str) {
        if !self.removed.iter().any(|(gone, _, _)| gone == host) {
            let batch = self.batch(host);
            self.removed.push((host.to_owned(), batch, None));
        }
    }
}

/// The result of a `run_once` task.
#[derive(Debug, Clone)]
pub enum Once {
    /// A host is at it.
    Claimed(String),
    /// Done: whether it failed, what it registers, and the facts that it set.
    Done {
        failed: bool,
        result: Value,
        facts: HashMap<String, Value>,
    },
}

/// Everything that hosts wait for.
#[derive(Debug, Default)]
pub struct Board {
    /// The plays.
    pub plays: Vec<PlayBoard>,
    /// Hosts out of the run.
    pub lost: HashSet<String>,
    /// Hosts that have connected, or failed to.
    pub greeted: HashSet<String>,
    /// Hosts whose plays were looked over, or that are out of the run.
    pub surveyed: HashSet<String>,
    /// Hosts whose plays cannot be run; a set of its own, for the others may still be asking who is locked.
    pub impossible: HashSet<String>,
    /// Hosts whose lock somebody else holds.
    pub refused: HashSet<String>,
    /// `run_once` by play and task.
    pub once: HashMap<(usize, String), Once>,
    /// Who may run a task with `throttle`, by play and task.
    pub turns: HashMap<String, Arc<Semaphore>>,
    /// Where the hosts of `linear` plays stand.
    pub orders: HashMap<Key, Order>,
    /// Hosts that a failure of another host has taken out of the run.
    pub stopped: HashSet<String>,
}

impl Board {
    /// Whether a host still has something to do in a play.
    pub fn is_active(&self, play: usize, host: &str) -> bool {
        !self.lost.contains(host) && !self.plays[play].done.contains(host)
    }
}

/// The board, and the bell that rings when it changes.
#[derive(Debug)]
pub struct Coordinator {
    board: Mutex<Board>,
    bell: watch::Sender<u64>,
    events: mpsc::UnboundedSender<Event>,
}

impl Coordinator {
    /// With the plays' hosts already known.
    pub fn new(plays: Vec<PlayBoard>, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            board: Mutex::new(Board {
                plays,
                ..Board::default()
            }),
            bell: watch::Sender::new(0),
            events,
        }
    }

    /// Tells the reporters.
    pub fn tell(&self, event: Event) {
        // Nobody listens any more when the program is ending.
        let _ = self.events.send(event);
    }

    /// Looks at the board.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the board and rings the bell.
    pub fn post<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let value = change(&mut self.board());
        self.ring();
        value
    }

    /// Rings the bell: the board was changed.
    pub fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    /// Waits until the board gives something.
    pub async fn wait<T>(&self, mut look: impl FnMut(&mut Board) -> Option<T>) -> T {
        let mut bell = self.bell.subscribe();
        loop {
            bell.borrow_and_update();
            if let Some(value) = look(&mut self.board()) {
                return value;
            }
            // The sender lives as long as self.
            let _ = bell.changed().await;
        }
    }
}

/// All hosts by name.
pub type Hosts = BTreeMap<String, Arc<HostState>>;

/// This machine is a host in every inventory, though in no group of one that does not name it.
pub fn with_this_machine<T>(mut hosts: Hosts, variables: Vec<(String, Node, T)>) -> Hosts {
    let name = "localhost";
    hosts.entry(name.to_owned()).or_insert_with(|| {
        let span = Span {
            file: Arc::new(SourceFile {
                path: "(this machine)".to_owned(),
                text: String::new(),
            }),
            line: 1,
            column: 1,
        };
        let local = Node::from_value(&Value::from("local"), &span);
        let variables = variables
            .into_iter()
            .map(|(key, node, _)| (key, node))
            .chain([("ansible_connection".to_owned(), local)])
            .collect();
        Arc::new(HostState::new(name, variables, Vec::new()))
    });
    hosts
}
