//! Downloads on the host, with what is there: curl or wget. The address, headers and passwords travel on
//! standard input, never as arguments that other users of the host could read.

use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Kind, Param};
use std::fmt::Write as _;

/// The parameters of a download, for a [`crate::modules::Spec`].
pub const VALIDATE_CERTS: Param = Param::new("validate_certs", Kind::Bool);

/// A download: a script that fills the file `$n`, and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Shell commands; they need `fail` of the write prelude.
    pub script: String,
    /// Their standard input.
    pub stdin: Vec<u8>,
}

/// The commands that download `url`.
///
/// # Errors
/// When a header or the address cannot be written safely.
pub fn download(args: &Args, url: &str) -> Result<Download> {
    if !url.contains("://") || url.contains(['\n', '\r', '\0']) {
        return Err(Diagnostic::new(format!("`{url}` is not an address"))
            .help("write it whole, as in `https://example.org/file`"));
    }
    let (url, user) = split_user(url);
    let timeout = args.int("timeout").unwrap_or(10).max(1);
    let mut curl = format!(
        "url = {}\nconnect-timeout = {timeout}\nspeed-limit = 1\nspeed-time = {timeout}\n",
        quoted(&url)
    );
    let mut wget = format!("timeout = {timeout}\ntries = 1\n");
    let headers = args.get("headers").and_then(|headers| headers.as_object());
    for (name, value) in headers.into_iter().flatten() {
        let header = format!("{name}: {}", crate::base::value::to_text(value));
        if header.contains(['\n', '\r', '\0']) {
            return Err(Diagnostic::new(format!("the header `{name}` spans lines")));
        }
        let _ = writeln!(curl, "header = {}", quoted(&header));
        let _ = writeln!(wget, "header = {header}");
    }
    let given = args
        .str("url_username")
        .map(|name| format!("{name}:{}", args.str_or("url_password", "")));
    if let Some(user) = given.or(user) {
        let _ = writeln!(curl, "user = {}", quoted(&user));
        let (name, password) = user.split_once(':').unwrap_or((&user, ""));
        let _ = writeln!(wget, "user = {name}\npassword = {password}");
        if args.bool_or("force_basic_auth", false) {
            wget.push_str("auth_no_challenge = on\n");
        }
    }
    if !args.bool_or("validate_certs", true) {
        curl.push_str("insecure\n");
        wget.push_str("check_certificate = off\n");
    }
    if !args.bool_or("use_proxy", true) {
        curl.push_str("noproxy = \"*\"\n");
        wget.push_str("use_proxy = off\n");
    }
    if let Some(agent) = args.str("http_agent") {
        let _ = writeln!(curl, "user-agent = {}", quoted(agent));
        let _ = writeln!(wget, "user_agent = {}", agent.replace('\n', " "));
    }
    Ok(Download {
        script: SCRIPT.to_owned(),
        stdin: format!("{url}\n{curl}#wget\n{wget}").into_bytes(),
    })
}

// wget reads its settings from regular files only: they stand in `$n`, which nobody else can read, until the
// download takes its place.
const SCRIPT: &str = "conf=$(cat)\n\
if command -v curl >/dev/null 2>&1; then\n\
printf '%s\\n' \"$conf\" | sed '1d; /^#wget$/,$d' | curl -fsSL -K - -o \"$n\" || fail 'the download failed' 'see the words of curl above'\n\
elif command -v wget >/dev/null 2>&1; then\n\
printf '%s\\n' \"$conf\" | sed '1,/^#wget$/d' >\"$n\"\n\
printf '%s\\n' \"$conf\" | sed -n 1p | wget -nv --config=\"$n\" -i - -O \"$n\" >&2 || fail 'the download failed' 'see the words of wget above'\n\
else fail 'neither curl nor wget is on the host' 'install the package `curl` first'\n\
fi\n";

/// A text in curl's configuration file.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    format!("\"{escaped}\"")
}

/// Takes `user:password@` out of an address.
fn split_user(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((user, host)) => (
            format!("{scheme}://{host}{}", &rest[end..]),
            Some(user.to_owned()),
        ),
        None => (url.to_owned(), None),
    }
}

/// The file name that an address ends in.
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| {
        rest.find('/').map_or("", |at| &rest[at..])
    });
    match path.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => "index.html",
    }
}

/// The digest of a file in a list such as `sha256sum` writes; a list of one digest alone counts for any file.
pub fn find_digest(list: &str, name: &str) -> Option<String> {
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let lines: Vec<&Vec<&str>> = lines.iter().filter(|line| !line.is_empty()).collect();
    if let [only] = lines[..]
        && let [digest] = only[..]
    {
        return Some(digest.to_ascii_lowercase());
    }
    let is_it = |path: &str| path.trim_start_matches('*').trim_start_matches("./") == name;
    lines
        .iter()
        .find(|line| line.len() > 1 && is_it(line[1]))
        .map(|line| line[0].to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, name) in [
            ("https://example.org/a/b.tar.gz?x=1#y", "b.tar.gz"),
            ("https://example.org", "index.html"),
            ("https://example.org/a/", "index.html"),
        ] {
            assert_eq!(file_name(url), name);
        }
        let user = |url| split_user(url).1;
        assert_eq!(
            user("https://me:pw@example.org/x@y").as_deref(),
            Some("me:pw")
        );
        assert_eq!(user("https://example.org/x@y"), None);
    }

    #[test]
    fn lists_of_digests_are_read() {
        for (list, digest) in [
            ("AB\n", Some("ab")),
            ("cd  other\nab *f.tgz\n", Some("ab")),
            ("cd  other\nab  ./f.tgz\n", Some("ab")),
            ("cd  other\n", None),
        ] {
            assert_eq!(find_digest(list, "f.tgz").as_deref(), digest, "{list}");
        }
    }
}
