//! What drills found: a table for people, JSON (`hactl.drill/1`; the schema is in `docs/schema/drill.json`), and one HTML file
//! that works from disk.
//!
//! Text that came from a host is escaped wherever it goes.

mod json;
mod page;
mod timeline;

pub use json::json;

use crate::base::mask::mask;
use crate::base::quote::for_terminal;
use crate::base::{Diagnostic, Result, exit};
use crate::ops::drill::metrics::Gap;
use crate::ops::drill::run::{LeftOut, Record};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use console::Style;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Writes `drill.html` and `drill.json` into the folder, which is made if it is missing.
///
/// # Errors
/// They cannot be written.
pub fn write(folder: &Path, records: &[Record], left_out: &[LeftOut]) -> Result<()> {
    let failed = |error: std::io::Error| Diagnostic::with_code(exit::FAILED, error.to_string());
    fs_err::create_dir_all(folder).map_err(failed)?;
    fs_err::write(folder.join("drill.json"), json(records, left_out)).map_err(failed)?;
    fs_err::write(folder.join("drill.html"), page::page(records, left_out)?).map_err(failed)
}

/// The figures of a drill: what it is, and its value.
fn figures(record: &Record) -> Vec<(&'static str, String)> {
    let figures = &record.figures;
    let numbers = |found: &Option<Vec<u64>>| {
        found
            .as_ref()
            .map_or_else(|| "?".to_owned(), |found| found.len().to_string())
    };
    vec![
        ("detection", seconds(figures.detection)),
        ("promotion", seconds(figures.promotion)),
        ("first write", seconds(figures.first_write)),
        ("write gap", gap(figures.write_gap)),
        ("read gap", gap(figures.read_gap)),
        ("lost", numbers(&figures.lost)),
        ("images lost", numbers(&figures.images_lost)),
        ("duplicates", numbers(&figures.duplicates)),
        (
            "two primaries",
            if figures.overlaps.is_empty() {
                "no"
            } else {
                "SEEN"
            }
            .to_owned(),
        ),
    ]
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.2} s", time.as_secs_f64()),
    )
}

fn gap(gap: Option<Gap>) -> String {
    gap.map_or_else(
        || "–".to_owned(),
        |gap| {
            let open = if gap.to.is_none() { "> " } else { "" };
            format!("{open}{:.2} s", gap.length.as_secs_f64())
        },
    )
}

/// Everything for a person.
pub fn text(records: &[Record], left_out: &[LeftOut]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    let mut heads = vec![Cell::new("drill").add_attribute(Attribute::Bold)];
    if let Some(record) = records.first() {
        heads.extend(figures(record).into_iter().map(|(name, _)| {
            Cell::new(name)
                .add_attribute(Attribute::Bold)
                .set_alignment(CellAlignment::Right)
        }));
    }
    heads.push(Cell::new("verdict").add_attribute(Attribute::Bold));
    table.set_header(heads);
    for record in records {
        let mut row = vec![Cell::new(format!(
            "{} {}",
            record.drill.id, record.drill.name
        ))];
        row.extend(
            figures(record)
                .into_iter()
                .map(|(_, value)| Cell::new(value).set_alignment(CellAlignment::Right)),
        );
        row.push(Cell::new(if record.passed() {
            "✔ passed"
        } else {
            "✖ FAILED"
        }));
        table.add_row(row);
    }
    let mut text = table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect::<String>();
    for record in records.iter().filter(|record| !record.passed()) {
        let head = format!("{} {}", record.drill.id, record.drill.name);
        let _ = writeln!(text, "\n{}", Style::new().bold().apply_to(head));
        for expectation in record.expectations.iter().filter(|one| !one.holds) {
            let _ = writeln!(
                text,
                "  ✖ {}: expected {}, observed {}",
                for_terminal(&expectation.what),
                for_terminal(&expectation.expected),
                for_terminal(&expectation.observed)
            );
        }
    }
    if !left_out.is_empty() {
        text.push('\n');
    }
    for one in left_out {
        let _ = writeln!(
            text,
            "{} {} was left out: {}",
            one.drill.id,
            one.drill.name,
            for_terminal(&one.why)
        );
    }
    let passed = records.iter().filter(|record| record.passed()).count();
    let time: f64 = records.iter().map(|record| record.seconds).sum();
    let _ = writeln!(
        text,
        "\n{passed} of {} drills passed ({time:.0} s)",
        records.len()
    );
    mask(&text)
}

#[cfg(test)]
mod tests;
