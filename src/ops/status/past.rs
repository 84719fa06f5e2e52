//! What was done to the service, and what was left of it on its hosts: the unfinished operation, the last ones, flags.

use super::Snapshot;
use super::status_report::{Last, Mark, Past, Severity, StatusFinding, Unfinished};
use crate::ops::database::postgresql::next_action::Situation;
use crate::ops::operation::journal::{OPERATION, Record, StepState};
use std::collections::BTreeMap;

impl Snapshot<'_> {
    /// The journals of operations that were not ended, with their hosts.
    fn open_journals(&self) -> impl Iterator<Item = (&str, Result<&Record, String>)> {
        self.answered().flat_map(|(host, seen)| {
            seen.journal
                .iter()
                .filter(|(file, _)| file == OPERATION)
                .map(move |(_, record)| {
                    (host, record.as_ref().map_err(|error| error.message.clone()))
                })
        })
    }

    /// Whether an operation was not ended.
    pub(super) fn has_unfinished(&self) -> bool {
        self.open_journals().next().is_some()
    }

    /// The way on from the operation that was not ended.
    pub(super) fn way_on(&self) -> String {
        self.cluster
            .unfinished()
            .and_then(|record| Situation::of(&self.cluster, &record))
            .map_or_else(|| "hactl resume".to_owned(), |way| way.command())
    }

    /// Who is at work on an operation that was begun.
    pub(super) fn running_operation(&self) -> Option<String> {
        let hosts: Vec<&str> = self.open_journals().map(|(host, _)| host).collect();
        self.answered()
            .filter(|(host, _)| hosts.contains(host))
            .find_map(|(_, seen)| seen.busy.clone())
    }

    /// The operation that was not ended.
    pub(super) fn unfinished(&self, findings: &mut Vec<StatusFinding>) -> Option<Unfinished> {
        let hosts: Vec<String> = self
            .open_journals()
            .map(|(host, _)| host.to_owned())
            .collect();
        let running = self.running_operation();
        let furthest = self
            .open_journals()
            .filter_map(|(_, record)| record.ok())
            .max_by_key(|record| (record.header.started, record.steps.len()));
        let command = if running.is_some() {
            "wait for its end".to_owned()
        } else {
            self.way_on()
        };
        let Some(record) = furthest else {
            let (host, why) = self
                .open_journals()
                .find_map(|(host, record)| Some((host, record.err()?)))?;
            findings.push(StatusFinding::new(
                Severity::Degraded,
                format!("an operation was begun, and its journal on {host} cannot be read: {why}"),
                format!("check {OPERATION} on {host}: its first line says what was begun; then put the file aside"),
            ));
            return Some(Unfinished {
                hosts,
                running,
                command: format!("check {OPERATION} on {host}"),
                ..Unfinished::default()
            });
        };
        let step = record.steps.last();
        let unfinished = Unfinished {
            id: record.header.id.clone(),
            kind: record.header.kind.clone(),
            operator: record.header.operator.clone(),
            started: record.header.started,
            reason: record.header.reason.clone(),
            step: step.map(|step| step.step.clone()),
            step_state: step.map(|step| match step.state {
                StepState::Begun => "begun",
                StepState::Done => "done",
                StepState::Undone => "undone",
            }),
            hosts,
            running,
            command,
        };
        let since = ago(self.now, unfinished.started);
        findings.push(match &unfinished.running {
            Some(who) => StatusFinding::new(
                Severity::Degraded,
                format!(
                    "a {} is under way, begun {since} ago by {who}",
                    unfinished.kind
                ),
                "wait for its end and retry",
            ),
            None => StatusFinding::new(
                Severity::Degraded,
                format!(
                    "a {} that {} began {since} ago is unfinished ({})",
                    unfinished.kind,
                    operator(&unfinished.operator),
                    progress(&unfinished)
                ),
                unfinished.command.clone(),
            ),
        });
        Some(unfinished)
    }

    /// What was done last, as any host that answered knows it.
    pub(super) fn last(&self) -> Last {
        let mut records: BTreeMap<&str, &Record> = BTreeMap::new();
        for (_, seen) in self.answered() {
            for (_, record) in seen.journal.iter().filter(|(file, _)| file != OPERATION) {
                if let Ok(record) = record {
                    records.insert(&record.header.id, record);
                }
            }
        }
        let newest = |kinds: &[&str]| {
            records
                .values()
                .filter(|record| kinds.contains(&record.header.kind.as_str()))
                .filter_map(|record| past(record))
                .max_by_key(|past| past.ended)
        };
        // What a timer made is in no history: the repository itself knows.
        let kept = self.answered().find_map(|(host, seen)| {
            let last = seen.backups.as_ref()?.last()?;
            Some(Past {
                kind: "backup".to_owned(),
                operator: host.to_owned(),
                ended: u64::try_from(last.ended).unwrap_or(0),
                result: "done".to_owned(),
                about: format!("{} {}", last.kind, last.label),
                message: String::new(),
            })
        });
        Last {
            change: newest(&["switchover", "failover"]),
            backup: kept.or_else(|| newest(&["backup"])),
            drill: newest(&["drill"]),
        }
    }

    /// Flags that were left on hosts.
    pub(super) fn marks(&self, findings: &mut Vec<StatusFinding>) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut note = |what: String, remedy: String| {
            findings.push(StatusFinding::new(Severity::Note, what, remedy))
        };
        for (host, seen) in self.answered() {
            let mut mark = |kind, subject: Option<&String>, text: &str| {
                marks.push(Mark {
                    kind,
                    host: host.to_owned(),
                    subject: subject.cloned(),
                    text: mark_text(text),
                });
            };
            if let Some(text) = &seen.fenced {
                mark("fenced", None, text);
                if self
                    .cluster
                    .node(host)
                    .is_some_and(|node| node.answer().is_some())
                {
                    note(
                        format!("{host} is marked as fenced, and its server answers"),
                        format!("hactl rejoin {host}"),
                    );
                }
            }
            for subject in &seen.blocks {
                mark("blocks", Some(subject), "");
            }
            if let Some(text) = &seen.maintenance {
                mark("maintenance", None, text);
                note(
                    format!("{host} is in maintenance ({})", mark_text(text)),
                    format!("hactl maintenance off {host}"),
                );
            }
            if let Some(text) = &seen.flag {
                mark("keepalived_flag", None, text);
            }
        }
        self.judge_blocks(findings);
        marks
    }

    /// Who is blocked by whom: what keeps a fenced host out, and what cuts off one that is a member again.
    fn judge_blocks(&self, findings: &mut Vec<StatusFinding>) {
        let mut blocked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (host, seen) in self.answered() {
            for subject in &seen.blocks {
                blocked.entry(subject).or_default().push(host);
            }
        }
        for (subject, by) in blocked {
            let verb = if by.len() == 1 { "blocks" } else { "block" };
            let what = format!("{} {verb} all traffic to {subject}", by.join(" and "));
            let takes_part = self
                .cluster
                .node(subject)
                .is_some_and(|node| node.answer().is_some() && !node.is_fenced());
            findings.push(if takes_part {
                StatusFinding::new(
                    Severity::Degraded,
                    format!(
                        "{what}, and its server takes part: what is sent to it from there is lost"
                    ),
                    format!("hactl rejoin {subject} takes the blocks away"),
                )
            } else {
                StatusFinding::new(
                    Severity::Note,
                    what,
                    format!("hactl rejoin {subject} lifts it, once {subject} is safe"),
                )
            });
        }
    }
}

