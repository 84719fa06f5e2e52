//! The stack as its hosts describe it when everything is as it should be.

use super::super::COMPONENTS;
use super::super::check::Findings;
use super::super::component::View;
use super::super::observations::{Answers, Observations};
use super::super::ports;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::modules::Reply;
use crate::ops::hosts::{Host, Site};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

pub(super) const HOSTS: &[(&str, &str, &[&str])] = &[
    (
        "lb1",
        "192.168.104.11",
        &["haproxy", "keepalived", "nfs_server"],
    ),
    ("lb2", "192.168.104.12", &["haproxy", "keepalived"]),
    ("app1", "192.168.104.21", &["welcome_app", "nfs_client"]),
    (
        "app2",
        "192.168.104.22",
        &["welcome_app", "postgresql_backup", "nfs_client"],
    ),
    ("db1", "192.168.104.31", &["postgresql"]),
    ("db2", "192.168.104.32", &["postgresql"]),
];
/// When the hosts were asked, by this machine's clock.
pub(super) const ASKED: u64 = 1_700_000_000;

pub fn site() -> Site {
    let variables: Map<String, Value> = json!({
        "keepalived_vip": "192.168.104.10/24", "keepalived_router_id": 51, "haproxy_backend_group": "welcome_app",
        "haproxy_health_path": "/api/health", "haproxy_stats_password": "long-enough-2", "common_hosts_groups": ["haproxy", "postgresql"],
        "postgresql_synchronous": false, "welcome_app_port": 5000, "haproxy_backend_port": 5000, "haproxy_maxconn": 4000,
        "nfs_server_clients": ["app1", "app2"], "nfs_server_options": ["rw", "sync", "root_squash"], "nfs_server_fsid": 880,
        "nfs_server_owner": "welcome_app", "nfs_client_options": ["rw", "hard", "_netdev", "nofail", "x-systemd.automount"],
        "postgresql_databases": [{"name": "welcome", "owner": "writer", "password": "long-enough-1", "clients": ["app1", "app2"]}],
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

/// Who is what: a deploy makes db1 the primary and lb1 the holder of the address, and an operation swaps them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roles {
    pub(super) primary: &'static str,
    pub(super) standby: &'static str,
    pub(super) holder: &'static str,
}

pub(super) struct Stack {
    pub(super) site: Site,
    roles: Roles,
    replies: BTreeMap<String, BTreeMap<String, Reply>>,
    lost: Vec<String>,
}

impl Stack {
    /// Everything as it should be: db1 the primary, lb1 with the address.
    pub(super) fn whole() -> Self {
        Self::with(Roles {
            primary: "db1",
            standby: "db2",
            holder: "lb1",
        })
    }

    /// Everything as it should be after the roles have gone to others.
    pub(super) fn with(roles: Roles) -> Self {
        let site = site();
        let view = View::new(&site, &HOSTS.map_names());
        let mut replies: BTreeMap<String, BTreeMap<String, Reply>> = BTreeMap::new();
        for host in &site.hosts {
            for ask in COMPONENTS
                .iter()
                .flat_map(|component| component.asks(&view, host))
            {
                let reply = good(&view, roles, host, &ask.key);
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
            roles,
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

    /// A probe finds something else than the rule says.
    pub(super) fn rule(&mut self, place: &str, heard: &str) {
        let from = place.rsplit(' ').next().expect("a host").to_owned();
        let view = View::new(&self.site, &[]);
        let host = self.site.host(&from).expect("a host");
        let number = ports::places(&view, host)
            .iter()
            .position(|(known, _)| known == place);
        let number = number.unwrap_or_else(|| panic!("nobody knocks at {place}"));
        let text = self.replies[&from]["ports.knocks"].out().into_owned();
        let lines: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(at, line)| {
                if at == number {
                    format!("{at} {heard}")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        self.out(&from, "ports.knocks", &lines.join("\n"));
    }

    /// hactl left a file on a host.
    pub(super) fn mark(&mut self, host: &str, name: &str, line: &str) {
        let text = self.replies[host]["common.own-state"].out().into_owned();
        self.out(
            host,
            "common.own-state",
            &format!("{text}== {ASKED} {name}\n{line}\n{line}\n"),
        );
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
        let mut seen = Observations::default();
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
                    replies.entry(ask.key.clone()).or_insert_with(|| {
                        good(&view, self.roles, host, &ask.key).expect("prepared")
                    });
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

/// It ends on 1 March 2027 (made for this test; nobody has its key).
pub(super) const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBMDCB46ADAgECAhRv/0QLaENU0yc9dNneJWu8C4kJizAFBgMrZXAwDjEMMAoG\n\
A1UEAwwDZGIxMB4XDTI2MTEyMTE1MTg1MFoXDTI3MDMwMTE1MTg1MFowDjEMMAoG\n\
A1UEAwwDZGIxMCowBQYDK2VwAyEAA0XMqjjlHzBqZevdXwpllsD2US+ScNdOKDcx\n\
IW8BKxOjUzBRMB0GA1UdDgQWBBRHPI9dtuhtsh+pESsQ9K10FkSdizAfBgNVHSME\n\
GDAWgBRHPI9dtuhtsh+pESsQ9K10FkSdizAPBgNVHRMBAf8EBTADAQH/MAUGAytl\n\
cANBABJSeCgw2pLZpk/g9ZMOVWJIiMw4dsICCjkv/X0ls2dEtUwXIKcO0cWxA67c\n\
bqlThtxy0URGMZiSYr9HWmX0IQM=\n\
-----END CERTIFICATE-----\n\
";

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

pub(super) const CSV: &str = "Uptime_sec: 400\nMaxconn: 4000\nCurrConns: 1\n\n# pxname,svname,status,type,check_status,\nwww,FRONTEND,OPEN,0,,\n\
                   welcome_app,app1,UP,2,L7OK,\nwelcome_app,app2,UP,2,L7OK,\nwelcome_app,BACKEND,UP,1,,\n";

/// What a standby keeps of its primary, as it is printed.
pub(super) const OBSERVED: &str = "now=100\tbooted=b\tboot=b\taddress=192.168.104.31\tat=99\ttried=99\twall=1\tsince=0/3000000\tsaid={\"system\": \"7\", \"timeline\": 1, \"names\": \"\", \"commit\": \"on\", \"exempt\": 0, \"fsync\": \"on\", \"full_page_writes\": \"on\"}\t\n";

pub(super) fn server(standby: bool) -> Value {
    json!({
        "in_recovery": standby, "version": 150_000, "system": "7300000000000000001", "timeline": 1, "read_only": "off",
        "replay_paused": false,
        "receiver": if standby { json!({"status": "streaming", "sender_host": "192.168.104.31", "slot_name": "db2", "silent": 1}) } else { Value::Null },
        "senders": if standby { json!([]) } else {
            json!([{"application_name": "db2", "address": "192.168.104.32", "state": "streaming", "sync_state": "async", "behind": 0, "late": null}])
        },
        "slots": if standby { json!([]) } else { json!([{"name": "db2", "active": true, "wal_status": "reserved"}]) },
        "pending_restart": [], "file_errors": [], "weak_methods": [], "weak_passwords": [],
        "settings": {
            "wal_log_hints": "on", "data_checksums": "on", "full_page_writes": "on", "fsync": "on", "password_encryption": "scram-sha-256",
            "synchronous_standby_names": "", "max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10",
            "max_prepared_transactions": "0", "max_locks_per_transaction": "64", "superuser_reserved_connections": "3",
        },
        "standby_signal": standby, "not_loaded": [], "superuser_rules": [], "connections": 9, "now": ASKED,
        "certificate": {"file": "/x.pem", "text": CERTIFICATE},
        "archiver": {"mode": "on", "failed": null, "failing": false, "archived": "000000010000000000000003", "waiting": 0},
        "overridden": [],
        "prepared": 0, "oldest_transaction": 0, "oldest_row": 700, "checksum_failures": 0,
    })
}

/// A server that asks for a password, and one whose pg_hba.conf refuses, as they are heard.
pub(super) const ASKS: &str = "0 52 00 00 00 17 00 00 00 0a 53 43 52 41 4d 00 00";
pub(super) const DENIES: &str = "0 45 00 00 00 20 43 32 38 30 30 30 00 4d 6e 6f 00 00";
pub(super) const NOBODY: &str = "1 bash: connect: Connection refused";

fn knocks(view: &View<'_>, host: &Host) -> String {
    ports::places(view, host)
        .iter()
        .enumerate()
        .map(|(at, (place, open))| {
            let heard = match (place.contains('('), open) {
                (true, true) => ASKS,
                (true, false) => DENIES,
                (false, true) => "0 open",
                (false, false) => NOBODY,
            };
            format!("{at} {heard}\n")
        })
        .collect()
}

pub(super) fn good(view: &View<'_>, roles: Roles, of: &Host, key: &str) -> Option<Reply> {
    let host = of.name.as_str();
    let text = |out: &str| Some(said(0, out, ""));
    let (component, rest) = key.split_once('.')?;
    let (what, about) = rest.split_once('.').unwrap_or((rest, ""));
    match (component, what) {
        ("common", "clock") => text(&format!("{ASKED}.050000000\n")),
        ("common", "root") => text("0\n"),
        ("common", "failed" | "reboot" | "own-state" | "held" | "killed")
        | ("security", "files" | "processes")
        | ("haproxy" | "keepalived", "config")
        | ("keepalived", "script" | "flag") => text(""),
        ("common", "units") => Some(units(&["chrony.service", "systemd-journald.service"])),
        ("common", "disks" | "inodes") => {
            text("Filesystem 1 2 3 Capacity Mounted on\noverlay 100 40 60 40% /\n")
        }
        ("common", "addresses") => {
            let own = HOSTS.iter().find(|(name, ..)| *name == host)?.1;
            let vip = if host == roles.holder {
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
        ("common", "tracking") => text(
            "Reference ID    : C0000201 (ntp)\nStratum         : 3\nLeap status     : Normal\n",
        ),
        ("common", "versions") => text(match host {
            "db1" | "db2" => {
                "installed chrony 4.3-2\ninstalled postgresql-15 15.8-1\nnot-installed postgresql-13 1\n"
            }
            _ => "installed chrony 4.3-2\n",
        }),
        ("ports", "knocks") => text(&knocks(view, of)),
        ("ports", "sockets") => {
            text("LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=2,fd=3))\n")
        }
        ("security", "knocks") => text(&format!("0 {DENIES}\n1 {DENIES}\n")),
        ("haproxy", "file") => text(&format!("{} {ASKED}\n", ASKED - 500)),
        ("haproxy", "mode") => text("root 660\n"),
        ("haproxy", "direct") => Some(web(200, "{}")),
        ("keepalived", "secret") => text("abc  -\n"),
        ("keepalived", "paths") => text(
            "root 755 /etc\nroot 755 /etc/keepalived\nroot 755 /etc/keepalived/scripts/check-haproxy\n",
        ),
        ("keepalived", "journal") => text("Starting Keepalived v2.2.7\n"),
        ("keepalived", "fault") => text("noticed\n"),
        ("keepalived", "transition") => text(&format!(
            "2026-11-21T14:51:17Z {host} vip {} priority 100\n",
            if host == roles.holder {
                "MASTER"
            } else {
                "BACKUP"
            }
        )),
        ("welcome_app", "databases") => text("\"192.168.104.31,192.168.104.32\"\n"),
        ("welcome_app", "code") => text("abc  -\n"),
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
                "    state BACKUP\n    nopreempt\n    virtual_router_id 51\n    priority 100\n    advert_int 1\n    unicast_peer {{\n        {peer}\n    }}\n    virtual_ipaddress {{\n        192.168.104.10/24 dev eth0\n    }}\n"
            ))
        }
        ("keepalived", "neighbour") => {
            let mac = format!(
                "5a:00:00:00:00:{:02x}",
                3 + usize::from(roles.holder.as_bytes()[2])
            );
            text(&format!("192.168.104.10 dev eth0 lladdr {mac} REACHABLE\n"))
        }
        ("welcome_app", "units") => Some(units(&["welcome_app.service"])),
        ("welcome_app", "settings") => text("root 600\n"),
        ("welcome_app", "health") => Some(web(
            200,
            &json!({"status": "ok", "hostname": about}).to_string(),
        )),
        ("welcome_app", "turns") => Some(turns(&["app1", "app2", "app1", "app2", "app1"])),
        ("postgresql", "guard") => text(""),
        ("postgresql", "observer") => text(OBSERVED),
        ("postgresql", "clusters") => text("15 main 5432 online active enabled auto\n"),
        ("postgresql", "state") => {
            let mut state = server(host != roles.primary).to_string();
            if roles.primary == "db2" {
                state = state
                    .replace("db2", roles.standby)
                    .replace("104.31", "104.X")
                    .replace("104.32", "104.31")
                    .replace("104.X", "104.32");
            }
            text(&state)
        }
        ("postgresql", "write") if host == roles.standby => Some(said(3, "", "ERROR:  25006\n")),
        ("postgresql", "write") => text("primary\n"),
        ("postgresql", "login") => text("7300000000000000001|1|0/3000000|\n"),
        ("backup", _) => super::backup::good(host, what),
        ("nfs", _) => super::nfs::good(what),
        ("boot", _) => super::boot::good(what),
        _ => None,
    }
}
