//! Packages: `apt` and `package`.
//!
//! dpkg's state decides; apt-get is run only when something is missing, and never asks a question. While another process
//! (unattended-upgrades) holds a lock it waits, and when it gives up it names that process.

mod deb;
mod script;
mod version;
mod wish;

use super::support::{Simple, diff, failed, good_reply, outcome, reply};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Decision, Diff, Kind, Package, Param, Probe, Request, Seen, Spec,
};
use script::{finish, install, remove};

use serde_json::json;
use std::collections::BTreeMap;
use wish::Wish;

pub(super) use deb::fetch_to;
pub(super) use script::update;

/// What `apt` takes; `package` passes all of it on.
macro_rules! with_apt {
    ($($own:expr),* $(,)?) => {
        &[
            $($own,)*
            Param::new("name", Kind::List).aliases(&["package", "pkg"]),
            Param::new("update_cache", Kind::Bool).aliases(&["update-cache"]),
            Param::new("update_cache_retries", Kind::Int),
            Param::new("update_cache_retry_max_delay", Kind::Int),
            Param::new("cache_valid_time", Kind::Int),
            Param::new("install_recommends", Kind::Bool).aliases(&["install-recommends"]),
            Param::new("default_release", Kind::Str).aliases(&["default-release"]),
            Param::new("purge", Kind::Bool),
            Param::new("autoremove", Kind::Bool),
            Param::new("autoclean", Kind::Bool),
            Param::new("clean", Kind::Bool),
            Param::new("force", Kind::Bool),
            Param::new("force_apt_get", Kind::Bool).idle("apt-get is what is run"),
            Param::new("allow_unauthenticated", Kind::Bool).aliases(&["allow-unauthenticated"]),
            Param::new("allow_downgrade", Kind::Bool).aliases(&[
                "allow-downgrade",
                "allow_downgrades",
                "allow-downgrades",
            ]),
            Param::new("allow_change_held_packages", Kind::Bool),
            Param::new("auto_install_module_deps", Kind::Bool)
                .idle("nothing here needs Python on the host"),
            Param::new("fail_on_autoremove", Kind::Bool),
            Param::new("dpkg_options", Kind::Str),
            Param::new("deb", Kind::Path),
            Param::new("upgrade", Kind::Str)
                .choices(&["dist", "full", "no", "safe", "yes", "True", "False"]),
            Param::new("policy_rc_d", Kind::Int),
            Param::new("only_upgrade", Kind::Bool),
            Param::new("lock_timeout", Kind::Int),
        ]
    };
}

