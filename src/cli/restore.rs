//! `hactl restore`: the databases as they were at a time, in a new directory beside the running cluster.

use super::{Global, Outcome, backup, deploy, fleet};
use crate::base::{Diagnostic, exit};
use crate::ops::backup::make;
use crate::ops::backup::restore::{self, RestoreOptions};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::operation::journal::{Header, Notes};
use crate::report::{self, backup as reporter, operation};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("point").required(true))]
pub struct Args {
    /// As it was then: '2026-01-31 13:45:00' (UTC) or '2026-01-31 13:45:00+01:00'
    #[arg(long, value_name = "TIMESTAMP", group = "point")]
    pub to_time: Option<String>,
    /// As it is now, as far as the log has arrived in the repository
    #[arg(long, group = "point")]
    pub to_latest: bool,
    /// The database host on whose disk
    #[arg(long, value_name = "HOST")]
    pub target: String,
    /// A new directory there [default: restored-TIME in the home of the user postgres]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<String>,
    /// Look, judge and say what would be done; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    let time = args
        .to_time
        .as_deref()
        .map(restore::time)
        .transpose()
        .map_err(one)?;
    let (site, repository) = backup::site(global, &args.reach)?;
    let options = RestoreOptions {
        time,
        target: args.target,
        directory: args.directory,
        scratch: false,
    };
    let runtime = deploy::runtime().map_err(one)?;
    runtime.block_on(async {
        let mut pool =
            ConnectionPool::open(backup::targets(&site, &repository), args.reach.forks).await;
        let assessed = restore::assess(&site, &repository, &mut pool, &options)
            .await
            .map_err(one)?;
        if args.dry_run {
            let failed = assessed.conditions.failed().len();
            if global.json {
                let mut document = reporter::restored_json(&options.target, &assessed, None);
                document["dry_run"] = true.into();
                document["possible"] = (failed == 0).into();
                report::json::document("restore", &document);
            } else {
                report::out(&operation::conditions(&assessed.conditions));
                report::out(&reporter::plan(&options.target, &assessed));
            }
            return Ok(if failed == 0 {
                exit::DONE
            } else {
                exit::REFUSED
            });
        }
        assessed.conditions.demand()?;
        if let Some(warning) = restore::archive_now(&site, &mut pool).await {
            report::say(&warning);
        }
        report::say(&format!(
            "{}: restoring into {}",
            options.target, assessed.plan.directory
        ));
        let header = Header::new("restore", &deploy::operator("restore"), &args.reason);
        let details = Notes::from([
            ("target".to_owned(), options.target.clone()),
            ("directory".to_owned(), assessed.plan.directory.clone()),
            (
                "backup".to_owned(),
                assessed.plan.set.clone().unwrap_or_default(),
            ),
            (
                "time".to_owned(),
                assessed.plan.target.clone().unwrap_or_default(),
            ),
        ]);
        let result = restore::carry_out(
            &site,
            &repository,
            &mut pool,
            &options.target,
            &assessed.plan,
        )
        .await;
        let (word, message) = match &result {
            Ok(restored) => (
                "done",
                format!("{} rows in {}", restored.rows(), assessed.plan.directory),
            ),
            Err(error) => ("failed", error.message.clone()),
        };
        make::record(&site, &mut pool, header, word, &message, details).await;
        let restored = result.map_err(one)?;
        if global.json {
            let mut document = reporter::restored_json(&options.target, &assessed, Some(&restored));
            document["dry_run"] = false.into();
            report::json::document("restore", &document);
        } else {
            report::out(&reporter::restored(&options.target, &assessed, &restored));
            report::out(&format!(
                "\n{}",
                reporter::next_steps(&options.target, &assessed)
            ));
        }
        Ok(exit::DONE)
    })
}
