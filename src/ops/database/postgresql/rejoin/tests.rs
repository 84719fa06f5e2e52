//! What a rejoin asks consent for, over hand-made evidence.

use super::super::node::{Answer, Control, Live, Node, Place};
use super::super::view::Member;
use super::*;

fn lsn(text: &str) -> Lsn {
    text.parse().expect("a position")
}

/// db1 was primary and is down; db2 was promoted in its place.
fn cluster() -> Cluster {
    let member = |host: &str, node: Node| Member {
        host: host.to_owned(),
        address: host.to_owned(),
        seen: Ok(node),
    };
    let place = Place {
        version: "15".to_owned(),
        data: "/data".to_owned(),
        free: u64::MAX,
        ..Place::default()
    };
    let down = Node {
        place: place.clone(),
        control: Some(Control {
            system: "7".to_owned(),
            timeline: 1,
            ..Control::default()
        }),
        live: Live::Down("Connection refused".to_owned()),
        ..Node::default()
    };
    let leads = Node {
        place,
        live: Live::Answers(Box::new(Answer {
            system: "7".to_owned(),
            timeline: 2,
            ..Answer::default()
        })),
        ..Node::default()
    };
    Cluster {
        members: vec![member("db1", down), member("db2", leads)],
    }
}

fn server(host: &str) -> Server {
    let host = crate::ops::hosts::Host {
        name: host.to_owned(),
        groups: Vec::new(),
        target: crate::connection::Target::default(),
        variables: crate::base::value::Map::new(),
    };
    Server::new(&host, &host.name, &Place::default())
}

#[test]
fn what_is_given_up_needs_a_consent_unless_it_is_known_to_be_nothing() {
    let gone = || Committed::Gone("could not find file \"000000010000000000000005\"".to_owned());
    let unreadable = || Committed::Unreadable("pg_waldump ended with 1".to_owned());
    let some = || Committed::Counted(7, "then and now".to_owned());
    let none = || Committed::Counted(0, " and ".to_owned());
    for (committed, consent, method, refused, says) in [
        (none(), false, Method::Rewind, false, ""),
        (some(), false, Method::Rewind, true, "7 transactions"),
        (some(), true, Method::Rewind, false, ""),
        (
            gone(),
            false,
            Method::Clone,
            true,
            "is not known: could not find file",
        ),
        (gone(), true, Method::Clone, false, ""),
        (
            unreadable(),
            false,
            Method::Rewind,
            true,
            "is not known: pg_waldump ended with 1",
        ),
        (unreadable(), true, Method::Rewind, false, ""),
        (
            Committed::NotRead,
            false,
            Method::Rewind,
            true,
            "bytes are only on this host",
        ),
    ] {
        let evidence = Evidence {
            log_end: Some(lsn("0/9000000")),
            timeline: 1,
            primary_timeline: 2,
            fork: Some(lsn("0/5000060")),
            committed: committed.clone(),
            ..Evidence::default()
        };
        let options = RejoinOptions {
            discard_diverged: consent,
            ..RejoinOptions::default()
        };
        let cluster = cluster();
        let assessment =
            assess(&cluster, server("db1"), server("db2"), &evidence, &options).expect("seen");
        let case = format!("{committed:?}, consent {consent}");
        assert_eq!(assessment.method, method, "{case}");
        let failed = assessment.conditions.failed();
        assert_eq!(!failed.is_empty(), refused, "{case}: {failed:?}");
        if let Some(condition) = failed.first() {
            assert_eq!(
                (condition.id, condition.flag),
                ("diverged", Some("--discard-diverged"))
            );
            assert!(
                condition.observed.contains(says),
                "{case}: {}",
                condition.observed
            );
        }
    }
}
