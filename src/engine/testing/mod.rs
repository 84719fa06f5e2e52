//! Runs playbooks that are given as text against hosts that are folders of this machine.
//!
//! Nothing outside of the rig's own temporary folder is touched: not even the lock of a real run on this machine.

pub mod between;
pub mod mechanics;
pub mod random;

use super::{Event, Operator, Plan, Settings, Start, Status};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use crate::connection::HostKeys;
use crate::inventory::Inventory;
use crate::play::Loader;
use crate::source::Files;
use crate::vault::{ClearFiles, Opener, Passwords, Secret, Source};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A tree of files that is only in memory.
#[derive(Clone, Default)]
pub struct Memory(pub BTreeMap<PathBuf, Vec<u8>>);

/// The same as if it lay in a folder: absolute paths lead into it, too.
struct Placed {
    root: PathBuf,
    memory: Memory,
}

impl Placed {
    fn below<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Files for Placed {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        self.memory.read_bytes(self.below(path))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.memory.is_dir(self.below(path))
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        self.memory.list(self.below(dir))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(path, text)| {
            write!(
                f,
                "\n# {}\n{}",
                path.display(),
                String::from_utf8_lossy(text)
            )
        })
    }
}

impl Files for Memory {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        self.0.get(path).cloned().map(Ok)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.0
            .keys()
            .any(|file| file != path && file.starts_with(path))
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        let mut entries: Vec<PathBuf> = self
            .0
            .keys()
            .filter_map(|file| {
                file.strip_prefix(dir)
                    .ok()?
                    .components()
                    .next()
                    .map(|first| dir.join(first))
            })
            .collect();
        entries.dedup();
        (!entries.is_empty()).then_some(entries)
    }
}

/// What to run, and how.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `site.yml` and what it needs.
    pub files: Memory,
    /// The hosts; each is this machine.
    pub hosts: Vec<String>,
    /// One task at a time.
    pub one_by_one: bool,
    /// Change nothing.
    pub check: bool,
    /// `--tags`.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// `--limit`.
    pub limit: Option<String>,
    /// `--extra-vars`.
    pub extra: Map<String, Value>,
    /// `--force-handlers`.
    pub force_handlers: bool,
    /// The inventory, when there is more to it than hosts.
    pub inventory: Option<Value>,
    /// The vault's password.
    pub password: Option<&'static str>,
    /// Another project than usual.
    pub project: Option<&'static str>,
    /// `--forget-handlers`.
    pub forget_handlers: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// By host: one line for each task or item, in order.
    pub events: BTreeMap<String, Vec<String>>,
    /// Over all hosts: which host, and its line.
    pub sequence: Vec<(String, String)>,
    /// By host: the same as it is recorded of ansible-core ([`mechanics::line`]).
    pub lines: BTreeMap<String, Vec<String>>,
    /// By host: what `register` and `set_fact` left.
    pub set: BTreeMap<String, BTreeMap<String, Value>>,
    /// By host: round trips.
    pub trips: BTreeMap<String, u64>,
    /// Hosts that failed, could not be reached, were refused, were stopped by others.
    pub ending: [Vec<String>; 4],
    /// Handlers still owed.
    pub owed: BTreeMap<String, String>,
    /// What is below `{{ dir }}`.
    pub tree: BTreeMap<String, String>,
}

impl Told {
    /// What is the same however often hosts were asked, and however their turns fell within each task.
    pub fn outcome(mut self) -> Self {
        self.sequence.clear();
        self.trips.clear();
        self
    }
}

/// A folder that plays run in: `{{ dir }}` is `work` inside it.
pub struct Rig {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// An empty one.
    pub fn new() -> Self {
        // In memory where that is possible: modules sync what they write.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let folder = tempfile::Builder::new()
            .prefix("hactl-rig")
            .tempdir_in(place)
            .expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self { folder, runtime }
    }

    /// `{{ dir }}`.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Nothing in the folder, nothing owed.
    pub fn empty(&self) {
        fs_err::create_dir_all(self.dir()).expect("made");
        fs_err::create_dir_all(self.folder.path().join("state")).expect("made");
    }

