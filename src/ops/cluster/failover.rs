//! Failover: a replica becomes the primary because the primary is dead.
//!
//! Nothing is promoted while another server may take writes: the old primary is proven dead from two viewpoints, or stopped
//! and fenced, or the operator says that it is (`--unfenced-ok`). Losing data is a consent of its own.

use super::condition::Conditions;
use super::death::{self, Proof, Verdict};
use super::lsn::Lsn;
use super::node::{Live, Node, PeerView};
use super::operation::Step;
use super::scripts::Server;
use super::switchover::{Cast, after_promotion, plain, server};
use super::view::{Cluster, strangers};
use crate::base::quote::sh;
use crate::base::value::to_bool;
use crate::base::{Diagnostic, exit};
use crate::ops::hosts::Site;
use crate::ops::journal;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own on the command line: consents are never merged.
pub struct Wishes {
    /// The host to promote; the best replica when none is named.
    pub promote: Option<String>,
    /// Data may be lost.
    pub allow_data_loss: bool,
    /// The old primary is dead although that cannot be proven.
    pub unfenced_ok: bool,
    /// A server that takes connections and does not answer is killed.
    pub kill_frozen: bool,
    /// A second failover within the hour.
    pub again: bool,
}

/// No second failover within so many seconds (orchestrator's default): who fails over twice in an hour has another problem.
pub const FLAP: u64 = 3600;
/// Bytes that may wait to be replayed: promotion waits for all of them.
const BACKLOG: u64 = 256 << 20;

/// How the old primary is kept from taking writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// On its host: stopped, disabled, masked.
    Inside,
    /// By a command on this machine (hypervisor, IPMI, cloud), and blocked by all that serve clients.
    Command,
    /// Blocked by all that serve clients.
    Blocked,
}

impl Fence {
    /// Its word in journals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Command => "command",
            Self::Blocked => "blocked",
        }
    }

    /// From a journal; what is not known is the weakest.
    pub fn from_word(word: &str) -> Self {
        match word {
            "inside" => Self::Inside,
            "command" => Self::Command,
            _ => Self::Blocked,
        }
    }
}

/// What may be lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Bytes of log; none when it cannot be known.
    pub bytes: Option<u64>,
    /// Seconds between the last word of the old primary and now.
    pub seconds: Option<f64>,
    /// In words.
    pub said: String,
}

/// What was found out and decided.
#[derive(Debug)]
pub struct Assessment {
    /// Who takes over from whom.
    pub cast: Cast,
    /// Whether the old one is dead.
    pub proof: Proof,
    /// How it is fenced.
    pub fence: Fence,
    /// What may be lost.
    pub loss: Loss,
    /// What must hold.
    pub conditions: Conditions,
}

/// The primary that was: the host that the replicas follow, or the only one that is no replica.
///
/// # Errors
/// When it cannot be told.
pub fn old_primary(cluster: &Cluster) -> Result<String, Diagnostic> {
    if let [(host, _)] = cluster.primaries().as_slice() {
        return Ok((*host).to_owned());
    }
    if cluster.primaries().len() > 1 {
        return super::switchover::the_primary(cluster).map(str::to_owned);
    }
    let followed: Vec<&str> = cluster
        .standbys()
        .iter()
        .filter_map(|(_, node)| cluster.followed_by(node))
        .collect();
    let mut rest = cluster
        .members
        .iter()
        .map(|member| member.host.as_str())
        .filter(|host| cluster.node(host).is_none_or(|node| !node.is_standby()));
    let guess = followed
        .first()
        .copied()
        .filter(|host| cluster.node(host).is_none_or(|node| !node.is_standby()));
    match guess.or_else(|| rest.next()) {
        Some(host) => Ok(host.to_owned()),
        None => Err(
            Diagnostic::with_code(exit::REFUSED, "it cannot be told who the primary was")
                .note("every database host answers as a replica")
                .help("hactl status; if an operation is unfinished: hactl resume"),
        ),
    }
}

