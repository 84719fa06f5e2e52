//! What is in the repository, as pgBackRest tells it. Pure.

use super::failed;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Reply;
use crate::ops::hosts::Host;
use serde::{Deserialize, Serialize};

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Its name, like `20260101-023000F`.
    pub label: String,
    /// `full`, `diff`, `incr`.
    pub kind: String,
    /// Seconds since 1970, by the repository host's clock.
    pub started: i64,
    /// When it was complete: the earliest time to which it can be restored.
    pub ended: i64,
    /// Bytes of the databases.
    pub size: u64,
    /// Bytes that this backup added to the repository.
    pub stored: u64,
    /// The first and the last file of the log that it needs.
    pub wal: (String, String),
    /// Pages with a wrong checksum were found while it was made.
    pub damaged: bool,
}

/// All that the repository host says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Its clock, seconds since 1970.
    pub now: i64,
    /// pgBackRest's own verdict: 0 is good; with its words.
    pub status: (i64, String),
    /// A backup is being made.
    pub running: bool,
    /// The identity of the cluster that is backed up.
    pub system: String,
    /// Its major version.
    pub version: String,
    /// Oldest first.
    pub backups: Vec<Backup>,
    /// The oldest and the newest file of the log.
    pub log: Option<(String, String)>,
    /// When the newest file of the log arrived, seconds since 1970.
    pub log_arrived: Option<i64>,
    /// Bytes that are free where the repository is, and bytes that it uses.
    pub free: u64,
    /// When a restore was last proven, seconds since 1970.
    pub tested: Option<i64>,
}

#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    archive: Vec<Archive>,
    #[serde(default)]
    backup: Vec<Entry>,
    #[serde(default)]
    db: Vec<Database>,
    status: Status,
}

#[derive(Deserialize)]
struct Archive {
    id: String,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Deserialize)]
struct Database {
    #[serde(rename = "system-id")]
    system: u64,
    version: String,
}

#[derive(Deserialize)]
struct Status {
    code: i64,
    message: String,
    lock: Option<Lock>,
}

#[derive(Deserialize)]
struct Lock {
    backup: Held,
}

#[derive(Deserialize)]
struct Held {
    held: bool,
}

#[derive(Deserialize)]
struct Entry {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Span,
    info: Sizes,
    archive: Files,
    error: Option<bool>,
}

#[derive(Deserialize)]
struct Span {
    start: i64,
    stop: i64,
}

#[derive(Deserialize)]
struct Sizes {
    size: u64,
    repository: Stored,
}

#[derive(Deserialize)]
struct Stored {
    delta: u64,
}

#[derive(Deserialize, Default)]
struct Files {
    start: Option<String>,
    stop: Option<String>,
}

