//! What a run came to: a line a host, the costs, the documents.
//!
//! It counts what the events said; it never asks a host.

use super::{Options, say_styled};
use crate::base::quote;
use crate::connection::Statistics;
use crate::engine::{Ending, Status, TaskEnd};
use crate::report::{json, junit, say};
use comfy_table::{CellAlignment, Table, presets};
use console::style;
use std::collections::BTreeMap;

/// The counts of one host.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By status.
    pub by: BTreeMap<&'static str, usize>,
    /// What its part cost.
    pub cost: Option<Cost>,
    /// Why it could not go on.
    pub lost: Option<String>,
}

/// What a host's part cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Counters of the connection.
    pub statistics: Statistics,
    /// Processes started on the host meanwhile.
    pub processes: u64,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of these for connecting.
    pub connect_seconds: f64,
}

/// What a play cost, all its hosts together.
#[derive(Debug, Clone, Default)]
pub struct PlayCost {
    /// Its name.
    pub play: String,
    /// How many hosts took part.
    pub hosts: usize,
    /// The most round trips that a host of it needed.
    pub round_trips: u64,
    /// Counters, summed over the hosts.
    pub statistics: Statistics,
    /// Seconds of its slowest host.
    pub seconds: f64,
}

/// What a run came to.
#[derive(Debug)]
pub struct Summary {
    /// What was to be shown.
    pub options: Options,
    /// The hosts.
    pub hosts: BTreeMap<String, Counts>,
    /// All tasks that did more than nothing, in the order of their ends; all tasks for JSON.
    pub tasks: Vec<TaskEnd>,
    /// The plays, in the order in which they ended first.
    pub plays: Vec<PlayCost>,
    /// Wall time.
    pub seconds: f64,
}

impl Summary {
    /// Whether anything would change.
    pub fn pending(&self) -> bool {
        self.hosts
            .values()
            .any(|counts| counts.by.contains_key("changed") || counts.by.contains_key("unknown"))
    }

    fn count(counts: &Counts, name: &str) -> usize {
        counts.by.get(name).copied().unwrap_or(0)
    }

