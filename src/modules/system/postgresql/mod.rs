//! PostgreSQL: roles, databases, extensions, rights and queries.
//!
//! Through the host's `psql`, as the server's own system user. SQL goes to it on standard input, never in its command line;
//! passwords go as SCRAM verifiers.

mod database;
mod privs;
mod query;
mod scram;
mod user;

pub(super) use database::{DB, EXT, OWNER};
pub(super) use privs::PRIVS;
pub(super) use query::QUERY;
pub(super) use user::USER;

use super::support::{failed, reply};
use crate::base::{Result, quote};
use crate::modules::{Args, Diff, Kind, Param, Probe, Reply, Request, Seen};

/// The parameters that all of these modules take, before their own.
macro_rules! params {
    ($($own:expr),* $(,)?) => {
        &[
            crate::modules::Param::new("login_user", crate::modules::Kind::Str).aliases(&["login"]),
            crate::modules::Param::new("login_password", crate::modules::Kind::Str).secret(),
            crate::modules::Param::new("login_host", crate::modules::Kind::Str).aliases(&["host"]),
            crate::modules::Param::new("login_unix_socket", crate::modules::Kind::Str).aliases(&["unix_socket"]),
            crate::modules::Param::new("login_port", crate::modules::Kind::Int).aliases(&["port"]),
            crate::modules::Param::new("ssl_mode", crate::modules::Kind::Str),
            crate::modules::Param::new("ca_cert", crate::modules::Kind::Str).aliases(&["ssl_rootcert"]),
            crate::modules::Param::new("connect_params", crate::modules::Kind::Dict)
                .refused("set `PG...` variables with `environment`"),
            crate::modules::Param::new("session_role", crate::modules::Kind::Str),
            crate::modules::Param::new("trust_input", crate::modules::Kind::Bool)
                .idle("every name and value is quoted, so that none has to be trusted"),
            $($own),*
        ]
    };
}
use params;

/// The parameter that names the database to log in to.
const LOGIN_DB: Param = Param::new("login_db", Kind::Str).aliases(&["db"]);

/// An identifier.
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', ""))
}

/// A text literal.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''").replace('\0', "");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// psql, reading this SQL.
fn psql(args: &Args, database: &str, flags: &str, sql: &str) -> Request {
    let mut words: Vec<String> = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        .map(str::to_owned)
        .to_vec();
    words.extend(flags.split_whitespace().map(str::to_owned));
    let mut option = |flag: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    };
    let host = args
        .str("login_host")
        .or_else(|| args.str("login_unix_socket"))
        .filter(|host| !host.is_empty());
    option("-h", host.map(str::to_owned));
    option("-p", args.int("login_port").map(|port| port.to_string()));
    option(
        "-U",
        args.str("login_user")
            .filter(|user| !user.is_empty())
            .map(str::to_owned),
    );
    option("-d", Some(database.to_owned()));
    let mut request = args.request(format!(
        "LC_ALL=C.UTF-8 exec psql {}",
        quote::sh_join(words.iter().map(String::as_str))
    ));
    request.user = Some(
        args.user
            .clone()
            .filter(|user| user != "root")
            .unwrap_or_else(|| "postgres".to_owned()),
    );
    request.chdir = Some("/".to_owned());
    let role = args
        .str("session_role")
        .map_or_else(String::new, |role| format!("SET ROLE {};\n", ident(role)));
    request.stdin = format!("{role}{sql}\n").into_bytes();
    for (param, variable) in [
        ("login_password", "PGPASSWORD"),
        ("ssl_mode", "PGSSLMODE"),
        ("ca_cert", "PGSSLROOTCERT"),
    ] {
        if let Some(value) = args.str(param) {
            request
                .environment
                .push((variable.to_owned(), value.to_owned()));
        }
    }
    request
}

/// A look: SQL that changes nothing.
fn look(args: &Args, database: &str, sql: &str) -> Probe {
    Probe::Run(psql(args, database, "-q", sql))
}

/// A change.
fn run(args: &Args, database: &str, sql: &str) -> Request {
    psql(args, database, "-q", sql)
}

/// What a look found: its lines, or nothing in `--check` when there is no server (or database) yet.
fn found(args: &Args, seen: &[Seen], index: usize) -> Result<Option<Vec<String>>> {
    let reply = reply(seen, index)?;
    if reply.code == 0 {
        return Ok(Some(reply.out().lines().map(str::to_owned).collect()));
    }
    if args.check {
        Ok(None)
    } else {
        Err(explain(reply))
    }
}

/// psql's failure, with what to do.
fn explain(reply: &Reply) -> crate::base::Diagnostic {
    let said = quote::for_terminal(reply.err().trim());
    let error = |text: &str| failed(text).note(said.clone());
    if reply.code == 127
        || said.contains("psql: not found")
        || said.contains("Permission denied") && reply.code == 126
    {
        return error("this host has no `psql`")
            .help("install the package `postgresql-client` (or `postgresql`) first");
    }
    if said.contains("unknown user") || said.contains("user postgres does not exist") {
        return error("this host has no user `postgres`")
            .help("install the package `postgresql` first");
    }
    if said.contains("Connection refused") || said.contains("No such file or directory") {
        return error("the PostgreSQL server does not answer")
            .help("is it started? on the host: pg_lsclusters; systemctl status 'postgresql*'");
    }
    if said.contains("read-only transaction") || said.contains("recovery is in progress") {
        return error("this PostgreSQL server is a replica, so nothing can be changed on it")
            .help("run the task on the primary only");
    }
    if said.contains("authentication failed") {
        return error("PostgreSQL refused the login")
            .help("let the system user in by `peer` in pg_hba.conf, or set `become_user`");
    }
    error("PostgreSQL refused the statement")
}

/// Fails with psql's words when a change failed.
fn applied(replies: &[Reply]) -> Result<()> {
    replies
        .iter()
        .find(|reply| reply.code != 0)
        .map_or(Ok(()), |reply| Err(explain(reply)))
}

/// What is planned when the server cannot be asked yet.
fn not_yet(subject: String) -> Diff {
    Diff {
        subject,
        before: "no server to ask yet".to_owned(),
        after: "as wished".to_owned(),
    }
}

#[cfg(test)]
mod tests;