    /// As at the beginning: two files, a folder and a link, nothing owed.
    pub fn reset(&self) {
        for name in ["work", "state"] {
            let path = self.folder.path().join(name);
            if path.exists() {
                fs_err::remove_dir_all(path).expect("removed");
            }
        }
        let dir = self.dir();
        fs_err::create_dir_all(dir.join("d0")).expect("made");
        fs_err::create_dir_all(self.folder.path().join("state")).expect("made");
        furnish(&dir);
    }

    /// The same for several hosts, each with a folder of its own.
    pub fn reset_for(&self, hosts: &[&str]) {
        self.reset();
        for host in hosts {
            let dir = self.dir().join(host);
            fs_err::create_dir_all(dir.join("d0")).expect("made");
            furnish(&dir);
        }
    }

    /// Runs it; the errors of loading when it cannot be run at all.
    pub fn run(&self, wish: &Wish) -> Result<Told, Vec<Diagnostic>> {
        let mut files = wish.files.clone();
        let hosts: Map<String, Value> = wish
            .hosts
            .iter()
            .map(|name| {
                (
                    name.clone(),
                    serde_json::json!({"ansible_connection": "local", "dir": self.dir()}),
                )
            })
            .collect();
        let inventory = match &wish.inventory {
            Some(given) => mechanics::inventory(given, &self.dir()),
            None => serde_json::json!({"all": {"hosts": hosts}}),
        };
        files
            .0
            .insert("hosts.yml".into(), inventory.to_string().into_bytes());
        let inventory =
            Inventory::load(&files, &["hosts.yml".into()], Path::new(""), &|_: &str| {
                Err(Diagnostic::new("no vault here"))
            })?;
        let passwords = Passwords::new(
            wish.password
                .map(|text| Source::Text(Secret::new(text), "the test")),
        );
        let open: Opener = Arc::new(move |text: &str| passwords.decrypt(text));
        let placed = Placed {
            root: super::root(self.folder.path()).into(),
            memory: files,
        };
        let loader = Arc::new(Loader::new(Arc::new(ClearFiles::new(
            Arc::new(placed),
            open,
        ))));
        let playbook = loader.playbook("site.yml")?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let settings = Settings {
            check: wish.check,
            diff: false,
            offline: false,
            forks: 8,
            tags: wish.tags.clone(),
            skip_tags: wish.skip_tags.clone(),
            force_handlers: wish.force_handlers,
            identity: wish.project.unwrap_or("the test").to_owned(),
            forget_handlers: wish.forget_handlers,
            one_by_one: wish.one_by_one,
            render: false,
            count_processes: false,
            host_keys: HostKeys::Strict,
            loader,
            decrypt: Arc::new(|_| Err(Diagnostic::new("no vault here"))),
            operator: Operator {
                name: "a test".to_owned(),
                break_lock: false,
            },
            state: format!("{}/state/%h", self.folder.path().display()),
            project: self.folder.path().to_path_buf(),
        };
        let start = Start {
            inventory: &inventory,
            playbook,
            limit: wish.limit.as_deref(),
            extra: mechanics::extra(&wish.extra),
            magic: mechanics::magic(wish, &super::root(self.folder.path())),
        };
        let plan = Plan::new(start, settings, sender)?;
        let globals = Arc::clone(&plan.shared.globals);
        let ending = self.runtime.block_on(async {
            tokio::time::timeout(std::time::Duration::from_secs(120), plan.run())
                .await
                .expect("the run ends")
        });
        let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let root = super::root(self.folder.path());
        let mut sequence = Vec::new();
        let mut trips = BTreeMap::new();
        while let Ok(event) = receiver.try_recv() {
            if let Event::HostEnd {
                host, statistics, ..
            } = &event
            {
                trips.insert(host.clone(), statistics.round_trips);
            }
            if let Some((host, line)) = mechanics::line(&event) {
                let line = self.plain(&line).replace(&root, "PROJECT");
                lines.entry(host).or_default().push(line);
            }
            if let Some((host, line)) = line(event) {
                let line = self.plain(&line);
                sequence.push((host.clone(), line.clone()));
                events.entry(host).or_default().push(line);
            }
        }
        let mut set = BTreeMap::new();
        for (name, host) in &globals.hosts {
            let values = host
                .data()
                .set
                .iter()
                .map(|(name, value)| (name.clone(), self.timeless(value)))
                .collect();
            set.insert(name.clone(), values);
        }
        let owed = wish
            .hosts
            .iter()
            .filter_map(|host| {
                Some((
                    host.clone(),
                    fs_err::read_to_string(
                        self.folder
                            .path()
                            .join("state")
                            .join(host)
                            .join("pending-handlers"),
                    )
                    .ok()?,
                ))
            })
            .filter(|(_, owed)| !owed.is_empty())
            .collect();
        let mut tree = BTreeMap::new();
        describe(&self.dir(), &self.dir(), &mut tree);
        Ok(Told {
            events,
            lines,
            set,
            sequence,
            trips,
            ending: [
                ending.failed,
                ending.unreachable,
                ending.refused,
                ending.stopped,
            ],
            owed,
            tree,
        })
    }

