//! What a host's own log and the primary's history say, and how they are asked for.
//!
//! It asks and reads: no script here changes a data directory, and none starts a server on one that is in use.

use crate::modules::Request;
use crate::ops::cluster::lsn::Lsn;
use crate::ops::cluster::scripts::Server;
use std::collections::BTreeMap;

/// What is known of the host's log and the primary's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How far the host's log goes.
    pub log_end: Option<Lsn>,
    /// Its timeline.
    pub timeline: u32,
    /// The primary's timeline.
    pub primary_timeline: u32,
    /// Where the primary's history left the host's timeline; none when it never was on it.
    pub fork: Option<Lsn>,
    /// A rewind was begun and not ended: the directory is unusable.
    pub half_rewound: bool,
    /// Bytes that the cluster takes.
    pub size: u64,
    /// Transactions that were committed on the host after the fork, with the time of the first and of the last.
    pub lost_transactions: Option<(u64, String)>,
}

/// Waits until a host that has just been switched on has started what it starts by itself: before that, nothing that is
/// seen there lasts.
pub fn ask_boot() -> Request {
    let mut request =
        Request::sh("timeout 60 systemctl is-system-running --wait >/dev/null 2>&1; :");
    request.timeout_seconds = Some(65);
    request
}

/// Asks for the evidence: the host for its own log, the primary for its history.
pub fn ask(
    host: &Server,
    primary: &Server,
    primary_timeline: u32,
    fork_hint: u32,
) -> BTreeMap<String, Vec<Request>> {
    let own = host.log_end()
        + "[ ! -e \"$data.rewinding\" ] || echo 'note half_rewound yes'\nset -- $(du -sk \"$data\"); echo \"note size $1\"\n";
    let mut own = Request::sh(own);
    own.timeout_seconds = Some(60);
    let history = primary.script(&format!(
        "cat \"$data/pg_wal/$(printf %08X {primary_timeline}).history\" 2>/dev/null || true # {fork_hint}\n"
    ));
    [
        (host.host.clone(), vec![own]),
        (primary.host.clone(), vec![Request::sh(history)]),
    ]
    .into()
}

/// What was committed on the host after the fork.
pub fn ask_lost(host: &Server, timeline: u32, fork: Lsn) -> Request {
    let mut request = Request::sh(host.script(&format!(
        "runuser -u postgres -- \"$bin/pg_waldump\" -p \"$data/pg_wal\" -t {timeline} -s {fork} -r Transaction 2>/dev/null | sed -n 's/.* desc: COMMIT \\([^;]*\\).*/\\1/p' | {{ n=0 a= b=; while read -r l; do n=$((n+1)); [ -n \"$a\" ] || a=$l; b=$l; done; echo \"note lost $n\"; echo \"note lost_between $a and $b\"; }}\n"
    )));
    request.timeout_seconds = Some(60);
    request
}

/// Rows that are shown of a table at most.
const ROWS: u32 = 200;

/// Shows the rows that transactions after the fork wrote on the host, without touching its data directory: a copy of it is
/// started beside it on a private socket, read, and removed. What was deleted cannot be shown, only counted.
pub fn ask_rows(host: &Server, timeline: u32, fork: Lsn) -> Request {
    let script = r#"c="$data.inspect"; s=$(mktemp -d); chown postgres "$s"; o=$(mktemp -d)
as() { runuser -u postgres -- "$@"; }
trap 'as "$bin/pg_ctl" -D "$c" -m immediate -s stop >/dev/null 2>&1 || true; rm -rf "$c" "$s" "$o"' EXIT
! systemctl is-active -q "$unit" || { echo 'the server runs: stop it first' >&2; exit 1; }
rm -rf "$c"; cp -a --reflink=auto "$data" "$c"; rm -f "$c/postmaster.pid" "$c/standby.signal" "$c/recovery.signal"
as "$bin/pg_waldump" -p "$data/pg_wal" -t TIMELINE -s FORK 2>/dev/null >"$o/log" || true
x=$(sed -n 's/.*rmgr: Transaction .*tx: *\([0-9]*\),.* desc: COMMIT .*/\1/p' "$o/log" | sort -un | tr '\n' ' ')
f=$(grep -o 'rel [0-9]*/[0-9]*/[0-9]*' "$o/log" | sed 's|.*/||' | sort -un | tr '\n' ' ')
echo "deleted $(grep -c 'rmgr: Heap .* desc: DELETE' "$o/log" || true)"
[ -n "$x" ] && [ -n "$f" ] || exit 0
as "$bin/pg_ctl" -D "$c" -w -t 600 -s -l "$s/log" -o "-c listen_addresses= -c unix_socket_directories=$s -c port=5499 -c config_file=$conf/postgresql.conf -c data_directory=$c -c hba_file=$conf/pg_hba.conf -c external_pid_file= -c archive_mode=off -c default_transaction_read_only=on -c synchronous_standby_names=" start >&2 || { tail -n 5 "$s/log" >&2; exit 1; }
q() { as psql -XAtqw -v ON_ERROR_STOP=1 -h "$s" -p 5499 -d "$1" -c "$2"; }
n=$(echo $f | tr ' ' ','); x=$(echo $x | tr ' ' ',')
q postgres "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate" | while IFS= read -r d; do
q "$d" "SELECT format('SELECT %L, row_to_json(t) FROM ONLY %I.%I t WHERE t.xmin::text = ANY (string_to_array(%L, '','')) LIMIT ROWS', current_database() || '.' || n.nspname || '.' || c.relname, n.nspname, c.relname, '$x') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND pg_relation_filenode(c.oid) IN ($n)" | while IFS= read -r sql; do q "$d" "$sql" | sed 's/^/row /'; done
done
"#;
    let script = script
        .replace("TIMELINE", &timeline.to_string())
        .replace("FORK", &fork.to_string())
        .replace("ROWS", &ROWS.to_string());
    let mut request = Request::sh(host.script(&script));
    request.timeout_seconds = Some(1800);
    request
}

/// Where a primary's history left a timeline. Each line of a history file names a timeline and where it ended.
pub fn fork_of(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()?.parse() == Ok(timeline)).then(|| words.next()?.parse().ok())?
    })
}
