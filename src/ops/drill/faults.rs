//! What a drill breaks, as it is kept on the database hosts before it is broken: a drill that was killed can be healed by
//! whoever comes next (`hactl resume`).
//!
//! What is kept are names: of the drill, of the part, of the host. What heals is looked up in the catalog; nothing that a
//! host's file says is ever run.

use super::catalog;
use super::plan::{DrillStep, Who};
use super::record::What;
use crate::base::quote::sh;
use crate::modules::Request;
use serde::{Deserialize, Serialize};

/// The file, on every database host: one JSON object a line, one line a fault.
pub const FILE: &str = "/var/lib/hactl/drill";

/// Something that a drill breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The drill's name.
    pub drill: String,
    /// The host.
    pub host: String,
    /// The part that it plays: `primary`, `standby`…
    pub part: String,
    /// What is done to it.
    pub text: String,
    /// Who runs the drill.
    pub operator: String,
    /// When, in seconds since 1970.
    pub since: u64,
}

/// Adds a line to the file, and has it on the disk before it ends.
pub fn note(fault: &Fault) -> Request {
    let line = serde_json::to_string(fault).unwrap_or_default();
    let mut request = Request::sh(format!(
        "set -e; umask 077; mkdir -p /var/lib/hactl; printf '%s\\n' {} >>{FILE}; sync {FILE} /var/lib/hactl",
        sh(&line)
    ));
    request.timeout_seconds = Some(10);
    request
}

/// Removes the file: everything is healed.
pub fn forget() -> Request {
    Request::sh(format!("rm -f {FILE}; sync /var/lib/hactl"))
}

/// Prints it; nothing when no drill is under way.
pub fn ask() -> Request {
    Request::sh(format!("[ ! -e {FILE} ] || head -c 100000 {FILE}"))
}

/// Reads what [`ask`] printed. A line that cannot be read is a fault of which nothing is known: it is not left out.
pub fn read(text: &str) -> Vec<Fault> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|_| Fault {
                drill: "unknown".to_owned(),
                host: String::new(),
                part: String::new(),
                text: "a line that cannot be read".to_owned(),
                operator: "unknown".to_owned(),
                since: 0,
            })
        })
        .collect()
}

/// What heals a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cure {
    /// Scripts for its host, with what they do; each may run twice. `$unit`, `$port`, `$data` are to be set.
    pub scripts: Vec<(&'static str, &'static str)>,
    /// What only somebody outside of the host can do.
    pub outside: Vec<&'static str>,
    /// Its database has to come back by `hactl rejoin`.
    pub rejoin: bool,
}

/// What heals a fault, by the catalog; none for a drill that this version does not know.
pub fn cure(fault: &Fault) -> Option<Cure> {
    let drill = catalog::find(&fault.drill)?;
    let mut cure = Cure::default();
    for step in drill.heal {
        match *step {
            DrillStep::Script {
                on,
                what: What::Mend,
                text,
                script,
            } if plays(fault, on) => cure.scripts.push((text, script)),
            DrillStep::Power(who, true) if plays(fault, who) => {
                cure.outside
                    .push("give it power (in a lab: hactl lab start)");
            }
            DrillStep::Join(who) if plays(fault, who) => {
                cure.outside
                    .push("reconnect its network (in a lab: hactl lab heal)");
            }
            DrillStep::Rejoin(who) if plays(fault, who) => cure.rejoin = true,
            _ => {}
        }
    }
    Some(cure)
}

/// The word for a part in the file.
pub fn part(who: Who) -> String {
    format!("{who:?}").to_lowercase()
}

fn plays(fault: &Fault, who: Who) -> bool {
    who == Who::Everyone || fault.part == part(who)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::drill::catalog::DRILLS;

    fn fault(drill: &str, part: &str) -> Fault {
        Fault {
            drill: drill.to_owned(),
            host: "db1".to_owned(),
            part: part.to_owned(),
            text: "what it does".to_owned(),
            operator: "alice".to_owned(),
            since: 1,
        }
    }

    #[test]
    fn what_is_noted_is_read_and_healed() {
        let first = fault("frozen", "primary");
        let line = serde_json::to_string(&first).expect("json");
        let read = read(&format!("{line}\nnonsense\n"));
        assert_eq!(read.first(), Some(&first));
        // Half a line is a fault all the same.
        assert_eq!((read.len(), read[1].drill.as_str()), (2, "unknown"));
        assert_eq!(cure(&read[1]), None);
        let healed = cure(&first).expect("known");
        assert!(
            healed.rejoin && healed.scripts[0].1.contains("--signal=CONT"),
            "{healed:?}"
        );
        assert_eq!(
            cure(&fault("paused-replay", "standby"))
                .expect("known")
                .scripts
                .len(),
            1
        );
        assert_eq!(
            cure(&fault("power-loss", "primary"))
                .expect("known")
                .outside
                .len(),
            1
        );
    }

    #[test]
    fn whatever_a_drill_breaks_has_a_cure() {
        for drill in DRILLS {
            for step in drill.prepare.iter().chain(drill.steps) {
                let parts = match *step {
                    DrillStep::Power(who, false) | DrillStep::Cut(who, _) => who,
                    DrillStep::Script {
                        on,
                        what: What::Break,
                        ..
                    } => on,
                    _ => continue,
                };
                let cure = cure(&fault(drill.name, &part(parts))).expect("known");
                assert!(cure != Cure::default(), "{}: {step:?}", drill.name);
            }
        }
    }

    /// What outlives a killed drill must not lose anything: nothing of a data directory is moved, mounted over or deleted.
    #[test]
    fn no_drill_moves_data() {
        for drill in DRILLS {
            for step in drill.prepare.iter().chain(drill.steps).chain(drill.heal) {
                let DrillStep::Script { script, .. } = step else {
                    continue;
                };
                for word in ["mount", "tmpfs", "cp -a", "mv ", "pg_wal/"] {
                    assert!(!script.contains(word), "{}: `{word}`", drill.name);
                }
            }
        }
    }
}
