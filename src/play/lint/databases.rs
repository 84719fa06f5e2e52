//! Rules about databases and those who vote.

use super::Severity::{Error, Warn};
use super::{Look, Rule};
use crate::base::value::{Value, to_text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "postgresql/primary",
        about: "the first primary is a host of the group",
        look: primary,
    },
    Rule {
        id: "postgresql/wal-keep-size",
        about: "a size without its unit",
        look: wal_keep_size,
    },
    Rule {
        id: "postgresql/wal-senders",
        about: "enough senders for all replicas and a base backup",
        look: wal_senders,
    },
    Rule {
        id: "postgresql/synchronous-pair",
        about: "two hosts that wait for each other",
        look: synchronous,
    },
    Rule {
        id: "postgresql/start-guard",
        about: "what a former primary does when nobody answers it",
        look: start_guard,
    },
    Rule {
        id: "postgresql/fence-command",
        about: "a primary that cannot be stopped on its own host can be switched off",
        look: fence_command,
    },
    Rule {
        id: "postgresql/mixed-majors",
        about: "hosts of one pair with different major versions",
        look: majors,
    },
    Rule {
        id: "ha/quorum",
        about: "an even number of voters",
        look: quorum,
    },
];

const GROUP: &str = "postgresql";

fn primary(look: &Look<'_>) {
    let members = look.site.members(GROUP);
    for name in ["postgresql_initial_primary", "postgresql_primary"] {
        for host in &members {
            if let Some(primary) = look
                .text(host, name)
                .filter(|primary| !members.contains(primary))
            {
                let message =
                    format!("`{name}` is `{primary}`, which is not in the group `{GROUP}`");
                let remedy = format!("name one of: {}", members.join(", "));
                look.report(Error, Some((host, name)), message, &remedy);
            }
        }
    }
}

fn wal_keep_size(look: &Look<'_>) {
    let has_unit = |value: &Value| {
        let text = to_text(value);
        let text = text.trim();
        text == "0"
            || text == "-1"
            || ["kB", "MB", "GB", "TB", "B"]
                .iter()
                .any(|unit| text.ends_with(unit))
    };
    for host in look.site.members(GROUP) {
        for name in [
            "postgresql_wal_keep_size",
            "postgresql_max_slot_wal_keep_size",
        ] {
            if let Some(value) = look
                .site
                .value(&host, name)
                .filter(|value| !has_unit(value))
            {
                let message = format!("`{name}` is `{}`, without a unit", to_text(&value));
                look.report(
                    Error,
                    Some((&host, name)),
                    message,
                    "write the unit, e.g. `64MB`: PostgreSQL would take a bare number as megabytes",
                );
            }
        }
        let settings = look.site.value(&host, "postgresql_settings");
        let size = settings
            .as_ref()
            .and_then(|settings| settings.get("wal_keep_size"));
        if let Some(value) = size.filter(|value| !has_unit(value)) {
            let message = format!("`wal_keep_size` is `{}`, without a unit", to_text(value));
            look.report(
                Error,
                Some((&host, "postgresql_settings")),
                message,
                "write the unit, e.g. `64MB`",
            );
        }
    }
}

