//! Requests to web services from the host: `uri`.
//!
//! Made with the host's curl. Addresses, headers, passwords and bodies go to it on standard input, never in its command line.

mod multipart;

use super::support::{Simple, done, failed, outcome};
use crate::base::value::{Map, Value, to_text, unknown};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::files::attributes::Wish;
use crate::modules::{
    Args, Change, Content, Decision, FileProbe, Kind, Outcome, Param, Probe, Reply, Seen, Spec,
};
use serde_json::json;
use std::fmt::Write as _;

pub(super) static URI: Simple = Simple {
    spec: &Spec {
        names: &["uri", "ansible.builtin.uri"],
        params: &[
            Param::new("url", Kind::Str).required(),
            Param::new("method", Kind::Str),
            Param::new("status_code", Kind::List),
            Param::new("body", Kind::Any),
            Param::new("body_format", Kind::Str).choices(&[
                "form-multipart",
                "form-urlencoded",
                "json",
                "raw",
            ]),
            Param::new("headers", Kind::Dict),
            Param::new("url_username", Kind::Str).aliases(&["user"]),
            Param::new("url_password", Kind::Str)
                .aliases(&["password"])
                .secret(),
            Param::new("force_basic_auth", Kind::Bool),
            Param::new("return_content", Kind::Bool),
            Param::new("timeout", Kind::Int),
            Param::new("validate_certs", Kind::Bool),
            Param::new("follow_redirects", Kind::Str).choices(&[
                "all", "no", "none", "safe", "urllib2", "yes", "False", "True",
            ]),
            Param::new("dest", Kind::Path),
            Param::new("creates", Kind::Path),
            Param::new("removes", Kind::Path),
            Param::new("src", Kind::Path),
            Param::new("remote_src", Kind::Bool),
            Param::new("unix_socket", Kind::Path),
            Param::new("ca_path", Kind::Path),
            Param::new("client_cert", Kind::Path),
            Param::new("client_key", Kind::Path),
            Param::new("http_agent", Kind::Str),
            Param::new("use_proxy", Kind::Bool),
            Param::new("force", Kind::Bool),
            Param::new("decompress", Kind::Bool),
            Param::new("use_netrc", Kind::Bool),
            Param::new("unredirected_headers", Kind::List).refused(
                "set `follow_redirects: none` and ask for the new address in a task of its own",
            ),
            Param::new("mode", Kind::Mode),
            Param::new("owner", Kind::Str),
            Param::new("group", Kind::Str),
        ],
        summary: "asks a web service from the host",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let url = args.str_or("url", "");
    if !["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
        || url.contains(['\n', '\r'])
    {
        return Err(Diagnostic::new(format!(
            "`{}` is not a web address",
            quote::for_terminal(url)
        )));
    }
    if args.has("src") && !args.bool_or("remote_src", false) {
        return Err(
            Diagnostic::new("`src` is a file of this machine unless `remote_src: true` says otherwise")
                .help("set `remote_src: true` for a file of the host, or send `body: \"{{ lookup('file', …) }}\"`"),
        );
    }
    if args.has("body") && args.has("src") {
        return Err(Diagnostic::new("`uri` takes at most one of `body`, `src`"));
    }
    codes(args)?;
    let look = |path: &str| {
        Probe::File(FileProbe {
            path: path.to_owned(),
            follow: true,
            content: Content::None,
        })
    };
    Ok(["creates", "removes"]
        .into_iter()
        .filter_map(|name| args.str(name))
        .map(look)
        .collect())
}

fn codes(args: &Args) -> Result<Vec<i64>> {
    if !args.has("status_code") {
        return Ok(vec![200]);
    }
    let number = |text: &String| {
        text.trim()
            .parse()
            .map_err(|_| Diagnostic::new(format!("`status_code` takes numbers, not `{text}`")))
    };
    args.list("status_code").iter().map(number).collect()
}

fn method(args: &Args) -> String {
    args.str_or("method", "GET").to_uppercase()
}

/// The body as sent, and the content type that goes with it.
fn body(args: &Args) -> Result<(Option<String>, Option<&'static str>)> {
    let Some(body) = args.get("body").filter(|body| !body.is_null()) else {
        return Ok((None, None));
    };
    Ok(match args.str_or("body_format", "raw") {
        "json" => {
            let text = body
                .as_str()
                .map_or_else(|| body.to_string(), str::to_owned);
            (Some(text), Some("application/json"))
        }
        "form-urlencoded" => {
            let text = match body {
                Value::Object(map) => {
                    let pairs = map.iter().flat_map(|(key, value)| match value {
                        Value::Array(items) => {
                            items.iter().map(|item| (key, to_text(item))).collect()
                        }
                        value => vec![(key, to_text(value))],
                    });
                    pairs
                        .map(|(key, value)| format!("{}={}", encoded(key), encoded(&value)))
                        .collect::<Vec<_>>()
                        .join("&")
                }
                other => to_text(other),
            };
            (Some(text), Some("application/x-www-form-urlencoded"))
        }
        "form-multipart" if body.is_object() => (None, None),
        "form-multipart" => {
            return Err(Diagnostic::new(
                "a multipart body must be a mapping of fields",
            ));
        }
        _ => (
            Some(
                body.as_str()
                    .map_or_else(|| body.to_string(), str::to_owned),
            ),
            None,
        ),
    })
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => drop(write!(out, "%{b:02X}")),
        }
    }
    out
}

