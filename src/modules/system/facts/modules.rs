//! The modules around facts: `setup`, `ping`, `package_facts`, `service_facts`. None of them changes a host.

use super::{facts_probe, parse_facts};
use crate::base::Result;
use crate::base::value::{Map, Value};
use crate::modules::system::support::{Simple, done, good_reply, matches, outcome, reply};
use crate::modules::{Args, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(in crate::modules::system) static SETUP: Simple = Simple {
    spec: &Spec {
        names: &[
            "setup",
            "ansible.builtin.setup",
            "ansible.legacy.setup",
            "gather_facts",
            "ansible.builtin.gather_facts",
        ],
        params: &[
            Param::new("gather_subset", Kind::List)
                .idle("all facts come with one answer, also those that are not asked for"),
            Param::new("gather_timeout", Kind::Int),
            Param::new("filter", Kind::List),
            Param::new("fact_path", Kind::Path).refused(
                "facts of the host's own making are not read; use `slurp` and `from_json`",
            ),
            Param::new("parallel", Kind::Bool).idle("there is one source of facts"),
        ],
        read_only: true,
        summary: "gathers the facts of a host",
        ..Spec::EMPTY
    },
    probe: |args| {
        let mut request = facts_probe();
        request.timeout_seconds = args
            .int("gather_timeout")
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0);
        Ok(vec![Probe::Run(request)])
    },
    diff: setup,
    finish: done,
};

fn setup(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let filters: Vec<String> = args
        .list("filter")
        .into_iter()
        .filter(|filter| !filter.is_empty())
        .collect();
    let wanted = |name: &str| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| matches(filter, name) || matches(&format!("ansible_{filter}"), name))
    };
    let facts: Map<String, Value> = parse_facts(reply(seen, 0)?)?
        .into_iter()
        .map(|(name, value)| (format!("ansible_{name}"), value))
        .filter(|(name, _)| wanted(name))
        .collect();
    Ok(Decision::Same(outcome(json!({"ansible_facts": facts}))))
}

pub(in crate::modules::system) static PING: Simple = Simple {
    spec: &Spec {
        names: &["ping", "ansible.builtin.ping"],
        params: &[Param::new("data", Kind::Str)],
        read_only: true,
        summary: "answers when the host can be reached",
        ..Spec::EMPTY
    },
    probe: |_| Ok(vec![Probe::Run(Request::sh("true"))]),
    diff: |args, seen| {
        good_reply(seen, 0)?;
        Ok(Decision::Same(outcome(
            json!({"ping": args.str_or("data", "pong")}),
        )))
    },
    finish: done,
};

pub(in crate::modules::system) static PACKAGE_FACTS: Simple = Simple {
    spec: &Spec {
        names: &["package_facts", "ansible.builtin.package_facts"],
        params: &[
            Param::new("manager", Kind::List)
                .choices(&["apt", "auto"])
                .idle("apt is the manager of all hosts"),
            Param::new("strategy", Kind::Str)
                .choices(&["all", "first"])
                .idle("apt is the only manager, the first and all of them"),
        ],
        read_only: true,
        summary: "lists the installed packages as facts",
        ..Spec::EMPTY
    },
    probe: |_| {
        let format =
            "${db:Status-Status} ${Package} ${Version} ${Architecture} ${Section} ${Origin}\\n";
        Ok(vec![Probe::Run(Request::sh(format!(
            "dpkg-query -W -f '{format}'"
        )))])
    },
    diff: |_, seen| {
        let mut packages = Map::new();
        for line in good_reply(seen, 0)?.out().lines() {
            let words: Vec<&str> = line.splitn(6, ' ').collect();
            let ["installed", name, version, arch, section, origin] = words[..] else {
                continue;
            };
            let fact = json!({
                "name": name, "version": version, "arch": arch, "category": section, "origin": origin, "source": "apt",
            });
            if let Some(list) = packages
                .entry(name)
                .or_insert_with(|| json!([]))
                .as_array_mut()
            {
                list.push(fact);
            }
        }
        Ok(Decision::Same(outcome(
            json!({"ansible_facts": {"packages": packages}}),
        )))
    },
    finish: done,
};

const SERVICES: &str = "export LC_ALL=C SYSTEMD_COLORS=0 SYSTEMD_PAGER=\n\
    systemctl list-units --no-pager --no-legend --plain --type service --all\necho @@\n\
    systemctl list-unit-files --no-pager --no-legend --type service --all";

pub(in crate::modules::system) static SERVICE_FACTS: Simple = Simple {
    spec: &Spec {
        names: &["service_facts", "ansible.builtin.service_facts"],
        read_only: true,
        summary: "lists the services as facts",
        ..Spec::EMPTY
    },
    probe: |_| Ok(vec![Probe::Run(Request::sh(SERVICES))]),
    diff: |_, seen| {
        let reply = good_reply(seen, 0)?;
        let text = reply.out();
        let (units, files) = text.split_once("@@\n").unwrap_or((&text, ""));
        let mut services = Map::new();
        for line in files.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(status)) = (words.next(), words.next()) {
                services.insert(
                    name.to_owned(),
                    json!({"name": name, "state": "inactive", "status": status, "source": "systemd"}),
                );
            }
        }
        for line in units.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, load, active, sub, ..] = words[..] else {
                continue;
            };
            let state = match (sub, active) {
                ("running", _) => "running",
                (_, "failed") => "failed",
                _ if load == "not-found" => "inactive",
                _ => "stopped",
            };
            let fallback = if load == "not-found" {
                "not-found"
            } else {
                "static"
            };
            let status = services
                .get(name)
                .and_then(|fact| fact["status"].as_str())
                .unwrap_or(fallback)
                .to_owned();
            services.insert(
                name.to_owned(),
                json!({"name": name, "state": state, "status": status, "source": "systemd"}),
            );
        }
        Ok(Decision::Same(outcome(
            json!({"ansible_facts": {"services": services}}),
        )))
    },
    finish: done,
};
