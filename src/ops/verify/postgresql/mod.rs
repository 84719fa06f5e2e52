//! PostgreSQL: one primary, standbys that follow it, and nothing that would spoil the next failover.
//!
//! What the hosts say counts, never what the inventory wishes: it names no primary.

mod ask;
mod certificate;
mod cluster;
mod server;
mod settings;

use super::check::{Check, Findings, Verdict};
use super::common::fenced;
use super::component::{Component, View};
use super::observations::{Ask, Observations, last_words};
use crate::base::value::{Value, to_text};
use crate::ops::hosts::Host;

pub use ask::psql;

/// The component.
pub struct Postgresql;

static RUNNING: Check = Check::fail(
    "postgresql.running",
    "the server runs, answers and starts with the host",
    "pg_lsclusters; journalctl -u 'postgresql@*' says why",
);
static ONE: Check = Check::fail(
    "postgresql.one-primary",
    "exactly one server takes writes",
    "two primaries: stop the wrong one at once, before clients write to it; none: promote the standby that has the most",
);
static SYSTEM: Check = Check::fail(
    "postgresql.same-cluster",
    "all servers belong to the same cluster",
    "a server with another system identifier was initialised by itself: it must be cloned anew from the primary",
);
static TIMELINE: Check = Check::fail(
    "postgresql.timeline",
    "all servers are on the primary's timeline",
    "a server on another timeline has missed a promotion or made one: it must rejoin",
);
static STREAMING: Check = Check::fail(
    "postgresql.streaming",
    "every standby streams from the primary, as both say",
    "check the standby's log; the replication password, pg_hba.conf and the slot on the primary are the usual reasons",
);
static LAG: Check = Check::fail(
    "postgresql.lag",
    "no standby is behind",
    "a standby that stays behind is too slow, cut off, or held up by a long query",
);
static REPLAY: Check = Check::fail(
    "postgresql.replay",
    "no standby has its replay paused",
    "SELECT pg_wal_replay_resume() on the standby",
);
static SLOTS: Check = Check::fail(
    "postgresql.slots",
    "every slot of the primary is in use and keeps its WAL",
    "a slot without its standby fills the disk: bring the standby back, or SELECT pg_drop_replication_slot('NAME')",
);
static STALE: Check = Check::warn(
    "postgresql.stale-slots",
    "no standby keeps a slot that nobody uses",
    "SELECT pg_drop_replication_slot('NAME') on the standby",
);
static READ_ONLY: Check = Check::fail(
    "postgresql.standby-refuses-writes",
    "a standby refuses to write",
    "a server that takes writes is no standby: compare it with the primary at once",
);
static LOGINS: Check = Check::fail(
    "postgresql.replication-login",
    "every server may replicate from every other, so that roles can swap",
    "deploy again: it sets the replication password and pg_hba.conf in both directions",
);
static SYNC: Check = Check::fail(
    "postgresql.synchronous",
    "commits wait for a standby as declared",
    "postgresql_synchronous says what is wanted; deploy again",
);
static REWIND: Check = Check::fail(
    "postgresql.rewind-ready",
    "a former primary could be rewound",
    "set wal_log_hints = on (deploy does) and restart the server",
);
static SETTINGS: Check = Check::fail(
    "postgresql.standby-settings",
    "no standby has lower limits than the primary",
    "raise the setting on the standby first, then restart it: replay stops otherwise",
);
static RESTART: Check = Check::warn(
    "postgresql.pending-restart",
    "no setting waits for a restart",
    "restart the standbys first, then switch over and restart the former primary",
);
static FILES: Check = Check::fail(
    "postgresql.config-files",
    "its configuration files have no error",
    "the next reload or restart would fail or ignore the line: fix it, or deploy again",
);
static SCRAM: Check = Check::fail(
    "postgresql.scram",
    "passwords are kept and asked for by SCRAM only",
    "set the password again with password_encryption = 'scram-sha-256'; no md5, password or trust for hosts in pg_hba.conf",
);
static WRAP: Check = Check::warn(
    "postgresql.transactions",
    "no transaction or old row holds up the clean-up",
    "end the oldest transaction or roll back the prepared one; let autovacuum finish",
);
static CHECKSUMS: Check = Check::fail(
    "postgresql.checksums",
    "no page had a wrong checksum",
    "the disk returns wrong data: fail over away from it and replace it",
);
static UNCHECKED: Check = Check::warn(
    "postgresql.checksums-on",
    "pages have checksums",
    "nobody notices a page that the disk returns wrong: stop the standby and run pg_checksums --enable there, switch over, then the other one",
);
static IN_FORCE: Check = Check::fail(
    "postgresql.in-force",
    "what is declared is in force",
    "ALTER SYSTEM RESET NAME, and SELECT pg_reload_conf()",
);
static OBSERVED: Check = Check::warn(
    "postgresql.observer",
    "each standby observes how commits wait on its primary",
    "systemctl status hactl-observer: without it a failover cannot know what is lost; deploy again",
);
static FENCE: Check = Check::fail(
    "postgresql.fence",
    "a fenced server stays down, until it rejoins",
    "stop and mask it at once: what it takes is lost; then hactl rejoin",
);
static GUARD: Check = Check::fail(
    "postgresql.guard",
    "a server that was primary asks the others before it starts as one again",
    "deploy again: it installs the start guard, without which a host that returns from the dead makes a second primary",
);
static SIGNAL: Check = Check::fail(
    "postgresql.standby-signal",
    "every standby would come back as a standby, and the primary as the primary",
    "standby.signal belongs into the data directory of a standby, and of nobody else: without it a restart makes a second primary",
);
static WRITES: Check = Check::fail(
    "postgresql.primary-writes",
    "the primary takes writes",
    "ALTER SYSTEM RESET default_transaction_read_only, and SELECT pg_reload_conf()",
);
static ARCHIVER: Check = Check::fail(
    "postgresql.archiver",
    "the primary's WAL is archived, where that is wanted",
    "the server's log says why archive_command fails; until it succeeds the disk fills and nothing can be restored",
);
static LOADED: Check = Check::warn(
    "postgresql.files-loaded",
    "the server has read its configuration files as they are",
    "SELECT pg_reload_conf(), after checking what was changed; or deploy again",
);
static CONNECTIONS: Check = Check::warn(
    "postgresql.connections",
    "there are connections left",
    "check pg_stat_activity for clients that do not let go; raise max_connections on the standbys first",
);
static CERTIFICATE: Check = Check::warn(
    "postgresql.certificate",
    "the server's certificate is good for 30 days",
    "renew the file that ssl_cert_file names, and SELECT pg_reload_conf()",
);
/// A row written at the entrance arrives on every standby; judged by whoever writes one.
pub static MARKER: Check = Check::fail(
    "postgresql.marker",
    "a row written through the service endpoint arrives on every standby",
    "compare pg_stat_replication on the primary with pg_stat_wal_receiver on the standby",
);

