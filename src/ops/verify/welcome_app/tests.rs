//! The trial of the application against an application that is only imagined.

use super::super::super::check::Status;
use super::super::super::tests::{said, web};
use super::*;
use serde_json::json;

/// A service in small: what it has stored, and what is wrong with it.
#[derive(Default)]
struct Service {
    stored: Vec<(i64, String, Vec<u8>)>,
    /// Host and step at which it does not answer any more.
    lost: Vec<(&'static str, usize)>,
    /// Answers to the n-th request of a kind, by its method.
    odd: Vec<(&'static str, usize, Reply)>,
    /// The upload is made although its answer is lost.
    made_anyway: bool,
    counts: std::collections::BTreeMap<String, usize>,
    rows_missing: bool,
    image_kept: bool,
    uploads: usize,
}

impl Service {
    fn answer(&mut self, request: &crate::modules::Request) -> Reply {
        let text = String::from_utf8_lossy(&request.stdin).into_owned();
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        if request.user.is_some() {
            return if self.rows_missing {
                said(3, "", "ERROR:  it did not arrive within 5 s\n")
            } else {
                said(0, "", "")
            };
        }
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let kind = if path.starts_with("/api/content?") {
            "LIST".to_owned()
        } else {
            method.clone()
        };
        let count = self.counts.entry(kind.clone()).or_default();
        *count += 1;
        let odd = self
            .odd
            .iter()
            .find(|(known, turn, _)| *known == kind && turn == count)
            .map(|(.., reply)| reply.clone());
        if method == "POST" {
            if let Some(odd) = odd.clone().filter(|_| !self.made_anyway) {
                return odd;
            }
            self.uploads += 1;
            let quote = text
                .split("\r\n\r\n")
                .nth(2)
                .and_then(|rest| rest.lines().next())
                .expect("a quote")
                .to_owned();
            let start = request
                .stdin
                .windows(8)
                .position(|window| window == b"\x89PNG\r\n\x1a\n")
                .expect("an image");
            let end = request
                .stdin
                .windows(14)
                .rposition(|window| window == b"\r\n--hactl-form")
                .expect("an end");
            self.stored
                .push((7, quote, request.stdin[start..end].to_vec()));
            return odd.unwrap_or_else(|| {
                web(
                    201,
                    &json!({"id": 7, "image_url": "/images/x.png"}).to_string(),
                )
            });
        }
        if let Some(odd) = odd {
            return odd;
        }
        match (method.as_str(), path.as_str()) {
            ("DELETE", "/api/content/7") if !self.stored.is_empty() => {
                self.stored.clear();
                web(200, "{}")
            }
            ("DELETE", _) => web(404, "{}"),
            ("GET", "/images/x.png") => match self.stored.first() {
                Some((.., image)) => {
                    let mut reply = said(
                        0,
                        &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", image.len()),
                        "",
                    );
                    reply.stdout.extend_from_slice(image);
                    reply
                }
                None if self.image_kept => web(200, "x"),
                None => web(404, "{}"),
            },
            _ => {
                let items: Vec<_> = self.stored.iter().map(|(id, quote, _)| json!({"id": id, "quote": quote, "image_url": "/images/x.png"})).collect();
                web(200, &json!({ "items": items }).to_string())
            }
        }
    }

    fn travel(&mut self, stop_at: Option<usize>) -> Findings {
        let mut trip = Trip::new(TripPlan {
            viewers: vec!["app1".into(), "db2".into()],
            entrance: ("192.0.2.10".into(), 80),
            apps: vec![
                ("app1".into(), "192.0.2.21".into(), 5000),
                ("app2".into(), "192.0.2.22".into(), 5000),
            ],
            standbys: vec!["db2".into()],
            cluster: "main".into(),
            database: "welcome_app".into(),
            replicated: true,
        });
        let mut replies = Replies::new();
        for step in 0..20 {
            if stop_at == Some(step) {
                trip.stop();
            }
            let Some(round) = trip.next(&replies) else {
                let mut findings = Findings::default();
                trip.judge(&mut findings);
                return findings;
            };
            replies.clear();
            for (host, requests) in round {
                let answers: Vec<Reply> = requests
                    .iter()
                    .map(|request| self.answer(request))
                    .collect();
                if !self
                    .lost
                    .iter()
                    .any(|(lost, from)| *lost == host && step >= *from)
                {
                    replies.insert(host, answers);
                }
            }
        }
        panic!("the trip does not end");
    }
}

fn bad(findings: &Findings) -> Vec<String> {
    let bad = findings
        .all()
        .iter()
        .filter(|finding| finding.status != Status::Pass);
    bad.map(|finding| {
        format!(
            "{} {} {}",
            finding.status.word(),
            finding.check.id,
            finding.place
        )
        .trim_end()
        .to_owned()
    })
    .collect()
}

#[test]
fn a_trip_ends_with_nothing_left_whatever_happens() {
    let gone = || said(124, "", "");
    let cases: Vec<(&str, Service, Vec<&str>)> = vec![
        ("all well", Service::default(), vec![]),
        (
            "refused",
            Service {
                odd: vec![("POST", 1, web(400, "no"))],
                ..Service::default()
            },
            vec![
                "fail welcome_app.upload",
                "unknown welcome_app.images",
                "unknown postgresql.marker",
            ],
        ),
        (
            "not made",
            Service {
                odd: vec![("POST", 1, web(503, "no writable database"))],
                ..Service::default()
            },
            vec![
                "fail welcome_app.upload",
                "unknown welcome_app.images",
                "unknown postgresql.marker",
            ],
        ),
        (
            "nobody there",
            Service {
                odd: vec![("POST", 1, said(7, "", "connect: No route to host"))],
                ..Service::default()
            },
            vec![
                "fail welcome_app.upload",
                "unknown welcome_app.images",
                "unknown postgresql.marker",
            ],
        ),
        (
            "made, but the answer is lost",
            Service {
                odd: vec![("POST", 1, gone())],
                made_anyway: true,
                ..Service::default()
            },
            vec![
                "fail welcome_app.upload",
                "unknown welcome_app.images",
                "unknown postgresql.marker",
            ],
        ),
        (
            "the host that looks dies at the upload",
            Service {
                lost: vec![("app1", 0)],
                ..Service::default()
            },
            vec![
                "unknown welcome_app.upload",
                "unknown welcome_app.images",
                "unknown postgresql.marker",
            ],
        ),
        (
            "the host that looks dies at the images",
            Service {
                lost: vec![("app1", 1)],
                ..Service::default()
            },
            vec![
                "unknown welcome_app.images the service endpoint",
                "unknown welcome_app.images app1",
                "unknown welcome_app.images app2",
            ],
        ),
        (
            "the host that looks dies at the end",
            Service {
                lost: vec![("app1", 2)],
                ..Service::default()
            },
            vec![],
        ),
        (
            "another image",
            Service {
                odd: vec![("GET", 2, web(200, "x"))],
                ..Service::default()
            },
            vec!["fail welcome_app.images app1"],
        ),
        (
            "no image",
            Service {
                odd: vec![("GET", 3, web(404, ""))],
                ..Service::default()
            },
            vec!["fail welcome_app.images app2"],
        ),
        (
            "no row",
            Service {
                rows_missing: true,
                ..Service::default()
            },
            vec!["fail postgresql.marker db2"],
        ),
        (
            "deleted at the second attempt",
            Service {
                odd: vec![("DELETE", 1, web(503, ""))],
                ..Service::default()
            },
            vec![],
        ),
        (
            "its image stays",
            Service {
                image_kept: true,
                ..Service::default()
            },
            vec!["fail welcome_app.removed"],
        ),
    ];
    for (name, mut service, expected) in cases {
        let findings = service.travel(None);
        assert_eq!(bad(&findings), expected, "{name}");
        assert!(service.stored.is_empty(), "{name}: something stays");
    }
}

#[test]
fn what_could_not_be_deleted_is_a_fault() {
    let odd = (1..=3)
        .map(|turn| ("DELETE", turn, web(503, "no")))
        .collect();
    let findings = Service {
        odd,
        ..Service::default()
    }
    .travel(None);
    assert_eq!(bad(&findings), ["fail welcome_app.removed"]);
    // Whether it was made is not known: that is no "nothing stays".
    let odd = vec![("POST", 1, said(124, "", "")), ("LIST", 1, web(503, ""))];
    let findings = Service {
        odd,
        made_anyway: true,
        ..Service::default()
    }
    .travel(None);
    assert!(
        bad(&findings).contains(&"unknown welcome_app.removed".to_owned()),
        "{:?}",
        bad(&findings)
    );
}

#[test]
fn stopped_at_any_step_it_cleans_up() {
    for step in 0..6 {
        let mut service = Service::default();
        service.travel(Some(step));
        assert!(service.stored.is_empty(), "stopped at {step}");
        assert_eq!(service.uploads, usize::from(step > 0), "stopped at {step}");
    }
}

#[test]
fn only_what_old_trips_left_is_swept() {
    let now: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
    let hex = "0123456789abcdef0123456789abcdef";
    for (quote, made, swept) in [
        (
            format!("hactl verify {hex}"),
            "2026-01-01T11:00:00.5Z",
            true,
        ),
        (format!("hactl verify {hex}"), "2026-01-01T11:55:00Z", false),
        (format!("hactl verify {hex}"), "2026-01-01T13:00:00Z", false),
        (format!("hactl verify {hex}"), "", false),
        (
            format!("hactl verify {hex} is fun"),
            "2026-01-01T11:00:00Z",
            false,
        ),
        (
            "hactl verify is what I like".to_owned(),
            "2026-01-01T11:00:00Z",
            false,
        ),
        (hex.to_owned(), "2026-01-01T11:00:00Z", false),
    ] {
        let list = json!({"items": [{"id": 5, "quote": quote, "created_at": made}]});
        assert_eq!(!leftovers(&list, now).is_empty(), swept, "{quote} {made}");
    }
}
