//! The judge of fault histories is judged here, without a lab: by rows that were lost, rows that are there twice, two primaries.
//! And every history that is in the repository can be read and played.

#[path = "../lab/chaos/audit.rs"]
mod audit;
#[path = "../lab/chaos/history.rs"]
#[allow(dead_code)]
mod history;

use audit::{Consent, Rows, Write, epochs, judge, read};

fn write(client: &str, seq: u64, at: f64, server: &str, timeline: u32) -> Write {
    Write {
        client: client.to_owned(),
        seq,
        sent: at,
        ended: at + 0.01,
        result: "ok".to_owned(),
        server: server.to_owned(),
        timeline,
        said: String::new(),
    }
}

fn rows(writes: &[Write]) -> Rows {
    writes.iter().map(|write| (write.key(), 1)).collect()
}

/// Ten rows on `a`, then ten on `b`.
fn handover() -> Vec<Write> {
    (0..20_u32)
        .map(|n| {
            let (server, timeline) = if n < 10 { ("a", 1) } else { ("b", 2) };
            write("held00", u64::from(n), f64::from(n), server, timeline)
        })
        .collect()
}

fn says(problems: &[String], texts: &[&str]) {
    assert_eq!(problems.len(), texts.len(), "{problems:#?}");
    for (problem, text) in problems.iter().zip(texts) {
        assert!(problem.contains(text), "`{text}` is not in {problem}");
    }
}

#[test]
fn a_handover_is_fine() {
    let writes = handover();
    let all = rows(&writes);
    assert_eq!(judge(&writes, &all, &all, Consent::default(), 0.0), [""; 0]);
    assert_eq!(epochs(&writes).len(), 2);
    // There and back: the same server on a newer timeline is another primary.
    let mut back = writes;
    back.push(write("held00", 20, 20.0, "a", 3));
    let all = rows(&back);
    assert_eq!(judge(&back, &all, &all, Consent::default(), 0.0), [""; 0]);
}

#[test]
fn two_primaries_are_seen_even_when_no_row_is_lost() {
    let mut writes = handover();
    // In flight when it was frozen, acknowledged after the other was promoted.
    writes[9].ended = 12.5;
    let all = rows(&writes);
    says(
        &judge(&writes, &all, &all, Consent::default(), 0.0),
        &["two primaries: a on timeline 1 acknowledged 10 rows until 12.500 s"],
    );
}

#[test]
fn loss_is_the_end_of_the_log_and_needs_a_consent() {
    let writes = handover();
    let mut primary = rows(&writes);
    primary.remove(&("held00".to_owned(), 9));
    primary.remove(&("held00".to_owned(), 8));
    let judged = |consent| judge(&writes, &primary, &primary, consent, 0.0);
    says(
        &judged(Consent::default()),
        &["2 acknowledged rows of a on timeline 1 are lost"],
    );
    let loss = |rows| Consent { loss: true, rows };
    assert_eq!(judged(loss(None)), [""; 0]);
    assert_eq!(judged(loss(Some(2))), [""; 0]);
    says(&judged(loss(Some(1))), &["more than 1 cannot"]);
    // A hole in the middle is no end.
    let mut hole = rows(&writes);
    hole.remove(&("held00".to_owned(), 3));
    says(
        &judge(&writes, &hole, &hole, loss(None), 0.0),
        &["this is not the end of the log"],
    );
}

#[test]
fn a_row_of_a_browser_belongs_to_the_epoch_of_its_server() {
    let mut writes = handover();
    writes.push(write("web0", 1, 9.5, "a", 0));
    let mut primary = rows(&writes);
    primary.remove(&("web0".to_owned(), 1));
    says(
        &judge(&writes, &primary, &primary, Consent::default(), 0.0),
        &["1 acknowledged rows of a on timeline 1 are lost"],
    );
}

#[test]
fn rows_twice_and_servers_that_differ() {
    let writes = handover();
    let (mut primary, replica) = (rows(&writes), rows(&writes));
    primary.insert(("held00".to_owned(), 4), 2);
    says(
        &judge(&writes, &primary, &replica, Consent::default(), 0.0),
        &[
            "1 rows are there more than once on the primary, held00/4",
            "the servers differ",
        ],
    );
    // What was not acknowledged may be there or not.
    let mut doubt = handover();
    doubt[19].result = "unknown".to_owned();
    let mut without = rows(&doubt);
    without.remove(&("held00".to_owned(), 19));
    assert_eq!(
        judge(&doubt, &without, &without, Consent::default(), 0.0),
        [""; 0]
    );
}

#[test]
fn a_line_that_was_cut_off_is_left_out() {
    let text = r#"{"client":"web0","seq":1,"sent":1.0,"ended":1.1,"result":"ok","server":"a","timeline":0,"said":""}
{"client":"web0","se"#;
    assert_eq!(read(text).len(), 1);
}

#[test]
fn every_history_can_be_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("tests/chaos") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "yml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let histories =
            history::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for one in histories {
            // What is printed when it fails can be played again.
            let again = history::read(&history::show(&one)).expect("what is shown can be read");
            assert_eq!(history::show(&again[0]), history::show(&one));
            names.push(one.name);
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert!(count > 0 && names.len() == count, "{names:?}");
}

#[test]
fn what_cannot_be_played_is_refused() {
    let wrong = |steps: &str| {
        history::read(&format!("[{{name: x, about: x, steps: [{steps}]}}]"))
            .expect_err("it cannot be played")
    };
    for (steps, text) in [
        ("{finish: {as: a}}", "operator `a` has begun nothing"),
        ("{cut: [db1, db2, app1]}", "one host or two"),
        ("{later: {after: 1, step: {writes: 1}}}", "only faults"),
        ("{explode: db1}", "unknown variant"),
        ("{run: {command: [status], exit: [0]}}", "unknown field"),
    ] {
        let error = wrong(steps);
        assert!(error.contains(text), "`{text}` is not in {error}");
    }
}
