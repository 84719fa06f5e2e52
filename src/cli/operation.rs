//! What the commands have in common that change who is the primary: how hosts are entered and locked, how it is looked at
//! them, how an operation is begun, followed and ended.

use super::{Global, Outcome, deploy, fleet, stop};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::engine::Operator;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::next_action::Situation;
use crate::ops::database::postgresql::{Cluster, VARIABLES};
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::journal::{Header, Notes, Record, Token};
use crate::ops::operation::{self, Ending, Event, HERE, Operation, Step};
use crate::report::{self, operation as reporter};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Flags of every operation.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Look, judge and print the plan with every command; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Take the lock of a run that is certainly dead
    #[arg(long)]
    pub break_lock: bool,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// The database hosts (or all hosts) of the service.
///
/// # Errors
/// Configuration errors; no group postgresql.
pub fn site(global: &Global, reach: &fleet::ConnectArgs) -> Result<Site, Vec<Diagnostic>> {
    if global.limit.is_some() {
        return Err(vec![Diagnostic::new(
            "this command covers the whole service, and --limit would hide parts of it",
        )]);
    }
    let site = fleet::site(global, reach, "all", VARIABLES)?;
    if site.members("postgresql").is_empty() {
        return Err(vec![
            Diagnostic::new("the inventory has no group `postgresql`")
                .help("hactl inventory graph; which inventory is meant by -i?"),
        ]);
    }
    Ok(site)
}

/// The database hosts only.
pub fn databases(site: &Site) -> Vec<Target> {
    site.hosts
        .iter()
        .filter(|host| site.members("postgresql").contains(&host.name))
        .map(|host| host.target.clone())
        .collect()
}

/// Takes the locks of the hosts that could be reached.
///
/// # Errors
/// Another operator is at work.
pub async fn lock(
    pool: &mut ConnectionPool,
    common: &Common,
    command: &str,
) -> Result<(), Vec<Diagnostic>> {
    let operator = Operator {
        name: deploy::operator(command),
        break_lock: common.break_lock,
    };
    pool.lock(&operator, &|text| report::say(&text)).await
}

/// Connects to hosts and takes their locks; without locks for whoever only wants the plan.
///
/// # Errors
/// Another operator is at work.
pub async fn enter(
    targets: Vec<Target>,
    common: &Common,
    command: &str,
) -> Result<ConnectionPool, Vec<Diagnostic>> {
    let mut pool = ConnectionPool::open(targets, common.reach.forks).await;
    if !common.dry_run {
        lock(&mut pool, common, command).await?;
    }
    Ok(pool)
}

/// The hosts that keep the journal: the databases that were reached.
pub fn keepers(site: &Site, pool: &ConnectionPool) -> Vec<String> {
    let databases = site.members("postgresql");
    pool.reached()
        .filter(|host| databases.iter().any(|database| database == host))
        .map(str::to_owned)
        .collect()
}

/// What the journal of an operation says first.
pub fn header(
    common: &Common,
    kind: &str,
    cluster: &Cluster,
    keepers: &[String],
    mut details: Notes,
) -> Header {
    let timelines = cluster.nodes().map(|(_, node)| node.timeline());
    details.insert(
        "timeline".to_owned(),
        timelines.max().unwrap_or(0).to_string(),
    );
    Header {
        epoch: cluster.next_epoch(),
        hosts: keepers.to_vec(),
        details,
        ..Header::new(kind, &deploy::operator(kind), &common.reason)
    }
}

/// A flag that Ctrl-C and SIGTERM raise.
pub fn stop_flag() -> Arc<AtomicBool> {
    stop::flag(
        "stopping: rolling back after this step; from the promotion on it goes on to the end",
    )
}

/// Prints what would be done.
pub fn dry_run(global: &Global, kind: &str, conditions: &Conditions, steps: &[Step]) -> Outcome {
    let failed = conditions.failed().len();
    if global.json {
        report::json::document(
            kind,
            &json!({"dry_run": true, "conditions": conditions, "steps": reporter::plan_json(steps), "possible": failed == 0}),
        );
    } else {
        report::out(&format!(
            "{}\n{}",
            reporter::conditions(conditions),
            reporter::plan(steps, true)
        ));
    }
    Ok(if failed == 0 {
        exit::DONE
    } else {
        exit::REFUSED
    })
}

/// An operation that is to be run.
pub struct Planned {
    /// What the journal says first; its hosts keep it.
    pub header: Header,
    /// What must hold; already looked at.
    pub conditions: Conditions,
    /// What is done.
    pub steps: Vec<Step>,
    /// Hosts that must confirm right before the point of no return that the operation is still this one's.
    pub arbiters: Vec<String>,
}

/// The hosts of steps that keep no journal, but learn the epoch.
pub fn step_hosts(steps: &[Step], keepers: &[String]) -> Vec<String> {
    let hosts: std::collections::BTreeSet<&String> = steps
        .iter()
        .map(|step| &step.host)
        .filter(|host| *host != HERE && !keepers.contains(host))
        .collect();
    hosts.into_iter().cloned().collect()
}

/// Notes on hosts the end of operations that are over, and says so. For whoever changes something anyway.
pub async fn settle(global: &Global, pool: &mut ConnectionPool, cluster: &Cluster) -> Vec<String> {
    let settled = operation::settle(pool, cluster.stale_journals()).await;
    if !global.json {
        for sentence in &settled {
            report::say(sentence);
        }
    }
    settled
}

