//! The databases: who is what, by its own word and by the others', and what is wrong with that.

use super::board::{Database, Databases, Finding, Severity, SlotLine};
use super::{Scene, loss, reason};
use crate::base::value::to_bool;
use crate::ops::cluster::node::{Answer, Live, Node, PeerView, Sender};
use crate::ops::cluster::view::{Member, strangers};
use crate::ops::cluster::{death, failover};

/// A replica that has not replayed so many bytes is behind: one segment of the log.
pub const BEHIND_BYTES: u64 = 16 << 20;
/// A replica that is behind by so many seconds is.
pub const BEHIND_SECONDS: f64 = 10.0;
/// A slot that nobody uses may keep so many bytes before it is worth a word of its own.
const SLOT_BYTES: u64 = 1 << 30;

/// Who takes writes, and who says so.
pub struct Writer<'a> {
    /// The host.
    pub host: &'a str,
    /// The hosts that see it, when it does not say so itself.
    pub seen_by: Vec<&'a str>,
}

impl Scene<'_> {
    /// The hosts that take writes: by their own word, or, when they cannot be asked, as their peers see them.
    pub(super) fn writers(&self) -> Vec<Writer<'_>> {
        self.cluster
            .members
            .iter()
            .filter_map(|member| {
                let host = member.host.as_str();
                match &member.seen {
                    Ok(node) => node.is_primary().then(|| Writer {
                        host,
                        seen_by: Vec::new(),
                    }),
                    Err(_) => {
                        let seen_by: Vec<&str> = self
                            .cluster
                            .views_of(host)
                            .filter(|(_, view)| {
                                matches!(
                                    view,
                                    PeerView::Answers {
                                        in_recovery: false,
                                        ..
                                    }
                                )
                            })
                            .map(|(from, _)| from)
                            .collect();
                        (!seen_by.is_empty()).then_some(Writer { host, seen_by })
                    }
                }
            })
            .collect()
    }

    /// The databases and what is wrong with them.
    pub(super) fn databases(&self, findings: &mut Vec<Finding>) -> Option<Databases> {
        let first = self.cluster.members.first()?;
        let first_choice = self
            .site
            .host(&first.host)
            .map_or_else(String::new, |host| {
                host.text("postgresql_initial_primary", &first.host)
            });
        let writers = self.writers();
        let primary = match writers.as_slice() {
            [one] => Some(one.host.to_owned()),
            _ => None,
        };
        self.judge_writers(&writers, findings);
        if let Some(error) = strangers(&self.cluster) {
            findings.push(Finding::new(
                Severity::Degraded,
                error.message,
                "a host with another system identifier is no replica: find out whose data it has",
            ));
        }
        let mut databases = Databases {
            synchronous: self.synchronous(primary.as_deref()),
            ..Databases::default()
        };
        for member in &self.cluster.members {
            let declared = if member.host == first_choice {
                "primary"
            } else {
                "replica"
            };
            let mut line = self.line(member, primary.as_deref(), &writers);
            line.declared = declared;
            if primary.as_deref() != Some(&member.host)
                && !writers.iter().any(|writer| writer.host == member.host)
            {
                self.judge_replica(member, &line, primary.as_deref(), findings);
            }
            databases.members.push(line);
        }
        databases.slots = self.slots(primary.as_deref(), findings);
        if let Some(primary) = primary
            .as_deref()
            .filter(|primary| *primary != first_choice)
        {
            findings.push(Finding::new(
                Severity::Note,
                format!("{primary} is the primary; {first_choice} is only the inventory's first choice for empty hosts"),
                "",
            ));
        }
        if let Some(primary) = &primary {
            self.judge_synchronous(primary, findings);
        }
        databases.first_choice = first_choice;
        databases.loss = loss::expected(self, primary.as_deref(), &databases);
        databases.failover = loss::failover(self, primary.as_deref());
        databases.primary = primary;
        Some(databases)
    }

    fn judge_writers(&self, writers: &[Writer<'_>], findings: &mut Vec<Finding>) {
        match writers {
            [] => self.no_writer(findings),
            [one] if one.seen_by.is_empty() => {}
            [one] => findings.push(Finding::new(
                Severity::Unknown,
                format!(
                    "{} takes writes as {} sees it, and could not be asked itself",
                    one.host,
                    one.seen_by.join(" and ")
                ),
                format!(
                    "mend the way from here to {}; do not fail over: it is alive",
                    one.host
                ),
            )),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|writer| match self.cluster.node(writer.host) {
                        Some(node) => format!(
                            "{} (timeline {}, at {})",
                            writer.host,
                            node.timeline(),
                            node.answer()
                                .and_then(|answer| answer.written)
                                .unwrap_or_default()
                        ),
                        None => {
                            format!("{} (as {} sees it)", writer.host, writer.seen_by.join(", "))
                        }
                    })
                    .collect();
                findings.push(Finding::new(
                    Severity::SplitBrain,
                    format!("{} take writes", names.join(" and ")),
                    "decide whose data stays; stop the other one now (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it",
                ));
            }
        }
    }

    /// Nobody says that it takes writes, and nobody is seen to.
    fn no_writer(&self, findings: &mut Vec<Finding>) {
        // Whoever still hears from a host that cannot be asked proves it alive.
        if let Some((host, proof)) = self.alive_unasked() {
            findings.push(Finding::new(
                Severity::Unknown,
                format!("{host} could not be asked, and it is alive ({proof})"),
                format!("mend the way from here to {host}; do not fail over"),
            ));
            return;
        }
        if self.cluster.nodes().next().is_none() && !self.applications_fail() {
            findings.push(Finding::new(
                Severity::Unknown,
                "it cannot be seen who takes writes: no database host could be asked",
                "mend the way from here to the databases; then look again",
            ));
            return;
        }
        let states: Vec<String> = self
            .cluster
            .members
            .iter()
            .map(|member| format!("{} is {}", member.host, word(member)))
            .collect();
        let failover = loss::failover(self, None);
        let remedy = match (&failover.command, self.running_operation()) {
            (_, Some(_)) => "an operation is under way: wait for its end".to_owned(),
            _ if self.has_unfinished() => "hactl resume".to_owned(),
            (Some(command), None) => command.clone(),
            (None, None) => format!(
                "a failover would be refused: {}",
                failover.why_not.join("; ")
            ),
        };
        findings.push(Finding::new(
            Severity::Down,
            format!("no primary takes writes ({})", states.join(", ")),
            remedy,
        ));
    }

    /// The host that was the primary, when it cannot be asked and others see that it lives.
    fn alive_unasked(&self) -> Option<(String, String)> {
        let old = failover::old_primary(&self.cluster).ok()?;
        let unasked = self
            .cluster
            .member(&old)
            .is_some_and(|member| member.seen.is_err());
        let proof = death::judge(&self.cluster, &old, &self.outsiders(&old));
        (unasked && proof.verdict == death::Verdict::Alive).then(|| (old, proof.to_string()))
    }

    /// What hosts that are no databases see of a database's port.
    pub(super) fn outsiders(&self, database: &str) -> Vec<(String, PeerView)> {
        self.answered()
            .filter_map(|(from, seen)| {
                Some((from.to_owned(), seen.databases.get(database)?.clone()))
            })
            .collect()
    }

    /// At least one application server answers, and none of those has a database.
    fn applications_fail(&self) -> bool {
        let mut any = false;
        for health in self
            .answered()
            .filter_map(|(_, seen)| seen.health.as_ref()?.as_ref().ok())
        {
            if health.status == 200 {
                return false;
            }
            any = true;
        }
        any
    }

    fn synchronous(&self, primary: Option<&str>) -> bool {
        let observed = primary
            .and_then(|primary| self.cluster.node(primary)?.answer())
            .map(|answer| !answer.synchronous.is_empty());
        observed.unwrap_or_else(|| {
            self.site.hosts.iter().any(|host| {
                host.variables
                    .get("postgresql_synchronous")
                    .and_then(to_bool)
                    .unwrap_or(false)
            })
        })
    }

    fn judge_synchronous(&self, primary: &str, findings: &mut Vec<Finding>) {
        let Some(answer) = self.cluster.node(primary).and_then(Node::answer) else {
            return;
        };
        if !answer.synchronous.is_empty() && !answer.senders.iter().any(is_synchronous) {
            findings.push(Finding::new(
                Severity::Down,
                format!("every commit on {primary} waits for a synchronous replica, and none streams"),
                "bring the replica back (hactl rejoin HOST), or give up the guarantee: postgresql_synchronous: false, hactl deploy",
            ));
        }
    }

    /// A host in one line.
    fn line(&self, member: &Member, primary: Option<&str>, writers: &[Writer<'_>]) -> Database {
        let host = member.host.as_str();
        let mut line = Database {
            host: host.to_owned(),
            ..Database::default()
        };
        let writer = writers.iter().find(|writer| writer.host == host);
        let node = match &member.seen {
            Ok(node) => node,
            Err(error) => {
                line.role = if writer.is_some() {
                    "primary"
                } else {
                    "unknown"
                }
                .to_owned();
                line.seen_by = writer.map_or_else(Vec::new, |writer| {
                    writer.seen_by.iter().map(|by| (*by).to_owned()).collect()
                });
                let views: Vec<String> = self
                    .cluster
                    .views_of(host)
                    .map(|(from, view)| format!("{from} sees {}", view_word(view)))
                    .collect();
                // Why it could not be asked is among the findings.
                line.note = if views.is_empty() {
                    reason(error)
                } else {
                    views.join("; ")
                };
                if let Some(sender) = self.sender(primary, member) {
                    line.streaming = sender.state == "streaming";
                    lag(&mut line, sender, None);
                }
                return line;
            }
        };
        member.role().clone_into(&mut line.role);
        line.timeline = Some(node.timeline()).filter(|timeline| *timeline > 0);
        match &node.live {
            Live::Answers(answer) if !answer.in_recovery => {
                line.position = answer.written.map(|lsn| lsn.to_string());
                line.note = format!("{} clients", answer.clients);
            }
            Live::Answers(answer) => {
                line.position = node.has_log_to().map(|lsn| lsn.to_string());
                line.follows = self.cluster.followed_by(node).map(str::to_owned);
                line.paused = answer.paused;
                self.replica_line(&mut line, member, node, answer, primary);
            }
            Live::Silent => line.note = "it takes connections and does not answer".to_owned(),
            Live::Down(said) => {
                line.position = node
                    .control
                    .as_ref()
                    .map(|control| control.checkpoint.max(control.least).to_string());
                line.note = match &node.fenced {
                    Some(note) => super::past::mark_text(note),
                    None => said.clone(),
                };
            }
            Live::None => line.note = "there is no cluster on it".to_owned(),
        }
        line
    }

    fn replica_line(
        &self,
        line: &mut Database,
        member: &Member,
        node: &Node,
        answer: &Answer,
        primary: Option<&str>,
    ) {
        let receives = answer
            .receiver
            .as_ref()
            .is_some_and(|receiver| receiver.status == "streaming");
        let sender = self.sender(primary, member);
        match sender {
            Some(sender) => {
                line.streaming = sender.state == "streaming" && receives;
                lag(line, sender, answer.replay_delay);
            }
            None => {
                let written =
                    primary.and_then(|primary| self.cluster.node(primary)?.answer()?.written);
                line.lag_bytes =
                    written.map(|written| written.ahead_of(answer.replayed.unwrap_or_default()));
                line.unflushed_bytes =
                    written.map(|written| written.ahead_of(node.has_log_to().unwrap_or_default()));
                // The primary could not be asked: the replica's own word has to do. Of a dead one it may not know yet.
                line.streaming =
                    receives && primary.is_some_and(|primary| self.cluster.node(primary).is_none());
                line.lag_seconds = answer.replay_delay;
            }
        }
        let mut notes = Vec::new();
        if line.streaming {
            notes.push(format!(
                "streams from {}",
                line.follows.as_deref().unwrap_or("an unknown host")
            ));
        } else if primary.is_none() {
            let silent = answer
                .receiver
                .as_ref()
                .and_then(|receiver| receiver.silent);
            let silent = silent.map_or_else(String::new, |silent| {
                format!(", last heard of {silent:.0} s ago")
            });
            notes.push(format!(
                "set to follow {}{silent}",
                line.follows.as_deref().unwrap_or("nobody")
            ));
        } else if let Some(sender) = sender {
            notes.push(format!(
                "{} from {}",
                sender.state,
                line.follows.as_deref().unwrap_or("an unknown host")
            ));
        } else {
            notes.push(format!(
                "does not stream (set to follow {})",
                line.follows.as_deref().unwrap_or("nobody")
            ));
        }
        notes.extend(line.sync_state.clone());
        if line.paused {
            notes.push("replay paused".to_owned());
        }
        line.note = notes.join(", ");
    }

    /// What the primary says of the connection of a replica.
    pub(super) fn sender(&self, primary: Option<&str>, member: &Member) -> Option<&Sender> {
        let answer = self.cluster.node(primary?)?.answer()?;
        answer.senders.iter().find(|sender| {
            sender.name == member.host || sender.address.as_deref() == Some(&member.address)
        })
    }

    /// How old the oldest byte is that a replica has not on its disk, as the primary says.
    pub(super) fn flush_delay(&self, primary: &str, replica: &str) -> Option<f64> {
        self.sender(Some(primary), self.cluster.member(replica)?)?
            .flush_delay
    }

    fn judge_replica(
        &self,
        member: &Member,
        line: &Database,
        primary: Option<&str>,
        findings: &mut Vec<Finding>,
    ) {
        let host = &member.host;
        let mut wrong = |what: String, remedy: String| {
            findings.push(Finding::new(Severity::Degraded, what, remedy))
        };
        let rejoin = format!("hactl rejoin {host}");
        let Ok(node) = &member.seen else {
            let asked = primary.and_then(|primary| Some((primary, self.cluster.node(primary)?)));
            if let (Some((primary, _)), false) = (asked, line.streaming) {
                wrong(
                    format!(
                        "the replica {host} is missing: it could not be asked, and {primary} sends it nothing"
                    ),
                    format!("start the host or mend its network; then: {rejoin}"),
                );
            }
            return;
        };
        match &node.live {
            Live::Answers(answer) => {
                let Some(primary) = primary else { return };
                if line.follows.as_deref() != Some(primary) {
                    let other = line
                        .follows
                        .as_deref()
                        .unwrap_or("nobody of this inventory");
                    wrong(
                        format!("the replica {host} follows {other}, not {primary}"),
                        rejoin.clone(),
                    );
                } else if !line.streaming {
                    wrong(
                        format!("the replica {host} does not stream from {primary}"),
                        format!(
                            "its log says why: hactl run -l {host} -- journalctl -u 'postgresql@*'; else: {rejoin}"
                        ),
                    );
                }
                if answer.paused {
                    wrong(
                        format!(
                            "replay is paused on {host}: it falls behind, and no failover to it is possible"
                        ),
                        format!("on {host}: SELECT pg_wal_replay_resume()"),
                    );
                }
                if let Some(other) = self.cluster.node(primary).map(Node::timeline)
                    && other != node.timeline()
                {
                    wrong(
                        format!(
                            "{host} is on timeline {}, {primary} on {other}",
                            node.timeline()
                        ),
                        rejoin,
                    );
                }
                let bytes = line.lag_bytes.unwrap_or_default();
                let seconds = line.lag_seconds.unwrap_or_default();
                if bytes > 0 && (bytes >= BEHIND_BYTES || seconds >= BEHIND_SECONDS) {
                    wrong(
                        format!("{host} is {} behind ({seconds:.1} s)", size(bytes)),
                        "look at the load and the disk of that host; hactl status --watch shows whether it catches up".to_owned(),
                    );
                }
            }
            Live::Silent => wrong(
                format!("the server on {host} takes connections and does not answer"),
                format!("frozen, or stuck: look at it with hactl ssh {host}"),
            ),
            Live::Down(_) if node.is_fenced() => {
                let note = node.fenced.as_deref().map(super::past::mark_text);
                let note = note.map_or_else(String::new, |note| format!(" ({note})"));
                wrong(format!("{host} is fenced{note}: it is no replica"), rejoin);
            }
            Live::Down(_) if node.place.version.is_empty() => findings.push(Finding::new(
                Severity::Unknown,
                format!("the server on {host} does not run, and what it holds could not be seen"),
                format!("look again; hactl ssh {host}"),
            )),
            Live::Down(_) => {
                let stands = node.place.standby_signal;
                // A server without the signal would come up as a primary.
                if primary.is_some() && !stands {
                    wrong(
                        format!(
                            "the server on {host} is down, and would start as a second primary"
                        ),
                        format!("do not start it; {rejoin}"),
                    );
                } else if primary.is_some() {
                    wrong(
                        format!("the replica {host} is down"),
                        format!(
                            "hactl run -l {host} -- systemctl start 'postgresql@*'; else: {rejoin}"
                        ),
                    );
                }
            }
            Live::None => wrong(
                format!("there is no database on {host}"),
                "hactl deploy".to_owned(),
            ),
        }
    }

    fn slots(&self, primary: Option<&str>, findings: &mut Vec<Finding>) -> Vec<SlotLine> {
        let mut lines = Vec::new();
        for (host, node) in self.cluster.nodes() {
            for slot in node.answer().map_or(&[][..], |answer| &answer.slots) {
                let kept = slot.kept.and_then(|kept| u64::try_from(kept).ok());
                let status = slot.wal_status.as_deref().unwrap_or("-");
                let lost = matches!(status, "lost" | "unreserved");
                let heavy = kept.is_some_and(|kept| kept >= SLOT_BYTES);
                if lost || (!slot.active && heavy) {
                    findings.push(Finding::new(
                        Severity::Degraded,
                        format!(
                            "slot {} on {host} is {status}{} and keeps {}",
                            slot.name,
                            if slot.active { "" } else { ", used by nobody," },
                            size(kept.unwrap_or_default())
                        ),
                        "the replica behind it needs a new copy (hactl rejoin HOST), or the slot is to be dropped",
                    ));
                } else if !slot.active && primary != Some(host) {
                    findings.push(Finding::new(
                        Severity::Note,
                        format!(
                            "slot {} on {host} is used by nobody and keeps {}",
                            slot.name,
                            size(kept.unwrap_or_default())
                        ),
                        "",
                    ));
                }
                lines.push(SlotLine {
                    host: host.to_owned(),
                    name: slot.name.clone(),
                    active: slot.active,
                    kept_bytes: kept,
                    wal_status: slot.wal_status.clone(),
                });
            }
        }
        lines
    }
}

