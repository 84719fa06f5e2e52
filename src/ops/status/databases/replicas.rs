//! What is wrong with a host that is no primary, and with the slots that keep the log for such hosts.
//!
//! Never a remedy that could make a second primary.

use super::{BEHIND_BYTES, BEHIND_SECONDS, size};
use crate::ops::database::postgresql::node::{Live, Node};
use crate::ops::database::postgresql::view::Member;
use crate::ops::status::status_report::{Database, Severity, SlotLine, StatusFinding};
use crate::ops::status::{Snapshot, past};

/// A slot that nobody uses may keep so many bytes before it is worth a word of its own.
const SLOT_BYTES: u64 = 1 << 30;

impl Snapshot<'_> {
    /// Judges one.
    pub(super) fn judge_replica(
        &self,
        member: &Member,
        line: &Database,
        primary: Option<&str>,
        findings: &mut Vec<StatusFinding>,
    ) {
        let host = &member.host;
        let mut wrong = |what: String, remedy: String| {
            findings.push(StatusFinding::new(Severity::Degraded, what, remedy))
        };
        let rejoin = format!("hactl rejoin {host}");
        let Ok(node) = &member.seen else {
            let asked = primary.and_then(|primary| Some((primary, self.cluster.node(primary)?)));
            if let (Some((primary, _)), false) = (asked, line.streaming) {
                wrong(
                    format!(
                        "the replica {host} is missing: it could not be asked, and {primary} sends it nothing"
                    ),
                    format!("start the host or fix its network; then: {rejoin}"),
                );
            }
            return;
        };
        match &node.live {
            Live::Answers(answer) => {
                let Some(primary) = primary else { return };
                if !line.streaming
                    && let Some(how) = self.has_more(node, primary)
                {
                    wrong(
                        format!(
                            "{host} has data that the primary {primary} has not ({how}): {primary} was set back, or was started beside a newer primary"
                        ),
                        format!(
                            "do not rejoin {host}, it may be the only copy. Stop the server on {primary} (hactl run -l {primary} -- systemctl stop 'postgresql@*'); then: hactl failover --promote {host}, then: hactl rejoin {primary}"
                        ),
                    );
                    return;
                }
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
                        "check the load and the disk of that host; hactl status --watch shows whether it catches up".to_owned(),
                    );
                }
            }
            Live::Silent => wrong(
                format!("the server on {host} takes connections and does not answer"),
                format!("frozen, or stuck: check it with hactl ssh {host}"),
            ),
            Live::Down(_) if node.is_fenced() => {
                let note = node.fenced.as_deref().map(past::mark_text);
                let note = note.map_or_else(String::new, |note| format!(" ({note})"));
                wrong(format!("{host} is fenced{note}: it is no replica"), rejoin);
            }
            Live::Down(_) if node.place.version.is_empty() => findings.push(StatusFinding::new(
                Severity::Unknown,
                format!("the server on {host} does not run, and what it holds could not be seen"),
                format!("probe again: hactl status; hactl ssh {host}"),
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

    /// How a replica is newer than the primary: its log goes on beyond the primary's on the same timeline, or it knows a later one.
    fn has_more(&self, node: &Node, primary: &str) -> Option<String> {
        let leader = self.cluster.node(primary)?;
        let (ours, theirs) = (node.timeline(), leader.timeline());
        if ours > theirs {
            return Some(format!("timeline {ours} > {theirs}"));
        }
        let has = node.has_log_to()?;
        let written = leader.answer()?.written?;
        (ours == theirs && has > written)
            .then(|| format!("{has} > {written}, both on timeline {ours}"))
    }

    /// All slots, and those that will be trouble.
    pub(super) fn slots(
        &self,
        primary: Option<&str>,
        findings: &mut Vec<StatusFinding>,
    ) -> Vec<SlotLine> {
        let mut lines = Vec::new();
        for (host, node) in self.cluster.nodes() {
            for slot in node.answer().map_or(&[][..], |answer| &answer.slots) {
                let kept = slot.kept.and_then(|kept| u64::try_from(kept).ok());
                let status = slot.wal_status.as_deref().unwrap_or("-");
                let lost = matches!(status, "lost" | "unreserved");
                let heavy = kept.is_some_and(|kept| kept >= SLOT_BYTES);
                if lost || (!slot.active && heavy) {
                    findings.push(StatusFinding::new(
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
                    findings.push(StatusFinding::new(
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
