//! Whether a primary is dead, as far as that can be known: by what each viewpoint saw. Pure.
//!
//! One viewpoint is not enough: who cannot reach a host may be cut off himself. A server that takes connections and does
//! not answer is not dead: it may wake up at any moment and take writes. Nor is a host dead that refuses connections: it is
//! up, and its server may be started at any moment.

use super::node::{Live, PeerView};
use super::view::Cluster;
use std::fmt;

/// What all viewpoints together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureVerdict {
    /// Somebody got an answer.
    Alive,
    /// Its host was entered, and the server does not run.
    DeadInside,
    /// Its host was entered; the server takes connections and does not answer.
    FrozenInside,
    /// Nobody gets through to the host, from two viewpoints at least.
    Gone,
    /// Its host cannot be entered, and somebody's connection is still taken there.
    FrozenOutside,
    /// Its host cannot be entered, and it is up: somebody's connection was refused there, so no server runs yet.
    UpOutside,
    /// Too few have looked.
    Unknown,
}

/// A viewpoint and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Who looked.
    pub from: String,
    /// What was seen, for people.
    pub saw: String,
}

/// The verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The verdict.
    pub verdict: FailureVerdict,
    /// The viewpoints.
    pub sights: Vec<Sight>,
}

/// How fresh a message of the primary must be, in seconds, to mean that it came after the looking began: the peers are
/// asked first, and that takes a moment.
const FRESH: f64 = 1.0;

/// Judges. `outsiders` are hosts that are no databases, and what they saw of its port.
pub fn judge(cluster: &Cluster, old: &str, outsiders: &[(String, PeerView)]) -> Proof {
    let mut sights = Vec::new();
    let mut see = |from: &str, saw: String| {
        sights.push(Sight {
            from: from.to_owned(),
            saw,
        });
    };
    let mut verdict = None;
    let mut nothing = 0;
    match cluster.member(old).map(|member| &member.seen) {
        Some(Ok(node)) => match &node.live {
            Live::Answers(_) => {
                see(
                    "this machine",
                    "SSH works, and the server answers".to_owned(),
                );
                verdict = Some(FailureVerdict::Alive);
            }
            Live::Silent => {
                see(
                    "this machine",
                    "SSH works; the server takes connections and does not answer".to_owned(),
                );
                verdict = Some(FailureVerdict::FrozenInside);
            }
            // A server that says no is a server: it starts up, shuts down, or is full.
            Live::Down(said) if said.contains("FATAL") => {
                see(
                    "this machine",
                    format!("SSH works, and the server answers ({said})"),
                );
                verdict = Some(FailureVerdict::Alive);
            }
            Live::Down(said) => {
                see(
                    "this machine",
                    format!("SSH works, and the server does not run ({said})"),
                );
                verdict = Some(FailureVerdict::DeadInside);
            }
            Live::None => {
                see(
                    "this machine",
                    "SSH works, and there is no cluster".to_owned(),
                );
                verdict = Some(FailureVerdict::DeadInside);
            }
        },
        Some(Err(error)) => {
            see("this machine", error.message.clone());
            nothing += 1;
        }
        None => {}
    }
    let inside = verdict;
    let (mut accepted, mut up) = (false, false);
    let mut alive = inside == Some(FailureVerdict::Alive);
    let views = cluster
        .views_of(old)
        .map(|(from, view)| (from.to_owned(), view.clone()))
        .chain(outsiders.iter().cloned());
    for (from, view) in views {
        let saw = match view {
            PeerView::Answers { .. } => {
                alive = true;
                "the server answers".to_owned()
            }
            PeerView::Refuses(said) => {
                alive = true;
                format!("the server answers ({said})")
            }
            PeerView::Silent => {
                accepted = true;
                "its port takes connections".to_owned()
            }
            // The refusal itself came from there.
            PeerView::Closed(_) => {
                up = true;
                "its host is up, and its port is closed".to_owned()
            }
            PeerView::Unreachable(said) => {
                nothing += 1;
                format!("its host cannot be reached ({said})")
            }
        };
        see(&from, saw);
    }
    for (host, node) in cluster.standbys() {
        let Some(receiver) = node.answer().and_then(|answer| answer.receiver.as_ref()) else {
            continue;
        };
        if cluster.followed_by(node) != Some(old) {
            continue;
        }
        match receiver.silent {
            Some(silent)
                if silent < FRESH && receiver.status == "streaming" && inside.is_none() =>
            {
                alive = true;
                see(
                    host,
                    format!("its log still arrives (last message {silent:.1} s ago)"),
                );
            }
            Some(silent) => see(
                host,
                format!("the last message of its log came {silent:.1} s ago"),
            ),
            None => {}
        }
    }
    let verdict = match inside {
        _ if alive => FailureVerdict::Alive,
        Some(inside) => inside,
        None if accepted => FailureVerdict::FrozenOutside,
        None if up => FailureVerdict::UpOutside,
        None if nothing >= 2 => FailureVerdict::Gone,
        None => FailureVerdict::Unknown,
    };
    Proof { verdict, sights }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sights: Vec<String> = self
            .sights
            .iter()
            .map(|sight| format!("{}: {}", sight.from, sight.saw))
            .collect();
        f.write_str(&sights.join("; "))
    }
}
