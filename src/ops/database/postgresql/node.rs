//! What one database host is, as it was seen: from inside, and by its peers. Data only; nothing is decided here.

use super::lsn::Lsn;
use super::observation::Observation;
use super::settings::Overridden;
use crate::ops::drill::faults::Fault;
use crate::ops::operation::journal::{ReadFile, Token};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A database host that could be asked.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The place of its cluster.
    pub place: Place,
    /// What its control file says; none without a cluster.
    pub control: Option<Control>,
    /// What its server says.
    pub live: Live,
    /// What it sees of each of its peers.
    pub peers: BTreeMap<String, PeerView>,
    /// The operation under way and the history, as kept on it.
    pub journal: Vec<ReadFile>,
    /// The operation that may make steps on it, and whether that has ended.
    pub token: Option<(Token, bool)>,
    /// It was fenced: since when and by whom.
    pub fenced: Option<String>,
    /// Hosts that it blocks.
    pub blocks: Vec<String>,
    /// It is in maintenance: who, since when, why.
    pub maintenance: Option<String>,
    /// What a drill breaks, and was not ended, as kept on it.
    pub faults: Vec<Fault>,
    /// What it last observed in force on its primary, while it was a standby.
    pub observed: Option<Observation>,
}

/// Where a cluster is on its host, and how it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The major version; empty without a cluster.
    pub version: String,
    /// The data directory.
    pub data: String,
    /// The server's port.
    pub port: u16,
    /// The unit's ActiveState.
    pub active: String,
    /// The unit is masked.
    pub masked: bool,
    /// `auto`, `manual` or `disabled`.
    pub start: String,
    /// It will start as a standby.
    pub standby_signal: bool,
    /// Where the whole cluster is: bytes free on that file system, and used by the cluster (0 when not asked).
    pub free: u64,
    /// The file systems of its data, its log and its tablespaces.
    pub disks: Vec<Disk>,
}

/// A file system on which a cluster writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Its bytes.
    pub size: u64,
    /// The bytes of them that the server may still write.
    pub free: u64,
    /// Its inodes; 0 where they are not counted.
    pub inodes: u64,
    /// The free ones.
    pub inodes_free: u64,
}

/// A segment of the log: without room for one more, a server stops.
const SEGMENT: u64 = 16 << 20;

impl Disk {
    /// Nothing can be written any more.
    pub fn is_full(&self) -> bool {
        self.size > 0 && (self.free < SEGMENT || (self.inodes > 0 && self.inodes_free == 0))
    }

    /// It will be full soon: less than a twentieth is free, and less than 5 GiB.
    pub fn is_low(&self) -> bool {
        let floor = (self.size / 20).clamp(4 * SEGMENT, 5 << 30);
        self.size > 0 && (self.free < floor || self.inodes_free < self.inodes / 20)
    }
}

/// What `pg_controldata` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// The identity of the cluster; equal on all its hosts.
    pub system: String,
    /// `in production`, `shut down`, `in archive recovery`, `shut down in recovery`…
    pub state: String,
    /// The latest checkpoint.
    pub checkpoint: Lsn,
    /// Its timeline.
    pub timeline: u32,
    /// How far a standby must recover at least, and on which timeline.
    pub least: Lsn,
    /// The timeline of `least`.
    pub least_timeline: u32,
    /// The newest timeline of which it has log. A standby that followed its primary to a new timeline writes that into its
    /// control file only at its next restartpoint, and its receiver tells it only while it runs.
    pub log_timeline: u32,
}

impl Control {
    /// The newest timeline that it knows of.
    pub fn newest_timeline(&self) -> u32 {
        self.timeline
            .max(self.least_timeline)
            .max(self.log_timeline)
    }
}

/// What became of asking the server.
#[derive(Debug, Clone, Default)]
pub enum Live {
    /// It answered.
    Answers(Box<Answer>),
    /// It takes connections and says nothing: frozen, or stuck.
    Silent,
    /// It does not run, or does not take connections; in its own words.
    Down(String),
    /// There is no cluster.
    #[default]
    None,
}

