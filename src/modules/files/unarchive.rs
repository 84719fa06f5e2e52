//! `unarchive`: the content of an archive below a directory; from this side, from the host or from an address.

use super::attributes::{
    self, ATTRIBUTES, GROUP, MODE, OWNER, SELEVEL, SEROLE, SETYPE, SEUSER, UNSAFE_WRITES, Wish,
};
use super::download::{VALIDATE_CERTS, download};
use super::file::{look, seen_file};
use super::tree;
use super::write::PRELUDE;
use crate::base::quote::{sh, sh_join};
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Content, Decision, Diff, Kind, Module, Outcome, Param, Probe, Reply, Request,
    Seen, Spec,
};
use std::fmt::Write as _;

static SPEC: Spec = Spec {
    names: &["unarchive", "ansible.builtin.unarchive"],
    params: &[
        Param::new("src", Kind::Path).required(),
        Param::new("dest", Kind::Path).required(),
        Param::new("remote_src", Kind::Bool),
        Param::new("copy", Kind::Bool),
        Param::new("creates", Kind::Path),
        Param::new("list_files", Kind::Bool),
        Param::new("keep_newer", Kind::Bool),
        Param::new("exclude", Kind::List),
        Param::new("include", Kind::List),
        Param::new("extra_opts", Kind::List),
        Param::new("decrypt", Kind::Bool),
        VALIDATE_CERTS,
        MODE,
        OWNER,
        GROUP,
        SETYPE,
        SEUSER,
        SEROLE,
        SELEVEL,
        ATTRIBUTES,
        UNSAFE_WRITES,
    ],
    one_of: &[
        (&["include", "exclude"], false),
        (&["remote_src", "copy"], false),
    ],
    summary: "the content of a tar or zip archive",
    ..Spec::EMPTY
};

/// The module.
pub struct Unarchive;

