//! What journals say, and who may write into them: their shell is run, on a folder of the test's.

use super::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn header() -> Header {
    Header {
        reason: "it's\nslow".to_owned(),
        ..Header::new("switchover", "me@here", "")
    }
}

fn step(name: &str, state: StepState) -> StepLine {
    StepLine {
        step: name.to_owned(),
        state,
        at: 1,
        notes: [("lsn".to_owned(), "0/3".to_owned())].into(),
    }
}

#[test]
fn a_line_that_was_cut_off_did_not_happen() {
    let header = header();
    let text = line(&header)
        + &line(&step("stop", StepState::Begun))
        + &line(&step("stop", StepState::Done));
    let whole = Record::parse(&text).expect("a record");
    assert_eq!(whole.state("stop"), Some(StepState::Done));
    assert_eq!(whole.notes()["lsn"], "0/3");
    let cut = Record::parse(&text[..text.len() - 4]).expect("a record");
    assert_eq!(cut.state("stop"), Some(StepState::Begun));
    assert_eq!(cut.state("promote"), None);
    let torn = text.replacen("begun", "beg", 1);
    let error = Record::parse(&torn).expect_err("torn in the middle");
    assert!(error.message.contains("line 2"), "{error}");
    assert!(Record::parse("").is_err());
}

#[test]
fn ids_sort_by_time() {
    let early = header().id;
    assert!(early < format!("9{early}"));
    assert_ne!(header().id, early);
}

/// Runs a request in a shell of this machine, with a folder of the test's in the place of hactl's: exit code and stdout.
fn on(folder: &tempfile::TempDir, request: &Request) -> (i32, String) {
    let folder = folder.path().to_string_lossy();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(request.script.replace("/var/lib/hactl", &folder))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    let mut input = child.stdin.take().expect("a pipe");
    // A script that refuses reads nothing.
    let _ = input.write_all(&request.stdin);
    drop(input);
    let output = child.wait_with_output().expect("its end");
    let out = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.code().unwrap_or(-1), out)
}

#[test]
fn whoever_was_overtaken_makes_no_step_however_late_he_comes() {
    let host = tempfile::tempdir().expect("a folder");
    let begun = |epoch: u64| Header { epoch, ..header() };
    let token = |epoch: u64, header: &Header| Token {
        epoch,
        id: header.id.clone(),
    };
    let tried = |token: &Token| {
        let script = format!(
            "{}\n{}",
            proof(token),
            append(&line(&step("stop", StepState::Begun)))
        );
        on(&host, &Request::sh(script)).0
    };
    let end = End {
        result: "done".to_owned(),
        ended: 2,
        message: String::new(),
    };
    let first = begun(1);
    let mine = token(1, &first);
    assert_eq!(tried(&mine), OVERTAKEN, "before it began");
    assert_eq!(on(&host, &begin(&first)).0, 0);
    assert_eq!(tried(&mine), 0);
    assert_eq!(on(&host, &begin(&begun(2))).0, UNFINISHED);
    assert_eq!(tried(&mine), 0, "a refused one leaves no mark");
    // Another operator takes it up.
    let theirs = token(2, &first);
    let record = Record {
        header: Header {
            epoch: 2,
            ..first.clone()
        },
        steps: Vec::new(),
        end: None,
    };
    assert_eq!(on(&host, &claim(&theirs, Some(&record))).0, 0);
    assert_eq!(
        on(&host, &claim(&theirs, None)).0,
        OVERTAKEN,
        "each has an epoch of his own"
    );
    assert_eq!((tried(&mine), tried(&theirs)), (OVERTAKEN, 0));
    assert_eq!(on(&host, &finish(&mine, &end)).0, OVERTAKEN);
    assert_eq!(on(&host, &finish(&theirs, &end)).0, 0);
    assert_eq!(on(&host, &finish(&theirs, &end)).0, 0, "told twice");
    assert_eq!(tried(&theirs), OVERTAKEN, "it is over");
    let history = host
        .path()
        .join("history")
        .join(format!("{}.jsonl", first.id));
    let ended =
        Record::parse(&std::fs::read_to_string(history).expect("history")).expect("a record");
    assert_eq!(ended.end, Some(end));
    assert_eq!(
        on(&host, &begin(&begun(2))),
        (OVERTAKEN, format!("2 {} ended", first.id))
    );
    assert_eq!(on(&host, &begin(&begun(3))).0, 0);
}

