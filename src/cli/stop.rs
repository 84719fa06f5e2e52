//! The wish to end: Ctrl-C, SIGTERM and a terminal that is gone mean the same to every command, so that what was begun is taken back, healed or
//! deleted however it was asked. A second signal changes nothing: what takes back must not be cut off.

use crate::base::{Diagnostic, Result, exit};
use crate::report;
use nix::sys::signal::{SigSet, Signal as Sig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// These signals, heard from the moment on in which this is made; must be made inside a runtime.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system gives no handler.
    pub fn listen() -> Result<Self> {
        // Whoever started this program may have had them blocked, and a blocked signal is inherited.
        let mut wanted = SigSet::empty();
        for signal in [Sig::SIGINT, Sig::SIGTERM, Sig::SIGHUP] {
            wanted.add(signal);
        }
        wanted.thread_unblock().map_err(|error| {
            Diagnostic::with_code(exit::FAILED, format!("cannot listen for signals: {error}"))
        })?;
        let failed = |error: std::io::Error| {
            Diagnostic::with_code(exit::FAILED, format!("cannot listen for signals: {error}"))
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hangup: signal(SignalKind::hangup()).map_err(failed)?,
        })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Calls this once when somebody wants to end, and says that. Where signals cannot be heard, they do what they always do.
pub fn then(says: &'static str, stop: impl FnOnce() + Send + 'static) {
    let Ok(mut signals) = Signals::listen() else {
        return;
    };
    tokio::spawn(async move {
        signals.next().await;
        stop();
        report::say(says);
        // Still listening, so that a second one does not end the program half way.
        loop {
            signals.next().await;
        }
    });
}

/// A flag that is raised when somebody wants to end.
pub fn flag(says: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    then(says, move || heard.store(true, Ordering::Relaxed));
    stop
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Name, raise};

    #[tokio::test]
    async fn both_signals_are_the_same_wish() {
        for name in [Name::SIGTERM, Name::SIGINT] {
            let stop = flag("ending, for a test");
            assert!(!stop.load(Ordering::Relaxed));
            raise(name).expect("raised");
            for _ in 0..200 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            assert!(stop.load(Ordering::Relaxed), "{name}");
        }
    }
}
