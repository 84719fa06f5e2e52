//! What PostgreSQL is asked: one query for the whole state, a write that must fail, a login to each peer.

use super::super::component::View;
use super::super::observations::Ask;
use crate::base::quote::sh;
use crate::modules::Request;
use crate::ops::database::postgresql::{observation, settings};
use crate::ops::hosts::Host;

/// The state of a server.
pub const STATE: &str = "postgresql.state";
/// The clusters of a host.
pub const CLUSTERS: &str = "postgresql.clusters";
/// The write that a standby must refuse.
pub const WRITE: &str = "postgresql.write";

/// What is observed of the primary.
pub const OBSERVER: &str = "postgresql.observer";

/// What is asked before the server starts.
pub const GUARD: &str = "postgresql.guard";

/// Everything about a server as one JSON object.
const QUERY: &str = r"SELECT json_build_object(
 'in_recovery', pg_is_in_recovery(),
 'version', current_setting('server_version_num')::int,
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'timeline', CASE WHEN pg_is_in_recovery()
   THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
   ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
 'read_only', current_setting('default_transaction_read_only'),
 'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
 'receiver', (SELECT row_to_json(r) FROM (SELECT status, sender_host, slot_name,
   round(extract(epoch FROM clock_timestamp() - last_msg_receipt_time))::int AS silent FROM pg_stat_wal_receiver) r),
 'senders', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT application_name, host(client_addr) AS address, state, sync_state,
   pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, replay_lsn)::bigint
   AS behind, round(extract(epoch FROM replay_lag), 1) AS late FROM pg_stat_replication) s),
 'slots', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT slot_name AS name, active, wal_status FROM pg_replication_slots
   WHERE NOT temporary) s),
 'standby_signal', (pg_stat_file('standby.signal', true)).size IS NOT NULL,
 'archiver', (SELECT json_build_object('mode', current_setting('archive_mode'), 'failed', last_failed_wal,
   'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), 'archived', last_archived_wal,
   'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')) FROM pg_stat_archiver),
 'not_loaded', (SELECT coalesce(json_agg(regexp_replace(f, '.*/', '')), '[]') FROM (SELECT current_setting('hba_file') AS f
   UNION SELECT current_setting('ident_file') UNION SELECT sourcefile FROM pg_file_settings) x
   WHERE (pg_stat_file(f, true)).modification > pg_conf_load_time() + interval '1 second'),
 'superuser_rules', (SELECT coalesce(json_agg('line ' || line_number || ' (' || array_to_string(user_name, ',') || ' from '
   || coalesce(address, 'anywhere') || ')'), '[]') FROM pg_hba_file_rules WHERE type LIKE 'host%' AND auth_method <> 'reject'
   AND coalesce(address, '') NOT IN ('127.0.0.1', '::1', 'localhost') AND ('all' = ANY (user_name)
   OR user_name && (SELECT array_agg(rolname::text) FROM pg_roles WHERE rolsuper AND rolcanlogin))),
 'now', extract(epoch FROM now())::bigint,
 'certificate', CASE WHEN current_setting('ssl')::bool THEN json_build_object('file', current_setting('ssl_cert_file'),
   'text', pg_read_file(current_setting('ssl_cert_file'), 0, 65536, true)) END,
 'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
 'pending_restart', (SELECT coalesce(json_agg(name), '[]') FROM pg_settings WHERE pending_restart),
 'file_errors', (SELECT coalesce(json_agg(e), '[]') FROM (
   SELECT 'pg_hba.conf:' || line_number || ': ' || error AS e FROM pg_hba_file_rules WHERE error IS NOT NULL
   UNION ALL SELECT regexp_replace(sourcefile, '.*/', '') || ':' || sourceline || ': ' || name || ': ' || error
   FROM pg_file_settings WHERE error IS NOT NULL AND error <> 'setting could not be applied') f),
 'weak_methods', (SELECT coalesce(json_agg(DISTINCT auth_method), '[]') FROM pg_hba_file_rules
   WHERE type LIKE 'host%' AND auth_method IN ('md5', 'password', 'trust')),
 'weak_passwords', (SELECT coalesce(json_agg(rolname), '[]') FROM pg_authid
   WHERE rolcanlogin AND rolpassword IS NOT NULL AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'),
 'settings', (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN ('wal_log_hints', 'data_checksums',
   'full_page_writes', 'fsync', 'password_encryption', 'synchronous_standby_names', 'max_connections', 'max_worker_processes',
   'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction', 'superuser_reserved_connections')),
 'overridden', OVERRIDDEN,
 'prepared', (SELECT count(*) FROM pg_prepared_xacts WHERE prepared < now() - interval '10 minutes'),
 'oldest_transaction', (SELECT coalesce(round(max(extract(epoch FROM now() - xact_start))), 0)::int FROM pg_stat_activity
   WHERE backend_type = 'client backend'),
 'oldest_row', (SELECT max(age(datfrozenxid)) FROM pg_database),
 'checksum_failures', (SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database));
