//! A drill under way: its steps, and what they show.
//!
//! A step that fails ends the drill, never its healing. Whatever is broken is written down with its time.

use super::breaker::Breaker;
use super::field::{Cast, Field, done, listed};
use super::load::Load;
use super::plan::{Drill, Step, fill};
use super::reckon::Stored;
use super::record::{Clock, Event, Expectation, Moment, Ran, Role, What};
use super::run::Tools;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::journal::OPERATION;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long writes may need to come back, or the address to move.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one run of hactl may take.
const COMMAND: Duration = Duration::from_secs(120);
/// How long `verify` may need to be content.
const WHOLE: Duration = Duration::from_secs(60);

/// A drill under way.
pub struct Stage<'a> {
    /// Which.
    pub drill: &'static Drill,
    /// The service.
    pub field: &'a Field,
    /// What it needs.
    pub tools: &'a Tools<'a>,
    /// Who was what when it began.
    pub cast: Cast,
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

impl Stage<'_> {
    /// The steps, up to the first that fails.
    pub async fn play(&mut self) {
        for step in self.drill.steps {
            if self.tools.stop.load(Ordering::Relaxed) {
                self.expect(false, "the drill was run to its end", "yes", "interrupted");
                return;
            }
            if let Err(error) = self.step(step).await {
                self.failed("a step of the drill", &error);
                return;
            }
        }
    }

    /// Everything that heals, whatever becomes of each.
    pub async fn heal(&mut self) {
        for step in self.drill.heal {
            if let Err(error) = self.step(step).await {
                self.failed("a step that heals", &error);
            }
        }
    }

    fn patient(&self, limit: Duration) -> Duration {
        limit * self.field.site().patience()
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

    pub async fn step(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Power(who, on) => {
                for host in who.hosts(&self.cast) {
                    let (what, text) = if on {
                        (What::Mend, format!("power for {host}"))
                    } else {
                        (What::Break, format!("no power for {host}"))
                    };
                    self.outside(&host.clone(), what, text, move |breaker| {
                        if on {
                            breaker.start(&host)
                        } else {
                            breaker.kill(&host)
                        }
                    })
                    .await?;
                }
                Ok(())
            }
            Step::Cut(who, from) => {
                let others: Vec<Option<String>> = if from.is_empty() {
                    vec![None]
                } else {
                    let names = from.iter().flat_map(|who| who.hosts(&self.cast));
                    names.map(Some).collect()
                };
                for host in who.hosts(&self.cast) {
                    let names: Vec<String> = others.iter().flatten().cloned().collect();
                    let far = if names.is_empty() {
                        "everyone".to_owned()
                    } else {
                        listed(&names)
                    };
                    let others = others.clone();
                    let text = format!("cut {host} off from {far}");
                    self.outside(&host.clone(), What::Break, text, move |breaker| {
                        others
                            .iter()
                            .try_for_each(|other| breaker.cut(&host, other.as_deref()))
                    })
                    .await?;
                }
                Ok(())
            }
            Step::Join(who) => {
                for host in who.hosts(&self.cast) {
                    let text = format!("mend the cables of {host}");
                    self.outside(&host.clone(), What::Mend, text, move |breaker| {
                        breaker.heal(&host)
                    })
                    .await?;
                }
                Ok(())
            }
            Step::Script {
                on,
                what,
                text,
                script,
            } => {
                for host in on.hosts(&self.cast) {
                    self.script(&host, what, fill(text, &self.cast), script)
                        .await?;
                }
                Ok(())
            }
            Step::Hactl { words, code, says } => {
                let words = self.words(words);
                let ran = self.hactl(&words).await?;
                self.check(&ran, code, says)
            }
            Step::Rejoin(who) => {
                for host in who.hosts(&self.cast) {
                    self.rejoin(&host).await?;
                }
                Ok(())
            }
            Step::Backup => {
                if self.field.site().members("postgresql_backup").is_empty() {
                    return Ok(());
                }
                let words = ["backup", "now", "--reason=drill"].map(str::to_owned);
                let ran = self.hactl(&words).await?;
                self.check(&ran, exit::DONE, &[])
            }
            Step::CopyIsKept(who) => {
                for host in who.hosts(&self.cast) {
                    let copies = self.copies(&host, "-print").await?;
                    let good = !copies.is_empty();
                    let observed = if good { copies.as_str() } else { "none" };
                    let what = format!("{host} keeps a copy of what it alone had");
                    self.expect(good, &what, "a copy", observed);
                }
                Ok(())
            }
            Step::Killed { words, step } => self.killed(words, step).await,
            Step::Writes => {
                let now = self.clock.now();
                if self.steady(now).await {
                    return Ok(());
                }
                Err(failure(format!(
                    "no steady writes within {} s",
                    self.patient(PATIENCE).as_secs()
                )))
            }
            Step::Pause(time) => {
                // The clients' time, not a wait for a condition: what must not happen is given the chance to.
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::PrimaryIs(who) => {
                let (wanted, found) = (who.hosts(&self.cast), self.field.primaries().await);
                self.seen("the primary", &wanted, &found)
            }
            Step::HolderIs(who) => {
                let (wanted, found) = (who.hosts(&self.cast), self.field.holders().await);
                self.seen("the holder of the virtual address", &wanted, &found)
            }
            Step::AwaitHolder(who) => {
                let wanted = who.hosts(&self.cast);
                let begun = self.clock.now();
                let mut look = tokio::time::interval(Duration::from_millis(100));
                loop {
                    look.tick().await;
                    let found = self.field.holders_of(&wanted).await;
                    if found == wanted
                        || self.clock.now().saturating_sub(begun) > self.patient(PATIENCE)
                    {
                        return self.seen("the holder of the virtual address", &wanted, &found);
                    }
                }
            }
        }
    }

    /// Something that is done from outside of the host.
    async fn outside(
        &mut self,
        host: &str,
        what: What,
        text: String,
        deed: impl FnOnce(&dyn Breaker) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let breaker = self.tools.breaker.clone().ok_or_else(|| {
            Diagnostic::with_code(exit::REFUSED, format!("nobody here can do that: {text}"))
        })?;
        (self.tools.tell)(&text);
        self.field.forget(host).await;
        let at = self.clock.now();
        let done = tokio::task::spawn_blocking(move || deed(&*breaker)).await;
        self.event(at, what, text);
        done.map_err(|error| failure(error.to_string()))?
    }

    async fn script(&mut self, host: &str, what: What, text: String, script: &str) -> Result<()> {
        (self.tools.tell)(&text);
        let set = self
            .cast
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
        let reply = self.field.ask(host, request).await;
        self.event(at, what, text.clone());
        done(host, &reply?, &format!("`{text}` failed")).map(drop)
    }

    /// Brings a database back, as an operator would: a replica of whoever is primary, or else the primary that it was.
    async fn rejoin(&mut self, host: &str) -> Result<()> {
        let roles = self.field.roles().await;
        let leads = |name: &&String| roles.get(*name) == Some(&Role::Primary);
        // One that was cut off still believes that it leads: any other primary was promoted in its place.
        let other = roles.keys().filter(|name| *name != host).find(leads);
        match (other, roles.get(host)) {
            (Some(_), Some(Role::Standby)) | (None, Some(Role::Primary)) => Ok(()),
            (Some(_), _) => {
                let words = ["rejoin", host, "--discard-diverged", "--reason=drill"];
                let ran = self.hactl(&words.map(str::to_owned)).await?;
                self.check(&ran, exit::DONE, &[])
            }
            (None, _) => {
                let text = format!("start the database of {host}, since there is no primary");
                self.script(host, What::Mend, text, "systemctl start \"$unit\"")
                    .await
            }
        }
    }

    /// The copies that `rejoin` made on a host since this drill began.
    async fn copies(&self, host: &str, action: &str) -> Result<String> {
        let Some(server) = self.cast.servers.get(host) else {
            return Ok(String::new());
        };
        let data = server.data.trim_end_matches('/');
        let (folder, name) = data.rsplit_once('/').unwrap_or((".", data));
        let began = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let script = format!(
            "find {} -maxdepth 1 \\( -name {} -o -name {} \\) -newerct @{} {action}",
            sh(folder),
            sh(&format!("{name}.diverged-*")),
            sh(&format!("{name}.replaced-*")),
            began.as_secs()
        );
        let reply = self.field.ask(host, Request::sh(script)).await?;
        let reply = done(host, &reply, "copies cannot be looked for")?;
        Ok(reply.out().trim().to_owned())
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        words.iter().map(|word| fill(word, &self.cast)).collect()
    }

    async fn hactl(&mut self, words: &[String]) -> Result<Ran> {
        (self.tools.tell)(&format!("$ hactl {}", words.join(" ")));
        let running = self.tools.hactl.start(words, self.clock)?;
        let ran = running.end(self.patient(COMMAND)).await?;
        self.note(&ran);
        Ok(ran)
    }

    fn note(&mut self, ran: &Ran) {
        (self.tools.tell)(&format!(
            "  exit code {} after {:.1} s",
            ran.code,
            ran.until.saturating_sub(ran.at).as_secs_f64()
        ));
        self.events.push(Event {
            at: ran.at,
            until: ran.until,
            what: What::Command,
            text: format!("{} → {}", ran.line, ran.code),
        });
        self.ran.push(ran.clone());
    }

    /// Whether a run of hactl ended as it had to.
    fn check(&mut self, ran: &Ran, code: u8, says: &[&str]) -> Result<()> {
        let all = format!("{}\n{}", ran.stdout, ran.stderr);
        let says = self.words(says);
        let missing: Vec<&str> = says
            .iter()
            .map(String::as_str)
            .filter(|text| !all.contains(text))
            .collect();
        let good = ran.code == i32::from(code) && missing.is_empty();
        let expected = if says.is_empty() {
            format!("exit code {code}")
        } else {
            format!("exit code {code}, saying `{}`", says.join("`, `"))
        };
        let observed = if missing.is_empty() {
            format!("exit code {}", ran.code)
        } else {
            format!("exit code {}, without `{}`", ran.code, missing.join("`, `"))
        };
        self.expect(good, &ran.line, &expected, &observed);
        if good {
            return Ok(());
        }
        let said = ran.stderr.trim().lines().take(30).collect::<Vec<_>>();
        Err(failure(format!("`{}` ended with {observed}", ran.line)).note(said.join("\n")))
    }

    async fn killed(&mut self, words: &[&str], step: &str) -> Result<()> {
        let words = self.words(words);
        (self.tools.tell)(&format!(
            "$ hactl {} (to be killed in its step `{step}`)",
            words.join(" ")
        ));
        let running = self.tools.hactl.start(&words, self.clock)?;
        // The journal is on both; the one that follows is there in any case.
        let journal = Request {
            timeout_seconds: Some(30),
            ..Request::sh(begun(step))
        };
        let host = self.cast.standby.clone();
        let seen = self.field.ask(&host, journal).await;
        let ran = running.kill().await;
        self.note(&ran);
        let killed = ran.code == 128 + 9 && seen.is_ok_and(|reply| reply.code == 0);
        let observed = format!("exit code {}", ran.code);
        let what = format!("{} is killed in its step `{step}`", ran.line);
        self.expect(killed, &what, "exit code 137", &observed);
        Ok(())
    }

    pub async fn verify(&mut self) -> bool {
        let seconds = self.patient(WHOLE).as_secs().to_string();
        let words = ["verify", "--wait", &seconds].map(str::to_owned);
        let outcome = match self.hactl(&words).await {
            Ok(ran) => self.check(&ran, exit::DONE, &[]),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.failed("the service is whole again", error);
        }
        outcome.is_ok()
    }

    /// Counts the drill's rows, and deletes them.
    pub async fn tidy(&mut self, mark: &str) -> Option<Stored> {
        let primaries = self.field.primaries().await;
        let [primary] = primaries.as_slice() else {
            let observed = listed(&primaries);
            self.expect(false, "one primary has the rows", "one", &observed);
            return None;
        };
        if self.tools.breaker.is_some() {
            // A lab has no use for them, and not much room. Elsewhere an operator decides.
            for host in [self.cast.primary.clone(), self.cast.standby.clone()] {
                if let Err(error) = self.copies(&host, "-exec rm -rf {} +").await {
                    self.failed("copies of this drill are deleted", &error);
                }
            }
        }
        let server = self.cast.servers.get(primary)?.clone();
        let stored = match self.field.stored(primary, &server, mark).await {
            Ok(stored) => Some(stored),
            Err(error) => {
                self.failed("the rows are read", &error);
                None
            }
        };
        if let Err(error) = self.field.sweep(primary, &server, mark).await {
            self.failed("the drill's rows are deleted", &error);
        }
        stored
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

/// Waits until the journal of the operation under way says that a step was begun.
fn begun(step: &str) -> String {
    format!(
        "i=0; until grep -qsF {} {OPERATION}; do i=$((i + 1)); [ \"$i\" -lt 2000 ] || exit 1; sleep 0.01; done",
        sh(&format!("\"step\":\"{step}\""))
    )
}

fn failure(message: String) -> Diagnostic {
    Diagnostic::with_code(exit::FAILED, message)
}
