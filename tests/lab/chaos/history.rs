//! The language of fault histories: what `tests/chaos/*.yml` may say, and nothing else is accepted.
//!
//! `tests/chaos/README.md` describes it for people.

use serde::{Deserialize, Serialize};

/// What happens to a service, one thing after the other, and what of it is expected.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Unique; what `HACTL_CHAOS_ONLY` looks at.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// It is one of the few that every run of the tests plays.
    #[serde(default, skip_serializing_if = "is_not")]
    pub sample: bool,
    /// Commits wait for the replica.
    #[serde(default, skip_serializing_if = "is_not")]
    pub synchronous: bool,
    /// Whoever brings the service back afterwards may agree to lose acknowledged rows.
    #[serde(default, skip_serializing_if = "is_not")]
    pub may_lose: bool,
    /// However much was agreed to: no more acknowledged rows than this may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lose_at_most: Option<usize>,
    /// A step that cannot be done is left out: a host without power cannot be frozen.
    #[serde(default, skip_serializing_if = "is_not")]
    pub skip_impossible: bool,
    /// In order.
    pub steps: Vec<Step>,
}

/// Hosts by name; `old` is the primary at the beginning, `new` its replica.
pub type Hosts = Vec<String>;

/// One thing that happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// An operator begins a command and the history goes on.
    Start(Start),
    /// Waits for the end of what an operator began.
    Finish(Finish),
    /// An operator's command, to its end.
    Run(Run),
    /// Stops an operator's process where it is.
    Pause(String),
    /// Lets it go on.
    Wake(String),
    /// Ends it at once.
    Kill(String),
    /// Ends its ssh sessions, as a network does that has gone away for long: its locks are free then.
    DropSessions(String),
    /// No packet of one host, or between two, goes through.
    Cut(Hosts),
    /// Takes cuts back: all, those of a host, or those between two.
    Heal(Hosts),
    /// Stops all processes of hosts.
    Freeze(Hosts),
    /// Lets them go on.
    Thaw(Hosts),
    /// Hosts lose their power.
    PowerOff(Hosts),
    /// They get it back, and can be logged in to.
    PowerOn(Hosts),
    /// The database server of a host dies; its host lives.
    KillServer(String),
    /// The sshd of hosts answers nobody any more.
    HangSshd(Hosts),
    /// It does again.
    ResumeSshd(Hosts),
    /// Keeps a copy of a host's database and journals as they are at one instant.
    Snapshot(String),
    /// Power off, that copy in the place of what was there, power on.
    RollBack(String),
    /// Where root keeps journals and temporary files, nothing can be written any more.
    FillDisk(String),
    /// It can.
    FreeDisk(String),
    /// A line of shell on a host as root.
    On(On),
    /// Waits until so many more rows are acknowledged.
    Writes(u64),
    /// Waits for something.
    Await(Await),
    /// Some seconds pass; only where the time is what the history is about.
    Delay(f64),
    /// Something happens after some seconds, whatever goes on meanwhile.
    Later(Later),
}

/// A command that is begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The operator: each has ssh sessions of its own.
    #[serde(rename = "as")]
    pub who: String,
    /// hactl's arguments.
    pub command: Vec<String>,
    /// Stops itself after this step of the operation, before it writes down that the step is made. The history goes on then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<String>,
    /// Dies there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub die_after: Option<String>,
    /// It may end before it comes to that step: it is refused, for example.
    #[serde(default, skip_serializing_if = "is_not")]
    pub may_end: bool,
}

/// The end of a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// The operator.
    #[serde(rename = "as")]
    pub who: String,
    /// The exit codes that are right; empty: any of 0, 2, 3, 4, 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<i32>,
}

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// hactl's arguments.
    pub command: Vec<String>,
    /// The exit codes that are right; empty: any of 0, 2, 3, 4, 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<i32>,
    /// Tries again while it is refused, for so many seconds: what it needs takes a while to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
}

/// A line of shell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// Where.
    pub host: String,
    /// What; it must succeed.
    pub line: String,
}

/// What a database host is seen to be, past its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows.
    Replica,
    /// Its server does not answer, and does not start either.
    Down,
    /// It follows, and the primary waits for it.
    Synchronous,
}

/// A wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Await {
    /// The database host.
    pub host: String,
    /// What it is to be.
    pub is: Role,
    /// Seconds that this may take.
    #[serde(default = "minute")]
    pub within: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference
fn is_not(flag: &bool) -> bool {
    !*flag
}

fn minute() -> u64 {
    60
}

/// Something that happens later.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Seconds.
    pub after: f64,
    /// A fault or its end.
    pub step: Box<Step>,
}

/// Reads a file of histories.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Vec<History>, String> {
    // Through JSON, in which a step is a map with one key; YAML's own way of an enum would be a tag.
    let value: serde_json::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let histories: Vec<History> =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    for history in &histories {
        if let Some(problem) = history.problem() {
            return Err(format!("history `{}`: {problem}", history.name));
        }
    }
    Ok(histories)
}

/// A history as it stands in a file.
pub fn show(history: &History) -> String {
    let value = serde_json::to_value([history]).expect("a history is data");
    serde_yaml::to_string(&value).expect("data can be written")
}

impl History {
    /// What cannot be played.
    fn problem(&self) -> Option<String> {
        let mut started: Vec<&str> = Vec::new();
        for step in &self.steps {
            let operator = match step {
                Step::Start(start) => {
                    if start.stop_after.is_some() && start.die_after.is_some() {
                        return Some("a command stops or dies after a step, not both".to_owned());
                    }
                    started.push(&start.who);
                    continue;
                }
                Step::Finish(finish) => &finish.who,
                Step::Pause(who) | Step::Wake(who) | Step::Kill(who) | Step::DropSessions(who) => {
                    who
                }
                Step::Cut(hosts) if !(1..=2).contains(&hosts.len()) => {
                    return Some("one host or two are cut".to_owned());
                }
                Step::Later(later) if !later.step.is_fault() => {
                    return Some("only faults and their ends can happen later".to_owned());
                }
                _ => continue,
            };
            if !started.contains(&operator.as_str()) {
                return Some(format!("operator `{operator}` has begun nothing"));
            }
        }
        None
    }
}

impl Step {
    /// It is done to hosts and needs nobody to wait for it.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Cut(_)
                | Self::Heal(_)
                | Self::Freeze(_)
                | Self::Thaw(_)
                | Self::PowerOff(_)
                | Self::PowerOn(_)
                | Self::KillServer(_)
                | Self::HangSshd(_)
                | Self::ResumeSshd(_)
        )
    }
}
