//! `hactl check`: every mistake in playbook, roles, templates and inventory at once, and what makes the service
//! less available than it should be. Connects to nothing.

mod reach;
mod site;

use super::{Global, Outcome, project};
use crate::base::{Diagnostic, Diagnostics, exit};
use crate::play::lint;
use crate::report::findings::{self, Finding};
use crate::template;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The playbook
    #[arg(value_name = "PLAYBOOK", default_value = "site.yml")]
    playbook: PathBuf,
    /// Write the findings as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
    /// List the rules; check nothing
    #[arg(long)]
    rules: bool,
}

/// Which templates are not hactl's: those of the user's that count, and those that nothing reads.
fn templates(opened: &project::Opened, playbook: &Path) -> Vec<Finding> {
    let of = |severity, diagnostic| Finding {
        severity,
        id: "playbook".to_owned(),
        diagnostic,
    };
    let unread = project::unread(&opened.files).into_iter();
    let mut found: Vec<Finding> = unread
        .map(|warning| of(lint::Severity::Warn, warning))
        .collect();
    let beside = playbook.parent().unwrap_or(Path::new(""));
    let own = opened.files.own_templates(&beside.to_string_lossy());
    if !own.is_empty() {
        let are = if own.len() == 1 {
            "template is"
        } else {
            "templates are"
        };
        let text = format!("{} {are} the project's own, in place of hactl's", own.len());
        let note = Diagnostic::new(text);
        let note = own.into_iter().fold(note, Diagnostic::note);
        found.push(of(lint::Severity::Note, note));
    }
    found
}

/// Runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all commands are called alike"
)]
pub fn run(global: &Global, args: Args) -> Outcome {
    if args.rules {
        crate::report::out(&findings::rules(lint::rules()));
        return Ok(exit::DONE);
    }
    let path = args.playbook.to_string_lossy();
    let loader = project::loader(global, &args.playbook).map_err(|error| vec![error])?;
    let playbook = loader.playbook(&path);
    let opened = project::open_for(global, &args.playbook);
    let mut found: Vec<Finding> = Vec::new();
    if let Err(errors) = &playbook {
        found.extend(errors.iter().map(|error| Finding::error("playbook", error)));
    }
    if let Err(errors) = &opened {
        found.extend(
            errors
                .iter()
                .map(|error| Finding::error("inventory", error)),
        );
    }
    if let Ok(opened) = &opened {
        let mut errors = Diagnostics::default();
        for host in opened.inventory.hosts() {
            for (_, node, _) in opened.inventory.settings(&host) {
                template::check(&node, &mut errors);
            }
        }
        found.extend(
            errors
                .into_vec()
                .iter()
                .map(|error| Finding::error("inventory", error)),
        );
    }
    // Rules look at values; those of a project with mistakes would mislead.
    if let (Ok(playbook), Ok(opened)) = (playbook, &opened) {
        let site = site::Offline::new(&playbook, opened);
        let weak = lint::run(&site);
        drop(site);
        found.extend(reach::run(global, opened, playbook));
        found.extend(weak.into_iter().map(Finding::from));
        found.extend(templates(opened, &args.playbook));
    }
    let checked: Vec<&str> = ["playbook", "inventory"]
        .into_iter()
        .chain(lint::rules().map(|rule| rule.id))
        .collect();
    if let Some(file) = &args.junit {
        findings::write_junit(file, &checked, &found).map_err(|error| vec![error])?;
    }
    if global.json {
        crate::report::out(&findings::json(&found));
    } else {
        findings::print(&found);
    }
    let bad = |finding: &Finding| match finding.severity {
        lint::Severity::Error => true,
        lint::Severity::Warn => args.strict,
        lint::Severity::Note => false,
    };
    Ok(if found.iter().any(bad) {
        exit::USAGE
    } else {
        exit::DONE
    })
}