/// Looks at everything. `outsiders` are the other hosts of the service and what they see of the old primary's port;
/// `log_end` is how far the old primary's log goes, when its host could be asked.
///
/// # Errors
/// When it cannot even be said who would take over from whom.
pub fn assess(
    site: &Site,
    cluster: &Cluster,
    old: &str,
    outsiders: &[(String, PeerView)],
    log_end: Option<Lsn>,
    wishes: &Wishes,
) -> Result<Assessment, Vec<Diagnostic>> {
    let one = |error| vec![error];
    let proof = death::judge(cluster, old, outsiders);
    let candidate = match &wishes.promote {
        Some(host) if cluster.member(host).is_none() => {
            let names: Vec<&str> = cluster
                .members
                .iter()
                .map(|member| member.host.as_str())
                .collect();
            return Err(one(Diagnostic::new(format!(
                "`{host}` is no host of the group postgresql"
            ))
            .help(format!(
                "there are: {}; or `replica` for the best one",
                names.join(", ")
            ))));
        }
        Some(host) if host == old && proof.verdict != Verdict::Alive => {
            return Err(one(Diagnostic::with_code(exit::REFUSED, format!("{host} is the primary that is to be replaced"))
                .note(proof.to_string())
                .help(format!("to bring it back: hactl run -l {host} -- systemctl start postgresql; to replace it: hactl failover --promote replica"))));
        }
        Some(host) => host.clone(),
        None => best(cluster)
            .map_or_else(|| Err(one(no_replica(cluster))), |host| Ok(host.to_owned()))?,
    };
    if candidate == old {
        return Err(one(Diagnostic::with_code(
            exit::REFUSED,
            format!("{old} is the primary, and it is alive"),
        )));
    }
    let known = |host: &str| {
        server(site, cluster, host).ok_or_else(|| {
            one(Diagnostic::with_code(exit::REFUSED, "nothing is known of its cluster").on(host))
        })
    };
    let cast = Cast {
        old: known(old)?,
        new: known(&candidate)?,
        others: cluster
            .standbys()
            .into_iter()
            .filter(|(host, _)| *host != candidate && *host != old)
            .filter_map(|(host, _)| server(site, cluster, host))
            .collect(),
    };
    let command = site
        .host(old)
        .is_some_and(|host| !host.text("postgresql_fence_command", "").is_empty());
    let fence = match proof.verdict {
        Verdict::DeadInside | Verdict::FrozenInside => Fence::Inside,
        _ if command => Fence::Command,
        _ => Fence::Blocked,
    };
    let loss = estimate(site, cluster, &cast, log_end);
    let mut conditions = Conditions::default();
    dead(&mut conditions, &cast, &proof, fence, wishes);
    candidate_is_fit(&mut conditions, cluster, &cast, &candidate);
    history(&mut conditions, cluster, wishes);
    conditions.add(
        "data-loss",
        "no acknowledged write is lost",
        loss.bytes == Some(0),
        loss.said.clone(),
        if log_end.is_some() {
            format!("the data of {old} is intact: starting its server loses nothing (hactl run -l {old} -- systemctl start {})", cast.old.unit)
        } else {
            format!("if {old} can be brought back, that loses nothing")
        },
    );
    conditions.unless("--allow-data-loss", wishes.allow_data_loss);
    Ok(Assessment {
        cast,
        proof,
        fence,
        loss,
        conditions,
    })
}

fn best(cluster: &Cluster) -> Option<&str> {
    let (host, _) = cluster
        .standbys()
        .into_iter()
        .rev()
        .max_by_key(|(_, node)| {
            (
                node.maintenance.is_none(),
                node.timeline(),
                node.has_log_to(),
            )
        })?;
    Some(host)
}

fn no_replica(cluster: &Cluster) -> Diagnostic {
    let seen: Vec<String> = cluster
        .members
        .iter()
        .map(|member| match &member.seen {
            Err(error) => format!("{}: {}", member.host, error.message),
            Ok(node) => match &node.live {
                Live::Down(said) => format!("{}: {} ({said})", member.host, member.role()),
                _ => format!("{}: {}", member.host, member.role()),
            },
        })
        .collect();
    Diagnostic::with_code(exit::REFUSED, "no replica answers, so none can be promoted")
        .note(format!("observed: {}", seen.join("; ")))
        .help("start the one that was the primary last (its data is the newest); a host whose server does not run: hactl run -l HOST -- systemctl start postgresql")
}

