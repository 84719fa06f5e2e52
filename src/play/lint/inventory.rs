//! Rules about hosts and groups as such.

use super::Severity::{Error, Warn};
use super::{Look, Rule};
use crate::base::mask;
use crate::base::nearest::nearest;
use crate::modules::nearest_of;
use crate::play::values::is_template;
use crate::source::{Node, Span, Yaml};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "inventory/empty",
        about: "an inventory needs hosts",
        look: empty,
    },
    Rule {
        id: "inventory/same-address",
        about: "two hosts with one address",
        look: same_address,
    },
    Rule {
        id: "inventory/no-address",
        about: "an address that the roles cannot write",
        look: no_address,
    },
    Rule {
        id: "inventory/misspelt-group",
        about: "a play over a group that is almost there",
        look: misspelt_group,
    },
    Rule {
        id: "inventory/misspelt-variable",
        about: "a variable that is almost one that is read",
        look: misspelt_variable,
    },
    Rule {
        id: "inventory/plain-secret",
        about: "a secret that is not in the vault",
        look: plain_secret,
    },
    Rule {
        id: "ha/single",
        about: "a service on one host only",
        look: single,
    },
];

fn empty(look: &Look<'_>) {
    if look.site.hosts().is_empty() {
        look.report(
            Error,
            None,
            "the inventory has no hosts".to_owned(),
            "add hosts to the groups of the stack",
        );
    }
}

fn same_address(look: &Look<'_>) {
    let mut at: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    for host in look.site.hosts() {
        let address = look
            .text(&host, "ansible_host")
            .unwrap_or_else(|| host.clone());
        let port = look.number(&host, "ansible_port").unwrap_or(22);
        at.entry((address, port)).or_default().push(host);
    }
    for ((address, port), hosts) in at {
        if let [_, .., last] = hosts.as_slice() {
            let message = format!(
                "`{}` are the same machine: {address} port {port}",
                hosts.join("`, `")
            );
            look.report(Error, Some((last, "ansible_host")), message, "give each host its own `ansible_host`, or name it once and put it into both groups");
        }
    }
}

/// The roles write a host's address with the prefix of one IPv4 address: into pg_hba.conf, exports, the firewall.
fn no_address(look: &Look<'_>) {
    let known = look.site.known();
    for host in look.site.hosts() {
        // Told as the slip that it is.
        let written = look.site.written(&host);
        if written
            .iter()
            .any(|(name, _, _)| meant(name, &known) == Some(ADDRESS))
        {
            continue;
        }
        let Some(address) = look.text(&host, "cluster_address") else {
            continue;
        };
        if address.parse::<std::net::Ipv4Addr>().is_err() {
            let place = if look.site.span(&host, "ansible_host").is_some() {
                "ansible_host"
            } else {
                "cluster_address"
            };
            look.report(
                Error,
                Some((&host, place)),
                format!("the address of `{host}`, {address}, is no IPv4 address"),
                "the roles write it with a prefix (`ADDRESS/32`): give the host's IPv4 address as `ansible_host`, or as `cluster_address` in its host_vars",
            );
        }
    }
}

fn misspelt_group(look: &Look<'_>) {
    let groups = look.site.groups();
    let hosts = look.site.hosts();
    for (pattern, span) in look.site.patterns() {
        let plain = pattern
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let known = |name: &String| *name == pattern;
        if !plain || is_builtin(&pattern) || groups.iter().any(known) || hosts.iter().any(known) {
            continue;
        }
        let wanted: Vec<String> = look
            .site
            .patterns()
            .into_iter()
            .map(|(pattern, _)| pattern)
            .collect();
        let spare = groups
            .iter()
            .map(String::as_str)
            .filter(|group| !is_builtin(group) && !wanted.iter().any(|used| used == group));
        if let Some(near) = nearest(&pattern, spare) {
            let message = format!("no host is in `{pattern}`, but there is a group `{near}`");
            look.push(
                Warn,
                Some(span),
                None,
                message,
                &format!("rename the group to `{pattern}` if it is meant for this play"),
            );
        }
    }
}

/// More alike than this are a name and its misspelling; names that differ in a word of their own are less so.
const ALIKE: f32 = 0.88;

