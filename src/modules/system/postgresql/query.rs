//! Queries: `postgresql_query`.
//!
//! A query may have effects whatever its first word is (`SELECT pg_promote()`), so it is never run ahead or in `--check`.

use super::super::support::{Simple, diff, outcome};
use super::{LOGIN_DB, applied, ident, literal, params, psql};
use crate::base::value::{Value, to_text, unknown};
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Seen, Spec};
use serde_json::json;
use std::fmt::Write as _;

pub(in crate::modules::system) static QUERY: Simple = Simple {
    spec: &Spec {
        names: &["postgresql_query", "community.postgresql.postgresql_query"],
        params: params![
            LOGIN_DB,
            Param::new("query", Kind::Any).required(),
            Param::new("positional_args", Kind::List),
            Param::new("named_args", Kind::Dict),
            Param::new("autocommit", Kind::Bool),
            Param::new("encoding", Kind::Str),
            Param::new("search_path", Kind::List),
        ],
        summary: "runs SQL in PostgreSQL",
        ..Spec::EMPTY
    },
    probe: |args| queries(args).map(|_| Vec::<Probe>::new()),
    diff: decide,
    finish,
};

/// Stands before the results of each query.
const MARK: &str = "@hactl-query";

/// A value of a parameter in SQL.
fn sql_value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => format!(
            "ARRAY[{}]",
            items.iter().map(sql_value).collect::<Vec<_>>().join(", ")
        ),
        Value::String(text) => literal(text),
        Value::Object(_) => literal(&value.to_string()),
    }
}

/// The queries with their arguments filled in.
fn queries(args: &Args) -> Result<Vec<String>> {
    let all = match args.get("query") {
        Some(Value::Array(items)) => items.iter().map(to_text).collect(),
        Some(value) => vec![to_text(value)],
        None => Vec::new(),
    };
    let named = args.get("named_args").and_then(Value::as_object);
    let positional = args.get("positional_args").and_then(Value::as_array);
    let mut filled = Vec::new();
    for query in all {
        let query = query.trim().trim_end_matches(';').trim_end().to_owned();
        if query.is_empty()
            || query
                .lines()
                .any(|line| line.starts_with('\\') || line.starts_with(MARK))
        {
            return Err(Diagnostic::new("`query` takes SQL, not commands of psql"));
        }
        if named.is_none() && positional.is_none() {
            filled.push(query);
            continue;
        }
        let mut out = String::new();
        let mut rest = query.as_str();
        let mut next = positional.into_iter().flatten();
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('s') {
                let value = next.next().ok_or_else(|| {
                    Diagnostic::new("the query has more `%s` than `positional_args` has values")
                })?;
                out.push_str(&sql_value(value));
                rest = after;
            } else if let Some((name, after)) = rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(")s"))
            {
                let value = named.and_then(|named| named.get(name));
                let value = value.ok_or_else(|| {
                    Diagnostic::new(format!(
                        "the query uses `%({name})s`, and `named_args` has no `{name}`"
                    ))
                })?;
                out.push_str(&sql_value(value));
                rest = after;
            } else {
                return Err(Diagnostic::new(
                    "a `%` in a query with arguments is written `%%`",
                ));
            }
        }
        filled.push(out + rest);
    }
    Ok(filled)
}

fn first_word(query: &str) -> String {
    let code = query
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("--"))
        .unwrap_or_default();
    code.trim_start_matches('(')
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default()
        .to_uppercase()
}

/// Whether the rows are asked for as JSON; what changes rows cannot stand inside another query.
fn wrapped(query: &str) -> bool {
    matches!(first_word(query).as_str(), "SELECT" | "TABLE" | "VALUES")
        && !query.contains(';')
        && !query.to_uppercase().contains(" INTO ")
}

fn decide(args: &Args, _seen: &[Seen]) -> Result<Decision> {
    let queries = queries(args)?;
    let mut result: Outcome = outcome(json!({"query": queries.last(), "query_list": queries}));
    for key in [
        "query_result",
        "query_all_results",
        "rowcount",
        "statusmessage",
    ] {
        result.insert(key.into(), unknown());
    }
    let reads = queries.iter().all(|query| {
        matches!(
            first_word(query).as_str(),
            "SELECT" | "SHOW" | "TABLE" | "VALUES" | "EXPLAIN"
        )
    });
    if reads && args.check {
        return Ok(Decision::Same(result));
    }
    let mut sql = String::new();
    let path = args.list("search_path");
    if !path.is_empty() {
        let names: Vec<_> = path.iter().map(|name| ident(name)).collect();
        let _ = writeln!(sql, "SET search_path TO {};", names.join(", "));
    }
    for query in &queries {
        let _ = writeln!(sql, "\\echo {MARK}");
        if wrapped(query) {
            let _ = writeln!(sql, "SELECT to_jsonb(q) FROM (\n{query}\n) q;");
        } else {
            let _ = writeln!(sql, "{query}\n;");
        }
    }
    let database = args.str_or("login_db", "postgres");
    let transaction = if args.bool_or("autocommit", false) {
        ""
    } else {
        "-1"
    };
    let request = psql(args, database, transaction, &sql);
    let diffs = if reads {
        Vec::new()
    } else {
        vec![diff(
            format!("query in {database}"),
            "",
            queries.join(";\n"),
        )]
    };
    Ok(Decision::Change(Change {
        diffs,
        requests: vec![request],
        outcome: result,
    }))
}

/// One query's answer: rows, and the status line.
fn read(query: &str, lines: &[&str]) -> (Vec<Value>, String, i64) {
    let word = first_word(query);
    if wrapped(query) {
        let rows: Vec<Value> = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        return (rows, format!("SELECT {count}"), count);
    }
    if word == "SHOW" {
        let name = query
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(';')
            .to_lowercase();
        return (
            lines
                .iter()
                .map(|line| json!({name.as_str(): line}))
                .collect(),
            "SHOW".to_owned(),
            1,
        );
    }
    let status = lines.last().copied().unwrap_or_default().to_owned();
    let count = status
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok());
    (Vec::new(), status, count.unwrap_or(-1))
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    applied(replies)?;
    let queries = queries(args)?;
    let text = replies
        .first()
        .map(|reply| reply.out().into_owned())
        .unwrap_or_default();
    let parts: Vec<&str> = text.split(&format!("{MARK}\n")).skip(1).collect();
    let mut result = change.outcome.clone();
    let (mut all, mut total, mut changed) = (Vec::new(), 0, false);
    for (query, part) in queries.iter().zip(parts) {
        let lines: Vec<&str> = part.lines().collect();
        let (rows, status, count) = read(query, &lines);
        total += count.max(0);
        // Rows that were touched count; so does every statement that does not tell rows, except looking.
        let counted = matches!(
            status.split(' ').next(),
            Some("INSERT" | "UPDATE" | "DELETE" | "MERGE")
        );
        let looked = matches!(
            first_word(query).as_str(),
            "SELECT" | "SHOW" | "TABLE" | "VALUES" | "EXPLAIN" | "WITH"
        );
        changed |= if counted { count > 0 } else { !looked };
        result.insert("query_result".into(), Value::Array(rows.clone()));
        result.insert("statusmessage".into(), status.into());
        all.push(Value::Array(rows));
    }
    result.insert("query_all_results".into(), Value::Array(all));
    result.insert("rowcount".into(), total.into());
    result.insert("changed".into(), changed.into());
    Ok(result)
}
