//! `hactl backup`: makes backups, lists them, proves that they can be restored.

use super::{Global, Outcome, deploy, fleet};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::ops::backup::{self, Info, Repository, make, prove};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql;
use crate::ops::hosts::Site;
use crate::ops::operation::journal::{Header, Notes};
use crate::report::{self, backup as reporter};
use clap::Subcommand;
use serde_json::json;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make one now, of whichever host is the primary
    Now {
        /// A whole one, not only what has changed since the last
        #[arg(long)]
        full: bool,
        /// Why, for the history
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        reach: fleet::ConnectArgs,
    },
    /// What there is, and what can be restored
    List {
        #[command(flatten)]
        reach: fleet::ConnectArgs,
    },
    /// Read every file of the repository, restore the newest backup beside the running cluster, read all of it, remove it
    Verify {
        /// The database host on which the restore is tried [default: a replica]
        #[arg(long, value_name = "HOST")]
        on: Option<String>,
        #[command(flatten)]
        reach: fleet::ConnectArgs,
    },
}

/// The hosts, and the one that keeps the backups.
///
/// # Errors
/// Configuration errors; an inventory without a repository.
pub fn site(
    global: &Global,
    reach: &fleet::ConnectArgs,
) -> Result<(Site, Repository), Vec<Diagnostic>> {
    if global.limit.is_some() {
        return Err(vec![Diagnostic::new(
            "this command covers the whole service, and --limit would hide parts of it",
        )]);
    }
    let names: Vec<&str> = postgresql::VARIABLES
        .iter()
        .chain(backup::VARIABLES)
        .copied()
        .collect();
    let site = fleet::site(global, reach, "all", &names)?;
    let repository = Repository::demand(&site).map_err(|error| vec![error])?;
    Ok((site, repository))
}

/// How the repository and the databases are entered; the others have no part in it.
pub fn targets(site: &Site, repository: &Repository) -> Vec<Target> {
    site.hosts
        .iter()
        .filter(|host| {
            host.name == repository.host || site.members("postgresql").contains(&host.name)
        })
        .map(|host| host.target.clone())
        .collect()
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    let reach = match &args.command {
        Command::Now { reach, .. } | Command::List { reach } | Command::Verify { reach, .. } => {
            reach.clone()
        }
    };
    let (site, repository) = site(global, &reach)?;
    let runtime = deploy::runtime().map_err(one)?;
    runtime.block_on(async {
        let targets = match &args.command {
            Command::List { .. } => targets(&site, &repository)
                .into_iter()
                .filter(|target| target.host == repository.host)
                .collect(),
            _ => targets(&site, &repository),
        };
        let mut pool = ConnectionPool::open(targets, reach.forks).await;
        match args.command {
            Command::Now { full, reason, .. } => {
                now(global, &site, &repository, &mut pool, full, &reason).await
            }
            Command::List { .. } => {
                let info = make::info(&site, &repository, &mut pool)
                    .await
                    .map_err(one)?;
                show(global, &repository, &info);
                Ok(exit::DONE)
            }
            Command::Verify { on, .. } => {
                verify(global, &site, &repository, &mut pool, on.as_deref()).await
            }
        }
    })
}

fn show(global: &Global, repository: &Repository, info: &Info) {
    if global.json {
        report::json::document("backup", &reporter::list_json(repository, info));
    } else {
        report::out(&reporter::list(repository, info));
    }
}

async fn now(
    global: &Global,
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    full: bool,
    reason: &str,
) -> Outcome {
    let header = Header::new("backup", &deploy::operator("backup now"), reason);
    report::say(&format!(
        "{}: making {} backup; it goes on there if this is ended",
        repository.host,
        if full { "a full" } else { "an incremental" }
    ));
    match make::run(site, repository, pool, full).await {
        Ok(made) => {
            for warning in &made.warnings {
                report::say(&format!("{}: {warning}", repository.host));
            }
            let label = made
                .info
                .last()
                .map(|backup| backup.label.clone())
                .unwrap_or_default();
            let details = Notes::from([("backup".to_owned(), label.clone())]);
            make::record(
                site,
                pool,
                header,
                "done",
                &format!("{label} on {}", repository.host),
                details,
            )
            .await;
            show(global, repository, &made.info);
            Ok(exit::DONE)
        }
        Err(error) => {
            make::record(site, pool, header, "failed", &error.message, Notes::new()).await;
            Err(vec![error])
        }
    }
}

async fn verify(
    global: &Global,
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    on: Option<&str>,
) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    let header = Header::new("backup", &deploy::operator("backup verify"), "restore test");
    report::say(&format!(
        "{}: reading every file of the repository",
        repository.host
    ));
    if let Err(error) = prove::files(site, repository, pool).await {
        make::record(site, pool, header, "failed", &error.message, Notes::new()).await;
        return Err(vec![error]);
    }
    let target = prove::choose(site, pool, on).await.map_err(one)?;
    let assessed = prove::assess(site, repository, pool, &target)
        .await
        .map_err(one)?;
    assessed.conditions.demand()?;
    report::say(&format!(
        "{target}: restoring into {}, to be removed afterwards",
        assessed.plan.directory
    ));
    match prove::restored(site, repository, pool, &target, &assessed).await {
        Ok(restored) => {
            let set = assessed.plan.set.clone().unwrap_or_default();
            let details = Notes::from([
                ("backup".to_owned(), set.clone()),
                ("target".to_owned(), target.clone()),
                ("rows".to_owned(), restored.rows().to_string()),
            ]);
            make::record(
                site,
                pool,
                header,
                "done",
                &format!("{set} can be restored"),
                details,
            )
            .await;
            if global.json {
                let mut document = reporter::restored_json(&target, &assessed, Some(&restored));
                document["good"] = json!(true);
                report::json::document("restore", &document);
            } else {
                report::out(&reporter::restored(&target, &assessed, &restored));
                report::out(
                    "the repository is whole, and what is in it can be restored; the trial was removed\n",
                );
            }
            Ok(exit::DONE)
        }
        Err(error) => {
            make::record(site, pool, header, "failed", &error.message, Notes::new()).await;
            Err(vec![error])
        }
    }
}
