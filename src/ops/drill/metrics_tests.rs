//! Figures from records, as cases.

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// `w1 0-20 a` is a write that node a acknowledged; `w2 50-60 !` was refused, `?` timed out, `r…` is a read.
fn samples(text: &str) -> Vec<Sample> {
    text.split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("a word");
            let (kind, seq) = word().split_at(1);
            let (sent, ended) = word().split_once('-').expect("a span");
            let node = word();
            let outcome = match node {
                "!" => Outcome::Refused,
                "?" => Outcome::Timeout,
                "x" => Outcome::Broken,
                _ => Outcome::Done,
            };
            Sample {
                kind: if kind == "w" { Kind::Write } else { Kind::Read },
                seq: seq.parse().expect("a number"),
                sent: ms(sent.parse().expect("a number")),
                ended: ms(ended.parse().expect("a number")),
                outcome,
                status: 0,
                served_by: String::new(),
                database: if outcome == Outcome::Done {
                    node.to_owned()
                } else {
                    String::new()
                },
                note: String::new(),
            }
        })
        .collect()
}

/// `a 0-10 P` is a look at host a: P, S, D or U.
fn looks(text: &str) -> Vec<Observation> {
    text.split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let (asked, answered) = words[1].split_once('-').expect("a span");
            Observation {
                host: words[0].to_owned(),
                asked: ms(asked.parse().expect("a number")),
                answered: ms(answered.parse().expect("a number")),
                role: match words[2] {
                    "P" => Role::Primary,
                    "S" => Role::Standby,
                    "D" => Role::Down,
                    _ => Role::Unknown,
                },
            }
        })
        .collect()
}

fn event(at: u64, what: What) -> Event {
    Event {
        at: ms(at),
        until: ms(at),
        what,
        text: String::new(),
    }
}

#[test]
fn gaps_are_between_acknowledgements() {
    // (records, event, length, end)
    let cases = [
        ("w1 0-10 a; w2 50-60 a; w3 100-110 a", 70, 50, Some(110)),
        // A longer gap that was over before the event does not count.
        (
            "w1 0-10 a; w2 500-510 a; w3 550-560 a; w4 600-610 a",
            555,
            50,
            Some(560),
        ),
        // One that the event fell into does.
        ("w1 0-10 a; w2 500-510 a; w3 550-560 a", 100, 500, Some(510)),
        // The answer counts, not the question.
        ("w1 0-10 a; w2 20-1900 b", 15, 1890, Some(1900)),
        // Never again: at least as long as it was tried.
        ("w1 0-10 a; w2 50-60 !; w3 100-2100 ?", 20, 2090, None),
        // Not once.
        ("w1 0-10 !; w2 50-60 !", 5, 55, None),
        // Reads are no writes.
        (
            "w1 0-10 a; r1 20-30 a; r2 1000-1010 a; w2 60-70 a",
            15,
            60,
            Some(70),
        ),
    ];
    for (text, at, length, to) in cases {
        let figures = measure(&samples(text), &[], &[event(at, What::Break)], None);
        let gap = figures.write_gap.expect("a gap");
        assert_eq!((gap.length, gap.to), (ms(length), to.map(ms)), "{text}");
        let first = to.and_then(|to| ms(to).checked_sub(ms(at)));
        assert_eq!(figures.first_write, first, "{text}");
    }
    assert_eq!(
        measure(&samples("w1 0-10 a"), &[], &[], None).write_gap,
        None
    );
}

#[test]
fn the_command_that_helped_is_the_last_before_the_write() {
    let events = [
        event(20, What::Break),
        event(500, What::Command),
        event(1000, What::Command),
        event(9000, What::Command),
    ];
    let figures = measure(
        &samples("w1 0-10 a; w2 50-60 !; w3 2990-3000 b"),
        &[],
        &events,
        None,
    );
    assert_eq!(figures.event, Some(ms(20)));
    assert_eq!(figures.detection, Some(ms(40)));
    assert_eq!(figures.first_write, Some(ms(2980)));
    assert_eq!(figures.command_to_write, Some(ms(2000)));
    // Without anything broken a command is the event.
    let figures = measure(&[], &[], &events[1..], None);
    assert_eq!(figures.event, Some(ms(500)));
}

