//! Drills in the history of the database hosts, beside the operations: when the last one was, and what came of it.

use super::drill_target::DrillTarget;
use super::run::{Record, Tools};
use crate::ops::operation::journal::{self, End, Header, Notes};
use std::time::{Duration, UNIX_EPOCH};

/// Keeps it. A host that cannot write it misses it; the others have it.
pub async fn keep(record: &Record, drill_target: &DrillTarget, tools: &Tools<'_>) {
    let entry = entry(record, &tools.operator);
    for host in record.assignment.servers.keys() {
        let failed = match drill_target.ask(host, journal::record(&entry)).await {
            Ok(reply) if reply.code == 0 => continue,
            Ok(reply) => reply.err().trim().to_owned(),
            Err(error) => error.message,
        };
        (tools.tell)(&format!(
            "{host} has not kept this drill in its history: {failed}"
        ));
    }
}

fn entry(record: &Record, operator: &str) -> journal::Record {
    let figures = &record.figures;
    let mut details = Notes::new();
    let mut note = |name: &str, value: Option<String>| {
        details.insert(
            name.to_owned(),
            value.unwrap_or_else(|| "not known".to_owned()),
        );
    };
    let seconds = |time: Option<Duration>| time.map(|time| format!("{:.3}", time.as_secs_f64()));
    let count = |found: &Option<Vec<u64>>| found.as_ref().map(|found| found.len().to_string());
    note("drill", Some(record.drill.name.to_owned()));
    note(
        "write_gap",
        seconds(figures.write_gap.map(|gap| gap.length)),
    );
    note("read_gap", seconds(figures.read_gap.map(|gap| gap.length)));
    note("first_write", seconds(figures.first_write));
    note("lost", count(&figures.lost));
    note("images_lost", count(&figures.images_lost));
    note("duplicates", count(&figures.duplicates));
    note(
        "two_primaries",
        Some((!figures.overlaps.is_empty()).to_string()),
    );
    let missed: Vec<&str> = record
        .expectations
        .iter()
        .filter(|one| !one.holds)
        .map(|one| one.what.as_str())
        .collect();
    journal::Record {
        header: Header {
            started: record
                .started
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            hosts: record.assignment.servers.keys().cloned().collect(),
            details,
            ..Header::new(
                "drill",
                operator,
                &format!("{} {}", record.drill.id, record.drill.name),
            )
        },
        steps: Vec::new(),
        end: Some(End {
            result: if record.passed() { "done" } else { "failed" }.to_owned(),
            ended: journal::seconds(),
            message: missed.join("; "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::drill::testing::record;

    #[test]
    fn a_drill_is_kept_as_operations_are() {
        let entry = entry(&record(), "me");
        let text =
            journal::line(&entry.header) + &journal::line(entry.end.as_ref().expect("ended"));
        let read = journal::Record::parse(&text).expect("a record");
        assert_eq!(read, entry);
        assert_eq!(read.header.kind, "drill");
        assert_eq!(read.header.details["lost"], "1");
        assert_eq!(read.header.details["images_lost"], "1");
        assert_eq!(read.header.details["write_gap"], "2.000");
        let end = read.end.expect("ended");
        assert_eq!(
            (&*end.result, &*end.message),
            ("failed", "acknowledged writes lost")
        );
    }
}
