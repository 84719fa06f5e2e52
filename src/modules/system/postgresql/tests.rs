//! What is asked of PostgreSQL and decided, case by case.

use super::super::support::testing::{args, said};
use super::*;
use crate::modules::{Decision, Module};
use serde_json::{Value, json};

/// The SQL of a decision's changes; empty when nothing changes.
fn sql(module: &dyn Module, raw: &Value, answer: &str) -> String {
    match module
        .diff(&args(module, raw.clone()), &[Seen::Reply(said(answer))])
        .expect("decides")
    {
        Decision::Same(_) => String::new(),
        Decision::Change(change) => {
            let text = String::from_utf8_lossy(&change.requests[0].stdin).into_owned();
            text.replace("BEGIN;\n", "")
                .replace("\nCOMMIT;", "")
                .trim()
                .to_owned()
        }
    }
}

fn role(password: &str) -> String {
    json!({
        "rolsuper": false, "rolcanlogin": true, "rolreplication": false, "rolpassword": scram::stored("app", password),
        "rolconnlimit": -1, "rolvaliduntil": null, "same_expiry": null, "comment": null, "config": ["work_mem=4MB"],
    })
    .to_string()
}

#[test]
fn roles_are_changed_only_where_they_differ() {
    let there = role("right");
    let cases: &[(Value, &str, &str)] = &[
        (
            json!({"name": "app"}),
            "",
            "CREATE ROLE \"app\" WITH LOGIN;",
        ),
        (
            json!({"name": "r", "role_attr_flags": "REPLICATION,NOLOGIN"}),
            "",
            "CREATE ROLE \"r\" WITH REPLICATION NOLOGIN;",
        ),
        (
            json!({"name": "app", "password": "right", "role_attr_flags": "login,NOSUPERUSER"}),
            &there,
            "",
        ),
        (
            json!({"name": "app", "password": "wrong", "no_password_changes": true}),
            &there,
            "",
        ),
        (
            json!({"name": "app", "password": ""}),
            &there,
            "ALTER ROLE \"app\" WITH PASSWORD NULL;",
        ),
        (
            json!({"name": "app", "role_attr_flags": "REPLICATION", "conn_limit": 5}),
            &there,
            "ALTER ROLE \"app\" WITH REPLICATION CONNECTION LIMIT 5;",
        ),
        (
            json!({"name": "app", "configuration": {"work_mem": "4MB"}}),
            &there,
            "",
        ),
        (
            json!({"name": "app", "configuration": {"work_mem": "8MB"}}),
            &there,
            "ALTER ROLE \"app\" SET \"work_mem\" TO '8MB';",
        ),
        (
            json!({"name": "app", "state": "absent"}),
            &there,
            "DROP ROLE \"app\";",
        ),
        (json!({"name": "app", "state": "absent"}), "", ""),
        (
            json!({"name": "o\"x", "comment": "it's"}),
            "",
            "CREATE ROLE \"o\"\"x\" WITH LOGIN;\nCOMMENT ON ROLE \"o\"\"x\" IS 'it''s';",
        ),
    ];
    for (raw, answer, wanted) in cases {
        assert_eq!(sql(&USER, raw, answer), *wanted, "{raw}");
    }
}

#[test]
fn a_password_never_leaves_as_it_is() {
    let raw = json!({"name": "app", "password": "geheim-1"});
    let args = args(&USER, raw);
    let Decision::Change(change) = USER
        .diff(&args, &[Seen::Reply(said(&role("other")))])
        .expect("decides")
    else {
        panic!("another password is a change")
    };
    let request = &change.requests[0];
    let sent = String::from_utf8_lossy(&request.stdin);
    assert!(sent.contains("PASSWORD 'SCRAM-SHA-256$4096:") && !sent.contains("geheim-1"));
    let shown = format!("{} {:?} {:?}", request.script, change.outcome, change.diffs);
    assert!(
        !shown.contains("geheim-1") && !shown.contains("SCRAM"),
        "{shown}"
    );
    assert_eq!(request.user.as_deref(), Some("postgres"));
}

