//! A restore into a new directory: what must hold before it, and what came of it.
//!
//! Never into a directory that is not empty, never into or below one that a cluster uses; the running servers go on untouched.

use super::make::{self, one};
use super::scripts::{self, RestorePlan};
use super::{Backup, Info, Repository, failed};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::{Host, Site};
use crate::ops::operation::condition::Conditions;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Room for the log that a recovery fetches, and for its own files.
const SPARE: u64 = 1 << 30;

/// What is wished.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The time to go to; the end of the log when there is none.
    pub time: Option<Timestamp>,
    /// The database host on whose disk.
    pub target: String,
    /// Where; a name with the time when there is none.
    pub directory: Option<String>,
    /// Looked at and removed.
    pub scratch: bool,
}

/// Reads a point in time; one without an offset is UTC.
///
/// # Errors
/// When it is none.
pub fn time(text: &str) -> Result<Timestamp> {
    let text = text.trim();
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| {
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            civil
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()
                .map(|zoned| zoned.timestamp())
        })
        .ok_or_else(|| {
            Diagnostic::new(format!("`{text}` is no point in time"))
                .help("like '2026-01-31 13:45:00' (UTC) or '2026-01-31 13:45:00+01:00'")
        })
}

/// A time as PostgreSQL reads it.
pub fn postgres_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// A time of a host as people read it.
pub fn shown(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// What a host said of itself ([`scripts::room`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Room {
    free: u64,
    real: String,
    state: String,
    writable: bool,
    clusters: Vec<String>,
    versions: Vec<String>,
    pgbackrest: bool,
}

impl Room {
    fn read(text: &str) -> Self {
        let mut room = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "free" => room.free = value.parse::<u64>().unwrap_or_default() * 1024,
                "real" => value.clone_into(&mut room.real),
                "state" => value.clone_into(&mut room.state),
                "writable" => room.writable = value == "yes",
                "cluster" => room.clusters.push(value.to_owned()),
                "version" => room.versions.push(value.to_owned()),
                "pgbackrest" => room.pgbackrest = true,
                _ => {}
            }
        }
        room
    }

    /// The cluster that owns a directory, if one does.
    fn owner(&self, directory: &str) -> Option<&str> {
        let inside = |dir: &str, of: &str| {
            dir == of
                || dir
                    .strip_prefix(of)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        self.clusters
            .iter()
            .map(String::as_str)
            .find(|cluster| inside(directory, cluster) || inside(&self.real, cluster))
    }
}

/// A restore that was thought through.
#[derive(Debug)]
pub struct Assessed {
    /// What is done.
    pub plan: RestorePlan,
    /// What must hold.
    pub conditions: Conditions,
    /// What it begins with.
    pub backup: Option<Backup>,
    /// The repository.
    pub info: Info,
    /// Bytes that it needs, and that are free.
    pub room: (u64, u64),
}

/// Looks at the repository and at the target. Changes nothing.
///
/// # Errors
/// When one of them cannot be asked, or the target is no database host.
pub async fn assess(
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    options: &RestoreOptions,
) -> Result<Assessed> {
    if !site.members("postgresql").contains(&options.target) {
        return Err(Diagnostic::new(format!(
            "`{}` is no host of the group postgresql",
            options.target
        ))
        .help(format!(
            "only they have PostgreSQL: {}",
            site.members("postgresql").join(", ")
        )));
    }
    let target = make::host(site, &options.target)?;
    let info = make::info(site, repository, pool).await?;
    let root = target.text("postgresql_data_root", "/var/lib/postgresql");
    let directory = options.directory.clone().unwrap_or_else(|| {
        let kind = if options.scratch {
            "restore-test"
        } else {
            "restored"
        };
        format!(
            "{root}/{kind}-{}",
            Timestamp::now().strftime("%Y%m%dT%H%M%SZ")
        )
    });
    let directory = directory.trim_end_matches('/').to_owned();
    let reply = one(
        pool,
        &options.target,
        Request::sh(scripts::room(&directory)),
    )
    .await?;
    if reply.code != 0 {
        return Err(failed(target, "the target cannot be looked at", &reply));
    }
    let room = Room::read(&reply.out());
    let backup = match options.time {
        Some(time) => info.before(time.as_second()).cloned(),
        None => info.last().cloned(),
    };
    let plan = RestorePlan {
        directory,
        version: info.version.clone(),
        port: 5433,
        target: options.time.map(postgres_time),
        set: backup.as_ref().map(|backup| backup.label.clone()),
        scratch: options.scratch,
    };
    let needs = backup
        .as_ref()
        .map_or(0, |backup| backup.size + backup.size / 10 + SPARE);
    let conditions = conditions(&info, &room, options, &plan, needs);
    Ok(Assessed {
        plan,
        conditions,
        backup,
        info,
        room: (needs, room.free),
    })
}

