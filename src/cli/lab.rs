//! `hactl lab`.

use super::{Global, Outcome};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: Args) -> Outcome {
    Ok(0)
}