pub(super) static APT: Simple = Simple {
    spec: &Spec {
        names: &["apt", "ansible.builtin.apt", "ansible.legacy.apt"],
        params: with_apt!(Param::new("state", Kind::Str).choices(&[
            "absent",
            "build-dep",
            "fixed",
            "latest",
            "present",
        ]),),
        summary: "installs, upgrades and removes Debian packages",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

pub(super) static PACKAGE: Simple = Simple {
    spec: &Spec {
        names: &["package", "ansible.builtin.package"],
        params: with_apt!(
            Param::new("state", Kind::Str).choices(&[
                "absent",
                "build-dep",
                "fixed",
                "latest",
                "present",
                "installed",
                "removed",
            ]),
            Param::new("use", Kind::Str)
                .choices(&["apt", "auto"])
                .idle("apt is the manager of all hosts"),
        ),
        summary: "installs and removes packages with the host's package manager (apt)",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// What the task asks for beyond single packages.
fn upgrade(args: &Args) -> Option<&'static str> {
    let all =
        args.list("name").iter().any(|name| name == "*") && args.str("state") == Some("latest");
    match args.str_or("upgrade", "no") {
        "yes" | "safe" | "True" => Some("upgrade --with-new-pkgs"),
        "dist" | "full" => Some("dist-upgrade"),
        _ if all => Some("upgrade --with-new-pkgs"),
        _ => None,
    }
}

fn state(args: &Args) -> &str {
    match args.str_or("state", "present") {
        "installed" => "present",
        "removed" => "absent",
        state => state,
    }
}

fn wishes(args: &Args) -> Result<Vec<Wish>> {
    args.list("name")
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty() && *name != "*")
        .map(Wish::read)
        .collect()
}

fn update_wanted(args: &Args) -> bool {
    args.bool_or("update_cache", args.has("cache_valid_time"))
}

/// The probes, in this order: packages; odd names; candidates or what an upgrade would do; the deb file; the clock.
struct Asked {
    plain: Vec<String>,
    odd: Vec<String>,
    simulate: Option<String>,
    clock: bool,
}

fn asked(args: &Args) -> Result<Asked> {
    let wishes = wishes(args)?;
    let (odd, plain): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(|wish| wish.odd());
    let words = |verb: &str| {
        format!("LC_ALL=C apt-get -s -q {verb} 2>/dev/null | grep -E '^(Inst|Remv) ' || true")
    };
    let simulate = if let Some(verb) = upgrade(args) {
        Some(words(verb))
    } else if wishes.is_empty() && args.bool_or("autoremove", false) {
        Some(words("autoremove"))
    } else if state(args) == "latest" && !wishes.is_empty() {
        let names = quote::sh_join(wishes.iter().map(|wish| wish.name.as_str()));
        Some(format!("LC_ALL=C apt-cache policy -- {names}"))
    } else {
        None
    };
    Ok(Asked {
        plain: plain.into_iter().map(|wish| wish.name.clone()).collect(),
        odd: odd.into_iter().map(Wish::query).collect(),
        simulate,
        clock: update_wanted(args) && args.int("cache_valid_time").unwrap_or(0) > 0,
    })
}

const CLOCK: &str = "date +%s; stat -c %Y /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists 2>/dev/null || true";

fn probe(args: &Args) -> Result<Vec<Probe>> {
    if args.has("deb") && args.has("name") {
        return Err(Diagnostic::new("`apt` takes at most one of `deb`, `name`"));
    }
    let asked = asked(args)?;
    let mut probes = Vec::new();
    if !asked.plain.is_empty() {
        probes.push(Probe::Packages(asked.plain));
    }
    if !asked.odd.is_empty() {
        let format = "${Package} ${Architecture} ${db:Status-Status} ${Version}\\n";
        let names = quote::sh_join(asked.odd.iter().map(String::as_str));
        probes.push(Probe::Run(Request::sh(format!(
            "dpkg-query -W -f '{format}' -- {names} 2>/dev/null || true"
        ))));
    }
    if let Some(script) = asked.simulate {
        probes.push(Probe::Run(Request::sh(script)));
    }
    if let Some(path) = args.str("deb") {
        probes.push(Probe::Run(deb::probe(path)));
    }
    if asked.clock {
        probes.push(Probe::Run(Request::sh(CLOCK)));
    }
    Ok(probes)
}

/// What was seen, sorted.
struct Known<'a> {
    packages: BTreeMap<String, Package>,
    odd: Vec<[String; 4]>,
    simulated: String,
    deb: Option<&'a crate::modules::Reply>,
    /// The host's time and that of its package lists.
    clock: Option<(i64, i64)>,
}

fn known<'a>(args: &Args, seen: &'a [Seen]) -> Result<Known<'a>> {
    let asked = asked(args)?;
    let mut next = 0..;
    let mut take = || next.next().unwrap_or_default();
    let mut known = Known {
        packages: BTreeMap::new(),
        odd: Vec::new(),
        simulated: String::new(),
        deb: None,
        clock: None,
    };
    if !asked.plain.is_empty() {
        match seen.get(take()) {
            Some(Seen::Packages(packages)) => known.packages.clone_from(packages),
            _ => return Err(failed("the answer about packages is missing")),
        }
    }
    if !asked.odd.is_empty() {
        let reply = good_reply(seen, take())?;
        known.odd = reply
            .out()
            .lines()
            .filter_map(|line| {
                <[String; 4]>::try_from(line.split(' ').map(str::to_owned).collect::<Vec<_>>()).ok()
            })
            .collect();
    }
    if asked.simulate.is_some() {
        known.simulated = good_reply(seen, take())?.out().into_owned();
    }
    if args.has("deb") {
        known.deb = Some(reply(seen, take())?);
    }
    if asked.clock {
        let reply = good_reply(seen, take())?;
        let numbers: Vec<i64> = reply
            .out()
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect();
        known.clock = numbers
            .split_first()
            .map(|(now, times)| (*now, times.iter().copied().max().unwrap_or(0)));
    }
    Ok(known)
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let known = known(args, seen)?;
    let mut change = Change::default();
    let stale = update_wanted(args)
        && known
            .clock
            .is_none_or(|(now, fetched)| fetched + args.int("cache_valid_time").unwrap_or(0) < now);
    let mut wishes = wishes(args)?;
    let state = state(args);
    let (mut diffs, mut requests) = (Vec::new(), Vec::new());
    if let Some(path) = args.str("deb") {
        let reply = known
            .deb
            .ok_or_else(|| failed("the answer about the package file is missing"))?;
        if let Some((shown, request)) = deb::decide(args, path, reply)? {
            diffs.push(shown);
            requests.push(request);
        }
    } else if let Some(verb) = upgrade(args) {
        diffs.extend(simulated(&known.simulated));
        if !diffs.is_empty() || stale && !args.check {
            requests.push(install(args, verb, &[]));
        }
    } else if matches!(state, "build-dep" | "fixed") {
        let verb = if state == "fixed" {
            "-f install"
        } else {
            "build-dep"
        };
        let names: Vec<_> = wishes.iter().map(Wish::argument).collect();
        diffs.push(diff(format!("packages {}", names.join(" ")), "", state));
        requests.push(install(args, verb, &names));
    } else if state == "absent" {
        wishes.retain(|wish| {
            known.installed(wish).is_some() || args.bool_or("purge", false) && known.left(wish)
        });
        diffs.extend(
            wishes
                .iter()
                .map(|wish| diff(wish.subject(), known.before(wish), "absent")),
        );
        if !wishes.is_empty() {
            requests.push(remove(
                args,
                &wishes.iter().map(Wish::argument).collect::<Vec<_>>(),
            ));
        }
    } else {
        wishes.retain(|wish| known.wanted(args, wish, stale && !args.check));
        let shown: Vec<_> = wishes
            .iter()
            .filter(|wish| known.wanted(args, wish, false))
            .collect();
        diffs.extend(
            shown
                .into_iter()
                .map(|wish| diff(wish.subject(), known.before(wish), known.after(args, wish))),
        );
        if !wishes.is_empty() {
            let only = if args.bool_or("only_upgrade", false) {
                "install --only-upgrade"
            } else {
                "install"
            };
            requests.push(install(
                args,
                only,
                &wishes.iter().map(Wish::argument).collect::<Vec<_>>(),
            ));
        }
    }
    if requests.is_empty()
        && args.bool_or("autoremove", false)
        && upgrade(args).is_none()
        && !args.has("name")
    {
        diffs.extend(simulated(&known.simulated));
        if !diffs.is_empty() {
            requests.push(install(args, "autoremove", &[]));
        }
    }
    for verb in ["autoclean", "clean"] {
        if args.bool_or(verb, false) {
            requests.push(install(args, verb, &[]));
        }
    }
    if stale {
        requests.insert(0, update(args));
    }
    change.outcome = outcome(
        json!({"cache_updated": false, "cache_update_time": known.clock.map_or(0, |(_, time)| time)}),
    );
    if requests.is_empty() || args.check && diffs.is_empty() {
        return Ok(Decision::Same(change.outcome));
    }
    (change.diffs, change.requests) = (diffs, requests);
    Ok(Decision::Change(change))
}

