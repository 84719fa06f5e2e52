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
            "unknown haproxy.real-state lb2",
            "unknown haproxy.file-loaded lb2",
            "unknown haproxy.connections lb2",
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
            s.set("lb2", "haproxy.direct.app2", refused());
        },
        &["fail haproxy.servers lb2"],
    ),
    (
        "a server held down that answers",
        |s| {
            s.out(
                "lb2",
                "haproxy.socket",
                &CSV.replace("app2,UP", "app2,DOWN"),
            );
        },
        &["fail haproxy.servers lb2", "fail haproxy.real-state lb2"],
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
        &[
            "unknown haproxy.servers lb2",
            "unknown haproxy.real-state lb2",
            "unknown haproxy.file-loaded lb2",
            "unknown haproxy.connections lb2",
        ],
    ),
    (
        "no socket tool, but the page",
        |s| s.set("lb2", "haproxy.socket", said(127, "", "")),
        &[
            "unknown haproxy.file-loaded lb2",
            "unknown haproxy.connections lb2",
        ],
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
    (
        "a server in maintenance, as declared",
        |s| {
            s.mark("app2", "maintenance", "");
            for balancer in ["lb1", "lb2"] {
                s.out(
                    balancer,
                    "haproxy.socket",
                    &CSV.replace("app2,UP", "app2,MAINT"),
                );
            }
        },
        &["warn common.maintenance app2"],
    ),
    (
        "a server that is held up and does not answer",
        |s| s.set("lb1", "haproxy.direct.app1", refused()),
        &["fail haproxy.real-state lb1"],
    ),
    (
        "a file that was changed after the start",
        |s| s.out("lb1", "haproxy.file", "1699999900 1700000000\n"),
        &["warn haproxy.file-loaded lb1"],
    ),
    (
        "a file that was changed in the second of the start",
        |s| s.out("lb1", "haproxy.file", "1699999601 1700000000\n"),
        &[],
    ),
    (
        "few connections left",
        |s| {
            s.out(
                "lb1",
                "haproxy.socket",
                &CSV.replace("CurrConns: 1", "CurrConns: 3300"),
            )
        },
        &["warn haproxy.connections lb1"],
    ),
    (
        "fewer connections than declared",
        |s| {
            s.out(
                "lb1",
                "haproxy.socket",
                &CSV.replace("Maxconn: 4000", "Maxconn: 2000"),
            )
        },
        &["warn haproxy.connections lb1"],
    ),
    (
        "an admin socket for everybody",
        |s| s.out("lb1", "haproxy.mode", "root 666\n"),
        &["fail haproxy.socket-private lb1"],
    ),
];
