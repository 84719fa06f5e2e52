//! The load balancers: their configuration, the servers as each of them sees them, and whether each answers.

mod runtime;

use super::check::{Check, Findings, Verdict};
use super::common;
use super::component::{Component, View, ask_units, judge_units, list};
use super::observations::{Ask, Observations, last_words};
use super::parse::{self, HaproxyServer};
use crate::ops::hosts::Host;
use crate::ops::http::{self, Call};

/// The component.
pub struct Haproxy;

const UNITS: &[&str] = &["haproxy.service"];
const ALIKE: &str = "haproxy.digest";

static RUNNING: Check = Check::fail(
    "haproxy.running",
    "HAProxy runs and starts with the host",
    "systemctl enable --now haproxy",
);
static CONFIG: Check = Check::fail(
    "haproxy.config",
    "its configuration is valid",
    "haproxy -c -f /etc/haproxy/haproxy.cfg says what is wrong; deploy again",
);
static SAME: Check = Check::warn(
    "haproxy.same-config",
    "all load balancers have the same configuration",
    "deploy again to all of them",
);
static SERVERS: Check = Check::fail(
    "haproxy.servers",
    "every load balancer sees every server up",
    "check the server's own health check; a server in MAINT was taken out by hand: enable it again",
);
static ANSWERS: Check = Check::fail(
    "haproxy.answers",
    "every load balancer answers by itself",
    "the address moves to it when the other one dies: it must answer before that",
);
static PRIVATE: Check = Check::warn(
    "haproxy.stats-private",
    "the statistics page asks for a password",
    "set haproxy_stats_password and deploy again",
);

/// The admin socket, by whatever can talk to one.
pub(in crate::ops) const SOCKET: &str = r#"s=/run/haproxy/admin.sock
if command -v socat >/dev/null 2>&1; then echo 'show info;show stat' | socat -t 5 - "UNIX-CONNECT:$s"
elif command -v perl >/dev/null 2>&1; then
exec perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n"; print $s "show info;show stat\n"; $s->flush; print while <$s>' "$s"
else exit 127; fi"#;

static CHECKS: &[&Check] = &[
    &RUNNING,
    &CONFIG,
    &SAME,
    &SERVERS,
    &ANSWERS,
    &PRIVATE,
    &runtime::REAL,
    &runtime::LOADED,
    &runtime::ROOM,
    &runtime::SOCKET,
];

impl Component for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &[
            "haproxy_port",
            "haproxy_backend_group",
            "haproxy_backend_port",
            "haproxy_maxconn",
            "haproxy_health_path",
            "haproxy_stats_port",
            "haproxy_stats_user",
            "haproxy_stats_password",
        ]
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut asks = Vec::new();
        let balancers = view.site.members(self.name());
        if balancers.contains(&host.name) {
            let port = host.number("haproxy_stats_port", 8080);
            let page = Call::get("127.0.0.1", port, "/stats;csv");
            let password = host.text("haproxy_stats_password", "");
            asks.push(ask_units("haproxy.units", UNITS));
            asks.push(Ask::sh(
                "haproxy.config",
                "haproxy -c -f /etc/haproxy/haproxy.cfg",
            ));
            asks.push(Ask::sh(ALIKE, "sha256sum </etc/haproxy/haproxy.cfg"));
            asks.push(Ask::sh("haproxy.socket", SOCKET));
            asks.push(Ask::new("haproxy.open-page", page.request()));
            asks.extend(runtime::asks(view, host));
            if !password.is_empty() {
                let page = page.login(&host.text("haproxy_stats_user", "admin"), &password);
                asks.push(Ask::new("haproxy.page", page.request()));
            }
        }
        if view.is_viewer(host) {
            for name in balancers {
                let balancer = view.site.host(name);
                let port = balancer.map_or(80, |b| b.number("haproxy_port", 80));
                let path =
                    balancer.map_or_else(String::new, |b| b.text("haproxy_health_path", "/"));
                let call = Call::get(&view.address(name), port, &path);
                asks.push(Ask::new(format!("haproxy.answers.{name}"), call.request()));
            }
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let balancers = view.site.members(self.name());
        seen.judge_each(
            findings,
            &RUNNING,
            balancers,
            "haproxy.units",
            |_, reply| judge_units(reply, UNITS),
        );
        seen.judge_each(
            findings,
            &CONFIG,
            balancers,
            "haproxy.config",
            |_, reply| match reply.code {
                0 => Verdict::Good("valid".to_owned()),
                127 => Verdict::bad("a valid configuration", "haproxy is not installed"),
                _ => Verdict::bad("a valid configuration", last_words(reply)),
            },
        );
        same(seen, balancers, findings);
        for name in balancers {
            let verdict = match servers(seen, name) {
                Ok(servers) => up(view, seen, name, &servers),
                Err(verdict) => verdict,
            };
            findings.add(&SERVERS, name, verdict);
        }
        for name in balancers {
            for viewer in &view.viewers {
                let verdict = seen.answers(viewer, &format!("haproxy.answers.{name}"));
                findings.add(&ANSWERS, format!("{name} seen from {viewer}"), verdict);
            }
        }
        seen.judge_each(
            findings,
            &PRIVATE,
            balancers,
            "haproxy.open-page",
            |_, reply| match http::response(reply) {
                Ok(response) => Verdict::of(
                    matches!(response.status, 401 | 403 | 404),
                    "401 without a password",
                    format!("{} without a password", response.status),
                ),
                // Nobody listens: nothing is shown to anybody.
                Err(why) if why == "connection refused" => {
                    Verdict::Good("no statistics page".to_owned())
                }
                Err(why) => Verdict::Unknown(why),
            },
        );
        runtime::judge(view, seen, balancers, findings);
    }
}

