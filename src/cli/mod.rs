//! The command line: one verb, one file. Turns flags into values, calls the floors below, and turns results into
//! exit codes. Only here and in `report` is anything printed.

mod backup;
mod check;
mod complete;
mod config;
mod deploy;
mod diff;
mod drill;
mod facts;
mod failover;
mod fleet;
mod history;
mod identity;
mod init;
mod inventory;
mod lab;
mod listing;
mod maintenance;
mod operation;
mod operation_context;
mod project;
mod rejoin;
mod render;
mod restore;
mod resume;
mod run;
mod ssh;
mod status;
mod stop;
mod switchover;
mod vault;
mod verify;
mod vip;

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
    /// Inventory file or folder, or hosts with commas (`web1,web2,`); may be given more than once. A bare stack name
    /// means the embedded inventory
    #[arg(
        short,
        long,
        value_name = "PATH",
        global = true,
        env = "HACTL_INVENTORY"
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
    /// Bring the hosts to the state that the playbook describes
    Deploy(deploy::Args),
    /// Every file that a deploy would write, for every host; asks no host
    Render(render::Args),
    /// What a commit changes in the rendered files, host by host
    Diff(diff::Args),
    /// Whether the service is healthy, as its own hosts see it
    Verify(verify::Args),
    /// Break something for real, measure what clients see of it, and mend it
    Drill(drill::Args),
    /// What the service is right now, on one screen: roles, lag, address, health, what is unfinished
    Status(status::Args),
    /// The virtual address: who has it, and moving it
    Vip(vip::Args),
    /// Take hosts out of service safely, and put them back
    Maintenance(maintenance::Args),
    /// The primary hands over to a replica, in order; nothing is lost
    Switchover(switchover::Args),
    /// A replica becomes the primary, because the primary is dead
    Failover(failover::Args),
    /// Backups of the databases: make one, list them, prove that they can be restored
    Backup(backup::Args),
    /// The databases as they were at a time, in a new directory; the running cluster is not touched
    Restore(restore::Args),
    /// A host that is out becomes a replica again
    Rejoin(rejoin::Args),
    /// What was done to the service: who, when, from where, why, with which result
    History(history::Args),
    /// Take up an operation that was broken off
    Resume(resume::Args),
    /// What hosts are: system, hardware, network, as JSON
    Facts(facts::Args),
    /// A command on many hosts at once
    Run(run::Args),
    /// Log in to a host the way the inventory says
    Ssh(ssh::Args),
    /// Find every mistake and weakness in playbook and inventory, without any host
    Check(check::Args),
    /// Throw-away hosts on this machine
    Lab(lab::Args),
    /// Hosts, groups and variables as hactl sees them
    Inventory(inventory::Args),
    /// Encrypted files and values, in ansible-vault's format
    Vault(vault::Args),
    /// A new project: an inventory for a stack, with generated secrets
    Init(init::Args),
    /// A completion script for a shell
    Completions(complete::CompletionArgs),
    /// The manual page
    Man(complete::ManArgs),
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
        Command::Deploy(args) => deploy::run(&cli.global, args),
        Command::Render(args) => render::run(&cli.global, args),
        Command::Diff(args) => diff::run(&cli.global, args),
        Command::Verify(args) => verify::run(&cli.global, args),
        Command::Drill(args) => drill::run(&cli.global, args),
        Command::Status(args) => status::run(&cli.global, args),
        Command::Vip(args) => vip::run(&cli.global, args),
        Command::Maintenance(args) => maintenance::run(&cli.global, args),
        Command::Switchover(args) => switchover::run(&cli.global, args),
        Command::Failover(args) => failover::run(&cli.global, args),
        Command::Backup(args) => backup::run(&cli.global, args),
        Command::Restore(args) => restore::run(&cli.global, args),
        Command::Rejoin(args) => rejoin::run(&cli.global, args),
        Command::History(args) => history::run(&cli.global, args),
        Command::Resume(args) => resume::run(&cli.global, args),
        Command::Facts(args) => facts::run(&cli.global, args),
        Command::Run(args) => run::run(&cli.global, args),
        Command::Ssh(args) => ssh::run(&cli.global, args),
        Command::Completions(args) => complete::completions(&args),
        Command::Man(args) => complete::man(&cli.global, &args),
        Command::Check(args) => check::run(&cli.global, args),
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
