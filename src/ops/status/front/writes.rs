//! Whether what clients write gets from the application servers to the primary: a primary that nobody reaches serves nobody.
//!
//! Unknown is neither yes nor no: an application that does not say, or cannot be asked, is not counted.

use crate::ops::database::postgresql::node::PeerView;
use crate::ops::status::Snapshot;
use crate::ops::status::status_report::{Application, Severity, StatusFinding};

impl Snapshot<'_> {
    /// Notes for each application server whether it can write, and says which cannot.
    pub(super) fn judge_writes(
        &self,
        lines: &mut [Application],
        primary: Option<&str>,
        findings: &mut Vec<StatusFinding>,
    ) {
        // Without a primary that is said, and nothing is to be added.
        let Some(primary) = primary else { return };
        let mut cannot: Vec<(String, Vec<&str>)> = Vec::new();
        let (mut can, mut doubt) = (false, false);
        for line in lines.iter_mut() {
            match self.way(&line.host, primary) {
                None => doubt |= self.may_write(&line.host),
                Some(Ok(())) => {
                    line.writable = Some(true);
                    can = true;
                }
                Some(Err(why)) => {
                    line.writable = Some(false);
                    match cannot.iter_mut().find(|(other, _)| *other == why) {
                        Some((_, hosts)) => hosts.push(&line.host),
                        None => cannot.push((why, vec![&line.host])),
                    }
                }
            }
        }
        let some = can || doubt;
        let severity = if some {
            Severity::Degraded
        } else {
            Severity::Down
        };
        for (why, hosts) in cannot {
            let blocked = hosts.iter().any(|host| {
                self.host(host)
                    .is_some_and(|seen| seen.blocks.iter().any(|subject| subject == primary))
            });
            let what = if some {
                format!("{} cannot write: {why}", hosts.join(" and "))
            } else {
                format!(
                    "no application server can write ({}: {why})",
                    hosts.join(" and ")
                )
            };
            findings.push(StatusFinding::new(
                severity,
                what,
                if blocked {
                    format!("hactl rejoin {primary} takes the blocks away")
                } else {
                    format!(
                        "repair the network or firewall between {} and {primary}: hactl verify --only ports shows which way is closed",
                        hosts.join(", ")
                    )
                },
            ));
        }
    }

    /// Whether an application server may be able to write, although nothing says so: it cannot be asked, or it serves and does
    /// not say.
    fn may_write(&self, host: &str) -> bool {
        self.host(host)
            .is_none_or(|seen| !matches!(&seen.health, Some(Err(_))))
    }

    /// How a write of this application server fares: by what its host sees of the primary's port, and by its own word.
    fn way(&self, host: &str, primary: &str) -> Option<Result<(), String>> {
        let seen = self.host(host)?;
        if let Some(PeerView::Closed(why) | PeerView::Unreachable(why)) =
            seen.databases.get(primary)
        {
            return Some(Err(format!("the primary {primary} is not reached: {why}")));
        }
        let health = seen.health.as_ref()?.as_ref().ok()?;
        Some(if health.writable? {
            Ok(())
        } else {
            Err("the application finds no database that takes writes".to_owned())
        })
    }
}
