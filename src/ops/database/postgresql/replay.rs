//! Whether a standby replays what its primary writes, and what keeps it from that: a query, a pause, a receiver that hangs.
//!
//! A promotion replays all that was received before it opens for writes, so what replay waits for, every client waits for.
//! Never waits in one long statement: its snapshot could be what replay has to wait for.

use super::lsn::Lsn;
use super::scripts::{AT_STOP, Server};

/// The note under which the position of the marker stands.
pub const MARKER: &str = "marker_at";

/// SQL, an expression, that says in one line what keeps the standby from having replayed up to `$LSN`. Literals of queries are left out: they
/// are data, and the line may go into a journal.
pub(super) const WHY: &str = r"(SELECT format('replayed up to %s of %s: ', coalesce(replayed::text, 'nothing'), '$LSN') || CASE
 WHEN pg_is_wal_replay_paused() THEN 'replay is paused'
 WHEN received > '$LSN' THEN coalesce((SELECT format('it waits%s for pid %s (user %s, database %s, %s, transaction since %s s, query since %s s): %s',
   (SELECT ' (' || max(wait_event) || ')' FROM pg_stat_activity WHERE backend_type = 'startup'), pid, usename, datname, state,
   round(extract(epoch FROM clock_timestamp() - xact_start)), round(extract(epoch FROM clock_timestamp() - query_start)),
   left(regexp_replace(regexp_replace(query, '''[^'']*''', '''…''', 'g'), '\s+', ' ', 'g'), 60))
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  ORDER BY pid = ANY (pg_blocking_pids((SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'startup'))) DESC, backend_xmin IS NULL, xact_start LIMIT 1),
  'the log is received, and no query is in the way')
 ELSE format('received only up to %s; ', coalesce(received::text, 'nothing')) || coalesce((SELECT format('the receiver (pid %s, %s) has heard nothing for %s s',
   pid, status, round(extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::numeric, 1)) FROM pg_stat_wal_receiver), 'no receiver runs') END
 FROM (SELECT pg_last_wal_replay_lsn() AS replayed, pg_last_wal_receive_lsn() AS received) a)";

impl Server {
    /// Shell that writes a marker into a primary's log and notes its position as [`MARKER`]; nothing else is changed by it.
    pub fn mark(&self) -> String {
        self.script(MARK)
    }

    /// The same in a script that has begun already.
    pub fn mark_too() -> &'static str {
        MARK
    }

    /// Shell that notes how far a primary has written, as [`MARKER`]; changes nothing.
    pub fn position(&self) -> String {
        self.script("echo \"SELECT 'note marker_at ' || pg_current_wal_flush_lsn()\" | ask\n")
    }

    /// Shell that waits until a standby has replayed a primary's log up to a position; says why when it has not within so many
    /// seconds.
    pub fn has_replayed(&self, to: &str, seconds: u64) -> String {
        self.until_replayed(&position(to), ">=", seconds)
    }

    /// Shell that proves that this standby has the last byte that the primary wrote, and has replayed it. The record of the
    /// shutdown checkpoint begins at `stopped_at`, so having replayed it means to be beyond it.
    pub fn has_last_byte(&self, stopped_at: &str, seconds: u64) -> String {
        self.until_replayed(&position(stopped_at), ">", seconds)
    }

    fn until_replayed(&self, lsn: &str, than: &str, seconds: u64) -> String {
        let (rounds, why) = (seconds * 50, WHY.replace("$LSN", lsn));
        let there = format!("coalesce(pg_last_wal_replay_lsn() {than} '{lsn}', false)");
        self.script(&format!(
            "r=$(ask <<'END'
SET statement_timeout = 0;
DO $$ BEGIN FOR i IN 1..{rounds} LOOP EXIT WHEN {there}; PERFORM pg_sleep(0.02); COMMIT; END LOOP; END $$;
SELECT CASE WHEN {there} THEN 'replayed' ELSE {why} END;
END
)
[ \"$r\" = replayed ] || {{ printf '%s\\n' \"$r\" >&2; exit 1; }}
"
        ))
    }
}

/// A transaction of its own, so that its commit writes it out.
const MARK: &str =
    "echo \"SELECT 'note marker_at ' || pg_logical_emit_message(true, 'hactl', 'marker')\" | ask\n";

/// A log position from a journal: nothing else comes through.
fn position(text: &str) -> String {
    if text == AT_STOP {
        return text.to_owned();
    }
    text.parse::<Lsn>()
        .map_or_else(|()| "FFFFFFFF/FFFFFFFF".to_owned(), |lsn| lsn.to_string())
}
