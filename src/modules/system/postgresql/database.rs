//! Databases, extensions and owners: `postgresql_db`, `postgresql_ext`, `postgresql_owner`.
//!
//! A database is dropped only on `state: absent`, and never while sessions use it unless `force` is set.

use super::super::support::{Simple, diff, failed, outcome};
use super::{LOGIN_DB, applied, found, ident, literal, look, not_yet, params, run};
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Reply, Seen, Spec};
use serde_json::{Value, json};

pub(in crate::modules::system) static DB: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_db", "community.postgresql.postgresql_db"],
        params: params![
            Param::new("name", Kind::Str).required().aliases(&["db"]),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("owner", Kind::Str),
            Param::new("encoding", Kind::Str),
            Param::new("template", Kind::Str),
            Param::new("lc_collate", Kind::Str),
            Param::new("lc_ctype", Kind::Str),
            Param::new("icu_locale", Kind::Str),
            Param::new("locale_provider", Kind::Str),
            Param::new("tablespace", Kind::Path),
            Param::new("conn_limit", Kind::Str),
            Param::new("comment", Kind::Str),
            Param::new("maintenance_db", Kind::Str),
            Param::new("force", Kind::Bool),
        ],
        summary: "adds and removes PostgreSQL databases",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = literal(args.str_or("name", ""));
        Ok(vec![look(
            args,
            maintenance(args),
            &format!(
                "SELECT row_to_json(r) FROM (SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, \
                 datcollate AS lc_collate, datctype AS lc_ctype, datconnlimit AS conn_limit, t.spcname AS tablespace, \
                 shobj_description(d.oid, 'pg_database') AS comment \
                 FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = {name}) r;"
            ),
        )])
    },
    diff: database,
    finish,
};

fn maintenance(args: &Args) -> &str {
    args.str_or("maintenance_db", "postgres")
}

/// Encodings as the server names them: `utf-8` is `UTF8`.
fn encoding(name: &str) -> String {
    name.to_uppercase().replace(['-', '_', ' '], "")
}

/// The one JSON row of a look.
fn row(lines: &[String]) -> Result<Option<Value>> {
    let row = lines
        .first()
        .map(|line| serde_json::from_str(line))
        .transpose();
    row.map_err(|error| failed("PostgreSQL's answer cannot be read").note(error.to_string()))
}

fn database(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let subject = format!("database {name}");
    let present = args.str_or("state", "present") == "present";
    let mut change = Change {
        outcome: outcome(json!({"db": name, "executed_commands": []})),
        ..Change::default()
    };
    let Some(lines) = found(args, seen, 0)? else {
        change.diffs.push(not_yet(subject));
        return Ok(Decision::Change(change));
    };
    let row = row(&lines)?;
    let what = ident(name);
    let mut queries: Vec<String> = Vec::new();
    match (&row, present) {
        (Some(_), false) => {
            let force = if args.bool_or("force", false) {
                " WITH (FORCE)"
            } else {
                ""
            };
            queries.push(format!("DROP DATABASE {what}{force}"));
            change.diffs.push(diff(&subject, "present", ""));
        }
        (None, false) => {}
        (None, true) => {
            let mut sql = format!("CREATE DATABASE {what}");
            for (param, clause, is_name) in [
                ("owner", "OWNER", true),
                ("template", "TEMPLATE", true),
                ("encoding", "ENCODING", false),
                ("lc_collate", "LC_COLLATE", false),
                ("lc_ctype", "LC_CTYPE", false),
                ("icu_locale", "ICU_LOCALE", false),
                ("locale_provider", "LOCALE_PROVIDER", true),
                ("tablespace", "TABLESPACE", true),
            ] {
                if let Some(value) = args.str(param).filter(|value| !value.is_empty()) {
                    sql = format!(
                        "{sql} {clause} {}",
                        if is_name {
                            ident(value)
                        } else {
                            literal(value)
                        }
                    );
                }
            }
            if let Some(limit) = limit(args)? {
                sql = format!("{sql} CONNECTION LIMIT {limit}");
            }
            queries.push(sql);
            change.diffs.push(diff(&subject, "", "present"));
        }
        (Some(row), true) => {
            for (param, what) in [
                ("encoding", "encoding"),
                ("lc_collate", "collation"),
                ("lc_ctype", "character type"),
            ] {
                let now = row[param].as_str().unwrap_or_default();
                let differs = |wish: &&str| match param {
                    "encoding" => encoding(wish) != encoding(now),
                    _ => *wish != now,
                };
                if let Some(wish) = args
                    .str(param)
                    .filter(|wish| !wish.is_empty())
                    .filter(differs)
                {
                    return Err(failed(format!("the {what} of the database `{name}` is {now} and cannot be changed to {wish}"))
                        .help("a database gets it when it is made: dump, drop and load it, or take the wish back"));
                }
            }
            let now = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            if let Some(owner) = args
                .str("owner")
                .filter(|owner| !owner.is_empty() && **owner != now("owner"))
            {
                queries.push(format!("ALTER DATABASE {what} OWNER TO {}", ident(owner)));
                change.diffs.push(diff(
                    &subject,
                    format!("owner {}", now("owner")),
                    format!("owner {owner}"),
                ));
            }
            if let Some(limit) = limit(args)?.filter(|limit| row["conn_limit"] != json!(limit)) {
                queries.push(format!("ALTER DATABASE {what} CONNECTION LIMIT {limit}"));
                change.diffs.push(diff(
                    &subject,
                    format!("connection limit {}", row["conn_limit"]),
                    format!("connection limit {limit}"),
                ));
            }
            if let Some(space) = args
                .str("tablespace")
                .filter(|space| !space.is_empty() && **space != now("tablespace"))
            {
                queries.push(format!(
                    "ALTER DATABASE {what} SET TABLESPACE {}",
                    ident(space)
                ));
                change.diffs.push(diff(
                    &subject,
                    format!("tablespace {}", now("tablespace")),
                    format!("tablespace {space}"),
                ));
            }
        }
    }
    let comment = row
        .as_ref()
        .and_then(|row| row["comment"].as_str())
        .unwrap_or_default();
    if let Some(wish) = args
        .str("comment")
        .filter(|wish| present && *wish != comment)
    {
        queries.push(format!("COMMENT ON DATABASE {what} IS {}", literal(wish)));
        change.diffs.push(diff(&subject, comment, wish));
    }
    Ok(ended(
        args,
        maintenance(args),
        change,
        &queries,
        "executed_commands",
    ))
}

