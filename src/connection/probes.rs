//! Many probes as few commands: one `find` and one `sha256sum` for all files, one `dpkg-query`, one `systemctl show`,
//! one `getent` a database.
//!
//! Pure: [`compile`] makes the requests, [`Decoder`] reads the replies. Anything that does not look as asked for is an error, never a guess.

use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{
    Content, FileKind, FileProbe, Package, Probe, Reply, Request, Seen, SeenFile,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most that a look at a differing file brings back.
const LARGEST: u64 = 1 << 20;

const UNIT_PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,UnitFilePreset,FragmentPath,NeedDaemonReload,MainPID,Type,Result,ActiveEnterTimestampMonotonic";

/// Reads the replies to compiled probes back into one answer for each probe.
#[derive(Debug)]
pub struct Decoder {
    probes: Vec<Probe>,
    slots: Vec<Slot>,
    units: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Files(usize),
    Packages(usize),
    Units(usize),
    Entries(usize),
    Run(usize),
}

/// Merges probes into requests.
pub fn compile(probes: &[Probe]) -> (Vec<Request>, Decoder) {
    let mut requests = Vec::new();
    let mut decoder = Decoder {
        probes: probes.to_vec(),
        slots: Vec::new(),
        units: Vec::new(),
    };
    let files: Vec<&FileProbe> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::File(f) = p {
                Some(f)
            } else {
                None
            }
        })
        .collect();
    let files_at = push_if(&mut requests, !files.is_empty(), || {
        Request::sh(file_script(&files))
    });

    let packages: BTreeSet<&str> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::Packages(names) = p {
                Some(names)
            } else {
                None
            }
        })
        .flatten()
        .map(String::as_str)
        .collect();
    let packages_at = push_if(
        &mut requests,
        probes.iter().any(|p| matches!(p, Probe::Packages(_))),
        || {
            let names = packages
                .iter()
                .map(|name| sh(name))
                .collect::<Vec<_>>()
                .join(" ");
            Request::sh(format!(
                "dpkg-query -W -f '${{Package}}\\t${{Architecture}}\\t${{db:Status-Want}}\\t${{db:Status-Status}}\\t${{Version}}\\n' -- {names} 2>/dev/null; :"
            ))
        },
    );

    let units: BTreeSet<&str> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::Unit(u) = p {
                Some(u.as_str())
            } else {
                None
            }
        })
        .collect();
    decoder.units = units.iter().map(|&unit| unit.to_owned()).collect();
    let units_at = push_if(&mut requests, !units.is_empty(), || {
        let names = units
            .iter()
            .map(|name| sh(name))
            .collect::<Vec<_>>()
            .join(" ");
        Request::sh(format!(
            "systemctl show -p {UNIT_PROPERTIES} -- {names} 2>/dev/null; :"
        ))
    });

    let mut databases: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for probe in probes {
        if let Probe::Entry { database, key } = probe {
            databases.entry(database).or_default().1.insert(key);
        }
    }
    for (database, (at, keys)) in &mut databases {
        *at = requests.len();
        let keys = keys.iter().map(|key| sh(key)).collect::<Vec<_>>().join(" ");
        requests.push(Request::sh(format!("getent {database} {keys}; :")));
    }

    for probe in probes {
        decoder.slots.push(match probe {
            Probe::File(_) => Slot::Files(files_at),
            Probe::Packages(_) => Slot::Packages(packages_at),
            Probe::Unit(_) => Slot::Units(units_at),
            Probe::Entry { database, .. } => Slot::Entries(databases[database].0),
            Probe::Run(request) => {
                requests.push(request.clone());
                Slot::Run(requests.len() - 1)
            }
        });
    }
    (requests, decoder)
}

fn push_if(requests: &mut Vec<Request>, wanted: bool, make: impl FnOnce() -> Request) -> usize {
    if wanted {
        requests.push(make());
    }
    requests.len().saturating_sub(1)
}

