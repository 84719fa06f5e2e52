//! Whether the address may be moved, and by which steps. Pure: it decides from one look.

use super::look::{Balancer, Look, list};
use super::{FLAG, KIND, OPERATION};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Diagnostics, exit};
use crate::modules::Request;
use serde_json::Value;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The host that shall have it; the ready one of the highest priority when absent.
    pub to: Option<String>,
    /// Leave the flag of the former holder set: it goes into maintenance.
    pub keep: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It is there already; the holder.
    Nothing(String),
    /// It is to be moved.
    Move(Moving),
}

/// A move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// The holder.
    pub from: String,
    /// The next one.
    pub to: String,
    /// Others that must not take it meanwhile.
    pub aside: Vec<String>,
}

/// A step of a plan, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub host: String,
    /// What.
    pub what: String,
    /// The command; empty when it is only looked.
    pub command: String,
}

/// A move that was broken off by the death of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interrupted {
    /// The hosts on which it is noted.
    pub hosts: Vec<String>,
    /// Where it was to go.
    pub to: Option<String>,
    /// `OPERATOR from MACHINE, since THEN`.
    pub by: String,
}

impl Look {
    /// The move that was broken off, if there is one.
    pub fn interrupted(&self) -> Option<Interrupted> {
        let mut found = Interrupted::default();
        for (host, header) in self.operations.iter().filter(|(_, h)| h["kind"] == KIND) {
            found.hosts.push(host.clone());
            found.to = header["to"].as_str().map(str::to_owned);
            found.by = by(header);
        }
        (!found.hosts.is_empty()).then_some(found)
    }
}

/// Who is at work, from the header of an operation.
pub fn by(header: &Value) -> String {
    let text = |key: &str| header[key].as_str().unwrap_or("?").to_owned();
    format!(
        "{} from {}, since {}",
        text("operator"),
        text("from"),
        text("started")
    )
}

fn refused(message: impl Into<String>) -> Diagnostic {
    Diagnostic::with_code(exit::REFUSED, message)
}

/// Decides.
///
/// # Errors
/// Everything that stands against it, at once.
pub fn plan(seen: &Look, wish: &Wish) -> Result<Plan, Vec<Diagnostic>> {
    let mut errors = Diagnostics::default();
    if let Some(to) = &wish.to
        && seen.balancer(to).is_none()
    {
        let names: Vec<&str> = seen.balancers.iter().map(|b| b.host.as_str()).collect();
        errors.push(
            Diagnostic::new(format!("`{to}` cannot have the virtual address"))
                .help(format!("{} can", list(&names))),
        );
        return errors.finish(Plan::Nothing(String::new()));
    }
    for (host, header) in seen.operations.iter().filter(|(_, h)| h["kind"] != KIND) {
        let kind = header["kind"].as_str().unwrap_or("?");
        errors.push(
            refused(format!("an operation is unfinished here: {kind} ({})", by(header)))
                .on(host)
                .help("hactl resume takes it up; hactl status tells how far it came"),
        );
    }
    for (host, error) in &seen.lost {
        if seen.balancer(host).is_some() && wish.to.as_deref() != Some(host.as_str()) {
            let mut error = error.clone().on(host).note(
                "whether it has the address is not known, and two holders must not be made",
            );
            error.code = exit::UNREACHABLE;
            errors.push(error);
        }
    }
    let holders = seen.holders();
    let from = match holders.as_slice() {
        [one] if seen.balancer(one).is_some() => Some((*one).to_owned()),
        [one] => {
            errors.push(
                refused(format!("{} is on {one}, which is no load balancer", seen.address))
                    .help("ip addr del there, if it was set by hand"),
            );
            None
        }
        [] => {
            errors.push(
                refused(format!("no host has {}: there is nothing to move", seen.address))
                    .help("hactl vip status shows what keeps each of them from it; journalctl -u keepalived"),
            );
            None
        }
        many => {
            errors.push(
                refused(format!("{} is on {}: one holder is needed", seen.address, list(many)))
                    .help("they do not hear each other: look at the firewall (IP protocol 112) and the peers; hactl verify --only keepalived"),
            );
            None
        }
    };
    if let (Some(from), Some(to)) = (&from, &wish.to)
        && from == to
        && errors.is_empty()
    {
        return Ok(Plan::Nothing(to.clone()));
    }
    if let Some(holder) = from.as_deref().and_then(|from| seen.balancer(from)) {
        view(seen, holder, &mut errors);
    }
    let to = target(seen, wish, from.as_deref(), &mut errors);
    match (from, to) {
        (Some(from), Some(to)) if errors.is_empty() => {
            let aside = seen
                .balancers
                .iter()
                .filter(|b| b.host != from && b.host != to && !b.is_flagged() && b.lost.is_none())
                .map(|b| b.host.clone())
                .collect();
            Ok(Plan::Move(Moving { from, to, aside }))
        }
        _ => Err(errors.into_vec()),
    }
}

