//! The application servers: whether they serve, and from which database.
//!
//! One that cannot be asked is never called down unless every load balancer says so.

use crate::ops::status::Snapshot;
use crate::ops::status::status_report::{Application, Severity, StatusFinding};

impl Snapshot<'_> {
    /// The application servers.
    pub(in crate::ops::status) fn applications(
        &self,
        primary: Option<&str>,
        findings: &mut Vec<StatusFinding>,
    ) -> Vec<Application> {
        let names = self.site.members("welcome_app");
        let mut lines: Vec<Application> = names.iter().map(|host| self.application(host)).collect();
        self.judge_writes(&mut lines, primary, findings);
        let mut serving = 0;
        let mut doubtful = 0;
        // The servers of which the same is to be said are named together.
        let mut wrong: Vec<(Trouble, Vec<&str>)> = Vec::new();
        for line in &lines {
            let (serves, trouble) = self.judge_application(line, primary);
            match serves {
                Some(true) => serving += 1,
                Some(false) => {}
                None => doubtful += 1,
            }
            if let Some(trouble) = trouble {
                match wrong.iter_mut().find(|(other, _)| *other == trouble) {
                    Some((_, hosts)) => hosts.push(&line.host),
                    None => wrong.push((trouble, vec![&line.host])),
                }
            }
        }
        findings.extend(
            wrong
                .into_iter()
                .map(|(trouble, hosts)| trouble.finding(&hosts)),
        );
        if serving == 0 && doubtful == 0 && !lines.is_empty() {
            findings.push(StatusFinding::new(
                Severity::Down,
                "no application server is healthy",
                "what each of them says is below",
            ));
        }
        lines
    }

    fn application(&self, host: &str) -> Application {
        let mut line = Application {
            host: host.to_owned(),
            ..Application::default()
        };
        let Some(seen) = self.host(host) else {
            line.why = Some("could not be asked".to_owned());
            return line;
        };
        line.service = seen.units.get("welcome_app.service").cloned();
        match &seen.health {
            Some(Ok(health)) => {
                line.status = Some(health.status);
                line.database = health
                    .database
                    .as_deref()
                    .map(|address| self.at(address).unwrap_or(address).to_owned());
                line.why = (health.status != 200).then(|| health.said.clone());
            }
            Some(Err(why)) => line.why = Some(why.clone()),
            None => line.why = Some("the host was not asked".to_owned()),
        }
        line
    }

    /// Whether an application server serves (none when that is not known), and what is wrong with it.
    fn judge_application(
        &self,
        line: &Application,
        primary: Option<&str>,
    ) -> (Option<bool>, Option<Trouble>) {
        let host = &line.host;
        let why = line.why.clone().unwrap_or_default();
        if !self.reached(host) {
            // The load balancers look at it all the time.
            let states: Vec<bool> = self
                .answered()
                .filter_map(|(_, seen)| seen.servers.as_ref()?.as_ref().ok())
                .flatten()
                .filter(|server| server.name == *host)
                .map(crate::ops::verify::parse::HaproxyServer::is_up)
                .collect();
            if states.is_empty() || states.contains(&true) {
                return (None, None);
            }
            return (Some(false), Some(Trouble::Lost));
        }
        if let Some(state) = line.service.as_ref().filter(|state| *state != "active") {
            return (Some(false), Some(Trouble::Stopped(state.clone())));
        }
        match line.status {
            Some(200) => {}
            Some(status) => return (Some(false), Some(Trouble::Ill(status, why))),
            None => return (Some(false), Some(Trouble::Silent(why))),
        }
        let elsewhere = line
            .database
            .clone()
            .filter(|used| primary.is_some_and(|primary| used != primary))
            // Where no write is possible, that is said instead.
            .filter(|_| line.writable != Some(false));
        (Some(true), elsewhere.map(Trouble::Elsewhere))
    }
}

/// What can be wrong with an application server.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It cannot be asked, and is down for all load balancers.
    Lost,
    /// The state of its unit.
    Stopped(String),
    /// The status of its health, and what it says.
    Ill(u16, String),
    /// Why it gives no answer.
    Silent(String),
    /// The database that it uses, which is not the primary.
    Elsewhere(String),
}

impl Trouble {
    fn finding(self, hosts: &[&str]) -> StatusFinding {
        // Reads may go to any database that answers; only writes need the primary, and find it by themselves.
        let severity = match self {
            Self::Elsewhere(_) => Severity::Note,
            _ => Severity::Degraded,
        };
        let (names, one) = (hosts.join(" and "), hosts.len() == 1);
        let word = |single: &'static str, several: &'static str| if one { single } else { several };
        let app = format!("the {} on {names}", word("application", "applications"));
        let log = format!(
            "hactl run -l {} -- journalctl -u welcome_app says why",
            hosts.join(",")
        );
        let (what, remedy) = match self {
            Self::Lost => (
                format!("{names}: down for every load balancer, and could not be asked"),
                "start the host or fix its network".to_owned(),
            ),
            Self::Stopped(state) => (format!("{app} {} {state}", word("is", "are")), log),
            Self::Ill(status, why) => (
                format!("{app} {} not healthy ({status}: {why})", word("is", "are")),
                "fix what it names; it recovers by itself".to_owned(),
            ),
            Self::Silent(why) => (
                format!("{app} {} no answer: {why}", word("gives", "give")),
                log,
            ),
            Self::Elsewhere(used) => (
                format!(
                    "{app} {} from {used}, which is not the primary",
                    word("reads", "read")
                ),
                "nothing: a write reaches the primary by itself".to_owned(),
            ),
        };
        StatusFinding::new(severity, what, remedy)
    }
}
