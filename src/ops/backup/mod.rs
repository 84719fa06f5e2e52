//! Backups of the databases: where they are, what there is, making one, restoring one, proving that it can be restored.
//!
//! pgBackRest does the work, on the hosts; the role `postgresql_backup` set it up. Nothing here writes to a data directory that
//! existed before, and nothing changes the running cluster.

pub mod info;
pub mod make;
pub mod prove;
pub mod restore;
pub mod scripts;

pub use info::{Backup, Info};

use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::hosts::{Host, Site};

/// The group whose host keeps the backups.
pub const GROUP: &str = "postgresql_backup";

/// The variables that are read, besides those of [`crate::ops::database::postgresql::VARIABLES`].
pub const VARIABLES: &[&str] = &[
    "postgresql_backup_stanza",
    "postgresql_backup_path",
    "postgresql_backup_keep_full",
    "postgresql_backup_test_days",
    "postgresql_backup_port",
    "postgresql_backup_tls",
];

/// Where the last restore test is noted, on the repository host.
pub const TESTED: &str = "/var/lib/hactl/backup-tested";

/// The place of the backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The host.
    pub host: String,
    /// pgBackRest's name for the cluster.
    pub stanza: String,
    /// The directory.
    pub path: String,
    /// So many full backups are kept.
    pub keep_full: usize,
    /// Days between two restore tests.
    pub test_days: u64,
    /// A deploy renews certificates that end within so many days.
    pub renew_days: u64,
    /// Where it and the databases reach each other.
    pub port: u16,
    /// The directory of the keys.
    pub tls: String,
}

impl Repository {
    /// The one that the inventory names, if it names one.
    pub fn of(site: &Site) -> Option<Self> {
        let name = site.members(GROUP).first()?;
        let text = |key: &str, otherwise: &str| {
            site.host(name)
                .map_or_else(|| otherwise.to_owned(), |host| host.text(key, otherwise))
        };
        let number = |key: &str, otherwise: u64| text(key, "").parse().unwrap_or(otherwise);
        Some(Self {
            host: name.clone(),
            stanza: text("postgresql_backup_stanza", "main"),
            path: text("postgresql_backup_path", "/var/lib/pgbackrest"),
            keep_full: usize::try_from(number("postgresql_backup_keep_full", 2)).unwrap_or(2),
            test_days: number("postgresql_backup_test_days", 31),
            renew_days: number("postgresql_backup_certificate_renew_days", 30),
            port: u16::try_from(number("postgresql_backup_port", 8432)).unwrap_or(8432),
            tls: text("postgresql_backup_tls", "/etc/pgbackrest/tls"),
        })
    }

    /// The same, for a command that cannot do without.
    ///
    /// # Errors
    /// When the inventory names none.
    pub fn demand(site: &Site) -> Result<Self> {
        Self::of(site).ok_or_else(|| {
            Diagnostic::new(format!(
                "the inventory has no group `{GROUP}`, so there are no backups"
            ))
            .help(format!(
                "put one host that holds no database into the group `{GROUP}`, then: hactl deploy"
            ))
        })
    }

    /// Asks the repository host what there is; read with [`Info::read`]. One command, about 0.1 s.
    pub fn ask(&self) -> Request {
        let mut request = Request::sh(scripts::info(self));
        request.timeout_seconds = Some(20);
        request
    }

    /// pgBackRest on any of the hosts, with what every call has.
    pub fn command(&self) -> String {
        format!("pgbackrest --stanza={}", sh(&self.stanza))
    }
}

/// For `status`: the host to ask and the request, to be sent with whatever else is asked of that host. Nothing when the
/// inventory has no repository. [`Info::read`] reads the reply; [`Info::last`] is the last good backup.
pub fn probe(site: &Site) -> Option<(String, Request)> {
    let repository = Repository::of(site)?;
    Some((repository.host.clone(), repository.ask()))
}

