//! The clients of a drill: a writer that numbers what it writes, and a reader, both through the service's entrance.
//!
//! Every request is a connection of its own, is sent once and has a time limit. A slow answer does not slow the rate: requests
//! overlap. Nothing is sent from this machine's own network; the way leads through a host of the service.

use super::record::{Clock, Kind, Moment, Outcome, Sample};
use super::rows::{image, quote};
use super::tunnel::TunnelSocket;
use crate::ops::http::{self, Call, Form, Response};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// The fewest and the most writes a second that make sense.
pub const RATES: std::ops::RangeInclusive<u32> = 10..=100;
/// The most reads a second.
const READS: u32 = 20;

/// Where the clients go, and how often.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The way in.
    pub way: TunnelSocket,
    /// The service's address, for the request's head.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Writes a second.
    pub rate: u32,
    /// How long a client waits.
    pub limit: Duration,
    /// What marks the rows of this drill.
    pub mark: String,
}

/// The clients at work.
pub struct Load {
    seen: Arc<Mutex<Vec<Sample>>>,
    count: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the clients.
    pub fn start(plan: LoadPlan, clock: Clock) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, _) = watch::channel(0);
        let (stop, _) = watch::channel(false);
        let plan = Arc::new(plan);
        let clients = [(Kind::Write, plan.rate), (Kind::Read, plan.rate.min(READS))]
            .into_iter()
            .map(|(kind, rate)| {
                let book = Book {
                    seen: Arc::clone(&seen),
                    count: count.clone(),
                };
                tokio::spawn(client(
                    kind,
                    rate,
                    Arc::clone(&plan),
                    clock,
                    book,
                    stop.subscribe(),
                ))
            })
            .collect();
        Self {
            seen,
            count,
            stop,
            clients,
        }
    }

    /// What was answered or given up so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until so many writes that were sent after a moment are acknowledged; whether they were, in time.
    pub async fn acknowledged(&self, after: Moment, wanted: usize, patience: Duration) -> bool {
        let mut count = self.count.subscribe();
        let enough = || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let good = |sample: &&Sample| {
                sample.kind == Kind::Write
                    && sample.outcome == Outcome::Done
                    && sample.sent >= after
            };
            seen.iter().filter(good).count() >= wanted
        };
        timeout(patience, async {
            while !enough() && count.changed().await.is_ok() {}
        })
        .await
        .is_ok()
    }

    /// Stops sending, waits for what is under way, and gives everything in the order in which it was sent.
    pub async fn stop(self) -> Vec<Sample> {
        self.stop.send_replace(true);
        for client in self.clients {
            // A client ends by itself: each of its requests has a limit.
            let _ = client.await;
        }
        let mut samples =
            std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        samples.sort_by_key(|sample| (sample.sent, sample.seq));
        samples
    }
}

/// Where a client writes down what it got.
#[derive(Clone)]
struct Book {
    seen: Arc<Mutex<Vec<Sample>>>,
    count: watch::Sender<u64>,
}

impl Book {
    fn note(&self, sample: Sample) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sample);
        self.count.send_modify(|count| *count += 1);
    }
}

