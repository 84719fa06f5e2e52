//! `hactl switchover`: the primary hands over to a replica in order, and nothing is lost.

use super::operation::{self, Common, Planned};
use super::{Global, Outcome, deploy};
use crate::ops::cluster::Cluster;
use crate::ops::cluster::switchover::{self, Wishes, trial};
use crate::ops::crew::Crew;

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
        let (crew, mut clients) = tokio::join!(
            operation::enter(databases, &args.common, "switchover"),
            Crew::open(clients.collect(), args.common.reach.forks)
        );
        let mut crew = crew?;
        let cluster = Cluster::look(&site, &mut crew).await;
        if !args.common.dry_run {
            operation::settle(global, &mut crew, &cluster).await;
        }
        let wishes = Wishes {
            to: args.to,
            max_lag: args.max_lag,
            max_transaction: 60,
            long_transactions_ok: args.long_transactions_ok,
            gap: args.max_write_gap * u64::from(site.patience()),
            unreached_clients_ok: args.unreached_clients_ok,
        };
        let (cast, mut conditions) = switchover::assess(&site, &cluster, &wishes)?;
        if conditions.failed().is_empty() {
            let dry = args.common.dry_run;
            let tried = trial::run(&site, &cast, &mut crew, &mut clients, &wishes, dry).await;
            trial::judge(&mut conditions, &cast, &wishes, &tried);
        }
        let steps = switchover::steps(&cast, wishes.gap);
        if args.common.dry_run {
            return operation::dry_run(global, "switchover", &conditions, &steps);
        }
        let keepers = operation::keepers(&site, &crew);
        let mut details = cast.details();
        details.insert(switchover::GAP_DETAIL.to_owned(), wishes.gap.to_string());
        let header = operation::header(&args.common, "switchover", &cluster, &keepers, details);
        let arbiters = vec![cast.old.host, cast.new.host];
        operation::carry_out(
            global,
            &site,
            &mut crew,
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
