//! The connections of `status`: one line a host, so that a host that does not answer keeps nobody waiting.
//!
//! A line that is lost is opened again beside the looks, never before them.

use crate::base::{Diagnostic, Result, exit};
use crate::connection::Target;
use crate::modules::Request;
use crate::ops::connection_pool::{Answer, ConnectionPool};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Seconds that ssh may take to connect.
pub const CONNECT: u64 = 3;
/// How long the first look waits for connections: log-in and sudo come on top of connecting.
const FIRST: Duration = Duration::from_secs(2 * CONNECT + 1);
/// How long a later look waits for one that was lost.
const AGAIN: Duration = Duration::from_millis(700);
/// How long a host may take to answer one look.
const ANSWER: Duration = Duration::from_secs(9);

/// One host's connection.
struct Line {
    host: String,
    state: State,
    why: Option<Diagnostic>,
}

enum State {
    Open(ConnectionPool),
    Lost(ConnectionPool),
    Trying(JoinHandle<ConnectionPool>),
    /// Its connections went down with a task; it is opened anew.
    Gone,
}

/// The connections to all hosts.
pub struct Lines {
    targets: BTreeMap<String, Target>,
    all: Vec<Line>,
    gate: Arc<Semaphore>,
    looked: bool,
}

impl Lines {
    /// Begins to connect, to at most `forks` hosts at a time; must be called inside a runtime.
    pub fn new(targets: Vec<Target>, forks: usize) -> Self {
        let gate = Arc::new(Semaphore::new(forks.max(1)));
        let targets: BTreeMap<String, Target> = targets
            .into_iter()
            .map(|mut target| {
                target.timeout_seconds = target.timeout_seconds.clamp(1, CONNECT);
                (target.host.clone(), target)
            })
            .collect();
        let all = targets
            .values()
            .map(|target| Line {
                host: target.host.clone(),
                state: State::Trying(open(&gate, target.clone())),
                why: None,
            })
            .collect();
        Self {
            targets,
            all,
            gate,
            looked: false,
        }
    }

    /// Asks every host: one round trip each. A host without a line says why it has none.
    pub async fn round(
        &mut self,
        mut work: BTreeMap<String, Vec<Request>>,
    ) -> BTreeMap<String, Result<Answer>> {
        let patience = if self.looked { AGAIN } else { FIRST };
        self.looked = true;
        let (gate, targets) = (&self.gate, &self.targets);
        let asked = self.all.iter_mut().filter_map(|line| {
            let requests = work.remove(&line.host)?;
            let target = targets.get(&line.host)?;
            Some(async move {
                let answer = line.ask(requests, target, gate, patience).await;
                (line.host.clone(), answer)
            })
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Round trips that a host has cost on the connection that is open now.
    pub fn round_trips(&self, host: &str) -> u64 {
        self.all
            .iter()
            .find_map(|line| match &line.state {
                State::Open(pool) if line.host == host => Some(pool.statistics(host).round_trips),
                _ => None,
            })
            .unwrap_or_default()
    }
}

impl Line {
    async fn ask(
        &mut self,
        requests: Vec<Request>,
        target: &Target,
        gate: &Arc<Semaphore>,
        patience: Duration,
    ) -> Result<Answer> {
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(pool) => State::Open(pool),
            State::Trying(task) => State::Trying(task),
            State::Lost(pool) => State::Trying(reopen(gate, pool)),
            State::Gone => State::Trying(open(gate, target.clone())),
        };
        if let State::Trying(task) = &mut self.state {
            match tokio::time::timeout(target.patient(patience), task).await {
                Ok(Ok(pool)) => {
                    self.why = pool.lost(&self.host);
                    self.state = if self.why.is_some() {
                        State::Lost(pool)
                    } else {
                        State::Open(pool)
                    };
                }
                Ok(Err(_)) => self.state = State::Gone,
                Err(_) => {}
            }
        }
        let State::Open(pool) = &mut self.state else {
            return Err(self.why.clone().unwrap_or_else(|| {
                lost(
                    &self.host,
                    &format!("no connection within {} s", target.patient(FIRST).as_secs()),
                )
            }));
        };
        let work = [(self.host.clone(), requests)].into();
        let limit = target.patient(ANSWER);
        let answer = match tokio::time::timeout(limit, pool.round(work)).await {
            Ok(mut answers) => answers
                .remove(&self.host)
                .unwrap_or_else(|| Err(lost(&self.host, "the host was not asked"))),
            // The exchange is dropped, and the connection with it.
            Err(_) => Err(lost(
                &self.host,
                &format!("no answer within {} s", limit.as_secs()),
            )),
        };
        if let Err(error) = &answer {
            self.why = Some(error.clone());
            if let State::Open(pool) = std::mem::replace(&mut self.state, State::Gone) {
                self.state = State::Lost(pool);
            }
        }
        answer
    }
}

fn open(gate: &Arc<Semaphore>, target: Target) -> JoinHandle<ConnectionPool> {
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        let _pass = gate.acquire_owned().await;
        ConnectionPool::open(vec![target], 1).await
    })
}

fn reopen(gate: &Arc<Semaphore>, mut pool: ConnectionPool) -> JoinHandle<ConnectionPool> {
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        let _pass = gate.acquire_owned().await;
        pool.reopen().await;
        pool
    })
}

fn lost(host: &str, why: &str) -> Diagnostic {
    Diagnostic::with_code(exit::UNREACHABLE, why).on(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(name: &str) -> Target {
        Target {
            host: name.to_owned(),
            local: true,
            timeout_seconds: 10,
            ..Target::default()
        }
    }

    fn work(script: &str) -> BTreeMap<String, Vec<Request>> {
        ["a", "b"]
            .map(|host| (host.to_owned(), vec![Request::sh(script)]))
            .into()
    }

    #[tokio::test]
    async fn a_line_stays_open_and_a_lost_one_is_tried_again() {
        let mut lines = Lines::new(vec![here("a"), here("b")], 1);
        let out = |answer: &Result<Answer>| {
            answer
                .as_ref()
                .map(|answer| answer.replies[0].out().trim().to_owned())
                .map_err(Clone::clone)
        };
        let pid = "read -r _ _ _ shell _ </proc/$PPID/stat; echo $shell";
        let first = lines.round(work(pid)).await;
        let second = lines.round(work(pid)).await;
        assert_eq!(out(&first["a"]), out(&second["a"]), "the same shell");
        assert_eq!(lines.round_trips("a"), 2);
        let kill = "read -r _ _ _ shell _ </proc/$PPID/stat; kill -9 \"$shell\"";
        let ended = lines
            .round([("a".to_owned(), vec![Request::sh(kill)])].into())
            .await;
        assert!(ended["a"].is_err());
        assert_eq!(lines.round_trips("a"), 0, "it is lost");
        let again = lines.round(work(pid)).await;
        assert_ne!(
            out(&again["a"]).expect("open again"),
            out(&first["a"]).expect("open")
        );
        assert_eq!(
            out(&again["b"]),
            out(&first["b"]),
            "the other one was not touched"
        );
    }
}
