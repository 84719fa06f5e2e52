//! `hactl failover`: a replica becomes the primary because the primary is dead.

use super::operation::{self, Common, Planned};
use super::{Global, Outcome, deploy};
use crate::base::Diagnostic;
use crate::connection::Target;
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::assignment::server;
use crate::ops::database::postgresql::failover::{self, FailoverOptions, Fence};
use crate::ops::database::postgresql::failure_detection::FailureVerdict;
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::node::{Live, PeerView};
use crate::ops::database::postgresql::{Cluster, probe};
use crate::ops::hosts::Site;
use crate::ops::operation::{HERE, close};
use crate::report;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The arguments.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Each consent is a flag of its own: they are never merged into one.
pub struct Args {
    /// The host to promote, or `replica` for the one that has most of the log
    #[arg(long, value_name = "HOST|replica")]
    pub promote: String,
    /// Go on although acknowledged writes may be lost (the estimate is shown)
    #[arg(long)]
    pub allow_data_loss: bool,
    /// The old primary is certainly off, although that cannot be seen from here
    #[arg(long)]
    pub unfenced_ok: bool,
    /// Kill a primary that takes connections and does not answer
    #[arg(long)]
    pub kill_frozen: bool,
    /// A second failover within the hour
    #[arg(long)]
    pub again: bool,
    /// Seconds after which a host that does not let in counts as not reached
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub patience: u64,
    #[command(flatten)]
    pub common: Common,
}

/// How long the hosts that answer are waited for; the others are waited for meanwhile.
const QUICK: Duration = Duration::from_millis(1200);

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let mut targets = site.targets();
        for target in &mut targets {
            target.timeout_seconds = args.patience;
        }
        let began = Instant::now();
        let mut pool =
            ConnectionPool::open_quickly(targets, args.common.reach.forks, 1, QUICK).await;
        let (cluster, views, old) = see(&site, &mut pool, &args, began).await?;
        let log_end = log_end(&site, &mut pool, &cluster, &old).await;
        let options = FailoverOptions {
            promote: (args.promote != "replica").then(|| args.promote.clone()),
            allow_data_loss: args.allow_data_loss,
            unfenced_ok: args.unfenced_ok,
            kill_frozen: args.kill_frozen,
            again: args.again,
        };
        let assessment = failover::assess(&site, &cluster, &old, &views, log_end, &options)?;
        let blockers: Vec<String> = pool
            .reached()
            .filter(|host| *host != old && failover::blocks(&site, host))
            .map(str::to_owned)
            .collect();
        let alone = failover::is_alone(&cluster, &assessment.assignment);
        let gone = assessment.proof.verdict == FailureVerdict::Gone;
        let steps = failover::steps(
            &site,
            &assessment.assignment,
            assessment.fence,
            &blockers,
            alone,
            gone,
        );
        if args.common.dry_run {
            return operation::dry_run(global, "failover", &assessment.conditions, &steps);
        }
        assessment.conditions.demand()?;
        if !global.json {
            report::say(&format!("  {old} is out: {}", assessment.proof));
            report::say(&format!("  data loss: {}", assessment.loss.said));
            if assessment.fence == Fence::Blocked {
                report::say(&format!(
                    "  {old} cannot be stopped from here: every host that serves clients blocks it"
                ));
            }
        }
        let keepers = operation::keepers(&site, &pool);
        if assessment.fence == Fence::Command {
            pool.join(Target {
                host: HERE.to_owned(),
                local: true,
                ..Target::default()
            })
            .await;
        }
        operation::settle(global, &mut pool, &cluster).await;
        overtake(&mut pool, &cluster, &keepers).await?;
        let mut details = assessment.assignment.details();
        details.insert("proof".to_owned(), assessment.proof.to_string());
        details.insert("loss".to_owned(), assessment.loss.said.clone());
        details.insert("fence".to_owned(), assessment.fence.word().to_owned());
        details.insert("alone".to_owned(), alone.to_string());
        details.insert("blockers".to_owned(), blockers.join(" "));
        details.insert("gone".to_owned(), gone.to_string());
        let header = operation::header(&args.common, "failover", &cluster, &keepers, details);
        let conditions = assessment.conditions;
        let arbiters = vec![assessment.assignment.new.host];
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

/// Looks from every viewpoint at once: the databases at each other, the other hosts at the port of the one that is missing.
async fn see(
    site: &Site,
    pool: &mut ConnectionPool,
    args: &Args,
    began: Instant,
) -> Result<(Cluster, Vec<(String, PeerView)>, String), Vec<Diagnostic>> {
    if !args.common.dry_run {
        operation::lock(pool, &args.common, "failover").await?;
    }
    let databases = site.members("postgresql");
    let outsiders: Vec<String> = pool
        .reached()
        .filter(|host| !databases.iter().any(|database| database == host))
        .map(str::to_owned)
        .collect();
    // Who the primary was is not known yet, so the outsiders look at every database.
    let looks: BTreeMap<String, Vec<Request>> = outsiders
        .iter()
        .map(|host| {
            let requests = databases
                .iter()
                .map(|database| {
                    let port = site
                        .host(database)
                        .map_or(5432, |host| host.number("postgresql_port", 5432));
                    probe::ask_port(&probe::address(site, database), port, site.patience())
                })
                .collect();
            (host.clone(), requests)
        })
        .collect();
    let (mut cluster, seen) = Cluster::look_with(site, pool, looks).await;
    pool.settle_within(began, Duration::from_secs(args.patience))
        .await;
    let late: Vec<String> = cluster
        .members
        .iter()
        .filter(|member| member.seen.is_err() && pool.lost(&member.host).is_none())
        .map(|member| member.host.clone())
        .collect();
    if late.is_empty() {
        for member in &mut cluster.members {
            // By now it is known why it could not be asked.
            if let (true, Some(error)) = (member.seen.is_err(), pool.lost(&member.host)) {
                member.seen = Err(error);
            }
        }
    } else {
        if !args.common.dry_run {
            operation::lock(pool, &args.common, "failover").await?;
        }
        cluster = Cluster::look(site, pool).await;
    }
    let old = failover::old_primary(&cluster).map_err(|error| vec![error])?;
    let index = databases
        .iter()
        .position(|database| *database == old)
        .unwrap_or_default();
    let views = seen
        .into_iter()
        .filter_map(|(host, answer)| {
            Some((host, probe::port_view(answer.ok()?.replies.get(index)?)))
        })
        .collect();
    Ok((cluster, views, old))
}

/// How far the log of the old primary goes, when its host lets in and its server does not run.
async fn log_end(
    site: &Site,
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    old: &str,
) -> Option<Lsn> {
    let node = cluster.node(old)?;
    if !matches!(&node.live, Live::Down(said) if !said.contains("FATAL")) {
        return None;
    }
    let script = server(site, cluster, old)?.log_end();
    let mut answers = pool
        .round([(old.to_owned(), vec![Request::sh(script)])].into())
        .await;
    let reply = answers.remove(old)?.ok()?.replies.into_iter().next()?;
    reply
        .out()
        .lines()
        .find_map(|line| line.strip_prefix("note log_end "))?
        .parse()
        .ok()
}

/// What was unfinished is over when the failover begins: under a higher epoch, so that whoever began it can go on no more.
async fn overtake(
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    keepers: &[String],
) -> Result<(), Vec<Diagnostic>> {
    let Some(mut record) = cluster.unfinished() else {
        return Ok(());
    };
    record.header.epoch = cluster.next_epoch();
    close(pool, record, keepers, "overtaken", "a failover took over")
        .await
        .map_err(|error| vec![error])
}
