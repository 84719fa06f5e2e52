//! What one look at a host gives besides its database: the questions, and how the answers are read. Changes nothing, waits for
//! nobody longer than a few seconds.

use super::certificates::{self, Ending};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{Reply, Request};
use crate::ops::backup::{self, Info, Repository};
use crate::ops::database::postgresql::node::{Node, PeerView};
use crate::ops::database::postgresql::probe as database;
use crate::ops::hosts::{Host, Site};
use crate::ops::http::{self, Call};
use crate::ops::operation::journal::{self, ReadFile};
use crate::ops::verify::haproxy::SOCKET;
use crate::ops::verify::parse::{self, HaproxyServer};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The variables that `status` reads besides those of operations on databases.
pub const VARIABLES: &[&str] = &[
    "postgresql_initial_primary",
    "postgresql_port",
    "keepalived_vip",
    "haproxy_port",
    "haproxy_health_path",
    "haproxy_backend_group",
    "welcome_app_port",
];

/// The groups of the components, in the order in which they are shown.
pub const COMPONENTS: [&str; 4] = ["postgresql", "keepalived", "haproxy", "welcome_app"];
/// The unit of the file server.
pub const FILE_SERVER: &str = "nfs-server.service";
/// Where the application says how it is.
const HEALTH: &str = "/api/health";

/// A host that answered.
#[derive(Debug, Default)]
pub struct HostSeen {
    /// Its addresses, with their interfaces.
    pub addresses: Vec<(String, String)>,
    /// Its hardware addresses, by interface.
    pub links: BTreeMap<String, String>,
    /// Who is at work on it: the holder of hactl's lock.
    pub busy: Option<String>,
    /// It was fenced: since when and by whom, as it was written down.
    pub fenced: Option<String>,
    /// Hosts that it blocks.
    pub blocks: Vec<String>,
    /// Its note of maintenance.
    pub maintenance: Option<String>,
    /// keepalived's own flag, when it is set.
    pub flag: Option<String>,
    /// The ActiveState of the units that it should have.
    pub units: BTreeMap<String, String>,
    /// The operation under way and the ended ones, as it has them.
    pub journal: Vec<ReadFile>,
    /// The servers as its HAProxy sees them; a host without HAProxy has none.
    pub servers: Option<Result<Vec<HaproxyServer>, String>>,
    /// What its application says.
    pub health: Option<Result<Health, String>>,
    /// The backups, when it keeps them and could say so.
    pub backups: Option<Info>,
    /// Its certificate for the backups, when it ends soon or has ended.
    pub certificate: Option<Ending>,
    /// What it gets at the virtual address: the status line, or why none.
    pub entrance: Option<Result<u16, String>>,
    /// The hardware address at which it reaches the virtual address.
    pub neighbour: Option<String>,
    /// What it gets of each load balancer.
    pub balancers: BTreeMap<String, Result<u16, String>>,
    /// How it sees the port of each database, when it is none itself.
    pub databases: BTreeMap<String, PeerView>,
}

/// What an application says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The HTTP status.
    pub status: u16,
    /// What it says of its database when it has none.
    pub said: String,
    /// The address of the database that it uses.
    pub database: Option<String>,
    /// It knows a database that takes writes; none when it does not know, or does not say.
    pub writable: Option<bool>,
}

/// The virtual address without its prefix.
pub fn virtual_address(site: &Site) -> Option<String> {
    let holder = site.members("keepalived").first()?;
    let address = site.host(holder)?.text("keepalived_vip", "");
    let address = address.split('/').next().unwrap_or_default();
    (!address.is_empty()).then(|| address.to_owned())
}

/// The units that a host should have.
fn units(site: &Site, host: &str) -> Vec<&'static str> {
    [
        ("keepalived", "keepalived.service"),
        ("haproxy", "haproxy.service"),
        ("welcome_app", "welcome_app.service"),
        ("nfs_server", FILE_SERVER),
    ]
    .into_iter()
    .filter(|(group, _)| is(site, group, host))
    .map(|(_, unit)| unit)
    .collect()
}

/// Whether a host is of a group.
pub fn is(site: &Site, group: &str, host: &str) -> bool {
    site.members(group).iter().any(|member| member == host)
}

/// Whether a host looks at the service as its users do: none that may hold the address, unless there are no others.
pub fn looks(site: &Site, host: &str) -> bool {
    let front = |host: &str| is(site, "keepalived", host) || is(site, "haproxy", host);
    !front(host) || site.hosts.iter().all(|host| front(&host.name))
}

