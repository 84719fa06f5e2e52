//! The page: one HTML file without any reference to elsewhere. Its template is embedded, and everything put into it is
//! escaped, except the pictures, which escape for themselves.

use super::{figures, timeline};
use crate::base::mask::mask;
use crate::base::quote::for_terminal;
use crate::base::{Diagnostic, Result, exit};
use crate::ops::drill::metrics::Counts;
use crate::ops::drill::record::{Outcome, Sample};
use crate::ops::drill::run::{LeftOut, Record};
use jiff::Timestamp;
use minijinja::{Environment, Value, context};
use std::collections::BTreeMap;

/// Ends in `.html`, which makes minijinja escape.
const NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("page.html");

/// The page.
///
/// # Errors
/// The template does not fit.
pub fn page(records: &[Record], left_out: &[LeftOut]) -> Result<String> {
    let failed = |error: minijinja::Error| {
        Diagnostic::with_code(exit::FAILED, format!("the report's page: {error}"))
    };
    let mut environment = Environment::new();
    environment.add_template(NAME, TEMPLATE).map_err(failed)?;
    let drills: Vec<Value> = records
        .iter()
        .enumerate()
        .map(|(index, record)| drill(record, index))
        .collect();
    let passed = records.iter().filter(|record| record.passed()).count();
    let page = environment
        .get_template(NAME)
        .map_err(failed)?
        .render(context! {
            drills, passed,
            left_out => left_out.iter().map(|one| context! { id => one.drill.id, name => one.drill.name, why => for_terminal(&one.why) }).collect::<Vec<_>>(),
            all => records.len(),
            good => passed == records.len(),
            version => env!("CARGO_PKG_VERSION"),
        })
        .map_err(failed)?;
    Ok(mask(&page))
}

fn drill(record: &Record, index: usize) -> Value {
    let started = Timestamp::try_from(record.started)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let figures: Vec<Value> = figures(record)
        .into_iter()
        .map(|(name, value)| context! { name, value })
        .collect();
    let expectations: Vec<Value> = record
        .expectations
        .iter()
        .map(|one| {
            context! { what => &one.what, expected => &one.expected, observed => for_terminal(&one.observed), holds => one.holds }
        })
        .collect();
    let events: Vec<Value> = record
        .events
        .iter()
        .map(|event| {
            context! {
                at => format!("{:.2}", event.at.as_secs_f64()),
                took => format!("{:.2}", event.until.saturating_sub(event.at).as_secs_f64()),
                kind => event.what.word(), text => for_terminal(&event.text),
            }
        })
        .collect();
    let commands: Vec<Value> = record
        .ran
        .iter()
        .map(|ran| {
            context! {
                line => &ran.line, code => ran.code,
                at => format!("{:.2}", ran.at.as_secs_f64()),
                took => format!("{:.2}", ran.until.saturating_sub(ran.at).as_secs_f64()),
                stdout => for_terminal(&ran.stdout), stderr => for_terminal(&ran.stderr),
            }
        })
        .collect();
    context! {
        index, figures, expectations, events, commands,
        id => record.drill.id, name => record.drill.name, what => record.drill.what,
        passed => record.passed(),
        started => started.unwrap_or_default(),
        seconds => format!("{:.0}", record.seconds),
        rate => record.rate,
        assignment => &[
            ("primary", &record.assignment.primary), ("standby", &record.assignment.standby),
            ("address at", &record.assignment.holder), ("clients come through", &record.assignment.viewer),
        ].map(|(part, host)| context! { part, host }),
        picture => Value::from_safe_string(timeline::draw(record, index)),
        counts => &[("writes", &record.figures.writes), ("reads", &record.figures.reads)].map(|(name, counts)| row(name, counts)),
        failures => failures(&record.samples),
    }
}

fn row(name: &str, counts: &Counts) -> Value {
    let milliseconds = |time: Option<std::time::Duration>| {
        time.map_or_else(
            || "–".to_owned(),
            |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        )
    };
    context! {
        name, sent => counts.sent, done => counts.done, refused => counts.refused, broken => counts.broken,
        timeout => counts.timeout, median => milliseconds(counts.median), p99 => milliseconds(counts.p99),
    }
}

/// Kind of request, outcome, status and text: what makes two failures the same.
type Failure<'a> = (&'a str, &'a str, u16, &'a str);

/// What clients were told instead, and how often.
fn failures(samples: &[Sample]) -> Vec<Value> {
    let mut found: BTreeMap<Failure<'_>, (usize, f64, f64)> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|sample| sample.outcome != Outcome::Done)
    {
        let at = sample.sent.as_secs_f64();
        let key = (
            sample.kind.word(),
            sample.outcome.word(),
            sample.status,
            sample.note.as_str(),
        );
        let entry = found.entry(key).or_insert((0, at, at));
        *entry = (entry.0 + 1, entry.1.min(at), entry.2.max(at));
    }
    found
        .into_iter()
        .map(|((kind, outcome, status, note), (count, first, last))| {
            context! {
                kind, outcome, count, note => for_terminal(note),
                status => if status == 0 { String::new() } else { status.to_string() },
                first => format!("{first:.2}"), last => format!("{last:.2}"),
            }
        })
        .collect()
}
