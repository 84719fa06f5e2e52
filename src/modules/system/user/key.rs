//! The key pair of a user, and how long its password is good.
//!
//! A key that is there is never made anew; a passphrase goes to ssh-keygen through a terminal's stand-in, never in its
//! arguments.

use super::Now;
use crate::base::value::{Value, unknown};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::system::support::diff;
use crate::modules::{Args, Diff, Outcome, Reply, Request};

/// Where `chage` keeps what: parameter, flag, field of shadow, name for people.
const AGES: [(&str, &str, usize, &str); 3] = [
    ("password_expire_min", "-m", 3, "days before a change"),
    ("password_expire_max", "-M", 4, "days a password is good"),
    ("password_expire_warn", "-W", 5, "days of warning"),
];
/// The last field: days after which an expired password locks the account.
const INACTIVE: (&str, &str, usize, &str) = (
    "password_expire_account_disable",
    "-I",
    6,
    "days until the account is locked",
);

/// Whether the task says anything about ages.
pub(super) fn ages(args: &Args) -> bool {
    AGES.iter()
        .chain([&INACTIVE])
        .any(|(param, ..)| args.has(param))
}

/// Whether a key is wanted.
pub(super) fn wanted(args: &Args) -> bool {
    args.bool_or("generate_ssh_key", false)
}

/// The parameters that contradict each other.
pub(super) fn check(args: &Args) -> Result<()> {
    let given = [
        "ssh_key_bits",
        "ssh_key_type",
        "ssh_key_file",
        "ssh_key_comment",
        "ssh_key_passphrase",
    ];
    match given.iter().find(|param| args.has(param)) {
        Some(param) if !wanted(args) => Err(Diagnostic::new(format!(
            "`{param}` is about a key, and none is wanted"
        ))
        .help("add `generate_ssh_key: true`")),
        _ => Ok(()),
    }
}

/// The file, as Ansible names it: below the home unless it is absolute.
fn file(args: &Args) -> String {
    args.str("ssh_key_file").map_or_else(
        || format!(".ssh/id_{}", args.str_or("ssh_key_type", "rsa")),
        str::to_owned,
    )
}

/// The shell that names the file as `$f`, from the user's home.
fn place(args: &Args) -> String {
    let name = quote::sh(args.str_or("name", ""));
    let path = file(args);
    if path.starts_with('/') {
        return format!("f={}\n", quote::sh(&path));
    }
    format!(
        "f=$(getent passwd -- {name} | {{ IFS=: read -r _ _ _ _ _ h _; echo \"$h\"; }})/{}\n",
        quote::sh(&path)
    )
}

/// Looks whether the key is there, and shows its public half and fingerprint.
pub(super) fn look(args: &Args) -> Request {
    Request::sh(format!("{}{SHOW}", place(args)))
}

const SHOW: &str = "[ -e \"$f\" ] || exit 0\necho \"$f\"\nssh-keygen -l -f \"$f.pub\" 2>/dev/null || echo\ncat \"$f.pub\" 2>/dev/null || :";

/// Makes the key. Its folder may belong to a user who would like to have files written elsewhere: a link is followed only to
/// a folder of that user, which is entered before anything is written.
fn make(args: &Args) -> Request {
    let name = args.str_or("name", "");
    let mut words = vec![
        "ssh-keygen".to_owned(),
        "-q".to_owned(),
        "-t".to_owned(),
        args.str_or("ssh_key_type", "rsa").to_owned(),
    ];
    if let Some(bits) = args.int("ssh_key_bits").filter(|bits| *bits > 0) {
        words.extend(["-b".to_owned(), bits.to_string()]);
    }
    let comment = match args.str("ssh_key_comment") {
        Some(comment) => quote::sh(comment),
        None => "\"ansible-generated on $(cat /proc/sys/kernel/hostname)\"".to_owned(),
    };
    let command = quote::sh_join(words.iter().map(String::as_str));
    // ssh-keygen asks a helper for the passphrase, which reads it from where only this shell and it can read.
    let ask = if args.has("ssh_key_passphrase") {
        "printf '#!/bin/sh\\ncat %s/words\\n' \"$w\" >\"$w/ask\" && chmod 0700 \"$w/ask\" || exit\n\
         export SSH_ASKPASS=\"$w/ask\" SSH_ASKPASS_REQUIRE=force DISPLAY=:\nset --\n"
    } else {
        "set -- -N ''\n"
    };
    let script = format!(
        "command -v ssh-keygen >/dev/null || {{ echo 'this host has no ssh-keygen: install openssh-client' >&2; exit 1; }}\n\
         {place}umask 077\n\
         u=$(id -u -- {user}) && g=$(id -g -- {user}) || exit\n\
         d=${{f%/*}}\n\
         [ -d \"$d\" ] || {{ mkdir -p -- \"$d\" && chown -h \"$u:$g\" -- \"$d\"; }} || exit\n\
         cd -P -- \"$d\" || exit\n\
         [ \"$(stat -c %d:%i -- \"$d\")\" = \"$(stat -c %d:%i .)\" ] || [ \"$(stat -c %u .)\" = \"$u\" ] || {{ echo \"$d is a link to $(pwd -P), which is not the user's own: give ssh_key_file that path, or replace the link\" >&2; exit 1; }}\n\
         k=./${{f##*/}}\n\
         [ ! -L \"$k.pub\" ] || {{ echo \"$f.pub is a link: remove it\" >&2; exit 1; }}\n\
         w=$(mktemp -d) || exit\n\
         trap 'rm -rf -- \"$w\"' EXIT\n\
         cat >\"$w/words\" || exit\n\
         {ask}\
         {command} \"$@\" -C {comment} -f \"$w/key\" </dev/null >/dev/null || exit\n\
         chown \"$u:$g\" \"$w/key\" \"$w/key.pub\" && chmod 0644 \"$w/key.pub\" || exit\n\
         mv -T -- \"$w/key.pub\" \"$k.pub\" && mv -T -- \"$w/key\" \"$k\" || exit\n\
         {SHOW}",
        place = place(args),
        user = quote::sh(name),
    );
    args.request(script)
        .stdin(format!("{}\n", args.str_or("ssh_key_passphrase", "")))
}

