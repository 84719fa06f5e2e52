//! The shell of backups and restores. Nothing here touches a data directory that it has not made itself.

use super::{Repository, TESTED};
use crate::base::quote::sh;
use crate::modules::Request;

/// A script ends with this code when its directory is not new.
pub const NOT_NEW: i32 = 72;

/// What is in the repository, `key=value` a line. As root, who alone may read hactl's notes.
pub fn info(repository: &Repository) -> String {
    format!(
        "export LC_ALL=C; cd /; p={path}; echo \"now=$(date +%s)\"
set -- $(df -Pk \"$p\" 2>/dev/null | tail -n 1); echo \"free=${{4:-0}}\"
echo \"arrived=$(find \"$p/archive/\"{stanza} -type f -name '0*' -printf '%T@\\n' 2>/dev/null | sort -n | tail -n 1)\"
echo \"tested=$(cat {TESTED} 2>/dev/null)\"
i=$(runuser -u postgres -- {command} --log-level-console=error --output=json info) || exit
echo \"info=$i\"",
        path = sh(&repository.path),
        stanza = sh(&repository.stanza),
        command = repository.command(),
    )
}

/// Makes a backup through its unit, so that it goes on when the connection breaks off; says what pgBackRest said.
pub fn make(kind: &str) -> String {
    format!(
        "export LC_ALL=C; cd /; u=postgresql-backup@{kind}.service
systemctl cat \"$u\" >/dev/null 2>&1 || {{ echo \"ERROR: there is no unit $u: deploy first\" >&2; exit 1; }}
systemctl start \"$u\" >/dev/null 2>&1; c=$?
journalctl -q -o cat \"_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID \"$u\")\" --no-pager 2>/dev/null | grep -E 'ERROR|WARN|HINT|new backup label' >&2
[ \"$c\" != 0 ] || systemctl reset-failed 'postgresql-backup@*.service' 2>/dev/null
exit $c"
    )
}

/// SQL for the cluster of that name on a host; says `none` where there is none.
fn psql(cluster: &str, sql: &str, seconds: u64) -> Request {
    let mut request = Request::sh(format!(
        "export LC_ALL=C; cd /; c={}; p=$(pg_lsclusters --no-header </dev/null 2>/dev/null | while read -r v n p s r; do if [ \"$n\" = \"$c\" ]; then echo \"$p\"; break; fi; done)
[ -n \"$p\" ] || {{ echo none; exit 0; }}
PGCONNECT_TIMEOUT=5 exec timeout {seconds} psql -XAtqw -v ON_ERROR_STOP=1 -p \"$p\" -d postgres",
        sh(cluster)
    ))
    .stdin(sql)
    .user("postgres");
    request.timeout_seconds = Some(seconds + 5);
    request
}

/// Whether a server is a standby: `t` or `f`.
pub fn is_standby(cluster: &str) -> Request {
    psql(cluster, "SELECT pg_is_in_recovery();", 5)
}

/// A checkpoint on a primary. Right after a promotion its control file still names the old timeline, and pgBackRest then
/// refuses (error 58); a backup begins with a checkpoint anyway.
pub fn checkpoint(cluster: &str) -> Request {
    psql(
        cluster,
        "SELECT pg_is_in_recovery() AS standby \\gset\n\\if :standby\n\\else\nCHECKPOINT;\n\\endif\n",
        600,
    )
}

/// Ends the file of the log that the primary writes, and waits until it is in the repository: what was committed until now
/// can then be restored. An empty transaction before it lets a recovery see that the time it goes to has passed. Says
/// `archived` or `late`, and on a standby `standby`. Changes no data.
pub fn archive_now(cluster: &str) -> Request {
    psql(cluster, ARCHIVE_NOW, 25)
}

const ARCHIVE_NOW: &str = r"SELECT pg_is_in_recovery() AS standby \gset
\if :standby
\echo standby
\else
SET synchronous_commit = local;
SELECT pg_current_xact_id() AS ignored \gset
SELECT pg_walfile_name(pg_switch_wal()) AS file \gset
SELECT set_config('hactl.file', :'file', false) AS ignored \gset
DO $$ BEGIN FOR i IN 1..400 LOOP
 EXIT WHEN (SELECT last_archived_wal >= current_setting('hactl.file') FROM pg_stat_archiver);
 PERFORM pg_sleep(0.05); PERFORM pg_stat_clear_snapshot();
END LOOP; END $$;
SELECT CASE WHEN last_archived_wal >= :'file' THEN 'archived' ELSE 'late' END FROM pg_stat_archiver;
\endif
";

/// Where and how to restore.
#[derive(Debug, Clone)]
pub struct RestorePlan {
    /// The new directory.
    pub directory: String,
    /// The major version.
    pub version: String,
    /// The port whose number its socket has; nothing listens on the network.
    pub port: u16,
    /// The time to go to, as PostgreSQL reads it; the end of the log when there is none.
    pub target: Option<String>,
    /// The backup to begin with; pgBackRest chooses when there is none.
    pub set: Option<String>,
    /// Removed again when it was looked at.
    pub scratch: bool,
}

/// Settings that hold in a restored server whatever the backup says: the last line of a file wins.
fn pinned(plan: &RestorePlan) -> String {
    format!(
        "listen_addresses = ''\nport = {}\nunix_socket_directories = '{}'\nunix_socket_permissions = 0700\narchive_mode = off\n\
         archive_command = ''\nprimary_conninfo = ''\nprimary_slot_name = ''\nsynchronous_standby_names = ''\nssl = off\n\
         shared_preload_libraries = ''\nhot_standby = off\nlogging_collector = off\n",
        plan.port, plan.directory
    )
}

/// Restores into a new directory, brings the log in up to the target with a server of its own that only its own user can
/// reach, looks at all of it, and stops that server. Says `key=value` a line.
pub fn restore(repository: &Repository, plan: &RestorePlan) -> String {
    let target = plan.target.as_ref().map_or_else(String::new, |time| {
        format!(" --type=time --target-action=promote --target={}", sh(time))
    });
    let set = plan
        .set
        .as_ref()
        .map_or_else(String::new, |set| format!(" --set={}", sh(set)));
    let clean = if plan.scratch {
        "trap 'c=$?; down; rm -rf -- \"$d\"; exit $c' EXIT; trap 'exit 143' HUP INT TERM"
    } else {
        "trap 'c=$?; down; exit $c' EXIT; trap 'exit 143' HUP INT TERM"
    };
    format!(
        r#"set -eu; umask 077; export LC_ALL=C; cd /; d={directory}; bin=/usr/lib/postgresql/{version}/bin
[ -x "$bin/postgres" ] || {{ echo "ERROR: $bin/postgres is missing" >&2; exit 1; }}
if [ -L "$d" ] || {{ [ -e "$d" ] && {{ [ ! -d "$d" ] || [ -n "$(ls -A -- "$d")" ]; }}; }}; then echo "ERROR: $d is there already and not empty" >&2; exit {NOT_NEW}; fi
mkdir -p -- "$d"; chmod 0700 "$d"
down() {{ [ ! -e "$d/postmaster.pid" ] || "$bin/pg_ctl" -D "$d" -m fast -w -t 300 stop >/dev/null 2>&1 || "$bin/pg_ctl" -D "$d" -m immediate -w stop >/dev/null 2>&1 || :; }}
{clean}
began=$(date +%s)
nice -n 10 {command} --pg1-path="$d" --archive-mode=off --log-level-file=off --log-level-console=warn{target}{set} restore >&2 </dev/null
echo "copied=$(($(date +%s) - began))"
for f in postgresql.conf pg_hba.conf pg_ident.conf; do [ ! -e "$d/$f" ] || mv -- "$d/$f" "$d/$f.backup"; done
printf '%s\n' '# Of a restored cluster: reached only through the socket in this directory, by its owner.' "shared_buffers = '64MB'" "lc_messages = 'C.UTF-8'" "log_timezone = 'Etc/UTC'" "timezone = 'Etc/UTC'" >"$d/postgresql.conf"
echo 'local all all peer' >"$d/pg_hba.conf"
: >"$d/pg_ident.conf"
printf '%s' {pinned} >>"$d/postgresql.auto.conf"
"$bin/pg_ctl" -D "$d" -l "$d/restore.log" -w -t {limit} start >/dev/null 2>&1 </dev/null || :
# "ready" in its last line, and it has left recovery; or the file is gone, and so is the server.
while s=$(sed -n 8p "$d/postmaster.pid" 2>/dev/null) && [ -e "$d/postmaster.pid" ] && [ "${{s%% *}}" != ready ]; do sleep 0.1; done
if [ ! -e "$d/postmaster.pid" ]; then
grep -E 'FATAL|PANIC|ERROR' "$d/restore.log" >&2 || tail -n 5 "$d/restore.log" >&2
exit 1
fi
ask() {{ psql -XAtqw -v ON_ERROR_STOP=1 -h "$d" -p {port} "$@" </dev/null; }}
[ "$(ask -d postgres -c 'SELECT pg_is_in_recovery()')" = f ] || {{ echo 'ERROR: it is still in recovery' >&2; exit 1; }}
echo "replayed=$(($(date +%s) - began))"
echo "timeline=$(ask -d postgres -c 'SELECT timeline_id FROM pg_control_checkpoint()')"
sed -n 's/.*last completed transaction was at log time /until=/p' "$d/restore.log" | tail -n 1
"$bin/pg_amcheck" -h "$d" -p {port} -w --all --install-missing >"$d/amcheck.log" 2>&1 </dev/null || {{ echo 'ERROR: pg_amcheck found damage' >&2; tail -n 20 "$d/amcheck.log" >&2; exit 1; }}
ask -d postgres -c 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1' | while IFS= read -r b; do
printf 'database=%s\t' "$b"
ask -d "$b" -F ' ' -c "SELECT count(*), coalesce(sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0), pg_database_size(current_database()) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
done
"$bin/pg_ctl" -D "$d" -m fast -w -t 300 stop >/dev/null 2>&1
"$bin/pg_controldata" -D "$d" | grep -q '^Database cluster state: *shut down$' || {{ echo 'ERROR: it did not stop cleanly' >&2; exit 1; }}
rm -f -- "$d/amcheck.log"
echo "system=$("$bin/pg_controldata" -D "$d" | sed -n 's/^Database system identifier: *//p')"
echo done"#,
        directory = sh(&plan.directory),
        version = sh(&plan.version),
        command = repository.command(),
        pinned = sh(&pinned(plan)),
        port = plan.port,
        limit = LONG,
    )
}

/// The most that a backup or a restore may take, in seconds.
pub const LONG: u64 = 86_400;

/// What a host says of itself before a restore into a directory, `key=value` a line: the nearest directory that exists, its
/// free bytes, whether the wished one is new, the data directories of all clusters, the versions that are installed.
pub fn room(directory: &str) -> String {
    format!(
        r#"export LC_ALL=C; d={}; n=$d; while [ ! -d "$n" ]; do n=${{n%/*}}; [ -n "$n" ] || n=/; done
set -- $(df -Pk -- "$n" | tail -n 1); echo "free=${{4:-0}}"
echo "real=$(cd -P -- "$n" && pwd -P)"
if [ -L "$d" ] || {{ [ -e "$d" ] && [ ! -d "$d" ]; }}; then echo state=file; elif [ ! -e "$d" ]; then echo state=new; elif [ -z "$(ls -A -- "$d")" ]; then echo state=empty; else echo state=full; fi
su=$(runuser -u postgres -- sh -c 'cd /; if [ -w "$1" ]; then echo yes; else echo no; fi' sh "$n" 2>/dev/null); echo "writable=${{su:-no}}"
pg_lsclusters --no-header 2>/dev/null | while read -r v c p s o l r; do echo "cluster=$(readlink -f -- "$l" 2>/dev/null || echo "$l")"; done
for b in /usr/lib/postgresql/*/bin/postgres; do b=${{b%/bin/postgres}}; echo "version=${{b##*/}}"; done
[ ! -x /usr/bin/pgbackrest ] || echo pgbackrest=yes"#,
        sh(directory)
    )
}

/// Notes on the repository host that a restore was proven now.
pub fn note_test() -> String {
    format!(
        "set -eu; umask 022; mkdir -p /var/lib/hactl; date +%s >{TESTED}.new; mv -f {TESTED}.new {TESTED}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(scratch: bool) -> RestorePlan {
        RestorePlan {
            directory: "/srv/it's".to_owned(),
            version: "15".to_owned(),
            port: 5433,
            target: Some("2026-01-01 00:00:00+00".to_owned()),
            set: None,
            scratch,
        }
    }

    fn repository() -> Repository {
        Repository {
            host: "app2".to_owned(),
            stanza: "main".to_owned(),
            path: "/var/lib/pgbackrest".to_owned(),
            keep_full: 2,
            test_days: 31,
            renew_days: 30,
            port: 8432,
            tls: "/etc/pgbackrest/tls".to_owned(),
        }
    }

    #[test]
    fn a_restore_never_writes_over_anything_and_never_listens() {
        for scratch in [false, true] {
            let script = restore(&repository(), &plan(scratch));
            for forbidden in ["--delta", "--force", "rm -rf -- /"] {
                assert!(!script.contains(forbidden), "{forbidden}");
            }
            let (checked, restored) = (script.find("ls -A"), script.find(" restore >&2"));
            assert!(checked.is_some() && checked < restored, "{script}");
            // After the check that it is new: nothing else is ever removed.
            assert_eq!(script.contains("rm -rf"), scratch);
            assert!(script.find("rm -rf").is_none_or(|at| Some(at) > checked));
            assert!(
                script.contains("archive_mode = off") && script.contains("listen_addresses = "),
                "{script}"
            );
        }
    }

    #[test]
    fn the_scripts_are_shell() {
        for script in [
            restore(&repository(), &plan(true)),
            restore(&repository(), &plan(false)),
            info(&repository()),
            room("/srv/x y"),
            make("full"),
            note_test(),
        ] {
            let checked = std::process::Command::new("sh")
                .args(["-n", "-c", &script])
                .output()
                .expect("sh");
            assert!(
                checked.status.success(),
                "{}\n{script}",
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
}
