//! The load balancers: whether they run and answer, and what they say of their servers.
//!
//! Never one word twice: what several of them say of a server is one finding.

use crate::ops::status::Snapshot;
use crate::ops::status::host_probe;
use crate::ops::status::status_report::{Balancer, ServerLine, Severity, StatusFinding};

impl Snapshot<'_> {
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
    pub(in crate::ops::status) fn balancers(
        &self,
        findings: &mut Vec<StatusFinding>,
    ) -> Vec<Balancer> {
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
            findings.push(StatusFinding::new(
                Severity::Down,
                "no load balancer has a server that is up",
                "check the application servers: their health names what they miss",
            ));
        }
        balancers
    }

    fn balancer(&self, host: &str) -> Balancer {
        let mut line = Balancer {
            host: host.to_owned(),
            answers: if host_probe::is(self.site, "haproxy", host) {
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

    fn judge_balancer(&self, balancer: &Balancer, findings: &mut Vec<StatusFinding>) {
        let host = &balancer.host;
        let mut wrong = |what: String, remedy: String| {
            findings.push(StatusFinding::new(Severity::Degraded, what, remedy))
        };
        if !self.reached(host) {
            if balancer.answers == Some(false) {
                wrong(
                    format!("the load balancer {host} answers nobody and could not be asked"),
                    "start the host or fix its network".to_owned(),
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
}

/// What the load balancers say of a server that gets nothing: once, when they say the same.
fn judge_servers(balancers: &[Balancer], findings: &mut Vec<StatusFinding>) {
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
        findings.push(StatusFinding::new(
            Severity::Degraded,
            format!("{} {send} nothing to {server}: {state}", by.join(" and ")),
            remedy,
        ));
    }
}
