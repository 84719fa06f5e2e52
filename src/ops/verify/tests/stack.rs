//! The stack as its hosts describe it when everything is as it should be.

use super::super::COMPONENTS;
use super::super::check::Findings;
use super::super::component::View;
use super::super::seen::{Answers, Seen};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::modules::Reply;
use crate::ops::hosts::{Host, Site};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

pub(super) const HOSTS: &[(&str, &str, &[&str])] = &[
    ("lb1", "192.168.104.11", &["haproxy", "keepalived"]),
    ("lb2", "192.168.104.12", &["haproxy", "keepalived"]),
    ("app1", "192.168.104.21", &["welcome_app"]),
    ("app2", "192.168.104.22", &["welcome_app", "postgresql_backup"]),
    ("db1", "192.168.104.31", &["postgresql"]),
    ("db2", "192.168.104.32", &["postgresql"]),
];
/// When the hosts were asked, by this machine's clock.
pub(super) const ASKED: u64 = 1_700_000_000;

pub fn site() -> Site {
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
            site.groups
                .entry((*group).to_owned())
                .or_default()
                .push((*name).to_owned());
        }
        let mut variables = variables.clone();
        variables.insert("cluster_address".into(), json!(address));
        site.hosts.push(Host {
            name: (*name).to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            target: Target {
                host: (*name).to_owned(),
                address: (*address).to_owned(),
                ..Target::default()
            },
            variables,
        });
    }
    site
}

pub fn said(code: i32, out: &str, err: &str) -> Reply {
    Reply {
        code,
        stdout: out.into(),
        stderr: err.into(),
        milliseconds: 100,
    }
}

pub fn web(status: u16, body: &str) -> Reply {
    said(
        0,
        &format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        "",
    )
}

pub(super) fn refused() -> Reply {
    said(7, "", "bash: connect: Connection refused\n")
}

pub(super) struct Stack {
    site: Site,
    replies: BTreeMap<String, BTreeMap<String, Reply>>,
    lost: Vec<String>,
}

