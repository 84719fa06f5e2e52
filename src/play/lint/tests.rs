//! Each rule with what it must find and what it must pass over.

use super::*;
use crate::base::value::Map;
use crate::source::{SourceFile, Yaml};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups as `name=host,host`, variables as `host.name=value` or `name=value` for all.
struct Fake {
    groups: Vec<(String, Vec<String>)>,
    vars: BTreeMap<(String, String), Value>,
    written: Vec<(String, Yaml)>,
}

impl Fake {
    fn new(groups: &[&str], vars: &[(&str, Value)]) -> Self {
        let groups: Vec<(String, Vec<String>)> = groups
            .iter()
            .map(|line| {
                let (name, hosts) = line.split_once('=').expect("a group");
                (
                    name.to_owned(),
                    hosts
                        .split(',')
                        .filter(|host| !host.is_empty())
                        .map(str::to_owned)
                        .collect(),
                )
            })
            .collect();
        let vars = vars
            .iter()
            .map(|(name, value)| {
                let (host, name) = name.split_once('.').unwrap_or(("", name));
                ((host.to_owned(), name.to_owned()), value.clone())
            })
            .collect();
        Self {
            groups,
            vars,
            written: Vec::new(),
        }
    }
}

fn span() -> Span {
    Span {
        file: Arc::new(SourceFile {
            path: "hosts.yml".to_owned(),
            text: String::new(),
        }),
        line: 1,
        column: 1,
    }
}

impl Site for Fake {
    fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self
            .groups
            .iter()
            .flat_map(|(_, hosts)| hosts.clone())
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    fn groups(&self) -> Vec<String> {
        self.groups.iter().map(|(name, _)| name.clone()).collect()
    }

    fn members(&self, group: &str) -> Vec<String> {
        self.groups
            .iter()
            .find(|(name, _)| name == group)
            .map(|(_, hosts)| hosts.clone())
            .unwrap_or_default()
    }

    fn value(&self, host: &str, name: &str) -> Option<Value> {
        let own = self.vars.get(&(host.to_owned(), name.to_owned()));
        own.or_else(|| self.vars.get(&(String::new(), name.to_owned())))
            .cloned()
    }

    fn is_set(&self, host: &str, name: &str) -> bool {
        self.value(host, name).is_some()
    }

    fn span(&self, _host: &str, _name: &str) -> Option<Span> {
        None
    }

    fn written(&self, _host: &str) -> Vec<(String, Node, Span)> {
        let node = |yaml: &Yaml| Node {
            yaml: yaml.clone(),
            span: span(),
        };
        self.written
            .iter()
            .map(|(name, yaml)| (name.clone(), node(yaml), span()))
            .collect()
    }

