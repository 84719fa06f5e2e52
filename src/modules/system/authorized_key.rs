//! Public keys that may log in: `authorized_key`.
//!
//! Lines of other keys and comments stay as they are unless `exclusive` is set.

use super::group::account_name;
use super::support::{Simple, change, diff, done, failed, good_reply, outcome};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(super) static AUTHORIZED_KEY: Simple = Simple {
    spec: &Spec {
        names: &["authorized_key", "ansible.posix.authorized_key"],
        params: &[
            Param::new("user", Kind::Str).required(),
            Param::new("key", Kind::Str).required(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("exclusive", Kind::Bool),
            Param::new("key_options", Kind::Str),
            Param::new("path", Kind::Path),
            Param::new("manage_dir", Kind::Bool),
            Param::new("comment", Kind::Str),
            Param::new("follow", Kind::Bool).only(
                true,
                "a link stays one: the file that it leads to is written",
            ),
            Param::new("validate_certs", Kind::Bool)
                .idle("keys are not fetched from addresses: `key` takes keys"),
        ],
        summary: "lets public keys log in as a user",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish: done,
};

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let user = quote::sh(account_name(args.str_or("user", ""))?);
    let path = args
        .str("path")
        .map_or_else(|| "\"$h/.ssh/authorized_keys\"".to_owned(), quote::sh);
    Ok(vec![Probe::Run(Request::sh(format!(
        "getent passwd -- {user} | {{ IFS=: read -r _ _ u g _ h _ || exit 0; f={path}; echo \"$u $g $f\"; [ ! -e \"$f\" ] || cat -- \"$f\"; }}"
    )))])
}

/// A line of the file that is a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    options: String,
    kind: String,
    blob: String,
    comment: String,
}

fn is_kind(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-")
}

impl Key {
    /// Reads a line; `None` for comments and what is no key.
    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (mut quoted, mut escaped, mut start) = (false, false, 0);
        let mut words: Vec<(usize, usize)> = Vec::new();
        for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
            if c.is_whitespace() && !quoted {
                if at > start {
                    words.push((start, at));
                }
                start = at + c.len_utf8();
            }
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
        }
        let first = words
            .iter()
            .position(|(from, to)| is_kind(&line[*from..*to]))?;
        let word = |index: usize| words.get(index).map_or("", |(from, to)| &line[*from..*to]);
        let options = words
            .get(first)
            .map_or("", |(from, _)| line[..*from].trim_end());
        let comment = words.get(first + 2).map_or("", |(from, _)| &line[*from..]);
        let blob = word(first + 1);
        (!blob.is_empty()).then(|| Self {
            options: options.to_owned(),
            kind: word(first).to_owned(),
            blob: blob.to_owned(),
            comment: comment.to_owned(),
        })
    }

    fn line(&self) -> String {
        [&self.options, &self.kind, &self.blob, &self.comment]
            .into_iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn short(&self) -> String {
        let tail: String = self
            .blob
            .chars()
            .rev()
            .take(8)
            .collect::<String>()
            .chars()
            .rev()
            .collect();
        format!("{} …{tail} {}", self.kind, self.comment)
    }
}

