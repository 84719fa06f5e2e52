//! Histories out of a seed: the words of the language in any order, short, with one operator or two. The same seed gives the
//! same history; what is printed when one fails is that history as data.
//!
//! None has a flag by which somebody says what is not so: a history in which an operator swears that a living host is off
//! tells nothing about hactl.

use super::history::{Finish, History, Later, Run, Start, Step};
use super::{play, prepare};
use crate::bench::Bench;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant};

/// How many are played, unless `HACTL_CHAOS_ROUNDS` says otherwise.
const ROUNDS: u64 = 40;
/// So many in a row have commits that wait for the replica, then so many not: changing that takes a deploy.
const BLOCK: u64 = 10;

const SWITCHOVER: [&str; 7] = [
    "slots",
    "prepare",
    "stop",
    "last-byte",
    "promote",
    "follow",
    "check",
];
const FAILOVER: [&str; 5] = ["fence", "block-app1", "slots", "promote", "checkpoint"];
const REJOIN: [&str; 4] = ["stop", "slot", "demote", "start"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays as many as are asked for; panics at the end when any was not kept.
pub fn rounds(bench: &Bench) {
    let rounds = number("HACTL_CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("HACTL_CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 1000);
    eprintln!("lab: HACTL_CHAOS_SEED={seed} HACTL_CHAOS_ROUNDS={rounds}");
    prepare(bench);
    let mut failed = Vec::new();
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    for seed in seed..seed + rounds {
        let history = history(seed);
        let begun = Instant::now();
        let kept = play(bench, &history).is_empty();
        longest = longest.max(begun.elapsed());
        eprintln!(
            "lab:   HACTL_CHAOS_SEED={seed} HACTL_CHAOS_ROUNDS=1 ... {} ({:.1} s)",
            if kept { "kept" } else { "BROKEN" },
            begun.elapsed().as_secs_f64()
        );
        if !kept {
            failed.push(seed);
        }
    }
    eprintln!(
        "lab: {rounds} random histories in {:.1} s, the longest {:.1} s",
        began.elapsed().as_secs_f64(),
        longest.as_secs_f64()
    );
    assert!(failed.is_empty(), "broken, by their seeds: {failed:?}");
}

/// What is true of the hosts while a history is made up.
#[derive(Default)]
struct Scene {
    steps: Vec<Step>,
    /// Operators whose command may be under way.
    busy: Vec<&'static str>,
    /// What takes back the faults that last.
    undo: Vec<Step>,
}

/// The history of a seed.
pub fn history(seed: u64) -> History {
    let random = &mut StdRng::seed_from_u64(seed);
    let synchronous = seed / BLOCK % 2 == 1;
    let mut scene = Scene::default();
    for _ in 0..random.random_range(2..=6) {
        match random.random_range(0..100) {
            0..35 => scene.command(random, synchronous),
            35..65 => scene.fault(random),
            65..78 => scene.take_back(),
            78..90 => scene.operator(random),
            _ => {
                let seconds = f64::from(random.random_range(1..30_u32)) / 10.0;
                scene.steps.push(Step::Delay(seconds));
            }
        }
    }
    // Whoever was stopped wakes up in the end.
    for who in scene.busy {
        scene.steps.push(Step::Wake(who.to_owned()));
        scene.steps.push(Step::Finish(Finish {
            who: who.to_owned(),
            exits: Vec::new(),
        }));
    }
    History {
        name: format!("random_{seed}"),
        about: "made up from a seed".to_owned(),
        sample: false,
        synchronous,
        // Whoever brings a synchronous service back may not lose anything; the others may.
        may_lose: !synchronous,
        lose_at_most: None,
        skip_impossible: true,
        steps: scene.steps,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn names(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn one_of<T: Clone>(random: &mut StdRng, list: &[T]) -> T {
    list.choose(random)
        .expect("a list with something in it")
        .clone()
}

impl Scene {
    fn command(&mut self, random: &mut StdRng, synchronous: bool) {
        let failover = if synchronous {
            "failover --promote replica --again"
        } else {
            "failover --promote replica --allow-data-loss --again"
        };
        let (command, steps): (&str, &[&str]) = match random.random_range(0..10) {
            0..4 => ("switchover", &SWITCHOVER),
            4..7 => (failover, &FAILOVER),
            7 => ("rejoin {old} --discard-diverged", &REJOIN),
            8 => ("resume", &[]),
            _ => ("resume --undo", &[]),
        };
        let free = ["a", "b"].into_iter().find(|who| !self.busy.contains(who));
        match free {
            Some(who) if !steps.is_empty() && random.random_bool(0.6) => {
                let step = Some(one_of(random, steps).to_owned());
                let dies = random.random_bool(0.4);
                self.steps.push(Step::Start(Start {
                    who: who.to_owned(),
                    command: words(command),
                    stop_after: step.clone().filter(|_| !dies),
                    die_after: step.filter(|_| dies),
                    may_end: true,
                }));
                if !dies {
                    self.busy.push(who);
                    if random.random_bool(0.7) {
                        self.steps.push(Step::DropSessions(who.to_owned()));
                    }
                }
            }
            _ => self.steps.push(Step::Run(Run {
                command: words(command),
                exits: Vec::new(),
                within: None,
            })),
        }
    }

    fn fault(&mut self, random: &mut StdRng) {
        // One fault that lasts at a time, but for those that end by themselves.
        if !self.undo.is_empty() {
            return self.take_back();
        }
        let host = one_of(random, &["old", "old", "old", "new"]);
        let one = || names(&[host]);
        let (fault, undo) = match random.random_range(0..10) {
            0..4 => (Step::PowerOff(one()), Step::PowerOn(one())),
            4..6 => (Step::Freeze(one()), Step::Thaw(one())),
            6 => {
                let pair = names(&["old", "new"]);
                (Step::Cut(pair.clone()), Step::Heal(pair))
            }
            7 => (Step::Cut(one()), Step::Heal(one())),
            8 => (Step::HangSshd(one()), Step::ResumeSshd(one())),
            _ => {
                self.steps.push(Step::KillServer(host.to_owned()));
                return;
            }
        };
        self.steps.push(fault);
        if random.random_bool(0.4) {
            let after = f64::from(random.random_range(5..60_u32)) / 10.0;
            self.steps.push(Step::Later(Later {
                after,
                step: Box::new(undo),
            }));
            // Something goes on meanwhile.
            return;
        }
        self.undo.push(undo);
    }

    fn take_back(&mut self) {
        self.steps.extend(self.undo.pop());
    }

    fn operator(&mut self, random: &mut StdRng) {
        let Some(who) = self.busy.pop() else {
            return;
        };
        let name = who.to_owned();
        if random.random_bool(0.3) {
            self.steps.push(Step::Kill(name));
        } else {
            self.steps.push(Step::Wake(name.clone()));
            self.steps.push(Step::Finish(Finish {
                who: name,
                exits: Vec::new(),
            }));
        }
    }
}