/// How a peer's server looks over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerView {
    /// It answers; whether it is in recovery, and whether a replication login works (else why not).
    Answers {
        /// It is a standby.
        in_recovery: bool,
        /// Why a replication connection does not work.
        replication: Result<(), String>,
    },
    /// It answers and refuses: in its own words.
    Refuses(String),
    /// The port is closed: the host is there, no server is.
    Closed(String),
    /// The port takes connections and nothing answers.
    Silent,
    /// Nothing comes back from the host.
    Unreachable(String),
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Answer {
    /// It is a standby.
    pub in_recovery: bool,
    /// The cluster's identity.
    pub system: String,
    /// `server_version_num`.
    pub version: u32,
    /// The timeline that it writes or receives.
    pub timeline: u32,
    /// How far a primary has written.
    pub written: Option<Lsn>,
    /// How far a standby has received.
    pub received: Option<Lsn>,
    /// How far a standby has replayed.
    pub replayed: Option<Lsn>,
    /// Seconds since the last replayed commit, when something is to be replayed.
    pub replay_delay: Option<f64>,
    /// Replay is paused.
    pub paused: bool,
    /// Where a standby is to get its log from.
    #[serde(default)]
    pub conninfo: String,
    /// Its receiver, when one runs.
    pub receiver: Option<Receiver>,
    /// Its senders.
    #[serde(default)]
    pub senders: Vec<Sender>,
    /// Its slots.
    #[serde(default)]
    pub slots: Vec<Slot>,
    /// Free places for senders and for slots.
    pub free_senders: i64,
    /// Free places for slots.
    pub free_slots: i64,
    /// `synchronous_standby_names`.
    #[serde(default)]
    pub synchronous: String,
    /// It can be rewound: data checksums or `wal_log_hints`, and full page writes.
    pub rewindable: bool,
    /// Prepared transactions.
    pub prepared: i64,
    /// Seconds since the oldest transaction of a client began.
    pub oldest_transaction: i64,
    /// Segments that wait for the archiver; none when nothing is archived.
    pub unarchived: Option<i64>,
    /// Settings that wait for a restart.
    #[serde(default)]
    pub pending_restart: Vec<String>,
    /// Settings that are not as hactl's file declares them.
    #[serde(default)]
    pub overridden: Vec<Overridden>,
    /// Clients that are connected.
    #[serde(default)]
    pub clients: i64,
}

/// A standby's receiver.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Receiver {
    /// `streaming`…
    pub status: String,
    /// Where it receives from.
    #[serde(default)]
    pub sender_host: Option<String>,
    /// Seconds since the last message of the primary.
    pub silent: Option<f64>,
    /// How far the primary had written when it last told.
    pub primary_end: Option<Lsn>,
}

/// A connection that sends the log.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sender {
    /// `application_name`.
    pub name: String,
    /// The standby's address.
    pub address: Option<String>,
    /// `streaming`, `catchup`…
    pub state: String,
    /// `async`, `sync`, `quorum`…
    pub sync_state: String,
    /// Bytes that are not yet flushed there.
    pub unflushed: Option<i64>,
    /// Bytes that are not yet replayed there.
    pub behind: Option<i64>,
    /// Seconds that it is behind, as it reports.
    pub delay: Option<f64>,
    /// Seconds that its disk is behind, as it reports.
    #[serde(default)]
    pub flush_delay: Option<f64>,
}

/// A replication slot.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Somebody uses it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// Bytes of log that it holds back.
    pub kept: Option<i64>,
}

impl Node {
    /// What the server says, when it answers.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.live {
            Live::Answers(answer) => Some(answer),
            _ => None,
        }
    }

    /// It answers and takes writes.
    pub fn is_primary(&self) -> bool {
        self.answer().is_some_and(|answer| !answer.in_recovery)
    }

    /// It answers and is in recovery.
    pub fn is_standby(&self) -> bool {
        self.answer().is_some_and(|answer| answer.in_recovery)
    }

    /// The identity of its cluster.
    pub fn system(&self) -> Option<&str> {
        self.answer()
            .map(|answer| answer.system.as_str())
            .or_else(|| self.control.as_ref().map(|control| control.system.as_str()))
    }

    /// The newest timeline that it knows of.
    pub fn timeline(&self) -> u32 {
        self.answer()
            .map_or(0, |answer| answer.timeline)
            .max(self.control.as_ref().map_or(0, Control::newest_timeline))
    }

    /// How far a standby has the log: received or replayed, whichever is more, since a standby that was restarted
    /// has received nothing yet.
    pub fn has_log_to(&self) -> Option<Lsn> {
        let answer = self.answer()?;
        answer.received.max(answer.replayed)
    }

    /// It must not be started: `start.conf` says disabled, or the unit is masked.
    pub fn is_fenced(&self) -> bool {
        self.fenced.is_some() || self.place.masked || self.place.start == "disabled"
    }
}
