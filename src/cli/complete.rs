//! `hactl completions` and `hactl man`: for shells and for readers.

use super::{Cli, Global, Outcome};
use crate::base::{Diagnostic, exit};
use clap::CommandFactory as _;
use std::path::PathBuf;

/// The arguments of `hactl completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// The arguments of `hactl man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write a page for every command into this folder, instead of the main page on stdout
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Prints a completion script.
pub fn completions(args: &CompletionArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hactl", &mut script);
    crate::report::out(&String::from_utf8_lossy(&script));
    Ok(exit::DONE)
}

/// Prints or writes the manual.
pub fn man(_global: &Global, args: &ManArgs) -> Outcome {
    let failed = |error: std::io::Error| {
        vec![Diagnostic::with_code(
            exit::FAILED,
            format!("cannot write the manual: {error}"),
        )]
    };
    if let Some(directory) = &args.output {
        fs_err::create_dir_all(directory).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(failed)?;
        crate::report::out(&String::from_utf8_lossy(&page));
    }
    Ok(exit::DONE)
}
