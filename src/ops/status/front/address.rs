//! The virtual address: who holds it, and what those who use it see.
//!
//! It is never called lost because a holder could not be asked while somebody answers there.

use crate::ops::status::Snapshot;
use crate::ops::status::host_probe::{self, HostSeen};
use crate::ops::status::status_report::{AddressView, Severity, StatusFinding, VirtualAddress};

impl Snapshot<'_> {
    /// Where the virtual address is.
    pub(in crate::ops::status) fn virtual_address(
        &self,
        findings: &mut Vec<StatusFinding>,
    ) -> Option<VirtualAddress> {
        let address = host_probe::virtual_address(self.site)?;
        let holders: Vec<String> = self
            .answered()
            .filter(|(_, seen)| seen.addresses.iter().any(|(_, found)| *found == address))
            .map(|(host, _)| host.to_owned())
            .collect();
        let not_asked: Vec<String> = self
            .site
            .members("keepalived")
            .iter()
            .filter(|host| !self.reached(host))
            .cloned()
            .collect();
        let views: Vec<AddressView> = self
            .viewers()
            .map(|(from, seen)| {
                let entrance = seen.entrance.clone();
                AddressView {
                    from: from.to_owned(),
                    at: seen
                        .neighbour
                        .as_deref()
                        .and_then(|mac| self.owner(mac, &holders)),
                    hardware_address: seen.neighbour.clone(),
                    status: entrance
                        .as_ref()
                        .and_then(|entrance| entrance.as_ref().ok().copied()),
                    why: entrance.and_then(Result::err),
                }
            })
            .collect();
        let view = VirtualAddress {
            address,
            holders,
            not_asked,
            views,
        };
        judge_address(&view, findings);
        Some(view)
    }

    /// The host of a hardware address; a holder first, where several share one.
    fn owner(&self, mac: &str, holders: &[String]) -> Option<String> {
        let has = |seen: &HostSeen| seen.links.values().any(|own| own == mac);
        let mut owners: Vec<&str> = self
            .answered()
            .filter(|(_, seen)| has(seen))
            .map(|(host, _)| host)
            .collect();
        owners.sort_by_key(|host| !holders.iter().any(|holder| holder == host));
        owners.first().map(|host| (*host).to_owned())
    }
}

fn judge_address(view: &VirtualAddress, findings: &mut Vec<StatusFinding>) {
    let address = &view.address;
    let good = view
        .views
        .iter()
        .filter(|view| view.status == Some(200))
        .count();
    let mut say = |severity, what: String, remedy: &str| {
        findings.push(StatusFinding::new(severity, what, remedy))
    };
    match (view.holders.as_slice(), view.not_asked.as_slice()) {
        ([_], _) => {}
        ([], []) => say(
            Severity::Down,
            format!("the virtual address {address} is on no host"),
            "hactl run -l keepalived -- journalctl -u keepalived says why nobody takes it",
        ),
        // Somebody answers there: most likely one of those that could not be asked has it.
        ([], _) if good > 0 => {}
        ([], lost) if view.views.is_empty() => say(
            Severity::Unknown,
            format!(
                "the virtual address {address} is on no host that could be asked ({} could not)",
                lost.join(", ")
            ),
            "fix the network to that host and retry",
        ),
        ([], lost) => say(
            Severity::Down,
            format!(
                "nobody answers at the virtual address {address}, and {} could not be asked",
                lost.join(" and ")
            ),
            "hactl run -l keepalived -- journalctl -u keepalived says why nobody else takes it",
        ),
        (several, _) => say(
            Severity::Degraded,
            format!(
                "the virtual address {address} is on {} at once",
                several.join(" and ")
            ),
            "they do not hear each other: IP protocol 112, peers, router id",
        ),
    }
    if !view.views.is_empty() && good == 0 && !view.holders.is_empty() {
        let said = view.views.iter().find_map(|view| {
            view.why
                .clone()
                .or_else(|| view.status.map(|status| format!("status {status}")))
        });
        say(
            Severity::Down,
            format!(
                "the service does not answer at {address}: {}",
                said.unwrap_or_default()
            ),
            "check the load balancer that holds the address, and what it says of its servers",
        );
    } else if good < view.views.len() && good > 0 {
        let lacking: Vec<&str> = view
            .views
            .iter()
            .filter(|view| view.status != Some(200))
            .map(|view| view.from.as_str())
            .collect();
        say(
            Severity::Degraded,
            format!(
                "the service does not answer {} at {address}",
                lacking.join(", ")
            ),
            "others are answered: check the network between them and the holder",
        );
    }
    if let [holder] = view.holders.as_slice() {
        let elsewhere = view
            .views
            .iter()
            .filter(|view| view.hardware_address.is_some() && view.at.as_ref() != Some(holder));
        for view in elsewhere {
            let at = view
                .at
                .as_deref()
                .or(view.hardware_address.as_deref())
                .unwrap_or_default();
            say(
                Severity::Degraded,
                format!(
                    "{} sends what is for {address} to {at}, while {holder} holds it",
                    view.from
                ),
                "a stale neighbour entry, or a second holder: hactl verify --only keepalived",
            );
        }
    }
}