impl Stack {
    /// Everything as it should be: db1 the primary, lb1 with the address.
    pub(super) fn whole() -> Self {
        let site = site();
        let view = View::new(&site, &HOSTS.map_names());
        let mut replies: BTreeMap<String, BTreeMap<String, Reply>> = BTreeMap::new();
        for host in &site.hosts {
            for ask in COMPONENTS
                .iter()
                .flat_map(|component| component.asks(&view, host))
            {
                let reply = good(&host.name, &ask.key);
                let reply =
                    reply.unwrap_or_else(|| panic!("no answer is prepared for {}", ask.key));
                replies
                    .entry(host.name.clone())
                    .or_default()
                    .insert(ask.key, reply);
            }
        }
        Self {
            site,
            replies,
            lost: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, host: &str, key: &str, reply: Reply) {
        let known = self
            .replies
            .get_mut(host)
            .and_then(|replies| replies.get_mut(key));
        *known.unwrap_or_else(|| panic!("{host} is not asked {key}")) = reply;
    }

    pub(super) fn out(&mut self, host: &str, key: &str, out: &str) {
        self.set(host, key, said(0, out, ""));
    }

    /// Changes what a database server says of itself.
    pub(super) fn state(&mut self, host: &str, pointer: &str, value: Value) {
        let key = "postgresql.state";
        let mut state: Value =
            serde_json::from_slice(&self.replies[host][key].stdout).expect("json");
        *state
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")) = value;
        self.out(host, key, &state.to_string());
    }

    pub(super) fn lose(&mut self, host: &str) {
        self.lost.push(host.to_owned());
    }

    pub(super) fn judge(&self) -> Findings {
        let reached: Vec<&str> = HOSTS
            .map_names()
            .into_iter()
            .filter(|host| !self.lost.iter().any(|lost| lost == host))
            .collect();
        let view = View::new(&self.site, &reached);
        let mut seen = Seen::default();
        for host in &self.site.hosts {
            let answers = if self.lost.contains(&host.name) {
                Answers::Lost(
                    Diagnostic::with_code(exit::UNREACHABLE, "cannot connect").help("is it up?"),
                )
            } else {
                // Those who look may be others than in the whole stack.
                let mut replies = self.replies[&host.name].clone();
                for ask in COMPONENTS
                    .iter()
                    .flat_map(|component| component.asks(&view, host))
                {
                    replies
                        .entry(ask.key.clone())
                        .or_insert_with(|| good(&host.name, &ask.key).expect("prepared"));
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

pub(super) trait Names {
    fn map_names(&self) -> Vec<&'static str>;
    fn map_lines(&self, line: fn(&str, &str) -> String) -> String;
}

impl Names for &[(&'static str, &'static str, &'static [&'static str])] {
    fn map_names(&self) -> Vec<&'static str> {
        self.iter().map(|(name, ..)| *name).collect()
    }

    fn map_lines(&self, line: fn(&str, &str) -> String) -> String {
        self.iter()
            .map(|(name, address, _)| line(name, address))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Answers one after the other, as the script gives them.
pub(super) fn turns(names: &[&str]) -> Reply {
    let answers = names.iter().map(|name| {
        let body = json!({ "hostname": name }).to_string();
        format!(
            "HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{body}\n--hactl-next-answer-5f1c--\n",
            body.len()
        )
    });
    said(0, &answers.collect::<String>(), "")
}

pub(super) fn units(names: &[&str]) -> Reply {
    let blocks: Vec<String> = names
        .iter()
        .map(|name| format!("Id={name}\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"))
        .collect();
    said(0, &blocks.join("\n"), "")
}

pub(super) const CSV: &str = "# pxname,svname,status,type,check_status,\nwww,FRONTEND,OPEN,0,,\n\
                   welcome_app,app1,UP,2,L7OK,\nwelcome_app,app2,UP,2,L7OK,\nwelcome_app,BACKEND,UP,1,,\n";

pub(super) fn server(standby: bool) -> Value {
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

pub(super) fn good(host: &str, key: &str) -> Option<Reply> {
    let text = |out: &str| Some(said(0, out, ""));
    let (component, rest) = key.split_once('.')?;
    let (what, about) = rest.split_once('.').unwrap_or((rest, ""));
    match (component, what) {
        ("common", "clock") => text(&format!("{ASKED}.050000000\n")),
        ("common", "root") => text("0\n"),
        ("common", "failed" | "reboot")
        | ("haproxy" | "keepalived", "config")
        | ("keepalived", "script" | "flag") => text(""),
        ("common", "units") => Some(units(&["chrony.service", "systemd-journald.service"])),
        ("common", "disks" | "inodes") => {
            text("Filesystem 1 2 3 Capacity Mounted on\noverlay 100 40 60 40% /\n")
        }
        ("common", "addresses") => {
            let own = HOSTS.iter().find(|(name, ..)| *name == host)?.1;
            let vip = if host == "lb1" {
                "2: eth0    inet 192.168.104.10/24 scope global secondary eth0\\\n"
            } else {
                ""
            };
            text(&format!(
                "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet {own}/24 brd 192.168.104.255 scope global eth0\\\n{vip}"
            ))
        }
        ("common", "links") => text(&format!(
            "2: eth0@if9: <UP> mtu 1500 \\    link/ether 5a:00:00:00:00:{:02x} brd ff\n",
            host.len() + usize::from(host.as_bytes()[2])
        )),
        ("common", "names") => {
            text(&HOSTS.map_lines(|name, address| format!("{name} {address} {address}")))
        }
        ("haproxy", "units") => Some(units(&["haproxy.service"])),
        ("haproxy", "digest") => text("abc  -\n"),
        ("haproxy", "socket") => text(CSV),
        ("haproxy", "page") => Some(web(200, CSV)),
        ("haproxy", "open-page") => Some(web(401, "")),
        ("haproxy" | "keepalived", "answers") => Some(web(200, "{}")),
        ("keepalived", "units") => Some(units(&["keepalived.service"])),
        ("keepalived", "settings") => {
            let peer = if host == "lb1" {
                "192.168.104.12"
            } else {
                "192.168.104.11"
            };
            text(&format!(
                "    state BACKUP\n    nopreempt\n    virtual_router_id 51\n    priority 100\n    unicast_peer {{\n        {peer}\n    }}\n"
            ))
        }
        ("keepalived", "neighbour") => {
            let mac = format!("5a:00:00:00:00:{:02x}", 3 + usize::from(b'1'));
            text(&format!("192.168.104.10 dev eth0 lladdr {mac} REACHABLE\n"))
        }
        ("welcome_app", "units") => Some(units(&["welcome_app.service"])),
        ("welcome_app", "settings") => text("root 600\n"),
        ("welcome_app", "health") => Some(web(
            200,
            &json!({"status": "ok", "hostname": about}).to_string(),
        )),
        ("welcome_app", "turns") => Some(turns(&["app1", "app2", "app1", "app2", "app1"])),
        ("postgresql", "clusters") => text("15 main 5432 online active enabled auto\n"),
        ("postgresql", "state") => text(&server(host == "db2").to_string()),
        ("postgresql", "write") if host == "db2" => Some(said(3, "", "ERROR:  25006\n")),
        ("postgresql", "write") => text("primary\n"),
        ("postgresql", "login") => text("7300000000000000001|1|0/3000000|\n"),
        ("backup", _) => super::backup::good(host, what),
        _ => None,
    }
}
