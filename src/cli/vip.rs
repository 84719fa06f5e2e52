//! `hactl vip`: where the virtual address is, and moving it.

use super::{Global, Outcome, deploy, fleet, operation_context};
use crate::base::{Diagnostic, exit};
use crate::ops::entrance::vip::{self, Ended, MoveOptions, MovePlan, Place};
use crate::ops::hosts::Site;
use crate::ops::operation::context::{Log, OperationContext};
use crate::ops::operation::journal::Header;
use crate::report;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Who has the address, as the hosts say and as two others find it; who could take it
    Status {
        #[command(flatten)]
        reach: fleet::ConnectArgs,
    },
    /// Move the address to another load balancer, by the flag that keepalived tracks; no daemon is stopped
    Move(Move),
}

#[derive(Debug, clap::Args)]
struct Move {
    /// To this host; otherwise to the ready one of the highest priority
    #[arg(long, value_name = "HOST")]
    to: Option<String>,
    /// Show the steps; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    common: operation_context::Common,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    if global.limit.is_some() {
        return Err(vec![Diagnostic::new(
            "all hosts must be seen to know who has the address, and --limit would hide some",
        )]);
    }
    match args.command {
        Command::Status { reach } => status(global, &reach),
        Command::Move(options) => shift(global, &options),
    }
}

fn site(global: &Global, reach: &fleet::ConnectArgs) -> Result<(Site, Place), Vec<Diagnostic>> {
    let site = fleet::site(global, reach, "all", vip::variables())?;
    let place = Place::of(&site).map_err(|error| vec![error])?;
    Ok((site, place))
}

fn status(global: &Global, reach: &fleet::ConnectArgs) -> Outcome {
    let (site, place) = site(global, reach)?;
    let seen =
        operation_context::glance(&site, reach, async |pool| vip::observe(&place, pool).await)?;
    report::out(&if global.json {
        report::vip::json(&seen)
    } else {
        report::vip::text(&seen)
    });
    Ok(if seen.balancers.iter().any(|one| one.lost.is_some()) {
        exit::UNREACHABLE
    } else if report::vip::faults(&seen).is_empty() {
        exit::DONE
    } else {
        exit::FAULTS
    })
}

fn shift(global: &Global, args: &Move) -> Outcome {
    let (site, place) = site(global, &args.common.reach)?;
    let options = MoveOptions {
        to: args.to.clone(),
        keep: false,
    };
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let lock = (!args.dry_run).then_some(("vip move", args.common.break_lock));
        let mut pool = operation_context::open(&site, &args.common.reach, lock).await?;
        if args.dry_run {
            let seen = vip::observe(&place, &mut pool).await;
            return dry(global, &seen, &options);
        }
        let stop = operation_context::stop();
        let mut context = OperationContext {
            pool: &mut pool,
            stop: &stop,
            say: &report::say,
            log: Log::new(Header::new(
                vip::KIND,
                &deploy::operator("vip move"),
                &args.reason,
            )),
        };
        let ended = vip::run(&place, &options, &mut context).await;
        let (code, kept) = tell(global, &place.address, ended);
        if let Some((result, message)) = kept {
            let hosts: Vec<&str> = place.balancers.iter().map(String::as_str).collect();
            context.close(hosts, result, &message).await;
        }
        Ok(code)
    })
}

/// The steps, or what stands against them.
fn dry(global: &Global, seen: &vip::VipSnapshot, options: &MoveOptions) -> Outcome {
    let mut options = options.clone();
    if let Some(old) = seen.interrupted() {
        report::say(&format!(
            "a move was broken off earlier ({}): the flags on {} would be cleared first",
            old.by,
            old.hosts.join(", ")
        ));
        options.to = options.to.or(old.to);
    }
    match vip::plan(seen, &options)? {
        MovePlan::Nothing(holder) => {
            report::say(&format!("{} is on {holder} already", seen.address));
            if global.json {
                report::out(&report::vip::plan_json(&[]));
            }
        }
        MovePlan::Move(moving) => {
            let steps = moving.steps(&seen.address, options.keep);
            report::out(&if global.json {
                report::vip::plan_json(&steps)
            } else {
                report::vip::plan(&steps)
            });
        }
    }
    Ok(exit::DONE)
}

/// Tells how it ended: exit code, and what the history keeps; nothing when nothing was changed.
fn tell(global: &Global, address: &str, ended: Ended) -> (u8, Option<(&'static str, String)>) {
    let (word, holder, moved) = match &ended {
        Ended::Refused(_) => ("refused", None, None),
        Ended::Failed(_) => ("failed", None, None),
        Ended::Nothing(holder) => ("nothing to do", Some(holder.as_str()), None),
        Ended::Finished(holder) => ("done", Some(holder.as_str()), None),
        Ended::Done(moved) => ("done", Some(moved.to.as_str()), Some(moved)),
    };
    if global.json {
        report::out(&report::vip::ended_json(word, holder, moved));
    }
    match ended {
        Ended::Refused(errors) => {
            report::diagnostics(&errors);
            let code = errors.iter().map(|error| error.code).max();
            (code.unwrap_or(exit::REFUSED), None)
        }
        Ended::Failed(error) => {
            let message = format!("{error}; {}", error.notes.join("; "));
            let code = error.code;
            report::diagnostics(&[error]);
            let result = if code == exit::FAILED {
                "undone"
            } else {
                "incomplete"
            };
            (code, Some((result, message)))
        }
        Ended::Nothing(holder) => {
            report::say(&format!("{address} is on {holder} already"));
            (exit::DONE, None)
        }
        Ended::Finished(holder) => {
            let message =
                format!("the move that was broken off is at its end: {address} is on {holder}");
            report::say(&message);
            (exit::DONE, Some(("done", message)))
        }
        Ended::Done(moved) => {
            let message = report::vip::moved(address, &moved);
            if !global.json {
                report::out(&message);
            }
            (exit::DONE, Some(("done", message.trim_end().to_owned())))
        }
    }
}