fn wal_senders(look: &Look<'_>) {
    let members = look.site.members(GROUP);
    let wanted = i64::try_from(members.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    let name = "postgresql_max_wal_senders";
    for host in &members {
        if let Some(senders) = look.number(host, name).filter(|senders| *senders < wanted) {
            let message = format!(
                "`{name}` is {senders}; {} hosts need {wanted}",
                members.len()
            );
            look.report(
                Error,
                Some((host, name)),
                message,
                "one for each replica, and two for a base backup",
            );
        }
    }
}

fn synchronous(look: &Look<'_>) {
    let members = look.site.members(GROUP);
    if let [first, _] = members.as_slice()
        && look.flag(first, "postgresql_synchronous")
    {
        let message =
            "two hosts with `postgresql_synchronous`: while the standby is down, every write waits"
                .to_owned();
        look.report(
            Warn,
            Some((first, "postgresql_synchronous")),
            message,
            "add a second standby, or accept the loss of the last moments and set it to false",
        );
    }
}

fn start_guard(look: &Look<'_>) {
    let members = look.site.members(GROUP);
    let Some(first) = members.first().filter(|_| members.len() > 1) else {
        return;
    };
    let (name, witnesses) = ("postgresql_guard_unreachable", "postgresql_guard_witnesses");
    let waits = "one database host alone does not serve after the loss of all others until an operator says so";
    let none = match look.text(first, witnesses) {
        Some(list) => list == "[]",
        None => look.site.hosts().iter().all(|host| members.contains(host)),
    };
    match look.text(first, name).as_deref() {
        Some("start") => look.report(
            Warn,
            Some((first, name)),
            format!("`{name}: start`: a former primary that boots while it is cut off may become a second primary"),
            "leave it at `witness`: the host then starts alone only when other hosts show that it is not cut off",
        ),
        Some("refuse") => look.report(
            Warn,
            Some((first, name)),
            format!("`{name}: refuse`: {waits}"),
            "leave it at `witness`, if there are hosts that are no databases; or keep it and know the way: touch /run/postgresql-start-alone on that host, then start its unit",
        ),
        _ if none => look.report(
            Warn,
            None,
            format!("no host could show a database that it is not cut off (`{witnesses}`): {waits}"),
            "add a small host that is no database to the inventory; or know the way: touch /run/postgresql-start-alone on that host, then start its unit",
        ),
        _ => {}
    }
}

fn fence_command(look: &Look<'_>) {
    let members = look.site.members(GROUP);
    let name = "postgresql_fence_command";
    let without: Vec<&str> = members
        .iter()
        .filter(|host| look.text(host, name).is_none() && !look.is_hidden(host, name))
        .map(String::as_str)
        .collect();
    if members.len() > 1 && !without.is_empty() {
        look.report(
            Warn,
            None,
            format!(
                "{} cannot be switched off by hactl (`{name}`): after a failover, a primary that was frozen or cut off may commit for a moment when it comes back, until it notices; the other hosts of the inventory block it, clients elsewhere do not",
                without.join(", ")
            ),
            "set the command that switches that machine off (hypervisor, IPMI, cloud; it gets HACTL_HOST and HACTL_ADDRESS)",
        );
    }
}

/// The major version that a release of Debian or Ubuntu brings.
const MAJORS: &[(&str, &str)] = &[
    ("bullseye", "13"),
    ("jammy", "14"),
    ("bookworm", "15"),
    ("noble", "16"),
    ("trixie", "17"),
];

/// As far as the inventory tells: a pinned version, or the release of a host.
fn majors(look: &Look<'_>) {
    let mut first: Option<(String, String, String)> = None;
    for host in look.site.members(GROUP) {
        let known = ["postgresql_pin_version", "lab_suite"]
            .into_iter()
            .find_map(|name| Some((name, look.text(&host, name)?)));
        let Some((name, text)) = known else { continue };
        let major = match MAJORS.iter().find(|(release, _)| *release == text) {
            Some((_, major)) => (*major).to_owned(),
            None if name == "postgresql_pin_version" => text.clone(),
            None => continue,
        };
        let told = format!("{major} (`{name}: {text}`)");
        match &first {
            None => first = Some((host, major, told)),
            Some((other, theirs, before)) if *theirs != major => {
                let message = format!(
                    "`{other}` has PostgreSQL {before}, `{host}` {told}: a standby must have the major version of its primary"
                );
                look.report(
                    Error,
                    Some((&host, name)),
                    message,
                    "use one release for all hosts of `postgresql`, or set `postgresql_pin_version` for all of them and give them a repository that has it",
                );
            }
            Some(_) => {}
        }
    }
}

fn quorum(look: &Look<'_>) {
    for group in ["etcd", "galera", "consul"] {
        let members = look.site.members(group);
        let voters = members.len()
            + if group == "galera" {
                look.site.members("garbd").len()
            } else {
                0
            };
        if voters > 0 && voters % 2 == 0 {
            let message = format!(
                "`{group}` has {voters} voters: it survives no more losses than {} would",
                voters - 1
            );
            look.report(Warn, None, message, "add a third, small host as witness");
        }
    }
}
