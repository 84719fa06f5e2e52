//! What hactl itself left on the hosts: operations that did not end, fences, flags.
//!
//! Where each file lies and what it means is agreed with the operations that write them; they are read here, never written.

use super::super::check::{Check, Findings, Verdict};
use super::super::component::list;
use super::super::observations::{Ask, Observations, last_words};
use crate::base::value::{Value, to_text};
use std::collections::BTreeMap;

const KEY: &str = "common.own-state";

/// Each file, when it was written, its first line and its last one. What is long is cut.
const SCRIPT: &str = r#"cd /var/lib/hactl 2>/dev/null || exit 0
for f in operation fenced maintenance pending-handlers blocked/*; do
[ -f "$f" ] || continue
echo "== $(stat -c %Y "./$f") $f"
head -n 1 "./$f" | head -c 4000; echo
tail -n 1 "./$f" | head -c 4000; echo
done"#;

pub static OPERATION: Check = Check::fail(
    "common.operation",
    "no switchover, failover or rejoin is unfinished",
    "wait for whoever is at it, or `hactl resume` when it was cut off",
);
pub static FENCED: Check = Check::warn(
    "common.fenced",
    "no host is fenced",
    "hactl rejoin HOST brings it back as a standby",
);
pub static BLOCKED: Check = Check::warn(
    "common.blocked",
    "no host blocks another one",
    "hactl rejoin the blocked host once it can be reached again",
);
pub static CUT_OFF: Check = Check::fail(
    "common.cut-off",
    "no host that is up is blocked by another one",
    "hactl rejoin HOST takes the blocks away",
);
pub static MAINTENANCE: Check = Check::warn(
    "common.maintenance",
    "no host is in maintenance",
    "hactl maintenance off when the work is done",
);
pub static HANDLERS: Check = Check::warn(
    "common.pending-handlers",
    "no deploy was cut off before its restarts",
    "deploy again: it makes up for the restarts that are due",
);

/// A file of hactl on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    name: String,
    written: i64,
    first: String,
    last: String,
}

impl Mark {
    /// What it is about, by whom and since when; what the file does not say is taken from when it was written.
    pub fn story(&self) -> String {
        let at = |seconds: i64| {
            let time = jiff::Timestamp::from_second(seconds);
            time.map_or_else(|_| String::new(), |time| format!("since {time}"))
        };
        let head: Value = serde_json::from_str(&self.first).unwrap_or_default();
        if !head.is_object() {
            // Words for people, with or without a time.
            let words = self.first.trim();
            return match (words.is_empty(), words.contains("since ")) {
                (true, _) => at(self.written),
                (false, true) => words.to_owned(),
                (false, false) => format!("{words} {}", at(self.written)),
            };
        }
        let said = |key: &str| {
            let text = to_text(&head[key]);
            (!head[key].is_null() && !text.is_empty()).then_some(text)
        };
        let since = match (said("since"), &head["started"]) {
            (Some(since), _) => format!("since {since}"),
            (None, Value::Null) => at(self.written),
            (None, Value::Number(seconds)) => at(seconds.as_i64().unwrap_or(self.written)),
            (None, text) => format!("since {}", to_text(text)),
        };
        let mut story: Vec<String> = Vec::new();
        story.extend(said("kind"));
        story.extend(said("id"));
        story.push(since);
        story.extend(said("operator").map(|who| format!("by {who}")));
        story.extend(said("from").map(|place| format!("from {place}")));
        let mut story = story.join(" ");
        if let Some(reason) = said("reason") {
            story.push_str(": ");
            story.push_str(&reason);
        }
        story
    }
}

/// The question.
pub fn ask() -> Ask {
    Ask::sh(KEY, SCRIPT)
}

fn read(text: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((written, name)) = line
            .strip_prefix("== ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        marks.push(Mark {
            name: name.to_owned(),
            written: written.parse().unwrap_or_default(),
            first: lines.next().unwrap_or_default().to_owned(),
            last: lines.next().unwrap_or_default().to_owned(),
        });
    }
    marks
}

/// Why a host is fenced; nothing when it is not, or when it could not be asked.
pub fn fenced(seen: &Observations, host: &str) -> Option<String> {
    mark(seen, host, "fenced")
}

/// Whether a host blocks another one, as far as it could be asked.
pub fn blocks(seen: &Observations, host: &str, other: &str) -> bool {
    mark(seen, host, &format!("blocked/{other}")).is_some()
}

/// Why a host is in maintenance; nothing when it is not, or when it could not be asked.
pub fn maintenance(seen: &Observations, host: &str) -> Option<String> {
    mark(seen, host, "maintenance")
}

fn mark(seen: &Observations, host: &str, name: &str) -> Option<String> {
    let reply = seen.reply(host, KEY).ok()?;
    let marks = read(&reply.out());
    marks.iter().find(|mark| mark.name == name).map(Mark::story)
}

/// Judges what each host has of them.
pub fn judge(seen: &Observations, hosts: &[String], findings: &mut Findings) {
    for host in hosts {
        let marks = match seen.reply(host, KEY) {
            Ok(reply) if reply.code == 0 => Ok(read(&reply.out())),
            Ok(reply) => Err(Verdict::Unknown(last_words(reply))),
            Err(verdict) => Err(verdict),
        };
        for (check, judge) in [
            (&OPERATION, operation as fn(&str, &[Mark]) -> Verdict),
            (&FENCED, |host, marks| {
                flag(
                    marks,
                    "fenced",
                    &format!("hactl rejoin {host} brings it back as a standby"),
                )
            }),
            (&MAINTENANCE, |_, marks| {
                flag(marks, "maintenance", MAINTENANCE.remedy)
            }),
            (&HANDLERS, handlers),
        ] {
            let verdict = match &marks {
                Ok(marks) => judge(host, marks),
                Err(verdict) => verdict.clone(),
            };
            findings.add(check, host, verdict);
        }
    }
    blocked(seen, hosts, findings);
}

fn operation(_: &str, marks: &[Mark]) -> Verdict {
    let Some(mark) = marks.iter().find(|mark| mark.name == "operation") else {
        return Verdict::Good("none".to_owned());
    };
    let last: Value = serde_json::from_str(&mark.last).unwrap_or_default();
    let step = match last["step"].as_str() {
        Some(step) if mark.last != mark.first => {
            format!("; last step: {step} {}", to_text(&last["state"]))
        }
        _ => String::new(),
    };
    Verdict::bad("no unfinished operation", format!("{}{step}", mark.story()))
}

fn flag(marks: &[Mark], name: &str, advice: &str) -> Verdict {
    match marks.iter().find(|mark| mark.name == name) {
        None => Verdict::Good("no".to_owned()),
        Some(mark) => Verdict::bad(
            format!(
                "not {}",
                if name == "fenced" {
                    "fenced"
                } else {
                    "in maintenance"
                }
            ),
            mark.story(),
        )
        .advise(advice),
    }
}

/// One finding for each host that is blocked, whoever blocks it.
fn blocked(seen: &Observations, hosts: &[String], findings: &mut Findings) {
    let mut blocks: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    let mut others = Vec::new();
    for host in hosts {
        let marks = match seen.reply(host, KEY) {
            Ok(reply) => read(&reply.out()),
            Err(verdict) => {
                findings.add(&BLOCKED, host, verdict);
                continue;
            }
        };
        let mut some = false;
        for mark in &marks {
            if let Some(whom) = mark.name.strip_prefix("blocked/") {
                some = true;
                let by = (host.as_str(), mark.story());
                blocks.entry(whom.to_owned()).or_default().push(by);
            }
        }
        if !some {
            findings.add(&BLOCKED, host, Verdict::Good("none".to_owned()));
            others.push(host.as_str());
        }
    }
    for host in hosts {
        if !blocks.contains_key(host) && seen.reply(host, KEY).is_ok() {
            findings.add(&CUT_OFF, host, Verdict::Good("by nobody".to_owned()));
        }
    }
    for (whom, by) in blocks {
        let story = by.first().map_or("", |(_, story)| story);
        let mut observed = format!(
            "blocked by {} ({story})",
            list(by.iter().map(|(host, _)| *host))
        );
        let open: Vec<&str> = others
            .iter()
            .copied()
            .filter(|host| *host != whom)
            .collect();
        if !open.is_empty() {
            observed.push_str("; not by ");
            observed.push_str(&list(open));
        }
        let bad = Verdict::bad("traffic with every other host", observed);
        // Fenced, it is to be kept out until it is rejoined; up and not fenced, it is to be reached by all.
        let up = seen.reply(&whom, KEY).is_ok() && fenced(seen, &whom).is_none();
        if up {
            let advice = format!("hactl rejoin {whom} takes the blocks away");
            findings.add(&CUT_OFF, whom, bad.advise(advice));
        } else {
            let advice = format!("hactl rejoin {whom}, once it can be reached again");
            findings.add(&BLOCKED, whom, bad.advise(advice));
        }
    }
}

fn handlers(_: &str, marks: &[Mark]) -> Verdict {
    match marks
        .iter()
        .find(|mark| mark.name == "pending-handlers" && !mark.first.trim().is_empty())
    {
        None => Verdict::Good("none due".to_owned()),
        Some(mark) => {
            let at = jiff::Timestamp::from_second(mark.written)
                .map_or_else(|_| String::new(), |at| format!(", since {at}"));
            // Project, file, play, handler.
            let mut fields = mark.first.split('\t');
            let project = fields.next().unwrap_or_default();
            let handler = fields.next_back().map_or_else(
                || project.to_owned(),
                |handler| format!("{handler} (of {project})"),
            );
            Verdict::bad("no restart that is due", format!("{handler}{at}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_its_story() {
        let text = "== 1795272669 operation\n{\"id\":\"7\",\"kind\":\"switchover\",\"operator\":\"ann\",\"from\":\"desk\",\
                    \"started\":1795273200,\"reason\":\"kernel\"}\n{\"step\":\"stop\",\"state\":\"begun\"}\n";
        let marks = read(text);
        assert!(
            matches!(operation("", &marks), Verdict::Bad { observed, .. } if observed
            == "switchover 7 since 2026-11-21T15:00:00Z by ann from desk: kernel; last step: stop begun")
        );
        for (line, story) in [
            ("", "since 2026-11-21T14:51:09Z"),
            ("192.0.2.1", "192.0.2.1 since 2026-11-21T14:51:09Z"),
            (
                "failover since 2026-11-21T15:00:00Z",
                "failover since 2026-11-21T15:00:00Z",
            ),
            (
                r#"{"operator":"ann","since":"2026-11-21T15:00:00Z"}"#,
                "since 2026-11-21T15:00:00Z by ann",
            ),
            (
                r#"{"operator":"ann","started":"2026-11-21T15:00:00Z"}"#,
                "since 2026-11-21T15:00:00Z by ann",
            ),
        ] {
            let marks = read(&format!("== 1795272669 blocked/db1\n{line}\n{line}\n"));
            assert_eq!(marks[0].story(), story);
        }
        assert_eq!(read("nonsense\n== \n"), []);
    }
}
