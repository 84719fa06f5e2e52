//! A host from its greeting to its farewell: connection, lock, the plays in their turn, what it has cost.

use super::event::Event;
use super::greet;
use super::link::{Apply, Link};
use super::runner::{Fate, Runner};
use super::survey;
use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Statistics};
use crate::modules::Request;
use std::sync::Arc;
use std::time::Instant;

impl Runner {
    /// Runs the host to its end. Never panics on what a host says.
    pub async fn run(mut self) -> (String, Fate) {
        let name = self.host.name.clone();
        let started = Instant::now();
        let coordinator = Arc::clone(&self.shared.globals.coordinator);
        let greeted = {
            let shared = Arc::clone(&self.shared);
            let _permit = shared.forks.acquire().await;
            self.greet().await
        };
        let mut fate = match greeted {
            Ok(()) => Fate::Done,
            Err(error) => {
                let fate = match error.code {
                    exit::REFUSED => Fate::Refused,
                    exit::UNREACHABLE => Fate::Unreachable,
                    _ => Fate::Failed,
                };
                self.tell(Event::HostLost {
                    host: name.clone(),
                    error,
                });
                fate
            }
        };
        coordinator.post(|board| {
            board.greeted.insert(name.clone());
            if fate == Fate::Refused {
                board.refused.insert(name.clone());
            } else if fate != Fate::Done {
                board.lost.insert(name.clone());
            }
        });
        // Nobody changes anything before every lock is held: a second operator is refused as a whole.
        let everybody = Arc::clone(&self.everybody);
        let refused = coordinator
            .wait(|board| {
                everybody
                    .iter()
                    .all(|host| board.greeted.contains(host))
                    .then_some(!board.refused.is_empty())
            })
            .await;
        let refused = refused || self.survey(&mut fate).await;
        if !refused && fate == Fate::Done {
            fate = self.plays().await;
        }
        coordinator.post(|board| {
            for play in &mut board.plays {
                play.done.insert(name.clone());
                if fate != Fate::Done {
                    play.failed.insert(name.clone());
                    play.remove(&name);
                }
            }
            if fate != Fate::Done {
                board.lost.insert(name.clone());
            }
        });
        let (processes, statistics) = self.close().await;
        self.tell(Event::HostEnd {
            host: name.clone(),
            statistics,
            processes,
            seconds: started.elapsed().as_secs_f64(),
            connect_seconds: self.connect_seconds,
        });
        (name, fate)
    }

    /// Looks over the host's plays with its facts, before anybody changes anything: whether some host will get to what
    /// hactl cannot do.
    async fn survey(&self, fate: &mut Fate) -> bool {
        if !survey::needed(&self.shared) {
            return false;
        }
        let mut found = survey::Survey::default();
        if *fate == Fate::Done {
            survey::host(&self.shared, &self.host, false, &mut found);
        }
        let errors = found.errors();
        if !errors.is_empty() {
            *fate = Fate::Refused;
        }
        for error in errors {
            self.tell(Event::HostLost {
                host: self.host.name.clone(),
                error: Diagnostic {
                    code: exit::REFUSED,
                    ..error
                }
                .note("nothing was changed on any host"),
            });
        }
        let coordinator = &self.shared.globals.coordinator;
        coordinator.post(|board| {
            board.surveyed.insert(self.host.name.clone());
            if *fate == Fate::Refused {
                board.impossible.insert(self.host.name.clone());
            }
        });
        coordinator
            .wait(|board| {
                let all = self.everybody.iter();
                all.clone()
                    .all(|host| board.surveyed.contains(host))
                    .then_some(!board.impossible.is_empty())
            })
            .await
    }

    async fn greet(&mut self) -> Result<()> {
        if self.shared.settings.offline {
            self.host.data_mut().facts = super::offline::facts(&self.shared, &self.host);
            return Ok(());
        }
        let target = self.shared.targets.get(&self.host.name).ok_or_else(|| {
            Diagnostic::with_code(exit::UNREACHABLE, "it is not in the inventory")
                .on(&self.host.name)
        })?;
        let mut connection = Connection::open(target).await?;
        self.connect_seconds = connection.seconds;
        let operator = (!self.shared.settings.check).then_some(&self.shared.settings.operator);
        let say = |text| {
            self.tell(Event::Note {
                host: Some(self.host.name.clone()),
                text,
            })
        };
        let greeting = greet::greet(&mut connection, &self.state_dir(), operator, &say)
            .await
            .map_err(|error| error.on(&self.host.name))?;
        if !self.shared.settings.render {
            greeting
                .demand_no_operation()
                .map_err(|error| error.on(&self.host.name))?;
        }
        self.host.data_mut().facts = greeting.facts;
        self.owed = greeting.owed;
        self.sort_owed();
        self.processes = greeting.processes;
        *self.link.lock().await = Link::Live(Box::new(connection));
        self.tell(Event::Connected {
            host: self.host.name.clone(),
            seconds: self.connect_seconds,
        });
        Ok(())
    }

