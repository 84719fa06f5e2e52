//! `hactl resume`: takes up an operation that was broken off, on whatever machine that was.

use super::operation::{self, Common};
use super::{Global, Outcome, deploy, drill, rejoin};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::ops::cluster::Cluster;
use crate::ops::cluster::cast::{Cast, server};
use crate::ops::cluster::condition::Conditions;
use crate::ops::cluster::failover::{self, Fence, HERE};
use crate::ops::cluster::operation::{Operation, Step};
use crate::ops::cluster::switchover;
use crate::ops::crew::Crew;
use crate::ops::hosts::Site;
use crate::ops::journal::{self, Record, StepState};
use crate::ops::vip;
use crate::report::{self, operation as reporter};
use serde_json::json;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take it back instead, as long as nobody was promoted
    #[arg(long)]
    pub undo: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let mut crew = operation::enter(site.targets(), &args.common, "resume").await?;
        let cluster = Cluster::look(&site, &mut crew).await;
        let Some(record) = cluster.unfinished() else {
            if let Some(healed) = drill::heal(global, &site, &mut crew, &cluster).await {
                return healed;
            }
            return match broken_off(&mut crew).await {
                Some(refusal) => Err(vec![refusal]),
                None => nothing(global, &cluster),
            };
        };
        if !global.json {
            let header = &record.header;
            report::say(&format!("{} of {}", header.kind, header.operator));
        }
        match record.header.kind.as_str() {
            "rejoin" => {
                let detail =
                    |key: &str| record.header.details.get(key).cloned().unwrap_or_default();
                let args = rejoin::Args {
                    host: detail("host"),
                    discard_diverged: detail("discard_diverged") == "true",
                    clone: detail("clone") == "true",
                    keep_log_only: detail("keep_log_only") == "true",
                    inspect: false,
                    common: args.common,
                };
                rejoin::execute(global, &site, &mut crew, &cluster, &args).await
            }
            _ => take_up(global, &site, &mut crew, &cluster, record, &args).await,
        }
    })
}

/// What was broken off and is not in the databases' journals: it is ended by its own command.
async fn broken_off(crew: &mut Crew) -> Option<Diagnostic> {
    let work = crew
        .reached()
        .map(|host| (host.to_owned(), vec![journal::header()]))
        .collect();
    crew.round(work)
        .await
        .into_iter()
        .find_map(|(host, answer)| {
            let answer = answer.ok()?;
            let header: serde_json::Value =
                serde_json::from_slice(&answer.replies.first()?.stdout).ok()?;
            let operator = header["operator"].as_str().unwrap_or("somebody");
            (header["kind"] == vip::KIND).then(|| {
                Diagnostic::with_code(
                    exit::REFUSED,
                    format!("a move of the virtual address by {operator} was broken off"),
                )
                .on(&host)
                .help("`hactl vip move` ends it; `hactl vip status` shows where the address is")
            })
        })
}

fn nothing(global: &Global, cluster: &Cluster) -> Outcome {
    let lost: Vec<&str> = cluster
        .members
        .iter()
        .filter(|member| member.seen.is_err())
        .map(|member| member.host.as_str())
        .collect();
    if cluster.nodes().next().is_none() {
        return Err(cluster
            .members
            .iter()
            .filter_map(|member| member.seen.as_ref().err().cloned())
            .collect());
    }
    if global.json {
        report::json::document("resume", &json!({"result": "nothing", "unreachable": lost}));
    } else if lost.is_empty() {
        report::out("no operation is unfinished\n");
    } else {
        report::out(&format!(
            "no operation is unfinished on the hosts that answer; {} could not be asked\n",
            lost.join(", ")
        ));
    }
    Ok(exit::DONE)
}

/// The steps of a switchover or failover, from what its journal says.
fn plan(site: &Site, cluster: &Cluster, record: &Record) -> Option<(Cast, Vec<Step>)> {
    let detail = |key: &str| record.header.details.get(key).cloned().unwrap_or_default();
    let cast = Cast {
        old: server(site, cluster, &detail("old"))?,
        new: server(site, cluster, &detail("new"))?,
        others: detail("others")
            .split_whitespace()
            .filter_map(|host| server(site, cluster, host))
            .collect(),
    };
    let steps = match record.header.kind.as_str() {
        "switchover" => switchover::steps(&cast),
        "failover" => {
            let blockers: Vec<String> = detail("blockers")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            failover::steps(
                site,
                &cast,
                Fence::from_word(&detail("fence")),
                &blockers,
                detail("alone") == "true",
            )
        }
        _ => return None,
    };
    Some((cast, steps))
}