/// Demands the conditions, writes the journal, makes the steps, and says how it ended.
pub async fn carry_out(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    planned: Planned,
) -> Outcome {
    let Planned {
        mut header,
        conditions,
        steps,
        arbiters,
    } = planned;
    let keepers = header.hosts.clone();
    conditions.demand()?;
    let hosts = step_hosts(&steps, &keepers);
    operation::begin(pool, &mut header, &keepers, &hosts)
        .await
        .map_err(|error| vec![error])?;
    let record = Record {
        header,
        steps: Vec::new(),
        end: None,
    };
    let work = Work {
        record,
        keepers,
        steps,
        arbiters,
    };
    follow(global, site, pool, work, &conditions).await
}

/// An operation whose journal and epoch are on the hosts.
pub struct Work {
    /// Its journal.
    pub record: Record,
    /// The hosts that keep it.
    pub keepers: Vec<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// As in [`Planned`].
    pub arbiters: Vec<String>,
}

/// What the scripts of an operation prove on their hosts.
pub fn token(record: &Record) -> Token {
    Token {
        epoch: record.header.epoch,
        id: record.header.id.clone(),
    }
}

/// Makes the steps that a record lacks.
pub async fn follow(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    work: Work,
    conditions: &Conditions,
) -> Outcome {
    let stop = stop_flag();
    let teller = reporter::Teller::new(global.json);
    let Work {
        record,
        keepers,
        steps,
        arbiters,
    } = work;
    let (id, kind) = (record.header.id.clone(), record.header.kind.clone());
    let details = record.header.details.clone();
    let began = std::time::Instant::now();
    let ending = Operation {
        token: token(&record),
        record,
        keepers,
        arbiters,
        steps,
        stop: &stop,
        tell: &|event: Event| {
            teller.tell(&event);
            die_after(&event);
        },
    }
    .run(pool)
    .await;
    teller.end();
    let (result, sentence) = match &ending {
        Ending::Done => ("done", said(&kind, &details)),
        Ending::Undone(_) => ("undone", String::new()),
        Ending::Incomplete(_) => ("incomplete", String::new()),
        Ending::Overtaken(_) => ("overtaken", String::new()),
    };
    if global.json {
        report::json::document(
            &kind,
            &json!({"dry_run": false, "id": id, "result": result, "details": details, "conditions": conditions,
                "steps": teller.steps(), "seconds": began.elapsed().as_secs_f64()}),
        );
    } else if !sentence.is_empty() {
        report::out(&format!(
            "{sentence} ({:.1} s)\n",
            began.elapsed().as_secs_f64()
        ));
    }
    let incomplete = matches!(ending, Ending::Incomplete(_));
    let outcome = ending.result().map(|()| exit::DONE);
    match outcome {
        Err(errors) if incomplete => Err(way_on(site, pool, errors).await),
        outcome => outcome,
    }
}

/// Looks at what an operation that could not be ended has left, and says the way on.
pub async fn way_on(
    site: &Site,
    pool: &mut ConnectionPool,
    mut errors: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    pool.reopen().await;
    let cluster = Cluster::look(site, pool).await;
    let situation = cluster
        .unfinished()
        .and_then(|record| Situation::of(&cluster, &record));
    let Some(mut last) = errors.pop() else {
        return errors;
    };
    if cluster.primaries().is_empty() {
        last = last.note("writes are down: no server that answers takes any");
    }
    errors.push(match situation {
        Some(situation) => last
            .note(situation.reason())
            .help(format!("the way on: {}", situation.command())),
        None => {
            last.help("when the cause is fixed: hactl resume (hactl status shows how things are)")
        }
    });
    errors
}

/// For tests of what a killed hactl leaves behind: `HACTL_TEST_DIE_AFTER=STEP` kills this process as soon as the step is made,
/// before that is written down; `HACTL_TEST_STOP_AFTER=STEP` stops it there until it is continued, as a laptop does whose lid
/// is closed. They harm no more than any other signal.
fn die_after(event: &Event) {
    use nix::sys::signal::{Signal, raise};
    let Event::Done { id, .. } = event else {
        return;
    };
    for (name, signal) in [
        ("HACTL_TEST_DIE_AFTER", Signal::SIGKILL),
        ("HACTL_TEST_STOP_AFTER", Signal::SIGSTOP),
    ] {
        if std::env::var(name).is_ok_and(|step| step == *id) {
            let _ = raise(signal);
        }
    }
}

fn said(kind: &str, details: &Notes) -> String {
    let name = |key: &str| details.get(key).cloned().unwrap_or_default();
    match kind {
        "switchover" => format!(
            "{} is the primary now, {} follows it",
            name("new"),
            name("old")
        ),
        "failover" => format!(
            "{} is the primary now; {} is out until: hactl rejoin {}",
            name("new"),
            name("old"),
            name("old")
        ),
        "rejoin" if name("host") == name("primary") => {
            format!("{} is blocked by nobody any more", name("host"))
        }
        "rejoin" => format!("{} follows {}", name("host"), name("primary")),
        _ => format!("{kind} done"),
    }
}
