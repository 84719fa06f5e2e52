//! `hactl resume`: takes up an operation that was broken off, on whatever machine that was.

use super::operation::{self, Common, Work};
use super::{Global, Outcome, deploy, drill, rejoin};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::Cluster;
use crate::ops::database::postgresql::assignment::{Assignment, server};
use crate::ops::database::postgresql::failover::{self, Fence};
use crate::ops::database::postgresql::next_action::{Kind, NextAction, Phase, Situation, State};
use crate::ops::database::postgresql::switchover;
use crate::ops::entrance::vip;
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::journal::{self, Record, StepState};
use crate::ops::operation::{self as steps, Ending, HERE, Operation, Step};
use crate::report::{self, operation as reporter};
use serde_json::json;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take it back instead, as long as nobody was promoted
    #[arg(long)]
    pub undo: bool,
    /// With --undo: the host that was to be promoted is certainly off, although that cannot be seen from here
    #[arg(long, requires = "undo")]
    pub unfenced_ok: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = operation::site(global, &args.common.reach)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let mut pool = operation::enter(site.targets(), &args.common, "resume").await?;
        let cluster = Cluster::look(&site, &mut pool).await;
        let settled = if args.common.dry_run {
            Vec::new()
        } else {
            operation::settle(global, &mut pool, &cluster).await
        };
        let Some(record) = cluster.unfinished() else {
            if let Some(healed) = drill::heal(global, &site, &mut pool, &cluster).await {
                return healed;
            }
            return match broken_off(&mut pool).await {
                Some(refusal) => Err(vec![refusal]),
                None => nothing(global, &cluster, &settled),
            };
        };
        if !global.json {
            let header = &record.header;
            report::say(&format!("{} of {}", header.kind, header.operator));
        }
        match record.header.kind.as_str() {
            "rejoin" if args.undo => {
                let keepers = operation::keepers(&site, &pool);
                drop_it(
                    global,
                    &mut pool,
                    &cluster,
                    record,
                    &keepers,
                    "given up by the operator",
                )
                .await
            }
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
                rejoin::execute(global, &site, &mut pool, &cluster, &args).await
            }
            _ => take_up(global, &site, &mut pool, &cluster, record, &args).await,
        }
    })
}

/// What was broken off and is not in the databases' journals: it is ended by its own command.
async fn broken_off(pool: &mut ConnectionPool) -> Option<Diagnostic> {
    let work = pool
        .reached()
        .map(|host| (host.to_owned(), vec![journal::header()]))
        .collect();
    pool.round(work)
        .await
        .into_iter()
        .find_map(|(host, answer)| {
            let answer = answer.ok()?;
            let header: serde_json::Value =
                serde_json::from_slice(&answer.replies.first()?.stdout).ok()?;
            let operator = header["operator"].as_str().unwrap_or("somebody");
            (header["kind"] == vip::KIND).then(|| {
                Diagnostic::refused(format!(
                    "a move of the virtual address by {operator} was broken off"
                ))
                .on(&host)
                .help("`hactl vip move` ends it; `hactl vip status` shows where the address is")
            })
        })
}

/// Closes the journal of an operation that nobody goes on with.
async fn drop_it(
    global: &Global,
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    mut record: Record,
    keepers: &[String],
    why: &str,
) -> Outcome {
    let kind = record.header.kind.clone();
    record.header.epoch = cluster.next_epoch();
    steps::close(pool, record, keepers, "overtaken", why)
        .await
        .map_err(|error| vec![error])?;
    if global.json {
        report::json::document(
            "resume",
            &json!({"result": "closed", "kind": kind, "why": why}),
        );
    } else {
        report::out(&format!("the {kind} is closed: {why}\n"));
    }
    Ok(exit::DONE)
}