fn wanted(args: &Args) -> Result<Vec<Key>> {
    let text = args.str_or("key", "");
    if ["http://", "https://", "file://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        return Err(
            Diagnostic::new("`key` takes the key itself, not an address")
                .help("read it on this side: `key: \"{{ lookup('file', 'keys/me.pub') }}\"`"),
        );
    }
    let mut keys = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut key = Key::read(line).ok_or_else(|| {
            Diagnostic::new("this is not a public key")
                .note(quote::for_terminal(line))
                .help("a key looks like `ssh-ed25519 AAAA… name`")
        })?;
        if let Some(options) = args.str("key_options") {
            options.clone_into(&mut key.options);
        }
        if let Some(comment) = args.str("comment") {
            comment.clone_into(&mut key.comment);
        }
        keys.push(key);
    }
    Ok(keys)
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let user = args.str_or("user", "");
    let keys = wanted(args)?;
    let present = args.str_or("state", "present") == "present";
    let text = good_reply(seen, 0)?.out();
    let mut shown = outcome(json!({
        "user": user, "key": args.str_or("key", ""), "state": if present { "present" } else { "absent" },
        "exclusive": args.bool_or("exclusive", false), "manage_dir": args.bool_or("manage_dir", true),
        "key_options": args.str("key_options"), "comment": args.str("comment"), "path": args.str("path"),
    }));
    let (first, content) = text.split_once('\n').unwrap_or((&text, ""));
    let head: Vec<&str> = first.splitn(3, ' ').collect();
    let [uid, gid, file] = head[..] else {
        if args.check && present {
            let diffs = vec![diff(format!("keys of {user}"), "no such user yet", "")];
            return Ok(change(diffs, Request::sh("true"), shown));
        }
        return Err(failed(format!("there is no user `{user}` on this host"))
            .help("add it with a `user` task first"));
    };
    shown.insert("keyfile".into(), file.into());
    let mut lines: Vec<String> = content.lines().map(str::to_owned).collect();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    if present && args.bool_or("exclusive", false) {
        lines.retain(|line| {
            let found = Key::read(line);
            let keep = found
                .as_ref()
                .is_some_and(|key| keys.iter().any(|wanted| wanted.blob == key.blob));
            if let Some(key) = found.filter(|_| !keep) {
                removed.push(key.short());
            }
            keep
        });
    }
    for key in &keys {
        let same_blob = |line: &String| Key::read(line).is_some_and(|found| found.blob == key.blob);
        let at = lines.iter().position(same_blob);
        match (present, at) {
            (true, Some(at)) if Key::read(&lines[at]).as_ref() == Some(key) => {}
            (true, Some(at)) => {
                lines[at] = key.line();
                added.push(key.short());
            }
            (true, None) => {
                lines.push(key.line());
                added.push(key.short());
            }
            (false, Some(_)) => {
                lines.retain(|line| !same_blob(line));
                removed.push(key.short());
            }
            (false, None) => {}
        }
    }
    let mut after: String = lines.join("\n");
    if !after.is_empty() {
        after.push('\n');
    }
    if added.is_empty() && removed.is_empty() && lines.len() == content.lines().count() {
        return Ok(Decision::Same(shown));
    }
    let manage = args.bool_or("manage_dir", true) && !args.has("path");
    let directory = if manage {
        "[ -d \"$d\" ] || mkdir -- \"$d\" || exit\nchmod 0700 -- \"$d\" && chown \"$o\" -- \"$d\" || exit\n"
    } else {
        ""
    };
    let script = format!(
        "f={}\nd=${{f%/*}}\no={uid}:{gid}\n{directory}umask 077\nt=$(mktemp \"$d/.hactl.XXXXXX\") || exit\ntrap 'rm -f \"$t\"' EXIT\n\
         cat >\"$t\" && chmod 0600 -- \"$t\" && chown \"$o\" -- \"$t\" && sync -- \"$t\" && mv -fT -- \"$t\" \"$f\"",
        quote::sh(file)
    );
    let request = args.request(script).stdin(after);
    Ok(change(
        vec![diff(file, removed.join("\n"), added.join("\n"))],
        request,
        shown,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same};
    use super::*;
    use crate::modules::Module;

    const A: &str = "ssh-ed25519 AAAAaaaa ann@x";
    const B: &str = "ssh-rsa AAAAbbbb bob@x y";

    #[test]
    fn keys_are_read_with_options_and_comments() {
        let key = Key::read("from=\"10.0.0.1 x\",no-pty ssh-rsa AAAAB b c").expect("key");
        assert_eq!(
            (key.options.as_str(), key.comment.as_str()),
            ("from=\"10.0.0.1 x\",no-pty", "b c")
        );
        assert_eq!(Key::read("# ssh-rsa AAAA"), None);
    }

    #[test]
    fn only_what_differs_is_written() {
        let head = "1000 1000 /home/ann/.ssh/authorized_keys\n";
        let cases = [
            (json!({"key": A}), format!("{A}\n"), None),
            (
                json!({"key": A}),
                format!("# c\n{B}\n"),
                Some(format!("# c\n{B}\n{A}\n")),
            ),
            (
                json!({"key": A, "exclusive": true}),
                format!("# c\n{B}\n"),
                Some(format!("{A}\n")),
            ),
            (
                json!({"key": format!("{A}\n{B}"), "exclusive": true}),
                format!("{B}\n{A}\n"),
                None,
            ),
            (
                json!({"key": A, "key_options": "no-pty"}),
                format!("{A}\n"),
                Some(format!("no-pty {A}\n")),
            ),
            (
                json!({"key": "ssh-ed25519 AAAAaaaa new"}),
                format!("{A}\n"),
                Some("ssh-ed25519 AAAAaaaa new\n".to_owned()),
            ),
            (
                json!({"key": A, "state": "absent"}),
                format!("{A}\n{B}\n"),
                Some(format!("{B}\n")),
            ),
            (json!({"key": A, "state": "absent"}), String::new(), None),
        ];
        for (mut raw, file, wanted) in cases {
            raw["user"] = "ann".into();
            let seen = [crate::modules::Seen::Reply(said(&format!("{head}{file}")))];
            let decision = AUTHORIZED_KEY
                .diff(&args(&AUTHORIZED_KEY, raw.clone()), &seen)
                .expect("decides");
            match wanted {
                None => drop(same(decision)),
                Some(text) => assert_eq!(
                    String::from_utf8_lossy(&changed(decision).requests[0].stdin),
                    text,
                    "{raw}"
                ),
            }
        }
    }
}
