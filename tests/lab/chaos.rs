//! Fault histories on the flagship: `tests/chaos/*.yml` is played, clients write all the while, and afterwards every
//! acknowledged row is looked for on both servers. `tests/chaos/README.md` has the language.
//!
//! `HACTL_CHAOS_ONLY=TEXT,TEXT` plays those whose name has one of the texts, `HACTL_CHAOS_FILE=PATH` those of a file.
//! `HACTL_CHAOS_SEED` repeats random histories, `HACTL_CHAOS_ROUNDS` says how many.

pub mod audit;
mod clients;
pub mod history;
mod operator;
mod random;
mod recover;
mod scripts;
mod world;

use crate::Case;
use crate::bench::Bench;
use clients::{Clients, sql};
use history::{History, Role};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use world::{DATABASES, World, clock, is};

pub const CASES: &[Case] = &[
    Case {
        name: "chaos_sample",
        run: sample,
    },
    Case {
        name: "chaos_long_random",
        run: random::rounds,
    },
    Case {
        name: "chaos_long_all",
        run: all,
    },
];

/// All histories of the folder.
fn histories() -> Vec<History> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/chaos")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .collect();
    if let Some(file) = std::env::var_os("HACTL_CHAOS_FILE") {
        files = vec![file.into()];
    }
    files.sort();
    let only = std::env::var("HACTL_CHAOS_ONLY").unwrap_or_default();
    files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a file of histories");
            history::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .filter(|history| only.split(',').any(|text| history.name.contains(text)))
        .collect()
}

fn sample(bench: &Bench) {
    let mut histories = histories();
    histories.retain(|history| history.sample);
    play_all(bench, &histories);
}

fn all(bench: &Bench) {
    play_all(bench, &histories());
}

/// Plays histories one after the other; panics at the end when any was not kept.
#[track_caller]
fn play_all(bench: &Bench, histories: &[History]) {
    prepare(bench);
    let mut failed = Vec::new();
    for history in histories {
        let begun = Instant::now();
        let problems = play(bench, history);
        let seconds = begun.elapsed().as_secs_f64();
        if problems.is_empty() {
            eprintln!("lab:   {} ... kept ({seconds:.1} s)", history.name);
        } else {
            eprintln!("lab:   {} ... BROKEN ({seconds:.1} s)", history.name);
            failed.push(history.name.as_str());
        }
    }
    assert!(failed.is_empty(), "broken: {}", failed.join(", "));
}

/// What every history needs: the stack with its first backup.
fn prepare(bench: &Bench) {
    crate::backup::first_backup(bench);
}

/// The primary and its replica, once there is one of each.
fn roles(bench: &Bench) -> Option<(&'static str, &'static str)> {
    let [(a, _), (b, _)] = DATABASES;
    let of = |host| {
        (
            is(bench, host, Role::Primary),
            is(bench, host, Role::Replica),
        )
    };
    match (of(a), of(b)) {
        ((true, false), (false, true)) => Some((a, b)),
        ((false, true), (true, false)) => Some((b, a)),
        _ => None,
    }
}

/// Plays one history and audits it; what is wrong, already said on stderr.
fn play(bench: &Bench, history: &History) -> Vec<String> {
    let mut told = Vec::new();
    let played = catch_unwind(AssertUnwindSafe(|| act(bench, history, &mut told)));
    let problems = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        vec![format!(
            "the test itself broke: {}",
            text.unwrap_or_default()
        )]
    });
    if problems.is_empty() {
        if std::env::var_os("HACTL_CHAOS_SAY").is_some() {
            eprintln!("lab:   {}\n  {}", history.name, told.join("\n  "));
        }
    } else {
        eprintln!(
            "lab:   {}: {}\n{}\n  {}",
            history.name,
            history.about.trim(),
            history::show(history),
            told.join("\n  ")
        );
        for problem in &problems {
            eprintln!("lab:   PROBLEM {}: {problem}", history.name);
        }
        mend(bench);
    }
    if let Err(error) = commits_wait(bench, false) {
        eprintln!("lab:   {error}");
    }
    for (host, _) in DATABASES {
        bench.try_on(host, scripts::FORGET);
    }
    problems
}