/// What the others see, and whether the holder would heed its flag.
fn view(seen: &Look, holder: &Balancer, errors: &mut Diagnostics) {
    if holder.keepalived != "active" {
        errors.push(
            refused(format!("it has {} but keepalived does not run there ({}): the flag would move nothing", seen.address, holder.keepalived))
                .on(&holder.host)
                .help("systemctl start keepalived there"),
        );
    }
    if holder.is_flagged() {
        errors.push(
            refused(format!(
                "its flag {FLAG} is {}, and still it has {}",
                holder.flag, seen.address
            ))
            .on(&holder.host)
            .help("keepalived does not heed the flag: deploy again, then look at journalctl -u keepalived"),
        );
    }
    for viewer in &seen.viewers {
        if let Err(why) = &viewer.answer {
            errors.push(
                refused(format!("{} gives no answer there: {why}", seen.address))
                    .on(&viewer.host)
                    .help("the service must answer before its address is moved, or the move could not be judged; hactl verify"),
            );
        } else if viewer.mac.is_some() && seen.place_of(viewer) != Some(holder.host.as_str()) {
            errors.push(
                refused(format!(
                    "{} is found at {} there, while {} has it",
                    seen.address,
                    seen.place_of(viewer)
                        .or(viewer.mac.as_deref())
                        .unwrap_or("?"),
                    holder.host
                ))
                .on(&viewer.host)
                .help("two holders, or a stale neighbour entry: hactl verify --only keepalived"),
            );
        }
    }
}

/// The one that shall have it. What keeps it from it is an error.
fn target(
    seen: &Look,
    wish: &Wish,
    from: Option<&str>,
    errors: &mut Diagnostics,
) -> Option<String> {
    let mut candidates: Vec<&Balancer> = seen
        .balancers
        .iter()
        .filter(|b| Some(b.host.as_str()) != from)
        .filter(|b| wish.to.as_ref().is_none_or(|to| *to == b.host))
        .collect();
    if wish.to.is_none() && from.is_none() {
        // Who could take it is only a question when somebody has it.
        return None;
    }
    candidates.sort_by_key(|b| std::cmp::Reverse(b.priority));
    if let Some(ready) = candidates.iter().find(|b| b.obstacles().is_empty()) {
        return Some(ready.host.clone());
    }
    for candidate in &candidates {
        let lost = seen.lost.iter().find(|(host, _)| *host == candidate.host);
        for obstacle in candidate.obstacles() {
            let mut error = refused(format!("it cannot take {}: {obstacle}", seen.address))
                .on(&candidate.host);
            if lost.is_some() {
                error.code = exit::UNREACHABLE;
            }
            errors.push(if candidate.is_flagged() {
                error.help(format!("hactl maintenance off {}", candidate.host))
            } else {
                error.help("hactl verify --only keepalived,haproxy")
            });
        }
    }
    if candidates.is_empty() {
        errors.push(refused("there is no other load balancer"));
    }
    None
}

/// Sets the flag of a host and notes the operation before it; fails when another one is noted.
pub fn set(header: &str) -> Request {
    Request::sh(format!(
        "umask 077; mkdir -p {0} && (set -C; cat >{OPERATION}) && sync {OPERATION} && printf '1\\n' >{FLAG}",
        crate::engine::STATE
    ))
    .stdin(header)
}

/// Clears the flag of a host, and then what was noted.
pub fn clear() -> Request {
    Request::sh(format!("printf '0\\n' >{FLAG} && {}", forget()))
}