/// A line of curl's configuration.
fn option(config: &mut String, name: &str, value: &str) {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t");
    let _ = writeln!(config, "{name} = \"{value}\"");
}

/// Everything that curl is told, for its standard input.
fn config(args: &Args) -> Result<String> {
    let mut config = String::new();
    let method = method(args);
    option(&mut config, "url", args.str_or("url", ""));
    match method.as_str() {
        "HEAD" => config.push_str("head\n"),
        other => option(&mut config, "request", other),
    }
    let (body, kind) = body(args)?;
    let empty = Map::new();
    let headers = args
        .get("headers")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    for (name, value) in headers {
        let line = match to_text(value) {
            text if text.is_empty() => format!("{name};"),
            text => format!("{name}: {text}"),
        };
        if line.contains(['\n', '\r']) {
            return Err(Diagnostic::new(format!(
                "the header `{}` is not one line",
                quote::for_terminal(name)
            )));
        }
        option(&mut config, "header", &line);
    }
    let given = headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if let Some(kind) = kind.filter(|_| !given) {
        option(&mut config, "header", &format!("Content-Type: {kind}"));
    } else if body.is_some() && !given {
        // curl would call any body a form.
        option(&mut config, "header", "Content-Type:");
    }
    if let Some(body) = body {
        option(&mut config, "data-raw", &body);
    } else if let Some(Value::Object(fields)) = args.get("body") {
        for (name, value) in fields {
            multipart::part(&mut config, name, value)?;
        }
    } else if let Some(content) = &args.content {
        option(&mut config, "data-raw", &String::from_utf8_lossy(content));
    } else if let Some(path) = args.str("src") {
        option(&mut config, "data-binary", &format!("@{path}"));
    }
    if let Some(user) = args.str("url_username") {
        option(
            &mut config,
            "user",
            &format!("{user}:{}", args.str_or("url_password", "")),
        );
        config.push_str(if args.bool_or("force_basic_auth", false) {
            "basic\n"
        } else {
            "anyauth\n"
        });
    }
    let safe = matches!(method.as_str(), "GET" | "HEAD");
    match args.str_or("follow_redirects", "safe") {
        "all" | "yes" | "True" => config.push_str("location\n"),
        "safe" | "urllib2" if safe => config.push_str("location\n"),
        _ => {}
    }
    for (param, name) in [
        ("unix_socket", "unix-socket"),
        ("ca_path", "cacert"),
        ("client_cert", "cert"),
        ("client_key", "key"),
    ] {
        if let Some(value) = args.str(param) {
            option(&mut config, name, value);
        }
    }
    if !args.bool_or("validate_certs", true) {
        config.push_str("insecure\n");
    }
    if !args.bool_or("use_proxy", true) {
        option(&mut config, "noproxy", "*");
    }
    if args.bool_or("force", false) {
        option(&mut config, "header", "cache-control: no-cache");
    }
    if args.bool_or("use_netrc", true) && !args.has("url_username") {
        config.push_str("netrc-optional\n");
    }
    if args.bool_or("decompress", true) {
        config.push_str("compressed\n");
    }
    option(
        &mut config,
        "user-agent",
        args.str_or("http_agent", "hactl"),
    );
    let _ = writeln!(
        config,
        "max-time = {}",
        args.int("timeout").unwrap_or(30).max(1)
    );
    Ok(config)
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let given = ["creates", "removes"]
        .into_iter()
        .filter_map(|name| args.str(name).map(|path| (name, path)));
    for (index, (name, path)) in given.enumerate() {
        let there = matches!(seen.get(index), Some(Seen::File(Some(_))));
        if there == (name == "creates") {
            let why = if there { "exists" } else { "does not exist" };
            return Ok(Decision::Same(outcome(
                json!({"stdout": format!("skipped, since '{path}' {why}")}),
            )));
        }
    }
    let mut shown: Outcome = ["status", "msg", "content", "json", "url", "elapsed"]
        .iter()
        .map(|key| ((*key).to_owned(), unknown()))
        .collect();
    if args.check {
        shown.insert("skipped".into(), true.into());
        return Ok(Decision::Same(shown));
    }
    shown.insert("changed".into(), false.into());
    let wanted = codes(args)?
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let own = Wish::of(args)?.for_new(false);
    let keep = args.str("dest").map_or_else(String::new, |dest| {
        let url = args.str_or("url", "").split(['?', '#']).next().unwrap_or_default();
        let name = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let name = name.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html");
        format!(
            "case ' {wanted} ' in *\" $code \"*)\nf={}\n[ ! -d \"$f\" ] || f=\"$f\"/{}\n\
             if cmp -s \"$d/b\" \"$f\"; then saved=same; (set -e; t=$f\n{})\n\
             else saved=yes; (set -e; t=$(readlink -f -- \"$f\"); n=$(mktemp -- \"${{t%/*}}/.hactl.XXXXXXXX\"); trap 'rm -f -- \"$n\"' EXIT\n\
             cat \"$d/b\" >\"$n\"\n{}sync -- \"$n\"; mv -fT -- \"$n\" \"$t\"); fi\n\
             [ $? = 0 ] || exit;; esac\n",
            quote::sh(dest),
            quote::sh(name),
            own.commands("t", false),
            own.give(true, 0o600)
        )
    });
    let script = format!(
        "if ! command -v curl >/dev/null; then echo 'hactl: no curl' >&2; exit 127; fi\n\
         umask 077\nd=$(mktemp -d) || exit\ntrap 'rm -rf \"$d\"' EXIT\n: >\"$d/h\"; : >\"$d/b\"; f=; saved=no\n\
         curl -q -sS -K - -D \"$d/h\" -o \"$d/b\" -w '%{{http_code}} %{{url_effective}}' >\"$d/w\" 2>\"$d/e\"\nrc=$?\n\
         read -r code url <\"$d/w\" || :\n{keep}\
         printf '%s\\n' \"$rc\" \"$code\" \"$url\" \"$saved\" \"$f\" \"$(wc -c <\"$d/h\")\"\ncat \"$d/h\" \"$d/b\"\ncat \"$d/e\" >&2"
    );
    let mut request = args.request(script).stdin(config(args)?);
    request.timeout_seconds = Some(args.int("timeout").unwrap_or(30).max(1).unsigned_abs() + 10);
    Ok(Decision::Change(Change {
        diffs: Vec::new(),
        requests: vec![request],
        outcome: shown,
    }))
}

