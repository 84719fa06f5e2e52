//! `hactl diff --since REV`: what a commit changes in the rendered files, host by host.

use super::{Global, Outcome, project, render};
use crate::base::{Diagnostic, exit, mask};
use crate::modules::Diff;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The revision of the project to compare with
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub since: String,
    /// The playbook
    #[arg(default_value = "site.yml")]
    pub playbook: PathBuf,
    /// Exit 10 when something differs
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let limit = global.limit.as_deref();
    let now = render::files(
        global,
        &project::open_for(global, &args.playbook)?,
        &args.playbook,
        limit,
    )?;
    let checkout = checkout(&global.project, &args.since).map_err(|error| vec![error])?;
    let before_project = project::open_in(global, &checkout.project, &args.playbook)?;
    let before = render::files(global, &before_project, &args.playbook, limit)?;
    let hosts: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    let mut changed = Vec::new();
    for host in hosts {
        let (new, old) = (now.get(host), before.get(host));
        let paths: BTreeSet<&String> = new
            .iter()
            .chain(&old)
            .flat_map(|files| files.keys())
            .collect();
        for path in paths {
            let text = |files: Option<&std::collections::BTreeMap<String, render::File>>| {
                files
                    .and_then(|files| files.get(path))
                    .map(|file| mask::mask(&String::from_utf8_lossy(&file.content)))
                    .unwrap_or_default()
            };
            // Where it comes from is none of the host's business.
            let raw = |files: Option<&std::collections::BTreeMap<String, render::File>>| {
                let file = files.and_then(|files| files.get(path)).cloned();
                file.map(|file| (file.content, file.mode))
            };
            if raw(old) != raw(new) {
                changed.push((
                    host.clone(),
                    Diff {
                        subject: path.clone(),
                        before: text(old),
                        after: text(new),
                    },
                ));
            }
        }
    }
    if global.json {
        let list: Vec<_> = changed.iter().map(|(host, diff)| serde_json::json!({ "host": host, "path": diff.subject, "before": diff.before, "after": diff.after })).collect();
        crate::report::out(&format!(
            "{}\n",
            serde_json::json!({ "schema": "hactl.diff/1", "since": args.since, "files": list })
        ));
    } else {
        for (host, diff) in &changed {
            let shown = if diff.before == diff.after {
                format!(
                    "\n    {}: a secret in it, or its mode, changes",
                    diff.subject
                )
            } else {
                crate::report::diff::draw(std::slice::from_ref(diff), true)
            };
            crate::report::out(&format!("{host}{shown}\n"));
        }
        let hosts: BTreeSet<&String> = changed.iter().map(|(host, _)| host).collect();
        crate::report::say(&format!(
            "{} files differ on {} hosts since {}",
            changed.len(),
            hosts.len(),
            args.since
        ));
    }
    Ok(if args.detailed_exitcode && !changed.is_empty() {
        exit::PENDING
    } else {
        exit::DONE
    })
}

struct Checkout {
    project: PathBuf,
    _folder: tempfile::TempDir,
}

/// The project at a revision, in a folder that goes away. What git does not keep (a vault password file) is taken from now.
fn checkout(project: &Path, revision: &str) -> Result<Checkout, Diagnostic> {
    let failed = |what: String| {
        Diagnostic::new(what)
            .help("the project has to be in a git repository, and the revision in it")
    };
    let git = |args: &[&str]| -> Result<String, Diagnostic> {
        let output = Command::new("git")
            .arg("-C")
            .arg(project)
            .args(args)
            .output()
            .map_err(|error| failed(format!("cannot run git: {error}")))?;
        if !output.status.success() {
            return Err(failed(format!("git {} failed", args.join(" ")))
                .note(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &format!("{revision}^{{commit}}"),
    ])
    .map_err(|_| failed(format!("there is no revision `{revision}`")))?;
    let prefix = git(&["rev-parse", "--show-prefix"])?;
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let mut archive = Command::new("git")
        .arg("-C")
        .arg(project)
        .args(["archive", "--format=tar", revision])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot run git: {error}")))?;
    let stream = archive
        .stdout
        .take()
        .ok_or_else(|| failed("git gives no archive".to_owned()))?;
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg("-")
        .arg("-C")
        .arg(folder.path())
        .stdin(stream)
        .status()
        .map_err(|error| failed(format!("cannot run tar: {error}")))?;
    if !unpacked.success() || !archive.wait().is_ok_and(|status| status.success()) {
        return Err(failed(format!("cannot unpack `{revision}`")));
    }
    let password = project.join(".vault-password");
    // git archive of a subfolder has its content at the top.
    let _ = prefix;
    let inside = folder.path().to_path_buf();
    if password.exists() {
        fs_err::copy(&password, inside.join(".vault-password"))
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(Checkout {
        project: inside,
        _folder: folder,
    })
}