#[test]
fn rows_are_compared_with_acknowledgements() {
    let samples = samples("w1 0-10 a; w2 50-60 a; w3 100-110 ?; w4 150-160 !; r5 1-2 a");
    let stored = Stored {
        rows: [(1, 2), (3, 1)].into(),
        damaged: Some([1, 3].into()),
    };
    let figures = measure(&samples, &[], &[], Some(&stored));
    assert_eq!(figures.lost, Some(vec![2]));
    // Of what nobody was told nothing may be expected; nor an image of a row that is lost.
    assert_eq!(figures.images_lost, Some(vec![1]));
    assert_eq!(figures.duplicates, Some(vec![1]));
    assert_eq!(figures.unacknowledged, Some(vec![3]));
    // What could not be read is not known to be whole.
    let unseen = Stored {
        damaged: None,
        ..stored
    };
    let figures = measure(&samples, &[], &[], Some(&unseen));
    assert_eq!((figures.lost, figures.images_lost), (Some(vec![2]), None));
    let figures = measure(&samples, &[], &[], None);
    assert_eq!((figures.lost, figures.duplicates), (None, None));
    assert_eq!(
        (
            figures.writes.sent,
            figures.writes.done,
            figures.writes.timeout,
            figures.writes.refused
        ),
        (4, 2, 1, 1)
    );
}

#[test]
fn only_forced_changes_of_the_acknowledging_node_count() {
    for (text, expected) in [
        ("", 0),
        ("w1 0-10 a; w2 20-30 a", 0),
        ("w1 0-10 a; w2 20-30 b; w3 40-50 b", 1),
        // Under way together: any order explains it.
        ("w1 0-100 a; w2 0-100 b", 0),
        ("w1 0-10 a; w2 20-200 a; w3 30-150 b; w4 160-300 b", 1),
        // There and back, or two primaries: the drill knows how many changes it made.
        ("w1 0-10 a; w2 20-30 b; w3 40-50 a", 2),
        ("w1 0-10 a; w2 20-30 b; w3 40-50 a; w4 60-70 b", 3),
        // A long one of the other node at the beginning hides nothing.
        ("w1 0-500 b; w2 0-10 a; w3 20-30 b; w4 40-50 a", 2),
        ("w1 0-10 a; w2 20-30 !; w3 40-50 a", 0),
    ] {
        assert_eq!(changes(&samples(text)), expected, "{text}");
    }
}

#[test]
fn two_primaries_are_claimed_only_when_nothing_else_explains_it() {
    for (text, expected) in [
        ("a 0-10 P; b 0-10 S; a 100-110 D; b 100-110 P", 0),
        // One was seen between two looks at the other.
        ("a 0-10 P; b 20-30 P; a 100-110 P", 1),
        // It may have stopped before the other began.
        ("a 0-50 P; b 20-90 P; a 100-110 S", 0),
        ("a 0-50 P; b 20-90 P; a 100-110 P", 0),
        // The look in between was not answered: it may have been anything.
        ("a 0-10 P; a 20-2000 U; b 50-60 P; a 2100-2110 P", 0),
        (
            "a 0-10 P; a 20-2000 U; b 50-60 P; a 2100-2110 P; b 2120-2130 P; a 2200-2210 P; b 2220-2230 P",
            3,
        ),
    ] {
        assert_eq!(overlaps(&looks(text)).len(), expected, "{text}");
    }
}

#[test]
fn promotion_is_seen_by_the_watcher() {
    for (text, at, expected) in [
        ("a 0-10 P; b 0-10 S; b 500-510 P", 20, Some(490)),
        ("a 0-10 P; b 0-10 S; a 500-510 P", 20, None),
        ("a 0-10 D; b 500-510 P", 20, None),
        // There and back: the first change counts.
        ("a 0-10 P; b 500-510 P; a 900-910 P", 20, Some(490)),
    ] {
        let figures = measure(&[], &looks(text), &[event(at, What::Break)], None);
        assert_eq!(figures.promotion, expected.map(ms), "{text}");
    }
}

#[test]
fn percentiles_are_values_that_occurred() {
    let values: Vec<Duration> = (1..=200).map(ms).collect();
    for (count, percent, expected) in [
        (200, 50, Some(100)),
        (200, 99, Some(198)),
        (1, 99, Some(1)),
        (2, 50, Some(1)),
        (0, 50, None),
    ] {
        assert_eq!(
            percentile(&values[..count], percent),
            expected.map(ms),
            "{count} {percent}"
        );
    }
}
