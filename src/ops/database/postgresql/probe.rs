//! One look at a database host: one round trip that tells what it is, from inside and towards its peers. Changes nothing.

use super::lsn::Lsn;
use super::node::{Control, Disk, Live, Node, PeerView, Place};
use super::observation::{self, Observation};
use super::settings;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::drill::faults;
use crate::ops::hosts::{Host, Site};
use crate::ops::operation::journal::{self, Token};

/// The variables that operations on databases read.
pub const VARIABLES: &[&str] = &[
    "cluster_address",
    "postgresql_cluster",
    "postgresql_data_root",
    "postgresql_replicator",
    "postgresql_synchronous",
    "postgresql_fence_command",
];

/// Finds the configured cluster: `$v`, `$data`, `$port`, `$bin`; the one that runs, or else the newest.
fn find(cluster: &str) -> String {
    format!(
        r#"export LC_ALL=C; cd /; v= data= port=5432 c={}
for d in /etc/postgresql/*/"$c"; do
[ -f "$d/postgresql.conf" ] || continue
n=${{d%/*}} n=${{n##*/}} dd= p=
while IFS='=' read -r k x; do case $k in
data_directory*) dd=${{x#*\'}} dd=${{dd%\'*}} ;;
port*) p=${{x%%#*}} p=$(echo $p) ;;
esac; done <"$d/postgresql.conf"
if [ -z "$v" ] || {{ [ ! -e "$data/postmaster.pid" ] && {{ [ -e "$dd/postmaster.pid" ] || [ "$n" -gt "$v" ]; }}; }}; then v=$n data=$dd port=${{p:-5432}}; fi
done
bin=/usr/lib/postgresql/$v/bin
"#,
        sh(cluster)
    )
}

const PLACE: &str = r#"[ -n "$v" ] || exit 0
echo "version=$v"; echo "data=$data"; echo "port=$port"
systemctl show -p ActiveState -p LoadState "postgresql@$v-$c.service"
s=; while read -r w r; do case $w in auto|manual|disabled) s=$w ;; esac; done <"/etc/postgresql/$v/$c/start.conf" 2>/dev/null
echo "start=${s:-auto}"
[ ! -e "$data/standby.signal" ] || echo signal=yes
echo "log_timeline=$(ls "$data/pg_wal" 2>/dev/null | grep -xE '[0-9A-F]{24}' | cut -c 1-8 | sort | tail -n 1)"
df -k --output=size,avail,itotal,iavail,target "$data" "$data"/pg_wal/. "$data"/pg_tblspc/*/. 2>/dev/null | sed -n '2,$s/^ */disk=/p'
"$bin/pg_controldata" -D "$data" 2>/dev/null | sed -n "s/^\(Database system identifier\|Database cluster state\|Latest checkpoint location\|Latest checkpoint's TimeLineID\|Minimum recovery ending location\|Min recovery ending loc's timeline\): */control \1=/p"
"#;

