//! The service as a drill sees it: its hosts, and who is what at this moment.
//!
//! Roles are observed, never read from the inventory.

use super::faults;
use super::line::Line;
use super::record::Role;
use crate::base::quote::{sh, sh_join};
use crate::base::{Diagnostic, Result, exit};
use crate::connection::Target;
use crate::modules::{Reply, Request};
use crate::ops::entrance::maintenance;
use crate::ops::hosts::{Host, Site};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Seconds after which a host that does not let in is given up.
const OPENING: u64 = 20;
/// Seconds that a look may take; a host that is frozen must not hold a drill up.
const QUICK: u64 = 4;

/// The variables that drills read.
pub const VARIABLES: &[&str] = &[
    "cluster_address",
    "keepalived_vip",
    "haproxy_port",
    "postgresql_cluster",
    "postgresql_synchronous",
    "welcome_app_db_name",
    "welcome_app_images",
    "welcome_app_directory",
    "welcome_app_user",
    "hactl_lab",
];

/// A database server on its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its port.
    pub port: u16,
    /// Its unit.
    pub unit: String,
    /// Its data directory.
    pub data: String,
    /// Its version, as its folders are named.
    pub version: String,
}

impl Instance {
    /// SQL for this server, as its owner; what it prints is unaligned, without headers.
    pub fn sql(&self, database: &str, sql: &str) -> Request {
        let port = self.port.to_string();
        let words = ["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-p", &port, "-d"];
        let mut request = Request::sh(format!("exec {} {}", sh_join(words), sh(database)))
            .stdin(sql)
            .user("postgres");
        request.environment = vec![("PGCONNECT_TIMEOUT".to_owned(), "2".to_owned())];
        request
    }
}

/// Who is what when a drill begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrillAssignment {
    /// The database that takes writes.
    pub primary: String,
    /// The one that follows it.
    pub standby: String,
    /// The load balancer with the virtual address.
    pub holder: String,
    /// The other one.
    pub reserve: String,
    /// All application servers.
    pub apps: Vec<String>,
    /// The file server, where there is one.
    pub file_server: String,
    /// All hosts of the service.
    pub hosts: Vec<String>,
    /// The host through which the clients come: an application server. Alone it is never broken.
    pub viewer: String,
    /// The database servers, by host.
    pub servers: BTreeMap<String, Instance>,
}

/// The service.
pub struct DrillTarget {
    site: Site,
    lines: BTreeMap<String, Arc<Mutex<Line>>>,
    /// The service's address.
    pub address: String,
    /// Its port.
    pub port: u16,
    database: String,
    cluster: String,
}

impl DrillTarget {
    /// Of these hosts.
    ///
    /// # Errors
    /// It is no service that drills know: two databases, load balancers with an address, application servers.
    pub fn new(site: Site) -> Result<Self> {
        let missing = |what: &str| {
            Err(Diagnostic::new(format!("drills need {what}"))
                .help("they know the stack pg-ha: `hactl inventory graph` shows this one's groups"))
        };
        if site.members("postgresql").len() != 2 {
            return missing("two hosts in the group postgresql");
        }
        if site.members("welcome_app").is_empty() {
            return missing("a host in the group welcome_app");
        }
        let first = |group: &str| site.members(group).first().and_then(|name| site.host(name));
        // Without a virtual address the clients know the only load balancer by its own.
        let (balancer, address) = if let Some(balancer) = first("keepalived") {
            let vip = balancer.text("keepalived_vip", "");
            let address = vip.split('/').next().unwrap_or_default().to_owned();
            (balancer, address)
        } else if let ([_], Some(balancer)) = (site.members("haproxy"), first("haproxy")) {
            (
                balancer,
                balancer.text("cluster_address", &balancer.target.address),
            )
        } else {
            return missing("load balancers in the group keepalived, or one in the group haproxy");
        };
        if address.is_empty() {
            return missing("`keepalived_vip`");
        }
        let port = balancer.number("haproxy_port", 80);
        let text = |group: &str, name: &str, otherwise: &str| {
            first(group).map_or_else(|| otherwise.to_owned(), |host| host.text(name, otherwise))
        };
        Ok(Self {
            lines: site
                .hosts
                .iter()
                .map(|host| {
                    (
                        host.name.clone(),
                        Arc::new(Mutex::new(Line::new(&host.target, OPENING))),
                    )
                })
                .collect(),
            address,
            port,
            database: text("welcome_app", "welcome_app_db_name", "welcome_app"),
            cluster: text("postgresql", "postgresql_cluster", "main"),
            site,
        })
    }