async fn take_up(
    global: &Global,
    site: &Site,
    crew: &mut Crew,
    cluster: &Cluster,
    mut record: Record,
    args: &Args,
) -> Outcome {
    let refuse = |message: String| Diagnostic::with_code(exit::REFUSED, message);
    let kind = record.header.kind.clone();
    let Some((cast, steps)) = plan(site, cluster, &record) else {
        return Err(vec![refuse(format!(
            "a {kind} of a newer hactl, or its hosts are no longer in the inventory"
        ))]);
    };
    let promoted = record.state("promote").is_some();
    let (old, new) = (&cast.old.host, &cast.new.host);
    let alive = cluster
        .node(old)
        .is_some_and(crate::ops::cluster::node::Node::is_primary);
    let leads = cluster
        .node(new)
        .is_some_and(crate::ops::cluster::node::Node::is_primary);
    if alive && leads {
        return Err(vec![
            refuse(format!("split brain: {old} and {new} take writes"))
                .help("decide whose data stays; stop the other one, then hactl rejoin it"),
        ]);
    }
    if promoted && args.undo {
        return Err(vec![
            refuse(format!(
                "{new} may have been promoted: there is no way back"
            ))
            .help("hactl resume takes it to its end; hactl switchover changes the roles again"),
        ]);
    }
    if kind == "failover" && alive && !promoted && !args.undo {
        return Err(vec![refuse(format!("{old} is alive again, and nobody was promoted"))
            .help(format!("hactl resume --undo ends the failover; hactl switchover --to {new} moves the primary without loss"))]);
    }
    if kind == "switchover" && alive && !promoted && !args.undo {
        // Somebody started it again: what was done before is worth nothing.
        record.steps.clear();
    }
    if args.common.dry_run {
        report::out(&format!(
            "{kind} {}: steps that are left:\n{}",
            record.header.id,
            reporter::plan(&left(steps, &record), false)
        ));
        return Ok(exit::DONE);
    }
    if steps.iter().any(|step| step.host == HERE) {
        crew.join(Target {
            host: HERE.to_owned(),
            local: true,
            ..Target::default()
        })
        .await;
    }
    let keepers = operation::keepers(site, crew);
    if args.undo {
        return undo(global, crew, record, keepers, steps).await;
    }
    operation::follow(global, crew, record, keepers, steps, &Conditions::default()).await
}

fn left(steps: Vec<Step>, record: &Record) -> Vec<Step> {
    steps
        .into_iter()
        .filter(|step| record.state(step.id) != Some(StepState::Done))
        .collect()
}

async fn undo(
    global: &Global,
    crew: &mut Crew,
    record: Record,
    keepers: Vec<String>,
    steps: Vec<Step>,
) -> Outcome {
    let count = steps
        .iter()
        .rposition(|step| record.state(step.id).is_some())
        .map_or(0, |last| last + 1);
    let notes = record.notes();
    let kind = record.header.kind.clone();
    let teller = reporter::Teller::new(global.json);
    let stop = operation::stop_flag();
    let ending = Operation {
        record,
        keepers,
        steps,
        stop: &stop,
        tell: &|event| teller.tell(&event),
    }
    .undo(
        crew,
        count,
        Diagnostic::with_code(exit::FAILED, "taken back by the operator"),
        &notes,
    )
    .await;
    teller.end();
    match ending {
        crate::ops::cluster::operation::Ending::Undone(_) => {
            if global.json {
                report::json::document(
                    "resume",
                    &json!({"result": "undone", "kind": kind, "steps": teller.steps()}),
                );
            } else {
                report::out(&format!("the {kind} was taken back\n"));
            }
            Ok(exit::DONE)
        }
        other => other.result().map(|()| exit::DONE),
    }
}
