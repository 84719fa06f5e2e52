//! Services: `systemd`, `systemd_service`, `service`.
//!
//! Decides from `systemctl show`; a unit is acted on only when it is not as wished. When a start fails, the error
//! carries the unit's own last words from the journal.

use super::support::{Simple, diff, failed, outcome, properties, tail};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Decision, Diff, Kind, Outcome, Param, Probe, Reply, Seen, Spec,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STATES: &[&str] = &["started", "stopped", "restarted", "reloaded"];
/// Stands before the exit code of `systemctl` in the output of a failed step.
const FAILED_MARK: &str = "hactl: failed step: ";

/// What `systemd` takes; `service` passes all of it on.
macro_rules! with_systemd {
    ($($own:expr),* $(,)?) => {
        &[
            $($own,)*
            Param::new("name", Kind::Str).aliases(&["service", "unit"]),
            Param::new("state", Kind::Str).choices(STATES),
            Param::new("enabled", Kind::Bool),
            Param::new("masked", Kind::Bool),
            Param::new("force", Kind::Bool),
            Param::new("daemon_reload", Kind::Bool).aliases(&["daemon-reload"]),
            Param::new("daemon_reexec", Kind::Bool).aliases(&["daemon-reexec"]),
            Param::new("scope", Kind::Str)
                .choices(&["system"])
                .idle("it is the system's manager that is asked"),
            Param::new("no_block", Kind::Bool),
        ]
    };
}

/// Why options of other init systems change nothing.
const OTHER_INIT: &str = "systemd does not use it";