/// A failed command of pgBackRest or PostgreSQL as an error: the line that says why, and everything else below it.
pub fn failed(host: &Host, what: &str, reply: &Reply) -> Diagnostic {
    let said = format!("{}\n{}", reply.err(), reply.out());
    let mut error = Diagnostic::with_code(exit::FAILED, what.to_owned()).on(&host.name);
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let telling: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| {
            ["ERROR", "FATAL", "HINT", "error:"]
                .iter()
                .any(|word| line.contains(word))
        })
        .collect();
    let chosen = if telling.is_empty() { lines } else { telling };
    for line in chosen.iter().rev().take(8).rev() {
        error = error.note((*line).to_owned());
    }
    if matches!(reply.code, 124 | 137) {
        error = error.note("it took too long and was ended".to_owned());
    }
    match remedy(&said) {
        Some(help) => error.help(help),
        None => error.help(format!(
            "hactl ssh {}; the log is in /var/log/pgbackrest",
            host.name
        )),
    }
}

/// What to do about what pgBackRest said; by its error codes, which are stable.
fn remedy(said: &str) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        (
            "[050]",
            "another backup is running: wait for it (hactl backup list shows it)",
        ),
        (
            "[056]",
            "no database host was seen as the primary from the repository host: hactl status; is pgbackrest.service running on the database hosts?",
        ),
        (
            "[082]",
            "the log does not arrive in the repository: hactl verify --only backup; the primary's log says why archiving fails",
        ),
        (
            "[049]",
            "the hosts cannot reach each other: is pgbackrest.service running on both, and its port open?",
        ),
        (
            "[055]",
            "there is no such file in the repository: hactl backup list",
        ),
        (
            "[028]",
            "the repository belongs to another cluster than the one that runs: is this the right inventory?",
        ),
        ("No space left", "make room on that file system"),
        (
            "before configured recovery target was reached",
            "the log in the repository ends before that time: choose an earlier one, or --to-latest",
        ),
        (
            "requested timeline",
            "that time is on another branch of the history than the newest one: choose a time after the last failover",
        ),
    ];
    if said.contains("[050]") && said.contains("Permission denied") {
        return Some(
            "its lock belongs to another user, and no backup runs: see whose it is (ls -l the path above), remove it, then hactl deploy",
        );
    }
    KNOWN
        .iter()
        .find(|(sign, _)| said.contains(sign))
        .map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::Value;

    fn site(groups: &[(&str, &[&str])]) -> Site {
        let host = |name: &&str| Host {
            name: (*name).to_owned(),
            groups: Vec::new(),
            target: crate::connection::Target::default(),
            variables: [("postgresql_backup_keep_full".to_owned(), Value::from(3))]
                .into_iter()
                .collect(),
        };
        Site {
            hosts: groups
                .iter()
                .flat_map(|(_, hosts)| hosts.iter().map(host))
                .collect(),
            groups: groups
                .iter()
                .map(|(group, hosts)| {
                    (
                        (*group).to_owned(),
                        hosts.iter().map(|host| (*host).to_owned()).collect(),
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn without_the_group_there_is_nothing_to_ask() {
        let none = site(&[("postgresql", &["db1"])]);
        assert!(probe(&none).is_none());
        let error = Repository::demand(&none).expect_err("no repository");
        assert_eq!(error.code, exit::USAGE);
        assert!(
            error
                .help
                .is_some_and(|help| help.contains("postgresql_backup"))
        );
        let one = site(&[("postgresql", &["db1"]), (GROUP, &["app2"])]);
        let repository = Repository::demand(&one).expect("a repository");
        assert_eq!(
            (repository.host.as_str(), repository.keep_full),
            ("app2", 3)
        );
        assert_eq!(probe(&one).expect("a probe").0, "app2");
    }

    #[test]
    fn what_pgbackrest_says_becomes_advice() {
        let host = &site(&[(GROUP, &["app2"])]).hosts[0];
        for (said, help) in [
            (
                "P00  ERROR: [050]: unable to acquire lock",
                "another backup",
            ),
            (
                "P00  ERROR: [050]: unable to acquire lock on file '/tmp/pgbackrest/main-backup.lock': Permission denied",
                "belongs to another user",
            ),
            (
                "FATAL:  recovery ended before configured recovery target was reached",
                "earlier",
            ),
            ("something else", "/var/log/pgbackrest"),
        ] {
            let reply = Reply {
                code: 1,
                stderr: said.as_bytes().to_vec(),
                ..Reply::default()
            };
            let error = failed(host, "it failed", &reply);
            assert!(
                error.help.clone().is_some_and(|text| text.contains(help)),
                "{error:?}"
            );
            assert!(
                error.notes.iter().any(|note| note.contains(said.trim())),
                "{error:?}"
            );
        }
    }
}