impl Info {
    /// Reads what [`super::Repository::ask`] asked.
    ///
    /// # Errors
    /// When pgBackRest failed, or said what cannot be read.
    pub fn read(host: &Host, reply: &Reply) -> Result<Self> {
        if reply.code != 0 {
            return Err(failed(
                host,
                "the repository does not tell what is in it",
                reply,
            ));
        }
        Self::parse(&reply.out()).map_err(|error| error.on(&host.name))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut info = Self::default();
        let mut document = "";
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            match key {
                "now" => info.now = value.parse().unwrap_or_default(),
                "free" => info.free = value.parse::<u64>().unwrap_or_default() * 1024,
                "arrived" => {
                    info.log_arrived = value
                        .split('.')
                        .next()
                        .and_then(|number| number.parse().ok())
                }
                "tested" => info.tested = value.parse().ok(),
                "info" => document = value,
                _ => {}
            }
        }
        let stanzas: Vec<Stanza> = serde_json::from_str(document).map_err(|error| {
            Diagnostic::with_code(
                exit::FAILED,
                "what pgBackRest says of the repository cannot be read",
            )
            .note(error.to_string())
        })?;
        let Some(stanza) = stanzas.into_iter().next() else {
            return Ok(info);
        };
        info.status = (stanza.status.code, stanza.status.message);
        info.running = stanza.status.lock.is_some_and(|lock| lock.backup.held);
        if let Some(database) = stanza.db.last() {
            info.system = database.system.to_string();
            info.version.clone_from(&database.version);
        }
        info.log = stanza
            .archive
            .into_iter()
            .filter(|archive| archive.id.starts_with(&info.version))
            .filter_map(|archive| Some((archive.min?, archive.max?)))
            .next_back();
        info.backups = stanza
            .backup
            .into_iter()
            .map(|entry| Backup {
                label: entry.label,
                kind: entry.kind,
                started: entry.timestamp.start,
                ended: entry.timestamp.stop,
                size: entry.info.size,
                stored: entry.info.repository.delta,
                wal: (
                    entry.archive.start.unwrap_or_default(),
                    entry.archive.stop.unwrap_or_default(),
                ),
                damaged: entry.error.unwrap_or(false),
            })
            .collect();
        Ok(info)
    }

    /// The last backup.
    pub fn last(&self) -> Option<&Backup> {
        self.backups.last()
    }

    /// Seconds since the last backup was complete, by the clock of the repository's host.
    pub fn age(&self) -> Option<i64> {
        Some((self.now - self.last()?.ended).max(0))
    }

    /// The backup from which a time is restored: the last one that was complete before it.
    pub fn before(&self, time: i64) -> Option<&Backup> {
        self.backups.iter().rev().find(|backup| backup.ended < time)
    }

    /// How many full ones there are.
    pub fn full(&self) -> usize {
        self.backups
            .iter()
            .filter(|backup| backup.kind == "full")
            .count()
    }
}

#[cfg(test)]
pub(crate) const SAMPLE: &str = r#"now=1000100
free=1048576
arrived=1000090.25
tested=999000
info=[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000009","min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000004","stop":"000000010000000000000004"},"error":false,"info":{"delta":30837616,"repository":{"delta":6057463,"size":6057463},"size":30837616},"label":"20261121-145831F","timestamp":{"start":1000000,"stop":1000003},"type":"full"},{"archive":{"start":"000000010000000000000006","stop":"000000010000000000000006"},"error":true,"info":{"delta":3,"repository":{"delta":2,"size":6057463},"size":30837616},"label":"20261121-145831F_20261121-145931I","timestamp":{"start":1000050,"stop":1000060},"type":"incr"}],"cipher":"none","db":[{"id":1,"repo-key":1,"system-id":7710639205719837369,"version":"15"}],"name":"main","repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"lock":{"backup":{"held":true}},"message":"ok"}}]"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_read() {
        let info = Info::parse(SAMPLE).expect("read");
        assert_eq!(info.backups.len(), 2);
        assert_eq!((info.full(), info.running, info.age()), (1, true, Some(40)));
        assert_eq!(info.system, "7710639205719837369");
        assert_eq!(
            info.log.as_ref().map(|log| log.1.as_str()),
            Some("000000010000000000000009")
        );
        assert_eq!(
            (info.log_arrived, info.tested, info.free),
            (Some(1_000_090), Some(999_000), 1 << 30)
        );
        let last = info.last().expect("a backup");
        assert!(last.damaged && last.kind == "incr" && last.stored == 2);
    }

    #[test]
    fn a_time_is_restored_from_the_last_backup_before_it() {
        let info = Info::parse(SAMPLE).expect("read");
        for (time, label) in [
            (1_000_003, None),
            (1_000_004, Some("20261121-145831F")),
            (1_000_060, Some("20261121-145831F")),
            (1_000_061, Some("20261121-145831F_20261121-145931I")),
        ] {
            assert_eq!(
                info.before(time).map(|backup| backup.label.as_str()),
                label,
                "{time}"
            );
        }
    }

    #[test]
    fn an_empty_repository_and_nonsense() {
        assert_eq!(Info::parse("info=[]").expect("read").backups, []);
        let empty = r#"info=[{"backup":[],"db":[],"archive":[],"name":"main","status":{"code":2,"message":"no valid backups"}}]"#;
        assert_eq!(Info::parse(empty).expect("read").status.0, 2);
        for text in ["", "info=", "info={}", "info=[{}]"] {
            assert!(Info::parse(text).is_err(), "{text}");
        }
    }
}
