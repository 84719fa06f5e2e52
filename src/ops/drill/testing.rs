//! A drill that was run, for tests of what is made of it.

use super::catalog::DRILLS;
use super::drill_target::{DrillAssignment, Instance};
use super::metrics::{Stored, measure};
use super::record::{Event, Expectation, Kind, Observation, Outcome, Ran, Role, Sample, What};
use super::run::Record;
use std::time::{Duration, SystemTime};

/// Text of a host that wants to be more than text.
pub const EVIL: &str = "</pre><script>alert(1)</script> & \"'\u{1b}[31m";

/// A drill with every kind of outcome, event and look, in which a write was lost.
pub fn record() -> Record {
    let ms = Duration::from_millis;
    let sample = |kind, seq, sent, ended, outcome, note: &str| Sample {
        kind,
        seq,
        sent: ms(sent),
        ended: ms(ended),
        outcome,
        status: match outcome {
            Outcome::Done => 201,
            Outcome::Refused => 503,
            Outcome::Broken | Outcome::Timeout => 0,
        },
        served_by: "app1".to_owned(),
        database: if outcome == Outcome::Done {
            "10.0.0.1"
        } else {
            ""
        }
        .to_owned(),
        note: note.to_owned(),
    };
    let samples = vec![
        sample(Kind::Write, 1, 100, 110, Outcome::Done, ""),
        sample(Kind::Read, 1, 100, 105, Outcome::Done, ""),
        sample(Kind::Write, 2, 1000, 1020, Outcome::Refused, EVIL),
        sample(Kind::Write, 3, 1100, 1101, Outcome::Broken, "closed"),
        sample(Kind::Read, 2, 1100, 3100, Outcome::Timeout, ""),
        sample(Kind::Write, 4, 2000, 2110, Outcome::Done, ""),
        sample(Kind::Read, 3, 3200, 3210, Outcome::Done, ""),
    ];
    let look = |host: &str, asked, role| Observation {
        host: host.to_owned(),
        asked: ms(asked),
        answered: ms(asked + 20),
        role,
    };
    let looks = vec![
        look("db1", 0, Role::Primary),
        look("db2", 0, Role::Standby),
        look("db1", 1000, Role::Down),
        look("db2", 1000, Role::Primary),
        look("db1", 2000, Role::Unknown),
    ];
    let event = |at, until, what, text: &str| Event {
        at: ms(at),
        until: ms(until),
        what,
        text: text.to_owned(),
    };
    let events = vec![
        event(500, 510, What::Break, "stop the database of db1"),
        event(520, 900, What::Command, "hactl failover → 0"),
        event(950, 950, What::Seen, EVIL),
        event(1500, 1600, What::Mend, "start it"),
    ];
    let stored = Stored {
        rows: [(4, 1)].into(),
        damaged: Some([4].into()),
    };
    let figures = measure(&samples, &looks, &events, Some(&stored));
    Record {
        drill: &DRILLS[0],
        mark: "0123abcd".to_owned(),
        started: SystemTime::UNIX_EPOCH,
        seconds: 4.0,
        assignment: DrillAssignment {
            primary: "db1".to_owned(),
            standby: "db2".to_owned(),
            holder: "lb1".to_owned(),
            reserve: "lb2".to_owned(),
            apps: vec!["app1".to_owned()],
            viewer: "app1".to_owned(),
            servers: [
                ("db1".to_owned(), Instance::default()),
                ("db2".to_owned(), Instance::default()),
            ]
            .into(),
            ..DrillAssignment::default()
        },
        rate: 20,
        expectations: vec![
            Expectation::of(true, "the primary", "db2", "db2"),
            Expectation::of(false, "acknowledged writes lost", "none", "1 (seq 1)"),
        ],
        samples,
        looks,
        events,
        ran: vec![Ran {
            at: ms(520),
            until: ms(900),
            line: "hactl failover".to_owned(),
            code: 0,
            stdout: "done\n".to_owned(),
            stderr: EVIL.to_owned(),
        }],
        figures,
        healthy: true,
    }
}
