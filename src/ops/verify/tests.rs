//! A whole stack as the hosts describe it, one fault after the other put into it, and what the checks make of each.

use super::check::{Check, Findings, Status};
use super::component::View;
use super::seen::{Answers, Seen};
use super::{COMPONENTS, Outcome, Wishes};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::modules::Reply;
use crate::ops::hosts::{Host, Site};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

const HOSTS: &[(&str, &str, &[&str])] = &[
    ("lb1", "192.168.104.11", &["haproxy", "keepalived"]),
    ("lb2", "192.168.104.12", &["haproxy", "keepalived"]),
    ("app1", "192.168.104.21", &["welcome_app"]),
    ("app2", "192.168.104.22", &["welcome_app"]),
    ("db1", "192.168.104.31", &["postgresql"]),
    ("db2", "192.168.104.32", &["postgresql"]),
];
/// When the hosts were asked, by this machine's clock.
const ASKED: u64 = 1_700_000_000;

pub(super) fn site() -> Site {
    let variables: Map<String, Value> = json!({
        "keepalived_vip": "192.168.104.10/24", "keepalived_router_id": 51, "haproxy_backend_group": "welcome_app",
        "haproxy_health_path": "/api/health", "haproxy_stats_password": "pw", "common_hosts_groups": ["haproxy", "postgresql"],
        "postgresql_synchronous": false, "welcome_app_port": 5000,
    })
    .as_object()
    .cloned()
    .expect("a map");
    let mut site = Site::default();
    for (name, address, groups) in HOSTS {
        for group in *groups {
            site.groups.entry((*group).to_owned()).or_default().push((*name).to_owned());
        }
        let mut variables = variables.clone();
        variables.insert("cluster_address".into(), json!(address));
        site.hosts.push(Host {
            name: (*name).to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            target: Target { host: (*name).to_owned(), address: (*address).to_owned(), ..Target::default() },
            variables,
        });
    }
    site
}

pub(super) fn said(code: i32, out: &str, err: &str) -> Reply {
    Reply { code, stdout: out.into(), stderr: err.into(), milliseconds: 100 }
}

pub(super) fn web(status: u16, body: &str) -> Reply {
    said(0, &format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()), "")
}

fn refused() -> Reply {
    said(7, "", "bash: connect: Connection refused\n")
}

struct Stack {
    site: Site,
    replies: BTreeMap<String, BTreeMap<String, Reply>>,
    lost: Vec<String>,
}

impl Stack {
    /// Everything as it should be: db1 the primary, lb1 with the address.
    fn whole() -> Self {
        let site = site();
        let view = View::new(&site, &HOSTS.map_names());
        let mut replies: BTreeMap<String, BTreeMap<String, Reply>> = BTreeMap::new();
        for host in &site.hosts {
            for ask in COMPONENTS.iter().flat_map(|component| component.asks(&view, host)) {
                let reply = good(&host.name, &ask.key);
                let reply = reply.unwrap_or_else(|| panic!("no answer is prepared for {}", ask.key));
                replies.entry(host.name.clone()).or_default().insert(ask.key, reply);
            }
        }
        Self { site, replies, lost: Vec::new() }
    }

    fn set(&mut self, host: &str, key: &str, reply: Reply) {
        let known = self.replies.get_mut(host).and_then(|replies| replies.get_mut(key));
        *known.unwrap_or_else(|| panic!("{host} is not asked {key}")) = reply;
    }

    fn out(&mut self, host: &str, key: &str, out: &str) {
        self.set(host, key, said(0, out, ""));
    }

    /// Changes what a database server says of itself.
    fn state(&mut self, host: &str, pointer: &str, value: Value) {
        let key = "postgresql.state";
        let mut state: Value = serde_json::from_slice(&self.replies[host][key].stdout).expect("json");
        *state.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        self.out(host, key, &state.to_string());
    }

