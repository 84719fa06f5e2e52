//! The watcher: asks every database a few times a second, on its own host, whether it would take writes.
//!
//! A host that cannot be asked is unknown, never dead.

use super::drill_target::Instance;
use super::line::Line;
use super::record::{Clock, Observation, Role};
use crate::connection::Target;
use crate::modules::{Reply, Request};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Time from one look at a database to the next.
const BEAT: Duration = Duration::from_millis(300);
/// Seconds after which a host that does not let in is unknown: a dead one is the usual case here.
const OPENING: u64 = 4;
/// Seconds that a look may take.
const LIMIT: u64 = 2;

/// The watcher at work.
pub struct Watch {
    looks: Arc<Mutex<Vec<Observation>>>,
    stop: watch::Sender<bool>,
    eyes: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Starts to look at these databases.
    pub fn start(servers: impl IntoIterator<Item = (Target, Instance)>, clock: Clock) -> Self {
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (stop, _) = watch::channel(false);
        let eyes = servers
            .into_iter()
            .map(|(target, server)| {
                tokio::spawn(eye(
                    target,
                    server,
                    clock,
                    Arc::clone(&looks),
                    stop.subscribe(),
                ))
            })
            .collect();
        Self { looks, stop, eyes }
    }

    /// Stops looking; everything that was seen, in order.
    pub async fn stop(self) -> Vec<Observation> {
        self.stop.send_replace(true);
        for eye in self.eyes {
            // A look ends by itself.
            let _ = eye.await;
        }
        let mut looks =
            std::mem::take(&mut *self.looks.lock().unwrap_or_else(PoisonError::into_inner));
        looks.sort_by_key(|look| look.asked);
        looks
    }
}

async fn eye(
    target: Target,
    server: Instance,
    clock: Clock,
    looks: Arc<Mutex<Vec<Observation>>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut line = Line::new(&target, OPENING);
    let mut rest = Duration::ZERO;
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            () = sleep(rest) => {}
        }
        let asked = clock.now();
        let role = line
            .ask(question(&server))
            .await
            .map_or(Role::Unknown, |reply| role(&reply));
        let answered = clock.now();
        rest = rest_after(answered.saturating_sub(asked));
        looks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Observation {
                host: target.host.clone(),
                asked,
                answered,
                role,
            });
    }
}

/// How long not to look after a look that took so long: at least as long, so that it is not what a slow host is busy with.
fn rest_after(took: Duration) -> Duration {
    BEAT.saturating_sub(took).max(took)
}

fn question(server: &Instance) -> Request {
    let mut request = server.sql("postgres", "SELECT pg_is_in_recovery()");
    request.timeout_seconds = Some(LIMIT);
    request
}

/// What a database is by its answer.
pub fn role(reply: &Reply) -> Role {
    match (reply.code, reply.out().trim()) {
        (0, "f") => Role::Primary,
        (0, "t") => Role::Standby,
        _ => Role::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_host_is_looked_at_half_of_the_time_at_most() {
        for (took, rest) in [(0, 300), (60, 240), (150, 150), (200, 200), (3000, 3000)] {
            let (took, rest) = (Duration::from_millis(took), Duration::from_millis(rest));
            assert_eq!(rest_after(took), rest, "{took:?}");
        }
    }

    #[test]
    fn roles_are_read() {
        for (code, out, expected) in [
            (0, "f\n", Role::Primary),
            (0, "t\n", Role::Standby),
            (2, "", Role::Down),
            (124, "", Role::Down),
            (1, "f\n", Role::Down),
        ] {
            let reply = Reply {
                code,
                stdout: out.into(),
                ..Reply::default()
            };
            assert_eq!(role(&reply), expected, "{code} {out}");
        }
    }

    #[tokio::test]
    async fn a_host_without_postgresql_is_down_and_one_that_is_lost_is_unknown() {
        let target = |local| Target {
            host: format!("here-{local}"),
            address: "/nowhere".to_owned(),
            local,
            timeout_seconds: 1,
            ..Target::default()
        };
        let server = Instance {
            port: 1,
            ..Instance::default()
        };
        let watch = Watch::start(
            [(target(true), server.clone()), (target(false), server)],
            Clock::start(),
        );
        // Two looks at each.
        let mut seen = watch.looks.lock().expect("looks").len();
        while seen < 3 {
            tokio::task::yield_now().await;
            seen = watch.looks.lock().expect("looks").len();
        }
        for look in watch.stop().await {
            let expected = if look.host == "here-true" {
                Role::Down
            } else {
                Role::Unknown
            };
            assert_eq!(look.role, expected, "{look:?}");
        }
    }
}