/// Everything that is asked of a host: one round trip.
pub fn requests(site: &Site, host: &Host) -> Vec<Request> {
    let mut census = Request::sh(census(site, host));
    census.timeout_seconds = Some(6);
    let mut requests = vec![census];
    if is(site, "haproxy", &host.name) {
        let mut socket = Request::sh(SOCKET);
        socket.timeout_seconds = Some(2);
        requests.push(socket);
    }
    if is(site, "welcome_app", &host.name) {
        let port = host.number("welcome_app_port", 5000);
        let mut call = Call::get(&database::address(site, &host.name), port, HEALTH).request();
        call.timeout_seconds = Some(4);
        requests.push(call);
    }
    if let Some((_, mut probe)) =
        backup::probe(site).filter(|(repository, _)| *repository == host.name)
    {
        probe.timeout_seconds = Some(5);
        requests.push(probe);
    }
    if is(site, "postgresql", &host.name) {
        requests.extend(database::requests(site, host));
    } else {
        requests.push(journal::read());
    }
    requests
}

/// One script for all that is cheap; its parts are parted by lines that begin with a byte that no such text has.
fn census(site: &Site, host: &Host) -> String {
    let mut script = String::from(
        r#"s() { printf '\001%s\n' "$1"; }; d=/var/lib/hactl
s addresses; ip -o addr show 2>/dev/null
s links; ip -o link show 2>/dev/null
s busy; case $(ls -l /proc/[0-9]*/fd/9 2>/dev/null) in *" $d/lock"*) head -n 1 "$d/lock.holder" ;; esac
s fenced; [ ! -e "$d/fenced" ] || { head -c 2000 "$d/fenced"; echo .; }
s maintenance; [ ! -e "$d/maintenance" ] || { head -c 2000 "$d/maintenance"; echo .; }
s blocks; ls "$d/blocked" 2>/dev/null
"#,
    );
    let units = units(site, &host.name);
    if !units.is_empty() {
        let _ = writeln!(
            script,
            "s units; systemctl show -p Id -p ActiveState -- {}",
            units.join(" ")
        );
    }
    if is(site, "keepalived", &host.name) {
        script.push_str("s flag; cat /etc/keepalived/maintenance 2>/dev/null\n");
    }
    if let Some(repository) = Repository::of(site)
        && (is(site, "postgresql", &host.name) || repository.host == host.name)
    {
        let _ = writeln!(script, "s certificate; {}", certificates::ask(&repository));
    }
    script.push_str(&outside(site, &host.name));
    script + ":"
}

