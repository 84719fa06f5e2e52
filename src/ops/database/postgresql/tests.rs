//! Judgements over hand-made clusters: each refusal's state as data, and the one word that must come of it.

use super::failover;
use super::lsn::Lsn;
use super::node::{Answer, Control, Live, Node, PeerView, Place, Receiver, Sender};
use super::switchover::{self, SwitchoverOptions};
use super::view::{Cluster, Member};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::ops::hosts::{Host, Site};
use crate::ops::operation::journal::{End, Header, Notes, OPERATION, Record, seconds};

mod dead;

pub(super) fn site() -> Site {
    let hosts = [("db1", 31), ("db2", 32)]
        .map(|(name, last)| Host {
            name: name.to_owned(),
            groups: vec!["postgresql".to_owned()],
            target: Target {
                host: name.to_owned(),
                address: format!("192.0.2.{last}"),
                ..Target::default()
            },
            variables: crate::base::value::Map::new(),
        })
        .to_vec();
    Site {
        groups: [(
            "postgresql".to_owned(),
            vec!["db1".to_owned(), "db2".to_owned()],
        )]
        .into(),
        hosts,
    }
}

fn answers() -> PeerView {
    PeerView::Answers {
        in_recovery: false,
        replication: Ok(()),
    }
}

fn node(answer: Answer, peer: &str, view: PeerView) -> Node {
    Node {
        place: Place {
            version: "15".to_owned(),
            data: "/data".to_owned(),
            port: 5432,
            active: "active".to_owned(),
            start: "auto".to_owned(),
            standby_signal: answer.in_recovery,
            ..Place::default()
        },
        control: Some(Control {
            system: answer.system.clone(),
            timeline: answer.timeline,
            ..Control::default()
        }),
        live: Live::Answers(Box::new(answer)),
        peers: [(peer.to_owned(), view)].into(),
        ..Node::default()
    }
}

/// A healthy pair: db1 leads, db2 follows.
pub(super) fn pair() -> Cluster {
    let common = Answer {
        system: "7".to_owned(),
        version: 150_000,
        timeline: 3,
        free_senders: 9,
        free_slots: 9,
        rewindable: true,
        ..Answer::default()
    };
    let primary = Answer {
        written: Some(Lsn(1000)),
        senders: vec![Sender {
            name: "db2".to_owned(),
            state: "streaming".to_owned(),
            ..Sender::default()
        }],
        ..common.clone()
    };
    let replica = Answer {
        in_recovery: true,
        received: Some(Lsn(1000)),
        replayed: Some(Lsn(1000)),
        conninfo: "host=192.0.2.31 port=5432 user=replicator".to_owned(),
        receiver: Some(Receiver {
            status: "streaming".to_owned(),
            silent: Some(5.0),
            primary_end: Some(Lsn(1000)),
            ..Receiver::default()
        }),
        ..common
    };
    let member = |host: &str, last: u8, node: Node| Member {
        host: host.to_owned(),
        address: format!("192.0.2.{last}"),
        seen: Ok(node),
    };
    Cluster {
        members: vec![
            member("db1", 31, node(primary, "db2", answers())),
            member("db2", 32, node(replica, "db1", answers())),
        ],
    }
}

pub(super) fn at<'a>(cluster: &'a mut Cluster, host: &str) -> &'a mut Node {
    cluster
        .members
        .iter_mut()
        .find(|member| member.host == host)
        .and_then(|member| member.seen.as_mut().ok())
        .expect("a host that was seen")
}

pub(super) fn said<'a>(cluster: &'a mut Cluster, host: &str) -> &'a mut Answer {
    match &mut at(cluster, host).live {
        Live::Answers(answer) => answer,
        other => panic!("{other:?}"),
    }
}

pub(super) fn gone(cluster: &mut Cluster, host: &str) {
    for member in &mut cluster.members {
        if member.host == host {
            member.seen = Err(Diagnostic::with_code(exit::UNREACHABLE, "cannot connect"));
        }
    }
}

/// The ids of the conditions that refuse a switchover, or the message when it cannot even be planned.
fn refused(cluster: &Cluster) -> Vec<String> {
    let options = SwitchoverOptions {
        to: None,
        max_lag: 100,
        max_transaction: 60,
        long_transactions_ok: false,
        gap: 5,
        unreached_clients_ok: false,
    };
    match switchover::assess(&site(), cluster, &options) {
        Ok((_, conditions)) => conditions
            .failed()
            .iter()
            .map(|condition| condition.id.to_owned())
            .collect(),
        Err(errors) => errors.into_iter().map(|error| error.message).collect(),
    }
}

