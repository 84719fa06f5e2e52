//! Moving the address: flag, wait, flag back, see that it stays; undone when anything goes wrong on the way.

use super::KIND;
use super::plan::{Interrupted, MoveOptions, MovePlan, Moving, clear, forget, plan, set};
use super::probe::{Balancer, Place, VipSnapshot, glance, list, observe};
use super::prober::{self, Gap};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::operation::context::{OperationContext, Work, milliseconds, pace};
use std::time::{Duration, Instant};

/// So long the address may take to move. A graceful move takes less than a second; this covers a holder that gives it up
/// without a word (three advertisements and a skew) several times over.
const LIMIT: Duration = Duration::from_secs(20);
/// So long the former holder may take to leave the fault that its flag made.
const CALM: Duration = Duration::from_secs(15);
/// So many answers a prober must have had before anything is moved.
const WARM: usize = 3;

/// What came of it.
#[derive(Debug)]
pub enum Ended {
    /// Something stands against it; nothing was changed.
    Refused(Vec<Diagnostic>),
    /// It was there already; the holder.
    Nothing(String),
    /// A move that was broken off earlier is brought to its end; the holder.
    Finished(String),
    /// It was moved.
    Done(Moved),
    /// It went wrong; what was undone, and what could not be, stands in it.
    Failed(Diagnostic),
}

/// A move that was made.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The former holder.
    pub from: String,
    /// The holder.
    pub to: String,
    /// What clients on other hosts saw meanwhile.
    pub gaps: Vec<Gap>,
    /// From the flag until the new holder answered, in milliseconds, seen from here.
    pub milliseconds: u64,
}

/// Moves the address, or brings an earlier move to its end.
pub async fn run(
    place: &Place,
    options: &MoveOptions,
    context: &mut OperationContext<'_>,
) -> Ended {
    let mut options = options.clone();
    let mut seen = observe(place, context.pool).await;
    let interrupted = seen.interrupted();
    if let Some(old) = &interrupted {
        (context.say)(&format!(
            "a move was broken off earlier ({}); its flags are cleared first",
            old.by
        ));
        if let Err(error) = settle(place, old, &seen, context).await {
            return Ended::Failed(error);
        }
        options.to = options.to.or_else(|| old.to.clone());
        seen = observe(place, context.pool).await;
    }
    match plan(&seen, &options) {
        Err(errors) => Ended::Refused(errors),
        Ok(MovePlan::Nothing(holder)) if interrupted.is_some() => Ended::Finished(holder),
        Ok(MovePlan::Nothing(holder)) => Ended::Nothing(holder),
        Ok(MovePlan::Move(moving)) => {
            context.log.detail("to", &moving.to);
            context.log.detail("from", &moving.from);
            match carry(place, &moving, &options, &seen, context).await {
                Ok(moved) => Ended::Done(moved),
                Err(error) => Ended::Failed(error),
            }
        }
    }
}

/// Clears the flags that a broken-off move has left, but not those of hosts that are in maintenance.
///
/// # Errors
/// When a host does not do it, or stays in its fault.
pub async fn settle(
    place: &Place,
    old: &Interrupted,
    seen: &VipSnapshot,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    let mut work = Work::new();
    for host in &old.hosts {
        let kept = seen
            .balancer(host)
            .is_none_or(|balancer| balancer.maintenance().is_some());
        let request = if kept { Request::sh(forget()) } else { clear() };
        work.insert(host.clone(), vec![request]);
    }
    let cleared: Vec<String> = work.keys().cloned().collect();
    context
        .step("clear the flag of a move that was broken off", work)
        .await?;
    calm(place, &cleared, seen, context).await
}

