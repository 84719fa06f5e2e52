//! The clients of a fault history on an application server, and what the servers have of their rows afterwards.

use super::audit::{Rows, Write, read};
use super::world::DATABASES;
use crate::bench::{Bench, SLOWER, VIP};
use std::time::{Duration, Instant};

/// Where they run: no fault takes this host's power.
pub const HOST: &str = "app1";
const PROGRAM: &str = include_str!("../../chaos/client.py");
const LOG: &str = "/run/chaos/log";
const UNIT: &str = "chaos-clients";

/// SQL that reads the tables themselves: an index may say something else than its table.
const PLAIN: &str =
    "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;";

/// SQL in the application's database, on a host's own server; nothing when that does not answer.
pub fn sql(bench: &Bench, host: &str, statement: &str) -> Option<String> {
    let line = format!(
        "runuser -u postgres -- timeout 20 psql -XAtqw -v ON_ERROR_STOP=1 -d welcome_app <<'END'\n{statement}\nEND"
    );
    let run = bench.try_on(host, &line);
    (run.code == 0).then(|| run.stdout.trim().to_owned())
}

/// Clients at work.
pub struct Clients<'a> {
    bench: &'a Bench,
    /// What marks their rows.
    run: String,
}

impl<'a> Clients<'a> {
    /// Starts them against an empty table.
    ///
    /// # Errors
    /// The primary does not make the table.
    pub fn start(bench: &'a Bench, primary: &str, run: &str) -> Result<Self, String> {
        sql(
            bench,
            primary,
            "SET client_min_messages = error; DROP TABLE IF EXISTS chaos;
             CREATE TABLE chaos (run text, client text, seq bigint, at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (run, client, seq));
             ALTER TABLE chaos OWNER TO welcome_app;
             WITH gone AS (DELETE FROM content WHERE quote LIKE 'chaos %' RETURNING image_filename)
             DELETE FROM image USING gone WHERE filename = image_filename;",
        )
        .ok_or_else(|| format!("{primary} does not make the table of the clients"))?;
        let addresses = DATABASES.map(|(_, address)| address).join(" ");
        bench.on(
            HOST,
            &format!(
                "systemctl stop {UNIT} 2>/dev/null; systemctl reset-failed {UNIT} 2>/dev/null; rm -rf /run/chaos; mkdir -p /run/chaos
cat >/run/chaos/client.py <<'END'\n{PROGRAM}\nEND
systemd-run -q --unit={UNIT} -p EnvironmentFile=/etc/welcome_app/env python3 /run/chaos/client.py {LOG} {run} {VIP} {addresses}"
            ),
        );
        Ok(Self {
            bench,
            run: run.to_owned(),
        })
    }

    /// How many rows were acknowledged so far, and of those that came through the virtual address how many were not.
    pub fn counts(&self) -> (u64, u64) {
        let line = format!(
            "grep -c '\"ok\"' {LOG}; grep '\"client\": \"web' {LOG} | grep -vc '\"ok\"'; :"
        );
        let told = self.bench.try_on(HOST, &line);
        let mut numbers = told
            .stdout
            .lines()
            .map(|line| line.trim().parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Waits until so many more rows are acknowledged.
    ///
    /// # Errors
    /// It took too long.
    pub fn acknowledged(&self, wanted: u64, seconds: u64) -> Result<(), String> {
        let started = Instant::now();
        let (before, _) = self.counts();
        loop {
            let (now, _) = self.counts();
            if now >= before + wanted {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(seconds * SLOWER) {
                return Err(format!(
                    "only {} of {wanted} rows were acknowledged within {seconds} s",
                    now - before
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends them; what they wrote down.
    pub fn stop(self) -> Vec<Write> {
        let line = format!("systemctl stop {UNIT}; cat {LOG}");
        read(&self.bench.try_on(HOST, &line).stdout)
    }

    /// The rows that a server has; nothing when it does not answer.
    pub fn rows(bench: &Bench, host: &str, run: &str) -> Option<Rows> {
        let text = sql(
            bench,
            host,
            &format!(
                "{PLAIN} SELECT client, seq, count(*) FROM chaos WHERE run = '{run}' GROUP BY 1, 2
                 UNION ALL SELECT split_part(quote, ' ', 3), split_part(quote, ' ', 4)::bigint, count(*)
                 FROM content WHERE quote LIKE 'chaos {run} %' GROUP BY 1, 2;"
            ),
        )?;
        Some(
            text.lines()
                .filter_map(|line| {
                    let mut words = line.split('|');
                    let client = words.next()?.to_owned();
                    let seq = words.next()?.parse().ok()?;
                    Some(((client, seq), words.next()?.parse().ok()?))
                })
                .collect(),
        )
    }

    /// What marks the rows.
    pub fn mark(&self) -> &str {
        &self.run
    }
}
