//! Shows a run: what changed, by host, with differences; what did not change is a count.
//!
//! It only listens: nothing that it does holds the run up or changes it.

mod summary;

pub use summary::{Cost, Counts, PlayCost, Summary};

use crate::base::value::UNKNOWN;
use crate::base::{mask, quote};
use crate::engine::{Event, Status, TaskEnd};
use crate::report::{diagnostics, diff};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// What to show.
#[derive(Default, Debug, Clone)]
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

/// Listens to a run and shows it.
pub struct Reporter {
    options: Options,
    started: Instant,
    bars: BTreeMap<String, ProgressBar>,
    all_bars: MultiProgress,
    summary: Summary,
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
    text.replace(&quote::for_terminal(UNKNOWN), "(known after apply)")
}

/// A line that may hold hactl's own colours; its parts are already safe for the terminal.
fn say_styled(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", mask::mask(text));
}