    /// The hosts.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// How a host is entered.
    pub fn target(&self, host: &str) -> Option<&Target> {
        self.site.host(host).map(|host| &host.target)
    }

    /// Whether commits wait for the standby.
    pub fn synchronous(&self) -> bool {
        self.site
            .members("postgresql")
            .iter()
            .filter_map(|name| self.site.host(name))
            .any(|host: &Host| {
                matches!(
                    host.text("postgresql_synchronous", "false")
                        .to_lowercase()
                        .as_str(),
                    "true" | "yes" | "on" | "1"
                )
            })
    }

    /// Asks a host.
    ///
    /// # Errors
    /// It is not one of these, was not reached, or was lost.
    pub async fn ask(&self, host: &str, request: Request) -> Result<Reply> {
        let line = self
            .lines
            .get(host)
            .ok_or_else(|| Diagnostic::new("it is not one of the service's hosts").on(host))?;
        line.lock().await.ask(request).await
    }

    /// Lets go of the connection to a host.
    pub async fn forget(&self, host: &str) {
        if let Some(line) = self.lines.get(host) {
            line.lock().await.close();
        }
    }

    /// Asks many hosts the same, at once.
    async fn ask_all(
        &self,
        hosts: &[String],
        request: &Request,
    ) -> BTreeMap<String, Result<Reply>> {
        let mut answers = BTreeMap::new();
        let mut asking = JoinSet::new();
        for host in hosts {
            let Some(line) = self.lines.get(host).map(Arc::clone) else {
                continue;
            };
            let (host, request) = (host.clone(), request.clone());
            asking.spawn(async move { (host, line.lock().await.ask(request).await) });
        }
        while let Some(answered) = asking.join_next().await {
            if let Ok((host, answer)) = answered {
                answers.insert(host, answer);
            }
        }
        answers
    }

    /// Who is what now.
    ///
    /// # Errors
    /// Refused when that is not plain: a drill begins with a whole service.
    pub async fn assignment(&self) -> Result<DrillAssignment> {
        let unclear = |what: String| {
            Diagnostic::refused(what)
                .help("a drill begins with a healthy service: see `hactl verify`")
        };
        let mut notes = maintenance::Notes::default();
        let mut assignment = DrillAssignment {
            hosts: self
                .site
                .hosts
                .iter()
                .map(|host| host.name.clone())
                .collect(),
            apps: self.site.members("welcome_app").to_vec(),
            ..DrillAssignment::default()
        };
        for (host, answer) in self.ask_all(&assignment.hosts, &maintenance::ask()).await {
            let text = answer.ok().map(|reply| reply.out().into_owned());
            notes.add(&host, text.as_deref());
        }
        if let Some(refusal) = notes.refusal("drill") {
            return Err(refusal);
        }
        for (host, answer) in self
            .ask_all(self.site.members("postgresql"), &faults::ask())
            .await
        {
            if let Some(fault) = answer
                .ok()
                .and_then(|reply| faults::read(&reply.out()).pop())
            {
                return Err(Diagnostic::refused(format!(
                    "the drill {} of {} was not ended",
                    fault.drill, fault.operator
                ))
                .on(&host)
                .note(format!("{}: {}", fault.host, fault.text))
                .help("hactl resume heals what it broke"));
            }
        }
        let request = Request::sh(look(&self.cluster, self.site.patience()));
        let (mut primaries, mut standbys) = (Vec::new(), Vec::new());
        for (host, answer) in self
            .ask_all(self.site.members("postgresql"), &request)
            .await
        {
            let reply = answer?;
            let (server, recovery) = server(&reply.out(), &self.cluster)
                .ok_or_else(|| unclear(format!("{host} has no cluster `{}`", self.cluster)))?;
            match recovery.as_str() {
                "f" => primaries.push(host.clone()),
                "t" => standbys.push(host.clone()),
                _ => {}
            }
            assignment.servers.insert(host, server);
        }
        match (primaries.as_slice(), standbys.as_slice()) {
            ([primary], [standby]) => {
                assignment.primary.clone_from(primary);
                assignment.standby.clone_from(standby);
            }
            _ => {
                return Err(unclear(format!(
                    "there is not one primary with one standby (primaries: {}; standbys: {})",
                    listed(&primaries),
                    listed(&standbys)
                )));
            }
        }
        let balancers = self.site.members("keepalived");
        let holders = if balancers.is_empty() {
            self.site.members("haproxy").to_vec()
        } else {
            self.holders().await
        };
        match holders.as_slice() {
            [holder] => {
                assignment.holder.clone_from(holder);
                assignment.reserve = balancers
                    .iter()
                    .find(|name| *name != holder)
                    .cloned()
                    .unwrap_or_default();
            }
            _ => {
                return Err(unclear(format!(
                    "{} is not on exactly one host ({})",
                    self.address,
                    listed(&holders)
                )));
            }
        }
        assignment.viewer = assignment.apps.last().cloned().unwrap_or_default();
        if let Some(server) = self.site.members("nfs_server").first() {
            assignment.file_server.clone_from(server);
        }
        Ok(assignment)
    }

