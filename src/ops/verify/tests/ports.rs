//! Faults of ports, and of what should be secret.

use super::stack::{ASKS, DENIES, NOBODY};
use super::{Case, said};
use serde_json::json;

/// An error of PostgreSQL: too many connections.
const BUSY: &str = "0 45 00 00 00 20 43 35 33 33 30 30 00 4d 6e 6f 00 00";
/// PostgreSQL lets in at once.
const LETS_IN: &str = "0 52 00 00 00 08 00 00 00 00";
const STOPPED: &str =
    "psql: error: connection to server on socket failed: No such file or directory\n";

pub(super) const CASES: &[Case] = &[
    (
        "a port that nobody opens",
        |s| s.rule("lb2:8080 seen from app2", NOBODY),
        &["fail ports.open lb2:8080 seen from app2"],
    ),
    (
        "a port behind a firewall",
        |s| s.rule("app1:5000 seen from lb2", "124 "),
        &["fail ports.open app1:5000 seen from lb2"],
    ),
    (
        "a client that pg_hba.conf refuses",
        |s| s.rule("db2:5432 (welcome) seen from app1", DENIES),
        &["fail ports.open db2:5432 (welcome) seen from app1"],
    ),
    (
        "a client that is let in without a password",
        |s| s.rule("db2:5432 (welcome) seen from app1", LETS_IN),
        &["fail ports.open db2:5432 (welcome) seen from app1"],
    ),
    (
        "a peer that pg_hba.conf refuses",
        |s| s.rule("db1:5432 (postgres) seen from db2", DENIES),
        &["fail ports.open db1:5432 (postgres) seen from db2"],
    ),
    (
        "a stranger who is asked for a password",
        |s| s.rule("db1:5432 (welcome) seen from lb1", ASKS),
        &["fail ports.closed db1:5432 (welcome) seen from lb1"],
    ),
    (
        "a stranger who is stopped before pg_hba.conf",
        |s| {
            s.rule("db1:5432 (welcome) seen from lb1", NOBODY);
            s.rule("db1:5432 (welcome) seen from lb2", "124 ");
        },
        &[],
    ),
    (
        "a server too busy to refuse a stranger",
        |s| s.rule("db1:5432 (welcome) seen from lb1", BUSY),
        &["unknown ports.closed db1:5432 (welcome) seen from lb1"],
    ),
    (
        "the local check of HAProxy for everybody",
        |s| s.rule("lb1:8405 seen from db2", "0 open"),
        &["fail ports.closed lb1:8405 seen from db2"],
    ),
    (
        "a host that did not get to the end",
        |s| s.set("lb2", "ports.knocks", said(124, "", "")),
        &[
            "unknown ports.open lb1:80 seen from lb2",
            "unknown ports.open lb1:8080 seen from lb2",
            "unknown ports.closed lb1:8405 seen from lb2",
            "unknown ports.open lb2:8405 seen from lb2",
            "unknown ports.open app1:5000 seen from lb2",
            "unknown ports.open app2:5000 seen from lb2",
            "unknown ports.closed lb1:2049 seen from lb2",
            "unknown ports.closed db1:5432 (welcome) seen from lb2",
            "unknown ports.closed db2:5432 (welcome) seen from lb2",
        ],
    ),
    (
        "something else that listens",
        |s| {
            s.out(
                "app1",
                "ports.sockets",
                "LISTEN 0 5 0.0.0.0:8000 0.0.0.0:* users:((\"python3\",pid=2,fd=3))\n",
            )
        },
        &["warn ports.undeclared app1"],
    ),
    (
        "a file that anybody can read",
        |s| s.out("app1", "security.files", "/etc/welcome_app/env\n"),
        &["fail security.secret-files app1"],
    ),
    (
        "a password in ps",
        |s| s.out("db1", "security.processes", "4711 psql\n"),
        &["fail security.process-arguments db1"],
    ),
    (
        "a superuser who is asked for a password",
        |s| {
            s.out(
                "app1",
                "security.knocks",
                &format!("0 {ASKS}\n1 {DENIES}\n"),
            )
        },
        &["fail security.superuser-login db1 seen from app1"],
    ),
    (
        "a superuser who may come from elsewhere",
        |s| {
            s.state(
                "db2",
                "/superuser_rules",
                json!(["line 9 (all from 192.0.2.0)"]),
            )
        },
        &[
            "fail security.superuser-login db2 seen from app1",
            "fail security.superuser-login db2 seen from db1",
        ],
    ),
    (
        "a superuser who finds a stopped server",
        |s| {
            s.out(
                "app1",
                "security.knocks",
                &format!("0 {DENIES}\n1 {NOBODY}\n"),
            );
            s.set("db2", "postgresql.write", said(2, "", STOPPED));
        },
        &["unknown postgresql.standby-refuses-writes db2"],
    ),
    (
        "a host that blocks a server does not miss it, and the server does not miss the host",
        |s| {
            s.mark("lb1", "blocked/db2", "192.168.104.32");
            s.rule("lb1:80 seen from db2", "124 ");
            s.mark("db1", "blocked/db2", "192.168.104.32");
            s.set(
                "db1",
                "postgresql.login.db2",
                said(2, "", "No route to host\n"),
            );
            s.set(
                "db2",
                "postgresql.login.db1",
                said(2, "", "timeout expired\n"),
            );
            s.mark("app1", "blocked/db2", "192.168.104.32");
            s.rule(
                "db2:5432 (welcome) seen from app1",
                "1 bash: connect: No route to host",
            );
        },
        &["fail common.cut-off db2"],
    ),
];
