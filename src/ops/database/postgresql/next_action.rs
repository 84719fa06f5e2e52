//! The way on from an operation that was broken off: one for each state that its journal and its two hosts can be in. Pure.
//!
//! `resume` acts by it, `status`, `failover` and the end of an operation name it. It never names an act that could make a
//! second primary: what may have been promoted is not taken back, and nothing is promoted over a host that may lead.

use super::node::{Live, Node};
use super::view::Cluster;
use crate::ops::operation::journal::{Record, StepState};

/// The kinds of operations that move the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In order.
    Switchover,
    /// Over a dead primary.
    Failover,
}

/// How far it came, by its journal and by what the promoted host says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody was promoted.
    Before,
    /// The host that was to be promoted may have been, and does not answer.
    Maybe,
    /// It was promoted.
    Promoted,
}

/// What one of its two hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It cannot be asked, or has no cluster.
    Away,
    /// Its host answers, and its server does not run.
    Down,
    /// Its server takes connections and does not answer.
    Frozen,
    /// It answers, in recovery.
    Replica,
    /// It takes writes.
    Primary,
}

/// One of its two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The primary that was.
    Old,
    /// The primary that is to be.
    New,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAction {
    /// Take it to its end.
    Resume,
    /// Take it back.
    Undo,
    /// It is over, since things have gone on without it: its journal is closed.
    Close,
    /// This one is to lead now.
    Failover(Part),
    /// Without this host nothing can be decided.
    Reach(Part),
    /// This one's server is to be started.
    Start(Part),
    /// Two take writes, or one does that was replaced: whose data stays is for people to say.
    Decide,
}

/// The table.
pub fn next_action(kind: Kind, phase: Phase, old: State, new: State) -> NextAction {
    use Part::{New, Old};
    use State::{Away, Down, Frozen, Primary, Replica};
    match (kind, phase, old, new) {
        (_, _, Primary, Primary) => NextAction::Decide,
        // Nobody was promoted by it. A primary all the same was made by somebody else.
        (_, Phase::Before, _, Primary) => NextAction::Close,
        (Kind::Switchover, Phase::Before, Primary | Down | Replica, Replica) => NextAction::Resume,
        (Kind::Switchover, Phase::Before, Primary | Down | Replica, _) => NextAction::Undo,
        (Kind::Switchover, Phase::Before, Frozen | Away, Replica) => NextAction::Failover(New),
        // It was stopped in order: what it has is all there is.
        (Kind::Switchover, Phase::Before, Frozen | Away, _) => NextAction::Reach(Old),
        (Kind::Failover, Phase::Before, Primary, _) => NextAction::Undo,
        (Kind::Failover, Phase::Before, _, Replica) => NextAction::Resume,
        // Whoever began it could still promote a host that is out of sight here.
        (Kind::Failover, Phase::Before, _, Away) => NextAction::Reach(New),
        (Kind::Failover, Phase::Before, Away, Down) => NextAction::Start(New),
        (Kind::Failover, Phase::Before, Away, _) => NextAction::Reach(New),
        (Kind::Failover, Phase::Before, _, _) => NextAction::Undo,
        // The one that leads, or should: the others come after it.
        (_, _, _, Primary) => NextAction::Resume,
        (_, Phase::Promoted, Primary, Away | Frozen | Down) => NextAction::Decide,
        (_, Phase::Maybe, Primary, _) => NextAction::Reach(New),
        (_, Phase::Promoted, _, Replica) => NextAction::Close,
        (_, Phase::Promoted, _, Down) => NextAction::Start(New),
        (_, Phase::Maybe, _, Down | Replica) => next_action(kind, Phase::Before, old, new),
        (_, _, Replica, Away | Frozen) => NextAction::Failover(Old),
        // Its signal lets it start as a standby only.
        (Kind::Switchover, _, Down, Away | Frozen) => NextAction::Start(Old),
        (_, _, _, Away | Frozen) => NextAction::Reach(New),
    }
}

/// What an observed host is.
pub fn state(node: Option<&Node>) -> State {
    match node.map(|node| &node.live) {
        None | Some(Live::None) => State::Away,
        Some(Live::Silent) => State::Frozen,
        Some(Live::Down(_)) => State::Down,
        Some(Live::Answers(answer)) if answer.in_recovery => State::Replica,
        Some(Live::Answers(_)) => State::Primary,
    }
}

/// An operation that was broken off, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// Its kind.
    pub kind: Kind,
    /// How far it came.
    pub phase: Phase,
    /// The primary that was, and what it is.
    pub old: (String, State),
    /// The primary that is to be, and what it is.
    pub new: (String, State),
}

