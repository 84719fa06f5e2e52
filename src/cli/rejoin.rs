//! `hactl rejoin`: a host that is out becomes a replica again.

use super::operation::{self, Common, Planned};
use super::{Global, Outcome, deploy};
use crate::base::{Diagnostic, exit};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::Cluster;
use crate::ops::database::postgresql::blocks::{self, Blocks};
use crate::ops::database::postgresql::next_action::Situation;
use crate::ops::database::postgresql::probe;
use crate::ops::database::postgresql::rejoin::{self, Evidence, Method, RejoinOptions};
use crate::ops::database::postgresql::scripts::Server;
use crate::ops::hosts::Site;
use crate::ops::operation::close;
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::journal;
use crate::report;
use serde_json::json;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host
    pub host: String,
    /// Give up what is only on this host; a copy is kept beside it
    #[arg(long)]
    pub discard_diverged: bool,
    /// Copy the primary anew, whatever the evidence says; the old directory is kept under another name
    #[arg(long)]
    pub clone: bool,
    /// Of what is given up keep only the log, not the whole directory
    #[arg(long)]
    pub keep_log_only: bool,
    /// Show the rows that only this host has; change nothing
    #[arg(long)]
    pub inspect: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let mut pool = operation::enter(site.targets(), &args.common, "rejoin").await?;
        pool.round([(args.host.clone(), vec![rejoin::ask_boot()])].into())
            .await;
        let cluster = Cluster::look(&site, &mut pool).await;
        execute(global, &site, &mut pool, &cluster, &args).await
    })
}

