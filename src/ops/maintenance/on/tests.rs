//! Who may be taken out.

use super::super::scene::tests::{noted, put, whole};
use super::*;
use crate::ops::desk::Who;
use std::time::Duration;

fn wish(hosts: &[&str]) -> Wish {
    Wish {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        reason: String::new(),
        last_one: false,
        limit: Duration::from_secs(1),
        cut: false,
        who: Who::default(),
    }
}

fn said(scene: &Scene, wish: &Wish) -> Vec<String> {
    refusals(scene, wish)
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
        assert_eq!(said(&whole(), &wish(hosts)), [""; 0], "{hosts:?}");
    }
    let mut scene = whole();
    put(&mut scene, "lb2", "app2", "DOWN");
    let last = "app1: it is the last one that serves web in lb2";
    assert_eq!(said(&scene, &wish(&["app1"])), [last]);
    let forced = Wish {
        last_one: true,
        ..wish(&["app1"])
    };
    assert_eq!(said(&scene, &forced), [""; 0]);
    let both = said(&whole(), &wish(&["app1", "app2"]));
    assert_eq!(both.len(), 4, "{both:?}");
    let both = said(&whole(), &wish(&["lb1", "lb2"]));
    assert_eq!(
        both,
        [
            "lb1: no other load balancer could take 192.0.2.10",
            "lb2: no other load balancer could take 192.0.2.10"
        ]
    );
    let mut scene = whole();
    scene.vip.as_mut().expect("an address").balancers[1].check = Some(1);
    let errors = refusals(&scene, &wish(&["lb1"])).expect_err("refused");
    assert_eq!(errors[0].code, exit::REFUSED);
    assert_eq!(
        errors[0].notes,
        ["lb2: keepalived's check of HAProxy fails there (exit code 1)"]
    );
}

#[test]
fn a_primary_is_switched_over_first() {
    let errors = refusals(&whole(), &wish(&["db1"])).expect_err("refused");
    assert_eq!(
        errors[0].to_string(),
        "db1: it is the primary database: all writes go there"
    );
    assert_eq!(
        errors[0].help.as_deref(),
        Some("hactl switchover --to db2, then hactl maintenance on db1")
    );
    let mut scene = whole();
    scene
        .databases
        .insert("db2".to_owned(), Database::Silent("no answer".to_owned()));
    assert!(said(&scene, &wish(&["db2"]))[0].contains("is not known"));
}

#[test]
fn every_load_balancer_must_hear_it_and_remember_it() {
    let mut scene = whole();
    scene.proxies.get_mut("lb2").expect("lb2").configured = false;
    scene.proxies.get_mut("lb1").expect("lb1").rows = Err("no socket".to_owned());
    let all = said(&scene, &wish(&["app1"]));
    assert_eq!(
        all,
        [
            "lb1: it cannot be told to leave app1 out: HAProxy does not answer",
            "lb2: its HAProxy does not read /etc/haproxy/maintenance.state: a reload would put app1 back"
        ]
    );
    let mut scene = whole();
    put(&mut scene, "lb1", "app1", "MAINT");
    assert_eq!(
        said(&scene, &wish(&["app1"])),
        ["app1: it is MAINT in lb1 already, and not by hactl"]
    );
    // By hactl, and broken off: it may be taken up.
    noted(&mut scene, "app1", false, Did::default());
    assert_eq!(said(&scene, &wish(&["app1"])), [""; 0]);
}