const QUERY: &str = r"SELECT json_build_object(
 'in_recovery', r, 'version', current_setting('server_version_num')::int,
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'timeline', CASE WHEN r THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver),
   (SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
   (SELECT max(('x' || substr(name, 1, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'))
   ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
 'written', CASE WHEN NOT r THEN pg_current_wal_lsn() END,
 'received', CASE WHEN r THEN pg_last_wal_receive_lsn() END,
 'replayed', CASE WHEN r THEN pg_last_wal_replay_lsn() END,
 'replay_delay', CASE WHEN r AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
   THEN round(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::numeric, 1) END,
 'paused', CASE WHEN r THEN pg_is_wal_replay_paused() ELSE false END,
 'conninfo', current_setting('primary_conninfo'),
 'receiver', (SELECT row_to_json(w) FROM (SELECT status, sender_host, latest_end_lsn AS primary_end,
   round(extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::numeric, 2) AS silent FROM pg_stat_wal_receiver) w),
 'senders', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT application_name AS name, host(client_addr) AS address, state, sync_state,
   pg_wal_lsn_diff(l, flush_lsn)::bigint AS unflushed, pg_wal_lsn_diff(l, replay_lsn)::bigint AS behind,
   round(extract(epoch FROM replay_lag)::numeric, 3) AS delay, round(extract(epoch FROM flush_lag)::numeric, 3) AS flush_delay FROM pg_stat_replication) s),
 'slots', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT slot_name AS name, active, wal_status,
   pg_wal_lsn_diff(l, restart_lsn)::bigint AS kept FROM pg_replication_slots WHERE NOT temporary) s),
 'free_senders', current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
 'free_slots', current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
 'synchronous', current_setting('synchronous_standby_names'),
 'rewindable', (current_setting('data_checksums')::bool OR current_setting('wal_log_hints')::bool) AND current_setting('full_page_writes')::bool,
 'prepared', (SELECT count(*) FROM pg_prepared_xacts),
 'oldest_transaction', (SELECT coalesce(round(max(extract(epoch FROM now() - xact_start))), 0)::int FROM pg_stat_activity WHERE backend_type = 'client backend'),
 'unarchived', CASE WHEN current_setting('archive_mode') <> 'off' THEN (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') END,
 'pending_restart', (SELECT coalesce(json_agg(name), '[]') FROM pg_settings WHERE pending_restart),
 'overridden', OVERRIDDEN,
 'clients', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()))
FROM (SELECT r, CASE WHEN r THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END AS l
 FROM (SELECT pg_is_in_recovery() AS r) a) b;
";

/// Files that hactl left on a host.
const NOTES: &str = "[ ! -e /var/lib/hactl/fenced ] || { echo 'fenced'; head -c 2000 /var/lib/hactl/fenced | tr '\\n' ' '; echo; }
for f in /var/lib/hactl/blocked/*; do [ ! -e \"$f\" ] || { echo blocks; echo \"${f##*/}\"; }; done
[ ! -e /var/lib/hactl/epoch ] || { echo epoch; head -c 2000 /var/lib/hactl/epoch; }
[ ! -e /var/lib/hactl/maintenance ] || { echo maintenance; head -c 2000 /var/lib/hactl/maintenance | tr '\\n' ' '; echo; }";

/// The address under which the other hosts reach a host.
pub fn address(site: &Site, host: &str) -> String {
    site.host(host).map_or_else(
        || host.to_owned(),
        |host| host.text("cluster_address", &host.target.address),
    )
}

/// Everything that is asked of a database host. The peers come first: what the server says of its receiver is then newer
/// than the attempt to reach the primary.
pub fn requests(site: &Site, host: &Host) -> Vec<Request> {
    // A slow server is not a frozen one.
    let times = site.patience();
    let mut requests: Vec<Request> = peers(site, host)
        .into_iter()
        .map(|peer| ask_peer(host, &address(site, &peer), times))
        .collect();
    let find = find(&host.text("postgresql_cluster", "main"));
    requests.push(Request::sh(format!("{find}{PLACE}")));
    let mut live = Request::sh(format!(
        "{find}[ -n \"$v\" ] || exit 3; PGCONNECT_TIMEOUT={limit} PGOPTIONS='-c statement_timeout={limit}s' exec timeout {limit} psql -XAtqw -v ON_ERROR_STOP=1 -p \"$port\" -d postgres",
        limit = 3 * times
    ))
    .stdin(QUERY.replace("OVERRIDDEN", settings::SQL))
    .user("postgres");
    live.timeout_seconds = Some(6);
    requests.push(live);
    requests.push(Request::sh(NOTES));
    requests.push(Request::sh(observation::ASK));
    requests.push(faults::ask());
    requests.push(journal::read());
    requests
}

fn peers(site: &Site, host: &Host) -> Vec<String> {
    site.members("postgresql")
        .iter()
        .filter(|peer| **peer != host.name)
        .cloned()
        .collect()
}

