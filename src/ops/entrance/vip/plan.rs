//! Whether the address may be moved, and by which steps. Pure: it decides from one look.

use super::probe::{Balancer, VipSnapshot, list};
use super::{FLAG, KIND};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Diagnostics, Refusal, exit};
use crate::modules::Request;
use crate::ops::operation::journal::{self, Header, OPERATION};
use serde_json::Value;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct MoveOptions {
    /// The host that shall have it; the ready one of the highest priority when absent.
    pub to: Option<String>,
    /// Leave the flag of the former holder set: it goes into maintenance.
    pub keep: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovePlan {
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
pub struct MoveStep {
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

impl VipSnapshot {
    /// The move that was broken off, if there is one.
    pub fn interrupted(&self) -> Option<Interrupted> {
        let mut found = Interrupted::default();
        for (host, header) in self.operations.iter().filter(|(_, h)| h["kind"] == KIND) {
            found.hosts.push(host.clone());
            found.to = header["details"]["to"].as_str().map(str::to_owned);
            found.by = by(header);
        }
        (!found.hosts.is_empty()).then_some(found)
    }
}

/// Who is at work, from the header of an operation.
pub fn by(header: &Value) -> String {
    header["operator"].as_str().unwrap_or("?").to_owned()
}

fn refused(message: impl Into<String>) -> Refusal {
    Diagnostic::refused(message)
}

/// Decides.
///
/// # Errors
/// Everything that stands against it, at once.
pub fn plan(seen: &VipSnapshot, options: &MoveOptions) -> Result<MovePlan, Vec<Diagnostic>> {
    let mut errors = Diagnostics::default();
    if let Some(to) = &options.to
        && seen.balancer(to).is_none()
    {
        let names: Vec<&str> = seen.balancers.iter().map(|b| b.host.as_str()).collect();
        errors.push(
            Diagnostic::new(format!("`{to}` cannot have the virtual address"))
                .help(format!("{} can", list(&names))),
        );
        return errors.finish(MovePlan::Nothing(String::new()));
    }
    for (host, header) in seen.operations.iter().filter(|(_, h)| h["kind"] != KIND) {
        let kind = header["kind"].as_str().unwrap_or("?");
        errors.push(
            refused(format!(
                "an operation is unfinished here: {kind} ({})",
                by(header)
            ))
            .on(host)
            .help("hactl resume takes it up; hactl status tells how far it came"),
        );
    }
    for (host, error) in &seen.lost {
        if seen.balancer(host).is_some() && options.to.as_deref() != Some(host.as_str()) {
            let mut error = error
                .clone()
                .on(host)
                .note("whether it has the address is not known, and two holders must not be made");
            error.code = exit::UNREACHABLE;
            errors.push(error);
        }
    }
    let holders = seen.holders();
    let from = match holders.as_slice() {
        [one] if seen.balancer(one).is_some() => Some((*one).to_owned()),
        [one] => {
            errors.push(
                refused(format!(
                    "{} is on {one}, which is no load balancer",
                    seen.address
                ))
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
                    .help("they do not hear each other: check the firewall (IP protocol 112) and the peers; hactl verify --only keepalived"),
            );
            None
        }
    };
    if let (Some(from), Some(to)) = (&from, &options.to)
        && from == to
        && errors.is_empty()
    {
        return Ok(MovePlan::Nothing(to.clone()));
    }
    if let Some(holder) = from.as_deref().and_then(|from| seen.balancer(from)) {
        view(seen, holder, &mut errors);
    }
    let to = target(seen, options, from.as_deref(), &mut errors);
    match (from, to) {
        (Some(from), Some(to)) if errors.is_empty() => {
            let aside = seen
                .balancers
                .iter()
                .filter(|b| b.host != from && b.host != to && !b.is_flagged() && b.lost.is_none())
                .map(|b| b.host.clone())
                .collect();
            Ok(MovePlan::Move(Moving { from, to, aside }))
        }
        _ => Err(errors.into_vec()),
    }
}

/// What the others see, and whether the holder would heed its flag.
fn view(seen: &VipSnapshot, holder: &Balancer, errors: &mut Diagnostics) {
    if holder.keepalived != "active" {
        errors.push(
            refused(format!(
                "it has {} but keepalived does not run there ({}): the flag would move nothing",
                seen.address, holder.keepalived
            ))
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
            .help("keepalived does not heed the flag: deploy again, then see journalctl -u keepalived"),
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
    seen: &VipSnapshot,
    options: &MoveOptions,
    from: Option<&str>,
    errors: &mut Diagnostics,
) -> Option<String> {
    let mut candidates: Vec<&Balancer> = seen
        .balancers
        .iter()
        .filter(|b| Some(b.host.as_str()) != from)
        .filter(|b| options.to.as_ref().is_none_or(|to| *to == b.host))
        .collect();
    if options.to.is_none() && from.is_none() {
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
            let error =
                refused(format!("it cannot take {}: {obstacle}", seen.address)).on(&candidate.host);
            let mut error = if candidate.is_flagged() {
                error.help(format!("hactl maintenance off {}", candidate.host))
            } else {
                error.help("hactl verify --only keepalived,haproxy")
            };
            if lost.is_some() {
                error.code = exit::UNREACHABLE;
            }
            errors.push(error);
        }
    }
    if candidates.is_empty() {
        errors.push(
            refused("there is no other load balancer")
                .help("the inventory's group `keepalived` needs a second host"),
        );
    }
    None
}

/// Sets the flag of a host and notes the operation before it; fails when another one is noted.
pub fn set(header: &Header) -> Request {
    Request::sh(format!(
        "umask 077; mkdir -p {0} && (set -C; cat >{OPERATION}) && sync {OPERATION} && printf '1\\n' >{FLAG}",
        crate::engine::STATE
    ))
    .stdin(journal::line(header))
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
    pub fn steps(&self, address: &str, keep: bool) -> Vec<MoveStep> {
        let step = |host: &str, what: String, command: String| MoveStep {
            host: host.to_owned(),
            what,
            command,
        };
        let put = |value: u8| format!("echo {value} >{FLAG}");
        let mut steps: Vec<MoveStep> = self
            .aside
            .iter()
            .map(|host| {
                step(
                    host,
                    "set the flag, so that it stays aside".to_owned(),
                    put(1),
                )
            })
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
mod tests;
