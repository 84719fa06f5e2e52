//! The way back to healthy by hactl's own commands: what `hactl status` and refusals advise is done, mechanically.
//!
//! It knows nothing of databases. Advice that leads nowhere, runs in a circle, or wants a consent that nobody gave, ends it.

use super::history::Role;
use super::world::{DATABASES, World, is};
use crate::command::Run;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The most commands that the way back may take.
const MOST: usize = 12;
/// How long a service may take to come to rest by itself, where nothing is advised, in seconds.
const REST: u64 = 45;
/// How often the same thing may be advised while nothing changes.
const AGAIN: usize = 2;

/// Consents that only the operator can give.
const CONSENTS: [&str; 3] = ["--allow-data-loss", "--unfenced-ok", "--kill-frozen"];
/// Flags that a refusal may ask for and that cost no acknowledged row by themselves: the audit tells whether they did.
const FLAGS: [&str; 4] = ["--discard-diverged", "--again", "--clone", "--undo"];

/// What `hactl status` says.
struct Status {
    code: i32,
    /// More than one server takes writes: only a person can say whose data stays.
    split: bool,
    /// All that is wrong, for comparison.
    wrong: String,
    /// Commands, in order.
    advised: Vec<Vec<String>>,
}

/// The commands in a text, as somebody would type them: `hactl VERB`, then flags and names of hosts.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for part in text.split("hactl ").skip(1) {
        let part = part.split([';', '`', '\n', '(']).next().unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        if let Some(rest) = part.strip_prefix("run ") {
            // Only what starts a server again; the others only look.
            let rest = rest.trim_end_matches(['.', ',', ')']);
            if rest.contains("systemctl start")
                && let Some(rest) = shlex::split(rest)
            {
                words = std::iter::once("run".to_owned()).chain(rest).collect();
            }
        } else {
            for word in part.split_whitespace() {
                let plain = word.trim_end_matches([',', '.', ')', ':']);
                let fits = if words.is_empty() {
                    VERBS.contains(&plain)
                } else {
                    plain.starts_with("--") || NAMES.contains(&plain)
                };
                if !fits {
                    break;
                }
                words.push(plain.to_owned());
                if plain != word {
                    break;
                }
            }
        }
        if !words.is_empty() && !found.contains(&words) {
            found.push(words);
        }
    }
    found
}

/// Commands that change something and that an operator can be told to type.
const VERBS: [&str; 7] = [
    "resume",
    "rejoin",
    "failover",
    "switchover",
    "deploy",
    "maintenance",
    "vip",
];
/// What can follow them; `HOST` stands for the one that is meant.
const NAMES: [&str; 12] = [
    "replica", "on", "off", "all", "move", "lb1", "lb2", "app1", "app2", "db1", "db2", "HOST",
];

/// Whether a flag is advised as such, without its command.
fn flags(text: &str) -> Vec<&'static str> {
    let has = |flag: &&&'static str| {
        text.match_indices(**flag).any(|(at, _)| {
            text[at + flag.len()..]
                .chars()
                .next()
                .is_none_or(|next| !next.is_ascii_alphanumeric() && next != '-')
        })
    };
    FLAGS.iter().chain(&CONSENTS).filter(has).copied().collect()
}

