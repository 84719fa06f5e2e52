//! Keywords that say where a task runs, how long it may take, and how many hosts run it at once.
//!
//! They decide nothing about what a task does.

use super::run::PlayRun;
use super::runner::Runner;
use super::settle::Settled;
use super::state::HostState;
use super::unit::{Unit, Verdict, conditions, number};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::play::{Keywords, Task};
use crate::template::Context;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whether `connection: local` moves a task of this host to this machine. The host's own `ansible_connection` counts for more,
/// as in Ansible.
pub fn is_moved(keywords: &Keywords, host: &HostState) -> bool {
    keywords.connection.as_deref() == Some("local")
        && keywords.delegate_to.is_none()
        && host.name != "localhost"
        && !host.variables.contains_key("ansible_connection")
}

/// Whether these keywords make a task stand alone: nothing after it is looked at before it is done.
pub fn stand_alone(keywords: &Keywords, host: &HostState) -> bool {
    let looped = keywords.loop_.as_ref().map(|looped| &looped.control);
    keywords.run_once.is_some()
        || keywords.delegate_to.is_some()
        || !keywords.until.is_empty()
        || keywords.retries.is_some()
        || keywords.throttle.is_some()
        || is_moved(keywords, host)
        || looped.is_some_and(|control| control.pause.is_some() || !control.break_when.is_empty())
}

/// The seconds that a task may take on its host: `timeout`, or `async`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    keyword: &'static str,
    seconds: u64,
}

impl Limit {
    /// The smaller one of a task's limits; zero is none.
    ///
    /// # Errors
    /// When it is no number.
    pub fn of(keywords: &Keywords, context: &Context) -> Result<Option<Self>> {
        let of = |keyword, node: Option<&crate::source::Node>| -> Result<Option<Self>> {
            // Seconds of a task: small.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small positive number"
            )]
            let seconds = number(node, 0.0, context)?.max(0.0).ceil() as u64;
            Ok((seconds > 0).then_some(Self { keyword, seconds }))
        };
        let both = [
            of("timeout", keywords.timeout.as_ref())?,
            of("async", keywords.async_.as_ref())?,
        ];
        Ok(both.into_iter().flatten().min_by_key(|limit| limit.seconds))
    }

    /// Has it kept on the host.
    pub fn set(self, requests: &mut [Request]) {
        for request in requests {
            if request.timeout_seconds.is_none_or(|own| own > self.seconds) {
                request.timeout_seconds = Some(self.seconds);
            }
        }
    }

    /// The error of a change that was ended by it.
    pub fn exceeded(self, requests: &[Request], replies: &[Reply]) -> Option<Diagnostic> {
        let ended = requests.iter().zip(replies).any(|(request, reply)| {
            request.timeout_seconds == Some(self.seconds) && matches!(reply.code, 124 | 137)
        });
        ended.then(|| self.error())
    }

    /// How many seconds it is.
    pub fn as_f64(self) -> f64 {
        std::time::Duration::from_secs(self.seconds).as_secs_f64()
    }

    /// The error of what took longer.
    pub fn error(self) -> Diagnostic {
        Diagnostic::with_code(
            exit::FAILED,
            format!(
                "not done within {} s (`{}`): it was ended",
                self.seconds, self.keyword
            ),
        )
    }
}

impl Runner {
    /// Whether an item is the last one of its loop: that of the list, or the one for which `break_when` holds.
    pub(super) fn ends_loop(
        &mut self,
        unit: &Unit,
        settled: &Settled,
        last: Option<bool>,
    ) -> Option<bool> {
        let looped = unit.task.keywords.loop_.as_ref();
        let list = looped.map_or(&[][..], |looped| &looped.control.break_when);
        if last != Some(false) || list.is_empty() {
            return last;
        }
        let scope = unit.scope.settled();
        let scope = match &unit.task.keywords.register {
            Some(name) => scope.with(name, settled.result.clone()),
            None => scope,
        };
        let context = self.shared.settings.context(&scope, &unit.task);
        match conditions(list, &context) {
            Ok(Verdict::Holds) => self.state.broke_off = true,
            Ok(Verdict::False(_) | Verdict::Unknown(_)) => {}
            Err(error) => {
                self.state.broke_off = true;
                self.state.loop_failed = Some(error.at(&unit.task.span));
            }
        }
        Some(self.state.broke_off)
    }

    /// The turn to run a task with `throttle`; it ends when what is given is dropped.
    pub(super) async fn turn(
        &self,
        play: &PlayRun,
        task: &Task,
        context: &Context,
    ) -> Result<Option<OwnedSemaphorePermit>> {
        let wished = number(task.keywords.throttle.as_ref(), 0.0, context)?;
        // A number of hosts is small.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive number"
        )]
        let most = wished.max(0.0) as usize;
        if most == 0 {
            return Ok(None);
        }
        let place = format!("{} {}", play.layers.index, task.span);
        let turns = {
            let mut board = self.shared.globals.coordinator.board();
            let new = || Arc::new(Semaphore::new(most));
            Arc::clone(board.turns.entry(place).or_insert_with(new))
        };
        // Never closed.
        Ok(turns.acquire_owned().await.ok())
    }
}