/// A server as it was seen.
#[derive(Debug, Clone)]
pub(super) enum ServerState {
    /// It answered.
    Up(Value),
    /// It does not run; why.
    Down(String),
    /// It does not run, and must not: since when and by whom it was fenced.
    Fenced(String),
    /// It is not known how it is.
    Unclear(Verdict),
}

impl ServerState {
    fn up(&self) -> Option<&Value> {
        match self {
            Self::Up(state) => Some(state),
            _ => None,
        }
    }
}

static CHECKS: &[&Check] = &[
    &RUNNING,
    &ONE,
    &SYSTEM,
    &TIMELINE,
    &STREAMING,
    &LAG,
    &REPLAY,
    &SLOTS,
    &STALE,
    &READ_ONLY,
    &LOGINS,
    &SYNC,
    &REWIND,
    &SETTINGS,
    &RESTART,
    &FILES,
    &SCRAM,
    &WRAP,
    &CHECKSUMS,
    &UNCHECKED,
    &IN_FORCE,
    &OBSERVED,
    &GUARD,
    &MARKER,
    &FENCE,
    &SIGNAL,
    &WRITES,
    &ARCHIVER,
    &LOADED,
    &CONNECTIONS,
    &CERTIFICATE,
];

impl Component for Postgresql {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "postgresql_cluster",
            "postgresql_replicator",
            "postgresql_synchronous",
            "postgresql_data_root",
        ]
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        if view.site.members(self.name()).contains(&host.name) {
            ask::asks(view, host)
        } else {
            Vec::new()
        }
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let hosts = view.site.members(self.name());
        let servers: Vec<(&str, ServerState)> = hosts
            .iter()
            .map(|host| (host.as_str(), look(seen, host)))
            .collect();
        server::running(seen, &servers, findings);
        server::fences(seen, &servers, findings);
        server::guards(seen, &servers, findings);
        cluster::judge(view, &servers, findings);
        server::logins(view, seen, &servers, findings);
        for (host, server) in &servers {
            server::judge(seen, host, server, findings);
            settings::judge(seen, host, server, findings);
        }
    }
}