async fn client(
    kind: Kind,
    rate: u32,
    plan: Arc<LoadPlan>,
    clock: Clock,
    book: Book,
    mut stop: watch::Receiver<bool>,
) {
    let mut beat = interval(Duration::from_secs(1) / rate.max(1));
    // A machine that was busy catches up, so that the numbers keep their rate.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut seq = 0;
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = beat.tick() => {}
        }
        seq += 1;
        let (plan, book) = (Arc::clone(&plan), book.clone());
        under_way.spawn(async move { book.note(request(kind, seq, &plan, clock).await) });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn request(kind: Kind, seq: u64, plan: &LoadPlan, clock: Clock) -> Sample {
    let call = match kind {
        Kind::Write => Call::upload(
            &plan.address,
            plan.port,
            "/api/content",
            &Form {
                text: ("quote", &quote(&plan.mark, seq)),
                field: "image",
                file: "drill.png",
                content: &image(&plan.mark, seq),
            },
        ),
        Kind::Read => Call::get(&plan.address, plan.port, "/api/content?limit=1"),
    };
    let bytes = call.bytes();
    let sent = clock.now();
    let deadline = Instant::now() + plan.limit;
    let got = match plan.way.socket() {
        Some(way) => tokio::time::timeout_at(deadline, exchange(&way, &bytes)).await,
        None => Ok(Err(CLOSED.to_owned())),
    };
    let ended = clock.now();
    let mut sample = Sample {
        kind,
        seq,
        sent,
        ended,
        outcome: Outcome::Timeout,
        status: 0,
        served_by: String::new(),
        database: String::new(),
        note: String::new(),
    };
    match got {
        Err(_) => {}
        Ok(Err(why)) => {
            sample.outcome = Outcome::Broken;
            sample.note = why;
        }
        Ok(Ok(response)) => answered(&mut sample, &response),
    }
    sample
}

/// A request while the host that the clients come through is away: it has failed, as a client's own would have.
const CLOSED: &str = "the host through which the clients come is away";

/// Text of an answer that is kept is short, whatever the answer is.
const SHORT: usize = 200;

fn answered(sample: &mut Sample, response: &Response) {
    let short = |text: &str| text.chars().take(SHORT).collect::<String>();
    let body = response.json().unwrap_or_default();
    sample.status = response.status;
    sample.served_by = short(response.header("x-served-by").unwrap_or_default());
    sample.database = short(body["database"].as_str().unwrap_or_default());
    let done = match sample.kind {
        Kind::Write => 201,
        Kind::Read => 200,
    };
    if response.status == done {
        sample.outcome = Outcome::Done;
    } else {
        sample.outcome = Outcome::Refused;
        sample.database = String::new();
        sample.note = short(body["error"].as_str().unwrap_or_default());
        if sample.note.is_empty() {
            sample.note = short(&response.summary());
        }
    }
}

