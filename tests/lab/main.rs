//! The whole thing on real hosts: one lab of six, the flagship stack on it, and everything that can go wrong.
//!
//! One binary without cargo's harness: each of its [`stations`] brings up a lab of its own, runs its cases one after the other
//! on it, says one line a case, and takes the lab down however it ends. A machine that cannot run a lab fails loudly;
//! nothing is skipped.
//! Each file has its cases in a table; a case may rely on nothing but what it asks of the [`bench::Bench`].

// Says what it does on stderr, as test binaries do; a helper may be there for one file of cases only.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod ansible;
mod backup;
mod bench;
mod chaos;
mod cloud;
mod cluster;
mod command;
mod declared;
mod deploy;
mod drill;
mod faults;
mod fencing;
mod files;
mod flagship;
mod grow;
mod guard;
mod handover;
mod history;
mod kill;
mod maintenance;
mod operators;
mod reach;
mod refusals;
mod returning;
mod scratch;
mod secrets;
mod stations;
mod status;
mod verify;
mod vip;
mod vm;

use bench::Bench;
use nix::sys::signal::{SigSet, Signal};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Something to show on the lab. It fails by panicking.
#[derive(Clone, Copy)]
pub struct Case {
    /// What filters look at.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&Bench),
}

/// What was asked for on the command line.
#[derive(Default)]
struct Wanted {
    list: bool,
    exact: bool,
    filters: Vec<String>,
    skip: Vec<String>,
    station: Option<String>,
}

impl Wanted {
    /// The arguments that cargo's own harness takes, as far as they have a meaning here.
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self::default();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                value
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or(format!("{name} needs a value"))
            };
            match name {
                stations::ARGUMENT => wanted.station = Some(value()?),
                "--list" => wanted.list = true,
                "--exact" => wanted.exact = true,
                "--skip" => wanted.skip.push(value()?),
                "--test-threads" | "--format" | "--color" => drop(value()?),
                "--nocapture" | "--show-output" | "--quiet" | "-q" => {}
                _ if name.starts_with('-') => return Err(format!("unknown argument `{name}`")),
                _ => wanted.filters.push(argument),
            }
        }
        Ok(wanted)
    }

    fn wants(&self, case: &Case) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                case.name == filter
            } else {
                case.name.contains(filter.as_str())
            }
        };
        (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
    }
}

fn main() -> ExitCode {
    let wanted = match Wanted::read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut stations = stations::all();
    for station in &mut stations {
        station.cases.retain(|case| wanted.wants(case));
    }
    stations.retain(|station| {
        !station.cases.is_empty()
            && wanted
                .station
                .as_deref()
                .is_none_or(|name| name == station.name)
    });
    if wanted.list {
        for case in stations.iter().flat_map(|station| &station.cases) {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    if wanted.station.is_some() {
        stations::die_with_the_parent();
    } else if stations.len() > 1 {
        return stations::side_by_side(&stations);
    }
    let (stack, provider) = stations
        .first()
        .map_or(("pg-ha", "container"), |it| (it.stack, it.provider));
    let cases: Vec<Case> = stations
        .into_iter()
        .flat_map(|station| station.cases)
        .collect();
    if cases.is_empty() {
        eprintln!("no case of the lab is asked for");
        return ExitCode::SUCCESS;
    }
    guard_against_signals();
    // A failed expectation says enough; where the harness was meanwhile is no news.
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reasons);
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("{panic}");
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(panic.to_string());
    }));
    let started = Instant::now();
    let watched = cases.iter().any(|case| case.name == secrets::WATCHES);
    let Ok(bench) = catch_unwind(|| Bench::new(stack, provider, watched)) else {
        let reasons = reasons.lock().unwrap_or_else(PoisonError::into_inner);
        stations::again("the lab: nothing was tested", &reasons);
        bench::take_down_quietly();
        return ExitCode::FAILURE;
    };
    eprintln!(
        "lab: `{}` is up after {:.1} s",
        bench.lab,
        started.elapsed().as_secs_f64()
    );
    let mut failed = Vec::new();
    for case in &cases {
        wait_if_ending();
        let begun = Instant::now();
        let take = || std::mem::take(&mut *reasons.lock().unwrap_or_else(PoisonError::into_inner));
        // What panicked in a case that passed was caught on purpose.
        drop(take());
        let fine = catch_unwind(AssertUnwindSafe(|| (case.run)(&bench))).is_ok();
        let word = if fine { "ok" } else { "FAILED" };
        eprintln!(
            "lab: {} ... {word} ({:.1} s)",
            case.name,
            begun.elapsed().as_secs_f64()
        );
        wait_if_ending();
        if !fine {
            failed.push((case.name, take()));
            // What it left behind must not fail the others.
            if catch_unwind(AssertUnwindSafe(|| bench.repair())).is_err() {
                eprintln!("lab: the hosts could not be repaired after {}", case.name);
            }
        }
    }
    drop(bench);
    let what = format!("{} of {} cases", cases.len() - failed.len(), cases.len());
    let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
    let code = stations::ended(&what, started, &names);
    for (name, reasons) in &failed {
        stations::again(name, reasons);
    }
    code
}

/// Whether this program was asked to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What fails because the lab is being taken down fails no case, and no further one is begun: the end comes in another thread.
fn wait_if_ending() {
    while ENDING.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

/// Takes the lab down when the test is interrupted, too.
fn guard_against_signals() {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().expect("signals can be blocked");
    std::thread::spawn(move || {
        while signals.wait().is_err() {}
        ENDING.store(true, Ordering::Relaxed);
        // Where whoever listened is gone, saying anything would be a panic, and the lab would stay.
        if writeln!(std::io::stderr(), "lab: interrupted").is_err()
            && let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null")
        {
            let _ = nix::unistd::dup2_stderr(nowhere);
        }
        // `lab up` tidies up itself when it is asked to end; for the others this is the end.
        command::end_all(Signal::SIGTERM);
        std::thread::sleep(std::time::Duration::from_millis(500));
        command::end_all(Signal::SIGKILL);
        // Whatever happens to that, this program ends.
        let _ = catch_unwind(bench::take_down);
        std::process::exit(130);
    });
}
