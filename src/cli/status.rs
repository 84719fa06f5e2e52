//! `hactl status`: one screen that tells the truth about the service.

use super::stop::Signals;
use super::{Global, Outcome, deploy, fleet};
use crate::base::{Diagnostic, exit};
use crate::ops::status::{self, Lines};
use crate::report::{self, status as reporter};
use console::Term;
use std::time::{Duration, Instant};

/// How long the connections may take to end.
const CLOSE: Duration = Duration::from_secs(2);

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 healthy; 6 degraded, down or split brain; 5 hosts could not be asked, and nothing worse is known; \
    1 usage or configuration. With --watch: that of the last look."
)]
pub struct Args {
    /// Look again every so many seconds until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    if global.limit.is_some() {
        return Err(one(Diagnostic::new(
            "`status` covers the whole service, and --limit would hide parts of it",
        )));
    }
    let site = fleet::site(global, &args.reach, "all", &status::variables())?;
    let runtime = deploy::runtime().map_err(one)?;
    let code = runtime.block_on(async {
        // One listener for all looks: none of its signals is missed between two of them.
        let mut ended = Signals::listen()?;
        let mut lines = Lines::new(site.targets(), args.reach.forks);
        let mut screen = Screen::new(global.json, args.watch.is_some());
        let code = loop {
            let began = Instant::now();
            let report = tokio::select! {
                snapshot = status::observe(&site, &mut lines) => snapshot.report(),
                () = ended.next() => break Ok(screen.code),
            };
            screen.show(&report, began.elapsed());
            let Some(seconds) = args.watch else {
                break Ok(screen.code);
            };
            let rest = Duration::from_secs(seconds).saturating_sub(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = ended.next() => break Ok(screen.code),
            }
        };
        // Ending ssh's masters can take long when a host is busy; whoever typed Ctrl-C does not wait for that.
        let closed = tokio::task::spawn_blocking(move || drop(lines));
        let _ = tokio::time::timeout(CLOSE, closed).await;
        code
    });
    // An attempt to reach a dead host must not be waited for.
    runtime.shutdown_background();
    code.map_err(one)
}

/// Where the looks are shown.
struct Screen {
    json: bool,
    /// Redrawn in place.
    term: Option<Term>,
    blocks: usize,
    code: u8,
}

impl Screen {
    fn new(json: bool, watch: bool) -> Self {
        let term = Term::stdout();
        Self {
            json,
            term: (watch && !json && term.is_term()).then_some(term),
            blocks: 0,
            // Nothing was seen yet.
            code: exit::UNREACHABLE,
        }
    }

    fn show(&mut self, report: &status::StatusReport, took: Duration) {
        self.code = report.exit_code();
        self.blocks += 1;
        if let (Some(term), 1) = (&self.term, self.blocks) {
            let _ = term.clear_screen();
        }
        if self.json {
            return report::json::document("status", &reporter::json(report, took));
        }
        let text = reporter::text(report, took, reporter::width());
        match &self.term {
            Some(term) => {
                // The verdict stays on the screen, whatever does not fit below it.
                let rows = usize::from(term.size().0).max(4) - 1;
                let fitting: Vec<&str> = text.lines().take(rows).collect();
                let _ = term.hide_cursor();
                // Written over what is there, so that nothing flickers.
                let _ = term.move_cursor_to(0, 0);
                report::out(&(fitting.join("\x1b[K\n") + "\x1b[K\n"));
                let _ = term.clear_to_end_of_screen();
                let _ = term.show_cursor();
            }
            None => {
                if self.blocks > 1 {
                    report::out("\n");
                }
                report::out(&text);
            }
        }
    }
}