fn dead(list: &mut Conditions, cast: &Cast, proof: &Proof, fence: Fence, wishes: &Wishes) {
    let old = &cast.old.host;
    let what = format!("{old} is dead, or can be fenced");
    match proof.verdict {
        Verdict::DeadInside | Verdict::Gone => {
            list.add("dead", what, true, proof.to_string(), "");
        }
        Verdict::Alive => list.add(
            "dead",
            format!("{old} is dead"),
            false,
            proof.to_string(),
            format!(
                "it is alive. To move the primary without any loss: hactl switchover --to {}",
                cast.new.host
            ),
        ),
        Verdict::FrozenInside => {
            list.add(
                "dead",
                what,
                false,
                proof.to_string(),
                "a frozen server may wake up and take writes; look at it first: it may only be overloaded. To kill and fence it and promote",
            );
            list.unless("--kill-frozen", wishes.kill_frozen);
        }
        Verdict::FrozenOutside | Verdict::Unknown => {
            let fenced = fence == Fence::Command;
            list.add(
                "dead",
                what,
                fenced,
                proof.to_string(),
                "it may be frozen or only cut off, and take writes again. Switch its machine off (or set postgresql_fence_command), then run again",
            );
            list.unless("--unfenced-ok", wishes.unfenced_ok);
        }
    }
}

fn candidate_is_fit(list: &mut Conditions, cluster: &Cluster, cast: &Cast, candidate: &str) {
    if let Some(error) = strangers(cluster) {
        list.add(
            "same-cluster",
            "all hosts hold the same cluster",
            false,
            error.message,
            "a host with another system identifier is no replica: find out whose data it has",
        );
    }
    let Some(node) = cluster.node(candidate) else {
        list.add(
            "replica-answers",
            format!("{candidate} is a running replica"),
            false,
            "it cannot be reached",
            "hactl status",
        );
        return;
    };
    let Some(says) = node.answer().filter(|answer| answer.in_recovery) else {
        let role = cluster
            .member(candidate)
            .map_or("unknown", super::view::Member::role);
        list.add(
            "replica-answers",
            format!("{candidate} is a running replica"),
            false,
            format!("it is {role}"),
            "hactl status",
        );
        return;
    };
    if let Some(note) = &node.maintenance {
        super::switchover::in_maintenance(list, candidate, note);
    }
    let newest = cluster
        .nodes()
        .map(|(host, node)| (node.timeline(), host))
        .max()
        .unwrap_or((0, candidate));
    list.add(
        "timeline",
        format!("{candidate} is on the newest timeline"),
        node.timeline() >= newest.0,
        format!("{candidate} {}, {} {}", node.timeline(), newest.1, newest.0),
        format!(
            "{candidate} follows an older history: hactl rejoin {candidate} once a primary answers"
        ),
    );
    // Positions on different timelines cannot be compared.
    if let Some(old) = cluster
        .node(&cast.old.host)
        .filter(|old| old.control.is_some())
    {
        list.add(
            "one-history",
            format!("{candidate} and {} are on the same timeline", cast.old.host),
            old.timeline() == node.timeline(),
            format!("{candidate} {}, {} {}", node.timeline(), cast.old.host, old.timeline()),
            format!("{candidate} left the history of {} before: start {} again, or find out whose data counts", cast.old.host, cast.old.host),
        );
    }
    if let Some((ahead, other)) = cluster
        .most_advanced()
        .filter(|(host, _)| *host != candidate)
    {
        let by = other
            .has_log_to()
            .unwrap_or_default()
            .ahead_of(node.has_log_to().unwrap_or_default());
        list.add(
            "furthest",
            "no other replica has more of the log",
            other.timeline() == node.timeline() && by == 0,
            format!("{ahead} has {by} bytes more"),
            format!("hactl failover --promote {ahead}"),
        );
    }
    list.add(
        "replay",
        format!("{candidate} replays what it receives"),
        !says.paused,
        if says.paused {
            "replay is paused"
        } else {
            "not paused"
        },
        format!("on {candidate}: SELECT pg_wal_replay_resume()"),
    );
    let backlog = says
        .received
        .unwrap_or_default()
        .ahead_of(says.replayed.unwrap_or_default());
    list.add(
        "backlog",
        format!(
            "{candidate} has replayed what it received, but for {} MiB",
            BACKLOG >> 20
        ),
        backlog <= BACKLOG,
        format!("{backlog} bytes are not replayed"),
        "promotion would wait for them: wait until it has caught up",
    );
    if node.is_fenced() {
        list.add(
            "not-fenced",
            format!("{candidate} is not fenced"),
            false,
            format!("start.conf says {}", node.place.start),
            format!("hactl rejoin {candidate}"),
        );
    }
}