fn lag(line: &mut Database, sender: &Sender, delay: Option<f64>) {
    let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    line.lag_bytes = bytes(sender.behind);
    line.unflushed_bytes = bytes(sender.unflushed);
    line.sync_state = Some(sender.sync_state.clone());
    // A replica that has everything is not behind, however long ago the last commit was.
    line.lag_seconds = if line.lag_bytes == Some(0) {
        Some(0.0)
    } else {
        sender.delay.or(delay)
    };
}

/// Commits wait for it.
pub fn is_synchronous(sender: &Sender) -> bool {
    matches!(sender.sync_state.as_str(), "sync" | "quorum") && sender.state == "streaming"
}

fn word(member: &Member) -> &str {
    match member.role() {
        "replica" => "a replica",
        "unreachable" => "not to be reached",
        "empty" => "without a cluster",
        other => other,
    }
}

fn view_word(view: &PeerView) -> String {
    match view {
        PeerView::Answers {
            in_recovery: false, ..
        } => "a primary".to_owned(),
        PeerView::Answers {
            in_recovery: true, ..
        } => "a replica".to_owned(),
        PeerView::Refuses(said) => format!("a server that refuses ({said})"),
        PeerView::Closed(_) => "a host without a server".to_owned(),
        PeerView::Silent => "a server that does not answer".to_owned(),
        PeerView::Unreachable(_) => "nothing".to_owned(),
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} kB", number / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MB", number / 1_048_576.0),
        _ => format!("{:.1} GB", number / 1_073_741_824.0),
    }
}