fn conditions(
    info: &Info,
    room: &Room,
    options: &RestoreOptions,
    plan: &RestorePlan,
    needs: u64,
) -> Conditions {
    let mut conditions = Conditions::default();
    let first = info.backups.first().map(|backup| backup.ended);
    conditions.add(
        "backup",
        match options.time {
            Some(_) => "there is a backup from before that time",
            None => "there is a backup",
        },
        plan.set.is_some(),
        match (&plan.set, first) {
            (Some(set), _) => set.clone(),
            (None, Some(first)) => format!("the first one was complete at {}", shown(first)),
            (None, None) => "there is none".to_owned(),
        },
        first.map_or_else(
            || "hactl backup now".to_owned(),
            |first| format!("choose a time after {}", shown(first)),
        ),
    );
    if let Some(time) = options.time {
        conditions.add(
            "past",
            "that time has passed",
            time.as_second() <= info.now,
            format!("it is {} there", shown(info.now)),
            "choose an earlier time (without an offset it is UTC), or --to-latest",
        );
    }
    let path_ok = plan.directory.starts_with('/')
        && !plan.directory.contains(['\n', '\'', '\\'])
        && !plan.directory.split('/').any(|part| part == "..")
        && plan.directory.len() <= 80;
    conditions.add(
        "path",
        "the directory is an absolute path of at most 80 characters, without quotes and `..`",
        path_ok,
        plan.directory.clone(),
        "its socket is in it, and the path of a socket is short: choose another --directory",
    );
    conditions.add(
        "new",
        "the directory is new or empty",
        matches!(room.state.as_str(), "new" | "empty"),
        match room.state.as_str() {
            "new" => "it does not exist",
            "empty" => "it is empty",
            "file" => "it is a link or no directory",
            _ => "it is not empty",
        },
        "choose another --directory: nothing is ever restored over data",
    );
    let owner = room.owner(&plan.directory);
    conditions.add(
        "apart",
        "no cluster uses the directory",
        owner.is_none(),
        owner.map_or_else(
            || "none does".to_owned(),
            |cluster| format!("a cluster lives in {cluster}"),
        ),
        "choose another --directory: a restore never touches a cluster that is there",
    );
    conditions.add(
        "owner",
        "the user postgres may write there",
        room.writable,
        format!("in {}", room.real),
        "choose a --directory below its home, or make one that belongs to postgres",
    );
    conditions.add(
        "space",
        format!("there are {} MiB free for it", needs >> 20),
        room.free >= needs,
        format!("{} MiB are free", room.free >> 20),
        "make room, or choose a --directory on a larger disk",
    );
    conditions.add(
        "version",
        format!("PostgreSQL {} and pgBackRest are installed", info.version),
        room.versions.contains(&info.version) && room.pgbackrest,
        format!(
            "PostgreSQL {}{}",
            room.versions.join(", "),
            if room.pgbackrest {
                ""
            } else {
                ", no pgBackRest"
            }
        ),
        "hactl deploy installs them; a backup is restored with its own major version only",
    );
    conditions
}