    fn lose(&mut self, host: &str) {
        self.lost.push(host.to_owned());
    }

    fn judge(&self) -> Findings {
        let reached: Vec<&str> = HOSTS.map_names().into_iter().filter(|host| !self.lost.iter().any(|lost| lost == host)).collect();
        let view = View::new(&self.site, &reached);
        let mut seen = Seen::default();
        for host in &self.site.hosts {
            let answers = if self.lost.contains(&host.name) {
                Answers::Lost(Diagnostic::with_code(exit::UNREACHABLE, "cannot connect").help("is it up?"))
            } else {
                // Those who look may be others than in the whole stack.
                let mut replies = self.replies[&host.name].clone();
                for ask in COMPONENTS.iter().flat_map(|component| component.asks(&view, host)) {
                    replies.entry(ask.key.clone()).or_insert_with(|| good(&host.name, &ask.key).expect("prepared"));
                }
                Answers::Given(replies, UNIX_EPOCH + Duration::from_secs(ASKED))
            };
            seen.insert(&host.name, answers);
        }
        let mut findings = Findings::default();
        for component in COMPONENTS {
            component.judge(&view, &seen, &mut findings);
        }
        findings
    }
}

trait Names {
    fn map_names(&self) -> Vec<&'static str>;
}

impl Names for &[(&'static str, &'static str, &'static [&'static str])] {
    fn map_names(&self) -> Vec<&'static str> {
        self.iter().map(|(name, ..)| *name).collect()
    }
}

/// Answers one after the other, as the script gives them.
fn turns(names: &[&str]) -> Reply {
    let answers = names.iter().map(|name| {
        let body = json!({ "hostname": name }).to_string();
        format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{body}\n--hactl-next-answer-5f1c--\n", body.len())
    });
    said(0, &answers.collect::<String>(), "")
}

fn units(names: &[&str]) -> Reply {
    let blocks: Vec<String> = names
        .iter()
        .map(|name| format!("Id={name}\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"))
        .collect();
    said(0, &blocks.join("\n"), "")
}

const CSV: &str = "# pxname,svname,status,type,check_status,\nwww,FRONTEND,OPEN,0,,\n\
                   welcome_app,app1,UP,2,L7OK,\nwelcome_app,app2,UP,2,L7OK,\nwelcome_app,BACKEND,UP,1,,\n";

fn server(standby: bool) -> Value {
    json!({
        "in_recovery": standby, "version": 150_000, "system": "7300000000000000001", "timeline": 1, "read_only": "off",
        "replay_paused": false,
        "receiver": if standby { json!({"status": "streaming", "sender_host": "192.168.104.31", "slot_name": "db2", "silent": 1}) } else { Value::Null },
        "senders": if standby { json!([]) } else {
            json!([{"application_name": "db2", "address": "192.168.104.32", "state": "streaming", "sync_state": "async", "behind": 0}])
        },
        "slots": if standby { json!([]) } else { json!([{"name": "db2", "active": true, "wal_status": "reserved"}]) },
        "pending_restart": [], "file_errors": [], "weak_methods": [], "weak_passwords": [],
        "settings": {
            "wal_log_hints": "on", "data_checksums": "on", "full_page_writes": "on", "password_encryption": "scram-sha-256",
            "synchronous_standby_names": "", "max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10",
            "max_prepared_transactions": "0", "max_locks_per_transaction": "64",
        },
        "prepared": 0, "oldest_transaction": 0, "oldest_row": 700, "checksum_failures": 0,
    })
}