fn misspelt_variable(look: &Look<'_>) {
    let known = look.site.known();
    let mut told: BTreeSet<(String, usize, String)> = BTreeSet::new();
    for host in look.site.hosts() {
        for (name, _, span) in look.site.written(&host) {
            let place = (span.file.path.clone(), span.line, name.clone());
            if !told.insert(place) {
                continue;
            }
            if let Some(near) = meant(&name, &known) {
                let message =
                    format!("`{name}` is almost `{near}`, which is what hactl and the roles read");
                let remedy = format!(
                    "write `{near}`; if a template of yours does read `{name}`, a name that is less alike is safer"
                );
                // The host has no address then: hactl would try its name.
                let severity = if near == ADDRESS { Error } else { Warn };
                look.push(severity, Some(span), None, message, &remedy);
            }
        }
    }
}

/// Where a host is entered.
const ADDRESS: &str = "ansible_host";

/// The variable that a name was meant for.
fn meant<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if known.iter().any(|other| other == name) {
        return None;
    }
    // A word more is another name: vault_… is where the value of … comes from.
    let near = known
        .iter()
        .map(String::as_str)
        .filter(|other| name.len().abs_diff(other.len()) <= 2);
    nearest_of(name, near, ALIKE)
}

fn is_builtin(group: &str) -> bool {
    matches!(group, "all" | "ungrouped" | "localhost")
}

fn plain_secret(look: &Look<'_>) {
    let mut plain: Vec<String> = Vec::new();
    for host in look.site.hosts() {
        for (name, node, span) in look.site.written(&host) {
            walk(look, &name, &node, &span, &mut plain);
        }
    }
    // The findings are shown with their lines; from here on the lines do not show what they should not hold.
    for secret in &plain {
        mask::register(secret);
    }
}

fn walk(look: &Look<'_>, name: &str, node: &Node, span: &Span, plain: &mut Vec<String>) {
    let text = match &node.yaml {
        Yaml::Mapping(entries) => {
            for (key, value) in entries {
                let name = key.as_str().unwrap_or_default();
                walk(look, name, value, &key.span, plain);
            }
            return;
        }
        Yaml::Sequence(items) => {
            for item in items {
                walk(look, name, item, &item.span, plain);
            }
            return;
        }
        Yaml::String(text) | Yaml::Unsafe(text) => text.clone(),
        Yaml::Int(number) => number.to_string(),
        _ => return,
    };
    if is_secret_name(name) && is_secret(&text) {
        let message = format!("`{name}` is a secret in plain text");
        let remedy = "put it into the vault: `hactl vault encrypt-string`";
        look.push(Error, Some(span.clone()), None, message, remedy);
        plain.push(text);
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let speaks = [
        "password",
        "passwd",
        "secret",
        "token",
        "auth_pass",
        "private_key",
        "api_key",
        "passphrase",
    ]
    .iter()
    .any(|word| name.contains(word));
    // Names that speak about a secret rather than hold it.
    let about = [
        "_file",
        "_path",
        "_length",
        "_user",
        "_name",
        "_env",
        "_method",
        "_encryption",
        "_policy",
        "_dir",
        "_url",
        "_expiry",
        "_ttl",
    ]
    .iter()
    .any(|end| name.ends_with(end));
    speaks && !about && !name.starts_with("no_") && !name.contains("passwordless")
}

fn is_secret(text: &str) -> bool {
    let text = text.trim();
    let harmless =
        text.is_empty() || is_template(text) || text.starts_with('/') || text.starts_with("~/");
    // What came out of a vaulted file is known to the mask.
    !harmless && mask::mask(text) == text
}

fn single(look: &Look<'_>) {
    for (group, what) in [
        ("haproxy", "when it dies, nothing is reachable"),
        ("welcome_app", "when it dies, the application is gone"),
        (
            "postgresql",
            "there is no replica: when it dies, the data is gone",
        ),
        (
            "mysql",
            "there is no replica: when it dies, the data is gone",
        ),
        (
            "mariadb",
            "there is no replica: when it dies, the data is gone",
        ),
        ("minio", "there is no second copy of the objects"),
    ] {
        if let [only] = look.site.members(group).as_slice() {
            let message = format!("`{group}` has one host only, `{only}`: {what}");
            look.report(
                Warn,
                None,
                message,
                &format!("add a second host to `{group}`"),
            );
        }
    }
    if let [only] = look.site.members("nfs_server").as_slice() {
        let message = format!(
            "`nfs_server` has one host only, `{only}`: while it is away, no image is stored or shown"
        );
        look.report(
            Warn,
            None,
            message,
            "keep the images in the database (`welcome_app_images: database`), or live with it",
        );
    }
}
