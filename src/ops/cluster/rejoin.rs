//! Rejoin: a host that is out becomes a replica again. What is done follows from evidence: identity, timeline, where the
//! histories part, and how far the host's own log goes. What it has and the primary has not is kept before it is given up.

use super::condition::Conditions;
use super::failover::unblock;
use super::lsn::Lsn;
use super::node::{Live, Node};
use super::operation::Step;
use super::scripts::Server;
use super::switchover::{plain, server};
use super::view::Cluster;
use crate::base::{Diagnostic, exit};
use crate::modules::{Reply, Request};
use crate::ops::hosts::Site;
use crate::ops::journal::Notes;
use std::collections::BTreeMap;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// What only this host has may be given up; a copy is kept.
    pub discard_diverged: bool,
    /// A new copy of the primary, whatever the evidence says.
    pub clone: bool,
    /// Of what is given up only the log is kept, not the whole directory.
    pub keep_log_only: bool,
}

/// How a host is made to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It follows already.
    Nothing,
    /// Its log is a part of the primary's: it is started as a replica.
    Start,
    /// Its log went on where the primary's did not: that part is rewound.
    Rewind,
    /// A new copy beside the old directory, which is kept under another name.
    Clone,
}

impl Method {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Start => "start",
            Self::Rewind => "rewind",
            Self::Clone => "clone",
        }
    }
}

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

/// What is to be done, and why.
#[derive(Debug)]
pub struct Assessment {
    /// The host.
    pub server: Server,
    /// Whom it is to follow.
    pub primary: Server,
    /// How.
    pub method: Method,
    /// Why, in words.
    pub why: String,
    /// What must hold.
    pub conditions: Conditions,
    /// What is only on this host and is given up: bytes of log from the fork on.
    pub diverged: Option<(Lsn, Lsn)>,
    /// Hosts that block it.
    pub blockers: Vec<String>,
    /// The copy that is kept, when something is given up.
    pub kept: Option<String>,
    keep_log_only: bool,
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

/// What was noted in replies.
pub fn notes(reply: &Reply) -> Notes {
    reply
        .out()
        .lines()
        .filter_map(|line| line.strip_prefix("note ")?.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Where a primary's history left a timeline. Each line of a history file names a timeline and where it ended.
pub fn fork_of(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()?.parse() == Ok(timeline)).then(|| words.next()?.parse().ok())?
    })
}

/// Decides from the evidence.
fn decide(
    evidence: &Evidence,
    node: &Node,
    wishes: &Wishes,
) -> (Method, String, Option<(Lsn, Lsn)>) {
    let standby = node.place.standby_signal;
    let (own, primary) = (evidence.timeline, evidence.primary_timeline);
    if evidence.half_rewound {
        return (
            Method::Clone,
            "a rewind was begun and not ended".to_owned(),
            None,
        );
    }
    if own == primary && standby {
        return (
            Method::Start,
            format!("it is a replica on the primary's timeline {own}"),
            None,
        );
    }
    let Some(fork) = evidence.fork else {
        return (
            Method::Clone,
            format!("its timeline {own} is none that the primary (timeline {primary}) has been on"),
            None,
        );
    };
    let Some(end) = evidence.log_end else {
        return (
            Method::Clone,
            "the end of its log cannot be read".to_owned(),
            None,
        );
    };
    if end <= fork {
        let why =
            format!("its log ends at {end}, before the primary left timeline {own} at {fork}");
        return (Method::Start, why, None);
    }
    let why = format!(
        "its log goes on to {end}, and the primary left timeline {own} at {fork}: {} bytes are only on this host",
        end.ahead_of(fork)
    );
    let old = node
        .place
        .version
        .parse::<u32>()
        .is_ok_and(|version| version < 15);
    let method = if wishes.clone || old {
        Method::Clone
    } else {
        Method::Rewind
    };
    (method, why, Some((fork, end)))
}