    /// Shows the end: a line a host, the costs, the documents.
    pub fn finish(&self, ending: &Ending) {
        if let Some(path) = &self.options.junit
            && let Err(error) = fs_err::write(path, junit::run(self))
        {
            say(&format!("cannot write the JUnit report: {error}"));
        }
        if self.options.json {
            crate::report::out(&format!("{}\n", json::run(self, ending)));
            return;
        }
        say("");
        let changed_word = if self.options.check {
            "would change"
        } else {
            "changed"
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (host, counts) in &self.hosts {
            let state = if let Some(why) = &counts.lost {
                style(format!("out: {why}")).red()
            } else if ending.failed.contains(host) {
                style("failed".to_owned()).red()
            } else if ending.stopped.contains(host) {
                style("stopped: other hosts failed".to_owned()).red()
            } else {
                style(String::new())
            };
            let mut cells = vec![host.clone()];
            for (name, shown) in [
                ("ok", "ok"),
                ("changed", changed_word),
                ("skipped", "skipped"),
                ("failed", "failed"),
                ("ignored", "ignored"),
                ("unknown", "known after apply"),
            ] {
                let count = Self::count(counts, name);
                if count > 0 || matches!(name, "ok" | "changed") {
                    cells.push(format!("{count} {shown}"));
                }
            }
            cells.push(state.for_stderr().to_string());
            table.add_row(vec![cells[0].clone(), cells[1..].join("  ")]);
        }
        say_styled(&table.trim_fmt());
        if self.options.stats {
            say_styled(&self.play_costs());
            say_styled(&self.costs());
        }
        let total = |name: &str| {
            self.hosts
                .values()
                .map(|counts| Self::count(counts, name))
                .sum::<usize>()
        };
        let unknown = total("unknown");
        let unknown = if unknown > 0 {
            format!(", {unknown} known after apply")
        } else {
            String::new()
        };
        let failed = total("failed");
        let failed = if failed > 0 {
            format!(", {failed} failed")
        } else {
            String::new()
        };
        let all = self.hosts.len();
        let lost = self.hosts.values().filter(|counts| counts.lost.is_some());
        let hosts = match lost.count() {
            // Where one is refused nothing is changed on any.
            _ if !ending.refused.is_empty() => format!("{all} hosts"),
            0 => format!("{all} hosts"),
            lost => format!("{} of {all} hosts", all.saturating_sub(lost)),
        };
        say_styled(&format!(
            "{} {changed_word}{unknown}{failed} on {hosts} in {:.1} s",
            total("changed"),
            self.seconds
        ));
        for failure in self.failures_out_of_sight() {
            say(&failure);
        }
        if !ending.refused.is_empty() {
            say(&format!(
                "refused: nothing was changed anywhere, because of {}",
                ending.refused.join(", ")
            ));
        }
    }

    /// A line for each task that failed and that others have scrolled away since: the others went on.
    fn failures_out_of_sight(&self) -> Vec<String> {
        let is_failure = |end: &&TaskEnd| end.status == Status::Failed;
        let last = self.tasks.iter().rposition(|end| !is_failure(&end));
        let hidden = self.tasks.get(..last.unwrap_or(0)).unwrap_or_default();
        let line = |end: &TaskEnd| {
            let why = end.error.as_ref().map_or("", |error| &error.message);
            let why = why.lines().next().unwrap_or_default();
            let item = end.item.as_ref().map(|item| format!(" ({item})"));
            quote::for_terminal(&format!(
                "failed: {}: {}{} at {}: {why}",
                end.host,
                end.task,
                item.unwrap_or_default(),
                end.span
            ))
        };
        hidden.iter().filter(is_failure).map(line).collect()
    }

    /// A host has come to the end of a play.
    pub(super) fn play_ended(&mut self, play: &str, statistics: Statistics, seconds: f64) {
        let position = self.plays.iter().position(|known| known.play == play);
        let position = position.unwrap_or_else(|| {
            self.plays.push(PlayCost {
                play: play.to_owned(),
                ..PlayCost::default()
            });
            self.plays.len() - 1
        });
        let cost = &mut self.plays[position];
        cost.hosts += 1;
        cost.round_trips = cost.round_trips.max(statistics.round_trips);
        cost.statistics += statistics;
        cost.seconds = cost.seconds.max(seconds);
    }

    fn play_costs(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "play",
            "hosts",
            "most round trips",
            "requests",
            "KiB up",
            "KiB down",
            "slowest s",
        ]);
        for index in 1..7 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for cost in &self.plays {
            table.add_row([
                quote::for_terminal(&cost.play),
                cost.hosts.to_string(),
                cost.round_trips.to_string(),
                cost.statistics.requests.to_string(),
                cost.statistics.bytes_up.div_ceil(1024).to_string(),
                cost.statistics.bytes_down.div_ceil(1024).to_string(),
                format!("{:.2}", cost.seconds),
            ]);
        }
        table.trim_fmt()
    }

    fn costs(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "host",
            "round trips",
            "requests",
            "KiB up",
            "KiB down",
            "processes",
            "connect s",
            "waited s",
            "total s",
        ]);
        for index in 1..9 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (host, counts) in &self.hosts {
            let Some(cost) = counts.cost else { continue };
            let statistics = cost.statistics;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
            let waited = statistics.waited_ms as f64 / 1000.0;
            table.add_row([
                host.clone(),
                statistics.round_trips.to_string(),
                statistics.requests.to_string(),
                statistics.bytes_up.div_ceil(1024).to_string(),
                statistics.bytes_down.div_ceil(1024).to_string(),
                cost.processes.to_string(),
                format!("{:.2}", cost.connect_seconds),
                format!("{waited:.2}"),
                format!("{:.2}", cost.seconds),
            ]);
        }
        table.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Diagnostic;
    use crate::base::span::{SourceFile, Span};
    use std::sync::Arc;

    fn end(host: &str, task: &str, status: Status) -> TaskEnd {
        let file = Arc::new(SourceFile {
            path: "site.yml".to_owned(),
            text: String::new(),
        });
        let failed = status == Status::Failed;
        TaskEnd {
            host: host.to_owned(),
            play: "Play".to_owned(),
            task: task.to_owned(),
            span: Span {
                file,
                line: 7,
                column: 5,
            },
            item: None,
            status,
            diffs: Vec::new(),
            result: serde_json::Value::Null,
            error: failed.then(|| Diagnostic::new("it does not start\nand more")),
            handler: false,
            message: None,
            milliseconds: 0,
        }
    }

    #[test]
    fn a_failure_that_others_scrolled_away_is_told_again() {
        let mut summary = Summary {
            options: Options::default(),
            hosts: BTreeMap::new(),
            tasks: vec![
                end("db1", "Run it", Status::Failed),
                end("db2", "Run it", Status::Changed),
                end("db3", "Run it", Status::Failed),
            ],
            plays: Vec::new(),
            seconds: 0.0,
        };
        assert_eq!(
            summary.failures_out_of_sight(),
            ["failed: db1: Run it at site.yml:7:5: it does not start"]
        );
        summary.tasks.remove(1);
        assert!(summary.failures_out_of_sight().is_empty());
    }
}
