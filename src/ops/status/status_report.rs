//! What `status` says, as data: the screen and the JSON document are both made of it (`hactl.status/1`).

use crate::base::exit;
use serde::Serialize;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Two databases take writes.
    SplitBrain,
    /// The service does not do what it is there for.
    Down,
    /// It does, with less than it should have.
    Degraded,
    /// It could not be seen.
    Unknown,
    /// Worth knowing, not wrong.
    Note,
}

/// The service in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All is as it should be.
    Healthy,
    /// It works, with less than it should have.
    Degraded,
    /// It does not work.
    Down,
    /// Two databases take writes.
    SplitBrain,
    /// Nothing wrong was seen, and not everything was seen.
    #[default]
    Unknown,
}

/// Something that is to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusFinding {
    /// How bad.
    pub severity: Severity,
    /// What, as a sentence without its dot.
    pub what: String,
    /// What to do; empty when nothing is to be done.
    pub remedy: String,
}

impl StatusFinding {
    /// A finding.
    pub fn new(severity: Severity, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Everything.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusReport {
    /// The service in one word.
    pub state: State,
    /// And in one sentence, that word first.
    pub verdict: String,
    /// When it was looked: seconds since 1970.
    pub now: u64,
    /// Every host.
    pub hosts: Vec<HostLine>,
    /// What is wrong or worth knowing, the worst first.
    pub findings: Vec<StatusFinding>,
    /// The databases; none when the inventory has none.
    pub databases: Option<Databases>,
    /// The virtual address; none when the inventory has none.
    pub virtual_address: Option<VirtualAddress>,
    /// The load balancers.
    pub balancers: Vec<Balancer>,
    /// The application servers.
    pub applications: Vec<Application>,
    /// The operation that was not ended.
    pub unfinished: Option<Unfinished>,
    /// Flags that were left on hosts.
    pub marks: Vec<Mark>,
    /// What was done last.
    pub last: Last,
    /// What nothing else can stand in for.
    pub single_points: Vec<String>,
}

/// A host.
#[derive(Debug, Clone, Serialize)]
pub struct HostLine {
    /// The inventory's name.
    pub host: String,
    /// The components that it has.
    pub components: Vec<String>,
    /// It answered.
    pub reached: bool,
    /// Why not.
    pub why: Option<String>,
    /// Round trips that this look has cost.
    pub round_trips: u64,
}

/// The databases.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Databases {
    /// Who takes writes, when exactly one does.
    pub primary: Option<String>,
    /// The inventory's choice for empty hosts.
    pub first_choice: String,
    /// Commits wait for a replica.
    pub synchronous: bool,
    /// All of them.
    pub members: Vec<Database>,
    /// The slots of the ones that answered.
    pub slots: Vec<SlotLine>,
    /// What would be lost, were the primary to die now.
    pub loss: Loss,
    /// Whether another one could take over now.
    pub failover: Failover,
}

/// A database host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Database {
    /// The host.
    pub host: String,
    /// What the inventory says of it: `primary` (the first choice) or `replica`.
    pub declared: &'static str,
    /// What it was seen to be: `primary`, `replica`, `down`, `fenced`, `frozen`, `empty`, or `unknown`.
    pub role: String,
    /// Who saw that, when it was not itself.
    pub seen_by: Vec<String>,
    /// Its newest timeline.
    pub timeline: Option<u32>,
    /// How far it has written, or received.
    pub position: Option<String>,
    /// Bytes that it has not replayed.
    pub lag_bytes: Option<u64>,
    /// Seconds that it is behind.
    pub lag_seconds: Option<f64>,
    /// Bytes that it has not on its disk.
    pub unflushed_bytes: Option<u64>,
    /// Whom it follows.
    pub follows: Option<String>,
    /// It streams.
    pub streaming: bool,
    /// `async`, `sync`, `quorum`, as the primary says.
    pub sync_state: Option<String>,
    /// Its replay is paused.
    pub paused: bool,
    /// More, for people.
    pub note: String,
}

/// A replication slot.
#[derive(Debug, Clone, Serialize)]
pub struct SlotLine {
    /// Where it is.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Somebody uses it.
    pub active: bool,
    /// Bytes of log that it keeps.
    pub kept_bytes: Option<u64>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
}

/// How much would be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Nothing that was acknowledged.
    None,
    /// At most the bytes that are given.
    Some,
    /// Everything since the last backup.
    SinceBackup,
    /// It cannot be said.
    #[default]
    Unknown,
}

/// Expected loss.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Loss {
    /// How much.
    pub amount: Amount,
    /// Bytes that the best replica has not on its disk.
    pub bytes: Option<u64>,
    /// How old the oldest of them are.
    pub seconds: Option<f64>,
    /// A sentence about it.
    pub sentence: String,
}

/// Whether another database could take over.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Failover {
    /// Nothing is seen that would make `hactl failover` refuse.
    pub possible: bool,
    /// Who would take over.
    pub to: Option<String>,
    /// What speaks against it.
    pub why_not: Vec<String>,
    /// The command: a failover when there is no primary, a switchover when there is one.
    pub command: Option<String>,
}

/// The virtual address.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VirtualAddress {
    /// Without prefix.
    pub address: String,
    /// The hosts that say that they have it.
    pub holders: Vec<String>,
    /// The hosts that may have it and could not be asked.
    pub not_asked: Vec<String>,
    /// How others see it.
    pub views: Vec<AddressView>,
}