/// Looks at everything that must hold.
///
/// # Errors
/// When there is no primary to follow, or the host is none that could follow it.
pub fn who(site: &Site, cluster: &Cluster, host: &str) -> Result<(Server, Server), Diagnostic> {
    let Some(member) = cluster.member(host) else {
        let names: Vec<&str> = cluster
            .members
            .iter()
            .map(|member| member.host.as_str())
            .collect();
        return Err(
            Diagnostic::new(format!("`{host}` is no host of the group postgresql"))
                .help(format!("there are: {}", names.join(", "))),
        );
    };
    let node = member
        .seen
        .as_ref()
        .map_err(|error| error.clone().on(host))?;
    let others: Vec<&str> = cluster
        .primaries()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| *name != host)
        .collect();
    let primary = match others.as_slice() {
        [primary] => *primary,
        [] if node.is_primary() => {
            return Err(Diagnostic::with_code(
                exit::REFUSED,
                format!("{host} is the primary"),
            ));
        }
        [] => {
            return Err(Diagnostic::with_code(
                exit::REFUSED,
                "no primary answers that it could follow",
            )
            .help(
                "hactl status; if this host has the newest data, start it: it is the primary then",
            ));
        }
        _ => {
            return Err(Diagnostic::with_code(
                exit::REFUSED,
                format!("split brain: {} take writes", others.join(" and ")),
            ));
        }
    };
    if matches!(node.live, Live::None) && node.place.version.is_empty() {
        return Err(
            Diagnostic::with_code(exit::REFUSED, "there is no cluster on this host")
                .on(host)
                .help("hactl deploy makes one, as a replica of the primary that is seen"),
        );
    }
    let known = |name: &str| {
        server(site, cluster, name).ok_or_else(|| {
            Diagnostic::with_code(exit::REFUSED, "nothing is known of its cluster").on(name)
        })
    };
    Ok((known(host)?, known(primary)?))
}

