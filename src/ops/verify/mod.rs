//! `verify`: whether the service is healthy, as its own hosts see it.
//!
//! Two rounds of questions at most, then a trial that leaves no trace. What cannot be found out is never counted as good.

mod backup;
mod boot;
mod check;
mod common;
mod component;
pub(in crate::ops) mod haproxy;
mod keepalived;
mod nfs;
mod observations;
pub(in crate::ops) mod parse;
mod ports;
mod postgresql;
mod security;
#[cfg(test)]
mod tests;
mod welcome_app;

pub use check::{Check, Finding, Findings, Severity, Status, Verdict};
pub use component::Component;

use crate::base::{Diagnostic, Result, exit};
use crate::modules::Reply;
use component::{Replies, View};
use observations::{Answers, Ask, Observations};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::connection_pool::ConnectionPool;
use super::hosts::Site;

/// Every component that hactl knows how to judge.
pub static COMPONENTS: &[&dyn Component] = &[
    &common::Common,
    &postgresql::Postgresql,
    &welcome_app::WelcomeApp,
    &haproxy::Haproxy,
    &keepalived::Keepalived,
    &nfs::Nfs,
    &ports::Ports,
    &security::Security,
    &backup::Backup,
    &boot::Boot,
];

/// The variables that checks read.
pub fn variables() -> Vec<&'static str> {
    COMPONENTS
        .iter()
        .flat_map(|component| component.variables())
        .copied()
        .collect()
}

/// What is to be checked, and for how long.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Ids of checks or names of components; all when empty.
    pub only: Vec<String>,
    /// Look again until everything holds, for so long at most.
    pub wait: Duration,
}

impl VerifyOptions {
    /// Whether a check is wanted.
    pub fn wants(&self, check: &Check) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|only| only == check.id || only == check.component())
    }

    /// Refuses what names no check.
    ///
    /// # Errors
    /// With the nearest names.
    pub fn known(&self) -> Result<()> {
        for only in &self.only {
            let checks = || COMPONENTS.iter().flat_map(|component| component.checks());
            if COMPONENTS.iter().any(|component| component.name() == only)
                || checks().any(|check| check.id == only)
            {
                continue;
            }
            let component = only.split('.').next().unwrap_or_default();
            let near: Vec<&str> = checks()
                .map(|check| check.id)
                .filter(|id| id.starts_with(component))
                .collect();
            let near = if near.is_empty() {
                COMPONENTS
                    .iter()
                    .map(|component| component.name())
                    .collect()
            } else {
                near
            };
            return Err(Diagnostic::new(format!("there is no check `{only}`"))
                .help(format!("there are: {}", near.join(", "))));
        }
        Ok(())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Every check in every place.
    pub findings: Findings,
    /// How many hosts there are.
    pub hosts: usize,
    /// How often it was looked.
    pub looks: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// It was ended early.
    pub stopped: bool,
}

impl Outcome {
    /// The exit code: 0, or 6 for faults, or 5 when all that is wrong is that hosts could not be reached, or 4 when it was
    /// ended before anything wrong was found.
    pub fn exit_code(&self, strict: bool) -> u8 {
        if self.stopped
            && !self
                .findings
                .all()
                .iter()
                .any(|finding| finding.status == Status::Fail)
        {
            return exit::INCOMPLETE;
        }
        let bad = |finding: &&Finding| match finding.status {
            Status::Pass => false,
            Status::Warn => strict,
            Status::Fail | Status::Unknown => true,
        };
        let faults: Vec<&Finding> = self.findings.all().iter().filter(bad).collect();
        match faults.as_slice() {
            [] => exit::DONE,
            faults if faults.iter().all(|finding| finding.lost.is_some()) => exit::UNREACHABLE,
            _ => exit::FAULTS,
        }
    }
}

/// Looks at the service. `stop` ends it early, but not before it has cleaned up; `again` is told before each further look.
pub async fn run(
    site: &Site,
    pool: &mut ConnectionPool,
    options: &VerifyOptions,
    stop: &AtomicBool,
    again: &(dyn Fn(&Findings) + Sync),
) -> Outcome {
    let started = Instant::now();
    let mut looks = 0;
    loop {
        looks += 1;
        let findings = look(site, pool, options, stop).await;
        let whole = findings
            .all()
            .iter()
            .all(|finding| matches!(finding.status, Status::Pass | Status::Warn));
        let over = started.elapsed() >= options.wait || stop.load(Ordering::Relaxed);
        if whole || over {
            return Outcome {
                findings,
                hosts: site.hosts.len(),
                looks,
                seconds: started.elapsed().as_secs_f64(),
                stopped: stop.load(Ordering::Relaxed),
            };
        }
        again(&findings);
        tokio::time::sleep(Duration::from_secs(2)).await;
        pool.reopen().await;
    }
}

async fn look(
    site: &Site,
    pool: &mut ConnectionPool,
    options: &VerifyOptions,
    stop: &AtomicBool,
) -> Findings {
    let components: Vec<&&dyn Component> = COMPONENTS
        .iter()
        .filter(|component| component.applies(site))
        .collect();
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let view = View::new(
        site,
        &reached.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let seen = ask(&view, pool, &components).await;
    let mut findings = Findings::default();
    for component in &components {
        component.judge(&view, &seen, &mut findings);
        let tried = component.checks().iter().any(|check| options.wants(check))
            || options.wants(&postgresql::MARKER);
        if let Some(mut trial) = component.trial(&view, &seen).filter(|_| tried) {
            let mut replies = Replies::new();
            loop {
                if stop.load(Ordering::Relaxed) {
                    trial.stop();
                }
                let Some(round) = trial.next(&replies) else {
                    break;
                };
                replies = pool
                    .round(round)
                    .await
                    .into_iter()
                    .filter_map(|(host, answer)| Some((host, answer.ok()?.replies)))
                    .collect();
            }
            trial.judge(&mut findings);
        }
    }
    findings.retain(|check| options.wants(check));
    findings
}

/// Asks every host everything, in one round.
async fn ask(
    view: &View<'_>,
    pool: &mut ConnectionPool,
    components: &[&&dyn Component],
) -> Observations {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut work = BTreeMap::new();
    for host in &view.site.hosts {
        let asks: Vec<Ask> = components
            .iter()
            .flat_map(|component| component.asks(view, host))
            .collect();
        let (names, requests): (Vec<_>, Vec<_>) =
            asks.into_iter().map(|ask| (ask.key, ask.request)).unzip();
        keys.insert(host.name.clone(), names);
        work.insert(host.name.clone(), requests);
    }
    let mut seen = Observations::default();
    for (host, answer) in pool.round(work).await {
        let answers = match answer {
            Ok(answer) => {
                let names = keys.remove(&host).unwrap_or_default();
                let replies: BTreeMap<String, Reply> =
                    names.into_iter().zip(answer.replies).collect();
                Answers::Given(replies, answer.sent)
            }
            Err(error) => Answers::Lost(error),
        };
        seen.insert(&host, answers);
    }
    seen
}
