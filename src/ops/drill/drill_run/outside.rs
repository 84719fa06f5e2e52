//! Steps that are done from outside of the hosts: power and cables.
//!
//! Never without somebody who can mend what is broken, and never before it was said.

use super::{DrillRun, failure};
use crate::base::{Diagnostic, Result};
use crate::ops::drill::drill_target::listed;
use crate::ops::drill::fault_injector::FaultInjector;
use crate::ops::drill::plan::Who;
use crate::ops::drill::record::What;

impl DrillRun<'_> {
    /// Power for these hosts, or none: one event, since it is one instant.
    pub(super) async fn power(&mut self, hosts: Vec<String>, on: bool) -> Result<()> {
        let (what, word) = if on {
            (What::Mend, "power")
        } else {
            (What::Break, "no power")
        };
        let text = format!("{word} for {}", listed(&hosts));
        self.outside(&hosts.clone(), what, text, move |injector| {
            if on {
                injector.start(&hosts)
            } else {
                injector.kill(&hosts)
            }
        })
        .await
    }

    pub(super) async fn cut(&mut self, who: Who, from: &[Who]) -> Result<()> {
        let others: Vec<Option<String>> = if from.is_empty() {
            vec![None]
        } else {
            let names = from.iter().flat_map(|who| who.hosts(&self.assignment));
            names.map(Some).collect()
        };
        for host in who.hosts(&self.assignment) {
            let names: Vec<String> = others.iter().flatten().cloned().collect();
            let far = if names.is_empty() {
                "everyone".to_owned()
            } else {
                listed(&names)
            };
            let others = others.clone();
            let text = format!("cut {host} off from {far}");
            self.keep_fault(&host, who, &text).await?;
            let one = [host.clone()];
            self.outside(&one, What::Break, text, move |injector| {
                others
                    .iter()
                    .try_for_each(|other| injector.cut(&host, other.as_deref()))
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn join(&mut self, who: Who) -> Result<()> {
        for host in who.hosts(&self.assignment) {
            let text = format!("reconnect the network of {host}");
            let one = [host.clone()];
            self.outside(&one, What::Mend, text, move |injector| injector.heal(&host))
                .await?;
        }
        Ok(())
    }

    /// Something that is done from outside of these hosts.
    async fn outside(
        &mut self,
        hosts: &[String],
        what: What,
        text: String,
        deed: impl FnOnce(&dyn FaultInjector) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let injector = self
            .tools
            .injector
            .clone()
            .ok_or_else(|| {
                Diagnostic::refused(format!("this drill needs a lab: {text}"))
                    .help("power and cables are taken away in a lab only: `hactl lab up`, then the drill with the lab's inventory")
            })?;
        (self.tools.tell)(&text);
        for host in hosts {
            self.drill_target.forget(host).await;
        }
        let at = self.clock.now();
        let done = tokio::task::spawn_blocking(move || deed(&*injector)).await;
        self.event(at, what, text);
        done.map_err(|error| failure(error.to_string()))?
    }
}