impl Situation {
    /// None for an operation that moves no primary, or does not say which.
    pub fn of(cluster: &Cluster, record: &Record) -> Option<Self> {
        let kind = match record.header.kind.as_str() {
            "switchover" => Kind::Switchover,
            "failover" => Kind::Failover,
            _ => return None,
        };
        let part = |key: &str| {
            let host = record.header.details.get(key).cloned().unwrap_or_default();
            let state = state(cluster.node(&host));
            (host, state)
        };
        let (old, new) = (part("old"), part("new"));
        if old.0.is_empty() || new.0.is_empty() {
            return None;
        }
        let newer = || {
            let begun: Option<u32> = record.header.details.get("timeline")?.parse().ok();
            Some(cluster.node(&new.0)?.timeline() > begun?)
        };
        let done = record.state("promote") == Some(StepState::Done);
        let phase = match new.1 {
            _ if !record.may_have("promote") => Phase::Before,
            State::Primary => Phase::Promoted,
            State::Replica if done => Phase::Promoted,
            State::Replica => Phase::Before,
            State::Down => match newer() {
                Some(true) => Phase::Promoted,
                Some(false) => Phase::Before,
                None => Phase::Maybe,
            },
            State::Away | State::Frozen if done => Phase::Promoted,
            State::Away | State::Frozen => Phase::Maybe,
        };
        Some(Self {
            kind,
            phase,
            old,
            new,
        })
    }

    /// The way on.
    pub fn next_action(&self) -> NextAction {
        next_action(self.kind, self.phase, self.old.1, self.new.1)
    }

    /// The host of a part.
    pub fn host(&self, part: Part) -> &str {
        match part {
            Part::Old => &self.old.0,
            Part::New => &self.new.0,
        }
    }

    /// The way on, as a command or as what has to be done by hand.
    pub fn command(&self) -> String {
        match self.next_action() {
            NextAction::Resume | NextAction::Close => "hactl resume".to_owned(),
            NextAction::Undo => "hactl resume --undo".to_owned(),
            NextAction::Failover(part) => format!("hactl failover --promote {}", self.host(part)),
            NextAction::Reach(part) => format!(
                "bring {} back (power, network, sshd), then hactl resume",
                self.host(part)
            ),
            NextAction::Start(part) => format!(
                "hactl run -l {} -- systemctl start postgresql, then hactl resume",
                self.host(part)
            ),
            NextAction::Decide => format!(
                "decide whose data stays, {} or {}; stop the other one (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it",
                self.old.0, self.new.0
            ),
        }
    }

    /// Why this is the way on, in a sentence.
    pub fn reason(&self) -> String {
        let ((old, _), (new, _)) = (&self.old, &self.new);
        let is = |(host, state): &(String, State)| {
            let what = match state {
                State::Away => "cannot be asked",
                State::Down => "does not run",
                State::Frozen => "does not answer",
                State::Replica => "is a replica",
                State::Primary => "takes writes",
            };
            format!("{host} {what}")
        };
        let seen = format!("{}, {}", is(&self.old), is(&self.new));
        match self.next_action() {
            NextAction::Resume => format!("{seen}: it can be taken to its end"),
            NextAction::Undo if self.old.1 == State::Primary && self.kind == Kind::Failover => {
                format!("{old} is alive again, and nobody was promoted")
            }
            NextAction::Undo => format!("{seen}, and nobody was promoted"),
            NextAction::Close => format!("{seen}: things have gone on without it"),
            NextAction::Failover(_) => format!("{seen}: it cannot be taken to its end without it"),
            NextAction::Reach(Part::New) => {
                format!("{seen}: {new} may be, or may still become, the primary")
            }
            NextAction::Reach(Part::Old) => format!("{seen}: {old} has the newest data"),
            NextAction::Start(part) => format!("{seen}: {} is needed", self.host(part)),
            NextAction::Decide if self.new.1 == State::Primary => {
                format!("split brain: {old} and {new} take writes")
            }
            NextAction::Decide => format!("{old} takes writes, and {new} was promoted over it"),
        }
    }

