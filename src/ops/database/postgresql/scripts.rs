//! The shell of every step on a database host. Each script may run twice, changes nothing beyond what its name says, waits
//! for conditions with a limit, and never deletes a data directory.

mod copy;

use super::node::Place;
use super::replay::WHY;
use super::settings::NAMES;
use crate::base::quote::sh;
use crate::ops::hosts::Host;
use crate::ops::operation::NOT_DONE;
use crate::ops::operation::journal::INTENTS;

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
    /// is its SQL alone; it holds no snapshot while it waits, which on a standby would hold up the replay that is waited for).
    /// One psql each, and no session of PAM around it: writes wait for some of them.
    fn prelude(&self) -> String {
        format!(
            "set -eu; export LC_ALL=C; cd /; unit={}; data={}; conf=/etc/postgresql/{}/{}; bin=/usr/lib/postgresql/{}/bin
ask() {{ PGOPTIONS='-c synchronous_commit=local' setpriv --reuid=postgres --regid=postgres --init-groups psql -XAtqw -v ON_ERROR_STOP=1 -p {} -d postgres; }}
control() {{ \"$bin/pg_controldata\" -D \"$data\" | sed -n \"s/^$1: *//p\"; }}
waits() {{ echo \"SET statement_timeout = 0; DO \\$\\$ BEGIN FOR i IN 1..$1*50 LOOP EXIT WHEN $2; COMMIT; PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); COMMIT; END LOOP; END \\$\\$;\"; }}
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

    /// Stops the server in order within so many seconds, and notes where its log ends; from then on it can only start as a
    /// standby, whoever starts it. The proof of a clean stop is the shutdown in the control file, which is written when no
    /// client is left; without it this fails, and names the processes that it waited for. The end of the process is not
    /// waited for when that is there (see [`Self::start_standby`]): it sends the rest of its log, of which the candidate is
    /// asked, and archives it (`verify` tells of a file of the log that is in no archive).
    pub fn stop_clean(&self, seconds: &str) -> String {
        format!(
            "{}{ENDING}{IMPATIENT}{AT_ONCE}if ! ending; then
impatient </dev/null >/dev/null 2>&1 & w=$!
timeout {} systemctl stop \"$unit\" || {{ kill $w; {CHILDREN}
for c in $children; do tr '\\0' ' ' <\"/proc/$c/cmdline\"; echo; done 2>/dev/null | sed 's/^/still at work: /' >&2
echo 'it did not stop in time' >&2; exit 1; }}
kill $w 2>/dev/null || true
fi
state=$(control 'Database cluster state')
case $state in 'shut down'|'shut down in recovery') ;; *) echo \"the control file says '$state', not 'shut down'\" >&2; exit 1 ;; esac
echo \"note stopped_at $(control 'Latest checkpoint location')\"
echo \"note stopped_timeline $(control \"Latest checkpoint's TimeLineID\")\"
{ONLY_AS_STANDBY}",
            self.prelude(),
            sh(seconds)
        )
    }

    /// Starts the server again as the primary that it was. A stop that is still under way is brought to its end first: it may
    /// wait for a standby or an archive that does not answer.
    pub fn start_primary(&self) -> String {
        format!(
            "{}rm -f \"$data/standby.signal\"; sync \"$data\"
{ENDING}{HURRY}# One that somebody started as a standby meanwhile has to start anew.
# One that does not answer may just have ended, which systemd may not know yet.
r=; ! systemctl is-active -q \"$unit\" || r=$(echo 'SELECT pg_is_in_recovery()' | ask 2>/dev/null) || r=gone
case $r in f) ;; '') systemctl start \"$unit\" ;; *) systemctl restart \"$unit\" ;; esac
await 30 'NOT pg_is_in_recovery()' || {{ echo 'it does not take writes' >&2; exit 1; }}
",
            self.prelude()
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

    /// The same on a primary that has standbys, with proof: what the files say is in force, and if commits are to wait, a
    /// standby confirms them.
    pub fn restore_synchronous(&self) -> String {
        format!(
            r#"{}fine() {{ ask <<'END'
SELECT current_setting('{NAMES}') = f AND (f = '' OR EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')))
FROM (SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = '{NAMES}' AND error IS NULL ORDER BY seqno DESC LIMIT 1), '') AS f) AS x;
END
}}
ask <<'END' >/dev/null
ALTER SYSTEM RESET {NAMES};
SELECT pg_reload_conf();
END
read -r begun rest </proc/uptime
until [ "$(fine)" = t ]; do
read -r now rest </proc/uptime; [ $((${{now%.*}} - ${{begun%.*}})) -lt 15 ] || {{ echo "{NAMES} is '$(echo 'SHOW {NAMES}' | ask)': that is not what its files say, or no standby confirms commits" >&2; exit 1; }}
sleep 0.1
done
"#,
            self.prelude()
        )
    }

    /// Makes a standby the primary, and waits until it takes writes. Where a former primary is just starting and has asked
    /// this server (its start guard holds an advisory lock here while it does), nobody is promoted: the lock is looked for in
    /// the same block as the promotion, and the guard takes it before it asks.
    pub fn promote(&self) -> String {
        format!(
            "{}at=$(ask <<END
SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'leads' WHEN EXISTS ({CLAIMS}) THEN 'claimed' ELSE pg_promote(false)::text END = 'claimed' AS claimed \\gset
\\if :claimed
\\echo claimed
\\else
$(waits 60 'NOT pg_is_in_recovery()')
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_wal_lsn()::text END;
\\endif
END
)
if [ \"$at\" = claimed ]; then echo 'a former primary is starting and asks this server who leads: nobody was promoted' >&2; exit {NOT_DONE}; fi
[ -n \"$at\" ] || {{ LSN=$(echo 'SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())' | ask); echo \"it is still in recovery: $(ask <<END
SELECT {WHY}
END
)\" >&2; exit 1; }}
echo \"note promoted_at $at\"
",
            self.prelude()
        )
    }

    /// Proves that this standby was not promoted, and will not be: a promotion that was asked for and has not happened yet is
    /// forgotten when the server starts anew.
    pub fn still_standby(&self) -> String {
        format!(
            "{}[ -e \"$data/standby.signal\" ] || {{ echo 'it was promoted' >&2; exit 1; }}
if [ -e \"$data/promote\" ] || ! [ \"$(echo \"SELECT pg_is_in_recovery()\" | ask)\" = t ]; then systemctl restart \"$unit\"; fi
[ \"$(echo \"SELECT pg_is_in_recovery()\" | ask)\" = t ] || {{ echo 'it was promoted' >&2; exit 1; }}
",
            self.prelude()
        )
    }

    /// Tells the start guards of other hosts, who ask this server, that a host is about to be promoted.
    pub fn announce(&self, leader: &str, epoch: &str, operation: &str) -> String {
        format!(
            "{}f={}/hactl-intent; umask 077; printf '%s\\n' {} >\"$f.new\"; chgrp postgres \"$f.new\"; chmod 0640 \"$f.new\"; sync \"$f.new\"
grep -qxF \"$f\" {INTENTS} 2>/dev/null || printf '%s\\n' \"$f\" >>{INTENTS}; sync {INTENTS}; mv -f \"$f.new\" \"$f\"; sync \"${{f%/*}}\"
",
            self.prelude(),
            sh(&self.home),
            sh(&format!("{epoch} {leader} {operation}"))
        )
    }

    /// Takes [`Self::announce`] back.
    pub fn retract(&self) -> String {
        format!(
            "{}f={}/hactl-intent; rm -f \"$f\"; sync \"${{f%/*}}\"\n",
            self.prelude(),
            sh(&self.home)
        )
    }

    /// Looks once more, from this host, whether a server that was seen to be gone is still gone.
    pub fn is_still_gone(&self, old: &Self, patience: u32) -> String {
        format!(
            "{}if timeout {} bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' {} {} 2>/dev/null; then echo {} >&2; exit 1; fi
[ \"$(echo \"SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND clock_timestamp() - last_msg_receipt_time < interval '1 second'\" | ask)\" = 0 ] || {{ echo {} >&2; exit 1; }}
",
            self.prelude(),
            0.3 * f64::from(patience),
            sh(&old.address),
            old.port,
            sh(&format!(
                "the server of {} takes connections again: it is not dead",
                old.host
            )),
            sh(&format!("the log of {} arrives again: it is not dead", old.host))
        )
    }

    /// A checkpoint on a new primary, so that the control file tells the new timeline before anything is rewound to it.
    pub fn settle_promotion(&self) -> String {
        format!(
            "{}echo CHECKPOINT | ask\necho \"note timeline $(control \"Latest checkpoint's TimeLineID\")\"\n",
            self.prelude()
        )
    }

    /// Starts a stopped server that has its signal, and waits until it streams. One that is still ending is waited for first;
    /// an archive that does not answer gets a second more.
    pub fn start_standby(&self) -> String {
        format!(
            "{}{ENDING}{IMPATIENT}if ending; then
impatient </dev/null >/dev/null 2>&1 & w=$!
n=0; while ending && [ $n -lt 500 ]; do sleep 0.02; n=$((n + 1)); done
kill $w 2>/dev/null || true
timeout 60 systemctl stop \"$unit\"
fi
[ -e \"$data/standby.signal\" ] || {{ echo 'there is no standby.signal: it would start as a primary' >&2; exit 1; }}
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

    /// Notes how far the log of a stopped server goes, on the newest timeline that it has log of (its checkpoint may be on an
    /// older one): `log_end`, and `state` of the control file.
    pub fn log_end(&self) -> String {
        format!(
            "{}t=$(control \"Latest checkpoint's TimeLineID\"); s=$(control 'Latest checkpoint location')
n=$(ls \"$data/pg_wal\" | grep -xE '[0-9A-F]{{24}}' | cut -c 1-8 | sort | tail -n 1); h=\"$data/pg_wal/$n.history\"; n=$((0x${{n:-0}}))
if [ \"$n\" -gt \"$t\" ] && [ -r \"$h\" ]; then t=$n; while read -r x p r; do case $p in */*) s=$p ;; esac; done <\"$h\"; fi
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

    /// Tells a stopped server whom to follow, so that it can only start as a standby. How commits wait on the primary at
    /// this moment (a rewind and a clone copy it) is not for this server to keep.
    pub fn follow_offline(&self, primary: &Self) -> String {
        format!(
            "{}f=\"$data/postgresql.auto.conf\"
! systemctl is-active -q \"$unit\" || {{ echo 'the server runs' >&2; exit 1; }}
install -o postgres -g postgres -m 0600 /dev/null \"$data/standby.signal\"
{{ sed '/^[[:space:]]*\\(primary_conninfo\\|primary_slot_name\\|{NAMES}\\)[[:space:]=]/d' \"$f\" 2>/dev/null || true; echo {}; echo {}; }} >\"$f.new\"
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

/// The advisory lock that a start guard holds on the servers that it asks (role postgresql, guard.sh.j2).
const CLAIMS: &str =
    "SELECT FROM pg_locks WHERE classid = 18504 AND objid = 1 AND objsubid = 2 AND granted";

/// The processes of a server, in `$children`; its first one in `$p`.
const CHILDREN: &str = "p=$(head -n 1 \"$data/postmaster.pid\" 2>/dev/null) || p=; children=$(cat \"/proc/${p:-0}/task/${p:-0}/children\" 2>/dev/null) || children=";

/// Whether a server that has shut down in order is still sending and archiving the rest of its log; its process in `$p`.
const ENDING: &str = r#"ending() {
p=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
case $(readlink "/proc/${p:-0}/exe" 2>/dev/null) in */postgres) [ "$(control 'Database cluster state')" = 'shut down' ] ;; *) return 1 ;; esac
}
"#;

/// Asks the server itself for what systemd would have it asked for by a Perl program, and waits a moment for its shutdown,
/// not for its last file in the archive. Not where systemd would start it again.
const AT_ONCE: &str = r#"p=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || p=
case $(readlink "/proc/${p:-0}/exe" 2>/dev/null) in */postgres)
if [ "$(systemctl show -p Restart --value "$unit")" = no ] && kill -INT "$p" 2>/dev/null; then
n=0; while [ -e "/proc/$p" ] && ! ending && [ $n -lt 25 ]; do sleep 0.02; n=$((n + 1)); done; fi ;; esac
"#;

/// Whoever starts the server from now on starts a standby.
const ONLY_AS_STANDBY: &str = r#"install -o postgres -g postgres -m 0600 /dev/null "$data/standby.signal"; sync "$data/standby.signal" "$data"
"#;

/// While a stop is under way and nothing but the archiver is left of it: ends the archive command, with which the archiver gives
/// up and ends in order.
const IMPATIENT: &str = r#"impatient() {
sleep 1; n=0; while sleep 0.25; do
p=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || continue
arch= others=
for c in $(cat "/proc/$p/task/$p/children" 2>/dev/null); do case $(tr '\0' ' ' <"/proc/$c/cmdline") in *archiver*) arch=$c ;; ?*) others=yes ;; esac; done 2>/dev/null
if [ -n "$arch" ] && [ -z "$others" ] && [ "$(control 'Database cluster state')" = 'shut down' ]; then n=$((n + 1)); else n=0; fi
[ "$n" -lt 3 ] || kill $(cat "/proc/$arch/task/$arch/children") 2>/dev/null || :
done; }
"#;

/// (After [`ENDING`].) Ends a stop that hangs: first the senders that wait for a standby, so that it can still end in order; then all of it, which
/// loses nothing but takes a recovery.
const HURRY: &str = r#"stopping() { [ "$(systemctl show -p ActiveState --value "$unit")" = deactivating ] || ending; }
awhile() { for i in 1 2 3 4 5 6 7 8 9 10; do stopping || return 0; sleep 0.1; done; }
if stopping; then
p=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || p=
for c in $(cat "/proc/${p:-0}/task/${p:-0}/children" 2>/dev/null); do case $(tr '\0' ' ' <"/proc/$c/cmdline") in *walsender*) kill "$c" ;; esac; done 2>/dev/null
awhile
! stopping || [ -z "$p" ] || kill -QUIT "$p" 2>/dev/null || true
fi
"#;

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