fn file_script(files: &[&FileProbe]) -> String {
    let mut text = String::new();
    for follow in [false, true] {
        let paths: BTreeSet<&str> = files
            .iter()
            .filter(|f| f.follow == follow)
            .map(|f| f.path.as_str())
            .collect();
        if !paths.is_empty() {
            let (flag, mark) = if follow { ("-L", "L") } else { ("-P", "P") };
            let paths = paths
                .iter()
                .map(|path| sh(path))
                .collect::<Vec<_>>()
                .join(" ");
            let _ = writeln!(
                text,
                "find {flag} {paths} -maxdepth 0 -printf '{mark}\\0%p\\0%y\\0%m\\0%U\\0%G\\0%u\\0%g\\0%s\\0%i\\0%n\\0%D\\0%T@\\0%A@\\0%C@\\0%l\\0' 2>/dev/null"
            );
        }
    }
    let digests: BTreeSet<&str> = files
        .iter()
        .filter(|f| f.content == Content::Digest)
        .map(|f| f.path.as_str())
        .collect();
    if !digests.is_empty() {
        let paths = digests
            .iter()
            .map(|path| sh(path))
            .collect::<Vec<_>>()
            .join(" ");
        // Without -z a name with a line feed would be escaped; a dash keeps the names of pipes and directories out.
        let _ = writeln!(
            text,
            "printf 'D\\0'; sha256sum -z -- {paths} 2>/dev/null; printf '\\0'"
        );
    }
    let mut wanted: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for file in files {
        match &file.content {
            Content::Whole => {
                wanted.insert(&file.path, None);
            }
            Content::UnlessDigest(digest) => {
                // Two wishes for one path: bring the content, then either can be answered.
                wanted
                    .entry(&file.path)
                    .and_modify(|other| {
                        if *other != Some(digest.as_str()) {
                            *other = None;
                        }
                    })
                    .or_insert(Some(digest.as_str()));
            }
            Content::None | Content::Digest => {}
        }
    }
    let (checked, whole): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|(path, digest)| digest.is_some() && !path.contains(['\n', '\\']));
    if !checked.is_empty() {
        let lines: String = checked
            .iter()
            .map(|(path, digest)| format!("{}  {path}\n", digest.unwrap_or_default()))
            .collect();
        // One sha256sum for all; only what differs is read again, and only when it is not huge.
        let _ = writeln!(
            text,
            "printf %s {} | sha256sum -c 2>/dev/null | while IFS= read -r l; do case $l in \
             *': OK') printf 'K\\0%s\\0' \"${{l%: OK}}\";; \
             *': FAILED') p=${{l%: FAILED}}; if [ -f \"$p\" ] && [ \"$(stat -L -c %s \"$p\")\" -le {LARGEST} ]; \
             then printf 'C\\0%s\\0' \"$p\"; base64 -w0 \"$p\"; printf '\\0'; else printf 'B\\0%s\\0' \"$p\"; fi;; esac; done",
            sh(&lines)
        );
    }
    for (path, _) in whole {
        let path = sh(path);
        let _ = writeln!(
            text,
            "[ -f {path} ] && {{ printf 'C\\0%s\\0' {path}; base64 -w0 {path}; printf '\\0'; }}"
        );
    }
    text.push(':');
    text
}

#[derive(Debug, Default)]
struct Files {
    stats: BTreeMap<(bool, String), SeenFile>,
    digests: BTreeMap<String, String>,
    same: BTreeSet<String>,
    contents: BTreeMap<String, Vec<u8>>,
}

fn malformed(what: &str) -> Diagnostic {
    Diagnostic::with_code(
        exit::FAILED,
        format!("the host's answer about {what} cannot be read"),
    )
    .help("this is a fault of hactl or an unusual tool on the host; run with -vv and report it")
}

