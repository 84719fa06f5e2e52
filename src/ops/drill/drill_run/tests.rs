//! Steps with somebody for power and cables who only writes down what is asked of him.

use super::*;
use crate::ops::drill::catalog::find;
use crate::ops::drill::fault_injector::FaultInjector;
use crate::ops::drill::hactl::Hactl;
use crate::ops::drill::plan::Who;
use crate::ops::hosts::{Host, Site};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

#[derive(Default)]
struct Book {
    asked: Mutex<Vec<String>>,
    dead: Option<&'static str>,
}

impl Book {
    fn note(&self, what: &str, hosts: &[String]) -> Result<()> {
        let line = format!("{what} {}", hosts.join(" "));
        self.asked.lock().expect("a book").push(line);
        match self.dead {
            Some(dead) if what == "start" => Err(failure("no login".to_owned()).on(dead)),
            _ => Ok(()),
        }
    }
}

impl FaultInjector for Book {
    fn kill(&self, hosts: &[String]) -> Result<()> {
        self.note("kill", hosts)
    }
    fn start(&self, hosts: &[String]) -> Result<()> {
        self.note("start", hosts)
    }
    fn freeze(&self, host: &str) -> Result<()> {
        self.note("freeze", &[host.to_owned()])
    }
    fn thaw(&self, host: &str) -> Result<()> {
        self.note("thaw", &[host.to_owned()])
    }
    fn cut(&self, host: &str, _: Option<&str>) -> Result<()> {
        self.note("cut", &[host.to_owned()])
    }
    fn heal(&self, host: &str) -> Result<()> {
        self.note("heal", &[host.to_owned()])
    }
}

/// A service that nobody reaches.
fn drill_target() -> DrillTarget {
    let names = ["lb", "app", "db1", "db2"];
    let group = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let host = |name: &str| {
        let mut host = Host {
            name: name.to_owned(),
            groups: Vec::new(),
            target: crate::connection::Target::default(),
            variables: crate::base::value::Map::default(),
        };
        host.target.address = format!("{name}.invalid");
        host
    };
    DrillTarget::new(Site {
        hosts: names.into_iter().map(host).collect(),
        groups: [
            ("haproxy".to_owned(), group(&["lb"])),
            ("welcome_app".to_owned(), group(&["app"])),
            ("postgresql".to_owned(), group(&["db1", "db2"])),
        ]
        .into(),
    })
    .unwrap_or_else(|error| panic!("{}", error.message))
}

/// What is left of a run after these steps: events, expectations, what was asked for. Interrupted when this is said.
async fn played(
    book: Book,
    last: Option<&'static str>,
    deed: impl AsyncFnOnce(&mut DrillRun<'_>),
) -> (Vec<Event>, Vec<Expectation>, Vec<String>) {
    let drill_target = drill_target();
    let book = Arc::new(book);
    let (stop, stopped) = watch::channel(last == Some(""));
    let tools = Tools {
        injector: Some(Arc::clone(&book) as Arc<dyn FaultInjector>),
        hactl: Hactl {
            program: "/bin/false".into(),
            global: Vec::new(),
        },
        rate: 10,
        limit: Duration::from_secs(1),
        operator: "me".to_owned(),
        stop: &stopped,
        tell: &|text| {
            if last.is_some_and(|last| text.starts_with(last)) {
                stop.send_replace(true);
            }
        },
    };
    let mut drill_run = DrillRun {
        drill: find("cold-start").expect("a drill"),
        drill_target: &drill_target,
        tools: &tools,
        assignment: DrillAssignment {
            hosts: ["lb", "app", "db1", "db2"].map(str::to_owned).to_vec(),
            ..DrillAssignment::default()
        },
        clock: Clock::start(),
        started: SystemTime::now(),
        load: None,
        events: Vec::new(),
        ran: Vec::new(),
        expectations: Vec::new(),
    };
    deed(&mut drill_run).await;
    let asked = book.asked.lock().expect("a book").clone();
    (drill_run.events, drill_run.expectations, asked)
}

#[tokio::test]
async fn the_power_of_many_hosts_is_one_instant() {
    let both = async |drill_run: &mut DrillRun<'_>| {
        for on in [false, true] {
            let step = DrillStep::Power(Who::Everyone, on);
            assert!(drill_run.step(&step).await.is_ok());
        }
    };
    let (events, _, asked) = played(Book::default(), None, both).await;
    assert_eq!(asked, ["kill lb app db1 db2", "start lb app db1 db2"]);
    let seen: Vec<(What, &str)> = events
        .iter()
        .map(|event| (event.what, event.text.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (What::Break, "no power for lb, app, db1, db2"),
            (What::Mend, "power for lb, app, db1, db2")
        ]
    );
}

#[tokio::test]
async fn an_interrupted_drill_gives_the_power_back() {
    let all = async |drill_run: &mut DrillRun<'_>| {
        drill_run.play().await;
        drill_run.heal().await;
    };
    let (kill, start) = ("kill lb app db1 db2", "start lb app db1 db2");
    // Before anything was broken, nothing is.
    for (last, power) in [("no power", &[kill, start] as &[_]), ("", &[start])] {
        let (_, expectations, asked) = played(Book::default(), Some(last), all).await;
        assert_eq!(asked, power);
        let missed = expectations.iter().filter(|one| !one.holds);
        let missed: Vec<&str> = missed.map(|one| one.observed.as_str()).collect();
        assert_eq!(missed, ["interrupted"]);
    }
}

#[tokio::test]
async fn a_host_that_does_not_come_back_is_named_and_tried_again() {
    let book = Book {
        dead: Some("db2"),
        ..Book::default()
    };
    let all = async |drill_run: &mut DrillRun<'_>| {
        drill_run.play().await;
        drill_run.heal().await;
    };
    let (_, expectations, asked) = played(book, None, all).await;
    let power = ["kill", "start", "start"].map(|what| format!("{what} lb app db1 db2"));
    assert_eq!(asked, power);
    let missed: Vec<(&str, &str)> = expectations
        .iter()
        .map(|one| (one.what.as_str(), one.observed.as_str()))
        .collect();
    let said = "db2: no login";
    assert_eq!(
        missed,
        [("a step of the drill", said), ("a step that heals", said)]
    );
}