/// Takes away what was noted of a move, if it is noted.
pub fn forget() -> String {
    format!(
        "if grep -q {} {OPERATION} 2>/dev/null; then rm -f {OPERATION}; fi",
        sh(&format!("\"kind\":\"{KIND}\""))
    )
}

impl Moving {
    /// The steps, for people.
    pub fn steps(&self, address: &str, keep: bool) -> Vec<Step> {
        let step = |host: &str, what: String, command: String| Step {
            host: host.to_owned(),
            what,
            command,
        };
        let put = |value: u8| format!("echo {value} >{FLAG}");
        let mut steps: Vec<Step> = self
            .aside
            .iter()
            .map(|host| step(host, "set the flag, so that it stays aside".to_owned(), put(1)))
            .collect();
        steps.push(step(
            &self.from,
            format!("set the flag: keepalived gives {address} up"),
            put(1),
        ));
        steps.push(step(
            &self.to,
            format!("wait until it has {address}, alone, and requests are answered there"),
            String::new(),
        ));
        let others = self.aside.iter().chain((!keep).then_some(&self.from));
        steps.extend(others.map(|host| step(host, "clear the flag".to_owned(), put(0))));
        steps.push(step(
            &self.to,
            format!("see that {address} stays"),
            String::new(),
        ));
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Viewer;
    use super::*;
    use serde_json::json;

    fn ready(host: &str, priority: u8) -> Balancer {
        Balancer {
            host: host.to_owned(),
            flag: "0".to_owned(),
            keepalived: "active".to_owned(),
            haproxy: "active".to_owned(),
            check: Some(0),
            priority: Some(priority),
            state: Some("BACKUP".to_owned()),
            ..Balancer::default()
        }
    }

    /// lb1 has it, lb2 and lb3 could, and two others see that.
    fn whole() -> Look {
        let mut one = ready("lb1", 254);
        one.holds = true;
        one.mac = Some("5a:01".to_owned());
        let viewer = |host: &str| Viewer {
            host: host.to_owned(),
            mac: Some("5a:01".to_owned()),
            answer: Ok(200),
        };
        Look {
            address: "192.0.2.10".to_owned(),
            balancers: vec![one, ready("lb2", 244), ready("lb3", 234)],
            strays: Vec::new(),
            viewers: vec![viewer("app1"), viewer("db1")],
            operations: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn to(host: &str) -> Wish {
        Wish {
            to: Some(host.to_owned()),
            keep: false,
        }
    }

    #[test]
    fn the_next_one_is_the_ready_one_of_the_highest_priority() {
        let moving = |plan| match plan {
            Ok(Plan::Move(moving)) => moving,
            other => panic!("{other:?}"),
        };
        let mut seen = whole();
        assert_eq!(seen.objection("lb1"), None);
        let found = moving(plan(&seen, &Wish::default()));
        assert_eq!((found.to.as_str(), &found.aside[..]), ("lb2", &["lb3".to_owned()][..]));
        seen.balancers[1].check = Some(1);
        assert_eq!(moving(plan(&seen, &Wish::default())).to, "lb3");
        let found = moving(plan(&whole(), &to("lb3")));
        assert_eq!((found.to.as_str(), &found.aside[..]), ("lb3", &["lb2".to_owned()][..]));
        assert_eq!(plan(&whole(), &to("lb1")), Ok(Plan::Nothing("lb1".to_owned())));
    }

    #[test]
    fn everything_that_stands_against_it_is_said_at_once() {
        type Change = fn(&mut Look);
        let cases: &[(&str, Change, &[&str])] = &[
            ("keepalived", |l| l.balancers[1].keepalived = "inactive".into(), &["lb2: it cannot take 192.0.2.10: keepalived does not run there (inactive)"]),
            ("haproxy and check", |l| { l.balancers[1].haproxy = "failed".into(); l.balancers[1].check = Some(1); },
                &["lb2: it cannot take 192.0.2.10: HAProxy does not run there (failed)", "lb2: it cannot take 192.0.2.10: keepalived's check of HAProxy fails there (exit code 1)"]),
            ("flag", |l| l.balancers[1].flag = "1".into(), &["lb2: it cannot take 192.0.2.10: its flag /etc/keepalived/maintenance is 1, not 0"]),
            ("fault", |l| l.balancers[1].state = Some("FAULT".into()), &["lb2: it cannot take 192.0.2.10: keepalived noted a fault there and no end of it"]),
            ("two", |l| l.balancers[2].holds = true, &["192.0.2.10 is on lb1 and lb3: one holder is needed"]),
            ("none", |l| l.balancers[0].holds = false, &["no host has 192.0.2.10: there is nothing to move"]),
            ("stray", |l| { l.balancers[0].holds = false; l.strays.push("db1".into()); }, &["192.0.2.10 is on db1, which is no load balancer"]),
            ("answer", |l| l.viewers[1].answer = Err("connection refused".into()), &["db1: 192.0.2.10 gives no answer there: connection refused"]),
            ("neighbour", |l| l.viewers[0].mac = Some("5a:99".into()), &["app1: 192.0.2.10 is found at 5a:99 there, while lb1 has it"]),
            ("operation", |l| l.operations.push(("db1".into(), json!({"kind": "failover", "operator": "ann", "from": "desk", "started": "now"}))),
                &["db1: an operation is unfinished here: failover (ann from desk, since now)"]),
            ("unheeded", |l| l.balancers[0].flag = "1".into(), &["lb1: its flag /etc/keepalived/maintenance is 1, and still it has 192.0.2.10"]),
            ("dead holder", |l| l.balancers[0].keepalived = "inactive".into(), &["lb1: it has 192.0.2.10 but keepalived does not run there (inactive): the flag would move nothing"]),
        ];
        for (name, change, expected) in cases {
            let mut seen = whole();
            change(&mut seen);
            let errors = plan(&seen, &to("lb2")).expect_err(name);
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            for text in *expected {
                assert!(said.iter().any(|line| line == text), "{name}: {said:#?}");
            }
            assert!(errors.iter().all(|e| e.code == exit::REFUSED), "{name}");
        }
        let mut seen = whole();
        for (_, change, _) in cases {
            change(&mut seen);
        }
        assert!(plan(&seen, &to("lb2")).expect_err("much").len() >= 7);
        let mut seen = whole();
        seen.balancers[1].lost = Some("no route".to_owned());
        seen.lost.push(("lb2".to_owned(), Diagnostic::new("no route")));
        for wish in [to("lb2"), to("lb3"), Wish::default()] {
            let errors = plan(&seen, &wish).expect_err("unreachable");
            assert!(errors.iter().any(|e| e.code == exit::UNREACHABLE), "{errors:?}");
        }
        assert_eq!(plan(&whole(), &to("db1")).expect_err("unknown")[0].code, exit::USAGE);
    }

    #[test]
    fn a_move_that_was_broken_off_is_told_from_other_operations() {
        let mut seen = whole();
        assert_eq!(seen.interrupted(), None);
        seen.operations.push((
            "lb1".to_owned(),
            json!({"kind": KIND, "to": "lb2", "operator": "ann", "from": "desk", "started": "then"}),
        ));
        let found = seen.interrupted().expect("one");
        assert_eq!(found.hosts, ["lb1"]);
        assert_eq!(found.to.as_deref(), Some("lb2"));
        assert_eq!(found.by, "ann from desk, since then");
        assert!(plan(&seen, &to("lb2")).is_ok());
    }

    #[test]
    fn the_plan_names_every_command() {
        let Ok(Plan::Move(moving)) = plan(&whole(), &to("lb2")) else {
            panic!("a move");
        };
        let steps = moving.steps("192.0.2.10", false);
        let commands: Vec<(&str, &str)> = steps
            .iter()
            .map(|s| (s.host.as_str(), s.command.as_str()))
            .collect();
        assert_eq!(
            commands,
            [
                ("lb3", "echo 1 >/etc/keepalived/maintenance"),
                ("lb1", "echo 1 >/etc/keepalived/maintenance"),
                ("lb2", ""),
                ("lb3", "echo 0 >/etc/keepalived/maintenance"),
                ("lb1", "echo 0 >/etc/keepalived/maintenance"),
                ("lb2", "")
            ]
        );
        assert_eq!(moving.steps("192.0.2.10", true).len(), 5);
    }
}
