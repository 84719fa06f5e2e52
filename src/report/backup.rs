//! Backups and restores as a person reads them, and as JSON (`hactl.backup/1`, `hactl.restore/1`; the schemas are in
//! `docs/schema`).

use crate::base::quote::for_terminal;
use crate::ops::backup::restore::{Assessed, Restored, shown};
use crate::ops::backup::{Info, Repository};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Bytes, short.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut number = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number < 1024.0 {
            let digits = usize::from(unit != "B" && number < 10.0);
            return format!("{number:.digits$} {unit}");
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}

/// How long ago, short.
fn ago(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The backups, a line each, and what can be restored.
pub fn list(repository: &Repository, info: &Info) -> String {
    let mut text = String::new();
    let place = format!("{}:{}", repository.host, repository.path);
    if info.backups.is_empty() {
        let _ = writeln!(
            text,
            "{place}: no backup yet{}",
            if info.running {
                "; the first one is being made"
            } else {
                ""
            }
        );
        return for_terminal(&text);
    }
    let _ = writeln!(
        text,
        "{:<34} {:<5} {:<24} {:>10} {:>10}",
        "backup", "kind", "complete", "databases", "stored"
    );
    for backup in &info.backups {
        let _ = writeln!(
            text,
            "{:<34} {:<5} {:<24} {:>10} {:>10}{}",
            backup.label,
            backup.kind,
            shown(backup.ended),
            bytes(backup.size),
            bytes(backup.stored),
            if backup.damaged {
                "  pages with a wrong checksum"
            } else {
                ""
            }
        );
    }
    let first = info.backups.first().map_or(0, |backup| backup.ended);
    let _ = writeln!(
        text,
        "\nany time from {} can be restored; the log has arrived until {}",
        shown(first),
        info.log_arrived.map_or_else(|| "?".to_owned(), shown)
    );
    let _ = writeln!(
        text,
        "last one {} ago{}; restore test {}; {} free in {place}",
        ago(info.age().unwrap_or_default()),
        if info.running {
            ", another one is being made"
        } else {
            ""
        },
        info.tested.map_or_else(
            || "never (hactl backup verify)".to_owned(),
            |tested| format!("{} ago", ago((info.now - tested).max(0)))
        ),
        bytes(info.free)
    );
    if info.status.0 != 0 {
        let _ = writeln!(text, "pgBackRest says: {}", info.status.1);
    }
    for_terminal(&text)
}

/// The repository as JSON.
pub fn list_json(repository: &Repository, info: &Info) -> Value {
    json!({
        "repository": {"host": repository.host, "path": repository.path, "free": info.free},
        "now": info.now, "running": info.running, "status": {"code": info.status.0, "message": info.status.1},
        "system": info.system, "version": info.version, "backups": info.backups,
        "log": info.log, "log_arrived": info.log_arrived, "tested": info.tested, "age": info.age(),
    })
}

/// What a restore would do.
pub fn plan(target: &str, assessed: &Assessed) -> String {
    let plan = &assessed.plan;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "on {target}: backup {} into {}, then the log {}",
        plan.set.as_deref().unwrap_or("?"),
        plan.directory,
        plan.target
            .as_ref()
            .map_or_else(|| "to its end".to_owned(), |time| format!("until {time}"))
    );
    let _ = writeln!(
        text,
        "it needs {} with room for the log, {} are free",
        bytes(assessed.room.0),
        bytes(assessed.room.1)
    );
    let _ = writeln!(text, "no cluster that is there is touched");
    for_terminal(&text)
}

/// What was restored.
pub fn restored(target: &str, assessed: &Assessed, restored: &Restored) -> String {
    let plan = &assessed.plan;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "restored on {target} from {} ({} s for the files, {} s with the log): {} rows, all pages and indexes read without fault",
        plan.set.as_deref().unwrap_or("?"),
        restored.seconds.0,
        restored.seconds.1,
        restored.rows()
    );
    if let Some(until) = &restored.until {
        let _ = writeln!(text, "  the last transaction in it: {until}");
    }
    for database in &restored.databases {
        let _ = writeln!(
            text,
            "  {:<24} {} tables, {} rows, {}",
            database.name,
            database.tables,
            database.rows,
            bytes(database.bytes)
        );
    }
    for_terminal(&text)
}

