//! What an operation does when writes have waited too long; with a shell of this machine, which keeps no epoch.

use super::*;
use crate::connection::Target;
use crate::ops::operation::journal::Header;
use std::sync::Mutex;

/// Makes these steps; gives how it ended and what happened, a word each.
async fn made(steps: Vec<Step>, record: Record) -> (Ending, Vec<String>) {
    let target = Target {
        host: HERE.to_owned(),
        local: true,
        ..Target::default()
    };
    let mut pool = ConnectionPool::open(vec![target], 1).await;
    let said = Mutex::new(Vec::new());
    let ending = Operation {
        token: Token::default(),
        record,
        keepers: Vec::new(),
        arbiters: Vec::new(),
        steps,
        stop: &AtomicBool::new(false),
        tell: &|event| {
            let word = match event {
                Event::Done { id, .. } => format!("done {id}"),
                Event::Failed { id, .. } => format!("failed {id}"),
                Event::Undoing { id, .. } => format!("undo {id}"),
                Event::Begun { .. } | Event::Says(_) => return,
            };
            said.lock().expect("no panic").push(word);
        },
    }
    .run(&mut pool)
    .await;
    (ending, said.into_inner().expect("no panic"))
}

fn record(done: &[&str]) -> Record {
    let done = done.iter().map(|step| StepLine {
        step: (*step).to_owned(),
        state: StepState::Done,
        at: 1,
        notes: Notes::new(),
    });
    Record {
        header: Header::new("switchover", "ann", ""),
        steps: done.collect(),
        end: None,
    }
}

/// Writes wait for at most a second from `stop` on; these are the scripts of the steps.
fn steps(stop: &str, last_byte: &'static str) -> Vec<Step> {
    vec![
        Step {
            gap: Some(1),
            undo: Some(plain("true".to_owned())),
            ..Step::new("stop", HERE, "stop", stop.to_owned())
        },
        Step {
            script: Box::new(move |notes| {
                let left = notes.get(SECONDS_LEFT).cloned().unwrap_or_default();
                format!("left='{left}'; {last_byte}")
            }),
            ..Step::new("last-byte", HERE, "prove", String::new())
        },
        Step {
            no_return: true,
            ..Step::new("promote", HERE, "promote", "sleep 1.3".to_owned())
        },
        Step {
            tail: true,
            ..Step::new("check", HERE, "check", "true".to_owned())
        },
    ]
}

#[tokio::test]
async fn what_is_not_promoted_in_time_is_taken_back_at_once() {
    let began = Instant::now();
    let (ending, said) = made(steps("true", "[ \"$left\" = 1 ] && sleep 60"), record(&[])).await;
    assert!(matches!(ending, Ending::Undone(_)), "{ending:?}");
    assert_eq!(said, ["done stop", "failed last-byte", "undo stop"]);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "its own limit is a minute"
    );
    // The stop alone has taken all of it: nobody is promoted any more.
    let (ending, said) = made(steps("sleep 1.2", "true"), record(&[])).await;
    let Ending::Undone(why) = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(said, ["done stop", "undo stop"]);
    assert_eq!(
        why.message,
        "writes have waited for 1 s, and step `last-byte` has not begun"
    );
}

#[tokio::test]
async fn who_takes_it_up_has_the_whole_time_again_and_a_promotion_has_its_own() {
    let (ending, said) = made(steps("false", "[ \"$left\" = 1 ]"), record(&["stop"])).await;
    assert!(matches!(ending, Ending::Done), "{ending:?}");
    assert_eq!(said, ["done last-byte", "done promote", "done check"]);
}
