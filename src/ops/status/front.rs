//! What stands before the databases: the virtual address, the load balancers, the application servers.

use super::Scene;
use super::board::{
    AddressView, Application, Balancer, Board, Finding, ServerLine, Severity, VirtualAddress,
};
use super::seen::{self, HostSeen};
use crate::ops::cluster::look as database;

impl Scene<'_> {
    /// Hosts that look at the service as its users do, and answered.
    fn viewers(&self) -> impl Iterator<Item = (&str, &HostSeen)> {
        self.answered()
            .filter(|(host, _)| seen::looks(self.site, host))
    }

    /// Where the virtual address is.
    pub(super) fn virtual_address(&self, findings: &mut Vec<Finding>) -> Option<VirtualAddress> {
        let address = seen::virtual_address(self.site)?;
        let holders: Vec<String> = self
            .answered()
            .filter(|(_, seen)| seen.addresses.iter().any(|(_, found)| *found == address))
            .map(|(host, _)| host.to_owned())
            .collect();
        let not_asked: Vec<String> = self
            .site
            .members("keepalived")
            .iter()
            .filter(|host| !self.reached(host))
            .cloned()
            .collect();
        let views: Vec<AddressView> = self
            .viewers()
            .map(|(from, seen)| {
                let entrance = seen.entrance.clone();
                AddressView {
                    from: from.to_owned(),
                    at: seen
                        .neighbour
                        .as_deref()
                        .and_then(|mac| self.owner(mac, &holders)),
                    hardware_address: seen.neighbour.clone(),
                    status: entrance
                        .as_ref()
                        .and_then(|entrance| entrance.as_ref().ok().copied()),
                    why: entrance.and_then(Result::err),
                }
            })
            .collect();
        let view = VirtualAddress {
            address,
            holders,
            not_asked,
            views,
        };
        judge_address(&view, findings);
        Some(view)
    }

    /// The host of a hardware address; a holder first, where several share one.
    fn owner(&self, mac: &str, holders: &[String]) -> Option<String> {
        let has = |seen: &HostSeen| seen.links.values().any(|own| own == mac);
        let mut owners: Vec<&str> = self
            .answered()
            .filter(|(_, seen)| has(seen))
            .map(|(host, _)| host)
            .collect();
        owners.sort_by_key(|host| !holders.iter().any(|holder| holder == host));
        owners.first().map(|host| (*host).to_owned())
    }

    /// Whether a load balancer answers others: none when nobody could look.
    fn answers(&self, balancer: &str) -> Option<bool> {
        let mut any = None;
        for (_, seen) in self.viewers() {
            let Some(result) = seen.balancers.get(balancer) else {
                continue;
            };
            any = Some(any.unwrap_or(false) || result.is_ok());
        }
        any
    }

    /// The load balancers.
    pub(super) fn balancers(&self, findings: &mut Vec<Finding>) -> Vec<Balancer> {
        let mut names: Vec<&String> = self.site.members("haproxy").iter().collect();
        for name in self.site.members("keepalived") {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let balancers: Vec<Balancer> = names.into_iter().map(|host| self.balancer(host)).collect();
        for balancer in &balancers {
            self.judge_balancer(balancer, findings);
        }
        judge_servers(&balancers, findings);
        // What every one of them says that can say anything.
        let speaking: Vec<&Balancer> = balancers
            .iter()
            .filter(|balancer| !balancer.servers.is_empty())
            .collect();
        if !speaking.is_empty()
            && speaking
                .iter()
                .all(|balancer| balancer.servers.iter().all(|server| !server.up))
        {
            findings.push(Finding::new(
                Severity::Down,
                "no load balancer has a server that is up",
                "look at the application servers: their health names what they miss",
            ));
        }
        balancers
    }

    fn balancer(&self, host: &str) -> Balancer {
        let mut line = Balancer {
            host: host.to_owned(),
            answers: if seen::is(self.site, "haproxy", host) {
                self.answers(host)
            } else {
                None
            },
            ..Balancer::default()
        };
        let Some(seen) = self.host(host) else {
            line.why = Some("could not be asked".to_owned());
            return line;
        };
        line.haproxy = seen.units.get("haproxy.service").cloned();
        line.keepalived = seen.units.get("keepalived.service").cloned();
        line.flag = seen.flag.is_some();
        match &seen.servers {
            Some(Ok(servers)) => {
                line.servers = servers
                    .iter()
                    .map(|server| ServerLine {
                        backend: server.backend.clone(),
                        name: server.name.clone(),
                        status: server.status.clone(),
                        check: server.check.clone(),
                        up: server.is_up(),
                    })
                    .collect();
            }
            Some(Err(why)) => line.why = Some(why.clone()),
            None => {}
        }
        line
    }

    fn judge_balancer(&self, balancer: &Balancer, findings: &mut Vec<Finding>) {
        let host = &balancer.host;
        let mut wrong = |what: String, remedy: String| {
            findings.push(Finding::new(Severity::Degraded, what, remedy))
        };
        if !self.reached(host) {
            if balancer.answers == Some(false) {
                wrong(
                    format!("the load balancer {host} answers nobody and could not be asked"),
                    "start the host or mend its network".to_owned(),
                );
            }
            return;
        }
        let mut running = true;
        for (name, state) in [
            ("HAProxy", &balancer.haproxy),
            ("keepalived", &balancer.keepalived),
        ] {
            if let Some(state) = state.as_ref().filter(|state| *state != "active") {
                running = running && name != "HAProxy";
                let unit = name.to_lowercase();
                wrong(
                    format!("{name} on {host} is {state}"),
                    format!("hactl run -l {host} -- journalctl -u {unit} says why"),
                );
            }
        }
        if balancer.flag {
            wrong(
                format!("{host} is in maintenance: it leaves the virtual address to others"),
                format!("hactl maintenance off {host}"),
            );
        }
        if running && let Some(why) = &balancer.why {
            wrong(
                format!("HAProxy on {host} does not tell its servers: {why}"),
                format!("hactl ssh {host}; the socket is /run/haproxy/admin.sock"),
            );
        }
        if running && balancer.answers == Some(false) {
            wrong(
                format!("the load balancer {host} answers nobody"),
                format!("from another host: does its port take connections? hactl ssh {host}"),
            );
        }
    }

    /// The file server, where there is one. One that could not be asked is named as every other host is.
    pub(super) fn file_server(&self, findings: &mut Vec<Finding>) {
        for host in self.site.members("nfs_server") {
            let state = self
                .host(host)
                .and_then(|seen| seen.units.get(seen::FILE_SERVER))
                .filter(|state| *state != "active");
            if let Some(state) = state {
                findings.push(Finding::new(
                    Severity::Degraded,
                    format!(
                        "the file server on {host} is {state}: images are neither stored nor shown"
                    ),
                    format!("hactl run -l {host} -- journalctl -u nfs-server says why"),
                ));
            }
        }
    }

    /// The application servers.
    pub(super) fn applications(
        &self,
        primary: Option<&str>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Application> {
        let names = self.site.members("welcome_app");
        let lines: Vec<Application> = names.iter().map(|host| self.application(host)).collect();
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
            findings.push(Finding::new(
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
            None => line.why = Some("it was not asked".to_owned()),
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
                .map(crate::ops::verify::parse::Server::is_up)
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
            .filter(|used| primary.is_some_and(|primary| used != primary));
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
    fn finding(self, hosts: &[&str]) -> Finding {
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
                "start the host or mend its network".to_owned(),
            ),
            Self::Stopped(state) => (format!("{app} {} {state}", word("is", "are")), log),
            Self::Ill(status, why) => (
                format!("{app} {} not healthy ({status}: {why})", word("is", "are")),
                "mend what it names; it recovers by itself".to_owned(),
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
                "nothing: a write finds the primary by itself".to_owned(),
            ),
        };
        Finding::new(severity, what, remedy)
    }
}

/// What the load balancers say of a server that gets nothing: once, when they say the same.
fn judge_servers(balancers: &[Balancer], findings: &mut Vec<Finding>) {
    let mut seen: Vec<(&str, String, Vec<&str>)> = Vec::new();
    for balancer in balancers {
        for server in balancer.servers.iter().filter(|server| !server.up) {
            let state = [&*server.status, &*server.check]
                .join(" ")
                .trim()
                .to_owned();
            match seen
                .iter_mut()
                .find(|(name, other, _)| *name == server.name && *other == state)
            {
                Some((.., by)) => by.push(&balancer.host),
                None => seen.push((&server.name, state, vec![&balancer.host])),
            }
        }
    }
    for (server, state, by) in seen {
        let remedy = if state.starts_with("MAINT") || state.starts_with("DRAIN") {
            format!("it was taken out on purpose; hactl maintenance off {server} puts it back")
        } else {
            format!("hactl run -l {server} -- systemctl status welcome_app")
        };
        let send = if by.len() == 1 { "sends" } else { "send" };
        findings.push(Finding::new(
            Severity::Degraded,
            format!("{} {send} nothing to {server}: {state}", by.join(" and ")),
            remedy,
        ));
    }
}

fn judge_address(view: &VirtualAddress, findings: &mut Vec<Finding>) {
    let address = &view.address;
    let good = view
        .views
        .iter()
        .filter(|view| view.status == Some(200))
        .count();
    let mut say =
        |severity, what: String, remedy: &str| findings.push(Finding::new(severity, what, remedy));
    match (view.holders.as_slice(), view.not_asked.as_slice()) {
        ([_], _) => {}
        ([], []) => say(
            Severity::Down,
            format!("the virtual address {address} is on no host"),
            "hactl run -l keepalived -- journalctl -u keepalived says why nobody takes it",
        ),
        // Somebody answers there: most likely one of those that could not be asked has it.
        ([], _) if good > 0 => {}
        ([], lost) if view.views.is_empty() => say(
            Severity::Unknown,
            format!(
                "the virtual address {address} is on no host that could be asked ({} could not)",
                lost.join(", ")
            ),
            "mend the way to that host; then look again",
        ),
        ([], lost) => say(
            Severity::Down,
            format!(
                "nobody answers at the virtual address {address}, and {} could not be asked",
                lost.join(" and ")
            ),
            "hactl run -l keepalived -- journalctl -u keepalived says why nobody else takes it",
        ),
        (several, _) => say(
            Severity::Degraded,
            format!(
                "the virtual address {address} is on {} at once",
                several.join(" and ")
            ),
            "they do not hear each other: IP protocol 112, peers, router id",
        ),
    }
    if !view.views.is_empty() && good == 0 && !view.holders.is_empty() {
        let said = view.views.iter().find_map(|view| {
            view.why
                .clone()
                .or_else(|| view.status.map(|status| format!("status {status}")))
        });
        say(
            Severity::Down,
            format!(
                "the service does not answer at {address}: {}",
                said.unwrap_or_default()
            ),
            "look at the load balancer that holds the address, and at what it says of its servers",
        );
    } else if good < view.views.len() && good > 0 {
        let lacking: Vec<&str> = view
            .views
            .iter()
            .filter(|view| view.status != Some(200))
            .map(|view| view.from.as_str())
            .collect();
        say(
            Severity::Degraded,
            format!(
                "the service does not answer {} at {address}",
                lacking.join(", ")
            ),
            "others are answered: look at the network between them and the holder",
        );
    }
    if let [holder] = view.holders.as_slice() {
        let elsewhere = view
            .views
            .iter()
            .filter(|view| view.hardware_address.is_some() && view.at.as_ref() != Some(holder));
        for view in elsewhere {
            let at = view
                .at
                .as_deref()
                .or(view.hardware_address.as_deref())
                .unwrap_or_default();
            say(
                Severity::Degraded,
                format!(
                    "{} sends what is for {address} to {at}, while {holder} holds it",
                    view.from
                ),
                "a stale neighbour entry, or a second holder: hactl verify --only keepalived",
            );
        }
    }
}

/// What nothing else can stand in for.
pub fn single_points(scene: &Scene<'_>, board: &Board) -> Vec<String> {
    let mut points = Vec::new();
    let mut alone = |serving: Vec<&str>, what: &str| {
        if let [one] = serving.as_slice() {
            points.push(format!("{one} is the only {what}"));
        }
    };
    if let Some(databases) = &board.databases {
        // Without a primary nobody streams, and a replica that answers has the data all the same.
        let alone_too = databases.primary.is_none();
        let serving = databases.members.iter().filter(|member| {
            member.role == "primary" || member.streaming || (alone_too && member.role == "replica")
        });
        alone(
            serving.map(|member| member.host.as_str()).collect(),
            "database that holds the data",
        );
    }
    let balancing: Vec<&str> = board
        .balancers
        .iter()
        .filter(|balancer| {
            balancer.haproxy.as_deref() == Some("active") && balancer.answers != Some(false)
        })
        .map(|balancer| balancer.host.as_str())
        .collect();
    let holding: Vec<&str> = board
        .balancers
        .iter()
        .filter(|balancer| balancer.keepalived.as_deref() == Some("active") && !balancer.flag)
        .filter(|balancer| {
            balancer.haproxy.is_none() || balancing.contains(&balancer.host.as_str())
        })
        .map(|balancer| balancer.host.as_str())
        .collect();
    alone(balancing.clone(), "load balancer that answers");
    if balancing.len() != 1 {
        alone(holding, "host that can hold the virtual address");
    }
    let serving = board
        .applications
        .iter()
        .filter(|line| line.status == Some(200));
    alone(
        serving.map(|line| line.host.as_str()).collect(),
        "application server that serves",
    );
    if board.virtual_address.is_none() && !board.balancers.is_empty() {
        points.push(
            "there is no virtual address: clients depend on the load balancer that they know"
                .to_owned(),
        );
    }
    if let [one] = scene.site.members("nfs_server") {
        points.push(format!("{one} is the only file server"));
    }
    for group in seen::COMPONENTS {
        let members = scene.site.members(group);
        for (index, host) in members.iter().enumerate() {
            let address = database::address(scene.site, host);
            let other = members
                .iter()
                .take(index)
                .find(|other| database::address(scene.site, other) == address);
            if let Some(other) = other {
                points.push(format!(
                    "{other} and {host} are one machine ({group}, {address})"
                ));
            }
        }
    }
    points
}
