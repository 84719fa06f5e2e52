//! `hactl render`: every file that a deploy would write, for every host, without asking any host.

use super::{Global, Outcome, deploy, project};
use crate::base::value::UNKNOWN;
use crate::base::{Diagnostic, exit, mask};
use crate::connection::HostKeys;
use crate::engine::{Event, Operator, Plan, Settings, Source, Start, Status};
use crate::vault::store;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use tokio::sync::mpsc;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this host (or pattern)
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Write the files below this folder, as HOST/PATH, instead of printing them
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The playbook
    #[arg(default_value = "site.yml")]
    pub playbook: PathBuf,
    /// Show secrets in the clear (files are then written with mode 0600)
    #[arg(long)]
    pub show_secrets: bool,
}

/// A rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its content; what is not known yet reads `<known after apply>`.
    pub content: Vec<u8>,
    /// Its mode as the task says.
    pub mode: Option<String>,
    /// What it is made of.
    pub source: Source,
}

/// How paths of files inside the binary begin.
const EMBEDDED: &str = "embedded:";

impl File {
    /// The file that it is made of, and whether that is inside the binary.
    fn made_of(&self) -> (&str, bool) {
        match self.source.file.strip_prefix(EMBEDDED) {
            Some(path) => (path, true),
            None => (&self.source.file, false),
        }
    }

    /// The same for people; a path without a word before it is the project's own file.
    fn origin(&self) -> String {
        let (path, embedded) = self.made_of();
        let line = self.source.line.map(|line| format!(":{line}"));
        format!(
            "{}{path}{}",
            if embedded { "(embedded) " } else { "" },
            line.unwrap_or_default()
        )
    }
}

/// The files by host and path.
pub type Files = BTreeMap<String, BTreeMap<String, File>>;

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let opened = project::open_for(global, &args.playbook)?;
    crate::report::warnings(&project::unread(&opened.files));
    let limit = args.host.as_deref().or(global.limit.as_deref());
    let files = files(global, &opened, &args.playbook, limit)?;
    let shown = |content: &[u8]| match std::str::from_utf8(content) {
        Ok(text) if !args.show_secrets => mask::mask(text).into_bytes(),
        _ => content.to_vec(),
    };
    if global.json {
        let hosts: serde_json::Map<String, serde_json::Value> = files
            .iter()
            .map(|(host, files)| {
                let files = files.iter().map(|(path, file)| {
                    let content = String::from_utf8_lossy(&shown(&file.content)).into_owned();
                    let (source, embedded) = file.made_of();
                    let source = serde_json::json!({
                        "file": source, "line": file.source.line, "embedded": embedded,
                    });
                    (
                        path.clone(),
                        serde_json::json!({ "content": content, "mode": file.mode, "source": source }),
                    )
                });
                (
                    host.clone(),
                    files.collect::<serde_json::Map<_, _>>().into(),
                )
            })
            .collect();
        crate::report::out(&format!(
            "{}\n",
            serde_json::json!({ "schema": "hactl.render/1", "hosts": hosts })
        ));
        return Ok(exit::DONE);
    }
    for (host, files) in &files {
        for (path, file) in files {
            let content = shown(&file.content);
            match &args.output {
                Some(directory) => {
                    write(directory, host, path, &content).map_err(|error| vec![error])?;
                    crate::report::out(&format!("{host}:{path}  {}\n", file.origin()));
                }
                None => {
                    crate::report::out(&format!("==> {host}:{path} <== {}\n", file.origin()));
                    crate::report::out(&String::from_utf8_lossy(&content));
                    if !content.ends_with(b"\n") {
                        crate::report::out("\n");
                    }
                }
            }
        }
    }
    let count: usize = files.values().map(BTreeMap::len).sum();
    crate::report::say(&format!("{count} files for {} hosts", files.len()));
    Ok(exit::DONE)
}

fn write(directory: &Path, host: &str, path: &str, content: &[u8]) -> Result<(), Diagnostic> {
    let failed = |error: std::io::Error| {
        Diagnostic::with_code(
            exit::FAILED,
            format!("cannot write below `{}`: {error}", directory.display()),
        )
    };
    // A path of a host stays below the folder, whatever it holds.
    let below: PathBuf = Path::new(path)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let target = directory.join(host).join(below);
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent).map_err(failed)?;
    }
    store::replace(&target, content)
}

/// Renders all files.
///
/// # Errors
/// Everything that is wrong with the playbook or the inventory, and templates that fail.
pub fn files(
    global: &Global,
    opened: &project::Opened,
    playbook: &Path,
    limit: Option<&str>,
) -> Result<Files, Vec<Diagnostic>> {
    let playbook = opened.loader.playbook(&playbook.to_string_lossy())?;
    let (events, mut receiver) = mpsc::unbounded_channel();
    let settings = Settings {
        check: true,
        diff: true,
        offline: true,
        forks: 1,
        tags: Vec::new(),
        skip_tags: Vec::new(),
        force_handlers: false,
        identity: String::new(),
        forget_handlers: false,
        one_by_one: false,
        render: true,
        count_processes: false,
        host_keys: HostKeys::Strict,
        loader: opened.loader.clone(),
        decrypt: opened.decrypt.clone(),
        operator: Operator {
            name: String::new(),
            break_lock: false,
        },
        state: crate::engine::STATE.to_owned(),
        project: global.project.clone(),
    };
    let magic = project::magic(global, opened, true, true, &[], &[], 1);
    let start = Start {
        inventory: &opened.inventory,
        playbook,
        limit,
        extra: opened.extra.clone(),
        magic,
    };
    let plan = Plan::new(start, settings, events)?;
    let runtime = deploy::runtime().map_err(|error| vec![error])?;
    runtime.block_on(plan.run());
    let mut files = Files::new();
    let mut errors = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        match event {
            Event::File {
                host,
                path,
                content,
                mode,
                source,
            } => {
                let content = match String::from_utf8(content) {
                    Ok(text) => text.replace(UNKNOWN, "<known after apply>").into_bytes(),
                    Err(error) => error.into_bytes(),
                };
                files.entry(host).or_default().insert(
                    path.replace(UNKNOWN, "<known after apply>"),
                    File {
                        content,
                        mode,
                        source,
                    },
                );
            }
            Event::Task(end) if end.status == Status::Failed => errors.extend(end.error),
            Event::HostLost { error, .. } => errors.push(error),
            _ => {}
        }
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}
