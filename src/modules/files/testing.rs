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
    pub scripts: Vec<String>,
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
            scripts: Vec::new(),
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
            let scripts = change
                .requests
                .iter()
                .map(|request| request.script.clone())
                .collect();
            Ok(Done {
                changed: true,
                outcome,
                diffs: change.diffs,
                scripts,
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

const CASES: &str = include_str!("../../../tests/modules/files-cases.yaml");
const GOLDEN: &str = include_str!("../../../tests/modules/files-golden.json");
const DUMP: &str = include_str!("../../../tests/modules/dump.sh");

/// Registered values that cannot be the same: texts for people, times, places of temporary files.
const FREE: &[&str] = &[
    "msg",
    "src",
    "backup_file",
    "backup",
    "atime",
    "mtime",
    "ctime",
    "inode",
    "stderr",
    "stdout",
];

fn same_values(ours: &Value, theirs: &Value, place: &str, faults: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
                match theirs.get(key) {
                    Some(other) => same_values(value, other, &format!("{place}.{key}"), faults),
                    None => {
                        faults.push(format!("{place}.{key} is {value}, Ansible has no such key"))
                    }
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                same_values(ours, theirs, &format!("{place}[{at}]"), faults);
            }
        }
        _ if ours == theirs => {}
        _ => faults.push(format!("{place} is {ours}, with Ansible {theirs}")),
    }
}