#[test]
fn databases_extensions_and_owners() {
    let there = json!({"owner": "app", "encoding": "UTF8", "lc_collate": "C", "lc_ctype": "C", "conn_limit": -1, "tablespace": "pg_default", "comment": null}).to_string();
    let cases: &[(&dyn Module, Value, &str, &str)] = &[
        (
            &DB,
            json!({"name": "d", "owner": "app", "encoding": "utf-8"}),
            &there,
            "",
        ),
        (
            &DB,
            json!({"name": "d", "owner": "b"}),
            &there,
            "ALTER DATABASE \"d\" OWNER TO \"b\";",
        ),
        (
            &DB,
            json!({"name": "d", "owner": "app", "encoding": "UTF8", "template": "template0"}),
            "",
            "CREATE DATABASE \"d\" OWNER \"app\" TEMPLATE \"template0\" ENCODING 'UTF8';",
        ),
        (
            &DB,
            json!({"name": "d", "state": "absent", "force": true}),
            &there,
            "DROP DATABASE \"d\" WITH (FORCE);",
        ),
        (
            &EXT,
            json!({"name": "pg_trgm", "db": "d"}),
            "{\"version\": null, \"default_version\": \"1.6\"}",
            "CREATE EXTENSION \"pg_trgm\";",
        ),
        (
            &EXT,
            json!({"name": "pg_trgm", "db": "d"}),
            "{\"version\": \"1.5\", \"default_version\": \"1.6\"}",
            "",
        ),
        (
            &EXT,
            json!({"name": "pg_trgm", "version": "latest"}),
            "{\"version\": \"1.5\", \"default_version\": \"1.6\"}",
            "ALTER EXTENSION \"pg_trgm\" UPDATE TO '1.6';",
        ),
        (
            &OWNER,
            json!({"obj_name": "public.t", "obj_type": "table", "new_owner": "app"}),
            "postgres",
            "ALTER TABLE \"public\".\"t\" OWNER TO \"app\";",
        ),
        (
            &OWNER,
            json!({"obj_name": "public", "obj_type": "schema", "new_owner": "app"}),
            "app",
            "",
        ),
        (
            &PRIVS,
            json!({"db": "d", "type": "schema", "objs": "public", "privs": "USAGE,create", "roles": "app"}),
            "1\n2",
            "GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"app\";",
        ),
        (
            &PRIVS,
            json!({"db": "d", "type": "schema", "objs": "public", "privs": "ALL", "roles": "app"}),
            "1\n1",
            "",
        ),
        (
            &PRIVS,
            json!({"db": "d", "objs": "ALL_IN_SCHEMA", "privs": "SELECT", "roles": "PUBLIC", "state": "absent"}),
            "1\n2",
            "REVOKE SELECT ON ALL TABLES IN SCHEMA \"public\" FROM PUBLIC;",
        ),
        (
            &PRIVS,
            json!({"db": "d", "type": "database", "privs": "CONNECT", "roles": "a,b"}),
            "1\n2",
            "GRANT CONNECT ON DATABASE \"d\" TO \"a\", \"b\";",
        ),
        (
            &PRIVS,
            json!({"db": "d", "type": "group", "objs": "pg_monitor", "roles": "a"}),
            "1\n2",
            "GRANT \"pg_monitor\" TO \"a\";",
        ),
    ];
    for (module, raw, answer, wanted) in cases {
        assert_eq!(sql(*module, raw, answer), *wanted, "{raw}");
    }
    let bad = args(&DB, json!({"name": "d", "encoding": "LATIN1"}));
    assert!(
        DB.diff(&bad, &[Seen::Reply(said(&there))])
            .expect_err("cannot change")
            .message
            .contains("encoding")
    );
}

#[test]
fn queries_are_filled_and_their_rows_read() {
    let args1 = args(
        &QUERY,
        json!({"query": "SELECT %s, %(n)s, '%%'", "positional_args": ["o'x"], "named_args": {"n": 5}}),
    );
    let Decision::Change(change) = QUERY.diff(&args1, &[]).expect("decides") else {
        panic!("queries are run")
    };
    assert!(String::from_utf8_lossy(&change.requests[0].stdin).contains("SELECT 'o''x', 5, '%'"));
    let outcome = QUERY
        .finish(
            &args1,
            &change,
            &[said("@hactl-query\n{\"a\": 1}\n{\"a\": null}\n")],
        )
        .expect("rows");
    assert_eq!(
        (
            &outcome["query_result"],
            &outcome["rowcount"],
            &outcome["changed"]
        ),
        (&json!([{"a": 1}, {"a": null}]), &json!(2), &json!(false))
    );
    for (query, said_text, changed) in [
        ("INSERT INTO t VALUES (1)", "INSERT 0 1", true),
        ("UPDATE t SET a = 1", "UPDATE 0", false),
        ("CREATE TABLE t ()", "CREATE TABLE", true),
        ("SHOW wal_level", "replica", false),
    ] {
        let args = args(&QUERY, json!({"query": query}));
        let Decision::Change(change) = QUERY.diff(&args, &[]).expect("decides") else {
            panic!("queries are run")
        };
        let outcome = QUERY
            .finish(
                &args,
                &change,
                &[said(&format!("@hactl-query\n{said_text}\n"))],
            )
            .expect("fine");
        assert_eq!(outcome["changed"], json!(changed), "{query}");
    }
    let mut args2 = args(&QUERY, json!({"query": "SELECT pg_promote()"}));
    args2.check = true;
    assert!(matches!(
        QUERY.diff(&args2, &[]).expect("decides"),
        Decision::Same(_)
    ));
}

#[test]
fn a_server_that_is_not_there_yet_is_a_plan_not_an_error() {
    let gone = Reply {
        code: 127,
        stderr: b"sh: 1: exec: psql: not found".to_vec(),
        ..Reply::default()
    };
    for (module, raw) in [(&USER, json!({"name": "a"})), (&DB, json!({"name": "a"}))] {
        let mut args = args(module, raw);
        let error = module
            .diff(&args, &[Seen::Reply(gone.clone())])
            .expect_err("no psql");
        assert!(
            error
                .help
                .is_some_and(|help| help.contains("postgresql-client"))
        );
        args.check = true;
        assert!(matches!(
            module
                .diff(&args, &[Seen::Reply(gone.clone())])
                .expect("planned"),
            Decision::Change(_)
        ));
    }
}