/// `Inst name [old] (new …)` and `Remv name [old]` as differences.
fn simulated(text: &str) -> Vec<Diff> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (verb, name) = (words.next()?, words.next()?);
            let old = line
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .map_or("absent", |(old, _)| old);
            let new = line
                .split_once('(')
                .and_then(|(_, rest)| rest.split(' ').next())
                .unwrap_or("present");
            Some(diff(
                format!("package {name}"),
                old,
                if verb == "Remv" { "absent" } else { new },
            ))
        })
        .collect()
}

impl Known<'_> {
    /// The version that is installed.
    fn installed(&self, wish: &Wish) -> Option<String> {
        if wish.odd() {
            let mut all = self
                .odd
                .iter()
                .filter(|[name, arch, status, _]| wish.covers(name, arch) && is_in(status));
            return all.next().map(|[_, _, _, version]| version.clone());
        }
        self.packages
            .get(&wish.name)
            .filter(|package| is_in(&package.status))
            .map(|package| package.version.clone())
    }

    /// Whether its configuration files were left behind.
    fn left(&self, wish: &Wish) -> bool {
        self.packages
            .get(&wish.name)
            .is_some_and(|package| package.status == "config-files")
            || self
                .odd
                .iter()
                .any(|[name, arch, status, _]| wish.covers(name, arch) && status == "config-files")
    }

    /// Whether apt-get has to see to it. After an update (`fresh`) the candidates are not known.
    fn wanted(&self, args: &Args, wish: &Wish, fresh: bool) -> bool {
        let Some(version) = self.installed(wish) else {
            return !args.bool_or("only_upgrade", false);
        };
        if self
            .packages
            .get(&wish.name)
            .is_some_and(|package| !settled(&package.status))
        {
            return true;
        }
        if !wish.satisfied_by(&version) {
            return true;
        }
        state(args) == "latest"
            && !self.held(wish)
            && (fresh || self.candidate(wish).is_some_and(|new| new != version))
    }

    fn held(&self, wish: &Wish) -> bool {
        self.packages
            .get(&wish.name)
            .is_some_and(|package| package.want == "hold")
    }

    /// The candidate in `apt-cache policy`'s answer.
    fn candidate(&self, wish: &Wish) -> Option<&str> {
        let mut lines = self
            .simulated
            .lines()
            .skip_while(|line| line.trim_end_matches(':') != wish.name);
        let line = lines.find_map(|line| line.trim().strip_prefix("Candidate: "))?;
        (line != "(none)").then_some(line)
    }

    fn before(&self, wish: &Wish) -> String {
        self.installed(wish).unwrap_or_else(|| "absent".to_owned())
    }

    fn after(&self, args: &Args, wish: &Wish) -> String {
        let candidate = self.candidate(wish).filter(|_| state(args) == "latest");
        wish.version
            .clone()
            .or_else(|| candidate.map(str::to_owned))
            .unwrap_or_else(|| "present".to_owned())
    }
}

/// Whether dpkg's status means that the package is there (or half there, and needs finishing).
fn is_in(status: &str) -> bool {
    settled(status)
        || matches!(
            status,
            "unpacked"
                | "half-configured"
                | "half-installed"
                | "triggers-awaited"
                | "triggers-pending"
        )
}

/// Whether nothing is left to do. `provided`: no package of that name, but an installed one provides it.
fn settled(status: &str) -> bool {
    matches!(
        status,
        "installed" | "provided" | "triggers-awaited" | "triggers-pending"
    )
}

#[cfg(test)]
mod tests;