/// Looks at the ports of the databases, at the load balancers and at the virtual address as a client would, all at once; then
/// where the address is.
fn outside(site: &Site, from: &str) -> String {
    // One short line each: what is written to a pipe in one piece comes out in one piece.
    let mut script = String::from(
        r#"s calls
say() { printf '%s %s %.200s\n' "$1" "$2" "$(printf %s "$3" | tr '\r\n' '  ')"; }
p() { r=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\n\r\n" "$2" >&3 && IFS= read -r l <&3 && printf %s "$l"' "$2" "$3" "$4" 2>&1); say "$1" $? "$r"; }
q() { r=$(timeout 1.5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$2" "$3" 2>&1); say "$1" $? "$r"; }
"#,
    );
    let address = virtual_address(site);
    if !is(site, "postgresql", from) {
        for host in site
            .members("postgresql")
            .iter()
            .filter_map(|name| site.host(name))
        {
            let (name, port) = (
                format!("db:{}", host.name),
                host.number("postgresql_port", 5432_u16),
            );
            let _ = writeln!(
                script,
                "q {} {} {port} &",
                sh(&name),
                sh(&database::address(site, &host.name))
            );
        }
    }
    if looks(site, from) {
        let mut call = |name: &str, address: &str, balancer: &Host| {
            let (port, path) = (
                balancer.number("haproxy_port", 80_u16),
                balancer.text("haproxy_health_path", "/"),
            );
            let _ = writeln!(
                script,
                "p {} {} {port} {} &",
                sh(name),
                sh(address),
                sh(&path)
            );
        };
        let balancers: Vec<&Host> = site
            .members("haproxy")
            .iter()
            .filter_map(|name| site.host(name))
            .collect();
        for balancer in &balancers {
            call(
                &format!("at:{}", balancer.name),
                &database::address(site, &balancer.name),
                balancer,
            );
        }
        if let (Some(address), Some(balancer)) = (&address, balancers.first()) {
            call("vip", address, balancer);
        }
    }
    script.push_str("wait\n");
    if let Some(address) = address.filter(|_| looks(site, from)) {
        let _ = writeln!(
            script,
            "s neighbour; ip -o neigh show to {} 2>/dev/null",
            sh(&address)
        );
    }
    script
}

/// Reads the replies to [`requests`]: the host, and its database when it has one.
///
/// # Errors
/// When a reply is not what hactl's own requests print.
pub fn read(
    site: &Site,
    host: &Host,
    replies: &[Reply],
) -> Result<(HostSeen, Option<Result<Node>>)> {
    let mut replies = replies.iter();
    let mut next = || {
        replies.next().ok_or_else(|| {
            Diagnostic::with_code(crate::base::exit::FAILED, "the host gave too few replies")
                .on(&host.name)
        })
    };
    let mut seen = HostSeen::default();
    let first = next()?;
    if first.code != 0 {
        return Err(Diagnostic::with_code(
            crate::base::exit::UNREACHABLE,
            format!("it answers, but its probe ended with code {}", first.code),
        )
        .note(first.err().trim().to_owned())
        .on(&host.name));
    }
    read_census(&first.out(), &mut seen);
    if is(site, "haproxy", &host.name) {
        let reply = next()?;
        seen.servers = Some(match parse::servers(&reply.out()) {
            Some(servers) if reply.code == 0 => Ok(servers),
            _ => Err(said(reply)),
        });
    }
    if is(site, "welcome_app", &host.name) {
        seen.health = Some(read_health(next()?));
    }
    if backup::probe(site).is_some_and(|(repository, _)| repository == host.name) {
        seen.backups = Info::read(host, next()?).ok();
    }
    if !is(site, "postgresql", &host.name) {
        seen.journal = journal::read_all(&next()?.out());
        return Ok((seen, None));
    }
    let rest: Vec<Reply> = replies.cloned().collect();
    let node = database::node(site, host, &rest);
    if let Ok(node) = &node {
        seen.journal.clone_from(&node.journal);
    }
    Ok((seen, Some(node)))
}

fn read_census(text: &str, seen: &mut HostSeen) {
    for part in text.split('\u{1}').skip(1) {
        let (name, body) = part.split_once('\n').unwrap_or((part, ""));
        let body = body.trim();
        let note = || {
            let note = body.strip_suffix('.')?.trim();
            Some(if note.is_empty() {
                "-".to_owned()
            } else {
                note.replace('\n', " ")
            })
        };
        match name {
            "addresses" => seen.addresses = parse::addresses(body),
            "links" => seen.links = parse::links(body),
            "busy" => seen.busy = (!body.is_empty()).then(|| body.to_owned()),
            "fenced" => seen.fenced = note(),
            "maintenance" => seen.maintenance = note(),
            "blocks" => seen.blocks = body.lines().map(str::to_owned).collect(),
            "flag" => seen.flag = (!matches!(body, "" | "0")).then(|| body.to_owned()),
            "units" => {
                seen.units = parse::units(body)
                    .into_iter()
                    .filter_map(|(name, unit)| Some((name, unit.get("ActiveState")?.clone())))
                    .collect();
            }
            "calls" => {
                for (name, code, said) in body.lines().filter_map(words) {
                    match name.split_once(':') {
                        Some(("at", balancer)) => drop(
                            seen.balancers
                                .insert(balancer.to_owned(), read_call(code, said)),
                        ),
                        Some(("db", host)) => drop(
                            seen.databases
                                .insert(host.to_owned(), read_port(code, said)),
                        ),
                        _ => seen.entrance = Some(read_call(code, said)),
                    }
                }
            }
            "certificate" => seen.certificate = certificates::read(body),
            "neighbour" => seen.neighbour = parse::neighbour(body),
            _ => {}
        }
    }
}

/// `NAME CODE WHAT WAS SAID`
fn words(line: &str) -> Option<(&str, &str, &str)> {
    let mut words = line.splitn(3, ' ');
    Some((
        words.next()?,
        words.next()?,
        words.next().unwrap_or_default(),
    ))
}

/// An HTTP status, or why there is none.
fn read_call(code: &str, said: &str) -> Result<u16, String> {
    let status = said
        .strip_prefix("HTTP/")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|word| word.parse().ok());
    match status {
        Some(status) => Ok(status),
        None if code == "124" => Err("no answer within 2 s".to_owned()),
        None => Err(no_way(said)
            .unwrap_or("it closed the connection without an answer")
            .to_owned()),
    }
}

/// What a port looks like: that something listens says no more than that, a frozen server's port does too.
fn read_port(code: &str, said: &str) -> PeerView {
    match code {
        "0" => PeerView::Silent,
        "124" => PeerView::Unreachable("nothing comes back".to_owned()),
        _ => match no_way(said) {
            Some(why) if why.ends_with("refused") => PeerView::Closed(why.to_owned()),
            why => PeerView::Unreachable(why.unwrap_or("no connection").to_owned()),
        },
    }
}

fn no_way(said: &str) -> Option<&'static str> {
    let low = said.to_lowercase();
    [
        ("refused", "connection refused"),
        ("no route", "no route to it"),
        ("unreachable", "no route to it"),
        ("timed out", "nothing comes back"),
    ]
    .into_iter()
    .find(|(word, _)| low.contains(word))
    .map(|(_, why)| why)
}

fn read_health(reply: &Reply) -> Result<Health, String> {
    if matches!(reply.code, 124 | 137) {
        return Err("no answer within 4 s".to_owned());
    }
    let response = http::response(reply)?;
    let body = response.json().unwrap_or_default();
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    Ok(Health {
        status: response.status,
        // The share, where that is what it lacks.
        said: text("images").or(text("database")).unwrap_or_default(),
        database: text("database_host"),
        writable: body["writable"].as_bool(),
    })
}

fn said(reply: &Reply) -> String {
    match reply.code {
        124 | 137 => "no answer within 2 s".to_owned(),
        127 => "there is neither socat nor perl to ask it with".to_owned(),
        _ => {
            let (err, out) = (reply.err(), reply.out());
            let line = err
                .lines()
                .chain(out.lines())
                .rfind(|line| !line.trim().is_empty());
            line.map_or_else(
                || format!("exit code {}", reply.code),
                |line| line.trim().to_owned(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_census_is_read_part_by_part() {
        let text = "\u{1}addresses\n2: eth0    inet 192.0.2.10/24 scope global eth0\n\u{1}links\n\
            2: eth0: <UP> mtu 1500 link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n\u{1}busy\nann@desk, `hactl deploy`, pid 7\n\
            \u{1}fenced\n{\"operator\":\"ann\",\n\"since\":5}.\n\u{1}maintenance\n\u{1}blocks\ndb1\n\u{1}units\nId=haproxy.service\nActiveState=failed\n\
            \u{1}flag\n0\n\u{1}calls\nat:lb1 0 HTTP/1.1 200 OK \nat:lb2 124 \nvip 1 bash: connect: Connection refused\n\
            db:db1 1 bash: line 1: /dev/tcp/192.0.2.31/5432: No route to host \ndb:db2 0 \ndb:db3 1 Connection refused\n\
            \u{1}neighbour\n192.0.2.1 dev eth0 lladdr 02:00:00:00:00:02 STALE\n\u{1}unheard-of\nx\n";
        let mut seen = HostSeen::default();
        read_census(text, &mut seen);
        assert_eq!(
            seen.addresses,
            [("eth0".to_owned(), "192.0.2.10".to_owned())]
        );
        assert_eq!(seen.links["eth0"], "02:00:00:00:00:01");
        assert_eq!(
            seen.busy.as_deref(),
            Some("ann@desk, `hactl deploy`, pid 7")
        );
        assert_eq!(
            seen.fenced.as_deref(),
            Some("{\"operator\":\"ann\", \"since\":5}")
        );
        assert_eq!(seen.maintenance, None);
        assert_eq!(seen.flag, None, "0 is no flag");
        assert_eq!(seen.blocks, ["db1"]);
        assert_eq!(seen.units["haproxy.service"], "failed");
        assert_eq!(seen.balancers["lb1"], Ok(200));
        assert_eq!(
            seen.balancers["lb2"],
            Err("no answer within 2 s".to_owned())
        );
        assert_eq!(seen.entrance, Some(Err("connection refused".to_owned())));
        assert_eq!(
            seen.databases["db1"],
            PeerView::Unreachable("no route to it".to_owned())
        );
        assert_eq!(seen.databases["db2"], PeerView::Silent);
        assert_eq!(
            seen.databases["db3"],
            PeerView::Closed("connection refused".to_owned())
        );
        assert_eq!(seen.neighbour.as_deref(), Some("02:00:00:00:00:02"));
    }
}