fn limit(args: &Args) -> Result<Option<i64>> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| Diagnostic::new(format!("`conn_limit` takes a number, not `{text}`")))
    };
    args.str("conn_limit")
        .filter(|text| !text.is_empty())
        .map(read)
        .transpose()
}

/// The decision: one request with all statements (databases cannot be made in a transaction).
fn ended(
    args: &Args,
    database: &str,
    mut change: Change,
    queries: &[String],
    key: &str,
) -> Decision {
    if queries.is_empty() {
        return Decision::Same(change.outcome);
    }
    change.outcome.insert(key.to_owned(), json!(queries));
    let sql: String = format!("{};", queries.join(";\n"));
    change.requests.push(run(args, database, &sql));
    Decision::Change(change)
}

fn finish(_args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    applied(replies).map_err(|error| {
        if error
            .notes
            .iter()
            .any(|note| note.contains("being accessed by other users"))
        {
            error.help("end the sessions that use it, or set `force: true`")
        } else {
            error
        }
    })?;
    Ok(change.outcome.clone())
}

pub(in crate::modules::system) static EXT: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_ext", "community.postgresql.postgresql_ext"],
        params: params![
            LOGIN_DB,
            Param::new("name", Kind::Str).required().aliases(&["ext"]),
            Param::new("schema", Kind::Str),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("cascade", Kind::Bool),
            Param::new("version", Kind::Str),
            Param::new("comment", Kind::Str),
        ],
        summary: "adds and removes PostgreSQL extensions",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = literal(args.str_or("name", ""));
        let sql = format!(
            "SELECT row_to_json(r) FROM (SELECT e.extversion AS version, n.nspname AS schema, a.default_version, \
             obj_description(e.oid, 'pg_extension') AS comment FROM pg_available_extensions a \
             LEFT JOIN pg_extension e ON e.extname = a.name LEFT JOIN pg_namespace n ON n.oid = e.extnamespace WHERE a.name = {name}) r;"
        );
        Ok(vec![look(args, login_db(args), &sql)])
    },
    diff: extension,
    finish,
};

fn login_db(args: &Args) -> &str {
    args.str_or("login_db", "postgres")
}

