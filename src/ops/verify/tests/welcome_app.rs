//! Faults of the application.

use super::{Case, refused, said, turns, web};
use serde_json::json;

pub(super) const CASES: &[Case] = &[
    (
        "application stopped",
        |s| {
            s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\n");
            for viewer in ["app1", "db1"] {
                s.set(viewer, "welcome_app.health.app2", refused());
            }
            s.set("app1", "welcome_app.turns", turns(&["app1"; 5]));
        },
        &[
            "fail welcome_app.running app2",
            "fail welcome_app.health app2 seen from app1",
            "fail welcome_app.health app2 seen from db1",
            "fail welcome_app.balanced",
        ],
    ),
    (
        "application frozen",
        |s| s.set("db1", "welcome_app.health.app1", said(124, "", "")),
        &["fail welcome_app.health app1 seen from db1"],
    ),
    (
        "application degraded",
        |s| {
            s.set(
                "db1",
                "welcome_app.health.app1",
                web(500, r#"{"status":"degraded","hostname":"app1"}"#),
            );
        },
        &["fail welcome_app.health app1 seen from db1"],
    ),
    (
        "another host answers",
        |s| {
            s.set(
                "db1",
                "welcome_app.health.app1",
                web(200, r#"{"hostname":"app2"}"#),
            );
        },
        &["fail welcome_app.health app1 seen from db1"],
    ),
    (
        "not enabled",
        |s| {
            s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=disabled\n");
        },
        &["fail welcome_app.running app2"],
    ),
    (
        "not installed",
        |s| {
            s.out("app2", "welcome_app.units", "Id=welcome_app.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n");
        },
        &["fail welcome_app.running app2"],
    ),
    (
        "readable settings",
        |s| s.out("app2", "welcome_app.settings", "root 644\n"),
        &["fail welcome_app.settings-private app2"],
    ),
    (
        "a database that the application does not know",
        |s| s.out("app1", "welcome_app.databases", "\"192.168.104.31\"\n"),
        &["fail welcome_app.databases app1"],
    ),
    (
        "a database that nobody knows",
        |s| {
            s.out(
                "app1",
                "welcome_app.databases",
                "\"192.168.104.31,192.168.104.32,192.168.104.33\"\n",
            )
        },
        &["fail welcome_app.databases app1"],
    ),
    (
        "databases by name",
        |s| s.out("app1", "welcome_app.databases", "db1, db2\n"),
        &[],
    ),
    (
        "more threads than connections",
        |s| s.state("db2", "/settings/max_connections", json!("34")),
        &[
            "fail postgresql.standby-settings db2",
            "warn welcome_app.connection-budget",
        ],
    ),
    (
        "other code",
        |s| s.out("app2", "welcome_app.code", "abd  -\n"),
        &["warn welcome_app.same-code app2"],
    ),
];
