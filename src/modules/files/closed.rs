//! A file with a secret in it is never open to more users than in the end, not for the time between two commands.

use super::testing::{change_of, execute, shell};
use crate::modules::Reply;
use std::path::Path;

/// Programs that are followed by a look at every file that has the secret in it.
const WATCHED: &str = "cat chmod chown cp mv tar sync sha256sum install sed curl unzip stat";

/// What stands before each of them: it looks afterwards, but not into a folder that only its owner may enter.
const TOOL: &str = "#!/bin/sh\n%REAL% \"$@\"\nc=$?\n\
find %TOP%/w -type d -name '.hactl.*' ! -perm /077 -prune -o -type f -exec grep -q hidden-word {} \\; -printf '%m %u %g %f\\n' >>%TOP%/seen 2>/dev/null\nexit $c\n";

/// Makes the folders, and the tools that look.
fn watch(top: &Path) {
    shell(top, "mkdir tools w src");
    for tool in WATCHED.split(' ') {
        let real = shell(top, &format!("command -v {tool} || :"));
        if real.is_empty() {
            continue;
        }
        let script = TOOL
            .replace("%REAL%", real.trim())
            .replace("%TOP%", top.to_str().expect("text"));
        std::fs::write(top.join("tools").join(tool), script).expect("written");
    }
    shell(top, "chmod 755 tools/*");
}

/// Makes the change of a task, watched.
fn make(top: &Path, module: &str, params: serde_json::Value) -> Reply {
    let mut last = Reply::default();
    for mut request in change_of(module, params).requests {
        request.script = format!(
            "PATH={}/tools:$PATH\nexport PATH\n{}",
            top.display(),
            request.script
        );
        last = execute(&request);
        if last.code != 0 {
            break;
        }
    }
    last
}

/// What is wrong at some moment: modes that are wider than the last one, owners that are neither the writer nor the last.
fn too_open(seen: &str, mode: u32, owner: &str) -> Vec<String> {
    let wrong = |line: &&str| {
        let mut words = line.split(' ');
        let now = words
            .next()
            .and_then(|now| u32::from_str_radix(now, 8).ok());
        let by = words.next().unwrap_or_default();
        now.is_none_or(|now| now & !mode & 0o077 != 0) || (by != "root" && by != owner)
    };
    seen.lines().filter(wrong).map(str::to_owned).collect()
}

#[test]
fn a_secret_is_never_open_to_more_users_than_in_the_end() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let cases = [
        // What is done first, module, parameters, last mode and owner of the file.
        (
            ":",
            "copy",
            r#"{"content": "hidden-word", "dest": "%/w/f", "owner": "nobody", "mode": "0600"}"#,
            0o600,
            "nobody",
        ),
        (
            ":",
            "copy",
            r#"{"content": "hidden-word", "dest": "%/w/f", "group": "nogroup", "mode": "0640"}"#,
            0o640,
            "root",
        ),
        (
            "echo old >w/f",
            "copy",
            r#"{"content": "hidden-word", "dest": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "echo old >w/f; chown nobody w/f; chmod 600 w/f",
            "copy",
            r#"{"content": "hidden-word", "dest": "%/w/f", "owner": "root"}"#,
            0o600,
            "root",
        ),
        (
            "echo old >w/f; chmod 600 w/f",
            "copy",
            r#"{"content": "hidden-word", "dest": "%/w/f", "owner": "nobody"}"#,
            0o600,
            "nobody",
        ),
        (
            "echo hidden-word >src/f",
            "copy",
            r#"{"src": "%/src/f", "remote_src": true, "dest": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "mkdir src/d w/d; echo hidden-word >src/d/f; chmod 600 src/d/f; echo old >w/d/f",
            "copy",
            r#"{"src": "%/src/d/", "remote_src": true, "dest": "%/w/d"}"#,
            0o600,
            "root",
        ),
        (
            ":",
            "lineinfile",
            r#"{"line": "hidden-word", "path": "%/w/f", "create": true, "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "echo old >w/f",
            "lineinfile",
            r#"{"line": "hidden-word", "path": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            ":",
            "blockinfile",
            r#"{"block": "hidden-word", "path": "%/w/f", "create": true, "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            ":",
            "ini_file",
            r#"{"section": "s", "option": "o", "value": "hidden-word", "path": "%/w/f", "mode": "0600", "owner": "nobody"}"#,
            0o600,
            "nobody",
        ),
        (
            "echo old >w/f",
            "replace",
            r#"{"regexp": "old", "replace": "hidden-word", "path": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "mkdir src/d; echo hidden-word >src/d/1",
            "assemble",
            r#"{"src": "%/src/d", "dest": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "echo hidden-word >src/f",
            "get_url",
            r#"{"url": "file://%/src/f", "dest": "%/w/f", "mode": "0600"}"#,
            0o600,
            "root",
        ),
        (
            "echo hidden-word >src/f; tar -C src -cf src/a.tar f",
            "unarchive",
            r#"{"src": "%/src/a.tar", "remote_src": true, "dest": "%/w", "mode": "0600", "owner": "nobody"}"#,
            0o600,
            "nobody",
        ),
    ];
    for (before, module, params, mode, owner) in cases {
        let top = tempfile::tempdir().expect("temporary directory");
        watch(top.path());
        shell(top.path(), before);
        let params = params.replace('%', top.path().to_str().expect("text"));
        let reply = make(
            top.path(),
            module,
            serde_json::from_str(&params).expect("parameters"),
        );
        assert_eq!(reply.code, 0, "{module}: {}", reply.err());
        let seen = std::fs::read_to_string(top.path().join("seen")).expect("looked");
        assert!(seen.lines().count() > 0, "{module}: nothing was seen");
        let wrong = too_open(&seen, mode, owner);
        assert!(
            wrong.is_empty(),
            "{module} {params}\n{before}\n{}",
            wrong.join("\n")
        );
        let last = shell(
            top.path(),
            "find w -type f -exec grep -q hidden-word {} \\; -printf '%m %u\\n'; ls -A w | grep -c hactl || :",
        );
        assert_eq!(last, format!("{mode:o} {owner}\n0\n"), "{module}");
    }
}

/// Owner and mode of a file that is there change without a moment in which the new owner's group has the old mode.
#[test]
fn a_change_of_owner_opens_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let top = tempfile::tempdir().expect("temporary directory");
    watch(top.path());
    shell(top.path(), "echo hidden-word >w/f; chmod 660 w/f");
    let path = top.path().join("w/f");
    let params = serde_json::json!({"path": path.to_str(), "group": "nogroup", "mode": "0600"});
    assert_eq!(make(top.path(), "file", params).code, 0);
    let seen = std::fs::read_to_string(top.path().join("seen")).expect("looked");
    let mut given: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains("nogroup"))
        .collect();
    given.dedup();
    assert_eq!(given, ["600 root nogroup f"], "{seen}");
}