fn good(host: &str, key: &str) -> Option<Reply> {
    let text = |out: &str| Some(said(0, out, ""));
    let (component, rest) = key.split_once('.')?;
    let (what, about) = rest.split_once('.').unwrap_or((rest, ""));
    match (component, what) {
        ("common", "clock") => text(&format!("{ASKED}.050000000\n")),
        ("common", "root") => text("0\n"),
        ("common", "failed" | "reboot") => text(""),
        ("common", "units") => Some(units(&["chrony.service", "systemd-journald.service"])),
        ("common", "disks" | "inodes") => text("Filesystem 1 2 3 Capacity Mounted on\noverlay 100 40 60 40% /\n"),
        ("common", "addresses") => {
            let own = HOSTS.iter().find(|(name, ..)| *name == host)?.1;
            let vip = if host == "lb1" { "2: eth0    inet 192.168.104.10/24 scope global secondary eth0\\\n" } else { "" };
            text(&format!("1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet {own}/24 brd 192.168.104.255 scope global eth0\\\n{vip}"))
        }
        ("common", "links") => text(&format!("2: eth0@if9: <UP> mtu 1500 \\    link/ether 5a:00:00:00:00:{:02x} brd ff\n", host.len() + usize::from(host.as_bytes()[2]))),
        ("common", "names") => text(&HOSTS.iter().map(|(name, address, _)| format!("{name} {address} {address}\n")).collect::<String>()),
        ("haproxy", "units") => Some(units(&["haproxy.service"])),
        ("haproxy", "config") | ("keepalived", "config" | "script" | "flag") => text(""),
        ("haproxy", "digest") => text("abc  -\n"),
        ("haproxy", "socket") => text(CSV),
        ("haproxy", "page") => Some(web(200, CSV)),
        ("haproxy", "open-page") => Some(web(401, "")),
        ("haproxy", "answers") | ("keepalived", "answers") => Some(web(200, "{}")),
        ("keepalived", "units") => Some(units(&["keepalived.service"])),
        ("keepalived", "settings") => {
            let peer = if host == "lb1" { "192.168.104.12" } else { "192.168.104.11" };
            text(&format!("    state BACKUP\n    nopreempt\n    virtual_router_id 51\n    priority 100\n    unicast_peer {{\n        {peer}\n    }}\n"))
        }
        ("keepalived", "neighbour") => {
            let mac = format!("5a:00:00:00:00:{:02x}", 3 + usize::from(b'1'));
            text(&format!("192.168.104.10 dev eth0 lladdr {mac} REACHABLE\n"))
        }
        ("welcome_app", "units") => Some(units(&["welcome_app.service"])),
        ("welcome_app", "settings") => text("root 600\n"),
        ("welcome_app", "health") => Some(web(200, &json!({"status": "ok", "hostname": about}).to_string())),
        ("welcome_app", "turns") => Some(turns(&["app1", "app2", "app1", "app2", "app1"])),
        ("postgresql", "clusters") => text("15 main 5432 online active enabled auto\n"),
        ("postgresql", "state") => text(&server(host == "db2").to_string()),
        ("postgresql", "write") if host == "db2" => Some(said(3, "", "ERROR:  25006\n")),
        ("postgresql", "write") => text("primary\n"),
        ("postgresql", "login") => text("7300000000000000001|1|0/3000000|\n"),
        _ => None,
    }
}

fn bad(findings: &Findings) -> Vec<String> {
    findings
        .all()
        .iter()
        .filter(|finding| finding.status != Status::Pass)
        .map(|finding| {
            let lost = if finding.lost.is_some() { "unreachable" } else { finding.status.word() };
            format!("{lost} {} {}", finding.check.id, finding.place).trim_end().to_owned()
        })
        .collect()
}

fn code(findings: Findings, strict: bool) -> u8 {
    Outcome { findings, hosts: 6, looks: 1, seconds: 0.0, stopped: false }.exit_code(strict)
}