impl Module for Unarchive {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Wish::of(args)?;
        let dest = attributes::path(args, "dest")?;
        let creates = args.str("creates").filter(|path| !path.is_empty());
        let mut probes = vec![
            look(&dest, true, Content::None),
            look(creates.unwrap_or(&dest), false, Content::None),
        ];
        let skip = creates.map_or_else(String::new, |path| {
            format!("[ ! -e {} ] || exit 0\n", sh(path))
        });
        let body = format!(
            "[ -d {} ] || exit 0\n{skip}{}{COMPARE}",
            sh(&dest),
            prepare(args, &dest)?.0
        );
        probes.push(Probe::Run(request(args, &body)?));
        Ok(probes)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let dest = attributes::path(args, "dest")?;
        let src = args.str_or("src", "");
        let creates = args.str("creates").filter(|path| !path.is_empty());
        if let Some(path) = creates.filter(|_| seen_file(seen, 1).is_some()) {
            let message = format!("skipped, since {path} exists");
            return Ok(Decision::Same(Outcome::from_iter([
                ("skipped".into(), true.into()),
                ("msg".into(), message.into()),
            ])));
        }
        let missing = seen_file(seen, 0).is_none();
        if missing && !args.check {
            return Err(
                Diagnostic::new(format!("the directory `{dest}` does not exist")).help(format!(
                    "create it first: file: path={dest} state=directory"
                )),
            );
        }
        let Some(Seen::Reply(reply)) = seen.get(2) else {
            return Err(Diagnostic::new(format!(
                "`{src}` could not be compared with `{dest}`"
            )));
        };
        if reply.code != 0 {
            return Err(attributes::explain(reply));
        }
        let report = Report::of(reply);
        let wish = Wish::of(args)?;
        let differences: Vec<&str> = report
            .differences
            .iter()
            .map(String::as_str)
            .filter(|line| counts(line, &wish))
            .collect();
        let mut outcome = Outcome::new();
        outcome.insert("dest".into(), args.str_or("dest", "").into());
        outcome.insert("src".into(), src.into());
        if args.bool_or("list_files", false) {
            outcome.insert("files".into(), report.names.clone().into());
        }
        let mut change = Change {
            outcome,
            ..Change::default()
        };
        if differences.is_empty() && !missing {
            let listing = Seen::Reply(Reply {
                stdout: report.attributes,
                ..Reply::default()
            });
            tree::attributes(args, &dest, &wish, Some(&listing), &mut change)?;
            for request in &mut change.requests {
                request.chdir = Some(dest.clone());
            }
            return Ok(if change.requests.is_empty() {
                Decision::Same(change.outcome)
            } else {
                Decision::Change(change)
            });
        }
        let mut body = prepare(args, &dest)?.0;
        let attributes = Wish { mode: None, ..wish }.for_new(false);
        let ownership = attributes.ownership();
        let staged = ownership.is_some() || args.has("mode");
        body.push_str(if staged { STAGE } else { "" });
        body.push_str(EXTRACT);
        if let Some(ownership) = ownership {
            let _ = writeln!(
                body,
                "names | (cd \"$d\"; xargs -0 -r chown -h -- {})",
                sh(&ownership)
            );
        }
        if let Some(mode) = args.str("mode") {
            let mode = if mode.chars().all(|c| c.is_ascii_digit()) {
                format!("{mode:0>5}")
            } else {
                mode.to_owned()
            };
            // A link in the archive must not lead the mode to a path outside.
            let each = "find \"$@\" -maxdepth 0 ! -type l -exec chmod -- \"$m\" {} +";
            let _ = writeln!(
                body,
                "names | (cd \"$d\"; export m={}; xargs -0 -r sh -c {} find)",
                sh(&mode),
                sh(each)
            );
        }
        body.push_str(if staged { UNSTAGE } else { "" });
        change.requests.push(request(args, &body)?);
        change.diffs.push(Diff {
            subject: dest,
            before: String::new(),
            after: differences.join("\n") + "\n",
        });
        Ok(Decision::Change(change))
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

fn is_remote(args: &Args) -> bool {
    args.bool_or("remote_src", false) || !args.bool_or("copy", true)
}

fn request(args: &Args, body: &str) -> Result<Request> {
    let request = args.request(format!("{PRELUDE}umask 022\n{body}"));
    let stdin = prepare(args, "")?.1;
    Ok(request.stdin(stdin))
}

/// The commands that put the archive's path into `a`, its kind into `zip` and the options into shell functions;
/// and what they read.
fn prepare(args: &Args, dest: &str) -> Result<(String, Vec<u8>)> {
    let src = args.str_or("src", "");
    let mut script = format!("d={}\nfetched=\n", sh(dest));
    let mut stdin = Vec::new();
    if !is_remote(args) {
        script.push_str("a=$(mktemp); trap 'rm -f -- \"$a\"' EXIT; fetched=$a\ncat >\"$a\"\n");
        stdin = args.content.clone().unwrap_or_default();
    } else if src.contains("://") {
        let fetched = download(args, src)?;
        script.push_str("a=$(mktemp); trap 'rm -f -- \"$a\"' EXIT; fetched=$a\nn=$a\n");
        script.push_str(&fetched.script);
        stdin = fetched.stdin;
    } else {
        if !src.starts_with('/') {
            return Err(Diagnostic::new(
                "`src` on the host must be an absolute path",
            ));
        }
        let _ = write!(
            script,
            "a={}\n[ -f \"$a\" ] || fail \"$a: the archive does not exist on the host\"\n",
            sh(src)
        );
    }
    script.push_str("[ -s \"$a\" ] || fail 'the archive is empty'\nzip=; [ \"$(head -c 2 -- \"$a\" | tr -d '\\000')\" != PK ] || zip=1\n");
    let mut tar: Vec<String> = Vec::new();
    let extra = args.list("extra_opts");
    if !extra.is_empty() {
        tar.push("--show-transformed-names".to_owned());
        tar.extend(extra.clone());
    }
    for (name, option) in [("owner", "--owner="), ("group", "--group=")] {
        tar.extend(args.str(name).map(|value| format!("{option}{value}")));
    }
    if args.bool_or("keep_newer", false) {
        tar.push("--keep-newer-files".to_owned());
    }
    tar.extend(
        args.list("exclude")
            .iter()
            .map(|path| format!("--exclude={}", path.trim_end_matches('/'))),
    );
    let include = args.list("include");
    let zip_update = if args.bool_or("keep_newer", false) {
        "-u"
    } else {
        ""
    };
    let excluded = args.list("exclude");
    let zip_exclude = if excluded.is_empty() {
        String::new()
    } else {
        format!("-x {}", sh_join(excluded.iter().map(String::as_str)))
    };
    let words = |list: &[String]| sh_join(list.iter().map(String::as_str));
    let _ = write!(
        script,
        "tar_() {{ LC_ALL=C tar \"$@\" -C \"$d\" {} -f \"$a\" {}; }}\n\
         unzip_() {{ command -v unzip >/dev/null || fail 'unzip is not on the host' 'install the package `unzip` first'; unzip {zip_update} {} \"$@\" \"$a\" {} {zip_exclude} -d \"$d\"; }}\n\
         list() {{ if [ -n \"$zip\" ]; then command -v unzip >/dev/null || fail 'unzip is not on the host' 'install the package `unzip` first'; unzip -Z1 -- \"$a\" {} {zip_exclude}; else tar_ --list --quoting-style=literal; fi; }}\n\
         names() {{ list | sed 's,^/*\\(\\./\\)*,./,' | awk '!/(^|\\/)\\.\\.(\\/|$)/ {{ print; if (match(substr($0, 3), \"/\")) top[substr($0, 1, RSTART + 1)] = 1 }} END {{ for (t in top) print t }}' | tr '\\n' '\\000'; }}\n",
        words(&tar),
        words(&include),
        words(&extra),
        words(&include),
        words(&include)
    );
    Ok((script, stdin))
}

const COMPARE: &str = "if [ -n \"$zip\" ]; then list | while IFS= read -r p; do case $p in\n\
*/) [ -d \"$d/$p\" ] || printf '%s: missing\\n' \"$p\";;\n\
*) if [ ! -f \"$d/$p\" ]; then printf '%s: missing\\n' \"$p\"; else unzip -p -- \"$a\" \"$p\" | cmp -s - \"$d/$p\" || printf '%s: Contents differ\\n' \"$p\"; fi;;\n\
esac; done\n\
else tar_ --list >/dev/null || fail \"$a: neither tar nor zip can be read in it\"; tar_ --diff 2>&1 || :; fi\n\
echo '==names'; list; echo '==attributes'\n\
names | (cd \"$d\" && xargs -0 -r sh -c 'find \"$@\" -maxdepth 0 -printf \"%y %m %U %G %u %g %p\\0\" 2>/dev/null' find) || :\n";

const EXTRACT: &str = "if [ -n \"$zip\" ]; then unzip_ -o -q; else tar_ --extract; fi\n";

// Where owner or mode are wished, nobody may open a file while it has those of the archive: it is unpacked in a directory of
// the task's user alone, and goes to its place from there with the final ones (tar sets them before others can open it).
const STAGE: &str = "place=$d; d=$(mktemp -d -- \"$place/.hactl.XXXXXXXX\")\n\
trap 'rm -rf -- \"$d\" ${fetched:+\"$fetched\"}' EXIT; trap 'exit 143' HUP INT TERM\n";

const UNSTAGE: &str = "names | (cd \"$d\"; tar --no-recursion --null --verbatim-files-from -T - -cf .hactl.tar)\n\
tar -C \"$place\" -xpf \"$d/.hactl.tar\"\n";

/// What the comparison told.
struct Report {
    differences: Vec<String>,
    names: Vec<String>,
    attributes: Vec<u8>,
}

impl Report {
    fn of(reply: &Reply) -> Self {
        const MARK: &[u8] = b"==attributes\n";
        let at = reply
            .stdout
            .windows(MARK.len())
            .position(|window| window == MARK);
        let (head, attributes) = match at {
            Some(at) => (
                &reply.stdout[..at],
                reply.stdout[at + MARK.len()..].to_vec(),
            ),
            None => (reply.stdout.as_slice(), Vec::new()),
        };
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines().map(str::to_owned);
        let differences = lines
            .by_ref()
            .take_while(|line| line != "==names")
            .collect();
        Self {
            differences,
            names: lines.collect(),
            attributes,
        }
    }
}

/// Whether a line of `tar --diff` means that something has to be unpacked. What is set afterwards does not count.
fn counts(line: &str, wish: &Wish) -> bool {
    let ends = |end: &str| line.ends_with(end);
    (ends(": Uid differs") && wish.owner.is_none())
        || (ends(": Gid differs") && wish.group.is_none())
        || (ends(": Mode differs") && wish.mode.is_none())
        || [
            ": missing",
            ": Mod time differs",
            ": Symlink differs",
            ": Contents differ",
            ": Size differs",
            ": File type differs",
        ]
        .iter()
        .any(|end| ends(end))
        || (line.contains("Cannot stat: No such file or directory") && !line.contains(": : "))
        || line.contains("Invalid owner")
        || line.contains("Invalid group")
}