fn parse_files(output: &[u8]) -> Result<Files> {
    let mut files = Files::default();
    let mut fields = output
        .split(|&byte| byte == 0)
        .map(|field| String::from_utf8_lossy(field).into_owned());
    let mut next = || fields.next().ok_or_else(|| malformed("files"));
    loop {
        let mark = next()?;
        match mark.as_str() {
            "P" | "L" => {
                let path = next()?;
                let kind = match next()?.as_str() {
                    "f" => FileKind::File,
                    "d" => FileKind::Directory,
                    "l" | "N" | "L" => FileKind::Link,
                    _ => FileKind::Other,
                };
                let mode = u32::from_str_radix(&next()?, 8).map_err(|_| malformed("files"))?;
                let uid = number(&next()?)?;
                let gid = number(&next()?)?;
                let (owner, group) = (next()?, next()?);
                let (size, inode, links, device) = (
                    number(&next()?)?,
                    number(&next()?)?,
                    number(&next()?)?,
                    number(&next()?)?,
                );
                let (mtime, atime, ctime) =
                    (seconds(&next()?)?, seconds(&next()?)?, seconds(&next()?)?);
                let target = Some(next()?).filter(|target| !target.is_empty());
                let seen = SeenFile {
                    kind,
                    mode,
                    uid,
                    gid,
                    owner,
                    group,
                    size,
                    inode,
                    links,
                    device,
                    mtime,
                    atime,
                    ctime,
                    target,
                    sha256: None,
                    content: None,
                };
                files.stats.insert((mark == "L", path), seen);
            }
            "D" => loop {
                let line = next()?;
                if line.is_empty() {
                    break;
                }
                let (digest, path) = line.split_once("  ").ok_or_else(|| malformed("digests"))?;
                files.digests.insert(path.to_owned(), digest.to_owned());
            },
            "K" => {
                files.same.insert(next()?);
            }
            "B" => {
                next()?;
            }
            "C" => {
                let path = next()?;
                let content = STANDARD
                    .decode(next()?)
                    .map_err(|_| malformed("contents"))?;
                files.contents.insert(path, content);
            }
            "" => return Ok(files),
            _ => return Err(malformed("files")),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| malformed("files"))
}

fn seconds(text: &str) -> Result<i64> {
    number(text.split('.').next().unwrap_or(text))
}

impl Files {
    fn answer(&self, probe: &FileProbe) -> Option<SeenFile> {
        let mut seen = self.stats.get(&(probe.follow, probe.path.clone()))?.clone();
        let readable =
            seen.kind == FileKind::File || (seen.kind == FileKind::Link && !probe.follow);
        match &probe.content {
            Content::None => {}
            Content::Digest => seen.sha256 = self.digests.get(&probe.path).cloned(),
            Content::UnlessDigest(digest) if self.same.contains(&probe.path) => {
                seen.sha256 = Some(digest.clone());
            }
            Content::UnlessDigest(digest) => {
                if let Some(content) = self.contents.get(&probe.path).filter(|_| readable) {
                    let found = hex(content);
                    if found != *digest {
                        seen.content = Some(content.clone());
                    }
                    seen.sha256 = Some(found);
                }
            }
            Content::Whole => {
                if let Some(content) = self.contents.get(&probe.path).filter(|_| readable) {
                    seen.sha256 = Some(hex(content));
                    seen.content = Some(content.clone());
                }
            }
        }
        Some(seen)
    }
}

/// SHA-256 in lower-case hex.
fn hex(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

impl Decoder {
    /// One answer for each probe, in order.
    ///
    /// # Errors
    /// When a reply cannot be read.
    pub fn decode(&self, replies: &[Reply]) -> Result<Vec<Seen>> {
        let mut files: Option<Files> = None;
        let mut answers = Vec::with_capacity(self.probes.len());
        for (probe, slot) in self.probes.iter().zip(&self.slots) {
            let at = |index: usize| replies.get(index).ok_or_else(|| malformed("probes"));
            answers.push(match (probe, *slot) {
                (Probe::File(probe), Slot::Files(index)) => {
                    if files.is_none() {
                        files = Some(parse_files(&at(index)?.stdout)?);
                    }
                    Seen::File(files.as_ref().and_then(|files| files.answer(probe)))
                }
                (Probe::Packages(names), Slot::Packages(index)) => {
                    Seen::Packages(packages(&at(index)?.out(), names))
                }
                (Probe::Unit(name), Slot::Units(index)) => {
                    let position = self
                        .units
                        .iter()
                        .position(|unit| unit == name)
                        .ok_or_else(|| malformed("units"))?;
                    Seen::Properties(properties(&at(index)?.out(), position))
                }
                (Probe::Entry { key, .. }, Slot::Entries(index)) => {
                    Seen::Entry(entry(&at(index)?.out(), key))
                }
                (Probe::Run(_), Slot::Run(index)) => Seen::Reply(at(index)?.clone()),
                _ => return Err(malformed("probes")),
            });
        }
        Ok(answers)
    }
}

fn packages(output: &str, names: &[String]) -> BTreeMap<String, Package> {
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, architecture, want, status, version] = fields[..] else {
            continue;
        };
        let qualified = format!("{name}:{architecture}");
        let package = Package {
            status: status.to_owned(),
            version: version.to_owned(),
            want: want.to_owned(),
        };
        for asked in names
            .iter()
            .filter(|asked| **asked == name || **asked == qualified)
        {
            // Of several architectures the one that is installed counts.
            if package.status == "installed" || !found.contains_key(asked) {
                found.insert(asked.clone(), package.clone());
            }
        }
    }
    found
}

