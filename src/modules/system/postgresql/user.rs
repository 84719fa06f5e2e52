//! Roles that may log in: `postgresql_user`.

use super::super::support::{Simple, diff, failed, outcome};
use super::{LOGIN_DB, applied, found, ident, literal, look, not_yet, params, run, scram};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Seen, Spec};
use serde_json::{Value, json};

pub(in crate::modules::system) static USER: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_user", "community.postgresql.postgresql_user"],
        params: params![
            LOGIN_DB,
            Param::new("name", Kind::Str).required().aliases(&["user"]),
            Param::new("password", Kind::Str).secret(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("role_attr_flags", Kind::Str),
            Param::new("encrypted", Kind::Bool)
                .only(true, "PostgreSQL keeps no password in the clear"),
            Param::new("expires", Kind::Str),
            Param::new("conn_limit", Kind::Int),
            Param::new("comment", Kind::Str),
            Param::new("no_password_changes", Kind::Bool),
            Param::new("fail_on_user", Kind::Bool).aliases(&["fail_on_role"]),
            Param::new("configuration", Kind::Dict),
            Param::new("reset_unspecified_configuration", Kind::Bool),
        ],
        summary: "adds, changes and removes PostgreSQL roles",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// The flags that a role may have, and the column that shows each.
const FLAGS: &[(&str, &str)] = &[
    ("SUPERUSER", "rolsuper"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("INHERIT", "rolinherit"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

/// The wished flags: keyword, column, wish.
fn flags(args: &Args) -> Result<Vec<(String, &'static str, bool)>> {
    let text = args.str_or("role_attr_flags", "").to_uppercase();
    let mut all = Vec::new();
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let (name, wish) = match word.strip_prefix("NO") {
            Some(rest) if FLAGS.iter().any(|(flag, _)| *flag == rest) => (rest, false),
            _ => (word, true),
        };
        let Some((_, column)) = FLAGS.iter().find(|(flag, _)| *flag == name) else {
            let names = FLAGS
                .iter()
                .map(|(flag, _)| *flag)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Diagnostic::new(format!(
                "`{}` is not a flag of a role",
                quote::for_terminal(word)
            ))
            .help(format!("flags are {names}, and each with NO before it")));
        };
        all.push((word.to_owned(), *column, wish));
    }
    Ok(all)
}

fn database(args: &Args) -> &str {
    args.str_or("login_db", "postgres")
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    flags(args)?;
    let columns = FLAGS
        .iter()
        .map(|(_, column)| *column)
        .collect::<Vec<_>>()
        .join(", ");
    let name = literal(args.str_or("name", ""));
    let expires = args.str("expires").map_or_else(
        || "NULL".to_owned(),
        |expires| {
            format!(
                "rolvaliduntil IS NOT DISTINCT FROM {}::timestamptz",
                literal(expires)
            )
        },
    );
    Ok(vec![look(
        args,
        database(args),
        &format!(
            "SELECT row_to_json(r) FROM (SELECT {columns}, rolpassword, rolconnlimit, rolvaliduntil, {expires} AS same_expiry, \
             shobj_description(a.oid, 'pg_authid') AS comment, \
             (SELECT setconfig FROM pg_db_role_setting s WHERE s.setrole = a.oid AND s.setdatabase = 0) AS config \
             FROM pg_authid a WHERE rolname = {name}) r;"
        ),
    )])
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let subject = format!("role {name}");
    let present = args.str_or("state", "present") == "present";
    let mut change = Change {
        outcome: outcome(json!({"user": name, "queries": []})),
        ..Change::default()
    };
    let role = match found(args, seen, 0)? {
        None => {
            change.diffs.push(not_yet(subject));
            return Ok(Decision::Change(change));
        }
        Some(lines) => lines
            .first()
            .map(|line| serde_json::from_str::<Value>(line))
            .transpose(),
    };
    let role = role.map_err(|error| {
        failed("PostgreSQL's answer about the role cannot be read").note(error.to_string())
    })?;
    let (mut queries, mut shown) = (Vec::new(), Vec::new());
    let who = ident(name);
    if !present {
        if role.is_some() {
            queries.push(format!("DROP ROLE {who};"));
            change.diffs.push(diff(subject, "present", ""));
        }
        return Ok(ended(args, change, &queries, &[]));
    }
    let mut words = Vec::new();
    let column = |column: &str| {
        role.as_ref()
            .and_then(|role| role.get(column))
            .cloned()
            .unwrap_or(Value::Null)
    };
    for (word, name, wish) in flags(args)? {
        if role.is_none() || column(name) != json!(wish) {
            words.push(word.clone());
            shown.push((
                format!(
                    "{}{}",
                    if wish { "no " } else { "" },
                    word.trim_start_matches("NO").to_lowercase()
                ),
                word.to_lowercase(),
            ));
        }
    }
    if role.is_none()
        && !flags(args)?
            .iter()
            .any(|(_, column, _)| *column == "rolcanlogin")
    {
        words.insert(0, "LOGIN".to_owned());
    }
    if let Some(password) = args
        .str("password")
        .filter(|_| role.is_none() || !args.bool_or("no_password_changes", false))
    {
        let now = column("rolpassword");
        let same = match (now.as_str(), password) {
            (None, "") => true,
            (Some(_), "") | (None, _) => false,
            (Some(now), password) => scram::matches(now, password),
        };
        if !same {
            words.push(match password {
                "" => "PASSWORD NULL".to_owned(),
                password => format!("PASSWORD {}", literal(&scram::stored(name, password))),
            });
            shown.push(("password".to_owned(), "another password".to_owned()));
        }
    }
    if let Some(expires) = args
        .str("expires")
        .filter(|_| column("same_expiry") != json!(true))
    {
        words.push(format!("VALID UNTIL {}", literal(expires)));
        shown.push((
            format!(
                "valid until {}",
                column("rolvaliduntil").as_str().unwrap_or("ever")
            ),
            format!("valid until {expires}"),
        ));
    }
    if let Some(limit) = args
        .int("conn_limit")
        .filter(|limit| column("rolconnlimit") != json!(limit))
    {
        words.push(format!("CONNECTION LIMIT {limit}"));
        shown.push((
            format!("connection limit {}", column("rolconnlimit")),
            format!("connection limit {limit}"),
        ));
    }
    if role.is_none() {
        queries.push(format!("CREATE ROLE {who} WITH {};", words.join(" ")));
        change.diffs.push(diff(&subject, "", "present"));
    } else if !words.is_empty() {
        queries.push(format!("ALTER ROLE {who} WITH {};", words.join(" ")));
    }
    if let Some(comment) = args
        .str("comment")
        .filter(|comment| column("comment").as_str().unwrap_or_default() != *comment)
    {
        queries.push(format!("COMMENT ON ROLE {who} IS {};", literal(comment)));
        shown.push((
            column("comment").as_str().unwrap_or_default().to_owned(),
            comment.to_owned(),
        ));
    }
    configuration(args, &column("config"), &who, &mut queries, &mut shown);
    if role.is_some() {
        change.diffs.extend(
            shown
                .into_iter()
                .map(|(before, after)| diff(&subject, before, after)),
        );
    }
    let secret: Vec<String> = args
        .str("password")
        .map(|password| scram::stored(name, password))
        .into_iter()
        .collect();
    Ok(ended(args, change, &queries, &secret))
}

/// Settings that hold for the role's sessions (`ALTER ROLE … SET`).
fn configuration(
    args: &Args,
    now: &Value,
    who: &str,
    queries: &mut Vec<String>,
    shown: &mut Vec<(String, String)>,
) {
    let empty = serde_json::Map::new();
    let wanted = args
        .get("configuration")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let now: Vec<(&str, &str)> = now
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.as_str()?.split_once('='))
        .collect();
    for (key, value) in wanted {
        let value = crate::base::value::to_text(value);
        let before = now
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value);
        if before != value {
            queries.push(format!(
                "ALTER ROLE {who} SET {} TO {};",
                ident(key),
                literal(&value)
            ));
            shown.push((format!("{key}={before}"), format!("{key}={value}")));
        }
    }
    if args.bool_or("reset_unspecified_configuration", false) {
        for (key, value) in now.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            queries.push(format!("ALTER ROLE {who} RESET {};", ident(key)));
            shown.push((format!("{key}={value}"), String::new()));
        }
    }
}

