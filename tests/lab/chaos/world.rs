//! Plays a fault history on the lab: does what its steps say, and keeps what happened with its times.

use super::audit::Consent;
use super::clients::{Clients, sql};
use super::history::{Await, History, Later, Role, Step};
use super::operator::Operator;
use super::recover::help;
use super::scripts;
use crate::bench::{Bench, HOSTS, SLOWER, program};
use crate::command::{Run, run, start};
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The database hosts and their addresses.
pub const DATABASES: [(&str, &str); 2] = [("db1", "192.168.104.31"), ("db2", "192.168.104.32")];

/// How long rows may take to be acknowledged, where a history waits for them, in seconds.
const WRITES: u64 = 40;
/// How long a command that has to come to a step is begun again while it is refused.
const REFUSED: Duration = Duration::from_secs(30);

/// A history that is played.
pub struct World<'a> {
    /// The lab.
    pub bench: &'a Bench,
    /// The clients.
    pub clients: Clients<'a>,
    /// What the operators agreed to lose.
    pub consent: Consent,
    /// What happened, with times.
    pub told: Vec<String>,
    /// What should not have happened.
    pub problems: Vec<String>,
    old: String,
    new: String,
    operators: BTreeMap<String, Operator>,
    later: Vec<JoinHandle<()>>,
    began: Instant,
}

/// The machine's uptime in seconds: the clock of all hosts of a lab of containers.
pub fn clock() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let seconds = text.split(' ').next().unwrap_or_default();
    seconds.parse().expect("a number")
}

/// What a database host is.
pub fn is(bench: &Bench, host: &str, role: Role) -> bool {
    let answer = sql(
        bench,
        host,
        "SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication WHERE sync_state <> 'async');",
    );
    match (role, answer.as_deref()) {
        (Role::Primary, Some(said)) => said.starts_with('f'),
        (Role::Replica, Some(said)) => said.starts_with('t'),
        (Role::Synchronous, Some(_)) => DATABASES.iter().any(|(other, _)| {
            *other != host && sql(bench, other, "SELECT count(*) FROM pg_stat_replication WHERE sync_state <> 'async' AND NOT pg_is_in_recovery();").is_some_and(|count| count != "0")
        }),
        (Role::Down, None) => {
            let state = bench.try_on(host, "systemctl show -p ActiveState --value 'postgresql@*' | sort -u");
            !state.stdout.contains("activ") || state.stdout.trim() == "inactive"
        }
        _ => false,
    }
}

