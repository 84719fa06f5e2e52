//! The drills, as data.

mod balancers;
mod databases;
mod hosts;
mod network;
mod operations;

use super::plan::{Drill, DrillStep, Who};
use super::record::What;
use crate::base::exit;

/// All of them, in the order in which `all` runs them: each begins with the service that the one before it left, so the
/// databases change places many times.
pub static DRILLS: &[Drill] = &[
    operations::SWITCHOVER,
    databases::CRASH,
    databases::STOPPED,
    databases::POWER_LOSS,
    network::CUT_REPLICATION,
    network::CUT_CLIENTS,
    network::CUT_ALL,
    databases::FROZEN,
    databases::DISK_FULL,
    databases::PAUSED_REPLAY,
    network::UNIQUE_ROWS,
    balancers::LOSS,
    balancers::CHECK_FAILS,
    hosts::FILE_SERVER_LOSS,
    // The deploy after it then finds nothing that a cold start would have left to do.
    hosts::COLD_START,
    operations::DEPLOY,
    operations::KILLED,
    operations::RESTORE,
];

/// The drill of this name or short name.
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS
        .iter()
        .find(|drill| drill.id.eq_ignore_ascii_case(name) || drill.name == name)
}

const REASON: &str = "--reason=drill";

/// A switchover to the one that follows.
const SWITCHOVER: DrillStep = DrillStep::Hactl {
    words: &["switchover", REASON],
    code: 0,
    says: &[],
};

/// A failover that may lose data. Drills make more than one in an hour.
const LOSSY: &[&str] = &[
    "failover",
    "--promote=replica",
    "--again",
    "--allow-data-loss",
    REASON,
];

const FAILOVER: DrillStep = failover(LOSSY);

/// A failover that succeeds.
const fn failover(words: &'static [&'static str]) -> DrillStep {
    DrillStep::Hactl {
        words,
        code: exit::DONE,
        says: &["{standby} is the primary now"],
    }
}

/// Something that hactl must refuse, and the words by which it is known why.
const fn refused(words: &'static [&'static str], says: &'static [&'static str]) -> DrillStep {
    DrillStep::Hactl {
        words,
        code: exit::REFUSED,
        says,
    }
}

/// The old primary comes back.
const REJOIN: DrillStep = DrillStep::Rejoin(Who::Primary);

/// Kills the server of a database as the kernel does when memory is short.
const CRASH: DrillStep = DrillStep::Script {
    on: Who::Primary,
    what: What::Break,
    text: "kill the database of {primary} (SIGKILL)",
    script: "read -r pid <\"$data/postmaster.pid\" && kill -9 \"$pid\"",
};

const STOP: DrillStep = DrillStep::Script {
    on: Who::Primary,
    what: What::Break,
    text: "stop the database of {primary}",
    script: "systemctl stop \"$unit\"",
};

const START: DrillStep = DrillStep::Script {
    on: Who::Primary,
    what: What::Mend,
    text: "start the database of {primary}",
    script: "systemctl start \"$unit\"",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::drill::drill_target::DrillAssignment;
    use crate::ops::drill::plan::fill;
    use std::collections::BTreeSet;

    fn steps(drill: &Drill) -> impl Iterator<Item = &DrillStep> {
        drill.prepare.iter().chain(drill.steps).chain(drill.heal)
    }

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<&str> = DRILLS
            .iter()
            .flat_map(|drill| [drill.id, drill.name])
            .collect();
        assert_eq!(names.len(), 2 * DRILLS.len());
        for drill in DRILLS {
            assert_eq!(find(drill.name).map(|found| found.id), Some(drill.id));
            assert_eq!(
                find(&drill.id.to_lowercase()).map(|found| found.name),
                Some(drill.name)
            );
        }
        assert!(find("all").is_none());
    }

    #[test]
    fn what_is_broken_is_mended() {
        for drill in DRILLS {
            for step in steps(drill) {
                let mended = match step {
                    DrillStep::Power(who, false) => steps(drill)
                        .any(|step| matches!(step, DrillStep::Power(by, true) if by == who)),
                    DrillStep::Cut(who, _) => drill
                        .heal
                        .iter()
                        .any(|step| matches!(step, DrillStep::Join(by) if by == who)),
                    _ => true,
                };
                assert!(mended, "{}: {step:?}", drill.id);
            }
            let named = |who: &Who| drill.breaks.contains(who);
            for step in drill.prepare.iter().chain(drill.steps) {
                let who = match step {
                    DrillStep::Power(who, _) | DrillStep::Cut(who, _) => who,
                    DrillStep::Script {
                        on,
                        what: What::Break,
                        ..
                    } => on,
                    _ => continue,
                };
                assert!(named(who), "{}: {who:?} is broken and not named", drill.id);
            }
        }
    }

    #[test]
    fn all_words_in_braces_are_names() {
        let assignment = DrillAssignment {
            primary: "a".to_owned(),
            standby: "b".to_owned(),
            holder: "c".to_owned(),
            reserve: "d".to_owned(),
            ..DrillAssignment::default()
        };
        for drill in DRILLS {
            for step in steps(drill) {
                let texts: Vec<&str> = match step {
                    DrillStep::Hactl { words, says, .. } => [*words, *says].concat(),
                    DrillStep::Killed { words, .. } => words.to_vec(),
                    DrillStep::Script { text, .. } => vec![text],
                    _ => Vec::new(),
                };
                for text in texts {
                    assert!(
                        !fill(text, &assignment).contains('{'),
                        "{}: {text}",
                        drill.id
                    );
                }
            }
        }
    }

    #[test]
    fn scripts_are_for_any_sh() {
        for drill in DRILLS {
            for step in steps(drill) {
                let DrillStep::Script { script, .. } = step else {
                    continue;
                };
                let sh = std::process::Command::new("sh")
                    .args(["-n", "-c", script])
                    .output()
                    .expect("sh");
                assert!(sh.status.success(), "{}: {script}", drill.id);
            }
        }
    }
}
