//! What a drill's records amount to: gaps, losses, duplicates, two primaries. Pure.
//!
//! A figure that the records do not show is absent, never zero. Two primaries are claimed only where no order of events could
//! explain what was seen otherwise.

use super::record::{Event, Kind, Moment, Observation, Outcome, Role, Sample, What};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A time without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last success before it.
    pub from: Moment,
    /// The first success after it; none when there was none before the clients stopped.
    pub to: Option<Moment>,
    /// How long it was, at least.
    pub length: Duration,
}

/// How the requests of a kind ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub sent: usize,
    /// Acknowledged.
    pub done: usize,
    /// Answered otherwise.
    pub refused: usize,
    /// Without an answer.
    pub broken: usize,
    /// Given up.
    pub timeout: usize,
    /// Half of those that were acknowledged took no longer.
    pub median: Option<Duration>,
    /// 99 of 100 took no longer.
    pub p99: Option<Duration>,
}

/// What the service has of a drill afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Its rows: the number, and how often.
    pub rows: BTreeMap<u64, usize>,
    /// Those whose image is away or not as it was sent; absent when the images could not be seen.
    pub damaged: Option<BTreeSet<u64>>,
}

/// Two primaries at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The one that was primary before and after.
    pub host: String,
    /// The one that was primary in between.
    pub other: String,
    /// When that one was seen.
    pub at: Moment,
}

/// What it amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// When it began: the first thing that was broken, or else the first command.
    pub event: Option<Moment>,
    /// How writes ended.
    pub writes: Counts,
    /// How reads ended.
    pub reads: Counts,
    /// The longest time between two acknowledged writes that ended after the event.
    pub write_gap: Option<Gap>,
    /// The same of reads.
    pub read_gap: Option<Gap>,
    /// From the event until a client noticed.
    pub detection: Option<Duration>,
    /// From the event until another database was seen to be primary.
    pub promotion: Option<Duration>,
    /// To the acknowledged write that ended the gap, from what was broken last before it (or else commanded).
    pub first_write: Option<Duration>,
    /// The same from the start of the last command before that.
    pub command_to_write: Option<Duration>,
    /// Acknowledged, and not there afterwards; absent when the rows could not be read.
    pub lost: Option<Vec<u64>>,
    /// Acknowledged and there, but its image is away or not as it was sent; absent when the images could not be seen.
    pub images_lost: Option<Vec<u64>>,
    /// There more than once.
    pub duplicates: Option<Vec<u64>>,
    /// There, although no client was told so. Not a fault.
    pub unacknowledged: Option<Vec<u64>>,
    /// How often the database that acknowledges changed, at least.
    pub changes: usize,
    /// Seen by the watcher: two databases that would take writes.
    pub overlaps: Vec<Overlap>,
}

/// Reckons.
pub fn measure(
    samples: &[Sample],
    looks: &[Observation],
    events: &[Event],
    stored: Option<&Stored>,
) -> Figures {
    let event = events
        .iter()
        .find(|event| event.what == What::Break)
        .or_else(|| events.iter().find(|event| event.what == What::Command))
        .map(|event| event.at);
    let mut figures = Figures {
        event,
        writes: counts(samples, Kind::Write),
        reads: counts(samples, Kind::Read),
        changes: changes(samples),
        overlaps: overlaps(looks),
        ..Figures::default()
    };
    if let Some(event) = event {
        figures.write_gap = gap(samples, Kind::Write, event);
        figures.read_gap = gap(samples, Kind::Read, event);
        figures.detection = samples
            .iter()
            .filter(|sample| sample.outcome != Outcome::Done && sample.ended >= event)
            .map(|sample| sample.ended.saturating_sub(event))
            .min();
        figures.promotion = promotion(looks, event);
        let back = figures.write_gap.and_then(|gap| gap.to);
        let since = |what: What| {
            let of_kind = events.iter().filter(|event| event.what == what);
            let before = of_kind.map(|event| event.at).filter(|at| Some(*at) <= back);
            Some(back?.saturating_sub(before.max()?))
        };
        figures.command_to_write = since(What::Command);
        figures.first_write = since(What::Break).or(figures.command_to_write);
    }
    if let Some(stored) = stored {
        let acknowledged: BTreeSet<u64> = samples
            .iter()
            .filter(|sample| sample.kind == Kind::Write && sample.outcome == Outcome::Done)
            .map(|sample| sample.seq)
            .collect();
        let there: BTreeSet<u64> = stored.rows.keys().copied().collect();
        figures.lost = Some(acknowledged.difference(&there).copied().collect());
        figures.unacknowledged = Some(there.difference(&acknowledged).copied().collect());
        let damaged = stored.damaged.as_ref();
        figures.images_lost =
            damaged.map(|damaged| acknowledged.intersection(damaged).copied().collect());
        let twice = stored.rows.iter().filter(|(_, times)| **times > 1);
        figures.duplicates = Some(twice.map(|(seq, _)| *seq).collect());
    }
    figures
}