/// Waits until these hosts are no longer in the fault that their flag made.
async fn calm(
    place: &Place,
    hosts: &[String],
    seen: &VipSnapshot,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let now = glance(place, context.pool).await;
        let faulty: Vec<&Balancer> = now
            .iter()
            .filter(|b| hosts.contains(&b.host) && !b.is_flagged())
            .filter(|b| b.state.as_deref() == Some("FAULT"))
            // A host whose HAProxy does not answer stays in its fault, flag or no flag.
            .filter(|b| seen.balancer(&b.host).is_none_or(|b| b.check == Some(0)))
            .collect();
        let Some(first) = faulty.first() else {
            return Ok(());
        };
        if begun.elapsed() > CALM {
            return Err(Diagnostic::with_code(
                exit::INCOMPLETE,
                format!(
                    "its flag is cleared, but after {} s keepalived has still not left its fault: this host cannot take the address",
                    CALM.as_secs()
                ),
            )
            .on(&first.host)
            .help("journalctl -u keepalived; run /etc/keepalived/scripts/check-haproxy there"));
        }
        pace().await;
    }
}

/// Does what was planned, and undoes it when it does not come to its end.
async fn carry(
    place: &Place,
    moving: &Moving,
    options: &MoveOptions,
    seen: &VipSnapshot,
    context: &mut OperationContext<'_>,
) -> Result<Moved> {
    let viewers: Vec<String> = seen.viewers.iter().map(|v| v.host.clone()).collect();
    let begun = Instant::now();
    let result = match watch(place, &viewers, context).await {
        Ok(()) => shift(place, moving, options, seen, context).await,
        Err(error) => Err(error),
    };
    let gaps = unwatch(&viewers, context).await;
    match result {
        Ok(at) => Ok(Moved {
            from: moving.from.clone(),
            to: moving.to.clone(),
            gaps,
            milliseconds: milliseconds(at.duration_since(begun)),
        }),
        Err(error) => Err(undo(place, moving, error, context).await),
    }
}

/// Starts the probers and waits until each has had answers, so that the last one before the gap is known.
async fn watch(
    place: &Place,
    viewers: &[String],
    context: &mut OperationContext<'_>,
) -> Result<()> {
    let (id, begun) = (context.log.id().to_owned(), Instant::now());
    let each = |request: Request| -> Work {
        viewers
            .iter()
            .map(|host| (host.clone(), vec![request.clone()]))
            .collect()
    };
    context.ask(each(prober::start(place, &id))).await;
    loop {
        let answers = context.ask(each(prober::read(&id))).await;
        let cold = answers.iter().find(|(host, answer)| {
            !matches!(answer, Ok(replies) if replies.first().is_some_and(|reply| prober::gap(host, &reply.out()).answered >= WARM))
        });
        let Some((host, _)) = cold else {
            return Ok(());
        };
        if begun.elapsed() > Duration::from_secs(8) || context.stopped() {
            return Err(Diagnostic::with_code(
                exit::FAILED,
                format!(
                    "requests to {} from there are not answered steadily",
                    place.address
                ),
            )
            .on(host));
        }
        pace().await;
    }
}

async fn unwatch(viewers: &[String], context: &mut OperationContext<'_>) -> Vec<Gap> {
    let id = context.log.id().to_owned();
    let work = viewers
        .iter()
        .map(|host| (host.clone(), vec![prober::stop(&id)]))
        .collect();
    context
        .ask(work)
        .await
        .into_iter()
        .filter_map(|(host, answer)| Some((host, answer.ok()?)))
        .filter_map(|(host, replies)| Some(prober::gap(&host, &replies.first()?.out())))
        .collect()
}

