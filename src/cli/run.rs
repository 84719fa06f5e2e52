//! `hactl run`: a command on many hosts at once.

use super::{Global, Outcome, deploy, fleet};
use crate::base::mask::{mask, mask_value};
use crate::base::quote::{for_terminal, sh_join};
use crate::base::value::to_bool;
use crate::base::{Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::{Answer, ConnectionPool};
use crate::report;
use serde_json::{Map, Value, json};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which hosts
    #[arg(default_value = "all")]
    pub pattern: String,
    /// As root; without it as the inventory says, or else as the login user
    #[arg(short, long)]
    pub r#become: bool,
    /// As this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// End it after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub timeout: u64,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
    /// The command: one word is a line for `sh`, several are taken as they are
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all commands are called alike"
)]
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = fleet::site(global, &args.reach, &args.pattern, &[])?;
    let script = match args.command.as_slice() {
        [line] => line.clone(),
        words => sh_join(words.iter().map(String::as_str)),
    };
    let mut request = Request::sh(script);
    request.timeout_seconds = Some(args.timeout);
    request.user.clone_from(&args.user);
    let targets = site
        .hosts
        .iter()
        .map(|host| {
            let mut target = host.target.clone();
            let said = host
                .variables
                .get("ansible_become")
                .and_then(to_bool)
                .unwrap_or(false);
            // Only root can become somebody else.
            target.r#become = said || args.r#become || args.user.is_some();
            target
        })
        .collect();
    let width = site
        .hosts
        .iter()
        .map(|host| host.name.len())
        .max()
        .unwrap_or_default();
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    let answers = runtime.block_on(async {
        let mut pool = ConnectionPool::open(targets, args.reach.forks).await;
        let work = site
            .hosts
            .iter()
            .map(|host| (host.name.clone(), vec![request.clone()]))
            .collect();
        pool.round_telling(work, |host, answer| {
            if !global.json {
                show(host, width, answer);
            }
        })
        .await
    });
    let (mut failed, mut errors) = (false, Vec::new());
    let mut hosts = Map::new();
    for (host, answer) in answers {
        match answer.as_ref().map(|answer| answer.replies.first()) {
            Ok(Some(reply)) => {
                failed |= reply.code != 0;
                hosts.insert(
                    host,
                    json!({ "exit_code": reply.code, "stdout": reply.out(), "stderr": reply.err(), "seconds": seconds(reply) }),
                );
            }
            Ok(None) => {}
            Err(error) => {
                hosts.insert(host.clone(), json!({ "unreachable": error.message }));
                errors.push(error.clone().on(&host));
            }
        }
    }
    if global.json {
        let document = json!({ "schema": "hactl.command/1", "hosts": Value::Object(hosts) });
        report::out(&format!("{:#}\n", mask_value(&document)));
    }
    report::diagnostics(&errors);
    Ok(
        if failed || errors.iter().any(|error| error.code != exit::UNREACHABLE) {
            exit::FAILED
        } else if errors.is_empty() {
            exit::DONE
        } else {
            exit::UNREACHABLE
        },
    )
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one command")]
fn seconds(reply: &Reply) -> f64 {
    reply.milliseconds as f64 / 1000.0
}

/// A host's output, each line with its name before it.
fn show(host: &str, width: usize, answer: &Result<Answer>) {
    let Some(reply) = answer
        .as_ref()
        .ok()
        .and_then(|answer| answer.replies.first())
    else {
        return;
    };
    for line in reply.out().lines() {
        report::out(&format!("{host:<width$} | {}\n", for_terminal(&mask(line))));
    }
    for line in reply.err().lines() {
        report::say(&format!("{host:<width$} ! {line}"));
    }
    if reply.code != 0 {
        let why = if reply.code == 124 {
            "ended: its time was up".to_owned()
        } else {
            format!("exit code {}", reply.code)
        };
        report::say(&format!("{host:<width$} ✖ {why}"));
    }
}
