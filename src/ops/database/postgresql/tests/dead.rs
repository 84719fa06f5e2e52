//! Whether a primary is dead: what each viewpoint saw, as data, and the verdict.

use super::{answers, at, gone, pair, said};
use crate::ops::database::postgresql::failure_detection::{self, FailureVerdict};
use crate::ops::database::postgresql::node::{Live, PeerView};

#[test]
fn death_takes_two_viewpoints_and_no_answer_from_anywhere() {
    type Case = (
        &'static str,
        Option<Live>,
        PeerView,
        Option<PeerView>,
        f64,
        FailureVerdict,
    );
    let unreachable = || PeerView::Unreachable("no route to host".to_owned());
    let closed = || PeerView::Closed("connection refused".to_owned());
    let refuses = || PeerView::Refuses("the database system is starting up".to_owned());
    let cases: Vec<Case> = vec![
        (
            "it answers",
            Some(Live::Answers(Box::default())),
            answers(),
            None,
            5.0,
            FailureVerdict::Alive,
        ),
        (
            "SSH works, no server",
            Some(Live::Down("no such file".to_owned())),
            closed(),
            None,
            5.0,
            FailureVerdict::DeadInside,
        ),
        (
            "it starts up",
            Some(Live::Down(
                "FATAL: the database system is starting up".to_owned(),
            )),
            refuses(),
            None,
            5.0,
            FailureVerdict::Alive,
        ),
        (
            "it hangs",
            Some(Live::Silent),
            PeerView::Silent,
            None,
            5.0,
            FailureVerdict::FrozenInside,
        ),
        (
            "it hangs for us only",
            Some(Live::Silent),
            answers(),
            None,
            5.0,
            FailureVerdict::Alive,
        ),
        (
            "nobody gets through",
            None,
            unreachable(),
            Some(unreachable()),
            5.0,
            FailureVerdict::Gone,
        ),
        (
            "nobody but an application",
            None,
            unreachable(),
            Some(PeerView::Silent),
            5.0,
            FailureVerdict::FrozenOutside,
        ),
        (
            "only we are cut off",
            None,
            answers(),
            Some(unreachable()),
            5.0,
            FailureVerdict::Alive,
        ),
        (
            "its log still arrives",
            None,
            unreachable(),
            Some(unreachable()),
            0.2,
            FailureVerdict::Alive,
        ),
        (
            "it says no",
            None,
            refuses(),
            None,
            5.0,
            FailureVerdict::Alive,
        ),
        // A refused connection is an answer of the host: it boots, or its sshd is broken.
        (
            "its host is up, as the replica sees it",
            None,
            closed(),
            Some(unreachable()),
            5.0,
            FailureVerdict::UpOutside,
        ),
        (
            "its host is up, as all see it",
            None,
            closed(),
            Some(closed()),
            5.0,
            FailureVerdict::UpOutside,
        ),
        (
            "its port takes connections again for one of them",
            None,
            closed(),
            Some(PeerView::Silent),
            5.0,
            FailureVerdict::FrozenOutside,
        ),
    ];
    for (what, inside, from_replica, from_application, silent, verdict) in cases {
        let mut cluster = pair();
        match inside {
            Some(live) => at(&mut cluster, "db1").live = live,
            None => gone(&mut cluster, "db1"),
        }
        at(&mut cluster, "db2")
            .peers
            .insert("db1".to_owned(), from_replica);
        said(&mut cluster, "db2")
            .receiver
            .as_mut()
            .expect("a receiver")
            .silent = Some(silent);
        let outsiders: Vec<_> = from_application
            .map(|view| ("app1".to_owned(), view))
            .into_iter()
            .collect();
        let proof = failure_detection::judge(&cluster, "db1", &outsiders);
        assert_eq!(proof.verdict, verdict, "{what}: {proof}");
    }
    // Nobody else looked: who cannot get through may be cut off himself.
    let mut alone = pair();
    gone(&mut alone, "db1");
    gone(&mut alone, "db2");
    assert_eq!(
        failure_detection::judge(&alone, "db1", &[]).verdict,
        FailureVerdict::Unknown
    );
}
