//! What a running HAProxy says of itself, against what is so: its servers, its file, its room.

use super::super::check::{Check, Findings, Verdict};
use super::super::component::View;
use super::super::observations::{Ask, Observations, last_words};
use super::super::parse::{self, HaproxyServer};
use crate::ops::hosts::Host;
use crate::ops::http::Call;

pub static REAL: Check = Check::fail(
    "haproxy.real-state",
    "every load balancer holds a server up that answers, and no other",
    "within some seconds it notices by itself; then check its health check: port, path, and what it expects",
);
pub static LOADED: Check = Check::warn(
    "haproxy.file-loaded",
    "HAProxy runs with its file as it is",
    "systemctl reload haproxy, after checking what was changed; or deploy again",
);
pub static ROOM: Check = Check::warn(
    "haproxy.connections",
    "there are connections left, as many as declared",
    "raise haproxy_maxconn and deploy; look for clients that do not let go",
);
pub static SOCKET: Check = Check::fail(
    "haproxy.socket-private",
    "the admin socket is for root and haproxy only",
    "set mode 660 in the line `stats socket` and restart HAProxy: whoever may write there may take servers out",
);

const FILE: &str = "stat -c %Y /etc/haproxy/haproxy.cfg && date +%s";
const MODE: &str = "stat -c '%U %a' /run/haproxy/admin.sock";
/// Seconds between the file's last change and the start that reads it, in which both may fall.
const DOUBT: i64 = 2;

/// The questions to a load balancer's host.
pub fn asks(view: &View<'_>, host: &Host) -> Vec<Ask> {
    let mut asks = vec![Ask::sh("haproxy.file", FILE), Ask::sh("haproxy.mode", MODE)];
    let port = host.number("haproxy_backend_port", 5000);
    let path = host.text("haproxy_health_path", "/");
    for name in view.site.members(&group(host)) {
        let call = Call::get(&view.address(name), port, &path);
        asks.push(Ask::new(format!("haproxy.direct.{name}"), call.request()));
    }
    asks
}

pub fn group(host: &Host) -> String {
    host.text("haproxy_backend_group", "")
}

/// Judges what the load balancers answered.
pub fn judge(view: &View<'_>, seen: &Observations, balancers: &[String], findings: &mut Findings) {
    for name in balancers {
        let Some(host) = view.site.host(name) else {
            continue;
        };
        let servers = match super::servers(seen, name) {
            Ok(servers) => real(view, seen, host, &servers),
            Err(Verdict::Bad { .. }) => Verdict::Unknown("it does not run".to_owned()),
            Err(verdict) => verdict,
        };
        findings.add(&REAL, name, servers);
        let text = match seen.reply(name, "haproxy.socket") {
            Ok(reply) if reply.code == 0 => Ok(reply.out().into_owned()),
            Ok(reply) if reply.code == 127 => Err(Verdict::Unknown(
                "nothing on the host can talk to its admin socket".to_owned(),
            )),
            Ok(reply) => Err(Verdict::Unknown(last_words(reply))),
            Err(verdict) => Err(verdict),
        };
        let (file, connections) = match &text {
            Ok(text) => (loaded(seen, name, text), room(host, text)),
            Err(verdict) => (verdict.clone(), verdict.clone()),
        };
        findings.add(&LOADED, name, file);
        findings.add(&ROOM, name, connections);
    }
    seen.judge_each(findings, &SOCKET, balancers, "haproxy.mode", |_, reply| {
        let text = reply.out();
        let mode = text
            .split_whitespace()
            .nth(1)
            .and_then(|mode| u32::from_str_radix(mode, 8).ok());
        match (reply.code, mode) {
            (0, Some(mode)) => Verdict::of(mode % 8 == 0, "no access for others", text.trim()),
            _ => Verdict::Unknown(last_words(reply)),
        }
    });
}

/// What it holds of each server, against what the server answers to the same question from the same host.
fn real(view: &View<'_>, seen: &Observations, host: &Host, servers: &[HaproxyServer]) -> Verdict {
    let mut wrong = Vec::new();
    for name in view.site.members(&group(host)) {
        // One that is missing is named by haproxy.servers.
        let Some(server) = servers.iter().find(|server| server.name == *name) else {
            continue;
        };
        let (answers, words) = match seen.web(&host.name, &format!("haproxy.direct.{name}")) {
            Ok(Ok(response)) => (response.status == 200, response.summary()),
            Ok(Err(why)) => (false, why),
            Err(verdict) => return verdict,
        };
        if server.is_up() && !answers {
            wrong.push(format!("{name} is {}, but answers: {words}", server.status));
        } else if !server.is_up() && !server.is_out() && answers {
            wrong.push(format!(
                "{name} is {} ({}), but answers 200",
                server.status, server.check
            ));
        }
    }
    Verdict::of(
        wrong.is_empty(),
        "what the servers answer by themselves",
        if wrong.is_empty() {
            "as they answer by themselves".to_owned()
        } else {
            wrong.join("; ")
        },
    )
}

fn loaded(seen: &Observations, name: &str, info: &str) -> Verdict {
    let uptime = parse::info(info, "Uptime_sec").and_then(|text| text.parse::<i64>().ok());
    let times: Vec<i64> = match seen.reply(name, "haproxy.file") {
        Ok(reply) if reply.code == 0 => reply
            .out()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
        Ok(reply) => return Verdict::Unknown(last_words(reply)),
        Err(verdict) => return verdict,
    };
    let (Some(uptime), [changed, now]) = (uptime, times.as_slice()) else {
        return Verdict::Unknown("it does not say since when it runs".to_owned());
    };
    let late = changed - (now - uptime);
    Verdict::of(
        late <= DOUBT,
        "a start or reload after the last change of its file",
        if late <= DOUBT {
            format!("it runs for {uptime} s")
        } else {
            format!("its file was changed {late} s after it began to run")
        },
    )
}

fn room(host: &Host, info: &str) -> Verdict {
    let number = |key: &str| parse::info(info, key).and_then(|text| text.parse::<u64>().ok());
    let (Some(used), Some(most)) = (number("CurrConns"), number("Maxconn")) else {
        return Verdict::Unknown("it does not say how many it takes".to_owned());
    };
    let declared: u64 = host.number("haproxy_maxconn", most);
    Verdict::of(
        used * 5 <= most * 4 && most == declared,
        format!("less than 80 % of {declared}"),
        format!("{used} of {most}"),
    )
}