/// Decides how, and what must hold for it.
pub fn assess(
    cluster: &Cluster,
    server: Server,
    primary: Server,
    evidence: &Evidence,
    wishes: &Wishes,
) -> Option<Assessment> {
    let node = cluster.node(&server.host)?;
    let leader = cluster.node(&primary.host)?;
    let blockers: Vec<String> = cluster
        .nodes()
        .filter(|(_, node)| node.blocks.contains(&server.host))
        .map(|(name, _)| name.to_owned())
        .collect();
    let streams = leader.answer().is_some_and(|answer| {
        answer.senders.iter().any(|sender| {
            sender.state == "streaming"
                && (sender.name == server.host
                    || sender.address.as_deref() == Some(server.address.as_str()))
        })
    });
    let follows = node.is_standby() && streams && !wishes.clone;
    let (mut method, mut why, diverged) = decide(evidence, node, wishes);
    if follows {
        (method, why) = (
            Method::Nothing,
            format!("it streams from {} already", primary.host),
        );
    } else if wishes.clone && method == Method::Start {
        (method, why) = (Method::Clone, "a new copy is wished".to_owned());
    }
    let mut conditions = Conditions::default();
    let same = node.system() == leader.system();
    conditions.add(
        "same-cluster",
        format!("{} and {} hold the same cluster", server.host, primary.host),
        same,
        format!("system identifiers {} and {}", node.system().unwrap_or("unknown"), leader.system().unwrap_or("unknown")),
        format!("the data in {} belongs to something else. If nothing in it is needed, move it away yourself and deploy", server.data),
    );
    conditions.add(
        "newer",
        format!("{} is on no newer timeline than the primary", server.host),
        evidence.timeline <= evidence.primary_timeline,
        format!(
            "{} {}, {} {}",
            server.host, evidence.timeline, primary.host, evidence.primary_timeline
        ),
        format!(
            "{} was promoted later than {}: find out which of them has the data that counts",
            server.host, primary.host
        ),
    );
    conditions.unless("--clone", wishes.clone);
    // Checkpoints and what was never committed are no loss.
    let empty = matches!(evidence.lost_transactions, Some((0, _)));
    if (diverged.is_some() && !empty) || (method == Method::Clone && !wishes.clone && !empty) {
        let lost = evidence
            .lost_transactions
            .as_ref()
            .map_or_else(String::new, |(count, between)| {
                format!("; {count} transactions were committed, between {between}")
            });
        conditions.add(
            "diverged",
            format!("nothing that is only on {} is given up", server.host),
            false,
            format!("{why}{lost}"),
            "what is given up is kept beside it; look at it first if it may matter",
        );
        conditions.unless("--discard-diverged", wishes.discard_diverged);
    } else if diverged.is_some() {
        why.push_str(", but no transaction was committed in them");
    }
    let needed = match method {
        Method::Nothing | Method::Start => 0,
        Method::Rewind if wishes.keep_log_only => 0,
        Method::Rewind | Method::Clone => evidence.size + evidence.size / 10,
    };
    if needed > 0 {
        conditions.add(
            "space",
            format!("{} has room for {} MiB more", server.host, needed >> 20),
            node.place.free > needed,
            format!("{} MiB are free", node.place.free >> 20),
            "make room, or keep only the log of what is given up: --keep-log-only",
        );
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let kept = match method {
        Method::Rewind => Some(format!("{}.diverged-{stamp}", server.data)),
        Method::Clone => Some(format!("{}.replaced-{stamp}", server.data)),
        Method::Nothing | Method::Start => None,
    };
    Some(Assessment {
        server,
        primary,
        method,
        why,
        conditions,
        diverged,
        blockers,
        kept,
        keep_log_only: wishes.keep_log_only,
    })
}

/// The steps. `blockers` are all hosts of the service that block the host, the databases among them.
pub fn steps(assessment: &Assessment, blockers: &[String]) -> Vec<Step> {
    let Assessment {
        server,
        primary,
        method,
        ..
    } = assessment;
    let step = |id: &'static str, at: &Server, what: String, text: String| Step {
        id,
        what,
        host: at.host.clone(),
        script: plain(text),
        undo: None,
        no_return: false,
        tail: false,
        limit: 60,
    };
    let mut steps = Vec::new();
    let unblocks = |host: &str| Step {
        id: Box::leak(format!("unblock-{host}").into_boxed_str()),
        what: format!("no longer block {}", server.host),
        host: host.to_owned(),
        script: plain(unblock(&server.host, &server.address)),
        undo: None,
        no_return: false,
        tail: true,
        limit: 30,
    };
    if *method == Method::Nothing {
        steps.extend(blockers.iter().map(|host| unblocks(host)));
        return steps;
    }
    steps.push(Step {
        limit: 120,
        ..step(
            "stop",
            server,
            "stop its server, if it runs".to_owned(),
            server.stop(),
        )
    });
    // The primary has to be reached from here on; the applications only when it cannot take writes any more.
    steps.extend(
        blockers
            .iter()
            .filter(|host| **host == primary.host)
            .map(|host| unblocks(host)),
    );
    steps.push(step(
        "slot",
        primary,
        format!("keep the log for {}", server.host),
        primary.make_slots(&[server]),
    ));
    let kept = assessment.kept.clone().unwrap_or_default();
    match method {
        Method::Rewind => {
            steps.push(Step {
                limit: 3600,
                ..step(
                    "keep",
                    server,
                    format!("keep what is only here as {kept}"),
                    server.keep(&kept, assessment.keep_log_only),
                )
            });
            steps.push(Step {
                no_return: true,
                limit: 3600,
                ..step(
                    "rewind",
                    server,
                    format!("rewind to where {} left its timeline", primary.host),
                    server.rewind(primary),
                )
            });
        }
        Method::Clone => steps.push(Step {
            no_return: true,
            limit: 24 * 3600,
            ..step(
                "clone",
                server,
                format!("copy {}; the old directory becomes {kept}", primary.host),
                server.reclone(primary, &kept),
            )
        }),
        Method::Start | Method::Nothing => {}
    }
    steps.push(Step {
        no_return: true,
        ..step(
            "demote",
            server,
            format!(
                "from now on it can only start as a standby of {}",
                primary.host
            ),
            server.follow_offline(primary),
        )
    });
    steps.extend(
        blockers
            .iter()
            .filter(|host| **host != primary.host)
            .map(|host| unblocks(host)),
    );
    steps.push(step(
        "unfence",
        server,
        "no longer fenced".to_owned(),
        server.unfence(),
    ));
    steps.push(Step {
        limit: 300,
        ..step(
            "start",
            server,
            format!("start as a standby of {}", primary.host),
            server.start_standby(),
        )
    });
    steps.push(Step {
        tail: true,
        ..step(
            "tidy",
            server,
            "drop the slots that only a primary needs".to_owned(),
            server.drop_slots(&[primary]),
        )
    });
    steps.push(Step {
        tail: true,
        ..step(
            "check",
            primary,
            format!("{} streams from it", server.host),
            primary.is_followed_by(server),
        )
    });
    steps.push(Step {
        tail: true,
        ..step(
            "wait",
            primary,
            "commits wait for replicas as configured".to_owned(),
            primary.wait_for_replicas(),
        )
    });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(text: &str) -> Lsn {
        text.parse().expect("a position")
    }

    #[test]
    fn the_method_follows_from_the_evidence() {
        let history = "1\t0/3000000\tno recovery target specified\n\n2\t0/5000060\tno recovery target specified\n";
        assert_eq!(fork_of(history, 1), Some(lsn("0/3000000")));
        assert_eq!(fork_of(history, 2), Some(lsn("0/5000060")));
        assert_eq!(fork_of(history, 3), None);
        let node = |signal: bool, version: &str| Node {
            place: super::super::node::Place {
                standby_signal: signal,
                version: version.to_owned(),
                ..Default::default()
            },
            ..Node::default()
        };
        let clone = Wishes {
            clone: true,
            ..Wishes::default()
        };
        for (own, end, fork, signal, version, wishes, method, diverged) in [
            (
                3,
                Some("0/6"),
                None,
                true,
                "15",
                Wishes::default(),
                Method::Start,
                None,
            ),
            (
                2,
                Some("0/5000060"),
                Some("0/5000060"),
                false,
                "15",
                Wishes::default(),
                Method::Start,
                None,
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "15",
                Wishes::default(),
                Method::Rewind,
                Some(1),
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "14",
                Wishes::default(),
                Method::Clone,
                Some(1),
            ),
            (
                2,
                Some("0/5000061"),
                Some("0/5000060"),
                false,
                "15",
                clone,
                Method::Clone,
                Some(1),
            ),
            (
                2,
                None,
                Some("0/5000060"),
                false,
                "15",
                Wishes::default(),
                Method::Clone,
                None,
            ),
            (
                3,
                Some("0/6"),
                None,
                false,
                "15",
                Wishes::default(),
                Method::Clone,
                None,
            ),
        ] {
            let evidence = Evidence {
                timeline: own,
                primary_timeline: 3,
                log_end: end.map(lsn),
                fork: fork.map(lsn),
                ..Evidence::default()
            };
            let (got, why, lost) = decide(&evidence, &node(signal, version), &wishes);
            assert_eq!(got, method, "{why}");
            assert_eq!(
                lost.map(|(fork, end)| end.ahead_of(fork)),
                diverged,
                "{why}"
            );
        }
        let half = Evidence {
            half_rewound: true,
            timeline: 3,
            primary_timeline: 3,
            ..Evidence::default()
        };
        assert_eq!(
            decide(&half, &node(true, "15"), &Wishes::default()).0,
            Method::Clone
        );
    }
}
