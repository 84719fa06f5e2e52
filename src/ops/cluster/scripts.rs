//! The shell of every step on a database host. Each script may run twice, changes nothing beyond what its name says, waits
//! for conditions with a limit, and never deletes a data directory.

use super::node::Place;
use crate::base::quote::sh;
use crate::ops::hosts::Host;

/// How a database host is talked to in steps.
#[derive(Debug, Clone)]
pub struct Server {
    /// The inventory's name.
    pub host: String,
    /// Where the others reach it.
    pub address: String,
    /// The name of its slot on the others.
    pub slot: String,
    /// `postgresql@15-main.service`.
    pub unit: String,
    /// The major version.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// The data directory.
    pub data: String,
    /// The port.
    pub port: u16,
    /// Who replicates.
    pub replicator: String,
    /// The home of the server's user.
    pub home: String,
}

impl Server {
    /// From what the inventory says and what was seen.
    pub fn new(host: &Host, address: &str, place: &Place) -> Self {
        let cluster = host.text("postgresql_cluster", "main");
        Self {
            host: host.name.clone(),
            address: address.to_owned(),
            slot: slot_name(&host.name),
            unit: format!("postgresql@{}-{cluster}.service", place.version),
            version: place.version.clone(),
            cluster,
            data: place.data.clone(),
            port: place.port,
            replicator: host.text("postgresql_replicator", "replicator"),
            home: host.text("postgresql_data_root", "/var/lib/postgresql"),
        }
    }

