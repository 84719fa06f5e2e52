//! What a host's own log and the primary's history say, and how they are asked for.
//!
//! It asks and reads: no script here changes a data directory, and none starts a server on one that is in use.

use crate::modules::{Reply, Request};
use crate::ops::database::postgresql::lsn::Lsn;
use crate::ops::database::postgresql::scripts::Server;
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
    /// What is known of the transactions that were committed on the host after the fork.
    pub committed: Committed,
}

/// What is known of the transactions that were committed (or prepared) on a host after the fork. Not known is not none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Committed {
    /// Nothing was read: the log does not go beyond the fork, or it cannot be told where one of both is.
    #[default]
    NotRead,
    /// The log was read from the fork to its end: how many, and the times of the first and of the last.
    Counted(u64, String),
    /// Log since the fork is not there any more; in the words of whoever looked for it.
    Gone(String),
    /// The log could not be read to its end, and why.
    Unreadable(String),
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

/// What was committed on the host between the fork and the end of its log. `pg_waldump` ends with 0 only if it could read every
/// record up to the end that it was given.
pub fn ask_committed(host: &Server, timeline: u32, fork: Lsn, end: Lsn) -> Request {
    let script = r#"{ runuser -u postgres -- "$bin/pg_waldump" -p "$data/pg_wal" -t TIMELINE -s FORK -e END -r Transaction 2>&1 && s=0 || s=$?; echo "status $s"; } | sed -n '
s/.* desc: \(COMMIT\|PREPARE\)[A-Z_]* \([^;]*\).*/transaction \2/p
s/.*first record is after [^,]*, at \([0-9A-F]*\/[0-9A-F]*\),.*/first \1/p
s/^pg_waldump: \(error\|fatal\): /error /p
/^status /p' | { n=0 a= b=; while read -r k l; do case $k in
transaction) n=$((n+1)); [ -n "$a" ] || a=$l; b=$l ;;
*) echo "note $k $l" ;;
esac; done; echo "note count $n"; echo "note between $a and $b"; }
"#;
    let script = script
        .replace("TIMELINE", &timeline.to_string())
        .replace("FORK", &fork.to_string())
        .replace("END", &end.to_string());
    let mut request = Request::sh(host.script(&script));
    request.timeout_seconds = Some(60);
    request
}

/// The header of a page of the log: what may lie between a position and the first record after it.
const PAGE_HEADER: u64 = 40;

/// Reads the reply to [`ask_committed`]: a count only if all of the log since the fork was read.
pub fn read_committed(reply: &Reply, fork: Lsn) -> Committed {
    let notes = super::notes(reply);
    let text = |key: &str| notes.get(key).map(String::as_str);
    let status = text("status").and_then(|status| status.parse::<i32>().ok());
    match (status, text("error")) {
        (None, _) => {
            let said = reply.err();
            let said = said
                .trim()
                .lines()
                .last()
                .unwrap_or("it did not end in time");
            return Committed::Unreadable(format!("pg_waldump did not end: {said}"));
        }
        (Some(0), None) => {}
        (Some(_), Some(error))
            if error.contains("could not find") || error.contains("No such file") =>
        {
            return Committed::Gone(error.to_owned());
        }
        (Some(status), error) => {
            return Committed::Unreadable(format!(
                "pg_waldump ended with {status}: {}",
                error.unwrap_or("it said nothing")
            ));
        }
    }
    // The first record is named only where it does not begin at the position that was asked for.
    if let Some(first) = text("first") {
        let skipped = first.parse().map(|first: Lsn| first.ahead_of(fork));
        if skipped.is_ok_and(|bytes| bytes > PAGE_HEADER) || skipped.is_err() {
            return Committed::Unreadable(format!(
                "the first record after {fork} is at {first}: what is between them is unknown"
            ));
        }
    }
    match text("count").and_then(|count| count.parse().ok()) {
        Some(count) => Committed::Counted(count, text("between").unwrap_or_default().to_owned()),
        None => Committed::Unreadable("the transactions were not counted".to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(text: &str) -> Lsn {
        text.parse().expect("a position")
    }

    #[test]
    fn only_a_log_that_was_read_to_its_end_is_counted() {
        let between = "note between 2024-05-01 10:00:00 UTC and 2024-05-01 10:00:09 UTC\n";
        let gone = "could not find file \"000000010000000000000005\": No such file or directory";
        let counted = |count| {
            Committed::Counted(
                count,
                "2024-05-01 10:00:00 UTC and 2024-05-01 10:00:09 UTC".to_owned(),
            )
        };
        for (what, out, expected) in [
            ("read", "note status 0\nnote count 7\n", Some(counted(7))),
            (
                "no commit",
                "note status 0\nnote count 0\n",
                Some(counted(0)),
            ),
            (
                "behind the header of a page",
                "note first 0/5000088\nnote status 0\nnote count 1\n",
                Some(counted(1)),
            ),
            // The segment is gone: pg_waldump prints no transaction, which is not to say that there was none.
            (
                "gone",
                &format!("note error {gone}\nnote status 1\nnote count 0\n"),
                None,
            ),
            (
                "broken in between",
                "note error error in WAL record at 0/5000100: invalid magic number\nnote status 1\nnote count 3\n",
                None,
            ),
            ("no program", "note status 127\nnote count 0\n", None),
            ("cut off", "note count 0\n", None),
            ("nothing", "", None),
            (
                "begins too late",
                "note first 0/6000028\nnote status 0\nnote count 0\n",
                None,
            ),
            ("not counted", "note status 0\n", None),
        ] {
            let out = if out.is_empty() {
                String::new()
            } else {
                format!("{out}{between}")
            };
            let reply = Reply {
                stdout: out.into_bytes(),
                ..Reply::default()
            };
            let got = read_committed(&reply, lsn("0/5000060"));
            match expected {
                Some(expected) => assert_eq!(got, expected, "{what}"),
                None if what == "gone" => assert_eq!(got, Committed::Gone(gone.to_owned())),
                None => assert!(matches!(got, Committed::Unreadable(_)), "{what}: {got:?}"),
            }
        }
    }
}