#[test]
fn a_healthy_pair_may_switch_over_in_an_order_that_is_safe() {
    let cluster = pair();
    assert_eq!(refused(&cluster), Vec::<String>::new());
    let options = SwitchoverOptions {
        to: Some("db2".to_owned()),
        max_lag: 0,
        max_transaction: 60,
        long_transactions_ok: false,
        gap: 5,
        unreached_clients_ok: false,
    };
    let (assignment, _) = switchover::assess(&site(), &cluster, &options).expect("possible");
    let steps = switchover::steps(&assignment, 5);
    let index = |id: &str| steps.iter().position(|step| step.id == id).expect("a step");
    // Whoever dies between two of these: the old primary cannot come back as one once the promotion may have begun.
    let stop = (steps[index("stop")].script)(&Notes::new());
    let proof = stop
        .find("not 'shut down'")
        .expect("a proof of the clean stop");
    assert!(stop.find("standby.signal").expect("it is demoted") > proof);
    assert!(
        index("stop") < index("last-byte")
            && index("last-byte") < index("promote")
            && index("promote") < index("follow")
    );
    let promote = index("promote");
    for (position, step) in steps.iter().enumerate() {
        assert_eq!(step.no_return, position == promote, "{}", step.id);
        if position > promote {
            assert!(step.tail && step.undo.is_none(), "{}", step.id);
        } else if position < promote && !["replay", "last-byte"].contains(&step.id) {
            assert!(step.undo.is_some(), "{} cannot be taken back", step.id);
        }
    }
    let mut ids: Vec<&str> = steps.iter().map(|step| step.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.len(),
        steps.len(),
        "names of steps are keys of the journal"
    );
}

#[test]
fn a_switchover_is_refused_for_its_reason() {
    type Spoil = fn(&mut Cluster);
    let cases: Vec<(&str, Spoil)> = vec![
        ("reached", |c| {
            c.members.push(Member {
                host: "db3".to_owned(),
                address: "192.0.2.33".to_owned(),
                seen: Err(Diagnostic::new("away")),
            });
        }),
        ("same-cluster", |c| said(c, "db2").system = "8".to_owned()),
        ("maintenance", |c| {
            at(c, "db2").maintenance = Some("by eve".to_owned())
        }),
        ("not-fenced", |c| {
            at(c, "db2").place.start = "disabled".to_owned()
        }),
        ("streams", |c| said(c, "db1").senders.clear()),
        ("streams", |c| {
            said(c, "db1").senders[0].state = "catchup".to_owned()
        }),
        ("timeline", |c| {
            said(c, "db2").timeline = 4;
        }),
        ("replay", |c| said(c, "db2").paused = true),
        ("lag", |c| said(c, "db2").replayed = Some(Lsn(899))),
        ("senders", |c| said(c, "db2").free_senders = 0),
        ("reverse-login", |c| {
            let view = PeerView::Answers {
                in_recovery: true,
                replication: Err("no pg_hba entry".to_owned()),
            };
            at(c, "db1").peers.insert("db2".to_owned(), view);
        }),
        ("rewindable", |c| said(c, "db2").rewindable = false),
        ("archive", |c| said(c, "db1").unarchived = Some(9)),
        ("prepared", |c| said(c, "db1").prepared = 1),
        ("transactions", |c| said(c, "db1").oldest_transaction = 61),
    ];
    for (id, spoil) in cases {
        let mut cluster = pair();
        spoil(&mut cluster);
        assert_eq!(refused(&cluster), [id], "{id}");
    }
}

#[test]
fn a_switchover_needs_one_primary_and_no_other_operation() {
    let mut split = pair();
    said(&mut split, "db2").in_recovery = false;
    assert_eq!(refused(&split), ["split brain: db1 and db2 take writes"]);
    let mut none = pair();
    gone(&mut none, "db1");
    assert_eq!(refused(&none), ["no primary answers"]);
    let mut busy = pair();
    let record = Record {
        header: Header::new("switchover", "eve", ""),
        steps: Vec::new(),
        end: None,
    };
    at(&mut busy, "db2")
        .journal
        .push((OPERATION.to_owned(), Ok(record.clone())));
    assert_eq!(
        refused(&busy),
        ["refused (unfinished): no operation is unfinished"]
    );
    // A host that was out does not know of the end: the others do.
    let end = End {
        result: "done".to_owned(),
        ended: 1,
        message: String::new(),
    };
    let ended = Record {
        end: Some(end),
        ..record
    };
    at(&mut busy, "db1")
        .journal
        .push(("history".to_owned(), Ok(ended)));
    assert_eq!(refused(&busy), Vec::<String>::new());
}

