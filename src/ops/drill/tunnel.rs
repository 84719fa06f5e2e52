//! The clients' way into the service, held open: when the host that it leads through loses its power, it is opened anew as soon
//! as that host lets in again.
//!
//! Nobody waits for it: a client that finds it closed has failed, and is counted. Never tries in a hurry, never for longer than
//! the drill lasts.

use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Target, Tunnel};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Time between two looks at a way that is open, and between two attempts to open one.
const BEAT: Duration = Duration::from_millis(500);
/// A host that says nothing for so long is away, whatever its connection looks like: one without power closes nothing.
const SILENCE: Duration = Duration::from_secs(3);
/// Seconds after which a host that does not let in is tried again.
const OPENING: u64 = 4;

/// Where clients go in at this moment.
#[derive(Debug, Clone)]
pub struct TunnelSocket(watch::Receiver<Option<PathBuf>>);

impl TunnelSocket {
    /// The socket to connect to; none while the way is closed.
    pub fn socket(&self) -> Option<PathBuf> {
        self.0.borrow().clone()
    }

    /// One that never changes.
    #[cfg(test)]
    pub fn fixed(socket: Option<PathBuf>) -> Self {
        // What the sender said last is kept when it is gone.
        Self(watch::channel(socket).1)
    }
}

/// A way in, and who keeps it open.
pub struct ReopeningTunnel {
    entrance: TunnelSocket,
    keeper: JoinHandle<()>,
}

impl ReopeningTunnel {
    /// Opens a way through a host to an address and port. `limit` is what a client waits for an answer: a way that is only slow
    /// is not taken from clients that still wait.
    ///
    /// # Errors
    /// The host does not let in at all.
    pub async fn open(target: &Target, address: &str, port: u16, limit: Duration) -> Result<Self> {
        let silence = target.patient(SILENCE).max(limit);
        let opening = target.patient(Duration::from_secs(OPENING));
        let mut target = target.clone();
        target.timeout_seconds = target.timeout_seconds.min(OPENING);
        let address = address.to_owned();
        let open = move || {
            let (target, address) = (target.clone(), address.clone());
            async move {
                let late = || {
                    Diagnostic::with_code(exit::UNREACHABLE, "it was not reached in time")
                        .on(&target.host)
                };
                timeout(opening, Tunnel::open(&target, &address, port))
                    .await
                    .map_err(|_| late())?
            }
        };
        let first = open().await?;
        Ok(Self::keep(first, open, BEAT, silence))
    }

    fn keep<P, O, F>(first: P, open: O, beat: Duration, silence: Duration) -> Self
    where
        P: Passage,
        O: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<P>> + Send,
    {
        let (told, heard) = watch::channel(Some(first.socket()));
        let keeper = tokio::spawn(async move {
            let mut beat = interval(beat);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut passage = Some(first);
            loop {
                beat.tick().await;
                passage = match passage.take() {
                    Some(mut open) => {
                        let lives = timeout(silence, open.lives()).await.unwrap_or(false);
                        lives.then_some(open)
                    }
                    // Why it cannot be opened yet is what the clients' requests say.
                    None => open().await.ok(),
                };
                told.send_replace(passage.as_ref().map(Passage::socket));
            }
        });
        Self {
            entrance: TunnelSocket(heard),
            keeper,
        }
    }

    /// Where clients go in.
    pub fn entrance(&self) -> TunnelSocket {
        self.entrance.clone()
    }

    /// Closes it; nothing of it is left then.
    pub async fn close(self) {
        self.keeper.abort();
        // It ends at the next moment at which it waits, and only by this.
        let _ = self.keeper.await;
    }
}

/// A way while it is open.
trait Passage: Send + Sync + 'static {
    fn socket(&self) -> PathBuf;
    /// Ends with whether it still leads anywhere; may never end when it does not.
    fn lives(&mut self) -> impl Future<Output = bool> + Send;
}

impl Passage for Tunnel {
    fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    async fn lives(&mut self) -> bool {
        self.beat().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Lives for so many beats; then it is closed, or says nothing any more.
    struct Fake {
        number: usize,
        beats: usize,
        silent: bool,
        open: Arc<AtomicUsize>,
    }

    impl Fake {
        fn new(number: usize, beats: usize, silent: bool, open: &Arc<AtomicUsize>) -> Self {
            open.fetch_add(1, Ordering::Relaxed);
            Self {
                number,
                beats,
                silent,
                open: Arc::clone(open),
            }
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Passage for Fake {
        fn socket(&self) -> PathBuf {
            self.number.to_string().into()
        }

        async fn lives(&mut self) -> bool {
            if self.beats == 0 && self.silent {
                std::future::pending::<()>().await;
            }
            self.beats = self.beats.saturating_sub(1);
            self.beats > 0
        }
    }

    #[tokio::test]
    async fn a_way_that_dies_is_opened_anew() {
        for silent in [false, true] {
            let open = Arc::new(AtomicUsize::new(0));
            let tries = Arc::new(AtomicUsize::new(0));
            let (count, counted) = (Arc::clone(&open), Arc::clone(&tries));
            let opener = move || {
                let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                let count = Arc::clone(&count);
                async move {
                    // The host is still away at the first attempts.
                    if number < 3 {
                        return Err(Diagnostic::new("away"));
                    }
                    Ok(Fake::new(number, usize::MAX, false, &count))
                }
            };
            let first = Fake::new(0, 2, silent, &open);
            let ms = Duration::from_millis;
            let way = ReopeningTunnel::keep(first, opener, ms(5), ms(20));
            let mut seen = way.entrance.0.clone();
            assert_eq!(way.entrance().socket(), Some("0".into()));
            let wait = Duration::from_secs(10);
            let closed = timeout(wait, seen.wait_for(Option::is_none)).await;
            assert!(closed.expect("in time").is_ok());
            assert_eq!(open.load(Ordering::Relaxed), 0, "silent: {silent}");
            let again = timeout(wait, seen.wait_for(Option::is_some)).await;
            let again = again.expect("in time").expect("held open").clone();
            assert_eq!(again, Some("3".into()));
            assert_eq!(tries.load(Ordering::Relaxed), 3);
            way.close().await;
            assert_eq!(open.load(Ordering::Relaxed), 0, "closed");
        }
    }
}
