//! `hactl init`: a new project folder with the inventory of a stack and secrets of its own.
//!
//! It never overwrites a file: what differs is listed and nothing is written.

mod project;
mod stock;

use super::{Global, Outcome, vault};
use crate::base::{Diagnostic, Result, exit, quote};
use crate::report;
use crate::vault::{Passwords, Source, Spec, complete, generate, store};
use project::{Entry, Project};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A password that nobody has to type.
const PASSWORD_SCHEMA: &str = "secrets: {password: {length: 40, alphabet: alnum}}";
const SCHEMA: &str = "secrets.schema.yml";
/// Where the secrets go, within the inventory.
const VAULT: &str = "group_vars/all/vault.yml";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "The stacks are the inventories inside hactl; an unknown name lists them.")]
pub struct Args {
    /// The stack, for example `pg-ha`
    #[arg(value_name = "STACK")]
    stack: String,
    /// The project folder; made when it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Also write site.yml, roles and templates, so that Ansible can run them and you can change them
    #[arg(long)]
    roles: bool,
    /// Also copy the templates that the stack uses, so that you can read, compare and change them; yours count from then on
    #[arg(long)]
    with_templates: bool,
    /// Leave files alone that exist, and write only what is missing
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all commands are called alike"
)]
pub fn run(global: &Global, args: Args) -> Outcome {
    init(global, &args).map_err(|error| vec![error])
}

fn init(global: &Global, args: &Args) -> Result<u8> {
    let stock = stock::files();
    let root = format!("inventories/{}/", args.stack);
    if !stock.iter().any(|(path, _)| path.starts_with(&root)) {
        return Err(unknown_stack(&args.stack, &stock));
    }
    let templates = if args.with_templates {
        stock::templates(&args.stack)?
    } else {
        BTreeSet::new()
    };
    let mut project = Project::new(&args.dir);
    for (path, content) in &stock {
        let wanted = match path.strip_prefix(&root) {
            Some(name) => name != SCHEMA && name != VAULT,
            None => args.roles && !path.starts_with("inventories/"),
        };
        if templates.contains(path) {
            project.offer(path, content);
        } else if wanted {
            project.add(path, content);
        }
    }
    let sources = vault::sources(global, &args.dir, true);
    let own_password = sources.is_empty() || args.dir.join(vault::PASSWORD_FILE).is_file();
    project.add(
        "ansible.cfg",
        project::ansible_cfg(&args.stack, &stock, own_password).as_bytes(),
    );
    project.check(args.keep)?;

    // Everything that can fail for another reason than the disk comes before the first file is written.
    let vault_path = format!("{root}{VAULT}");
    let schema = stock
        .iter()
        .find(|(path, _)| *path == format!("{root}{SCHEMA}"));
    let spec = schema
        .map(|(path, text)| Spec::parse(&String::from_utf8_lossy(text), path))
        .transpose()?
        .unwrap_or_default();
    let existing = args.dir.join(&vault_path);
    let existing = existing
        .is_file()
        .then(|| store::read_text(&existing))
        .transpose()?;
    let mut new_password = None;
    let passwords = if sources.is_empty() && existing.is_none() {
        let password = generate(&Spec::parse(PASSWORD_SCHEMA, "the password")?)
            .remove(0)
            .1;
        new_password = Some(password.clone());
        Passwords::new([Source::Text(password, "the new password file")])
    } else {
        Passwords::new(sources)
    };
    let secrets = complete(existing.as_deref(), &spec, &passwords).map_err(|error| Diagnostic {
        message: format!("`{vault_path}`: {}", error.message),
        ..error
    })?;

    project.ignore(vault::PASSWORD_FILE)?;
    if let Some(password) = &new_password {
        project.secret(
            vault::PASSWORD_FILE,
            format!("{}\n", password.expose()).as_bytes(),
        )?;
    }
    if !secrets.added.is_empty() {
        project.secret(&vault_path, secrets.text.as_bytes())?;
    }
    project.write()?;
    if global.json {
        let document = serde_json::json!({
            "stack": args.stack, "dir": args.dir, "written": project.written, "kept": project.kept,
            "secrets": secrets.added, "vault_password_file": new_password.is_some().then(|| args.dir.join(vault::PASSWORD_FILE)),
        });
        report::out(&format!("{document:#}\n"));
    } else {
        next_steps(args, &project, &secrets.added, new_password.is_some());
    }
    Ok(exit::DONE)
}

fn next_steps(args: &Args, project: &Project, secrets: &[String], new_password: bool) {
    let dir = args.dir.display();
    let inventory = format!("inventories/{}", args.stack);
    report::say(&format!(
        "{} is in `{dir}`: {} written, {} kept, {} generated",
        args.stack,
        count(project.written.len(), "file"),
        project.kept.len(),
        count(secrets.len(), "secret"),
    ));
    if new_password {
        report::say(&format!(
            "The vault password is in `{dir}/{}`: readable by you only, ignored by git.\nKeep a copy of it elsewhere; without it the secrets are lost.",
            vault::PASSWORD_FILE
        ));
    }
    if args.with_templates {
        let count = |paths: &[String]| {
            let below = |path: &&String| path.starts_with("templates/");
            paths.iter().filter(below).count()
        };
        let mut kept = format!("{} kept as they were", count(&project.kept));
        if !project.changed.is_empty() {
            kept = format!("{kept} (not as hactl's: {})", project.changed.join(", "));
        }
        report::say(&format!(
            "The templates that {} uses are in `{dir}/templates`: {} copied, {kept}.\n\
             They count in place of hactl's own; without one of them hactl's counts again.",
            args.stack,
            count(&project.written),
        ));
    }
    let mut steps = vec![
        (
            format!("$EDITOR {inventory}/{}", project.hosts_file(&inventory)),
            "your addresses, the virtual IP, the network",
        ),
        (
            format!("hactl -i {inventory} check"),
            "finds mistakes, without a host",
        ),
        (
            format!("hactl -i {inventory} deploy --check"),
            "the whole plan, nothing is changed",
        ),
        (format!("hactl -i {inventory} deploy"), "builds it"),
        (
            format!("hactl vault view {inventory}/{VAULT}"),
            "the generated secrets",
        ),
    ];
    if args.with_templates {
        steps.push((
            format!("hactl -i {inventory} render"),
            "each file, and the template that it comes from",
        ));
    }
    if args.roles {
        steps.push((
            "ansible-playbook site.yml".to_owned(),
            "the same with Ansible",
        ));
    }
    if args.dir != Path::new(".") {
        steps.insert(0, (format!("cd {}", quote::sh(&dir.to_string())), ""));
    }
    let width = steps
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    report::say("\nNext:");
    for (command, about) in steps {
        let line = if about.is_empty() {
            format!("  {command}")
        } else {
            format!("  {command:width$}  # {about}")
        };
        report::say(&line);
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn unknown_stack(stack: &str, stock: &[Entry]) -> Diagnostic {
    let mut stacks: Vec<&str> = stock
        .iter()
        .filter_map(|(path, _)| {
            Path::new(path)
                .strip_prefix("inventories")
                .ok()?
                .iter()
                .next()?
                .to_str()
        })
        .collect();
    stacks.sort_unstable();
    stacks.dedup();
    Diagnostic::new(format!("there is no stack `{stack}`"))
        .help(format!("the stacks are: {}", stacks.join(", ")))
}
