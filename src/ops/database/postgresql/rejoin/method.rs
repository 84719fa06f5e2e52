//! How a host is made to follow, decided from the evidence alone.
//!
//! In doubt it is a new copy: nothing here trusts a directory of which it cannot be told how its log goes on.

use super::{Committed, Evidence, RejoinOptions};
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::node::Node;

/// How a host is made to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It follows already.
    Nothing,
    /// Its log is a part of the primary's: it is started as a replica.
    Start,
    /// Its log went on where the primary's did not: that part is rewound.
    Rewind,
    /// A new copy beside the old directory, which is kept under another name.
    Clone,
}

impl Method {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Start => "start",
            Self::Rewind => "rewind",
            Self::Clone => "clone",
        }
    }
}

/// Decides: the method, why, and what is only on this host (from where to where).
pub fn decide(
    evidence: &Evidence,
    node: &Node,
    options: &RejoinOptions,
) -> (Method, String, Option<(Lsn, Lsn)>) {
    let standby = node.place.standby_signal;
    let (own, primary) = (evidence.timeline, evidence.primary_timeline);
    if evidence.half_rewound {
        return (
            Method::Clone,
            "a rewind was begun and not ended".to_owned(),
            None,
        );
    }
    if own == primary && standby {
        return (
            Method::Start,
            format!("it is a replica on the primary's timeline {own}"),
            None,
        );
    }
    let Some(fork) = evidence.fork else {
        return (
            Method::Clone,
            format!("its timeline {own} is none that the primary (timeline {primary}) has been on"),
            None,
        );
    };
    let Some(end) = evidence.log_end else {
        return (
            Method::Clone,
            "the end of its log cannot be read".to_owned(),
            None,
        );
    };
    // Of a server that runs as a primary the log goes on: it writes a checkpoint when it is stopped.
    if end <= fork && !node.is_primary() {
        let why =
            format!("its log ends at {end}, before the primary left timeline {own} at {fork}");
        return (Method::Start, why, None);
    }
    let (why, only_here) = if end <= fork {
        let why = format!(
            "it still runs as a primary, and its stop writes on at {end}, where the primary left timeline {own} at {fork}"
        );
        (why, None)
    } else {
        let why = format!(
            "its log goes on to {end}, and the primary left timeline {own} at {fork}: {} bytes are only on this host",
            end.ahead_of(fork)
        );
        (why, Some((fork, end)))
    };
    let old = node
        .place
        .version
        .parse::<u32>()
        .is_ok_and(|version| version < 15);
    // A rewind reads the log since the last checkpoint before the fork.
    let gone = matches!(evidence.committed, Committed::Gone(_));
    let method = if options.clone || old || gone {
        Method::Clone
    } else {
        Method::Rewind
    };
    (method, why, only_here)
}

#[cfg(test)]
mod tests {
    use super::super::fork_of;
    use super::*;
    use crate::ops::database::postgresql::node::{Answer, Live, Place};

    fn lsn(text: &str) -> Lsn {
        text.parse().expect("a position")
    }

    #[test]
    fn the_method_follows_from_the_evidence() {
        let history = "1\t0/3000000\tno recovery target specified\n\n2\t0/5000060\tno recovery target specified\n";
        assert_eq!(fork_of(history, 1), Some(lsn("0/3000000")));
        assert_eq!(fork_of(history, 2), Some(lsn("0/5000060")));
        assert_eq!(fork_of(history, 3), None);
        let node = |signal: bool, version: &str| Node {
            place: Place {
                standby_signal: signal,
                version: version.to_owned(),
                ..Default::default()
            },
            ..Node::default()
        };
        let clone = RejoinOptions {
            clone: true,
            ..RejoinOptions::default()
        };
        for (own, end, fork, signal, version, options, method, diverged) in [
            (
                3,
                Some("0/6"),
                None,
                true,
                "15",
                RejoinOptions::default(),
                Method::Start,
                None,
            ),
            (
                2,
                Some("0/5000060"),
                Some("0/5000060"),
                false,
                "15",
                RejoinOptions::default(),
                Method::Start,
                None,
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "15",
                RejoinOptions::default(),
                Method::Rewind,
                Some(1),
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "14",
                RejoinOptions::default(),
                Method::Clone,
                Some(1),
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "15",
                clone,
                Method::Clone,
                Some(1),
            ),
            (
                2,
                None,
                Some("0/5000060"),
                false,
                "15",
                RejoinOptions::default(),
                Method::Clone,
                None,
            ),
            (
                3,
                Some("0/6"),
                None,
                false,
                "15",
                RejoinOptions::default(),
                Method::Clone,
                None,
            ),
        ] {
            let evidence = Evidence {
                timeline: own,
                primary_timeline: 3,
                log_end: end.map(lsn),
                fork: fork.map(lsn),
                ..Evidence::default()
            };
            let (got, why, lost) = decide(&evidence, &node(signal, version), &options);
            assert_eq!(got, method, "{why}");
            assert_eq!(
                lost.map(|(fork, end)| end.ahead_of(fork)),
                diverged,
                "{why}"
            );
        }
        let half = Evidence {
            half_rewound: true,
            timeline: 3,
            primary_timeline: 3,
            ..Evidence::default()
        };
        assert_eq!(
            decide(&half, &node(true, "15"), &RejoinOptions::default()).0,
            Method::Clone
        );
    }

    #[test]
    fn a_primary_that_still_runs_writes_on_when_it_is_stopped() {
        let evidence = Evidence {
            timeline: 2,
            primary_timeline: 3,
            log_end: Some(lsn("0/5000060")),
            fork: Some(lsn("0/5000060")),
            ..Evidence::default()
        };
        for (live, method) in [
            (Some(false), Method::Rewind),
            (Some(true), Method::Start),
            (None, Method::Start),
        ] {
            let answers = |in_recovery| {
                Live::Answers(Box::new(Answer {
                    in_recovery,
                    ..Answer::default()
                }))
            };
            let node = Node {
                live: live.map_or_else(|| Live::Down(String::new()), answers),
                place: Place {
                    version: "15".to_owned(),
                    ..Place::default()
                },
                ..Node::default()
            };
            let (got, why, lost) = decide(&evidence, &node, &RejoinOptions::default());
            assert_eq!((got, lost), (method, None), "{why}");
        }
    }
}