#[test]
fn a_journal_whose_end_is_known_elsewhere_is_settled_with_what_told_of_it() {
    let host = tempfile::tempdir().expect("a folder");
    let header = Header {
        epoch: 4,
        ..header()
    };
    assert_eq!(on(&host, &begin(&header)).0, 0);
    let intent = host.path().join("intent");
    std::fs::write(&intent, "4 db2 x\n").expect("an intent");
    std::fs::write(
        host.path().join("intents"),
        format!("{}\n", intent.display()),
    )
    .expect("a list");
    let ended = Record {
        header: header.clone(),
        steps: Vec::new(),
        end: Some(End {
            result: "overtaken".to_owned(),
            ended: 5,
            message: String::new(),
        }),
    };
    assert_eq!(on(&host, &settle("another", &ended)).0, 0);
    assert!(
        host.path().join("operation").exists() && intent.exists(),
        "another one's"
    );
    assert_eq!(on(&host, &settle(&header.id, &ended)).0, 0);
    assert!(!host.path().join("operation").exists() && !intent.exists());
}

#[test]
fn a_full_disk_has_room_for_a_line_and_none_is_torn() {
    // The shell's own limit on the size of a file stands for the disk's.
    let host = tempfile::tempdir().expect("a folder");
    assert_eq!(
        on(
            &host,
            &begin(&Header {
                epoch: 1,
                ..header()
            })
        )
        .0,
        0
    );
    let before = std::fs::read(host.path().join("operation")).expect("a journal");
    let line = format!("{{\"step\":\"{}\"}}\n", "x".repeat(4000));
    let full = Request::sh(format!("ulimit -f 1; trap '' XFSZ; {}", append(&line)));
    assert_ne!(on(&host, &full).0, 0);
    let after = std::fs::read(host.path().join("operation")).expect("a journal");
    assert_eq!(after, before, "nothing is torn");
    let room = Request::sh(append(&line));
    assert_eq!(on(&host, &room).0, 0);
}

fn shell(script: &str) -> String {
    let out = std::process::Command::new("sh")
        .args(["-c", script])
        .output()
        .expect("sh");
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn a_long_history_is_read_in_part_and_does_not_grow_for_ever() {
    let folder = std::env::temp_dir().join(format!("hactl-history-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.display().to_string();
    let file = |number: usize, kind: &str, text: &str| {
        let name = format!("20260101T{number:06}Z-{kind}-00ff");
        let header = Header {
            id: name.clone(),
            ..Header::new(kind, "me@here", "")
        };
        let text = if text.is_empty() {
            line(&header)
        } else {
            text.to_owned()
        };
        std::fs::write(folder.join(name + ".jsonl"), text).expect("a file");
    };
    file(1, "failover", "");
    for number in 2..1100 {
        file(number, "vip-move", "");
    }
    // Neither ends its line.
    file(1100, "drill", "torn");
    file(1101, "backup", "");
    std::fs::write(folder.join("20270101T000000Z-drill-1.jsonl.new"), "half").expect("a file");
    let read = read_all(&shell(&newest(&path)));
    let ids: Vec<&str> = read
        .iter()
        .filter_map(|(_, record)| Some(record.as_ref().ok()?.header.id.as_str()))
        .collect();
    // The newest 100, one of which is torn; five more moves, and the failover.
    assert_eq!(ids.len(), 99 + 5 + 1);
    assert!(
        ids[0].contains("-backup-") && ids[104].contains("-failover-"),
        "{ids:?}"
    );
    let torn: Vec<&str> = read
        .iter()
        .filter(|(_, record)| record.is_err())
        .map(|(file, _)| file.as_str())
        .collect();
    assert_eq!(torn, [format!("{path}/20260101T001100Z-drill-00ff.jsonl")]);
    assert_eq!(read_all(&shell(&whole(&path))).len(), 1101);
    shell(&rotate(&path));
    let left = read_all(&shell(&whole(&path)));
    assert_eq!(left.len(), KEPT);
    assert!(left[0].0.contains("-backup-"), "the newest stay");
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(shell(&newest(&path)), "", "without a history there is none");
}
