//! `apt: deb=…`: a package file on the host, or one that the host fetches.

use super::script::{request, told};
use crate::base::{Result, quote};
use crate::modules::system::support::{diff, failed};
use crate::modules::{Args, Diff, Reply, Request};

fn is_url(path: &str) -> bool {
    ["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
}

/// Fetches an address into the file `$f`.
pub(in crate::modules::system) fn fetch_to(url: &str) -> String {
    let word = quote::sh(url);
    format!(
        "if command -v curl >/dev/null; then curl -fsSL -o \"$f\" -- {word} || exit\n\
         elif command -v wget >/dev/null; then wget -q -O \"$f\" -- {word} || exit\n\
         else echo 'neither curl nor wget is on this host' >&2; exit 1; fi"
    )
}

/// `name_version_arch.deb`, as Debian names its files.
fn named(path: &str) -> Option<(String, String)> {
    let file = path
        .rsplit('/')
        .next()?
        .split(['?', '#'])
        .next()?
        .strip_suffix(".deb")?;
    let mut parts = file.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    parts.next().map(|_| {
        (
            name.to_owned(),
            version.replace("%3a", ":").replace("%2B", "+"),
        )
    })
}

/// Shows `name version` of the file and then what is installed under that name.
pub(super) fn probe(path: &str) -> Request {
    let installed =
        "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' -- \"$n\" 2>/dev/null || true";
    if is_url(path) {
        let (name, version) = named(path).unwrap_or_default();
        let (name, version) = (quote::sh(&name), quote::sh(&version));
        return Request::sh(format!(
            "n={name}; echo \"$n\" {version}; [ -z \"$n\" ] || {installed}"
        ));
    }
    let file = quote::sh(path);
    Request::sh(format!(
        "n=$(dpkg-deb -f {file} Package) || exit; v=$(dpkg-deb -f {file} Version) || exit; echo \"$n $v\"; {installed}"
    ))
}

/// What has to be done about it, if anything.
pub(super) fn decide(args: &Args, path: &str, reply: &Reply) -> Result<Option<(Diff, Request)>> {
    if reply.code != 0 && !args.check {
        return Err(failed(format!(
            "`{}` is not a package file on this host",
            quote::for_terminal(path)
        ))
        .note(quote::for_terminal(reply.err().trim())));
    }
    let text = reply.out();
    let mut lines = text.lines();
    let (name, version) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .unwrap_or(("", ""));
    let installed = lines
        .next()
        .and_then(|line| line.strip_prefix("installed "))
        .unwrap_or("absent");
    let without_epoch = installed
        .split_once(':')
        .map_or(installed, |(_, rest)| rest);
    if !version.is_empty() && (installed == version || is_url(path) && without_epoch == version) {
        return Ok(None);
    }
    let word = quote::sh(path);
    let fetch = if is_url(path) {
        format!(
            "f=\"$t/package.deb\"\n{}\nchmod 755 \"$t\"\n",
            fetch_to(path)
        )
    } else {
        format!("f={word}\n")
    };
    let options = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold";
    let downgrade = if args.bool_or("allow_downgrade", false) {
        " --allow-downgrades"
    } else {
        ""
    };
    let body = format!(
        "{fetch}before=$(dpkg_state)\napt {options}{downgrade} install \"$f\" || exit\n{}",
        told()
    );
    let subject = if name.is_empty() { path } else { name };
    let after = if version.is_empty() {
        "present"
    } else {
        version
    };
    Ok(Some((
        diff(format!("package {subject}"), installed, after),
        request(args, &body),
    )))
}
