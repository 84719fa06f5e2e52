//! Steps that hactl itself does, as an operator would type it: run, judged, and killed in the middle.
//!
//! A run is never cut short but by a step that says so, or by its time limit: what it began is its own to end.

use super::{DrillRun, failure};
use crate::base::quote::sh;
use crate::base::{Result, exit};
use crate::modules::Request;
use crate::ops::drill::plan::fill;
use crate::ops::drill::record::{Event, Ran, Role, What};
use crate::ops::operation::journal::OPERATION;
use std::time::Duration;

/// How long one run of hactl may take.
const COMMAND: Duration = Duration::from_secs(120);
/// How long `verify` may need to be content.
const WHOLE: Duration = Duration::from_secs(60);

impl DrillRun<'_> {
    pub(super) fn words(&self, words: &[&str]) -> Vec<String> {
        words
            .iter()
            .map(|word| fill(word, &self.assignment))
            .collect()
    }

    pub(super) async fn hactl(&mut self, words: &[String]) -> Result<Ran> {
        (self.tools.tell)(&format!("$ hactl {}", words.join(" ")));
        let running = self.tools.hactl.start(words, self.clock)?;
        let ran = running.end(self.patient(COMMAND)).await?;
        self.note(&ran);
        Ok(ran)
    }

    pub(super) fn note(&mut self, ran: &Ran) {
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
    pub(super) fn check(&mut self, ran: &Ran, code: u8, says: &[&str]) -> Result<()> {
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

    pub(super) async fn killed(&mut self, words: &[&str], step: &str) -> Result<()> {
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
        let host = self.assignment.standby.clone();
        let seen = self.drill_target.ask(&host, journal).await;
        let ran = running.kill().await;
        self.note(&ran);
        let killed = ran.code == 128 + 9 && seen.is_ok_and(|reply| reply.code == 0);
        let observed = format!("exit code {}", ran.code);
        let what = format!("{} is killed in its step `{step}`", ran.line);
        self.expect(killed, &what, "exit code 137", &observed);
        Ok(())
    }

    /// Brings a database back, as an operator would: a replica of whoever is primary, or else the primary that it was.
    pub(super) async fn rejoin(&mut self, host: &str) -> Result<()> {
        let roles = self.drill_target.roles().await;
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

    /// Whether the service is whole, once it had its time.
    pub async fn verify(&mut self) -> bool {
        let seconds = self.patient(WHOLE).as_secs().to_string();
        let words = ["verify", "--wait", &seconds].map(str::to_owned);
        let outcome = match self.hactl(&words).await {
            Ok(ran) => self.check(&ran, exit::DONE, &[]),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.failed("the service is healthy again", error);
        }
        outcome.is_ok()
    }
}

/// Waits until the journal of the operation under way says that a step was begun.
fn begun(step: &str) -> String {
    format!(
        "i=0; until grep -qsF {} {OPERATION}; do i=$((i + 1)); [ \"$i\" -lt 2000 ] || exit 1; sleep 0.01; done",
        sh(&format!("\"step\":\"{step}\""))
    )
}