    /// Hosts that must confirm a higher epoch before it is taken to its end, or back: without them whoever began it could
    /// still make the step that counts. A switchover promotes nobody without the word of the old primary.
    pub fn arbiters(&self, undo: bool) -> Vec<String> {
        let (old, new) = (self.old.0.clone(), self.new.0.clone());
        match (self.kind, undo) {
            (Kind::Switchover, true) => vec![old],
            (Kind::Switchover, false) if self.phase == Phase::Before => vec![old, new],
            // Its own look right before the promotion finds the old primary alive.
            (Kind::Failover, true) if self.old.1 == State::Primary => vec![old],
            _ => vec![new],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [
        State::Away,
        State::Down,
        State::Frozen,
        State::Replica,
        State::Primary,
    ];

    /// Every cell: rows are the old primary, columns the new one, each away, down, frozen, replica, primary.
    const TABLE: &str = "\
Switchover Before
Away: Reach(Old) Reach(Old) Reach(Old) Failover(New) Close
Down: Undo Undo Undo Resume Close
Frozen: Reach(Old) Reach(Old) Reach(Old) Failover(New) Close
Replica: Undo Undo Undo Resume Close
Primary: Undo Undo Undo Resume Decide
Switchover Maybe
Away: Reach(New) Reach(Old) Reach(New) Failover(New) Resume
Down: Start(Old) Undo Start(Old) Resume Resume
Frozen: Reach(New) Reach(Old) Reach(New) Failover(New) Resume
Replica: Failover(Old) Undo Failover(Old) Resume Resume
Primary: Reach(New) Reach(New) Reach(New) Reach(New) Decide
Switchover Promoted
Away: Reach(New) Start(New) Reach(New) Close Resume
Down: Start(Old) Start(New) Start(Old) Close Resume
Frozen: Reach(New) Start(New) Reach(New) Close Resume
Replica: Failover(Old) Start(New) Failover(Old) Close Resume
Primary: Decide Decide Decide Close Decide
Failover Before
Away: Reach(New) Start(New) Reach(New) Resume Close
Down: Reach(New) Undo Undo Resume Close
Frozen: Reach(New) Undo Undo Resume Close
Replica: Reach(New) Undo Undo Resume Close
Primary: Undo Undo Undo Undo Decide
Failover Maybe
Away: Reach(New) Start(New) Reach(New) Resume Resume
Down: Reach(New) Undo Reach(New) Resume Resume
Frozen: Reach(New) Undo Reach(New) Resume Resume
Replica: Failover(Old) Undo Failover(Old) Resume Resume
Primary: Reach(New) Reach(New) Reach(New) Reach(New) Decide
Failover Promoted
Away: Reach(New) Start(New) Reach(New) Close Resume
Down: Reach(New) Start(New) Reach(New) Close Resume
Frozen: Reach(New) Start(New) Reach(New) Close Resume
Replica: Failover(Old) Start(New) Failover(Old) Close Resume
Primary: Decide Decide Decide Close Decide
";

    #[test]
    fn every_cell_has_one_way_on() {
        let mut table = String::new();
        for kind in [Kind::Switchover, Kind::Failover] {
            for phase in [Phase::Before, Phase::Maybe, Phase::Promoted] {
                table.push_str(&format!("{kind:?} {phase:?}\n"));
                for old in STATES {
                    let ways: Vec<String> = STATES
                        .iter()
                        .map(|new| format!("{:?}", next_action(kind, phase, old, *new)))
                        .collect();
                    table.push_str(&format!("{old:?}: {}\n", ways.join(" ")));
                }
            }
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn no_way_leads_to_a_second_primary() {
        for kind in [Kind::Switchover, Kind::Failover] {
            for phase in [Phase::Before, Phase::Maybe, Phase::Promoted] {
                for (old, new) in STATES
                    .into_iter()
                    .flat_map(|old| STATES.map(|new| (old, new)))
                {
                    let cell = format!("{kind:?} {phase:?} {old:?} {new:?}");
                    let found = next_action(kind, phase, old, new);
                    let of = |part| if part == Part::Old { old } else { new };
                    match found {
                        NextAction::Resume => assert!(
                            old != State::Primary
                                || kind == Kind::Switchover && new == State::Replica,
                            "{cell}"
                        ),
                        NextAction::Undo => assert!(
                            phase == Phase::Before
                                || phase == Phase::Maybe
                                    && matches!(new, State::Down | State::Replica),
                            "{cell}"
                        ),
                        NextAction::Failover(part) => {
                            assert!(of(part) == State::Replica, "{cell}");
                            assert!(old != State::Primary && new != State::Primary, "{cell}");
                        }
                        NextAction::Reach(part) => assert!(
                            of(part) != State::Primary || old == State::Primary,
                            "{cell}"
                        ),
                        NextAction::Start(part) => assert!(of(part) == State::Down, "{cell}"),
                        NextAction::Close => {
                            assert!(matches!(new, State::Primary | State::Replica), "{cell}")
                        }
                        NextAction::Decide => assert!(old == State::Primary, "{cell}"),
                    }
                }
            }
        }
    }
}
