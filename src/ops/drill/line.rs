//! A connection to one host that may die at any moment: opened when it is needed, given up when it does not answer.
//!
//! Nothing is sent twice. What was asked of a host that is then lost may have been done.

use crate::base::{Diagnostic, Result, exit};
use crate::connection::{Connection, Item, Target};
use crate::modules::{Reply, Request};
use std::time::Duration;
use tokio::time::timeout;

/// What an exchange may take beyond the limit of its request.
const GRACE: Duration = Duration::from_secs(1);

/// The connection.
pub struct Line {
    target: Target,
    opening: Duration,
    open: Option<Connection>,
}

impl Line {
    /// To a host; connects at the first question, and gives up after so many seconds.
    pub fn new(target: &Target, seconds: u64) -> Self {
        let mut target = target.clone();
        target.timeout_seconds = target.timeout_seconds.min(seconds);
        let opening = target.patient(Duration::from_secs(seconds));
        Self {
            target,
            opening,
            open: None,
        }
    }

    /// Asks; connects first when there is no connection.
    ///
    /// # Errors
    /// The host was not reached, or was lost.
    pub async fn ask(&mut self, mut request: Request) -> Result<Reply> {
        let limit = self
            .target
            .patient(Duration::from_secs(request.timeout_seconds.unwrap_or(15)));
        request.timeout_seconds = Some(limit.as_secs());
        let limit = limit + GRACE;
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => timeout(self.opening, Connection::open(&self.target))
                .await
                .map_err(|_| self.gone("no connection in time"))??,
        };
        let item = Item {
            request: &request,
            chained: false,
            holds_lock: false,
            looks: false,
        };
        let replies = timeout(limit, connection.shell.batch(&[item]))
            .await
            .map_err(|_| self.gone("no answer in time"))??;
        self.open = Some(connection);
        replies
            .into_iter()
            .next()
            .ok_or_else(|| self.gone("an empty answer"))
    }

    /// Lets go of the connection: its host is about to die, and waiting for its last word would only take time.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn gone(&self, why: &str) -> Diagnostic {
        Diagnostic::with_code(exit::UNREACHABLE, format!("it was not reached: {why}"))
            .on(&self.target.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_line_is_opened_again() {
        let mut line = Line::new(
            &Target {
                host: "here".to_owned(),
                local: true,
                ..Target::default()
            },
            5,
        );
        let shell = line.ask(Request::sh("echo $PPID")).await.expect("asked");
        assert_eq!(shell.code, 0);
        let kill = Request::sh("read -r _ _ _ shell _ </proc/$PPID/stat; kill -9 \"$shell\"");
        assert_eq!(
            line.ask(kill).await.expect_err("lost").code,
            exit::UNREACHABLE
        );
        let again = line.ask(Request::sh("echo back")).await.expect("asked");
        assert_eq!(again.out(), "back\n");
    }
}
