//! What a drill is made of: steps, and what has to hold. Data; the drills themselves are in `catalog`.

use super::drill_target::DrillAssignment;
use super::record::What;
use std::time::Duration;

/// Somebody, by the part that was played when the drill began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The database that took writes.
    Primary,
    /// The one that followed it.
    Standby,
    /// The load balancer with the virtual address.
    Holder,
    /// The other load balancer.
    Reserve,
    /// Both load balancers.
    Balancers,
    /// All application servers.
    Apps,
    /// The file server.
    FileServer,
    /// Every host of the service.
    Everyone,
}

impl Who {
    /// Their names.
    pub fn hosts(self, assignment: &DrillAssignment) -> Vec<String> {
        match self {
            Self::Primary => vec![assignment.primary.clone()],
            Self::Standby => vec![assignment.standby.clone()],
            Self::Holder => vec![assignment.holder.clone()],
            Self::Reserve => vec![assignment.reserve.clone()],
            Self::Balancers => [&assignment.holder, &assignment.reserve]
                .into_iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
            Self::Apps => assignment.apps.clone(),
            Self::FileServer => [&assignment.file_server]
                .into_iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
            Self::Everyone => assignment.hosts.clone(),
        }
    }
}

/// One thing that is done. Words in braces (`{primary}`) stand for names.
#[derive(Debug, Clone, Copy)]
pub enum DrillStep {
    /// Takes power away, or gives it back: of all of them at the same instant.
    Power(Who, bool),
    /// Cuts the first off from the others; from everyone, this machine too, when there are none.
    Cut(Who, &'static [Who]),
    /// Takes all cuts of somebody back.
    Join(Who),
    /// A script for `sh` on a host, as root: `$unit`, `$port`, `$data`, `$version` are set on a database's host.
    Script {
        /// Where.
        on: Who,
        /// What kind of thing it is.
        what: What,
        /// What it does, in a few words.
        text: &'static str,
        /// The script; it must succeed.
        script: &'static str,
    },
    /// hactl, as an operator types it.
    Hactl {
        /// Its arguments.
        words: &'static [&'static str],
        /// The exit code that it must have.
        code: u8,
        /// What it must say, on either stream.
        says: &'static [&'static str],
    },
    /// hactl, killed at once when its journal on a host says that this step was begun.
    Killed {
        /// Its arguments.
        words: &'static [&'static str],
        /// The step.
        step: &'static str,
    },
    /// Brings a database back, whatever became of the drill: `rejoin` when another one is primary, a plain start when none is.
    Rejoin(Who),
    /// Makes a backup, where the service keeps any: log that was complete and not yet archived when its primary was lost
    /// is in no archive, and the times after that gap cannot be restored until there is a new backup.
    Backup,
    /// There must be a copy of what only this database had.
    CopyIsKept(Who),
    /// Waits until writes are acknowledged again, steadily.
    Writes,
    /// Lets the clients go on for so long; their writes need not succeed.
    Pause(Duration),
    /// The primary must be this one.
    PrimaryIs(Who),
    /// The virtual address must be on this one.
    HolderIs(Who),
    /// Waits until it is.
    AwaitHolder(Who),
}

/// What clients may lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// No acknowledged write.
    Nothing,
    /// What the standby had not yet; nothing when commits wait for it.
    NotYetCopied,
}

/// What has to hold of the figures.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest time without an acknowledged write, in seconds.
    pub write_gap: f64,
    /// The longest time without a read, in seconds.
    pub read_gap: f64,
    /// Acknowledged writes that may be gone.
    pub loss: Loss,
    /// How often the acknowledging database may change.
    pub changes: usize,
    /// Whether two databases may be seen that would take writes: only where one of them cannot be reached by any client.
    pub two: bool,
}

impl Limits {
    /// As they are where the slowest host may take so many times longer than usual.
    #[must_use]
    pub fn patient(self, times: u32) -> Self {
        Self {
            write_gap: self.write_gap * f64::from(times),
            read_gap: self.read_gap * f64::from(times),
            ..self
        }
    }
}

/// A drill.
#[derive(Debug)]
pub struct Drill {
    /// Its short name.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// The group that the inventory must have for it, besides those that all drills need.
    pub needs: Option<&'static str>,
    /// Who is broken.
    pub breaks: &'static [Who],
    /// What is made ready before the clients begin.
    pub prepare: &'static [DrillStep],
    /// What is done. Ends at the first step that fails.
    pub steps: &'static [DrillStep],
    /// What brings the service back, done in any case; `verify` follows.
    pub heal: &'static [DrillStep],
    /// What has to hold.
    pub limits: Limits,
}

impl Drill {
    /// Whether it is for a lab only: it needs power or cables, or rebuilds a host before it breaks it.
    pub fn needs_injector(&self) -> bool {
        let outside = |step: &DrillStep| matches!(step, DrillStep::Power(..) | DrillStep::Cut(..));
        !self.prepare.is_empty() || self.steps.iter().any(outside)
    }
}

impl PartialEq for Drill {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Drill {}

/// A text with the names in it.
pub fn fill(text: &str, assignment: &DrillAssignment) -> String {
    [
        ("{primary}", &assignment.primary),
        ("{standby}", &assignment.standby),
        ("{holder}", &assignment.holder),
        ("{reserve}", &assignment.reserve),
    ]
    .iter()
    .fold(text.to_owned(), |text, (word, name)| {
        text.replace(word, name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hosts() {
        let name = |name: &str| name.to_owned();
        let assignment = DrillAssignment {
            primary: name("db1"),
            holder: name("lb"),
            apps: vec![name("app1"), name("app2")],
            hosts: ["lb", "app1", "app2", "db1", "db2"].map(name).to_vec(),
            ..DrillAssignment::default()
        };
        assert_eq!(Who::Primary.hosts(&assignment), ["db1"]);
        assert_eq!(Who::Balancers.hosts(&assignment), ["lb"]);
        assert_eq!(Who::Everyone.hosts(&assignment), assignment.hosts);
        // Where there is none, nobody loses anything.
        assert_eq!(Who::FileServer.hosts(&assignment), [""; 0]);
        let assignment = DrillAssignment {
            file_server: name("lb"),
            ..assignment
        };
        assert_eq!(Who::FileServer.hosts(&assignment), ["lb"]);
    }
}