/// The requests for a user: the key when it is missing, and the ages that differ.
pub(super) fn requests(
    args: &Args,
    now: Option<&Now>,
    key: Option<&Reply>,
    subject: &str,
) -> (Vec<Request>, Vec<Diff>) {
    let (mut requests, mut diffs) = (Vec::new(), Vec::new());
    let shadow = |index: usize| {
        now.and_then(|now| now.shadow)
            .and_then(|fields| fields.get(index))
            .map_or("", String::as_str)
    };
    let name = quote::sh(args.str_or("name", ""));
    for (param, flag, index, what) in AGES.iter().chain([&INACTIVE]) {
        let Some(days) = args.int(param) else {
            continue;
        };
        let before = shadow(*index);
        let same = before
            .parse::<i64>()
            .map_or(days < 0, |before| before == days);
        if now.is_some() && same {
            continue;
        }
        requests.push(args.request(format!("chage {flag} {days} -- {name}")));
        if now.is_some() {
            diffs.push(diff(
                subject,
                format!("{what} {before}"),
                format!("{what} {days}"),
            ));
        }
    }
    let there = key.is_some_and(|reply| !reply.out().trim().is_empty());
    if wanted(args) && !there {
        requests.push(make(args));
        diffs.push(diff(format!("key {}", file(args)), "", "a new key"));
    }
    (requests, diffs)
}

/// Adds what is known of the key to the outcome.
pub(super) fn show(shown: &mut Outcome, reply: Option<&Reply>) {
    let text = reply
        .map(|reply| reply.out().into_owned())
        .unwrap_or_default();
    let mut lines = text.lines();
    let mut take = |name: &str| {
        let value = lines
            .next()
            .map_or_else(unknown, |line| Value::from(line.trim_end()));
        shown.insert(name.to_owned(), value);
    };
    for name in ["ssh_key_file", "ssh_fingerprint", "ssh_public_key"] {
        take(name);
    }
}

/// The same before the key is made.
pub(super) fn foresee(shown: &mut Outcome) {
    for name in ["ssh_key_file", "ssh_fingerprint", "ssh_public_key"] {
        shown.insert(name.to_owned(), unknown());
    }
}

/// The reply of the request that made the key, if there is one.
pub(super) fn made(replies: &[Reply]) -> Option<&Reply> {
    replies.iter().find(|reply| {
        let text = reply.out();
        text.lines()
            .any(|line| line.starts_with("ssh-") || line.starts_with("ecdsa-"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::USER;
    use super::*;
    use crate::modules::system::support::testing::args;
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, chown, symlink};
    use std::path::Path;
    use std::process::{Command, Stdio};

    /// Makes a key for whoever runs this; what was complained about, if anything.
    fn made(file: &Path) -> Option<String> {
        let told = Command::new("id").arg("-un").output().expect("a name");
        let name = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        let args = args(
            &USER,
            serde_json::json!({"name": name, "generate_ssh_key": true, "ssh_key_type": "ed25519", "ssh_key_file": file}),
        );
        let request = make(&args);
        let mut shell = Command::new("sh")
            .args(["-c", &request.script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = shell.stdin.take().expect("its input");
        input.write_all(&request.stdin).expect("written");
        drop(input);
        let done = shell.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (!done.status.success()).then_some(said)
    }

    #[test]
    fn a_link_is_followed_to_a_folder_of_the_users_own_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("own")).expect("made");
        symlink(at("own"), at("link")).expect("linked");
        assert_eq!(made(&at("link/key")), None);
        assert!(at("own/key").is_file() && at("own/key.pub").is_file());
        assert_eq!(made(&at("own/other")), None);
        assert_eq!(made(&at("new/key")), None);
        // Somebody else's, whoever runs this.
        fs_err::create_dir(at("others")).expect("made");
        let mine = fs_err::metadata(at("own")).expect("seen").uid();
        let others = if mine == 0 {
            chown(at("others"), Some(1), None).expect("given away");
            at("others")
        } else {
            "/".into()
        };
        symlink(&others, at("away")).expect("linked");
        let said = made(&at("away/key")).expect("refused");
        assert!(said.contains("is not the user's own"), "{said}");
        assert!(!others.join("key").exists());
    }
}
