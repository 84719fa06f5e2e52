//! A drill under way: its steps, and what they show.
//!
//! A step that fails ends the drill, never its healing. Whatever is broken is written down with its time.

mod commands;
mod outside;
mod remains;

use super::drill_target::{DrillAssignment, DrillTarget, done, listed};
use super::faults::{self, Fault};
use super::load::Load;
use super::plan::{Drill, DrillStep, Who, fill};
use super::record::{Clock, Event, Expectation, Moment, Ran, What};
use super::run::Tools;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long writes may need to come back, or the address to move.
const PATIENCE: Duration = Duration::from_secs(30);

/// A drill under way.
pub struct DrillRun<'a> {
    /// Which.
    pub drill: &'static Drill,
    /// The service.
    pub drill_target: &'a DrillTarget,
    /// What it needs.
    pub tools: &'a Tools<'a>,
    /// Who was what when it began.
    pub assignment: DrillAssignment,
    /// Its clock.
    pub clock: Clock,
    /// When it began, by this machine's clock.
    pub started: SystemTime,
    /// The clients, once they are there.
    pub load: Option<Load>,
    /// What happened so far.
    pub events: Vec<Event>,
    /// The runs of hactl so far.
    pub ran: Vec<Ran>,
    /// What had to hold so far.
    pub expectations: Vec<Expectation>,
}