    /// Sends what bookkeeping is left; gives the number of processes started on the host, and what the run has cost
    /// (without the counting itself).
    async fn close(&mut self) -> (u64, Statistics) {
        let bookkeeping = std::mem::take(&mut self.state.bookkeeping);
        let applies: Vec<Apply> = bookkeeping
            .into_iter()
            .map(|request| Apply {
                request,
                chained: false,
            })
            .collect();
        let mut link = self.link.lock().await;
        if !applies.is_empty() && matches!(*link, Link::Live(_)) {
            // A lost connection here only means that handlers run once more next time.
            let _ = link.exchange(&applies, &[]).await;
        }
        let statistics = link.statistics();
        if !self.shared.settings.count_processes || !matches!(*link, Link::Live(_)) {
            return (0, statistics);
        }
        let counter = [Apply {
            request: Request::sh(greet::COUNTER),
            chained: false,
        }];
        let Ok((replies, _)) = link.exchange(&counter, &[]).await else {
            return (0, statistics);
        };
        let now = replies
            .last()
            .and_then(|reply| reply.out().trim().parse::<u64>().ok());
        (
            now.zip(self.processes)
                .map_or(0, |(now, before)| now.saturating_sub(before)),
            statistics,
        )
    }

    async fn plays(&mut self) -> Fate {
        let shared = Arc::clone(&self.shared);
        let coordinator = Arc::clone(&shared.globals.coordinator);
        for (index, play) in shared.plays.iter().enumerate() {
            let name = &self.host.name;
            let (takes_part, batch) = {
                let board = coordinator.board();
                let board = &board.plays[index];
                (board.hosts.contains(name), board.batch(name))
            };
            if !takes_part {
                coordinator.post(|board| board.plays[index].done.insert(name.clone()));
                continue;
            }
            let stopped = coordinator
                .wait(|board| {
                    let through = |play: &super::state::PlayBoard, hosts: &[String]| {
                        hosts
                            .iter()
                            .all(|host| play.done.contains(host) || board.lost.contains(host))
                    };
                    let ready = play
                        .after
                        .iter()
                        .all(|before| through(&board.plays[*before], &board.plays[*before].hosts));
                    let mine = &board.plays[index];
                    let earlier: Vec<String> = mine.batches[..batch].concat();
                    let whole_batch_failed = mine.batches[..batch].iter().any(|batch| {
                        !batch.is_empty() && batch.iter().all(|host| board.lost.contains(host))
                    });
                    let stop = mine.stop.is_some()
                        || board.stopped.contains(name)
                        || whole_batch_failed
                        || play
                            .after
                            .iter()
                            .any(|before| board.plays[*before].stop.is_some());
                    (stop || (ready && through(mine, &earlier))).then_some(stop)
                })
                .await;
            if stopped {
                return Fate::Stopped;
            }
            self.tell(Event::PlayBegin {
                host: self.host.name.clone(),
                play: play.play.name.clone(),
            });
            let (began, before) = (Instant::now(), self.link.lock().await.statistics());
            let result = self.play(play).await;
            let struck = self.state.struck;
            let statistics = self.link.lock().await.statistics().since(before);
            self.tell(Event::PlayEnd {
                host: self.host.name.clone(),
                play: play.play.name.clone(),
                statistics,
                seconds: began.elapsed().as_secs_f64(),
            });
            coordinator.post(|board| {
                let board = &mut board.plays[index];
                board.done.insert(self.host.name.clone());
                if result.is_err() || struck {
                    board.failed.insert(self.host.name.clone());
                    board.remove(&self.host.name);
                    let size = board.batches[batch].len().max(1);
                    let failed = board.batches[batch]
                        .iter()
                        .filter(|host| board.failed.contains(*host))
                        .count();
                    // Counts of hosts are small.
                    #[expect(clippy::cast_precision_loss, reason = "a handful of hosts")]
                    let percent = failed as f64 * 100.0 / size as f64;
                    let in_step = self.state.pace.is_some();
                    let limit = play.max_fail_percentage.filter(|_| !in_step);
                    if limit.is_some_and(|limit| percent > limit) {
                        board.stop = Some("max_fail_percentage".to_owned());
                    } else if failed == size {
                        board.stop = Some("every host of the batch failed".to_owned());
                    }
                }
            });
            if let Err(error) = result {
                let lost = error.code == exit::UNREACHABLE;
                if lost {
                    self.tell(Event::HostLost {
                        host: self.host.name.clone(),
                        error,
                    });
                }
                return if lost {
                    Fate::Unreachable
                } else {
                    Fate::Failed
                };
            }
            if struck || self.state.halted {
                return Fate::Stopped;
            }
        }
        for (play, handlers) in std::mem::take(&mut self.owed) {
            let text = format!(
                "handlers of play `{play}` are still owed from an earlier run: {}",
                handlers.join(", ")
            );
            self.tell(Event::Note {
                host: Some(self.host.name.clone()),
                text,
            });
        }
        Fate::Done
    }
}