fn nothing(global: &Global, cluster: &Cluster, settled: &[String]) -> Outcome {
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
        report::json::document(
            "resume",
            &json!({"result": "nothing", "unreachable": lost, "settled": settled}),
        );
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
fn plan(site: &Site, cluster: &Cluster, record: &Record) -> Option<Vec<Step>> {
    let detail = |key: &str| record.header.details.get(key).cloned().unwrap_or_default();
    let assignment = Assignment {
        old: server(site, cluster, &detail("old"))?,
        new: server(site, cluster, &detail("new"))?,
        others: detail("others")
            .split_whitespace()
            .filter_map(|host| server(site, cluster, host))
            .collect(),
    };
    match record.header.kind.as_str() {
        "switchover" => Some(switchover::steps(
            &assignment,
            switchover::gap(&record.header.details),
        )),
        "failover" => {
            let blockers: Vec<String> = detail("blockers")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            Some(failover::steps(
                site,
                &assignment,
                Fence::from_word(&detail("fence")),
                &blockers,
                detail("alone") == "true",
                detail("gone") == "true",
            ))
        }
        _ => None,
    }
}

async fn take_up(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    cluster: &Cluster,
    mut record: Record,
    args: &Args,
) -> Outcome {
    let refuse = |message: String| Diagnostic::refused(message);
    let kind = record.header.kind.clone();
    let newer = "the version that began it takes it up (hactl history names operator and hosts); if a host was taken out of the inventory, put it back for this";
    let Some(steps) = plan(site, cluster, &record) else {
        return Err(vec![
            refuse(format!(
                "a {kind} of a newer hactl, or its hosts are no longer in the inventory"
            ))
            .help(newer),
        ]);
    };
    let Some(situation) = Situation::of(cluster, &record) else {
        return Err(vec![
            refuse(format!("a {kind} of a newer hactl")).help(newer),
        ]);
    };
    let keepers = operation::keepers(site, pool);
    judge(&situation, args).map_err(|error| vec![error])?;
    if situation.next_action() == NextAction::Close {
        return drop_it(global, pool, cluster, record, &keepers, &situation.reason()).await;
    }
    if situation.kind == Kind::Switchover
        && situation.old.1 == State::Primary
        && situation.phase == Phase::Before
        && !args.undo
    {
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
        pool.join(Target {
            host: HERE.to_owned(),
            local: true,
            ..Target::default()
        })
        .await;
    }
    let arbiters = if args.unfenced_ok {
        Vec::new()
    } else {
        situation.arbiters(args.undo)
    };
    record.header.epoch = cluster.next_epoch();
    record.header.details.insert(
        "taken_up_by".to_owned(),
        deploy::operator(if args.undo { "resume --undo" } else { "resume" }),
    );
    let hosts = operation::step_hosts(&steps, &keepers);
    steps::claim(pool, &mut record, &keepers, &hosts, &arbiters)
        .await
        .map_err(|error| vec![error.help(situation.command())])?;
    let work = Work {
        record,
        keepers,
        steps,
        arbiters,
    };
    if args.undo {
        return undo(global, site, pool, work).await;
    }
    operation::follow(global, site, pool, work, &Conditions::default()).await
}

/// Whether what was asked for is the way on.
fn judge(situation: &Situation, args: &Args) -> Result<(), Diagnostic> {
    let refuse = |message: String| Diagnostic::refused(message);
    let way = situation.next_action();
    if args.undo && situation.phase != Phase::Before {
        return Err(refuse(format!(
            "{} may have been promoted: there is no way back",
            situation.new.0
        ))
        .note(situation.reason())
        .help(format!("the way on: {}", situation.command())));
    }
    let fits = match way {
        NextAction::Close => true,
        NextAction::Resume => true,
        NextAction::Undo => args.undo,
        // Its own risk is a flag of its own.
        NextAction::Reach(_) | NextAction::Start(_) => args.undo && args.unfenced_ok,
        NextAction::Failover(_) | NextAction::Decide => false,
    };
    if fits {
        return Ok(());
    }
    let mut help = format!("the way on: {}", situation.command());
    if matches!(way, NextAction::Reach(_) | NextAction::Start(_))
        && situation.phase == Phase::Before
    {
        help.push_str(&format!(
            "; if {} is certainly off for good: hactl resume --undo --unfenced-ok",
            situation.new.0
        ));
    }
    if way == NextAction::Undo && situation.new.1 == State::Replica {
        help.push_str(&format!(
            ", then hactl switchover --to {} moves the primary without loss",
            situation.new.0
        ));
    }
    Err(refuse(situation.reason()).help(help))
}

fn left(steps: Vec<Step>, record: &Record) -> Vec<Step> {
    steps
        .into_iter()
        .filter(|step| record.state(step.id) != Some(StepState::Done))
        .collect()
}

async fn undo(global: &Global, site: &Site, pool: &mut ConnectionPool, work: Work) -> Outcome {
    let Work {
        record,
        keepers,
        steps,
        arbiters,
    } = work;
    let count = steps
        .iter()
        .rposition(|step| record.state(step.id).is_some())
        .map_or(0, |last| last + 1);
    let notes = record.notes();
    let kind = record.header.kind.clone();
    let teller = reporter::Teller::new(global.json);
    let stop = operation::stop_flag();
    let ending = Operation {
        token: operation::token(&record),
        record,
        keepers,
        arbiters,
        steps,
        stop: &stop,
        tell: &|event| teller.tell(&event),
    }
    .undo(
        pool,
        count,
        Diagnostic::with_code(exit::FAILED, "taken back by the operator"),
        &notes,
    )
    .await;
    teller.end();
    match ending {
        Ending::Undone(_) => {
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
        Ending::Incomplete(errors) => {
            let errors = Ending::Incomplete(errors)
                .result()
                .err()
                .unwrap_or_default();
            Err(operation::way_on(site, pool, errors).await)
        }
        other => other.result().map(|()| exit::DONE),
    }
}