impl<'a> World<'a> {
    /// A world before its first step: `old` takes writes, `new` follows.
    pub fn new(bench: &'a Bench, clients: Clients<'a>, old: &str, new: &str) -> Self {
        Self {
            bench,
            clients,
            consent: Consent::default(),
            told: Vec::new(),
            problems: Vec::new(),
            old: old.to_owned(),
            new: new.to_owned(),
            operators: BTreeMap::new(),
            later: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Notes what happened.
    pub fn tell(&mut self, text: impl AsRef<str>) {
        self.told.push(format!(
            "{:7.3} s  {}",
            self.began.elapsed().as_secs_f64(),
            text.as_ref()
        ));
    }

    /// A command has ended: with a right exit code?
    pub fn ended(&mut self, run: &Run, exits: &[i32]) {
        let words = run.shown.split(" lab.yml ").last().unwrap_or_default();
        let words = words
            .rsplit_once("lab.yml ")
            .map_or(words, |(_, rest)| rest);
        let last = run
            .stderr
            .lines()
            .chain(run.stdout.lines())
            .find(|line| line.contains("error") || line.contains("refused"))
            .unwrap_or_default();
        self.tell(format!(
            "hactl {words} ended with {} after {:.1} s {last}",
            run.code, run.seconds
        ));
        let right = if exits.is_empty() {
            [0, 2, 3, 4, 5].contains(&run.code)
        } else {
            exits.contains(&run.code)
        };
        if !right {
            self.problems
                .push(format!("expected exit code {exits:?}\n{}", run.told()));
        }
        if [2, 3, 4].contains(&run.code) && help(run).is_empty() {
            self.problems.push(format!(
                "a dead end: it does not say what to do\n{}",
                run.told()
            ));
        }
        // A refusal has changed nothing, so it has lost nothing.
        if run.shown.contains("--allow-data-loss") && ![1, 2].contains(&run.code) {
            self.consent.loss = true;
        }
    }

    /// Plays all steps; stops at the first that cannot be done, which is a problem.
    pub fn play(&mut self, history: &History) {
        for step in &history.steps {
            let shown = serde_json::to_string(step).unwrap_or_default();
            self.tell(self.named(&shown));
            if let Err(problem) = self.step(step) {
                self.tell(format!("not possible: {problem}"));
                if history.skip_impossible {
                    continue;
                }
                self.problems.push(format!("{shown}: {problem}"));
                break;
            }
        }
    }

    /// Ends all that is under way, and takes every fault back.
    pub fn heal(&mut self) {
        for later in std::mem::take(&mut self.later) {
            let _ = later.join();
        }
        self.tell("heal everything");
        let quietly = |arguments: &[&str]| {
            let (verb, rest) = arguments.split_first().expect("a verb");
            run(program()
                .args(["lab", verb, "-n", &self.bench.lab])
                .args(rest))
        };
        quietly(&["heal"]);
        quietly(&[&["thaw"], HOSTS.as_slice()].concat());
        quietly(&["up", "--provider", "container", self.bench.stack]);
        for host in DATABASES.map(|(host, _)| host) {
            self.bench.try_on(host, scripts::RESUME_SSHD);
            self.bench.try_on(host, scripts::FREE);
        }
        let names: Vec<String> = self.operators.keys().cloned().collect();
        for name in names {
            let end = self.operators.get_mut(&name).and_then(Operator::end);
            if let Some(end) = end {
                self.ended(&end, &[]);
            }
        }
    }

    fn named(&self, text: &str) -> String {
        text.replace("{old}", &self.old).replace("{new}", &self.new)
    }

    fn host(&self, name: &str) -> String {
        match name {
            "old" => self.old.clone(),
            "new" => self.new.clone(),
            name => name.to_owned(),
        }
    }

    fn words(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.named(word)).collect()
    }

    fn lab(&self, verb: &str, hosts: &[String]) -> Result<(), String> {
        lab(&self.bench.lab, verb, &self.hosts(hosts))
    }

    fn hosts(&self, hosts: &[String]) -> Vec<String> {
        hosts.iter().map(|host| self.host(host)).collect()
    }

    fn on(&self, host: &str, line: &str) -> Result<(), String> {
        let run = self.bench.try_on(&self.host(host), line);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.told())
        }
    }

    /// Somebody whose command is under way; nobody when it has ended before.
    fn operator(&mut self, name: &str) -> Option<&mut Operator> {
        self.operators.get_mut(name)
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Start(wish) => {
                let command = self.words(&wish.command);
                let begun = Instant::now();
                let operator = loop {
                    match Operator::begin(self.bench, wish, &command) {
                        Ok(operator) => break operator,
                        Err(run) if wish.may_end => {
                            self.ended(&run, &[]);
                            return Ok(());
                        }
                        // Refused, or a host was too slow: nothing was changed.
                        Err(run) if [2, 5].contains(&run.code) && begun.elapsed() < REFUSED => {
                            self.tell(format!("ended with {}, and is begun again", run.code));
                        }
                        Err(run) => {
                            return Err(format!(
                                "it never came to the step where it was to stop\n{}",
                                run.told()
                            ));
                        }
                    }
                };
                if command.iter().any(|word| word == "--allow-data-loss") {
                    self.consent.loss = true;
                }
                self.operators.insert(wish.who.clone(), operator);
            }
            Step::Finish(finish) => {
                let end = self.operator(&finish.who).and_then(Operator::end);
                if let Some(end) = end {
                    self.ended(&end, &finish.exits);
                }
            }
            Step::Run(wish) => {
                let words = self.words(&wish.command);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let begun = Instant::now();
                let patience = Duration::from_secs(wish.within.unwrap_or(0));
                let end = loop {
                    let end = self.bench.hactl(&words);
                    if wish.exits.contains(&end.code) || begun.elapsed() >= patience {
                        break end;
                    }
                };
                self.ended(&end, &wish.exits);
            }
            Step::Pause(who) => self.operator(who).map_or((), |it| it.pause()),
            Step::Wake(who) => self.operator(who).map_or((), |it| it.wake()),
            Step::Kill(who) => self.operator(who).map_or((), Operator::kill),
            Step::DropSessions(who) => self.operator(who).map_or((), |it| it.drop_sessions()),
            Step::Snapshot(host) => self.on(host, scripts::SNAPSHOT)?,
            Step::RollBack(host) => {
                self.on(host, scripts::ROLL_BACK)?;
                self.lab("kill", std::slice::from_ref(host))?;
                self.lab("start", std::slice::from_ref(host))?;
            }
            Step::FillDisk(host) => self.on(host, scripts::FILL)?,
            Step::FreeDisk(host) => self.on(host, scripts::FREE)?,
            Step::On(on) => self.on(&on.host, &self.named(&on.line))?,
            Step::Writes(count) => self.clients.acknowledged(*count, WRITES)?,
            Step::Await(wait) => self.wait(wait)?,
            Step::Delay(seconds) => std::thread::sleep(Duration::from_secs_f64(*seconds)),
            Step::Later(later) => self.later(later)?,
            fault => {
                let (lab_name, fault) = (self.bench.lab.clone(), self.fault(fault));
                fault.make(&lab_name)?;
            }
        }
        Ok(())
    }

    fn wait(&self, wait: &Await) -> Result<(), String> {
        let host = self.host(&wait.host);
        let started = Instant::now();
        while !is(self.bench, &host, wait.is) {
            if started.elapsed() > Duration::from_secs(wait.within * SLOWER) {
                return Err(format!(
                    "{host} is not {:?} within {} s",
                    wait.is, wait.within
                ));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn later(&mut self, later: &Later) -> Result<(), String> {
        let fault = self.fault(&later.step);
        let after = Duration::from_secs_f64(later.after);
        let lab_name = self.bench.lab.clone();
        self.later.push(std::thread::spawn(move || {
            std::thread::sleep(after);
            // What does not come to pass is seen by what follows.
            let _ = fault.make(&lab_name);
        }));
        Ok(())
    }

    fn fault(&self, step: &Step) -> Fault {
        let each = |verb, hosts: &[String]| Fault::Lab(verb, self.hosts(hosts));
        let one = |host: &String, line| Fault::On(vec![self.host(host)], line);
        match step {
            Step::Cut(hosts) => each("cut", hosts),
            Step::Heal(hosts) => each("heal", hosts),
            Step::Freeze(hosts) => each("freeze", hosts),
            Step::Thaw(hosts) => each("thaw", hosts),
            Step::PowerOff(hosts) => each("kill", hosts),
            Step::PowerOn(hosts) => each("start", hosts),
            Step::KillServer(host) => one(host, scripts::KILL_SERVER),
            Step::HangSshd(hosts) => Fault::On(self.hosts(hosts), scripts::HANG_SSHD),
            Step::ResumeSshd(hosts) => Fault::On(self.hosts(hosts), scripts::RESUME_SSHD),
            // `History::problem` has refused all others.
            _ => Fault::On(Vec::new(), ":"),
        }
    }
}

/// Something that is done to hosts, without a world.
enum Fault {
    Lab(&'static str, Vec<String>),
    On(Vec<String>, &'static str),
}

impl Fault {
    fn make(self, lab_name: &str) -> Result<(), String> {
        match self {
            Self::Lab(verb, hosts) => lab(lab_name, verb, &hosts),
            Self::On(hosts, line) => hosts.iter().try_for_each(|host| {
                let words = [host.as_str(), "sh", "-c", line];
                let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
                lab(lab_name, "exec", &words)
            }),
        }
    }
}

fn lab(lab_name: &str, verb: &str, arguments: &[String]) -> Result<(), String> {
    let run = start(
        program()
            .args(["lab", verb, "-n", lab_name])
            .args(arguments),
    )
    .wait();
    if run.code == 0 {
        Ok(())
    } else {
        Err(run.told())
    }
}
