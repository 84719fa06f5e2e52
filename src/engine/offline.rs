//! What is assumed of a host that nobody asks (`--offline`): as little as a fresh Debian-like machine tells for certain.

use super::run::Shared;
use super::scope::Scope;
use super::state::HostState;
use crate::base::value::{Map, UNKNOWN, Value, to_text};
use crate::modules::FACT_NAMES;
use crate::template::{self, Variables as _};
use std::sync::Arc;

/// Facts that every target has; what differs between machines is known after apply.
pub fn facts(shared: &Shared, host: &Arc<HostState>) -> Map<String, Value> {
    let scope = Scope::of_host(&shared.globals, host);
    let context = shared.settings.plain_context(&scope);
    let address = scope
        .lookup("ansible_host")
        .and_then(|variable| match variable {
            template::Variable::Template(node) => template::value(&node, &context).ok(),
            template::Variable::Data(value) => Some(value),
            template::Variable::Scope(_) | template::Variable::Unsettled => None,
        })
        .map_or_else(|| host.name.clone(), |value| to_text(&value));
    let known_address = address.parse::<std::net::IpAddr>().is_ok();
    let mut facts = Map::new();
    for (name, value) in [
        ("system", "Linux"),
        ("os_family", "Debian"),
        ("pkg_mgr", "apt"),
        ("service_mgr", "systemd"),
        ("hostname", host.name.split('.').next().unwrap_or_default()),
        ("nodename", host.name.as_str()),
        ("fqdn", host.name.as_str()),
    ] {
        facts.insert(name.to_owned(), Value::from(value));
    }
    let address = Value::from(if known_address {
        address.as_str()
    } else {
        UNKNOWN
    });
    facts.insert(
        "all_ipv4_addresses".to_owned(),
        if known_address {
            Value::Array(vec![address.clone()])
        } else {
            Value::from(UNKNOWN)
        },
    );
    let mut default = Map::new();
    default.insert("address".to_owned(), address);
    for name in [
        "interface",
        "gateway",
        "netmask",
        "network",
        "prefix",
        "macaddress",
        "broadcast",
        "mtu",
        "type",
        "alias",
    ] {
        default.insert(name.to_owned(), Value::from(UNKNOWN));
    }
    facts.insert("default_ipv4".to_owned(), Value::Object(default));
    facts.insert("default_ipv6".to_owned(), Value::from(UNKNOWN));
    // Which one it is differs; that it is a Python 3 does not.
    facts.insert("python_version".to_owned(), Value::from(UNKNOWN));
    facts.insert(
        "python".to_owned(),
        serde_json::json!({
            "executable": "/usr/bin/python3", "type": "cpython", "has_sslcontext": true, "version_info": UNKNOWN,
            "version": {"major": 3, "minor": UNKNOWN, "micro": UNKNOWN, "releaselevel": "final", "serial": 0},
        }),
    );
    facts.insert("local".to_owned(), Value::Object(Map::new()));
    for name in FACT_NAMES.split_whitespace() {
        facts.entry(name).or_insert_with(|| Value::from(UNKNOWN));
    }
    facts
}