fn properties(output: &str, position: usize) -> BTreeMap<String, String> {
    output
        .split("\n\n")
        .nth(position)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn entry(output: &str, key: &str) -> Option<Vec<String>> {
    output
        .lines()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| {
            fields.first().is_some_and(|name| name == key)
                || fields.get(2).is_some_and(|id| id == key)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Item;

    fn file(path: &std::path::Path, follow: bool, content: Content) -> Probe {
        Probe::File(FileProbe {
            path: path.display().to_string(),
            follow,
            content,
        })
    }

    #[tokio::test]
    async fn probes_of_one_kind_are_one_request_and_tell_the_truth() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("it's a $name"), b"old\0bytes").expect("written");
        std::fs::write(path("same"), b"same").expect("written");
        std::os::unix::fs::symlink("same", path("link")).expect("linked");
        std::os::unix::fs::symlink("nowhere", path("dangling")).expect("linked");
        let probes = vec![
            file(
                &path("it's a $name"),
                false,
                Content::UnlessDigest(hex(b"new")),
            ),
            file(&path("same"), false, Content::UnlessDigest(hex(b"same"))),
            file(&path("missing"), false, Content::UnlessDigest(hex(b"same"))),
            file(&path("link"), false, Content::None),
            file(&path("link"), true, Content::Whole),
            file(&path("dangling"), true, Content::Digest),
            file(folder.path(), false, Content::Digest),
            file(&path("same"), false, Content::Digest),
            Probe::Packages(vec!["coreutils".into(), "no-such-package".into()]),
            Probe::Entry {
                database: "passwd",
                key: "root".into(),
            },
            Probe::Entry {
                database: "passwd",
                key: "no-such-user".into(),
            },
            Probe::Run(Request::sh("echo hello")),
        ];
        let (requests, decoder) = compile(&probes);
        assert_eq!(requests.len(), 4, "files, packages, passwd, run");
        let mut shell = super::super::ssh::local("here", None).expect("sh");
        let items: Vec<_> = requests
            .iter()
            .map(|request| Item {
                request,
                chained: false,
                holds_lock: false,
                looks: true,
            })
            .collect();
        let replies = shell.batch(&items).await.expect("answered");
        let seen = decoder.decode(&replies).expect("decoded");
        let file = |index: usize| match &seen[index] {
            Seen::File(file) => file.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            file(0).expect("there").content.as_deref(),
            Some(&b"old\0bytes"[..])
        );
        let same = file(1).expect("there");
        assert_eq!(
            (same.content, same.sha256, same.kind),
            (None, Some(hex(b"same")), FileKind::File)
        );
        assert_eq!(file(2), None);
        let link = file(3).expect("there");
        assert_eq!(
            (link.kind, link.target.as_deref()),
            (FileKind::Link, Some("same"))
        );
        let followed = file(4).expect("there");
        assert_eq!(
            (followed.kind, followed.content.as_deref()),
            (FileKind::File, Some(&b"same"[..]))
        );
        assert_eq!(file(5).expect("dangling").kind, FileKind::Link);
        assert_eq!(file(6).expect("a folder").kind, FileKind::Directory);
        assert_eq!(file(7).expect("there").sha256, Some(hex(b"same")));
        let Seen::Packages(found) = &seen[8] else {
            panic!()
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found["coreutils"].status, "installed");
        assert!(matches!(&seen[9], Seen::Entry(Some(fields)) if fields[2] == "0"));
        assert_eq!(seen[10], Seen::Entry(None));
        assert!(matches!(&seen[11], Seen::Reply(reply) if reply.out() == "hello\n"));
    }

    #[test]
    fn unit_blocks_are_matched_by_position() {
        let output = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=inactive\n";
        assert_eq!(properties(output, 1)["ActiveState"], "inactive");
        assert!(properties(output, 5).is_empty());
    }

    #[test]
    fn a_garbled_answer_is_an_error() {
        for output in [
            &b"P\0/x\0f\0"[..],
            b"X\0",
            b"P\0/x\0f\0zz\x000\x000\0a\0b\x001\x001\x001\x001\x001\x001\x001\0\0",
        ] {
            assert!(parse_files(output).is_err(), "{output:?}");
        }
    }
}
