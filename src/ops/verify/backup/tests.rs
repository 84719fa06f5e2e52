//! Cases of the judgements over a repository.

use super::*;
use crate::ops::backup::Backup as Made;

fn backup(age: i64, size: u64, kind: &str) -> Made {
    Made {
        label: format!("b{age}"),
        kind: kind.to_owned(),
        started: 0,
        ended: 1_000_000 - age,
        size,
        stored: 1,
        wal: (
            "00000001000000000000000A".to_owned(),
            "00000001000000000000000A".to_owned(),
        ),
        damaged: false,
    }
}

fn info(backups: Vec<Made>) -> Info {
    Info {
        now: 1_000_000,
        backups,
        tested: Some(1_000_000 - 5 * DAY),
        ..Info::default()
    }
}

fn repository() -> Repository {
    Repository {
        host: "app2".to_owned(),
        stanza: "main".to_owned(),
        path: "/b".to_owned(),
        keep_full: 2,
        test_days: 31,
        renew_days: 30,
        port: 8432,
        tls: "/t".to_owned(),
    }
}

fn good(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Good(_))
}

#[test]
fn every_fault_of_the_repository_is_seen() {
    let fine = info(vec![
        backup(90_000, 100, "full"),
        backup(3600, 140, "incr"),
        backup(60, 100, "full"),
    ]);
    let judge = |info: &Info| {
        let r = repository();
        [
            recent(info, &r),
            size(info, &r),
            whole(info, &r),
            retention(info, &r),
            tested(info, &r),
        ]
        .map(|verdict| good(&verdict))
    };
    assert_eq!(judge(&fine), [true; 5]);
    let with = |change: &dyn Fn(&mut Info)| {
        let mut info = fine.clone();
        change(&mut info);
        judge(&info)
    };
    assert_eq!(
        with(&|i| i.now += AGE - 60),
        [false, true, true, true, true]
    );
    assert_eq!(
        with(&|i| i.backups[2].size = 49),
        [true, false, true, true, true]
    );
    assert_eq!(
        with(&|i| i.backups[2].size = 211),
        [true, false, true, true, true]
    );
    assert_eq!(
        with(&|i| i.backups[0].damaged = true),
        [true, true, false, true, true]
    );
    assert_eq!(
        with(&|i| i.status = (2, "broken".into())),
        [true, true, false, true, true]
    );
    assert_eq!(
        with(&|i| i.backups[1].kind = "full".into()),
        [true, true, true, false, true]
    );
    assert_eq!(with(&|i| i.tested = None), [true, true, true, true, false]);
    assert_eq!(
        with(&|i| i.tested = Some(1_000_000 - 31 * DAY)),
        [true, true, true, true, false]
    );
    assert!(!judge(&info(Vec::new()))[0]);
}

#[test]
fn a_gap_in_the_log_is_seen_over_the_end_of_a_log_and_a_timeline() {
    let info = info(vec![backup(60, 1, "full")]);
    let files = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}\n"))
            .collect::<String>()
    };
    let whole = [
        "00000001000000000000000A",
        "00000001000000000000000B",
        "00000002000000000000000B",
        "00000002000000000000000C",
    ];
    assert!(good(&gaps(&info, &files(&whole))));
    assert!(!good(&gaps(&info, &files(&[whole[0], whole[3]]))));
    assert!(!good(&gaps(&info, "")));
    let mut over = info.clone();
    over.backups[0].wal.0 = "0000000100000000000000FF".to_owned();
    assert!(good(&gaps(
        &over,
        &files(&["0000000100000000000000FF", "000000010000000100000000"])
    )));
    assert!(!good(&gaps(
        &over,
        &files(&["0000000100000000000000FF", "000000010000000100000001"])
    )));
}

#[test]
fn an_inventory_without_a_repository_has_one_warning() {
    let site = crate::ops::hosts::Site {
        groups: [("postgresql".to_owned(), vec!["db1".to_owned()])].into(),
        ..Default::default()
    };
    let view = View {
        site: &site,
        viewers: Vec::new(),
    };
    let mut findings = Findings::default();
    assert!(Backup.applies(&site));
    Backup.judge(&view, &Observations::default(), &mut findings);
    let seen: Vec<&str> = findings
        .all()
        .iter()
        .map(|finding| finding.check.id)
        .collect();
    assert_eq!(seen, ["backup.none"]);
    assert_eq!(
        findings.of("backup.none"),
        [("", super::super::check::Status::Warn)]
    );
}

#[test]
fn timers_elsewhere_are_seen() {
    let unit = |active: &str, file: &str| {
        format!(
            "Id=postgresql-backup-full.timer\nLoadState=loaded\nActiveState={active}\nSubState=x\nUnitFileState={file}\n"
        )
    };
    for (text, fine) in [
        (unit("inactive", ""), true),
        (unit("inactive", "disabled"), true),
        (unit("active", "disabled"), false),
        (unit("inactive", "enabled"), false),
    ] {
        assert_eq!(good(&no_timers(&text)), fine, "{text}");
    }
}