impl DrillRun<'_> {
    /// The steps, up to the first that fails.
    pub async fn play(&mut self) {
        for step in self.drill.steps {
            if self.tools.stopped() {
                break;
            }
            if let Err(error) = self.step(step).await {
                self.failed("a step of the drill", &error);
                break;
            }
        }
        // Also after the last step: one that waits is cut short, one that runs a program may fail by it.
        if self.tools.stopped() {
            self.expect(false, "the drill was run to its end", "yes", "interrupted");
        }
    }

    /// Everything that heals, whatever becomes of each; whether all of it was done.
    pub async fn heal(&mut self) -> bool {
        let mut healed = true;
        for step in self.drill.heal {
            if let Err(error) = self.step(step).await {
                self.failed("a step that heals", &error);
                healed = false;
            }
        }
        healed
    }

    fn patient(&self, limit: Duration) -> Duration {
        limit * self.drill_target.site().patience()
    }

    /// Waits for a second's worth of acknowledged writes.
    pub async fn steady(&self, after: Moment) -> bool {
        match &self.load {
            Some(load) => {
                let wanted = usize::try_from(self.tools.rate).unwrap_or(usize::MAX);
                load.acknowledged(after, wanted, self.patient(PATIENCE))
                    .await
            }
            // Before the clients begin there is nothing to wait for.
            None => true,
        }
    }

    async fn writes(&self) -> Result<()> {
        let now = self.clock.now();
        let steady = tokio::select! {
            steady = self.steady(now) => steady,
            () = self.tools.interrupted() => return Ok(()),
        };
        if steady {
            return Ok(());
        }
        Err(failure(format!(
            "no steady writes within {} s",
            self.patient(PATIENCE).as_secs()
        )))
    }

    pub async fn step(&mut self, step: &DrillStep) -> Result<()> {
        match *step {
            DrillStep::Power(who, on) => {
                let hosts = who.hosts(&self.assignment);
                if !on {
                    for host in &hosts {
                        self.keep_fault(host, who, "take its power").await?;
                    }
                }
                self.power(hosts, on).await
            }
            DrillStep::Cut(who, from) => self.cut(who, from).await,
            DrillStep::Join(who) => self.join(who).await,
            DrillStep::Script {
                on,
                what,
                text,
                script,
            } => {
                for host in on.hosts(&self.assignment) {
                    let text = fill(text, &self.assignment);
                    if what == What::Break {
                        self.keep_fault(&host, on, &text).await?;
                    }
                    self.script(&host, what, text, script).await?;
                }
                Ok(())
            }
            DrillStep::Hactl { words, code, says } => {
                let words = self.words(words);
                let ran = self.hactl(&words).await?;
                self.check(&ran, code, says)
            }
            DrillStep::Rejoin(who) => {
                for host in who.hosts(&self.assignment) {
                    self.rejoin(&host).await?;
                }
                Ok(())
            }
            DrillStep::Backup => {
                if self
                    .drill_target
                    .site()
                    .members("postgresql_backup")
                    .is_empty()
                {
                    return Ok(());
                }
                let words = ["backup", "now", "--reason=drill"].map(str::to_owned);
                let ran = self.hactl(&words).await?;
                self.check(&ran, exit::DONE, &[])
            }
            DrillStep::CopyIsKept(who) => {
                for host in who.hosts(&self.assignment) {
                    let copies = self.copies(&host, "-print").await?;
                    let good = !copies.is_empty();
                    let observed = if good { copies.as_str() } else { "none" };
                    let what = format!("{host} keeps a copy of what it alone had");
                    self.expect(good, &what, "a copy", observed);
                }
                Ok(())
            }
            DrillStep::Killed { words, step } => self.killed(words, step).await,
            DrillStep::Writes => self.writes().await,
            DrillStep::Pause(time) => {
                // The clients' time, not a wait for a condition: what must not happen is given the chance to.
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = self.tools.interrupted() => {}
                }
                Ok(())
            }
            DrillStep::PrimaryIs(who) => {
                let (wanted, found) = (
                    who.hosts(&self.assignment),
                    self.drill_target.primaries().await,
                );
                self.seen("the primary", &wanted, &found)
            }
            DrillStep::HolderIs(who) => {
                let (wanted, found) = (
                    who.hosts(&self.assignment),
                    self.drill_target.holders().await,
                );
                self.seen("the holder of the virtual address", &wanted, &found)
            }
            DrillStep::AwaitHolder(who) => {
                let wanted = who.hosts(&self.assignment);
                let begun = self.clock.now();
                let mut look = tokio::time::interval(Duration::from_millis(100));
                loop {
                    look.tick().await;
                    let found = self.drill_target.holders_of(&wanted).await;
                    if found == wanted
                        || self.clock.now().saturating_sub(begun) > self.patient(PATIENCE)
                    {
                        return self.seen("the holder of the virtual address", &wanted, &found);
                    }
                }
            }
        }
    }

    /// Has a fault on the disks of all database hosts before it is made: whoever comes after a drill that was killed finds it.
    /// One that was broken before need not be reached.
    pub(super) async fn keep_fault(&mut self, host: &str, who: Who, text: &str) -> Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let fault = Fault {
            drill: self.drill.name.to_owned(),
            host: host.to_owned(),
            part: faults::part(who),
            text: text.to_owned(),
            operator: self.tools.operator.clone(),
            since: since.map_or(0, |since| since.as_secs()),
        };
        let mut kept = false;
        let servers: Vec<String> = self.assignment.servers.keys().cloned().collect();
        for server in servers {
            let reply = self.drill_target.ask(&server, faults::note(&fault)).await;
            let reply =
                reply.and_then(|reply| done(&server, &reply, "a fault cannot be noted").map(drop));
            match reply {
                Ok(()) => kept = true,
                Err(error) => {
                    (self.tools.tell)(&format!("{server} has not noted this: {}", error.message))
                }
            }
        }
        if kept || self.assignment.servers.is_empty() {
            return Ok(());
        }
        Err(failure(format!(
            "no database host has noted what is broken, so it is not: {text}"
        )))
    }

    /// Forgets what was broken, when all of it is healed.
    pub async fn forget(&mut self, healthy: bool) {
        if !healthy {
            (self.tools.tell)(
                "what was broken may not be healed: `hactl status` shows it, `hactl resume` heals it",
            );
            return;
        }
        let servers: Vec<String> = self.assignment.servers.keys().cloned().collect();
        for server in servers {
            let reply = self.drill_target.ask(&server, faults::forget()).await;
            let reply = reply.and_then(|reply| {
                done(&server, &reply, "its note of this drill cannot be removed").map(drop)
            });
            if let Err(error) = reply {
                self.failed("what was broken is forgotten", &error);
            }
        }
    }

    async fn script(&mut self, host: &str, what: What, text: String, script: &str) -> Result<()> {
        (self.tools.tell)(&text);
        let set = self
            .assignment
            .servers
            .get(host)
            .map_or_else(String::new, |server| {
                format!(
                    "unit={} port={} data={} version={}\n",
                    sh(&server.unit),
                    server.port,
                    sh(&server.data),
                    sh(&server.version)
                )
            });
        let mut request = Request::sh(set + script);
        request.timeout_seconds = Some(60);
        let at = self.clock.now();
        let reply = self.drill_target.ask(host, request).await;
        self.event(at, what, text.clone());
        done(host, &reply?, &format!("`{text}` failed")).map(drop)
    }

    fn seen(&mut self, what: &str, wanted: &[String], found: &[String]) -> Result<()> {
        let good = wanted == found;
        self.expect(good, what, &listed(wanted), &listed(found));
        let now = self.clock.now();
        self.event(now, What::Seen, format!("{what}: {}", listed(found)));
        if good {
            return Ok(());
        }
        Err(failure(format!(
            "{what} is {}, not {}",
            listed(found),
            listed(wanted)
        )))
    }

    fn event(&mut self, at: Moment, what: What, text: String) {
        self.events.push(Event {
            at,
            until: self.clock.now(),
            what,
            text,
        });
    }

    pub fn expect(&mut self, holds: bool, what: &str, expected: &str, observed: &str) {
        self.expectations
            .push(Expectation::of(holds, what, expected, observed));
    }

    fn failed(&mut self, what: &str, error: &Diagnostic) {
        let host = error
            .host
            .as_ref()
            .map(|host| format!("{host}: "))
            .unwrap_or_default();
        (self.tools.tell)(&format!("{what} failed: {host}{}", error.message));
        for note in &error.notes {
            (self.tools.tell)(note);
        }
        let observed = format!("{host}{}", error.message);
        self.expect(false, what, "done", &observed);
    }
}

fn failure(message: String) -> Diagnostic {
    Diagnostic::with_code(exit::FAILED, message)
}

#[cfg(test)]
mod tests;