";

/// On a standby only: a write that is rolled back if, against all expectation, it works.
const REFUSED: &str = r"\set VERBOSITY sqlstate
SELECT pg_is_in_recovery() AS standby \gset
\if :standby
BEGIN;
CREATE TABLE hactl_verify_write ();
ROLLBACK;
\echo written
\else
\echo primary
\endif
";

/// Each cluster of the host: version, name, port, status, unit's state, whether it is enabled or masked, start.conf. At boot
/// postgresql.service starts every cluster whose start.conf says auto.
const LIST: &str = r#"command -v pg_lsclusters >/dev/null 2>&1 || { echo 'PostgreSQL is not installed' >&2; exit 127; }
pg_lsclusters --no-header | while read -r v c p s r; do
u=postgresql@$v-$c.service
start=$(sed -n '/^[a-z]/{s/[[:space:]].*//;p;}' "/etc/postgresql/$v/$c/start.conf" 2>/dev/null)
if systemctl -q is-enabled postgresql.service 2>/dev/null || systemctl -q is-enabled "$u" 2>/dev/null; then e=enabled; else e=disabled; fi
case $(systemctl is-enabled "$u" 2>/dev/null) in masked*) e=masked ;; esac
echo "$v $c $p $s $(systemctl is-active "$u") $e ${start:-auto}"
done"#;

/// Whether systemd asks the start guard before it starts a cluster, and whether that can run.
const ASKS_FIRST: &str = r#"guard=/usr/local/lib/hactl/postgresql-guard
case $(systemctl show -p ExecStartPre "$(systemctl list-units --all --plain --no-legend 'postgresql@*' | cut -d ' ' -f 1 | head -n 1)") in
*"path=$guard "*) ;; *) echo "systemd starts the server without asking $guard"; exit 1 ;;
esac
[ -x "$guard" ] || { echo "$guard is not there, or may not be run"; exit 1; }
sh -n "$guard""#;

/// SQL for the server of a host, as its owner; what it prints is unaligned, without headers.
pub fn psql(cluster: &str, database: &str, sql: &str) -> Request {
    let mut request = Request::sh(format!(
        "p=$(pg_lsclusters --no-header </dev/null 2>/dev/null | while read -r v c p s r; do if [ \"$c\" = {} ]; then echo \"$p\"; break; fi; done)
exec psql -XAtqw -v ON_ERROR_STOP=1 -p \"${{p:-5432}}\" -d {}",
        sh(cluster),
        sh(database)
    ))
    .stdin(sql)
    .user("postgres");
    request.environment = vec![
        ("PGCONNECT_TIMEOUT".to_owned(), "5".to_owned()),
        (
            "PGOPTIONS".to_owned(),
            "-c statement_timeout=8000 -c lock_timeout=4000".to_owned(),
        ),
    ];
    request.timeout_seconds = Some(12);
    request
}

/// The questions to one host of the group.
pub fn asks(view: &View<'_>, host: &Host) -> Vec<Ask> {
    let cluster = host.text("postgresql_cluster", "main");
    let mut asks = vec![
        Ask::sh(CLUSTERS, LIST),
        Ask::sh(GUARD, ASKS_FIRST),
        Ask::sh(OBSERVER, observation::ASK),
        Ask::new(
            STATE,
            psql(
                &cluster,
                "postgres",
                &QUERY.replace("OVERRIDDEN", settings::SQL),
            ),
        ),
        Ask::new(WRITE, psql(&cluster, "postgres", REFUSED)),
    ];
    let replicator = host.text("postgresql_replicator", "replicator");
    let home = host.text("postgresql_data_root", "/var/lib/postgresql");
    for peer in view.site.members("postgresql") {
        if *peer == host.name {
            continue;
        }
        let parameters = format!(
            "host={} user={replicator} dbname=postgres replication=true connect_timeout=5 passfile={home}/.pgpass",
            view.address(peer)
        );
        let mut request = Request::sh(format!(
            "exec psql -XAtqw -d {} -c IDENTIFY_SYSTEM",
            sh(&parameters)
        ))
        .user("postgres");
        request.timeout_seconds = Some(8);
        asks.push(Ask::new(format!("postgresql.login.{peer}"), request));
    }
    asks
}