    /// The hosts that are seen to have the virtual address.
    pub async fn holders(&self) -> Vec<String> {
        self.holders_of(self.site.members("keepalived")).await
    }

    /// Those of these hosts that are seen to have it.
    pub async fn holders_of(&self, hosts: &[String]) -> Vec<String> {
        let mut request = Request::sh(format!("exec ip -o addr show to {}", sh(&self.address)));
        request.timeout_seconds = Some(QUICK);
        self.ask_all(hosts, &request)
            .await
            .into_iter()
            .filter(|(_, answer)| {
                answer
                    .as_ref()
                    .is_ok_and(|reply| !reply.out().trim().is_empty())
            })
            .map(|(host, _)| host)
            .collect()
    }

    /// What the databases are seen to be.
    pub async fn roles(&self) -> BTreeMap<String, Role> {
        let mut request = Request::sh(look(&self.cluster, self.site.patience()));
        request.timeout_seconds = Some(QUICK);
        self.ask_all(self.site.members("postgresql"), &request)
            .await
            .into_iter()
            .map(|(host, answer)| {
                let role = answer.map_or(Role::Unknown, |reply| {
                    match server(&reply.out(), &self.cluster) {
                        Some((_, found)) if found == "f" => Role::Primary,
                        Some((_, found)) if found == "t" => Role::Standby,
                        _ => Role::Down,
                    }
                });
                (host, role)
            })
            .collect()
    }

    /// The databases that are seen to take writes.
    pub async fn primaries(&self) -> Vec<String> {
        let roles = self.roles().await.into_iter();
        roles
            .filter(|(_, role)| *role == Role::Primary)
            .map(|(host, _)| host)
            .collect()
    }

    /// SQL for the application's database.
    pub(super) async fn sql(&self, host: &str, server: &Instance, sql: &str) -> Result<Reply> {
        let mut request = server.sql(&self.database, sql);
        request.timeout_seconds = Some(30);
        let reply = self.ask(host, request).await?;
        done(host, &reply, "the database refused").cloned()
    }
}

/// The reply of something that had to succeed.
///
/// # Errors
/// It did not; with what it said.
pub fn done<'a>(host: &str, reply: &'a Reply, what: &str) -> Result<&'a Reply> {
    if reply.code == 0 {
        return Ok(reply);
    }
    Err(
        Diagnostic::with_code(exit::FAILED, format!("{what} (exit code {})", reply.code))
            .on(host)
            .note(reply.err().trim().to_owned()),
    )
}

/// Names for a sentence.
pub fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// The clusters of a host, and whether the one of this name is in recovery.
fn look(cluster: &str, times: u32) -> String {
    format!(
        "pg_lsclusters --no-header </dev/null | while read -r v c p s o d r; do [ \"$c\" = {} ] || continue
echo \"$v $c $p $d\"; timeout {} runuser -u postgres -- psql -XAtqw -p \"$p\" -d postgres -c 'SELECT pg_is_in_recovery()' </dev/null; done",
        sh(cluster),
        3 * times
    )
}

fn server(text: &str, cluster: &str) -> Option<(Instance, String)> {
    let mut lines = text.lines();
    let mut words = lines.next()?.splitn(4, ' ');
    let version = words.next()?.to_owned();
    (words.next()? == cluster).then_some(())?;
    let server = Instance {
        port: words.next()?.parse().ok()?,
        data: words.next()?.to_owned(),
        unit: format!("postgresql@{version}-{cluster}.service"),
        version,
    };
    Some((server, lines.next().unwrap_or_default().trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        let good = |data: &str| Instance {
            port: 5433,
            unit: "postgresql@16-main.service".to_owned(),
            data: data.to_owned(),
            version: "16".to_owned(),
        };
        for (text, expected) in [
            (
                "16 main 5433 /var/lib/postgresql/16/main\nf\n",
                Some((good("/var/lib/postgresql/16/main"), "f")),
            ),
            ("16 main 5433 /a b\n", Some((good("/a b"), ""))),
            ("16 other 5433 /a\nf\n", None),
            ("16 main x /a\n", None),
            ("", None),
        ] {
            let expected = expected.map(|(server, role)| (server, role.to_owned()));
            assert_eq!(server(text, "main"), expected, "{text}");
        }
    }
}
