//! What was done to a service, gathered from all its hosts: whoever did it, from wherever.
//!
//! Each host keeps what it took part in, so one operation is found on several; they are put together by their id. A file that
//! cannot be read is named, and the others are shown.

use super::connection_pool::ConnectionPool;
use super::hosts::Site;
use super::operation::journal::{self, OPERATION, Record};
use crate::base::Diagnostic;
use std::collections::BTreeMap;

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The fullest record of it.
    pub record: Record,
    /// The hosts that keep it.
    pub hosts: Vec<String>,
    /// The hosts on which it is noted as being under way.
    pub under_way: Vec<String>,
}

impl Entry {
    /// Whether nobody has seen its end.
    pub fn is_unfinished(&self) -> bool {
        self.record.end.is_none()
    }

    /// Seconds from its beginning to its end.
    pub fn took(&self) -> Option<u64> {
        let end = self.record.end.as_ref()?;
        Some(end.ended.saturating_sub(self.record.header.started))
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Unfinished ones first, then the newest.
    pub entries: Vec<Entry>,
    /// Files that cannot be read.
    pub garbled: Vec<Diagnostic>,
    /// Hosts that were not reached.
    pub lost: Vec<Diagnostic>,
}

/// Reads all of it, in one round.
pub async fn read(site: &Site, pool: &mut ConnectionPool) -> History {
    let work = site
        .hosts
        .iter()
        .map(|host| (host.name.clone(), vec![journal::read_whole()]))
        .collect();
    let mut said = Vec::new();
    let mut lost = Vec::new();
    for (host, answer) in pool.round(work).await {
        match answer {
            Ok(answer) => {
                let text = answer
                    .replies
                    .first()
                    .map_or_else(String::new, |reply| reply.out().into_owned());
                said.push((host, text));
            }
            Err(error) => lost.push(error.on(&host)),
        }
    }
    History {
        lost,
        ..merge(&said)
    }
}

/// Puts together what hosts answered to [`journal::read_whole`].
fn merge(said: &[(String, String)]) -> History {
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    let mut garbled = Vec::new();
    for (host, text) in said {
        for (file, record) in journal::read_all(text) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    garbled.push(
                        error
                            .on(host)
                            .note(format!("in {file}"))
                            .help("check the file; the others are shown without it"),
                    );
                    continue;
                }
            };
            let entry = found
                .entry(record.header.id.clone())
                .or_insert_with(|| Entry {
                    record: record.clone(),
                    hosts: Vec::new(),
                    under_way: Vec::new(),
                });
            if file == OPERATION {
                entry.under_way.push(host.clone());
            }
            if !entry.hosts.contains(host) {
                entry.hosts.push(host.clone());
            }
            let full = |record: &Record| (record.end.is_some(), record.steps.len());
            if full(&record) > full(&entry.record) {
                entry.record = record;
            }
        }
    }
    let mut entries: Vec<Entry> = found.into_values().collect();
    entries.sort_by(|a, b| {
        let key = |entry: &Entry| {
            (
                entry.is_unfinished(),
                entry.record.header.started,
                entry.record.header.id.clone(),
            )
        };
        key(b).cmp(&key(a))
    });
    History {
        entries,
        garbled,
        lost: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::operation::journal::{End, HISTORY, Header, StepLine, StepState, line};

    fn header(id: &str, started: u64) -> Header {
        Header {
            id: id.to_owned(),
            started,
            ..Header::new("switchover", "ann@desk, `hactl switchover`", "")
        }
    }

    fn step(name: &str) -> String {
        line(&StepLine {
            step: name.to_owned(),
            state: StepState::Done,
            at: 1,
            notes: BTreeMap::new(),
        })
    }

    fn end(ended: u64) -> String {
        line(&End {
            result: "done".to_owned(),
            ended,
            message: String::new(),
        })
    }

    fn file(name: &str, text: &str) -> String {
        format!("\u{1}{name}\n{text}")
    }

    #[test]
    fn one_operation_on_many_hosts_is_one_entry_and_the_newest_comes_first() {
        let old = line(&header("1-old", 10)) + &step("stop") + &end(14);
        let new = line(&header("2-new", 20)) + &end(21);
        let open = line(&header("0-open", 5)) + &step("stop");
        // db2 missed a step of the old one, and still has it as being under way.
        let behind = line(&header("1-old", 10));
        let said = [
            (
                "db1".to_owned(),
                file(OPERATION, &(open.clone() + &step("more")))
                    + &file(&format!("{HISTORY}/1-old.jsonl"), &old)
                    + &file(&format!("{HISTORY}/bad.jsonl"), "{\"id\": 1\nx\n"),
            ),
            (
                "db2".to_owned(),
                file(OPERATION, &behind) + &file(&format!("{HISTORY}/2-new.jsonl"), &new),
            ),
            ("lb1".to_owned(), String::new()),
        ];
        let history = merge(&said);
        let ids: Vec<&str> = history
            .entries
            .iter()
            .map(|entry| entry.record.header.id.as_str())
            .collect();
        assert_eq!(ids, ["0-open", "2-new", "1-old"]);
        let [open, new, old] = history.entries.as_slice() else {
            panic!("three");
        };
        assert!(open.is_unfinished() && !old.is_unfinished());
        assert_eq!(open.record.steps.len(), 2);
        assert_eq!(
            (new.took(), old.took(), open.took()),
            (Some(1), Some(4), None)
        );
        assert_eq!(old.hosts, ["db1", "db2"]);
        assert_eq!(old.under_way, ["db2"]);
        assert_eq!(history.garbled.len(), 1);
        let bad = &history.garbled[0];
        assert_eq!(bad.host.as_deref(), Some("db1"));
        assert!(
            bad.notes.iter().any(|note| note.ends_with("bad.jsonl")),
            "{bad:?}"
        );
    }
}