/// What is advised by a command that was refused or failed: the lines that are no echo of what it did.
pub fn help(run: &Run) -> String {
    run.stderr
        .lines()
        .chain(run.stdout.lines())
        .filter(|line| {
            let line = line.trim_start();
            line.starts_with("= help") || line.starts_with("help") || line.contains("→")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

impl World<'_> {
    fn status(&self) -> Status {
        let run = self.bench.hactl(&["status", "--json"]);
        let document: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut wrong = vec![text(&document["verdict"])];
        let mut advised = Vec::new();
        let mut advise = |text: &str| {
            for command in commands(text) {
                if !advised.contains(&command) {
                    advised.push(command);
                }
            }
        };
        advise(&text(&document["unfinished"]["command"]));
        for finding in document["findings"].as_array().into_iter().flatten() {
            if finding["severity"] != "note" {
                advise(&text(&finding["remedy"]));
                wrong.push(text(&finding["what"]));
            }
        }
        if document["databases"]["primary"].is_null() {
            advise(&text(&document["databases"]["failover"]["command"]));
        }
        if document.is_null() {
            wrong.push(run.told());
        }
        // Times and sizes are no difference.
        for what in &mut wrong {
            what.retain(|letter| !letter.is_ascii_digit() && letter != '.');
        }
        wrong.sort();
        Status {
            code: run.code,
            split: document["state"] == "split_brain",
            wrong: wrong.join("\n"),
            advised,
        }
    }

    /// Follows the advice until `hactl status` is content; what went wrong, if it did.
    pub fn recover(&mut self, may_lose: bool) -> Option<String> {
        let consent = may_lose || self.consent.loss;
        let mut tried: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
        let mut done = 0;
        let mut resting = Instant::now();
        loop {
            let status = self.status();
            if status.code == 0 {
                self.tell(format!("healthy after {done} commands"));
                return None;
            }
            let next = status
                .advised
                .iter()
                .map(|command| self.meant(command))
                .filter(|command| !needs_consent(command, consent))
                .find(|command| {
                    let key = (status.wrong.clone(), command.clone());
                    tried.get(&key).copied().unwrap_or(0) < AGAIN
                });
            if status.split && resting.elapsed() > Duration::from_secs(5) {
                return Some(format!("split brain: {}", status.wrong.replace('\n', "; ")));
            }
            let settled = resting.elapsed() > Duration::from_secs(REST);
            let Some(command) = next.filter(|_| resting.elapsed() > Duration::from_secs(2)) else {
                if settled {
                    return Some(format!(
                        "no way back: {}, exit code {} of status; advised was {:?}, and tried",
                        status.wrong.replace('\n', "; "),
                        status.code,
                        status.advised
                    ));
                }
                std::thread::sleep(Duration::from_millis(500));
                continue;
            };
            if done == MOST {
                return Some(format!(
                    "the advice runs in a circle: after {MOST} commands it is `hactl {}`, because of: {}",
                    command.join(" "),
                    status.wrong.replace('\n', "; ")
                ));
            }
            *tried
                .entry((status.wrong.clone(), command.clone()))
                .or_default() += 1;
            done += self.follow(command, consent, MOST - done);
            resting = Instant::now();
        }
    }

    /// `rejoin HOST` means the one that is not the primary.
    fn meant(&self, command: &[String]) -> Vec<String> {
        let mut words = command.to_vec();
        if words == ["rejoin"] {
            words.push("HOST".to_owned());
        }
        for word in words.iter_mut().filter(|word| *word == "HOST") {
            *word = self.behind();
        }
        words
    }

    /// The database host that takes no writes; the last one when none does.
    fn behind(&self) -> String {
        let hosts = DATABASES.map(|(host, _)| host);
        let behind = hosts
            .iter()
            .find(|host| !is(self.bench, host, Role::Primary));
        (*behind.unwrap_or(&hosts[1])).to_owned()
    }

    /// Runs a command, then what its refusals advise, the first advice first; how many commands that were.
    fn follow(&mut self, command: Vec<String>, consent: bool, most: usize) -> usize {
        let mut queue = VecDeque::from([command]);
        let mut seen: Vec<Vec<String>> = Vec::new();
        while let Some(command) = queue.pop_front() {
            if seen.len() >= most.max(1) {
                break;
            }
            seen.push(command.clone());
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let run = self.bench.hactl(&words);
            self.ended(&run, &[]);
            if run.code == 0 {
                break;
            }
            if run.code == 3 {
                self.problems
                    .push(format!("what was advised fails\n{}", run.told()));
            }
            let help = help(&run);
            let mut more: Vec<Vec<String>> = Vec::new();
            for flag in flags(&help) {
                if command.iter().any(|word| word == flag) || !takes(&command, flag) {
                    continue;
                }
                if CONSENTS.contains(&flag) && !(consent && flag == CONSENTS[0]) {
                    self.tell(format!("nobody consents to {flag}"));
                    continue;
                }
                let mut with = command.clone();
                with.push(flag.to_owned());
                more.push(with);
            }
            more.extend(commands(&help).iter().map(|command| self.meant(command)));
            for command in more.into_iter().rev() {
                if !seen.contains(&command) && !needs_consent(&command, consent) {
                    queue.push_front(command);
                }
            }
        }
        seen.len()
    }
}

fn needs_consent(command: &[String], consent: bool) -> bool {
    command
        .iter()
        .any(|word| CONSENTS.contains(&word.as_str()) && !(consent && word == CONSENTS[0]))
}

fn takes(command: &[String], flag: &str) -> bool {
    let verb = command.first().map(String::as_str);
    match flag {
        "--discard-diverged" | "--clone" => verb == Some("rejoin"),
        "--undo" => verb == Some("resume"),
        _ => verb == Some("failover"),
    }
}
