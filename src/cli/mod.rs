//! The command line: one verb, one file. Turns flags into values, calls the floors below, and turns results into
//! exit codes. Only here and in `report` is anything printed.

mod init;
mod inventory;
mod lab;
mod vault;

use crate::base::{Diagnostic, exit};
use crate::report;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Builds highly available services on a handful of machines, proves that they are, and moves them safely.
#[derive(Debug, Parser)]
#[command(name = "hactl", version, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The project folder: site.yml, roles, templates, inventories. What is missing there comes from the binary
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        global = true,
        default_value = "."
    )]
    pub project: PathBuf,
    /// Inventory file or folder; may be given more than once. A bare stack name means the embedded inventory
    #[arg(
        short,
        long,
        value_name = "PATH",
        global = true,
        env = "HACTL_INVENTORY",
        value_delimiter = ','
    )]
    pub inventory: Vec<PathBuf>,
    /// Only these hosts (an Ansible pattern: `db*`, `lb:&site1`, `all:!db2`)
    #[arg(short, long, value_name = "PATTERN", global = true)]
    pub limit: Option<String>,
    /// Variables that win over all others: key=value, YAML/JSON, or @file
    #[arg(short, long, value_name = "VARS", global = true)]
    pub extra_vars: Vec<String>,
    /// File that holds the vault password, or a program that prints it
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "ANSIBLE_VAULT_PASSWORD_FILE"
    )]
    pub vault_password_file: Option<PathBuf>,
    /// Ask for the vault password
    #[arg(long, global = true)]
    pub ask_vault_pass: bool,
    /// Print one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Throw-away hosts on this machine
    Lab(lab::Args),
    /// Hosts, groups and variables as hactl sees them
    Inventory(inventory::Args),
    /// Encrypted files and values, in ansible-vault's format
    Vault(vault::Args),
    /// A new project: an inventory for a stack, with generated secrets
    Init(init::Args),
}

/// What a command gives: an exit code, or errors to draw.
pub type Outcome = Result<u8, Vec<Diagnostic>>;

/// Runs hactl and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            });
        }
    };
    let outcome = match cli.command {
        Command::Lab(args) => lab::run(&cli.global, args),
        Command::Inventory(args) => inventory::run(&cli.global, args),
        Command::Vault(args) => vault::run(&cli.global, args),
        Command::Init(args) => init::run(&cli.global, args),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(errors) => {
            report::diagnostics(&errors);
            ExitCode::from(
                errors
                    .iter()
                    .map(|error| error.code)
                    .max()
                    .unwrap_or(exit::FAILED),
            )
        }
    }
}
