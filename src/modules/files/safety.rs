//! What must hold whatever happens: nothing half written, no secrets in scripts, nothing done by mistake.

use super::testing::{args_of, change_of, execute, run, shell};
use std::path::Path;

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
    let told = format!("version {}", crate::base::value::UNKNOWN);
    for (module, params) in [
        (
            "template",
            serde_json::json!({"src": "/a.j2", "dest": dest.to_str()}),
        ),
        (
            "copy",
            serde_json::json!({"content": told, "dest": dest.to_str()}),
        ),
    ] {
        let change = change_of(module, params);
        assert_eq!(change.diffs[0].after, "(content known after apply)\n");
        assert!(crate::base::value::has_unknown(&change.outcome["checksum"]));
    }
}

/// A temporary file or directory is made, told of, and closed to others.
#[test]
fn temporary_paths_are_made() {
    let top = tempfile::tempdir().expect("temporary directory");
    for (state, mode) in [("file", "0600"), ("directory", "0700")] {
        let params = serde_json::json!({"path": top.path().to_str(), "state": state, "suffix": ".x", "prefix": "p."});
        let serde_json::Value::Object(params) = params else {
            panic!("a mapping")
        };
        let done = run("tempfile", params).expect("made");
        let path = done.outcome["path"].as_str().expect("path").to_owned();
        assert!(
            Path::new(&path)
                .extension()
                .is_some_and(|suffix| suffix == "x")
                && path.contains("/p."),
            "{path}"
        );
        assert_eq!(done.outcome["mode"], mode);
        assert_eq!(Path::new(&path).is_dir(), state == "directory");
    }
}

/// An archive cannot reach outside of its directory, neither by names (refused) nor by links in it.
#[test]
fn an_archive_stays_below_its_directory() {
    for (members, unpacks) in [("f link", true), ("f link ../victim", false)] {
        let top = tempfile::tempdir().expect("temporary directory");
        let make = format!(
            "mkdir e in; echo secret >victim; ln -s ../victim in/link; echo 1 >in/f\n\
             tar -C in -Pcf a.tar {members}; chmod 644 victim; echo changed >victim"
        );
        shell(top.path(), &make);
        let path = |name: &str| top.path().join(name).to_str().expect("text").to_owned();
        let params = serde_json::json!({"src": path("a.tar"), "dest": path("e"), "remote_src": true, "mode": "0600"});
        let serde_json::Value::Object(params) = params else {
            panic!("a mapping")
        };
        assert_eq!(run("unarchive", params).is_ok(), unpacks, "{members}");
        assert_eq!(
            shell(top.path(), "cat victim; stat -c %a victim"),
            "changed\n644\n"
        );
        if unpacks {
            assert_eq!(shell(top.path(), "stat -c %a e/f"), "600\n");
        }
    }
}