    /// What every script begins with: variables, `ask` for SQL, `await` for a condition in SQL with a limit in seconds (`waits`
    /// is its SQL alone). One psql each, and no session of PAM around it: writes wait for some of them.
    fn prelude(&self) -> String {
        format!(
            "set -eu; export LC_ALL=C; cd /; unit={}; data={}; conf=/etc/postgresql/{}/{}; bin=/usr/lib/postgresql/{}/bin
ask() {{ PGOPTIONS='-c synchronous_commit=local' setpriv --reuid=postgres --regid=postgres --init-groups psql -XAtqw -v ON_ERROR_STOP=1 -p {} -d postgres; }}
control() {{ \"$bin/pg_controldata\" -D \"$data\" | sed -n \"s/^$1: *//p\"; }}
waits() {{ echo \"SET statement_timeout = 0; DO \\$\\$ BEGIN FOR i IN 1..$1*50 LOOP EXIT WHEN $2; PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); END LOOP; END \\$\\$;\"; }}
await() {{ [ \"$(echo \"$(waits \"$1\" \"$2\") SELECT $2\" | ask)\" = t ]; }}
",
            sh(&self.unit),
            sh(&self.data),
            sh(&self.version),
            sh(&self.cluster),
            sh(&self.version),
            self.port
        )
    }

    /// The connection that a standby makes to this server, on the standby `from`.
    fn conninfo(&self, from: &Self) -> String {
        format!(
            "host={} port={} user={} application_name={} passfile={}/.pgpass",
            self.address, self.port, self.replicator, from.host, from.home
        )
    }

    /// SQL that tells this server to follow another one, effective when it is next a standby.
    fn follow_sql(&self, primary: &Self) -> String {
        format!(
            "ALTER SYSTEM SET primary_conninfo = {};\nALTER SYSTEM SET primary_slot_name = {};\n",
            literal(&primary.conninfo(self)),
            literal(&self.slot)
        )
    }

    /// Makes a slot for each of these standbys, so that nothing they need is thrown away.
    pub fn make_slots(&self, standbys: &[&Self]) -> String {
        let sql: String = standbys
            .iter()
            .map(|standby| {
                let slot = literal(&standby.slot);
                format!("SELECT pg_create_physical_replication_slot({slot}, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {slot});\n")
            })
            .collect();
        format!("{}ask <<'END' >/dev/null\n{sql}END\n", self.prelude())
    }

    /// Drops the slots of these standbys, when nobody uses them.
    pub fn drop_slots(&self, standbys: &[&Self]) -> String {
        let names: Vec<String> = standbys
            .iter()
            .map(|standby| literal(&standby.slot))
            .collect();
        if names.is_empty() {
            return "true".to_owned();
        }
        format!(
            "{}ask <<'END' >/dev/null\nSELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_type = 'physical' AND slot_name IN ({});\nEND\n",
            self.prelude(),
            names.join(", ")
        )
    }

    /// Tells a running server whom to follow when it is next a standby, and writes out what a stop would have to.
    pub fn prepare_to_follow(&self, primary: &Self) -> String {
        format!(
            "{}ask <<'END' >/dev/null\n{}CHECKPOINT;\nEND\n",
            self.prelude(),
            self.follow_sql(primary)
        )
    }

    /// Takes [`Self::prepare_to_follow`] back.
    pub fn forget_to_follow(&self) -> String {
        format!(
            "{}ask <<'END' >/dev/null\nALTER SYSTEM RESET primary_conninfo;\nALTER SYSTEM RESET primary_slot_name;\nEND\n",
            self.prelude()
        )
    }

    /// Writes out what a promotion and a stop would have to.
    pub fn checkpoint(&self) -> String {
        format!("{}echo CHECKPOINT | ask\n", self.prelude())
    }

    /// Stops the server in order, and notes where its log ends. Without the proof of a clean stop it fails.
    pub fn stop_clean(&self) -> String {
        format!(
            "{}systemctl stop \"$unit\"
state=$(control 'Database cluster state')
case $state in 'shut down'|'shut down in recovery') ;; *) echo \"the control file says '$state', not 'shut down'\" >&2; exit 1 ;; esac
echo \"note stopped_at $(control 'Latest checkpoint location')\"
echo \"note stopped_timeline $(control \"Latest checkpoint's TimeLineID\")\"
",
            self.prelude()
        )
    }

    /// Starts the server again as the primary that it was.
    pub fn start_primary(&self) -> String {
        format!(
            "{}rm -f \"$data/standby.signal\"; sync \"$data\"
systemctl start \"$unit\"
await 30 'NOT pg_is_in_recovery()' || {{ echo 'it does not take writes' >&2; exit 1; }}
",
            self.prelude()
        )
    }

    /// From now on it can only start as a standby, whoever starts it.
    pub fn become_standby(&self) -> String {
        format!(
            "{}install -o postgres -g postgres -m 0600 /dev/null \"$data/standby.signal\"; sync \"$data/standby.signal\" \"$data\"\n",
            self.prelude()
        )
    }

    /// Takes [`Self::become_standby`] back.
    pub fn no_longer_standby(&self) -> String {
        format!(
            "{}rm -f \"$data/standby.signal\"; sync \"$data\"\n",
            self.prelude()
        )
    }

    /// Proves that this standby has the last byte that the primary wrote: the record of the shutdown checkpoint begins at
    /// that position, so having it means to be beyond it.
    pub fn has_last_byte(&self, stopped_at: &str, limit: u32) -> String {
        format!(
            "{}await {limit} \"coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > '{}', false)\" || {{
echo \"it has the log up to $(echo 'SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())' | ask), and the primary's last record begins at {}\" >&2; exit 1; }}
",
            self.prelude(),
            position(stopped_at),
            position(stopped_at)
        )
    }

    /// Commits no longer wait for a standby.
    pub fn wait_for_nobody(&self) -> String {
        format!(
            "{}ask <<'END' >/dev/null\nALTER SYSTEM SET synchronous_standby_names = '';\nSELECT pg_reload_conf();\nEND\n",
            self.prelude()
        )
    }

    /// Takes [`Self::wait_for_nobody`] back: what the configuration says counts again.
    pub fn wait_for_replicas(&self) -> String {
        format!(
            "{}ask <<'END' >/dev/null\nALTER SYSTEM RESET synchronous_standby_names;\nSELECT pg_reload_conf();\nEND\n",
            self.prelude()
        )
    }

    /// Makes a standby the primary, and waits until it takes writes.
    pub fn promote(&self) -> String {
        format!(
            "{}at=$(echo \"DO \\$\\$ BEGIN IF pg_is_in_recovery() THEN PERFORM pg_promote(false); END IF; END \\$\\$;
$(waits 60 'NOT pg_is_in_recovery()')
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_wal_lsn()::text END\" | ask)
[ -n \"$at\" ] || {{ echo 'it is still in recovery' >&2; exit 1; }}
echo \"note promoted_at $at\"
",
            self.prelude()
        )
    }

    /// A checkpoint on a new primary, so that the control file tells the new timeline before anything is rewound to it.
    pub fn settle_promotion(&self) -> String {
        format!(
            "{}echo CHECKPOINT | ask\necho \"note timeline $(control \"Latest checkpoint's TimeLineID\")\"\n",
            self.prelude()
        )
    }

    /// Starts a stopped server that has its signal, and waits until it streams.
    pub fn start_standby(&self) -> String {
        format!(
            "{}[ -e \"$data/standby.signal\" ] || {{ echo 'there is no standby.signal: it would start as a primary' >&2; exit 1; }}
systemctl start \"$unit\"
{}",
            self.prelude(),
            STREAMS
        )
    }

    /// Turns a running standby to another primary.
    pub fn repoint(&self, primary: &Self) -> String {
        format!(
            "{}ask <<'END' >/dev/null\n{}SELECT pg_reload_conf();\nEND\n{STREAMS}",
            self.prelude(),
            self.follow_sql(primary)
        )
    }

    /// Waits until a standby is seen streaming by this primary.
    pub fn is_followed_by(&self, standby: &Self) -> String {
        format!(
            "{}await 30 \"EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND application_name = {})\" || {{ echo {} >&2; exit 1; }}\n",
            self.prelude(),
            literal(&standby.host),
            sh(&format!("{} does not stream from it", standby.host))
        )
    }

    /// Keeps the server from running, now and after a reboot, whoever starts it: killed if it still does, disabled, masked,
    /// and marked with `why`.
    pub fn fence(&self, why: &str) -> String {
        format!(
            "{}mkdir -p /var/lib/hactl; printf '%s since %s\n' {} \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\" >/var/lib/hactl/fenced; sync /var/lib/hactl/fenced
[ ! -f \"$conf/start.conf\" ] || {{ sed -i 's/^[[:space:]]*[a-z][a-z]*.*/disabled/' \"$conf/start.conf\"; sync \"$conf/start.conf\"; }}
systemctl kill -s KILL \"$unit\" 2>/dev/null || true
if [ -r \"$data/postmaster.pid\" ]; then read -r p <\"$data/postmaster.pid\"; case $(readlink \"/proc/$p/exe\" 2>/dev/null) in */postgres) kill -9 \"$p\" ;; esac; fi
timeout 20 systemctl stop \"$unit\"
systemctl mask \"$unit\" 2>/dev/null
! systemctl is-active -q \"$unit\" || {{ echo 'it still runs' >&2; exit 1; }}
",
            self.prelude(),
            sh(why)
        )
    }

    /// Takes [`Self::fence`] back; starts nothing.
    pub fn unfence(&self) -> String {
        format!(
            "{}systemctl unmask --runtime \"$unit\" 2>/dev/null; systemctl unmask \"$unit\" 2>/dev/null
[ ! -f \"$conf/start.conf\" ] || sed -i 's/^disabled$/auto/' \"$conf/start.conf\"
rm -f /var/lib/hactl/fenced
",
            self.prelude()
        )
    }

    /// Notes how far the log of a stopped server goes: `log_end`, and `state` of the control file.
    pub fn log_end(&self) -> String {
        format!(
            "{}t=$(control \"Latest checkpoint's TimeLineID\"); s=$(control 'Latest checkpoint location')
echo \"note state $(control 'Database cluster state')\"
e=$(runuser -u postgres -- \"$bin/pg_waldump\" -q -p \"$data/pg_wal\" -t \"$t\" -s \"$s\" 2>&1 | grep -o 'at [0-9A-F]*/[0-9A-F]*' | tail -n 1) || true
echo \"note log_end ${{e#at }}\"
",
            self.prelude()
        )
    }

    /// Stops the server, in whatever state it is, and keeps others from starting it until [`Self::unfence`]: a host that
    /// has just come back may still be on the way of doing so.
    pub fn stop(&self) -> String {
        format!(
            "{}timeout 60 systemctl stop \"$unit\" || systemctl kill -s KILL \"$unit\"; systemctl mask --runtime \"$unit\" 2>/dev/null; systemctl stop \"$unit\"\n",
            self.prelude()
        )
    }

    /// Keeps a copy of the data directory (or of its log and control file only) under another name.
    pub fn keep(&self, copy: &str, log_only: bool) -> String {
        let what = if log_only {
            "install -d -o postgres -g postgres -m 0700 \"$k.new\"; cp -a --reflink=auto \"$data/pg_wal\" \"$data/global/pg_control\" \"$data/PG_VERSION\" \"$k.new/\""
        } else {
            "cp -a --reflink=auto \"$data\" \"$k.new\""
        };
        format!(
            "{}k={}; [ ! -e \"$k\" ] || exit 0; rm -rf \"$k.new\"; {what}; sync -f \"$k.new\"; mv -T \"$k.new\" \"$k\"\n",
            self.prelude(),
            sh(copy)
        )
    }

    /// Rewinds this host to the primary. Broken off, it leaves a mark: the directory is unusable then.
    pub fn rewind(&self, primary: &Self) -> String {
        let source = format!(
            "host={} port={} user={} dbname=postgres passfile={}/.pgpass target_session_attrs=read-write",
            primary.address, primary.port, primary.replicator, self.home
        );
        format!(
            "{}: >\"$data.rewinding\"; sync \"$data.rewinding\"
runuser -u postgres -- \"$bin/pg_rewind\" --target-pgdata \"$data\" --config-file \"$conf/postgresql.conf\" --source-server {} >&2
rm -f \"$data.rewinding\"
",
            self.prelude(),
            sh(&source)
        )
    }

    /// A new copy of the primary; the old directory is kept under another name. Made beside its place and moved there when
    /// complete: what was broken off is never taken for a cluster.
    pub fn reclone(&self, primary: &Self, kept: &str) -> String {
        format!(
            "{}n=\"$data.cloning\"; k={}
exec 8>/run/hactl-postgresql-{}.lock; flock -w 600 8
[ ! -e \"$k\" ] || [ -e \"$data\" ] || {{ [ ! -e \"$n.done\" ] || mv -T \"$n\" \"$data\"; }}
if [ ! -e \"$k\" ]; then
rm -rf \"$n\" \"$n.done\"
runuser -u postgres -- \"$bin/pg_basebackup\" -D \"$n\" -w -X stream -S {} --checkpoint=fast -d {} </dev/null
rm -f \"$n/postgresql.conf\" \"$n/pg_hba.conf\" \"$n/pg_ident.conf\"
install -o postgres -g postgres -m 0600 /dev/null \"$n/standby.signal\"
sync -f \"$n\"; : >\"$n.done\"; mv -T \"$data\" \"$k\"; mv -T \"$n\" \"$data\"
fi
rm -f \"$n.done\" \"$data.rewinding\"
",
            self.prelude(),
            sh(kept),
            sh(&self.cluster),
            sh(&self.slot),
            sh(&primary.conninfo(self))
        )
    }

    /// Tells a stopped server whom to follow, so that it can only start as a standby.
    pub fn follow_offline(&self, primary: &Self) -> String {
        format!(
            "{}f=\"$data/postgresql.auto.conf\"
! systemctl is-active -q \"$unit\" || {{ echo 'the server runs' >&2; exit 1; }}
install -o postgres -g postgres -m 0600 /dev/null \"$data/standby.signal\"
{{ sed '/^[[:space:]]*primary_\\(conninfo\\|slot_name\\)[[:space:]=]/d' \"$f\" 2>/dev/null || true; echo {}; echo {}; }} >\"$f.new\"
chown postgres:postgres \"$f.new\"; chmod 0600 \"$f.new\"; sync \"$f.new\"; mv -f \"$f.new\" \"$f\"; sync \"$data\"
",
            self.prelude(),
            sh(&format!("primary_conninfo = {}", literal(&primary.conninfo(self)))),
            sh(&format!("primary_slot_name = {}", literal(&self.slot)))
        )
    }

    /// The beginning of every script, for the ones that are put together elsewhere.
    pub fn script(&self, body: &str) -> String {
        format!("{}{body}", self.prelude())
    }
}

const STREAMS: &str = "await 30 \"EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')\" || { echo 'it does not stream from the primary; see its log' >&2; exit 1; }\n";

/// The name of a host's slot, as the role gives it.
pub fn slot_name(host: &str) -> String {
    host.to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' => c,
            _ => '_',
        })
        .collect()
}

/// A string as an SQL literal that stands inside double quotes of the shell as well.
pub fn literal(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|c| !matches!(c, '\0' | '"' | '$' | '`' | '\\'))
        .collect();
    format!("'{}'", clean.replace('\'', "''"))
}

/// What stands in a plan for the position that only the stop tells.
pub const AT_STOP: &str = "POSITION-OF-THE-STOP";

/// A log position from a journal: nothing else comes through.
fn position(text: &str) -> String {
    if text == AT_STOP {
        return text.to_owned();
    }
    text.parse::<super::lsn::Lsn>()
        .map_or_else(|()| "FFFFFFFF/FFFFFFFF".to_owned(), |lsn| lsn.to_string())
}
