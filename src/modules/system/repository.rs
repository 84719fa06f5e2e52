//! Sources of packages: `apt_repository`, `deb822_repository`.
//!
//! The files are those that Ansible's modules write, byte for byte, so that both see them as unchanged.

use super::apt::{self, fetch_to};
use super::support::{
    Simple, as_seen, content, diff, done, ended_lines, outcome, reply, whole_file, write_file,
};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, quote};
use crate::modules::files::write::Expect;
use crate::modules::{Args, Change, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;
use std::fmt::Write as _;

const LISTS: &str = "/etc/apt/sources.list.d";
const KEYRINGS: &str = "/etc/apt/keyrings";

pub(super) static APT_REPOSITORY: Simple = Simple {
    spec: &Spec {
        names: &["apt_repository", "ansible.builtin.apt_repository"],
        params: &[
            Param::new("repo", Kind::Str).required(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("filename", Kind::Str),
            Param::new("mode", Kind::Mode),
            Param::new("update_cache", Kind::Bool).aliases(&["update-cache"]),
            Param::new("update_cache_retries", Kind::Int),
            Param::new("update_cache_retry_max_delay", Kind::Int),
            Param::new("validate_certs", Kind::Bool)
                .idle("it is for the keys of short ppa names, which are refused"),
            Param::new("codename", Kind::Str).idle("it is for short ppa names, which are refused"),
            Param::new("install_python_apt", Kind::Bool)
                .idle("nothing here needs Python on the host"),
        ],
        summary: "adds and removes a source of packages, in one line",
        ..Spec::EMPTY
    },
    probe: |args| {
        let repo = args.str_or("repo", "");
        if repo.starts_with("ppa:") {
            return Err(Diagnostic::new("a ppa cannot be added by its short name")
                .help("use deb822_repository with its address, suite and key"));
        }
        if source(repo).is_none_or(|(enabled, _)| !enabled) {
            return Err(Diagnostic::new(format!(
                "`{}` is not a source of packages",
                quote::for_terminal(repo)
            ))
            .help("a source looks like `deb http://mirror.example/debian bookworm main`"));
        }
        let lists = format!("/etc/apt/sources.list {LISTS}/*.list");
        Ok(vec![
            Probe::Run(Request::sh(format!("grep -asH '' {lists} || true"))),
            Probe::Run(Request::sh(format!(
                "sha256sum {lists} 2>/dev/null || true"
            ))),
        ])
    },
    diff: repository,
    finish: done,
};

/// Whether a line of a list is a source, whether it is enabled, and its words.
fn source(line: &str) -> Option<(bool, String)> {
    let line = line.trim();
    let (enabled, line) = line
        .strip_prefix('#')
        .map_or((true, line), |line| (false, line));
    let line = match line.find('#') {
        Some(at) if at > 0 => &line[..at],
        _ => line,
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let valid = words.len() > 2 && matches!(words[0], "deb" | "deb-src");
    valid.then(|| (enabled, words.join(" ")))
}

/// The file that a new source goes to when the task names none.
fn suggested(args: &Args, source: &str) -> String {
    let name = args.str("filename").map_or_else(
        || {
            let mut text = source.to_owned();
            while let (Some(from), Some(to)) = (text.find('['), text.find(']')) {
                if from > to {
                    break;
                }
                text.replace_range(from..=to, "");
            }
            let address = text
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            let address = address
                .split_once("://")
                .map_or(address.as_str(), |(_, rest)| rest)
                .to_owned();
            let (host, path) = address.split_once('/').unwrap_or((&address, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            let plain: String = format!("{host}/{path}")
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
                .collect();
            plain.split_whitespace().collect::<Vec<_>>().join("_")
        },
        str::to_owned,
    );
    if name.starts_with('/') {
        format!("{name}.list")
    } else {
        format!("{LISTS}/{name}.list")
    }
}

fn repository(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let text = reply(seen, 0)?.out().into_owned();
    let digests = reply(seen, 1)?.out().into_owned();
    let present = args.str_or("state", "present") == "present";
    let (_, wanted) = source(args.str_or("repo", "")).unwrap_or_default();
    let mut files: Vec<(&str, Vec<String>)> = Vec::new();
    for (path, line) in text.lines().filter_map(|line| line.split_once(':')) {
        match files.last_mut().filter(|(last, _)| *last == path) {
            Some((_, lines)) => lines.push(line.to_owned()),
            None => files.push((path, vec![line.to_owned()])),
        }
    }
    let (mut changed, mut there) = (Vec::new(), false);
    for (path, lines) in &mut files {
        let before = lines.join("\n");
        for line in lines.iter_mut() {
            if let Some((enabled, found)) = source(line).filter(|(_, found)| *found == wanted) {
                there = true;
                if present && !enabled {
                    line.clone_from(&found);
                }
            }
        }
        if !present {
            lines.retain(|line| source(line).is_none_or(|(_, found)| found != wanted));
        }
        if before != lines.join("\n") {
            changed.push((*path, before, lines.clone()));
        }
    }
    let suggested = suggested(args, &wanted);
    if present && !there {
        let mut lines = files
            .iter()
            .find(|(path, _)| *path == suggested)
            .map(|(_, lines)| lines.clone())
            .unwrap_or_default();
        let before = lines.join("\n");
        lines.push(wanted.clone());
        changed.push((&suggested, before, lines));
    }
    let mut change = Change::default();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for (path, before, lines) in changed {
        let after = ended_lines(lines.iter().map(String::as_str));
        change
            .diffs
            .push(diff(path, before.as_str(), after.trim_end()));
        if after.is_empty() {
            removed.push(path.to_owned());
            change
                .requests
                .push(args.request(format!("rm -f -- {}", quote::sh(path))));
        } else {
            if before.is_empty() {
                added.push(path.to_owned());
            }
            let digest = digests
                .lines()
                .filter_map(|line| line.split_once("  "))
                .find(|(_, of)| *of == path);
            let expect = digest.map_or(Expect::Nothing, |(digest, _)| {
                Expect::Digest(digest.to_owned())
            });
            let mode = args.str_or("mode", "0644");
            change
                .requests
                .push(write_file(args, path, &after, mode, expect)?);
        }
    }
    change.outcome = outcome(json!({
        "repo": args.str_or("repo", ""), "state": if present { "present" } else { "absent" },
        "sources_added": added, "sources_removed": removed,
    }));
    if change.requests.is_empty() {
        return Ok(Decision::Same(change.outcome));
    }
    if args.bool_or("update_cache", true) {
        change.requests.push(apt::update(args));
    }
    Ok(Decision::Change(change))
}

pub(super) static DEB822_REPOSITORY: Simple = Simple {
    spec: &Spec {
        names: &["deb822_repository", "ansible.builtin.deb822_repository"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("mode", Kind::Mode),
            Param::new("allow_downgrade_to_insecure", Kind::Bool),
            Param::new("allow_insecure", Kind::Bool),
            Param::new("allow_weak", Kind::Bool),
            Param::new("architectures", Kind::List),
            Param::new("by_hash", Kind::Bool),
            Param::new("check_date", Kind::Bool),
            Param::new("check_valid_until", Kind::Bool),
            Param::new("components", Kind::List),
            Param::new("date_max_future", Kind::Int),
            Param::new("enabled", Kind::Bool),
            Param::new("inrelease_path", Kind::Str),
            Param::new("languages", Kind::List),
            Param::new("pdiffs", Kind::Bool),
            Param::new("signed_by", Kind::Str),
            Param::new("suites", Kind::List),
            Param::new("targets", Kind::List),
            Param::new("trusted", Kind::Bool),
            Param::new("types", Kind::List).choices(&["deb", "deb-src"]),
            Param::new("uris", Kind::List),
            Param::new("install_python_debian", Kind::Bool)
                .idle("nothing here needs Python on the host"),
        ],
        summary: "adds and removes a source of packages, in deb822 form",
        ..Spec::EMPTY
    },
    probe: |args| {
        let slug = slug(args);
        if slug.is_empty() {
            return Err(Diagnostic::new(
                "`name` of deb822_repository needs letters or digits",
            ));
        }
        let keys = format!("ls -- {KEYRINGS}/{slug}.asc {KEYRINGS}/{slug}.gpg 2>/dev/null || true");
        Ok(vec![
            whole_file(&sources(args)),
            Probe::Run(Request::sh(keys)),
        ])
    },
    diff: deb822,
    finish: done,
};

fn slug(args: &Args) -> String {
    let mut slug = String::new();
    for c in args.str_or("name", "").to_lowercase().chars() {
        match c {
            '_' | ' ' | '\t' | '\n' if !slug.ends_with('\u{1}') => slug.push('\u{1}'),
            'a'..='z' | '0'..='9' | '-' => slug.push(c),
            _ => {}
        }
    }
    slug.replace('\u{1}', "-")
}

fn sources(args: &Args) -> String {
    format!("{LISTS}/{}.sources", slug(args))
}

/// Where a key that was fetched is written in the text, until its form is known.
const KEY_PLACE: &str = "@hactl-key@";

fn is_url(text: &str) -> bool {
    ["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// The text of the `.sources` file; fields in the order of their parameters' names.
fn stanza(args: &Args, key: Option<&str>) -> String {
    let mut fields: Vec<(&str, String)> = vec![("types", "deb".to_owned())];
    for (name, value) in args.values() {
        let param = DEB822_REPOSITORY
            .spec
            .param(name)
            .map_or("", |param| param.name);
        let text = match (param, value) {
            ("" | "state" | "mode" | "install_python_debian", _) => continue,
            ("signed_by", _) => key.unwrap_or(args.str_or("signed_by", "")).to_owned(),
            (_, Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
            (_, Value::Array(_)) => args.list(param).join(" "),
            (_, other) => crate::base::value::to_text(other),
        };
        fields.retain(|(field, _)| *field != param);
        fields.push((param, text));
    }
    fields.sort_unstable_by_key(|(name, _)| *name);
    let mut stanza = String::new();
    for (name, text) in fields {
        let title = match name {
            "name" => "X-Repolib-Name".to_owned(),
            "uris" => "URIs".to_owned(),
            name => {
                let word = |word: &str| word[..1].to_uppercase() + &word[1..];
                name.split('_').map(word).collect::<Vec<_>>().join("-")
            }
        };
        if text.contains('\n') {
            let line = |line: &str| {
                format!(
                    "    {}\n",
                    if line.trim().is_empty() {
                        "."
                    } else {
                        line.trim()
                    }
                )
            };
            let _ = write!(
                stanza,
                "{title}:\n{}",
                text.trim().lines().map(line).collect::<String>()
            );
        } else if text.is_empty() {
            let _ = writeln!(stanza, "{title}:");
        } else {
            let _ = writeln!(stanza, "{title}: {text}");
        }
    }
    stanza
}

fn deb822(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let path = sources(args);
    let before = content(seen, 0);
    let keys = reply(seen, 1)?.out().into_owned();
    let mut change = Change::default();
    if args.str_or("state", "present") == "absent" {
        change.outcome =
            outcome(json!({"repo": null, "dest": path, "key_filename": keys.lines().next()}));
        if before.is_none() && keys.trim().is_empty() {
            return Ok(Decision::Same(change.outcome));
        }
        change
            .diffs
            .push(diff(path.as_str(), before.unwrap_or_default(), ""));
        let gone: Vec<&str> = std::iter::once(path.as_str()).chain(keys.lines()).collect();
        change
            .requests
            .push(args.request(format!("rm -f -- {}", quote::sh_join(gone))));
        return Ok(Decision::Change(change));
    }
    let url = args.str("signed_by").filter(|key| is_url(key));
    let fetched = url.and_then(|_| keys.lines().next());
    let key_file = fetched.or_else(|| args.str("signed_by").filter(|key| key.starts_with('/')));
    let text = stanza(args, url.map(|_| fetched.unwrap_or(KEY_PLACE)));
    change.outcome = outcome(json!({"repo": text, "dest": path, "key_filename": key_file}));
    let mode = args.str_or("mode", "0644");
    match url.filter(|_| fetched.is_none()) {
        Some(url) => {
            let base = format!("{KEYRINGS}/{}", slug(args));
            let same = match as_seen(seen, 0) {
                Expect::Digest(digest) => {
                    format!("[ \"$(sha256sum <{path} | cut -d' ' -f1)\" = {digest} ]")
                }
                _ => format!("[ ! -e {path} ]"),
            };
            let script = format!(
                "umask 077\nt=$(mktemp -d) && n=$(mktemp {path}.XXXXXXXX) || exit\ntrap 'rm -rf \"$t\" \"$n\"' EXIT\ncat >\"$t/sources\"\nf=\"$t/key\"\n{}\n\
                 [ -d {KEYRINGS} ] || install -d -m 0755 {KEYRINGS} || exit\n\
                 if grep -aq 'BEGIN PGP PUBLIC KEY BLOCK' \"$f\"; then k={base}.asc; else k={base}.gpg; fi\n\
                 chmod 0644 \"$f\" && sync -- \"$f\" && mv -f -- \"$f\" \"$k\" || exit\n\
                 sed \"s|{KEY_PLACE}|$k|\" \"$t/sources\" >\"$n\" && chmod {mode} \"$n\" && sync -- \"$n\" || exit\n\
                 {same} || {{ echo 'somebody changed {path} between the look and the write: run again' >&2; exit 1; }}\n\
                 mv -fT -- \"$n\" {path}",
                fetch_to(url)
            );
            change.diffs.push(diff(
                path.as_str(),
                before.unwrap_or_default(),
                text.replace(KEY_PLACE, &format!("{base}.*")),
            ));
            change.diffs.push(diff(format!("key {base}.*"), "", url));
            change.requests.push(args.request(script).stdin(text));
        }
        None if before.as_deref() == Some(text.as_str()) => {}
        None => {
            change.diffs.push(diff(
                path.as_str(),
                before.unwrap_or_default(),
                text.as_str(),
            ));
            let expect = as_seen(seen, 0);
            change
                .requests
                .push(write_file(args, &path, &text, mode, expect)?);
        }
    }
    Ok(if change.requests.is_empty() {
        Decision::Same(change.outcome)
    } else {
        Decision::Change(change)
    })
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same};
    use super::*;
    use crate::modules::Module;

    #[test]
    fn sources_are_found_in_any_list() {
        let repo = "deb [arch=amd64 signed-by=/k.gpg]  https://me:pw@apt.x.org/v1/  stable main";
        let plain = "deb [arch=amd64 signed-by=/k.gpg] https://me:pw@apt.x.org/v1/ stable main";
        let cases = [
            (
                "present",
                "/etc/apt/sources.list:deb http://d bookworm main\n".to_owned(),
                Some((
                    "/etc/apt/sources.list.d/apt_x_org_v1.list",
                    format!("{plain}\n"),
                )),
            ),
            (
                "present",
                format!("/etc/apt/sources.list.d/x.list:{plain}  # note\n"),
                None,
            ),
            (
                "present",
                format!("/etc/apt/sources.list.d/x.list:# {plain}\n"),
                Some(("/etc/apt/sources.list.d/x.list", format!("{plain}\n"))),
            ),
            (
                "absent",
                format!("/etc/apt/sources.list.d/x.list:{plain}\n"),
                Some(("/etc/apt/sources.list.d/x.list", String::new())),
            ),
            ("absent", String::new(), None),
        ];
        for (state, lists, wanted) in cases {
            let args = args(
                &APT_REPOSITORY,
                json!({"repo": repo, "state": state, "update_cache": false}),
            );
            let decision = APT_REPOSITORY
                .diff(&args, &[Seen::Reply(said(&lists)), Seen::Reply(said(""))])
                .expect("decides");
            match wanted {
                None => drop(same(decision)),
                Some((path, text)) => {
                    let change = changed(decision);
                    assert_eq!(
                        (
                            change.diffs[0].subject.as_str(),
                            String::from_utf8_lossy(&change.requests[0].stdin).into_owned()
                        ),
                        (path, text)
                    );
                }
            }
        }
    }

    #[test]
    fn stanzas_are_written_as_ansible_writes_them() {
        let raw = json!({
            "name": "My Repo_x!", "uris": "https://x.org/apt", "suites": ["stable"], "components": ["main", "extra"],
            "types": ["deb"], "architectures": "amd64", "enabled": true, "signed_by": "-----BEGIN\n\nabc\n-----END\n",
        });
        let args = args(&DEB822_REPOSITORY, raw);
        let wanted = "Architectures: amd64\nComponents: main extra\nEnabled: yes\nX-Repolib-Name: My Repo_x!\nSigned-By:\n    -----BEGIN\n    .\n    abc\n    -----END\nSuites: stable\nTypes: deb\nURIs: https://x.org/apt\n";
        assert_eq!(stanza(&args, None), wanted);
        assert_eq!(sources(&args), "/etc/apt/sources.list.d/my-repo-x.sources");
    }

    #[test]
    fn a_key_is_fetched_once() {
        let args = args(
            &DEB822_REPOSITORY,
            json!({"name": "x", "uris": "u", "suites": "s", "signed_by": "https://x.org/key"}),
        );
        let change = changed(
            DEB822_REPOSITORY
                .diff(&args, &[Seen::File(None), Seen::Reply(said(""))])
                .expect("decides"),
        );
        assert!(
            String::from_utf8_lossy(&change.requests[0].stdin).contains("Signed-By: @hactl-key@\n")
        );
        let there = [
            Seen::File(None),
            Seen::Reply(said("/etc/apt/keyrings/x.gpg\n")),
        ];
        let change = changed(DEB822_REPOSITORY.diff(&args, &there).expect("decides"));
        assert!(
            String::from_utf8_lossy(&change.requests[0].stdin)
                .contains("Signed-By: /etc/apt/keyrings/x.gpg\n")
        );
    }
}