/// The standbys that were seen.
pub fn standbys(view: &View<'_>, seen: &Observations) -> Vec<String> {
    view.site
        .members("postgresql")
        .iter()
        .filter(|host| {
            look(seen, host)
                .up()
                .is_some_and(|state| state["in_recovery"] == true)
        })
        .cloned()
        .collect()
}

/// Whether a host's server answers on the host itself.
pub fn answers(seen: &Observations, host: &str) -> bool {
    look(seen, host).up().is_some()
}

/// The lines of a host's pg_hba.conf that let a superuser in from elsewhere.
pub fn superuser_rules(seen: &Observations, host: &str) -> Vec<String> {
    look(seen, host).up().map_or_else(Vec::new, |state| {
        server::names(state, "superuser_rules", |rule| Some(to_text(rule)))
    })
}

/// The servers that answer, with a setting of each as a number; one that cannot be read is left out.
pub fn setting(view: &View<'_>, seen: &Observations, name: &str) -> Vec<(String, usize)> {
    let hosts = view.site.members("postgresql").iter();
    hosts
        .filter_map(|host| {
            let value = to_text(&look(seen, host).up()?["settings"][name]);
            Some((host.clone(), value.parse().ok()?))
        })
        .collect()
}

/// How many servers there should be: all but those that are fenced.
pub fn wanted(view: &View<'_>, seen: &Observations) -> usize {
    let hosts = view.site.members("postgresql").iter();
    hosts
        .filter(|host| !matches!(look(seen, host), ServerState::Fenced(_)))
        .count()
}

fn look(seen: &Observations, host: &str) -> ServerState {
    match (asked(seen, host), fenced(seen, host)) {
        (ServerState::Down(_), Some(story)) => ServerState::Fenced(story),
        (server, _) => server,
    }
}

fn asked(seen: &Observations, host: &str) -> ServerState {
    match seen.reply(host, ask::STATE) {
        Ok(reply) if reply.code == 0 => match serde_json::from_slice(&reply.stdout) {
            Ok(state) => ServerState::Up(state),
            Err(error) => ServerState::Unclear(Verdict::Unknown(format!(
                "its answer cannot be read: {error}"
            ))),
        },
        Ok(reply) => {
            let (words, talk) = (last_words(reply), reply.err());
            // Only what proves that nothing listens there is taken for a stopped server; a frozen one times out.
            let stopped = [
                "No such file or directory",
                "Connection refused",
                "psql: not found",
                "user postgres does not exist",
            ]
            .iter()
            .any(|proof| talk.contains(proof));
            if stopped {
                ServerState::Down(words)
            } else {
                ServerState::Unclear(Verdict::Unknown(words))
            }
        }
        Err(verdict) => ServerState::Unclear(verdict),
    }
}