#[test]
fn consents_are_never_merged() {
    let dead = || {
        let mut cluster = pair();
        gone(&mut cluster, "db1");
        at(&mut cluster, "db2").peers.insert(
            "db1".to_owned(),
            PeerView::Unreachable("no route".to_owned()),
        );
        cluster
    };
    let outsiders = [(
        "app1".to_owned(),
        PeerView::Unreachable("no route".to_owned()),
    )];
    let wake = [("app1".to_owned(), PeerView::Silent)];
    let failed = |cluster: &Cluster,
                  outsiders: &[(String, PeerView)],
                  end,
                  options: failover::FailoverOptions|
     -> Vec<&'static str> {
        failover::assess(&site(), cluster, "db1", outsiders, end, &options)
            .expect("it can be judged")
            .conditions
            .failed()
            .iter()
            .map(|condition| condition.id)
            .collect()
    };
    let none = failover::FailoverOptions::default;
    assert_eq!(failed(&dead(), &outsiders, None, none()), ["data-loss"]);
    let lossy = failover::FailoverOptions {
        allow_data_loss: true,
        ..none()
    };
    assert_eq!(
        failed(&dead(), &outsiders, None, lossy.clone()),
        Vec::<&str>::new()
    );
    assert_eq!(failed(&dead(), &wake, None, lossy.clone()), ["dead"]);
    let up = [("app1".to_owned(), PeerView::Closed("refused".to_owned()))];
    assert_eq!(failed(&dead(), &up, None, lossy.clone()), ["dead"]);
    let unfenced = failover::FailoverOptions {
        unfenced_ok: true,
        ..none()
    };
    assert_eq!(failed(&dead(), &wake, None, unfenced), ["data-loss"]);
    // The log of the old one was read: what is known not to be lost needs no consent.
    let mut inside = pair();
    at(&mut inside, "db1").live = Live::Down("no such file".to_owned());
    at(&mut inside, "db2")
        .peers
        .insert("db1".to_owned(), PeerView::Closed("refused".to_owned()));
    assert_eq!(
        failed(&inside, &[], Some(Lsn(1000)), none()),
        Vec::<&str>::new()
    );
    assert_eq!(failed(&inside, &[], Some(Lsn(1001)), none()), ["data-loss"]);
    // Positions on two timelines say nothing about each other.
    at(&mut inside, "db1")
        .control
        .as_mut()
        .expect("control")
        .timeline = 2;
    assert_eq!(
        failed(&inside, &[], Some(Lsn(1000)), none()),
        ["one-history"]
    );
    // Alive: no consent helps.
    let all = failover::FailoverOptions {
        promote: None,
        allow_data_loss: true,
        unfenced_ok: true,
        kill_frozen: true,
        again: true,
    };
    assert_eq!(failed(&pair(), &[], None, all), ["dead"]);
    // Twice within the hour.
    let mut again = dead();
    let record = Record {
        header: Header::new("failover", "eve", ""),
        steps: Vec::new(),
        end: Some(End {
            result: "done".to_owned(),
            ended: seconds() - 600,
            message: String::new(),
        }),
    };
    at(&mut again, "db2")
        .journal
        .push(("history".to_owned(), Ok(record)));
    assert_eq!(failed(&again, &outsiders, None, lossy), ["flapping"]);
}

#[test]
fn the_old_primary_is_the_one_that_is_followed() {
    let mut cluster = pair();
    assert_eq!(failover::old_primary(&cluster).as_deref(), Ok("db1"));
    gone(&mut cluster, "db1");
    assert_eq!(failover::old_primary(&cluster).as_deref(), Ok("db1"));
    let mut turned = pair();
    said(&mut turned, "db1").in_recovery = true;
    said(&mut turned, "db1").conninfo = "host=192.0.2.32".to_owned();
    let error = failover::old_primary(&turned).expect_err("nobody leads");
    assert_eq!(error.code, exit::REFUSED);
}
