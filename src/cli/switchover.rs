//! `hactl switchover`: the primary hands over to a replica in order, and nothing is lost.

use super::operation::{self, Common, Planned};
use super::{Global, Outcome, deploy};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::Cluster;
use crate::ops::database::postgresql::switchover::{self, SwitchoverOptions, trial};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The replica that is to be the primary [default: the one that has most of the log]
    #[arg(long, value_name = "HOST")]
    pub to: Option<String>,
    /// Bytes that it may be behind when this begins
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub max_lag: u64,
    /// Cut off transactions of clients that run longer than a minute
    #[arg(long)]
    pub long_transactions_ok: bool,
    /// Seconds that writes may wait from the stop to the promotion; then it is taken back (times hactl_patience)
    #[arg(long, value_name = "SECONDS", default_value_t = switchover::GAP, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub max_write_gap: u64,
    /// Go on although an application server does not reach the replica, or cannot be asked
    #[arg(long)]
    pub unreached_clients_ok: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let databases = operation::databases(&site);
        // The candidate is not known yet. Nothing is done on clients, so that their locks are not wanted.
        let clients = site
            .targets()
            .into_iter()
            .filter(|target| trial::clients(&site, "").any(|client| client == target.host));
        let (pool, mut clients) = tokio::join!(
            operation::enter(databases, &args.common, "switchover"),
            ConnectionPool::open(clients.collect(), args.common.reach.forks)
        );
        let mut pool = pool?;
        let cluster = Cluster::look(&site, &mut pool).await;
        if !args.common.dry_run {
            operation::settle(global, &mut pool, &cluster).await;
        }
        let options = SwitchoverOptions {
            to: args.to,
            max_lag: args.max_lag,
            max_transaction: 60,
            long_transactions_ok: args.long_transactions_ok,
            gap: args.max_write_gap * u64::from(site.patience()),
            unreached_clients_ok: args.unreached_clients_ok,
        };
        let (assignment, mut conditions) = switchover::assess(&site, &cluster, &options)?;
        if conditions.failed().is_empty() {
            let dry = args.common.dry_run;
            let tried =
                trial::run(&site, &assignment, &mut pool, &mut clients, &options, dry).await;
            trial::judge(&mut conditions, &assignment, &options, &tried);
        }
        let steps = switchover::steps(&assignment, options.gap);
        if args.common.dry_run {
            return operation::dry_run(global, "switchover", &conditions, &steps);
        }
        let keepers = operation::keepers(&site, &pool);
        let mut details = assignment.details();
        details.insert(switchover::GAP_DETAIL.to_owned(), options.gap.to_string());
        let header = operation::header(&args.common, "switchover", &cluster, &keepers, details);
        let arbiters = vec![assignment.old.host, assignment.new.host];
        operation::carry_out(
            global,
            &site,
            &mut pool,
            Planned {
                header,
                conditions,
                steps,
                arbiters,
            },
        )
        .await
    })
}
