//! Runs modules for real against a temporary directory of this machine: a tiny engine for the tests.

use super::attributes::path as path_of;
use crate::base::Result;
use crate::base::value::{Map, Value};
use crate::modules::{
    Args, Content, Decision, FileKind, FileProbe, Outcome, Probe, Reply, Request, Seen, SeenFile,
    find,
};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What one run of a task came to.
#[derive(Debug)]
pub struct Done {
    pub changed: bool,
    pub outcome: Outcome,
    pub diffs: Vec<crate::modules::Diff>,
}

/// Looks, decides and changes.
pub fn run(module: &str, params: Map<String, Value>) -> Result<Done> {
    let module = find(module).expect("a module of this family");
    let mut args = Args::check(module.spec(), params)?;
    args.diff = true;
    supply(&mut args, module.spec().names[0]);
    run_args(module, &args)
}

/// The same with arguments that are ready.
pub fn run_args(module: &dyn crate::modules::Module, args: &Args) -> Result<Done> {
    let seen: Vec<Seen> = module.probe(args)?.iter().map(see).collect();
    match module.diff(args, &seen)? {
        Decision::Same(outcome) => Ok(Done {
            changed: false,
            outcome,
            diffs: Vec::new(),
        }),
        Decision::Change(change) => {
            let mut replies = Vec::new();
            for request in &change.requests {
                let reply = execute(request);
                let failed = reply.code != 0;
                replies.push(reply);
                if failed {
                    break;
                }
            }
            let outcome = module.finish(args, &change, &replies)?;
            Ok(Done {
                changed: true,
                outcome,
                diffs: change.diffs,
            })
        }
    }
}

/// What the engine does for `src`.
fn supply(args: &mut Args, module: &str) {
    let takes = matches!(module, "copy" | "template" | "unarchive");
    if !takes || args.bool_or("remote_src", false) || !args.has("src") {
        return;
    }
    let src = path_of(args, "src").expect("absolute");
    let path = Path::new(&src);
    if path.is_dir() {
        args.tree = tree(path, path);
    } else {
        args.source_mode = Some(std::fs::metadata(path).expect("src").mode() & 0o7777);
        args.content = Some(std::fs::read(path).expect("src"));
    }
}

fn tree(root: &Path, path: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).expect("directory") {
        let path = entry.expect("entry").path();
        let name = path
            .strip_prefix(root)
            .expect("below")
            .to_str()
            .expect("text")
            .to_owned();
        let mode = std::fs::metadata(&path).expect("mode").mode() & 0o7777;
        if path.is_dir() {
            let below = tree(root, &path);
            if below.is_empty() {
                found.push((format!("{name}/"), mode, Vec::new()));
            }
            found.extend(below);
        } else {
            found.push((name, mode, std::fs::read(&path).expect("file")));
        }
    }
    found.sort();
    found
}

fn see(probe: &Probe) -> Seen {
    match probe {
        Probe::File(probe) => Seen::File(see_file(probe)),
        Probe::Run(request) => Seen::Reply(execute(request)),
        other => panic!("not for files: {other:?}"),
    }
}

fn see_file(probe: &FileProbe) -> Option<SeenFile> {
    let link = std::fs::symlink_metadata(&probe.path).ok()?;
    let data = if probe.follow {
        std::fs::metadata(&probe.path).unwrap_or(link)
    } else {
        link
    };
    let kind = match data.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Link,
        _ => FileKind::Other,
    };
    let content = (kind == FileKind::File && probe.content != Content::None)
        .then(|| std::fs::read(&probe.path).expect("readable"));
    let sha256 = content.as_deref().map(super::write::digest);
    let content = content.filter(|_| match &probe.content {
        Content::Whole => true,
        Content::UnlessDigest(digest) => sha256.as_ref() != Some(digest),
        _ => false,
    });
    let owner = nix::unistd::User::from_uid(data.uid().into())
        .ok()
        .flatten();
    let group = nix::unistd::Group::from_gid(data.gid().into())
        .ok()
        .flatten();
    Some(SeenFile {
        kind,
        mode: data.mode() & 0o7777,
        uid: data.uid(),
        gid: data.gid(),
        owner: owner.map_or_else(|| data.uid().to_string(), |user| user.name),
        group: group.map_or_else(|| data.gid().to_string(), |group| group.name),
        size: data.size(),
        inode: data.ino(),
        links: data.nlink(),
        device: data.dev(),
        mtime: data.mtime(),
        atime: data.atime(),
        ctime: data.ctime(),
        target: std::fs::read_link(&probe.path)
            .ok()
            .filter(|_| kind == FileKind::Link)
            .and_then(|to| to.to_str().map(str::to_owned)),
        sha256,
        content,
    })
}

/// Runs a request with `sh`.
pub fn execute(request: &Request) -> Reply {
    let mut child = Command::new("sh")
        .args(["-c", &request.script])
        .current_dir(request.chdir.as_deref().unwrap_or("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh");
    let mut input = child.stdin.take().expect("stdin");
    let bytes = request.stdin.clone();
    // A script that ends early leaves input unread; that is its right.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().expect("sh ends");
    writer.join().expect("writer");
    Reply {
        code: output.status.code().unwrap_or(255),
        stdout: output.stdout,
        stderr: output.stderr,
        milliseconds: 0,
    }
}

/// Runs a script in a directory and gives its output.
pub fn shell(directory: &Path, script: &str) -> String {
    let quoted = crate::base::quote::sh(directory.to_str().expect("text"));
    let reply = execute(&Request::sh(format!(
        "umask 022\ncd {quoted} || exit 9\n{script}"
    )));
    assert_eq!(reply.code, 0, "{script}: {}", reply.err());
    reply.out().into_owned()
}

/// A module and checked arguments.
pub fn args_of(module: &str, params: Value) -> (&'static dyn crate::modules::Module, Args) {
    let module = find(module).expect("a module");
    let Value::Object(params) = params else {
        panic!("a mapping")
    };
    (
        module,
        Args::check(module.spec(), params).expect("parameters"),
    )
}

/// The change that a task comes to.
pub fn change_of(module: &str, params: Value) -> crate::modules::Change {
    let (module, args) = args_of(module, params);
    let seen: Vec<Seen> = module
        .probe(&args)
        .expect("probes")
        .iter()
        .map(see)
        .collect();
    match module.diff(&args, &seen).expect("a decision") {
        Decision::Change(change) => change,
        Decision::Same(outcome) => panic!("no change: {outcome:?}"),
    }
}
