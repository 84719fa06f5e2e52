//! Shows a run: what changed, by host, with differences; what did not change is a count.

use crate::base::{mask, quote};
use crate::engine::{Ending, Event, Status, TaskEnd};
use crate::report::{diagnostics, diff, json, junit, say};
use comfy_table::{CellAlignment, Table, presets};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// What to show.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Options {
    /// Nothing is applied.
    pub check: bool,
    /// Differences of files.
    pub diff: bool,
    /// Also what did not change.
    pub all: bool,
    /// How much to say.
    pub verbose: u8,
    /// What it cost.
    pub stats: bool,
    /// One JSON document on stdout.
    pub json: bool,
    /// A JUnit file.
    pub junit: Option<PathBuf>,
    /// A terminal watches: progress lines.
    pub live: bool,
    /// Everybody who takes part.
    pub hosts: Vec<String>,
}

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
    pub statistics: crate::connection::Statistics,
    /// Processes started on the host meanwhile.
    pub processes: u64,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of these for connecting.
    pub connect_seconds: f64,
}

/// Listens to a run and shows it.
pub struct Reporter {
    options: Options,
    started: Instant,
    bars: BTreeMap<String, ProgressBar>,
    all_bars: MultiProgress,
    summary: Summary,
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
    pub statistics: crate::connection::Statistics,
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

impl Reporter {
    /// Ready to listen.
    pub fn new(options: Options) -> Self {
        let all_bars = MultiProgress::new();
        let mut bars = BTreeMap::new();
        if options.live {
            let line = ProgressStyle::with_template("{spinner} {prefix:>10}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            for host in &options.hosts {
                let bar = all_bars
                    .add(ProgressBar::new_spinner())
                    .with_style(line.clone())
                    .with_prefix(host.clone());
                bar.set_message("connecting");
                bar.enable_steady_tick(Duration::from_millis(120));
                bars.insert(host.clone(), bar);
            }
        }
        let hosts = options
            .hosts
            .iter()
            .map(|host| (host.clone(), Counts::default()))
            .collect();
        let summary = Summary {
            options: options.clone(),
            hosts,
            tasks: Vec::new(),
            plays: Vec::new(),
            seconds: 0.0,
        };
        Self {
            options,
            started: Instant::now(),
            bars,
            all_bars,
            summary,
        }
    }

    /// Shows events until the run is over.
    pub async fn listen(mut self, mut events: UnboundedReceiver<Event>) -> Summary {
        while let Some(event) = events.recv().await {
            self.show(event);
        }
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        let _ = self.all_bars.clear();
        self.summary.seconds = self.started.elapsed().as_secs_f64();
        self.summary
    }

    fn line(&self, text: &str) {
        if self.options.json {
            return;
        }
        if self.options.live {
            self.all_bars.suspend(|| say_styled(text));
        } else {
            say_styled(text);
        }
    }

    fn progress(&self, host: &str, text: &str) {
        if let Some(bar) = self.bars.get(host) {
            bar.set_message(quote::for_terminal(&mask::mask(text)));
        }
    }

    fn show(&mut self, event: Event) {
        match event {
            Event::PlayBegin { host, play } => self.progress(&host, &play),
            Event::PlayEnd {
                play,
                statistics,
                seconds,
                ..
            } => self.summary.play_ended(&play, statistics, seconds),
            Event::Connected { host, seconds } => {
                if self.options.verbose > 0 {
                    self.line(&format!("{host}: connected in {seconds:.2} s"));
                }
            }
            Event::Working { host, task } => self.progress(&host, &task),
            Event::Retry { host, task, left } => {
                self.progress(&host, &format!("{task} (not yet; {left} tries left)"))
            }
            Event::Owed { host, handlers } => {
                self.line(&format!(
                    "{host}: an earlier run was interrupted; it still owes: {}",
                    handlers.join(", ")
                ));
            }
            Event::Note { host, text } => self.line(&format!(
                "{}{text}",
                host.map(|host| format!("{host}: ")).unwrap_or_default()
            )),
            Event::HostLost { host, error } => {
                self.line(diagnostics::draw(&error).trim_end());
                let counts = self.summary.hosts.entry(host).or_default();
                counts.lost = Some(error.message);
            }
            Event::HostEnd {
                host,
                statistics,
                processes,
                seconds,
                connect_seconds,
            } => {
                if let Some(bar) = self.bars.get(&host) {
                    bar.finish_and_clear();
                }
                self.summary.hosts.entry(host).or_default().cost = Some(Cost {
                    statistics,
                    processes,
                    seconds,
                    connect_seconds,
                });
            }
            Event::File { .. } => {}
            Event::Task(end) => self.task(*end),
        }
    }