/// The decision: one request with all statements in one transaction.
fn ended(args: &Args, mut change: Change, queries: &[String], secrets: &[String]) -> Decision {
    if queries.is_empty() {
        return Decision::Same(change.outcome);
    }
    let hidden = |query: &String| {
        secrets.iter().fold(query.clone(), |query, secret| {
            query.replace(secret.as_str(), "********")
        })
    };
    change
        .outcome
        .insert("queries".into(), queries.iter().map(hidden).collect());
    change.requests.push(run(
        args,
        database(args),
        &format!("BEGIN;\n{}\nCOMMIT;", queries.join("\n")),
    ));
    Decision::Change(change)
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let absent = args.str_or("state", "present") == "absent";
    if absent
        && !args.bool_or("fail_on_user", true)
        && replies
            .iter()
            .any(|reply| reply.err().contains("depend on it"))
    {
        let mut result = change.outcome.clone();
        result.insert("changed".into(), false.into());
        result.insert("user_removed".into(), false.into());
        return Ok(result);
    }
    applied(replies).map_err(|error| {
        if error.notes.iter().any(|note| note.contains("depend on it")) {
            error.help("something still belongs to the role: REASSIGN OWNED BY it first, or set `fail_on_user: false`")
        } else {
            error
        }
    })?;
    let mut result = change.outcome.clone();
    if absent {
        result.insert("user_removed".into(), true.into());
    }
    Ok(result)
}
