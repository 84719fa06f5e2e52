//! Rights: `postgresql_privs`.
//!
//! Whether something changes is told by the server: its own lists of rights are compared before and after, in one transaction; in `--check`
//! that transaction is rolled back.

use super::super::support::{Simple, diff, outcome};
use super::database::dotted;
use super::{found, ident, look, not_yet, params, run};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Seen, Spec};
use serde_json::json;

pub(in crate::modules::system) static PRIVS: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_privs", "community.postgresql.postgresql_privs"],
        params: params![
            Param::new("database", Kind::Str).aliases(&["db", "login_db"]),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("privs", Kind::Str).aliases(&["priv"]),
            Param::new("type", Kind::Str).choices(&[
                "database",
                "default_privs",
                "group",
                "schema",
                "sequence",
                "table",
                "tablespace"
            ]),
            Param::new("objs", Kind::Str).aliases(&["obj"]),
            Param::new("schema", Kind::Str),
            Param::new("roles", Kind::Str).required().aliases(&["role"]),
            Param::new("target_roles", Kind::Str),
            Param::new("grant_option", Kind::Bool).aliases(&["admin_option"]),
            Param::new("fail_on_role", Kind::Bool)
                .only(true, "a role that does not exist is an error"),
        ],
        summary: "grants and revokes rights in PostgreSQL",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

fn database(args: &Args) -> &str {
    args.str_or("database", "postgres")
}

fn items(text: &str) -> Vec<&str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// Everything that can carry rights here, as one text: equal before and after means that nothing changed.
const STATE: &str = "SELECT md5(coalesce(string_agg(x, ',' ORDER BY x), '')) FROM (\
    SELECT 'd' || oid || coalesce(datacl::text, '') FROM pg_database UNION ALL \
    SELECT 'n' || oid || coalesce(nspacl::text, '') FROM pg_namespace UNION ALL \
    SELECT 't' || oid || coalesce(spcacl::text, '') FROM pg_tablespace UNION ALL \
    SELECT 'a' || oid || coalesce(defaclacl::text, '') FROM pg_default_acl UNION ALL \
    SELECT 'm' || roleid || ' ' || member || ' ' || admin_option FROM pg_auth_members UNION ALL \
    SELECT 'c' || oid || coalesce(relacl::text, '') FROM pg_class WHERE relacl IS NOT NULL) s(x);";

