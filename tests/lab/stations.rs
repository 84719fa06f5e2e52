//! The cases in groups with a lab of their own each, run side by side: a lab mostly waits, for a boot, a check, a timeout.
//!
//! Each station is this program once more. What it says is passed on line by line with the station's name before it.

use crate::Case;
use crate::{
    ansible, backup, chaos, cloud, cluster, declared, deploy, drill, faults, fencing, files,
    flagship, grow, guard, handover, history, kill, maintenance, operators, reach, refusals,
    returning, secrets, status, verify, vip, vm,
};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The argument that makes this program one station of those that run side by side.
pub const ARGUMENT: &str = "--station";

/// Cases that share a lab.
pub struct Station {
    /// What its lines begin with.
    pub name: &'static str,
    /// What is on its hosts.
    pub stack: &'static str,
    /// What its hosts are: `container` or `vm`. Virtual machines give way to whatever runs beside them.
    pub provider: &'static str,
    /// Begins when that one has ended.
    pub after: Option<&'static str>,
    /// In the order in which they are run.
    pub cases: Vec<Case>,
}

/// All of them. The first cases of `deploy` want hosts on which nothing was ever deployed; `verify` and those after it
/// want the roles of the first deploy, and no failover in the last hour.
pub fn all() -> Vec<Station> {
    vec![
        Station {
            name: "deploy",
            stack: "pg-ha",
            provider: "container",
            after: None,
            cases: [
                deploy::CASES,
                secrets::CASES,
                reach::CASES,
                faults::CASES,
                verify::CASES,
                backup::CASES,
                files::CASES,
                status::CASES,
                operators::CASES,
                kill::CASES,
                vip::CASES,
                maintenance::CASES,
                grow::CASES,
                ansible::CASES,
                declared::CASES,
                refusals::CASES,
            ]
            .concat(),
        },
        Station {
            name: "operate",
            stack: "pg-ha",
            provider: "container",
            after: None,
            cases: [
                guard::CASES,
                returning::CASES,
                history::CASES,
                cluster::CASES,
                handover::CASES,
                fencing::CASES,
                drill::CASES,
            ]
            .concat(),
        },
        Station {
            name: "chaos",
            stack: "pg-ha",
            provider: "container",
            // Its clients measure time, so it does not begin beside two deploys.
            after: Some("operate"),
            cases: chaos::CASES.to_vec(),
        },
        Station {
            name: "machines",
            stack: "pg-nfs",
            provider: "vm",
            // Emulated processors beside other labs take many times longer, and then hosts miss their limits.
            after: Some("chaos"),
            cases: vm::CASES.to_vec(),
        },
        Station {
            name: "flagship",
            stack: "pg-ha",
            provider: "vm",
            after: Some("machines"),
            cases: flagship::CASES.to_vec(),
        },
        Station {
            name: "cloud",
            stack: cloud::STACK,
            provider: "vm",
            after: Some("flagship"),
            cases: cloud::cases(),
        },
    ]
}

/// Ends this program when the one that started it is gone: its lab must not outlive the run.
pub fn die_with_the_parent() {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).expect("a signal can be asked for");
}

/// Runs these stations at once, but for those that follow another; each with the arguments that this program was given.
pub fn side_by_side(stations: &[Station]) -> ExitCode {
    let started = Instant::now();
    let running = Arc::new(Mutex::new(Running::default()));
    end_on_signals(Arc::clone(&running));
    let mut lanes: Vec<Vec<&Station>> = Vec::new();
    for station in stations {
        let behind = |lane: &&mut Vec<&Station>| lane.last().map(|last| last.name) == station.after;
        match lanes.iter_mut().find(behind) {
            Some(lane) => lane.push(station),
            None => lanes.push(vec![station]),
        }
    }
    let failed: Vec<(&str, Vec<String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| one_by_one(lane, &running)))
            .collect();
        threads
            .into_iter()
            .flat_map(|lane| lane.join().expect("a lane ends"))
            .collect()
    });
    let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
    let code = ended("all stations", started, &names);
    for (name, line) in failed
        .iter()
        .flat_map(|(name, it)| it.iter().map(move |line| (name, line)))
    {
        eprintln!("{name}: {line}");
    }
    code
}

/// Says how it ended, and makes an exit code of it.
pub fn ended(what: &str, started: Instant, failed: &[&str]) -> ExitCode {
    let seconds = started.elapsed().as_secs_f64();
    if failed.is_empty() {
        eprintln!("lab: {what} ok in {seconds:.1} s");
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "lab: {what} in {seconds:.1} s; FAILED: {}",
            failed.join(", ")
        );
        ExitCode::FAILURE
    }
}

/// What the lines of a station begin with that say once more why a case failed.
const AGAIN: &str = "lab: FAILED ";

/// Says once more, in a line at the end, why a case failed: whoever has only the end of a long log has this.
pub fn again(case: &str, reasons: &[String]) {
    let words = reasons.iter().flat_map(|reason| reason.split_whitespace());
    let text = words.collect::<Vec<_>>().join(" ");
    let end = text
        .char_indices()
        .nth(1800)
        .map_or(text.len(), |(at, _)| at);
    eprintln!("{AGAIN}{case}: {}", text.get(..end).unwrap_or_default());
}

/// The stations that are under way.
#[derive(Default)]
struct Running {
    processes: Vec<Pid>,
    /// No further one is started.
    over: bool,
}

/// Lets the stations take their labs down when this program is asked to end; it ends after them.
fn end_on_signals(running: Arc<Mutex<Running>>) {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().expect("signals can be blocked");
    std::thread::spawn(move || {
        loop {
            while signals.wait().is_err() {}
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.over = true;
            for station in &running.processes {
                let _ = kill(*station, Signal::SIGTERM);
            }
        }
    });
}

/// Runs stations one after the other; gives those that failed, and what they said of it at their end.
fn one_by_one(stations: &[&Station], running: &Mutex<Running>) -> Vec<(&'static str, Vec<String>)> {
    let lock = || running.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = |station: &&Station| {
        let (child, pid) = {
            let mut running = lock();
            if running.over {
                return Some((station.name, Vec::new()));
            }
            let child = start(station);
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"));
            running.processes.push(pid);
            (child, pid)
        };
        let failure = pass_on(station.name, child);
        lock().processes.retain(|known| *known != pid);
        failure.map(|said| (station.name, said))
    };
    stations.iter().filter_map(failure).collect()
}

fn start(station: &Station) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program)
        .args(std::env::args().skip(1))
        .args([ARGUMENT, station.name])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program can be started")
}

/// Passes on what a station says. If not all its cases were fine, gives what it said of those once more.
fn pass_on(name: &str, mut child: Child) -> Option<Vec<String>> {
    let mut again = Vec::new();
    if let Some(talk) = child.stderr.take() {
        for line in BufReader::new(talk).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            eprintln!("{name}: {line}");
            if line.starts_with(AGAIN) {
                again.push(line.into_owned());
            }
        }
    }
    let fine = child.wait().is_ok_and(|status| status.success());
    (!fine).then_some(again)
}
