//! What the clients of a fault history saw against what the servers have: rows lost, rows twice, two servers at once.
//!
//! Pure: it judges data, so that the judge itself is tested without a lab. It knows nothing of what hactl said.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A write as its client saw it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Write {
    /// Who wrote: `held…` over a connection of its own, `web…` through the virtual address.
    pub client: String,
    /// Its number.
    pub seq: u64,
    /// When it was sent: seconds of the monotonic clock that all hosts share.
    pub sent: f64,
    /// When the answer was there.
    pub ended: f64,
    /// `ok`: acknowledged. `unknown`: it may or may not be there.
    pub result: String,
    /// The address of the server that acknowledged it.
    #[serde(default)]
    pub server: String,
    /// Its timeline; 0 where the client cannot see it.
    #[serde(default)]
    pub timeline: u32,
    /// What was said instead.
    #[serde(default)]
    pub said: String,
}

impl Write {
    /// It was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.result == "ok"
    }

    /// Its name among the rows.
    pub fn key(&self) -> (String, u64) {
        (self.client.clone(), self.seq)
    }
}

/// The rows of a server: how often each is there.
pub type Rows = BTreeMap<(String, u64), u64>;

/// Reads what the clients wrote down. A last line that was cut off is left out.
pub fn read(text: &str) -> Vec<Write> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// One server on one timeline, and when it acknowledged: each of these is a primary for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// The server's address.
    pub server: String,
    /// Its timeline.
    pub timeline: u32,
    /// The first acknowledgement.
    pub first: f64,
    /// The last one.
    pub last: f64,
    /// How many there were.
    pub count: usize,
}

/// The primaries that the clients saw, in the order in which they began.
pub fn epochs(writes: &[Write]) -> Vec<Epoch> {
    let mut found: BTreeMap<(&str, u32), Epoch> = BTreeMap::new();
    for write in writes {
        // A browser does not know the timeline; those that hold connections see every server all the time.
        if !write.is_acknowledged() || write.timeline == 0 {
            continue;
        }
        let epoch = found
            .entry((&write.server, write.timeline))
            .or_insert_with(|| Epoch {
                server: write.server.clone(),
                timeline: write.timeline,
                first: write.ended,
                last: write.ended,
                count: 0,
            });
        epoch.first = epoch.first.min(write.ended);
        epoch.last = epoch.last.max(write.ended);
        epoch.count += 1;
    }
    let mut epochs: Vec<Epoch> = found.into_values().collect();
    epochs.sort_by(|a, b| a.first.total_cmp(&b.first));
    epochs
}

/// Whether clients may lose what was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consent {
    /// Somebody agreed to lose the end of what the old primary has acknowledged.
    pub loss: bool,
    /// To how many rows at most, whatever else was agreed to.
    pub rows: Option<usize>,
}

/// What is wrong, as sentences; nothing when the service kept its word. `start` is the zero of the times that are shown.
pub fn judge(
    writes: &[Write],
    primary: &Rows,
    replica: &Rows,
    consent: Consent,
    start: f64,
) -> Vec<String> {
    let mut problems = Vec::new();
    two_at_once(&epochs(writes), start, &mut problems);
    twice(primary, "the primary", &mut problems);
    twice(replica, "the replica", &mut problems);
    lost(writes, primary, consent, start, &mut problems);
    if primary != replica {
        let only = |a: &Rows, b: &Rows| a.keys().filter(|key| !b.contains_key(*key)).count();
        problems.push(format!(
            "the servers differ: {} rows are on the primary only, {} on the replica only",
            only(primary, replica),
            only(replica, primary)
        ));
    }
    problems
}

fn two_at_once(epochs: &[Epoch], start: f64, problems: &mut Vec<String>) {
    for (index, a) in epochs.iter().enumerate() {
        for b in &epochs[index + 1..] {
            if a.last > b.first {
                problems.push(format!(
                    "two primaries: {} on timeline {} acknowledged {} rows until {:.3} s, {} on timeline {} acknowledged {} rows from {:.3} to {:.3} s",
                    a.server, a.timeline, a.count, a.last - start, b.server, b.timeline, b.count, b.first - start, b.last - start
                ));
            }
        }
    }
}

fn twice(rows: &Rows, place: &str, problems: &mut Vec<String>) {
    let twice: Vec<String> = rows
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|((client, seq), _)| format!("{client}/{seq}"))
        .collect();
    if let Some(first) = twice.first() {
        problems.push(format!(
            "{} rows are there more than once on {place}, {first} for example",
            twice.len()
        ));
    }
}

/// Where an acknowledged row was: a server and its timeline. Browsers do not see the timeline: theirs is that of the newest
/// epoch of that server that had begun.
fn place(write: &Write, epochs: &[Epoch]) -> (String, u32) {
    if write.timeline != 0 {
        return (write.server.clone(), write.timeline);
    }
    let of = epochs
        .iter()
        .rfind(|epoch| epoch.server == write.server && epoch.first <= write.ended);
    (write.server.clone(), of.map_or(0, |epoch| epoch.timeline))
}

fn lost(
    writes: &[Write],
    primary: &Rows,
    consent: Consent,
    start: f64,
    problems: &mut Vec<String>,
) {
    let epochs = epochs(writes);
    let mut lost: BTreeMap<(String, u32), Vec<&Write>> = BTreeMap::new();
    let mut kept: BTreeMap<(String, u32), f64> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.is_acknowledged()) {
        let place = place(write, &epochs);
        if primary.contains_key(&write.key()) {
            let last = kept.entry(place).or_insert(f64::MIN);
            *last = last.max(write.sent);
        } else {
            lost.entry(place).or_default().push(write);
        }
    }
    let total: usize = lost.values().map(Vec::len).sum();
    for ((server, timeline), rows) in &lost {
        let ended = rows.iter().map(|row| row.ended);
        let (first, last) = ended.fold((f64::MAX, f64::MIN), |(a, b), at| (a.min(at), b.max(at)));
        let clients: BTreeSet<&str> = rows.iter().map(|row| row.client.as_str()).collect();
        let clients: Vec<&str> = clients.into_iter().collect();
        let about = format!(
            "{} acknowledged rows of {server} on timeline {timeline} are lost, acknowledged from {:.3} to {:.3} s, of {}",
            rows.len(),
            first - start,
            last - start,
            clients.join(", ")
        );
        if !consent.loss {
            problems.push(format!("{about}; nobody consented to any loss"));
            continue;
        }
        // What an asynchronous replica lacks is the end of the log, so nothing that was sent later than a lost row was answered can be there.
        if let Some(kept) = kept.get(&(server.clone(), *timeline))
            && *kept > first
        {
            problems.push(format!(
                "{about}; and a row that was sent {:.3} s after the first of them was answered is there: this is not the end of the log",
                kept - first
            ));
        }
    }
    if let (true, Some(most)) = (consent.loss, consent.rows)
        && total > most
    {
        problems.push(format!(
            "{total} acknowledged rows are lost; more than {most} cannot be meant"
        ));
    }
}
