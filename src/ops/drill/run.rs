//! Runs one drill: makes ready, starts clients and watcher, breaks, heals, verifies, reckons, tidies up.
//!
//! Whatever a step does, healing and tidying are tried. Nothing is reckoned as good because it could not be seen.

use super::drill_run::DrillRun;
use super::drill_target::{DrillAssignment, DrillTarget};
use super::fault_injector::FaultInjector;
use super::hactl::Hactl;
use super::history;
use super::load::{Load, LoadPlan};
use super::metrics::{Figures, measure};
use super::plan::Drill;
use super::record::{Clock, Event, Expectation, Observation, Ran, Sample};
use super::tunnel::ReopeningTunnel;
use super::verdict::judge;
use super::watch::Watch;
use crate::base::{Diagnostic, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What a drill needs besides the service.
pub struct Tools<'a> {
    /// Power and cables, where there is somebody for them.
    pub injector: Option<Arc<dyn FaultInjector>>,
    /// hactl itself.
    pub hactl: Hactl,
    /// Writes a second.
    pub rate: u32,
    /// How long a client waits.
    pub limit: Duration,
    /// Who runs the drill, for the history.
    pub operator: String,
    /// Ends the drill early when it becomes true; it heals all the same.
    pub stop: &'a watch::Receiver<bool>,
    /// Is told what happens.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

impl Tools<'_> {
    /// Whether the drill is to end.
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until it is; for ever when nobody can say so any more.
    pub async fn interrupted(&self) {
        if self.stop.clone().wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A drill that was run.
pub struct Record {
    /// Which.
    pub drill: &'static Drill,
    /// What marked its rows.
    pub mark: String,
    /// When it began, by this machine's clock.
    pub started: SystemTime,
    /// How long all of it took.
    pub seconds: f64,
    /// Who was what.
    pub assignment: DrillAssignment,
    /// Writes a second.
    pub rate: u32,
    /// Every request.
    pub samples: Vec<Sample>,
    /// Every look at the databases.
    pub looks: Vec<Observation>,
    /// Everything that happened.
    pub events: Vec<Event>,
    /// Every run of hactl.
    pub ran: Vec<Ran>,
    /// What it amounts to.
    pub figures: Figures,
    /// Everything that had to hold.
    pub expectations: Vec<Expectation>,
    /// The service was whole at the end.
    pub healthy: bool,
}

impl Record {
    /// Whether everything held.
    pub fn passed(&self) -> bool {
        self.healthy
            && self
                .expectations
                .iter()
                .all(|expectation| expectation.holds)
    }
}

/// A drill that was not run, and why. It never counts as passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub drill: &'static Drill,
    /// Why.
    pub why: String,
}

/// Runs a drill with these parts.
///
/// # Errors
/// Nothing was broken: the service was not whole, or the clients got no write through.
pub async fn run(
    drill: &'static Drill,
    drill_target: &DrillTarget,
    assignment: DrillAssignment,
    tools: &Tools<'_>,
) -> Result<Record> {
    let clock = Clock::start();
    let mut drill_run = DrillRun {
        drill,
        drill_target,
        tools,
        assignment,
        clock,
        started: SystemTime::now(),
        load: None,
        events: Vec::new(),
        ran: Vec::new(),
        expectations: Vec::new(),
    };
    let mark = format!("{:08x}", rand::random::<u32>());
    for step in drill.prepare {
        if let Err(error) = drill_run.step(step).await {
            let healed = drill_run.heal().await;
            drill_run.forget(healed).await;
            return Err(error);
        }
    }
    let viewer = drill_target
        .target(&drill_run.assignment.viewer)
        .ok_or_else(|| {
            Diagnostic::refused("no host is left for the clients to come through")
                .help("a drill measures from an application server or load balancer that it does not break: one must answer (`hactl status`)")
        })?;
    let way = ReopeningTunnel::open(
        viewer,
        &drill_target.address,
        drill_target.port,
        tools.limit,
    )
    .await?;
    let plan = LoadPlan {
        way: way.entrance(),
        address: drill_target.address.clone(),
        port: drill_target.port,
        rate: tools.rate,
        limit: tools.limit,
        mark: mark.clone(),
    };
    let watch = Watch::start(
        drill_run
            .assignment
            .servers
            .iter()
            .filter_map(|(host, server)| {
                Some((drill_target.target(host)?.clone(), server.clone()))
            }),
        clock,
    );
    drill_run.load = Some(Load::start(plan, clock));
    let begun = drill_run.steady(Duration::ZERO).await;
    if begun {
        drill_run.play().await;
        drill_run.heal().await;
        let now = clock.now();
        let after = drill_run.steady(now).await;
        drill_run.expect(
            after,
            "the service takes writes at the end",
            "yes",
            if after { "yes" } else { "no" },
        );
    }
    let samples = match drill_run.load.take() {
        Some(load) => load.stop().await,
        None => Vec::new(),
    };
    let looks = watch.stop().await;
    way.close().await;
    let healthy = begun && drill_run.verify().await;
    if begun {
        drill_run.forget(healthy).await;
    }
    let stored = drill_run.tidy(&mark).await;
    if !begun {
        let seen = samples
            .last()
            .map_or_else(|| "no answer".to_owned(), |sample| sample.note.clone());
        return Err(Diagnostic::refused(
            "no steady writes come through to the service, so nothing was broken",
        )
        .on(&drill_run.assignment.viewer)
        .note(seen)
        .help("see `hactl verify`"));
    }
    let figures = measure(&samples, &looks, &drill_run.events, stored.as_ref());
    let mut expectations = std::mem::take(&mut drill_run.expectations);
    expectations.extend(judge(
        &figures,
        &drill.limits.patient(drill_target.site().patience()),
        drill_target.synchronous(),
    ));
    let record = Record {
        drill,
        mark,
        started: drill_run.started,
        seconds: clock.now().as_secs_f64(),
        assignment: drill_run.assignment.clone(),
        rate: tools.rate,
        samples,
        looks,
        events: std::mem::take(&mut drill_run.events),
        ran: std::mem::take(&mut drill_run.ran),
        figures,
        expectations,
        healthy,
    };
    history::keep(&record, drill_target, tools).await;
    Ok(record)
}