/// What `rejoin` does once it has looked.
pub async fn execute(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    args: &Args,
) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    let blocks = Blocks::look(site, pool, &args.host).await;
    let left = blocks.left(cluster, &args.host);
    if blocks::is_the_primary(cluster, &args.host) && !args.inspect {
        if !blocks.by.is_empty() {
            lift(global, site, pool, args, &blocks.by).await?;
        }
        if let Some(left) = left {
            return Err(one(left));
        }
        if !blocks.by.is_empty() {
            return Ok(exit::DONE);
        }
    }
    let (server, primary) = rejoin::who(site, cluster, &args.host).map_err(one)?;
    let evidence = evidence(pool, cluster, &server, &primary)
        .await
        .map_err(one)?;
    if args.inspect {
        return inspect(global, pool, &server, &evidence).await;
    }
    let options = RejoinOptions {
        discard_diverged: args.discard_diverged,
        clone: args.clone,
        keep_log_only: args.keep_log_only,
    };
    let host = server.host.clone();
    let assessment =
        rejoin::assess(cluster, server, primary, &evidence, &options).ok_or_else(|| {
            one(Diagnostic::with_code(exit::FAILED, "the host gave no answer").on(&host))
        })?;
    let steps = rejoin::steps(&assessment, &blocks.by);
    if !blocks.unasked.is_empty() && !global.json {
        report::say(&format!(
            "  whether {} block{} {host} could not be asked",
            blocks.unasked.join(", "),
            if blocks.unasked.len() == 1 { "s" } else { "" }
        ));
    }
    if assessment.method == Method::Nothing && steps.is_empty() {
        if let Some(left) = left {
            return Err(one(left));
        }
        if global.json {
            report::json::document(
                "rejoin",
                &json!({"result": "nothing", "why": assessment.why}),
            );
        } else {
            report::out(&format!("{host}: nothing to do: {}\n", assessment.why));
        }
        return Ok(exit::DONE);
    }
    if args.common.dry_run {
        return operation::dry_run(global, "rejoin", &assessment.conditions, &steps);
    }
    assessment.conditions.demand()?;
    if !global.json {
        report::say(&format!(
            "  {host}: {}: {}",
            assessment.method.word(),
            assessment.why
        ));
    }
    let keepers = operation::keepers(site, pool);
    operation::settle(global, pool, cluster).await;
    if let Some(mut record) = cluster.unfinished() {
        if record.header.kind != "rejoin" {
            let way = Situation::of(cluster, &record)
                .map_or_else(|| "hactl resume".to_owned(), |it| it.command());
            return Err(one(Diagnostic::refused("an operation is unfinished")
                .note(format!(
                    "{} of {}",
                    record.header.kind, record.header.operator
                ))
                .help(format!("the way on: {way}"))));
        }
        record.header.epoch = cluster.next_epoch();
        close(
            pool,
            record,
            &keepers,
            "overtaken",
            "rejoin was begun again",
        )
        .await
        .map_err(one)?;
    }
    let details = [
        ("host", host.clone()),
        ("primary", assessment.primary.host.clone()),
        ("method", assessment.method.word().to_owned()),
        ("why", assessment.why.clone()),
        ("kept", assessment.kept.clone().unwrap_or_default()),
        ("discard_diverged", args.discard_diverged.to_string()),
        ("clone", args.clone.to_string()),
        ("keep_log_only", args.keep_log_only.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let header = operation::header(&args.common, "rejoin", cluster, &keepers, details);
    let kept = assessment.kept.clone();
    let conditions = assessment.conditions;
    let planned = Planned {
        header,
        conditions,
        steps,
        arbiters: vec![host.clone(), assessment.primary.host.clone()],
    };
    let outcome = begun_again_by_name(global, site, pool, &keepers, planned).await;
    if outcome.is_err() {
        return outcome.map_err(|errors| {
            errors
                .into_iter()
                .map(|mut error| {
                    error.code = exit::FAILED;
                    let copy = if args.clone {
                        " --clone"
                    } else {
                        " (with --clone for a new copy)"
                    };
                    error.help(format!(
                        "when the cause is fixed: hactl rejoin {host}{copy}"
                    ))
                })
                .collect()
        });
    }
    if let (Some(kept), false) = (&kept, global.json) {
        report::out(&format!("what was given up is kept: {host}:{kept}\n"));
    }
    teach(pool, cluster, &host).await;
    match left {
        Some(left) => Err(one(left)),
        None => outcome,
    }
}

/// Lifts the blocks of the primary, which follows nobody and yet is to be reached by all.
async fn lift(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    args: &Args,
    by: &[String],
) -> Outcome {
    let host = &args.host;
    let address = probe::address(site, host);
    let steps = blocks::lift(by.iter().map(String::as_str), host, &address);
    let conditions = Conditions::default();
    if args.common.dry_run {
        return operation::dry_run(global, "rejoin", &conditions, &steps);
    }
    let keepers = operation::keepers(site, pool);
    let details = [("host", host), ("primary", host)]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into();
    let cluster = Cluster::look(site, pool).await;
    let header = operation::header(&args.common, "rejoin", &cluster, &keepers, details);
    let planned = Planned {
        header,
        conditions,
        steps,
        arbiters: vec![host.clone()],
    };
    begun_again_by_name(global, site, pool, &keepers, planned).await
}

/// Carries a rejoin out. One that failed is closed: it is begun again by its own name, and everything follows from the
/// evidence.
async fn begun_again_by_name(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    keepers: &[String],
    planned: Planned,
) -> Outcome {
    let id = planned.header.id.clone();
    let outcome = operation::carry_out(global, site, pool, planned).await;
    if let Err(errors) = &outcome {
        let message = errors.first().map(ToString::to_string).unwrap_or_default();
        let cluster = Cluster::look(site, pool).await;
        let unfinished = cluster.unfinished();
        if let Some(mut record) = unfinished.filter(|record| record.header.id == id) {
            record.header.epoch = cluster.next_epoch();
            close(pool, record, keepers, "failed", &message)
                .await
                .map_err(|error| vec![error])?;
        }
    }
    outcome
}

/// Shows what would be given up.
async fn inspect(
    global: &Global,
    pool: &mut ConnectionPool,
    server: &Server,
    evidence: &Evidence,
) -> Outcome {
    let host = &server.host;
    let (Some(fork), Some(end)) = (evidence.fork, evidence.log_end) else {
        return Err(vec![
            Diagnostic::refused("it cannot be told where its history left the primary's")
                .on(host)
                .help(format!("hactl rejoin {host} --dry-run shows what is known of it; without that point only a new copy is left: hactl rejoin {host} --clone --discard-diverged keeps the old directory")),
        ]);
    };
    let mut said = String::new();
    let mut rows = Vec::new();
    let mut deleted = 0;
    if end > fork {
        let ask = rejoin::ask_rows(server, evidence.timeline, fork);
        let answer = pool
            .round([(host.clone(), vec![ask])].into())
            .await
            .remove(host)
            .unwrap_or_else(|| {
                Err(Diagnostic::with_code(
                    exit::UNREACHABLE,
                    "the host was not asked",
                ))
            })
            .map_err(|error| vec![error.on(host)])?;
        let reply = &answer.replies[0];
        if reply.code != 0 {
            return Err(vec![
                Diagnostic::with_code(exit::FAILED, "its rows cannot be read")
                    .on(host)
                    .note(reply.err().trim().to_owned()),
            ]);
        }
        for line in reply.out().lines() {
            if let Some(count) = line.strip_prefix("deleted ") {
                deleted = count.parse().unwrap_or(0);
            } else if let Some((table, row)) = line
                .strip_prefix("row ")
                .and_then(|row| row.split_once('|'))
            {
                rows.push((table.to_owned(), row.to_owned()));
            }
        }
    }
    let bytes = end.ahead_of(fork);
    if global.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(table, row)| {
                let value: serde_json::Value =
                    serde_json::from_str(row).unwrap_or_else(|_| row.as_str().into());
                json!({"table": table, "row": value})
            })
            .collect();
        report::json::document(
            "inspect",
            &json!({"host": host, "fork": fork, "end": end, "bytes": bytes, "deleted": deleted, "rows": rows}),
        );
        return Ok(exit::DONE);
    }
    for (table, row) in &rows {
        said.push_str(&format!("{table} {row}\n"));
    }
    said.push_str(&format!(
        "only on {host}: {bytes} bytes of log from {fork} to {end}; {} rows written by committed transactions, {deleted} deletions\n",
        rows.len()
    ));
    report::out(&crate::base::quote::for_terminal(&said));
    Ok(exit::DONE)
}

