//! Power and cables of lab hosts, for drills.

use crate::base::{Diagnostic, Result};
use crate::lab::provider::{self, Provider};
use crate::lab::state::{self, Cut, Lab, Places};
use crate::lab::{HostSpec, LabName, cabling, ready, up};
use crate::ops::drill::fault_injector::FaultInjector;
use crate::ops::hosts::Site;

/// A lab whose hosts are the inventory's.
pub struct LabBreaker {
    places: Places,
    lab: Lab,
    provider: Box<dyn Provider>,
}

impl LabBreaker {
    /// The lab that the inventory's hosts are in; none when they are in none. `wanted` names it.
    ///
    /// # Errors
    /// The lab is not up, or its hosts are not those of the inventory: then nobody knows what would be broken.
    pub fn find(site: &Site, wanted: Option<&str>) -> Result<Option<Self>> {
        let said = site
            .hosts
            .iter()
            .map(|host| host.text("hactl_lab", ""))
            .find(|name| !name.is_empty());
        let Some(name) = wanted.map(str::to_owned).or(said) else {
            return Ok(None);
        };
        let places = Places::new(state::base_dir(), &LabName::new(&name)?);
        let (lab, keeper) = Lab::alive(&places)?;
        for host in &site.hosts {
            let login = lab.name.login_name(&host.name);
            let there = host.target.address == login
                && lab.hosts.iter().any(|known| known.name == host.name);
            if !there {
                return Err(Diagnostic::refused(format!(
                        "the lab `{name}` has no host {} at {}",
                        host.name, host.target.address
                    ),
                )
                .on(&host.name)
                .help(
                    "a drill breaks only hosts that it is sure of: give the inventory of the lab (`hactl lab path`)",
                ));
            }
        }
        let provider = provider::of(&lab, &keeper, &places);
        Ok(Some(Self {
            places,
            lab,
            provider,
        }))
    }

    fn hosts(&self, names: &[String]) -> Result<Vec<&HostSpec>> {
        names.iter().map(|name| self.lab.host(name)).collect()
    }

    fn cuts(&self, change: impl FnOnce(&Lab) -> Vec<Cut>) -> Result<()> {
        up::set_cuts(&self.places, |lab| Ok(change(lab)))
    }
}

impl FaultInjector for LabBreaker {
    fn kill(&self, hosts: &[String]) -> Result<()> {
        provider::at_once(&self.hosts(hosts)?, |host| self.provider.kill(host))
    }

    fn start(&self, hosts: &[String]) -> Result<()> {
        let hosts = self.hosts(hosts)?;
        provider::at_once(&hosts, |host| self.provider.start(host))?;
        let (lab, keeper) = Lab::alive(&self.places)?;
        ready::await_logins(&lab, &keeper, &*self.provider, &hosts, &|_| {})
    }

    fn freeze(&self, host: &str) -> Result<()> {
        self.provider.freeze(self.lab.host(host)?, true)
    }

    fn thaw(&self, host: &str) -> Result<()> {
        self.provider.freeze(self.lab.host(host)?, false)
    }

    fn cut(&self, host: &str, from: Option<&str>) -> Result<()> {
        let cut = Cut {
            host: host.to_owned(),
            from: from.map(str::to_owned),
        };
        self.cuts(|lab| cabling::with_cut(&lab.cuts, cut))
    }

    fn heal(&self, host: &str) -> Result<()> {
        self.cuts(|lab| cabling::without(&lab.cuts, Some(host), None))
    }
}