fn counts(samples: &[Sample], kind: Kind) -> Counts {
    let mut counts = Counts::default();
    let mut times = Vec::new();
    for sample in samples.iter().filter(|sample| sample.kind == kind) {
        counts.sent += 1;
        match sample.outcome {
            Outcome::Done => {
                counts.done += 1;
                times.push(sample.ended.saturating_sub(sample.sent));
            }
            Outcome::Refused => counts.refused += 1,
            Outcome::Broken => counts.broken += 1,
            Outcome::Timeout => counts.timeout += 1,
        }
    }
    times.sort_unstable();
    counts.median = percentile(&times, 50);
    counts.p99 = percentile(&times, 99);
    counts
}

/// The value that so many of a hundred do not exceed; of sorted values.
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The longest time between two successes that was not over before the event.
fn gap(samples: &[Sample], kind: Kind, event: Moment) -> Option<Gap> {
    let of_kind = || samples.iter().filter(move |sample| sample.kind == kind);
    let mut good: Vec<Moment> = of_kind()
        .filter(|sample| sample.outcome == Outcome::Done)
        .map(|sample| sample.ended)
        .collect();
    good.sort_unstable();
    let between = good.windows(2).filter_map(|pair| match pair {
        [from, to] if *to > event => Some(Gap {
            from: *from,
            to: Some(*to),
            length: to.saturating_sub(*from),
        }),
        _ => None,
    });
    // What was still being tried when the clients stopped.
    let last = good.last().copied().unwrap_or(event);
    let open = of_kind()
        .map(|sample| sample.ended)
        .max()
        .filter(|end| *end > last)
        .map(|end| Gap {
            from: last,
            to: None,
            length: end.saturating_sub(last),
        });
    // Of equal ones the first.
    between.chain(open).reduce(|longest, gap| {
        if gap.length > longest.length {
            gap
        } else {
            longest
        }
    })
}

/// How often the acknowledging database must have changed. A request that was under way for a while may have been served at any
/// moment of it; only what cannot be explained with fewer changes is counted.
fn changes(samples: &[Sample]) -> usize {
    let mut served: Vec<&Sample> = samples
        .iter()
        .filter(|sample| {
            sample.kind == Kind::Write
                && sample.outcome == Outcome::Done
                && !sample.database.is_empty()
        })
        .collect();
    served.sort_by_key(|sample| sample.ended);
    let nodes: BTreeSet<&str> = served
        .iter()
        .map(|sample| sample.database.as_str())
        .collect();
    nodes
        .into_iter()
        .map(|first| {
            let mut current: Option<&Sample> = None;
            let mut changes = 0;
            for sample in &served {
                match current {
                    None if sample.database == first => current = Some(sample),
                    Some(before)
                        if sample.database != before.database && sample.sent > before.ended =>
                    {
                        current = Some(sample);
                        changes += 1;
                    }
                    _ => {}
                }
            }
            changes
        })
        .max()
        .unwrap_or_default()
}

/// A database that was primary in two looks, one after the other, while another one was primary in between.
fn overlaps(looks: &[Observation]) -> Vec<Overlap> {
    let mut by_host: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for look in looks {
        by_host.entry(&look.host).or_default().push(look);
    }
    let mut found = Vec::new();
    for (host, own) in &by_host {
        let mut own = own.clone();
        own.sort_by_key(|look| look.asked);
        for pair in own.windows(2) {
            let [before, after] = pair else { continue };
            if before.role != Role::Primary || after.role != Role::Primary {
                continue;
            }
            let between = |look: &&&Observation| {
                look.role == Role::Primary
                    && look.asked >= before.answered
                    && look.answered <= after.asked
            };
            for (other, looks) in by_host.iter().filter(|(other, _)| *other != host) {
                if let Some(look) = looks.iter().find(between) {
                    found.push(Overlap {
                        host: (*host).to_owned(),
                        other: (*other).to_owned(),
                        at: look.answered,
                    });
                }
            }
        }
    }
    found.sort_by_key(|overlap| overlap.at);
    found
}

fn promotion(looks: &[Observation], event: Moment) -> Option<Duration> {
    let primary = |look: &&Observation| look.role == Role::Primary;
    let before = looks
        .iter()
        .filter(primary)
        .filter(|look| look.answered <= event)
        .max_by_key(|look| look.answered)?;
    looks
        .iter()
        .filter(primary)
        .filter(|look| look.host != before.host && look.answered > event)
        .map(|look| look.answered.saturating_sub(event))
        .min()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