async fn exchange(way: &Path, bytes: &[u8]) -> Result<Response, String> {
    let ended = |error: std::io::Error| error.to_string();
    let mut stream = UnixStream::connect(way).await.map_err(ended)?;
    // What was sent may have been heard although the other end is gone by now: what it said is looked at in any case.
    let told = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let heard = stream.read_to_end(&mut answer).await;
    match http::parse(&answer) {
        Some(response) => response,
        None if answer.is_empty() => {
            told.map_err(ended)?;
            heard.map_err(ended)?;
            Err("the connection was closed without an answer".to_owned())
        }
        None => Err("the answer was cut off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    const CREATED: &str = "HTTP/1.1 201 CREATED\r\nX-Served-By: app1\r\nContent-Length: 23\r\n\r\n{\"database\":\"10.0.0.1\"}";

    fn plan(way: &Path, rate: u32) -> LoadPlan {
        LoadPlan {
            way: TunnelSocket::fixed(Some(way.to_owned())),
            address: "192.0.2.1".to_owned(),
            port: 80,
            rate,
            limit: Duration::from_millis(300),
            mark: "m".to_owned(),
        }
    }

    /// A request to its end: of its form, or of its head.
    async fn heard(stream: &mut UnixStream) -> String {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        let ended = |request: &[u8]| {
            request.ends_with(b"--\r\n")
                || (request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n"))
        };
        while !ended(&request) {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => request.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&request).into_owned()
    }

    /// A service that answers each of its connections by a rule of its number.
    fn service(way: &Path, rule: fn(usize) -> Option<&'static str>) {
        let listener = UnixListener::bind(way).expect("a socket");
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                number += 1;
                let said = rule(number);
                tokio::spawn(async move {
                    let _ = heard(&mut stream).await;
                    match said {
                        Some(text) => drop(stream.write_all(text.as_bytes()).await),
                        // Frozen: the connection stays open.
                        None => tokio::time::sleep(Duration::from_secs(60)).await,
                    }
                });
            }
        });
    }

    #[tokio::test]
    async fn what_clients_get_is_written_down() {
        let cases: [(Option<&'static str>, Outcome, u16, &str); 5] = [
            (Some(CREATED), Outcome::Done, 201, ""),
            (
                Some("HTTP/1.1 503 X\r\n\r\n{\"error\":\"no writable database\"}"),
                Outcome::Refused,
                503,
                "no writable database",
            ),
            (
                Some(""),
                Outcome::Broken,
                0,
                "the connection was closed without an answer",
            ),
            (
                Some("HTTP/1.1 201 CREATED\r\nContent-Length: 99\r\n\r\n{"),
                Outcome::Broken,
                0,
                "the answer (201) was cut off",
            ),
            (None, Outcome::Timeout, 0, ""),
        ];
        for (said, outcome, status, note) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let way = folder.path().join("way");
            let listener = UnixListener::bind(&way).expect("a socket");
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let request = heard(&mut stream).await;
                match said {
                    Some(text) => drop(stream.write_all(text.as_bytes()).await),
                    None => tokio::time::sleep(Duration::from_secs(2)).await,
                }
                request
            });
            let sample = request(Kind::Write, 7, &plan(&way, 10), Clock::start()).await;
            assert_eq!(
                (sample.outcome, sample.status, sample.note.as_str()),
                (outcome, status, note),
                "{said:?}"
            );
            let asked = server.await.expect("served");
            assert!(
                asked.starts_with("POST /api/content HTTP/1.1\r\n"),
                "{asked}"
            );
            assert!(asked.contains("drill m seq 7"), "{asked}");
            if outcome == Outcome::Done {
                assert_eq!(
                    (&*sample.served_by, &*sample.database),
                    ("app1", "10.0.0.1")
                );
            }
        }
    }

    #[tokio::test]
    async fn slow_answers_do_not_slow_the_rate() {
        let folder = tempfile::tempdir().expect("a folder");
        let way = folder.path().join("way");
        // Every answer but the first never comes.
        service(&way, |number| (number == 1).then_some(CREATED));
        let clock = Clock::start();
        let load = Load::start(plan(&way, 100), clock);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(600) {
            let _ = load
                .acknowledged(Duration::ZERO, usize::MAX, Duration::from_millis(100))
                .await;
        }
        let samples = load.stop().await;
        let writes: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.kind == Kind::Write)
            .collect();
        assert!(writes.len() >= 50, "{} writes", writes.len());
        let numbers: Vec<u64> = writes.iter().map(|sample| sample.seq).collect();
        assert_eq!(numbers, (1..=writes.len() as u64).collect::<Vec<_>>());
        assert!(samples.iter().all(|sample| sample.ended >= sample.sent));
    }

    #[tokio::test]
    async fn acknowledgements_are_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let way = folder.path().join("way");
        service(&way, |number| Some(if number < 10 { "" } else { CREATED }));
        let load = Load::start(plan(&way, 50), Clock::start());
        assert!(
            load.acknowledged(Duration::ZERO, 3, Duration::from_secs(5))
                .await
        );
        assert!(
            !load
                .acknowledged(Duration::from_secs(3600), 1, Duration::from_millis(50))
                .await
        );
        let samples = load.stop().await;
        assert!(
            samples
                .iter()
                .any(|sample| sample.outcome == Outcome::Broken)
        );
    }

    #[tokio::test]
    async fn requests_without_a_way_have_failed() {
        let closed = LoadPlan {
            way: TunnelSocket::fixed(None),
            ..plan(Path::new(""), 100)
        };
        let load = Load::start(closed, Clock::start());
        let mut count = load.count.subscribe();
        let some = count.wait_for(|count| *count >= 10);
        assert!(timeout(Duration::from_secs(10), some).await.is_ok());
        let samples = load.stop().await;
        let failed = |sample: &Sample| sample.outcome == Outcome::Broken && sample.note == CLOSED;
        assert!(samples.iter().all(failed), "{samples:?}");
    }
}
