//! Probes asked of this machine's own shell, and answers that are none.

use super::files::{hex, parse_files};
use super::*;
use crate::connection::{Item, ssh};
use crate::modules::{Content, FileKind};

fn file(path: &std::path::Path, follow: bool, content: Content) -> Probe {
    Probe::File(FileProbe {
        path: path.display().to_string(),
        follow,
        content,
    })
}

#[tokio::test]
async fn probes_of_one_kind_are_one_request_and_tell_the_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("it's a $name"), b"old\0bytes").expect("written");
    std::fs::write(path("same"), b"same").expect("written");
    std::os::unix::fs::symlink("same", path("link")).expect("linked");
    std::os::unix::fs::symlink("nowhere", path("dangling")).expect("linked");
    let probes = vec![
        file(
            &path("it's a $name"),
            false,
            Content::UnlessDigest(hex(b"new")),
        ),
        file(&path("same"), false, Content::UnlessDigest(hex(b"same"))),
        file(&path("missing"), false, Content::UnlessDigest(hex(b"same"))),
        file(&path("link"), false, Content::None),
        file(&path("link"), true, Content::Whole),
        file(&path("dangling"), true, Content::Digest),
        file(folder.path(), false, Content::Digest),
        file(&path("same"), false, Content::Digest),
        Probe::Packages(vec!["coreutils".into(), "no-such-package".into()]),
        Probe::Entry {
            database: "passwd",
            key: "root".into(),
        },
        Probe::Entry {
            database: "passwd",
            key: "no-such-user".into(),
        },
        Probe::Run(Request::sh("echo hello")),
    ];
    let (requests, decoder) = compile(&probes);
    assert_eq!(requests.len(), 4, "files, packages, passwd, run");
    let mut shell = ssh::local("here", None).expect("sh");
    let items: Vec<_> = requests
        .iter()
        .map(|request| Item {
            request,
            chained: false,
            holds_lock: false,
            looks: true,
        })
        .collect();
    let replies = shell.batch(&items).await.expect("answered");
    let seen = decoder.decode(&replies).expect("decoded");
    let file = |index: usize| match &seen[index] {
        Seen::File(file) => file.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        file(0).expect("there").content.as_deref(),
        Some(&b"old\0bytes"[..])
    );
    let same = file(1).expect("there");
    assert_eq!(
        (same.content, same.sha256, same.kind),
        (None, Some(hex(b"same")), FileKind::File)
    );
    assert_eq!(file(2), None);
    let link = file(3).expect("there");
    assert_eq!(
        (link.kind, link.target.as_deref()),
        (FileKind::Link, Some("same"))
    );
    let followed = file(4).expect("there");
    assert_eq!(
        (followed.kind, followed.content.as_deref()),
        (FileKind::File, Some(&b"same"[..]))
    );
    assert_eq!(file(5).expect("dangling").kind, FileKind::Link);
    assert_eq!(file(6).expect("a folder").kind, FileKind::Directory);
    assert_eq!(file(7).expect("there").sha256, Some(hex(b"same")));
    let Seen::Packages(found) = &seen[8] else {
        panic!()
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found["coreutils"].status, "installed");
    assert!(matches!(&seen[9], Seen::Entry(Some(fields)) if fields[2] == "0"));
    assert_eq!(seen[10], Seen::Entry(None));
    assert!(matches!(&seen[11], Seen::Reply(reply) if reply.out() == "hello\n"));
}

#[test]
fn unit_blocks_are_matched_by_position() {
    let output = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=inactive\n";
    assert_eq!(properties(output, 1)["ActiveState"], "inactive");
    assert!(properties(output, 5).is_empty());
}

#[test]
fn a_garbled_answer_is_an_error() {
    for output in [
        &b"P\0/x\0f\0"[..],
        b"X\0",
        b"P\0/x\0f\0zz\x000\x000\0a\0b\x001\x001\x001\x001\x001\x001\x001\0\0",
    ] {
        assert!(parse_files(output).is_err(), "{output:?}");
    }
}