    /// Without names that are made up anew each time.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(&*self.dir().to_string_lossy(), "DIR");
        let random = regex::Regex::new(r"hactl\.[A-Za-z0-9]+").expect("a pattern");
        let times =
            regex::Regex::new(r#""(delta|start|end|mtime|ctime|atime|inode|dev)": [^,\n]*"#)
                .expect("a pattern");
        times
            .replace_all(&random.replace_all(&text, "hactl.RANDOM"), "$1")
            .into_owned()
    }

    /// Without times and inodes.
    fn timeless(&self, value: &Value) -> Value {
        const TIMES: [&str; 9] = [
            "delta", "start", "end", "mtime", "ctime", "atime", "inode", "dev", "date",
        ];
        match value {
            Value::Object(map) => map
                .iter()
                .filter(|(name, _)| !TIMES.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), self.timeless(value)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.timeless(item)).collect(),
            Value::String(text) => Value::from(self.plain(text)),
            other => other.clone(),
        }
    }
}

fn furnish(dir: &Path) {
    fs_err::write(dir.join("f0"), "alpha\nbeta\n").expect("written");
    fs_err::write(dir.join("d0/f1"), "one\n").expect("written");
    fs_err::os::unix::fs::symlink("f0", dir.join("l0")).expect("linked");
}

/// An event as one line: task, item, status, and what was said.
fn line(event: Event) -> Option<(String, String)> {
    match event {
        Event::Task(end) => {
            let mut line = end.task;
            if let Some(item) = end.item {
                let _ = write!(line, " [{item}]");
            }
            let status = match end.status {
                Status::Ok => "ok",
                Status::Changed => "changed",
                Status::Skipped => "skipped",
                Status::Failed => "failed",
                Status::Ignored => "ignored",
                Status::Rescued => "rescued",
                Status::Unknown => "unknown",
            };
            let _ = write!(line, ": {status}");
            if end.handler {
                line.push_str(" (handler)");
            }
            if let Some(said) = end.message.or(end.error.map(|error| error.message)) {
                let _ = write!(line, ": {said}");
            }
            Some((end.host, line))
        }
        Event::Owed { host, handlers } => Some((host, format!("owed: {}", handlers.join(", ")))),
        Event::Retry { host, task, left } => Some((host, format!("{task}: again, {left} left"))),
        Event::HostLost { host, error } => Some((host, format!("lost: {}", error.message))),
        Event::Note { host, text } => Some((host?, format!("note: {text}"))),
        Event::PlayBegin { host, play } => Some((host, format!("play {play}"))),
        _ => None,
    }
}

/// Everything below a folder: kind, mode, content or target.
fn describe(root: &Path, path: &Path, into: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs_err::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let data = fs_err::symlink_metadata(&path).expect("there");
        let mode = data.permissions().mode() & 0o7777;
        let name = path
            .strip_prefix(root)
            .expect("below")
            .display()
            .to_string();
        let what = if data.is_symlink() {
            format!("-> {}", fs_err::read_link(&path).expect("a link").display())
        } else if data.is_dir() {
            describe(root, &path, into);
            format!("{mode:04o} folder")
        } else {
            format!(
                "{mode:04o} {}:{} {:?}",
                data.uid(),
                data.gid(),
                String::from_utf8_lossy(&fs_err::read(&path).expect("read"))
            )
        };
        into.insert(name, what);
    }
}