/// What to do with a restored directory.
pub fn next_steps(target: &str, assessed: &Assessed) -> String {
    let plan = &assessed.plan;
    let (dir, version, port) = (&plan.directory, &plan.version, plan.port);
    let bin = format!("/usr/lib/postgresql/{version}/bin");
    for_terminal(&format!(
        "It is stopped, in {dir}; the running cluster was not touched.

To look at it (it listens on no network, only on the socket in its directory):
  hactl ssh {target}
  sudo -u postgres {bin}/pg_ctl -D {dir} -l {dir}/restore.log -w start
  sudo -u postgres psql -h {dir} -p {port}
  sudo -u postgres {bin}/pg_ctl -D {dir} stop

To take a table from it into the running cluster, while it runs (from here, with the same -C and -i as this command):
  hactl ssh {target} -- sudo -u postgres pg_dump -h {dir} -p {port} -t TABLE DATABASE >TABLE.sql
  hactl ssh PRIMARY -- sudo -u postgres psql -1 -v ON_ERROR_STOP=1 DATABASE <TABLE.sql
PRIMARY is what hactl status names: a replica takes nothing. That makes a table that was dropped, with its indexes and rights;
for rows of one that is still there add --data-only to pg_dump: rows that are in both end it without a change.

To take it into service instead of the running cluster (all that was written since is left behind):
  1. hactl maintenance on; stop postgresql@{version}-main on every database host
  2. on {target}: move its data directory aside, delete the lines after `shared_buffers` is set back from
     {dir}/postgresql.auto.conf (listen_addresses, port, unix_socket_directories, archive_mode, archive_command, ...),
     remove {dir}/postgresql.conf, pg_hba.conf, pg_ident.conf, and move {dir} in its place; start it
  3. on the others: move the data directories aside; hactl deploy clones them from {target}
  4. hactl backup now --full; hactl maintenance off; hactl verify
"
    ))
}

/// A restore as JSON.
pub fn restored_json(target: &str, assessed: &Assessed, restored: Option<&Restored>) -> Value {
    let plan = &assessed.plan;
    json!({
        "target": target, "directory": plan.directory, "backup": plan.set, "time": plan.target, "version": plan.version,
        "port": plan.port, "bytes_needed": assessed.room.0, "bytes_free": assessed.room.1,
        "conditions": assessed.conditions, "restored": restored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_was_dropped_can_be_taken_from_a_replica() {
        let assessed = Assessed {
            plan: crate::ops::backup::scripts::RestorePlan {
                directory: "/var/lib/postgresql/restored-1".to_owned(),
                version: "15".to_owned(),
                port: 5433,
                target: None,
                set: None,
                scratch: false,
            },
            conditions: crate::ops::operation::condition::Conditions::default(),
            backup: None,
            info: Info::default(),
            room: (0, 0),
        };
        let text = next_steps("db2", &assessed);
        let dump = text
            .lines()
            .find(|line| line.contains("pg_dump -h"))
            .expect("a dump");
        // Without its definition a dropped table does not come back; and a replica takes no rows.
        assert!(
            dump.contains("hactl ssh db2 -- ") && !dump.contains("--data-only"),
            "{text}"
        );
        let load = text.lines().find(|line| line.contains("psql -1"));
        assert!(
            load.is_some_and(|line| line.contains("hactl ssh PRIMARY -- ")),
            "{text}"
        );
    }

    #[test]
    fn sizes_and_ages() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (30_837_616, "29 MiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [
            (5, "5 s"),
            (7199, "119 min"),
            (93_600, "26 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }
}
