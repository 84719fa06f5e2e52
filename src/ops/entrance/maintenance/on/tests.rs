//! Who may be taken out.

use super::super::snapshot::tests::{noted, put, whole};
use super::*;
use crate::ops::operation::context::Who;
use std::time::Duration;

fn options(hosts: &[&str]) -> MaintenanceOptions {
    MaintenanceOptions {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        reason: String::new(),
        last_one: false,
        limit: Duration::from_secs(1),
        cut: false,
        who: Who::default(),
    }
}

fn said(snapshot: &MaintenanceSnapshot, options: &MaintenanceOptions) -> Vec<String> {
    refusals(snapshot, options)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_last_one_of_its_kind_stays() {
    for hosts in [
        &["app1"][..],
        &["lb1"],
        &["lb2"],
        &["db2"],
        &["app1", "lb1", "db2"],
    ] {
        assert_eq!(said(&whole(), &options(hosts)), [""; 0], "{hosts:?}");
    }
    let mut snapshot = whole();
    put(&mut snapshot, "lb2", "app2", "DOWN");
    let last = "app1: it is the last one that serves web in lb2";
    assert_eq!(said(&snapshot, &options(&["app1"])), [last]);
    let forced = MaintenanceOptions {
        last_one: true,
        ..options(&["app1"])
    };
    assert_eq!(said(&snapshot, &forced), [""; 0]);
    let both = said(&whole(), &options(&["app1", "app2"]));
    assert_eq!(both.len(), 4, "{both:?}");
    let both = said(&whole(), &options(&["lb1", "lb2"]));
    assert_eq!(
        both,
        [
            "lb1: no other load balancer could take 192.0.2.10",
            "lb2: no other load balancer could take 192.0.2.10"
        ]
    );
    let mut snapshot = whole();
    snapshot.vip.as_mut().expect("an address").balancers[1].check = Some(1);
    let errors = refusals(&snapshot, &options(&["lb1"])).expect_err("refused");
    assert_eq!(errors[0].code, exit::REFUSED);
    assert_eq!(
        errors[0].notes,
        ["lb2: keepalived's check of HAProxy fails there (exit code 1)"]
    );
}

#[test]
fn a_primary_is_switched_over_first() {
    let errors = refusals(&whole(), &options(&["db1"])).expect_err("refused");
    assert_eq!(
        errors[0].to_string(),
        "db1: it is the primary database: all writes go there"
    );
    assert_eq!(
        errors[0].help.as_deref(),
        Some("hactl switchover --to db2, then hactl maintenance on db1")
    );
    let mut snapshot = whole();
    snapshot
        .databases
        .insert("db2".to_owned(), Database::Silent("no answer".to_owned()));
    assert!(said(&snapshot, &options(&["db2"]))[0].contains("is not known"));
}

#[test]
fn every_load_balancer_must_hear_it_and_remember_it() {
    let mut snapshot = whole();
    snapshot.proxies.get_mut("lb2").expect("lb2").configured = false;
    snapshot.proxies.get_mut("lb1").expect("lb1").rows = Err("no socket".to_owned());
    let all = said(&snapshot, &options(&["app1"]));
    assert_eq!(
        all,
        [
            "lb1: it cannot be told to leave app1 out: HAProxy does not answer",
            "lb2: its HAProxy does not read /etc/haproxy/maintenance.state: a reload would put app1 back"
        ]
    );
    let mut snapshot = whole();
    put(&mut snapshot, "lb1", "app1", "MAINT");
    assert_eq!(
        said(&snapshot, &options(&["app1"])),
        ["app1: it is MAINT in lb1 already, and not by hactl"]
    );
    // By hactl, and broken off: it may be taken up.
    noted(&mut snapshot, "app1", false, Did::default());
    assert_eq!(said(&snapshot, &options(&["app1"])), [""; 0]);
}