/// A database of a restored cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Tables of users.
    pub tables: u64,
    /// All their rows, counted.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A restored cluster that started, was read to the end, and stopped cleanly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The timeline that it began.
    pub timeline: u32,
    /// The last transaction in it, as the server said it; none when no log was needed.
    pub until: Option<String>,
    /// Seconds until the files were there, and until the log was in.
    pub seconds: (u64, u64),
    /// Its databases.
    pub databases: Vec<Database>,
    /// The cluster's identity.
    pub system: String,
}

impl Restored {
    fn read(text: &str) -> Option<Self> {
        let mut restored = Self::default();
        let mut done = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                done |= line == "done";
                continue;
            };
            match key {
                "timeline" => restored.timeline = value.parse().ok()?,
                "until" => restored.until = Some(value.to_owned()),
                "copied" => restored.seconds.0 = value.parse().ok()?,
                "replayed" => restored.seconds.1 = value.parse().ok()?,
                "system" => value.clone_into(&mut restored.system),
                "database" => {
                    let (name, numbers) = value.rsplit_once('\t')?;
                    let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
                    restored.databases.push(Database {
                        name: name.to_owned(),
                        tables: numbers.next()??,
                        rows: numbers.next()??,
                        bytes: numbers.next()??,
                    });
                }
                _ => {}
            }
        }
        done.then_some(restored)
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.databases.iter().map(|database| database.rows).sum()
    }
}

/// Brings what was committed until now into the repository, if a primary can be reached; says what is not so.
pub async fn archive_now(site: &Site, pool: &mut ConnectionPool) -> Option<String> {
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let work: BTreeMap<String, Vec<Request>> = site
        .members("postgresql")
        .iter()
        .filter(|name| reached.contains(name))
        .filter_map(|name| {
            let cluster = site.host(name)?.text("postgresql_cluster", "main");
            Some((name.clone(), vec![scripts::archive_now(&cluster)]))
        })
        .collect();
    let answers = pool.round(work).await;
    let said: Vec<String> = answers
        .into_values()
        .filter_map(|answer| Some(answer.ok()?.replies.first()?.out().trim().to_owned()))
        .collect();
    if said.iter().any(|word| word == "archived") {
        None
    } else if said.iter().any(|word| word == "late") {
        Some("the primary's newest log did not arrive in the repository in time; what it holds is not restored".to_owned())
    } else {
        Some("no primary was reached; what it had not archived yet is not restored".to_owned())
    }
}

/// Restores.
///
/// # Errors
/// When it failed; what is left behind is named.
pub async fn carry_out(
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    target: &str,
    plan: &RestorePlan,
) -> Result<Restored> {
    let on: &Host = make::host(site, target)?;
    let mut request = Request::sh(scripts::restore(repository, plan)).user("postgres");
    request.timeout_seconds = Some(scripts::LONG);
    let left = if plan.scratch {
        "its directory was removed again".to_owned()
    } else {
        format!(
            "what was restored so far is in {}; remove it yourself",
            plan.directory
        )
    };
    let reply = one(pool, target, request).await.map_err(|error| {
        Diagnostic::with_code(
            exit::INCOMPLETE,
            "whether the restore came to its end is not known",
        )
        .on(target)
        .note(error.message)
        .help(format!("check {} there", plan.directory))
    })?;
    if reply.code == scripts::NOT_NEW {
        return Err(
            Diagnostic::refused(format!("{} is not empty", plan.directory))
                .on(target)
                .help("nothing is ever restored over data: choose another --directory"),
        );
    }
    if reply.code != 0 {
        return Err(failed(on, "the restore failed", &reply).note(left));
    }
    Restored::read(&reply.out())
        .ok_or_else(|| failed(on, "what was restored cannot be read", &reply).note(left))
}

#[cfg(test)]
mod tests;