pub(super) static SYSTEMD: Simple = Simple {
    spec: &Spec {
        names: &[
            "systemd_service",
            "systemd",
            "ansible.builtin.systemd",
            "ansible.builtin.systemd_service",
            "ansible.legacy.systemd",
        ],
        params: with_systemd!(),
        summary: "starts, stops, enables and masks systemd units",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

pub(super) static SERVICE: Simple = Simple {
    spec: &Spec {
        names: &[
            "service",
            "ansible.builtin.service",
            "ansible.legacy.service",
        ],
        params: with_systemd!(
            Param::new("sleep", Kind::Int),
            Param::new("pattern", Kind::Str).idle(OTHER_INIT),
            Param::new("runlevel", Kind::Str).idle(OTHER_INIT),
            Param::new("arguments", Kind::Str)
                .aliases(&["args"])
                .idle(OTHER_INIT),
            Param::new("use", Kind::Str)
                .choices(&["auto", "service", "systemd"])
                .idle("all hosts have systemd"),
        ),
        summary: "starts, stops and enables services",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// Fails where there is no such unit.
const LOOK: &str = "systemctl cat -- ";

const SUFFIXES: &[&str] = &[
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// The full name of a unit: `haproxy` is `haproxy.service`.
pub(super) fn unit_name(name: &str) -> String {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let Some(name) = args.str("name") else {
        for needs in ["state", "enabled", "masked"] {
            if args.has(needs) {
                return Err(Diagnostic::new(format!(
                    "`{needs}` needs the parameter `name`"
                )));
            }
        }
        return Ok(Vec::new());
    };
    if name.is_empty() || name.contains(['*', '?', '[', ' ', '/']) || name.starts_with('-') {
        return Err(Diagnostic::new(format!(
            "`{}` is not the name of one unit",
            quote::for_terminal(name)
        )));
    }
    Ok(vec![Probe::Unit(unit_name(name))])
}

/// What `systemctl show` said, in the words of the module.
struct Unit<'a> {
    name: String,
    properties: &'a BTreeMap<String, String>,
}

impl Unit<'_> {
    fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    fn known(&self) -> bool {
        !matches!(self.property("LoadState"), "not-found" | "")
    }

    fn masked(&self) -> bool {
        self.property("LoadState") == "masked"
            || self.property("UnitFileState").starts_with("masked")
    }

    fn running(&self) -> bool {
        matches!(
            self.property("ActiveState"),
            "active" | "activating" | "reloading" | "refreshing"
        )
    }

    /// As `systemctl is-enabled` exits, except that `alias`, `indirect` and what only holds until the
    /// next start of the host count as not enabled, as in Ansible.
    fn enabled(&self) -> bool {
        matches!(
            self.property("UnitFileState"),
            "enabled" | "static" | "generated" | "transient"
        )
    }
}

/// Steps and what they change.
struct Plan {
    diffs: Vec<Diff>,
    /// Arguments of `systemctl` that change which units there are, and which are started at boot.
    files: Vec<String>,
    /// What is done to the unit itself, after that.
    steps: Vec<String>,
}

impl Plan {
    /// The first steps. systemd reads all units anew after each of them unless it is told not to; once, at the end, is enough.
    fn first(&self, reload: bool) -> Vec<String> {
        let last = self.files.len().saturating_sub(1);
        let step = |(index, words): (usize, &String)| {
            if reload || index < last {
                format!("systemctl --no-reload {words}")
            } else {
                format!("systemctl {words}")
            }
        };
        let mut steps: Vec<String> = self.files.iter().enumerate().map(step).collect();
        if reload {
            steps.push("systemctl daemon-reload".to_owned());
        }
        steps
    }
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let mut steps = Vec::new();
    let reload_wanted = args.bool_or("daemon_reload", false);
    if args.bool_or("daemon_reexec", false) {
        steps.push("systemctl daemon-reexec".to_owned());
    }
    let Some(name) = args.str("name") else {
        if reload_wanted {
            steps.push("systemctl daemon-reload".to_owned());
        }
        let shown = outcome(json!({"name": null, "changed": false, "status": {}}));
        if steps.is_empty() || args.check {
            return Ok(Decision::Same(shown));
        }
        return Ok(Decision::Change(Change {
            diffs: Vec::new(),
            requests: vec![args.request(guarded(&steps, None))],
            outcome: shown,
        }));
    };
    let properties = properties(seen, 0)?;
    let unit = Unit {
        name: unit_name(name),
        properties,
    };
    if properties.is_empty() {
        return Err(
            failed(format!("systemd did not answer about `{}`", unit.name))
                .help("does systemd run on this host?"),
        );
    }
    let plan = if unit.known() {
        plan(args, &unit)?
    } else if args.check {
        let wished = [
            args.str("state"),
            args.bool("enabled")
                .map(|on| if on { "enabled" } else { "disabled" }),
        ];
        let wished = wished.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Plan {
            diffs: vec![diff(format!("unit {}", unit.name), "not there yet", wished)],
            files: Vec::new(),
            steps: Vec::new(),
        }
    } else if reload_wanted {
        // A unit that a generator makes, as one for a line of fstab, is there only after the reload.
        plan(args, &unit)?
    } else {
        return Err(missing(&unit.name));
    };
    let stale = unit.property("NeedDaemonReload") == "yes" || !unit.known();
    let idle = plan.files.is_empty() && plan.steps.is_empty();
    let reload = reload_wanted && (stale || !idle);
    steps.extend(plan.first(reload));
    if reload && !unit.known() {
        steps.push(format!("{LOOK}{} >/dev/null", quote::sh(&unit.name)));
    }
    let changes = !plan.diffs.is_empty();
    steps.extend(plan.steps);
    let mut shown = outcome_of(args, name, &unit);
    if !changes && (steps.is_empty() || args.check) {
        return Ok(Decision::Same(shown));
    }
    if !changes {
        shown.insert("changed".into(), false.into());
    }
    let request = args.request(guarded(&steps, Some(&unit.name)));
    Ok(Decision::Change(Change {
        diffs: plan.diffs,
        requests: vec![request],
        outcome: shown,
    }))
}

fn missing(unit: &str) -> Diagnostic {
    failed(format!("there is no unit `{unit}` on this host"))
        .help("install its package first, or check the name with `systemctl list-unit-files`")
}

fn plan(args: &Args, unit: &Unit) -> Result<Plan> {
    let subject = format!("unit {}", unit.name);
    let word = quote::sh(&unit.name);
    let mut plan = Plan {
        diffs: Vec::new(),
        files: Vec::new(),
        steps: Vec::new(),
    };
    let mut masked = unit.masked();
    if let Some(wished) = args.bool("masked").filter(|wished| *wished != masked) {
        let (verb, before, after) = if wished {
            ("mask", "not masked", "masked")
        } else {
            ("unmask", "masked", "not masked")
        };
        let force = if wished && args.bool_or("force", false) {
            " --force"
        } else {
            ""
        };
        plan.files.push(format!("{verb}{force} {word}"));
        plan.diffs.push(diff(&subject, before, after));
        masked = wished;
    }
    let starts = matches!(
        args.str("state"),
        Some("started" | "restarted" | "reloaded")
    );
    if masked && (starts && !unit.running() || args.bool("enabled") == Some(true)) {
        return Err(failed(format!(
            "the unit `{}` is masked, so it cannot be started or enabled",
            unit.name
        ))
        .help("add `masked: false` when it is meant to run"));
    }
    if let Some(wished) = args
        .bool("enabled")
        .filter(|wished| *wished != unit.enabled() && (*wished || !masked))
    {
        let (verb, after) = if wished {
            ("enable", "enabled")
        } else {
            ("disable", "disabled")
        };
        let before = match unit.property("UnitFileState") {
            "" => "not enabled",
            state => state,
        };
        let force = if wished && args.bool_or("force", false) {
            " --force"
        } else {
            ""
        };
        plan.files.push(format!("{verb}{force} {word}"));
        plan.diffs.push(diff(&subject, before, after));
    }
    if let Some(state) = args.str("state") {
        let running = unit.running();
        let verb = match state {
            "started" if !running => "start",
            "stopped" if running || unit.property("ActiveState") == "deactivating" => "stop",
            "restarted" => "restart",
            "reloaded" if running => "reload",
            "reloaded" => "start",
            _ => return Ok(plan),
        };
        let block = if args.bool_or("no_block", false) {
            " --no-block"
        } else {
            ""
        };
        match (verb, args.int("sleep")) {
            ("restart", Some(seconds)) if seconds > 0 => {
                plan.steps.push(format!("systemctl stop {word}"));
                plan.steps.push(format!("sleep {seconds}"));
                plan.steps.push(format!("systemctl start {word}"));
            }
            _ => plan.steps.push(format!("systemctl{block} {verb} {word}")),
        }
        plan.diffs
            .push(diff(subject, unit.property("ActiveState"), state));
    }
    Ok(plan)
}

/// The steps in order; the first that fails tells why and ends them.
fn guarded(steps: &[String], unit: Option<&str>) -> String {
    let mut script = String::from("export LC_ALL=C SYSTEMD_PAGER= SYSTEMD_COLORS=0\n");
    let why = unit.map_or_else(String::new, |unit| {
        let word = quote::sh(unit);
        format!(
            "systemctl show -p ActiveState,SubState,Result,ExecMainStatus {word} 2>/dev/null | tr '\\n' ' ' >&2; echo >&2\n\
             journalctl -u {word} -n 10 --no-pager -o cat 2>/dev/null >&2\n"
        )
    });
    let _ = writeln!(
        script,
        "failed() {{
echo \"{FAILED_MARK}$2\" >&2
{why}exit \"$1\"
}}"
    );
    for step in steps {
        let _ = writeln!(script, "{step} || failed $? {}", quote::sh(step));
    }
    script
}

fn outcome_of(args: &Args, name: &str, unit: &Unit) -> Outcome {
    let state = args.str("state").map(|state| {
        if matches!(state, "stopped") {
            "stopped"
        } else {
            "started"
        }
    });
    let status: Value = unit
        .properties
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect();
    let mut shown = outcome(json!({"name": name, "status": status}));
    if let Some(state) = state {
        shown.insert("state".into(), state.into());
    }
    if let Some(enabled) = args.bool("enabled") {
        shown.insert("enabled".into(), enabled.into());
    }
    shown
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let Some(reply) = replies.iter().find(|reply| reply.code != 0) else {
        return Ok(change.outcome.clone());
    };
    let text = reply.err();
    let unit = args
        .str("name")
        .map_or_else(|| "systemd".to_owned(), unit_name);
    let step = text
        .lines()
        .find_map(|line| line.strip_prefix(FAILED_MARK))
        .unwrap_or("systemctl")
        .to_owned();
    let said = text
        .lines()
        .filter(|line| !line.starts_with(FAILED_MARK))
        .collect::<Vec<_>>()
        .join("\n");
    if step.starts_with(LOOK) {
        return Err(missing(&unit));
    }
    let doing = step
        .split_whitespace()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .unwrap_or("change");
    Err(failed(format!("`{unit}` did not {doing}"))
        .note(format!("{step} ended with exit code {}", reply.code))
        .note(tail(&said, 20))
        .help(format!(
            "on the host: systemctl status {unit}; journalctl -u {unit} -n 50"
        )))
}

#[cfg(test)]
mod tests;