fn history(list: &mut Conditions, cluster: &Cluster, wishes: &Wishes) {
    let now = journal::seconds();
    if let Some(record) = cluster.unfinished() {
        // A switchover that did not get to its promotion is overtaken by the failover; nothing else is.
        let overtaken = record.header.kind == "switchover" && record.state("promote").is_none();
        list.add(
            "unfinished",
            "no operation is unfinished, but for a switchover that has promoted nobody",
            overtaken,
            format!("{} of {}", record.header.kind, record.header.operator),
            "hactl resume takes it up",
        );
    }
    let last = cluster
        .history()
        .into_iter()
        .filter(|record| record.header.kind == "failover")
        .filter_map(|record| {
            Some((
                record
                    .end
                    .as_ref()
                    .filter(|end| end.result == "done")?
                    .ended,
                record,
            ))
        })
        .max_by_key(|(ended, _)| *ended);
    if let Some((ended, record)) = last {
        let ago = now.saturating_sub(ended);
        list.add(
            "flapping",
            format!("the last failover is more than {} minutes ago", FLAP / 60),
            ago > FLAP,
            format!("{} minutes ago, by {}", ago / 60, record.header.operator),
            "a second failover within the hour means that something else is wrong: find it first",
        );
        list.unless("--again", wishes.again);
    }
}

/// What may be lost.
fn estimate(site: &Site, cluster: &Cluster, cast: &Cast, log_end: Option<Lsn>) -> Loss {
    let (old, new) = (&cast.old.host, &cast.new.host);
    let node = cluster.node(new);
    let has = node.and_then(Node::has_log_to).unwrap_or_default();
    let answer = node.and_then(Node::answer);
    let seconds = answer.and_then(|answer| answer.receiver.as_ref()?.silent);
    if let Some(end) = log_end {
        let bytes = end.ahead_of(has);
        return Loss {
            bytes: Some(bytes),
            seconds,
            said: if bytes == 0 {
                format!("{new} has all that {old} wrote (up to {end})")
            } else {
                format!(
                    "{old} wrote up to {end}, {new} has the log up to {has}: {bytes} bytes would be lost"
                )
            },
        };
    }
    let synchronous = site.host(new).is_some_and(|host| {
        host.variables
            .get("postgresql_synchronous")
            .is_some_and(|value| to_bool(value).unwrap_or(false))
    }) && answer.is_some_and(|answer| !answer.synchronous.is_empty())
        && cast.others.is_empty();
    if synchronous {
        return Loss {
            bytes: Some(0),
            seconds,
            said: format!(
                "commits wait for {new} (synchronous_standby_names), so it has every acknowledged one, but for those whose wait was cancelled; its log goes to {has}"
            ),
        };
    }
    let told = answer.and_then(|answer| answer.receiver.as_ref()?.primary_end);
    let least = told.map_or(0, |told| told.ahead_of(has));
    let since = seconds.map_or_else(
        || "for an unknown time".to_owned(),
        |seconds| format!("{seconds:.1} s ago"),
    );
    Loss {
        bytes: None,
        seconds,
        said: format!(
            "{old} cannot be asked. {new} has the log up to {has}; {least} bytes are known to be missing, and what {old} acknowledged after its last word ({since}) would be lost too"
        ),
    }
}

/// Whether the new primary would wait for a replica that is not there.
pub fn is_alone(cluster: &Cluster, cast: &Cast) -> bool {
    cast.others.is_empty()
        && cluster
            .node(&cast.new.host)
            .and_then(Node::answer)
            .is_some_and(|answer| !answer.synchronous.is_empty())
}

/// Whether a host is to block an old primary that cannot be stopped. One that is a database and nothing else is not: no
/// client comes through it, and the start guard of the old primary must be able to ask it who is the primary now.
pub fn blocks(site: &Site, host: &str) -> bool {
    let is = |group: &str| site.members(group).iter().any(|member| member == host);
    !is("postgresql") || is("welcome_app") || is("haproxy")
}

