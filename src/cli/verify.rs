//! `hactl verify`: whether the service is healthy, as its own hosts see it.

use super::{Global, Outcome, deploy, fleet, stop};
use crate::base::Diagnostic;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::verify::{self, Findings, Status, VerifyOptions};
use crate::report::{self, verify as reporter};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this check, or all of this component (`haproxy`, `postgresql.slots`); may be given more than once
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Warnings count as faults
    #[arg(long)]
    pub strict: bool,
    /// Look again until everything holds, for so many seconds at most (after a deploy, a restart, a failover)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// List the checks; look at nothing
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    let options = VerifyOptions {
        only: args.only,
        wait: Duration::from_secs(args.wait),
    };
    options.known().map_err(one)?;
    if args.list {
        report::out(&list(&options));
        return Ok(crate::base::exit::DONE);
    }
    if global.limit.is_some() {
        return Err(vec![
            Diagnostic::new(
                "`verify` covers the whole service, and --limit would hide parts of it",
            )
            .help("use --only with a check or a component"),
        ]);
    }
    let site = fleet::site(global, &args.reach, "all", &verify::variables())?;
    let show = reporter::Options {
        strict: args.strict,
        verbose: global.verbose > 0,
    };
    let runtime = deploy::runtime().map_err(one)?;
    let outcome = runtime.block_on(async {
        let stop = stop::flag("ending; what was written for the trial is being deleted");
        let mut pool = ConnectionPool::open(site.targets(), args.reach.forks).await;
        verify::run(&site, &mut pool, &options, &stop, &tell).await
    });
    if let Some(path) = &args.junit {
        reporter::write_junit(path, &outcome, show).map_err(one)?;
    }
    report::out(&if global.json {
        reporter::json(&outcome, show)
    } else {
        reporter::text(&outcome, show)
    });
    Ok(outcome.exit_code(args.strict))
}

/// Says what is still being waited for.
fn tell(findings: &Findings) {
    let mut ids: Vec<&str> = findings
        .all()
        .iter()
        .filter(|finding| matches!(finding.status, Status::Fail | Status::Unknown))
        .map(|finding| finding.check.id)
        .collect();
    ids.dedup();
    let shown = ids.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = if ids.len() > 3 { ", …" } else { "" };
    report::say(&format!(
        "waiting: {} checks do not hold yet ({shown}{more})",
        ids.len()
    ));
}

fn list(options: &VerifyOptions) -> String {
    let mut text = String::new();
    for check in verify::COMPONENTS
        .iter()
        .flat_map(|component| component.checks())
    {
        if options.wants(check) {
            let severity = match check.severity {
                verify::Severity::Fail => "fault",
                verify::Severity::Warn => "warning",
            };
            let _ = writeln!(text, "{:<36} {severity:<8} {}", check.id, check.what);
        }
    }
    text
}
