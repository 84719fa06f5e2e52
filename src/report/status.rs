//! What `status` has seen: one screen, and the JSON document `hactl.status/1` (its schema is in `docs/schema/status.json`).
//!
//! Colours only underline: every word is there without them.

#[cfg(test)]
mod schema;
mod sections;

use crate::base::mask::mask;
use crate::base::quote::for_terminal;
use crate::ops::status::past::moment;
use crate::ops::status::status_report::{Severity, State, StatusFinding, StatusReport};
use comfy_table::{ContentArrangement, Table, presets};
use console::{Style, Term};
use serde_json::{Value, json};
use std::time::Duration;

/// The widest screen that is filled.
const WIDTH: u16 = 100;

/// How wide the screen is: the terminal's width, 100 columns at most.
pub fn width() -> u16 {
    let term = Term::stdout();
    if term.is_term() {
        term.size().1.clamp(50, WIDTH)
    } else {
        WIDTH
    }
}

/// The document.
pub fn json(report: &StatusReport, took: Duration) -> Value {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        map.insert("exit_code".to_owned(), json!(report.exit_code()));
    }
    value
}

/// The screen.
pub fn text(report: &StatusReport, took: Duration, width: u16) -> String {
    let page = Page {
        width,
        text: String::new(),
    };
    let page = page.verdict(report, took).findings(&report.findings);
    let page = match &report.databases {
        Some(databases) => page.databases(databases),
        None => page,
    };
    let page = match &report.virtual_address {
        Some(address) => page.address(address),
        None => page,
    };
    page.balancers(&report.balancers, report.virtual_address.as_ref())
        .applications(&report.applications)
        .operations(report)
        .points(&report.single_points)
        .finish()
}

/// A screen that is being written.
struct Page {
    width: u16,
    text: String,
}

impl Page {
    fn finish(self) -> String {
        mask(&self.text)
    }

    fn title(&mut self, title: &str) {
        self.text.push('\n');
        self.text
            .push_str(&Style::new().bold().apply_to(title).to_string());
        self.text.push('\n');
    }

    /// Rows of cells, two blanks in; cells that are too wide are broken.
    fn rows(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width - 2);
        if !head.is_empty() {
            table.add_row(head.to_vec());
        }
        for row in rows {
            table.add_row(
                row.iter()
                    .map(|cell| for_terminal(cell).replace('\n', " "))
                    .collect::<Vec<_>>(),
            );
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let dim = Style::new().dim();
        for (index, line) in table.lines().enumerate() {
            let line = format!("  {}", line.trim_end());
            if index == 0 && !head.is_empty() {
                self.text.push_str(&dim.apply_to(line).to_string());
            } else {
                self.text.push_str(&line);
            }
            self.text.push('\n');
        }
    }

    fn verdict(mut self, report: &StatusReport, took: Duration) -> Self {
        let style = match report.state {
            State::Healthy => Style::new().green().bold(),
            State::Degraded | State::Unknown => Style::new().yellow().bold(),
            State::Down | State::SplitBrain => Style::new().red().bold(),
        };
        let verdict = for_terminal(&report.verdict).replace('\n', " ");
        // The first line is the verdict, whole: scripts read it.
        self.text.push_str(&style.apply_to(verdict).to_string());
        let reached = report.hosts.iter().filter(|host| host.reached).count();
        self.text.push_str(&format!(
            "\n{}, {reached} of {} hosts answered, {:.1} s\n",
            moment(report.now),
            report.hosts.len(),
            took.as_secs_f64()
        ));
        self
    }

    fn findings(mut self, findings: &[StatusFinding]) -> Self {
        if findings.is_empty() {
            return self;
        }
        let worst = findings
            .first()
            .is_some_and(|finding| finding.severity != Severity::Note);
        self.title(if worst {
            "What is wrong"
        } else {
            "Worth knowing"
        });
        let mut rows = Vec::new();
        for finding in findings {
            let label = match finding.severity {
                Severity::SplitBrain => "SPLIT BRAIN",
                Severity::Down => "DOWN",
                Severity::Degraded => "degraded",
                Severity::Unknown => "unknown",
                Severity::Note => "note",
            };
            rows.push(vec![label.to_owned(), finding.what.clone()]);
            if !finding.remedy.is_empty() {
                rows.push(vec![String::new(), format!("→ {}", finding.remedy)]);
            }
        }
        self.rows(&[], rows);
        self
    }

    fn points(mut self, points: &[String]) -> Self {
        self.title("Single points of failure");
        let rows = match points {
            [] => vec![vec!["none among these hosts".to_owned()]],
            points => points.iter().map(|point| vec![point.clone()]).collect(),
        };
        self.rows(&[], rows);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::status::{Snapshot, snapshots};

    fn screen(snapshot: &Snapshot<'_>) -> String {
        console::set_colors_enabled(false);
        let text = text(&snapshot.report(), Duration::from_millis(420), WIDTH);
        let wide: Vec<&str> = text
            .lines()
            .skip(1)
            .filter(|line| console::measure_text_width(line) > usize::from(WIDTH))
            .collect();
        assert!(wide.is_empty(), "{wide:?}");
        text
    }

    #[test]
    fn the_screen_of_each_scene() {
        let site = snapshots::site();
        insta::assert_snapshot!("healthy", screen(&snapshots::healthy(&site)));
        insta::assert_snapshot!("primary_dead", screen(&snapshots::primary_dead(&site)));
        insta::assert_snapshot!("split_brain", screen(&snapshots::split_brain(&site)));
        insta::assert_snapshot!("replica_paused", screen(&snapshots::replica_paused(&site)));
        insta::assert_snapshot!(
            "unfinished_switchover",
            screen(&snapshots::unfinished_switchover(&site))
        );
        insta::assert_snapshot!("fenced_old_primary", screen(&snapshots::fenced(&site)));
        let mut site = snapshots::site();
        insta::assert_snapshot!(
            "no_replica_no_backup",
            screen(&snapshots::lonely(&mut site))
        );
    }

    #[test]
    fn text_of_hosts_is_data() {
        let site = snapshots::site();
        let mut snapshot = snapshots::healthy(&site);
        snapshot.change("app1", |seen| {
            seen.health = Some(Err("\u{1b}[2Jgone\nhealthy: all".to_owned()))
        });
        snapshot.change("lb1", |seen| {
            seen.maintenance = Some("\u{7}since\u{202e}".to_owned())
        });
        let text = screen(&snapshot);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
        assert!(
            !text.lines().any(|line| line.starts_with("healthy")),
            "{text}"
        );
    }
}
