//! Cases of what forbids a restore, of times and of answers.

use super::*;
use crate::modules::Reply;
use crate::ops::backup::info::SAMPLE;

fn info() -> Info {
    let host = Host {
        name: "app2".to_owned(),
        groups: Vec::new(),
        target: crate::connection::Target::default(),
        variables: crate::base::value::Map::new(),
    };
    let reply = Reply {
        stdout: SAMPLE.as_bytes().to_vec(),
        ..Reply::default()
    };
    Info::read(&host, &reply).expect("read")
}

const ROOM: &str = "free=4194304\nreal=/var/lib/postgresql\nstate=new\nwritable=yes\ncluster=/var/lib/postgresql/15/main\nversion=15\npgbackrest=yes\n";

#[test]
fn everything_that_forbids_a_restore_is_seen() {
    let dir = "/var/lib/postgresql/r";
    for (text, directory, time, failed) in [
        (ROOM.to_owned(), dir, 1_000_010, &[][..]),
        (ROOM.to_owned(), dir, 1_000_003, &["backup"]),
        (ROOM.to_owned(), dir, 1_000_101, &["past"]),
        (
            ROOM.replace("state=new", "state=full"),
            dir,
            1_000_010,
            &["new"],
        ),
        (
            ROOM.replace("state=new", "state=file"),
            dir,
            1_000_010,
            &["new"],
        ),
        (
            ROOM.to_owned(),
            "/var/lib/postgresql/15/main",
            1_000_010,
            &["apart"],
        ),
        (
            ROOM.to_owned(),
            "/var/lib/postgresql/15/main/base/x",
            1_000_010,
            &["apart"],
        ),
        (
            ROOM.replace(
                "real=/var/lib/postgresql",
                "real=/var/lib/postgresql/15/main/base",
            ),
            "/tmp/link/x",
            1_000_010,
            &["apart"],
        ),
        (ROOM.replace("4194304", "1000"), dir, 1_000_010, &["space"]),
        (
            ROOM.replace("version=15", "version=16"),
            dir,
            1_000_010,
            &["version"],
        ),
        (
            ROOM.replace("pgbackrest=yes", ""),
            dir,
            1_000_010,
            &["version"],
        ),
        (
            ROOM.replace("writable=yes", "writable=no"),
            dir,
            1_000_010,
            &["owner"],
        ),
        (ROOM.to_owned(), "relative", 1_000_010, &["path"]),
        (ROOM.to_owned(), "/a/../b", 1_000_010, &["path"]),
    ] {
        let time = Timestamp::from_second(time).expect("a time");
        let info = info();
        let options = RestoreOptions {
            time: Some(time),
            target: "db2".to_owned(),
            directory: Some(directory.to_owned()),
            scratch: false,
        };
        let plan = RestorePlan {
            directory: directory.to_owned(),
            version: "15".to_owned(),
            port: 5433,
            target: None,
            set: info
                .before(time.as_second())
                .map(|backup| backup.label.clone()),
            scratch: false,
        };
        let conditions = conditions(&info, &Room::read(&text), &options, &plan, 2 << 30);
        let seen: Vec<&str> = conditions
            .failed()
            .iter()
            .map(|condition| condition.id)
            .collect();
        assert_eq!(seen, failed, "{text} {directory} {time}");
    }
}

#[test]
fn times() {
    for (text, expected) in [
        ("2026-01-02 03:04:05", Some("2026-01-02 03:04:05.000000+00")),
        (
            "2026-01-02 03:04:05.25+02",
            Some("2026-01-02 01:04:05.250000+00"),
        ),
        (
            "2026-01-02T03:04:05Z",
            Some("2026-01-02 03:04:05.000000+00"),
        ),
        (
            "2026-01-02 03:04:05.123456+00",
            Some("2026-01-02 03:04:05.123456+00"),
        ),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(
            time(text).ok().map(postgres_time).as_deref(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn only_a_complete_answer_counts() {
    let text = "copied=1\nreplayed=2\ntimeline=3\nuntil=2026-01-01 00:00:00.5+00\ndatabase=postgres\t0 0 7\ndatabase=a=b c\t2 10 99\nsystem=1\ndone\n";
    let restored = Restored::read(text).expect("read");
    assert_eq!(
        (restored.timeline, restored.rows(), restored.seconds),
        (3, 10, (1, 2))
    );
    assert_eq!(restored.databases[1].name, "a=b c");
    assert_eq!(Restored::read(&text.replace("done\n", "")), None);
    assert_eq!(Restored::read(&text.replace("10", "x")), None);
}