/// The servers as a load balancer sees them: by its socket, or else by its page.
fn servers(seen: &Observations, host: &str) -> Result<Vec<HaproxyServer>, Verdict> {
    let socket = seen.reply(host, "haproxy.socket")?;
    if socket.code == 0
        && let Some(servers) = parse::servers(&socket.out())
    {
        return Ok(servers);
    }
    let page = seen.reply(host, "haproxy.page").map(http::response);
    match page {
        Ok(Ok(page)) if page.status == 200 => parse::servers(&String::from_utf8_lossy(&page.body))
            .ok_or_else(|| {
                Verdict::Unknown("its statistics page is not the CSV that was asked for".to_owned())
            }),
        Ok(Ok(page)) => Err(Verdict::Unknown(format!(
            "its statistics page answers {}",
            page.status
        ))),
        _ => Err(
            Verdict::bad("servers up, by its admin socket", last_words(socket))
                .advise("start HAProxy and retry"),
        ),
    }
}

fn up(view: &View<'_>, seen: &Observations, balancer: &str, servers: &[HaproxyServer]) -> Verdict {
    let group = view
        .site
        .host(balancer)
        .map_or_else(String::new, runtime::group);
    let wanted = view.site.members(&group);
    let mut wrong: Vec<String> = wanted
        .iter()
        .filter(|name| !servers.iter().any(|server| server.name == **name))
        .map(|name| format!("{name} is not among its servers"))
        .collect();
    let mut out = Vec::new();
    for server in servers {
        if server.is_out() && common::maintenance(seen, &server.name).is_some() {
            out.push(server.name.as_str());
        } else if !server.is_up() {
            wrong.push(format!(
                "{}/{} is {} ({})",
                server.backend, server.name, server.status, server.check
            ));
        } else if server.backend == group && !wanted.contains(&server.name) {
            wrong.push(format!(
                "{} is a server but not in the inventory",
                server.name
            ));
        }
    }
    let names = list(servers.iter().map(|server| server.name.as_str()));
    let expected = format!("{} up", list(wanted.iter().map(String::as_str)));
    if wrong.is_empty() && !servers.is_empty() {
        Verdict::Good(if out.is_empty() {
            format!("{names} up")
        } else {
            format!("all up but {}, in maintenance as declared", list(out))
        })
    } else if servers.is_empty() {
        Verdict::bad(expected, "it has no servers")
    } else {
        Verdict::bad(expected, wrong.join("; "))
    }
}

fn same(seen: &Observations, hosts: &[String], findings: &mut Findings) {
    let mut digests = Vec::new();
    for host in hosts {
        match seen.reply(host, ALIKE) {
            Ok(reply) if reply.code == 0 => digests.push((host, reply.out().into_owned())),
            Ok(reply) => return findings.add(&SAME, "", Verdict::Unknown(last_words(reply))),
            Err(verdict) => return findings.add(&SAME, "", verdict),
        }
    }
    let differ: Vec<&str> = digests
        .iter()
        .filter(|(_, digest)| digests.first().is_some_and(|(_, first)| first != digest))
        .map(|(host, _)| host.as_str())
        .collect();
    let observed = match (differ.as_slice(), digests.first()) {
        ([], _) | (_, None) => "the same".to_owned(),
        (_, Some((first, _))) => format!("{} differs from {first}", list(differ.iter().copied())),
    };
    findings.add(
        &SAME,
        "",
        Verdict::of(differ.is_empty(), "the same file on all of them", observed),
    );
}
