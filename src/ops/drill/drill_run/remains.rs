//! What a drill leaves: copies of data directories, rows, images. Counted first, then deleted.
//!
//! Never deletes what was there before the drill began, nor outside of a lab what an operator may want to see.

use super::DrillRun;
use crate::base::Result;
use crate::base::quote::sh;
use crate::modules::Request;
use crate::ops::drill::drill_target::{done, listed};
use crate::ops::drill::metrics::Stored;
use crate::ops::drill::rows;
use std::time::UNIX_EPOCH;

impl DrillRun<'_> {
    /// The copies that `rejoin` made on a host since this drill began.
    pub(super) async fn copies(&self, host: &str, action: &str) -> Result<String> {
        let Some(server) = self.assignment.servers.get(host) else {
            return Ok(String::new());
        };
        let data = server.data.trim_end_matches('/');
        let (folder, name) = data.rsplit_once('/').unwrap_or((".", data));
        let began = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let script = format!(
            "find {} -maxdepth 1 \\( -name {} -o -name {} \\) -newerct @{} {action}",
            sh(folder),
            sh(&format!("{name}.diverged-*")),
            sh(&format!("{name}.replaced-*")),
            began.as_secs()
        );
        let reply = self.drill_target.ask(host, Request::sh(script)).await?;
        let reply = done(host, &reply, "copies cannot be looked for")?;
        Ok(reply.out().trim().to_owned())
    }

    /// Counts the drill's rows, and deletes them.
    pub async fn tidy(&mut self, mark: &str) -> Option<Stored> {
        let primaries = self.drill_target.primaries().await;
        let [primary] = primaries.as_slice() else {
            let observed = listed(&primaries);
            self.expect(false, "one primary has the rows", "one", &observed);
            return None;
        };
        if self.tools.injector.is_some() {
            // A lab has no use for them, and not much room. Elsewhere an operator decides.
            for host in [
                self.assignment.primary.clone(),
                self.assignment.standby.clone(),
            ] {
                if let Err(error) = self.copies(&host, "-exec rm -rf {} +").await {
                    self.failed("copies of this drill are deleted", &error);
                }
            }
        }
        let server = self.assignment.servers.get(primary)?.clone();
        let stored = match self.drill_target.rows(primary, &server, mark).await {
            Ok(rows) => {
                let damaged = self.drill_target.damaged(&rows, mark).await;
                if let Err(error) = &damaged {
                    self.failed("the images are read", error);
                }
                Some(rows::stored(&rows, damaged.ok()))
            }
            Err(error) => {
                self.failed("the rows are read", &error);
                None
            }
        };
        if let Err(error) = self.drill_target.sweep(primary, &server, mark).await {
            self.failed("the drill's rows are deleted", &error);
        }
        stored
    }
}
