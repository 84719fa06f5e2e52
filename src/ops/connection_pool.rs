//! Connections to many hosts at once, and rounds of batches through all of them.
//!
//! A round always ends: every request has a time limit, and a host that does not answer within the sum of them is
//! given up. Nothing is sent twice.

use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Item, Statistics, Target};
use crate::engine::{Operator, STATE, lock};
use crate::modules::{Reply, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The limit of a request that has none of its own, in seconds.
const LIMIT: u64 = 15;
/// What a round may take beyond the limits of its requests, unless said otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// What a host said in one round.
#[derive(Debug, Clone)]
pub struct Answer {
    /// One reply for each request.
    pub replies: Vec<Reply>,
    /// This machine's clock when the batch was sent.
    pub sent: SystemTime,
}

/// The open connections.
pub struct ConnectionPool {
    targets: Vec<Target>,
    members: BTreeMap<String, Result<Connection>>,
    /// Hosts that are still being connected to.
    opening: JoinSet<(String, Result<Connection>)>,
    forks: usize,
    /// What a round may take beyond the limits of its requests.
    pub grace: Duration,
    /// Whoever has the locks: a connection that is opened anew takes its lock before anything else.
    operator: Option<Operator>,
    /// Hosts whose lock is not wanted.
    unlocked: Vec<String>,
}

impl ConnectionPool {
    /// Connects to all of them, at most `forks` at a time. A host that cannot be reached is kept as lost.
    pub async fn open(targets: Vec<Target>, forks: usize) -> Self {
        let mut pool = Self::begin(targets, forks);
        pool.settle().await;
        pool
    }

    /// The same, but does not wait for the last `slow` ones, nor longer than this: they are lost until [`Self::settle`].
    pub async fn open_quickly(
        targets: Vec<Target>,
        forks: usize,
        slow: usize,
        patience: Duration,
    ) -> Self {
        let mut pool = Self::begin(targets, forks);
        let patience = pool.patient(patience);
        let _ = tokio::time::timeout(patience, async {
            while pool.opening.len() > slow {
                pool.settle_one().await;
            }
        })
        .await;
        pool
    }

    fn begin(targets: Vec<Target>, forks: usize) -> Self {
        let mut pool = Self {
            members: BTreeMap::new(),
            opening: JoinSet::new(),
            targets,
            forks: forks.max(1),
            grace: GRACE,
            operator: None,
            unlocked: Vec::new(),
        };
        pool.start();
        pool
    }

    /// Takes in one more, whose lock is not wanted.
    pub async fn join(&mut self, target: Target) {
        let opened = Connection::open(&target).await;
        self.members.insert(target.host.clone(), opened);
        self.unlocked.push(target.host.clone());
        self.targets.push(target);
    }

    /// Waits for the connections that are still being opened.
    pub async fn settle(&mut self) {
        while self.settle_one().await {}
    }

    /// The same, but gives up the ones that are not there so long after `began`.
    pub async fn settle_within(&mut self, began: Instant, patience: Duration) {
        let patience = self.patient(patience).saturating_sub(began.elapsed());
        if tokio::time::timeout(patience, self.settle()).await.is_ok() {
            return;
        }
        self.opening.abort_all();
        self.settle().await;
        for target in &self.targets {
            self.members
                .entry(target.host.clone())
                .or_insert_with(|| Err(gone(&target.host, "no connection in time")));
        }
    }

    /// How many times longer than others a host may take.
    fn times(&self, host: &str) -> u32 {
        let mut targets = self.targets.iter();
        targets
            .find(|target| target.host == host)
            .map_or(1, |target| target.patience.max(1))
    }

    /// A limit for all of them: that of the slowest.
    fn patient(&self, limit: Duration) -> Duration {
        let most = self.targets.iter().map(|target| target.patience).max();
        limit * most.unwrap_or(1).max(1)
    }

    async fn settle_one(&mut self) -> bool {
        match self.opening.join_next().await {
            Some(Ok((host, opened))) => {
                self.members.insert(host, opened);
                true
            }
            Some(Err(_)) => true,
            None => false,
        }
    }

    /// Tries again to reach the hosts that are lost. Where this run had the locks it takes them again: a host that another
    /// operator has meanwhile stays lost, with his name.
    pub async fn reopen(&mut self) {
        self.settle().await;
        let lost: Vec<String> = self
            .targets
            .iter()
            .map(|target| target.host.clone())
            .filter(|host| !matches!(self.members.get(host), Some(Ok(_))))
            .collect();
        self.start();
        self.settle().await;
        let Some(operator) = self.operator.clone() else {
            return;
        };
        let again = lost
            .into_iter()
            .filter(|host| !self.unlocked.contains(host));
        let again: Vec<(String, Connection)> = again
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|host| match self.members.remove(&host)? {
                Ok(connection) => Some((host, connection)),
                Err(error) => {
                    self.members.insert(host, Err(error));
                    None
                }
            })
            .collect();
        let taken = again.into_iter().map(|(host, mut connection)| {
            let operator = &operator;
            async move {
                let member = lock::take_again(&mut connection, STATE, operator, &|_| {})
                    .await
                    .map(|()| connection)
                    .map_err(|error| error.on(&host));
                (host, member)
            }
        });
        let taken = futures_util::future::join_all(taken).await;
        self.members.extend(taken);
    }

    fn start(&mut self) {
        let gate = Arc::new(Semaphore::new(self.forks));
        for target in &self.targets {
            if matches!(self.members.get(&target.host), Some(Ok(_))) {
                continue;
            }
            let (target, gate) = (target.clone(), Arc::clone(&gate));
            self.opening.spawn(async move {
                let _pass = gate.acquire_owned().await;
                let opened = Connection::open(&target).await;
                (target.host, opened)
            });
        }
    }

    /// Takes the lock of every reached host; called before anything else is asked of them. A host whose lock is not given
    /// is kept as lost, so that nothing is done on it.
    ///
    /// # Errors
    /// One for each host that is locked by another operator or whose lock cannot be taken.
    pub async fn lock(
        &mut self,
        operator: &Operator,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), Vec<Diagnostic>> {
        // To break somebody's lock is asked for once.
        self.operator = Some(Operator {
            break_lock: false,
            ..operator.clone()
        });
        let open = std::mem::take(&mut self.members);
        let mut errors = Vec::new();
        let taken =
            futures_util::future::join_all(open.into_iter().map(|(host, member)| async move {
                let mut connection = match member {
                    Ok(connection) => connection,
                    Err(error) => return (host, Err(error), false),
                };
                let tell = |text: String| say(format!("{host}: {text}"));
                match lock::take(&mut connection, STATE, operator, &tell).await {
                    Ok(()) => (host, Ok(connection), false),
                    Err(error) => {
                        let error = error.on(&host);
                        (host, Err(error), true)
                    }
                }
            }))
            .await;
        for (host, member, refused) in taken {
            if let (Err(error), true) = (&member, refused) {
                errors.push(error.clone());
            }
            self.members.insert(host, member);
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// What the connection to a host has cost so far.
    pub fn statistics(&self, host: &str) -> Statistics {
        match self.members.get(host) {
            Some(Ok(connection)) => connection.shell.statistics,
            _ => Statistics::default(),
        }
    }

    /// The hosts that can be asked.
    pub fn reached(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .filter(|(_, member)| member.is_ok())
            .map(|(host, _)| host.as_str())
    }

    /// Why a host cannot be asked; nothing when it can.
    pub fn lost(&self, host: &str) -> Option<Diagnostic> {
        match self.members.get(host) {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(error.clone()),
            None => Some(gone(host, "there is no connection yet")),
        }
    }

    /// Sends each host its requests, all hosts at once; one round trip each.
    pub async fn round(
        &mut self,
        work: BTreeMap<String, Vec<Request>>,
    ) -> BTreeMap<String, Result<Answer>> {
        self.round_telling(work, |_, _| {}).await
    }

    /// The same, telling of each host as soon as it has answered or is lost.
    pub async fn round_telling(
        &mut self,
        mut work: BTreeMap<String, Vec<Request>>,
        mut tell: impl FnMut(&str, &Result<Answer>),
    ) -> BTreeMap<String, Result<Answer>> {
        let mut answers = BTreeMap::new();
        let mut tasks = JoinSet::new();
        for (host, requests) in &mut work {
            let requests = std::mem::take(requests);
            match self.members.remove(host) {
                Some(Ok(connection)) => {
                    let (host, grace) = (host.clone(), self.grace);
                    let times = self.times(&host);
                    tasks.spawn(
                        async move { exchange(host, connection, requests, grace, times).await },
                    );
                }
                Some(Err(error)) => {
                    answers.insert(host.clone(), Err(error.clone()));
                    self.members.insert(host.clone(), Err(error));
                }
                None => {
                    answers.insert(
                        host.clone(),
                        Err(gone(host, "there is no connection to it")),
                    );
                }
            }
        }
        for (host, answer) in &answers {
            tell(host, answer);
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((host, member, answer)) = done {
                tell(&host, &answer);
                self.members.insert(host.clone(), member);
                answers.insert(host, answer);
            }
        }
        for host in work.into_keys() {
            answers
                .entry(host.clone())
                .or_insert_with(|| Err(gone(&host, "the exchange with it broke off")));
        }
        answers
    }
}

async fn exchange(
    host: String,
    mut connection: Connection,
    mut requests: Vec<Request>,
    grace: Duration,
    times: u32,
) -> (String, Result<Connection>, Result<Answer>) {
    let mut patience = grace * times;
    for request in &mut requests {
        let limit = request.timeout_seconds.unwrap_or(LIMIT) * u64::from(times);
        request.timeout_seconds = Some(limit);
        patience += Duration::from_secs(limit);
    }
    let items: Vec<Item<'_>> = requests.iter().map(item).collect();
    let sent = SystemTime::now();
    let result = tokio::time::timeout(patience, connection.shell.batch(&items)).await;
    match result {
        Ok(Ok(replies)) => (host, Ok(connection), Ok(Answer { replies, sent })),
        Ok(Err(error)) => (host, Err(error.clone()), Err(error)),
        Err(_) => {
            let error = gone(&host, &format!("no answer within {} s", patience.as_secs()));
            (host, Err(error.clone()), Err(error))
        }
    }
}

/// A request that depends on none before it.
fn item(request: &Request) -> Item<'_> {
    Item {
        request,
        chained: false,
        holds_lock: false,
        looks: false,
    }
}

fn gone(host: &str, why: &str) -> Diagnostic {
    Diagnostic::with_code(exit::UNREACHABLE, format!("the connection was lost: {why}")).on(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(name: &str) -> Target {
        Target {
            host: name.to_owned(),
            local: true,
            ..Target::default()
        }
    }

    #[tokio::test]
    async fn every_host_answers_for_itself() {
        let mut pool = ConnectionPool::open(vec![here("a"), here("b")], 1).await;
        assert_eq!(pool.reached().collect::<Vec<_>>(), ["a", "b"]);
        let work = [("a", "echo one"), ("b", "exit 4"), ("c", "true")]
            .map(|(host, script)| (host.to_owned(), vec![Request::sh(script)]))
            .into();
        let answers = pool.round(work).await;
        let reply = |host: &str| {
            answers[host]
                .as_ref()
                .map(|answer| answer.replies[0].clone())
        };
        assert_eq!(reply("a").expect("answered").out(), "one\n");
        assert_eq!(reply("b").expect("answered").code, 4);
        assert_eq!(
            reply("c").expect_err("not a member").code,
            exit::UNREACHABLE
        );
        assert!(pool.lost("a").is_none() && pool.lost("c").is_some());
    }

    #[tokio::test]
    async fn a_slow_host_may_take_longer() {
        let slow = Target {
            patience: 9,
            ..here("slow")
        };
        let mut pool = ConnectionPool::open(vec![here("usual"), slow], 4).await;
        let mut request = Request::sh("sleep 1.3; echo late");
        request.timeout_seconds = Some(1);
        let work = ["usual", "slow"].map(|host| (host.to_owned(), vec![request.clone()]));
        let answers = pool.round(work.into()).await;
        let out = |host: &str| answers[host].as_ref().expect("answered").replies[0].out();
        assert_eq!((&*out("usual"), &*out("slow")), ("", "late\n"));
    }

    #[tokio::test]
    async fn a_shell_that_ends_is_a_lost_host() {
        let mut pool = ConnectionPool::open(vec![here("a")], 4).await;
        let work = [(
            "a".to_owned(),
            vec![Request::sh(
                "read -r _ _ _ shell _ </proc/$PPID/stat; kill -9 \"$shell\"",
            )],
        )]
        .into();
        assert!(pool.round(work).await["a"].is_err());
        assert!(pool.lost("a").is_some());
        pool.reopen().await;
        assert!(pool.lost("a").is_none());
    }
}