async fn evidence(
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    server: &Server,
    primary: &Server,
) -> Result<Evidence, Diagnostic> {
    let timeline = |host: &str| {
        cluster
            .node(host)
            .map_or(0, crate::ops::database::postgresql::node::Node::timeline)
    };
    let (own, leading) = (timeline(&server.host), timeline(&primary.host));
    let mut answers = pool.round(rejoin::ask(server, primary, leading, own)).await;
    let mut reply = |host: &str| {
        answers
            .remove(host)
            .unwrap_or_else(|| {
                Err(Diagnostic::with_code(
                    exit::UNREACHABLE,
                    "the host was not asked",
                ))
            })
            .map(|answer| answer.replies[0].clone())
            .map_err(|error| error.on(host))
    };
    let notes = rejoin::notes(&reply(&server.host)?);
    let history = reply(&primary.host)?;
    let history = history.out();
    let mut evidence = Evidence {
        log_end: notes.get("log_end").and_then(|text| text.parse().ok()),
        timeline: own,
        primary_timeline: leading,
        fork: rejoin::fork_of(&history, own),
        half_rewound: notes.contains_key("half_rewound"),
        size: notes
            .get("size")
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024,
        committed: rejoin::Committed::NotRead,
    };
    if let (Some(fork), Some(end)) = (evidence.fork, evidence.log_end)
        && end > fork
    {
        let ask = rejoin::ask_committed(server, own, fork, end);
        let mut answers = pool.round([(server.host.clone(), vec![ask])].into()).await;
        evidence.committed = match answers.remove(&server.host) {
            Some(Ok(answer)) => rejoin::read_committed(&answer.replies[0], fork),
            Some(Err(error)) => rejoin::Committed::Unreadable(error.message),
            None => rejoin::Committed::Unreadable("the host was not asked".to_owned()),
        };
    }
    Ok(evidence)
}

/// A host that was out learns what happened meanwhile.
async fn teach(pool: &mut ConnectionPool, cluster: &Cluster, host: &str) {
    let known: Vec<String> = cluster.node(host).map_or_else(Vec::new, |node| {
        node.journal
            .iter()
            .filter_map(|(_, record)| Some(record.as_ref().ok()?.header.id.clone()))
            .collect()
    });
    let history = cluster.history();
    let missed: Vec<_> = history
        .iter()
        .filter(|record| !known.contains(&record.header.id))
        .map(journal::record)
        .collect();
    pool.round([(host.to_owned(), missed)].into()).await;
}
