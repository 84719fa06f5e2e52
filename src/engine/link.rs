//! A host as the runner talks to it: really there, or an empty one that is only imagined (`--offline`).

use crate::base::{Diagnostic, Result};
use crate::connection::{Connection, Item, Statistics, compile};
use crate::modules::{Probe, Reply, Request, Seen};
use std::collections::BTreeMap;

/// A host to talk to.
pub enum Link {
    /// A connection.
    Live(Box<Connection>),
    /// A freshly installed machine that nobody asks: no files, no packages, no units.
    Empty,
    /// Not connected.
    Down,
}

/// A request to run, after the one before it succeeded or in any case.
#[derive(Debug, Clone)]
pub struct Apply {
    /// What to run.
    pub request: Request,
    /// Only if the one before succeeded.
    pub chained: bool,
}

impl Link {
    /// Runs requests and answers probes in one round trip.
    ///
    /// # Errors
    /// When the connection is lost or an answer cannot be read.
    pub async fn exchange(
        &mut self,
        applies: &[Apply],
        probes: &[Probe],
    ) -> Result<(Vec<Reply>, Vec<Seen>)> {
        match self {
            Self::Down => Err(Diagnostic::with_code(
                crate::base::exit::UNREACHABLE,
                "there is no connection",
            )),
            Self::Empty => Ok((
                vec![Reply::default(); applies.len()],
                probes.iter().map(empty).collect(),
            )),
            Self::Live(connection) => {
                let (requests, decoder) = compile(probes);
                let items: Vec<Item<'_>> = applies
                    .iter()
                    .map(|apply| Item {
                        request: &apply.request,
                        chained: apply.chained,
                        holds_lock: false,
                        looks: false,
                    })
                    .chain(requests.iter().map(|request| Item {
                        request,
                        chained: false,
                        holds_lock: false,
                        looks: true,
                    }))
                    .collect();
                let mut replies = connection.shell.batch(&items).await?;
                let seen = decoder.decode(&replies.split_off(applies.len()))?;
                Ok((replies, seen))
            }
        }
    }

    /// What it has cost.
    pub fn statistics(&self) -> Statistics {
        match self {
            Self::Live(connection) => connection.shell.statistics,
            _ => Statistics::default(),
        }
    }
}

/// What a fresh machine answers.
fn empty(probe: &Probe) -> Seen {
    match probe {
        Probe::File(_) => Seen::File(None),
        Probe::Packages(_) => Seen::Packages(BTreeMap::new()),
        Probe::Unit(_) => Seen::Properties(
            [
                ("LoadState", "not-found"),
                ("ActiveState", "inactive"),
                ("SubState", "dead"),
                ("UnitFileState", ""),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ),
        Probe::Entry {
            database: "passwd",
            key,
        } if key == "root" => Seen::Entry(Some(
            ["root", "x", "0", "0", "root", "/root", "/bin/bash"]
                .map(str::to_owned)
                .to_vec(),
        )),
        Probe::Entry { .. } => Seen::Entry(None),
        Probe::Run(_) => Seen::Reply(Reply {
            code: 127,
            ..Reply::default()
        }),
    }
}
