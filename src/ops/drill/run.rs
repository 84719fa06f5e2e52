//! Runs one drill: makes ready, starts clients and watcher, breaks, heals, verifies, reckons, tidies up.
//!
//! Whatever a step does, healing and tidying are tried. Nothing is reckoned as good because it could not be seen.

use super::breaker::Breaker;
use super::field::{Cast, Field};
use super::hactl::Hactl;
use super::history;
use super::load::{Load, Plan};
use super::plan::Drill;
use super::reckon::{Figures, reckon};
use super::record::{Clock, Event, Expectation, Look, Ran, Sample};
use super::stage::Stage;
use super::verdict::judge;
use super::watch::Watch;
use super::way::Way;
use crate::base::{Diagnostic, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// What a drill needs besides the service.
pub struct Tools<'a> {
    /// Power and cables, where there is somebody for them.
    pub breaker: Option<Arc<dyn Breaker>>,
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
    pub cast: Cast,
    /// Writes a second.
    pub rate: u32,
    /// Every request.
    pub samples: Vec<Sample>,
    /// Every look at the databases.
    pub looks: Vec<Look>,
    /// Everything that happened.
    pub events: Vec<Event>,
    /// Every run of hactl.
    pub ran: Vec<Ran>,
    /// What it amounts to.
    pub figures: Figures,
    /// Everything that had to hold.
    pub expectations: Vec<Expectation>,
    /// The service was whole at the end.
    pub whole: bool,
}

impl Record {
    /// Whether everything held.
    pub fn passed(&self) -> bool {
        self.whole
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
    field: &Field,
    cast: Cast,
    tools: &Tools<'_>,
) -> Result<Record> {
    let clock = Clock::start();
    let mut stage = Stage {
        drill,
        field,
        tools,
        cast,
        clock,
        started: SystemTime::now(),
        load: None,
        events: Vec::new(),
        ran: Vec::new(),
        expectations: Vec::new(),
    };
    let mark = format!("{:08x}", rand::random::<u32>());
    for step in drill.prepare {
        if let Err(error) = stage.step(step).await {
            let healed = stage.heal().await;
            stage.forget(healed).await;
            return Err(error);
        }
    }
    let viewer = field
        .target(&stage.cast.viewer)
        .ok_or_else(|| {
            Diagnostic::refused("no host is left for the clients to come through")
                .help("a drill measures from an application server or load balancer that it does not break: one must answer (`hactl status`)")
        })?;
    let way = Way::open(viewer, &field.address, field.port, tools.limit).await?;
    let plan = Plan {
        way: way.entrance(),
        address: field.address.clone(),
        port: field.port,
        rate: tools.rate,
        limit: tools.limit,
        mark: mark.clone(),
    };
    let watch = Watch::start(
        stage
            .cast
            .servers
            .iter()
            .filter_map(|(host, server)| Some((field.target(host)?.clone(), server.clone()))),
        clock,
    );
    stage.load = Some(Load::start(plan, clock));
    let begun = stage.steady(Duration::ZERO).await;
    if begun {
        stage.play().await;
        stage.heal().await;
        let now = clock.now();
        let after = stage.steady(now).await;
        stage.expect(
            after,
            "the service takes writes at the end",
            "yes",
            if after { "yes" } else { "no" },
        );
    }
    let samples = match stage.load.take() {
        Some(load) => load.stop().await,
        None => Vec::new(),
    };
    let looks = watch.stop().await;
    way.close().await;
    let whole = begun && stage.verify().await;
    if begun {
        stage.forget(whole).await;
    }
    let stored = stage.tidy(&mark).await;
    if !begun {
        let seen = samples
            .last()
            .map_or_else(|| "no answer".to_owned(), |sample| sample.note.clone());
        return Err(Diagnostic::refused(
            "no steady writes come through to the service, so nothing was broken",
        )
        .on(&stage.cast.viewer)
        .note(seen)
        .help("see `hactl verify`"));
    }
    let figures = reckon(&samples, &looks, &stage.events, stored.as_ref());
    let mut expectations = std::mem::take(&mut stage.expectations);
    expectations.extend(judge(
        &figures,
        &drill.limits.patient(field.site().patience()),
        field.synchronous(),
    ));
    let record = Record {
        drill,
        mark,
        started: stage.started,
        seconds: clock.now().as_secs_f64(),
        cast: stage.cast.clone(),
        rate: tools.rate,
        samples,
        looks,
        events: std::mem::take(&mut stage.events),
        ran: std::mem::take(&mut stage.ran),
        figures,
        expectations,
        whole,
    };
    history::keep(&record, field, tools).await;
    Ok(record)
}