#[test]
fn a_whole_stack_is_whole_and_every_check_was_made() {
    let findings = Stack::whole().judge();
    assert_eq!(bad(&findings), [""; 0]);
    // These are made by the trial.
    let tried = ["postgresql.marker", "welcome_app.upload", "welcome_app.images", "welcome_app.removed"];
    let all: Vec<&Check> = COMPONENTS.iter().flat_map(|component| component.checks()).copied().collect();
    for check in &all {
        assert_eq!(findings.of(check.id).is_empty(), tried.contains(&check.id), "{}", check.id);
        assert_eq!(all.iter().filter(|other| other.id == check.id).count(), 1, "{}", check.id);
        assert!(COMPONENTS.iter().any(|component| component.name() == check.component()), "{}", check.id);
    }
    assert_eq!(code(findings, true), exit::DONE);
}

type Break = fn(&mut Stack);

#[test]
fn every_fault_is_named() {
    let cases: &[(&str, Break, &[&str])] = &[
        ("two primaries", |s| {
            s.out("db2", "postgresql.state", &server(false).to_string());
            s.out("db2", "postgresql.write", "primary\n");
        }, &[
            "fail postgresql.one-primary", "fail postgresql.streaming db1", "fail postgresql.lag db1", "fail postgresql.standby-settings db1",
            "fail postgresql.streaming db2", "fail postgresql.lag db2", "fail postgresql.standby-settings db2",
            "unknown postgresql.slots", "unknown postgresql.synchronous",
        ]),
        ("no primary", |s| s.state("db1", "/in_recovery", json!(true)), &[
            "fail postgresql.one-primary", "fail postgresql.streaming db1", "unknown postgresql.lag db1", "unknown postgresql.standby-settings db1",
            "fail postgresql.streaming db2", "unknown postgresql.lag db2", "unknown postgresql.standby-settings db2",
            "unknown postgresql.slots", "unknown postgresql.synchronous", "unknown postgresql.standby-refuses-writes db1",
        ]),
        ("standby stopped", |s| {
            s.set("db2", "postgresql.state", said(2, "", "psql: error: connection to server on socket failed: No such file or directory\n\tIs the server running?\n"));
            s.state("db1", "/senders", json!([]));
            s.state("db1", "/slots/0/active", json!(false));
        }, &[
            "fail postgresql.running db2", "unknown postgresql.same-cluster db2", "unknown postgresql.timeline db2", "fail postgresql.streaming db2",
            "unknown postgresql.lag db2", "unknown postgresql.standby-settings db2", "fail postgresql.slots db1", "unknown postgresql.rewind-ready db2",
            "unknown postgresql.pending-restart db2", "unknown postgresql.config-files db2", "unknown postgresql.scram db2",
            "unknown postgresql.transactions db2", "unknown postgresql.checksums db2",
        ]),
        ("standby frozen: its answer is not known, so it may be a primary", |s| s.set("db2", "postgresql.state", said(124, "", "")), &[
            "unknown postgresql.running db2", "unknown postgresql.one-primary", "unknown postgresql.same-cluster db2", "unknown postgresql.timeline db2",
            "unknown postgresql.streaming db2", "unknown postgresql.lag db2", "unknown postgresql.standby-settings db2",
            "unknown postgresql.rewind-ready db2", "unknown postgresql.pending-restart db2", "unknown postgresql.config-files db2",
            "unknown postgresql.scram db2", "unknown postgresql.transactions db2", "unknown postgresql.checksums db2",
        ]),
        ("another timeline", |s| s.state("db2", "/timeline", json!(2)), &["fail postgresql.timeline db2"]),
        ("another cluster", |s| s.state("db2", "/system", json!("8")), &["fail postgresql.same-cluster db2"]),
        ("slot not in use", |s| s.state("db1", "/slots/0/active", json!(false)), &["fail postgresql.slots db1"]),
        ("slot without WAL", |s| s.state("db1", "/slots/0/wal_status", json!("lost")), &["fail postgresql.slots db1"]),
        ("no slot", |s| s.state("db1", "/slots", json!([])), &["fail postgresql.slots db1"]),
        ("a standby's own slot", |s| s.state("db2", "/slots", json!([{"name": "old", "active": false, "wal_status": "reserved"}])), &["warn postgresql.stale-slots db2"]),
        ("standby says no", |s| s.state("db2", "/receiver", Value::Null), &["fail postgresql.streaming db2"]),
        ("standby follows somebody else", |s| s.state("db2", "/receiver/sender_host", json!("192.0.2.1")), &["fail postgresql.streaming db2"]),
        ("primary says no", |s| s.state("db1", "/senders", json!([])), &["fail postgresql.streaming db2", "fail postgresql.lag db2"]),
        ("catching up", |s| s.state("db1", "/senders/0/state", json!("catchup")), &["fail postgresql.streaming db2"]),
        ("behind", |s| s.state("db1", "/senders/0/behind", json!(99_999_999)), &["fail postgresql.lag db2"]),
        ("replay paused", |s| s.state("db2", "/replay_paused", json!(true)), &["fail postgresql.replay db2"]),
        ("a standby that writes", |s| s.out("db2", "postgresql.write", "written\n"), &["fail postgresql.standby-refuses-writes db2"]),
        ("password of the other not accepted", |s| s.set("db1", "postgresql.login.db2", said(2, "", "FATAL: password authentication failed\n")), &["fail postgresql.replication-login db1 at db2"]),
        ("synchronous against the wish", |s| s.state("db1", "/settings/synchronous_standby_names", json!("ANY 1 (db2)")), &["fail postgresql.synchronous db1"]),
        ("not to be rewound", |s| { s.state("db1", "/settings/wal_log_hints", json!("off")); s.state("db1", "/settings/data_checksums", json!("off")); }, &["fail postgresql.rewind-ready db1"]),
        ("lower limit", |s| s.state("db2", "/settings/max_connections", json!("50")), &["fail postgresql.standby-settings db2"]),
        ("restart due", |s| s.state("db1", "/pending_restart", json!(["max_connections"])), &["warn postgresql.pending-restart db1"]),
        ("bad pg_hba.conf", |s| s.state("db1", "/file_errors", json!(["pg_hba.conf:9: invalid"])), &["fail postgresql.config-files db1"]),
        ("md5 in pg_hba.conf", |s| s.state("db1", "/weak_methods", json!(["md5"])), &["fail postgresql.scram db1"]),
        ("md5 password", |s| s.state("db1", "/weak_passwords", json!(["app"])), &["fail postgresql.scram db1"]),
        ("old transaction", |s| s.state("db1", "/oldest_transaction", json!(7200)), &["warn postgresql.transactions db1"]),
        ("wrong pages", |s| s.state("db2", "/checksum_failures", json!(2)), &["fail postgresql.checksums db2"]),
        ("fenced for the next boot", |s| s.out("db1", "postgresql.clusters", "15 main 5432 online active enabled manual\n"), &["fail postgresql.running db1"]),
        ("two clusters", |s| s.out("db1", "postgresql.clusters", "15 main 5432 online active enabled auto\n15 x 5433 online active enabled auto\n"), &["fail postgresql.running db1"]),
        ("started by hand", |s| s.out("db1", "postgresql.clusters", "15 main 5432 online inactive enabled auto\n"), &["fail postgresql.running db1"]),
        ("address on two hosts", |s| s.out("lb2", "common.addresses", "2: eth0    inet 192.168.104.10/24 scope global eth0\\\n"), &[
            "fail keepalived.one-holder", "fail keepalived.seen-at-holder 192.168.104.10 seen from app1", "fail keepalived.seen-at-holder 192.168.104.10 seen from db1",
        ]),
        ("address on a host that must not have it", |s| {
            s.out("lb1", "common.addresses", "");
            s.out("db2", "common.addresses", "2: eth0    inet 192.168.104.10/24 scope global eth0\\\n");
            let mac = "192.168.104.10 dev eth0 lladdr 5a:00:00:00:00:35 REACHABLE\n";
            s.out("app1", "keepalived.neighbour", mac);
            s.out("db1", "keepalived.neighbour", mac);
        }, &["fail keepalived.one-holder"]),
        ("address nowhere", |s| {
            s.out("lb1", "common.addresses", "");
            for viewer in ["app1", "db1"] {
                s.set(viewer, "keepalived.answers", said(1, "", "connect: No route to host\n"));
                s.out(viewer, "keepalived.neighbour", "192.168.104.10 dev eth0 FAILED\n");
            }
        }, &[
            "fail keepalived.one-holder", "fail keepalived.answers 192.168.104.10 seen from app1", "unknown keepalived.seen-at-holder 192.168.104.10 seen from app1",
            "fail keepalived.answers 192.168.104.10 seen from db1", "unknown keepalived.seen-at-holder 192.168.104.10 seen from db1",
        ]),
        ("a neighbour with a stale entry", |s| s.out("db1", "keepalived.neighbour", "192.168.104.10 dev eth0 lladdr 5a:00:00:00:00:99 STALE\n"), &["fail keepalived.seen-at-holder 192.168.104.10 seen from db1"]),
        ("a script that keepalived disabled", |s| s.out("lb2", "keepalived.config", "SECURITY VIOLATION - check script disabled\n"), &["fail keepalived.config lb2"]),
        ("another router id", |s| s.out("lb2", "keepalived.settings", "state BACKUP\nnopreempt\nvirtual_router_id 52\nunicast_peer {\n192.168.104.11\n}\n"), &["fail keepalived.peers lb2"]),
        ("a peer that is missing", |s| s.out("lb2", "keepalived.settings", "state BACKUP\nnopreempt\nvirtual_router_id 51\nunicast_peer {\n}\n"), &["fail keepalived.peers lb2"]),
        ("preemption", |s| s.out("lb2", "keepalived.settings", "state MASTER\nvirtual_router_id 51\nunicast_peer {\n192.168.104.11\n}\n"), &["fail keepalived.peers lb2"]),
        ("its check fails", |s| s.set("lb2", "keepalived.script", said(1, "", "")), &["fail keepalived.check-script lb2"]),
        ("maintenance", |s| s.out("lb2", "keepalived.flag", "1\n"), &["warn keepalived.maintenance lb2"]),
        ("HAProxy stopped", |s| {
            s.out("lb2", "haproxy.units", "Id=haproxy.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=enabled\n");
            s.set("lb2", "haproxy.socket", said(1, "", "admin.sock: Connection refused\n"));
            for key in ["haproxy.page", "haproxy.open-page"] { s.set("lb2", key, refused()); }
            for viewer in ["app1", "db1"] { s.set(viewer, "haproxy.answers.lb2", refused()); }
        }, &["fail haproxy.running lb2", "fail haproxy.servers lb2", "fail haproxy.answers lb2 seen from app1", "fail haproxy.answers lb2 seen from db1"]),
        ("a server down on one of them", |s| s.out("lb2", "haproxy.socket", &CSV.replace("app2,UP", "app2,DOWN")), &["fail haproxy.servers lb2"]),
        ("a server in maintenance", |s| s.out("lb1", "haproxy.socket", &CSV.replace("app2,UP", "app2,MAINT")), &["fail haproxy.servers lb1"]),
        ("a server that is missing", |s| s.out("lb2", "haproxy.socket", &CSV.replace("welcome_app,app2,UP,2,L7OK,\n", "")), &["fail haproxy.servers lb2"]),
        ("a server that nobody knows", |s| s.out("lb2", "haproxy.socket", &CSV.replace("welcome_app,BACKEND", "welcome_app,app9,UP,2,L7OK,\nwelcome_app,BACKEND")), &["fail haproxy.servers lb2"]),
        ("no socket tool and the page does not let in", |s| { s.set("lb2", "haproxy.socket", said(127, "", "")); s.set("lb2", "haproxy.page", web(401, "")); }, &["unknown haproxy.servers lb2"]),
        ("no socket tool, but the page", |s| s.set("lb2", "haproxy.socket", said(127, "", "")), &[]),
        ("invalid configuration", |s| s.set("lb1", "haproxy.config", said(1, "", "[ALERT] parsing error\n")), &["fail haproxy.config lb1"]),
        ("configurations differ", |s| s.out("lb2", "haproxy.digest", "abd  -\n"), &["warn haproxy.same-config"]),
        ("open statistics", |s| s.set("lb2", "haproxy.open-page", web(200, CSV)), &["warn haproxy.stats-private lb2"]),
        ("application stopped", |s| {
            s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\n");
            for viewer in ["app1", "db1"] { s.set(viewer, "welcome_app.health.app2", refused()); }
            s.set("app1", "welcome_app.turns", turns(&["app1"; 5]));
        }, &["fail welcome_app.running app2", "fail welcome_app.health app2 seen from app1", "fail welcome_app.health app2 seen from db1", "fail welcome_app.balanced"]),
        ("application frozen", |s| s.set("db1", "welcome_app.health.app1", said(124, "", "")), &["fail welcome_app.health app1 seen from db1"]),
        ("a load balancer frozen", |s| s.set("db1", "haproxy.answers.lb2", said(124, "", "")), &["fail haproxy.answers lb2 seen from db1"]),
        ("application degraded", |s| s.set("db1", "welcome_app.health.app1", web(500, r#"{"status":"degraded","hostname":"app1"}"#)), &["fail welcome_app.health app1 seen from db1"]),
        ("another host answers", |s| s.set("db1", "welcome_app.health.app1", web(200, r#"{"hostname":"app2"}"#)), &["fail welcome_app.health app1 seen from db1"]),
        ("not enabled", |s| s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=disabled\n"), &["fail welcome_app.running app2"]),
        ("not installed", |s| s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n"), &["fail welcome_app.running app2"]),
        ("readable settings", |s| s.out("app2", "welcome_app.settings", "root 644\n"), &["fail welcome_app.settings-private app2"]),
        ("a failed unit", |s| s.out("db1", "common.failed", "logrotate.service loaded failed failed Rotate log files\n"), &["fail common.failed-units db1"]),
        ("disk filling", |s| s.out("db1", "common.disks", "x 1 1 1 85% /var/lib\n"), &["warn common.disk-room db1"]),
        ("inodes gone", |s| s.out("db1", "common.inodes", "x 1 1 1 99% /\n"), &["fail common.disk-full db1", "warn common.disk-room db1"]),
        ("clock wrong", |s| s.out("app2", "common.clock", &format!("{}.05\n", ASKED + 4)), &["fail common.time app2"]),
        ("clock within doubt", |s| s.out("app2", "common.clock", &format!("{}.09\n", ASKED + 1)), &[]),
        ("clock unreadable", |s| s.out("app2", "common.clock", "now\n"), &["unknown common.time app2"]),
        ("name unknown", |s| s.out("app1", "common.names", "app1 192.168.104.21\nlb1 192.168.104.11\nlb2\ndb1 192.168.104.31\ndb2 192.168.104.32\n"), &["fail common.names app1"]),
        ("name wrong", |s| s.out("lb1", "common.names", "lb1 127.0.1.1\nlb2 192.168.104.12\ndb1 192.168.104.31\ndb2 192.168.104.32\n"), &["fail common.names lb1"]),
        ("not root", |s| s.out("lb1", "common.root", "1000\n"), &["fail common.reached lb1"]),
        ("reboot due", |s| s.out("db2", "common.reboot", "linux-image\ndue\n"), &["warn common.reboot db2"]),
    ];
    for (name, fault, expected) in cases {
        let mut stack = Stack::whole();
        fault(&mut stack);
        let findings = stack.judge();
        assert_eq!(bad(&findings), *expected, "{name}");
        for finding in findings.all().iter().filter(|finding| finding.status != Status::Pass) {
            assert!(!finding.expected.is_empty() && !finding.observed.is_empty() && !finding.remedy.is_empty(), "{name}: {finding:?}");
        }
        let warnings = expected.iter().all(|line| line.starts_with("warn"));
        assert_eq!(code(findings.clone(), false), if warnings { exit::DONE } else { exit::FAULTS }, "{name}");
        assert_eq!(code(findings, true), if expected.is_empty() { exit::DONE } else { exit::FAULTS }, "{name}");
    }
}

#[test]
fn an_unreachable_host_never_passes() {
    for (host, _, groups) in HOSTS {
        let mut stack = Stack::whole();
        stack.lose(host);
        let findings = stack.judge();
        let on_it = findings.all().iter().filter(|finding| finding.place == *host);
        assert!(on_it.clone().count() > 8, "{host}");
        for finding in on_it {
            assert_eq!((finding.status, finding.lost.as_deref()), (Status::Unknown, Some(*host)), "{}", finding.check.id);
        }
        // Each component of the host alone says so too.
        for component in groups.iter().chain(&["common"]) {
            let wishes = Wishes { only: vec![(*component).to_owned()], ..Wishes::default() };
            let mut only = findings.clone();
            only.retain(|check| wishes.wants(check));
            assert_ne!(code(only, false), exit::DONE, "{host} {component}");
        }
    }
    // With all others whole, it is only unreachable.
    let mut stack = Stack::whole();
    stack.lose("app2");
    let findings = stack.judge();
    let known: Vec<String> = bad(&findings).into_iter().filter(|line| !line.starts_with("unreachable")).collect();
    assert_eq!(known, [""; 0]);
    assert_eq!(code(findings, false), exit::UNREACHABLE);
}

#[test]
fn what_was_ended_early_is_never_whole() {
    let ended = |findings| Outcome { findings, hosts: 6, looks: 1, seconds: 0.0, stopped: true }.exit_code(false);
    assert_eq!(ended(Stack::whole().judge()), exit::INCOMPLETE);
    let mut stack = Stack::whole();
    stack.state("db2", "/timeline", json!(2));
    assert_eq!(ended(stack.judge()), exit::FAULTS);
}

#[test]
fn a_lost_standby_may_be_a_second_primary() {
    let mut stack = Stack::whole();
    stack.lose("db2");
    assert_eq!(stack.judge().of("postgresql.one-primary"), [("", Status::Unknown)]);
    stack.lose("db1");
    assert_eq!(stack.judge().of("postgresql.one-primary"), [("", Status::Fail)]);
}

#[test]
fn those_who_look_are_two_that_cannot_hold_the_address() {
    let site = site();
    for (reached, viewers) in [
        (vec!["lb1", "lb2", "app1", "app2", "db1", "db2"], vec!["app1", "db1"]),
        (vec!["lb1", "app1", "app2"], vec!["app1", "app2"]),
        (vec!["lb1", "lb2", "db2"], vec!["db2", "lb1"]),
        (vec!["lb2"], vec!["lb2"]),
        (vec![], vec![]),
    ] {
        assert_eq!(View::new(&site, &reached).viewers, viewers, "{reached:?}");
    }
}

#[test]
fn wishes_name_checks_or_components() {
    let wishes = |only: &str| Wishes { only: vec![only.to_owned()], ..Wishes::default() };
    for (only, known) in [("haproxy", true), ("postgresql.slots", true), ("postgresql.slot", false), ("nginx", false), ("", false)] {
        assert_eq!(wishes(only).known().is_ok(), known, "{only}");
    }
    let error = wishes("postgresql.slot").known().expect_err("unknown");
    assert!(error.help.expect("help").contains("postgresql.slots"));
}
