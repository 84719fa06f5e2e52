//! `hactl drill`: a failure for real, and what clients see of it.

mod heal;
mod lab;

pub use heal::heal;

use super::{Global, Outcome, deploy, fleet, stop};
use crate::base::{Diagnostic, Result, exit};
use crate::ops::drill::catalog::{self, DRILLS};
use crate::ops::drill::drill_target::{self, DrillAssignment, DrillTarget};
use crate::ops::drill::fault_injector::FaultInjector;
use crate::ops::drill::hactl::Hactl;
use crate::ops::drill::load::RATES;
use crate::ops::drill::plan::Drill;
use crate::ops::drill::run::{self, LeftOut, Record, Tools};
use crate::ops::hosts::Site;
use crate::report::{self, drill as reporter};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Drills by name (`switchover`) or short name (`D1`), or `all`
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub names: Vec<String>,
    /// List the drills; break nothing
    #[arg(long)]
    pub list: bool,
    /// Writes a second, 10 to 100; from 1 on where hosts have a `hactl_patience`
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rate: u32,
    /// How long a client waits for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub timeout: f64,
    /// Run each drill so many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub repeat: u32,
    /// Write drill.html (works from disk, without network) and drill.json into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Allow this host to be broken although it is in no lab; once for each
    #[arg(long, value_name = "HOST")]
    pub yes_break: Vec<String>,
    /// The lab that the hosts are in, when the inventory does not say so
    #[arg(long, value_name = "NAME")]
    pub lab: Option<String>,
    /// Take and keep the keys of hosts that are not in known_hosts
    #[arg(long)]
    pub accept_new_host_keys: bool,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let one = |error: Diagnostic| vec![error];
    if args.list {
        report::out(&list());
        return Ok(exit::DONE);
    }
    let drills = wanted(&args).map_err(one)?;
    possible(global).map_err(one)?;
    let reach = fleet::ConnectArgs {
        forks: 32,
        accept_new_host_keys: args.accept_new_host_keys,
        ask_become_pass: false,
    };
    let site = fleet::site(global, &reach, "all", drill_target::VARIABLES)?;
    sensible(args.rate, &site).map_err(one)?;
    let injector = lab::LabBreaker::find(&site, args.lab.as_deref()).map_err(one)?;
    let injector = injector.map(|injector| Arc::new(injector) as Arc<dyn FaultInjector>);
    let drill_target = DrillTarget::new(site).map_err(one)?;
    let (drills, left_out) = apart(drills, &args, &drill_target).map_err(one)?;
    let hactl = hactl(global).map_err(one)?;
    let runtime = deploy::runtime().map_err(one)?;
    let (stop, stopped) = watch::channel(false);
    let (records, error) = runtime.block_on(async {
        stop::then("ending; what was broken is being repaired", move || {
            stop.send_replace(true);
        });
        let tools = Tools {
            injector,
            hactl,
            rate: args.rate,
            limit: Duration::from_secs_f64(args.timeout),
            operator: deploy::operator("drill"),
            stop: &stopped,
            tell: &|line| report::say(line),
        };
        all(&drills, &drill_target, &tools, &args.yes_break).await
    });
    if let Some(folder) = &args.report {
        reporter::write(folder, &records, &left_out).map_err(one)?;
        report::say(&format!("report: {}", folder.join("drill.html").display()));
    }
    if !records.is_empty() {
        report::out(&if global.json {
            reporter::json(&records, &left_out)
        } else {
            reporter::text(&records, &left_out)
        });
    }
    if let Some(error) = error {
        return Err(vec![error]);
    }
    Ok(if records.iter().all(Record::passed) {
        exit::DONE
    } else {
        exit::FAILED
    })
}