fn act(bench: &Bench, history: &History, told: &mut Vec<String>) -> Vec<String> {
    if let Err(error) = commits_wait(bench, history.synchronous) {
        return vec![error];
    }
    let Some((old, new)) = settled(bench) else {
        return vec!["before it began there were not one primary and one replica".to_owned()];
    };
    let start = clock();
    let run = format!("r{:08x}", rand::random::<u32>());
    let clients = match Clients::start(bench, old, &run) {
        Ok(clients) => clients,
        Err(error) => return vec![error],
    };
    let mut world = World::new(bench, clients, old, new);
    if let Err(error) = world.clients.acknowledged(30, 30) {
        return vec![format!("before it began: {error}")];
    }
    world.consent.rows = history.lose_at_most;
    world.play(history);
    world.heal();
    if let Some(problem) = world.recover(history.may_lose) {
        world.problems.push(problem);
    }
    // Whoever says healthy must take every write, and let every client in.
    for client in ["app1", "app2"] {
        for (server, address) in DATABASES {
            let line = format!("timeout 3 bash -c '</dev/tcp/{address}/5432'");
            if bench.try_on(client, &line).code != 0 {
                let problem = format!("healthy, but {client} does not reach {server}");
                world.problems.push(problem);
            }
        }
    }
    let before = world.clients.counts();
    if let Err(error) = world.clients.acknowledged(100, 20) {
        world.problems.push(format!("healthy, but {error}"));
    }
    let after = world.clients.counts();
    if after.1 > before.1 {
        world.problems.push(format!(
            "healthy, but {} writes through the virtual address failed",
            after.1 - before.1
        ));
    }
    world.tell("audit");
    let World {
        clients,
        consent,
        mut problems,
        told: mut happened,
        ..
    } = world;
    let mark = clients.mark().to_owned();
    let writes = clients.stop();
    let acknowledged = writes
        .iter()
        .filter(|write| write.is_acknowledged())
        .count();
    for epoch in audit::epochs(&writes) {
        happened.push(format!(
            "{} on timeline {} acknowledged {} rows from {:.3} to {:.3} s",
            epoch.server,
            epoch.timeline,
            epoch.count,
            epoch.first - start,
            epoch.last - start
        ));
    }
    match rows(bench, &mark) {
        Ok((primary, replica)) => {
            problems.extend(audit::judge(&writes, &primary, &replica, consent, start));
        }
        Err(error) => {
            problems.push(error);
            let none = audit::Rows::new();
            problems.extend(audit::judge(
                &writes,
                &none,
                &none,
                audit::Consent {
                    loss: true,
                    rows: None,
                },
                start,
            ));
        }
    }
    happened.push(format!("{acknowledged} rows were acknowledged"));
    *told = happened;
    problems
}

/// One primary and one replica, waited for.
fn settled(bench: &Bench) -> Option<(&'static str, &'static str)> {
    let started = Instant::now();
    loop {
        if let Some(roles) = roles(bench) {
            return Some(roles);
        }
        if started.elapsed() > Duration::from_secs(60) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The rows of both servers, once the replica has caught up or had the time to.
fn rows(bench: &Bench, mark: &str) -> Result<(audit::Rows, audit::Rows), String> {
    let (primary, replica) =
        settled(bench).ok_or("in the end there are not one primary and one replica")?;
    let missing = |host| format!("{host} does not say which rows it has");
    let mut found = None;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let ours = Clients::rows(bench, primary, mark).ok_or_else(|| missing(primary))?;
        let theirs = Clients::rows(bench, replica, mark).ok_or_else(|| missing(replica))?;
        let same = ours == theirs;
        found = Some((ours, theirs));
        if same {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    found.ok_or_else(|| missing(primary))
}

/// Makes the declared mode the one that is wanted; a deploy where it changes.
fn commits_wait(bench: &Bench, wanted: bool) -> Result<(), String> {
    let file = bench
        .project()
        .join("inventories/pg-ha/group_vars/all/chaos.yml");
    if wanted == file.exists() {
        return Ok(());
    }
    if wanted {
        std::fs::write(&file, "---\npostgresql_synchronous: true\n").expect("a file");
    } else {
        std::fs::remove_file(&file).expect("removed");
    }
    let run = bench.hactl(&["deploy"]);
    if run.code != 0 {
        return Err(format!("the deploy before it failed\n{}", run.told()));
    }
    let started = Instant::now();
    let enough = || {
        DATABASES
            .iter()
            .any(|(host, _)| wanted && is(bench, host, Role::Synchronous))
    };
    while wanted && !enough() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(
                "commits do not wait for the replica after a deploy that says so".to_owned(),
            );
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// Brings back a lab that hactl itself could not heal, so that the next history has one: the newest timeline stays, the other
/// host is copied anew.
fn mend(bench: &Bench) {
    let timeline = |host| {
        sql(
            bench,
            host,
            "SELECT timeline_id FROM pg_control_checkpoint();",
        )
        .and_then(|text| text.parse::<u32>().ok())
    };
    if roles(bench).is_some() && bench.hactl(&["status"]).code == 0 {
        return;
    }
    for (host, _) in DATABASES {
        bench.try_on(host, scripts::WIPE);
    }
    let [(a, _), (b, _)] = DATABASES;
    let primaries: Vec<&str> = [a, b]
        .into_iter()
        .filter(|host| is(bench, host, Role::Primary))
        .collect();
    let stays = match primaries.as_slice() {
        [one] => one,
        _ if timeline(a) >= timeline(b) => a,
        _ => b,
    };
    let other = if stays == a { b } else { a };
    bench.try_on(
        other,
        "systemctl stop 'postgresql@*'; touch /var/lib/hactl/fenced",
    );
    for arguments in [
        &["rejoin", other, "--discard-diverged"][..],
        &["rejoin", other, "--clone"],
        &["rejoin", other, "--clone", "--discard-diverged"],
    ] {
        if bench.hactl(arguments).code == 0 {
            break;
        }
    }
    if bench.hactl(&["status"]).code != 0 {
        bench.repair();
    }
}
