//! Faults of the load balancers.

use super::{CSV, Case, refused, said, web};

pub(super) const CASES: &[Case] = &[
    (
        "HAProxy stopped",
        |s| {
            s.out("lb2", "haproxy.units", "Id=haproxy.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nUnitFileState=enabled\n");
            s.set(
                "lb2",
                "haproxy.socket",
                said(1, "", "admin.sock: Connection refused\n"),
            );
            for key in ["haproxy.page", "haproxy.open-page"] {
                s.set("lb2", key, refused());
            }
            for viewer in ["app1", "db1"] {
                s.set(viewer, "haproxy.answers.lb2", refused());
            }
        },
        &[
            "fail haproxy.running lb2",
            "fail haproxy.servers lb2",
            "fail haproxy.answers lb2 seen from app1",
            "fail haproxy.answers lb2 seen from db1",
        ],
    ),
    (
        "a server down on one of them",
        |s| {
            s.out(
                "lb2",
                "haproxy.socket",
                &CSV.replace("app2,UP", "app2,DOWN"),
            );
        },
        &["fail haproxy.servers lb2"],
    ),
    (
        "a server in maintenance",
        |s| {
            s.out(
                "lb1",
                "haproxy.socket",
                &CSV.replace("app2,UP", "app2,MAINT"),
            );
        },
        &["fail haproxy.servers lb1"],
    ),
    (
        "a server that is missing",
        |s| {
            s.out(
                "lb2",
                "haproxy.socket",
                &CSV.replace("welcome_app,app2,UP,2,L7OK,\n", ""),
            );
        },
        &["fail haproxy.servers lb2"],
    ),
    (
        "a server that nobody knows",
        |s| {
            s.out(
                "lb2",
                "haproxy.socket",
                &CSV.replace(
                    "welcome_app,BACKEND",
                    "welcome_app,app9,UP,2,L7OK,\nwelcome_app,BACKEND",
                ),
            );
        },
        &["fail haproxy.servers lb2"],
    ),
    (
        "no socket tool and the page does not let in",
        |s| {
            s.set("lb2", "haproxy.socket", said(127, "", ""));
            s.set("lb2", "haproxy.page", web(401, ""));
        },
        &["unknown haproxy.servers lb2"],
    ),
    (
        "no socket tool, but the page",
        |s| s.set("lb2", "haproxy.socket", said(127, "", "")),
        &[],
    ),
    (
        "invalid configuration",
        |s| {
            s.set(
                "lb1",
                "haproxy.config",
                said(1, "", "[ALERT] parsing error\n"),
            );
        },
        &["fail haproxy.config lb1"],
    ),
    (
        "configurations differ",
        |s| s.out("lb2", "haproxy.digest", "abd  -\n"),
        &["warn haproxy.same-config"],
    ),
    (
        "open statistics",
        |s| s.set("lb2", "haproxy.open-page", web(200, CSV)),
        &["warn haproxy.stats-private lb2"],
    ),
    (
        "a load balancer frozen",
        |s| s.set("db1", "haproxy.answers.lb2", said(124, "", "")),
        &["fail haproxy.answers lb2 seen from db1"],
    ),
];
