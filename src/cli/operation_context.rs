//! What the commands have in common that move the virtual address or take hosts out: the lock, the wish to end, who does it.

use super::{deploy, fleet, stop};
use crate::base::{Diagnostic, exit};
use crate::engine::Operator;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::Site;
use crate::ops::operation::context::Who;
use crate::report;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Flags of every command that changes something.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Take the lock of another operator whose run is certainly dead
    #[arg(long)]
    pub break_lock: bool,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Connects and looks once, without a lock.
///
/// # Errors
/// When no host could be reached.
pub fn glance<T>(
    site: &Site,
    reach: &fleet::ConnectArgs,
    look: impl AsyncFnOnce(&mut ConnectionPool) -> T,
) -> Result<T, Vec<Diagnostic>> {
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        let mut pool = open(site, reach, None).await?;
        Ok(look(&mut pool).await)
    })
}

/// Who is at work.
pub fn who() -> Who {
    let operator = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "?".to_owned(), |user| user.name);
    let from = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "?".to_owned());
    Who { operator, from }
}

/// Connects to all hosts and takes their locks; without a lock for whoever only looks.
///
/// # Errors
/// When another operator is at work on one of them.
pub async fn open(
    site: &Site,
    reach: &fleet::ConnectArgs,
    lock: Option<(&str, bool)>,
) -> Result<ConnectionPool, Vec<Diagnostic>> {
    let mut pool = ConnectionPool::open(site.targets(), reach.forks).await;
    if let Some((command, break_lock)) = lock {
        let operator = Operator {
            name: deploy::operator(command),
            break_lock,
        };
        pool.lock(&operator, &|line| report::say(&line)).await?;
    }
    if pool.reached().next().is_none() {
        return Err(site
            .hosts
            .iter()
            .filter_map(|host| Some(pool.lost(&host.name)?.on(&host.name)))
            .map(|mut error| {
                error.code = exit::UNREACHABLE;
                error
            })
            .collect());
    }
    Ok(pool)
}

/// Set by Ctrl-C and SIGTERM, so that what was begun is undone.
pub fn stop() -> Arc<AtomicBool> {
    stop::flag("ending; what was begun is being undone")
}