/// One case, twice, against what ansible-core did; gives what differs.
fn compare(case: &Value, golden: &Value) -> Vec<String> {
    let top = tempfile::tempdir().expect("temporary directory");
    let place = top.path().to_str().expect("text");
    shell(
        top.path(),
        &format!(
            "mkdir ctl; chmod 755 .\n{}",
            case["before"].as_str().unwrap_or(":")
        ),
    );
    let params: Map<String, Value> =
        serde_json::from_str(&case["params"].to_string().replace("%T%", place))
            .expect("parameters");
    let mut faults = Vec::new();
    for attempt in ["first", "second"] {
        let theirs = &golden[attempt];
        let failed = theirs["failed"].as_bool().unwrap_or(false);
        match run(case["module"].as_str().expect("module"), params.clone()) {
            Err(error) if failed => assert!(!error.message.is_empty()),
            Err(error) => faults.push(format!("{attempt}: fails: {error} {:?}", error.notes)),
            Ok(done) if failed => {
                faults.push(format!("{attempt}: does not fail: {:?}", done.outcome))
            }
            Ok(done) => {
                if Some(done.changed) != theirs["changed"].as_bool() {
                    faults.push(format!(
                        "{attempt}: changed is {}, with Ansible {}",
                        done.changed, theirs["changed"]
                    ));
                }
                if done.changed && done.diffs.is_empty() {
                    faults.push(format!("{attempt}: changes without showing what"));
                }
                let ours = Value::Object(done.outcome)
                    .to_string()
                    .replace(place, "%T%");
                let mut ours: Value = serde_json::from_str(&ours).expect("outcome");
                for key in case["free"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                {
                    ours.as_object_mut().expect("a mapping").remove(key);
                }
                same_values(&ours, theirs, attempt, &mut faults);
            }
        }
        let state = shell(top.path(), DUMP).replace(place, "%T%");
        let wanted: Vec<&str> = golden[format!("{attempt}_state")]
            .as_array()
            .expect("state")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let state: Vec<&str> = state.trim_end_matches('\n').split('\n').collect();
        if state != wanted {
            faults.push(format!(
                "{attempt}: end state\n      {}\n    with Ansible\n      {}",
                state.join("\n      "),
                wanted.join("\n      ")
            ));
        }
    }
    faults
}

/// Every case of the table comes to what ansible-core 2.19 made of it. Owners need root; without it those cases differ.
#[test]
fn every_case_comes_to_what_ansible_made_of_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let cases: Vec<Value> = serde_yaml::from_str(CASES).expect("cases");
    let golden: Vec<Value> = serde_json::from_str(GOLDEN).expect("golden");
    assert_eq!(
        cases.len(),
        golden.len(),
        "run tests/modules/differential.py again"
    );
    let only = std::env::var("CASE").unwrap_or_default();
    let mut faults = String::new();
    for (case, golden) in cases.iter().zip(&golden) {
        let name = case["name"].as_str().expect("name");
        assert_eq!(
            golden["name"].as_str(),
            Some(name),
            "run tests/modules/differential.py again"
        );
        let wanted = name.contains(&only);
        let found = if wanted {
            compare(case, golden)
        } else {
            Vec::new()
        };
        let excused = case["differs"].as_str();
        match (found.is_empty(), excused) {
            (true, Some(why)) if wanted => {
                faults.push_str(&format!("{name}: no longer differs ({why})\n"))
            }
            (false, None) => faults.push_str(&format!("{name}:\n    {}\n", found.join("\n    "))),
            _ => {}
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

fn args_of(module: &str, params: Value) -> (&'static dyn crate::modules::Module, Args) {
    let module = find(module).expect("a module");
    let Value::Object(params) = params else {
        panic!("a mapping")
    };
    (
        module,
        Args::check(module.spec(), params).expect("parameters"),
    )
}

fn change_of(module: &str, params: Value) -> crate::modules::Change {
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

/// Whatever goes wrong on the way, the target stays as it was and nothing is left beside it.
#[test]
fn a_write_that_fails_leaves_everything_as_it_was() {
    let long = "x".repeat(100_000);
    for (what, module, more, first, before, says) in [
        (
            "somebody edits in between",
            "lineinfile",
            serde_json::json!({"line": "b"}),
            "echo theirs >f",
            "theirs\n",
            "between the look and the write",
        ),
        (
            "somebody removes it in between",
            "lineinfile",
            serde_json::json!({"line": "b"}),
            "rm f; echo z >g",
            "",
            "between the look and the write",
        ),
        (
            "the disk is full",
            "copy",
            serde_json::json!({"content": long}),
            "",
            "old\n",
            "write error",
        ),
        (
            "the validator refuses",
            "copy",
            serde_json::json!({"content": "new", "validate": "sh -c 'echo because; false' %s"}),
            "",
            "old\n",
            "because",
        ),
        (
            "the owner is unknown",
            "copy",
            serde_json::json!({"content": "new", "owner": "no-such-user"}),
            "",
            "old\n",
            "invalid user",
        ),
    ] {
        let top = tempfile::tempdir().expect("temporary directory");
        shell(top.path(), "echo old >f");
        let path = top.path().join("f");
        let mut params = more;
        let key = if module == "copy" { "dest" } else { "path" };
        params[key] = path.to_str().expect("text").into();
        let change = change_of(module, params);
        shell(top.path(), if first.is_empty() { ":" } else { first });
        let listing = shell(top.path(), "ls -A");
        let mut request = change.requests[0].clone();
        if what == "the disk is full" {
            request.script = format!("trap '' XFSZ\nulimit -f 10\n{}", request.script);
        }
        let reply = execute(&request);
        assert_ne!(reply.code, 0, "{what}");
        assert!(reply.err().contains(says), "{what}: {}", reply.err());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            before,
            "{what}"
        );
        assert_eq!(
            shell(top.path(), "ls -A"),
            listing,
            "{what}: something is left behind"
        );
    }
}

/// A write that is ended from outside leaves nothing behind either.
#[test]
fn an_interrupted_write_cleans_up() {
    let top = tempfile::tempdir().expect("temporary directory");
    shell(top.path(), "echo old >f");
    let dest = top.path().join("f");
    let params = serde_json::json!({"content": "new", "dest": dest.to_str(), "validate": "sh -c 'kill -TERM $PPID' %s"});
    let change = change_of("copy", params);
    assert_ne!(execute(&change.requests[0]).code, 0);
    assert_eq!(shell(top.path(), "ls -A; cat f"), "f\nold\n");
}

/// Content is secret as far as the script is concerned: it travels on standard input only.
#[test]
fn content_is_never_in_a_script() {
    let top = tempfile::tempdir().expect("temporary directory");
    shell(top.path(), "echo old >f");
    let path = top.path().join("f");
    let path = path.to_str().expect("text");
    for (module, params) in [
        (
            "copy",
            serde_json::json!({"content": "hidden-word", "dest": path}),
        ),
        (
            "lineinfile",
            serde_json::json!({"line": "hidden-word", "path": path}),
        ),
        (
            "blockinfile",
            serde_json::json!({"block": "hidden-word", "path": path}),
        ),
        (
            "replace",
            serde_json::json!({"regexp": "old", "replace": "hidden-word", "path": path}),
        ),
        (
            "ini_file",
            serde_json::json!({"section": "s", "option": "o", "value": "hidden-word", "path": path}),
        ),
        (
            "get_url",
            serde_json::json!({"url": "https://me:hidden-word@example.org/x", "headers": {"X": "hidden-word"}, "dest": path, "checksum": "md5:00"}),
        ),
    ] {
        for request in change_of(module, params).requests {
            assert!(!request.script.contains("hidden-word"), "{module}");
            assert!(
                String::from_utf8_lossy(&request.stdin).contains("hidden-word"),
                "{module}"
            );
        }
    }
}

/// Wrong parameters are refused before anything is looked at.
#[test]
fn contradictions_are_refused_before_looking() {
    for (module, params, says) in [
        (
            "file",
            serde_json::json!({"path": "/", "state": "absent"}),
            "root",
        ),
        (
            "file",
            serde_json::json!({"path": "/etc/..", "state": "absent"}),
            "root",
        ),
        (
            "file",
            serde_json::json!({"path": "//", "state": "absent"}),
            "root",
        ),
        (
            "file",
            serde_json::json!({"path": "", "state": "absent"}),
            "absolute",
        ),
        (
            "file",
            serde_json::json!({"path": "~/x", "state": "absent"}),
            "absolute",
        ),
        (
            "file",
            serde_json::json!({"path": "/x", "mode": "rwx"}),
            "mode",
        ),
        (
            "file",
            serde_json::json!({"path": "/x", "state": "touch", "recurse": true}),
            "recurse",
        ),
        (
            "copy",
            serde_json::json!({"content": "x", "dest": "/x/"}),
            "directory",
        ),
        ("lineinfile", serde_json::json!({"path": "/x"}), "line"),
        (
            "lineinfile",
            serde_json::json!({"path": "/x", "line": "x", "regexp": "("}),
            "regular expression",
        ),
        (
            "get_url",
            serde_json::json!({"url": "https://example.org/x", "dest": "/x", "checksum": "crc:12"}),
            "checksum",
        ),
        (
            "get_url",
            serde_json::json!({"url": "https://example.org/x", "dest": "/x", "checksum": "sha256:$(id)"}),
            "checksum",
        ),
        (
            "get_url",
            serde_json::json!({"url": "nowhere", "dest": "/x"}),
            "address",
        ),
        (
            "find",
            serde_json::json!({"paths": "/x", "age": "2y"}),
            "age",
        ),
        (
            "stat",
            serde_json::json!({"path": "/x", "get_mime": true}),
            "get_mime",
        ),
        ("tempfile", serde_json::json!({"prefix": "../x"}), "slash"),
    ] {
        let (module, args) = args_of(module, params.clone());
        let error = module.probe(&args).expect_err("refused");
        assert!(error.message.contains(says), "{params}: {}", error.message);
    }
}

/// Content that only the apply will tell is announced, not invented.
#[test]
fn unknown_content_is_announced() {
    let top = tempfile::tempdir().expect("temporary directory");
    let dest = top.path().join("f");
    let change = change_of(
        "template",
        serde_json::json!({"src": "/a.j2", "dest": dest.to_str()}),
    );
    assert!(change.diffs[0].after.contains("known after apply"));
    assert!(crate::base::value::has_unknown(&change.outcome["checksum"]));
}

/// A temporary file or directory is made, told of, and closed to others.
#[test]
fn temporary_paths_are_made() {
    let top = tempfile::tempdir().expect("temporary directory");
    for (state, mode) in [("file", "0600"), ("directory", "0700")] {
        let params = serde_json::json!({"path": top.path().to_str(), "state": state, "suffix": ".x", "prefix": "p."});
        let Value::Object(params) = params else {
            panic!("a mapping")
        };
        let done = run("tempfile", params).expect("made");
        let path = done.outcome["path"].as_str().expect("path").to_owned();
        assert!(path.ends_with(".x") && path.contains("/p."), "{path}");
        assert_eq!(done.outcome["mode"], mode);
        assert_eq!(Path::new(&path).is_dir(), state == "directory");
    }
}
