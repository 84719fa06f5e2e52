//! `remote_user`: who a host is entered as, where its variables do not say it.
//!
//! A host is entered once in a run, so it has one such user; two wishes are refused before anybody connects.

use super::run::PlayRun;
use super::scope::Scope;
use super::settings::Settings;
use super::unit;
use crate::base::{Diagnostic, Result};
use std::sync::Arc;

/// The user that the plays of a host wish for.
///
/// # Errors
/// When two plays wish for different ones.
pub fn wished(plays: &[PlayRun], host: &str, settings: &Settings) -> Result<Option<String>> {
    let mut found: Option<(String, &PlayRun)> = None;
    for run in plays {
        let takes_part = {
            let board = run.globals.coordinator.board();
            board.plays[run.layers.index]
                .hosts
                .iter()
                .any(|name| name == host)
        };
        let (true, Some(node)) = (takes_part, &run.play.keywords.remote_user) else {
            continue;
        };
        let Some(state) = run.globals.host(host) else {
            continue;
        };
        // The inventory's word counts for more, as in Ansible.
        let named = ["ansible_user", "ansible_ssh_user"];
        if named.iter().any(|name| {
            state.variables.contains_key(*name) || run.globals.extra.contains_key(*name)
        }) {
            return Ok(None);
        }
        let scope = Scope {
            play: Some(Arc::clone(&run.layers)),
            ..Scope::of_host(&run.globals, &state)
        };
        let Some(user) = unit::text(Some(node), &settings.plain_context(&scope))? else {
            continue;
        };
        match &found {
            Some((other, first)) if *other != user => {
                return Err(Diagnostic::new(format!(
                    "`remote_user` is `{user}` here and `{other}` in the play at {}",
                    first.play.span
                ))
                .at(&node.span)
                .on(host)
                .help(
                    "a host is entered as one user in a run: set `ansible_user` in the inventory",
                ));
            }
            Some(_) => {}
            None => found = Some((user, run)),
        }
    }
    Ok(found.map(|(user, _)| user))
}
