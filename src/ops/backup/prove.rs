//! Proof that the backups are good: every file in the repository is read and compared, and the newest backup is restored, run
//! and read to the end on a database host, and removed again.

use super::make::{self, one};
use super::restore::{self, Assessed, RestoreOptions, Restored};
use super::{Repository, failed, scripts};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::Site;

/// What the repository's own check said.
///
/// # Errors
/// When a file is missing or differs, or the repository is not reached.
pub async fn files(site: &Site, repository: &Repository, pool: &mut ConnectionPool) -> Result<()> {
    let mut request = Request::sh(format!(
        "export LC_ALL=C; cd /; exec {} --log-level-console=info --log-level-file=off verify </dev/null",
        repository.command()
    ))
    .user("postgres");
    request.timeout_seconds = Some(scripts::LONG);
    let reply = one(pool, &repository.host, request).await?;
    let said = format!("{}\n{}", reply.out(), reply.err());
    let host = make::host(site, &repository.host)?;
    match complaints(&said) {
        found if found.is_empty() && reply.code == 0 => Ok(()),
        found => Err(found
            .iter()
            .take(10)
            .fold(
                failed(
                    host,
                    "files of the repository are missing or damaged",
                    &reply,
                ),
                |error, line| {
                    if error.notes.contains(line) {
                        error
                    } else {
                        error.note(line.clone())
                    }
                },
            )
            .help("hactl backup now --full makes a new whole one; check the disk of that host")),
    }
}

/// The lines of pgBackRest that tell of something wrong: some versions end with code 0 all the same.
fn complaints(said: &str) -> Vec<String> {
    said.lines()
        .filter(|line| {
            let bad_count = [
                "missing: ",
                "checksum invalid: ",
                "size invalid: ",
                "other: ",
            ]
            .iter()
            .any(|word| {
                line.split(word)
                    .skip(1)
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit() && c != '0'))
            });
            let bad = [
                "ERROR",
                "WARN",
                "invalid checksum",
                "invalid size",
                "status: invalid",
            ];
            bad_count || bad.iter().any(|word| line.contains(word))
        })
        .map(|line| line.trim().to_owned())
        .collect()
}

/// The database host on which a restore is tried: the wished one, or else a standby that can be reached, or else any.
///
/// # Errors
/// When none can be reached.
pub async fn choose(
    site: &Site,
    pool: &mut ConnectionPool,
    wished: Option<&str>,
) -> Result<String> {
    if let Some(host) = wished {
        return Ok(host.to_owned());
    }
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let work = site
        .members("postgresql")
        .iter()
        .filter(|name| reached.contains(name))
        .filter_map(|name| {
            Some((
                name.clone(),
                vec![scripts::is_standby(
                    &site.host(name)?.text("postgresql_cluster", "main"),
                )],
            ))
        })
        .collect();
    let answers = pool.round(work).await;
    let says = |word: &str| {
        answers.iter().find_map(|(host, answer)| {
            let reply = answer.as_ref().ok()?.replies.first()?;
            (word.is_empty() || reply.out().trim() == word).then(|| host.clone())
        })
    };
    says("t").or_else(|| says("")).ok_or_else(|| {
        Diagnostic::with_code(
            exit::UNREACHABLE,
            "no database host can be reached to try a restore on",
        )
    })
}

/// Thinks a trial restore through.
///
/// # Errors
/// As [`restore::assess`].
pub async fn assess(
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    target: &str,
) -> Result<Assessed> {
    let options = RestoreOptions {
        time: None,
        target: target.to_owned(),
        directory: None,
        scratch: true,
    };
    restore::assess(site, repository, pool, &options).await
}

/// Restores, compares with what the repository says, and notes the day.
///
/// # Errors
/// When it cannot be restored, or what was restored is not what was backed up.
pub async fn restored(
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    target: &str,
    assessed: &Assessed,
) -> Result<Restored> {
    let restored = restore::carry_out(site, repository, pool, target, &assessed.plan).await?;
    if restored.system != assessed.info.system {
        return Err(Diagnostic::with_code(
            exit::FAILED,
            "what was restored is another cluster than the repository names",
        )
        .on(target)
        .note(format!(
            "{} instead of {}",
            restored.system, assessed.info.system
        )));
    }
    one(pool, &repository.host, Request::sh(scripts::note_test())).await?;
    Ok(restored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_seen_whatever_the_exit_code() {
        for (said, bad) in [
            (
                "P00   INFO: verify command begin 2.45: --stanza=main\nP00   INFO: verify command end: completed successfully (4ms)",
                false,
            ),
            (
                "P00   INFO: Results:\n archiveId: 15-1, total WAL checked: 9, total valid WAL: 9\n missing: 0, checksum invalid: 0, size invalid: 0, other: 0",
                false,
            ),
            (
                " missing: 0, checksum invalid: 1, size invalid: 0, other: 0",
                true,
            ),
            (" missing: 12, checksum invalid: 0", true),
            (
                "P01   INFO: invalid checksum 'main/15-1/0000000100000000/x'",
                true,
            ),
            (
                "backup: 20261121-145831F, status: invalid, total files checked: 3",
                true,
            ),
            ("P00  ERROR: [055]: no such file", true),
        ] {
            assert_eq!(!complaints(said).is_empty(), bad, "{said}");
        }
    }
}
