//! A new connection in the middle of a run: `meta: reset_connection`, `wait_for_connection`, `ignore_unreachable`.
//!
//! What proves that a host can still be entered is a connection that did not exist before the change. The lock goes with the
//! connection, so it is taken anew; a lock that this very run still holds, over a connection that is dead here and not yet
//! there, is taken from it. Never resends what was under way.

use super::event::Event;
use super::link::{Apply, Link};
use super::lock;
use super::runner::{Flow, Runner};
use super::unit::Unit;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result, exit};
use crate::connection::Connection;
use crate::modules::Request;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a new connection is tried for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Seconds before the first try.
    pub delay: f64,
    /// Seconds for one try.
    pub once: u64,
    /// Seconds between two.
    pub pause: f64,
    /// Seconds in all.
    pub whole: f64,
}

/// What is tried when a playbook goes on after a connection was ended, without waiting for a new one.
const AT_ONCE: Patience = Patience {
    delay: 0.0,
    once: 10,
    pause: 1.0,
    whole: 20.0,
};

impl Runner {
    /// Whether there is a host behind the link that could be connected to anew.
    fn is_real(&self, link: &Link) -> bool {
        !self.shared.settings.check && !self.shared.settings.offline && !matches!(link, Link::Empty)
    }

    /// Ends the connection: whatever comes next goes over a new one.
    pub(super) async fn reset_connection(&self) {
        let mut link = self.link.lock().await;
        if self.is_real(&link)
            && let Link::Live(connection) = &mut *link
        {
            connection.shell.close().await;
        }
    }

    /// Opens a new connection when the old one was ended or lost.
    pub(super) async fn connected(&self) -> Result<()> {
        let link = self.link.lock().await;
        let lost = matches!(&*link, Link::Live(connection) if connection.shell.is_broken());
        let real = self.is_real(&link);
        drop(link);
        if lost && real {
            self.reconnect(AT_ONCE).await?;
        }
        Ok(())
    }

    /// Waits until the host answers, over the connection that there is or a new one.
    pub(super) async fn wait_for_connection(
        &self,
        patience: Patience,
    ) -> Result<Map<String, Value>> {
        let began = Instant::now();
        let real = self.is_real(&*self.link.lock().await);
        if real {
            tokio::time::sleep(Duration::from_secs_f64(patience.delay)).await;
            if !self.answers().await {
                self.reconnect(patience).await?;
            }
        }
        let mut outcome = Map::new();
        outcome.insert("elapsed".to_owned(), Value::from(began.elapsed().as_secs()));
        Ok(outcome)
    }

    async fn answers(&self) -> bool {
        let mut link = self.link.lock().await;
        let ping = [Apply {
            request: Request::sh(":"),
            chained: false,
        }];
        !matches!(&*link, Link::Live(connection) if connection.shell.is_broken())
            && link.exchange(&ping, &[]).await.is_ok()
    }

    async fn reconnect(&self, patience: Patience) -> Result<()> {
        let name = &self.host.name;
        let until = Instant::now() + Duration::from_secs_f64(patience.whole);
        let mut target = self.shared.targets.get(name).cloned().ok_or_else(|| {
            Diagnostic::with_code(exit::UNREACHABLE, "it is not in the inventory").on(name)
        })?;
        target.timeout_seconds = patience.once;
        loop {
            let error = match self.enter(&target).await {
                Ok(mut connection) => {
                    let mut link = self.link.lock().await;
                    connection.shell.statistics = link.statistics();
                    *link = Link::Live(Box::new(connection));
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.code != exit::UNREACHABLE {
                return Err(error);
            }
            if Instant::now() + Duration::from_secs_f64(patience.pause) >= until {
                return Err(Diagnostic {
                    message: format!(
                        "no new connection within {} s: {}",
                        patience.whole, error.message
                    ),
                    ..error
                });
            }
            tokio::time::sleep(Duration::from_secs_f64(patience.pause)).await;
        }
    }

    /// One try: a connection with this run's lock.
    async fn enter(&self, target: &crate::connection::Target) -> Result<Connection> {
        let mut connection = Connection::open(target).await?;
        let say = |text| {
            self.tell(Event::Note {
                host: Some(self.host.name.clone()),
                text,
            });
        };
        lock::take_again(
            &mut connection,
            &self.state_dir(),
            &self.shared.settings.operator,
            &say,
        )
        .await
        .map_err(|error| error.on(&self.host.name))?;
        Ok(connection)
    }

    /// A task whose connection was lost: with `ignore_unreachable` it counts as done, and says that it was not reached.
    pub(super) fn unreachable(
        &mut self,
        play: &super::run::PlayRun,
        unit: &Unit,
        last: Option<bool>,
        error: Diagnostic,
    ) -> Result<Flow> {
        let keywords = &unit.task.keywords;
        let context = self.shared.settings.context(&unit.scope, &unit.task);
        let ignored = super::unit::flag(keywords.ignore_unreachable.as_ref(), false, &context)
            .unwrap_or(false);
        if !ignored || error.code != exit::UNREACHABLE {
            return Err(error);
        }
        let mut outcome = Map::new();
        outcome.insert("unreachable".to_owned(), Value::Bool(true));
        outcome.insert("msg".to_owned(), Value::from(error.message.clone()));
        outcome.insert(
            crate::modules::MESSAGE.to_owned(),
            Value::from(format!("{}; going on", error.message)),
        );
        let plain = Unit {
            task: super::attempt::without_judgement(&unit.task),
            ..unit.clone()
        };
        let settled = super::settle::settle(&plain, outcome, true, None, &self.shared.settings);
        Ok(self.commit(play, &Arc::new(plain), settled, Vec::new(), last, 0))
    }
}
