//! `hactl switchover`: the primary hands over to a replica in order, and nothing is lost.

use super::operation::{self, Common, Planned};
use super::{Global, Outcome, deploy};
use crate::ops::cluster::Cluster;
use crate::ops::cluster::switchover::{self, Wishes};

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
    #[command(flatten)]
    pub common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let databases = operation::databases(&site);
        let mut crew = operation::enter(databases, &args.common, "switchover").await?;
        let cluster = Cluster::look(&site, &mut crew).await;
        if !args.common.dry_run {
            operation::settle(global, &mut crew, &cluster).await;
        }
        let wishes = Wishes {
            to: args.to,
            max_lag: args.max_lag,
            max_transaction: 60,
            long_transactions_ok: args.long_transactions_ok,
        };
        let (cast, conditions) = switchover::assess(&site, &cluster, &wishes)?;
        let steps = switchover::steps(&cast);
        if args.common.dry_run {
            return operation::dry_run(global, "switchover", &conditions, &steps);
        }
        let keepers = operation::keepers(&site, &crew);
        let header = operation::header(
            &args.common,
            "switchover",
            &cluster,
            &keepers,
            cast.details(),
        );
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
