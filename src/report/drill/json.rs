//! Drills as one JSON document.

use crate::base::mask::mask_value;
use crate::ops::drill::metrics::{Counts, Figures, Gap};
use crate::ops::drill::record::{Moment, Sample};
use crate::ops::drill::run::{LeftOut, Record};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The document. Times are seconds since the beginning of their drill.
pub fn json(records: &[Record], left_out: &[LeftOut]) -> String {
    let document = json!({
        "schema": "hactl.drill/1",
        "passed": records.iter().all(Record::passed),
        "left_out": left_out.iter().map(|one| json!({ "id": one.drill.id, "name": one.drill.name, "why": one.why })).collect::<Vec<_>>(),
        "drills": records.iter().map(drill).collect::<Vec<_>>(),
    });
    format!("{}\n", mask_value(&document))
}

fn drill(record: &Record) -> Value {
    let started = Timestamp::try_from(record.started).map(|time| time.to_string());
    json!({
        "id": record.drill.id,
        "name": record.drill.name,
        "what": record.drill.what,
        "mark": record.mark,
        "started": started.unwrap_or_default(),
        "seconds": milli(Duration::from_secs_f64(record.seconds)),
        "rate": record.rate,
        "primary": record.assignment.primary,
        "standby": record.assignment.standby,
        "holder": record.assignment.holder,
        "viewer": record.assignment.viewer,
        "passed": record.passed(),
        "healthy": record.healthy,
        "figures": figures(&record.figures),
        "expectations": record.expectations.iter().map(|one| json!({
            "what": one.what, "expected": one.expected, "observed": one.observed, "holds": one.holds,
        })).collect::<Vec<_>>(),
        "events": record.events.iter().map(|event| json!({
            "at": milli(event.at), "until": milli(event.until), "kind": event.what.word(), "text": event.text,
        })).collect::<Vec<_>>(),
        "commands": record.ran.iter().map(|ran| json!({
            "at": milli(ran.at), "until": milli(ran.until), "line": ran.line, "code": ran.code,
            "stdout": ran.stdout, "stderr": ran.stderr,
        })).collect::<Vec<_>>(),
        "requests": record.samples.iter().map(request).collect::<Vec<_>>(),
        "looks": record.looks.iter().map(|look| json!({
            "host": look.host, "asked": milli(look.asked), "answered": milli(look.answered), "role": look.role.word(),
        })).collect::<Vec<_>>(),
    })
}

fn request(sample: &Sample) -> Value {
    json!({
        "kind": sample.kind.word(), "seq": sample.seq, "sent": milli(sample.sent), "ended": milli(sample.ended),
        "outcome": sample.outcome.word(), "status": sample.status, "served_by": sample.served_by,
        "database": sample.database, "note": sample.note,
    })
}

fn figures(figures: &Figures) -> Value {
    json!({
        "event": figures.event.map(milli),
        "detection": figures.detection.map(milli),
        "promotion": figures.promotion.map(milli),
        "first_write": figures.first_write.map(milli),
        "command_to_write": figures.command_to_write.map(milli),
        "write_gap": gap(figures.write_gap),
        "read_gap": gap(figures.read_gap),
        "lost": figures.lost,
        "images_lost": figures.images_lost,
        "duplicates": figures.duplicates,
        "unacknowledged": figures.unacknowledged,
        "changes": figures.changes,
        "two_primaries": figures.overlaps.iter().map(|two| json!({
            "host": two.host, "other": two.other, "at": milli(two.at),
        })).collect::<Vec<_>>(),
        "writes": counts(&figures.writes),
        "reads": counts(&figures.reads),
    })
}

fn gap(gap: Option<Gap>) -> Value {
    gap.map_or(Value::Null, |gap| {
        json!({ "from": milli(gap.from), "to": gap.to.map(milli), "seconds": milli(gap.length) })
    })
}

fn counts(counts: &Counts) -> Value {
    json!({
        "sent": counts.sent, "done": counts.done, "refused": counts.refused, "broken": counts.broken,
        "timeout": counts.timeout, "median": counts.median.map(milli), "p99": counts.p99.map(milli),
    })
}

/// Seconds, to the tenth of a millisecond.
fn milli(time: Moment) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10_000.0
}