/// Looks at a peer's server over the network: its port, then a query, then a replication login as a standby would do it.
fn ask_peer(host: &Host, address: &str, times: u32) -> Request {
    let limit = 2 * times;
    let login = format!(
        "host={address} user={} dbname=postgres connect_timeout={limit} passfile={}/.pgpass",
        host.text("postgresql_replicator", "replicator"),
        host.text("postgresql_data_root", "/var/lib/postgresql"),
    );
    let find = find(&host.text("postgresql_cluster", "main"));
    let mut request = Request::sh(format!(
        "{find}{}
timeout {limit} psql -XAtqw -d {} -c 'SELECT pg_is_in_recovery()' || exit
echo
timeout {limit} psql -XAtqw -d {} -c IDENTIFY_SYSTEM 2>&1 || echo failed",
        reach(address, "\"$port\"", times),
        sh(&login),
        sh(&format!("{login} replication=true")),
    ))
    .user("postgres");
    request.timeout_seconds = Some(8);
    request
}

/// A shell line that opens a port and exits with 41 when it is closed, 42 when nothing comes back.
fn reach(address: &str, port: &str, times: u32) -> String {
    let limit = 1.5 * f64::from(times);
    format!(
        "e=$(timeout {limit} bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' {} {port} 2>&1) || case $?:$e in *refused*) echo \"$e\" >&2; exit 41 ;; 124:*) exit 42 ;; *) echo \"$e\" >&2; exit 42 ;; esac",
        sh(address)
    )
}

/// Looks at a server's port from a host that is no database: whether anything takes connections there. Waits so many times
/// longer than usual.
pub fn ask_port(address: &str, port: u16, times: u32) -> Request {
    let mut request = Request::sh(reach(address, &port.to_string(), times));
    request.timeout_seconds = Some(4);
    request
}

/// What [`ask_port`] saw.
pub fn port_view(reply: &Reply) -> PeerView {
    match reply.code {
        // Only that something listens is known: a frozen server's port does too.
        0 => PeerView::Silent,
        41 => PeerView::Closed(last_line(&reply.err())),
        _ => PeerView::Unreachable(nothing(&reply.err())),
    }
}

/// Reads the replies to [`requests`].
///
/// # Errors
/// When a reply is not what hactl's own requests print.
pub fn node(site: &Site, host: &Host, replies: &[Reply]) -> Result<Node> {
    let mut node = Node::default();
    let peers = peers(site, host);
    let (of_peers, rest) = replies.split_at(peers.len().min(replies.len()));
    for (peer, reply) in peers.into_iter().zip(of_peers) {
        node.peers.insert(peer, peer_view(reply));
    }
    let [place, live, notes, observed, drill, journal] = rest else {
        return Err(
            Diagnostic::with_code(exit::FAILED, "the host gave too few replies").on(&host.name),
        );
    };
    read_place(&place.out(), &mut node);
    node.live = read_live(live).map_err(|error| error.on(&host.name))?;
    let notes = notes.out();
    let mut lines = notes.lines();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        match key {
            "fenced" => node.fenced = Some(value.trim().to_owned()),
            "blocks" => node.blocks.push(value.to_owned()),
            "epoch" => node.token = Token::parse(value),
            _ => node.maintenance = Some(value.trim().to_owned()),
        }
    }
    node.observed = Observation::read(observed.out().trim_end_matches('\n'));
    node.faults = faults::read(&drill.out());
    node.journal = journal::read_all(&journal.out());
    Ok(node)
}

fn read_place(text: &str, node: &mut Node) {
    let mut control = Control::default();
    let place: &mut Place = &mut node.place;
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().to_owned();
        let number = || value.parse().unwrap_or_default();
        let lsn = || value.parse::<Lsn>().unwrap_or_default();
        match key {
            "version" => place.version = value,
            "data" => place.data = value,
            "port" => place.port = value.parse().unwrap_or(5432),
            "ActiveState" => place.active = value,
            "LoadState" => place.masked = value == "masked",
            "start" => place.start = value,
            "signal" => place.standby_signal = true,
            "log_timeline" => control.log_timeline = u32::from_str_radix(&value, 16).unwrap_or(0),
            "disk" => place.disks.extend(read_disk(&value)),
            "control Database system identifier" => control.system = value,
            "control Database cluster state" => control.state = value,
            "control Latest checkpoint location" => control.checkpoint = lsn(),
            "control Latest checkpoint's TimeLineID" => control.timeline = number(),
            "control Minimum recovery ending location" => control.least = lsn(),
            "control Min recovery ending loc's timeline" => control.least_timeline = number(),
            _ => {}
        }
    }
    // The first one holds the data.
    place.free = place.disks.first().map_or(0, |disk| disk.free);
    place.disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    place.disks.dedup();
    node.control = (!control.system.is_empty()).then_some(control);
}