/// The headers of the last answer (there may have been redirects before it), names in lower case with underscores.
fn headers(text: &str) -> Map<String, Value> {
    let mut all = Map::new();
    for line in text.lines() {
        if line.starts_with("HTTP/") {
            all.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_lowercase().replace('-', "_");
            let value = match all.get(&name).and_then(Value::as_str) {
                Some(before) => format!("{before}, {}", value.trim()),
                None => value.trim().to_owned(),
            };
            all.insert(name, value.into());
        }
    }
    all
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let Some(reply) = replies.first() else {
        return done(args, change, replies);
    };
    let said = reply.err();
    if said.contains("hactl: no curl") {
        return Err(failed("this host has no `curl`, which `uri` needs")
            .help("install the package `curl` first"));
    }
    if reply.code != 0 {
        return Err(crate::modules::probe::failure(reply));
    }
    let mut rest = reply.stdout.as_slice();
    let mut line = || {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    };
    let (rc, code, url, saved, file, length) = (line(), line(), line(), line(), line(), line());
    let (head, body) = rest.split_at(length.trim().parse::<usize>().unwrap_or(0).min(rest.len()));
    let mut result = headers(&String::from_utf8_lossy(head));
    let status = match code.parse::<i64>() {
        Ok(status) if rc == "0" && status > 0 => status,
        _ => -1,
    };
    let text = String::from_utf8_lossy(body);
    let kind = result
        .get("content_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_lowercase();
    let sub = kind
        .split(';')
        .next()
        .and_then(|kind| kind.split('/').nth(1))
        .map_or("", |sub| sub.trim());
    if matches!(
        sub.rsplit('+').next(),
        Some("json" | "javascript" | "x-json")
    ) && let Ok(value) = serde_json::from_str::<Value>(&text)
    {
        result.insert("json".into(), value);
    }
    let message = if status < 0 {
        format!("Request failed: {}", quote::for_terminal(said.trim()))
    } else {
        let first = String::from_utf8_lossy(head);
        let line = first
            .lines()
            .rfind(|line| line.starts_with("HTTP/"))
            .unwrap_or_default()
            .to_owned();
        let reason = line.splitn(3, ' ').nth(2).map_or("", str::trim).to_owned();
        if status < 400 {
            format!("OK ({} bytes)", body.len())
        } else {
            format!("HTTP Error {status}: {reason}")
        }
    };
    result.insert(
        "redirected".into(),
        (url.trim_end_matches('/') != args.str_or("url", "").trim_end_matches('/')).into(),
    );
    result.insert("url".into(), url.into());
    result.insert("status".into(), status.into());
    result.insert("elapsed".into(), (reply.milliseconds / 1000).into());
    result.insert("changed".into(), (saved == "yes").into());
    if !file.is_empty() {
        result.insert("path".into(), file.into());
    }
    let wanted = codes(args)?;
    if wanted.contains(&status) {
        result.insert("msg".into(), message.into());
    } else {
        result.insert("failed".into(), true.into());
        let wanted = wanted
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        result.insert(
            "msg".into(),
            format!("Status code was {status} and not [{wanted}]: {message}").into(),
        );
    }
    if args.bool_or("return_content", false) || !wanted.contains(&status) {
        result.insert("content".into(), text.into_owned().into());
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