fn past(record: &Record) -> Option<Past> {
    let end = record.end.as_ref()?;
    let details = &record.header.details;
    let get = |key: &str| details.get(key).map_or("", String::as_str);
    let about = match (get("old"), get("new"), get("name")) {
        ("", "", "") => record.header.reason.clone(),
        ("", "", name) => name.to_owned(),
        ("", new, _) => new.to_owned(),
        (old, new, _) => format!("{old} → {new}"),
    };
    Some(Past {
        kind: record.header.kind.clone(),
        operator: record.header.operator.clone(),
        ended: end.ended,
        result: end.result.clone(),
        about,
        message: end.message.clone(),
    })
}

/// How far it came, in words.
pub fn progress(unfinished: &Unfinished) -> String {
    match (&unfinished.step, unfinished.step_state) {
        (Some(step), Some("begun")) => {
            format!("step `{step}` was begun; whether it happened is not known")
        }
        (Some(step), Some(state)) => format!("the last step, `{step}`, is {state}"),
        _ => "no step was begun".to_owned(),
    }
}

/// `user@machine` of an operator's line.
pub fn operator(line: &str) -> &str {
    line.split(',').next().unwrap_or(line).trim()
}

/// A note on a host, for people: what of operator, time and reason it has, or its own text.
pub fn mark_text(text: &str) -> String {
    let Ok(serde_json::Value::Object(map)) =
        serde_json::from_str(text.lines().next().unwrap_or(text))
    else {
        return console_free(text);
    };
    let get = |names: &[&str]| {
        names.iter().find_map(|name| match map.get(*name)? {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            serde_json::Value::Number(number) => number.as_u64().map(moment),
            _ => None,
        })
    };
    let since = get(&["since", "at", "started", "when"]).map(|since| format!("since {since}"));
    let by = get(&["operator", "by", "who"]).map(|by| format!("by {}", operator(&by)));
    let reason = get(&["reason", "why"]);
    let parts: Vec<String> = [since, by, reason].into_iter().flatten().collect();
    if parts.is_empty() {
        console_free(text)
    } else {
        parts.join(", ")
    }
}

/// One line, not too long.
fn console_free(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 120 {
        line.chars().take(119).chain(['…']).collect()
    } else {
        line
    }
}

/// A moment for people.
pub fn moment(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || seconds.to_string(),
            |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}

/// How long ago, for people.
pub fn ago(now: u64, then: u64) -> String {
    match now.saturating_sub(then) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}