/// The steps, in order. `blockers` are the hosts that are to block the old primary when it is not fenced on its own host;
/// `alone`: commits would wait for a replica, and there will be none.
pub fn steps(
    site: &Site,
    cast: &Cast,
    fence: Fence,
    blockers: &[String],
    alone: bool,
) -> Vec<Step> {
    let Cast { old, new, others } = cast.clone();
    let step = |id: &'static str, host: &str, what: String, text: String| Step {
        id,
        what,
        host: host.to_owned(),
        script: plain(text),
        undo: None,
        no_return: false,
        tail: false,
        limit: 60,
    };
    let mut steps = Vec::new();
    match fence {
        Fence::Inside => steps.push(Step {
            undo: Some(plain(old.unfence())),
            ..step(
                "fence",
                &old.host,
                "fence: stop, disable, mask".to_owned(),
                old.fence("failover"),
            )
        }),
        Fence::Command | Fence::Blocked => {
            let command = site
                .host(&old.host)
                .map(|host| host.text("postgresql_fence_command", ""))
                .unwrap_or_default();
            if fence == Fence::Command {
                steps.push(step(
                    "fence",
                    HERE,
                    format!("fence {} with its command", old.host),
                    format!(
                        "export HACTL_HOST={} HACTL_ADDRESS={}; {{ {command}\n}} >&2 </dev/null",
                        sh(&old.host),
                        sh(&old.address)
                    ),
                ));
            }
            for host in blockers {
                steps.push(Step {
                    undo: Some(plain(unblock(&old.host, &old.address))),
                    ..step(
                        Box::leak(format!("block-{host}").into_boxed_str()),
                        host,
                        format!("block all traffic to {}", old.host),
                        block(&old.host, &old.address),
                    )
                });
            }
        }
    }
    let followers: Vec<&Server> = std::iter::once(&old).chain(&others).collect();
    steps.push(Step {
        undo: Some(plain(new.drop_slots(&followers))),
        ..step(
            "slots",
            &new.host,
            "keep the log for the others from here on".to_owned(),
            new.make_slots(&followers),
        )
    });
    if alone {
        // Strictly synchronous, it would lead and take no write. `rejoin` takes this back.
        steps.push(Step {
            undo: Some(plain(new.wait_for_replicas())),
            ..step(
                "alone",
                &new.host,
                "commits no longer wait for a replica, until one is back".to_owned(),
                new.wait_for_nobody(),
            )
        });
    }
    steps.push(Step {
        no_return: true,
        limit: 90,
        ..step(
            "promote",
            &new.host,
            "promote; writes go on from here".to_owned(),
            new.promote(),
        )
    });
    steps.extend(after_promotion(&new, &others));
    steps
}

/// The name under which this machine takes part, for fencing commands.
pub const HERE: &str = "this machine";

/// A host throws away all that it would send to another one, now and after a reboot. `unreachable` rather than a filter:
/// whoever tries learns it at once instead of waiting, and nothing needs to be installed.
pub fn block(host: &str, address: &str) -> String {
    let unit = format!("hactl-block-{}.service", super::scripts::slot_name(host));
    let route = format!("ip route replace unreachable {}", sh(address));
    format!(
        "set -eu; mkdir -p /var/lib/hactl/blocked
cat >/etc/systemd/system/{unit} <<'END'
[Unit]
Description=Blocks the fenced host {host}
Before=network-pre.target
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '{route}'
[Install]
WantedBy=sysinit.target
END
{route}
printf '%s\\n' {} >/var/lib/hactl/blocked/{}
sync /var/lib/hactl/blocked/{}
mkdir -p /etc/systemd/system/sysinit.target.wants; ln -sf ../{unit} /etc/systemd/system/sysinit.target.wants/{unit}
",
        sh(address),
        sh(host),
        sh(host)
    )
}

/// Takes [`block`] back.
pub fn unblock(host: &str, address: &str) -> String {
    let unit = format!("hactl-block-{}.service", super::scripts::slot_name(host));
    format!(
        "set -eu; ip route del unreachable {} 2>/dev/null || true
rm -f /etc/systemd/system/sysinit.target.wants/{unit} /etc/systemd/system/{unit} /var/lib/hactl/blocked/{}
! ip route show type unreachable | grep -qxF 'unreachable '{} || {{ echo 'the route is still there' >&2; exit 1; }}
",
        sh(address),
        sh(host),
        sh(address)
    )
}