/// Runs the drills until one leaves a service that is not whole.
async fn all(
    drills: &[&'static Drill],
    drill_target: &DrillTarget,
    tools: &Tools<'_>,
    allowed: &[String],
) -> (Vec<Record>, Option<Diagnostic>) {
    let mut records: Vec<Record> = Vec::new();
    for drill in drills {
        if tools.stopped() {
            break;
        }
        report::say(&format!("{} {}: {}", drill.id, drill.name, drill.what));
        let assignment = match drill_target.assignment().await {
            Ok(assignment) => assignment,
            Err(error) => return (records, Some(error)),
        };
        if let Err(error) = may_break(drill, &assignment, tools, allowed) {
            return (records, Some(error));
        }
        match run::run(drill, drill_target, assignment, tools).await {
            Ok(record) => {
                let healthy = record.healthy;
                records.push(record);
                if !healthy {
                    report::say("the service is not healthy, so no further drill is run");
                    break;
                }
            }
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// Refuses a rate that shows too little, or that nobody could serve. Slow hosts may be asked less often: more would only show
/// how they queue.
fn sensible(rate: u32, site: &Site) -> Result<()> {
    let least = if site.patience() > 1 {
        1
    } else {
        *RATES.start()
    };
    if (least..=*RATES.end()).contains(&rate) {
        return Ok(());
    }
    Err(Diagnostic::new(format!(
        "--rate {rate}: {least} to {} writes a second",
        RATES.end()
    )))
}

/// The drills that are asked for.
fn wanted(args: &Args) -> Result<Vec<&'static Drill>> {
    if !(0.1..=60.0).contains(&args.timeout) {
        return Err(Diagnostic::new(format!(
            "--timeout {}: 0.1 to 60 seconds",
            args.timeout
        )));
    }
    let mut found = Vec::new();
    for name in &args.names {
        if name == "all" {
            found.extend(DRILLS.iter());
            continue;
        }
        found.push(catalog::find(name).ok_or_else(|| {
            let names: Vec<&str> = DRILLS.iter().map(|drill| drill.name).collect();
            Diagnostic::new(format!("there is no drill `{name}`"))
                .help(format!("there are: {}, and all", names.join(", ")))
        })?);
    }
    let times = usize::try_from(args.repeat.max(1)).unwrap_or(1);
    Ok(found
        .into_iter()
        .flat_map(|drill| std::iter::repeat_n(drill, times))
        .collect())
}

/// Those that this service can be drilled with, and those of `all` that it lacks something for.
fn apart(
    drills: Vec<&'static Drill>,
    args: &Args,
    drill_target: &DrillTarget,
) -> Result<(Vec<&'static Drill>, Vec<LeftOut>)> {
    let (mut good, mut left_out): (Vec<_>, Vec<LeftOut>) = (Vec::new(), Vec::new());
    for drill in drills {
        let missing = drill
            .needs
            .filter(|group| drill_target.site().members(group).is_empty());
        let Some(group) = missing else {
            good.push(drill);
            continue;
        };
        let why = format!("the inventory has no host in the group `{group}`");
        let named = |name: &String| name == drill.name || name.eq_ignore_ascii_case(drill.id);
        if args.names.iter().any(named) {
            return Err(Diagnostic::new(format!("`{}`: {why}", drill.name)));
        }
        left_out.push(LeftOut { drill, why });
    }
    Ok((good, left_out))
}

/// hactl runs itself within a drill: nobody is there to type a password then, and no host may be left out.
fn possible(global: &Global) -> Result<()> {
    if global.limit.is_some() {
        return Err(Diagnostic::new(
            "a drill covers the whole service, and --limit would hide parts of it",
        ));
    }
    if global.ask_vault_pass {
        return Err(Diagnostic::new(
            "a drill runs hactl many times and cannot ask for the vault password",
        )
        .help("give it with --vault-password-file"));
    }
    Ok(())
}

/// Refuses to break hosts that are in no lab and were not named.
fn may_break(
    drill: &Drill,
    assignment: &DrillAssignment,
    tools: &Tools<'_>,
    allowed: &[String],
) -> Result<()> {
    if tools.injector.is_some() {
        return Ok(());
    }
    if drill.needs_injector() {
        return Err(Diagnostic::refused(format!(
                "`{}` takes power or cables away, or rebuilds a host, and that can be done in a lab only",
                drill.name
            ),
        )
        .help("`hactl drill --list` says which drills need a lab"));
    }
    let victims: Vec<String> = drill
        .breaks
        .iter()
        .flat_map(|who| who.hosts(assignment))
        .collect();
    let unnamed: Vec<&String> = victims
        .iter()
        .filter(|host| !allowed.contains(host))
        .collect();
    if unnamed.is_empty() {
        return Ok(());
    }
    let flags: Vec<String> = victims
        .iter()
        .map(|host| format!("--yes-break {host}"))
        .collect();
    Err(Diagnostic::refused(format!(
        "`{}` would break {}, and these hosts are in no lab",
        drill.name,
        drill_target::listed(&victims)
    ))
    .help(format!("if that is what you want: {}", flags.join(" "))))
}

/// This program with the global arguments that it was given.
fn hactl(global: &Global) -> Result<Hactl> {
    let program = std::env::current_exe().map_err(|error| {
        Diagnostic::with_code(exit::FAILED, format!("hactl cannot find itself: {error}"))
    })?;
    let mut words: Vec<OsString> = vec!["-C".into(), global.project.clone().into()];
    for inventory in &global.inventory {
        words.extend(["-i".into(), inventory.clone().into()]);
    }
    for variables in &global.extra_vars {
        words.extend(["-e".into(), variables.into()]);
    }
    if let Some(file) = &global.vault_password_file {
        words.extend(["--vault-password-file".into(), file.clone().into()]);
    }
    Ok(Hactl {
        program,
        global: words,
    })
}

fn list() -> String {
    let width = DRILLS
        .iter()
        .map(|drill| drill.name.len())
        .max()
        .unwrap_or_default();
    DRILLS.iter().fold(String::new(), |mut text, drill| {
        let lab = if drill.needs_injector() {
            " (lab only)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{:<4} {:<width$}  {}{lab}",
            drill.id, drill.name, drill.what
        );
        text
    })
}