    fn known(&self) -> Vec<String> {
        [
            "ansible_host",
            "netplan_dhcp_mac",
            "haproxy_port",
            "postgresql_replicator_password",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn patterns(&self) -> Vec<(String, Span)> {
        ["all", "haproxy", "keepalived", "postgresql"]
            .map(|name| (name.to_owned(), span()))
            .to_vec()
    }
}

fn found(fake: &Fake) -> Vec<&'static str> {
    run(fake).iter().map(|finding| finding.id).collect()
}

fn good() -> Vec<(&'static str, Value)> {
    vec![
        ("keepalived_vip", "10.0.0.10/24".into()),
        ("keepalived_router_id", 51.into()),
        ("keepalived_auth_pass", "12345678".into()),
        ("a.ansible_host", "10.0.0.1".into()),
        ("b.ansible_host", "10.0.0.2".into()),
        ("postgresql_fence_command", "power-off".into()),
    ]
}

/// Changed variables, and the rules that must speak.
type Case = (Vec<(&'static str, Value)>, &'static [&'static str]);

#[test]
fn each_rule_finds_its_fault_and_no_other() {
    let groups = ["keepalived=a,b", "haproxy=a,b", "postgresql=c,d"];
    assert_eq!(found(&Fake::new(&groups, &good())), Vec::<&str>::new());
    let wal: Map<String, Value> = [("wal_keep_size".to_owned(), Value::from(64))]
        .into_iter()
        .collect();
    let cases: Vec<Case> = vec![
        (
            vec![("keepalived_auth_pass", "123456789".into())],
            &["keepalived/auth-pass"],
        ),
        (
            vec![("keepalived_router_id", 256.into())],
            &["keepalived/router-id"],
        ),
        (
            vec![("keepalived_router_id", "".into())],
            &["keepalived/router-id"],
        ),
        (
            vec![("b.keepalived_router_id", 52.into())],
            &["keepalived/router-id"],
        ),
        (
            vec![("keepalived_vip", "10.0.1.10/24".into())],
            &["keepalived/vip", "keepalived/vip"],
        ),
        (
            vec![("keepalived_vip", "10.0.0.2/24".into())],
            &["keepalived/vip"],
        ),
        (
            vec![("keepalived_vip", "10.0.0/24".into())],
            &["keepalived/vip"],
        ),
        (
            vec![("keepalived_vip", "10.0.0.10/33".into())],
            &["keepalived/vip"],
        ),
        (vec![("keepalived_vip", "".into())], &["keepalived/vip"]),
        (
            vec![("keepalived_priority", 100.into())],
            &["keepalived/priority"],
        ),
        (
            vec![
                ("a.keepalived_priority", 100.into()),
                ("b.keepalived_priority", 90.into()),
            ],
            &[],
        ),
        (
            vec![
                ("keepalived_nopreempt", true.into()),
                ("keepalived_check_weight", Value::from(-20)),
            ],
            &["keepalived/nopreempt-weight"],
        ),
        (
            vec![("b.ansible_host", "10.0.0.1".into())],
            &["inventory/same-address"],
        ),
        (
            vec![
                ("b.ansible_host", "10.0.0.1".into()),
                ("b.ansible_port", 2222.into()),
            ],
            &[],
        ),
        (
            vec![("haproxy_backend_group", "app".into())],
            &["haproxy/backends"],
        ),
        (
            vec![("postgresql_initial_primary", "a".into())],
            &["postgresql/primary"],
        ),
        (
            vec![("postgresql_wal_keep_size", 64.into())],
            &["postgresql/wal-keep-size"],
        ),
        (vec![("postgresql_wal_keep_size", "64MB".into())], &[]),
        (
            vec![("postgresql_settings", Value::Object(wal))],
            &["postgresql/wal-keep-size"],
        ),
        (
            vec![("postgresql_max_wal_senders", 2.into())],
            &["postgresql/wal-senders"],
        ),
        (
            vec![("postgresql_synchronous", "yes".into())],
            &["postgresql/synchronous-pair"],
        ),
        (
            vec![("postgresql_guard_unreachable", "start".into())],
            &["postgresql/start-guard"],
        ),
        (
            vec![("postgresql_guard_unreachable", "refuse".into())],
            &["postgresql/start-guard"],
        ),
        (
            vec![("postgresql_guard_witnesses", "[]".into())],
            &["postgresql/start-guard"],
        ),
        (
            vec![("postgresql_guard_unreachable", "witness".into())],
            &[],
        ),
        (
            vec![("postgresql_fence_command", "".into())],
            &["postgresql/fence-command"],
        ),
        (
            vec![
                ("c.lab_suite", "bookworm".into()),
                ("d.lab_suite", "trixie".into()),
            ],
            &["postgresql/mixed-majors"],
        ),
        (
            vec![
                ("c.lab_suite", "bookworm".into()),
                ("d.postgresql_pin_version", 15.into()),
            ],
            &[],
        ),
        (vec![("lab_suite", "trixie".into())], &[]),
    ];
    for (changed, ids) in cases {
        let mut vars = good();
        vars.extend(changed.clone());
        assert_eq!(found(&Fake::new(&groups, &vars)), ids, "{changed:?}");
    }
}

#[test]
fn groups_that_are_too_small_are_named() {
    for (groups, ids) in [
        (
            vec!["keepalived=a", "haproxy=a,b", "postgresql=c,d"],
            vec!["keepalived/no-peer"],
        ),
        (
            vec!["keepalived=a,b", "haproxy=a,b", "postgresql=c"],
            vec!["ha/single"],
        ),
        (
            vec!["keepalived=a,b", "haproxy=a,b", "postgresq=c,d"],
            vec!["inventory/misspelt-group"],
        ),
        (
            vec![
                "keepalived=a,b",
                "haproxy=a,b",
                "postgresql=c,d",
                "etcd=c,d",
            ],
            vec!["ha/quorum"],
        ),
        (
            vec![
                "keepalived=a,b",
                "haproxy=a,b",
                "postgresql=c,d",
                "etcd=b,c,d",
            ],
            vec![],
        ),
        (vec!["postgresql=c,d"], vec!["postgresql/start-guard"]),
        (vec![], vec!["inventory/empty"]),
    ] {
        assert_eq!(found(&Fake::new(&groups, &good())), ids, "{groups:?}");
    }
}

#[test]
fn variables_that_are_almost_read_are_named() {
    for (name, near) in [
        ("ansible_hots", Some("ansible_host")),
        ("haproxy_prot", Some("haproxy_port")),
        ("ansible_host", None),
        ("netplan_static_mac", None),
        ("my_own_port", None),
        ("vault_postgresql_replicator_password", None),
    ] {
        let fake = Fake {
            written: vec![(name.to_owned(), Yaml::String("{{ elsewhere }}".to_owned()))],
            ..Fake::new(
                &["keepalived=a,b", "haproxy=a,b", "postgresql=c,d"],
                &good(),
            )
        };
        let told: Vec<String> = run(&fake).into_iter().map(|it| it.message).collect();
        let wanted: Vec<String> = near
            .map(|near| {
                format!("`{name}` is almost `{near}`, which is what hactl and the roles read")
            })
            .into_iter()
            .collect();
        // Once, though all four hosts have it.
        assert_eq!(told, wanted, "{name}");
    }
}

#[test]
fn secrets_in_plain_text_are_found() {
    let text = |text: &str| Yaml::String(text.to_owned());
    crate::base::mask::register("from-a-vaulted-file");
    for (name, yaml, plain) in [
        ("db_password", text("correct-horse-7"), true),
        ("API_TOKEN", text("abc"), true),
        ("db_password", Yaml::Int(735_519_004), true),
        ("db_password", text("{{ vault_db_password }}"), false),
        ("db_password", Yaml::Vault("x".to_owned()), false),
        ("db_password", text(""), false),
        ("db_password", text("from-a-vaulted-file"), false),
        ("password_file", text("somewhere"), false),
        ("ssl_private_key", text("/etc/ssl/x.key"), false),
        ("colour", text("red"), false),
        ("password_encryption", text("scram-sha-256"), false),
    ] {
        let mut fake = Fake::new(&["keepalived=a,b", "haproxy=a,b"], &good());
        fake.written = vec![(name.to_owned(), yaml)];
        let ids: &[&str] = if plain {
            &["inventory/plain-secret"]
        } else {
            &[]
        };
        assert_eq!(found(&fake), ids, "{name}");
    }
}

#[test]
fn an_address_is_one_that_the_roles_can_write() {
    for (address, ids) in [
        ("192.0.2.31", vec![]),
        ("fd00::31", vec!["inventory/no-address"]),
        ("db1.example.org", vec!["inventory/no-address"]),
        ("192.0.2.31/24", vec!["inventory/no-address"]),
    ] {
        let mut variables = good();
        variables.push(("a.cluster_address", Value::from(address)));
        let fake = Fake::new(&["welcome_app=a,b"], &variables);
        assert_eq!(found(&fake), ids, "{address}");
    }
}

#[test]
fn a_misspelt_address_is_one_fault() {
    let mut variables = good();
    variables.push(("a.cluster_address", Value::from("a")));
    let mut fake = Fake::new(&["welcome_app=a,b"], &variables);
    let address = Yaml::String("192.0.2.31".into());
    fake.written = vec![("ansible_hots".to_owned(), address)];
    let told = run(&fake);
    assert_eq!(found(&fake), ["inventory/misspelt-variable"]);
    assert!(
        told.iter()
            .all(|finding| finding.severity == Severity::Error)
    );
}