/// The statement that the task means.
fn statement(args: &Args) -> Result<String> {
    let kind = args.str_or("type", "table");
    let grant = args.str_or("state", "present") == "present";
    let option = args.bool_or("grant_option", false);
    let role = |role: &str| {
        if role.eq_ignore_ascii_case("public") {
            "PUBLIC".to_owned()
        } else {
            ident(role)
        }
    };
    let roles = items(args.str_or("roles", ""))
        .into_iter()
        .map(role)
        .collect::<Vec<_>>()
        .join(", ");
    let objects = items(args.str_or("objs", ""));
    let (verb, to) = if grant {
        ("GRANT", "TO")
    } else {
        ("REVOKE", "FROM")
    };
    if kind == "group" {
        let groups = objects
            .iter()
            .map(|object| ident(object))
            .collect::<Vec<_>>()
            .join(", ");
        let tail = if option && grant {
            " WITH ADMIN OPTION"
        } else {
            ""
        };
        return Ok(format!("{verb} {groups} {to} {roles}{tail}"));
    }
    let privileges = items(args.str_or("privs", ""))
        .iter()
        .map(|right| right.to_uppercase())
        .collect::<Vec<_>>();
    if privileges.is_empty()
        || privileges.iter().any(|right| {
            !right
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == ' ' || c == '_')
        })
    {
        return Err(Diagnostic::new(format!(
            "`{}` is not a list of rights",
            quote::for_terminal(args.str_or("privs", ""))
        ))
        .help("rights are words such as SELECT,INSERT or ALL"));
    }
    let privileges = privileges.join(", ");
    let schema = ident(args.str_or("schema", "public"));
    let tail = if option && grant {
        " WITH GRANT OPTION"
    } else {
        ""
    };
    if kind == "default_privs" {
        let makers = args.str("target_roles").map_or_else(String::new, |roles| {
            format!(
                " FOR ROLE {}",
                items(roles)
                    .into_iter()
                    .map(ident)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        });
        let inside = args.str("schema").map_or_else(String::new, |schema| {
            format!(" IN SCHEMA {}", ident(schema))
        });
        let all = objects.first().copied() == Some("ALL_DEFAULT");
        let kinds: Vec<String> = if all {
            ["TABLES", "SEQUENCES", "FUNCTIONS", "TYPES"]
                .map(str::to_owned)
                .to_vec()
        } else {
            objects.iter().map(|object| object.to_uppercase()).collect()
        };
        if kinds.iter().any(|kind| {
            !matches!(
                kind.as_str(),
                "TABLES" | "SEQUENCES" | "FUNCTIONS" | "TYPES" | "SCHEMAS"
            )
        }) {
            return Err(Diagnostic::new(
                "`objs` of default_privs takes TABLES, SEQUENCES, FUNCTIONS, TYPES, SCHEMAS or ALL_DEFAULT",
            ));
        }
        let each = |kind: &String| {
            format!(
                "ALTER DEFAULT PRIVILEGES{makers}{inside} {verb} {privileges} ON {kind} {to} {roles}{tail}"
            )
        };
        return Ok(kinds.iter().map(each).collect::<Vec<_>>().join(";\n"));
    }
    let place = match (kind, objects.as_slice()) {
        ("database", []) => format!("DATABASE {}", ident(database(args))),
        (_, []) => {
            return Err(Diagnostic::new(format!(
                "`postgresql_privs` for a {kind} needs the parameter `objs`"
            )));
        }
        ("table" | "sequence", ["ALL_IN_SCHEMA"]) => {
            format!("ALL {}S IN SCHEMA {schema}", kind.to_uppercase())
        }
        ("table" | "sequence", objects) => {
            let name = |object: &&str| {
                if object.contains('.') {
                    dotted(object)
                } else {
                    format!("{schema}.{}", ident(object))
                }
            };
            format!(
                "{} {}",
                kind.to_uppercase(),
                objects.iter().map(name).collect::<Vec<_>>().join(", ")
            )
        }
        (kind, objects) => {
            format!(
                "{} {}",
                kind.to_uppercase(),
                objects
                    .iter()
                    .map(|object| ident(object))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
    };
    Ok(format!("{verb} {privileges} ON {place} {to} {roles}{tail}"))
}

/// The statement in a transaction that tells whether it changes anything.
fn told(statement: &str, end: &str) -> String {
    format!("BEGIN;\n{STATE}\n{statement};\n{STATE}\n{end};")
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    // Rolled back: nothing is changed by looking.
    Ok(vec![look(
        args,
        database(args),
        &told(&statement(args)?, "ROLLBACK"),
    )])
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let statement = statement(args)?;
    let mut change = Change {
        outcome: outcome(json!({"queries": []})),
        ..Change::default()
    };
    let subject = format!("rights of {}", args.str_or("roles", ""));
    let Some(lines) = found(args, seen, 0)? else {
        change.diffs.push(not_yet(subject));
        return Ok(Decision::Change(change));
    };
    if let [before, after] = lines.as_slice()
        && before == after
    {
        return Ok(Decision::Same(change.outcome));
    }
    change.outcome.insert("queries".into(), json!([statement]));
    change.diffs.push(diff(subject, "", statement.as_str()));
    change.requests.push(run(
        args,
        database(args),
        &format!("BEGIN;\n{statement};\nCOMMIT;"),
    ));
    Ok(Decision::Change(change))
}

fn finish(_args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    super::applied(replies)?;
    Ok(change.outcome.clone())
}
