//! `hactl deploy`: bring the hosts to the state that the playbook describes, or show what that would change.

use super::{Global, Outcome, project};
use crate::base::{Diagnostic, exit};
use crate::connection::HostKeys;
use crate::engine::{Operator, Plan, Settings, Start};
use crate::report::run::{Options, Reporter};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The playbook
    #[arg(default_value = "site.yml")]
    pub playbook: PathBuf,
    /// Show what would change; change nothing
    #[arg(short = 'n', long)]
    pub check: bool,
    /// Show the differences of files
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// With --check: ask no host, plan against freshly installed machines
    #[arg(long, requires = "check")]
    pub offline: bool,
    /// Only tasks with these tags
    #[arg(short, long, value_delimiter = ',', value_name = "TAGS")]
    pub tags: Vec<String>,
    /// Not tasks with these tags
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    pub skip_tags: Vec<String>,
    /// At most so many hosts at once
    #[arg(short, long, default_value_t = 32)]
    pub forks: usize,
    /// Print round trips, bytes, processes and seconds a host
    #[arg(long)]
    pub stats: bool,
    /// Show tasks that changed nothing, too
    #[arg(long)]
    pub all: bool,
    /// With --check: exit 10 when changes are pending
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Run handlers also on hosts that failed
    #[arg(long)]
    pub force_handlers: bool,
    /// Drop the handlers that interrupted runs still owe, those of other projects too
    #[arg(long)]
    pub forget_handlers: bool,
    /// Take a host's lock from a run that is certainly dead
    #[arg(long)]
    pub break_lock: bool,
    /// Take and keep the keys of hosts that are not in known_hosts
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Ask for sudo's password
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// List the tasks; run nothing
    #[arg(long)]
    pub list_tasks: bool,
    /// List the hosts of each play; run nothing
    #[arg(long)]
    pub list_hosts: bool,
    /// Look at one task at a time: slow; for finding out whether the lookahead is to blame
    #[arg(long, hide = true)]
    pub one_by_one: bool,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let opened = project::open_for(global, &args.playbook)?;
    let playbook = opened.loader.playbook(&args.playbook.to_string_lossy())?;
    crate::report::warnings(&project::unread(&opened.files));
    if args.list_tasks {
        crate::report::out(&super::listing::tasks(
            &playbook,
            &args.tags,
            &args.skip_tags,
        ));
        return Ok(exit::DONE);
    }
    let mut extra = opened.extra.clone();
    if args.ask_become_pass {
        let (name, node) = super::vault::ask_variable("ansible_become_password", "sudo password: ")
            .map_err(|error| vec![error])?;
        extra.insert(name, node);
    }
    let (events, receiver) = mpsc::unbounded_channel();
    let settings = Settings {
        check: args.check,
        diff: args.diff,
        offline: args.offline,
        forks: args.forks,
        tags: args.tags.clone(),
        skip_tags: args.skip_tags.clone(),
        force_handlers: args.force_handlers,
        identity: super::identity::of(Path::new(&crate::engine::root(&global.project))),
        forget_handlers: args.forget_handlers,
        one_by_one: args.one_by_one,
        render: false,
        count_processes: args.stats,
        host_keys: if args.accept_new_host_keys {
            HostKeys::AcceptNew
        } else {
            HostKeys::Strict
        },
        loader: opened.loader.clone(),
        decrypt: opened.decrypt.clone(),
        operator: Operator {
            name: operator("deploy"),
            break_lock: args.break_lock,
        },
        state: crate::engine::STATE.to_owned(),
        project: global.project.clone(),
    };
    let magic = project::magic(
        global,
        &opened,
        args.check,
        args.diff,
        &args.tags,
        &args.skip_tags,
        args.forks,
    );
    let start = Start {
        inventory: &opened.inventory,
        playbook,
        limit: global.limit.as_deref(),
        extra,
        magic,
    };
    let plan = Plan::new(start, settings, events)?;
    if args.list_hosts {
        crate::report::out(&super::listing::hosts(&plan.plays()));
        return Ok(exit::DONE);
    }
    if plan.participants().is_empty() {
        return Err(vec![
            Diagnostic::new("no host takes part")
                .help("check -i and --limit: hactl inventory graph"),
        ]);
    }
    let options = Options {
        check: args.check,
        diff: args.diff,
        all: args.all || global.verbose > 0,
        verbose: global.verbose,
        stats: args.stats,
        json: global.json,
        junit: args.junit.clone(),
        live: std::io::stderr().is_terminal() && !global.json,
        hosts: plan.participants().to_vec(),
    };
    let runtime = runtime().map_err(|error| vec![error])?;
    let (ending, summary) = runtime.block_on(async {
        let reporter = tokio::spawn(Reporter::new(options).listen(receiver));
        let ending = plan.run().await;
        (ending, reporter.await)
    });
    let summary = summary.map_err(|error| {
        vec![Diagnostic::with_code(
            exit::FAILED,
            format!("the reporter broke: {error}"),
        )]
    })?;
    summary.finish(&ending);
    if !ending.refused.is_empty() {
        return Ok(exit::REFUSED);
    }
    if !ending.failed.is_empty() {
        return Ok(exit::FAILED);
    }
    if !ending.unreachable.is_empty() {
        return Ok(exit::UNREACHABLE);
    }
    // A play that did not come to its end is no success, also when the failure itself was rescued.
    if !ending.stopped.is_empty() {
        return Ok(exit::FAILED);
    }
    Ok(
        if args.check && args.detailed_exitcode && summary.pending() {
            exit::PENDING
        } else {
            exit::DONE
        },
    )
}

/// Who is at work, for locks and history: user, machine, process, time.
pub fn operator(command: &str) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "?".to_owned(), |user| user.name);
    let machine = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "?".to_owned());
    let since = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC");
    format!(
        "{user}@{machine}, `hactl {command}`, pid {}, since {since}",
        std::process::id()
    )
}

/// The runtime that commands with connections run on.
///
/// # Errors
/// When the machine gives no threads.
pub fn runtime() -> crate::base::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Diagnostic::with_code(exit::FAILED, format!("cannot start: {error}")))
}
