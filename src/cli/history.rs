//! `hactl history`: what was done to the service, by whom, from where and why.

use super::{Global, Outcome, deploy, fleet, operation_context};
use crate::base::exit;
use crate::ops::history;
use crate::report;

/// So many are shown when nothing is said about it.
const USUAL: usize = 20;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`--limit N` shows the last N (0: all, otherwise 20); unfinished ones are always shown. -v shows every step."
)]
pub struct Args {
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    // A number limits what is shown, anything else the hosts, as everywhere.
    let count = global.limit.as_ref().and_then(|limit| limit.parse().ok());
    let global = &Global {
        limit: global.limit.clone().filter(|_| count.is_none()),
        ..global.clone()
    };
    let site = fleet::site(global, &args.reach, "all", &[])?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    let found = runtime.block_on(async {
        let mut pool = operation_context::open(&site, &args.reach, None).await?;
        Ok::<_, Vec<_>>(history::read(&site, &mut pool).await)
    })?;
    let open = found
        .entries
        .iter()
        .take_while(|entry| entry.is_unfinished())
        .count();
    let shown = match count.unwrap_or(USUAL) {
        0 => found.entries.as_slice(),
        limit => found
            .entries
            .get(..limit.max(open))
            .unwrap_or(&found.entries),
    };
    if global.json {
        report::json::document("history", &report::history::json(&found, shown));
    } else {
        report::out(&report::history::text(shown, global.verbose > 0));
        if shown.len() < found.entries.len() {
            report::say(&format!(
                "{} older ones are not shown",
                found.entries.len() - shown.len()
            ));
        }
    }
    report::diagnostics(&found.garbled);
    report::diagnostics(&found.lost);
    Ok(if found.lost.is_empty() {
        exit::DONE
    } else {
        exit::UNREACHABLE
    })
}