    fn task(&mut self, end: TaskEnd) {
        let counts = self.summary.hosts.entry(end.host.clone()).or_default();
        *counts.by.entry(word(end.status)).or_default() += 1;
        let quiet = matches!(end.status, Status::Ok | Status::Skipped) && end.message.is_none();
        if !quiet || self.options.all {
            let text = draw(&end, &self.options);
            self.line(&text);
        } else {
            self.progress(&end.host, &end.task);
        }
        if !quiet || self.options.json || self.options.junit.is_some() {
            self.summary.tasks.push(end);
        }
    }
}

/// The word for a status, the same for people and machines.
pub fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Ignored => "ignored",
        Status::Rescued => "rescued",
        Status::Unknown => "unknown",
    }
}

fn draw(end: &TaskEnd, options: &Options) -> String {
    let label = end
        .item
        .as_ref()
        .map(|item| format!(" ({item})"))
        .unwrap_or_default();
    let handler = if end.handler { "handler: " } else { "" };
    let head = quote::for_terminal(&format!("{}: {handler}{}{label}", end.host, end.task));
    let (mark, shown) = match end.status {
        Status::Changed if options.check => ("~", style("would change").yellow()),
        Status::Changed => ("~", style("changed").yellow()),
        Status::Failed => ("✖", style("failed").red().bold()),
        Status::Ignored => ("!", style("failed, ignored").magenta()),
        Status::Rescued => ("!", style("failed, rescued").magenta()),
        Status::Unknown => ("?", style("known after apply").cyan()),
        Status::Ok => ("=", style("ok").green()),
        Status::Skipped => ("-", style("skipped").dim()),
    };
    let mut text = format!("{mark} {head}  {}", shown.for_stderr());
    if end.milliseconds >= 1000 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one task")]
        let seconds = end.milliseconds as f64 / 1000.0;
        text.push_str(
            &style(format!("  {seconds:.1} s"))
                .dim()
                .for_stderr()
                .to_string(),
        );
    }
    if let Some(message) = &end.message {
        for line in message.lines() {
            text.push_str("\n    ");
            text.push_str(&quote::for_terminal(line));
        }
    }
    text.push_str(&diff::draw(&end.diffs, options.diff));
    if let Some(error) = &end.error {
        let error = crate::base::Diagnostic {
            host: None,
            ..error.clone()
        };
        match end.status {
            Status::Unknown => {
                text.push_str(
                    &style(format!("  ({})", error.message))
                        .dim()
                        .for_stderr()
                        .to_string(),
                );
            }
            _ => {
                for line in diagnostics::draw(&error).trim_end().lines() {
                    text.push_str("\n    ");
                    text.push_str(line);
                }
            }
        }
    }
    text
}

/// A line that may hold hactl's own colours; its parts are already safe for the terminal.
fn say_styled(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", mask::mask(text));
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
            0 => format!("{all} hosts"),
            lost => format!("{} of {all} hosts", all.saturating_sub(lost)),
        };
        say_styled(&format!(
            "{} {changed_word}{unknown}{failed} on {hosts} in {:.1} s",
            total("changed"),
            self.seconds
        ));
        if !ending.refused.is_empty() {
            say(&format!(
                "refused: nothing was changed anywhere, because of {}",
                ending.refused.join(", ")
            ));
        }
    }

    fn play_ended(&mut self, play: &str, statistics: crate::connection::Statistics, seconds: f64) {
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
