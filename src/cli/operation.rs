//! What the commands have in common that change who is the primary: how hosts are entered and locked, how it is looked at
//! them, how an operation is begun, followed and ended.

use super::{Global, Outcome, deploy, fleet, stop};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::engine::Operator;
use crate::ops::cluster::VARIABLES;
use crate::ops::cluster::condition::Conditions;
use crate::ops::cluster::operation::{self, Ending, Event, Operation, Step};
use crate::ops::crew::Crew;
use crate::ops::hosts::Site;
use crate::ops::journal::{Header, Notes, Record};
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
    pub reach: fleet::Reach,
}

/// The database hosts (or all hosts) of the service.
///
/// # Errors
/// Configuration errors; no group postgresql.
pub fn site(global: &Global, reach: &fleet::Reach) -> Result<Site, Vec<Diagnostic>> {
    if global.limit.is_some() {
        return Err(vec![Diagnostic::new(
            "this command looks at the whole service, and --limit would hide parts of it",
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
pub async fn lock(crew: &mut Crew, common: &Common, command: &str) -> Result<(), Vec<Diagnostic>> {
    let operator = Operator {
        name: deploy::operator(command),
        break_lock: common.break_lock,
    };
    crew.lock(&operator, &|text| report::say(&text)).await
}

/// Connects to hosts and takes their locks; without locks for whoever only wants the plan.
///
/// # Errors
/// Another operator is at work.
pub async fn enter(
    targets: Vec<Target>,
    common: &Common,
    command: &str,
) -> Result<Crew, Vec<Diagnostic>> {
    let mut crew = Crew::open(targets, common.reach.forks).await;
    if !common.dry_run {
        lock(&mut crew, common, command).await?;
    }
    Ok(crew)
}

/// The hosts that keep the journal: the databases that were reached.
pub fn keepers(site: &Site, crew: &Crew) -> Vec<String> {
    let databases = site.members("postgresql");
    crew.reached()
        .filter(|host| databases.iter().any(|database| database == host))
        .map(str::to_owned)
        .collect()
}

/// What the journal of an operation says first.
pub fn header(common: &Common, kind: &str, keepers: &[String], details: Notes) -> Header {
    Header {
        hosts: keepers.to_vec(),
        details,
        ..Header::new(kind, &deploy::operator(kind), &common.reason)
    }
}

/// A flag that Ctrl-C and SIGTERM raise.
pub fn stop_flag() -> Arc<AtomicBool> {
    stop::flag(
        "ending: what can be taken back is taken back after this step; from the promotion on it goes on to the end",
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
}

/// Demands the conditions, writes the journal, makes the steps, and says how it ended.
pub async fn carry_out(global: &Global, crew: &mut Crew, planned: Planned) -> Outcome {
    let Planned {
        header,
        conditions,
        steps,
    } = planned;
    let keepers = header.hosts.clone();
    conditions.demand()?;
    operation::begin(crew, &header, &keepers)
        .await
        .map_err(|error| vec![error])?;
    let record = Record {
        header,
        steps: Vec::new(),
        end: None,
    };
    follow(global, crew, record, keepers, steps, &conditions).await
}

/// Makes the steps that a record lacks.
pub async fn follow(
    global: &Global,
    crew: &mut Crew,
    record: Record,
    keepers: Vec<String>,
    steps: Vec<Step>,
    conditions: &Conditions,
) -> Outcome {
    let stop = stop_flag();
    let teller = reporter::Teller::new(global.json);
    let (id, kind) = (record.header.id.clone(), record.header.kind.clone());
    let details = record.header.details.clone();
    let began = std::time::Instant::now();
    let ending = Operation {
        record,
        keepers,
        steps,
        stop: &stop,
        tell: &|event: Event| {
            teller.tell(&event);
            die_after(&event);
        },
    }
    .run(crew)
    .await;
    teller.end();
    let (result, sentence) = match &ending {
        Ending::Done => ("done", said(&kind, &details)),
        Ending::Undone(_) => ("undone", String::new()),
        Ending::Incomplete(_) => ("incomplete", String::new()),
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
    ending.result().map(|()| exit::DONE)
}

/// For tests of what a killed hactl leaves behind: `HACTL_TEST_DIE_AFTER=STEP` kills this process as soon as the step is made,
/// before that is written down. It harms no more than any other SIGKILL.
fn die_after(event: &Event) {
    if let (Event::Done { id, .. }, Ok(step)) = (event, std::env::var("HACTL_TEST_DIE_AFTER"))
        && *id == step
    {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
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