/// The virtual address as another host sees it.
#[derive(Debug, Clone, Serialize)]
pub struct AddressView {
    /// Who looks.
    pub from: String,
    /// The host whose hardware address it is sent to.
    pub at: Option<String>,
    /// That hardware address.
    pub hardware_address: Option<String>,
    /// The HTTP status that it gets there.
    pub status: Option<u16>,
    /// Why it gets none.
    pub why: Option<String>,
}

/// A load balancer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Balancer {
    /// The host.
    pub host: String,
    /// The ActiveState of HAProxy and of keepalived.
    pub haproxy: Option<String>,
    /// keepalived, where the host has it.
    pub keepalived: Option<String>,
    /// keepalived is told to leave the address to others.
    pub flag: bool,
    /// It answers others: none when nobody could look.
    pub answers: Option<bool>,
    /// Its servers as it sees them.
    pub servers: Vec<ServerLine>,
    /// Why it could not say.
    pub why: Option<String>,
}

/// A server behind a load balancer.
#[derive(Debug, Clone, Serialize)]
pub struct ServerLine {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// `UP`, `DOWN`, `MAINT`…
    pub status: String,
    /// What the last check said.
    pub check: String,
    /// Requests go to it.
    pub up: bool,
}

/// An application server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Application {
    /// The host.
    pub host: String,
    /// The unit's ActiveState.
    pub service: Option<String>,
    /// The HTTP status of its health.
    pub status: Option<u16>,
    /// The database that it uses.
    pub database: Option<String>,
    /// Its writes reach the primary; none when that is not known.
    pub writable: Option<bool>,
    /// What is wrong, in its words, or why it could not be asked.
    pub why: Option<String>,
}

/// An operation that was not ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unfinished {
    /// Which one; empty when its journal cannot be read.
    pub id: String,
    /// `switchover`, `failover`…
    pub kind: String,
    /// Who.
    pub operator: String,
    /// Seconds since 1970.
    pub started: u64,
    /// Why.
    pub reason: String,
    /// The last step that was written down.
    pub step: Option<String>,
    /// `begun`, `done`, `undone`.
    pub step_state: Option<&'static str>,
    /// The hosts that know of it.
    pub hosts: Vec<String>,
    /// Who is at work on it right now.
    pub running: Option<String>,
    /// What to type.
    pub command: String,
}

/// A flag that was left on a host.
#[derive(Debug, Clone, Serialize)]
pub struct Mark {
    /// `fenced`, `blocks`, `maintenance`, `keepalived_flag`.
    pub kind: &'static str,
    /// Where.
    pub host: String,
    /// The host that is blocked.
    pub subject: Option<String>,
    /// Since when, by whom, why: as far as it was written down.
    pub text: String,
}

/// What was done last.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Last {
    /// The last switchover or failover.
    pub change: Option<Past>,
    /// The last backup.
    pub backup: Option<Past>,
    /// The last drill.
    pub drill: Option<Past>,
}

/// An operation that ended.
#[derive(Debug, Clone, Serialize)]
pub struct Past {
    /// `switchover`, `failover`…
    pub kind: String,
    /// Who.
    pub operator: String,
    /// When it ended: seconds since 1970.
    pub ended: u64,
    /// `done`, `undone`, `failed`…
    pub result: String,
    /// What it was about: the new and the old primary, the drill's name.
    pub about: String,
    /// A sentence about the result.
    pub message: String,
}

impl StatusReport {
    /// Word and sentence, from the findings.
    pub fn judge(&mut self) {
        let worst = self
            .findings
            .first()
            .map_or(Severity::Note, |finding| finding.severity);
        let (state, word) = match worst {
            Severity::SplitBrain => (State::SplitBrain, "split brain"),
            Severity::Down => (State::Down, "down"),
            Severity::Degraded => (State::Degraded, "degraded"),
            Severity::Unknown => (State::Unknown, "unknown"),
            Severity::Note => (State::Healthy, "healthy"),
        };
        self.state = state;
        self.verdict = if state == State::Healthy {
            format!("healthy: {}", self.praise())
        } else {
            let wrong = self
                .findings
                .iter()
                .filter(|finding| finding.severity != Severity::Note);
            let more = wrong.count().saturating_sub(1);
            let more = if more == 0 {
                String::new()
            } else {
                format!(" (and {more} more)")
            };
            format!(
                "{word}: {}{more}",
                self.findings.first().map_or("", |finding| &finding.what)
            )
        };
    }

    /// What is fine, in one sentence.
    fn praise(&self) -> String {
        let mut parts = Vec::new();
        if let Some(databases) = &self.databases {
            let replicas = databases
                .members
                .iter()
                .filter(|member| member.streaming)
                .count();
            parts.extend(
                databases
                    .primary
                    .as_ref()
                    .map(|primary| format!("{primary} takes writes")),
            );
            parts.push(match replicas {
                0 => "no replica".to_owned(),
                replicas => count(replicas, "replica follows", "replicas follow"),
            });
        }
        if !self.applications.is_empty() {
            parts.push(count(
                self.applications.len(),
                "application server",
                "application servers",
            ));
        }
        if !self.balancers.is_empty() {
            parts.push(count(
                self.balancers.len(),
                "load balancer",
                "load balancers",
            ));
        }
        if parts.is_empty() {
            parts.push(count(self.hosts.len(), "host answers", "hosts answer"));
        }
        parts.join(", ")
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            State::Healthy => exit::DONE,
            State::Unknown => exit::UNREACHABLE,
            State::Degraded | State::Down | State::SplitBrain => exit::FAULTS,
        }
    }
}

/// `1 host`, `2 hosts`.
pub fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}