/// The move itself. Gives the moment at which the new holder answered.
async fn shift(
    place: &Place,
    moving: &Moving,
    options: &MoveOptions,
    seen: &VipSnapshot,
    context: &mut OperationContext<'_>,
) -> Result<Instant> {
    let request = set(&context.log.header_of(KIND));
    let aside = moving.aside.iter().map(String::as_str);
    context
        .each("set the flag, so that it stays aside", aside, &request)
        .await?;
    context
        .each(
            &format!("set the flag: keepalived gives {} up", place.address),
            [moving.from.as_str()],
            &request,
        )
        .await?;
    arrive(place, &moving.to, context).await?;
    let arrived = Instant::now();
    let back: Vec<String> = moving
        .aside
        .iter()
        .chain((!options.keep).then_some(&moving.from))
        .cloned()
        .collect();
    let back_names = back.iter().map(String::as_str);
    context.each("clear the flag", back_names, &clear()).await?;
    if options.keep {
        let done = Request::sh(forget());
        let work = [(moving.from.clone(), vec![done])].into();
        context.ask(work).await;
    }
    calm(place, &back, seen, context).await?;
    let now = observe(place, context.pool).await;
    match now.objection(&moving.to) {
        None => Ok(arrived),
        Some(why) => Err(Diagnostic::with_code(
            exit::FAILED,
            format!("{} did not stay on {}: {why}", place.address, moving.to),
        )
        .help("hactl vip status; journalctl -u keepalived on both")),
    }
}

/// Waits until exactly this host has the address, the others find it there, and it answers.
async fn arrive(place: &Place, to: &str, context: &mut OperationContext<'_>) -> Result<()> {
    let begun = Instant::now();
    (context.say)(&format!("{to}: wait until it has {}", place.address));
    context.log.step(&[to], "wait until it has the address");
    loop {
        let holders: Vec<String> = glance(place, context.pool)
            .await
            .into_iter()
            .filter(|balancer| balancer.holds)
            .map(|balancer| balancer.host)
            .collect();
        let mut why = format!(
            "it is on {}",
            list(&holders.iter().map(String::as_str).collect::<Vec<_>>())
        );
        if holders == [to] {
            match observe(place, context.pool).await.objection(to) {
                None => return Ok(()),
                Some(objection) => why = objection,
            }
        }
        if context.stopped() {
            return Err(Diagnostic::with_code(exit::FAILED, "ended by the operator"));
        }
        if begun.elapsed() > LIMIT {
            return Err(Diagnostic::with_code(
                exit::FAILED,
                format!(
                    "{} did not move to {to} within {} s: {why}",
                    place.address,
                    LIMIT.as_secs()
                ),
            ));
        }
        pace().await;
    }
}

/// Clears the flags that were set, and tells where the address is now.
async fn undo(
    place: &Place,
    moving: &Moving,
    mut error: Diagnostic,
    context: &mut OperationContext<'_>,
) -> Diagnostic {
    context.pool.reopen().await;
    let mut flagged: Vec<&str> = moving.aside.iter().map(String::as_str).collect();
    flagged.push(&moving.from);
    // Only where this move is noted: nobody else's flag is touched.
    let request = Request::sh(format!(
        "if grep -q {} {} 2>/dev/null; then printf '0\\n' >{} && {}; fi",
        crate::base::quote::sh(context.log.id()),
        crate::ops::operation::journal::OPERATION,
        super::FLAG,
        forget()
    ));
    if let Err(failed) = context
        .each("undo: clear the flag", flagged, &request)
        .await
    {
        error.code = exit::INCOMPLETE;
        return error
            .note(format!("the flag could not be cleared: {failed}"))
            .help("hactl vip move again, or hactl maintenance off HOST, clears it");
    }
    let begun = Instant::now();
    loop {
        let now = glance(place, context.pool).await;
        let holders: Vec<&str> = now
            .iter()
            .filter(|b| b.holds)
            .map(|b| b.host.as_str())
            .collect();
        if holders.len() == 1 || begun.elapsed() > LIMIT {
            context.log.step(
                &holders,
                &format!("undone; the address is on {}", list(&holders)),
            );
            if holders.len() != 1 {
                error.code = exit::INCOMPLETE;
            }
            return error.note(format!(
                "undone: the flags are cleared; {} is on {}",
                place.address,
                list(&holders)
            ));
        }
        pace().await;
    }
}