/// `SIZE FREE INODES FREE-INODES MOUNT`, in KiB; `-` where there is no such thing.
fn read_disk(text: &str) -> Option<Disk> {
    let mut words = text.split_whitespace();
    let mut number = || Some(words.next()?.parse::<u64>().unwrap_or_default());
    let (size, free, inodes, inodes_free) = (number()?, number()?, number()?, number()?);
    Some(Disk {
        mount: words.collect::<Vec<_>>().join(" "),
        size: size * 1024,
        free: free * 1024,
        inodes,
        inodes_free,
    })
}

fn read_live(reply: &Reply) -> Result<Live> {
    Ok(match reply.code {
        0 => Live::Answers(Box::new(serde_json::from_str(&reply.out()).map_err(
            |error| {
                Diagnostic::with_code(exit::FAILED, "the server's answer cannot be read")
                    .note(error.to_string())
            },
        )?)),
        3 if reply.err().trim().is_empty() => Live::None,
        124 => Live::Silent,
        _ if reply.err().contains("timeout expired") => Live::Silent,
        _ => Live::Down(last_line(&reply.err())),
    })
}

fn peer_view(reply: &Reply) -> PeerView {
    let out = reply.out();
    match reply.code {
        0 => PeerView::Answers {
            in_recovery: out.starts_with('t'),
            replication: match out.split_once("\n\n") {
                Some((_, login)) if !login.trim_end().ends_with("failed") => Ok(()),
                Some((_, login)) => Err(last_line(login.trim_end().trim_end_matches("failed"))),
                None => Err("no answer".to_owned()),
            },
        },
        41 => PeerView::Closed(last_line(&reply.err())),
        42 => PeerView::Unreachable(nothing(&reply.err())),
        124 => PeerView::Silent,
        _ if reply.err().contains("timeout expired") => PeerView::Silent,
        _ => PeerView::Refuses(last_line(&reply.err())),
    }
}

fn nothing(said: &str) -> String {
    let said = last_line(said);
    let said = said.rsplit(": ").next().unwrap_or_default().trim();
    if said.is_empty() {
        "nothing comes back".to_owned()
    } else {
        said.to_lowercase()
    }
}

fn last_line(text: &str) -> String {
    text.trim()
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disks_of_a_cluster_are_read() {
        let mut node = Node::default();
        let text = "version=15\ndisk=1000000 500000 65536 60000 /\ndisk=  2048   1024      -     - /srv/the log\n\
                    disk=1000000 500000 65536 60000 /\n";
        read_place(text, &mut node);
        assert_eq!(node.place.free, 500_000 << 10);
        let mounts: Vec<&str> = node.place.disks.iter().map(|disk| &*disk.mount).collect();
        assert_eq!(mounts, ["/", "/srv/the log"]);
        let disk = |free, inodes, inodes_free| Disk {
            mount: "/".to_owned(),
            size: 100 << 30,
            free,
            inodes,
            inodes_free,
        };
        for (disk, low, full) in [
            (disk(50 << 30, 100, 50), false, false),
            (disk(4 << 30, 100, 50), true, false),
            (disk(15 << 20, 100, 50), true, true),
            (disk(50 << 30, 100, 4), true, false),
            (disk(50 << 30, 100, 0), true, true),
            (disk(50 << 30, 0, 0), false, false),
            (Disk::default(), false, false),
        ] {
            assert_eq!((disk.is_low(), disk.is_full()), (low, full), "{disk:?}");
        }
    }
}
