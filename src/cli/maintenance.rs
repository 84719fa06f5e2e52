//! `hactl maintenance`: takes hosts out of service and puts them back, or marks the whole service.

use super::operation_context::{self, Common};
use super::{Global, Outcome, deploy, fleet, project};
use crate::base::{Diagnostic, exit};
use crate::ops::entrance::maintenance::{
    self, Done, KIND, MaintenanceOptions, MaintenanceSnapshot,
};
use crate::ops::hosts::Site;
use crate::ops::operation::context::{Log, OperationContext};
use crate::ops::operation::journal::Header;
use crate::report;
use std::time::Duration;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take hosts out of service safely; without a host: nobody shall switch over, fail over or drill
    On(On),
    /// Put hosts back, as they were before `on`; without a host: the service may be changed again
    Off(Off),
    /// Who took what out of service, since when, and why
    Status {
        #[command(flatten)]
        reach: fleet::ConnectArgs,
    },
}

#[derive(Debug, clap::Args)]
struct On {
    /// The hosts, or patterns of them; the whole service when absent
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Why: whoever comes next reads it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Also when nobody is left to serve: the service is down then
    #[arg(long)]
    last_one: bool,
    /// So many seconds sessions may take to end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// End sessions that are left then, instead of giving up
    #[arg(long)]
    cut: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Off {
    /// The hosts, or patterns of them; the whole service when absent
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// So many seconds a host may take to be healthy and up again
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    if global.limit.is_some() {
        return Err(vec![
            Diagnostic::new("who is left to serve is not known when --limit hides hosts")
                .help("name the hosts behind `on` or `off`"),
        ]);
    }
    match args.command {
        Command::Status { reach } => status(global, &reach),
        Command::On(on) => {
            let options = MaintenanceOptions {
                hosts: named(global, &on.hosts)?,
                reason: on.reason,
                last_one: on.last_one,
                limit: Duration::from_secs(on.wait),
                cut: on.cut,
                who: operation_context::who(),
            };
            turn(global, &on.common, &options, true)
        }
        Command::Off(off) => {
            let options = MaintenanceOptions {
                hosts: named(global, &off.hosts)?,
                reason: String::new(),
                last_one: false,
                limit: Duration::from_secs(off.wait),
                cut: false,
                who: operation_context::who(),
            };
            turn(global, &off.common, &options, false)
        }
    }
}

/// The hosts of patterns, each once.
fn named(global: &Global, patterns: &[String]) -> Result<Vec<String>, Vec<Diagnostic>> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let opened = project::open(global)?;
    let mut hosts = Vec::new();
    for pattern in patterns {
        let found = opened
            .inventory
            .select_limited(pattern, None)
            .map_err(|error| vec![error])?;
        if found.is_empty() {
            return Err(vec![
                Diagnostic::new(format!("no host is `{pattern}`")).help("hactl inventory graph"),
            ]);
        }
        hosts.extend(found);
    }
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    Ok(hosts)
}

fn site(global: &Global, reach: &fleet::ConnectArgs) -> Result<Site, Vec<Diagnostic>> {
    fleet::site(global, reach, "all", &maintenance::variables())
}

fn status(global: &Global, reach: &fleet::ConnectArgs) -> Outcome {
    let site = site(global, reach)?;
    let snapshot = operation_context::glance(&site, reach, async |pool| {
        maintenance::snapshot(&site, pool).await
    })?;
    report::out(&if global.json {
        report::maintenance::json(&snapshot)
    } else {
        report::maintenance::text(&snapshot)
    });
    Ok(if snapshot.lost.is_empty() {
        exit::DONE
    } else {
        exit::UNREACHABLE
    })
}

fn turn(global: &Global, common: &Common, options: &MaintenanceOptions, on: bool) -> Outcome {
    let site = site(global, &common.reach)?;
    let word = if on { "on" } else { "off" };
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let command = format!("maintenance {word}");
        let lock = Some((command.as_str(), common.break_lock));
        let mut pool = operation_context::open(&site, &common.reach, lock).await?;
        let stop = operation_context::stop();
        let snapshot = maintenance::snapshot(&site, &mut pool).await;
        let mut log = Log::new(Header::new(
            KIND,
            &deploy::operator(&command),
            &options.reason,
        ));
        log.detail("turn", word);
        log.detail(
            "of",
            &if options.hosts.is_empty() {
                "the service".to_owned()
            } else {
                options.hosts.join(", ")
            },
        );
        let mut context = OperationContext {
            pool: &mut pool,
            stop: &stop,
            say: &report::say,
            log,
        };
        let result = match (options.hosts.is_empty(), on) {
            (true, _) => maintenance::service(&snapshot, options, on, &mut context).await,
            (false, true) => maintenance::on(&snapshot, options, &mut context).await,
            (false, false) => maintenance::off(&snapshot, options, &mut context).await,
        };
        keep(&snapshot, options, on, &result, &mut context).await;
        let done = result?;
        report::out(&if global.json {
            report::maintenance::done_json(on, &done)
        } else {
            report::maintenance::done(on, options.hosts.is_empty(), &done)
        });
        Ok(exit::DONE)
    })
}

/// Writes the history on the hosts concerned and on the load balancers; not when nothing was changed.
async fn keep(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    on: bool,
    result: &Result<Done, Vec<Diagnostic>>,
    context: &mut OperationContext<'_>,
) {
    let (word, message) = match result {
        Ok(done) if done.changed.is_empty() => return,
        Ok(done) => (
            "done",
            report::maintenance::done(on, options.hosts.is_empty(), done),
        ),
        Err(errors)
            if errors
                .iter()
                .all(|e| matches!(e.code, exit::REFUSED | exit::UNREACHABLE)) =>
        {
            return;
        }
        Err(errors) => {
            let undone = errors.iter().all(|error| error.code == exit::FAILED);
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            (
                if undone { "undone" } else { "incomplete" },
                said.join("; "),
            )
        }
    };
    let hosts: Vec<&str> = snapshot
        .notes
        .of
        .keys()
        .map(String::as_str)
        .filter(|host| {
            options.hosts.is_empty()
                || options.hosts.iter().any(|one| one == host)
                || snapshot.proxies.contains_key(*host)
        })
        .collect();
    context.close(hosts, word, message.trim_end()).await;
}
