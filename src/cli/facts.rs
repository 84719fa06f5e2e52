//! `hactl facts`: what hosts are, as JSON.

use super::{Global, Outcome, deploy, fleet};
use crate::base::mask::mask_value;
use crate::base::{Diagnostic, exit};
use crate::modules::{facts_probe, parse_facts};
use crate::ops::connection_pool::ConnectionPool;
use crate::report;
use serde_json::{Map, Value, json};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which hosts
    #[arg(default_value = "all")]
    pub pattern: String,
    #[command(flatten)]
    pub reach: fleet::ConnectArgs,
}

/// Runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all commands are called alike"
)]
pub fn run(global: &Global, args: Args) -> Outcome {
    let site = fleet::site(global, &args.reach, &args.pattern, &[])?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    let answers = runtime.block_on(async {
        let mut pool = ConnectionPool::open(site.targets(), args.reach.forks).await;
        let work = site
            .hosts
            .iter()
            .map(|host| (host.name.clone(), vec![facts_probe()]))
            .collect();
        pool.round(work).await
    });
    let (mut hosts, mut errors) = (Map::new(), Vec::new());
    for (host, answer) in answers {
        let facts = answer.and_then(|answer| {
            answer
                .replies
                .first()
                .map_or_else(|| Err(Diagnostic::new("no answer")), parse_facts)
        });
        match facts {
            Ok(facts) => {
                hosts.insert(host, Value::Object(facts));
            }
            Err(error) => errors.push(error.on(&host)),
        }
    }
    let missing: Map<String, Value> = errors
        .iter()
        .map(|error| {
            (
                error.host.clone().unwrap_or_default(),
                Value::from(error.message.as_str()),
            )
        })
        .collect();
    let document = json!({ "schema": "hactl.facts/1", "hosts": hosts, "missing": missing });
    report::out(&format!("{:#}\n", mask_value(&document)));
    if errors.is_empty() {
        Ok(exit::DONE)
    } else {
        Err(errors)
    }
}