fn extension(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let subject = format!("extension {name} of {}", login_db(args));
    let present = args.str_or("state", "present") == "present";
    let mut change = Change {
        outcome: outcome(json!({"ext": name, "queries": []})),
        ..Change::default()
    };
    let Some(lines) = found(args, seen, 0)? else {
        change.diffs.push(not_yet(subject));
        return Ok(Decision::Change(change));
    };
    let row = row(&lines)?.unwrap_or(Value::Null);
    if row.is_null() && present && !args.check {
        return Err(failed(format!("the server has no extension `{name}`"))
            .help("install the package that brings it (for most: postgresql-contrib)"));
    }
    let (version, what) = (row["version"].as_str(), ident(name));
    let cascade = if args.bool_or("cascade", false) {
        " CASCADE"
    } else {
        ""
    };
    let wanted = match args.str("version") {
        Some("latest") => row["default_version"].as_str(),
        wanted => wanted.filter(|wanted| !wanted.is_empty()),
    };
    let mut queries = Vec::new();
    match (version, present) {
        (None, true) => {
            let schema = args.str("schema").map_or_else(String::new, |schema| {
                format!(" WITH SCHEMA {}", ident(schema))
            });
            let at = wanted.map_or_else(String::new, |version| {
                format!(" VERSION {}", literal(version))
            });
            queries.push(format!("CREATE EXTENSION {what}{schema}{at}{cascade}"));
            change
                .diffs
                .push(diff(&subject, "", wanted.unwrap_or("present")));
        }
        (Some(now), true) => {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != now) {
                queries.push(format!(
                    "ALTER EXTENSION {what} UPDATE TO {}",
                    literal(wanted)
                ));
                change.diffs.push(diff(&subject, now, wanted));
            }
            if let Some(schema) = args
                .str("schema")
                .filter(|schema| row["schema"] != json!(schema))
            {
                queries.push(format!(
                    "ALTER EXTENSION {what} SET SCHEMA {}",
                    ident(schema)
                ));
                change.diffs.push(diff(
                    &subject,
                    row["schema"].as_str().unwrap_or_default(),
                    schema,
                ));
            }
        }
        (Some(now), false) => {
            queries.push(format!("DROP EXTENSION {what}{cascade}"));
            change.diffs.push(diff(&subject, now, ""));
        }
        (None, false) => {}
    }
    Ok(ended(args, login_db(args), change, &queries, "queries"))
}

pub(in crate::modules::system) static OWNER: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_owner", "community.postgresql.postgresql_owner"],
        params: params![
            LOGIN_DB,
            Param::new("new_owner", Kind::Str).required(),
            Param::new("obj_name", Kind::Str).required(),
            Param::new("obj_type", Kind::Str)
                .required()
                .choices(&[
                    "database",
                    "matview",
                    "schema",
                    "sequence",
                    "table",
                    "tablespace",
                    "view"
                ])
                .aliases(&["type"]),
        ],
        summary: "gives PostgreSQL objects to another role",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = literal(args.str_or("obj_name", ""));
        let sql = match args.str_or("obj_type", "") {
            "database" => {
                format!("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {name};")
            }
            "schema" => format!(
                "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = {name};"
            ),
            "tablespace" => format!(
                "SELECT pg_get_userbyid(spcowner) FROM pg_tablespace WHERE spcname = {name};"
            ),
            _ => {
                let name = literal(&dotted(args.str_or("obj_name", "")));
                format!(
                    "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass({name});"
                )
            }
        };
        Ok(vec![look(args, login_db(args), &sql)])
    },
    diff: owner,
    finish,
};

/// `schema.table` as two identifiers.
pub(super) fn dotted(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

fn owner(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let (kind, name, wanted) = (
        args.str_or("obj_type", ""),
        args.str_or("obj_name", ""),
        args.str_or("new_owner", ""),
    );
    let subject = format!("{kind} {name}");
    let mut change = Change {
        outcome: outcome(json!({"queries": []})),
        ..Change::default()
    };
    let Some(lines) = found(args, seen, 0)? else {
        change.diffs.push(not_yet(subject));
        return Ok(Decision::Change(change));
    };
    let Some(now) = lines.first() else {
        if args.check {
            change
                .diffs
                .push(diff(subject, "not there yet", format!("owner {wanted}")));
            return Ok(Decision::Change(change));
        }
        return Err(failed(format!(
            "there is no {kind} `{name}` in `{}`",
            login_db(args)
        )));
    };
    let mut queries = Vec::new();
    if now != wanted {
        let words = if kind == "matview" {
            "MATERIALIZED VIEW".to_owned()
        } else {
            kind.to_uppercase()
        };
        let what = if matches!(kind, "database" | "schema" | "tablespace") {
            ident(name)
        } else {
            dotted(name)
        };
        queries.push(format!("ALTER {words} {what} OWNER TO {}", ident(wanted)));
        change.diffs.push(diff(
            subject,
            format!("owner {now}"),
            format!("owner {wanted}"),
        ));
    }
    Ok(ended(args, login_db(args), change, &queries, "queries"))
}
